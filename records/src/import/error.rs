//! Why a file, as against one of its cells, cannot be read.

use std::fmt;
use std::io;

use thiserror::Error;

use super::format::Format;

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
    /// A quote that is never closed, or closed in a later row.
    #[error(
        "{file} row {row}: a quote is left open and takes the next rows into one cell: close it, or write it twice inside quotes"
    )]
    OpenQuote {
        /// The file's name.
        file: String,
        /// The line on which the row starts.
        row: u64,
    },
    /// A kind of file that is not read, or not in this way.
    #[error("{file}: {reason}")]
    Unsupported {
        /// The file's name.
        file: String,
        /// What it is, and what to do.
        reason: Unsupported,
    },
    /// Not what its format prescribes: cut off, or changed on its way.
    #[error("{file}: {part} cannot be read: the file is damaged, cut off, or not {format}; export or copy it again")]
    Damaged {
        /// The file's name.
        file: String,
        /// The format that it was read as.
        format: Format,
        /// Where it went wrong.
        part: &'static str,
    },
    /// More than an import takes.
    #[error("{file}: {limit}")]
    Limit {
        /// The file's name.
        file: String,
        /// Which limit.
        limit: Limit,
    },
    /// The mapping names a sheet that the workbook does not have.
    #[error(
        "{file}: no sheet {sheet:?}, which the mapping names; the file has {}",
        quoted(sheets)
    )]
    NoSheet {
        /// The file's name.
        file: String,
        /// The sheet that is missing.
        sheet: String,
        /// What is there instead.
        sheets: Vec<String>,
    },
    /// A line that is no JSON object.
    #[error("{file} row {row}: not one JSON object on one line, with each key once: export it as JSON Lines")]
    NotJson {
        /// The file's name.
        file: String,
        /// The line.
        row: u64,
    },
    /// Both orders of dates in one column.
    #[error(
        "{file}, column {column:?}: row {day_first} can only be day-month and row {month_first} only month-day, so that \
         neither order can be trusted: mend the file, or set `mixed_dates = \"reject\"` to do without the dates that can be both"
    )]
    MixedDates {
        /// The file's name.
        file: String,
        /// The column.
        column: String,
        /// The first row whose day stands in front.
        day_first: u64,
        /// The first row whose month stands in front.
        month_first: u64,
    },
    /// A column of dates that only fits the order that the mapping does not say.
    #[error(
        "{file}, column {column:?}: {dates} dates only fit the other order of day and month, row {row} the first of them, and none \
         only the order of the mapping: set `dates` to the other"
    )]
    OtherOrder {
        /// The file's name.
        file: String,
        /// The column.
        column: String,
        /// How many dates.
        dates: u64,
        /// The first row.
        row: u64,
    },
    /// Rows, or none, but no record: an import would leave nothing of a dataset.
    #[error(
        "{file}: none of its {rows} rows makes a record, so an import would leave the dataset empty: check file and mapping"
    )]
    NoRecords {
        /// The file's name.
        file: String,
        /// Rows that were read.
        rows: u64,
    },
    /// A first row that is data: the names of columns are not known.
    #[error("{file}: its first line looks like data: a header line is needed")]
    NoHeader {
        /// The file's name.
        file: String,
    },
    /// Nothing that a mapping could be proposed for.
    #[error("{file}: no column looks like one of identifiers, by its name or by its values: write the mapping by hand")]
    NothingToMap {
        /// The file's name.
        file: String,
    },
    /// A directory without a file to read.
    #[error(
        "{file}: no file in this directory ends in .csv, .tsv, .txt, .jsonl, .ndjson, .json, .xlsx, .xlsm, .parquet or .pq"
    )]
    NoFiles {
        /// The directory's name.
        file: String,
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

/// A kind of file that is not read, or not in this way, and what to do instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// BIFF, in an OLE container.
    #[error("a spreadsheet of Excel 97-2003 (.xls): open it and save it as XLSX")]
    OldExcel,
    /// Encrypted in an OLE container.
    #[error("a spreadsheet with a password: open it and save it without one")]
    Password,
    /// ODS.
    #[error("an OpenDocument spreadsheet: open it and save it as XLSX")]
    OpenDocument,
    /// An archive of one file.
    #[error("a compressed file: unpack it first")]
    Compressed,
    /// XLSX and Parquet have their index at the end.
    #[error("XLSX and Parquet cannot be read from a stream: give the name of a file")]
    Stream,
    /// One array around all.
    #[error("a JSON array: export it as JSON Lines, one object per line without brackets or commas between")]
    JsonArray,
    /// Brotli or LZO, or gzip or the older LZ4, of which the library does not bound what they unpack to.
    #[error("a Parquet file in a compression that is not read: write it with Snappy, Zstandard, LZ4_RAW or none")]
    Codec,
    /// Encrypted footer or columns.
    #[error("an encrypted Parquet file: write it without encryption")]
    EncryptedParquet,
}

/// A limit that a file is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Limit {
    /// Of an archive.
    #[error("unpacks to more than {} MiB: export it as CSV or Parquet", crate::MAX_XLSX_BYTES >> 20)]
    Unpacked,
    /// Of the texts that a workbook shares, which are held in memory.
    #[error("holds more than {} MiB of text: export it as CSV or Parquet", crate::MAX_XLSX_TEXT >> 20)]
    Text,
    /// Of an archive's parts: no spreadsheet compresses that well.
    #[error(
        "unpacks to more than {} times its size, as archives do that are made to fill a memory",
        crate::MAX_XLSX_RATIO
    )]
    Ratio,
    /// Of what stands between two tags.
    #[error("has a text of more than {} MiB: no cell holds that much", crate::MAX_XLSX_RUN >> 20)]
    Run,
    /// Of a Parquet file's index.
    #[error("has an index of more than {} MiB: write it with larger row groups", crate::MAX_FOOTER >> 20)]
    Footer,
    /// Of a row group.
    #[error("has row groups of more than {} MiB: write it with smaller ones", crate::MAX_ROW_GROUP >> 20)]
    RowGroup,
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

    pub(crate) fn is_data(&self) -> bool {
        self.0.is_none()
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
    NoHeader,
    MissingColumn {
        columns: Vec<String>,
        header: Header,
    },
    DuplicateColumn {
        column: String,
    },
    Ragged {
        row: u64,
        expected: usize,
        found: usize,
    },
    Encoding {
        row: u64,
        encoding: &'static str,
    },
    NotText {
        row: u64,
    },
    NotJson {
        row: u64,
    },
    Unsupported(Unsupported),
    Damaged {
        format: Format,
        part: &'static str,
    },
    Limit(Limit),
    NoSheet {
        sheet: String,
        sheets: Vec<String>,
    },
    MixedDates {
        column: String,
        day_first: u64,
        month_first: u64,
    },
    OtherOrder {
        column: String,
        dates: u64,
        row: u64,
    },
    RowTooLong {
        row: u64,
    },
    OpenQuote {
        row: u64,
    },
    TooManyColumns {
        row: u64,
    },
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
            Self::NoHeader => ImportError::NoHeader { file },
            Self::NotJson { row } => ImportError::NotJson { file, row },
            Self::Unsupported(reason) => ImportError::Unsupported { file, reason },
            Self::Damaged { format, part } => ImportError::Damaged { file, format, part },
            Self::Limit(limit) => ImportError::Limit { file, limit },
            Self::NoSheet { sheet, sheets } => ImportError::NoSheet { file, sheet, sheets },
            Self::MixedDates {
                column,
                day_first,
                month_first,
            } => ImportError::MixedDates {
                file,
                column,
                day_first,
                month_first,
            },
            Self::OtherOrder { column, dates, row } => ImportError::OtherOrder {
                file,
                column,
                dates,
                row,
            },
            Self::RowTooLong { row } => ImportError::RowTooLong { file, row },
            Self::OpenQuote { row } => ImportError::OpenQuote { file, row },
            Self::TooManyColumns { row } => ImportError::TooManyColumns { file, row },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Unsupported> for Fault {
    fn from(reason: Unsupported) -> Self {
        Self::Unsupported(reason)
    }
}

impl From<Limit> for Fault {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}
