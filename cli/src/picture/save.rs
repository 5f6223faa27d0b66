//! Writing a picture as charts and for other programs.

use std::path::{Path, PathBuf};

use overlap_report::{self as report, Picture};

use super::print::tables;
use crate::{client::Failure, files};

/// What a picture is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Charts: for each kind an UpSet plot, a matrix of the agencies, and a timeline
    Svg,
    /// The same numbers as the charts, for each kind, as text
    Txt,
    /// One table of all counts
    Csv,
    /// A workbook
    Xlsx,
    /// As it is; what `show`, `compare` and `figures` read
    Json,
    /// A graph, for Gephi, yEd, Cytoscape or NetworkX
    Graphml,
    /// Links between what is shared and its holders, for i2 Analyst's Notebook
    I2,
}

const ALL: [Format; 7] = [
    Format::Svg,
    Format::Txt,
    Format::Csv,
    Format::Xlsx,
    Format::Json,
    Format::Graphml,
    Format::I2,
];

/// Writes files into a directory, in the place of those of the same names; all formats that the picture has something for, if none is named.
pub(crate) fn save(picture: &Picture, directory: &Path, formats: &[Format]) -> Result<Vec<PathBuf>, Failure> {
    let has = |format: &Format| *format != Format::I2 || !picture.shared.is_empty();
    let wanted: Vec<Format> = match formats {
        [] => ALL.into_iter().filter(has).collect(),
        named => named.to_vec(),
    };
    files::create_dir(directory).map_err(Failure::usage)?;
    let mut written = Vec::new();
    let mut write = |name: String, content: &[u8]| {
        let path = directory.join(name);
        files::replace(&path, content).map_err(Failure::usage)?;
        written.push(path);
        Ok::<_, Failure>(())
    };
    for format in wanted {
        let content = match format {
            Format::Svg => {
                for kind in picture.kinds.iter().filter(|kind| kind.unique.is_some()) {
                    let mut charts = vec![
                        ("upset", report::upset(picture, kind)),
                        ("matrix", report::agency_matrix(picture, kind)),
                    ];
                    if kind.roles.iter().any(|role| !role.months.is_empty()) {
                        charts.push(("timeline", report::timeline(picture, kind)));
                    }
                    for (chart, drawn) in charts {
                        write(format!("{}-{chart}.svg", kind.kind), drawn.as_bytes())?;
                    }
                }
                continue;
            }
            Format::Txt => {
                for kind in &picture.kinds {
                    write(format!("{}.txt", kind.kind), tables(picture, kind).as_bytes())?;
                }
                continue;
            }
            Format::Csv => ("picture.csv", report::csv(picture)),
            Format::Xlsx => ("picture.xlsx", report::xlsx(picture)),
            Format::Json => ("picture.json", report::json(picture)),
            Format::Graphml => ("picture.graphml", report::graphml(picture)),
            Format::I2 => ("links-i2.csv", report::i2(picture)),
        };
        let (name, content) = content;
        write(name.to_owned(), &content.map_err(Failure::usage)?)?;
    }
    Ok(written)
}
