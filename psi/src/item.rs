//! Items: what sets are made of.

use sha2::{Digest, Sha512};
use zeroize::Zeroize;

use crate::{Element, oprf};

const DOMAIN: &[u8] = b"overlap/item/v1";

/// The domain-separated hash of (profile, kind, match key).
///
/// Personal data still: low-entropy values can be guessed from it, so it never leaves a node and prints nothing.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Item([u8; 32]);

impl Item {
    /// Hashes a match key: the first 32 bytes of SHA-512 over the domain and each part behind its length (8 bytes, big endian).
    pub fn derive(profile: &str, kind: &str, match_key: &[u8]) -> Self {
        let mut hash = Sha512::new();
        for part in [DOMAIN, profile.as_bytes(), kind.as_bytes(), match_key] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut item = [0; 32];
        item.copy_from_slice(&hash.finalize()[..32]);
        Self(item)
    }

    /// The group element of this item, RFC 9497 `HashToGroup`; for many use [`crate::Stored::of`].
    pub fn to_element(&self) -> Element {
        // HashToGroup yields the identity for one input in 2^252; no such input is known or can be searched for
        oprf::hash_to_group(&self.0)
    }

    /// The bytes, for a keyed hash in the store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Item(..)")
    }
}
