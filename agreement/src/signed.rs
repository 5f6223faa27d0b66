//! A document with the signatures on it.

use overlap_audit::Digest;
use ring::digest;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Flaw, PublicKey, SigningKey, jws::Jws};

/// Largest signed document, in bytes; far from the limit of a message.
pub const MAX_DOCUMENT: usize = 256 << 10;

/// What can be signed.
pub trait Document: Clone + Serialize + DeserializeOwned {
    /// `typ` of the signatures (RFC 7515 section 4.1.9): no signature on one kind of document passes for one on another.
    const TYP: &'static str;
    /// The word for it.
    const NAME: &'static str;

    /// Whether it is what it has to be.
    ///
    /// # Errors
    /// [`Flaw`] names the field.
    fn check(&self) -> Result<(), Flaw>;
}

/// A document, its canonical form, and the signatures on that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<D> {
    document: D,
    hash: Digest,
    jws: Jws,
}

/// Why it is no signed document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// Too large.
    #[error("the {what} is larger than {MAX_DOCUMENT} bytes")]
    TooLarge {
        /// The word for the document.
        what: &'static str,
    },
    /// Not signed as it has to be.
    #[error("not a signed {what}: {why}")]
    Jws {
        /// The word for the document.
        what: &'static str,
        /// Why.
        why: &'static str,
    },
    /// Not the canonical JSON of such a document.
    #[error("the {what} cannot be read: {why}")]
    Document {
        /// The word for the document.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// A field is not what it has to be.
    #[error("the {what} cannot be used: {flaw}")]
    Flaw {
        /// The word for the document.
        what: &'static str,
        /// The field.
        flaw: Flaw,
    },
}

impl<D: Document> Signed<D> {
    /// A document that nobody has signed yet.
    ///
    /// # Errors
    /// [`SignedError::Flaw`], [`SignedError::TooLarge`].
    pub fn new(document: D) -> Result<Self, SignedError> {
        document
            .check()
            .map_err(|flaw| SignedError::Flaw { what: D::NAME, flaw })?;
        Self::of(document)
    }

    fn of(document: D) -> Result<Self, SignedError> {
        let payload = serde_json_canonicalizer::to_vec(&document).map_err(|error| SignedError::Document {
            what: D::NAME,
            why: error.to_string(),
        })?;
        if payload.len() > MAX_DOCUMENT / 2 {
            return Err(SignedError::TooLarge { what: D::NAME });
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, &payload).as_ref());
        Ok(Self {
            document,
            hash: Digest(hash),
            jws: Jws::new(payload),
        })
    }

    /// Reads one; every signature on it holds. By whom they have to be is not checked here.
    ///
    /// # Errors
    /// [`SignedError`].
    pub fn parse(json: &[u8]) -> Result<Self, SignedError> {
        if json.len() > MAX_DOCUMENT {
            return Err(SignedError::TooLarge { what: D::NAME });
        }
        let jws = Jws::parse(json, D::TYP).map_err(|why| SignedError::Jws { what: D::NAME, why })?;
        let document: D = serde_json::from_slice(&jws.payload).map_err(|error| SignedError::Document {
            what: D::NAME,
            why: error.to_string(),
        })?;
        let mut signed = Self::new(document)?;
        if signed.jws.payload != jws.payload {
            return Err(SignedError::Document {
                what: D::NAME,
                why: "it is not in its canonical form (RFC 8785)".to_owned(),
            });
        }
        signed.jws = jws;
        Ok(signed)
    }

    /// The JWS, as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        self.jws.to_json()
    }

    /// What was signed.
    pub fn document(&self) -> &D {
        &self.document
    }

    /// SHA-256 of the canonical form.
    pub fn hash(&self) -> Digest {
        self.hash
    }

    /// Adds a signature.
    pub fn sign(&mut self, key: &SigningKey) {
        self.jws.sign(D::TYP, key);
    }

    /// Takes over the signatures of another copy; true: some were new.
    pub fn merge(&mut self, other: &Self) -> bool {
        let before = self.jws.signatures.len();
        if self.hash == other.hash {
            other.jws.signatures.iter().for_each(|one| self.jws.add(one.clone()));
        }
        self.jws.signatures.len() > before
    }

    /// Keys that signed.
    pub fn signers(&self) -> impl Iterator<Item = PublicKey> + '_ {
        self.jws.signatures.iter().map(|signature| signature.key)
    }

    /// Whether the key with this thumbprint has signed.
    pub fn is_signed_by(&self, thumbprint: &Digest) -> bool {
        self.signers().any(|key| key.thumbprint() == *thumbprint)
    }
}

/// Reads what people write; values that are not given get their defaults.
///
/// # Errors
/// [`SignedError::Document`] names line and field.
pub fn from_toml<D: Document>(text: &str) -> Result<Signed<D>, SignedError> {
    let document = toml::from_str(text).map_err(|error| SignedError::Document {
        what: D::NAME,
        why: error.to_string(),
    })?;
    Signed::new(document)
}
