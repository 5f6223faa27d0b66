//! Every column family and every key encoding. Numbers are big endian, so that iteration is in their order.

use overlap_audit::Side;
use uuid::Uuid;

/// Raised with every change of what is below.
pub(crate) const SCHEMA_VERSION: u32 = 7;

/// Key of the schema version in [`Cf::Meta`].
pub(crate) const META_SCHEMA: &[u8] = b"schema";
/// Key of the data key's check value in [`Cf::Meta`].
pub(crate) const META_KEY_CHECK: &[u8] = b"key-check";
/// Key of the mark that a version's key was deleted and may still be on disk, in [`Cf::Meta`].
pub(crate) const META_SCRUB: &[u8] = b"scrub";
/// Key of the last dataset version number given out, in [`Cf::Meta`].
pub(crate) const META_LAST_VERSION: &[u8] = b"last-version";

/// Key of the log's sealed signing key in [`Cf::Meta`].
pub(crate) const META_LOG_KEY: &[u8] = b"log-key";
/// Key of the newest checkpoint in [`Cf::Meta`].
pub(crate) const META_CHECKPOINT: &[u8] = b"checkpoint";
/// Key of the index of the first event that was not shredded, in [`Cf::Meta`].
pub(crate) const META_SHREDDED: &[u8] = b"shredded";

/// A column family.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Cf {
    /// Names above -> plain values.
    Meta,
    /// [`name tag`](crate::seal::Keys::tag) -> sealed description of the current version, with that version's key.
    Datasets,
    /// [`item`] -> sealed group element.
    Items,
    /// [`record`] -> sealed record.
    Records,
    /// [`index`] -> log event, sealed under a key of its own.
    Log,
    /// [`day`] -> sealed key of the events of a day.
    LogKeys,
    /// [`tile`] -> hashes of a full tile of the tree.
    LogTiles,
    /// [`entry`] -> indexes of its opening and its end.
    LogEntries,
    /// [`entry`] -> [`place`] of its opening: the entries without an end.
    LogOpen,
    /// [`transaction`] -> id of the entry that opened it.
    LogTransactions,
    /// [`indexed`] -> nothing: what entries are found by.
    LogIndex,
    /// [`input`] -> sealed salt, then sealed leaves, of the set that an asker committed to; last a mark that the query was opened.
    LogInputs,
    /// [`receipt`] -> sealed receipt of another agency.
    LogReceipts,
    /// [`due`] -> nothing: receipts that are owed.
    LogReceiptsDue,
    /// Tag of an agency -> sealed, what is known of its log.
    LogPeers,
    /// Id of an alarm -> sealed alarm.
    LogAlarms,
    /// [`index`] of an end -> [`entry`] that is still to be exported.
    LogOutbox,
    /// [`quota`] -> sealed amount that was drawn in a period.
    Quota,
    /// Tag of (agreement, peer, dataset, kind, identifier, reference) -> sealed hit of a query.
    Hits,
    /// Tag of (side, id) -> sealed follow-up of a hit.
    FollowUps,
    /// Tag of the id -> sealed query that waits for another user's approval, or has it.
    Approvals,
    /// Tag of the transaction -> sealed count that was told.
    Counts,
    /// Tag of (side, transaction) -> sealed picture: what it told, or that this agency has links of it.
    Pictures,
    /// [`link`] -> sealed match key and item tag: what stands behind a pseudonym.
    PictureLinks,
    /// Tag of (side, id) -> sealed alert of an action.
    Alerts,
    /// [`document`] -> sealed agreement, order or action, with what was stated about it.
    Documents,
}

impl Cf {
    pub(crate) const ALL: [Self; 26] = [
        Self::Meta,
        Self::Datasets,
        Self::Items,
        Self::Records,
        Self::Log,
        Self::LogKeys,
        Self::LogTiles,
        Self::LogEntries,
        Self::LogOpen,
        Self::LogTransactions,
        Self::LogIndex,
        Self::LogInputs,
        Self::LogReceipts,
        Self::LogReceiptsDue,
        Self::LogPeers,
        Self::LogAlarms,
        Self::LogOutbox,
        Self::Quota,
        Self::Hits,
        Self::FollowUps,
        Self::Approvals,
        Self::Counts,
        Self::Pictures,
        Self::PictureLinks,
        Self::Alerts,
        Self::Documents,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Datasets => "datasets",
            Self::Items => "items",
            Self::Records => "records",
            Self::Log => "log",
            Self::LogKeys => "log-keys",
            Self::LogTiles => "log-tiles",
            Self::LogEntries => "log-entries",
            Self::LogOpen => "log-open",
            Self::LogTransactions => "log-transactions",
            Self::LogIndex => "log-index",
            Self::LogInputs => "log-inputs",
            Self::LogReceipts => "log-receipts",
            Self::LogReceiptsDue => "log-receipts-due",
            Self::LogPeers => "log-peers",
            Self::LogAlarms => "log-alarms",
            Self::LogOutbox => "log-outbox",
            Self::Quota => "quota",
            Self::Hits => "hits",
            Self::FollowUps => "follow-ups",
            Self::Approvals => "approvals",
            Self::Counts => "counts",
            Self::Pictures => "pictures",
            Self::PictureLinks => "picture-links",
            Self::Alerts => "alerts",
            Self::Documents => "documents",
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

/// Day since 1970-01-01, UTC.
pub(crate) fn day(day: u32) -> [u8; 4] {
    day.to_be_bytes()
}

/// `level ‖ number` of a tile.
pub(crate) fn tile(level: u8, number: u64) -> [u8; 9] {
    let mut key = [level; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
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

/// `tag of the picture ‖ pseudonym`: those of a picture are neighbours.
pub(crate) fn link(picture: [u8; TAG], pseudonym: &[u8; 16]) -> [u8; TAG + 16] {
    let mut key = [0; TAG + 16];
    key[..TAG].copy_from_slice(&picture);
    key[TAG..].copy_from_slice(pseudonym);
    key
}

/// `side ‖ transaction ‖ tag of the agency that gave it`: of a picture there are several.
pub(crate) fn receipt(side: Side, transaction: Uuid, agency: [u8; TAG]) -> [u8; 17 + TAG] {
    let mut key = [0; 17 + TAG];
    let (query, by) = key.split_at_mut(17);
    query.copy_from_slice(&self::transaction(side, transaction));
    by.copy_from_slice(&agency);
    key
}

/// Bytes of a [`document`].
pub(crate) const DOCUMENT: usize = 1 + TAG;

/// `kind ‖ tag of the document's hash`.
pub(crate) fn document(kind: u8, tag: [u8; TAG]) -> [u8; DOCUMENT] {
    let mut key = [kind; DOCUMENT];
    key[1..].copy_from_slice(&tag);
    key
}

/// `account tag ‖ number of the period`.
pub(crate) fn quota(account: [u8; TAG], period: u32) -> [u8; TAG + 4] {
    let mut key = [0; TAG + 4];
    key[..TAG].copy_from_slice(&account);
    key[TAG..].copy_from_slice(&period.to_be_bytes());
    key
}

/// Bytes of a [`place`].
pub(crate) const PLACE: usize = 16;
/// Bytes of the tag of a value that entries are found by.
pub(crate) const INDEX_TAG: usize = 8;
/// Bytes of an [`indexed`] key before the place.
pub(crate) const INDEX_PREFIX: usize = 1 + INDEX_TAG;

/// `milliseconds since 1970 ‖ index`: entries in the order of their begin. Times before 1970 stay in order.
pub(crate) fn place(millis: i64, index: u64) -> [u8; PLACE] {
    let mut key = [0; PLACE];
    key[..8].copy_from_slice(&(millis.cast_unsigned() ^ (1 << 63)).to_be_bytes());
    key[8..].copy_from_slice(&index.to_be_bytes());
    key
}

/// Time and index of a [`place`].
pub(crate) fn parse_place(place: &[u8]) -> Option<(i64, u64)> {
    let (millis, index) = <&[u8; PLACE]>::try_from(place).ok()?.split_first_chunk()?;
    let millis = (u64::from_be_bytes(*millis) ^ (1 << 63)).cast_signed();
    Some((millis, u64::from_be_bytes(index.try_into().ok()?)))
}

/// `field ‖ tag of the value ‖ place`.
pub(crate) fn indexed(field: u8, tag: [u8; INDEX_TAG], place: [u8; PLACE]) -> [u8; INDEX_PREFIX + PLACE] {
    let mut key = [field; INDEX_PREFIX + PLACE];
    key[1..INDEX_PREFIX].copy_from_slice(&tag);
    key[INDEX_PREFIX..].copy_from_slice(&place);
    key
}

/// `tag of the agency ‖ transaction`: those of an agency are neighbours.
pub(crate) fn due(agency: [u8; TAG], transaction: Uuid) -> [u8; TAG + 16] {
    let mut key = [0; TAG + 16];
    key[..TAG].copy_from_slice(&agency);
    key[TAG..].copy_from_slice(transaction.as_bytes());
    key
}

/// The part of an [`input`] that says that its query was opened.
pub(crate) const INPUT_OPENED: u32 = u32::MAX;

/// `entry ‖ part`: part 0 is the salt.
pub(crate) fn input(entry: Uuid, part: u32) -> [u8; 20] {
    let mut key = [0; 20];
    key[..16].copy_from_slice(entry.as_bytes());
    key[16..].copy_from_slice(&part.to_be_bytes());
    key
}
