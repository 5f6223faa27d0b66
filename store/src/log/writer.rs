//! Group commit: one thread writes what callers hand in, as many as are waiting with one sync, and each caller waits for its own. Waiting
//! takes no thread, so that a thousand queries can.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use overlap_audit::{FullTile, SigningKey, Tree};
use rocksdb::WriteBatch;
use tokio::sync::oneshot;

use super::{head::Head, payload::Ready};
use crate::{
    Inner, StoreError,
    keys::{self, Cf, INDEX_PREFIX, PLACE},
    synced,
};

/// Most appends that one sync makes durable: a bound on how long the first of them waits for the others.
const MAX_GROUP: usize = 1024;

/// Syncs that come close upon each other wait for what comes meanwhile, until so long after the last: an asker of many closes an entry for
/// each answer, and each sync costs a disk and a processor the same.
const GATHER: Duration = Duration::from_millis(2);
/// The longest that they wait, where entries stay open for long.
const MOST_GATHER: Duration = Duration::from_millis(25);
/// Which part of the time that entries stay open they wait. A node that is asked more than it can answer has them open for long, and
/// waiting takes nothing from those that wait for a processor anyway.
const PART: u32 = 8;
/// So many syncs within so many times the wait are close.
const CLOSE: u32 = 4;
/// What counts at most of an entry that stays open, as a standing stream does.
const MOST_OPEN: Duration = MOST_GATHER.saturating_mul(PART);
/// Over how many entries the time is averaged, about.
const AVERAGED: u32 = 16;

type Fill = Box<dyn FnOnce(&mut Draft<'_>) -> Result<(), StoreError> + Send>;

struct Append {
    fill: Fill,
    done: oneshot::Sender<Result<(), StoreError>>,
}

/// The writing thread. Ends when it is dropped, after what was handed in.
pub(super) struct Writer {
    appends: Mutex<Option<Sender<Append>>>,
    thread: Option<JoinHandle<()>>,
}

/// What one append writes; nothing of it if it fails.
pub(super) struct Draft<'a> {
    group: &'a Group<'a>,
    /// What later appends may read.
    writes: Vec<(Cf, Vec<u8>, Option<Vec<u8>>)>,
    events: Vec<Ready>,
    indexed: Vec<[u8; INDEX_PREFIX + PLACE]>,
    /// How long the entry was open that it ends.
    open: Option<Duration>,
}

/// What one sync makes durable.
struct Group<'a> {
    inner: &'a Inner,
    writes: WriteBatch,
    /// What earlier appends of the group write, since the database does not show it yet.
    pending: HashMap<(Cf, Vec<u8>), Option<Vec<u8>>>,
    tree: Tree,
    last_day: u32,
    /// How long the entries were open that it ends.
    open: Vec<Duration>,
}

impl Writer {
    pub(super) fn start(
        inner: Arc<Inner>,
        key: Arc<SigningKey>,
        head: Arc<RwLock<Head>>,
        last_day: u32,
    ) -> Result<Self, StoreError> {
        let (appends, queue) = channel();
        let thread = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || run(&inner, &key, &head, &queue, last_day))?;
        Ok(Self {
            appends: Mutex::new(Some(appends)),
            thread: Some(thread),
        })
    }

    /// Writes what `fill` drafts and returns once it is on disk. It is written as well if nobody waits for that any more.
    pub(super) async fn append(
        &self,
        fill: impl FnOnce(&mut Draft<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let (done, ended) = oneshot::channel();
        let append = Append {
            fill: Box::new(fill),
            done,
        };
        let queue = self.appends.lock().unwrap_or_else(PoisonError::into_inner).clone();
        queue
            .and_then(|queue| queue.send(append).ok())
            .ok_or(StoreError::LogStopped)?;
        ended.await.map_err(|_| StoreError::LogStopped)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // closing the queue ends the thread, which holds the database
        self.appends.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(inner: &Inner, key: &SigningKey, head: &RwLock<Head>, queue: &Receiver<Append>, mut last_day: u32) {
    let mut pace = Pace::default();
    while let Ok(first) = queue.recv() {
        let paused = pace.pause(Instant::now());
        thread::sleep(paused);
        let waiting: Vec<Append> = std::iter::once(first).chain(queue.try_iter()).take(MAX_GROUP).collect();
        pace.note(Instant::now(), waiting.len(), paused);
        let tree = head.read().unwrap_or_else(PoisonError::into_inner).tree.clone();
        let mut group = Group {
            inner,
            writes: WriteBatch::default(),
            pending: HashMap::new(),
            tree,
            last_day,
            open: Vec::new(),
        };
        let mut written = Vec::new();
        for Append { fill, done } in waiting {
            match group.take(fill) {
                Ok(()) => written.push(done),
                Err(error) => {
                    let _ = done.send(Err(error));
                }
            }
        }
        if written.is_empty() {
            continue;
        }
        for open in group.open.drain(..) {
            pace.ended(open);
        }
        let day = group.last_day;
        let result = group.write(key, head);
        if result.is_ok() {
            last_day = day;
        }
        for done in written {
            // who waits no longer has gone with the node
            let _ = done.send(result.clone().map_err(StoreError::from));
        }
    }
}

/// When groups began, whether one ever waits for another, and how long entries stay open.
#[derive(Default)]
struct Pace {
    begun: VecDeque<Instant>,
    is_shared: bool,
    open: Duration,
}

impl Pace {
    /// How long a group waits for more: not for a query that is alone, which would wait for itself.
    fn pause(&self, now: Instant) -> Duration {
        let since = |begun: Option<&Instant>| begun.map(|begun| now.duration_since(*begun));
        let is_full = self.begun.len() == CLOSE as usize;
        let gather = (self.open / PART).clamp(GATHER, MOST_GATHER);
        match (since(self.begun.front()), since(self.begun.back())) {
            (Some(first), Some(last)) if self.is_shared && is_full && first < gather * CLOSE => {
                gather.saturating_sub(last)
            }
            _ => Duration::ZERO,
        }
    }

    /// Notes how long an entry was open.
    fn ended(&mut self, open: Duration) {
        self.open = (self.open * (AVERAGED - 1) + open.min(MOST_OPEN)) / AVERAGED;
    }

    /// Notes a group of so many that waited so long.
    fn note(&mut self, now: Instant, appends: usize, paused: Duration) {
        if self.begun.len() == CLOSE as usize {
            self.begun.pop_front();
        }
        self.begun.push_back(now);
        self.is_shared = appends > 1 || self.is_shared && paused.is_zero();
    }
}

/// Why nothing of a group was written; told to each of its callers.
#[derive(Clone)]
enum GroupError {
    Rocks(rocksdb::Error),
    Checkpoint(overlap_audit::CheckpointError),
    Damaged,
}

impl From<GroupError> for StoreError {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Rocks(error) => Self::Rocks(error),
            GroupError::Checkpoint(error) => Self::Checkpoint(error),
            GroupError::Damaged => Self::Damaged("a column family is missing"),
        }
    }
}

impl Group<'_> {
    /// Takes in one append as a whole, or not at all.
    fn take(&mut self, fill: Fill) -> Result<(), StoreError> {
        let mut draft = Draft {
            group: self,
            writes: Vec::new(),
            events: Vec::new(),
            indexed: Vec::new(),
            open: None,
        };
        fill(&mut draft)?;
        let mut day = draft.group.last_day;
        for event in &draft.events {
            if event.day < day {
                return Err(StoreError::DayPassed);
            }
            day = event.day;
        }
        let Draft {
            writes,
            events,
            indexed,
            open,
            ..
        } = draft;
        self.open.extend(open);
        let [log, tiles, index] = [
            self.inner.cf(Cf::Log)?,
            self.inner.cf(Cf::LogTiles)?,
            self.inner.cf(Cf::LogIndex)?,
        ];
        for (cf, key, value) in writes {
            let handle = self.inner.cf(cf)?;
            match &value {
                Some(value) => self.writes.put_cf(handle, &key, value),
                None => self.writes.delete_cf(handle, &key),
            }
            self.pending.insert((cf, key), value);
        }
        for key in indexed {
            self.writes.put_cf(index, key, []);
        }
        self.last_day = day;
        let mut full = Vec::new();
        for Ready { bytes, leaf, .. } in events {
            self.writes.put_cf(log, keys::index(self.tree.size()), bytes);
            self.tree.push(leaf, &mut full);
        }
        for FullTile { level, number, hashes } in full {
            self.writes.put_cf(tiles, keys::tile(level, number), hashes);
        }
        Ok(())
    }

    /// Signs the new head and makes all of it durable; only then readers see it.
    fn write(mut self, key: &SigningKey, head: &RwLock<Head>) -> Result<(), GroupError> {
        let checkpoint = key
            .sign(self.tree.size(), &self.tree.root())
            .map_err(GroupError::Checkpoint)?;
        let text = checkpoint.to_string();
        let meta = self.inner.cf(Cf::Meta).map_err(|_| GroupError::Damaged)?;
        self.writes.put_cf(meta, keys::META_CHECKPOINT, &text);
        self.inner
            .db
            .write_opt(self.writes, &synced())
            .map_err(GroupError::Rocks)?;
        let mut head = head.write().unwrap_or_else(PoisonError::into_inner);
        *head = Head {
            tree: self.tree,
            checkpoint: text,
        };
        Ok(())
    }
}

impl Draft<'_> {
    /// A value as it is after the appends before this one.
    pub(super) fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.group.pending.get(&(cf, key.to_vec())) {
            Some(pending) => Ok(pending.clone()),
            None => Ok(self.group.inner.db.get_cf(self.group.inner.cf(cf)?, key)?),
        }
    }

    pub(super) fn put(&mut self, cf: Cf, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.writes.push((cf, key.into(), Some(value.into())));
    }

    pub(super) fn delete(&mut self, cf: Cf, key: impl Into<Vec<u8>>) {
        self.writes.push((cf, key.into(), None));
    }

    /// Appends an event and returns its index.
    pub(super) fn event(&mut self, event: Ready) -> u64 {
        let index = self.group.tree.size() + self.events.len() as u64;
        self.events.push(event);
        index
    }

    /// Notes how long an entry was open that ends here.
    pub(super) fn ended(&mut self, open: Duration) {
        self.open = Some(open);
    }

    /// Lets an entry be found there.
    pub(super) fn index(&mut self, key: [u8; INDEX_PREFIX + PLACE]) {
        self.indexed.push(key);
    }
}
