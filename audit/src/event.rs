//! What the log is a sequence of.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Digest, Entry, Outcome};

/// One step of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// An entry begins.
    Opened(Box<Entry>),
    /// An entry ends.
    Closed(Closing),
}

/// How a query ended.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closing {
    /// The entry that ends.
    pub id: Uuid,
    /// End; UTC, milliseconds.
    pub ended: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// How much was supplied: for the asker of a match in mode `count` the items in common, in mode `hits` the hits and candidates, for its holder the tokens of its own set that it handed
    /// over (it does not learn what is in common), for an import or an erasure the records.
    pub output_count: Option<u64>,
    /// For the asker of a match in mode `hits`: how many numbered identifiers are in common.
    pub hits: Option<u64>,
    /// And how many pairs of persons reach the profile's threshold.
    pub candidates: Option<u64>,
    /// Size of the peer's set, once it was announced.
    pub peer_count: Option<u64>,
    /// Thumbprint of the certificate of the node that answered, for the asker.
    pub callee_certificate: Option<Digest>,
    /// For an asker: whether the query was sent to the peer; if so, the peer's log has its twin.
    pub sent: Option<bool>,
    /// Why it was denied or failed, in words without any personal data.
    pub detail: Option<String>,
}

/// The bytes are not the JSON of an event.
#[derive(Debug, thiserror::Error)]
#[error("not a log event: {0}")]
pub struct BadEvent(#[from] serde_json::Error);

/// One step of the log, to be written.
#[derive(Clone, Copy, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventRef<'a> {
    /// An entry begins.
    Opened(&'a Entry),
    /// An entry ends.
    Closed(&'a Closing),
}

impl EventRef<'_> {
    /// The stored form.
    ///
    /// # Errors
    /// [`BadEvent`] if a field cannot be written as JSON; none of today's can fail.
    pub fn to_json(self) -> Result<Vec<u8>, BadEvent> {
        const USUAL: usize = 2048;
        let mut json = Vec::with_capacity(USUAL);
        serde_json::to_writer(&mut json, &self)?;
        Ok(json)
    }

    /// When it happened.
    pub fn at(self) -> Timestamp {
        match self {
            Self::Opened(entry) => entry.started,
            Self::Closed(closing) => closing.ended,
        }
    }
}

impl Event {
    /// The same, borrowed.
    pub fn borrowed(&self) -> EventRef<'_> {
        match self {
            Self::Opened(entry) => EventRef::Opened(entry),
            Self::Closed(closing) => EventRef::Closed(closing),
        }
    }

    /// The stored form.
    ///
    /// # Errors
    /// [`BadEvent`] if a field cannot be written as JSON; none of today's can fail.
    pub fn to_json(&self) -> Result<Vec<u8>, BadEvent> {
        self.borrowed().to_json()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`BadEvent`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, BadEvent> {
        // as it is written, the tag stands first: then nothing has to be held back to find it, which takes three times as long
        let rest = |tag: &str| {
            let rest = bytes.strip_prefix(tag.as_bytes())?;
            Some([b"{", rest].concat())
        };
        if let Some(entry) = rest(r#"{"event":"opened","#) {
            return Ok(Self::Opened(Box::new(serde_json::from_slice(&entry)?)));
        }
        if let Some(closing) = rest(r#"{"event":"closed","#) {
            return Ok(Self::Closed(serde_json::from_slice(&closing)?));
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The entry that this event is of.
    pub fn entry_id(&self) -> Uuid {
        match self {
            Self::Opened(entry) => entry.id,
            Self::Closed(closing) => closing.id,
        }
    }
}

/// An entry as a reader sees it: its opening with its end, where it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// Index of the opening event in the log.
    pub index: u64,
    /// The opening.
    pub entry: Entry,
    /// The end.
    pub closing: Option<Closing>,
}

impl Logged {
    /// How the entry stands.
    pub fn outcome(&self) -> Outcome {
        self.closing
            .as_ref()
            .map_or(Outcome::Admitted, |closing| closing.outcome)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_panic(bytes: Vec<u8>) {
            let _ = Event::from_json(&bytes);
        }

        #[test]
        fn a_closing_survives_its_stored_form(id: u128, millis in 0i64..4_000_000_000_000, output: Option<u64>) {
            let event = Event::Closed(Closing {
                id: Uuid::from_u128(id),
                ended: Timestamp::from_millisecond(millis).unwrap(),
                outcome: Outcome::NoHit,
                output_count: output,
                hits: output,
                candidates: None,
                peer_count: None,
                callee_certificate: Some(Digest([9; 32])),
                sent: None,
                detail: None,
            });
            prop_assert_eq!(Event::from_json(&event.to_json().unwrap()).unwrap(), event);
        }
    }
}
