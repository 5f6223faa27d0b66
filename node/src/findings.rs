//! From matched items to what a user sees: hits on numbered identifiers, and candidates among persons.

use std::collections::{HashMap, HashSet};

use jiff::{Timestamp, civil::Date};
use overlap_audit::{Digest, Side, Standing};
use overlap_proto::follow_up::PartlyVisible;
use overlap_psi::dh::Label;
use overlap_records::{Agreed, Identifier, Kind, Record, Sizes};
use overlap_store::{Dataset, FollowUp, FoundRecord, Place, Selection, Store, StoreError};
use uuid::Uuid;

use crate::{
    error::NodeError,
    policy,
    session::{
        held_record,
        labels::{Handle, handles},
        own_records,
    },
    spine::Opened,
};

/// What a match in mode `hits` found.
pub(crate) struct Findings {
    /// Where numbered identifiers are that matched.
    pub(crate) hits: Vec<Place>,
    /// The best first.
    pub(crate) candidates: Vec<Candidate>,
}

/// A person of the own set that may be one of the peer's.
pub(crate) struct Candidate {
    /// The own record.
    pub(crate) record: u32,
    /// The own person.
    pub(crate) person: Identifier,
    /// The peer's record.
    pub(crate) peer_record: Handle,
    pub(crate) score: f64,
    /// Indexes of the match keys that agreed, ascending.
    pub(crate) keys: Vec<u16>,
}

/// The query that found it.
pub(crate) struct About {
    transaction: Uuid,
    found: Timestamp,
    peer: String,
    agreement: Digest,
    purpose: String,
    case_reference: String,
}

/// An item that an own record and one of the peer's hold both.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Shared {
    record: u32,
    handle: Handle,
    /// Index among the places of persons.
    place: u32,
    /// How many records the label named.
    peer: u32,
}

/// Most items of persons shared by pairs of records: 2^24, which take 384 MiB. A peer that labels every item with records of its own
/// making gets no further.
const MOST_SHARED: usize = 1 << 24;

/// Tells numbered identifiers from persons, and scores the latter: per pair of an own record and one of the peer's, by all the keys on
/// which they agree. `matched` ascends by position.
pub(crate) fn find(
    dataset: &Dataset,
    selection: &Selection,
    matched: &[(u32, Option<Label>)],
    peer_size: u64,
) -> Result<Findings, NodeError> {
    let positions: Vec<u32> = matched.iter().map(|(position, _)| *position).collect();
    let (mut hits, mut persons, mut shared) = (Vec::new(), Vec::new(), Vec::new());
    for (place, (_, label)) in dataset.places(selection, &positions).zip(matched) {
        let place = place?;
        if !is_person(selection, &place) {
            hits.push(place);
            continue;
        }
        let label = label.unwrap_or_default();
        let at = u32::try_from(persons.len()).map_err(|_| too_many())?;
        let peer = u32::try_from(handles(&label).count()).unwrap_or(u32::MAX);
        for record in place.records.iter().copied() {
            shared.extend(handles(&label).map(|handle| Shared {
                record,
                handle,
                place: at,
                peer,
            }));
        }
        if shared.len() > MOST_SHARED {
            return Err(too_many());
        }
        persons.push(place);
    }
    shared.sort_unstable();
    let sizes = Sizes {
        own: dataset.info().records,
        peer: peer_size,
    };
    let mut candidates = Vec::new();
    for of_record in shared.chunk_by(|one, other| one.record == other.record) {
        let Some(Shared { record: number, .. }) = of_record.first() else {
            continue;
        };
        let record = dataset.record(*number)?;
        let known = record.identifiers.iter().filter(|one| one.kind() == Kind::Person);
        let known: Vec<_> = known.map(|one| (one, dataset.items_of(selection, one))).collect();
        for of_pair in of_record.chunk_by(|one, other| one.handle == other.handle) {
            // a record may know its subject by several names, each with items of its own: the one that fits best counts
            let scored = known.iter().map(|(person, items)| {
                let agreed = of_pair.iter().filter_map(|shared| {
                    let place = persons.get(shared.place as usize).filter(|place| items.hold(place))?;
                    Some(Agreed {
                        key: place.key,
                        own: u32::try_from(place.records.len()).unwrap_or(u32::MAX),
                        peer: shared.peer,
                    })
                });
                let agreed = rarest(agreed.collect());
                let score = selection.profile().score(person, &agreed, sizes);
                (*person, agreed, score)
            });
            let best = scored.max_by(|(.., one), (.., other)| one.total_cmp(other));
            if let (Some((person, agreed, score)), Some(shared)) = (best, of_pair.first())
                && !agreed.is_empty()
                && score >= selection.profile().threshold()
            {
                candidates.push(Candidate {
                    record: *number,
                    person: person.clone(),
                    peer_record: shared.handle,
                    score,
                    keys: agreed.iter().map(|agreed| agreed.key).collect(),
                });
            }
        }
    }
    candidates.sort_by(|one, other| other.score.total_cmp(&one.score));
    Ok(Findings { hits, candidates })
}

fn too_many() -> NodeError {
    let message = format!("more than {MOST_SHARED} items are shared by pairs of records: ask with fewer persons");
    NodeError::limit("shared_items", message)
}

/// Each match key once, by its rarest item: one key can agree by several.
fn rarest(mut agreed: Vec<Agreed>) -> Vec<Agreed> {
    agreed.sort_unstable_by_key(|one| (one.key, u64::from(one.own) * u64::from(one.peer)));
    agreed.dedup_by_key(|one| one.key);
    agreed
}

fn is_person(selection: &Selection, place: &Place) -> bool {
    let key = selection.profile().keys().get(usize::from(place.key));
    key.is_some_and(|key| key.kind() == Kind::Person)
}

/// Who keeps a hit, and who knows of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Found by an own query.
    Asker,
    /// Of an own record that a peer asked about, which does not know.
    Holder,
    /// The same, and the peer told of it.
    Both,
}

/// What an asker says it found, as far as this holder has it: kept once the log is closed. Returns how many are not held here beside that.
pub(crate) fn told_by_asker(
    about: &About,
    dataset: &Dataset,
    selection: &Selection,
    hits: &[Identifier],
    asked: u64,
) -> Result<(Vec<FoundRecord>, u64), NodeError> {
    let (mut found, mut unknown) = (Vec::new(), 0);
    for identifier in hits {
        let records = own_records(dataset, selection, identifier, Some(asked))?;
        unknown += u64::from(records.is_empty());
        let (kind, canonical) = (identifier.kind(), identifier.canonical());
        let row = |record: &Record| about.row(dataset, kind, canonical, None, record, Known::Both);
        found.extend(records.iter().map(row));
    }
    Ok((found, unknown))
}

impl Findings {
    /// What to tell a holder of them, each identifier once.
    pub(crate) fn identifiers(&self, dataset: &Dataset, selection: &Selection) -> Result<Vec<Identifier>, StoreError> {
        let mut all = Vec::with_capacity(self.hits.len());
        for place in &self.hits {
            all.push(dataset.hit(selection, place)?.identifier);
        }
        all.extend(self.candidates.iter().map(|candidate| candidate.person.clone()));
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }
}

/// Hidden records of this holder that a query asked about.
pub(crate) struct Noticed {
    pub(crate) dataset: Dataset,
    pub(crate) selection: Selection,
    /// Positions among the elements of the selection, ascending.
    pub(crate) positions: Vec<u32>,
    pub(crate) about: About,
}

impl Noticed {
    /// Keeps them. Called once the asker has its answer: what is written here must not tell it anything, not by its time either.
    pub(crate) fn keep(&self, store: &Store, today: Date) -> Result<(), StoreError> {
        let mut found = Vec::new();
        for place in self.dataset.places(&self.selection, &self.positions) {
            let hit = self.dataset.hit(&self.selection, &place?)?;
            let (kind, canonical) = (hit.identifier.kind(), hit.identifier.canonical());
            let living = hit.records.iter().filter(|record| !record.has_expired(today));
            found.extend(living.map(|record| {
                self.about
                    .row(&self.dataset, kind, canonical, None, record, Known::Holder)
            }));
        }
        store.keep_hits(&found, today)
    }
}

/// A hit of which its asker is shown the kind alone, as the asker keeps it.
pub(crate) fn partly(opened: &Opened, hit: PartlyVisible, now: Timestamp) -> FollowUp {
    let dataset = opened.entry().dataset.clone();
    FollowUp {
        id: hit.id,
        kind: hit.kind,
        ..unasked(opened, dataset.unwrap_or_default(), now)
    }
}

/// Hits on records of class `c`, as their holder keeps them: each waits for a decision, without that the asker has to name it. Where one by
/// the same identifier waits already, that one goes on. `fresh` is what [`unasked`] says of the match.
pub(crate) fn partly_held(
    fresh: FollowUp,
    store: &Store,
    dataset: &Dataset,
    selection: &Selection,
    positions: &[u32],
) -> Result<Vec<FollowUp>, StoreError> {
    if positions.is_empty() {
        return Ok(Vec::new());
    }
    let mut waiting = HashMap::new();
    for row in store.follow_ups().iter()? {
        let row = row?;
        // one that was asked for something else is decided on by itself, and so is one of a picture
        let told_by = |row: &FollowUp| {
            let FollowUp {
                peer,
                dataset,
                agreement,
                purpose,
                case_reference,
                person,
                ..
            } = row;
            let texts = [peer, dataset, purpose, case_reference, person];
            (texts.map(String::clone), *agreement)
        };
        let is_same = row.as_holder && row.partly && told_by(&row) == told_by(&fresh);
        if is_same && row.standing(fresh.made) == Standing::Pending && is_of_match(store, &row)? {
            waiting.insert((row.kind, row.canonical.clone()), row);
        }
    }
    let mut found = Vec::with_capacity(positions.len());
    for place in dataset.places(selection, positions) {
        let hit = dataset.hit(selection, &place?)?;
        let (kind, canonical) = (hit.identifier.kind(), Some(hit.identifier.canonical().to_owned()));
        let known = waiting.remove(&(kind, canonical.clone()));
        found.push(FollowUp {
            about: fresh.about,
            records: hit.records.iter().map(held_record).collect(),
            expires: hit.records.iter().filter_map(|record| record.expires).min(),
            ..known.unwrap_or_else(|| FollowUp {
                id: Uuid::new_v4(),
                kind,
                canonical,
                as_holder: true,
                ..fresh.clone()
            })
        });
    }
    Ok(found)
}

/// Whether what is followed up was found by a match of two.
fn is_of_match(store: &Store, row: &FollowUp) -> Result<bool, StoreError> {
    let log = store.log();
    let Some(id) = log.entry_of(Side::Holder, row.about)? else {
        return Ok(false);
    };
    match log.entry(id) {
        Ok(logged) => Ok(logged.is_some_and(|logged| logged.entry.participants.is_empty())),
        Err(StoreError::Shredded) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What a match says of a hit that nobody has asked about.
pub(crate) fn unasked(opened: &Opened, dataset: String, now: Timestamp) -> FollowUp {
    let terms = opened.terms();
    let open = &terms.opening;
    FollowUp {
        id: Uuid::nil(),
        about: open.transaction,
        as_holder: false,
        peer: terms.peer.name.clone(),
        agreement: open.agreement_hash,
        dataset,
        purpose: open.purpose.clone(),
        case_reference: open.case_reference.clone(),
        person: open.person.clone(),
        role: open.role.clone(),
        reason: open.reason.clone(),
        made: now,
        decide_by: policy::decide_by(&terms.grant, now),
        kind: Kind::Phone,
        partly: true,
        canonical: None,
        records: Vec::new(),
        expires: None,
        decision: None,
        attachment: None,
        disclosed: Vec::new(),
    }
}

impl About {
    fn row(
        &self,
        dataset: &Dataset,
        kind: Kind,
        canonical: &str,
        score: Option<f64>,
        record: &Record,
        known: Known,
    ) -> FoundRecord {
        FoundRecord {
            transaction: self.transaction,
            found: self.found,
            peer: self.peer.clone(),
            agreement: self.agreement,
            dataset: dataset.info().name.clone(),
            purpose: self.purpose.clone(),
            case_reference: self.case_reference.clone(),
            as_holder: known != Known::Asker,
            by_both: known != Known::Holder,
            kind,
            canonical: canonical.to_owned(),
            score,
            reference: record.reference.clone(),
            role: record.role,
            origin: record.origin.clone(),
            expires: record.expires,
        }
    }

    pub(crate) fn of(opened: &Opened, found: Timestamp) -> Self {
        let terms = opened.terms();
        Self {
            transaction: opened.entry().transaction,
            found,
            peer: terms.peer.name.clone(),
            agreement: terms.opening.agreement_hash,
            purpose: terms.opening.purpose.clone(),
            case_reference: terms.opening.case_reference.clone(),
        }
    }
}

impl Findings {
    /// Keeps what was found, one row per own record and identifier. Called once the log is closed: what no entry tells is not kept.
    pub(crate) fn keep(
        &self,
        store: &Store,
        dataset: &Dataset,
        selection: &Selection,
        about: &About,
        today: Date,
    ) -> Result<(), StoreError> {
        const TOGETHER: usize = 4096;
        let row = |kind, canonical: &str, score, record: &Record| {
            about.row(dataset, kind, canonical, score, record, Known::Asker)
        };
        let mut batch = Vec::new();
        let flush = |batch: &mut Vec<FoundRecord>, least: usize| {
            if batch.len() >= least {
                store.keep_hits(batch, today)?;
                batch.clear();
            }
            Ok::<(), StoreError>(())
        };
        for place in &self.hits {
            let hit = dataset.hit(selection, place)?;
            let (kind, canonical) = (hit.identifier.kind(), hit.identifier.canonical());
            batch.extend(hit.records.iter().map(|record| row(kind, canonical, None, record)));
            flush(&mut batch, TOGETHER)?;
        }
        // the best of each own record: they are in that order
        let mut seen = HashSet::new();
        for candidate in self.candidates.iter().filter(|one| seen.insert(one.record)) {
            let record = dataset.record(candidate.record)?;
            let canonical = candidate.person.canonical();
            batch.push(row(Kind::Person, canonical, Some(candidate.score), &record));
            flush(&mut batch, TOGETHER)?;
        }
        flush(&mut batch, 1)
    }
}
