//! Reading exports: one file, a directory of them, or standard input, with progress and a list of what was rejected.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Instant,
};

use indicatif::{ProgressBar, ProgressStyle};
use overlap_records::{Files, Format, Import, ImportError, Mapping, Record, Reject, Rejection, Summary};

use crate::{
    client::Failure,
    output::{grouped, no_formula},
};

/// Where an import comes from.
pub(crate) struct Source<'a> {
    /// A file, a directory, or `-` for standard input.
    pub(crate) file: &'a Path,
    pub(crate) mapping: &'a Path,
    pub(crate) format: Option<Format>,
    pub(crate) rejects: Option<&'a Path>,
    /// Whether to add to what the dataset holds.
    pub(crate) append: bool,
    /// The node's profile, where it is not the shipped one.
    pub(crate) profile: Option<&'a Path>,
}

/// What was read, up to the end or to what stopped it.
pub(super) struct Read {
    pub(super) summary: Summary,
    /// The first rejects, in words.
    pub(super) first_rejects: Vec<String>,
    pub(super) tallies: BTreeMap<Rejection, BTreeMap<String, Tally>>,
    pub(super) stopped: Option<ImportError>,
}

/// Rejects of one reason in one column.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) cells: u64,
    /// The first of them: file and row.
    pub(super) first: Vec<(String, u64)>,
}

pub(super) struct Reading {
    mapping: Mapping,
    inputs: Vec<Input>,
    rejects: Option<csv::Writer<File>>,
    progress: Progress,
    read: Read,
}

enum Input {
    Stdin,
    File(PathBuf),
}

struct Progress {
    bar: ProgressBar,
    started: Instant,
    /// Rows and bytes of the files before this one.
    rows: u64,
    bytes: u64,
}

/// How many rejects are shown in words, and rows per reason and column.
pub(super) const SHOWN_REJECTS: usize = 5;
/// Rows between two looks at the clock.
const PROGRESS_ROWS: u64 = 4096;

impl Reading {
    pub(super) fn open(source: &Source<'_>, bar: ProgressBar) -> Result<Self, Failure> {
        let text = fs::read_to_string(source.mapping).map_err(|error| cannot(source.mapping, &error))?;
        let mut mapping = Mapping::parse(&text).map_err(|error| cannot(source.mapping, &error))?;
        if let Some(format) = source.format {
            mapping = mapping.with_format(format);
        }
        let name = name(source.file);
        let (inputs, skipped) = inputs(source.file)?;
        let rejects = match source.rejects {
            None => None,
            Some(path) => {
                let read = inputs.iter().filter_map(Input::path).chain([source.mapping]);
                let mut read = read.chain(source.profile);
                if read.any(|file| is_same(path, file)) {
                    let what = "--rejects would overwrite what is read; give another file";
                    return Err(cannot(path, &what));
                }
                let mut file = csv::Writer::from_writer(File::create(path).map_err(|error| cannot(path, &error))?);
                file.write_record(["row", "column", "reason", "file"])
                    .map_err(|error| cannot(path, &error))?;
                Some(file)
            }
        };
        Ok(Self {
            mapping,
            progress: Progress::new(bar, &inputs, &name),
            inputs,
            rejects,
            read: Read {
                summary: Summary {
                    skipped,
                    ..Summary::new(name)
                },
                first_rejects: Vec::new(),
                tallies: BTreeMap::new(),
                stopped: None,
            },
        })
    }

    /// Reads every row of every file and hands over the records, until `each` has enough or a file cannot be read on.
    pub(super) fn records(mut self, mut each: impl FnMut(Record) -> ControlFlow<()>) -> Result<Read, Failure> {
        let mut is_read = true;
        for input in std::mem::take(&mut self.inputs) {
            let name = input.name();
            let mut import = match input.import(&self.mapping) {
                Ok(import) => import,
                Err(error) => {
                    self.read.stopped = Some(error);
                    break;
                }
            };
            let mut going = ControlFlow::Continue(());
            while going.is_continue()
                && let Some(row) = import.next()
            {
                let row = match row {
                    Ok(row) => row,
                    Err(error) => {
                        self.read.stopped = Some(error);
                        break;
                    }
                };
                for reject in &row.rejects {
                    self.note(reject, &name).map_err(Failure::internal)?;
                }
                if let Some(record) = row.record {
                    going = each(record);
                }
                if import.summary().rows.is_multiple_of(PROGRESS_ROWS) {
                    self.progress.show(import.summary().rows, import.bytes_read());
                }
            }
            self.progress.end_file(&import);
            self.read.summary.merge(import.summary());
            if going.is_break() || self.read.stopped.is_some() {
                is_read = false;
                break;
            }
        }
        let summary = &self.read.summary;
        if is_read && summary.records == 0 && self.read.stopped.is_none() {
            self.read.stopped = Some(ImportError::NoRecords {
                file: summary.file.clone(),
                rows: summary.rows,
            });
        }
        if let Some(rejects) = &mut self.rejects {
            rejects.flush().map_err(Failure::internal)?;
        }
        self.progress.bar.finish_and_clear();
        Ok(self.read)
    }

    fn note(&mut self, reject: &Reject, file: &str) -> io::Result<()> {
        let Reject { row, column, reason } = reject;
        if self.read.first_rejects.len() < SHOWN_REJECTS {
            self.read.first_rejects.push(reject.in_file(file).to_string());
        }
        let columns = self.read.tallies.entry(*reason).or_default();
        if !columns.contains_key(column) {
            columns.insert(column.clone(), Tally::default());
        }
        if let Some(tally) = columns.get_mut(column) {
            tally.cells += 1;
            if tally.first.len() < SHOWN_REJECTS {
                tally.first.push((file.to_owned(), *row));
            }
        }
        match &mut self.rejects {
            None => Ok(()),
            Some(list) => {
                let (mut column, mut file) = (column.clone(), file.to_owned());
                no_formula(&mut column);
                no_formula(&mut file);
                let row = row.to_string();
                list.write_record([row.as_str(), &column, reason.code(), &file])
                    .map_err(io::Error::from)
            }
        }
    }
}

impl Input {
    fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdin => None,
            Self::File(path) => Some(path),
        }
    }

    fn name(&self) -> String {
        self.path().map_or_else(|| name(Path::new("-")), name)
    }

    fn import(&self, mapping: &Mapping) -> Result<Import<'static>, ImportError> {
        match self {
            Self::Stdin => Import::open(io::stdin(), &self.name(), mapping),
            Self::File(path) => Import::open_path(path, mapping),
        }
    }
}

impl Progress {
    fn new(bar: ProgressBar, inputs: &[Input], name: &str) -> Self {
        let sizes: Option<Vec<u64>> = inputs
            .iter()
            .map(|input| Some(fs::metadata(input.path()?).ok()?.len()))
            .collect();
        match sizes {
            Some(sizes) => bar.set_length(sizes.iter().sum()),
            // a stream has no end to compare with
            None => {
                if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {bytes} {msg}") {
                    bar.set_style(style);
                }
            }
        }
        bar.set_prefix(name.to_owned());
        Self {
            bar,
            started: Instant::now(),
            rows: 0,
            bytes: 0,
        }
    }

    fn show(&self, rows: u64, bytes: u64) {
        let rows = self.rows + rows;
        let rate = rows as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        self.bar
            .set_message(format!("{} rows, {} rows/s", grouped(rows), grouped(rate as u64)));
        self.bar.set_position(self.bytes + bytes);
    }

    fn end_file(&mut self, import: &Import<'_>) {
        self.rows += import.summary().rows;
        self.bytes += import.bytes_read();
    }
}

/// How a file is called in messages.
fn name(file: &Path) -> String {
    match file.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => Import::name_of(file),
    }
}

/// What is read, and the names of what is not.
fn inputs(file: &Path) -> Result<(Vec<Input>, Vec<String>), Failure> {
    if file.to_str() == Some("-") {
        return Ok((vec![Input::Stdin], Vec::new()));
    }
    let Files { read, skipped } = Import::files(file).map_err(Failure::usage)?;
    Ok((read.into_iter().map(Input::File).collect(), skipped))
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

pub(super) fn cannot(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(anyhow::anyhow!("{}: {error}", path.display()))
}
