//! JSON Web Signatures (RFC 7515) with EdDSA (RFC 8037), in the general JSON serialization: one payload, a signature per party.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{PublicKey, SigningKey};

/// What was signed, and each signature that holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Jws {
    pub(crate) payload: Vec<u8>,
    pub(crate) signatures: Vec<Signature>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Signature {
    /// As it was signed.
    protected: String,
    signature: [u8; 64],
    pub(crate) key: PublicKey,
}

/// Most signatures on one payload.
const MAX_SIGNATURES: usize = 64;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawJws {
    payload: String,
    signatures: Vec<RawSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSignature {
    protected: String,
    signature: String,
}

/// The protected header, and nothing beside it: what is not known (`crit`, `b64`) is refused.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    jwk: Jwk,
    typ: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwk {
    crv: String,
    kty: String,
    x: String,
}

impl Jws {
    pub(crate) fn new(payload: Vec<u8>) -> Self {
        Self {
            payload,
            signatures: Vec::new(),
        }
    }

    /// Adds a signature, or leaves the one that the key has made already.
    pub(crate) fn sign(&mut self, typ: &str, key: &SigningKey) {
        let public = key.public();
        if self.signatures.iter().any(|one| one.key == public) {
            return;
        }
        let protected = protected(typ, &public);
        let signature = key.sign(&input(&protected, &self.payload));
        self.add(Signature {
            protected,
            signature,
            key: public,
        });
    }

    /// Adds a signature, unless its key has one. They stay in the order of their keys, whoever signed first.
    pub(crate) fn add(&mut self, signature: Signature) {
        if let Err(at) = self.signatures.binary_search_by_key(&signature.key.0, |one| one.key.0) {
            self.signatures.insert(at, signature);
        }
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        let raw = RawJws {
            payload: URL_SAFE_NO_PAD.encode(&self.payload),
            signatures: self
                .signatures
                .iter()
                .map(|one| RawSignature {
                    protected: one.protected.clone(),
                    signature: URL_SAFE_NO_PAD.encode(one.signature),
                })
                .collect(),
        };
        serde_json::to_vec(&raw).unwrap_or_default()
    }

    /// Reads one whose every signature holds; none: why not.
    pub(crate) fn parse(json: &[u8], typ: &str) -> Result<Self, &'static str> {
        let raw: RawJws =
            serde_json::from_slice(json).map_err(|_| "it is not a JWS in the general JSON serialization")?;
        if raw.signatures.len() > MAX_SIGNATURES {
            return Err("it has more than 64 signatures");
        }
        let payload = URL_SAFE_NO_PAD
            .decode(&raw.payload)
            .map_err(|_| "its payload is not base64url")?;
        let mut jws = Self::new(payload);
        for one in raw.signatures {
            const HEADER: &str = "a protected header is not alg, jwk and typ alone, in that order and without blanks";
            let header = URL_SAFE_NO_PAD.decode(&one.protected).map_err(|_| HEADER)?;
            let header: Header = serde_json::from_slice(&header).map_err(|_| HEADER)?;
            if header.alg != "EdDSA" || header.jwk.crv != "Ed25519" || header.jwk.kty != "OKP" {
                return Err("a signature is not EdDSA over Ed25519");
            }
            if header.typ != typ {
                return Err("it was signed as another kind of document");
            }
            let key = PublicKey::decode(&header.jwk.x).ok_or("a key is not an Ed25519 key")?;
            let signature = URL_SAFE_NO_PAD
                .decode(&one.signature)
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or("a signature is not 64 bytes")?;
            // one spelling of a header: what two nodes merge stays as small as what each has read
            if one.protected != protected(typ, &key) {
                return Err(HEADER);
            }
            if !key.verifies(&input(&one.protected, &jws.payload), &signature) {
                return Err("a signature does not hold: the document was altered, or signed with another key");
            }
            jws.add(Signature {
                protected: one.protected,
                signature,
                key,
            });
        }
        Ok(jws)
    }
}

/// The protected header of a key's signature.
fn protected(typ: &str, key: &PublicKey) -> String {
    let header = Header {
        alg: "EdDSA".to_owned(),
        jwk: Jwk {
            crv: "Ed25519".to_owned(),
            kty: "OKP".to_owned(),
            x: key.encoded(),
        },
        typ: typ.to_owned(),
    };
    // strings alone: this cannot fail
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).unwrap_or_default())
}

/// RFC 7515 section 5.1, step 5.
fn input(protected: &str, payload: &[u8]) -> Vec<u8> {
    [protected.as_bytes(), b".", URL_SAFE_NO_PAD.encode(payload).as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8037 appendix A
    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v_REPLACED\n-----END PRIVATE KEY-----\n";

    fn key() -> SigningKey {
        // the seed of RFC 8037 appendix A.1 behind the fixed head of PKCS#8
        let seed = URL_SAFE_NO_PAD
            .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
            .unwrap();
        let head = [
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
        ];
        let der = [&head[..], &seed].concat();
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        SigningKey::from_pem(&PEM.replace("MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v_REPLACED", &body)).unwrap()
    }

    #[test]
    fn the_thumbprint_of_rfc_8037() {
        let public = key().public();
        assert_eq!(public.encoded(), X);
        assert_eq!(
            URL_SAFE_NO_PAD.encode(public.thumbprint().0),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn the_signature_of_rfc_8037() {
        let protected = "eyJhbGciOiJFZERTQSJ9";
        let input = input(protected, b"Example of Ed25519 signing");
        assert_eq!(
            URL_SAFE_NO_PAD.encode(key().sign(&input)),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
    }

    #[test]
    fn what_is_altered_does_not_parse() {
        let mut jws = Jws::new(b"{}".to_vec());
        jws.sign("a", &key());
        let json = String::from_utf8(jws.to_json()).unwrap();
        assert_eq!(Jws::parse(json.as_bytes(), "a").unwrap(), jws);
        assert!(Jws::parse(json.as_bytes(), "b").unwrap_err().contains("another kind"));
        let altered = json.replace(&URL_SAFE_NO_PAD.encode("{}"), &URL_SAFE_NO_PAD.encode("[]"));
        assert!(
            Jws::parse(altered.as_bytes(), "a")
                .unwrap_err()
                .contains("does not hold")
        );
        for (header, words) in [
            (
                r#"{"alg":"none","jwk":{"crv":"Ed25519","kty":"OKP","x":"X"},"typ":"a"}"#,
                "not EdDSA",
            ),
            (
                r#"{"alg":"EdDSA","jwk":{"crv":"Ed25519","kty":"OKP","x":"X"},"typ":"a","crit":["b64"]}"#,
                "alone",
            ),
            (r#"{"alg":"EdDSA","typ":"a"}"#, "alone"),
        ] {
            let protected = URL_SAFE_NO_PAD.encode(header.replace('X', X));
            let json = json.replace(&jws.signatures[0].protected, &protected);
            assert!(
                Jws::parse(json.as_bytes(), "a").unwrap_err().contains(words),
                "{header}"
            );
        }
    }
}
