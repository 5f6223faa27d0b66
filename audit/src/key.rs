//! Keys of logs, as signed notes name them (C2SP signed-note): `name+id+base64`.

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use serde::{Deserialize, Serialize};
use signed_note::{Note, Signature, is_key_name_valid, key_id};
use zeroize::Zeroizing;

use crate::{Checkpoint, CheckpointError, Digest, SignedCheckpoint};

/// What a key signs, and the byte that says so in its encoding (C2SP signed-note, tlog-cosignature).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
enum Algorithm {
    /// Checkpoints of an own log.
    Ed25519 = 1,
    /// Checkpoints of others, with the time.
    Cosignature = 4,
}

/// A public key with the name of its owner, as `name+id+base64`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct VerifyingKey {
    name: String,
    algorithm: Algorithm,
    public: [u8; 32],
}

/// The text is no verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a verifier key `name+id+key` for Ed25519 or cosignatures, or its id is another key's")]
pub struct BadKey;

/// A log's private key. Prints nothing.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    name: String,
}

/// The name of an agency's log, which its checkpoints begin with: a URL without scheme, as C2SP tlog-checkpoint wants it.
pub fn log_name(agency: &str) -> String {
    let agency = agency.strip_prefix("spiffe://").unwrap_or(agency);
    // what the signed note keeps for itself
    format!("{}/log", agency.replace('+', "%2B"))
}

impl VerifyingKey {
    /// The owner's name: of a log, the origin of its checkpoints.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it checks cosignatures, not checkpoints.
    pub fn is_cosigner(&self) -> bool {
        self.algorithm == Algorithm::Cosignature
    }

    /// What checks the cosignatures of the same key pair.
    pub fn cosigner(&self) -> Self {
        Self {
            algorithm: Algorithm::Cosignature,
            ..self.clone()
        }
    }

    fn encoded(&self) -> [u8; 33] {
        let mut bytes = [self.algorithm as u8; 33];
        bytes[1..].copy_from_slice(&self.public);
        bytes
    }

    fn id(&self) -> u32 {
        key_id(&self.name, &self.encoded())
    }

    /// The one signature that claims to be this key's.
    pub(crate) fn signature_in<'a>(&self, signatures: &'a [Signature]) -> Result<&'a Signature, CheckpointError> {
        let id = self.id();
        signatures
            .iter()
            .find(|one| one.id() == id && one.name() == self.name)
            .ok_or_else(|| CheckpointError::NotSigned(self.name.clone()))
    }

    /// The one signature of this key, verified; for a cosignature, the time it was given, in seconds since 1970.
    pub(crate) fn verify(&self, note: &Note, signatures: &[Signature]) -> Result<Option<u64>, CheckpointError> {
        let signature = self.signature_in(signatures)?.signature();
        let wrong = || CheckpointError::Signature(self.name.clone());
        let (message, signature, time) = match self.algorithm {
            Algorithm::Ed25519 => (note.text().to_vec(), signature, None),
            Algorithm::Cosignature => {
                let (time, signature) = signature.split_first_chunk().ok_or_else(wrong)?;
                let time = u64::from_be_bytes(*time);
                (cosigned(time, note), signature, Some(time))
            }
        };
        UnparsedPublicKey::new(&ED25519, self.public)
            .verify(&message, signature)
            .map_err(|_| wrong())?;
        Ok(time)
    }
}

/// What a witness signs: when it saw which checkpoint (C2SP tlog-cosignature).
fn cosigned(time: u64, note: &Note) -> Vec<u8> {
    [format!("cosignature/v1\ntime {time}\n").as_bytes(), note.text()].concat()
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE64_STANDARD.encode(self.encoded());
        write!(f, "{}+{:08x}+{key}", self.name, self.id())
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifyingKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let (name, rest) = text.split_once('+').ok_or(BadKey)?;
        let (id, key) = rest.split_once('+').ok_or(BadKey)?;
        let bytes = BASE64_STANDARD.decode(key).map_err(|_| BadKey)?;
        let (algorithm, public) = match bytes.split_first() {
            Some((1, public)) => (Algorithm::Ed25519, public),
            Some((4, public)) => (Algorithm::Cosignature, public),
            _ => return Err(BadKey),
        };
        let key = Self {
            name: name.to_owned(),
            algorithm,
            public: public.try_into().map_err(|_| BadKey)?,
        };
        let is_same = id == format!("{:08x}", key.id());
        (is_same && is_key_name_valid(name)).then_some(key).ok_or(BadKey)
    }
}

impl From<VerifyingKey> for String {
    fn from(key: VerifyingKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for VerifyingKey {
    type Error = BadKey;

    fn try_from(text: String) -> Result<Self, BadKey> {
        text.parse()
    }
}

impl SigningKey {
    /// Makes a new key, in PKCS #8 (RFC 5958).
    ///
    /// # Errors
    /// [`BadKey`] if the system gives no randomness.
    pub fn generate() -> Result<Zeroizing<Vec<u8>>, BadKey> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| BadKey)?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// A key from PKCS #8, for the log of that name.
    ///
    /// # Errors
    /// [`BadKey`]: no Ed25519 key, or a name that is empty or has blanks or `+`.
    pub fn from_pkcs8(name: &str, der: &[u8]) -> Result<Self, BadKey> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| BadKey)?;
        is_key_name_valid(name)
            .then(|| Self {
                pair,
                name: name.to_owned(),
            })
            .ok_or(BadKey)
    }

    /// What checks this key's checkpoints.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.public(Algorithm::Ed25519)
    }

    /// What checks this key's cosignatures.
    pub fn cosigner_key(&self) -> VerifyingKey {
        self.public(Algorithm::Cosignature)
    }

    /// Signs the head of the own log.
    ///
    /// # Errors
    /// [`CheckpointError::Form`]: the key's name cannot stand in a checkpoint.
    pub fn sign(&self, size: u64, root: &Digest) -> Result<SignedCheckpoint, CheckpointError> {
        let checkpoint = Checkpoint {
            origin: self.name.clone(),
            size,
            root: *root,
        };
        let line = self.sign_text(&checkpoint.to_string())?;
        SignedCheckpoint::of(checkpoint, vec![line])
    }

    /// The signature of a note's text.
    pub(crate) fn sign_text(&self, text: &str) -> Result<Signature, CheckpointError> {
        let signature = self.pair.sign(text.as_bytes()).as_ref().to_vec();
        self.line(Algorithm::Ed25519, signature)
    }

    /// Countersigns another log's checkpoint, which must have been verified and proved to grow from the last one that was countersigned.
    ///
    /// # Errors
    /// [`CheckpointError::Form`]: the key's name cannot stand in a note.
    pub fn cosign(&self, checkpoint: &SignedCheckpoint, time: u64) -> Result<String, CheckpointError> {
        let signature = self.pair.sign(&cosigned(time, checkpoint.note()));
        let bytes = [time.to_be_bytes().as_slice(), signature.as_ref()].concat();
        let line = self.line(Algorithm::Cosignature, bytes)?.to_bytes();
        String::from_utf8(line).map_err(|_| CheckpointError::Form)
    }

    fn public(&self, algorithm: Algorithm) -> VerifyingKey {
        let mut public = [0; 32];
        public.copy_from_slice(self.pair.public_key().as_ref());
        VerifyingKey {
            name: self.name.clone(),
            algorithm,
            public,
        }
    }

    fn line(&self, algorithm: Algorithm, signature: Vec<u8>) -> Result<Signature, CheckpointError> {
        Signature::new(self.name.clone(), self.public(algorithm).id(), signature).map_err(|_| CheckpointError::Form)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.name)
    }
}
