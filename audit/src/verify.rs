//! Checking a whole log from its export alone.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
    fmt,
    io::BufRead,
};

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    Digest, Entry, Event, ExportError, ExportReader, Header, KeptReceipt, Line, Logged, Outcome, Receipt, Side,
    SignedCheckpoint, Tree, VerifyingKey,
};

/// Most problems that are told one by one.
const MOST_TOLD: usize = 100;

/// Ends whose opening may have been shredded before: those among so many events after what was shredded.
const MOST_CUT: u64 = 10_000;

/// What is believed from elsewhere than the file.
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    /// The log's key, and who gave it.
    pub key: Option<(VerifyingKey, Vouched)>,
    /// Cosigners' keys, by agency; none: those that the file names, which vouch for little.
    pub cosigners: BTreeMap<String, VerifyingKey>,
    /// Keys of others' logs, by agency: what checks their receipts instead of the key that the file has with each.
    pub logs: BTreeMap<String, VerifyingKey>,
    /// A checkpoint of the log that was kept earlier.
    pub checkpoint: Option<String>,
    /// Sizes and roots of this log in the receipts that it gave.
    pub heads: Vec<(u64, Digest)>,
}

/// Where a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Vouched {
    /// Whoever checks gave it.
    Given,
    /// The other log says so.
    ByTheOther,
    /// The file itself.
    ByItself,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The agency.
    pub agency: String,
    /// The key that the checkpoints were checked with.
    pub key: VerifyingKey,
    /// Where that key comes from.
    pub key_vouched: Vouched,
    /// Events.
    pub events: u64,
    /// Root over them.
    pub root: Digest,
    /// Entries that could be read.
    pub entries: u64,
    /// Entries without an end.
    pub open: Vec<Uuid>,
    /// Events whose content was shredded.
    pub shredded: u64,
    /// Who countersigned what.
    pub witnessed: Vec<Witnessed>,
    /// Where the witnesses' keys come from.
    pub witnesses_vouched: Vouched,
    /// Receipts of others whose signature holds.
    pub receipts: u64,
    /// When the first event was that can be read, and the last.
    pub span: Option<(Timestamp, Timestamp)>,
    /// What is wrong; nothing, in a log that is whole.
    pub problems: Vec<Problem>,
    /// Problems beyond those that are told.
    pub more_problems: u64,
    /// What is worth a look and proves nothing.
    pub remarks: Vec<String>,
}

/// A head that a witness countersigned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Witnessed {
    /// The witness.
    pub by: String,
    /// Events that the log had.
    pub events: u64,
    /// When.
    pub at: Timestamp,
}

/// Something that cannot be in a log that is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The event, where it is one's.
    pub index: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "event {index}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }

    fn problem(&mut self, index: impl Into<Option<u64>>, what: impl Into<String>) {
        if self.problems.len() == MOST_TOLD {
            self.more_problems += 1;
            return;
        }
        self.problems.push(Problem {
            index: index.into(),
            what: what.into(),
        });
    }
}

/// What is told of a log while it is checked; each of it may turn out to be of a log that is not whole.
pub trait Visitor {
    /// A leaf, in order.
    fn leaf(&mut self, _index: u64, _leaf: &Digest) {}

    /// An entry, once it is known how it stands.
    fn entry(&mut self, _logged: Logged) {}

    /// A receipt of another log, whose signature holds.
    fn receipt(&mut self, _receipt: Receipt) {}
}

/// Nothing has to be told.
impl Visitor for () {}

/// Reads an export to its end and checks all of it.
///
/// Memory: the entries that are open at one time, and 48 bytes per entry.
///
/// # Errors
/// [`ExportError::Io`], or a first line that is none; what is wrong after that is in the report.
pub fn verify<R: BufRead>(
    mut export: ExportReader<R>,
    anchors: &Anchors,
    visitor: &mut impl Visitor,
) -> Result<Report, ExportError> {
    let header = export.header().clone();
    let (key, key_vouched) = anchors
        .key
        .clone()
        .unwrap_or_else(|| (header.key.clone(), Vouched::ByItself));
    let mut report = Report {
        agency: header.agency.clone(),
        key: key.clone(),
        key_vouched,
        events: 0,
        root: crate::empty_root(),
        entries: 0,
        open: Vec::new(),
        shredded: 0,
        witnessed: Vec::new(),
        witnesses_vouched: match anchors.cosigners.is_empty() {
            true => Vouched::ByItself,
            false => match key_vouched {
                Vouched::ByTheOther => Vouched::ByTheOther,
                Vouched::Given | Vouched::ByItself => Vouched::Given,
            },
        },
        receipts: 0,
        span: None,
        problems: Vec::new(),
        more_problems: 0,
        remarks: Vec::new(),
    };
    if key != header.key {
        report.problem(None, "the file names another key for this log than the one given");
    }
    if crate::log_name(&header.agency) != key.name() {
        report.problem(None, "the key is of another agency's log");
    }
    for peer in &header.peers {
        let name = crate::log_name(&peer.agency);
        if peer.log.name() != name || peer.cosigner.name() != name {
            report.problem(None, format!("the file names another's key for {}", peer.agency));
        }
    }
    let mut heads = Heads::read(&header, anchors, &key, &mut report);
    let mut entries = Entries::of(&header.agency);
    let mut tree = Tree::default();
    let mut full = Vec::new();
    let mut ended = None;
    heads.reach(&tree, &mut report);
    loop {
        let line = match export.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(ExportError::Io(error)) => return Err(error.into()),
            Err(error) => {
                let index = tree.size();
                report.problem((index < header.events).then_some(index), error.to_string());
                break;
            }
        };
        if ended.is_some() {
            report.problem(None, "there are lines after the end");
            break;
        }
        match line {
            Line::Event(event) => {
                let expected = tree.size();
                if event.index != expected {
                    report.problem(
                        expected,
                        format!(
                            "event {} stands in its place: events are missing or out of order",
                            event.index
                        ),
                    );
                    break;
                }
                if event.leaf != event.claimed {
                    report.problem(expected, "its content is not what the log committed to: it was changed");
                }
                tree.push(event.leaf, &mut full);
                full.clear();
                visitor.leaf(expected, &event.leaf);
                match (event.event, event.is_shredded) {
                    (Some(event), _) => entries.take(expected, event, &mut report, visitor),
                    (None, true) => {
                        if entries.read > 0 {
                            report.problem(
                                expected,
                                "it is shredded, and an earlier one is not: what it held was left out",
                            );
                        }
                        report.shredded += 1;
                    }
                    (None, false) => {}
                }
                heads.reach(&tree, &mut report);
            }
            Line::Receipt(receipt) => check_receipt(&receipt, anchors, &mut report, visitor),
            Line::End(events) => ended = Some(events),
        }
    }
    report.events = tree.size();
    report.root = tree.root().unwrap_or_else(|_| crate::empty_root());
    if ended != Some(tree.size()) || header.events != tree.size() {
        let what = format!(
            "the file is truncated: {} of {} events are there, and the end {}",
            tree.size(),
            header.events,
            if ended.is_some() {
                "says otherwise"
            } else {
                "is missing"
            }
        );
        report.problem(None, what);
    }
    if heads.newest != Some(tree.size()) {
        report.problem(None, "the newest checkpoint was not signed for all of the events");
    }
    heads.unreached(&mut report);
    entries.finish(&mut report, visitor);
    Ok(report)
}

/// Signed heads, to be met at their sizes.
#[derive(Default)]
struct Heads {
    by_size: BTreeMap<u64, Vec<(Digest, &'static str)>>,
    /// Size of the newest checkpoint.
    newest: Option<u64>,
}

impl Heads {
    fn read(header: &Header, anchors: &Anchors, key: &VerifyingKey, report: &mut Report) -> Self {
        let mut heads = Self::default();
        let texts = &header.checkpoints;
        for (size, root) in &anchors.heads {
            heads
                .by_size
                .entry(*size)
                .or_default()
                .push((*root, "a receipt that it gave"));
        }
        let named = || {
            header
                .peers
                .iter()
                .map(|peer| (peer.agency.clone(), peer.cosigner.clone()))
        };
        let cosigners: BTreeMap<String, VerifyingKey> = match anchors.cosigners.is_empty() {
            true => named().collect(),
            false => anchors.cosigners.clone(),
        };
        let given = anchors.checkpoint.iter().map(|text| (text, "the checkpoint given"));
        let first = texts.iter().take(1).map(|text| (text, NEWEST));
        let others = texts.iter().skip(1).map(|text| (text, "a countersigned checkpoint"));
        if texts.is_empty() {
            report.problem(None, "the file has no checkpoint");
        }
        for (text, what) in first.chain(others).chain(given) {
            let signed = SignedCheckpoint::parse(text).and_then(|signed| {
                let checkpoint = signed.verify(key)?.clone();
                Ok((signed, checkpoint))
            });
            let (signed, checkpoint) = match signed {
                Ok(signed) => signed,
                Err(error) => {
                    report.problem(None, format!("{what}: {error}"));
                    continue;
                }
            };
            for (by, cosigner) in &cosigners {
                let at = match signed.cosigned_at(cosigner) {
                    Ok(at) => Timestamp::from_second(i64::try_from(at).unwrap_or(i64::MAX)),
                    Err(crate::CheckpointError::NotSigned(_)) => continue,
                    Err(error) => {
                        report.problem(None, format!("{what}: {error}"));
                        continue;
                    }
                };
                if let Ok(at) = at {
                    report.witnessed.push(Witnessed {
                        by: by.clone(),
                        events: checkpoint.size,
                        at,
                    });
                }
            }
            if what == NEWEST {
                heads.newest = Some(checkpoint.size);
            }
            let of_size = heads.by_size.entry(checkpoint.size).or_default();
            of_size.push((checkpoint.root, what));
        }
        heads
    }

    /// The tree has grown to its size.
    fn reach(&mut self, tree: &Tree, report: &mut Report) {
        let is_next = self
            .by_size
            .first_key_value()
            .is_some_and(|(size, _)| *size == tree.size());
        let Some((size, heads)) = is_next.then(|| self.by_size.pop_first()).flatten() else {
            return;
        };
        let root = tree.root().unwrap_or_else(|_| crate::empty_root());
        for (signed, what) in heads {
            if signed != root {
                let within = match size {
                    0 => "no events".to_owned(),
                    size => format!("events 0 to {}", size - 1),
                };
                report.problem(
                    None,
                    format!(
                        "{what}, of {size} events, was signed for other events: one or more of {within} were changed, left out or added"
                    ),
                );
            }
        }
    }

    fn unreached(self, report: &mut Report) {
        for (size, heads) in self.by_size {
            for (_, what) in heads {
                report.problem(None, format!("{what}, of {size} events, has more events than the file"));
            }
        }
    }
}

const NEWEST: &str = "the newest checkpoint";

/// How the entry of a shredding is known, whose end says how many events are shredded by then.
pub const SHREDDING: &str = "shred-log";

/// Joins openings with ends.
struct Entries {
    agency: String,
    open: HashMap<Uuid, (u64, Entry)>,
    /// Short hashes of ids, and of the transactions of what was not denied, with the index: to see any that is there twice.
    ids: Vec<(u64, u64)>,
    transactions: Vec<(u64, u64)>,
    /// Events that could be read.
    read: u64,
    /// How many events are shredded, as the log says itself; and whether a shredding was cut short.
    said_shredded: u64,
    was_cut: bool,
    last: Option<Timestamp>,
    back: u64,
}

impl Entries {
    fn of(agency: &str) -> Self {
        Self {
            agency: agency.to_owned(),
            open: HashMap::new(),
            ids: Vec::new(),
            transactions: Vec::new(),
            read: 0,
            said_shredded: 0,
            was_cut: false,
            last: None,
            back: 0,
        }
    }

    /// What can be said of an entry once its end is known.
    fn ended(&mut self, logged: &Logged, report: &mut Report) {
        let entry = &logged.entry;
        let own = match entry.side {
            Side::Asker => &entry.asker,
            Side::Holder | Side::Witness => &entry.holder,
        };
        if own.as_ref() != Some(&self.agency) {
            report.problem(logged.index, "it is an entry of another agency's part in a query");
        }
        self.ids.push((short(&[entry.id.as_bytes()]), logged.index));
        if logged.outcome() != Outcome::Denied {
            let hash = short(&[entry.side.name().as_bytes(), entry.transaction.as_bytes()]);
            self.transactions.push((hash, logged.index));
        }
        if entry.mode.as_deref() == Some(SHREDDING) {
            match logged.closing.as_ref().and_then(|closing| closing.output_count) {
                Some(count) => self.said_shredded = self.said_shredded.max(count),
                None => self.was_cut = true,
            }
        }
    }

    fn take(&mut self, index: u64, event: Event, report: &mut Report, visitor: &mut impl Visitor) {
        let at = match &event {
            Event::Opened(entry) => entry.started,
            Event::Closed(closing) => closing.ended,
        };
        // writers race by milliseconds: a second is a clock that went back
        if let Some(last) = self.last
            && last.duration_since(at).as_secs() >= 1
        {
            self.back += 1;
            if self.back <= 3 {
                report.remarks.push(format!(
                    "event {index} says {at}, and the one before {last}: the clock went back"
                ));
            }
        }
        self.last = Some(at);
        self.read += 1;
        let first = report.span.map_or(at, |(first, _)| first);
        report.span = Some((first, at));
        match event {
            Event::Opened(entry) => {
                if let Some((first, _)) = self.open.insert(entry.id, (index, *entry)) {
                    report.problem(index, format!("opens an entry that event {first} opened"));
                }
            }
            Event::Closed(closing) => match self.open.remove(&closing.id) {
                Some((index, entry)) => {
                    report.entries += 1;
                    let logged = Logged {
                        index,
                        entry,
                        closing: Some(closing),
                    };
                    self.ended(&logged, report);
                    visitor.entry(logged);
                }
                // its opening was shredded: only at the very begin, since entries do not stay open for long
                None if report.shredded > 0 && self.read <= MOST_CUT => {}
                None => report.problem(index, "ends an entry that is not open"),
            },
        }
    }

    fn finish(mut self, report: &mut Report, visitor: &mut impl Visitor) {
        let mut open: Vec<_> = std::mem::take(&mut self.open).into_values().collect();
        open.sort_by_key(|(index, _)| *index);
        for (index, entry) in open {
            report.entries += 1;
            report.open.push(entry.id);
            let logged = Logged {
                index,
                entry,
                closing: None,
            };
            self.ended(&logged, report);
            visitor.entry(logged);
        }
        for (hashes, what) in [
            (&mut self.ids, "it has the id of another entry"),
            (
                &mut self.transactions,
                "it has the transaction of another entry that was not denied",
            ),
        ] {
            hashes.sort_unstable();
            let twice = hashes.windows(2).filter(|pair| pair[0].0 == pair[1].0);
            twice.for_each(|pair| report.problem(pair[1].1, what));
        }
        match report.shredded.cmp(&self.said_shredded) {
            Ordering::Equal => {}
            Ordering::Greater if self.was_cut => report
                .remarks
                .push("a shredding was cut short, so the log does not say how much of it is shredded".to_owned()),
            _ => report.problem(
                None,
                format!(
                    "{} events are shredded, and the log itself says {}: what they held was left out",
                    report.shredded, self.said_shredded
                ),
            ),
        }
        if self.back > 3 {
            report
                .remarks
                .push(format!("the clock went back {} times in all", self.back));
        }
    }
}

fn check_receipt(kept: &KeptReceipt, anchors: &Anchors, report: &mut Report, visitor: &mut impl Visitor) {
    let Ok(unverified) = kept.receipt.unverified() else {
        report.problem(None, "a receipt cannot be read");
        return;
    };
    let key = anchors.logs.get(&kept.agency).unwrap_or(&kept.key);
    match kept.receipt.verify(key) {
        Ok(receipt) if receipt.origin == crate::log_name(&kept.agency) => {
            report.receipts += 1;
            visitor.receipt(receipt);
        }
        Ok(_) => report.problem(None, format!("a receipt of another than {}", kept.agency)),
        Err(error) => report.problem(
            None,
            format!(
                "the receipt of {} for query {}: {error}",
                kept.agency, unverified.transaction
            ),
        ),
    }
}

/// The first bytes of a SHA-256.
fn short(parts: &[&[u8]]) -> u64 {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let hash = context.finish();
    hash.as_ref()
        .first_chunk()
        .map_or(0, |first| u64::from_be_bytes(*first))
}
