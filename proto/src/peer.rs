//! `overlap.peer.v1`, checked.

use bytes::Bytes;
use overlap_agreement::{Order, Signed};
use overlap_audit::Digest;
use overlap_psi::{Encoded, Protocol, dh};
use overlap_records::{Kind, Role};
use uuid::Uuid;

use crate::{
    CHUNK, WireError, agreement, check,
    follow_up::{self, PartlyVisible},
    found::Found,
    pb::peer::{self as pb, match_request, match_response},
};

/// What a match is opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Id of the query, the same in both logs.
    pub transaction: Uuid,
    /// Id of the agreement.
    pub agreement: String,
    /// Hash of the agreement.
    pub agreement_hash: Digest,
    /// Dataset of the holder.
    pub dataset: String,
    /// What the asker is to learn.
    pub mode: Mode,
    /// The protocol.
    pub protocol: Protocol,
    /// Name of the profile.
    pub profile: String,
    /// Hash of the profile.
    pub profile_hash: Digest,
    /// Kinds compared: ascending, each once.
    pub kinds: Vec<Kind>,
    /// Purpose.
    pub purpose: String,
    /// Case reference.
    pub case_reference: String,
    /// Reason in words.
    pub reason: String,
    /// The person that asks.
    pub person: String,
    /// In which role.
    pub role: String,
    /// Size of the asker's set.
    pub set_size: u64,
    /// Commitment to the asker's set.
    pub input_commitment: Digest,
    /// Roles of the subjects whose records are asked about: ascending, each once.
    pub roles: Vec<Role>,
    /// The order that it is asked under.
    pub order: Option<Box<Signed<Order>>>,
    /// Country that the asker asks for, where that is not its own.
    pub on_behalf_of: Option<String>,
}

/// Mode of a match, by its name on the wire and in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Which of the asker's items match.
    Hits,
    /// How many match.
    Count,
}

/// A message of the asker.
#[derive(Debug)]
pub enum Request {
    /// The first.
    Open(Box<Open>),
    /// Blinded elements.
    Blinded(Vec<Encoded>),
    /// The holder's points of a mirrored pass, evaluated.
    Mirrored(Vec<Encoded>),
    /// What was found, where the result is for both.
    Found(Found),
}

/// A message of the holder.
#[derive(Debug)]
pub enum Response {
    /// The first: the size of the holder's set.
    Accepted(u64),
    /// Points of a mirrored pass.
    Mirror(Vec<Encoded>),
    /// Elements or tokens.
    Reply(dh::Reply),
    /// How many items of its own set the holder has done, while it has nothing to send.
    Working(u64),
    /// Hits of which the asker is shown the kind alone.
    Partly(Vec<PartlyVisible>),
    /// The last.
    Complete,
}

impl Mode {
    /// The name on the wire, in the log and in agreements.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hits => "hits",
            Self::Count => "count",
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Mode {
    type Err = WireError;

    fn from_str(text: &str) -> Result<Self, WireError> {
        match text {
            "hits" => Ok(Self::Hits),
            "count" => Ok(Self::Count),
            _ => Err(WireError::new("mode", "must be hits or count")),
        }
    }
}

impl Open {
    /// Whether it is part of a picture.
    pub fn is_picture(&self) -> bool {
        self.protocol == Protocol::JointOprf
    }

    /// The word for what is learnt, in the log and for policies.
    pub fn word(&self) -> &'static str {
        match (self.protocol, self.mode) {
            (Protocol::DhPsi, mode) => mode.name(),
            (Protocol::JointOprf, Mode::Count) => "statistics",
            (Protocol::JointOprf, Mode::Hits) => "operational",
            (Protocol::Voprf, _) => "action",
        }
    }

    /// The protocol's mode: where the asker is to learn which persons match, labels tell which keys are of one record.
    pub fn protocol_mode(&self) -> dh::Mode {
        match self.mode {
            Mode::Count => dh::Mode::Count,
            Mode::Hits if self.kinds.contains(&Kind::Person) => dh::Mode::Labels,
            Mode::Hits => dh::Mode::Hits,
        }
    }
}

impl TryFrom<pb::MatchRequest> for Request {
    type Error = WireError;

    fn try_from(message: pb::MatchRequest) -> Result<Self, WireError> {
        Ok(match check::present("request.message", message.message)? {
            match_request::Message::Open(open) => Self::Open(Box::new(open.try_into()?)),
            match_request::Message::Blinded(blinded) => Self::Blinded(elements("blinded.elements", &blinded.elements)?),
            match_request::Message::Found(found) => Self::Found(found.try_into()?),
            match_request::Message::Mirrored(mirrored) => {
                Self::Mirrored(elements("mirrored.elements", &mirrored.elements)?)
            }
        })
    }
}

impl TryFrom<pb::MatchResponse> for Response {
    type Error = WireError;

    fn try_from(message: pb::MatchResponse) -> Result<Self, WireError> {
        Ok(match check::present("response.message", message.message)? {
            match_response::Message::Accepted(accepted) => {
                Self::Accepted(set_size("accepted.set_size", accepted.set_size)?)
            }
            match_response::Message::Evaluated(evaluated) => Self::Reply(dh::Reply::Evaluated(elements(
                "evaluated.elements",
                &evaluated.elements,
            )?)),
            match_response::Message::Tokens(tokens) => Self::Reply(self::tokens(&tokens)?),
            match_response::Message::Mirror(mirror) => Self::Mirror(elements("mirror.elements", &mirror.elements)?),
            match_response::Message::Working(working) => Self::Working(set_size("working.done", working.done)?),
            match_response::Message::Partly(hits) => Self::Partly(follow_up::partly(&hits)?),
            match_response::Message::Complete(_) => Self::Complete,
        })
    }
}

impl Open {
    /// Checks what a query is opened with that has to run a protocol; who only leads a picture has no set.
    pub(crate) fn of(open: pb::MatchOpen, protocol: Protocol) -> Result<Self, WireError> {
        const PROTOCOL: &str = "must name the protocol of such a query";
        Ok(Self {
            transaction: check::uuid("open.transaction", &open.transaction)?,
            agreement: check::name("open.agreement", open.agreement)?,
            agreement_hash: check::digest("open.agreement_hash", &open.agreement_hash)?,
            dataset: check::name("open.dataset", open.dataset)?,
            mode: check::listed("open.mode", &open.mode, "must be hits or count")?,
            protocol: match open.protocol == protocol.name() {
                true => protocol,
                false => return Err(WireError::new("open.protocol", PROTOCOL)),
            },
            profile: check::name("open.profile", open.profile)?,
            profile_hash: check::digest("open.profile_hash", &open.profile_hash)?,
            kinds: kinds("open.kinds", &open.kinds)?,
            purpose: check::name("open.purpose", open.purpose)?,
            case_reference: check::case_reference("open.case_reference", open.case_reference)?,
            reason: check::reason("open.reason", open.reason)?,
            person: check::name("open.person", open.person)?,
            role: check::name("open.role", open.role)?,
            set_size: match set_size("open.set_size", open.set_size)? {
                0 if protocol == Protocol::DhPsi => return Err(WireError::new("open.set_size", "must be at least 1")),
                size => size,
            },
            input_commitment: check::digest("open.input_commitment", &open.input_commitment)?,
            roles: roles("open.roles", &open.roles)?,
            order: agreement::order("open.order", &open.order)?,
            on_behalf_of: check::optional(open.on_behalf_of, |text| check::country("open.on_behalf_of", text))?,
        })
    }
}

impl TryFrom<pb::MatchOpen> for Open {
    type Error = WireError;

    fn try_from(open: pb::MatchOpen) -> Result<Self, WireError> {
        Self::of(open, Protocol::DhPsi)
    }
}

impl From<Open> for pb::MatchOpen {
    fn from(open: Open) -> Self {
        Self {
            transaction: Bytes::copy_from_slice(open.transaction.as_bytes()),
            agreement: open.agreement,
            agreement_hash: Bytes::copy_from_slice(&open.agreement_hash.0),
            dataset: open.dataset,
            mode: open.mode.name().to_owned(),
            protocol: open.protocol.name().to_owned(),
            profile: open.profile,
            profile_hash: Bytes::copy_from_slice(&open.profile_hash.0),
            kinds: open.kinds.iter().map(|kind| kind.as_str().to_owned()).collect(),
            purpose: open.purpose,
            case_reference: open.case_reference,
            reason: open.reason,
            person: open.person,
            role: open.role,
            set_size: open.set_size,
            input_commitment: Bytes::copy_from_slice(&open.input_commitment.0),
            roles: open.roles.iter().map(|role| role.as_str().to_owned()).collect(),
            order: open.order.map(|order| order.to_json()).unwrap_or_default().into(),
            on_behalf_of: open.on_behalf_of.unwrap_or_default(),
        }
    }
}

impl From<Open> for pb::MatchRequest {
    fn from(open: Open) -> Self {
        Self {
            message: Some(match_request::Message::Open(open.into())),
        }
    }
}

/// The message that carries evaluated points of a mirrored pass.
pub fn mirrored(elements: &[Encoded]) -> pb::MatchRequest {
    let elements = pb::Elements {
        elements: Bytes::copy_from_slice(elements.as_flattened()),
    };
    pb::MatchRequest {
        message: Some(match_request::Message::Mirrored(elements)),
    }
}

/// The message that carries blinded elements.
pub fn blinded(elements: &[Encoded]) -> pb::MatchRequest {
    let elements = pb::Elements {
        elements: Bytes::copy_from_slice(elements.as_flattened()),
    };
    pb::MatchRequest {
        message: Some(match_request::Message::Blinded(elements)),
    }
}

impl From<Response> for pb::MatchResponse {
    fn from(response: Response) -> Self {
        let message = match response {
            Response::Accepted(set_size) => match_response::Message::Accepted(pb::MatchAccepted { set_size }),
            Response::Mirror(elements) => match_response::Message::Mirror(pb::Elements {
                elements: Bytes::copy_from_slice(elements.as_flattened()),
            }),
            Response::Reply(dh::Reply::Evaluated(elements)) => match_response::Message::Evaluated(pb::Elements {
                elements: Bytes::copy_from_slice(elements.as_flattened()),
            }),
            Response::Reply(dh::Reply::Tokens(tokens)) => match_response::Message::Tokens(pb::Tokens {
                tokens: Bytes::copy_from_slice(tokens.as_flattened()),
                labels: Bytes::new(),
            }),
            Response::Reply(dh::Reply::Labelled(labelled)) => {
                let part = |range: fn(&dh::LabelledToken) -> &[u8]| labelled.iter().flat_map(range).copied().collect();
                match_response::Message::Tokens(pb::Tokens {
                    tokens: part(|one| &one[..TOKEN]),
                    labels: part(|one| &one[TOKEN..]),
                })
            }
            Response::Working(done) => match_response::Message::Working(pb::MatchWorking { done }),
            Response::Partly(hits) => match_response::Message::Partly(follow_up::partly_message(&hits)),
            Response::Complete => match_response::Message::Complete(pb::MatchComplete {}),
        };
        Self { message: Some(message) }
    }
}

/// Kinds by name: at least one, each once; returned in ascending order.
pub(crate) fn kinds(field: &'static str, names: &[String]) -> Result<Vec<Kind>, WireError> {
    const MUST: &str = "must name at least one known kind, each once";
    if names.is_empty() || names.len() > Kind::ALL.len() {
        return Err(WireError::new(field, MUST));
    }
    let mut kinds = names
        .iter()
        .map(|name| check::listed(field, name, MUST))
        .collect::<Result<Vec<Kind>, WireError>>()?;
    kinds.sort_unstable();
    if kinds.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(WireError::new(field, MUST));
    }
    Ok(kinds)
}

/// Roles by name: at least one, each once; returned in ascending order.
pub(crate) fn roles(field: &'static str, names: &[String]) -> Result<Vec<Role>, WireError> {
    const MUST: &str = "must name at least one known role, each once";
    if names.is_empty() || names.len() > Role::ALL.len() {
        return Err(WireError::new(field, MUST));
    }
    let roles = names.iter().map(|name| check::listed(field, name, MUST));
    let mut roles = roles.collect::<Result<Vec<Role>, WireError>>()?;
    roles.sort_unstable();
    if roles.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(WireError::new(field, MUST));
    }
    Ok(roles)
}

const TOKEN: usize = size_of::<dh::Token>();

fn tokens(message: &pb::Tokens) -> Result<dh::Reply, WireError> {
    const MUST: &str = "must be whole tokens of 16 bytes, at least one";
    let tokens: Vec<dh::Token> = check::elements("tokens.tokens", &message.tokens, MUST)?;
    if message.labels.is_empty() {
        return Ok(dh::Reply::Tokens(tokens));
    }
    const EACH: &str = "must be none, or one of 32 bytes for each token";
    let labels: Vec<dh::Label> = check::elements("tokens.labels", &message.labels, EACH)?;
    if labels.len() != tokens.len() {
        return Err(WireError::new("tokens.labels", EACH));
    }
    let labelled = tokens.iter().zip(&labels).map(|(token, label)| {
        let mut labelled = [0; size_of::<dh::LabelledToken>()];
        labelled[..TOKEN].copy_from_slice(token);
        labelled[TOKEN..].copy_from_slice(label);
        labelled
    });
    Ok(dh::Reply::Labelled(labelled.collect()))
}

pub(crate) fn set_size(field: &'static str, size: u64) -> Result<u64, WireError> {
    match size {
        0..=dh::Terms::MAX_SET => Ok(size),
        _ => Err(WireError::new(field, "must be less than 2^32")),
    }
}

pub(crate) fn elements(field: &'static str, bytes: &[u8]) -> Result<Vec<Encoded>, WireError> {
    const MUST: &str = "must be 1 to 4096 whole elements of 32 bytes";
    let elements = check::elements(field, bytes, MUST)?;
    if elements.len() > CHUNK {
        return Err(WireError::new(field, MUST));
    }
    Ok(elements)
}

#[cfg(test)]
mod tests;
