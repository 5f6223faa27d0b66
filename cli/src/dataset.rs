//! `overlap dataset`.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use comfy_table::Table;
use indicatif::ProgressBar;
use overlap_proto::{operator, pb::operator as pb};
use overlap_records::{Import, Mapping, Profile, Reject, Summary};
use prost::Message as _;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    client::{self, Client, Failure},
    output::{Output, grouped, table},
    settings::Settings,
};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Load an export file as the new version of a dataset
    ///
    /// Rows are read and normalised here, so that what is wrong with them is told by file, row and column; the node gets canonical
    /// identifiers. The previous version stays in force until all of the file is in, and for good if anything fails.
    #[command(
        after_help = "Example:\n  overlap dataset import export.csv --dataset cases --mapping export.toml --rejects rejects.csv"
    )]
    Import {
        /// The export: CSV in the delimiter and encoding that the mapping gives, or that are detected
        file: PathBuf,
        /// Name of the dataset
        #[arg(long)]
        dataset: String,
        /// Mapping file (TOML) from columns to kinds of identifiers; see docs/mapping.md
        #[arg(long)]
        mapping: PathBuf,
        /// Write row, column and reason of every rejected cell to this CSV file (never the value)
        #[arg(long, value_name = "FILE")]
        rejects: Option<PathBuf>,
    },
    /// List the datasets
    List,
    /// Show one dataset
    Show {
        /// Name of the dataset
        dataset: String,
    },
    /// Erase a dataset: its key, its records and its items
    Erase {
        /// Name of the dataset
        dataset: String,
        /// Why, in words; goes to the log
        #[arg(long)]
        reason: String,
    },
}

/// A dataset in JSON.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DatasetShape {
    pub(crate) name: String,
    pub(crate) version: u64,
    pub(crate) created: String,
    pub(crate) profile: String,
    pub(crate) records: u64,
    /// Records that take part in no query: of visibility class d, or expired when they were imported.
    pub(crate) withheld: u64,
    /// The day after which the first of the others expires.
    pub(crate) expires: Option<String>,
    /// Distinct items per kind.
    pub(crate) items: BTreeMap<String, u64>,
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

impl From<pb::Dataset> for DatasetShape {
    fn from(dataset: pb::Dataset) -> Self {
        Self {
            name: dataset.name,
            version: dataset.version,
            created: dataset.created,
            profile: dataset.profile,
            records: dataset.records,
            withheld: dataset.withheld,
            expires: (!dataset.expires.is_empty()).then_some(dataset.expires),
            items: dataset.kinds.into_iter().map(|kind| (kind.kind, kind.items)).collect(),
        }
    }
}

pub(crate) async fn run(settings: Settings, command: Command, output: &mut Output) -> Result<(), Failure> {
    let mut client = client::connect(&settings).await?;
    match command {
        Command::Import {
            file,
            dataset,
            mapping,
            rejects,
        } => {
            let bar = output.bar("{spinner} {msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
            let source = Source {
                file: &file,
                mapping: &mapping,
                rejects: rejects.as_deref(),
            };
            let imported = import(&mut client, &dataset, &source, bar).await?;
            output.print(&imported, |out| print_import(out, &imported, rejects.as_deref()))
        }
        Command::List => {
            let datasets = list(&mut client).await?;
            output.print(&datasets, |out| writeln!(out, "{}", datasets_table(&datasets)))
        }
        Command::Show { dataset } => {
            let found = list(&mut client).await?.into_iter().find(|found| found.name == dataset);
            let found = found.ok_or_else(|| {
                Failure::usage(anyhow::anyhow!(
                    "no dataset has the name {dataset}; see `overlap dataset list`"
                ))
            })?;
            output.print(&found, |out| {
                writeln!(out, "{}", datasets_table(std::slice::from_ref(&found)))
            })
        }
        Command::Erase { dataset, reason } => {
            let request = pb::EraseDatasetRequest { dataset, reason };
            let erased = client
                .erase_dataset(request)
                .await?
                .into_inner()
                .dataset
                .unwrap_or_default();
            let erased = DatasetShape::from(erased);
            output.print(&erased, |out| {
                writeln!(
                    out,
                    "erased {} version {}: {} records",
                    erased.name,
                    erased.version,
                    grouped(erased.records)
                )
            })
        }
    }
}

/// Where an import comes from.
pub(crate) struct Source<'a> {
    pub(crate) file: &'a Path,
    pub(crate) mapping: &'a Path,
    pub(crate) rejects: Option<&'a Path>,
}

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
    let profile = Profile::EU_THB_1;
    let begin = pb::ImportBegin {
        dataset: dataset.to_owned(),
        profile: profile.name().to_owned(),
        profile_hash: profile.hash().to_vec().into(),
    };
    let reader = tokio::task::spawn_blocking(move || reading.send(begin, &messages));
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

struct Reading {
    import: Import<File>,
    file_name: String,
    rejects: Option<BufWriter<File>>,
    bar: ProgressBar,
}

struct Read {
    summary: Summary,
    first_rejects: Vec<String>,
}

/// Bytes of records per message, about.
const BATCH_BYTES: usize = 128 << 10;
/// How many rejects are shown in words.
const SHOWN_REJECTS: usize = 5;

impl Reading {
    fn open(source: &Source<'_>, bar: ProgressBar) -> Result<Self, Failure> {
        let cannot =
            |path: &Path, error: &dyn std::fmt::Display| Failure::usage(anyhow::anyhow!("{}: {error}", path.display()));
        let text = fs::read_to_string(source.mapping).map_err(|error| cannot(source.mapping, &error))?;
        let mapping = Mapping::parse(&text).map_err(|error| cannot(source.mapping, &error))?;
        let file = File::open(source.file).map_err(|error| cannot(source.file, &error))?;
        let length = file.metadata().map_err(|error| cannot(source.file, &error))?.len();
        let file_name = source.file.display().to_string();
        let import = Import::open(file, &file_name, &mapping).map_err(Failure::usage)?;
        let rejects = match source.rejects {
            None => None,
            Some(path) if is_same(path, source.file) || is_same(path, source.mapping) => {
                return Err(cannot(
                    path,
                    &"--rejects would overwrite what is read; give another file",
                ));
            }
            Some(path) => {
                let mut file = BufWriter::new(File::create(path).map_err(|error| cannot(path, &error))?);
                writeln!(file, "row,column,reason").map_err(|error| cannot(path, &error))?;
                Some(file)
            }
        };
        bar.set_length(length);
        bar.set_message(file_name.clone());
        Ok(Self {
            import,
            file_name,
            rejects,
            bar,
        })
    }

    /// Reads all rows into messages; the commit follows only if every row was read.
    fn send(mut self, begin: pb::ImportBegin, to: &mpsc::Sender<pb::ImportDatasetRequest>) -> Result<Read, Failure> {
        use pb::import_dataset_request::Message;
        // a node that hung up has an error of its own to tell
        let send = |message| {
            to.blocking_send(pb::ImportDatasetRequest { message: Some(message) })
                .is_ok()
        };
        let mut going = send(Message::Begin(begin));
        let mut first_rejects = Vec::new();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while going && let Some(row) = self.import.next() {
            let row = row.map_err(Failure::usage)?;
            for reject in &row.rejects {
                if first_rejects.len() < SHOWN_REJECTS {
                    first_rejects.push(reject.in_file(&self.file_name).to_string());
                }
                self.note(reject).map_err(Failure::internal)?;
            }
            if let Some(record) = row.record {
                let record = operator::to_pb(&record);
                bytes += record.encoded_len();
                batch.push(record);
            }
            if bytes >= BATCH_BYTES {
                bytes = 0;
                going = send(Message::Records(pb::Records {
                    records: std::mem::take(&mut batch),
                }));
                self.bar.set_position(self.import.bytes_read());
            }
        }
        if going {
            let rest = batch.is_empty() || send(Message::Records(pb::Records { records: batch }));
            let _ = rest && send(Message::Commit(pb::ImportCommit {}));
        }
        if let Some(rejects) = &mut self.rejects {
            rejects.flush().map_err(Failure::internal)?;
        }
        self.bar.finish_and_clear();
        Ok(Read {
            summary: self.import.summary().clone(),
            first_rejects,
        })
    }

    fn note(&mut self, reject: &Reject) -> io::Result<()> {
        let Some(rejects) = &mut self.rejects else {
            return Ok(());
        };
        let column = reject.column.replace('"', "\"\"");
        writeln!(rejects, "{},\"{column}\",{}", reject.row, reject.reason.code())
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

async fn list(client: &mut Client) -> Result<Vec<DatasetShape>, Failure> {
    let datasets = client
        .list_datasets(pb::ListDatasetsRequest {})
        .await?
        .into_inner()
        .datasets;
    Ok(datasets.into_iter().map(DatasetShape::from).collect())
}

pub(crate) fn datasets_table(datasets: &[DatasetShape]) -> Table {
    let mut shown = table(["dataset", "version", "imported", "profile", "records", "distinct items"]);
    for dataset in datasets {
        let items = dataset
            .items
            .iter()
            .map(|(kind, items)| format!("{kind} {}", grouped(*items)));
        shown.add_row([
            dataset.name.clone(),
            dataset.version.to_string(),
            dataset.created.clone(),
            dataset.profile.clone(),
            grouped(dataset.records),
            items.collect::<Vec<_>>().join(", "),
        ]);
    }
    shown
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
    if dataset.withheld > 0 {
        let withheld = grouped(dataset.withheld);
        writeln!(
            out,
            "{withheld} records take part in no query: visibility class d, or expired"
        )?;
    }
    let mut kinds = table(["kind", "identifiers read", "distinct items"]);
    for (kind, count) in &summary.identifiers {
        let items = dataset.items.get(kind.as_str()).copied().unwrap_or_default();
        kinds.add_row([kind.to_string(), grouped(*count), grouped(items)]);
    }
    writeln!(out, "{kinds}")?;
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
