//! Actions, checked: between nodes, and of an agency's own users.

mod attend;
mod wish;

pub use attend::{
    Asking, Attend, Attended, Check, Claim, Delta, FINGERPRINTS, MOST_OUTPUTS, Opening, Refused, Snapshot, Told, check,
    claim, mirrored,
};
pub use wish::{CheckOpen, CheckWish, Create, Handle, MOST_WISHED, StepAction, Verb};

use jiff::Timestamp;
use overlap_agreement::{Document, Plan, Signed, Step};
use overlap_records::Kind;
use uuid::Uuid;

use crate::{WireError, check as field, operator, pb::peer as pb};

/// Most steps of one action, of all participants together.
pub const MOST_STEPS: usize = 4096;
/// Most alerts that one message has words about; most steps of one alert.
pub const MOST_WORDS: usize = 256;

/// What one side has of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Convey {
    /// The plan.
    pub plan: Signed<Plan>,
    /// Steps, as they are signed.
    pub steps: Vec<Signed<Step>>,
    /// What the sender's people have done about alerts, or that it has them.
    pub words: Vec<AlertWord>,
}

/// What is said of an alert that both sides have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertWord {
    /// Its id.
    pub alert: Uuid,
    /// The check that it came from.
    pub check: Uuid,
    /// Kind of the identifier.
    pub kind: Kind,
    /// Whether the sender is the one that was asked.
    pub as_holder: bool,
    /// What the sender's people have done about it.
    pub steps: Vec<Done>,
}

/// What somebody has done about an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Tells it from others.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// What.
    pub verb: Verb,
    /// The user.
    pub person: String,
    /// Of a hand-over: SPIFFE URI of the agency that it goes to.
    pub to: Option<String>,
}

fn signed<D: Document>(field: &'static str, bytes: &[u8]) -> Result<Signed<D>, WireError> {
    Signed::parse(bytes).map_err(|_| WireError::new(field, "must be in canonical form, with signatures that hold"))
}

fn convey(plan: &[u8], steps: &[bytes::Bytes], words: Vec<pb::AlertWord>) -> Result<Convey, WireError> {
    if steps.len() > MOST_STEPS {
        return Err(WireError::new("steps", "must be 4096 at most"));
    }
    if words.len() > MOST_WORDS {
        return Err(WireError::new("alerts", "must be 256 at most"));
    }
    let steps = steps.iter().map(|one| signed("steps", one));
    Ok(Convey {
        plan: signed("plan", plan)?,
        steps: steps.collect::<Result<_, _>>()?,
        words: words.into_iter().map(AlertWord::try_from).collect::<Result<_, _>>()?,
    })
}

impl TryFrom<pb::ConveyRequest> for Convey {
    type Error = WireError;

    fn try_from(message: pb::ConveyRequest) -> Result<Self, WireError> {
        convey(&message.plan, &message.steps, message.alerts)
    }
}

impl TryFrom<pb::ConveyResponse> for Convey {
    type Error = WireError;

    fn try_from(message: pb::ConveyResponse) -> Result<Self, WireError> {
        convey(&message.plan, &message.steps, Vec::new())
    }
}

impl From<&Convey> for pb::ConveyRequest {
    fn from(convey: &Convey) -> Self {
        Self {
            plan: convey.plan.to_json().into(),
            steps: convey.steps.iter().map(|step| step.to_json().into()).collect(),
            alerts: convey.words.iter().map(pb::AlertWord::from).collect(),
        }
    }
}

impl From<&Convey> for pb::ConveyResponse {
    fn from(convey: &Convey) -> Self {
        Self {
            plan: convey.plan.to_json().into(),
            steps: convey.steps.iter().map(|step| step.to_json().into()).collect(),
        }
    }
}

impl TryFrom<pb::AlertWord> for AlertWord {
    type Error = WireError;

    fn try_from(word: pb::AlertWord) -> Result<Self, WireError> {
        if word.steps.len() > MOST_WORDS {
            return Err(WireError::new("alerts.steps", "must be 256 at most"));
        }
        Ok(Self {
            alert: field::uuid("alerts.alert", &word.alert)?,
            check: field::uuid("alerts.check", &word.check)?,
            kind: field::listed("alerts.kind", &word.kind, "must be a kind of identifiers")?,
            as_holder: word.as_holder,
            steps: word.steps.into_iter().map(Done::try_from).collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<pb::AlertStep> for Done {
    type Error = WireError;

    fn try_from(step: pb::AlertStep) -> Result<Self, WireError> {
        let verb = Verb::named("alerts.steps.verb", &step.verb)?;
        let to = field::optional(step.to, |to| field::name("alerts.steps.to", to))?;
        if to.is_some() != (verb == Verb::HandOver) {
            return Err(WireError::new(
                "alerts.steps.to",
                "must be given of a hand-over, and of nothing else",
            ));
        }
        Ok(Self {
            id: field::uuid("alerts.steps.id", &step.id)?,
            at: field::listed("alerts.steps.at", &step.at, "must be a time in RFC 3339")?,
            verb,
            person: field::name("alerts.steps.person", step.person)?,
            to,
        })
    }
}

impl From<&AlertWord> for pb::AlertWord {
    fn from(word: &AlertWord) -> Self {
        let steps = word.steps.iter().map(|step| pb::AlertStep {
            id: operator::id(step.id),
            at: step.at.to_string(),
            verb: step.verb.name().to_owned(),
            person: step.person.clone(),
            to: step.to.clone().unwrap_or_default(),
        });
        Self {
            alert: operator::id(word.alert),
            check: operator::id(word.check),
            kind: word.kind.to_string(),
            as_holder: word.as_holder,
            steps: steps.collect(),
        }
    }
}

#[cfg(test)]
mod tests;
