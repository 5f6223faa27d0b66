//! Pictures, checked: between nodes, and of an agency's own users.

use bytes::Bytes;
use jiff::Timestamp;
use overlap_agreement::{Roster, Signed};
use overlap_audit::Digest;
use overlap_psi::{
    Encoded, Protocol,
    dleq::{Proof, PublicKey},
    joint::{Entry, Evaluated, Pseudonym},
};

use crate::{
    CHUNK, WireError, check,
    pb::peer::{self as pb, evaluate_request, take_request, take_response},
    peer,
};

mod wish;

pub use wish::{AboutPicture, FollowUpPicture, Run};

/// Bytes of an entry on the wire.
const ENTRY: usize = 20;

/// Most agencies that take part.
pub const MOST_PARTICIPANTS: usize = 64;

/// What an agency is asked to take part in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// As of a match; the set is the coordinator's own.
    pub query: peer::Open,
    /// Ids of all that are asked to take part, ascending.
    pub participants: Vec<String>,
    /// First month of records that take part; 0: all.
    pub since: u16,
    /// When what was found is erased.
    pub expires: Timestamp,
}

/// A message of the coordinator.
#[derive(Debug)]
pub enum Request {
    /// The first.
    Open(Box<Open>),
    /// Who takes part in this round.
    Roster(Box<Signed<Roster>>),
    /// The round with this number begins.
    Again(u32),
    /// The picture is made.
    Done,
}

/// A message of a participant.
#[derive(Debug, PartialEq, Eq)]
pub enum Response {
    /// Size of its set, and its public key in the round.
    Ready {
        /// The round.
        round: u32,
        /// Size of its set.
        size: u64,
        /// Public key of its share.
        key: PublicKey,
    },
    /// It is at work.
    Working {
        /// How many of its items were evaluated.
        done: u64,
        /// Id of the participant whose answer it waits for.
        waiting_for: Option<String>,
    },
    /// Pseudonyms with what is said of each, ascending.
    Entries(Vec<Entry>),
    /// Another participant did not do its part.
    Failed {
        /// Its id.
        participant: String,
        /// What it did, in words.
        why: String,
    },
    /// The last.
    Complete,
}

/// A message of a participant that has its items evaluated.
#[derive(Debug)]
pub enum Asked {
    /// The first.
    Roster(Box<Signed<Roster>>),
    /// Blinded elements.
    Blinded(Vec<Encoded>),
}

impl TryFrom<pb::TakeRequest> for Request {
    type Error = WireError;

    fn try_from(message: pb::TakeRequest) -> Result<Self, WireError> {
        Ok(match check::present("request.message", message.message)? {
            take_request::Message::Open(open) => Self::Open(Box::new(open.try_into()?)),
            take_request::Message::Roster(roster) => Self::Roster(Box::new(self::roster(&roster)?)),
            take_request::Message::Again(again) => Self::Again(again.round),
            take_request::Message::Done(_) => Self::Done,
        })
    }
}

impl From<Request> for pb::TakeRequest {
    fn from(request: Request) -> Self {
        let message = match request {
            Request::Open(open) => take_request::Message::Open((*open).into()),
            Request::Roster(roster) => take_request::Message::Roster(roster_message(&roster)),
            Request::Again(round) => take_request::Message::Again(pb::PictureAgain { round }),
            Request::Done => take_request::Message::Done(pb::PictureDone {}),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<pb::PictureOpen> for Open {
    type Error = WireError;

    fn try_from(open: pb::PictureOpen) -> Result<Self, WireError> {
        const MUST: &str = "must be 1 to 64 ids in their order, each once";
        let query = check::present("open.query", open.query)?;
        let participants = open.participants;
        let fits = (1..=MOST_PARTICIPANTS).contains(&participants.len());
        if !fits || !participants.is_sorted_by(|one, other| one < other) {
            return Err(WireError::new("open.participants", MUST));
        }
        let named = participants.into_iter();
        Ok(Self {
            query: peer::Open::of(query, Protocol::JointOprf)?,
            participants: named
                .map(|id| check::name("open.participants", id))
                .collect::<Result<_, _>>()?,
            since: month("open.since", open.since)?,
            expires: check::listed("open.expires", &open.expires, "must be a time in RFC 3339")?,
        })
    }
}

impl From<Open> for pb::PictureOpen {
    fn from(open: Open) -> Self {
        Self {
            query: Some(open.query.into()),
            participants: open.participants,
            since: open.since.into(),
            expires: open.expires.to_string(),
        }
    }
}

impl TryFrom<pb::TakeResponse> for Response {
    type Error = WireError;

    fn try_from(message: pb::TakeResponse) -> Result<Self, WireError> {
        Ok(match check::present("response.message", message.message)? {
            take_response::Message::Ready(ready) => Self::Ready {
                round: ready.round,
                size: peer::set_size("ready.set_size", ready.set_size)?,
                key: public_key("ready.key", &ready.key)?,
            },
            take_response::Message::Working(working) => Self::Working {
                done: peer::set_size("working.done", working.done)?,
                waiting_for: match working.waiting_for.as_str() {
                    "" => None,
                    _ => Some(check::name("working.waiting_for", working.waiting_for)?),
                },
            },
            take_response::Message::Entries(entries) => Self::Entries(self::entries(&entries.entries)?),
            take_response::Message::Failed(failed) => Self::Failed {
                participant: check::name("failed.participant", failed.participant)?,
                why: check::plain(&failed.why),
            },
            take_response::Message::Complete(_) => Self::Complete,
        })
    }
}

impl From<Response> for pb::TakeResponse {
    fn from(response: Response) -> Self {
        let message = match response {
            Response::Ready { round, size, key } => take_response::Message::Ready(pb::PictureReady {
                round,
                set_size: size,
                key: Bytes::copy_from_slice(&key.encode()),
            }),
            Response::Working { done, waiting_for } => take_response::Message::Working(pb::PictureWorking {
                done,
                waiting_for: waiting_for.unwrap_or_default(),
            }),
            Response::Entries(entries) => {
                let bytes = entries.iter().flat_map(|entry| [&entry.pseudonym[..], &entry.mark]);
                let entries = bytes.flatten().copied().collect();
                take_response::Message::Entries(pb::PictureEntries { entries })
            }
            Response::Failed { participant, why } => {
                take_response::Message::Failed(pb::PictureFailed { participant, why })
            }
            Response::Complete => take_response::Message::Complete(pb::PictureComplete {}),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<pb::EvaluateRequest> for Asked {
    type Error = WireError;

    fn try_from(message: pb::EvaluateRequest) -> Result<Self, WireError> {
        Ok(match check::present("request.message", message.message)? {
            evaluate_request::Message::Roster(roster) => Self::Roster(Box::new(self::roster(&roster)?)),
            evaluate_request::Message::Blinded(blinded) => {
                Self::Blinded(peer::elements("blinded.elements", &blinded.elements)?)
            }
        })
    }
}

impl From<Asked> for pb::EvaluateRequest {
    fn from(asked: Asked) -> Self {
        let message = match asked {
            Asked::Roster(roster) => evaluate_request::Message::Roster(roster_message(&roster)),
            Asked::Blinded(elements) => evaluate_request::Message::Blinded(pb::Elements {
                elements: Bytes::copy_from_slice(elements.as_flattened()),
            }),
        };
        Self { message: Some(message) }
    }
}

/// What an evaluator answers, checked.
///
/// # Errors
/// [`WireError`].
pub fn evaluated(message: pb::EvaluateResponse) -> Result<Evaluated, WireError> {
    const MUST: &str = "must be 64 bytes, two reduced scalars";
    let elements = check::present("evaluated", message.evaluated)?;
    let proof: [u8; 64] = message
        .proof
        .as_ref()
        .try_into()
        .map_err(|_| WireError::new("proof", MUST))?;
    Ok(Evaluated {
        elements: peer::elements("evaluated.elements", &elements.elements)?,
        proof: Proof::from_bytes(&proof).map_err(|_| WireError::new("proof", MUST))?,
    })
}

/// The message of it.
pub fn evaluated_message(evaluated: &Evaluated) -> pb::EvaluateResponse {
    pb::EvaluateResponse {
        evaluated: Some(pb::Elements {
            elements: Bytes::copy_from_slice(evaluated.elements.as_flattened()),
        }),
        proof: Bytes::copy_from_slice(&evaluated.proof.to_bytes()),
    }
}

fn roster(message: &pb::Roster) -> Result<Signed<Roster>, WireError> {
    Signed::parse(&message.roster).map_err(|_| WireError::new("roster", "must be a signed roster (JWS)"))
}

fn roster_message(roster: &Signed<Roster>) -> pb::Roster {
    pb::Roster {
        roster: roster.to_json().into(),
    }
}

/// A public key as a roster has it.
///
/// # Errors
/// [`WireError`] for bytes that are no group element.
pub fn key_of(digest: &Digest) -> Result<PublicKey, WireError> {
    public_key("roster.key", &digest.0)
}

fn public_key(field: &'static str, bytes: &[u8]) -> Result<PublicKey, WireError> {
    const MUST: &str = "must be a group element of 32 bytes";
    let bytes: Encoded = bytes.try_into().map_err(|_| WireError::new(field, MUST))?;
    PublicKey::decode(&bytes).map_err(|_| WireError::new(field, MUST))
}

fn entries(bytes: &[u8]) -> Result<Vec<Entry>, WireError> {
    const MUST: &str = "must be 1 to 4096 whole entries of 20 bytes";
    let entries: Vec<[u8; ENTRY]> = check::elements("entries.entries", bytes, MUST)?;
    if entries.len() > CHUNK {
        return Err(WireError::new("entries.entries", MUST));
    }
    let entry = |bytes: [u8; ENTRY]| {
        let (mut pseudonym, mut mark) = (Pseudonym::default(), [0; 4]);
        pseudonym.copy_from_slice(&bytes[..16]);
        mark.copy_from_slice(&bytes[16..]);
        Entry { pseudonym, mark }
    };
    Ok(entries.into_iter().map(entry).collect())
}

/// A month's number: 12 times the year, and the months before it in that; 0: none.
fn month(field: &'static str, number: u32) -> Result<u16, WireError> {
    match u16::try_from(number) {
        Ok(0) => Ok(0),
        Ok(number) if number >= 12 => Ok(number),
        _ => Err(WireError::new(field, "must be the number of a month, or 0")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    #[test]
    fn months_have_the_numbers_of_the_report() {
        assert_eq!(month("x", 2026 * 12 + 2), Ok(2026 * 12 + 2));
        assert_eq!(month("x", 11).unwrap_err().field, "x");
        assert_eq!(month("x", 1 << 16).unwrap_err().field, "x");
    }

    #[test]
    fn entries_survive_the_wire_and_come_whole() {
        let entry = Entry {
            pseudonym: [7; 16],
            mark: [1, 2, 3, 4],
        };
        let sent = pb::TakeResponse::from(Response::Entries(vec![entry; 3]));
        assert_eq!(Response::try_from(sent), Ok(Response::Entries(vec![entry; 3])));
        for bad in [0, 1, 19, 21, ENTRY * (CHUNK + 1)] {
            assert_eq!(entries(&vec![0; bad]).unwrap_err().field, "entries.entries");
        }
    }

    #[test]
    fn keys_and_proofs_are_checked() {
        let ready = |key: &[u8]| {
            let ready = pb::PictureReady {
                round: 1,
                set_size: 5,
                key: Bytes::copy_from_slice(key),
            };
            Response::try_from(pb::TakeResponse {
                message: Some(take_response::Message::Ready(ready)),
            })
        };
        for bad in [&[0; 32][..], &[0xff; 32], &[1; 31]] {
            assert_eq!(ready(bad).unwrap_err().field, "ready.key");
        }
        let answer = |proof: &[u8]| {
            evaluated(pb::EvaluateResponse {
                evaluated: Some(pb::Elements {
                    elements: vec![0; 32].into(),
                }),
                proof: Bytes::copy_from_slice(proof),
            })
        };
        assert!(answer(&[0; 64]).is_ok());
        for bad in [&[0xff; 64][..], &[0; 63]] {
            assert_eq!(answer(bad).unwrap_err().field, "proof");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_panic(bytes: Vec<u8>) {
            if let Ok(message) = pb::TakeRequest::decode(bytes.as_slice()) {
                let _ = Request::try_from(message);
            }
            if let Ok(message) = pb::TakeResponse::decode(bytes.as_slice()) {
                let _ = Response::try_from(message);
            }
            if let Ok(message) = pb::EvaluateRequest::decode(bytes.as_slice()) {
                let _ = Asked::try_from(message);
            }
            if let Ok(message) = pb::EvaluateResponse::decode(bytes.as_slice()) {
                let _ = evaluated(message);
            }
        }
    }
}
