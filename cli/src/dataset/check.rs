//! `overlap dataset import --check`: everything an import would read, and nothing sent.

use std::{
    io::{self, Write},
    ops::ControlFlow,
    time::Instant,
};

use indicatif::ProgressBar;
use jiff::{Timestamp, tz::TimeZone};
use overlap_records::Summary;
use serde::Serialize;

use super::{
    import::{print_warnings, print_withheld},
    reading::{Read, Reading, Source},
};
use crate::{
    client::{Failure, Kind},
    output::{Output, grouped, table},
};

/// What an import would do, in JSON.
#[derive(Debug, Serialize)]
struct CheckShape {
    importable: bool,
    /// What would stop it.
    error: Option<String>,
    summary: Summary,
    /// Of the records, those that would take part in no query.
    withheld: u64,
    rejects: Vec<RejectShape>,
    seconds: f64,
}

/// Rejects of one reason in one column.
#[derive(Debug, Serialize)]
struct RejectShape {
    reason: &'static str,
    message: String,
    /// Empty where the row as a whole is meant.
    column: String,
    cells: u64,
    first: Vec<PlaceShape>,
}

#[derive(Debug, Serialize)]
struct PlaceShape {
    file: String,
    row: u64,
}

/// Reads and reports. A file that would stop an import is a failure of its own kind, told after the report.
pub(super) fn check(source: &Source<'_>, bar: ProgressBar, output: &mut Output) -> Result<(), Failure> {
    // rules that cannot be read would stop an import too
    source.profile.map(crate::profile::load).transpose()?;
    let started = Instant::now();
    let today = TimeZone::UTC.to_datetime(Timestamp::now()).date();
    let mut withheld = 0;
    let Read {
        summary,
        tallies,
        stopped,
        ..
    } = Reading::open(source, bar)?.records(|record| {
        withheld += u64::from(record.is_withheld(today));
        ControlFlow::Continue(())
    })?;
    let error = stopped.map(anyhow::Error::from);
    let rejects = tallies.into_iter().flat_map(|(reason, columns)| {
        columns.into_iter().map(move |(column, tally)| RejectShape {
            reason: reason.code(),
            message: reason.to_string(),
            column,
            cells: tally.cells,
            first: tally
                .first
                .into_iter()
                .map(|(file, row)| PlaceShape { file, row })
                .collect(),
        })
    });
    let shape = CheckShape {
        importable: error.is_none(),
        error: error.as_ref().map(|error| format!("{error:#}")),
        summary,
        withheld,
        rejects: rejects.collect(),
        seconds: started.elapsed().as_secs_f64(),
    };
    output.print(&shape, |out| print(out, &shape))?;
    match error {
        None => Ok(()),
        Some(error) => Err(Failure::new(Kind::NotImportable, error)),
    }
}

fn print(out: &mut dyn Write, check: &CheckShape) -> io::Result<()> {
    let summary = &check.summary;
    let read_as: Vec<&str> = summary.read_as.iter().map(String::as_str).collect();
    let read_as = match read_as.join(", ") {
        none if none.is_empty() => none,
        formats => format!(" ({formats})"),
    };
    writeln!(
        out,
        "{}{read_as}: {} rows -> {} records in {:.1} s; nothing was imported",
        summary.file,
        grouped(summary.rows),
        grouped(summary.records),
        check.seconds,
    )?;
    print_withheld(out, check.withheld)?;
    let mut kinds = table(["kind", "identifiers"]);
    for (kind, count) in &summary.identifiers {
        kinds.add_row([kind.to_string(), grouped(*count)]);
    }
    if kinds.row_count() > 0 {
        writeln!(out, "{kinds}")?;
    }
    print_warnings(out, summary)?;
    if !check.rejects.is_empty() {
        let mut rejects = table(["rejected because", "column", "cells", "first rows", "what to do"]);
        for reject in &check.rejects {
            let rows: Vec<String> = reject.first.iter().map(|place| place.row.to_string()).collect();
            rejects.add_row([
                reject.reason.to_owned(),
                reject.column.clone(),
                grouped(reject.cells),
                rows.join(", "),
                reject.message.clone(),
            ]);
        }
        writeln!(out, "{rejects}")?;
        writeln!(
            out,
            "rows that make no record: {}; of the others what is right is taken, and of a bad birth date what may be",
            grouped(summary.rows - summary.records)
        )?;
    }
    match check.importable {
        true => writeln!(out, "an import would succeed"),
        false => writeln!(out, "an import would fail"),
    }
}
