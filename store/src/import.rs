//! Writing a new version of a dataset.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{Timestamp, civil::Date};
use overlap_audit::Digest;
use overlap_psi::{Item, Stored};
use overlap_records::{Kind, MatchKey, Profile, Record};
use rayon::prelude::*;
use ring::digest;
use rocksdb::{WriteBatch, WriteOptions};
use zeroize::Zeroizing;

use crate::{
    Dataset, DatasetInfo, Store, StoreError,
    dataset::{self, Class, Classes, Group, KeyInfo, Version},
    keys::{self, Cf},
    seal::VersionKey,
    synced,
};

/// A record with its items and their group elements: the costly part of an import, made on any thread.
pub struct Prepared {
    record: Record,
    items: Vec<(u16, Item, Stored)>,
    is_withheld: bool,
}

/// A version in the making. Dropped without [`Import::commit`], it leaves nothing.
pub struct Import {
    store: Arc<Store>,
    version: Version,
    key: VersionKey,
    /// Names and kinds of the match keys that the version may hold items of, in the profile's order.
    rules: Vec<(String, Kind)>,
    /// The version that this one is made from; it must still be the current one at the end.
    base: Option<u64>,
}

/// What becomes of a record when a version is made from another.
#[derive(Clone, Copy)]
enum Fate {
    LeftOut,
    Stays {
        /// Its number in the new version.
        number: u32,
        expires: Option<Date>,
    },
}

/// Records copied together, when a version is made from another.
const COPIED_TOGETHER: usize = 4096;

impl Prepared {
    /// Derives the items of records and hashes each to the group; a hundred records at a time make the batch worth its while.
    ///
    /// Records that expired before `today` get no items: they are kept, and take part in no query. Items of class `d` are met by no query
    /// either: their agency alone learns of them.
    pub fn batch(profile: &Profile, records: Vec<Record>, today: Date) -> Vec<Self> {
        let keys_of = |record: &Record| -> Vec<MatchKey> {
            if record.has_expired(today) {
                return Vec::new();
            }
            let keys = record.identifiers.iter().flat_map(|one| one.match_keys(profile));
            keys.collect()
        };
        let items: Vec<Vec<(u16, Item)>> = records
            .iter()
            .map(|record| {
                let keys = keys_of(record).into_iter();
                keys.filter_map(|key| Some((key.key(), dataset::item_of(profile, &key).ok()?)))
                    .collect()
            })
            .collect();
        let flat: Vec<Item> = items.iter().flatten().map(|(_, item)| item.clone()).collect();
        let mut elements = Stored::of(&flat).into_iter();
        let items = items.into_iter().map(|items| {
            items
                .into_iter()
                .zip(&mut elements)
                .map(|((key, item), element)| (key, item, element))
                .collect()
        });
        records
            .into_iter()
            .zip(items)
            .map(|(record, items)| Self {
                is_withheld: record.is_withheld(today),
                record,
                items,
            })
            .collect()
    }
}

impl Import {
    pub(crate) fn start(store: Arc<Store>, name: &str, profile: &Profile) -> Result<Self, StoreError> {
        let info = DatasetInfo {
            name: name.to_owned(),
            version: 0,
            created: Timestamp::UNIX_EPOCH,
            profile: profile.name().to_owned(),
            profile_hash: Digest(profile.hash()),
            records: 0,
            withheld: 0,
            expires: None,
            due: None,
            numbered: 0,
            common: profile.common(),
            keys: BTreeMap::new(),
        };
        let rules = profile.keys().iter().map(|key| (key.name().to_owned(), key.kind()));
        Self::begin(store, info, rules.collect())
    }

    /// A version without the records that expired before a day; under the profile of its base, whatever the node's is now.
    pub(crate) fn purging(store: Arc<Store>, base: &Dataset, today: Date) -> Result<(Self, u64), StoreError> {
        let from = base.info();
        let info = DatasetInfo {
            records: 0,
            withheld: 0,
            expires: None,
            due: None,
            keys: BTreeMap::new(),
            ..from.clone()
        };
        let rules = from.keys.iter().map(|(name, key)| (name.clone(), key.kind));
        let mut import = Self::begin(store, info, rules.collect())?;
        let left_out = import.take_over(base, Some(today))?;
        Ok((import, left_out))
    }

    fn begin(store: Arc<Store>, mut info: DatasetInfo, rules: Vec<(String, Kind)>) -> Result<Self, StoreError> {
        let inner = Arc::clone(&store.inner);
        let number = {
            let _writing = store.inner.write_lock();
            let meta = inner.cf(Cf::Meta)?;
            let last = match inner.db.get_cf(meta, keys::META_LAST_VERSION)? {
                None => 0,
                Some(bytes) => u64::from_be_bytes(
                    bytes
                        .as_slice()
                        .try_into()
                        .map_err(|_| StoreError::Damaged("the last version cannot be read"))?,
                ),
            };
            inner
                .db
                .put_cf_opt(meta, keys::META_LAST_VERSION, (last + 1).to_be_bytes(), &synced())?;
            last + 1
        };
        let key = inner.keys.random_key()?;
        info.version = number;
        let version = Version::new(inner, info, &key)?;
        // until it is committed, its end is its erasure
        version.supersede();
        Ok(Self {
            store,
            version,
            key,
            rules,
            base: None,
        })
    }

    /// The number of the version in the making.
    pub fn version(&self) -> u64 {
        self.version.info().version
    }

    /// Takes over the records of another version, with their items as they are, to add more to them. The end is refused if that version is
    /// the current one no more.
    ///
    /// Memory: about 10 bytes per record; the rest streams.
    ///
    /// # Errors
    /// [`StoreError::OtherProfile`], and those of reading and writing.
    pub fn append_to(&mut self, base: &Dataset) -> Result<(), StoreError> {
        self.take_over(base, None).map(drop)
    }

    /// Returns how many records were left out.
    fn take_over(&mut self, base: &Dataset, expired_before: Option<Date>) -> Result<u64, StoreError> {
        let from = base.info();
        if from.profile_hash != self.version.info().profile_hash {
            return Err(StoreError::OtherProfile);
        }
        self.base = Some(from.version);
        let mut fates = vec![Fate::LeftOut; from.numbered as usize];
        let (mut next, mut left_out) = (0u32, 0);
        let mut rows = base.version().record_rows()?;
        loop {
            let chunk: Vec<_> = rows.by_ref().take(COPIED_TOGETHER).collect::<Result<_, _>>()?;
            if chunk.is_empty() {
                break;
            }
            left_out += self.copy_records(chunk, expired_before, &mut next, &mut fates)?;
        }
        let mut taking_part = vec![false; from.numbered as usize];
        for name in from.keys.keys() {
            let mut groups = base.version().all_groups(name, Classes::all());
            loop {
                let chunk: Vec<Group> = groups.by_ref().take(COPIED_TOGETHER).collect::<Result<_, _>>()?;
                if chunk.is_empty() {
                    break;
                }
                self.copy_items(name, chunk, &fates, &mut taking_part)?;
            }
        }
        let info = self.version.info_mut();
        info.numbered = next;
        for (fate, takes_part) in fates.into_iter().zip(taking_part) {
            if let Fate::Stays { expires, .. } = fate {
                info.count(expires, takes_part);
            }
        }
        Ok(left_out)
    }

    /// Returns how many were left out.
    fn copy_records(
        &self,
        rows: Vec<(u32, Zeroizing<Vec<u8>>)>,
        expired_before: Option<Date>,
        next: &mut u32,
        fates: &mut [Fate],
    ) -> Result<u64, StoreError> {
        const NOT_GIVEN_OUT: StoreError = StoreError::Damaged("a record has a number that was not given out");
        let (inner, sealer, version) = (self.version.inner(), self.version.sealer(), self.version());
        let mut staying = Vec::with_capacity(rows.len());
        let mut left_out = 0;
        for (number, plain) in rows {
            let expires = dataset::decode_dates(&plain)?.expires;
            if matches!((expired_before, expires), (Some(day), Some(expires)) if expires < day) {
                left_out += 1;
                continue;
            }
            *fates.get_mut(number as usize).ok_or(NOT_GIVEN_OUT)? = Fate::Stays { number: *next, expires };
            staying.push((keys::record(version, *next), plain));
            *next += 1;
        }
        let sealed = staying
            .par_iter()
            .map(|(key, plain)| Ok((key, sealer.seal(Cf::Records, key, plain)?)))
            .collect::<Result<Vec<_>, StoreError>>()?;
        let records = inner.cf(Cf::Records)?;
        let mut writes = WriteBatch::default();
        sealed
            .iter()
            .for_each(|(key, sealed)| writes.put_cf(records, key, sealed));
        self.write(writes)?;
        Ok(left_out)
    }

    fn copy_items(
        &self,
        name: &str,
        groups: Vec<Group>,
        fates: &[Fate],
        taking_part: &mut [bool],
    ) -> Result<(), StoreError> {
        let stays = |(record, class): &(u32, Class)| match fates.get(*record as usize) {
            Some(Fate::Stays { number, .. }) => Some((*number, *class)),
            _ => None,
        };
        let shown = Classes::shown();
        let records = groups.iter().flat_map(|group| &group.records);
        for (record, _) in records.filter(|(_, class)| shown.has(*class)) {
            if let Some(taking_part) = taking_part.get_mut(*record as usize) {
                *taking_part = true;
            }
        }
        let (inner, sealer, version) = (self.version.inner(), self.version.sealer(), self.version());
        let kind = inner.keys.kind_tag(version, name);
        let rows = groups
            .into_par_iter()
            .map(|group| {
                let tag = group.tag;
                let element = group.element()?;
                let rows = group.records.iter().filter_map(stays).map(|(record, class)| {
                    let key = keys::item(version, kind, tag, record);
                    Ok((key, sealer.seal(Cf::Items, &key, &dataset::value(class, &element))?))
                });
                rows.collect::<Result<Vec<_>, StoreError>>()
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        let items = inner.cf(Cf::Items)?;
        let mut writes = WriteBatch::default();
        rows.iter()
            .flatten()
            .for_each(|(key, sealed)| writes.put_cf(items, key, sealed));
        self.write(writes)
    }

    /// Writes a batch of records; sealing runs on the current rayon pool.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::TooManyRecords`], [`StoreError::Crypto`].
    pub fn add(&mut self, batch: &[Prepared]) -> Result<(), StoreError> {
        let info = self.version.info_mut();
        let first = info.numbered;
        info.numbered = u32::try_from(batch.len())
            .ok()
            .and_then(|count| first.checked_add(count))
            .ok_or(StoreError::TooManyRecords { max: u32::MAX.into() })?;
        for prepared in batch {
            info.count(prepared.record.expires, !prepared.is_withheld);
        }
        let numbered = info.numbered;
        let rows = batch
            .par_iter()
            .zip(first..numbered)
            .map(|(prepared, number)| self.rows(prepared, number))
            .collect::<Result<Vec<_>, _>>()?;
        let inner = self.version.inner();
        let (items, records) = (inner.cf(Cf::Items)?, inner.cf(Cf::Records)?);
        let mut writes = WriteBatch::default();
        for rows in &rows {
            writes.put_cf(records, rows.record.0, &rows.record.1);
            for (key, value) in &rows.items {
                writes.put_cf(items, key, value);
            }
        }
        self.write(writes)
    }

    /// Not in the write-ahead log: commit flushes all of it before the version becomes the current one.
    fn write(&self, writes: WriteBatch) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        Ok(self.version.inner().db.write_opt(writes, &options)?)
    }

    /// Makes this version the dataset's current one: all of it or, on any error or crash, nothing.
    ///
    /// # Errors
    /// [`StoreError::Changed`], [`StoreError::Rocks`], [`StoreError::Damaged`], [`StoreError::Crypto`].
    pub fn commit(mut self, now: Timestamp) -> Result<Dataset, StoreError> {
        let inner = self.version.inner();
        for cf in [Cf::Items, Cf::Records] {
            inner.db.flush_cf(inner.cf(cf)?)?;
        }
        let mut found = BTreeMap::new();
        for (name, kind) in &self.rules {
            let mut hash = digest::Context::new(&digest::SHA256);
            let (mut items, mut rows, mut classes) = (0, false, BTreeMap::new());
            for group in self.version.all_groups(name, Classes::all()) {
                rows = true;
                let group = group?;
                if self.version.is_common(*kind, &group) {
                    continue;
                }
                if Classes::shown().meets(group.classes()) {
                    hash.update(&group.element()?.to_bytes());
                    items += 1;
                }
                *classes.entry(group.classes()).or_insert(0) += 1;
            }
            if rows {
                let mut digest = [0; 32];
                digest.copy_from_slice(hash.finish().as_ref());
                let info = KeyInfo {
                    kind: *kind,
                    items,
                    digest: Digest(digest),
                    classes,
                };
                found.insert(name.clone(), info);
            }
        }
        let info = self.version.info_mut();
        info.created = now;
        info.keys = found;

        let store = Arc::clone(&self.store);
        let writing = store.inner.write_lock();
        let name = self.version.info().name.clone();
        if let Some(base) = self.base
            && store.dataset(&name).is_none_or(|held| held.info().version != base)
        {
            return Err(StoreError::Changed);
        }
        dataset::publish(self.version.inner(), self.version.info(), &self.key, &writing)?;
        let Self { version, .. } = self;
        version.reinstate();
        let version = Arc::new(version);
        let previous = store.lock().insert(name, Arc::clone(&version));
        if let Some(previous) = previous {
            previous.supersede();
        }
        store.changed.send_modify(|count| *count += 1);
        // the new version is in force; if this fails, the mark that it left makes the next start do it
        let _ = dataset::scrub(&store.inner, &writing);
        Ok(Dataset::new(version))
    }

    fn rows(&self, prepared: &Prepared, number: u32) -> Result<Rows, StoreError> {
        let (inner, sealer, version) = (self.version.inner(), self.version.sealer(), self.version());
        let record_key = keys::record(version, number);
        let record = sealer.seal(Cf::Records, &record_key, &dataset::encode_record(&prepared.record)?)?;
        let class = dataset::class(&prepared.record);
        let items = prepared
            .items
            .iter()
            .map(|(key, item, element)| {
                const UNKNOWN: StoreError = StoreError::Damaged("an item is of no match key of its profile");
                let (name, _) = self.rules.get(usize::from(*key)).ok_or(UNKNOWN)?;
                let kind = inner.keys.kind_tag(version, name);
                let key = keys::item(version, kind, dataset::item_tag(inner, item), number);
                let sealed = sealer.seal(Cf::Items, &key, &dataset::value(class, element))?;
                Ok((key.to_vec(), sealed))
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Rows {
            record: (record_key, record),
            items,
        })
    }
}

/// The rows of one record.
struct Rows {
    record: ([u8; 12], Vec<u8>),
    items: Vec<(Vec<u8>, Vec<u8>)>,
}
