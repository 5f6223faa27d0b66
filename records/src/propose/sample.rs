//! The first rows of a file, column by column.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use crate::date::{DateOrder, parse_date};
use crate::identifier::{Hints, Identifier};
use crate::import::{Cells, Fault, Header, RowSource, column_name};
use crate::kind::Kind;

/// Rows that are looked at.
const ROWS: usize = 1000;

pub(super) struct Sample {
    pub(super) columns: Vec<Column>,
    pub(super) rows: usize,
}

/// One column: its name and the values that are not blank.
pub(super) struct Column {
    pub(super) name: String,
    /// Another column has the same name: neither can be mapped.
    pub(super) is_twin: bool,
    pub(super) values: Vec<Zeroizing<String>>,
}

impl Sample {
    pub(super) fn read(rows: &mut dyn RowSource) -> Result<Self, Fault> {
        let mut columns = loop {
            let header = rows.next()?.ok_or(Fault::Empty)?;
            if !header.is_blank() {
                break header_columns(&header)?;
            }
        };
        let mut count = 0;
        while count < ROWS
            && let Some(cells) = rows.next()?
        {
            if cells.is_blank() {
                continue;
            }
            count += 1;
            for (index, column) in columns.iter_mut().enumerate() {
                let value = cells.get(index);
                if !value.is_empty() {
                    column.values.push(Zeroizing::new(value.to_owned()));
                }
            }
        }
        Ok(Self { columns, rows: count })
    }
}

fn header_columns(header: &Cells<'_>) -> Result<Vec<Column>, Fault> {
    let names: Vec<String> = header.iter().map(column_name).collect();
    // a proposal repeats the names: they must not be somebody's data
    if Header::new(names.iter().map(String::as_str)).is_data() {
        return Err(Fault::NoHeader);
    }
    let is_twin = |name: &String| names.iter().filter(|other| *other == name).count() > 1;
    let columns = names.iter().map(|name| Column {
        name: name.clone(),
        is_twin: is_twin(name),
        values: Vec::new(),
    });
    Ok(columns.collect())
}

impl Column {
    /// How many values are identifiers of that kind.
    pub(super) fn accepted(&self, kind: Kind, hints: &Hints) -> usize {
        let is_one = |value: &&Zeroizing<String>| Identifier::normalise(kind, value, hints).is_ok();
        self.values.iter().filter(is_one).count()
    }

    /// How many different values there are.
    pub(super) fn distinct(&self) -> BTreeSet<&str> {
        self.values.iter().map(|value| value.as_str()).collect()
    }

    pub(super) fn dates(&self) -> Dates {
        let mut dates = Dates::default();
        for value in &self.values {
            let read = |order| parse_date(value, order).ok();
            match (read(DateOrder::Ymd), read(DateOrder::Dmy), read(DateOrder::Mdy)) {
                (Some(_), _, _) => dates.year_first += 1,
                (None, Some(_), None) => dates.day_first += 1,
                (None, None, Some(_)) => dates.month_first += 1,
                (None, Some(_), Some(_)) => dates.either += 1,
                (None, None, None) => {}
            }
        }
        dates
    }
}

/// How a column's dates can be read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dates {
    pub(super) year_first: usize,
    pub(super) day_first: usize,
    pub(super) month_first: usize,
    /// Day and month could be swapped.
    pub(super) either: usize,
}
