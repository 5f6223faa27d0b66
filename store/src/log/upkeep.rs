//! What is done to a log besides writing it: shredding what is too old, checking that nothing was changed, handing entries on.

use overlap_audit::{Digest, Event, Logged, Outcome, TILE_HEIGHT, TILE_WIDTH, Tiles, Tree};
use rocksdb::{Direction, ErrorKind, IteratorMode, WriteBatch};
use uuid::Uuid;

use super::{Log, LogPlace, head::StoredTiles, input, parse_index, payload::Row, search};
use crate::{
    StoreError, dataset,
    keys::{self, Cf},
    synced,
};

/// Events shredded with one write.
const TOGETHER: usize = 1024;

/// An ended entry that is still to be handed on: its place in the outbox, and itself.
pub type Waiting = (u64, Result<Logged, StoreError>);

/// What was changed in a stored log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An event.
    Event {
        /// Its index.
        index: u64,
    },
    /// A tile of the tree.
    Tile {
        /// Level.
        level: u8,
        /// Number within the level.
        number: u64,
        /// The first event under it.
        first: u64,
    },
    /// An event, or one beside it in the same file, that the database cannot read: its own checksum fails.
    Unreadable {
        /// Its index.
        index: u64,
    },
    /// An event that is not there.
    Missing {
        /// Its index.
        index: u64,
    },
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Event { index } => write!(f, "event {index} of the log was changed on disk"),
            Self::Unreadable { index } => {
                write!(
                    f,
                    "event {index} of the log, or one close behind it, cannot be read: the disk gives other bytes than were written"
                )
            }
            Self::Missing { index } => write!(f, "event {index} of the log is missing on disk"),
            Self::Tile { level, number, first } => write!(
                f,
                "tile {number} of level {level} of the log, which begins with event {first}, was changed on disk"
            ),
        }
    }
}

impl Log {
    /// Holds every stored event against the tree, and every tile against those below it; stops at the first that does not fit, or when
    /// `goes_on` says so. The end of the log is checked when it is opened.
    ///
    /// Memory: a tile per level.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Damaged`].
    pub fn check(&self, goes_on: impl Fn() -> bool) -> Result<Option<Fault>, StoreError> {
        let size = self.size();
        let whole = size - size % TILE_WIDTH as u64;
        let rows = self.inner.db.iterator_cf(self.inner.cf(Cf::Log)?, IteratorMode::Start);
        let stored = StoredTiles(&self.inner);
        let shredded = self.shredded()?;
        let (mut tree, mut full) = (Tree::default(), Vec::new());
        for (expected, row) in (0..whole).zip(rows) {
            if expected % 65_536 == 0 && !goes_on() {
                return Ok(None);
            }
            let (key, bytes) = match row {
                Err(error) if error.kind() == ErrorKind::Corruption => {
                    return Ok(Some(Fault::Unreadable { index: expected }));
                }
                row => row?,
            };
            if parse_index(&key)? != expected {
                return Ok(Some(Fault::Missing { index: expected }));
            }
            let row = Row::parse(&bytes).ok();
            let leaf = row.as_ref().map_or(Digest([0; 32]), Row::leaf);
            // what the tree does not cover: that it can be read, unless it was shredded
            let opens = || matches!(row.as_ref().map(|row| self.unseal(row)), Some(Ok(Some(_))));
            if expected >= shredded && !opens() {
                return Ok(Some(Fault::Event { index: expected }));
            }
            tree.push(leaf, &mut full);
            for tile in full.drain(..) {
                let (level, number) = (tile.level, tile.number);
                let first = number << (u32::from(TILE_HEIGHT) * (u32::from(level) + 1));
                let held = stored.tile(level, number).unwrap_or_default();
                if held == tile.hashes {
                    continue;
                }
                // one event out of place is the event's fault, more are the tile's
                let differs = |(one, other): &(&[u8; 32], &[u8; 32])| one != other;
                let pairs = || held.as_chunks::<32>().0.iter().zip(tile.hashes.as_chunks::<32>().0);
                let changed = pairs().filter(differs).count();
                if level == 0
                    && held.len() == tile.hashes.len()
                    && changed == 1
                    && let Some(at) = pairs().position(|pair| differs(&pair))
                {
                    return Ok(Some(Fault::Event {
                        index: first + at as u64,
                    }));
                }
                return Ok(Some(Fault::Tile { level, number, first }));
            }
        }
        match tree.size() == whole {
            true => Ok(None),
            false => Ok(Some(Fault::Missing { index: tree.size() })),
        }
    }

    /// Whether something was written before a day that is not shredded.
    ///
    /// # Errors
    /// [`StoreError::Rocks`].
    pub fn is_due(&self, before: u32) -> Result<bool, StoreError> {
        let days = self.inner.cf(Cf::LogKeys)?;
        let oldest = self
            .inner
            .db
            .iterator_cf(days, IteratorMode::Start)
            .next()
            .transpose()?;
        Ok(oldest.is_some_and(|(day, _)| *day < keys::day(before)[..]))
    }

    /// Shreds what was written before a day (since 1970-01-01, UTC): the keys of its events, what opens its commitments and what it is found by.
    /// Leaves, tiles and checkpoints stay, and so every proof. Returns how many events of the log are shredded by now.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn shred(&self, before: u32) -> Result<u64, StoreError> {
        let inner = &self.inner;
        let meta = inner.cf(Cf::Meta)?;
        let first = self.shredded()?;
        let writing = inner.write_lock();
        let mut next = first;
        let mut writes = WriteBatch::default();
        let start = keys::index(first);
        let rows = inner
            .db
            .iterator_cf(inner.cf(Cf::Log)?, IteratorMode::From(&start, Direction::Forward));
        for row in rows {
            let (key, bytes) = row?;
            let row = Row::parse(&bytes)?;
            // days never go back along the log
            if row.day >= before {
                break;
            }
            let index = parse_index(&key)?;
            if let Some(Event::Opened(entry)) = self.unseal(&row)? {
                input::erase(inner, entry.id, &mut writes)?;
                let place = LogPlace::of(&entry, index).to_bytes();
                let mut prefixes = search::prefixes(inner, &entry);
                prefixes.push(search::again(inner, entry.transaction));
                prefixes.extend(Outcome::ALL.iter().map(|outcome| search::outcome(inner, *outcome)));
                for (field, tag) in prefixes {
                    writes.delete_cf(inner.cf(Cf::LogIndex)?, keys::indexed(field, tag, place));
                }
            }
            next = index + 1;
            if writes.len() >= TOGETHER {
                inner.db.write(std::mem::take(&mut writes))?;
            }
        }
        let days = inner.cf(Cf::LogKeys)?;
        for row in inner.db.iterator_cf(days, IteratorMode::Start) {
            let (day, _) = row?;
            if *day < keys::day(before)[..] {
                writes.delete_cf(days, day);
            }
        }
        writes.put_cf(meta, keys::META_SHREDDED, keys::index(next));
        writes.put_cf(meta, keys::META_SCRUB, []);
        inner.db.write_opt(writes, &synced())?;
        self.periods.forget(before);
        dataset::scrub(inner, &writing)?;
        Ok(next)
    }

    /// Index of the first event that was not shredded.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Damaged`].
    pub fn shredded(&self) -> Result<u64, StoreError> {
        let found = self.inner.db.get_cf(self.inner.cf(Cf::Meta)?, keys::META_SHREDDED)?;
        found.map_or(Ok(0), |bytes| parse_index(&bytes))
    }

    /// Ended entries that are still to be handed on, from a place on, each with the place that [`Self::handed_on`] takes; the oldest first. One
    /// that cannot be read, or was shredded, comes as its error.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Damaged`], [`StoreError::Event`].
    pub fn outbox(&self, from: u64, limit: usize) -> Result<Vec<Waiting>, StoreError> {
        let start = keys::index(from);
        let rows = self.inner.db.iterator_cf(
            self.inner.cf(Cf::LogOutbox)?,
            IteratorMode::From(&start, Direction::Forward),
        );
        rows.take(limit)
            .map(|row| {
                let (key, id) = row?;
                let id = Uuid::from_slice(&id).map_err(|_| StoreError::Damaged("an entry's id cannot be read"))?;
                let logged = self.entry(id);
                let logged = logged.and_then(|logged| logged.ok_or(StoreError::Damaged("an entry has no index")));
                Ok((parse_index(&key)?, logged))
            })
            .collect()
    }

    /// How many entries wait to be handed on; beyond 100,000 it says 100,000.
    ///
    /// # Errors
    /// [`StoreError::Rocks`].
    pub fn outbox_size(&self) -> Result<u64, StoreError> {
        const MOST_COUNTED: usize = 100_000;
        let rows = self
            .inner
            .db
            .iterator_cf(self.inner.cf(Cf::LogOutbox)?, IteratorMode::Start);
        Ok(rows.take(MOST_COUNTED).count() as u64)
    }

    /// Takes what was handed on, and acknowledged, out of the outbox. Synced.
    ///
    /// # Errors
    /// [`StoreError::Rocks`].
    pub fn handed_on(&self, places: &[u64]) -> Result<(), StoreError> {
        let outbox = self.inner.cf(Cf::LogOutbox)?;
        let mut writes = WriteBatch::default();
        for place in places {
            writes.delete_cf(outbox, keys::index(*place));
        }
        Ok(self.inner.db.write_opt(writes, &synced())?)
    }
}
