//! A look at a workbook's archive before anything of it is believed.

use std::fs::File;
use std::io::{self, BufReader, Read};

use zip::ZipArchive;

use super::damaged;
use crate::import::error::{Fault, Limit};

/// Most bytes that a workbook's archive may unpack to. Sheets are read as they come, so this bounds time more than memory.
pub const MAX_XLSX_BYTES: u64 = 4 << 30;

/// Most bytes of a part that is no sheet, such as the texts that a workbook shares between cells; these are held in memory.
pub const MAX_XLSX_TEXT: u64 = 256 << 20;

/// How many times its size a part of an archive may unpack to, from 32 MiB on.
pub const MAX_XLSX_RATIO: u64 = 300;

/// Below this a ratio harms nobody: short sheets that repeat themselves compress very well.
const RATIO_FROM: u64 = 32 << 20;

/// Most bytes between two tags: a cell has 32,767 characters at most.
pub const MAX_XLSX_RUN: usize = 4 << 20;

/// Bytes of `<si><t/></si>`, less one.
const SHORTEST_TEXT: u64 = 12;

const CHUNK: usize = 64 * 1024;

/// More than any text that is looked for.
const OVERLAP: usize = 256;

/// Refuses what the directory says is too large, and what unpacks to more than its directory says.
pub(super) fn check(file: &mut File) -> Result<(), Fault> {
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|_| damaged("its directory"))?;
    let mut total = 0_u64;
    for index in 0..archive.len() {
        let part = archive.by_index_raw(index).map_err(|_| damaged("its directory"))?;
        let (size, packed) = (part.size(), part.compressed_size());
        total = total.saturating_add(size);
        if total > MAX_XLSX_BYTES {
            return Err(Limit::Unpacked.into());
        }
        if size > RATIO_FROM && size / packed.max(1) > MAX_XLSX_RATIO {
            return Err(Limit::Ratio.into());
        }
        let name = part.name().map_err(|_| damaged("its directory"))?;
        if !is_sheet(&name) && size > MAX_XLSX_TEXT {
            return Err(Limit::Text.into());
        }
    }
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(|_| damaged("its directory"))?;
        let name = part.name().map_err(|_| damaged("its directory"))?;
        let (size, name) = (part.size(), name.to_ascii_lowercase());
        unpack(part, size, &name)?;
    }
    Ok(())
}

fn is_sheet(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with("xl/worksheets/")
}

/// Reads a part to its end, and no further than it should be long; the checksum is verified on the way.
fn unpack(part: impl Read, size: u64, name: &str) -> Result<(), Fault> {
    let is_text = name.ends_with("sharedstrings.xml");
    let is_markup = name.ends_with(".xml") || name.ends_with(".rels");
    let (mut read, mut run) = (0, 0);
    let mut claims = Windows::new(part.take(size.saturating_add(1)));
    while let Some(window) = claims.next().map_err(|_| damaged("its content"))? {
        read = window.read;
        // the reader makes room for as many texts as the part says it has
        if is_text && claimed(window.bytes).any(|count| count.is_none_or(|count| count > size / SHORTEST_TEXT)) {
            return Err(damaged("its table of texts"));
        }
        // the reader holds a tag, and the text up to the next one, as a whole
        if is_markup
            && !window
                .fresh()
                .split(|byte| *byte == b'<')
                .enumerate()
                .all(|(part, bytes)| {
                    run = if part == 0 { run + bytes.len() } else { bytes.len() };
                    run <= MAX_XLSX_RUN
                })
        {
            return Err(Limit::Run.into());
        }
    }
    if read == size {
        Ok(())
    } else {
        Err(damaged("its content"))
    }
}

/// The values of all attributes `uniqueCount`; none for what is no value.
fn claimed(bytes: &[u8]) -> impl Iterator<Item = Option<u64>> + '_ {
    const NAME: &[u8] = b"uniqueCount";
    let starts = bytes
        .windows(NAME.len())
        .enumerate()
        .filter(|(_, window)| *window == NAME);
    starts.filter_map(move |(start, _)| {
        let rest = bytes.get(start + NAME.len()..).unwrap_or_default();
        // what is cut by the end of a window stands whole in the next one
        let is_whole = rest.len() >= OVERLAP;
        let value = number(rest.get(..OVERLAP).unwrap_or(rest));
        (is_whole || value.is_some()).then_some(value)
    })
}

/// `= "123"`
fn number(attribute: &[u8]) -> Option<u64> {
    let value = attribute.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let value = value.strip_prefix(b"\"").or_else(|| value.strip_prefix(b"'"))?;
    let end = value.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(value.get(..end)?).ok()?.parse().ok()
}

/// True if the text stands somewhere in what is read, as UTF-16.
pub(crate) fn contains(reader: impl Read, text: &str) -> io::Result<bool> {
    let needle: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut windows = Windows::new(reader);
    while let Some(window) = windows.next()? {
        if window.bytes.windows(needle.len()).any(|found| found == needle) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A long stream in pieces that overlap, so that what is looked for never falls between two.
struct Windows<R> {
    inner: R,
    buffer: Vec<u8>,
    len: usize,
    read: u64,
}

struct Window<'a> {
    bytes: &'a [u8],
    /// How many of them stood in the window before.
    kept: usize,
    /// Bytes read so far.
    read: u64,
}

impl Window<'_> {
    fn fresh(&self) -> &[u8] {
        self.bytes.get(self.kept..).unwrap_or_default()
    }
}

impl<R: Read> Windows<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            buffer: vec![0; CHUNK],
            len: 0,
            read: 0,
        }
    }

    fn next(&mut self) -> io::Result<Option<Window<'_>>> {
        let kept = self.len.min(OVERLAP);
        self.buffer.copy_within(self.len - kept..self.len, 0);
        let more = self.inner.read(self.buffer.get_mut(kept..).unwrap_or_default())?;
        self.len = kept + more;
        self.read += more as u64;
        Ok((more > 0).then_some(Window {
            bytes: self.buffer.get(..self.len).unwrap_or_default(),
            kept,
            read: self.read,
        }))
    }
}
