//! Two agencies' logs held against each other: every query in one has its twin in the other, and both tell the same story.

mod pair;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io::BufRead,
};

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    Anchors, Digest, Entry, ExportError, ExportReader, Logged, Outcome, Receipt, Report, Side, SignedCheckpoint,
    Visitor, Vouched, verify,
};
use pair::{Judgement, story};

/// Most discrepancies and remarks that are told.
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
    /// Events of the one that are as the receipts say that the other holds.
    pub receipts_held: u64,
    /// Queries that cannot be judged: they were cut, or are beyond what one of the logs can tell. Neither agreed nor discrepancies.
    pub remarks: Vec<String>,
    /// Remarks beyond those that are told.
    pub more_remarks: u64,
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
        self.logs.iter().all(Report::is_whole) && self.discrepancies.is_empty()
    }

    fn judge(&mut self, transaction: Uuid, indexes: [Option<u64>; 2], judgement: Judgement) {
        let (what, fields) = match judgement {
            Judgement::Agreed => {
                self.agreed += 1;
                return;
            }
            Judgement::Apart => return,
            Judgement::Unsure(why) if self.remarks.len() < MOST_TOLD => {
                self.remarks.push(format!("query {transaction}: {why}"));
                return;
            }
            Judgement::Unsure(_) => {
                self.more_remarks += 1;
                return;
            }
            Judgement::Wrong(what, fields) => (what, fields),
        };
        if self.discrepancies.len() == MOST_TOLD {
            self.more_discrepancies += 1;
            return;
        }
        self.discrepancies.push(Discrepancy {
            transaction,
            indexes,
            what,
            fields,
        });
    }
}

/// Holds two exports against each other. `open` opens the first (0) or the second (1), each up to three times. Without a key, a log's own key
/// is the one that the other names.
///
/// Memory: about 150 bytes per query between the two and per receipt.
///
/// # Errors
/// [`ExportError`] of [`verify`]; [`ExportError::Line`] where both are one agency's.
pub fn reconcile<R: BufRead>(
    open: impl Fn(usize) -> Result<ExportReader<R>, ExportError>,
    keys: [Option<crate::VerifyingKey>; 2],
) -> Result<Reconciled, ExportError> {
    let headers = [open(0)?.header().clone(), open(1)?.header().clone()];
    let agencies = headers.each_ref().map(|header| header.agency.clone());
    if agencies[0] == agencies[1] {
        return Err(ExportError::Line {
            line: 1,
            what: "both files are the log of one agency",
        });
    }
    let told = |own: usize| {
        let mut named = headers[1 - own].peers.iter();
        let named = named.find(|peer| peer.agency == agencies[own])?;
        Some((named.log.clone(), Vouched::ByTheOther))
    };
    let [key_a, key_b] = keys;
    let given = |key: Option<crate::VerifyingKey>| key.map(|key| (key, Vouched::Given));
    let believed = [given(key_a).or_else(|| told(0)), given(key_b).or_else(|| told(1))];
    let keys: [_; 2] = std::array::from_fn(|at| match &believed[at] {
        Some((key, _)) => key.clone(),
        None => headers[at].key.clone(),
    });
    let seen = |own: usize| {
        let mut peers = headers[1 - own].peers.iter();
        let head = peers.find(|peer| peer.agency == agencies[own])?.head.as_ref()?;
        let head = SignedCheckpoint::parse(head).ok()?.verify(&keys[own]).ok()?.clone();
        Some((head.size, head.root))
    };
    let anchors = |own: usize, heads| Anchors {
        key: believed[own].clone(),
        // the other log's own key, not the one that this file names for it
        cosigners: [(agencies[1 - own].clone(), keys[1 - own].cosigner())].into(),
        cosigners_must: false,
        logs: [(agencies[1 - own].clone(), keys[1 - own].clone())].into(),
        checkpoint: None,
        heads,
        seen: seen(own),
    };

    let mut first = OneSide::new(&agencies, 0);
    verify(open(0)?, &anchors(0, Vec::new()), &mut first)?;
    let mut second = OneSide::new(&agencies, 1);
    let report_second = verify(open(1)?, &anchors(1, first.heads()), &mut second)?;
    // the first again, with the heads and leaves that the second's receipts hold it to
    let wanted = wanted(&first, &second);
    let mut again = Closely::new(&wanted, &agencies, std::mem::take(&mut second.receipts));
    let report_first = verify(open(0)?, &anchors(0, again.heads()), &mut again)?;
    let mut other = Closely::new(&wanted, &agencies, std::mem::take(&mut first.receipts));
    verify(open(1)?, &anchors(1, Vec::new()), &mut other)?;

    let mut reconciled = Reconciled {
        agreed: (first.queries.len() as u64)
            .saturating_sub(wanted.iter().filter(|id| first.queries.contains_key(*id)).count() as u64),
        logs: [report_first, report_second],
        discrepancies: Vec::new(),
        more_discrepancies: 0,
        receipts_held: again.held + other.held,
        remarks: Vec::new(),
        more_remarks: 0,
    };
    for id in &wanted {
        let found = [again.of(id), other.of(id)];
        let indexes = found.map(|entries| entries.first().map(|logged| logged.index));
        // a receipt says that the log which gave it has the query
        let receipted = [again.receipted.contains(id), other.receipted.contains(id)];
        let judgement = pair::judge(found, receipted, &reconciled.logs, &agencies);
        reconciled.judge(*id, indexes, judgement);
    }
    for (at, closely) in [again, other].into_iter().enumerate() {
        for (index, transaction) in closely.wrong() {
            let mut indexes = [None; 2];
            indexes[at] = Some(index);
            let what = format!(
                "{} gave a receipt for event {index}, and its log now has another event there, or none",
                agencies[at]
            );
            reconciled.judge(transaction, indexes, Judgement::Wrong(what, Vec::new()));
        }
    }
    Ok(reconciled)
}

/// The queries that have to be looked at closely: all but those that plainly agree.
fn wanted(first: &OneSide<'_>, second: &OneSide<'_>) -> BTreeSet<Uuid> {
    let all = first.queries.keys().chain(second.queries.keys());
    let agree = |id: &Uuid| match (first.queries.get(id), second.queries.get(id)) {
        (Some(one), Some(other)) => one.agrees_with(other),
        _ => false,
    };
    all.filter(|id| !agree(id)).copied().collect()
}

/// What one log says of the queries between the two.
struct OneSide<'a> {
    agencies: &'a [String; 2],
    own: usize,
    queries: HashMap<Uuid, Query>,
    /// Receipts that this log holds of the other.
    receipts: Vec<Receipt>,
}

/// What there is to know of a query that went well, and whether there is just one entry of it.
struct Query {
    story: [u8; 16],
    side: Side,
    outcome: Outcome,
    input: Option<u64>,
    peer: Option<u64>,
    output: Option<u64>,
    is_alone: bool,
}

impl Query {
    fn agrees_with(&self, other: &Self) -> bool {
        let (asker, holder) = match (self.side, other.side) {
            (Side::Asker, Side::Holder) => (self, other),
            (Side::Holder, Side::Asker) => (other, self),
            _ => return false,
        };
        self.is_alone
            && other.is_alone
            && self.story == other.story
            && matches!(asker.outcome, Outcome::Hit | Outcome::NoHit)
            && holder.outcome == Outcome::Done
            && asker.input == holder.peer
            && asker.peer == holder.output
    }
}

impl<'a> OneSide<'a> {
    fn new(agencies: &'a [String; 2], own: usize) -> Self {
        Self {
            agencies,
            own,
            queries: HashMap::new(),
            receipts: Vec::new(),
        }
    }

    fn heads(&self) -> Vec<(u64, Digest)> {
        self.receipts.iter().map(|receipt| receipt.head).collect()
    }
}

impl Visitor for OneSide<'_> {
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
        let closing = logged.closing.as_ref();
        let query = Query {
            story,
            side: logged.entry.side,
            outcome: logged.outcome(),
            input: logged.entry.input_count,
            peer: closing.and_then(|closing| closing.peer_count),
            output: closing.and_then(|closing| closing.output_count),
            is_alone: true,
        };
        let transaction = logged.entry.transaction;
        if self.queries.insert(transaction, query).is_some()
            && let Some(query) = self.queries.get_mut(&transaction)
        {
            query.is_alone = false;
        }
    }

    fn receipt(&mut self, receipt: Receipt) {
        if receipt.origin == crate::log_name(&self.agencies[1 - self.own]) {
            self.receipts.push(receipt);
        }
    }
}

/// A closer look at one log: the entries of some queries, and the leaves that it gave receipts for.
struct Closely<'a> {
    wanted: &'a BTreeSet<Uuid>,
    agencies: &'a [String; 2],
    found: BTreeMap<Uuid, Vec<Logged>>,
    heads: Vec<(u64, Digest)>,
    /// Queries that it gave a receipt for.
    receipted: HashSet<Uuid>,
    leaves: HashMap<u64, Vec<(Digest, Uuid)>>,
    wrong: BTreeMap<u64, Uuid>,
    held: u64,
}

impl<'a> Closely<'a> {
    fn new(wanted: &'a BTreeSet<Uuid>, agencies: &'a [String; 2], receipts: Vec<Receipt>) -> Self {
        let mut leaves: HashMap<u64, Vec<(Digest, Uuid)>> = HashMap::new();
        for receipt in &receipts {
            for (index, leaf) in [receipt.opened, receipt.closed] {
                leaves.entry(index).or_default().push((leaf, receipt.transaction));
            }
        }
        Self {
            wanted,
            agencies,
            found: BTreeMap::new(),
            heads: receipts.iter().map(|receipt| receipt.head).collect(),
            receipted: receipts.iter().map(|receipt| receipt.transaction).collect(),
            leaves,
            wrong: BTreeMap::new(),
            held: 0,
        }
    }

    fn heads(&self) -> Vec<(u64, Digest)> {
        self.heads.clone()
    }

    fn of(&self, transaction: &Uuid) -> &[Logged] {
        self.found.get(transaction).map_or(&[], Vec::as_slice)
    }

    /// What was met by another leaf, and what by none.
    fn wrong(mut self) -> BTreeMap<u64, Uuid> {
        for (index, leaves) in self.leaves {
            self.wrong
                .extend(leaves.into_iter().map(|(_, transaction)| (index, transaction)));
        }
        self.wrong
    }
}

impl Visitor for Closely<'_> {
    fn leaf(&mut self, index: u64, leaf: &Digest) {
        for (claimed, transaction) in self.leaves.remove(&index).unwrap_or_default() {
            match claimed == *leaf {
                true => self.held += 1,
                false => drop(self.wrong.insert(index, transaction)),
            }
        }
    }

    fn entry(&mut self, logged: Logged) {
        let transaction = logged.entry.transaction;
        if self.wanted.contains(&transaction) && is_between(&logged.entry, self.agencies) {
            self.found.entry(transaction).or_default().push(logged);
        }
    }
}

/// A query that names what it wants: a call that never came to that has no twin.
fn is_between(entry: &Entry, agencies: &[String; 2]) -> bool {
    let own = match entry.side {
        Side::Asker => entry.asker.as_ref(),
        Side::Holder | Side::Witness => entry.holder.as_ref(),
    };
    let has = |agency: &String| own == Some(agency) || entry.others().any(|other| other == agency);
    entry.purpose.is_some() && agencies.iter().all(has)
}

/// Whether a log can tell of that time at all.
fn tells_of(report: &Report, time: Timestamp) -> Result<(), &'static str> {
    match report.span {
        Some((first, _)) if report.shredded > 0 && time < first => Err("has shredded that time"),
        Some((_, last)) if time > last => Err("does not go as far as that"),
        None => Err("is empty"),
        Some(_) => Ok(()),
    }
}
