//! What a node keeps, in RocksDB: datasets, the log, what was found, agreements and orders.
//!
//! Values that say something are sealed with AES-256-GCM, and keys that would are HMACs; ids, indexes and marks stay plain. The API is synchronous: call it from a blocking thread. Appends
//! to the log alone are awaited; the first of a day syncs a key before it waits.
//! Every write that an answer depends on is synced before it returns.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod alerts;
mod approvals;
pub mod bench;
mod counts;
mod dataset;
mod documents;
mod error;
mod follow_ups;
mod hits;
mod import;
mod kept;
mod keys;
mod log;
mod pictures;
mod seal;
mod sorter;

pub use alerts::{Alert, AlertState, AlertStep, AlertVerb, Alerts};
pub use approvals::{Approval, Approvals, Verdict};
pub use counts::{Counts, ToldCount};
pub use dataset::{
    Classes, Dataset, DatasetInfo, Element, Entrant, Hit, Holding, KeyInfo, LINK, Link, Member, Months, Numbered,
    Place, Selection, numbered,
};
pub use documents::{DocumentKind, Documents};
pub use error::StoreError;
pub use follow_ups::{Decision, FollowUp, FollowUps, OwnRecord};
pub use hits::{FoundRecord, HitId, Hits};
pub use import::{Import, Prepared};
pub use log::{Alarm, AlarmKind, Fault, Log, LogPlace, LogSettings, PeerLog, Quota, Search, Waiting};
pub use pictures::{KeptPicture, Pictures};
pub use seal::{BadKey, DataKey};
pub use sorter::{SealedSorter, Sorted};

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{Timestamp, civil::Date};
use overlap_records::Profile;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, Env, Options, WriteOptions,
};

use tokio::sync::watch;

use dataset::Version;
use keys::{Cf, SCHEMA_VERSION};
use seal::Keys;

/// Bytes that RocksDB may cache of what it read; beside it each column family may hold two write buffers.
const BLOCK_CACHE: usize = 16 << 20;
const WRITE_BUFFER: usize = 8 << 20;

/// An open store. Cheap to share behind an [`Arc`].
pub struct Store {
    inner: Arc<Inner>,
    /// Held for moments only: authorisation reads it on every query.
    datasets: Mutex<BTreeMap<String, Arc<Version>>>,
    log: Log,
    hits: Hits,
    follow_ups: FollowUps,
    approvals: Approvals,
    counts: Counts,
    pictures: Pictures,
    alerts: Alerts,
    documents: Documents,
    /// Counts the versions that came into force, or were erased.
    changed: watch::Sender<u64>,
}

pub(crate) struct Inner {
    pub(crate) db: DB,
    pub(crate) keys: Keys,
    /// Held from the write that sets the mark `scrub` until it is taken away, one writer at a time.
    writing: Mutex<()>,
}

/// What [`Inner::write_lock`] gives.
pub(crate) type Writing<'a> = MutexGuard<'a, ()>;

impl Store {
    /// Opens the store in a directory, made if missing; clears what an import that did not end left behind.
    ///
    /// # Errors
    /// [`StoreError::WrongKey`], [`StoreError::Schema`], [`StoreError::Rocks`], [`StoreError::Damaged`], [`StoreError::Checkpoint`],
    /// [`StoreError::Tree`].
    pub fn open(directory: &Path, data_key: &DataKey, log: &LogSettings) -> Result<Self, StoreError> {
        let db = DB::open_cf_descriptors(&database_options()?, directory, column_families())?;
        let inner = Arc::new(Inner {
            db,
            keys: Keys::derive(data_key)?,
            writing: Mutex::new(()),
        });
        inner.check_schema()?;
        inner.check_key()?;
        dataset::scrub(&inner, &inner.write_lock())?;
        let datasets = dataset::load(&inner)?;
        let log = Log::open(Arc::clone(&inner), log)?;
        let hits = Hits::new(Arc::clone(&inner));
        let follow_ups = FollowUps::new(Arc::clone(&inner));
        let approvals = Approvals::new(Arc::clone(&inner));
        let counts = Counts::new(Arc::clone(&inner));
        let pictures = Pictures::open(Arc::clone(&inner))?;
        let alerts = Alerts::new(Arc::clone(&inner));
        let documents = Documents::new(Arc::clone(&inner));
        Ok(Self {
            inner,
            datasets: Mutex::new(datasets),
            log,
            hits,
            follow_ups,
            approvals,
            counts,
            pictures,
            alerts,
            documents,
            changed: watch::Sender::new(0),
        })
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// What matches found.
    pub fn hits(&self) -> &Hits {
        &self.hits
    }

    /// Hits that are followed up.
    pub fn follow_ups(&self) -> &FollowUps {
        &self.follow_ups
    }

    /// Queries that wait for another user's approval, or have it.
    pub fn approvals(&self) -> &Approvals {
        &self.approvals
    }

    /// Counts that were told.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Pictures that were made, or that this agency took part in.
    pub fn pictures(&self) -> &Pictures {
        &self.pictures
    }

    /// Alerts of actions.
    pub fn alerts(&self) -> &Alerts {
        &self.alerts
    }

    /// Told each time a version of a dataset comes into force, or is erased.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Agreements, orders and actions.
    pub fn documents(&self) -> &Documents {
        &self.documents
    }

    /// The current version of a dataset, held for as long as the value lives.
    pub fn dataset(&self, name: &str) -> Option<Dataset> {
        self.lock().get(name).map(|version| Dataset::new(Arc::clone(version)))
    }

    /// Every dataset, by name.
    pub fn datasets(&self) -> Vec<Dataset> {
        self.lock()
            .values()
            .map(|version| Dataset::new(Arc::clone(version)))
            .collect()
    }

    /// Starts a new version of a dataset; nothing changes for readers until [`Import::commit`].
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Damaged`].
    pub fn import(self: &Arc<Self>, name: &str, profile: &Profile) -> Result<Import, StoreError> {
        Import::start(Arc::clone(self), name, profile)
    }

    /// Makes a version without the records that expired before a day the dataset's current one, and returns it with the number of those.
    /// Heavy work runs on the current rayon pool.
    ///
    /// # Errors
    /// [`StoreError::Changed`], [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn purge(self: &Arc<Self>, base: &Dataset, today: Date, now: Timestamp) -> Result<(Dataset, u64), StoreError> {
        let (import, left_out) = Import::purging(Arc::clone(self), base, today)?;
        Ok((import.commit(now)?, left_out))
    }

    /// Keeps what a query found, but of records that have expired before `today` and of datasets that are gone by now.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Encode`].
    pub fn keep_hits(&self, found: &[FoundRecord], today: Date) -> Result<(), StoreError> {
        let _writing = self.inner.write_lock();
        let held = |one: &&FoundRecord| {
            self.dataset(&one.dataset).is_some() && one.expires.is_none_or(|expires| expires >= today)
        };
        self.hits.keep(found.iter().filter(held))
    }

    /// Erases a version of a dataset if it still is the current one: its key first, then its data, once no query holds it. Returns what
    /// was erased.
    ///
    /// # Errors
    /// [`StoreError::Rocks`].
    pub fn erase(&self, name: &str, version: u64) -> Result<Option<DatasetInfo>, StoreError> {
        let writing = self.inner.write_lock();
        if self.dataset(name).is_none_or(|held| held.info().version != version) {
            return Ok(None);
        }
        dataset::remove(&self.inner, name, &writing)?;
        let removed = self.lock().remove(name);
        let erased = removed.map(|version| {
            version.supersede();
            version.info().clone()
        });
        self.changed.send_modify(|count| *count += 1);
        // if this fails, queries find nothing any more, and the next start makes good what is still on disk
        dataset::scrub(&self.inner, &writing)?;
        Ok(erased)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Version>>> {
        // a panic elsewhere leaves the map whole: it is only ever replaced entry by entry
        self.datasets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    pub(crate) fn write_lock(&self) -> Writing<'_> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_schema(&self) -> Result<(), StoreError> {
        let meta = self.cf(Cf::Meta)?;
        match self.db.get_cf(meta, keys::META_SCHEMA)? {
            None => Ok(self
                .db
                .put_cf_opt(meta, keys::META_SCHEMA, SCHEMA_VERSION.to_be_bytes(), &synced())?),
            Some(found) if found == SCHEMA_VERSION.to_be_bytes() => Ok(()),
            Some(found) => {
                let found = <[u8; 4]>::try_from(found.as_slice())
                    .map(u32::from_be_bytes)
                    .unwrap_or_default();
                Err(StoreError::Schema {
                    found,
                    known: SCHEMA_VERSION,
                })
            }
        }
    }

    /// Holds the data key against the one that made the store, before anything is read with it.
    fn check_key(&self) -> Result<(), StoreError> {
        let meta = self.cf(Cf::Meta)?;
        let check = self.keys.tag(b"overlap/store/key-check/v1", &[]);
        match self.db.get_cf(meta, keys::META_KEY_CHECK)? {
            None => Ok(self.db.put_cf_opt(meta, keys::META_KEY_CHECK, check, &synced())?),
            Some(found) if found == check => Ok(()),
            Some(_) => Err(StoreError::WrongKey),
        }
    }

    pub(crate) fn cf(&self, cf: Cf) -> Result<&rocksdb::ColumnFamily, StoreError> {
        self.db
            .cf_handle(cf.name())
            .ok_or(StoreError::Damaged("a column family is missing"))
    }
}

pub(crate) fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

fn database_options() -> Result<Options, StoreError> {
    let mut options = Options::default();
    // flushes and compactions give way to queries
    let mut environment = Env::new()?;
    environment.lower_thread_pool_cpu_priority();
    environment.lower_high_priority_thread_pool_cpu_priority();
    options.set_env(&environment);
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_open_files(256);
    options.set_keep_log_file_num(2);
    options.set_max_background_jobs(2);
    // what is written in the background goes to disk as it comes: all of it at once would hold up the log's next sync
    options.set_bytes_per_sync(512 << 10);
    // two write-ahead logs' worth: a node that only logs must not keep old ones for column families that never fill
    options.set_max_total_wal_size(64 << 20);
    // a crash may tear the end of the log that is written ahead; damage before its end must not pass for that
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    Ok(options)
}

fn column_families() -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(BLOCK_CACHE);
    Cf::ALL
        .into_iter()
        .map(|cf| {
            let mut options = Options::default();
            // sealed values do not shrink; what entries are found by has no values
            options.set_compression_type(match cf {
                Cf::LogIndex => DBCompressionType::Lz4,
                _ => DBCompressionType::None,
            });
            options.set_write_buffer_size(WRITE_BUFFER);
            options.set_max_write_buffer_number(2);
            let mut blocks = BlockBasedOptions::default();
            blocks.set_block_cache(&cache);
            blocks.set_block_size(16 << 10);
            options.set_block_based_table_factory(&blocks);
            ColumnFamilyDescriptor::new(cf.name(), options)
        })
        .collect()
}
