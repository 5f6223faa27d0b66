//! Every column family and every key encoding. Numbers are big endian, so that iteration is in their order.

use overlap_audit::Side;
use uuid::Uuid;

/// Raised with every change of what is below.
pub(crate) const SCHEMA_VERSION: u32 = 2;

/// Key of the schema version in [`Cf::Meta`].
pub(crate) const META_SCHEMA: &[u8] = b"schema";
/// Key of the data key's check value in [`Cf::Meta`].
pub(crate) const META_KEY_CHECK: &[u8] = b"key-check";
/// Key of the mark that a version's key was deleted and may still be on disk, in [`Cf::Meta`].
pub(crate) const META_SCRUB: &[u8] = b"scrub";
/// Key of the last dataset version number given out, in [`Cf::Meta`].
pub(crate) const META_LAST_VERSION: &[u8] = b"last-version";

/// A column family.
#[derive(Clone, Copy)]
pub(crate) enum Cf {
    /// Names above -> plain values.
    Meta,
    /// [`name tag`](crate::seal::Keys::tag) -> sealed description of the current version, with that version's key.
    Datasets,
    /// [`item`] -> sealed group element.
    Items,
    /// [`record`] -> sealed record.
    Records,
    /// [`index`] -> sealed log event.
    Log,
    /// [`entry`] -> indexes of its opening and its end.
    LogEntries,
    /// [`entry`] -> nothing: the entries without an end.
    LogOpen,
    /// [`transaction`] -> id of the entry that opened it.
    LogTransactions,
    /// [`quota`] -> sealed count of items asked on a day.
    Quota,
    /// Tag of (peer, dataset, kind, identifier, reference) -> sealed hit of a query.
    Hits,
}

impl Cf {
    pub(crate) const ALL: [Self; 10] = [
        Self::Meta,
        Self::Datasets,
        Self::Items,
        Self::Records,
        Self::Log,
        Self::LogEntries,
        Self::LogOpen,
        Self::LogTransactions,
        Self::Quota,
        Self::Hits,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Datasets => "datasets",
            Self::Items => "items",
            Self::Records => "records",
            Self::Log => "log",
            Self::LogEntries => "log-entries",
            Self::LogOpen => "log-open",
            Self::LogTransactions => "log-transactions",
            Self::Quota => "quota",
            Self::Hits => "hits",
        }
    }
}

/// Bytes of a lookup tag.
pub(crate) const TAG: usize = 16;
/// Bytes of the tag of a kind.
pub(crate) const KIND_TAG: usize = 4;

const KIND_AT: usize = 8;
const TAG_AT: usize = KIND_AT + KIND_TAG;
const RECORD_AT: usize = TAG_AT + TAG;
const ITEM_KEY: usize = RECORD_AT + 4;

/// `version ‖ kind tag ‖ item tag ‖ record`: one row per item and record; equal items of a version are neighbours.
pub(crate) fn item(version: u64, kind: [u8; KIND_TAG], tag: [u8; TAG], record: u32) -> [u8; ITEM_KEY] {
    let mut key = [0; ITEM_KEY];
    key[..KIND_AT].copy_from_slice(&version.to_be_bytes());
    key[KIND_AT..TAG_AT].copy_from_slice(&kind);
    key[TAG_AT..RECORD_AT].copy_from_slice(&tag);
    key[RECORD_AT..].copy_from_slice(&record.to_be_bytes());
    key
}

/// The prefix of all items of a kind.
pub(crate) fn item_prefix(version: u64, kind: [u8; KIND_TAG]) -> [u8; TAG_AT] {
    let mut key = [0; TAG_AT];
    key[..KIND_AT].copy_from_slice(&version.to_be_bytes());
    key[KIND_AT..].copy_from_slice(&kind);
    key
}

/// Item tag and record of an [`item`] key.
pub(crate) fn parse_item(key: &[u8]) -> Option<([u8; TAG], u32)> {
    let key = <&[u8; ITEM_KEY]>::try_from(key).ok()?;
    let tag = key[TAG_AT..RECORD_AT].try_into().ok()?;
    let record = key[RECORD_AT..].try_into().ok()?;
    Some((tag, u32::from_be_bytes(record)))
}

/// `version ‖ record`.
pub(crate) fn record(version: u64, record: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&version.to_be_bytes());
    key[8..].copy_from_slice(&record.to_be_bytes());
    key
}

/// The record of a [`record`] key.
pub(crate) fn parse_record(key: &[u8]) -> Option<u32> {
    let key = <&[u8; 12]>::try_from(key).ok()?;
    Some(u32::from_be_bytes(*key.last_chunk()?))
}

/// First key of a version and first key after it, in [`Cf::Items`] and [`Cf::Records`].
pub(crate) fn version_range(version: u64) -> ([u8; 8], [u8; 8]) {
    (version.to_be_bytes(), version.saturating_add(1).to_be_bytes())
}

/// The version that a key of [`Cf::Items`] or [`Cf::Records`] is of.
pub(crate) fn version_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*key.first_chunk()?))
}

/// Index of a log event.
pub(crate) fn index(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// Id of a log entry.
pub(crate) fn entry(id: Uuid) -> [u8; 16] {
    id.into_bytes()
}

/// `side ‖ transaction`: an agency may be asker and holder of queries, never twice of one.
pub(crate) fn transaction(side: Side, transaction: Uuid) -> [u8; 17] {
    let mut key = [0; 17];
    key[0] = match side {
        Side::Asker => 0,
        Side::Holder => 1,
        Side::Witness => 2,
    };
    key[1..].copy_from_slice(transaction.as_bytes());
    key
}

/// `account tag ‖ days since 1970-01-01`.
pub(crate) fn quota(account: [u8; TAG], day: u32) -> [u8; TAG + 4] {
    let mut key = [0; TAG + 4];
    key[..TAG].copy_from_slice(&account);
    key[TAG..].copy_from_slice(&day.to_be_bytes());
    key
}
