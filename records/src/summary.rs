//! What an import came to.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::import::Row;
use crate::kind::Kind;

/// Counts of one import, for the operator's screen, the dataset's history and the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The file's name as given.
    pub file: String,
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
}

impl Summary {
    pub(crate) fn new(file: String) -> Self {
        Self {
            file,
            rows: 0,
            records: 0,
            identifiers_total: 0,
            identifiers: BTreeMap::new(),
            rejected_total: 0,
            rejected: BTreeMap::new(),
            reject_rows: 0,
        }
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
