//! What an agency holds on one subject.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;
use thiserror::Error;

use crate::identifier::Identifier;
use crate::kind::{Role, Visibility};
use crate::rejection::Rejection;

/// Longest reference in bytes.
pub const MAX_REFERENCE: usize = 128;

/// Most identifiers in one record, after equal ones are merged.
pub const MAX_IDENTIFIERS_PER_RECORD: usize = 64;

/// One subject: an opaque local reference and the identifiers that point at it. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The agency's own key for the record; means nothing to anyone else.
    pub reference: String,
    /// In what quality the agency knows the subject.
    pub role: Role,
    /// What another agency sees on a hit.
    pub visibility: Visibility,
    /// When the agency last confirmed the data.
    pub observed: Option<Date>,
    /// Day after which the record may no longer be held or compared.
    pub expires: Option<Date>,
    /// The unit or system that the record came from, and that hears of hits.
    pub origin: Option<String>,
    /// Sorted, each once.
    pub identifiers: Vec<Identifier>,
}

impl Record {
    /// Checks the limits; sorts the identifiers and merges equal ones.
    ///
    /// # Errors
    ///
    /// - [`RecordError::ReferenceMissing`]: empty reference.
    /// - [`RecordError::ReferenceNotValid`]: more than [`MAX_REFERENCE`] bytes, or control characters.
    /// - [`RecordError::NoIdentifier`]: nothing to compare.
    /// - [`RecordError::TooManyIdentifiers`]: more than [`MAX_IDENTIFIERS_PER_RECORD`] different ones.
    pub fn new(
        reference: String,
        role: Role,
        visibility: Visibility,
        observed: Option<Date>,
        expires: Option<Date>,
        mut identifiers: Vec<Identifier>,
    ) -> Result<Self, RecordError> {
        if reference.is_empty() {
            return Err(RecordError::ReferenceMissing);
        }
        // control characters would let a reference forge lines in logs and terminals
        if !is_plain(&reference) {
            return Err(RecordError::ReferenceNotValid);
        }
        identifiers.sort_unstable();
        identifiers.dedup();
        match identifiers.len() {
            0 => Err(RecordError::NoIdentifier),
            1..=MAX_IDENTIFIERS_PER_RECORD => Ok(Self {
                reference,
                role,
                visibility,
                observed,
                expires,
                origin: None,
                identifiers,
            }),
            found => Err(RecordError::TooManyIdentifiers { found }),
        }
    }

    /// Names the unit or system that the record came from.
    ///
    /// # Errors
    ///
    /// [`RecordError::OriginNotValid`]: more than [`MAX_REFERENCE`] bytes, or control characters.
    pub fn with_origin(mut self, origin: Option<String>) -> Result<Self, RecordError> {
        if !origin.as_deref().is_none_or(is_plain) {
            return Err(RecordError::OriginNotValid);
        }
        self.origin = origin;
        Ok(self)
    }

    /// Whether it expired before `today`.
    #[must_use]
    pub fn has_expired(&self, today: Date) -> bool {
        self.expires.is_some_and(|expires| expires < today)
    }

    /// Whether nobody but its own agency may ever see it on a hit, or it expired before `today`.
    #[must_use]
    pub fn is_withheld(&self, today: Date) -> bool {
        self.visibility == Visibility::D || self.has_expired(today)
    }
}

/// Text that can be stored and shown.
pub(crate) fn is_plain(text: &str) -> bool {
    text.len() <= MAX_REFERENCE && !text.chars().any(char::is_control)
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds = BTreeMap::new();
        for identifier in &self.identifiers {
            *kinds.entry(identifier.kind()).or_insert(0_usize) += 1;
        }
        f.debug_struct("Record")
            .field("role", &self.role)
            .field("visibility", &self.visibility)
            .field("identifiers", &kinds)
            .finish_non_exhaustive()
    }
}

/// Why a record was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Empty reference.
    #[error("a record needs a reference")]
    ReferenceMissing,
    /// Too long, or with control characters.
    #[error("the reference is longer than {MAX_REFERENCE} bytes or has control characters")]
    ReferenceNotValid,
    /// Too long, or with control characters.
    #[error("the origin is longer than {MAX_REFERENCE} bytes or has control characters")]
    OriginNotValid,
    /// Nothing to compare.
    #[error("a record needs an identifier")]
    NoIdentifier,
    /// More than may be compared for one subject.
    #[error("a record has {MAX_IDENTIFIERS_PER_RECORD} identifiers at most, this one has {found}")]
    TooManyIdentifiers {
        /// How many different ones there were.
        found: usize,
    },
}

impl From<RecordError> for Rejection {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::ReferenceMissing => Self::ReferenceMissing,
            RecordError::ReferenceNotValid => Self::ReferenceNotValid,
            RecordError::OriginNotValid => Self::OriginNotValid,
            RecordError::NoIdentifier => Self::NoIdentifier,
            RecordError::TooManyIdentifiers { .. } => Self::TooManyIdentifiers,
        }
    }
}
