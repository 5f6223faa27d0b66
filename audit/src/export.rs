//! A log as a file: what an auditor takes away, to check it without the node that wrote it.
//!
//! JSON Lines. The first line is a [`Header`]; then one line per event in order, which carries the event in the clear with the key of its
//! sealing, so that a reader can seal it again and arrive at the leaf; then the receipts that the node holds of others; then an end. A
//! shredded event has its commitment alone.

use std::io::{self, BufRead, Read, Write};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Digest, Event, KeptReceipt, PayloadKey, Sealed, VerifyingKey, leaf_hash};

/// The version of the form.
pub const EXPORT_VERSION: u32 = 1;

/// Longest line that is read, in bytes.
pub const MAX_LINE: usize = 1 << 20;

/// What the log is, and what was signed of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`EXPORT_VERSION`].
    pub overlap_log: u32,
    /// The agency whose log it is.
    pub agency: String,
    /// What checks its checkpoints and receipts.
    pub key: VerifyingKey,
    /// When it was exported.
    pub exported: Timestamp,
    /// Events in it.
    pub events: u64,
    /// The newest checkpoint, of exactly these events; then the last one that each witness countersigned, as signed notes.
    pub checkpoints: Vec<String>,
    /// The other nodes, as this one knows them.
    pub peers: Vec<KnownPeer>,
}

/// Another node's keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownPeer {
    /// The agency.
    pub agency: String,
    /// What checks the checkpoints and receipts of its log.
    pub log: VerifyingKey,
    /// What checks its cosignatures.
    pub cosigner: VerifyingKey,
    /// Its newest checkpoint that this node countersigned, as it signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
}

/// A line after the first, as it is written.
#[derive(Serialize)]
#[serde(untagged)]
enum Written<'a> {
    Event {
        index: u64,
        leaf: Digest,
        key: String,
        event: &'a RawValue,
    },
    Shredded {
        index: u64,
        leaf: Digest,
        commitment: Digest,
    },
    Receipt {
        receipt: &'a KeptReceipt,
    },
    End {
        end: u64,
    },
}

/// A line after the first, as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    index: Option<u64>,
    leaf: Option<Digest>,
    #[serde(borrow)]
    key: Option<&'a str>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    commitment: Option<Digest>,
    receipt: Option<KeptReceipt>,
    end: Option<u64>,
}

/// What stands on a line.
#[derive(Debug)]
pub enum Line {
    /// An event.
    Event(ExportedEvent),
    /// A receipt that the node holds of another.
    Receipt(KeptReceipt),
    /// The end, after so many events.
    End(u64),
}

/// An event with its leaf, as the file claims it and as it comes out.
#[derive(Debug)]
pub struct ExportedEvent {
    /// Where it stands.
    pub index: u64,
    /// The leaf's hash as the file has it.
    pub claimed: Digest,
    /// The leaf's hash as it comes out of what the line holds.
    pub leaf: Digest,
    /// Whether the line says that it was shredded.
    pub is_shredded: bool,
    /// The event; none where it was shredded, or is not wanted.
    pub event: Option<Event>,
}

/// A line, and the key and text of its event.
pub type RawLine = (Line, Option<(String, Box<RawValue>)>);

/// Why an export cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A line is no line of an export.
    #[error("line {line}: {what}")]
    Line {
        /// From 1.
        line: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// An event is not what it was.
    #[error("event {index}: {what}")]
    Event {
        /// Its index.
        index: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Of another version.
    #[error("an export of version {found}; this reads version {EXPORT_VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// Cannot be written.
    #[error("an export cannot be written: {0}")]
    Encode(#[from] serde_json::Error),
}

/// Writes an export.
pub struct ExportWriter<W>(W);

impl<W: Write> ExportWriter<W> {
    /// Begins with the header.
    ///
    /// # Errors
    /// [`ExportError::Io`], [`ExportError::Encode`].
    pub fn begin(out: W, header: &Header) -> Result<Self, ExportError> {
        let mut writer = Self(out);
        writer.line(header)?;
        Ok(writer)
    }

    /// Writes an event; with a key that opens it, in the clear.
    ///
    /// # Errors
    /// [`ExportError::Line`]: the key does not open it, or it is no JSON; [`ExportError::Io`].
    pub fn event(&mut self, index: u64, sealed: &Sealed, key: Option<&PayloadKey>) -> Result<(), ExportError> {
        let commitment = sealed.commitment();
        let leaf = leaf_hash(&commitment);
        let Some(key) = key else {
            return self.line(&Written::Shredded {
                index,
                leaf,
                commitment,
            });
        };
        let damaged = |what| ExportError::Event { index, what };
        let plain = sealed
            .open(key)
            .map_err(|_| damaged("the event does not open under its key"))?;
        let event = serde_json::from_slice(&plain).map_err(|_| damaged("the event is no JSON"))?;
        self.line(&Written::Event {
            index,
            leaf,
            key: hex::encode(key.as_bytes()),
            event,
        })
    }

    /// Writes a receipt of another node.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub fn receipt(&mut self, receipt: &KeptReceipt) -> Result<(), ExportError> {
        self.line(&Written::Receipt { receipt })
    }

    /// Writes the end.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub fn end(mut self, events: u64) -> Result<W, ExportError> {
        self.line(&Written::End { end: events })?;
        self.0.flush()?;
        Ok(self.0)
    }

    fn line(&mut self, line: &impl Serialize) -> Result<(), ExportError> {
        serde_json::to_writer(&mut self.0, line)?;
        Ok(self.0.write_all(b"\n")?)
    }
}

/// Reads an export, a line at a time. Memory: the longest line.
pub struct ExportReader<R> {
    input: R,
    header: Header,
    line: u64,
    buffer: Vec<u8>,
    /// Whether events are parsed, or their leaves alone taken.
    parses: bool,
}

impl<R: BufRead> ExportReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn open(mut input: R) -> Result<Self, ExportError> {
        let mut buffer = Vec::new();
        let wrong = |what| ExportError::Line { line: 1, what };
        if !read_line(&mut input, &mut buffer, 1)? {
            return Err(wrong("the file is empty"));
        }
        #[derive(Deserialize)]
        struct Version {
            overlap_log: u32,
        }
        let not_one = "no header: this is not an export made by `overlap log export`";
        let Version { overlap_log: found } = serde_json::from_slice(&buffer).map_err(|_| wrong(not_one))?;
        if found != EXPORT_VERSION {
            return Err(ExportError::Version { found });
        }
        let header: Header =
            serde_json::from_slice(&buffer).map_err(|_| wrong("the header lacks a field or has a wrong one"))?;
        let are_agencies = is_agency(&header.agency) && header.peers.iter().all(|peer| is_agency(&peer.agency));
        if !are_agencies {
            return Err(wrong("the header names an agency that is no SPIFFE URI"));
        }
        Ok(Self {
            input,
            header,
            line: 1,
            buffer,
            parses: true,
        })
    }

    /// Leaves the events unread beyond their leaves, which is faster.
    pub fn leaves_alone(mut self) -> Self {
        self.parses = false;
        self
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next line, with an event's key and its text as they stand there; none after the last.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn next_raw(&mut self) -> Result<Option<RawLine>, ExportError> {
        #[derive(Deserialize)]
        struct Opened {
            key: Option<String>,
            event: Option<Box<RawValue>>,
        }
        let Some(line) = self.next_line()? else {
            return Ok(None);
        };
        let opened: Opened = serde_json::from_slice(&self.buffer)?;
        Ok(Some((line, opened.key.zip(opened.event))))
    }

    /// The next line; none after the last.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn next_line(&mut self) -> Result<Option<Line>, ExportError> {
        self.line += 1;
        if !read_line(&mut self.input, &mut self.buffer, self.line)? {
            return Ok(None);
        }
        parse(&self.buffer, self.parses)
            .map(Some)
            .map_err(|what| ExportError::Line { line: self.line, what })
    }
}

/// The id of an agency: one spelling, and nothing that acts on a terminal. Its log's name has no `%2B`, so no two agencies have one.
fn is_agency(id: &str) -> bool {
    let rest = id.strip_prefix("spiffe://").unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_graphic();
    !rest.is_empty() && id.len() <= 128 && rest.chars().all(is_plain) && !rest.contains("%2B")
}

fn parse(bytes: &[u8], parses: bool) -> Result<Line, &'static str> {
    let raw: Raw<'_> = serde_json::from_slice(bytes).map_err(|_| "not a line of an export")?;
    match raw {
        Raw {
            index: Some(index),
            leaf: Some(claimed),
            key: Some(key),
            event: Some(event),
            commitment: None,
            receipt: None,
            end: None,
        } => {
            let Digest(key) = key.parse().map_err(|_| "the key is not 64 hexadecimal digits")?;
            let sealed = Sealed::seal(&PayloadKey::from_bytes(key), event.get().as_bytes())
                .map_err(|_| "the event is too long")?;
            let event = match parses {
                true => Some(Event::from_json(event.get().as_bytes()).map_err(|_| "the event cannot be read")?),
                false => None,
            };
            Ok(Line::Event(ExportedEvent {
                index,
                claimed,
                leaf: leaf_hash(&sealed.commitment()),
                is_shredded: false,
                event,
            }))
        }
        Raw {
            index: Some(index),
            leaf: Some(claimed),
            key: None,
            event: None,
            commitment: Some(commitment),
            receipt: None,
            end: None,
        } => Ok(Line::Event(ExportedEvent {
            index,
            claimed,
            leaf: leaf_hash(&commitment),
            is_shredded: true,
            event: None,
        })),
        Raw {
            index: None,
            leaf: None,
            key: None,
            event: None,
            commitment: None,
            receipt: Some(receipt),
            end: None,
        } => Ok(Line::Receipt(receipt)),
        Raw {
            index: None,
            leaf: None,
            key: None,
            event: None,
            commitment: None,
            receipt: None,
            end: Some(end),
        } => Ok(Line::End(end)),
        _ => Err("not a line of an export"),
    }
}

/// Reads a line without its end; false at the end of the file.
fn read_line(input: &mut impl BufRead, buffer: &mut Vec<u8>, line: u64) -> Result<bool, ExportError> {
    buffer.clear();
    let read = input.take(MAX_LINE as u64 + 1).read_until(b'\n', buffer)?;
    if read == 0 {
        return Ok(false);
    }
    match buffer.pop() {
        Some(b'\n') => Ok(true),
        _ if read > MAX_LINE => Err(ExportError::Line {
            line,
            what: "longer than 1 MiB",
        }),
        _ => Err(ExportError::Line {
            line,
            what: "cut short: the file is truncated",
        }),
    }
}
