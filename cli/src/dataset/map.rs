//! `overlap dataset map`: a first mapping for a file.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    path::PathBuf,
};

use overlap_records::{Ask, Format, Import, Proposal, Region};
use serde::Serialize;

use super::reading::cannot;
use crate::{client::Failure, output::Output};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The export, or a directory of exports (the first is looked at), or - for CSV or JSON Lines on standard input
    file: PathBuf,
    /// Write the mapping to this file, which must not be there yet
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Format of the file, instead of the one that its first bytes and its name tell: csv, jsonl, xlsx, parquet
    #[arg(long)]
    format: Option<Format>,
    /// Sheet of a workbook [default: the first]
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
    /// Country of telephone numbers without country code, and of number plates
    #[arg(long, value_name = "CODE", default_value = "NL")]
    region: Region,
}

/// A proposal in JSON.
#[derive(Serialize)]
struct MapShape {
    mapping: String,
    notes: Vec<String>,
    out: Option<PathBuf>,
}

pub(super) fn map(args: Args, output: &mut Output) -> Result<(), Failure> {
    let ask = Ask {
        format: args.format,
        sheet: args.sheet,
        region: args.region,
    };
    let proposal = if args.file.to_str() == Some("-") {
        Proposal::of_reader(io::stdin(), "standard input", &ask)
    } else {
        Import::files(&args.file).and_then(|files| Proposal::of_path(files.read.first().unwrap_or(&args.file), &ask))
    };
    let Proposal { toml, notes } = proposal.map_err(Failure::usage)?;
    if let Some(out) = &args.out {
        File::create_new(out)
            .and_then(|mut file| file.write_all(toml.as_bytes()))
            .map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => cannot(out, &"this file is there already: give another name"),
                _ => cannot(out, &error),
            })?;
    }
    let shape = MapShape {
        mapping: toml,
        notes,
        out: args.out,
    };
    output.print(&shape, |out| match &shape.out {
        None => write!(out, "{}", shape.mapping),
        Some(path) => {
            writeln!(out, "wrote {}; look over every line before using it", path.display())?;
            shape.notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))
        }
    })
}
