//! XLSX, cell by cell: only the texts that a workbook shares between its cells are held in memory.

mod archive;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use calamine::{DataRef, Reader, Xlsx, XlsxError};
use zeroize::Zeroizing;

use super::cells::{Mark, RowBuffer, decimal};
use super::error::{Fault, Unsupported};
use super::feed::{Feed, Halt, Sink};
use super::format::Format;
use crate::rejection::Rejection;

pub(crate) use archive::contains;
pub use archive::{MAX_XLSX_BYTES, MAX_XLSX_RATIO, MAX_XLSX_RUN, MAX_XLSX_TEXT};

/// As a thread has it by default.
const STACK: usize = 2 << 20;

/// Opens a sheet, the first unless one is named.
pub(crate) fn open(file: File, sheet: Option<String>) -> io::Result<Feed> {
    Feed::start(Format::Xlsx, STACK, move |sink| read(file, sheet.as_deref(), sink))
}

fn read(mut file: File, sheet: Option<&str>, sink: &mut Sink) -> Result<(), Halt> {
    archive::check(&mut file)?;
    file.rewind()?;
    let file = Counted {
        file,
        read: Arc::clone(sink.progress()),
    };
    let mut book = Xlsx::new(BufReader::new(file)).map_err(|error| fault(error, "the workbook"))?;
    let sheets = book.sheet_names();
    let name = match sheet {
        None => sheets.first(),
        Some(wanted) => sheets.iter().find(|name| name.trim() == wanted.trim()),
    };
    let Some(name) = name.cloned() else {
        let sheet = sheet.unwrap_or_default().to_owned();
        return Err(Fault::NoSheet { sheet, sheets }.into());
    };
    let mut cells = book
        .worksheet_cells_reader(&name)
        .map_err(|error| fault(error, "the sheet"))?;
    let mut table = Table {
        sink,
        row: RowBuffer::default(),
        width: None,
    };
    while let Some(cell) = cells
        .next_cell_with_formula_metadata()
        .map_err(|error| fault(error, "the sheet"))?
    {
        let (text, mut mark) = text(&cell.value);
        mark.is_formula = cell.formula.is_some();
        if mark.is_formula && matches!(cell.value, DataRef::Empty) {
            // written by a program that does not compute: there is nothing to read
            mark = Mark::bad(Rejection::Formula);
        }
        if !text.is_empty() || mark != Mark::default() {
            table.put(cell.pos, &text, mark)?;
        }
    }
    table.end_row()
}

/// Cells that come one by one, with gaps, become rows of equal width.
struct Table<'a> {
    sink: &'a mut Sink,
    row: RowBuffer,
    /// That of the first row that is not blank.
    width: Option<usize>,
}

impl Table<'_> {
    fn put(&mut self, (row, column): (u32, u32), text: &str, mark: Mark) -> Result<(), Halt> {
        let line = u64::from(row) + 1;
        if line > self.row.line() {
            self.end_row()?;
            self.row = RowBuffer::new(line);
        }
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        // a spreadsheet writes its cells in order, and each once
        if line < self.row.line() || column < self.row.len() {
            return Err(damaged("the sheet").into());
        }
        self.row.pad(column)?;
        self.row.push(text, mark)?;
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), Halt> {
        let mut row = std::mem::take(&mut self.row);
        if row.cells().is_blank() {
            return Ok(());
        }
        let width = *self.width.get_or_insert(row.len());
        row.pad(width)?;
        self.sink.send(row)?;
        Ok(())
    }
}

fn text(value: &DataRef<'_>) -> (Zeroizing<String>, Mark) {
    let plain = |text: &str| (Zeroizing::new(text.to_owned()), Mark::default());
    let dated = |text: &str| (Zeroizing::new(text.to_owned()), Mark::DATE);
    let number = |value: f64| match decimal(value) {
        Ok(text) => (text, Mark::NUMBER),
        Err(reason) => (Zeroizing::default(), Mark::bad(reason)),
    };
    match value {
        DataRef::Empty => plain(""),
        DataRef::String(text) => plain(text),
        DataRef::SharedString(text) => plain(text),
        DataRef::Int(value) => (Zeroizing::new(value.to_string()), Mark::NUMBER),
        DataRef::Float(value) => number(*value),
        DataRef::Bool(value) => plain(if *value { "true" } else { "false" }),
        DataRef::DateTime(time) if time.is_datetime() => {
            let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
            let date = format!("{year:04}-{month:02}-{day:02}");
            match (hour, minute, second) {
                (0, 0, 0) => dated(&date),
                _ => dated(&format!("{date}T{hour:02}:{minute:02}:{second:02}")),
            }
        }
        DataRef::DateTime(duration) => number(duration.as_f64()),
        DataRef::DateTimeIso(text) => dated(text),
        DataRef::DurationIso(text) => plain(text),
        DataRef::Error(_) => (Zeroizing::default(), Mark::bad(Rejection::CellError)),
    }
}

/// The library's own messages are not passed on: some repeat what stands in the file.
fn fault(error: XlsxError, part: &'static str) -> Fault {
    match error {
        XlsxError::Password => Unsupported::Password.into(),
        _ => damaged(part),
    }
}

fn damaged(part: &'static str) -> Fault {
    Fault::Damaged {
        format: Format::Xlsx,
        part,
    }
}

/// A file that tells how much of it was read.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(out)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Seek for Counted {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
