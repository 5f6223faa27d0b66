//! `overlap log export`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use overlap_audit::{Activities, Anchors, LdvRecord, Logged, Visitor};
use overlap_proto::pb::operator as pb;

use super::{check, fields, files};
use crate::{
    client::{self, Failure},
    output::{Output, grouped, no_formula},
    settings::{Connection, Settings},
};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  overlap log export --out politie.log --reason \"yearly audit\"\n  overlap log export --from politie.log --format csv --out politie.csv"
)]
pub(crate) struct Args {
    /// Make it of a log that was taken away before, without the node
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// log: all of it, to be verified; jsonl: entries with their ends; csv: the same as a table; ldv: as Logboek Dataverwerkingen has it
    #[arg(long, default_value = "log", value_parser = ["log", "jsonl", "csv", "ldv"])]
    format: String,
    /// Where to write; an existing file is not overwritten
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Why, in words; goes to the log
    #[arg(long, required_unless_present = "from")]
    reason: Option<String>,
    /// For ldv: URI of the processing activity in your register
    #[arg(long, value_name = "URI", required_if_eq("format", "ldv"))]
    activity: Option<String>,
    /// For ldv: the activity of one purpose, PURPOSE=URI
    #[arg(long = "activity-of", value_name = "PURPOSE=URI", value_parser = parse_pair)]
    activities: Vec<(String, String)>,
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').ok_or("must be PURPOSE=URI")?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}

pub(super) async fn run(connection: Connection, args: Args, output: &mut Output) -> Result<(), Failure> {
    let directory = args
        .out
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // what is there is whole or not there at all; only its owner may read it, since it tells who asked what
    let partial = |what: &str| {
        tempfile::Builder::new()
            .prefix(what)
            .tempfile_in(directory)
            .with_context(|| format!("cannot write in {}", directory.display()))
            .map_err(Failure::usage)
    };
    if args.out.exists() {
        return Err(Failure::usage(anyhow!(
            "{} exists already and is not overwritten",
            args.out.display()
        )));
    }
    let whole = match &args.from {
        Some(_) => None,
        None => {
            let mut file = partial(".overlap-log-")?;
            let reason = args.reason.clone().unwrap_or_default();
            download(&connection.check()?, reason, file.as_file_mut(), output).await?;
            Some(file)
        }
    };
    let source = args.from.as_deref().or(whole.as_ref().map(|file| file.path()));
    let source = source.ok_or_else(|| Failure::internal(anyhow!("nothing to export")))?;
    let (entries, made) = match (args.format.as_str(), whole.is_some()) {
        ("log", true) => (None, None),
        ("log", false) => {
            return Err(Failure::usage(anyhow!(
                "{} is a log already: give --format jsonl, csv or ldv",
                source.display()
            )));
        }
        (format, _) => {
            let mut file = partial(".overlap-log-table-")?;
            let entries = convert(source, format, &args, file.as_file_mut(), output)?;
            (Some(entries), Some(file))
        }
    };
    let result = made
        .or(whole)
        .ok_or_else(|| Failure::internal(anyhow!("nothing to write")))?;
    let bytes = result.as_file().metadata().map_err(Failure::internal)?.len();
    result.as_file().sync_all().map_err(Failure::internal)?;
    result
        .persist_noclobber(&args.out)
        .with_context(|| format!("cannot write {}", args.out.display()))
        .map_err(Failure::usage)?;
    let shape = serde_json::json!({ "written": args.out, "format": args.format, "bytes": bytes, "entries": entries });
    output.print(&shape, |out| {
        let entries = entries
            .map(|entries| format!("{} entries, ", grouped(entries)))
            .unwrap_or_default();
        writeln!(out, "{entries}{} bytes in {}", grouped(bytes), args.out.display())?;
        match args.format.as_str() {
            "log" => writeln!(out, "`overlap log verify {}` checks it", args.out.display()),
            _ => Ok(()),
        }
    })
}

/// Writes the log of a node to a file.
pub(crate) async fn download(
    settings: &Settings,
    reason: String,
    file: &mut File,
    output: &Output,
) -> Result<(), Failure> {
    let mut client = client::connect(settings).await?;
    let mut chunks = client.export_log(pb::ExportLogRequest { reason }).await?.into_inner();
    let bar = output.bar("{spinner} {bytes}, {bytes_per_sec}");
    let mut out = BufWriter::new(file);
    while let Some(message) = chunks.message().await? {
        bar.inc(message.chunk.len() as u64);
        out.write_all(&message.chunk).map_err(Failure::usage)?;
    }
    out.flush().map_err(Failure::usage)?;
    bar.finish_and_clear();
    Ok(())
}

type Out<'a> = BufWriter<&'a mut File>;
/// Writes one entry.
type WriteEntry<'a> = Box<dyn FnMut(&mut Out<'a>, &Logged) -> io::Result<()>>;

/// Writes entries as they come; the first failure stays.
struct Entries<'a> {
    write: WriteEntry<'a>,
    out: Out<'a>,
    count: u64,
    failed: Option<io::Error>,
}

impl Visitor for Entries<'_> {
    fn entry(&mut self, logged: Logged) {
        if self.failed.is_none() {
            self.failed = (self.write)(&mut self.out, &logged).err();
            self.count += 1;
        }
    }
}

fn convert(source: &Path, format: &str, args: &Args, file: &mut File, output: &mut Output) -> Result<u64, Failure> {
    let bar = files::bar(output);
    let export = files::open(source, &bar).map_err(files::unreadable(source))?;
    let agency = export.header().agency.clone();
    let activities = Activities {
        default: args.activity.clone().unwrap_or_default(),
        by_purpose: args.activities.iter().cloned().collect::<BTreeMap<_, _>>(),
    };
    let mut out = BufWriter::new(file);
    if format == "csv" {
        csv_line(&mut out, COLUMNS.iter().map(|column| (*column).to_owned())).map_err(Failure::usage)?;
    }
    let write: WriteEntry<'_> = match format {
        "csv" => Box::new(csv_entry),
        "ldv" => Box::new(move |out, logged| match logged.closing.is_some() {
            true => json_line(out, &LdvRecord::of(logged, &agency, &activities)),
            false => Ok(()),
        }),
        _ => Box::new(|out, logged| json_line(out, logged)),
    };
    let mut entries = Entries {
        write,
        out,
        count: 0,
        failed: None,
    };
    let report = overlap_audit::verify(export, &Anchors::default(), &mut entries).map_err(files::unreadable(source))?;
    bar.finish_and_clear();
    if let Some(error) = entries.failed {
        return Err(Failure::usage(error));
    }
    entries.out.flush().map_err(Failure::usage)?;
    match report.is_whole() {
        true => Ok(entries.count),
        false => Err(check::not_whole(anyhow!(
            "{} is not whole, so no table is made of it: see `overlap log verify`",
            source.display()
        ))),
    }
}

fn json_line(out: &mut Out<'_>, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// The columns of the table, by the names that `overlap log show` has for them.
const COLUMNS: [&str; 36] = [
    "index",
    "entry",
    "transaction",
    "about",
    "started",
    "ended",
    "operation",
    "side",
    "outcome",
    "detail",
    "asker",
    "holder",
    "recipients",
    "country",
    "person",
    "role",
    "approver",
    "purpose",
    "regime",
    "article",
    "case",
    "reason",
    "order",
    "dataset",
    "dataset version",
    "kinds",
    "mode",
    "protocol",
    "items asked",
    "input commitment",
    "items given",
    "hits",
    "candidates",
    "items of the peer",
    "agreement",
    "agreement hash",
];

fn csv_entry(out: &mut Out<'_>, logged: &Logged) -> io::Result<()> {
    let fields: BTreeMap<&str, String> = fields(logged).into_iter().collect();
    let cells = COLUMNS.iter().map(|column| {
        let mut cell = fields.get(column).cloned().unwrap_or_default();
        // numbers are grouped for people alone
        if matches!(
            *column,
            "dataset version" | "items asked" | "items given" | "hits" | "candidates" | "items of the peer"
        ) {
            cell.retain(|c| c != ',');
        }
        no_formula(&mut cell);
        cell
    });
    csv_line(out, cells)
}

fn csv_line(out: &mut impl Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    let mut line = csv::WriterBuilder::new().from_writer(&mut *out);
    line.write_record(cells)?;
    line.flush()
}
