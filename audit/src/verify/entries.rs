//! Openings joined with ends, and what has to hold of all of them together.

use std::{cmp::Ordering, collections::HashMap};

use jiff::Timestamp;
use uuid::Uuid;

use super::{Report, SHREDDING, Visitor};
use crate::{Entry, Event, Logged, Outcome, Side};

/// Ends whose opening may have been shredded before: those among so many events after what was shredded.
const MOST_CUT: u64 = 10_000;

/// Joins openings with ends.
pub(super) struct Entries {
    agency: String,
    open: HashMap<Uuid, (u64, Entry)>,
    /// Short hashes of ids, and of the transactions of what was not denied, with the index: to see any that is there twice.
    ids: Vec<(u64, u64)>,
    transactions: Vec<(u64, u64)>,
    /// Events that could be read.
    pub(super) read: u64,
    /// How many events are shredded, as the log says itself; and whether a shredding was cut short.
    said_shredded: u64,
    was_cut: bool,
    last: Option<Timestamp>,
    back: u64,
    alarms: u64,
}

impl Entries {
    pub(super) fn of(agency: &str) -> Self {
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
            alarms: 0,
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
        let is_alarm = entry.side == Side::Witness && logged.outcome() == Outcome::Error;
        self.alarms += u64::from(is_alarm);
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

    pub(super) fn take(&mut self, index: u64, event: Event, report: &mut Report, visitor: &mut impl Visitor) {
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

    pub(super) fn finish(mut self, report: &mut Report, visitor: &mut impl Visitor) {
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
        if self.alarms > 0 {
            let what = "are alarms that the node raised about its peers' logs or its own";
            report.remarks.push(format!("{} entries {what}", self.alarms));
        }
        if self.back > 3 {
            report
                .remarks
                .push(format!("the clock went back {} times in all", self.back));
        }
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
