//! Counts that were told, so that no later one tells by its difference what may not be told.

use std::sync::Arc;

use jiff::Timestamp;
use overlap_audit::Digest;
use overlap_records::Role;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Inner, StoreError,
    kept::Kept,
    keys::{Cf, TAG},
};

/// A count that a user was told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToldCount {
    /// The query.
    pub transaction: Uuid,
    /// When.
    pub at: Timestamp,
    /// What was asked under which agreement: counts of one account are held against each other.
    pub account: Digest,
    /// Tells the set from others.
    pub set: Digest,
    /// Its size.
    pub size: u64,
    /// The least of its items' tags, ascending: all of them in a small set.
    #[serde(with = "hex_tags")]
    pub sample: Vec<u64>,
    /// Roles of the subjects that were asked about.
    pub roles: Vec<Role>,
    /// What was told.
    pub count: u64,
}

/// The counts of a store.
pub struct Counts(Kept<ToldCount>);

impl Counts {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self(Kept::new(inner, Cf::Counts))
    }

    fn key(&self, transaction: Uuid) -> [u8; TAG] {
        self.0.tag(b"count", transaction.as_bytes())
    }

    /// Keeps one. Synced.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Encode`].
    pub fn put(&self, one: &ToldCount) -> Result<(), StoreError> {
        self.0.put(std::iter::once((self.key(one.transaction), one)))
    }

    /// All, in an order that says nothing.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn iter(&self) -> Result<impl Iterator<Item = Result<ToldCount, StoreError>> + '_, StoreError> {
        Ok(self.0.rows()?.map(|row| row.map(|(_, one)| one)))
    }

    /// Erases those that `gone` picks. Returns how many.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn erase(&self, gone: impl Fn(&ToldCount) -> bool) -> Result<u64, StoreError> {
        self.0.erase(gone)
    }
}

impl std::fmt::Debug for ToldCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToldCount")
            .field("transaction", &self.transaction)
            .finish_non_exhaustive()
    }
}

/// Tags as one text: a list of numbers would take twice as much.
mod hex_tags {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(tags: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = tags.iter().flat_map(|tag| tag.to_be_bytes()).collect();
        serializer.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
        let bytes = hex::decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        match bytes.as_chunks::<8>() {
            (tags, []) => Ok(tags.iter().map(|tag| u64::from_be_bytes(*tag)).collect()),
            _ => Err(D::Error::custom("not whole tags")),
        }
    }
}
