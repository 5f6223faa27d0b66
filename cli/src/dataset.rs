//! `overlap dataset`.

mod check;
mod import;
mod map;
mod reading;

use std::collections::BTreeMap;

use comfy_table::Table;
use overlap_proto::pb::operator as pb;
use serde::Serialize;

use crate::{
    client::{self, Client, Failure},
    output::{Output, grouped, table},
    settings::Connection,
};

pub(crate) use import::{ImportShape, import, print_import};
pub(crate) use reading::Source;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Load an export file as the new version of a dataset
    ///
    /// Rows are read and normalised here, so that what is wrong with them is told by file, row and column; the node gets canonical
    /// identifiers. The previous version stays in force until all of the file is in, and for good if anything fails.
    #[command(after_help = "\
Examples:
  overlap dataset import export.xlsx --mapping export.toml --check
  overlap dataset import export.csv --dataset cases --mapping export.toml --rejects rejects.csv")]
    Import(import::Args),
    /// Propose a mapping for a file, from the names of its columns and its first 1000 rows
    ///
    /// No node is needed and nothing leaves this machine. Look over every line of what is proposed, then try it with
    /// `overlap dataset import --check`.
    #[command(after_help = "Example:\n  overlap dataset map export.xlsx --out export.toml")]
    Map(map::Args),
    /// List the datasets
    List,
    /// Show one dataset
    Show {
        /// Name of the dataset
        dataset: String,
    },
    /// Erase the records whose retention has ended, and what matches found of them
    ///
    /// A node does so by itself when it starts and once a day. Expired records take part in no query, purged or not.
    Purge {
        /// Name of the dataset [default: all]
        dataset: Option<String>,
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

pub(crate) async fn run(connection: Connection, command: Command, output: &mut Output) -> Result<(), Failure> {
    let progress = |output: &Output| output.bar("{spinner} {prefix} {wide_bar} {bytes}/{total_bytes} {msg} {eta}");
    match command {
        // these two need no node
        Command::Map(args) => map::map(args, output),
        Command::Import(args) if args.check => {
            let bar = progress(output);
            check::check(&args.source(), bar, output)
        }
        Command::Import(args) => {
            let dataset = args.dataset.as_deref().unwrap_or_default();
            let mut client = connected(connection).await?;
            let imported = import(&mut client, dataset, &args.source(), progress(output)).await?;
            output.print(&imported, |out| print_import(out, &imported, args.rejects.as_deref()))
        }
        Command::List => {
            let mut client = connected(connection).await?;
            let datasets = list(&mut client).await?;
            output.print(&datasets, |out| writeln!(out, "{}", datasets_table(&datasets)))
        }
        Command::Show { dataset } => {
            let mut client = connected(connection).await?;
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
        Command::Purge { dataset } => purge(&mut connected(connection).await?, dataset, output).await,
        Command::Erase { dataset, reason } => {
            let mut client = connected(connection).await?;
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

/// What a purge erased, in JSON.
#[derive(Debug, Serialize)]
struct PurgeShape {
    /// The datasets that had something to erase, as they are now.
    datasets: Vec<PurgedShape>,
    /// Kept hits that were erased.
    hits: u64,
}

#[derive(Debug, Serialize)]
struct PurgedShape {
    dataset: DatasetShape,
    /// Records that were erased.
    erased: u64,
}

async fn purge(client: &mut Client, dataset: Option<String>, output: &mut Output) -> Result<(), Failure> {
    let request = pb::PurgeDatasetsRequest {
        dataset: dataset.unwrap_or_default(),
    };
    let purged = client.purge_datasets(request).await?.into_inner();
    let datasets = purged.purged.into_iter().map(|one| PurgedShape {
        dataset: one.dataset.unwrap_or_default().into(),
        erased: one.records,
    });
    let shape = PurgeShape {
        datasets: datasets.collect(),
        hits: purged.hits,
    };
    output.print(&shape, |out| {
        if shape.datasets.is_empty() && shape.hits == 0 {
            return writeln!(out, "nothing has expired");
        }
        for one in &shape.datasets {
            let (name, left) = (&one.dataset.name, grouped(one.dataset.records));
            writeln!(
                out,
                "{name}: {} expired records erased, {left} left",
                grouped(one.erased)
            )?;
        }
        writeln!(out, "{} kept hits erased", grouped(shape.hits))
    })
}

async fn connected(connection: Connection) -> Result<Client, Failure> {
    client::connect(&connection.check()?).await
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
