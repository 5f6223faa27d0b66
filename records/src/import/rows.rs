//! Text to rows of fields, RFC 4180, with limits and true line numbers.

use std::io::Read;

use csv_core::ReadRecordResult;
use zeroize::Zeroizing;

use super::cells::{Cells, RowSource};
use super::error::Fault;
use super::source::{Choice, Source};
use super::{MAX_COLUMNS, MAX_ROW_BYTES};

const CHUNK: usize = 16 * 1024;

/// What a delimiter is looked for among, in order of preference.
const DELIMITERS: [u8; 4] = [b';', b',', b'\t', b'|'];

pub(crate) struct Rows<R> {
    source: Source<R>,
    csv: csv_core::Reader,
    delimiter: u8,
    input: Zeroizing<Vec<u8>>,
    input_at: usize,
    input_len: usize,
    /// One row at most: a row that does not fit is refused, so that no file makes this grow.
    text: Zeroizing<Vec<u8>>,
    ends: Vec<usize>,
    /// The line on which the next byte stands.
    line: u64,
    after_cr: bool,
    quotes: Quotes,
}

/// Where in a row the reader stands, to tell quotes that were meant as letters: a quoted field that holds a line end, and goes on behind
/// its closing quote, was none.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Start,
    Bare,
    Quoted {
        lines: bool,
    },
    /// Behind a quote that ends the field, or is the first of two.
    Closing {
        lines: bool,
    },
    Torn,
}

impl Quotes {
    fn next(self, byte: u8, delimiter: u8) -> Self {
        let is_end = byte == delimiter || matches!(byte, b'\r' | b'\n');
        match (self, byte) {
            (Self::Closing { .. }, b' ') => self,
            (Self::Torn, _) => Self::Torn,
            (Self::Quoted { lines }, b'"') => Self::Closing { lines },
            (Self::Quoted { lines }, _) => Self::Quoted {
                lines: lines || matches!(byte, b'\r' | b'\n'),
            },
            (Self::Closing { lines }, b'"') => Self::Quoted { lines },
            (Self::Start, b'"') => Self::Quoted { lines: false },
            _ if is_end => Self::Start,
            (Self::Closing { lines: true }, _) => Self::Torn,
            _ => Self::Bare,
        }
    }
}

impl<R: Read> Rows<R> {
    /// Without a delimiter given, takes the one that the file announces (`sep=;`), or else the commonest one of its first line.
    pub(crate) fn new(source: Source<R>, delimiter: Option<u8>) -> Result<Self, Fault> {
        let sample = source.sample();
        let announced = announced(&sample);
        let delimiter = delimiter.or(announced).unwrap_or_else(|| detect(&sample));
        let mut rows = Self {
            source,
            csv: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            delimiter,
            input: Zeroizing::new(vec![0; CHUNK]),
            input_at: 0,
            input_len: 0,
            text: Zeroizing::new(vec![0; MAX_ROW_BYTES]),
            ends: vec![0; MAX_COLUMNS],
            line: 1,
            after_cr: false,
            quotes: Quotes::Start,
        };
        if announced.is_some() {
            rows.skip_while(|byte| !matches!(byte, b'\r' | b'\n'))?;
        }
        Ok(rows)
    }

    /// Reads more input if there is none left; at the end of the file there stays none.
    fn fill(&mut self) -> Result<(), Fault> {
        if self.input_at >= self.input_len {
            self.input_at = 0;
            self.input_len = 0;
            self.input_len = self.source.read(&mut self.input)?;
        }
        Ok(())
    }

    fn skip_while(&mut self, skipped: impl Fn(u8) -> bool) -> Result<(), Fault> {
        loop {
            self.fill()?;
            let input = self.input.get(self.input_at..self.input_len).unwrap_or_default();
            let count = input.iter().take_while(|byte| skipped(**byte)).count();
            if count == 0 {
                return Ok(());
            }
            self.consume(count);
        }
    }

    /// Moves on and counts lines, ended by LF, CR LF or CR; true if there was a NUL among the bytes.
    fn consume(&mut self, count: usize) -> bool {
        let mut has_nul = false;
        for byte in self.input.iter().skip(self.input_at).take(count) {
            has_nul |= *byte == 0;
            self.line += u64::from(*byte == b'\r' || (*byte == b'\n' && !self.after_cr));
            self.after_cr = *byte == b'\r';
            self.quotes = self.quotes.next(*byte, self.delimiter);
        }
        self.input_at += count;
        has_nul
    }
}

impl<R: Read + Send> RowSource for Rows<R> {
    fn next(&mut self) -> Result<Option<Cells<'_>>, Fault> {
        self.skip_while(|byte| matches!(byte, b'\r' | b'\n'))?;
        let row = self.line;
        let (mut text_len, mut fields, mut is_begun) = (0, 0, false);
        loop {
            self.fill()?;
            let input = self.input.get(self.input_at..self.input_len).unwrap_or_default();
            // a last line without its end; the parser alone would take an open quote for a whole field
            let is_last = input.is_empty() && is_begun;
            let (result, read, written, ended) = self.csv.read_record(
                if is_last { b"\n" } else { input },
                self.text.get_mut(text_len..).unwrap_or_default(),
                self.ends.get_mut(fields..).unwrap_or_default(),
            );
            is_begun |= read > 0;
            if !is_last && self.consume(read) {
                return Err(Fault::NotText { row });
            }
            text_len += written;
            fields += ended;
            match result {
                ReadRecordResult::InputEmpty if is_last => return Err(Fault::OpenQuote { row }),
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => return Err(Fault::RowTooLong { row }),
                ReadRecordResult::OutputEndsFull => return Err(Fault::TooManyColumns { row }),
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return Ok(None),
            }
        }
        let text = self.text.get(..text_len).unwrap_or_default();
        let ends = self.ends.get(..fields).unwrap_or_default();
        let not_valid = Fault::Encoding {
            row,
            encoding: self.source.encoding(),
        };
        let Ok(text) = std::str::from_utf8(text) else {
            return Err(not_valid);
        };
        // two broken characters on both sides of a delimiter can look whole once it is gone
        if !ends.iter().all(|end| text.is_char_boundary(*end)) {
            return Err(not_valid);
        }
        let cells = Cells {
            line: row,
            text,
            ends,
            marks: &[],
        };
        let delimiter = char::from(self.delimiter);
        let holds_rows = |(index, cell)| holds_rows(cell, delimiter, index, fields);
        if self.quotes == Quotes::Torn || text.contains('\n') && cells.whole().enumerate().any(holds_rows) {
            return Err(Fault::OpenQuote { row });
        }
        Ok(Some(cells))
    }

    fn bytes_read(&self) -> u64 {
        self.source.bytes_read()
    }

    fn encoding(&self) -> Option<(&'static str, Choice)> {
        Some((self.source.encoding(), self.source.choice()))
    }
}

/// Whether a cell has swallowed whole rows: a stray quote in one row, and another in the same column of a later one, leave a row of
/// the right width. Then the cell's first line has the delimiters of the columns behind it, its last those of the columns before
/// it, and each line between them those of a whole row.
fn holds_rows(cell: &str, delimiter: char, column: usize, width: usize) -> bool {
    let lines: Vec<usize> = cell.split('\n').map(|line| line.matches(delimiter).count()).collect();
    let (Some((first, rest)), others) = (lines.split_first(), width - 1) else {
        return false;
    };
    let Some((last, between)) = rest.split_last() else {
        return false;
    };
    // with few columns, free text has a delimiter or two in the same places by chance
    let is_telling = width > 4 || (width > 2 && !between.is_empty());
    is_telling && *first == others - column && *last == column && between.iter().all(|line| *line == others)
}

/// The delimiter of a first line `sep=;`, which Excel writes and reads.
fn announced(sample: &str) -> Option<u8> {
    let line = sample.lines().next()?;
    match line.trim_end_matches('\r').strip_prefix("sep=")?.as_bytes() {
        [byte] if byte.is_ascii() => Some(*byte),
        _ => None,
    }
}

/// The commonest candidate in the first line that is not blank, outside quotes; the order above where they tie.
fn detect(sample: &str) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut is_quoted = false;
    for c in sample.trim_start_matches([' ', '\r', '\n']).chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            '\r' | '\n' if !is_quoted => break,
            _ if is_quoted => {}
            _ => counts
                .iter_mut()
                .zip(DELIMITERS)
                .for_each(|(count, known)| *count += usize::from(c == known as char)),
        }
    }
    let mut best = (0, b',');
    for (count, known) in counts.into_iter().zip(DELIMITERS) {
        if count > best.0 {
            best = (count, known);
        }
    }
    best.1
}
