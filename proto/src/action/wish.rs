//! What an agency's own users want of actions.

use std::collections::BTreeSet;

use jiff::Timestamp;
use overlap_agreement::ActionVerb;
use overlap_records::{Identifier, Kind, Role};

use crate::{
    WireError, check as field,
    pb::operator::{self as op, check_request},
    peer, picture,
};

/// Most identifiers of one check: of one person or thing.
pub const MOST_WISHED: usize = 32;

/// A user plans an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// What people call it.
    pub id: String,
    /// Agreement; none: the one that covers it.
    pub agreement: Option<String>,
    /// Purpose.
    pub purpose: String,
    /// Case reference.
    pub case_reference: String,
    /// Reason in words.
    pub reason: String,
    /// Names of agencies.
    pub participants: BTreeSet<String>,
    /// Kinds; none: all that every grant covers.
    pub kinds: Option<Vec<Kind>>,
    /// Roles; none: all that every grant covers.
    pub roles: Option<Vec<Role>>,
    /// First moment.
    pub from: Timestamp,
    /// First moment after it.
    pub until: Timestamp,
    /// Deadline of a check.
    pub deadline_ms: u32,
    /// Most checks of one participant in a minute.
    pub checks_per_minute: u32,
    /// When an alert that nobody has claimed is escalated.
    pub escalate_after_seconds: u32,
}

/// A user makes a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepAction {
    /// Id of the action, or first digits of its hash.
    pub action: String,
    /// What.
    pub verb: ActionVerb,
    /// Reason in words.
    pub reason: String,
    /// Of a join: id of the order.
    pub order: Option<String>,
}

/// A user begins to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckOpen {
    /// Id of the action, or first digits of its hash.
    pub action: String,
    /// Case reference of what is checked.
    pub case_reference: String,
    /// Reason in words.
    pub reason: String,
    /// Country that is asked for.
    pub on_behalf_of: Option<String>,
}

/// One person or thing to check.
#[derive(Clone, PartialEq, Eq)]
pub struct CheckWish {
    /// The user's own number for it.
    pub number: u64,
    /// By what it is looked up.
    pub identifiers: Vec<Identifier>,
    /// Case reference, where it is another.
    pub case_reference: Option<String>,
    /// Reason, where it is another.
    pub reason: Option<String>,
}

/// What is done about an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Somebody takes it on.
    Claim,
    /// It is the person or thing that was looked for.
    Confirm,
    /// It is not.
    False,
    /// The other agency goes on with it.
    HandOver,
}

/// A user does something about an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle {
    /// Id of the action, or first digits of its hash.
    pub action: String,
    /// First digits of the alert's id.
    pub alert: String,
    /// What.
    pub verb: Verb,
    /// Reason in words.
    pub reason: String,
}

impl Verb {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Confirm => "confirm",
            Self::False => "false",
            Self::HandOver => "hand-over",
        }
    }

    pub(super) fn named(field: &'static str, name: &str) -> Result<Self, WireError> {
        [Self::Claim, Self::Confirm, Self::False, Self::HandOver]
            .into_iter()
            .find(|verb| verb.name() == name)
            .ok_or(WireError::new(field, "must be claim, confirm, false or hand-over"))
    }
}

impl TryFrom<op::CreateActionRequest> for Create {
    type Error = WireError;

    fn try_from(request: op::CreateActionRequest) -> Result<Self, WireError> {
        const PARTICIPANTS: &str = "must be 2 to 64 names, each once";
        const TIME: &str = "must be a time in RFC 3339";
        let names = request.participants.len();
        let participants = request.participants.into_iter();
        let participants = participants.map(|name| field::name("participants", name));
        let participants = participants.collect::<Result<BTreeSet<_>, _>>()?;
        if !(2..=picture::MOST_PARTICIPANTS).contains(&names) || participants.len() != names {
            return Err(WireError::new("participants", PARTICIPANTS));
        }
        let or = |number: u32, usual: u32| if number == 0 { usual } else { number };
        Ok(Self {
            id: field::name("id", request.id)?,
            agreement: field::optional(request.agreement, |id| field::name("agreement", id))?,
            purpose: field::name("purpose", request.purpose)?,
            case_reference: field::case_reference("case_reference", request.case_reference)?,
            reason: field::reason("reason", request.reason)?,
            participants,
            kinds: match request.kinds.as_slice() {
                [] => None,
                names => Some(peer::kinds("kinds", names)?),
            },
            roles: match request.roles.as_slice() {
                [] => None,
                names => Some(peer::roles("roles", names)?),
            },
            from: field::listed("from", &request.from, TIME)?,
            until: field::listed("until", &request.until, TIME)?,
            deadline_ms: or(request.deadline_ms, 2000),
            checks_per_minute: or(request.checks_per_minute, 600),
            escalate_after_seconds: or(request.escalate_after_seconds, 600),
        })
    }
}

impl TryFrom<op::StepActionRequest> for StepAction {
    type Error = WireError;

    fn try_from(request: op::StepActionRequest) -> Result<Self, WireError> {
        Ok(Self {
            action: field::name("action", request.action)?,
            verb: match request.verb.as_str() {
                "join" => ActionVerb::Join,
                "leave" => ActionVerb::Leave,
                "start" => ActionVerb::Start,
                "pause" => ActionVerb::Pause,
                "end" => ActionVerb::End,
                _ => return Err(WireError::new("verb", "must be join, leave, start, pause or end")),
            },
            reason: field::reason("reason", request.reason)?,
            order: field::optional(request.order, |id| field::name("order", id))?,
        })
    }
}

impl TryFrom<op::CheckOpen> for CheckOpen {
    type Error = WireError;

    fn try_from(open: op::CheckOpen) -> Result<Self, WireError> {
        Ok(Self {
            action: field::name("action", open.action)?,
            case_reference: field::case_reference("case_reference", open.case_reference)?,
            reason: field::reason("reason", open.reason)?,
            on_behalf_of: field::optional(open.on_behalf_of, |text| field::country("on_behalf_of", text))?,
        })
    }
}

impl TryFrom<op::CheckWish> for CheckWish {
    type Error = WireError;

    fn try_from(wish: op::CheckWish) -> Result<Self, WireError> {
        if !(1..=MOST_WISHED).contains(&wish.identifiers.len()) {
            return Err(WireError::new("identifiers", "must be 1 to 32"));
        }
        let mut identifiers: Vec<Identifier> = Vec::new();
        for one in wish.identifiers {
            let kind: Kind = field::listed("identifiers.kind", &one.kind, "must be a kind of identifiers")?;
            let identifier = Identifier::from_canonical(kind, &one.canonical)
                .map_err(|_| WireError::new("identifiers.canonical", "must be in the canonical form of its kind"))?;
            if !identifiers.contains(&identifier) {
                identifiers.push(identifier);
            }
        }
        Ok(Self {
            number: wish.number,
            identifiers,
            case_reference: field::optional(wish.case_reference, |text| {
                field::case_reference("case_reference", text)
            })?,
            reason: field::optional(wish.reason, |text| field::reason("reason", text))?,
        })
    }
}

impl CheckOpen {
    /// What a stream of checks begins with.
    ///
    /// # Errors
    /// [`WireError`] unless it does.
    pub fn first(request: op::CheckRequest) -> Result<Self, WireError> {
        match field::present("request.message", request.message)? {
            check_request::Message::Open(open) => open.try_into(),
            check_request::Message::Check(_) => Err(WireError::new("request.open", "must come first")),
        }
    }
}

impl TryFrom<op::CheckRequest> for CheckWish {
    type Error = WireError;

    fn try_from(request: op::CheckRequest) -> Result<Self, WireError> {
        match field::present("request.message", request.message)? {
            check_request::Message::Check(check) => check.try_into(),
            check_request::Message::Open(_) => Err(WireError::new("request.open", "must come once, and first")),
        }
    }
}

impl TryFrom<op::HandleAlertRequest> for Handle {
    type Error = WireError;

    fn try_from(request: op::HandleAlertRequest) -> Result<Self, WireError> {
        Ok(Self {
            action: field::name("action", request.action)?,
            alert: field::digits("alert", &request.alert)?,
            verb: Verb::named("verb", &request.verb)?,
            reason: field::reason("reason", request.reason)?,
        })
    }
}
