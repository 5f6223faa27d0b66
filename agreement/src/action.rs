//! Actions: live matching sessions, as their coordinator plans them, and the steps that all who take part make of the plan.
//!
//! What is known of an action only grows: a plan, and the signed steps about it, in any order. How it stands follows from them alone, so
//! nodes that have heard the same steps agree, whatever came first.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use overlap_audit::Digest;
use overlap_records::{Kind, Role};
use serde::{Deserialize, Serialize};

use crate::{
    agreement::Agreement,
    check::{self, Flaw},
    signed::{Document, Signed},
};

/// Fewest and most that take part.
const PARTICIPANTS: std::ops::RangeInclusive<usize> = 2..=64;
/// Shortest and longest that the answers to a check are waited for, in milliseconds.
const DEADLINE: std::ops::RangeInclusive<u32> = 100..=60_000;
/// Longest window of an action, in hours: a standing watch list is renewed.
const LONGEST: i64 = 366 * 24;

/// A Joint Action Day, the standing watch list of unlocated convicts, the comparison of a Joint Investigation Team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What people call it.
    pub id: String,
    /// SPIFFE URI of the agency that coordinates: it starts, pauses and ends the action.
    pub coordinator: String,
    /// Hash of the agreement that it is under.
    pub agreement: Digest,
    /// Purpose, as the agreement names it.
    pub purpose: String,
    /// The case reference.
    pub case_reference: String,
    /// Why, in words.
    pub reason: String,
    /// SPIFFE URIs of the agencies that are invited; the coordinator among them, if it takes part itself.
    pub participants: BTreeSet<String>,
    /// Kinds of identifiers that may be checked.
    pub kinds: BTreeSet<Kind>,
    /// Roles of the subjects that are looked for.
    pub roles: BTreeSet<Role>,
    /// First moment at which anything may be checked.
    pub from: Timestamp,
    /// First moment at which nothing may be checked any more.
    pub until: Timestamp,
    /// How long a check waits for its answers, in milliseconds.
    #[serde(default = "two_seconds")]
    pub deadline_ms: u32,
    /// Most checks of one participant in a minute.
    pub checks_per_minute: u32,
    /// Seconds after which a hit that nobody has claimed is told to all coordinators.
    #[serde(default = "ten_minutes")]
    pub escalate_after_seconds: u32,
}

fn two_seconds() -> u32 {
    2000
}

fn ten_minutes() -> u32 {
    600
}

/// What somebody who takes part makes of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Hash of the plan.
    pub plan: Digest,
    /// SPIFFE URI of the agency whose step it is.
    pub by: String,
    /// What it does.
    pub verb: ActionVerb,
    /// When.
    pub at: Timestamp,
    /// Why, in words.
    pub reason: String,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionVerb {
    /// A participant takes part.
    Join,
    /// A participant takes part no more; it may join again.
    Leave,
    /// The coordinator starts the action, or lets it go on.
    Start,
    /// The coordinator lets nobody check anything for now.
    Pause,
    /// The coordinator ends the action, for good.
    End,
}

impl ActionVerb {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Start => "start",
            Self::Pause => "pause",
            Self::End => "end",
        }
    }

    /// Whether it is the coordinator's.
    fn is_of_coordinator(self) -> bool {
        matches!(self, Self::Start | Self::Pause | Self::End)
    }
}

/// How an action stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionState {
    /// Participants join.
    Planned,
    /// It was started, and its window has not begun.
    Waiting,
    /// Checks are answered.
    Running,
    /// The coordinator has paused it.
    Paused,
    /// Its window is over, or the coordinator has ended it.
    Ended,
}

impl ActionState {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Ended => "ended",
        }
    }
}

impl Plan {
    /// Whether somebody may make such a step: the coordinator its own, a participant its own.
    pub fn may(&self, by: &str, verb: ActionVerb) -> bool {
        match verb.is_of_coordinator() {
            true => self.coordinator == by,
            false => self.participants.contains(by),
        }
    }

    /// How it stands, by all steps that count ([`is_signed`]).
    pub fn state(&self, steps: &[Step], now: Timestamp) -> ActionState {
        let latest = self.latest(steps.iter().filter(|step| step.verb.is_of_coordinator()));
        // an end is for good, whatever was said at the same time or later
        let is_ended = steps
            .iter()
            .any(|step| step.verb == ActionVerb::End && self.may(&step.by, step.verb) && step.at <= now);
        match latest.get(self.coordinator.as_str()) {
            _ if is_ended || now >= self.until => ActionState::Ended,
            None => ActionState::Planned,
            Some(ActionVerb::Pause) => ActionState::Paused,
            Some(_) if now < self.from => ActionState::Waiting,
            Some(_) => ActionState::Running,
        }
    }

    /// Who takes part.
    pub fn joined(&self, steps: &[Step]) -> BTreeSet<String> {
        let latest = self.latest(steps.iter().filter(|step| !step.verb.is_of_coordinator()));
        let joined = latest.into_iter().filter(|(_, verb)| *verb == ActionVerb::Join);
        joined.map(|(by, _)| by.to_owned()).collect()
    }

    /// The last step of each; of two at one moment the one that lets less happen.
    fn latest<'a>(&self, steps: impl Iterator<Item = &'a Step>) -> BTreeMap<&'a str, ActionVerb> {
        let mut latest: BTreeMap<&str, (Timestamp, ActionVerb)> = BTreeMap::new();
        for step in steps.filter(|step| self.may(&step.by, step.verb)) {
            let this = (step.at, step.verb);
            let known = latest.entry(&step.by).or_insert(this);
            *known = (*known).max(this);
        }
        latest.into_iter().map(|(by, (_, verb))| (by, verb)).collect()
    }
}

/// Whether a step is signed by the agency whose it says that it is, with the key that the agreement pins for that.
pub fn is_signed(step: &Signed<Step>, agreement: &Agreement) -> bool {
    let party = agreement.party(&step.document().by);
    party.is_some_and(|party| step.is_signed_by(&party.signing_key))
}

impl Document for Plan {
    const TYP: &'static str = "overlap-action+json";
    const NAME: &'static str = "action";

    fn check(&self) -> Result<(), Flaw> {
        check::name("id", &self.id)?;
        check::spiffe("coordinator", &self.coordinator)?;
        check::name("purpose", &self.purpose)?;
        check::words("case_reference", &self.case_reference)?;
        check::words("reason", &self.reason)?;
        if !PARTICIPANTS.contains(&self.participants.len()) {
            return Err(Flaw::new("participants: there must be 2 to 64"));
        }
        self.participants
            .iter()
            .try_for_each(|id| check::spiffe("participants: each", id))?;
        check::some("kinds", &self.kinds)?;
        check::some("roles", &self.roles)?;
        if self.from >= self.until {
            return Err(Flaw::new("until must be after from"));
        }
        if self.until.duration_since(self.from) > SignedDuration::from_hours(LONGEST) {
            return Err(Flaw::new("until must be within 366 days of from"));
        }
        if !DEADLINE.contains(&self.deadline_ms) {
            return Err(Flaw::new("deadline_ms must be 100 to 60000"));
        }
        match self.checks_per_minute {
            0 => Err(Flaw::new("checks_per_minute must be at least 1")),
            _ => Ok(()),
        }
    }
}

impl Document for Step {
    const TYP: &'static str = "overlap-action-step+json";
    const NAME: &'static str = "step of an action";

    fn check(&self) -> Result<(), Flaw> {
        check::spiffe("by", &self.by)?;
        check::words("reason", &self.reason)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COORDINATOR: &str = "spiffe://overlap.example/agency/emm";
    const OTHERS: [&str; 2] = [
        "spiffe://overlap.example/agency/kmar",
        "spiffe://overlap.example/agency/politie",
    ];

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn plan() -> Plan {
        Plan {
            id: "jad".into(),
            coordinator: COORDINATOR.into(),
            agreement: Digest([0; 32]),
            purpose: "thb".into(),
            case_reference: "JAD-1".into(),
            reason: "a day".into(),
            participants: OTHERS.map(str::to_owned).into(),
            kinds: [Kind::Phone].into(),
            roles: [Role::Suspect].into(),
            from: at(10),
            until: at(100),
            deadline_ms: 2000,
            checks_per_minute: 60,
            escalate_after_seconds: 600,
        }
    }

    fn step(by: &str, verb: ActionVerb, second: i64) -> Step {
        Step {
            plan: Digest([1; 32]),
            by: by.into(),
            verb,
            at: at(second),
            reason: "so".into(),
        }
    }

    #[test]
    fn it_runs_from_its_start_to_its_end_within_its_window() {
        let plan = plan();
        let mut steps = Vec::new();
        assert_eq!(plan.state(&steps, at(20)), ActionState::Planned);
        steps.push(step(COORDINATOR, ActionVerb::Start, 5));
        assert_eq!(plan.state(&steps, at(6)), ActionState::Waiting);
        assert_eq!(plan.state(&steps, at(10)), ActionState::Running);
        steps.push(step(COORDINATOR, ActionVerb::Pause, 20));
        assert_eq!(plan.state(&steps, at(21)), ActionState::Paused);
        steps.push(step(COORDINATOR, ActionVerb::Start, 30));
        assert_eq!(plan.state(&steps, at(31)), ActionState::Running);
        assert_eq!(plan.state(&steps, at(100)), ActionState::Ended);
        steps.push(step(COORDINATOR, ActionVerb::End, 40));
        steps.push(step(COORDINATOR, ActionVerb::Start, 50));
        assert_eq!(plan.state(&steps, at(60)), ActionState::Ended, "an end is for good");
    }

    #[test]
    fn nobody_starts_but_the_coordinator_and_nobody_joins_for_another() {
        let plan = plan();
        let steps = [
            step(OTHERS[0], ActionVerb::Start, 1),
            step(COORDINATOR, ActionVerb::Join, 2),
            step(OTHERS[0], ActionVerb::End, 2),
            step(OTHERS[1], ActionVerb::Join, 3),
        ];
        assert_eq!(plan.state(&steps, at(20)), ActionState::Planned);
        assert_eq!(plan.joined(&steps), [OTHERS[1].to_owned()].into());
    }

    proptest! {
        /// Whatever comes first, all who have heard the same agree.
        #[test]
        fn the_order_in_which_steps_are_heard_is_no_matter(
            steps in prop::collection::vec((0usize..3, 0usize..5, 0i64..60), 0..12),
            seed in any::<u64>(),
            now in 0i64..120,
        ) {
            use ActionVerb::{End, Join, Leave, Pause, Start};
            let who = [COORDINATOR, OTHERS[0], OTHERS[1]];
            let steps: Vec<Step> = steps
                .into_iter()
                .map(|(by, verb, second)| step(who[by], [Join, Leave, Start, Pause, End][verb], second))
                .collect();
            let mut other = steps.clone();
            other.sort_by_key(|step| (step.at.as_second() as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            // heard twice is heard once
            other.extend(steps.first().cloned());
            let plan = plan();
            prop_assert_eq!(plan.state(&steps, at(now)), plan.state(&other, at(now)));
            prop_assert_eq!(plan.joined(&steps), plan.joined(&other));
            // and once ended, whatever is heard later
            if plan.state(&steps, at(now)) == ActionState::Ended {
                prop_assert_eq!(plan.state(&steps, at(now + 5)), ActionState::Ended);
            }
        }
    }
}
