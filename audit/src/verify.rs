//! Checking a whole log from its export alone.

mod entries;
mod heads;

use std::{collections::BTreeMap, fmt, io::BufRead};

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::{Digest, ExportError, ExportReader, KeptReceipt, Line, Logged, Receipt, Tree, VerifyingKey};
use entries::Entries;
use heads::Heads;

/// Most problems that are told one by one.
const MOST_TOLD: usize = 100;

/// How the entry of a shredding is known, whose end says how many events are shredded by then.
pub const SHREDDING: &str = "shred-log";

/// What is believed from elsewhere than the file.
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    /// The log's key, and who gave it.
    pub key: Option<(VerifyingKey, Vouched)>,
    /// Cosigners' keys, by agency; none: those that the file names, which vouch for little.
    pub cosigners: BTreeMap<String, VerifyingKey>,
    /// Whether each of these cosigners must have countersigned something.
    pub cosigners_must: bool,
    /// Keys of others' logs, by agency: what checks their receipts instead of the key that the file has with each.
    pub logs: BTreeMap<String, VerifyingKey>,
    /// A checkpoint of the log that was kept earlier.
    pub checkpoint: Option<String>,
    /// Sizes and roots of this log in the receipts that it gave.
    pub heads: Vec<(u64, Digest)>,
    /// The newest that another countersigned of it. The file may be older than that, but not of another history.
    pub seen: Option<(u64, Digest)>,
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
    let (mut ended, mut is_cut) = (None, false);
    heads.reach(&tree, &mut report);
    loop {
        let line = match export.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(ExportError::Io(error)) => return Err(error.into()),
            Err(error) => {
                let index = tree.size();
                report.problem((index < header.events).then_some(index), error.to_string());
                is_cut = true;
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
                    is_cut = true;
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
    report.root = tree.root();
    if is_cut {
        let what = format!(
            "the check ended there, after {} of {} events: what stands behind, receipts too, was not looked at",
            tree.size(),
            header.events
        );
        report.problem(None, what);
        report.root = tree.root();
        return Ok(report);
    }
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
    let countersigned = report.witnessed.iter().map(|witness| witness.events).max();
    if let Some(last) = countersigned.filter(|last| *last < report.events) {
        report.remarks.push(format!(
            "the last {} of {} events are not countersigned yet",
            report.events - last,
            report.events
        ));
    }
    entries.finish(&mut report, visitor);
    Ok(report)
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
