//! Reading datasets: one immutable version at a time.

mod classes;
mod codec;
mod dense;
mod entrants;
mod holding;
mod members;
mod rows;
mod set;
mod tags;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::{Timestamp, civil::Date};
use overlap_audit::Digest;
use overlap_psi::Item;
use overlap_records::{Identifier, Key, Kind, MatchKey, Profile, Record};
use rocksdb::{BottommostLevelCompaction, CompactOptions, IteratorMode, WriteBatch};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    Inner, StoreError, Writing,
    keys::{self, Cf, TAG},
    seal::{Sealer, VersionKey},
    synced,
};

pub use classes::Classes;
pub(crate) use classes::{Class, class};
pub(crate) use codec::{decode_dates, decode_record, encode_record};
pub use dense::{Numbered, numbered};
pub use entrants::Entrant;
pub use holding::Holding;
pub use members::{LINK, Link, Member, Months};
pub use rows::Element;
pub(crate) use rows::{Group, value};

/// What is known of a dataset version without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetInfo {
    /// Name of the dataset.
    pub name: String,
    /// Number of this version; ascends over all datasets of a store.
    pub version: u64,
    /// When it was made.
    pub created: Timestamp,
    /// The profile that its items were made under.
    pub profile: String,
    /// The hash of that profile.
    pub profile_hash: Digest,
    /// How many records it holds.
    pub records: u64,
    /// How many of them take part in no query: those of visibility class `d`, and those that had expired when they were imported.
    pub withheld: u64,
    /// The day after which the first of the others expires; the dataset takes part in no query from then on.
    pub expires: Option<Date>,
    /// The day after which the first record of all expires; from then on there is something to purge.
    pub due: Option<Date>,
    /// Numbers given to records so far; what was purged leaves gaps.
    pub(crate) numbered: u32,
    /// An item of a person that more records hold is too common to be compared: the profile's limit.
    pub(crate) common: u32,
    /// Per match key of the profile, by its name: how many distinct items, and the digest of the set.
    pub keys: BTreeMap<String, KeyInfo>,
}

/// The items of one match key in a dataset version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyInfo {
    /// The kind of identifier that the key is of.
    pub kind: Kind,
    /// How many distinct items that others may meet, without those that are too common.
    pub items: u64,
    /// SHA-256 over their group elements in the order of the store: what an input commitment is made of.
    pub digest: Digest,
    /// And how many by the set of classes of the records that hold them.
    pub(crate) classes: BTreeMap<u32, u64>,
}

/// What takes part in a comparison: some of a profile's match keys, in the profile's order, as records of some classes hold them.
#[derive(Clone)]
pub struct Selection {
    profile: Profile,
    keys: Vec<u16>,
    classes: Classes,
}

/// A version of a dataset; stays readable while this value lives, whatever is imported or erased meanwhile.
#[derive(Clone)]
pub struct Dataset {
    version: Arc<Version>,
}

/// An item of the own set that a match found: by which match key, and which records hold it.
pub struct Place {
    /// Index of the match key in the profile.
    pub key: u16,
    /// Numbers of the records that hold it, ascending.
    pub records: Vec<u32>,
    tag: [u8; TAG],
}

/// A numbered identifier that a match found.
pub struct Hit {
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

impl DatasetInfo {
    /// Distinct items per kind.
    pub fn kinds(&self) -> BTreeMap<Kind, u64> {
        let mut kinds = BTreeMap::new();
        for key in self.keys.values() {
            *kinds.entry(key.kind).or_default() += key.items;
        }
        kinds
    }

    /// Counts a record in.
    pub(crate) fn count(&mut self, expires: Option<Date>, takes_part: bool) {
        let earlier = |first: Option<Date>| match (first, expires) {
            (Some(first), Some(expires)) => Some(first.min(expires)),
            (first, expires) => first.or(expires),
        };
        self.records += 1;
        self.due = earlier(self.due);
        if takes_part {
            self.expires = earlier(self.expires);
        } else {
            self.withheld += 1;
        }
    }

    /// Whether there is a record whose retention has ended.
    pub fn is_due(&self, today: Date) -> bool {
        self.due.is_some_and(|due| due < today)
    }
}

impl Selection {
    /// The match keys of these kinds, of records that others may meet; with `counting`, those alone that take part where matches are
    /// counted.
    pub fn of(profile: &Profile, kinds: &[Kind], counting: bool) -> Self {
        let chosen = |key: &Key| kinds.contains(&key.kind()) && (key.counts() || !counting);
        let keys = (0u16..).zip(profile.keys()).filter(|(_, key)| chosen(key));
        Self {
            keys: keys.map(|(index, _)| index).collect(),
            profile: profile.clone(),
            classes: Classes::shown(),
        }
    }

    /// The same, of records of these classes alone.
    pub fn of_classes(self, classes: Classes) -> Self {
        Self { classes, ..self }
    }

    /// Of records of which classes.
    pub fn classes(&self) -> Classes {
        self.classes
    }

    /// The profile.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The match keys with their indexes in the profile, ascending.
    pub fn keys(&self) -> impl Iterator<Item = (u16, &Key)> {
        self.keys
            .iter()
            .filter_map(|index| Some((*index, self.profile.keys().get(usize::from(*index))?)))
    }
}

impl Dataset {
    pub(crate) fn new(version: Arc<Version>) -> Self {
        Self { version }
    }

    pub(crate) fn version(&self) -> &Version {
        &self.version
    }

    /// The description.
    pub fn info(&self) -> &DatasetInfo {
        &self.version.info
    }

    /// Whether a record that takes part has expired.
    pub fn has_expired(&self, today: Date) -> bool {
        self.info().expires.is_some_and(|expires| expires < today)
    }

    /// How many distinct items it holds of what is selected.
    pub fn items(&self, selection: &Selection) -> u64 {
        let keys = selection.keys().filter_map(|(_, key)| self.info().keys.get(key.name()));
        keys.map(|info| selection.classes.count(&info.classes)).sum()
    }

    /// How many numbers of one numbering range stand together, at most: in what is selected, the largest number of identifiers of a kind
    /// whose numbers lie within `window` of each other, with that kind. `spill` is a directory for what does not fit in memory.
    ///
    /// # Errors
    /// [`StoreError::Spill`], [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn densest(&self, selection: &Selection, window: u64, spill: &Path) -> Result<Option<(Kind, u64)>, StoreError> {
        dense::densest(self, selection, window, spill)
    }

    /// All distinct items of what is selected, in an order that depends on this store's key alone.
    pub fn elements<'a>(&'a self, selection: &'a Selection) -> impl Iterator<Item = Result<Element, StoreError>> + 'a {
        selection
            .keys()
            .flat_map(|(_, key)| {
                let groups = self.version.groups(key, selection.classes);
                groups.map(|group| (key.kind(), group))
            })
            .map(|(kind, group)| group.and_then(|group| group.into_element(kind)))
    }

    /// Resolves positions in [`Self::elements`]. `positions` ascend.
    pub fn places<'a>(
        &'a self,
        selection: &'a Selection,
        positions: &'a [u32],
    ) -> impl Iterator<Item = Result<Place, StoreError>> + 'a {
        let mut wanted = positions.iter().copied().peekable();
        let left = positions.len();
        let mut next = 0u32;
        let groups = selection.keys().flat_map(|(index, key)| {
            self.version
                .groups(key, selection.classes)
                .map(move |group| (index, group))
        });
        let places = groups.filter_map(move |(key, group)| {
            let position = next;
            next = next.saturating_add(1);
            match group {
                Err(error) => Some(Err(error)),
                Ok(group) => wanted.next_if_eq(&position).map(|_| {
                    Ok(Place {
                        key,
                        tag: group.tag,
                        records: group.numbers(),
                    })
                }),
            }
        });
        places.take(left)
    }

    /// The identifier of a place, and the records that hold it.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn hit(&self, selection: &Selection, place: &Place) -> Result<Hit, StoreError> {
        let records = place
            .records
            .iter()
            .map(|record| self.record(*record))
            .collect::<Result<Vec<_>, _>>()?;
        let identifier = records
            .iter()
            .flat_map(|record| &record.identifiers)
            .find(|identifier| self.items_of(selection, identifier).hold(place))
            .cloned()
            .ok_or(StoreError::Damaged("an item's record does not hold it"))?;
        Ok(Hit { identifier, records })
    }

    /// Which of these references no record has. Reads records until all are found.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn absent(&self, mut references: BTreeSet<String>) -> Result<BTreeSet<String>, StoreError> {
        let records = u32::try_from(self.info().records).unwrap_or(u32::MAX);
        for number in 0..records {
            if references.is_empty() {
                break;
            }
            references.remove(&self.record(number)?.reference);
        }
        Ok(references)
    }

    /// A record by its number.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn record(&self, number: u32) -> Result<Record, StoreError> {
        let key = keys::record(self.info().version, number);
        let inner = &self.version.inner;
        let sealed = inner
            .db
            .get_cf(inner.cf(Cf::Records)?, key)?
            .ok_or(StoreError::Damaged("a record is missing"))?;
        decode_record(&self.version.sealer.open(Cf::Records, &key, &sealed)?)
    }
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
}

impl Drop for Version {
    fn drop(&mut self) {
        if self.superseded.load(Ordering::Acquire) {
            // what fails here is found and cleared at the next start
            let _ = clear(&self.inner, self.info.version);
        }
    }
}

/// The item of a match key under a profile.
pub(crate) fn item_of(profile: &Profile, key: &MatchKey) -> Result<Item, StoreError> {
    let rule = profile
        .keys()
        .get(usize::from(key.key()))
        .ok_or(StoreError::Damaged("a match key is of no rule of its profile"))?;
    Ok(Item::derive(profile.name(), rule.name(), key.as_bytes()))
}

pub(crate) fn item_tag(inner: &Inner, item: &Item) -> [u8; TAG] {
    inner.keys.tag(b"item", item.as_bytes())
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
pub(crate) fn publish(inner: &Inner, info: &DatasetInfo, key: &VersionKey, _: &Writing<'_>) -> Result<(), StoreError> {
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
pub(crate) fn remove(inner: &Inner, name: &str, _: &Writing<'_>) -> Result<(), StoreError> {
    let at = inner.keys.tag(b"dataset", name.as_bytes());
    let mut writes = WriteBatch::default();
    writes.delete_cf(inner.cf(Cf::Datasets)?, at);
    writes.put_cf(inner.cf(Cf::Meta)?, keys::META_SCRUB, []);
    Ok(inner.db.write_opt(writes, &synced())?)
}

/// Takes what was replaced or deleted off the disk: out of the write-ahead log by flushing, out of older files by compaction. Done after
/// every change, and at start if a crash came between. Who writes the mark holds the lock until this is done: another's scrub must not
/// take a mark away that was set behind its compaction.
pub(crate) fn scrub(inner: &Inner, _: &Writing<'_>) -> Result<(), StoreError> {
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
    // what holds keys, or values that were erased one by one
    for cf in [
        Cf::Datasets,
        Cf::Hits,
        Cf::FollowUps,
        Cf::Approvals,
        Cf::Counts,
        Cf::Pictures,
        Cf::PictureLinks,
        Cf::Alerts,
        Cf::Documents,
        Cf::LogKeys,
        Cf::LogInputs,
        Cf::LogIndex,
    ] {
        inner
            .db
            .compact_range_cf_opt(inner.cf(cf)?, None::<&[u8]>, None::<&[u8]>, &whole);
    }
    Ok(inner.db.delete_cf_opt(meta, keys::META_SCRUB, &synced())?)
}

fn clear(inner: &Inner, version: u64) -> Result<(), StoreError> {
    let (first, after) = keys::version_range(version);
    for cf in [Cf::Items, Cf::Records] {
        inner.db.delete_range_cf(inner.cf(cf)?, first, after)?;
    }
    Ok(())
}
