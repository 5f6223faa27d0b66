//! Hits that are followed up: asked about by one side, decided on by the other.

use std::sync::Arc;

use jiff::{Timestamp, civil::Date};
use overlap_audit::{Declined, Digest, Standing};
use overlap_records::{Disclosed, Kind, Role, Visibility};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Inner, StoreError, Writing,
    kept::Kept,
    keys::{Cf, TAG},
};

/// One hit that is followed up, as one side keeps it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FollowUp {
    /// Its id, the same on both sides.
    pub id: Uuid,
    /// The query that found the hit.
    pub about: Uuid,
    /// Whether this agency is the one that is asked.
    pub as_holder: bool,
    /// Name of the other agency.
    pub peer: String,
    /// Hash of the agreement.
    pub agreement: Digest,
    /// Own dataset.
    pub dataset: String,
    /// Purpose of the query.
    pub purpose: String,
    /// Case reference of the query.
    pub case_reference: String,
    /// The asker's user who follows it up, or whose query it was.
    pub person: String,
    /// The role in which.
    pub role: String,
    /// Why, in words.
    pub reason: String,
    /// When it was made.
    pub made: Timestamp,
    /// When it lapses if nobody has decided.
    pub decide_by: Timestamp,
    /// Kind of the identifier.
    pub kind: Kind,
    /// Whether the asker was shown no more than the kind: the holder follows it up by itself.
    pub partly: bool,
    /// The identifier in canonical form; what is partly visible its asker does not know until it is disclosed.
    pub canonical: Option<String>,
    /// Own records that hold it, or may be about the same person.
    pub records: Vec<OwnRecord>,
    /// When the first of them expires, and this with it.
    pub expires: Option<Date>,
    /// What was decided.
    pub decision: Option<Decision>,
    /// For a holder: text that is told beside the records.
    pub attachment: Option<String>,
    /// For an asker: what the holder told.
    pub disclosed: Vec<Disclosed>,
}

/// An own record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnRecord {
    /// The agency's own key.
    pub reference: String,
    /// Role of its subject.
    pub role: Role,
    /// Its class, at the holder: what is told depends on it.
    pub visibility: Option<Visibility>,
    /// The unit or system that it came from.
    pub origin: Option<String>,
}

/// What the holder decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// When; for an asker, when it heard.
    pub at: Timestamp,
    /// The holder's user; for an asker nobody.
    pub by: Option<String>,
    /// Why not; none: it tells.
    pub declined: Option<Declined>,
}

impl FollowUp {
    /// How it stands: what is not decided in time is declined.
    pub fn standing(&self, now: Timestamp) -> Standing {
        match &self.decision {
            Some(Decision {
                declined: Some(why), ..
            }) => Standing::Declined(*why),
            Some(_) => Standing::Disclosed,
            None if now >= self.decide_by => Standing::Declined(Declined::Lapsed),
            None => Standing::Pending,
        }
    }
}

/// The follow-ups of a store.
pub struct FollowUps(Kept<FollowUp>);

impl FollowUps {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self(Kept::new(inner, Cf::FollowUps))
    }

    fn key(&self, as_holder: bool, id: Uuid) -> [u8; TAG] {
        let side: &[u8] = if as_holder { b"holder" } else { b"asker" };
        self.0.tag(b"follow-up", &[side, id.as_bytes()].concat())
    }

    /// The id of a follow-up that begins, of what tells it from others: the same for two who begin it at one moment, and random to who has
    /// not this store's key.
    pub fn new_id(&self, of: &str) -> Uuid {
        let tag = self.0.tag(b"follow-up-id", of.as_bytes());
        uuid::Builder::from_custom_bytes(tag).into_uuid()
    }

    /// Keeps some, each in the place of what was kept under its id: all or none. Synced.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Encode`].
    pub fn put(&self, some: &[FollowUp]) -> Result<(), StoreError> {
        self.0
            .put(some.iter().map(|one| (self.key(one.as_holder, one.id), one)))
    }

    /// The one with this id, on one side.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn get(&self, as_holder: bool, id: Uuid) -> Result<Option<FollowUp>, StoreError> {
        self.0.get(self.key(as_holder, id))
    }

    /// All, in an order that says nothing.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn iter(&self) -> Result<impl Iterator<Item = Result<FollowUp, StoreError>> + '_, StoreError> {
        Ok(self.0.rows()?.map(|row| row.map(|(_, one)| one)))
    }

    /// Erases those that `gone` picks, and takes them off the disk. Returns how many.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn erase(&self, gone: impl Fn(&FollowUp) -> bool) -> Result<u64, StoreError> {
        self.0.erase(gone)
    }

    pub(crate) fn remove(&self, writing: &Writing<'_>, gone: impl Fn(&FollowUp) -> bool) -> Result<u64, StoreError> {
        self.0.remove(writing, gone)
    }
}

impl std::fmt::Debug for FollowUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FollowUp")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("decision", &self.decision)
            .finish_non_exhaustive()
    }
}
