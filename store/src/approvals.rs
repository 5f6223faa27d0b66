//! Queries that a user wants another to approve.

use std::sync::Arc;

use jiff::Timestamp;
use overlap_audit::Digest;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Inner, StoreError,
    kept::Kept,
    keys::{Cf, TAG},
};

/// One query, with what another user has said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Its id.
    pub id: Uuid,
    /// The user who wants to ask.
    pub asked_by: String,
    /// When.
    pub asked: Timestamp,
    /// What is to be asked, in a form that is the node's to know: hexadecimal.
    pub query: String,
    /// Own dataset.
    pub dataset: String,
    /// The version of it that was looked at.
    pub dataset_version: u64,
    /// What it came to when it was asked for: the agreement.
    pub agreement: Digest,
    /// Kinds and roles.
    pub scope: String,
    /// What another user has said.
    pub verdict: Option<Verdict>,
    /// The query that it was used for.
    pub used: Option<Uuid>,
}

/// What another user has said of a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// That user.
    pub by: String,
    /// Whether as an operator of the node, who answers for how its datasets look.
    pub by_operator: bool,
    /// When.
    pub at: Timestamp,
    /// Whether it is approved.
    pub is_approved: bool,
}

/// The approvals of a store.
pub struct Approvals(Kept<Approval>);

impl Approvals {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self(Kept::new(inner, Cf::Approvals))
    }

    fn key(&self, id: Uuid) -> [u8; TAG] {
        self.0.tag(b"approval", id.as_bytes())
    }

    /// Keeps one in the place of what was kept under its id. Synced.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Encode`].
    pub fn put(&self, one: &Approval) -> Result<(), StoreError> {
        self.0.put(std::iter::once((self.key(one.id), one)))
    }

    /// All, in an order that says nothing.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn all(&self) -> Result<Vec<Approval>, StoreError> {
        self.0.rows()?.map(|row| row.map(|(_, one)| one)).collect()
    }

    /// Erases those that `gone` picks. Returns how many.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn erase(&self, gone: impl Fn(&Approval) -> bool) -> Result<u64, StoreError> {
        self.0.erase(gone)
    }
}
