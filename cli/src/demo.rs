//! `overlap demo`: four agencies on this machine.

mod action;
mod chance;
mod consent;
mod export;
mod generate;
mod picture;
mod spelling;
mod story;
mod truth;
mod values;
mod words;
mod world;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::{
    client::Failure,
    output::{Output, grouped},
};

/// Run four agencies on this machine and match their made-up exports
///
/// Starts the nodes of politie, kmar, iszw and emm as real processes on loopback, with keys and certificates made on the spot, loads a
/// messy export into each, lets politie ask kmar which identifiers they share and iszw ask politie how many, and shows what both sides
/// logged. All people and numbers are made up.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Directory for keys, stores and exports; must be empty or new [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Keep the directory, to look at it or to start the nodes again
    #[arg(long)]
    keep: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Let the four agencies make a picture of what they have in common, and follow one subject up
    Picture {
        /// Directory for charts and exports
        #[arg(long, value_name = "DIR", default_value = "overlap-picture")]
        out: PathBuf,
    },
    /// Let four agencies check in the street, live: hits on both sides, a record that comes later, and the numbers of the day
    Action {
        /// Directory for the end report
        #[arg(long, value_name = "DIR", default_value = "overlap-action")]
        out: PathBuf,
    },
    /// Write larger made-up exports: NAME.csv with NAME.toml (its mapping) per agency, and truth.json (what they share)
    #[command(after_help = "Example:\n  overlap demo generate --dir exports --records 100000 --overlap 0.05 --seed 7")]
    Generate {
        /// Directory to write them to
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Rows per agency
        #[arg(long, default_value_t = 1500, value_parser = parse_records)]
        records: usize,
        /// Share of each agency's subjects that another agency knows too, 0 to 1
        #[arg(long, default_value_t = 0.1)]
        overlap: f64,
        /// Equal seeds give equal files
        #[arg(long, default_value_t = 2026)]
        seed: u64,
    },
}

fn parse_records(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(records @ 1..=1_000_000) => Ok(records),
        _ => Err("must be 1 to 1000000".into()),
    }
}

pub(crate) async fn run(args: Args, output: &mut Output) -> Result<(), Failure> {
    match args.command {
        Some(Command::Generate {
            dir,
            records,
            overlap,
            seed,
        }) => {
            if dir.join("truth.json").exists() {
                return Err(Failure::usage(anyhow::anyhow!(
                    "{} holds exports already; give another directory with --dir",
                    dir.display()
                )));
            }
            let plan = generate::Plan {
                records_per_agency: records,
                overlap,
                seed,
            };
            let truth = generate::generate(&plan, &dir)
                .with_context(|| format!("cannot write exports to {}", dir.display()))
                .map_err(Failure::usage)?;
            output.print(&truth, |out| {
                writeln!(
                    out,
                    "4 exports of {} rows each are in {}",
                    grouped(records as u64),
                    dir.display()
                )?;
                writeln!(
                    out,
                    "what they share by construction is in {}",
                    dir.join("truth.json").display()
                )
            })
        }
        Some(Command::Picture { out }) => {
            let directory = Directory::make(None, false).map_err(Failure::usage)?;
            picture::run(directory.path(), &out, output).await
        }
        Some(Command::Action { out }) => {
            let directory = Directory::make(None, false).map_err(Failure::usage)?;
            action::run(directory.path(), &out, output).await
        }
        None => {
            let directory = Directory::make(args.dir, args.keep).map_err(Failure::usage)?;
            story::run(directory.path(), directory.kept(), output).await
        }
    }
}

/// Where the demo works; removed at the end unless kept.
enum Directory {
    Kept(PathBuf),
    Removed(tempfile::TempDir),
}

impl Directory {
    fn make(dir: Option<PathBuf>, keep: bool) -> anyhow::Result<Self> {
        let Some(dir) = dir else {
            let made = tempfile::Builder::new().prefix("overlap-demo-").tempdir()?;
            return Ok(if keep {
                Self::Kept(made.keep())
            } else {
                Self::Removed(made)
            });
        };
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        if std::fs::read_dir(&dir)?.next().is_some() {
            anyhow::bail!("{} is not empty; give a new directory with --dir", dir.display());
        }
        if keep {
            return Ok(Self::Kept(dir));
        }
        // a directory inside it, so that what is removed at the end was made here
        Ok(Self::Removed(tempfile::Builder::new().prefix("demo-").tempdir_in(dir)?))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Removed(made) => made.path(),
        }
    }

    fn kept(&self) -> bool {
        matches!(self, Self::Kept(_))
    }
}
