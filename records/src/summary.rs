//! What an import came to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::import::{Choice, Format, Row};
use crate::kind::Kind;

/// Counts of one import, for the operator's screen, the dataset's history and the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The file's name as given.
    pub file: String,
    /// Format and encoding of what was read: `csv windows-1252`.
    pub read_as: BTreeSet<String>,
    /// Rows read; the header and blank rows do not count.
    pub rows: u64,
    /// Records made.
    pub records: u64,
    /// Identifiers in those records.
    pub identifiers_total: u64,
    /// The same per kind.
    pub identifiers: BTreeMap<Kind, u64>,
    /// Rejections, of cells and of rows.
    pub rejected_total: u64,
    /// The same per [`Rejection::code`](crate::Rejection::code).
    pub rejected: BTreeMap<&'static str, u64>,
    /// Rows with one rejection at least, whether or not they made a record.
    pub reject_rows: u64,
    /// Names of what else is in a directory that was read.
    pub skipped: Vec<String>,
    /// What may be wrong with cells that were taken, per column.
    pub warnings: Vec<Warning>,
}

/// Something about a column that its owner should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What it is.
    pub code: WarningKind,
    /// The column's name, or for [`WarningKind::Encoding`] the file's.
    pub column: String,
    /// How many cells; 0 where it is about a file.
    pub cells: u64,
    /// The row of the first; 0 where it is about a file.
    pub first_row: u64,
}

/// What may be wrong with a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WarningKind {
    /// Numbers where text should be: zeros in front are lost.
    Numbers,
    /// Numbers in a text file that are right with a zero in front.
    Zeros,
    /// Formulas: what they came to when the file was saved was read.
    Formulas,
    /// Characters that nobody sees, which were left out.
    Hidden,
    /// Dates that fit both orders, in a column where a few fit only the other one.
    Dates,
    /// A file that may have been read in the wrong encoding.
    Encoding,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            code,
            column,
            cells,
            first_row,
        } = self;
        let what = match code {
            WarningKind::Numbers => {
                "are numbers, not text: leading zeros may be lost; format the column as text and fill it again from its source"
            }
            WarningKind::Zeros => {
                "have lost the zero in front, which was put back: look whether the export lost more, and format the column as text"
            }
            WarningKind::Formulas => "are formulas: what they came to when the file was saved was read",
            WarningKind::Hidden => "hold characters that nobody sees, which were left out: look where they come from",
            WarningKind::Dates => {
                "fit both orders of day and month, while others in the column fit only the other order: set `mixed_dates = \"reject\"` unless you are sure"
            }
            WarningKind::Encoding => {
                return write!(
                    f,
                    "{column} begins as UTF-8 and was read in another encoding, as the mapping says: remove `encoding` from it if letters look wrong"
                );
            }
        };
        write!(
            f,
            "column {column:?}: {cells} cells, the first in row {first_row}, {what}"
        )
    }
}

impl Summary {
    /// Nothing yet.
    #[must_use]
    pub fn new(file: String) -> Self {
        Self {
            file,
            read_as: BTreeSet::new(),
            rows: 0,
            records: 0,
            identifiers_total: 0,
            identifiers: BTreeMap::new(),
            rejected_total: 0,
            rejected: BTreeMap::new(),
            reject_rows: 0,
            skipped: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Takes in the summary of another file of the same import; the name stays.
    pub fn merge(&mut self, other: &Self) {
        self.read_as.extend(other.read_as.iter().cloned());
        self.rows += other.rows;
        self.records += other.records;
        self.identifiers_total += other.identifiers_total;
        for (kind, count) in &other.identifiers {
            *self.identifiers.entry(*kind).or_default() += count;
        }
        self.rejected_total += other.rejected_total;
        for (reason, count) in &other.rejected {
            *self.rejected.entry(reason).or_default() += count;
        }
        self.reject_rows += other.reject_rows;
        for warning in &other.warnings {
            match self.warning(warning.code, &warning.column) {
                Some(known) => known.cells += warning.cells,
                None => self.warnings.push(warning.clone()),
            }
        }
    }

    pub(crate) fn read_as(&mut self, format: Format, encoding: Option<(&str, Choice)>) {
        self.read_as.insert(match encoding {
            Some((encoding, choice)) => {
                let guessed = if choice == Choice::Guessed { " (guessed)" } else { "" };
                format!("{format} {}{guessed}", encoding.to_ascii_lowercase())
            }
            None => format.to_string(),
        });
        if encoding.is_some_and(|(_, choice)| choice == Choice::Doubtful) {
            let file = self.file.clone();
            self.warn_of(WarningKind::Encoding, &file, 0, 0);
        }
    }

    pub(crate) fn warn(&mut self, code: WarningKind, column: &str, row: u64) {
        self.warn_of(code, column, 1, row);
    }

    pub(crate) fn warn_of(&mut self, code: WarningKind, column: &str, cells: u64, first_row: u64) {
        match self.warning(code, column) {
            Some(known) => known.cells += cells,
            None => self.warnings.push(Warning {
                code,
                column: column.to_owned(),
                cells,
                first_row,
            }),
        }
    }

    fn warning(&mut self, code: WarningKind, column: &str) -> Option<&mut Warning> {
        let mut warnings = self.warnings.iter_mut();
        warnings.find(|warning| warning.code == code && warning.column == column)
    }

    pub(crate) fn add(&mut self, row: &Row) {
        self.rows += 1;
        if let Some(record) = &row.record {
            self.records += 1;
            for identifier in &record.identifiers {
                self.identifiers_total += 1;
                *self.identifiers.entry(identifier.kind()).or_default() += 1;
            }
        }
        self.reject_rows += u64::from(!row.rejects.is_empty());
        for reject in &row.rejects {
            self.rejected_total += 1;
            *self.rejected.entry(reject.reason.code()).or_default() += 1;
        }
    }
}
