//! The cells of one row, whatever format it came in: text in one piece, and what else there is to know of a cell.

use zeroize::Zeroizing;

use super::error::Fault;
use super::source::Choice;
use super::{MAX_COLUMNS, MAX_ROW_BYTES};
use crate::normalise::is_hidden;
use crate::rejection::Rejection;

/// Where rows come from.
pub(crate) trait RowSource: Send {
    /// The next row; none at the end. The first that is not blank is the header.
    fn next(&mut self) -> Result<Option<Cells<'_>>, Fault>;

    /// How much of the file was read, for a progress bar.
    fn bytes_read(&self) -> u64;

    /// The encoding of a text file.
    fn encoding(&self) -> Option<(&'static str, Choice)> {
        None
    }
}

/// The cells of one row.
#[derive(Clone, Copy)]
pub(crate) struct Cells<'a> {
    pub(crate) line: u64,
    pub(crate) text: &'a str,
    /// Where each cell ends in the text.
    pub(crate) ends: &'a [usize],
    /// One for each cell, or none at all: plain text.
    pub(crate) marks: &'a [Mark],
}

/// What a cell is besides its text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Stored as a number: zeros in front of it are gone.
    pub(crate) is_number: bool,
    /// Stored as a date: whatever else it was is gone.
    pub(crate) is_date: bool,
    /// Computed: the text is what the formula came to when the file was saved.
    pub(crate) is_formula: bool,
    /// It cannot be used, whatever it is needed for.
    pub(crate) bad: Option<Rejection>,
}

impl Mark {
    pub(crate) const NUMBER: Self = Self {
        is_number: true,
        is_date: false,
        is_formula: false,
        bad: None,
    };

    pub(crate) const DATE: Self = Self {
        is_number: false,
        is_date: true,
        is_formula: false,
        bad: None,
    };

    pub(crate) fn bad(reason: Rejection) -> Self {
        Self {
            bad: Some(reason),
            ..Self::default()
        }
    }
}

impl<'a> Cells<'a> {
    /// The line on which the row starts.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The cell without the blanks around it; empty if there is no such cell.
    pub(crate) fn get(&self, index: usize) -> &'a str {
        self.get_whole(index).trim()
    }

    /// The cell as it stands.
    fn get_whole(&self, index: usize) -> &'a str {
        let start = index
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or(0);
        self.ends
            .get(index)
            .and_then(|end| self.text.get(start..*end))
            .unwrap_or_default()
    }

    pub(crate) fn mark(&self, index: usize) -> Mark {
        self.marks.get(index).copied().unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a str> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }

    /// All cells as they stand.
    pub(crate) fn whole(&self) -> impl Iterator<Item = &'a str> + '_ {
        (0..self.len()).map(|index| self.get_whole(index))
    }

    /// Delimiters and blanks alone, as spreadsheets leave them under a table.
    pub(crate) fn is_blank(&self) -> bool {
        self.text.trim().is_empty() && self.marks.iter().all(|mark| mark.bad.is_none())
    }
}

/// A row that a format puts together cell by cell.
#[derive(Default)]
pub(crate) struct RowBuffer {
    line: u64,
    text: Zeroizing<String>,
    ends: Vec<usize>,
    marks: Vec<Mark>,
}

impl RowBuffer {
    pub(crate) fn new(line: u64) -> Self {
        Self {
            line,
            ..Self::default()
        }
    }

    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of text.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn push(&mut self, text: &str, mark: Mark) -> Result<(), Fault> {
        if self.text.len() + text.len() > MAX_ROW_BYTES {
            return Err(Fault::RowTooLong { row: self.line });
        }
        if self.ends.len() >= MAX_COLUMNS {
            return Err(Fault::TooManyColumns { row: self.line });
        }
        grow(&mut self.text, text.len());
        self.text.push_str(text);
        self.ends.push(self.text.len());
        self.marks.push(mark);
        Ok(())
    }

    /// Adds empty cells up to so many.
    pub(crate) fn pad(&mut self, width: usize) -> Result<(), Fault> {
        while self.len() < width {
            self.push("", Mark::default())?;
        }
        Ok(())
    }

    pub(crate) fn cells(&self) -> Cells<'_> {
        Cells {
            line: self.line,
            text: &self.text,
            ends: &self.ends,
            marks: &self.marks,
        }
    }
}

/// Makes room without leaving a copy behind that nobody zeroizes.
fn grow(text: &mut Zeroizing<String>, more: usize) {
    if text.capacity() - text.len() < more {
        let mut wider = Zeroizing::new(String::with_capacity(
            (text.len() + more).max(2 * text.capacity()).max(128),
        ));
        wider.push_str(text);
        *text = wider;
    }
}

/// A number as an agency would have typed it: no exponent, no trailing `.0`. Not a number is taken for an empty cell, as
/// data frames write one.
///
/// # Errors
///
/// - [`Rejection::NumberRounded`], since from 10^15 on neighbouring numbers are one to a spreadsheet, and soon to any float.
/// - [`Rejection::CellError`], if it is infinite.
pub(crate) fn decimal(number: f64) -> Result<Zeroizing<String>, Rejection> {
    const MOST: f64 = 1e15;
    if number.is_nan() {
        Ok(Zeroizing::default())
    } else if number.is_infinite() {
        Err(Rejection::CellError)
    } else if number.abs() >= MOST {
        Err(Rejection::NumberRounded)
    } else {
        // adding 0 makes -0 a 0
        Ok(Zeroizing::new((number + 0.0).to_string()))
    }
}

/// A column's name without what nobody sees: marks of byte order and writing direction, zero-width characters, blanks around it.
pub(crate) fn column_name(raw: &str) -> String {
    let visible: String = raw
        .chars()
        .filter(|c| !is_hidden(*c))
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .collect();
    visible.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_typed() {
        for (number, text) in [
            (612_345_678.0, "612345678"),
            (-0.0, "0"),
            (0.5, "0.5"),
            (490_154_203_237_518.0, "490154203237518"),
            (1e-7, "0.0000001"),
            (f64::NAN, ""),
        ] {
            assert_eq!(decimal(number).unwrap().as_str(), text);
        }
        assert_eq!(decimal(8_931_000_000_000_000_000.0), Err(Rejection::NumberRounded));
        assert_eq!(decimal(f64::NEG_INFINITY), Err(Rejection::CellError));
    }

    #[test]
    fn names_without_what_nobody_sees() {
        assert_eq!(column_name("\u{feff} id\u{200b}\u{202c}"), "id");
        assert_eq!(column_name("birth\u{a0}date \t"), "birth date");
    }

    #[test]
    fn rows_have_limits() {
        let mut row = RowBuffer::new(7);
        row.push("a", Mark::NUMBER).unwrap();
        row.pad(3).unwrap();
        assert_eq!((row.cells().get(0), row.cells().len()), ("a", 3));
        assert!(row.cells().mark(0).is_number && !row.cells().mark(9).is_number);
        assert!(matches!(
            row.push(&"x".repeat(MAX_ROW_BYTES), Mark::default()),
            Err(Fault::RowTooLong { row: 7 })
        ));
        assert!(matches!(
            row.pad(MAX_COLUMNS + 1),
            Err(Fault::TooManyColumns { row: 7 })
        ));
    }
}
