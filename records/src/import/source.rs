//! Raw bytes to UTF-8: detection by byte order mark and first bytes, decoding in small pieces.

use std::io::{self, Read};

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};

use crate::region::Region;

/// How much of the file decides about its encoding and delimiter.
const HEAD: usize = 64 * 1024;

const CHUNK: usize = 16 * 1024;

/// Stands for input that the encoding does not allow: no UTF-8 text contains it, so the row's own check finds it.
const NOT_UTF8: u8 = 0xff;

/// A file's text. Bytes that are invalid in its encoding come out invalid in UTF-8 too.
pub(crate) struct Source<R> {
    inner: R,
    /// The first bytes, read ahead.
    head: Vec<u8>,
    head_at: usize,
    encoding: &'static Encoding,
    choice: Choice,
    /// None: the file is UTF-8 and passes as it is.
    decoder: Option<Decoding>,
    bytes_read: u64,
}

/// How the encoding was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The mapping, the byte order mark, or the bytes themselves: text that is UTF-8 by chance is rare.
    Sure,
    /// By what the first bytes look like in a file from that country.
    Guessed,
    /// The mapping's, against what the bytes say: they are UTF-8, with letters outside ASCII.
    Doubtful,
}

struct Decoding {
    decoder: Decoder,
    raw: Vec<u8>,
    raw_at: usize,
    text: Vec<u8>,
    text_at: usize,
    is_last: bool,
    is_finished: bool,
}

impl<R: Read> Source<R> {
    /// Reads the first bytes. A byte order mark decides over `forced`, as in the WHATWG Encoding Standard (section 6.1).
    pub(crate) fn open(mut inner: R, forced: Option<&'static Encoding>, region: Region) -> io::Result<Self> {
        let mut head = Vec::new();
        inner.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
        let (encoding, bom, choice) = match (Encoding::for_bom(&head), forced) {
            (Some((encoding, bom)), _) => (encoding, bom, Choice::Sure),
            (None, Some(encoding)) if encoding != UTF_8 && !head.is_ascii() && detect(&head, region).0 == UTF_8 => {
                (encoding, 0, Choice::Doubtful)
            }
            (None, Some(encoding)) => (encoding, 0, Choice::Sure),
            (None, None) => {
                let (encoding, choice) = detect(&head, region);
                (encoding, 0, choice)
            }
        };
        let decoder = (encoding != UTF_8).then(|| Decoding::new(encoding));
        Ok(Self {
            inner,
            head,
            head_at: bom,
            encoding,
            choice,
            decoder,
            bytes_read: bom as u64,
        })
    }

    pub(crate) fn encoding(&self) -> &'static str {
        self.encoding.name()
    }

    pub(crate) fn choice(&self) -> Choice {
        self.choice
    }

    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The first bytes as they stand, byte order mark included.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The first bytes as text, for a look at the header.
    pub(crate) fn sample(&self) -> String {
        let head = self.head.get(self.head_at..).unwrap_or_default();
        self.encoding.decode_without_bom_handling(head).0.into_owned()
    }

    /// Fills `out` with the next piece of text; 0 at the end.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(mut decoding) = self.decoder.take() else {
            return self.read_raw(out);
        };
        let result = decoding.read(out, |raw| self.read_raw(raw));
        self.decoder = Some(decoding);
        result
    }

    fn read_raw(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut head = self.head.get(self.head_at..).unwrap_or_default();
        let read = if head.is_empty() {
            // spent: the memory is not needed for the rest of a long file
            self.head = Vec::new();
            loop {
                match self.inner.read(out) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => break result?,
                }
            }
        } else {
            let read = head.read(out)?;
            self.head_at += read;
            read
        };
        self.bytes_read += read as u64;
        Ok(read)
    }
}

impl Decoding {
    fn new(encoding: &'static Encoding) -> Self {
        Self {
            decoder: encoding.new_decoder_without_bom_handling(),
            raw: Vec::new(),
            raw_at: 0,
            text: Vec::new(),
            text_at: 0,
            is_last: false,
            is_finished: false,
        }
    }

    fn read(&mut self, out: &mut [u8], mut fill: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        loop {
            let mut text = self.text.get(self.text_at..).unwrap_or_default();
            if !text.is_empty() {
                let read = text.read(out)?;
                self.text_at += read;
                return Ok(read);
            }
            if self.is_finished {
                return Ok(0);
            }
            if self.raw_at >= self.raw.len() && !self.is_last {
                self.raw.resize(CHUNK, 0);
                let read = fill(&mut self.raw)?;
                self.raw.truncate(read);
                self.raw_at = 0;
                self.is_last = read == 0;
            }
            self.decode();
        }
    }

    fn decode(&mut self) {
        self.text.resize(CHUNK, 0);
        self.text_at = 0;
        let raw = self.raw.get(self.raw_at..).unwrap_or_default();
        let (result, read, written) =
            self.decoder
                .decode_to_utf8_without_replacement(raw, &mut self.text, self.is_last);
        self.raw_at += read;
        self.text.truncate(written);
        match result {
            DecoderResult::InputEmpty => self.is_finished = self.is_last,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => self.text.push(NOT_UTF8),
        }
    }
}

/// UTF-8 unless the first bytes are not; then what they look like in a file from that country.
fn detect(head: &[u8], region: Region) -> (&'static Encoding, Choice) {
    match std::str::from_utf8(head) {
        Ok(_) => (UTF_8, Choice::Sure),
        // the last character is cut by the end of the sample
        Err(error) if error.error_len().is_none() && head.len() == HEAD => (UTF_8, Choice::Sure),
        // UTF-8 with a broken byte in it: the row that has it is told, rather than all others misread
        Err(_) if is_mostly_utf8(head) => (UTF_8, Choice::Sure),
        Err(_) => {
            let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
            detector.feed(head, head.len() < HEAD);
            let domain = match region.as_str() {
                "GB" => "uk".to_owned(),
                code => code.to_ascii_lowercase(),
            };
            (
                detector.guess(Some(domain.as_bytes()), Utf8Detection::Deny),
                Choice::Guessed,
            )
        }
    }
}

/// More whole characters of several bytes than broken ones: in other encodings such sequences are rare.
fn is_mostly_utf8(head: &[u8]) -> bool {
    let (mut whole, mut broken) = (0, 0);
    for chunk in head.utf8_chunks() {
        whole += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    whole > broken
}
