//! The log on disk: events in order, an index from entry to events, and the entries that have no end yet.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use overlap_audit::{Closing, Digest, Entry, Event, Logged};
use rocksdb::{Direction, IteratorMode, WriteBatch};
use uuid::Uuid;

use crate::{
    Inner, StoreError,
    keys::{self, Cf},
    synced,
};

/// The append-only log. Every append is on disk before it returns.
pub struct Log {
    inner: Arc<Inner>,
    /// Index of the next event; held while an append is written, so that indexes have no gaps.
    next: Mutex<u64>,
}

/// What an entry draws from a daily amount of an agreement, in the same write.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Whose amount: one per agreement, asker, holder and dataset.
    pub account: Digest,
    /// Days since 1970-01-01, UTC.
    pub day: u32,
    /// Items asked.
    pub items: u64,
    /// Items allowed per day.
    pub limit: u64,
}

/// Which entries to read.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those before this index.
    pub before: Option<u64>,
    /// Only those of this query.
    pub transaction: Option<Uuid>,
}

impl Log {
    pub(crate) fn open(inner: Arc<Inner>) -> Result<Self, StoreError> {
        let next = match inner
            .db
            .iterator_cf(inner.cf(Cf::Log)?, IteratorMode::End)
            .next()
            .transpose()?
        {
            None => 0,
            Some((key, _)) => parse_index(&key)?.saturating_add(1),
        };
        Ok(Self {
            inner,
            next: Mutex::new(next),
        })
    }

    /// Writes an entry's opening; draws from the quota in the same write, or refuses when it is used up.
    ///
    /// # Errors
    /// [`StoreError::QuotaExceeded`], [`StoreError::TransactionTaken`], [`StoreError::Rocks`], [`StoreError::Crypto`].
    pub fn open_entry(&self, entry: &Entry, quota: Option<Quota>) -> Result<(), StoreError> {
        self.append(|writes, index| {
            if let Some(quota) = quota {
                self.draw(writes, &quota)?;
            }
            let (transactions, key) = (
                self.inner.cf(Cf::LogTransactions)?,
                keys::transaction(entry.side, entry.transaction),
            );
            if self.inner.db.get_cf(transactions, key)?.is_some() {
                return Err(StoreError::TransactionTaken);
            }
            writes.put_cf(transactions, key, keys::entry(entry.id));
            self.put(writes, index, &Event::Opened(Box::new(entry.clone())))?;
            writes.put_cf(
                self.inner.cf(Cf::LogEntries)?,
                keys::entry(entry.id),
                keys::index(index),
            );
            writes.put_cf(self.inner.cf(Cf::LogOpen)?, keys::entry(entry.id), []);
            Ok(index + 1)
        })
    }

    /// Writes an entry's end.
    ///
    /// # Errors
    /// [`StoreError::NoSuchEntry`] unless the entry is open; [`StoreError::Rocks`], [`StoreError::Crypto`].
    pub fn close_entry(&self, closing: &Closing) -> Result<(), StoreError> {
        self.append(|writes, index| {
            let (open, entries) = (self.inner.cf(Cf::LogOpen)?, self.inner.cf(Cf::LogEntries)?);
            let id = keys::entry(closing.id);
            if self.inner.db.get_cf(open, id)?.is_none() {
                return Err(StoreError::NoSuchEntry);
            }
            let opened = self.inner.db.get_cf(entries, id)?.ok_or(StoreError::NoSuchEntry)?;
            self.put(writes, index, &Event::Closed(closing.clone()))?;
            writes.put_cf(entries, id, [opened.as_slice(), &keys::index(index)].concat());
            writes.delete_cf(open, id);
            Ok(index + 1)
        })
    }

    /// Writes an entry that ends as it begins: a denial, an import that is done.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`].
    pub fn record(&self, entry: &Entry, closing: &Closing) -> Result<(), StoreError> {
        self.append(|writes, index| {
            self.put(writes, index, &Event::Opened(Box::new(entry.clone())))?;
            self.put(writes, index + 1, &Event::Closed(closing.clone()))?;
            let indexes = [keys::index(index), keys::index(index + 1)].concat();
            writes.put_cf(self.inner.cf(Cf::LogEntries)?, keys::entry(entry.id), indexes);
            Ok(index + 2)
        })
    }

    /// The entries without an end: of queries under way or, at start, of those that a crash cut.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Damaged`].
    pub fn open_entries(&self) -> Result<Vec<Entry>, StoreError> {
        let rows = self
            .inner
            .db
            .iterator_cf(self.inner.cf(Cf::LogOpen)?, IteratorMode::Start);
        rows.map(|row| {
            let id = Uuid::from_slice(&row?.0).map_err(|_| StoreError::Damaged("an entry's id cannot be read"))?;
            Ok(self
                .entry(id)?
                .ok_or(StoreError::Damaged("an open entry is missing"))?
                .entry)
        })
        .collect()
    }

    /// One entry.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Damaged`], [`StoreError::Event`].
    pub fn entry(&self, id: Uuid) -> Result<Option<Logged>, StoreError> {
        let Some(indexes) = self.inner.db.get_cf(self.inner.cf(Cf::LogEntries)?, keys::entry(id))? else {
            return Ok(None);
        };
        let (opened, closed) = indexes
            .split_at_checked(8)
            .ok_or(StoreError::Damaged("an entry's index is too short"))?;
        let index = parse_index(opened)?;
        let Event::Opened(entry) = self.event(index)? else {
            return Err(StoreError::Damaged("an entry begins with its end"));
        };
        let closing = match closed {
            [] => None,
            closed => match self.event(parse_index(closed)?)? {
                Event::Closed(closing) => Some(closing),
                Event::Opened(_) => return Err(StoreError::Damaged("an entry begins twice")),
            },
        };
        Ok(Some(Logged {
            index,
            entry: *entry,
            closing,
        }))
    }

    /// The newest entries first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Damaged`], [`StoreError::Event`].
    pub fn newest(&self, filter: &Filter, limit: usize) -> Result<Vec<Logged>, StoreError> {
        let last = match filter.before {
            Some(0) => return Ok(Vec::new()),
            Some(before) => before - 1,
            None => u64::MAX,
        };
        let from = keys::index(last);
        let rows = self
            .inner
            .db
            .iterator_cf(self.inner.cf(Cf::Log)?, IteratorMode::From(&from, Direction::Reverse));
        let mut found = Vec::new();
        for row in rows {
            let (key, sealed) = row?;
            if let Event::Opened(entry) = self.unseal(&key, &sealed)?
                && filter
                    .transaction
                    .is_none_or(|transaction| transaction == entry.transaction)
            {
                found.push(
                    self.entry(entry.id)?
                        .ok_or(StoreError::Damaged("an entry has no index"))?,
                );
                if found.len() == limit {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Runs one append: `fill` puts events from the given index on and returns the index after them.
    fn append(&self, fill: impl FnOnce(&mut WriteBatch, u64) -> Result<u64, StoreError>) -> Result<(), StoreError> {
        let mut next = self.lock();
        let mut writes = WriteBatch::default();
        let after = fill(&mut writes, *next)?;
        self.inner.db.write_opt(writes, &synced())?;
        *next = after;
        Ok(())
    }

    fn put(&self, writes: &mut WriteBatch, index: u64, event: &Event) -> Result<(), StoreError> {
        let key = keys::index(index);
        let sealed = self.inner.keys.log().seal(Cf::Log, &key, &event.to_json()?)?;
        writes.put_cf(self.inner.cf(Cf::Log)?, key, sealed);
        Ok(())
    }

    fn draw(&self, writes: &mut WriteBatch, quota: &Quota) -> Result<(), StoreError> {
        let cf = self.inner.cf(Cf::Quota)?;
        let key = keys::quota(self.inner.keys.tag(b"quota", &quota.account.0), quota.day);
        let used = match self.inner.db.get_cf(cf, key)? {
            None => 0,
            Some(sealed) => parse_index(&self.inner.keys.log().open(Cf::Quota, &key, &sealed)?)?,
        };
        match used.checked_add(quota.items) {
            Some(total) if total <= quota.limit => {
                writes.put_cf(
                    cf,
                    key,
                    self.inner.keys.log().seal(Cf::Quota, &key, &total.to_be_bytes())?,
                );
                Ok(())
            }
            _ => Err(StoreError::QuotaExceeded {
                limit: quota.limit,
                used,
            }),
        }
    }

    fn event(&self, index: u64) -> Result<Event, StoreError> {
        let key = keys::index(index);
        let sealed = self
            .inner
            .db
            .get_cf(self.inner.cf(Cf::Log)?, key)?
            .ok_or(StoreError::Damaged("a log event is missing"))?;
        self.unseal(&key, &sealed)
    }

    fn unseal(&self, key: &[u8], sealed: &[u8]) -> Result<Event, StoreError> {
        Ok(Event::from_json(&self.inner.keys.log().open(Cf::Log, key, sealed)?)?)
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        // the number changes only after a write went through, so a panic elsewhere leaves it right
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse_index(bytes: &[u8]) -> Result<u64, StoreError> {
    Ok(u64::from_be_bytes(
        bytes
            .try_into()
            .map_err(|_| StoreError::Damaged("a number has another length"))?,
    ))
}
