//! The stored form of records.

use jiff::civil::Date;
use overlap_records::{Identifier, Kind, Record, Role, Visibility};
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// The stored form of a record.
#[derive(Serialize, Deserialize)]
struct StoredRecord {
    reference: String,
    role: Role,
    visibility: Visibility,
    observed: Option<Date>,
    expires: Option<Date>,
    origin: Option<String>,
    identifiers: Vec<(Kind, String)>,
}

/// When a record was observed, and what decides on its retention.
#[derive(Deserialize)]
pub(crate) struct Dates {
    pub(crate) observed: Option<Date>,
    pub(crate) expires: Option<Date>,
}

pub(crate) fn decode_dates(bytes: &[u8]) -> Result<Dates, StoreError> {
    serde_json::from_slice(bytes).map_err(|_| StoreError::Damaged("a record cannot be read"))
}

pub(crate) fn encode_record(record: &Record) -> Result<Vec<u8>, StoreError> {
    Ok(serde_json::to_vec(&StoredRecord {
        reference: record.reference.clone(),
        role: record.role,
        visibility: record.visibility,
        observed: record.observed,
        expires: record.expires,
        origin: record.origin.clone(),
        identifiers: record
            .identifiers
            .iter()
            .map(|id| (id.kind(), id.canonical().to_owned()))
            .collect(),
    })?)
}

pub(crate) fn decode_record(bytes: &[u8]) -> Result<Record, StoreError> {
    const DAMAGED: StoreError = StoreError::Damaged("a record cannot be read");
    let stored: StoredRecord = serde_json::from_slice(bytes).map_err(|_| DAMAGED)?;
    let identifiers = stored
        .identifiers
        .iter()
        .map(|(kind, canonical)| Identifier::from_canonical(*kind, canonical))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| DAMAGED)?;
    Record::new(
        stored.reference,
        stored.role,
        stored.visibility,
        stored.observed,
        stored.expires,
        identifiers,
    )
    .and_then(|record| record.with_origin(stored.origin))
    .map_err(|_| DAMAGED)
}
