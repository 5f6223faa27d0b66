//! Reading an agency's export: a stream of rows in, records and rejects out, in memory that does not grow with the file.

mod error;
mod plan;
mod rows;
mod source;

use std::fmt;
use std::io::Read;

use self::error::Fault;
use self::plan::Plan;
use self::rows::Rows;
use self::source::Source;
use crate::mapping::Mapping;
use crate::record::Record;
use crate::rejection::Rejection;
use crate::summary::Summary;

pub use self::error::{Header, ImportError};

/// Longest row in bytes, after decoding to UTF-8. An open quote runs into this instead of swallowing the file.
pub const MAX_ROW_BYTES: usize = 1 << 20;

/// Most columns in a file.
pub const MAX_COLUMNS: usize = 4096;

/// An import under way: an iterator over the file's rows, which ends after the first error.
pub struct Import<R> {
    rows: Rows<R>,
    plan: Plan,
    summary: Summary,
    done: bool,
}

impl<R: Read> Import<R> {
    /// Detects encoding and delimiter, reads the header and finds the mapping's columns in it.
    ///
    /// `file_name` is for messages only.
    ///
    /// # Errors
    ///
    /// - [`ImportError::Unreadable`]: the reader failed.
    /// - [`ImportError::Empty`]: nothing but blanks.
    /// - [`ImportError::MissingColumn`], [`ImportError::DuplicateColumn`]: the header does not fit the mapping.
    /// - [`ImportError::Encoding`], [`ImportError::NotText`], [`ImportError::RowTooLong`], [`ImportError::TooManyColumns`]:
    ///   the header cannot be read.
    pub fn open(reader: R, file_name: &str, mapping: &Mapping) -> Result<Self, ImportError> {
        Self::begin(reader, file_name, mapping).map_err(|fault| fault.in_file(file_name))
    }

    /// What was read so far.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Bytes taken from the reader's content so far: compare with the file's length for a progress bar.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.rows.bytes_read()
    }

    fn begin(reader: R, file_name: &str, mapping: &Mapping) -> Result<Self, Fault> {
        let source = Source::open(reader, mapping.encoding)?;
        let mut rows = Rows::new(source, mapping.delimiter)?;
        let plan = loop {
            let header = rows.next()?.ok_or(Fault::Empty)?;
            if !header.is_blank() {
                break Plan::new(mapping, &header)?;
            }
        };
        Ok(Self {
            rows,
            plan,
            summary: Summary::new(file_name.to_owned()),
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
            let row = self.plan.read(&cells);
            self.summary.add(&row);
            return Ok(Some(row));
        }
        Ok(None)
    }
}

impl<R: Read> Iterator for Import<R> {
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

impl<R> fmt::Debug for Import<R> {
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
