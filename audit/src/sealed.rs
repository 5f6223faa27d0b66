//! What the log keeps of an event: encrypted under a key of its own, so that erasing the key erases the event, and committed to, so that
//! the tree proves it even then.

use std::fmt;

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{Context, SHA256},
    hmac,
};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::Digest;

/// The key of one event, given to those who may read it. Wiped when dropped, prints nothing.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PayloadKey([u8; 32]);

/// An encrypted event with the salt of its commitment.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Derived from the key, one way: whoever committed to it committed to the key too, and so to one plain text.
    pub salt: Digest,
    /// AES-256-GCM, with the tag.
    pub ciphertext: Vec<u8>,
}

/// Why an event cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealedError {
    /// The key is another event's.
    #[error("the key does not belong to what was committed to")]
    Key,
    /// The ciphertext was changed, or cannot be made.
    #[error("the ciphertext was changed")]
    Ciphertext,
}

impl PayloadKey {
    /// The key of an event in a period (a day) whose key is erased as a whole.
    ///
    /// `seed` is random and new for every event, so that no two share a key.
    pub fn derive(period: &[u8; 32], seed: &[u8; 32]) -> Self {
        Self(mac(period, &[b"overlap/log/payload/v1", seed]))
    }

    /// The key as it stands in an export.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// For an export.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn salt(&self) -> Digest {
        Digest(mac(&self.0, &[b"overlap/log/salt/v1"]))
    }

    fn cipher(&self) -> Result<LessSafeKey, SealedError> {
        let mut key = mac(&self.0, &[b"overlap/log/seal/v1"]);
        let cipher = UnboundKey::new(&AES_256_GCM, &key).map(LessSafeKey::new);
        key.zeroize();
        cipher.map_err(|_| SealedError::Ciphertext)
    }
}

impl fmt::Debug for PayloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PayloadKey(..)")
    }
}

impl Sealed {
    /// Encrypts an event under a key that is used for nothing else: the nonce is fixed.
    ///
    /// # Errors
    /// [`SealedError::Ciphertext`]: longer than AES-GCM takes.
    pub fn seal(key: &PayloadKey, plain: &[u8]) -> Result<Self, SealedError> {
        let mut ciphertext = Vec::with_capacity(plain.len() + AES_256_GCM.tag_len());
        ciphertext.extend_from_slice(plain);
        key.cipher()?
            .seal_in_place_append_tag(nonce(), Aad::empty(), &mut ciphertext)
            .map_err(|_| SealedError::Ciphertext)?;
        Ok(Self {
            salt: key.salt(),
            ciphertext,
        })
    }

    /// What the tree's leaf is made of: SHA-256 over a label, the salt and the ciphertext.
    pub fn commitment(&self) -> Digest {
        let mut context = Context::new(&SHA256);
        context.update(b"overlap/log/leaf/v1");
        context.update(&self.salt.0);
        context.update(&self.ciphertext);
        let mut digest = Digest([0; 32]);
        digest.0.copy_from_slice(context.finish().as_ref());
        digest
    }

    /// Decrypts.
    ///
    /// # Errors
    /// [`SealedError`].
    pub fn open(&self, key: &PayloadKey) -> Result<Vec<u8>, SealedError> {
        if key.salt() != self.salt {
            return Err(SealedError::Key);
        }
        let mut plain = self.ciphertext.clone();
        let length = key
            .cipher()?
            .open_in_place(nonce(), Aad::empty(), &mut plain)
            .map_err(|_| SealedError::Ciphertext)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.ciphertext.len())
    }
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let mut mac = [0; 32];
    mac.copy_from_slice(context.sign().as_ref());
    mac
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_sealed_opens_under_its_key_alone(plain: Vec<u8>, period: [u8; 32], seed: [u8; 32], flip in 0_usize..4096) {
            let key = PayloadKey::derive(&period, &seed);
            let sealed = Sealed::seal(&key, &plain).unwrap();
            prop_assert_eq!(&sealed.open(&key).unwrap(), &plain);
            let mut other = seed;
            other[0] ^= 1;
            prop_assert_eq!(sealed.open(&PayloadKey::derive(&period, &other)), Err(SealedError::Key));
            let mut changed = sealed.clone();
            let at = flip % changed.ciphertext.len();
            changed.ciphertext[at] ^= 1;
            prop_assert_ne!(changed.commitment(), sealed.commitment());
            prop_assert_eq!(changed.open(&key), Err(SealedError::Ciphertext));
        }
    }

    /// Computed with Python's hmac, hashlib and cryptography.
    #[test]
    fn stays_the_same() {
        let key = PayloadKey::derive(&[1; 32], &[2; 32]);
        let sealed = Sealed::seal(&key, b"an event").unwrap();
        assert_eq!(
            hex::encode(key.as_bytes()),
            "f1b78e0f403f3260281bf969af84f255c491746ab41be682a40fe100246f8498"
        );
        assert_eq!(
            sealed.salt.to_string(),
            "8f715550c933da6ce248bc6fbf1a871015600d5c3e880903f79519a020f330b2"
        );
        assert_eq!(
            hex::encode(&sealed.ciphertext),
            "e150bf2389bdcb33c91c0ccd992fb0b1b5660cd1c833024f"
        );
        assert_eq!(
            sealed.commitment().to_string(),
            "d0f02a649f630ed5879fe975d18c7252f2fadbd0c9558db6bd2085d38bca50e2"
        );
    }
}
