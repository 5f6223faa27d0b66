//! Checking a whole log from its export alone.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    io::BufRead,
};

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    Digest, Entry, Event, ExportError, ExportReader, Line, Logged, Receipt, SignedCheckpoint, SignedReceipt, Tree,
    VerifyingKey,
};

/// Most problems that are told one by one.
const MOST_TOLD: usize = 100;

/// What is believed from elsewhere than the file.
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    /// The log's key, as its agency or a peer gave it.
    pub key: Option<VerifyingKey>,
    /// Cosigners' keys, by agency.
    pub cosigners: BTreeMap<String, VerifyingKey>,
    /// A checkpoint of the log that was kept earlier.
    pub checkpoint: Option<String>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The agency.
    pub agency: String,
    /// The key that the checkpoints were checked with.
    pub key: VerifyingKey,
    /// Whether that key was given from elsewhere; otherwise the file vouches for itself.
    pub key_was_given: bool,
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
    /// Receipts of others whose signature holds.
    pub receipts: u64,
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
/// Memory: the entries that are open at one time.
///
/// # Errors
/// [`ExportError::Io`], or a first line that is none; what is wrong after that is in the report.
pub fn verify<R: BufRead>(
    mut export: ExportReader<R>,
    anchors: &Anchors,
    visitor: &mut impl Visitor,
) -> Result<Report, ExportError> {
    let header = export.header().clone();
    let key = anchors.key.clone().unwrap_or_else(|| header.key.clone());
    let mut report = Report {
        agency: header.agency.clone(),
        key: key.clone(),
        key_was_given: anchors.key.is_some(),
        events: 0,
        root: crate::empty_root(),
        entries: 0,
        open: Vec::new(),
        shredded: 0,
        witnessed: Vec::new(),
        receipts: 0,
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
    let mut heads = Heads::read(&header.checkpoints, anchors, &key, &mut report);
    let mut entries = Entries::default();
    let mut receipts = Vec::new();
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
                match event.event {
                    None => report.shredded += 1,
                    Some(event) => entries.take(expected, event, &mut report, visitor),
                }
                heads.reach(&tree, &mut report);
            }
            Line::Receipt(receipt) => receipts.push(receipt),
            Line::End(events) => ended = Some(events),
        }
        if receipts.len() == 4096 {
            check_receipts(&header.peers, &mut receipts, &mut report, visitor);
        }
    }
    check_receipts(&header.peers, &mut receipts, &mut report, visitor);
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
    heads.unreached(&mut report);
    entries.finish(&mut report, visitor);
    Ok(report)
}

/// Signed heads, to be met at their sizes.
#[derive(Default)]
struct Heads(BTreeMap<u64, Vec<(Digest, String)>>);

impl Heads {
    fn read(texts: &[String], anchors: &Anchors, key: &VerifyingKey, report: &mut Report) -> Self {
        let mut heads = Self::default();
        let given = anchors.checkpoint.iter().map(|text| (text, "the checkpoint given"));
        let first = texts.iter().take(1).map(|text| (text, "the newest checkpoint"));
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
            for (by, cosigner) in &anchors.cosigners {
                if let Ok(at) = signed.cosigned_at(cosigner)
                    && let Ok(at) = Timestamp::from_second(i64::try_from(at).unwrap_or(i64::MAX))
                {
                    report.witnessed.push(Witnessed {
                        by: by.clone(),
                        events: checkpoint.size,
                        at,
                    });
                }
            }
            let told = format!("{what}, of {} events,", checkpoint.size);
            heads
                .0
                .entry(checkpoint.size)
                .or_default()
                .push((checkpoint.root, told));
        }
        heads
    }

    /// The tree has grown to its size.
    fn reach(&mut self, tree: &Tree, report: &mut Report) {
        let is_next = self.0.first_key_value().is_some_and(|(size, _)| *size == tree.size());
        let Some((size, heads)) = is_next.then(|| self.0.pop_first()).flatten() else {
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
                        "{what} was signed for other events: one or more of {within} were changed, left out or added"
                    ),
                );
            }
        }
    }

    fn unreached(self, report: &mut Report) {
        for (_, what) in self.0.into_values().flatten() {
            report.problem(None, format!("{what} has more events than the file"));
        }
    }
}

/// Joins openings with ends.
#[derive(Default)]
struct Entries {
    open: HashMap<Uuid, (u64, Entry)>,
    last: Option<Timestamp>,
    back: u64,
}

impl Entries {
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
        match event {
            Event::Opened(entry) => {
                if let Some((first, _)) = self.open.insert(entry.id, (index, *entry)) {
                    report.problem(index, format!("opens an entry that event {first} opened"));
                }
            }
            Event::Closed(closing) => match self.open.remove(&closing.id) {
                Some((index, entry)) => {
                    report.entries += 1;
                    visitor.entry(Logged {
                        index,
                        entry,
                        closing: Some(closing),
                    });
                }
                // the opening may have been shredded before
                None if report.shredded > 0 => report.entries += 1,
                None => report.problem(index, "ends an entry that is not open"),
            },
        }
    }

    fn finish(self, report: &mut Report, visitor: &mut impl Visitor) {
        let mut open: Vec<_> = self.open.into_values().collect();
        open.sort_by_key(|(index, _)| *index);
        for (index, entry) in open {
            report.entries += 1;
            report.open.push(entry.id);
            visitor.entry(Logged {
                index,
                entry,
                closing: None,
            });
        }
        if self.back > 3 {
            report
                .remarks
                .push(format!("the clock went back {} times in all", self.back));
        }
    }
}

fn check_receipts(
    peers: &[crate::KnownPeer],
    receipts: &mut Vec<SignedReceipt>,
    report: &mut Report,
    visitor: &mut impl Visitor,
) {
    for receipt in receipts.drain(..) {
        let Ok(unverified) = receipt.unverified() else {
            report.problem(None, "a receipt cannot be read");
            continue;
        };
        let of = unverified.origin;
        match peers.iter().find(|peer| peer.log.name() == of) {
            None => report.problem(None, format!("a receipt of {of}, whose key the file does not name")),
            Some(peer) => match receipt.verify(&peer.log) {
                Ok(receipt) => {
                    report.receipts += 1;
                    visitor.receipt(receipt);
                }
                Err(error) => report.problem(
                    None,
                    format!("the receipt of {of} for query {}: {error}", unverified.transaction),
                ),
            },
        }
    }
}
