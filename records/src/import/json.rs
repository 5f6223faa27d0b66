//! JSON Lines: one object per line, its keys are the columns.
//!
//! No error of serde_json is passed on: some of them repeat values.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use super::cells::{Cells, Mark, RowBuffer, RowSource, decimal};
use super::error::{Fault, Unsupported};
use super::source::{Choice, Source};
use super::{MAX_COLUMNS, MAX_ROW_BYTES};
use crate::rejection::Rejection;

const CHUNK: usize = 16 * 1024;

/// Objects whose keys make the header: writers leave out keys without a value, so that the first object does not name all columns.
const AHEAD_ROWS: usize = 1000;
const AHEAD_BYTES: usize = 4 << 20;

/// A line's number and text.
type Line = (u64, Zeroizing<Vec<u8>>);

pub(crate) struct JsonLines<R> {
    source: Source<R>,
    input: Zeroizing<Vec<u8>>,
    input_at: usize,
    input_len: usize,
    line: u64,
    /// None until the first row, the header, was asked for.
    columns: Option<HashMap<String, usize>>,
    ahead: VecDeque<Line>,
    row: RowBuffer,
}

impl<R: Read> JsonLines<R> {
    pub(crate) fn new(source: Source<R>) -> Self {
        Self {
            source,
            input: Zeroizing::new(vec![0; CHUNK]),
            input_at: 0,
            input_len: 0,
            line: 0,
            columns: None,
            ahead: VecDeque::new(),
            row: RowBuffer::default(),
        }
    }

    /// Reads ahead for the keys, which become the header in the order in which they first stand.
    fn header(&mut self) -> Result<Option<Cells<'_>>, Fault> {
        let mut columns = HashMap::new();
        let mut header = RowBuffer::new(1);
        let mut bytes = 0;
        while self.ahead.len() < AHEAD_ROWS && bytes < AHEAD_BYTES {
            let Some((line, text)) = self.line()? else { break };
            let keys = parse(&text, Keys);
            match keys {
                Some(keys) => {
                    for key in keys {
                        if !columns.contains_key(&key) {
                            header.push(&key, Mark::default())?;
                            columns.insert(key, columns.len());
                        }
                    }
                }
                None if text.trim_ascii_start().starts_with(b"[") => return Err(Unsupported::JsonArray.into()),
                None if self.ahead.is_empty() => return Err(self.not_json(line, &text)),
                // told when its turn comes
                None => {}
            }
            bytes += text.len();
            self.ahead.push_back((line, text));
        }
        self.columns = Some(columns);
        self.row = header;
        Ok((!self.ahead.is_empty()).then_some(self.row.cells()))
    }

    fn not_json(&self, row: u64, text: &[u8]) -> Fault {
        if std::str::from_utf8(text).is_err() {
            let encoding = self.source.encoding();
            Fault::Encoding { row, encoding }
        } else if text.contains(&0) {
            Fault::NotText { row }
        } else {
            Fault::NotJson { row }
        }
    }

    /// The next line that is not blank, with its number.
    fn line(&mut self) -> Result<Option<Line>, Fault> {
        let mut text = Zeroizing::new(Vec::new());
        loop {
            if self.input_at >= self.input_len {
                (self.input_at, self.input_len) = (0, 0);
                self.input_len = self.source.read(&mut self.input)?;
            }
            let input = self.input.get(self.input_at..self.input_len).unwrap_or_default();
            let end = input.iter().position(|byte| *byte == b'\n');
            let piece = end.and_then(|end| input.get(..end)).unwrap_or(input);
            if text.len() + piece.len() > MAX_ROW_BYTES {
                return Err(Fault::RowTooLong { row: self.line + 1 });
            }
            text.extend_from_slice(piece);
            let is_last = input.is_empty();
            self.input_at += piece.len() + usize::from(end.is_some());
            if end.is_none() && !is_last {
                continue;
            }
            self.line += 1;
            if !text.trim_ascii().is_empty() {
                return Ok(Some((self.line, text)));
            }
            if is_last {
                return Ok(None);
            }
            text.clear();
        }
    }
}

impl<R: Read + Send> RowSource for JsonLines<R> {
    fn next(&mut self) -> Result<Option<Cells<'_>>, Fault> {
        if self.columns.is_none() {
            return self.header();
        }
        let next = match self.ahead.pop_front() {
            Some(line) => Some(line),
            None => self.line()?,
        };
        let (Some((line, text)), Some(columns)) = (next, &self.columns) else {
            return Ok(None);
        };
        let Some(slots) = parse(&text, Object(columns)) else {
            return Err(self.not_json(line, &text));
        };
        let mut row = RowBuffer::new(line);
        for slot in slots {
            let slot = slot.unwrap_or_default();
            row.push(&slot.text, slot.mark)?;
        }
        self.row = row;
        Ok(Some(self.row.cells()))
    }

    fn bytes_read(&self) -> u64 {
        self.source.bytes_read()
    }

    fn encoding(&self) -> Option<(&'static str, Choice)> {
        Some((self.source.encoding(), self.source.choice()))
    }
}

/// One value and nothing after it.
fn parse<'de, S: DeserializeSeed<'de>>(text: &'de [u8], seed: S) -> Option<S::Value> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = seed.deserialize(&mut json).ok()?;
    json.end().ok()?;
    Some(value)
}

/// The keys of an object.
struct Keys;

impl<'de> DeserializeSeed<'de> for Keys {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Keys {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut keys = Vec::new();
        while let Some((key, IgnoredAny)) = map.next_entry()? {
            if keys.len() >= MAX_COLUMNS {
                return Err(M::Error::custom("too many keys"));
            }
            keys.push(key);
        }
        Ok(keys)
    }
}

/// The values of an object, each in the place of its column; keys that no column has are left out.
struct Object<'a>(&'a HashMap<String, usize>);

#[derive(Clone, Default)]
struct Slot {
    text: Zeroizing<String>,
    mark: Mark,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Vec<Option<Slot>>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Vec<Option<Slot>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut slots = vec![None; self.0.len()];
        while let Some(place) = map.next_key_seed(Place(self.0))? {
            match place.and_then(|place| slots.get_mut(place)) {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(Some(_)) => return Err(M::Error::custom("a key stands twice")),
                Some(slot) => *slot = Some(map.next_value_seed(Value)?),
            }
        }
        Ok(slots)
    }
}

/// Which column a key is.
struct Place<'a>(&'a HashMap<String, usize>);

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Place<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.get(key).copied())
    }
}

/// One value as text.
struct Value;

impl<'de> DeserializeSeed<'de> for Value {
    type Value = Slot;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Slot, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = Slot;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Slot, E> {
        Ok(Slot {
            text: Zeroizing::new(text.to_owned()),
            mark: Mark::default(),
        })
    }

    fn visit_unit<E>(self) -> Result<Slot, E> {
        Ok(Slot::default())
    }

    fn visit_bool<E>(self, value: bool) -> Result<Slot, E> {
        Ok(Slot {
            text: Zeroizing::new(value.to_string()),
            mark: Mark::default(),
        })
    }

    fn visit_u64<E>(self, value: u64) -> Result<Slot, E> {
        Ok(Slot {
            text: Zeroizing::new(value.to_string()),
            mark: Mark::NUMBER,
        })
    }

    fn visit_i64<E>(self, value: i64) -> Result<Slot, E> {
        Ok(Slot {
            text: Zeroizing::new(value.to_string()),
            mark: Mark::NUMBER,
        })
    }

    fn visit_f64<E>(self, value: f64) -> Result<Slot, E> {
        Ok(match decimal(value) {
            Ok(text) => Slot {
                text,
                mark: Mark::NUMBER,
            },
            Err(reason) => Slot {
                mark: Mark::bad(reason),
                ..Slot::default()
            },
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Slot, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(nested())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Slot, M::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(nested())
    }
}

fn nested() -> Slot {
    Slot {
        mark: Mark::bad(Rejection::NestedValue),
        ..Slot::default()
    }
}
