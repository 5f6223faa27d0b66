//! What matches found, kept so that each unit that reported can be told.

use std::sync::Arc;

use jiff::{Timestamp, civil::Date};
use overlap_audit::Digest;
use overlap_records::{Kind, Role};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    Inner, StoreError,
    kept::Kept,
    keys::{Cf, TAG},
};

/// One own record that a match found at a peer: a hit on a numbered identifier, or a candidate.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundRecord {
    /// Id of the query; of several that found it, the last.
    pub transaction: Uuid,
    /// When the match ended.
    pub found: Timestamp,
    /// Name of the peer.
    pub peer: String,
    /// Own dataset.
    pub dataset: String,
    /// Hash of the agreement that it was found under.
    pub agreement: Digest,
    /// Purpose of the match.
    pub purpose: String,
    /// Case reference of the match.
    pub case_reference: String,
    /// Whether it was the peer that asked.
    pub as_holder: bool,
    /// Whether the peer knows of it too; it does of what it asked itself.
    pub by_both: bool,
    /// Kind of the identifier.
    pub kind: Kind,
    /// The identifier in canonical form.
    pub canonical: String,
    /// For a candidate: its score.
    pub score: Option<f64>,
    /// The own record.
    pub reference: String,
    /// Role of its subject.
    pub role: Role,
    /// The unit or system that the record came from.
    pub origin: Option<String>,
    /// When the record expires, and this with it.
    pub expires: Option<Date>,
}

/// Names a kept hit within one store; says nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HitId(pub [u8; TAG]);

/// The hits of a store.
pub struct Hits(Kept<FoundRecord>);

impl Hits {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self(Kept::new(inner, Cf::Hits))
    }

    /// Keeps what a query found. Found again, it takes the place of what was kept: the same own record by the same identifier at the same
    /// peer under the same agreement is kept once. Synced.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Encode`].
    pub(crate) fn keep<'a>(&self, found: impl Iterator<Item = &'a FoundRecord>) -> Result<(), StoreError> {
        self.0.put(found.map(|one| (self.key(one), one)))
    }

    /// All that are kept with their ids, in an order that says nothing.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn iter(&self) -> Result<impl Iterator<Item = Result<(HitId, FoundRecord), StoreError>> + '_, StoreError> {
        Ok(self.0.rows()?.map(|row| {
            let (key, found) = row?;
            let id = key
                .as_ref()
                .try_into()
                .map_err(|_| StoreError::Damaged("a hit's key has another length"))?;
            Ok((HitId(id), found))
        }))
    }

    /// The one with this id.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn get(&self, id: HitId) -> Result<Option<FoundRecord>, StoreError> {
        self.0.get(id.0)
    }

    /// Erases those that `gone` picks, and takes them off the disk. Returns how many.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn erase(&self, gone: impl Fn(&FoundRecord) -> bool) -> Result<u64, StoreError> {
        self.0.erase(gone)
    }

    fn key(&self, found: &FoundRecord) -> [u8; TAG] {
        let agreement = found.agreement.to_string();
        let parts = [
            agreement.as_str(),
            if found.as_holder { "holder" } else { "asker" },
            found.peer.as_str(),
            &found.dataset,
            found.kind.as_str(),
            &found.canonical,
            &found.reference,
        ];
        // no part holds a control character
        let joined = Zeroizing::new(parts.join("\n"));
        self.0.tag(b"hit", joined.as_bytes())
    }
}

impl std::fmt::Debug for FoundRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FoundRecord")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
