//! The signed head of the log: a C2SP checkpoint as a signed note (Ed25519), with the cosignatures of witnesses.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use signed_note::{Note, Signature};

use crate::{Digest, VerifyingKey};

/// Longest checkpoint that is read, in bytes, with its signatures.
const MAX_CHECKPOINT: usize = 64 << 10;

/// Size and root of a log at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log.
    pub origin: String,
    /// Leaves.
    pub size: u64,
    /// Root of the tree.
    pub root: Digest,
}

/// A checkpoint with the signatures on it; none of them is checked yet.
#[derive(Debug, PartialEq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
    signatures: Vec<Signature>,
}

/// Why a checkpoint cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not the text of a checkpoint.
    #[error("not a signed checkpoint")]
    Form,
    /// Another log's.
    #[error("a checkpoint of {found:?}, not of {expected:?}")]
    Origin {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// The key has not signed it.
    #[error("there is no signature of {0} on the checkpoint")]
    NotSigned(String),
    /// There is one, and it is wrong.
    #[error("the signature of {0} on the checkpoint is wrong")]
    Signature(String),
}

/// The body of the note.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = BASE64_STANDARD.encode(self.root.0);
        write!(f, "{}\n{}\n{root}\n", self.origin, self.size)
    }
}

impl SignedCheckpoint {
    /// Reads a checkpoint; the signatures are still to be checked.
    ///
    /// # Errors
    /// [`CheckpointError::Form`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let form = |_| CheckpointError::Form;
        if text.len() > MAX_CHECKPOINT {
            return Err(CheckpointError::Form);
        }
        let note = Note::from_bytes(text.as_bytes()).map_err(form)?;
        let body = std::str::from_utf8(note.text()).map_err(|_| CheckpointError::Form)?;
        let parsed = tlog_tiles::Checkpoint::from_bytes(note.text()).map_err(|_| CheckpointError::Form)?;
        let checkpoint = Checkpoint {
            origin: parsed.origin().to_owned(),
            size: parsed.size(),
            root: Digest(parsed.hash().0),
        };
        // one spelling, and nothing else that is signed along
        if checkpoint.to_string() != body {
            return Err(CheckpointError::Form);
        }
        let lines = text.get(body.len() + 1..).unwrap_or_default();
        let signatures = lines.lines().map(|line| Signature::from_bytes(line.as_bytes()));
        Ok(Self {
            checkpoint,
            note,
            signatures: signatures.collect::<Result<_, _>>().map_err(form)?,
        })
    }

    pub(crate) fn of(checkpoint: Checkpoint, signatures: Vec<Signature>) -> Result<Self, CheckpointError> {
        let note = Note::new(checkpoint.to_string().as_bytes(), &signatures).map_err(|_| CheckpointError::Form)?;
        Ok(Self {
            checkpoint,
            note,
            signatures,
        })
    }

    pub(crate) fn note(&self) -> &Note {
        &self.note
    }

    /// What it says; nobody has checked who said it.
    pub fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Size and root, once the log's key was found to have signed them.
    ///
    /// # Errors
    /// [`CheckpointError::Origin`], [`CheckpointError::NotSigned`], [`CheckpointError::Signature`].
    pub fn verify(&self, log: &VerifyingKey) -> Result<&Checkpoint, CheckpointError> {
        if self.checkpoint.origin != log.name() {
            return Err(CheckpointError::Origin {
                found: self.checkpoint.origin.clone(),
                expected: log.name().to_owned(),
            });
        }
        log.verify(&self.note, &self.signatures)?;
        Ok(&self.checkpoint)
    }

    /// The same with the signature of one key alone.
    ///
    /// # Errors
    /// [`CheckpointError::NotSigned`].
    pub fn alone(&self, key: &VerifyingKey) -> Result<Self, CheckpointError> {
        let signature = key.signature_in(&self.signatures)?;
        Self::of(self.checkpoint.clone(), vec![signature.clone()])
    }

    /// When a witness saw it, in seconds since 1970.
    ///
    /// # Errors
    /// [`CheckpointError::NotSigned`], [`CheckpointError::Signature`]; the first also for a key that is no witness's.
    pub fn cosigned_at(&self, witness: &VerifyingKey) -> Result<u64, CheckpointError> {
        witness
            .verify(&self.note, &self.signatures)?
            .ok_or_else(|| CheckpointError::NotSigned(witness.name().to_owned()))
    }

    /// Adds a witness's line.
    ///
    /// # Errors
    /// [`CheckpointError::Form`]: not a signature line.
    pub fn with_cosignature(self, line: &str) -> Result<Self, CheckpointError> {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let signature = Signature::from_bytes(line.as_bytes()).map_err(|_| CheckpointError::Form)?;
        let mut signatures = self.signatures;
        signatures.retain(|one| (one.name(), one.id()) != (signature.name(), signature.id()));
        signatures.push(signature);
        Self::of(self.checkpoint, signatures)
    }
}

/// The note, as it is stored, served and exported.
impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.note.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{BadKey, SigningKey, log_name};

    fn key(name: &str) -> SigningKey {
        SigningKey::from_pkcs8(name, &SigningKey::generate().unwrap()).unwrap()
    }

    /// The example of Go's golang.org/x/mod/sumdb/note.
    #[test]
    fn a_note_of_go() {
        let key: VerifyingKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
            .parse()
            .unwrap();
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n\n\
                    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let note = Note::from_bytes(text.as_bytes()).unwrap();
        let line = text.lines().last().unwrap();
        let signature = Signature::from_bytes(line.as_bytes()).unwrap();
        assert_eq!(key.verify(&note, &[signature]), Ok(None));
        // a note is no checkpoint
        assert_eq!(SignedCheckpoint::parse(text), Err(CheckpointError::Form));
    }

    /// The example of C2SP tlog-cosignature: its form, since it names no public keys.
    #[test]
    fn a_checkpoint_of_c2sp() {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
                    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
                    — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
        let checkpoint = SignedCheckpoint::parse(text).unwrap();
        assert_eq!(checkpoint.checkpoint.size, 20_852_163);
        assert_eq!(checkpoint.signatures.len(), 2);
        assert_eq!(checkpoint.to_string(), text);
        let time = checkpoint.signatures[1].signature().first_chunk().unwrap();
        assert_eq!(u64::from_be_bytes(*time), 1_679_315_147);
    }

    #[test]
    fn signed_and_cosigned() {
        let (log, witness, other) = (
            key("politie.example/log"),
            key("kmar.example/log"),
            key("politie.example/log"),
        );
        let signed = log.sign(7, &Digest([7; 32])).unwrap();
        let vkey: VerifyingKey = log.verifying_key().to_string().parse().unwrap();
        assert_eq!(signed.verify(&vkey).unwrap().size, 7);
        let line = witness.cosign(&signed, 1_700_000_000).unwrap();
        let signed = SignedCheckpoint::parse(&signed.with_cosignature(&line).unwrap().to_string()).unwrap();
        assert_eq!(signed.cosigned_at(&witness.cosigner_key()), Ok(1_700_000_000));
        assert_eq!(signed.verify(&vkey).unwrap().root, Digest([7; 32]));

        let named = |name: &str| name.to_owned();
        assert_eq!(
            signed.verify(&other.verifying_key()),
            Err(CheckpointError::NotSigned(named("politie.example/log")))
        );
        assert!(matches!(
            signed.verify(&witness.verifying_key()),
            Err(CheckpointError::Origin { .. })
        ));
        // a checkpoint's signature is no cosignature, nor the other way round
        assert!(signed.cosigned_at(&vkey).is_err());
        let forged = signed.to_string().replace("\n7\n", "\n8\n");
        let forged = SignedCheckpoint::parse(&forged).unwrap();
        assert_eq!(
            forged.verify(&vkey),
            Err(CheckpointError::Signature(named("politie.example/log")))
        );
        assert_eq!(
            forged.cosigned_at(&witness.cosigner_key()),
            Err(CheckpointError::Signature(named("kmar.example/log")))
        );
    }

    #[test]
    fn logs_are_called_after_their_agency() {
        assert_eq!(
            log_name("spiffe://overlap.example/agency/kmar"),
            "overlap.example/agency/kmar/log"
        );
        assert!(SigningKey::from_pkcs8(&log_name("spiffe://a/b+c"), &SigningKey::generate().unwrap()).is_ok());
    }

    #[test]
    fn keys_that_are_none() {
        let good = key("a.example/log").verifying_key().to_string();
        assert_eq!(good.parse::<VerifyingKey>().unwrap().to_string(), good);
        for bad in [
            "",
            "a",
            "a+b",
            "a+00000000+AQ==",
            &good.replace("a.example", "b.example"),
            &good[..good.len() - 4],
        ] {
            assert_eq!(bad.parse::<VerifyingKey>(), Err(BadKey), "{bad}");
        }
        assert_eq!(
            SigningKey::from_pkcs8("a b", &SigningKey::generate().unwrap()).err(),
            Some(BadKey)
        );
        assert_eq!(SigningKey::from_pkcs8("a", b"no key").err(), Some(BadKey));
    }

    proptest! {
        #[test]
        fn any_text_is_refused_without_panic(text: String, size: u64, rest in "[\\n\\PC]{0,80}") {
            let _ = SignedCheckpoint::parse(&text);
            let _ = SignedCheckpoint::parse(&format!("a\n{size}\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n{rest}"));
            let _ = text.parse::<VerifyingKey>();
        }
    }
}
