//! Reading an agency's export: a stream of rows in, records and rejects out, in memory that does not grow with the file.

mod cells;
mod dates;
mod error;
mod feed;
mod format;
mod json;
mod parquet;
mod plan;
mod rows;
mod source;
mod xlsx;

use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use self::json::JsonLines;
use self::plan::Plan;
use self::rows::Rows;
use self::source::Source;
use crate::mapping::Mapping;
use crate::record::Record;
use crate::rejection::Rejection;
use crate::summary::Summary;

pub(crate) use self::cells::{Cells, RowSource, column_name};
pub(crate) use self::error::Fault;
pub use self::error::{Header, ImportError, Limit, Unsupported};
pub use self::format::{Format, UnknownFormat};
pub use self::parquet::{MAX_FOOTER, MAX_ROW_GROUP};
pub(crate) use self::source::Choice;
pub use self::xlsx::{MAX_XLSX_BYTES, MAX_XLSX_RATIO, MAX_XLSX_RUN, MAX_XLSX_TEXT};

/// Longest row in bytes, after decoding to UTF-8. An open quote runs into this instead of swallowing the file.
pub const MAX_ROW_BYTES: usize = 1 << 20;

/// Most columns in a file.
pub const MAX_COLUMNS: usize = 4096;

/// An import under way: an iterator over the file's rows, which ends after the first error.
pub struct Import<'a> {
    rows: Box<dyn RowSource + 'a>,
    plan: Plan,
    summary: Summary,
    done: bool,
}

/// What an import of a path reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The files, in order.
    pub read: Vec<PathBuf>,
    /// Names of what else is in the directory.
    pub skipped: Vec<String>,
}

impl<'a> Import<'a> {
    /// Opens CSV or JSON Lines: detects the format, encoding and delimiter, reads the header and finds the mapping's columns in it.
    ///
    /// `file_name` is for messages, and for the format if neither the mapping nor the first bytes tell it.
    ///
    /// # Errors
    ///
    /// - [`ImportError::Unreadable`]: the reader failed.
    /// - [`ImportError::Unsupported`]: XLSX and Parquet need [`Import::open_path`]; others are not read at all.
    /// - [`ImportError::Empty`]: nothing but blanks.
    /// - [`ImportError::MissingColumn`], [`ImportError::DuplicateColumn`]: the header does not fit the mapping.
    /// - [`ImportError::Encoding`], [`ImportError::NotText`], [`ImportError::NotJson`], [`ImportError::RowTooLong`],
    ///   [`ImportError::TooManyColumns`]: the header cannot be read.
    pub fn open(reader: impl Read + Send + 'a, file_name: &str, mapping: &Mapping) -> Result<Self, ImportError> {
        stream(reader, file_name, mapping)
            .and_then(|(rows, format)| Self::begin(rows, format, file_name, mapping))
            .map_err(|fault| fault.in_file(file_name))
    }

    /// Opens a file of any format.
    ///
    /// # Errors
    ///
    /// Those of [`Import::open`], and [`ImportError::Damaged`], [`ImportError::Limit`], [`ImportError::NoSheet`].
    pub fn open_path(path: &Path, mapping: &Mapping) -> Result<Import<'static>, ImportError> {
        let name = Self::name_of(path);
        file(path, &name, mapping)
            .and_then(|(rows, format)| Import::begin(rows, format, &name, mapping))
            .map_err(|fault| fault.in_file(&name))
    }

    /// The files that an import of `path` reads: itself, or those in the directory whose names end in a known way, in the order
    /// of their names; and what else is in the directory. Hidden entries do not count.
    ///
    /// # Errors
    ///
    /// - [`ImportError::Unreadable`]: there is no such file or directory, or it cannot be listed.
    /// - [`ImportError::NoFiles`]: a directory without one.
    pub fn files(path: &Path) -> Result<Files, ImportError> {
        let name = Self::name_of(path);
        let unreadable = |error| Fault::Io(error).in_file(&name);
        let (mut read, mut skipped) = (Vec::new(), Vec::new());
        if !fs::metadata(path).map_err(unreadable)?.is_dir() {
            read.push(path.to_owned());
            return Ok(Files { read, skipped });
        }
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            let file_name = Self::name_of(Path::new(file.file_name().unwrap_or_default()));
            if Format::of_name(&file).is_some() && file.is_file() && !file_name.starts_with(['.', '~']) {
                read.push(file);
            } else if !file_name.starts_with(['.', '~']) {
                skipped.push(file_name);
            }
        }
        read.sort_unstable();
        skipped.sort_unstable();
        match read.is_empty() {
            true => Err(ImportError::NoFiles { file: name }),
            false => Ok(Files { read, skipped }),
        }
    }

    /// A file's name as messages and summaries show it: without control characters, which terminals obey.
    #[must_use]
    pub fn name_of(path: &Path) -> String {
        let name = path.display().to_string();
        name.replace(char::is_control, "\u{fffd}")
    }

    /// What was read so far.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// How much of the file was read so far: compare with its length for a progress bar.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.rows.bytes_read()
    }

    fn begin(
        mut rows: Box<dyn RowSource + 'a>,
        format: Format,
        file_name: &str,
        mapping: &Mapping,
    ) -> Result<Self, Fault> {
        let plan = loop {
            let header = rows.next()?.ok_or(Fault::Empty)?;
            if !header.is_blank() {
                break Plan::new(mapping, &header)?;
            }
        };
        let mut summary = Summary::new(file_name.to_owned());
        summary.read_as(format, rows.encoding());
        Ok(Self {
            rows,
            plan,
            summary,
            done: false,
        })
    }

    fn step(&mut self) -> Result<Option<Row>, Fault> {
        while let Some(cells) = self.rows.next()? {
            if cells.is_blank() {
                continue;
            }
            if cells.len() != self.plan.width() {
                return Err(Fault::Ragged {
                    row: cells.line(),
                    expected: self.plan.width(),
                    found: cells.len(),
                });
            }
            let row = self.plan.read(cells);
            self.plan.watch(cells, &mut self.summary);
            self.summary.add(&row);
            return Ok(Some(row));
        }
        self.plan.check(&mut self.summary).map(|()| None)
    }
}

/// The rows of a file without a mapping's look at them: all columns, the header first.
pub(crate) fn rows_of_path(path: &Path, mapping: &Mapping) -> Result<Box<dyn RowSource>, Fault> {
    file(path, &path.display().to_string(), mapping).map(|(rows, _)| rows)
}

/// The same of a text that comes as it comes.
pub(crate) fn rows_of_reader<'a>(
    reader: impl Read + Send + 'a,
    name: &str,
    mapping: &Mapping,
) -> Result<Box<dyn RowSource + 'a>, Fault> {
    stream(reader, name, mapping).map(|(rows, _)| rows)
}

/// Rows of a text that comes as it comes.
fn stream<'a>(
    reader: impl Read + Send + 'a,
    name: &str,
    mapping: &Mapping,
) -> Result<(Box<dyn RowSource + 'a>, Format), Fault> {
    let source = Source::open(reader, mapping.encoding, mapping.hints.region)?;
    let format = match mapping.format {
        Some(format) => format,
        None => Format::detect(Path::new(name), source.head())?,
    };
    let rows: Box<dyn RowSource + 'a> = match format {
        Format::Csv => Box::new(Rows::new(source, mapping.delimiter)?),
        Format::JsonLines => Box::new(JsonLines::new(source)),
        Format::Xlsx | Format::Parquet => return Err(Unsupported::Stream.into()),
    };
    Ok((rows, format))
}

/// Rows of a file, which may have its index at the end.
fn file(path: &Path, name: &str, mapping: &Mapping) -> Result<(Box<dyn RowSource>, Format), Fault> {
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    file.by_ref().take(128).read_to_end(&mut head)?;
    file.rewind()?;
    let format = match (mapping.format, Format::detect(path, &head)) {
        // the two look the same from outside
        (_, Err(Fault::Unsupported(Unsupported::OldExcel))) if xlsx::contains(&file, "EncryptedPackage")? => {
            return Err(Unsupported::Password.into());
        }
        (Some(format), _) => format,
        (None, detected) => detected?,
    };
    let rows: Box<dyn RowSource> = match format {
        Format::Csv | Format::JsonLines => return stream(file, name, mapping),
        Format::Xlsx => Box::new(xlsx::open(file, mapping.sheet.clone())?),
        Format::Parquet => {
            let is_blank = mapping.kinds().is_empty();
            let wanted = (!is_blank).then(|| mapping.columns().into_iter().map(column_name).collect());
            Box::new(parquet::open(file, wanted)?)
        }
    };
    Ok((rows, format))
}

impl Iterator for Import<'_> {
    type Item = Result<Row, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let step = self
            .step()
            .map_err(|fault| fault.in_file(&self.summary.file))
            .transpose();
        self.done = !matches!(step, Some(Ok(_)));
        step
    }
}

impl fmt::Debug for Import<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Import")
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}

/// One row of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line on which it starts; the header stands on line 1.
    pub number: u64,
    /// The record, if the row has a reference and one usable identifier at least.
    pub record: Option<Record>,
    /// What could not be used. A bad identifier or observation date costs that cell only; a bad role, visibility or expiry costs
    /// the row, since guessing one could disclose or keep too much.
    pub rejects: Vec<Reject>,
}

/// A cell that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The line on which its row starts.
    pub row: u64,
    /// The column's name; empty if the row as a whole is meant.
    pub column: String,
    /// What is wrong.
    pub reason: Rejection,
}

impl Reject {
    /// The reject as a line for people: `cases.csv row 12, column "telefoon": not a valid telephone number ...`.
    #[must_use]
    pub fn in_file<'a>(&'a self, file: &'a str) -> RejectIn<'a> {
        RejectIn { reject: self, file }
    }
}

/// A [`Reject`] with the name of its file, for display.
#[derive(Debug, Clone, Copy)]
pub struct RejectIn<'a> {
    reject: &'a Reject,
    file: &'a str,
}

impl fmt::Display for RejectIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reject { row, column, reason } = self.reject;
        write!(f, "{} row {row}", self.file)?;
        if !column.is_empty() {
            write!(f, ", column {column:?}")?;
        }
        write!(f, ": {reason}")
    }
}
