//! Finding entries by what they say, newest first, from indexes.
//!
//! Each index has the entries with one value of one field in the order of their begin. Several fields are met by going down their indexes
//! side by side: what is read is about the shortest of them, whatever the size of the log.

use jiff::Timestamp;
use overlap_audit::{Entry, Logged, Outcome, Side};
use rocksdb::DBRawIterator;
use uuid::Uuid;

use super::Log;
use crate::{
    Inner, StoreError,
    keys::{self, Cf, INDEX_PREFIX, INDEX_TAG, PLACE},
};

/// Which entries to read.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Begun at this time or later.
    pub from: Option<Timestamp>,
    /// Begun before this time.
    pub until: Option<Timestamp>,
    /// Of this query.
    pub transaction: Option<Uuid>,
    /// With this agency, by its id.
    pub peer: Option<String>,
    /// Asked by this person.
    pub person: Option<String>,
    /// For this purpose.
    pub purpose: Option<String>,
    /// For this case.
    pub case_reference: Option<String>,
    /// That stand so.
    pub outcome: Option<Outcome>,
    /// Only what comes after this place of an earlier page.
    pub after: Option<LogPlace>,
}

/// Where an entry stands in the order of begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPlace {
    /// Begin, milliseconds since 1970.
    pub millis: i64,
    /// Index of the opening.
    pub index: u64,
}

/// What entries are found by; the discriminants are on disk.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Field {
    All = 0,
    Peer = 1,
    Person = 2,
    Purpose = 3,
    Case = 4,
    Outcome = 5,
    /// The transaction id, where the entry was denied for using one again.
    Again = 6,
}

/// The prefix of an index: field and tag of the value.
type Prefix = (u8, [u8; INDEX_TAG]);

/// The indexes that an entry stands in from its begin on, without that of its outcome.
pub(super) fn prefixes(inner: &Inner, entry: &Entry) -> Vec<Prefix> {
    let fields = [
        (Field::Person, entry.person.as_deref()),
        (Field::Purpose, entry.purpose.as_deref()),
        (Field::Case, entry.case_reference.as_deref()),
    ];
    let others = entry.others().map(|other| (Field::Peer, Some(other.as_str())));
    let named = fields
        .into_iter()
        .chain(others)
        .filter_map(|(field, value)| Some(prefix(inner, field, value?)));
    [(Field::All as u8, [0; INDEX_TAG])].into_iter().chain(named).collect()
}

/// The index of an outcome.
pub(super) fn outcome(inner: &Inner, outcome: Outcome) -> Prefix {
    prefix(inner, Field::Outcome, outcome.name())
}

/// The index of entries that were denied for using a transaction id again.
pub(super) fn again(inner: &Inner, transaction: Uuid) -> Prefix {
    prefix(inner, Field::Again, &transaction.to_string())
}

fn prefix(inner: &Inner, field: Field, value: &str) -> Prefix {
    let mut tag = [0; INDEX_TAG];
    tag.copy_from_slice(
        &inner
            .keys
            .tag(&[b"log-index", &[field as u8][..]].concat(), value.as_bytes())[..INDEX_TAG],
    );
    (field as u8, tag)
}

impl LogPlace {
    const LAST: Self = Self {
        millis: i64::MAX,
        index: u64::MAX,
    };

    pub(super) fn of(entry: &Entry, index: u64) -> Self {
        Self {
            millis: entry.started.as_millisecond(),
            index,
        }
    }

    pub(super) fn to_bytes(self) -> [u8; PLACE] {
        keys::place(self.millis, self.index)
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (millis, index) = keys::parse_place(bytes)?;
        Some(Self { millis, index })
    }

    /// The place just before.
    fn before(self) -> Option<Self> {
        match self.index.checked_sub(1) {
            Some(index) => Some(Self { index, ..self }),
            None => Some(Self {
                millis: self.millis.checked_sub(1)?,
                index: u64::MAX,
            }),
        }
    }
}

impl Log {
    /// Entries by begin, the newest first, at most `limit`, each with its place; shredded ones are found no more.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Damaged`], [`StoreError::Event`].
    pub fn search(&self, search: &Search, limit: usize) -> Result<Vec<(LogPlace, Logged)>, StoreError> {
        let inner = &self.inner;
        if let Some(few) = self.few(search)? {
            return few_of(few, search, limit);
        }
        let mut wanted = search.prefixes(inner);
        if wanted.is_empty() {
            wanted.push((Field::All as u8, [0; INDEX_TAG]));
        }
        let mut cursors = wanted
            .into_iter()
            .map(|(field, tag)| Cursor::open(inner, field, tag))
            .collect::<Result<Vec<_>, _>>()?;
        let from = search.from.map_or(i64::MIN, Timestamp::as_millisecond);
        let mut found = Vec::new();
        let mut bound = search.start();
        while let Some(most) = bound
            && found.len() < limit
        {
            let Some(place) = meet(&mut cursors, most)? else {
                break;
            };
            if place.millis < from {
                break;
            }
            if let Some(logged) = self.at(place.index)? {
                found.push((place, logged));
            }
            bound = place.before();
        }
        Ok(found)
    }
}

impl Log {
    /// The entries of a search that can be only few: of one query, or without an end.
    fn few(&self, search: &Search) -> Result<Option<Vec<Logged>>, StoreError> {
        let ids: Vec<Uuid> = match (search.transaction, search.outcome) {
            (Some(transaction), _) => {
                let sides = Side::ALL.iter().map(|side| self.entry_of(*side, transaction));
                let mut ids = sides.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()?;
                let (field, tag) = again(&self.inner, transaction);
                let mut cursor = Cursor::open(&self.inner, field, tag)?;
                let mut bound = Some(LogPlace::LAST);
                while let Some(most) = bound
                    && let Some(place) = cursor.last_until(most)?
                {
                    ids.extend(self.at(place.index)?.map(|logged| logged.entry.id));
                    bound = place.before();
                }
                ids
            }
            (None, Some(Outcome::Admitted)) => self.open_entries()?.iter().map(|entry| entry.id).collect(),
            _ => return Ok(None),
        };
        let entries = ids.into_iter().filter_map(|id| match self.entry(id) {
            Err(StoreError::Shredded) => None,
            entry => entry.transpose(),
        });
        entries.collect::<Result<_, _>>().map(Some)
    }
}

/// A look at each of few entries.
fn few_of(mut few: Vec<Logged>, search: &Search, limit: usize) -> Result<Vec<(LogPlace, Logged)>, StoreError> {
    let start = search.start();
    few.retain(|logged| search.fits(logged) && Some(LogPlace::of(&logged.entry, logged.index)) <= start);
    few.sort_by_key(|logged| std::cmp::Reverse(LogPlace::of(&logged.entry, logged.index)));
    few.truncate(limit);
    let placed = few
        .into_iter()
        .map(|logged| (LogPlace::of(&logged.entry, logged.index), logged));
    Ok(placed.collect())
}

impl Search {
    /// Whether it looks for this entry, by what stands in it; pages apart.
    fn fits(&self, logged: &Logged) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        let entry = &logged.entry;
        self.from.is_none_or(|from| entry.started >= from)
            && self.until.is_none_or(|until| entry.started < until)
            && is(self.transaction.as_ref(), Some(&entry.transaction))
            && self
                .peer
                .as_ref()
                .is_none_or(|peer| entry.others().any(|other| other == peer))
            && is(self.person.as_ref(), entry.person.as_ref())
            && is(self.purpose.as_ref(), entry.purpose.as_ref())
            && is(self.case_reference.as_ref(), entry.case_reference.as_ref())
            && self.outcome.is_none_or(|outcome| outcome == logged.outcome())
    }

    fn prefixes(&self, inner: &Inner) -> Vec<Prefix> {
        let fields = [
            (Field::Case, self.case_reference.as_deref()),
            (Field::Person, self.person.as_deref()),
            (Field::Purpose, self.purpose.as_deref()),
            (Field::Peer, self.peer.as_deref()),
            (
                Field::Outcome,
                self.outcome
                    .filter(|outcome| *outcome != Outcome::Admitted)
                    .map(Outcome::name),
            ),
        ];
        fields
            .into_iter()
            .filter_map(|(field, value)| Some(prefix(inner, field, value?)))
            .collect()
    }

    /// The last place that may be found.
    fn start(&self) -> Option<LogPlace> {
        let newest = match self.until {
            None => Some(LogPlace::LAST),
            Some(until) => LogPlace {
                millis: until.as_millisecond(),
                index: 0,
            }
            .before(),
        };
        match self.after {
            None => newest,
            Some(after) => newest.min(after.before()),
        }
    }
}

/// The last place, not after `most`, that every index has.
fn meet(cursors: &mut [Cursor<'_>], most: LogPlace) -> Result<Option<LogPlace>, StoreError> {
    let mut place = most;
    loop {
        let before = place;
        for cursor in cursors.iter_mut() {
            match cursor.last_until(place)? {
                None => return Ok(None),
                Some(found) => place = found,
            }
        }
        // the first index has moved nobody on: all stand there
        if place == before || cursors.len() == 1 {
            return Ok(Some(place));
        }
    }
}

/// One index.
struct Cursor<'a> {
    rows: DBRawIterator<'a>,
    prefix: [u8; INDEX_PREFIX],
}

impl<'a> Cursor<'a> {
    fn open(inner: &'a Inner, field: u8, tag: [u8; INDEX_TAG]) -> Result<Self, StoreError> {
        let mut prefix = [field; INDEX_PREFIX];
        prefix[1..].copy_from_slice(&tag);
        Ok(Self {
            rows: inner.db.raw_iterator_cf(inner.cf(Cf::LogIndex)?),
            prefix,
        })
    }

    fn last_until(&mut self, place: LogPlace) -> Result<Option<LogPlace>, StoreError> {
        self.rows.seek_for_prev([&self.prefix[..], &place.to_bytes()].concat());
        self.rows.status()?;
        let place = self.rows.key().and_then(|key| key.strip_prefix(&self.prefix));
        Ok(place.and_then(LogPlace::parse))
    }
}
