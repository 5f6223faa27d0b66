//! `overlap dataset import`: rows in, records to the node.

use std::{
    io::{self, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Instant,
};

use indicatif::ProgressBar;
use overlap_proto::{operator, pb::operator as pb};
use overlap_records::{Format, Profile, Summary};
use prost::Message as _;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    DatasetShape,
    reading::{Read, Reading, Source},
};
use crate::{
    client::{Client, Failure},
    output::{grouped, table},
    profile,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The export: CSV, TSV, JSON Lines, XLSX or Parquet; a directory of such files; or - for CSV or JSON Lines on standard input
    pub(super) file: PathBuf,
    /// Name of the dataset
    #[arg(long, required_unless_present = "check")]
    pub(super) dataset: Option<String>,
    /// Mapping file (TOML) from columns to kinds of identifiers; see docs/mapping.md, and `overlap dataset map` to begin one
    #[arg(long, value_name = "FILE")]
    pub(super) mapping: PathBuf,
    /// Format of the file, instead of the one that its first bytes and its name tell: csv, jsonl, xlsx, parquet
    #[arg(long)]
    pub(super) format: Option<Format>,
    /// Write row, column, reason and file of every rejected cell to this CSV file (never the value)
    #[arg(long, value_name = "FILE")]
    pub(super) rejects: Option<PathBuf>,
    /// Add to what the dataset holds, instead of replacing it
    #[arg(long)]
    pub(super) append: bool,
    /// File of the profile that your node compares under, where that is not the one built in
    #[arg(long, value_name = "FILE")]
    pub(super) profile: Option<PathBuf>,
    /// Read everything and report, without a node: exit code 5 if an import would fail
    #[arg(long)]
    pub(super) check: bool,
}

impl Args {
    pub(super) fn source(&self) -> Source<'_> {
        Source {
            file: &self.file,
            mapping: &self.mapping,
            format: self.format,
            rejects: self.rejects.as_deref(),
            append: self.append,
            profile: self.profile.as_deref(),
        }
    }
}

/// What an import did, in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct ImportShape {
    pub(crate) dataset: DatasetShape,
    pub(crate) summary: Summary,
    pub(crate) seconds: f64,
    /// The first rejects, in words.
    pub(crate) first_rejects: Vec<String>,
}

/// Bytes of records per message, about.
const BATCH_BYTES: usize = 128 << 10;

/// Imports a file through the node of `client`.
pub(crate) async fn import(
    client: &mut Client,
    dataset: &str,
    source: &Source<'_>,
    bar: ProgressBar,
) -> Result<ImportShape, Failure> {
    let started = Instant::now();
    let reading = Reading::open(source, bar)?;
    let (messages, stream) = mpsc::channel(8);
    let profile = source.profile.map_or_else(|| Ok(Profile::eu_thb_1()), profile::load)?;
    let begin = pb::ImportBegin {
        dataset: dataset.to_owned(),
        profile: profile.name().to_owned(),
        profile_hash: profile.hash().to_vec().into(),
        append: source.append,
    };
    let reader = tokio::task::spawn_blocking(move || send(reading, begin, &messages));
    let answer = client.import_dataset(ReceiverStream::new(stream)).await;
    // a file that cannot be read is why the node saw no commit: that is what to tell
    let read = reader.await.map_err(Failure::internal)??;
    let dataset = answer?.into_inner().dataset.unwrap_or_default();
    let seconds = started.elapsed().as_secs_f64();
    Ok(ImportShape {
        dataset: dataset.into(),
        summary: read.summary,
        seconds,
        first_rejects: read.first_rejects,
    })
}

/// Reads all rows into messages; the commit follows only if every row was read.
fn send(
    reading: Reading,
    begin: pb::ImportBegin,
    to: &mpsc::Sender<pb::ImportDatasetRequest>,
) -> Result<Read, Failure> {
    use pb::import_dataset_request::Message;
    // a node that hung up has an error of its own to tell
    let send = |message| match to.blocking_send(pb::ImportDatasetRequest { message: Some(message) }) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    };
    let mut going = send(Message::Begin(begin));
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let mut read = reading.records(|record| {
        let record = operator::to_pb(&record);
        bytes += record.encoded_len();
        batch.push(record);
        if bytes >= BATCH_BYTES && going.is_continue() {
            bytes = 0;
            let records = std::mem::take(&mut batch);
            going = send(Message::Records(pb::Records { records }));
        }
        going
    })?;
    if let Some(error) = read.stopped.take() {
        return Err(Failure::usage(error));
    }
    if going.is_continue() && !batch.is_empty() {
        going = send(Message::Records(pb::Records { records: batch }));
    }
    if going.is_continue() {
        let _ = send(Message::Commit(pb::ImportCommit {}));
    }
    Ok(read)
}

pub(crate) fn print_import(out: &mut dyn Write, import: &ImportShape, rejects: Option<&Path>) -> io::Result<()> {
    let (summary, dataset) = (&import.summary, &import.dataset);
    writeln!(
        out,
        "{}: {} rows -> {} records, now version {} of {} ({:.1} s)",
        summary.file,
        grouped(summary.rows),
        grouped(summary.records),
        dataset.version,
        dataset.name,
        import.seconds,
    )?;
    print_withheld(out, dataset.withheld)?;
    let mut kinds = table(["kind", "identifiers read", "distinct items"]);
    for (kind, count) in &summary.identifiers {
        let items = dataset.items.get(kind.as_str()).copied().unwrap_or_default();
        kinds.add_row([kind.to_string(), grouped(*count), grouped(items)]);
    }
    writeln!(out, "{kinds}")?;
    print_warnings(out, summary)?;
    if summary.rejected_total == 0 {
        return Ok(());
    }
    let mut reasons = table(["rejected because", "cells"]);
    for (reason, count) in &summary.rejected {
        reasons.add_row([(*reason).to_owned(), grouped(*count)]);
    }
    writeln!(out, "{reasons}")?;
    for line in &import.first_rejects {
        writeln!(out, "  {line}")?;
    }
    match (
        rejects,
        summary.rejected_total.saturating_sub(import.first_rejects.len() as u64),
    ) {
        (Some(path), _) => writeln!(out, "  all of them are in {}", path.display()),
        (None, 0) => Ok(()),
        (None, more) => writeln!(out, "  and {} more; --rejects FILE lists all", grouped(more)),
    }
}

pub(super) fn print_withheld(out: &mut dyn Write, withheld: u64) -> io::Result<()> {
    match withheld {
        0 => Ok(()),
        1 => writeln!(out, "1 record takes part in no query: visibility class d, or expired"),
        more => writeln!(
            out,
            "{} records take part in no query: visibility class d, or expired",
            grouped(more)
        ),
    }
}

pub(super) fn print_warnings(out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
    if !summary.skipped.is_empty() {
        writeln!(
            out,
            "warning: not read, since their names do not end as exports do: {}",
            summary.skipped.join(", ")
        )?;
    }
    for warning in &summary.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}
