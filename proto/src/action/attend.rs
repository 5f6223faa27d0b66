//! Standing streams.

use bytes::Bytes;
use overlap_audit::Digest;
use overlap_psi::{
    Encoded, Protocol,
    dleq::PublicKey,
    filter::Shape,
    joint::Evaluated,
    voprf::{self, Image, MAX_CHECK, Output},
};
use overlap_records::Kind;
use uuid::Uuid;

use crate::{
    CHUNK, WireError, check as field,
    fault::Reason,
    follow_up::Answer,
    operator,
    pb::peer::{self as pb, attend_request, attend_response},
    peer, plain,
};

/// Most bytes of fingerprints in one message.
pub const FINGERPRINTS: usize = 512 << 10;
/// Most outputs in one delta.
pub const MOST_OUTPUTS: usize = CHUNK;

/// What a standing stream is opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// As of a match; the set is empty.
    pub query: peer::Open,
    /// Hash of the plan.
    pub plan: Digest,
    /// The snapshot that the asker has, and the last delta to it.
    pub has: Option<([u8; 16], u64)>,
}

/// A message of the asker.
#[derive(Debug)]
pub enum Attend {
    /// The first.
    Open(Box<Opening>),
    /// The holder's points of a mirrored pass, evaluated.
    Mirrored(Vec<Encoded>),
    /// Something is looked up.
    Check(Box<Check>),
    /// It was found.
    Claim(Box<Claim>),
}

/// Who asks, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// Id of the query, the same in both logs.
    pub transaction: Uuid,
    /// The user.
    pub person: String,
    /// In which role.
    pub role: String,
    /// Case reference.
    pub case_reference: String,
    /// Reason in words.
    pub reason: String,
    /// Country that the asker asks for, where that is not its own.
    pub on_behalf_of: Option<String>,
}

/// A check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Who asks, and why.
    pub asking: Asking,
    /// Kinds of what is looked up: ascending, each once.
    pub kinds: Vec<Kind>,
    /// Blinded items, [`MAX_CHECK`] at most.
    pub blinded: Vec<Encoded>,
    /// The same for the mirrored pass; empty where there is none.
    pub mirrored: Vec<Encoded>,
    /// Whether it was answered before, under a key that is gone.
    pub again: bool,
}

/// Outputs of one identifier that were found.
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who asks, and why.
    pub asking: Asking,
    /// The check.
    pub check: Uuid,
    /// Id of the alert, the same each time it is claimed.
    pub alert: Uuid,
    /// Kind of the identifier.
    pub kind: Kind,
    /// The outputs.
    pub outputs: Vec<Output>,
}

/// A message of the holder.
#[derive(Debug)]
pub enum Attended {
    /// The first.
    Accepted(Snapshot),
    /// Points of a mirrored pass.
    Mirror(Vec<Encoded>),
    /// Fingerprints of the snapshot.
    Fingerprints(Vec<u32>),
    /// What came after the snapshot.
    Delta(Delta),
    /// What became of a check.
    Evaluated(Uuid, Box<Evaluated>),
    /// What is told of a claim.
    Told(Told),
    /// A check or a claim that is not answered.
    Refused(Refused),
}

/// What a holder's snapshot is.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Names key and snapshot.
    pub epoch: [u8; 16],
    /// What proofs are held against.
    pub public: PublicKey,
    /// The filter but for its fingerprints.
    pub shape: Shape,
    /// Whether the asker has it already.
    pub resumed: bool,
    /// Points of the mirrored pass.
    pub mirror: u32,
}

/// What came after a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// From 1 on.
    pub number: u64,
    /// Images of the outputs.
    pub images: Vec<Image>,
}

/// What is told of a claim.
#[derive(Debug)]
pub struct Told {
    /// The claim.
    pub transaction: Uuid,
    /// The answer, unread: its check needs the kind.
    pub answer: pb::FollowUpResponse,
}

/// A check or a claim that is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which.
    pub transaction: Uuid,
    /// Why.
    pub reason: Reason,
    /// The limit that was reached.
    pub limit: Option<String>,
    /// In words.
    pub message: String,
}

impl Told {
    /// Checks the answer.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn answer(self, kind: Kind) -> Result<Answer, WireError> {
        Answer::check(self.answer, kind)
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim")
            .field("alert", &self.alert)
            .finish_non_exhaustive()
    }
}

fn outputs(field: &'static str, bytes: &[u8], most: usize) -> Result<Vec<Output>, WireError> {
    const MUST: &str = "must be whole outputs of 16 bytes, at least one and no more than the protocol allows";
    let outputs: Vec<Output> = field::elements(field, bytes, MUST)?;
    match outputs.len() <= most {
        true => Ok(outputs),
        false => Err(WireError::new(field, MUST)),
    }
}

fn checked(field: &'static str, bytes: &[u8]) -> Result<Vec<Encoded>, WireError> {
    const MUST: &str = "must be 1 to 256 whole elements of 32 bytes";
    let elements: Vec<Encoded> = field::elements(field, bytes, MUST)?;
    match elements.len() <= MAX_CHECK {
        true => Ok(elements),
        false => Err(WireError::new(field, MUST)),
    }
}

impl TryFrom<pb::Asking> for Asking {
    type Error = WireError;

    fn try_from(asking: pb::Asking) -> Result<Self, WireError> {
        Ok(Self {
            transaction: field::uuid("asking.transaction", &asking.transaction)?,
            person: field::name("asking.person", asking.person)?,
            role: field::name("asking.role", asking.role)?,
            case_reference: field::case_reference("asking.case_reference", asking.case_reference)?,
            reason: field::reason("asking.reason", asking.reason)?,
            on_behalf_of: field::optional(asking.on_behalf_of, |text| field::country("asking.on_behalf_of", text))?,
        })
    }
}

impl From<&Asking> for pb::Asking {
    fn from(asking: &Asking) -> Self {
        Self {
            transaction: operator::id(asking.transaction),
            person: asking.person.clone(),
            role: asking.role.clone(),
            case_reference: asking.case_reference.clone(),
            reason: asking.reason.clone(),
            on_behalf_of: asking.on_behalf_of.clone().unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::AttendRequest> for Attend {
    type Error = WireError;

    fn try_from(message: pb::AttendRequest) -> Result<Self, WireError> {
        Ok(match field::present("request.message", message.message)? {
            attend_request::Message::Open(open) => {
                let query = field::present("open.query", open.query)?;
                Self::Open(Box::new(Opening {
                    query: peer::Open::of(query, Protocol::Voprf)?,
                    plan: field::digest("open.plan", &open.plan)?,
                    has: match open.epoch.as_ref() {
                        [] => None,
                        epoch => Some((bytes16("open.epoch", epoch)?, open.seen)),
                    },
                }))
            }
            attend_request::Message::Mirrored(mirrored) => {
                Self::Mirrored(peer::elements("mirrored.elements", &mirrored.elements)?)
            }
            attend_request::Message::Check(check) => {
                let blinded = checked("check.blinded", &check.blinded)?;
                let mirrored = match check.mirrored.as_ref() {
                    [] => Vec::new(),
                    bytes => checked("check.mirrored", bytes)?,
                };
                if !mirrored.is_empty() && mirrored.len() != blinded.len() {
                    return Err(WireError::new(
                        "check.mirrored",
                        "must be none, or as many as are blinded",
                    ));
                }
                Self::Check(Box::new(Check {
                    asking: field::present("check.asking", check.asking)?.try_into()?,
                    kinds: peer::kinds("check.kinds", &check.kinds)?,
                    blinded,
                    mirrored,
                    again: check.again,
                }))
            }
            attend_request::Message::Claim(claim) => Self::Claim(Box::new(Claim {
                asking: field::present("claim.asking", claim.asking)?.try_into()?,
                check: field::uuid("claim.check", &claim.check)?,
                alert: field::uuid("claim.alert", &claim.alert)?,
                kind: field::listed("claim.kind", &claim.kind, "must be a kind of identifiers")?,
                outputs: outputs("claim.outputs", &claim.outputs, MAX_CHECK)?,
            })),
        })
    }
}

fn bytes16(field: &'static str, bytes: &[u8]) -> Result<[u8; 16], WireError> {
    bytes.try_into().map_err(|_| WireError::new(field, "must be 16 bytes"))
}

impl From<Opening> for pb::AttendRequest {
    fn from(opening: Opening) -> Self {
        let (epoch, seen) = opening
            .has
            .map_or_else(Default::default, |(epoch, seen)| (Bytes::copy_from_slice(&epoch), seen));
        let open = pb::AttendOpen {
            query: Some(opening.query.into()),
            plan: Bytes::copy_from_slice(&opening.plan.0),
            epoch,
            seen,
        };
        Self {
            message: Some(attend_request::Message::Open(open)),
        }
    }
}

/// The message that carries evaluated points of a mirrored pass.
pub fn mirrored(elements: &[Encoded]) -> pb::AttendRequest {
    let elements = pb::Elements {
        elements: Bytes::copy_from_slice(elements.as_flattened()),
    };
    pb::AttendRequest {
        message: Some(attend_request::Message::Mirrored(elements)),
    }
}

/// The message of a check; `again`: it was answered before, under a key that is gone.
pub fn check(
    asking: &Asking,
    kinds: &[Kind],
    blinded: &[Encoded],
    mirrored: &[Encoded],
    again: bool,
) -> pb::AttendRequest {
    let check = pb::Check {
        asking: Some(asking.into()),
        kinds: kinds.iter().map(ToString::to_string).collect(),
        blinded: Bytes::copy_from_slice(blinded.as_flattened()),
        mirrored: Bytes::copy_from_slice(mirrored.as_flattened()),
        again,
    };
    pb::AttendRequest {
        message: Some(attend_request::Message::Check(check)),
    }
}

/// The message of a claim.
pub fn claim(claim: &Claim) -> pb::AttendRequest {
    let claim = pb::Claim {
        asking: Some((&claim.asking).into()),
        check: operator::id(claim.check),
        alert: operator::id(claim.alert),
        kind: claim.kind.to_string(),
        outputs: Bytes::copy_from_slice(claim.outputs.as_flattened()),
    };
    pb::AttendRequest {
        message: Some(attend_request::Message::Claim(claim)),
    }
}

impl TryFrom<pb::AttendResponse> for Attended {
    type Error = WireError;

    fn try_from(message: pb::AttendResponse) -> Result<Self, WireError> {
        use attend_response::Message as M;
        Ok(match field::present("response.message", message.message)? {
            M::Accepted(accepted) => {
                const KEY: &str = "must be a group element of 32 bytes";
                const SHAPE: &str = "must be the shape of a filter";
                let key = accepted.public_key.as_ref().try_into();
                let key = key.map_err(|_| WireError::new("accepted.public_key", KEY))?;
                let shape = Shape {
                    seed: accepted.seed,
                    segment: accepted.segment,
                    span: accepted.span,
                };
                shape
                    .expected()
                    .map_err(|_| WireError::new("accepted.segment", SHAPE))?;
                Self::Accepted(Snapshot {
                    epoch: bytes16("accepted.epoch", &accepted.epoch)?,
                    public: PublicKey::decode(key).map_err(|_| WireError::new("accepted.public_key", KEY))?,
                    shape,
                    resumed: accepted.resumed,
                    mirror: accepted.mirror,
                })
            }
            M::Mirror(mirror) => Self::Mirror(peer::elements("mirror.elements", &mirror.elements)?),
            M::Fingerprints(bytes) => {
                const MUST: &str = "must be whole fingerprints of 4 bytes, up to 512 KiB";
                let fingerprints: Vec<[u8; 4]> = field::elements("fingerprints", &bytes, MUST)?;
                if bytes.len() > FINGERPRINTS {
                    return Err(WireError::new("fingerprints", MUST));
                }
                Self::Fingerprints(fingerprints.into_iter().map(u32::from_le_bytes).collect())
            }
            M::Delta(delta) => Self::Delta(Delta {
                number: match delta.number {
                    0 => return Err(WireError::new("delta.number", "must be at least 1")),
                    number => number,
                },
                images: outputs("delta.images", &delta.images, MOST_OUTPUTS)?,
            }),
            M::Evaluated(evaluated) => {
                const MUST: &str = "must be a proof of 64 bytes";
                let proof = evaluated.proof.as_ref().try_into();
                let proof = proof.map_err(|_| WireError::new("evaluated.proof", MUST))?;
                let elements = checked("evaluated.elements", &evaluated.elements)?;
                let made = voprf::evaluated(elements, proof);
                Self::Evaluated(
                    field::uuid("evaluated.transaction", &evaluated.transaction)?,
                    Box::new(made.map_err(|_| WireError::new("evaluated.proof", MUST))?),
                )
            }
            M::Told(told) => Self::Told(Told {
                transaction: field::uuid("told.transaction", &told.transaction)?,
                answer: field::present("told.answer", told.answer)?,
            }),
            M::Refused(refused) => Self::Refused(Refused {
                transaction: field::uuid("refused.transaction", &refused.transaction)?,
                reason: Reason::ALL
                    .into_iter()
                    .find(|reason| reason.name() == refused.reason)
                    .ok_or(WireError::new("refused.reason", "must be a reason of faults"))?,
                limit: field::optional(refused.limit, |limit| field::name("refused.limit", limit))?,
                message: plain(&refused.message),
            }),
        })
    }
}

impl From<Attended> for pb::AttendResponse {
    fn from(attended: Attended) -> Self {
        use attend_response::Message as M;
        let elements = |elements: &[Encoded]| Bytes::copy_from_slice(elements.as_flattened());
        let message = match attended {
            Attended::Accepted(snapshot) => M::Accepted(pb::AttendAccepted {
                epoch: Bytes::copy_from_slice(&snapshot.epoch),
                public_key: Bytes::copy_from_slice(&snapshot.public.encode()),
                seed: snapshot.shape.seed,
                segment: snapshot.shape.segment,
                span: snapshot.shape.span,
                resumed: snapshot.resumed,
                mirror: snapshot.mirror,
            }),
            Attended::Mirror(points) => M::Mirror(pb::Elements {
                elements: elements(&points),
            }),
            Attended::Fingerprints(fingerprints) => {
                M::Fingerprints(fingerprints.iter().flat_map(|one| one.to_le_bytes()).collect())
            }
            Attended::Delta(delta) => M::Delta(pb::Delta {
                number: delta.number,
                images: Bytes::copy_from_slice(delta.images.as_flattened()),
            }),
            Attended::Evaluated(transaction, evaluated) => M::Evaluated(pb::CheckEvaluated {
                transaction: operator::id(transaction),
                elements: elements(&evaluated.elements),
                proof: Bytes::copy_from_slice(&evaluated.proof.to_bytes()),
            }),
            Attended::Told(told) => M::Told(pb::ClaimTold {
                transaction: operator::id(told.transaction),
                answer: Some(told.answer),
            }),
            Attended::Refused(refused) => M::Refused(pb::CheckRefused {
                transaction: operator::id(refused.transaction),
                reason: refused.reason.name().to_owned(),
                limit: refused.limit.unwrap_or_default(),
                message: plain(&refused.message),
            }),
        };
        Self { message: Some(message) }
    }
}
