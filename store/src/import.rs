//! Writing a new version of a dataset.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{Timestamp, civil::Date};
use overlap_audit::Digest;
use overlap_psi::{Item, Stored};
use overlap_records::{Kind, Profile, Record, Visibility};
use rayon::prelude::*;
use ring::digest;
use rocksdb::{WriteBatch, WriteOptions};

use crate::{
    Dataset, DatasetInfo, Store, StoreError,
    dataset::{self, KindInfo, Version},
    keys::{self, Cf},
    seal::VersionKey,
    synced,
};

/// A record with its items and their group elements: the costly part of an import, made on any thread.
pub struct Prepared {
    record: Record,
    withheld: bool,
    items: Vec<(Kind, Item, Stored)>,
}

/// A version in the making. Dropped without [`Import::commit`], it leaves nothing.
pub struct Import {
    store: Arc<Store>,
    version: Version,
    key: VersionKey,
    records: u32,
}

impl Prepared {
    /// Derives the items of records and hashes each to the group; a hundred records at a time make the batch worth its while.
    ///
    /// Records of visibility class `d` and records that expired before `today` get no items: they are kept, and take part in no query.
    pub fn batch(profile: &Profile, records: Vec<Record>, today: Date) -> Vec<Self> {
        let items: Vec<Vec<(Kind, Item)>> = records
            .iter()
            .map(|record| {
                let taking_part = if withheld(record, today) {
                    &[][..]
                } else {
                    &record.identifiers
                };
                let keys = taking_part.iter().flat_map(|identifier| identifier.match_keys());
                keys.map(|key| (key.kind(), dataset::item_of(profile.name(), &key)))
                    .collect()
            })
            .collect();
        let flat: Vec<Item> = items.iter().flatten().map(|(_, item)| item.clone()).collect();
        let mut elements = Stored::of(&flat).into_iter();
        let items = items.into_iter().map(|items| {
            items
                .into_iter()
                .zip(&mut elements)
                .map(|((kind, item), element)| (kind, item, element))
                .collect()
        });
        records
            .into_iter()
            .zip(items)
            .map(|(record, items)| Self {
                withheld: withheld(&record, today),
                record,
                items,
            })
            .collect()
    }
}

fn withheld(record: &Record, today: Date) -> bool {
    record.visibility == Visibility::D || record.expires.is_some_and(|expires| expires < today)
}

impl Import {
    pub(crate) fn start(store: Arc<Store>, name: &str) -> Result<Self, StoreError> {
        let inner = Arc::clone(&store.inner);
        let number = {
            let _one_at_a_time = store.write_lock();
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
        let info = DatasetInfo {
            name: name.to_owned(),
            version: number,
            created: Timestamp::UNIX_EPOCH,
            profile: String::new(),
            records: 0,
            withheld: 0,
            expires: None,
            kinds: BTreeMap::new(),
        };
        let version = Version::new(inner, info, &key)?;
        // until it is committed, its end is its erasure
        version.supersede();
        Ok(Self {
            store,
            version,
            key,
            records: 0,
        })
    }

    /// The number of the version in the making.
    pub fn version(&self) -> u64 {
        self.version.info().version
    }

    /// Writes a batch of records; sealing runs on the current rayon pool.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::TooManyRecords`], [`StoreError::Crypto`].
    pub fn add(&mut self, batch: &[Prepared]) -> Result<(), StoreError> {
        let first = self.records;
        self.records = u32::try_from(batch.len())
            .ok()
            .and_then(|count| first.checked_add(count))
            .ok_or(StoreError::TooManyRecords { max: u32::MAX.into() })?;
        let info = self.version.info_mut();
        for prepared in batch {
            match (prepared.withheld, prepared.record.expires) {
                (true, _) => info.withheld += 1,
                (false, Some(expires)) => info.expires = Some(info.expires.map_or(expires, |first| first.min(expires))),
                (false, None) => {}
            }
        }
        let rows = batch
            .par_iter()
            .zip(first..self.records)
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
        // not in the write-ahead log: commit flushes all of it before the version becomes the current one
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        Ok(inner.db.write_opt(writes, &options)?)
    }

    /// Makes this version the dataset's current one: all of it or, on any error or crash, nothing.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Damaged`], [`StoreError::Crypto`].
    pub fn commit(mut self, profile: &Profile, now: Timestamp) -> Result<Dataset, StoreError> {
        let inner = self.version.inner();
        for cf in [Cf::Items, Cf::Records] {
            inner.db.flush_cf(inner.cf(cf)?)?;
        }
        let mut kinds = BTreeMap::new();
        for kind in Kind::ALL {
            let mut hash = digest::Context::new(&digest::SHA256);
            let mut items = 0;
            for element in self.version.elements(kind) {
                hash.update(&element?.to_bytes());
                items += 1;
            }
            if items > 0 {
                let mut digest = [0; 32];
                digest.copy_from_slice(hash.finish().as_ref());
                kinds.insert(
                    kind,
                    KindInfo {
                        items,
                        digest: Digest(digest),
                    },
                );
            }
        }
        let records = self.records.into();
        let info = self.version.info_mut();
        info.created = now;
        info.profile = profile.name().to_owned();
        info.records = records;
        info.kinds = kinds;

        let store = Arc::clone(&self.store);
        let _one_at_a_time = store.write_lock();
        dataset::publish(self.version.inner(), self.version.info(), &self.key)?;
        let Self { version, .. } = self;
        version.reinstate();
        let name = version.info().name.clone();
        let version = Arc::new(version);
        let previous = store.lock().insert(name, Arc::clone(&version));
        if let Some(previous) = previous {
            previous.supersede();
        }
        // the new version is in force; if this fails, the mark that it left makes the next start do it
        let _ = dataset::scrub(&store.inner);
        Ok(Dataset::new(version))
    }

    fn rows(&self, prepared: &Prepared, number: u32) -> Result<Rows, StoreError> {
        let (inner, sealer, version) = (self.version.inner(), self.version.sealer(), self.version());
        let record_key = keys::record(version, number);
        let record = sealer.seal(Cf::Records, &record_key, &dataset::encode_record(&prepared.record)?)?;
        let items = prepared
            .items
            .iter()
            .map(|(kind, item, element)| {
                let kind = inner.keys.kind_tag(version, kind.as_str());
                let key = keys::item(version, kind, dataset::item_tag(inner, item), number);
                let sealed = sealer.seal(Cf::Items, &key, &element.to_bytes())?;
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
