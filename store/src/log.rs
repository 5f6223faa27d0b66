//! The log on disk: events in order, the tree over them, an index from entry to events, and the entries that have no end yet.

mod export;
mod head;
mod input;
mod others;
mod payload;
mod search;
mod upkeep;
mod writer;

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use overlap_audit::{Closing, Digest, Entry, Event, EventRef, Logged, Side, SigningKey, VerifyingKey};
use rocksdb::IteratorMode;
use uuid::Uuid;

use self::{
    head::Head,
    payload::{Periods, Ready, Row},
    writer::{Draft, Writer},
};
use crate::{
    Inner, StoreError,
    keys::{self, Cf},
};

pub use others::{Alarm, AlarmKind, PeerLog};
pub use search::{LogPlace, Search};
pub use upkeep::{Fault, Waiting};

/// The append-only log. Every append is on disk, under a signed checkpoint, before it returns.
pub struct Log {
    writer: Writer,
    periods: Periods,
    head: Arc<RwLock<Head>>,
    signing: Arc<SigningKey>,
    key: VerifyingKey,
    hands_on: bool,
    failing: AtomicBool,
    inner: Arc<Inner>,
}

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Name that it signs its checkpoints under.
    pub name: String,
    /// Whether ended entries are put in the outbox, to be handed on.
    pub hands_on: bool,
}

/// What an entry draws from an amount, in the same write.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// The limit that it is.
    pub name: &'static str,
    /// Whose amount.
    pub account: Digest,
    /// Number of the period: days or hours since 1970-01-01, UTC; 0 for an amount that does not start anew.
    pub period: u32,
    /// How much is drawn.
    pub amount: u64,
    /// How much may be drawn in a period.
    pub limit: u64,
}

impl Log {
    /// Opens the log, and holds its end against the checkpoint that was signed last.
    pub(crate) fn open(inner: Arc<Inner>, settings: &LogSettings) -> Result<Self, StoreError> {
        let signing = Arc::new(head::signing_key(&inner, &settings.name)?);
        let key = signing.verifying_key();
        let head = Arc::new(RwLock::new(head::load(&inner, &signing)?));
        input::clear(&inner)?;
        let newest = inner
            .db
            .iterator_cf(inner.cf(Cf::Log)?, IteratorMode::End)
            .next()
            .transpose()?;
        let last_day = newest
            .map(|(_, row)| Row::parse(&row))
            .transpose()?
            .map_or(0, |row| row.day);
        Ok(Self {
            writer: Writer::start(Arc::clone(&inner), Arc::clone(&signing), Arc::clone(&head), last_day)?,
            periods: Periods::load(&inner)?,
            head,
            signing,
            key,
            hands_on: settings.hands_on,
            failing: AtomicBool::new(false),
            inner,
        })
    }

    /// What checks the log's checkpoints.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.key
    }

    /// What countersigns the checkpoints of others, and signs receipts.
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing
    }

    /// The newest checkpoint, as a signed note (C2SP tlog-checkpoint).
    pub fn checkpoint(&self) -> String {
        self.head
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .checkpoint
            .clone()
    }

    /// The day that the newest event was written under, since 1970-01-01; 0 in an empty log.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Damaged`].
    pub fn newest_day(&self) -> Result<u32, StoreError> {
        let newest = self.row(self.size().saturating_sub(1))?;
        Ok(newest.map_or(0, |row| row.day))
    }

    /// Whether an append could not be written since the store was opened. RocksDB takes no writes after such a fault.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    fn noted(&self, ended: Result<(), StoreError>) -> Result<(), StoreError> {
        use StoreError as E;
        if let Err(E::Rocks(_) | E::Crypto | E::LogStopped | E::Damaged(_) | E::Tree(_) | E::Checkpoint(_)) = ended {
            self.failing.store(true, Ordering::Relaxed);
        }
        ended
    }

    /// Events in the log.
    pub fn size(&self) -> u64 {
        self.head.read().unwrap_or_else(PoisonError::into_inner).tree.size()
    }

    /// Writes an entry's opening; draws from every quota in the same write, or from none and refuses when one is used up.
    ///
    /// # Errors
    /// [`StoreError::QuotaExceeded`], [`StoreError::TransactionTaken`], [`StoreError::Rocks`], [`StoreError::Crypto`].
    pub async fn open_entry(&self, entry: &Entry, quotas: &[Quota]) -> Result<(), StoreError> {
        loop {
            match self.try_open_entry(entry, quotas).await {
                // a later day's event came in between, and days never go back along the log: sealed and appended again
                Err(StoreError::DayPassed) => {}
                ended => return self.noted(ended),
            }
        }
    }

    async fn try_open_entry(&self, entry: &Entry, quotas: &[Quota]) -> Result<(), StoreError> {
        let event = self.seal(EventRef::Opened(entry))?;
        let filed = Filed::of(&self.inner, entry);
        let key = keys::transaction(entry.side, entry.transaction);
        let has_input = entry.side == Side::Asker && entry.input_commitment.is_some();
        let (inner, quotas) = (Arc::clone(&self.inner), quotas.to_vec());
        self.writer
            .append(move |draft| {
                let drawn = quotas.iter().map(|quota| draw(&inner, draft, quota));
                // none is written unless all can be: what was asked for is refused whole
                for (key, sealed) in drawn.collect::<Result<Vec<_>, _>>()? {
                    draft.put(Cf::Quota, key, sealed);
                }
                if draft.get(Cf::LogTransactions, &key)?.is_some() {
                    return Err(StoreError::TransactionTaken);
                }
                draft.put(Cf::LogTransactions, key, keys::entry(filed.id));
                let index = draft.event(event);
                let place = filed.open(draft, index);
                draft.put(Cf::LogEntries, keys::entry(filed.id), keys::index(index));
                draft.put(Cf::LogOpen, keys::entry(filed.id), place);
                if has_input {
                    draft.put(Cf::LogInputs, keys::input(filed.id, keys::INPUT_OPENED), []);
                }
                Ok(())
            })
            .await
    }

    /// Writes an entry's end. Peers that were sent the query owe a receipt from then on.
    ///
    /// # Errors
    /// [`StoreError::NoSuchEntry`] unless the entry is open; [`StoreError::Rocks`], [`StoreError::Crypto`].
    pub async fn close_entry(&self, closing: &Closing, owed_by: &[(Uuid, String)]) -> Result<(), StoreError> {
        loop {
            match self.try_close_entry(closing, owed_by).await {
                // a later day's event came in between, and days never go back along the log: sealed and appended again
                Err(StoreError::DayPassed) => {}
                ended => return self.noted(ended),
            }
        }
    }

    async fn try_close_entry(&self, closing: &Closing, owed_by: &[(Uuid, String)]) -> Result<(), StoreError> {
        let event = self.seal(EventRef::Closed(closing))?;
        let (id, ended) = (keys::entry(closing.id), search::outcome(&self.inner, closing.outcome));
        let owed = owed_by.iter();
        let owed = owed.map(|(transaction, agency)| keys::due(others::tag(&self.inner, agency), *transaction));
        let owed: Vec<_> = owed.collect();
        let hands_on = self.hands_on;
        self.writer
            .append(move |draft| {
                let Some(place) = draft.get(Cf::LogOpen, &id)? else {
                    return Err(StoreError::NoSuchEntry);
                };
                let place = <[u8; keys::PLACE]>::try_from(place.as_slice())
                    .map_err(|_| StoreError::Damaged("an open entry's place cannot be read"))?;
                let opened = draft.get(Cf::LogEntries, &id)?.ok_or(StoreError::NoSuchEntry)?;
                let index = draft.event(event);
                draft.put(Cf::LogEntries, id, [opened.as_slice(), &keys::index(index)].concat());
                draft.delete(Cf::LogOpen, id);
                draft.index(at(ended, place));
                if let Some((began, _)) = keys::parse_place(&place) {
                    let open = Timestamp::now().as_millisecond().saturating_sub(began);
                    draft.ended(Duration::from_millis(u64::try_from(open).unwrap_or_default()));
                }
                for owed in owed {
                    draft.put(Cf::LogReceiptsDue, owed, []);
                }
                if hands_on {
                    draft.put(Cf::LogOutbox, keys::index(index), id);
                }
                Ok(())
            })
            .await
    }

    /// Writes an entry that ends as it begins: a denial, an import that is done.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`].
    pub async fn record(&self, entry: &Entry, closing: &Closing) -> Result<(), StoreError> {
        loop {
            match self.try_record(entry, closing).await {
                // a later day's event came in between, and days never go back along the log: sealed and appended again
                Err(StoreError::DayPassed) => {}
                ended => return self.noted(ended),
            }
        }
    }

    async fn try_record(&self, entry: &Entry, closing: &Closing) -> Result<(), StoreError> {
        let opened = self.seal(EventRef::Opened(entry))?;
        let closed = self.seal(EventRef::Closed(closing))?;
        let (filed, ended) = (
            Filed::of(&self.inner, entry),
            search::outcome(&self.inner, closing.outcome),
        );
        let key = keys::transaction(entry.side, entry.transaction);
        let again = search::again(&self.inner, entry.transaction);
        let hands_on = self.hands_on;
        self.writer
            .append(move |draft| {
                let (first, second) = (draft.event(opened), draft.event(closed));
                let place = filed.open(draft, first);
                draft.index(at(ended, place));
                let id = keys::entry(filed.id);
                draft.put(Cf::LogEntries, id, [keys::index(first), keys::index(second)].concat());
                // what is denied for using an id again does not take it over
                match draft.get(Cf::LogTransactions, &key)? {
                    None => draft.put(Cf::LogTransactions, key, id),
                    Some(_) => draft.index(at(again, place)),
                }
                if hands_on {
                    draft.put(Cf::LogOutbox, keys::index(second), id);
                }
                Ok(())
            })
            .await
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
    /// [`StoreError::Rocks`], [`StoreError::Damaged`], [`StoreError::Event`], [`StoreError::Shredded`].
    pub fn entry(&self, id: Uuid) -> Result<Option<Logged>, StoreError> {
        let Some((index, closed)) = self.indexes(id)? else {
            return Ok(None);
        };
        let Event::Opened(entry) = self.event(index)? else {
            return Err(StoreError::Damaged("an entry begins with its end"));
        };
        let closing = match closed.map(|closed| self.event(closed)).transpose()? {
            None => None,
            Some(Event::Closed(closing)) => Some(closing),
            Some(Event::Opened(_)) => return Err(StoreError::Damaged("an entry begins twice")),
        };
        Ok(Some(Logged {
            index,
            entry: *entry,
            closing,
        }))
    }

    /// Indexes of an entry's opening and its end.
    fn indexes(&self, id: Uuid) -> Result<Option<(u64, Option<u64>)>, StoreError> {
        let Some(indexes) = self.inner.db.get_cf(self.inner.cf(Cf::LogEntries)?, keys::entry(id))? else {
            return Ok(None);
        };
        let (opened, closed) = indexes
            .split_at_checked(8)
            .ok_or(StoreError::Damaged("an entry's index is too short"))?;
        let closed = match closed {
            [] => None,
            closed => Some(parse_index(closed)?),
        };
        Ok(Some((parse_index(opened)?, closed)))
    }

    /// The entry that the event at an index opens; none if it was shredded.
    fn at(&self, index: u64) -> Result<Option<Logged>, StoreError> {
        let id = match self.event(index) {
            Ok(Event::Opened(entry)) => entry.id,
            Ok(Event::Closed(_)) => return Err(StoreError::Damaged("an entry begins with its end")),
            Err(StoreError::Shredded) => return Ok(None),
            Err(error) => return Err(error),
        };
        self.entry(id)
    }

    fn seal(&self, event: EventRef<'_>) -> Result<Ready, StoreError> {
        self.periods.seal(&self.inner, event)
    }

    fn event(&self, index: u64) -> Result<Event, StoreError> {
        let row = self.row(index)?.ok_or(StoreError::Damaged("a log event is missing"))?;
        self.unseal(&row)?.ok_or(StoreError::Shredded)
    }

    fn row(&self, index: u64) -> Result<Option<Row>, StoreError> {
        let stored = self.inner.db.get_cf(self.inner.cf(Cf::Log)?, keys::index(index))?;
        stored.map(|bytes| Row::parse(&bytes)).transpose()
    }

    /// The event in a row; none if it was shredded.
    fn unseal(&self, row: &Row) -> Result<Option<Event>, StoreError> {
        let Some(key) = self.periods.key(&self.inner, row)? else {
            return Ok(None);
        };
        let plain = row
            .sealed
            .open(&key)
            .map_err(|_| StoreError::Damaged("a log event does not open"))?;
        Ok(Some(Event::from_json(&plain)?))
    }
}

/// How an entry is found from its begin on.
struct Filed {
    id: Uuid,
    millis: i64,
    prefixes: Vec<(u8, [u8; keys::INDEX_TAG])>,
}

impl Filed {
    fn of(inner: &Inner, entry: &Entry) -> Self {
        Self {
            id: entry.id,
            millis: entry.started.as_millisecond(),
            prefixes: search::prefixes(inner, entry),
        }
    }

    fn open(&self, draft: &mut Draft<'_>, index: u64) -> [u8; keys::PLACE] {
        let place = keys::place(self.millis, index);
        for prefix in &self.prefixes {
            draft.index(at(*prefix, place));
        }
        place
    }
}

fn at((field, tag): (u8, [u8; keys::INDEX_TAG]), place: [u8; keys::PLACE]) -> [u8; keys::INDEX_PREFIX + keys::PLACE] {
    keys::indexed(field, tag, place)
}

/// Draws from an amount, or refuses: the row that it becomes. Accounts of one entry differ.
fn draw(inner: &Inner, draft: &Draft<'_>, quota: &Quota) -> Result<([u8; keys::TAG + 4], Vec<u8>), StoreError> {
    let key = keys::quota(inner.keys.tag(b"quota", &quota.account.0), quota.period);
    let used = match draft.get(Cf::Quota, &key)? {
        None => 0,
        Some(sealed) => parse_index(&inner.keys.log().open(Cf::Quota, &key, &sealed)?)?,
    };
    match used.checked_add(quota.amount) {
        Some(total) if total <= quota.limit => {
            let sealed = inner.keys.log().seal(Cf::Quota, &key, &total.to_be_bytes())?;
            Ok((key, sealed))
        }
        _ => Err(StoreError::QuotaExceeded {
            name: quota.name,
            limit: quota.limit,
            used,
        }),
    }
}

fn parse_index(bytes: &[u8]) -> Result<u64, StoreError> {
    Ok(u64::from_be_bytes(
        bytes
            .try_into()
            .map_err(|_| StoreError::Damaged("a number has another length"))?,
    ))
}
