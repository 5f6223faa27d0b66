//! `overlap log stats`.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::anyhow;
use overlap_audit::{Anchors, Logged, Side, Visitor};
use serde::Serialize;

use super::{check, files};
use crate::{
    client::Failure,
    output::{Output, grouped, table},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What `overlap log export` wrote
    file: PathBuf,
}

/// How many entries there are of each value.
#[derive(Default, Serialize)]
struct Shape {
    agency: String,
    entries: u64,
    /// By operation.
    operations: BTreeMap<String, u64>,
    /// By the other agency, and which side the own one was on.
    peers: BTreeMap<String, Sides>,
    purposes: BTreeMap<String, u64>,
    outcomes: BTreeMap<String, u64>,
    /// By the month of the begin, UTC.
    months: BTreeMap<String, u64>,
    /// Items that were asked with, in queries that were not denied.
    items_asked: u64,
    /// Seconds from begin to end, of queries that ended.
    seconds: Seconds,
    #[serde(skip)]
    total_seconds: f64,
    #[serde(skip)]
    timed: u64,
}

#[derive(Default, Serialize)]
struct Sides {
    asked: u64,
    was_asked: u64,
}

#[derive(Default, Serialize)]
struct Seconds {
    mean: f64,
    longest: f64,
}

impl Visitor for Shape {
    fn entry(&mut self, logged: Logged) {
        let entry = &logged.entry;
        self.entries += 1;
        let count = |counts: &mut BTreeMap<String, u64>, key: &str| *counts.entry(key.to_owned()).or_default() += 1;
        count(&mut self.operations, entry.operation.name());
        count(&mut self.outcomes, logged.outcome().name());
        count(&mut self.months, &entry.started.strftime("%Y-%m").to_string());
        if let Some(purpose) = &entry.purpose {
            count(&mut self.purposes, purpose);
        }
        for other in entry.others() {
            let peer = self.peers.entry(other.clone()).or_default();
            match entry.side {
                Side::Asker => peer.asked += 1,
                Side::Holder => peer.was_asked += 1,
                Side::Witness => {}
            }
        }
        if let Some(closing) = &logged.closing
            && entry.purpose.is_some()
            && logged.outcome() != overlap_audit::Outcome::Denied
        {
            self.items_asked += entry.input_count.unwrap_or_default();
            let seconds = closing.ended.duration_since(entry.started).as_secs_f64();
            self.total_seconds += seconds;
            self.timed += 1;
            self.seconds.longest = self.seconds.longest.max(seconds);
        }
    }
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<(), Failure> {
    let bar = files::bar(output);
    let export = files::open(&args.file, &bar).map_err(files::unreadable(&args.file))?;
    let mut shape = Shape {
        agency: export.header().agency.clone(),
        ..Shape::default()
    };
    let report =
        overlap_audit::verify(export, &Anchors::default(), &mut shape).map_err(files::unreadable(&args.file))?;
    bar.finish_and_clear();
    if shape.timed > 0 {
        shape.seconds.mean = shape.total_seconds / shape.timed as f64;
    }
    output.print(&shape, |out| {
        writeln!(out, "{}: {} entries", shape.agency, grouped(shape.entries))?;
        let mut peers = table(["agency", "asked by us", "asked us"]);
        for (peer, sides) in &shape.peers {
            peers.add_row([peer.clone(), grouped(sides.asked), grouped(sides.was_asked)]);
        }
        writeln!(out, "{peers}")?;
        let by = [
            ("operation", &shape.operations),
            ("purpose", &shape.purposes),
            ("outcome", &shape.outcomes),
            ("month", &shape.months),
        ];
        for (name, counts) in by {
            let mut shown = table([name, "entries"]);
            for (value, count) in counts {
                shown.add_row([value.clone(), grouped(*count)]);
            }
            writeln!(out, "{shown}")?;
        }
        writeln!(
            out,
            "{} items were asked with; a query took {:.2} s on average, {:.2} s at most",
            grouped(shape.items_asked),
            shape.seconds.mean,
            shape.seconds.longest
        )
    })?;
    match report.is_whole() {
        true => Ok(()),
        false => Err(check::not_whole(anyhow!(
            "the log is not whole, so the counts may be wrong: see `overlap log verify`"
        ))),
    }
}
