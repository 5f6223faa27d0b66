//! What matches found, kept so that each unit that reported can be told.

use std::sync::Arc;

use jiff::{Timestamp, civil::Date};
use overlap_audit::Digest;
use overlap_records::{Kind, Role};
use rocksdb::{IteratorMode, WriteBatch};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    Inner, StoreError, dataset,
    keys::{self, Cf, TAG},
    synced,
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
    /// Whether it was the peer that asked, and this agency alone knows of the hit.
    pub as_holder: bool,
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

/// The hits of a store.
pub struct Hits {
    inner: Arc<Inner>,
}

/// A key, and what is kept there.
type Row = (Box<[u8]>, FoundRecord);

/// Rows written or removed together.
const TOGETHER: usize = 4096;

impl Hits {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Keeps what a query found. Found again, it takes the place of what was kept: the same own record by the same identifier at the same
    /// peer under the same agreement is kept once. Synced.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Encode`].
    pub(crate) fn keep<'a>(&self, found: impl Iterator<Item = &'a FoundRecord>) -> Result<(), StoreError> {
        let cf = self.inner.cf(Cf::Hits)?;
        let mut writes = WriteBatch::default();
        for one in found {
            let key = self.key(one);
            let plain = Zeroizing::new(serde_json::to_vec(one)?);
            writes.put_cf(cf, key, self.inner.keys.hits().seal(Cf::Hits, &key, &plain)?);
        }
        Ok(self.inner.db.write_opt(writes, &synced())?)
    }

    /// All that are kept, in an order that says nothing.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn iter(&self) -> Result<impl Iterator<Item = Result<FoundRecord, StoreError>> + '_, StoreError> {
        Ok(self.rows()?.map(|row| row.map(|(_, found)| found)))
    }

    /// Erases those that `gone` picks, and takes them off the disk. Returns how many.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn erase(&self, gone: impl Fn(&FoundRecord) -> bool) -> Result<u64, StoreError> {
        let cf = self.inner.cf(Cf::Hits)?;
        let writing = self.inner.write_lock();
        let mut erased = 0;
        let mut rows = self.rows()?;
        loop {
            let mut writes = WriteBatch::default();
            let mut seen = 0;
            for row in rows.by_ref().take(TOGETHER) {
                let (key, found) = row?;
                seen += 1;
                if gone(&found) {
                    writes.delete_cf(cf, key);
                    erased += 1;
                }
            }
            if seen == 0 {
                break;
            }
            if !writes.is_empty() {
                writes.put_cf(self.inner.cf(Cf::Meta)?, keys::META_SCRUB, []);
                self.inner.db.write_opt(writes, &synced())?;
            }
        }
        drop(rows);
        dataset::scrub(&self.inner, &writing)?;
        Ok(erased)
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
        self.inner.keys.tag(b"hit", joined.as_bytes())
    }

    fn rows(&self) -> Result<impl Iterator<Item = Result<Row, StoreError>> + '_, StoreError> {
        let rows = self.inner.db.iterator_cf(self.inner.cf(Cf::Hits)?, IteratorMode::Start);
        Ok(rows.map(|row| {
            let (key, sealed) = row?;
            let plain = self.inner.keys.hits().open(Cf::Hits, &key, &sealed)?;
            let found = serde_json::from_slice(&plain).map_err(|_| StoreError::Damaged("a hit cannot be read"))?;
            Ok((key, found))
        }))
    }
}

impl std::fmt::Debug for FoundRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FoundRecord")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
