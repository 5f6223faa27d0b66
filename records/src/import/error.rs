//! Why a file, as against one of its cells, cannot be read.

use std::fmt;
use std::io;

use thiserror::Error;

/// Why an import stopped. No message contains a value from the file, except the names of its columns.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The reader failed.
    #[error("{file}: cannot be read")]
    Unreadable {
        /// The file's name.
        file: String,
        /// What the reader said.
        #[source]
        source: io::Error,
    },
    /// No header, no rows.
    #[error("{file}: the file is empty")]
    Empty {
        /// The file's name.
        file: String,
    },
    /// The mapping names columns that the header does not have.
    #[error("{file}: no column {}, which the mapping names; {header}", quoted(columns))]
    MissingColumn {
        /// The file's name.
        file: String,
        /// The columns that are missing.
        columns: Vec<String>,
        /// What is there instead.
        header: Header,
    },
    /// A mapped column stands in the header twice.
    #[error("{file}: column {column:?} stands in the header more than once: rename one of them")]
    DuplicateColumn {
        /// The file's name.
        file: String,
        /// The column.
        column: String,
    },
    /// A row with more or fewer fields than the header.
    #[error("{file} row {row}: {found} fields where the header has {expected}: is a quote or a delimiter missing?")]
    Ragged {
        /// The file's name.
        file: String,
        /// The line on which the row starts.
        row: u64,
        /// Fields in the header.
        expected: usize,
        /// Fields in this row.
        found: usize,
    },
    /// Bytes that are no text in the file's encoding.
    #[error("{file} row {row}: not valid {encoding}: set `encoding` in the mapping, or export the file as UTF-8")]
    Encoding {
        /// The file's name.
        file: String,
        /// The line on which the row starts.
        row: u64,
        /// The encoding that was set or detected.
        encoding: &'static str,
    },
    /// NUL bytes: a spreadsheet, an archive, or UTF-16 that does not say so.
    #[error("{file} row {row}: not a text file: export it as CSV, or set `encoding` in the mapping if it is UTF-16")]
    NotText {
        /// The file's name.
        file: String,
        /// The line on which the row starts.
        row: u64,
    },
    /// More than [`MAX_ROW_BYTES`](crate::MAX_ROW_BYTES).
    #[error(
        "{file} row {row}: longer than {} bytes: is a quote left open?",
        crate::MAX_ROW_BYTES
    )]
    RowTooLong {
        /// The file's name.
        file: String,
        /// The line on which the row starts.
        row: u64,
    },
    /// More than [`MAX_COLUMNS`](crate::MAX_COLUMNS).
    #[error(
        "{file} row {row}: more than {} columns: is the delimiter right?",
        crate::MAX_COLUMNS
    )]
    TooManyColumns {
        /// The file's name.
        file: String,
        /// The line on which the row starts.
        row: u64,
    },
}

/// A file's header as far as a message may show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header(Option<Vec<String>>);

impl Header {
    /// Hides everything if one of the names looks like a value: then the file has no header, and its first line is data.
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let names: Vec<String> = names.map(|name| name.trim().chars().take(60).collect()).collect();
        let is_value = |name: &String| name.contains('@') || name.chars().filter(|c| c.is_numeric()).count() >= 4;
        Self(if names.iter().any(is_value) { None } else { Some(names) })
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("its first line looks like data: a header line is needed"),
            Some(names) => write!(f, "the file has {}", quoted(names)),
        }
    }
}

fn quoted(names: &[String]) -> String {
    const SHOWN: usize = 40;
    let mut text = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("{name:?}"))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

/// An [`ImportError`] that does not know its file yet.
#[derive(Debug)]
pub(crate) enum Fault {
    Io(io::Error),
    Empty,
    MissingColumn { columns: Vec<String>, header: Header },
    DuplicateColumn { column: String },
    Ragged { row: u64, expected: usize, found: usize },
    Encoding { row: u64, encoding: &'static str },
    NotText { row: u64 },
    RowTooLong { row: u64 },
    TooManyColumns { row: u64 },
}

impl Fault {
    pub(crate) fn in_file(self, file: &str) -> ImportError {
        let file = file.to_owned();
        match self {
            Self::Io(source) => ImportError::Unreadable { file, source },
            Self::Empty => ImportError::Empty { file },
            Self::MissingColumn { columns, header } => ImportError::MissingColumn { file, columns, header },
            Self::DuplicateColumn { column } => ImportError::DuplicateColumn { file, column },
            Self::Ragged { row, expected, found } => ImportError::Ragged {
                file,
                row,
                expected,
                found,
            },
            Self::Encoding { row, encoding } => ImportError::Encoding { file, row, encoding },
            Self::NotText { row } => ImportError::NotText { file, row },
            Self::RowTooLong { row } => ImportError::RowTooLong { file, row },
            Self::TooManyColumns { row } => ImportError::TooManyColumns { file, row },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
