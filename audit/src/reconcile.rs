//! Two agencies' logs held against each other: every query in one has its twin in the other, and both tell the same story.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::BufRead,
};

use serde::Serialize;
use uuid::Uuid;

use crate::{
    Anchors, Closing, Digest, Entry, ExportError, ExportReader, Logged, Outcome, Receipt, Report, Side, Visitor, verify,
};

/// Most discrepancies that are told with their fields.
const MOST_TOLD: usize = 1000;

/// What comes of holding two logs against each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reconciled {
    /// What is to say of each log by itself.
    pub logs: [Report; 2],
    /// Queries between the two that both logs have, and agree on.
    pub agreed: u64,
    /// Queries on which they do not.
    pub discrepancies: Vec<Discrepancy>,
    /// Discrepancies beyond those that are told.
    pub more_discrepancies: u64,
    /// Receipts of the one whose leaves stand in the other.
    pub receipts_held: u64,
    /// Queries that may never have arrived, or have no end yet; they prove nothing.
    pub remarks: Vec<String>,
}

/// A query on which two logs do not agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Discrepancy {
    /// The query.
    pub transaction: Uuid,
    /// Indexes of the entry in the first and the second log; none where it is missing.
    pub indexes: [Option<u64>; 2],
    /// What is wrong.
    pub what: String,
    /// The fields that differ.
    pub fields: Vec<FieldDifference>,
}

/// A field on which two entries of one query differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldDifference {
    /// Its name.
    pub field: &'static str,
    /// What the first and the second log have.
    pub values: [Option<String>; 2],
}

impl Reconciled {
    /// Whether both logs are whole and agree.
    pub fn is_agreed(&self) -> bool {
        self.logs.iter().all(Report::is_whole) && self.discrepancies.is_empty() && self.more_discrepancies == 0
    }

    fn discrepancy(&mut self, found: Discrepancy) {
        match self.discrepancies.len() < MOST_TOLD {
            true => self.discrepancies.push(found),
            false => self.more_discrepancies += 1,
        }
    }
}

/// Holds two exports against each other. `open` opens the first (0) or the second (1), each two times.
///
/// Memory: about 100 bytes per query between the two.
///
/// # Errors
/// [`ExportError`] of [`verify`].
pub fn reconcile<R: BufRead>(
    open: impl Fn(usize) -> Result<ExportReader<R>, ExportError>,
    anchors: [&Anchors; 2],
) -> Result<Reconciled, ExportError> {
    let agencies = [open(0)?, open(1)?].map(|export| export.header().agency.clone());
    let mut first = Telling::new(&agencies, 0, HashMap::new());
    let report_first = verify(open(0)?, anchors[0], &mut first)?;
    let mut second = Telling::new(&agencies, 1, std::mem::take(&mut first.receipts));
    let report_second = verify(open(1)?, anchors[1], &mut second)?;
    let mut reconciled = Reconciled {
        logs: [report_first, report_second],
        agreed: 0,
        discrepancies: Vec::new(),
        more_discrepancies: 0,
        receipts_held: 0,
        remarks: Vec::new(),
    };
    if agencies[0] == agencies[1] {
        reconciled
            .remarks
            .push("both files are the log of one agency: there is nothing to hold against each other".to_owned());
        return Ok(reconciled);
    }

    let wanted: BTreeSet<Uuid> = {
        let all = first.queries.keys().chain(second.queries.keys());
        let differs = |id: &&Uuid| match (first.queries.get(*id), second.queries.get(*id)) {
            (Some(one), Some(other)) => !(one.is_plain && other.is_plain && one.story == other.story),
            _ => true,
        };
        all.filter(differs).copied().collect()
    };
    let paired = first
        .queries
        .keys()
        .filter(|id| second.queries.contains_key(*id))
        .count() as u64;
    let mut entries = [Chosen::new(&wanted), Chosen::new(&wanted)];
    // the first log's leaves are held against the second's receipts on the way
    let mut again = (&mut entries[0], Leaves::new(std::mem::take(&mut second.receipts)));
    verify(open(0)?, anchors[0], &mut again)?;
    let leaves = [again.1, second.leaves];
    if !wanted.is_empty() {
        verify(open(1)?, anchors[1], &mut entries[1])?;
    }
    for (at, leaves) in leaves.into_iter().enumerate() {
        reconciled.receipts_held += leaves.held;
        for (index, transaction) in leaves.wrong() {
            let mut indexes = [None; 2];
            indexes[at] = Some(index);
            reconciled.discrepancy(Discrepancy {
                transaction,
                indexes,
                what: format!(
                    "{} gave a receipt for event {index}, and its log now has another event there, or none",
                    agencies[at]
                ),
                fields: Vec::new(),
            });
        }
    }
    let [Chosen { found: ones, .. }, Chosen { found: others, .. }] = entries;
    let mut differing = 0;
    for id in &wanted {
        let pair = [ones.get(id), others.get(id)];
        let differs = told(&mut reconciled, *id, pair, &agencies);
        differing += u64::from(differs && pair.iter().all(Option::is_some));
    }
    reconciled.agreed = paired - differing;
    Ok(reconciled)
}

/// What one log says of the queries between the two.
struct Telling<'a> {
    agencies: &'a [String; 2],
    own: usize,
    queries: HashMap<Uuid, Query>,
    /// Receipts of the other log, by its indexes.
    receipts: HashMap<u64, (Digest, Uuid)>,
    leaves: Leaves,
}

struct Query {
    /// A digest over the fields that both sides must have alike.
    story: [u8; 16],
    /// Whether both sides have to have every field.
    is_plain: bool,
}

impl<'a> Telling<'a> {
    fn new(agencies: &'a [String; 2], own: usize, of_the_other: HashMap<u64, (Digest, Uuid)>) -> Self {
        Self {
            agencies,
            own,
            queries: HashMap::new(),
            receipts: HashMap::new(),
            leaves: Leaves::new(of_the_other),
        }
    }
}

impl Visitor for Telling<'_> {
    fn leaf(&mut self, index: u64, leaf: &Digest) {
        self.leaves.leaf(index, leaf);
    }

    fn entry(&mut self, logged: Logged) {
        if !is_between(&logged.entry, self.agencies) {
            return;
        }
        let text: String = story(&logged)
            .into_iter()
            .map(|(field, value)| format!("{field}={}\n", value.unwrap_or_default()))
            .collect();
        let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let mut story = [0; 16];
        story.copy_from_slice(hash.as_ref().get(..16).unwrap_or(&[0; 16]));
        let is_plain = matches!(logged.outcome(), Outcome::Hit | Outcome::NoHit | Outcome::Done);
        self.queries.insert(logged.entry.transaction, Query { story, is_plain });
    }

    fn receipt(&mut self, receipt: Receipt) {
        let other = crate::log_name(&self.agencies[1 - self.own]);
        if receipt.origin == other {
            for (index, leaf) in [receipt.opened, receipt.closed] {
                self.receipts.insert(index, (leaf, receipt.transaction));
            }
        }
    }
}

/// Receipts, met by the leaves that they are for.
#[derive(Default)]
struct Leaves {
    wanted: HashMap<u64, (Digest, Uuid)>,
    wrong: BTreeMap<u64, Uuid>,
    held: u64,
}

impl Leaves {
    fn new(wanted: HashMap<u64, (Digest, Uuid)>) -> Self {
        Self {
            wanted,
            ..Self::default()
        }
    }

    /// What was met by another leaf, and what by none.
    fn wrong(mut self) -> BTreeMap<u64, Uuid> {
        let missing = self
            .wanted
            .into_iter()
            .map(|(index, (_, transaction))| (index, transaction));
        self.wrong.extend(missing);
        self.wrong
    }
}

impl Visitor for Leaves {
    fn leaf(&mut self, index: u64, leaf: &Digest) {
        if let Some((wanted, transaction)) = self.wanted.remove(&index) {
            match wanted == *leaf {
                true => self.held += 1,
                false => drop(self.wrong.insert(index, transaction)),
            }
        }
    }
}

/// The entries of some queries.
struct Chosen<'a> {
    wanted: &'a BTreeSet<Uuid>,
    found: BTreeMap<Uuid, Logged>,
}

impl<'a> Chosen<'a> {
    fn new(wanted: &'a BTreeSet<Uuid>) -> Self {
        Self {
            wanted,
            found: BTreeMap::new(),
        }
    }
}

impl Visitor for Chosen<'_> {
    fn entry(&mut self, logged: Logged) {
        // the rest is counted, and told without its fields
        if self.wanted.contains(&logged.entry.transaction) && is_query(&logged.entry) {
            self.found.insert(logged.entry.transaction, logged);
        }
    }
}

impl Visitor for (&mut Chosen<'_>, Leaves) {
    fn leaf(&mut self, index: u64, leaf: &Digest) {
        self.1.leaf(index, leaf);
    }

    fn entry(&mut self, logged: Logged) {
        self.0.entry(logged);
    }
}

/// A query that names what it wants: a call that never came to that has no twin.
fn is_query(entry: &Entry) -> bool {
    entry.purpose.is_some() && entry.asker.is_some() && entry.holder.is_some()
}

fn is_between(entry: &Entry, agencies: &[String; 2]) -> bool {
    let has = |agency: &String| entry.asker.as_ref() == Some(agency) || entry.holder.as_ref() == Some(agency);
    is_query(entry) && agencies.iter().all(has)
}

/// The fields that both sides of a query must have alike.
fn story(logged: &Logged) -> Vec<(&'static str, Option<String>)> {
    let entry = &logged.entry;
    let list = |list: &[String]| Some(list.join(", "));
    let digest = |digest: &Option<Digest>| digest.map(|digest| digest.to_string());
    vec![
        ("operation", Some(entry.operation.to_string())),
        ("purpose", entry.purpose.clone()),
        ("regime", entry.regime.clone()),
        ("article", entry.article.clone()),
        ("case_reference", entry.case_reference.clone()),
        ("reason", entry.reason.clone()),
        ("person", entry.person.clone()),
        ("role", entry.role.clone()),
        ("order", entry.order.clone()),
        ("asker", entry.asker.clone()),
        ("holder", entry.holder.clone()),
        ("recipients", list(&entry.recipients)),
        ("country", entry.country.clone()),
        ("kinds", list(&entry.kinds)),
        ("mode", entry.mode.clone()),
        ("protocol", entry.protocol.clone()),
        ("input_count", entry.input_count.map(|count| count.to_string())),
        ("input_commitment", digest(&entry.input_commitment)),
        ("agreement", entry.agreement.clone()),
        ("agreement_hash", digest(&entry.agreement_hash)),
        ("trace", entry.trace.clone()),
    ]
}

/// Tells what is wrong with a pair; false if nothing is.
fn told(reconciled: &mut Reconciled, transaction: Uuid, pair: [Option<&Logged>; 2], agencies: &[String; 2]) -> bool {
    let indexes = pair.map(|logged| logged.map(|logged| logged.index));
    let (asker, holder) = match pair {
        [Some(one), Some(other)] => match (one.entry.side, other.entry.side) {
            (Side::Asker, Side::Holder) => (one, other),
            (Side::Holder, Side::Asker) => (other, one),
            _ => {
                reconciled.discrepancy(Discrepancy {
                    transaction,
                    indexes,
                    what: "both logs say that they were on the same side".to_owned(),
                    fields: Vec::new(),
                });
                return true;
            }
        },
        [Some(alone), None] => return lonely(reconciled, transaction, indexes, alone, &agencies[1]),
        [None, Some(alone)] => return lonely(reconciled, transaction, indexes, alone, &agencies[0]),
        [None, None] => return false,
    };
    let mut fields = Vec::new();
    let stories = pair.map(|logged| logged.map(story).unwrap_or_default());
    let may_lack = pair.map(|logged| logged.is_some_and(|logged| logged.outcome() == Outcome::Denied));
    for ((field, one), (_, other)) in stories[0].iter().zip(&stories[1]) {
        let lacks = |value: &Option<String>| value.as_ref().is_none_or(String::is_empty);
        let excused = (lacks(one) && may_lack[0]) || (lacks(other) && may_lack[1]);
        if one != other && !excused {
            fields.push(FieldDifference {
                field,
                values: [one.clone(), other.clone()],
            });
        }
    }
    let asker_is_first = pair[0].is_some_and(|one| one.entry.side == Side::Asker);
    counts(asker, holder, asker_is_first, &mut fields);
    let (outcome, twin) = (asker.outcome(), holder.outcome());
    let fits = match (outcome, twin) {
        (Outcome::Admitted, _) | (_, Outcome::Admitted) => {
            reconciled
                .remarks
                .push(format!("query {transaction} has no end yet in one of the logs"));
            true
        }
        (Outcome::Hit | Outcome::NoHit, twin) => twin == Outcome::Done,
        (Outcome::Denied | Outcome::Error | Outcome::Interrupted, _) => true,
        _ => false,
    };
    if fits && fields.is_empty() {
        return false;
    }
    let what = match fits {
        true => "the logs differ".to_owned(),
        false => format!("the asker's log says {outcome}, the holder's {twin}"),
    };
    reconciled.discrepancy(Discrepancy {
        transaction,
        indexes,
        what,
        fields,
    });
    true
}

/// How many were asked, and how many given.
fn counts(asker: &Logged, holder: &Logged, asker_is_first: bool, fields: &mut Vec<FieldDifference>) {
    let of = |logged: &Logged, read: fn(&Closing) -> Option<u64>| logged.closing.as_ref().and_then(read);
    let completed = matches!(asker.outcome(), Outcome::Hit | Outcome::NoHit);
    let pairs = [
        (
            "input_count",
            asker.entry.input_count,
            of(holder, |closing| closing.peer_count),
        ),
        (
            "items of the holder",
            of(asker, |closing| closing.peer_count).filter(|_| completed),
            of(holder, |closing| closing.output_count).filter(|_| completed),
        ),
    ];
    for (field, said_by_asker, said_by_holder) in pairs {
        if let (Some(one), Some(other)) = (said_by_asker, said_by_holder)
            && one != other
        {
            let values = match asker_is_first {
                true => [one, other],
                false => [other, one],
            };
            fields.push(FieldDifference {
                field,
                values: values.map(|value| Some(value.to_string())),
            });
        }
    }
}

/// A query that one log has alone.
fn lonely(
    reconciled: &mut Reconciled,
    transaction: Uuid,
    indexes: [Option<u64>; 2],
    alone: &Logged,
    missing_at: &str,
) -> bool {
    let sent = alone.closing.as_ref().and_then(|closing| closing.sent);
    let remark = match (alone.entry.side, alone.outcome()) {
        (Side::Asker, Outcome::Denied | Outcome::Error) if sent != Some(true) => return false,
        (Side::Asker, Outcome::Error | Outcome::Interrupted | Outcome::Admitted) => Some("it may never have arrived"),
        _ => None,
    };
    match remark {
        Some(why) => {
            reconciled
                .remarks
                .push(format!("query {transaction} is not in the log of {missing_at}: {why}"));
            false
        }
        None => {
            reconciled.discrepancy(Discrepancy {
                transaction,
                indexes,
                what: format!("it is missing in the log of {missing_at}"),
                fields: Vec::new(),
            });
            true
        }
    }
}
