//! Reading datasets: one immutable version at a time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::{Timestamp, civil::Date};
use overlap_audit::Digest;
use overlap_psi::{Item, Stored as StoredElement};
use overlap_records::{Identifier, Kind, Record, Role, Visibility};
use rocksdb::{
    BottommostLevelCompaction, CompactOptions, DBRawIteratorWithThreadMode, IteratorMode, ReadOptions, WriteBatch,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    Inner, StoreError,
    keys::{self, Cf, TAG},
    seal::{Sealer, VersionKey},
    synced,
};

/// What is known of a dataset version without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetInfo {
    /// Name of the dataset.
    pub name: String,
    /// Number of this version; ascends over all datasets of a store.
    pub version: u64,
    /// When it was imported.
    pub created: Timestamp,
    /// The profile that its items were made under.
    pub profile: String,
    /// How many records it holds.
    pub records: u64,
    /// How many of them take part in no query: those of visibility class `d`, and those that had expired when they were imported.
    pub withheld: u64,
    /// The day after which the first of the others expires; the dataset takes part in no query from then on.
    pub expires: Option<Date>,
    /// Per kind: how many distinct items, and the digest of the set.
    pub kinds: BTreeMap<Kind, KindInfo>,
}

/// The items of one kind in a dataset version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindInfo {
    /// How many distinct items.
    pub items: u64,
    /// SHA-256 over their group elements in the order of the store: what an input commitment is made of.
    pub digest: Digest,
}

/// A version of a dataset; stays readable while this value lives, whatever is imported or erased meanwhile.
#[derive(Clone)]
pub struct Dataset {
    version: Arc<Version>,
}

/// An own item that a match found: its place in the set, its kind, its match key and the records that hold it.
pub struct Hit {
    /// Kind of the item.
    pub kind: Kind,
    /// The identifier that matched.
    pub identifier: Identifier,
    /// The records that hold it.
    pub records: Vec<Record>,
}

pub(crate) struct Version {
    inner: Arc<Inner>,
    info: DatasetInfo,
    sealer: Sealer,
    superseded: AtomicBool,
}

/// The stored description of a version, with the key of its data: erasing this erases the data.
#[derive(Serialize, Deserialize)]
struct Stored {
    info: DatasetInfo,
    key: VersionKey,
}

/// The stored form of a record.
#[derive(Serialize, Deserialize)]
struct StoredRecord {
    reference: String,
    role: Role,
    visibility: Visibility,
    observed: Option<Date>,
    expires: Option<Date>,
    identifiers: Vec<(Kind, String)>,
}

impl Dataset {
    pub(crate) fn new(version: Arc<Version>) -> Self {
        Self { version }
    }

    /// The description.
    pub fn info(&self) -> &DatasetInfo {
        &self.version.info
    }

    /// Whether a record that takes part has expired.
    pub fn has_expired(&self, today: Date) -> bool {
        self.info().expires.is_some_and(|expires| expires < today)
    }

    /// How many distinct items of these kinds it holds.
    pub fn items(&self, kinds: &[Kind]) -> u64 {
        kinds
            .iter()
            .filter_map(|kind| self.info().kinds.get(kind))
            .map(|kind| kind.items)
            .sum()
    }

    /// The group elements of all distinct items of these kinds, in an order that depends on this store's key alone.
    pub fn elements<'a>(&'a self, kinds: &'a [Kind]) -> impl Iterator<Item = Result<StoredElement, StoreError>> + 'a {
        kinds.iter().copied().flat_map(|kind| self.version.elements(kind))
    }

    /// Resolves places in [`Self::elements`] to what is there. `positions` ascend.
    pub fn hits<'a>(
        &'a self,
        kinds: &'a [Kind],
        positions: &'a [u32],
    ) -> impl Iterator<Item = Result<Hit, StoreError>> + 'a {
        let mut wanted = positions.iter().copied().peekable();
        let mut next = 0u32;
        let places = kinds
            .iter()
            .flat_map(move |kind| self.version.groups(*kind).map(move |group| (*kind, group)));
        places.filter_map(move |(kind, group)| {
            let position = next;
            next = next.saturating_add(1);
            match group {
                Err(error) => Some(Err(error)),
                Ok(group) => wanted.next_if_eq(&position).map(|_| self.version.hit(kind, &group)),
            }
        })
    }
}

/// The rows of one item: its tag, and the records that hold it.
struct Group {
    tag: [u8; TAG],
    records: Vec<u32>,
}

impl Version {
    pub(crate) fn new(inner: Arc<Inner>, info: DatasetInfo, key: &VersionKey) -> Result<Self, StoreError> {
        Ok(Self {
            inner,
            info,
            sealer: Sealer::new(key.as_bytes())?,
            superseded: AtomicBool::new(false),
        })
    }

    pub(crate) fn info(&self) -> &DatasetInfo {
        &self.info
    }

    pub(crate) fn info_mut(&mut self) -> &mut DatasetInfo {
        &mut self.info
    }

    pub(crate) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// Marks the version as replaced or erased: its data goes with the last query that holds it.
    pub(crate) fn supersede(&self) {
        self.superseded.store(true, Ordering::Release);
    }

    /// Takes [`Self::supersede`] back: the version became the current one.
    pub(crate) fn reinstate(&self) {
        self.superseded.store(false, Ordering::Release);
    }

    pub(crate) fn elements(&self, kind: Kind) -> impl Iterator<Item = Result<StoredElement, StoreError>> + '_ {
        let mut rows = Rows::open(self, kind);
        let mut last = None;
        std::iter::from_fn(move || {
            loop {
                let row = match rows.as_mut() {
                    Err(_) => return std::mem::replace(&mut rows, Ok(Rows::ended())).err().map(Err),
                    Ok(rows) => rows.current()?,
                };
                let element = row.and_then(|(tag, _, key, sealed)| {
                    if last.replace(tag) == Some(tag) {
                        return Ok(None);
                    }
                    let plain = self.sealer.open(Cf::Items, key, sealed)?;
                    let bytes = plain
                        .as_slice()
                        .try_into()
                        .map_err(|_| StoreError::Damaged("an item has another length"))?;
                    Ok(Some(StoredElement::from_bytes(bytes)))
                });
                if let Ok(rows) = rows.as_mut() {
                    rows.advance();
                }
                if let Some(element) = element.transpose() {
                    return Some(element);
                }
            }
        })
    }

    fn groups(&self, kind: Kind) -> impl Iterator<Item = Result<Group, StoreError>> + '_ {
        let mut rows = Rows::open(self, kind);
        std::iter::from_fn(move || {
            let rows = match rows.as_mut() {
                Err(_) => return std::mem::replace(&mut rows, Ok(Rows::ended())).err().map(Err),
                Ok(rows) => rows,
            };
            let mut group: Option<Group> = None;
            while let Some(row) = rows.current() {
                match (row, &mut group) {
                    (Err(error), _) => return Some(Err(error)),
                    (Ok((tag, record, ..)), None) => {
                        group = Some(Group {
                            tag,
                            records: vec![record],
                        })
                    }
                    (Ok((tag, record, ..)), Some(group)) if group.tag == tag => group.records.push(record),
                    _ => break,
                }
                rows.advance();
            }
            group.map(Ok)
        })
    }

    fn hit(&self, kind: Kind, group: &Group) -> Result<Hit, StoreError> {
        let records = group
            .records
            .iter()
            .map(|record| self.record(*record))
            .collect::<Result<Vec<_>, _>>()?;
        let identifier = records
            .iter()
            .flat_map(|record| &record.identifiers)
            .find(|identifier| {
                identifier.kind() == kind
                    && identifier
                        .match_keys()
                        .iter()
                        .any(|key| item_tag(&self.inner, &item_of(&self.info.profile, key)) == group.tag)
            })
            .cloned()
            .ok_or(StoreError::Damaged("an item's record does not hold it"))?;
        Ok(Hit {
            kind,
            identifier,
            records,
        })
    }

    fn record(&self, number: u32) -> Result<Record, StoreError> {
        let key = keys::record(self.info.version, number);
        let sealed = self
            .inner
            .db
            .get_cf(self.inner.cf(Cf::Records)?, key)?
            .ok_or(StoreError::Damaged("a record is missing"))?;
        decode_record(&self.sealer.open(Cf::Records, &key, &sealed)?)
    }
}

impl Drop for Version {
    fn drop(&mut self) {
        if self.superseded.load(Ordering::Acquire) {
            // what fails here is found and cleared at the next start
            let _ = clear(&self.inner, self.info.version);
        }
    }
}

/// The rows of one kind, in order.
struct Rows<'a> {
    cursor: Option<DBRawIteratorWithThreadMode<'a, rocksdb::DB>>,
}

type Row<'r> = ([u8; TAG], u32, &'r [u8], &'r [u8]);

impl<'a> Rows<'a> {
    fn open(version: &'a Version, kind: Kind) -> Result<Self, StoreError> {
        let kind_tag = version.inner.keys.kind_tag(version.info.version, kind.as_str());
        let prefix = keys::item_prefix(version.info.version, kind_tag);
        let mut options = ReadOptions::default();
        options.set_iterate_range(rocksdb::PrefixRange(prefix));
        options.fill_cache(false);
        options.set_readahead_size(1 << 20);
        let mut cursor = version
            .inner
            .db
            .raw_iterator_cf_opt(version.inner.cf(Cf::Items)?, options);
        cursor.seek_to_first();
        Ok(Self { cursor: Some(cursor) })
    }

    fn ended() -> Self {
        Self { cursor: None }
    }

    fn current(&self) -> Option<Result<Row<'_>, StoreError>> {
        let cursor = self.cursor.as_ref()?;
        match (cursor.key(), cursor.value()) {
            (Some(key), Some(value)) => Some(
                keys::parse_item(key)
                    .map(|(tag, record)| (tag, record, key, value))
                    .ok_or(StoreError::Damaged("an item's key has another length")),
            ),
            _ => cursor.status().err().map(|error| Err(error.into())),
        }
    }

    fn advance(&mut self) {
        if let Some(cursor) = &mut self.cursor {
            if cursor.valid() {
                cursor.next()
            } else {
                self.cursor = None
            }
        }
    }
}

/// The item of a match key under a profile.
pub(crate) fn item_of(profile: &str, key: &overlap_records::MatchKey) -> Item {
    Item::derive(profile, key.kind().as_str(), key.as_bytes())
}

pub(crate) fn item_tag(inner: &Inner, item: &Item) -> [u8; TAG] {
    inner.keys.tag(b"item", item.as_bytes())
}

pub(crate) fn encode_record(record: &Record) -> Result<Vec<u8>, StoreError> {
    Ok(serde_json::to_vec(&StoredRecord {
        reference: record.reference.clone(),
        role: record.role,
        visibility: record.visibility,
        observed: record.observed,
        expires: record.expires,
        identifiers: record
            .identifiers
            .iter()
            .map(|id| (id.kind(), id.canonical().to_owned()))
            .collect(),
    })?)
}

fn decode_record(bytes: &[u8]) -> Result<Record, StoreError> {
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
    .map_err(|_| DAMAGED)
}

/// Reads every dataset's description and clears versions that no dataset names: imports that did not end, erasures cut short.
pub(crate) fn load(inner: &Arc<Inner>) -> Result<BTreeMap<String, Arc<Version>>, StoreError> {
    let mut datasets = BTreeMap::new();
    for row in inner.db.iterator_cf(inner.cf(Cf::Datasets)?, IteratorMode::Start) {
        let (key, sealed) = row?;
        let plain = inner.keys.datasets().open(Cf::Datasets, &key, &sealed)?;
        let stored: Stored = serde_json::from_slice(&plain)
            .map_err(|_| StoreError::Damaged("a dataset's description cannot be read"))?;
        let name = stored.info.name.clone();
        datasets.insert(
            name,
            Arc::new(Version::new(Arc::clone(inner), stored.info, &stored.key)?),
        );
    }
    let current: Vec<u64> = datasets.values().map(|version| version.info.version).collect();
    for cf in [Cf::Items, Cf::Records] {
        let mut cursor = inner.db.raw_iterator_cf(inner.cf(cf)?);
        cursor.seek_to_first();
        while let Some(version) = cursor.key().and_then(keys::version_of) {
            if !current.contains(&version) {
                clear(inner, version)?;
            }
            cursor.seek(keys::version_range(version).1);
        }
        cursor.status()?;
    }
    Ok(datasets)
}

/// Makes a version the dataset's current one, durably and at once. The key of the version before is still on disk until [`scrub`].
pub(crate) fn publish(inner: &Inner, info: &DatasetInfo, key: &VersionKey) -> Result<(), StoreError> {
    let at = inner.keys.tag(b"dataset", info.name.as_bytes());
    let stored = Stored {
        info: info.clone(),
        key: key.clone(),
    };
    let plain = Zeroizing::new(serde_json::to_vec(&stored)?);
    let sealed = inner.keys.datasets().seal(Cf::Datasets, &at, &plain)?;
    let mut writes = WriteBatch::default();
    writes.put_cf(inner.cf(Cf::Datasets)?, at, sealed);
    writes.put_cf(inner.cf(Cf::Meta)?, keys::META_SCRUB, []);
    Ok(inner.db.write_opt(writes, &synced())?)
}

/// Removes a dataset's description, durably and at once. The key of its data is still on disk until [`scrub`].
pub(crate) fn remove(inner: &Inner, name: &str) -> Result<(), StoreError> {
    let at = inner.keys.tag(b"dataset", name.as_bytes());
    let mut writes = WriteBatch::default();
    writes.delete_cf(inner.cf(Cf::Datasets)?, at);
    writes.put_cf(inner.cf(Cf::Meta)?, keys::META_SCRUB, []);
    Ok(inner.db.write_opt(writes, &synced())?)
}

/// Takes what was replaced or deleted off the disk: out of the write-ahead log by flushing, out of older files by compaction. Done after
/// every change, and at start if a crash came between.
pub(crate) fn scrub(inner: &Inner) -> Result<(), StoreError> {
    let meta = inner.cf(Cf::Meta)?;
    if inner.db.get_cf(meta, keys::META_SCRUB)?.is_none() {
        return Ok(());
    }
    for cf in Cf::ALL {
        inner.db.flush_cf(inner.cf(cf)?)?;
    }
    let mut whole = CompactOptions::default();
    // also the last level, which is otherwise left as it is
    whole.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
    inner
        .db
        .compact_range_cf_opt(inner.cf(Cf::Datasets)?, None::<&[u8]>, None::<&[u8]>, &whole);
    Ok(inner.db.delete_cf_opt(meta, keys::META_SCRUB, &synced())?)
}

fn clear(inner: &Inner, version: u64) -> Result<(), StoreError> {
    let (first, after) = keys::version_range(version);
    for cf in [Cf::Items, Cf::Records] {
        inner.db.delete_range_cf(inner.cf(cf)?, first, after)?;
    }
    Ok(())
}
