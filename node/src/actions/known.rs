//! The actions that this node knows: plans, and the steps that were made of them.
//!
//! As of agreements, what is known only grows, in whatever order it comes; how an action stands follows from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use jiff::{SignedDuration, Timestamp};
use overlap_agreement::{ActionState, ActionVerb, Plan, Signed, Step, is_signed};
use overlap_audit::Digest;
use overlap_proto::{action::Convey, fault::Reason};
use overlap_store::{DocumentKind, Store, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::live::Live;
use crate::{agreements::Held, error::NodeError, identity::sha256};

/// The actions of a node.
pub(crate) struct Actions {
    store: Arc<Store>,
    known: RwLock<BTreeMap<Digest, Arc<Known>>>,
    /// Held from reading what is kept to writing what is new.
    writing: Mutex<()>,
    /// Counts what peers are to be told of alerts.
    pub(super) due: watch::Sender<u64>,
    /// Those that run here now.
    pub(super) live: Mutex<BTreeMap<Digest, Arc<Live>>>,
}

/// One action, with what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    plan: Signed<Plan>,
    steps: Vec<Signed<Step>>,
    /// At the coordinator: whether others may be told.
    pub(super) is_invited: bool,
    /// Who of this agency joined, and how.
    pub(super) joined_here: Option<Joined>,
    /// When this node first had it.
    pub(super) received: Timestamp,
}

/// How this agency takes part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Joined {
    /// The user who said so, for whom the node stands there.
    pub(crate) person: String,
    /// In which role.
    pub(crate) role: String,
    /// Id of the order that checks are asked under.
    pub(crate) order: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    plan: String,
    steps: Vec<String>,
    is_invited: bool,
    joined_here: Option<Joined>,
    received: Timestamp,
}

/// Most steps of one agency: of 64 of them, what a message may have.
const MOST_STEPS_OF_ONE: usize = 60;
/// Most actions of one coordinator that are kept here and have not ended: none can fill the disk.
const MOST_OF_ONE: usize = 64;

impl Known {
    /// One that was planned here.
    pub(super) fn planned(plan: Signed<Plan>, now: Timestamp) -> Self {
        Self {
            plan,
            steps: Vec::new(),
            is_invited: false,
            joined_here: None,
            received: now,
        }
    }

    pub(crate) fn plan(&self) -> &Plan {
        self.plan.document()
    }

    pub(crate) fn hash(&self) -> Digest {
        self.plan.hash()
    }

    fn made(&self) -> Vec<Step> {
        self.steps.iter().map(|step| step.document().clone()).collect()
    }

    /// How it stands.
    pub(crate) fn state(&self, now: Timestamp) -> ActionState {
        self.plan().state(&self.made(), now)
    }

    /// SPIFFE URIs of those that take part.
    pub(crate) fn joined(&self) -> BTreeSet<String> {
        self.plan().joined(&self.made())
    }

    /// Whether an agency may make one more step; its first end, and to leave what it joined, always finds room.
    pub(super) fn has_room(&self, by: &str, verb: ActionVerb) -> bool {
        let own = || self.steps.iter().map(Signed::document).filter(|step| step.by == by);
        let has_ended = || own().any(|step| step.verb == ActionVerb::End);
        match verb {
            ActionVerb::End if !has_ended() => true,
            ActionVerb::Leave if self.joined().contains(by) => true,
            _ => own().count() < MOST_STEPS_OF_ONE,
        }
    }

    /// When an agency's next step is made: after all that it made before, also where its clock was ahead then.
    pub(super) fn next_step(&self, by: &str, now: Timestamp) -> Timestamp {
        let own = self.steps.iter().map(Signed::document).filter(|step| step.by == by);
        let last = own.map(|step| step.at).max();
        let after = last.and_then(|last| last.checked_add(SignedDuration::from_millis(1)).ok());
        after.map_or(now, |after| after.max(now))
    }

    /// Whether an agency is told of it: it coordinates, or is invited.
    pub(super) fn concerns(&self, id: &str) -> bool {
        self.plan().coordinator == id || self.plan().participants.contains(id)
    }

    /// What two nodes compare to see whether they have heard the same.
    pub(super) fn digest(&self) -> Digest {
        digest_of(&self.steps)
    }

    /// Refuses a check unless it is time for one.
    pub(crate) fn check_running(&self, now: Timestamp) -> Result<(), NodeError> {
        let (plan, state) = (self.plan(), self.state(now));
        let message = match state {
            ActionState::Running => return Ok(()),
            ActionState::Ended => format!(
                "action {} is ended: it ran from {} until {}",
                plan.id, plan.from, plan.until
            ),
            _ => format!(
                "action {} is {}: it runs from {} until {}, once its coordinator starts it (`overlap action start`)",
                plan.id,
                state.name(),
                plan.from,
                plan.until
            ),
        };
        Err(NodeError::refused(Reason::AgreementDenied, message))
    }

    pub(super) fn convey(&self) -> Convey {
        Convey {
            plan: self.plan.clone(),
            steps: self.steps.clone(),
            words: Vec::new(),
        }
    }
}

/// What steps come to, in whatever order they were heard.
pub(super) fn digest_of(steps: &[Signed<Step>]) -> Digest {
    let mut heard: Vec<String> = steps.iter().map(|step| step.hash().to_string()).collect();
    heard.sort();
    sha256(heard.join(" ").as_bytes())
}

impl Actions {
    pub(crate) fn load(store: &Arc<Store>) -> Result<Self, StoreError> {
        const DAMAGED: StoreError = StoreError::Damaged("an action cannot be read");
        let mut known = BTreeMap::new();
        for row in store.documents().all(DocumentKind::Action)? {
            let row: Row = serde_json::from_slice(&row).map_err(|_| DAMAGED)?;
            let steps = row.steps.iter().map(|one| Signed::parse(one.as_bytes()));
            let one = Known {
                plan: Signed::parse(row.plan.as_bytes()).map_err(|_| DAMAGED)?,
                steps: steps.collect::<Result<_, _>>().map_err(|_| DAMAGED)?,
                is_invited: row.is_invited,
                joined_here: row.joined_here,
                received: row.received,
            };
            known.insert(one.hash(), Arc::new(one));
        }
        Ok(Self {
            store: Arc::clone(store),
            known: RwLock::new(known),
            writing: Mutex::default(),
            due: watch::Sender::new(0),
            live: Mutex::default(),
        })
    }

    pub(crate) fn get(&self, hash: &Digest) -> Option<Arc<Known>> {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(hash)
            .cloned()
    }

    /// Every one, the newest first.
    pub(crate) fn all(&self) -> Vec<Arc<Known>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = known.values().cloned().collect();
        all.sort_by(|one, other| other.received.cmp(&one.received).then(one.hash().cmp(&other.hash())));
        all
    }

    /// The one that a user means: by its id where only one has that and has not ended, one that this agency coordinates or takes part in
    /// before those that it only heard of; or by its hash, or the first digits of that.
    pub(super) fn find(&self, wanted: &str, now: Timestamp) -> Result<Arc<Known>, NodeError> {
        let not_found = |message: String| NodeError::refused(Reason::NotFound, message);
        let all = self.all();
        // a whole hash is of one plan alone; anybody may have given another plan an id that looks like a part of it
        if let Some(known) = all.iter().find(|known| known.hash().to_string() == wanted) {
            return Ok(Arc::clone(known));
        }
        let named: Vec<&Arc<Known>> = all.iter().filter(|known| known.plan().id == wanted).collect();
        let is_living = |known: &&Arc<Known>| known.state(now) != ActionState::Ended;
        let living: Vec<&Arc<Known>> = named.iter().copied().filter(is_living).collect();
        let is_own = |known: &&Arc<Known>| known.joined_here.is_some() || known.is_invited;
        let own: Vec<&Arc<Known>> = living.iter().copied().filter(is_own).collect();
        let mut by_hash = all
            .iter()
            .filter(|known| wanted.len() >= 8 && known.hash().to_string().starts_with(wanted));
        match (living.as_slice(), named.as_slice()) {
            ([one], _) => Ok(Arc::clone(one)),
            _ if let [one] = own.as_slice() => Ok(Arc::clone(one)),
            // of those that have ended the last is meant
            ([], [one, ..]) => Ok(Arc::clone(one)),
            ([], []) if let (Some(one), None) = (by_hash.next(), by_hash.next()) => Ok(Arc::clone(one)),
            ([], []) => Err(not_found(format!(
                "no action has the id or hash {wanted}; see `overlap action status`"
            ))),
            _ => Err(not_found(format!(
                "several actions have the id {wanted}: name one by its hash; see `overlap action status`"
            ))),
        }
    }

    /// The running side of one, that has not ended.
    pub(super) fn live(&self, hash: &Digest) -> Option<Arc<Live>> {
        self.begun(hash).filter(|live| !live.ended.is_cancelled())
    }

    /// The running side of one, also while what it leaves is erased.
    pub(super) fn begun(&self, hash: &Digest) -> Option<Arc<Live>> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.get(hash).cloned()
    }

    /// Takes in what is known elsewhere, or was done here. Written and synced before it counts. Gives what is new, in words.
    pub(super) fn merge(
        &self,
        convey: &Convey,
        held: &Held,
        local: impl FnOnce(&mut Known),
        now: Timestamp,
    ) -> Result<(Arc<Known>, Vec<String>), NodeError> {
        let denied = |message: String| NodeError::refused(Reason::AgreementDenied, message);
        let (plan, agreement) = (convey.plan.document(), held.agreement());
        let coordinator = agreement.party(&plan.coordinator);
        if !coordinator.is_some_and(|party| convey.plan.is_signed_by(&party.signing_key)) {
            return Err(denied(format!(
                "the plan of action {} is not signed by its coordinator, as agreement {} knows it",
                plan.id, agreement.id
            )));
        }
        for step in &convey.steps {
            let says = step.document();
            if says.plan != convey.plan.hash() || !plan.may(&says.by, says.verb) || !is_signed(step, agreement) {
                return Err(denied(format!(
                    "a step of action {} is not of who may make it, or not signed by that agency",
                    plan.id
                )));
            }
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.get(&convey.plan.hash());
        let mut news = Vec::new();
        let mut known = match &before {
            Some(known) => Known::clone(known),
            None => {
                self.check_room(&plan.coordinator, now)?;
                news.push(format!("action {} is new to this node", plan.id));
                Known::planned(convey.plan.clone(), now)
            }
        };
        let state = known.state(now);
        for step in &convey.steps {
            let is_known = known.steps.iter().any(|one| one.hash() == step.hash());
            let says = step.document();
            // none can fill it up for the others
            if is_known || !known.has_room(&says.by, says.verb) {
                continue;
            }
            let name = agreement
                .party(&says.by)
                .map_or(says.by.as_str(), |party| party.name.as_str());
            news.push(format!("{name}: {}", says.verb.name()));
            known.steps.push(step.clone());
        }
        local(&mut known);
        let now_state = known.state(now);
        if before.is_none() && now_state == ActionState::Ended {
            return Err(denied(format!(
                "action {} has ended: there is nothing to take part in",
                plan.id
            )));
        }
        if now_state != state {
            news.push(format!("action {} is {}", plan.id, now_state.name()));
        }
        self.write(&known)?;
        let known = Arc::new(known);
        self.known
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(known.hash(), Arc::clone(&known));
        Ok((known, news))
    }

    fn check_room(&self, coordinator: &str, now: Timestamp) -> Result<(), NodeError> {
        let all = self.all();
        let living = all
            .iter()
            .filter(|known| known.plan().coordinator == coordinator && known.state(now) != ActionState::Ended);
        match living.count() < MOST_OF_ONE {
            true => Ok(()),
            false => Err(NodeError::limit(
                "actions_of_one",
                format!("{MOST_OF_ONE} actions of this coordinator are known here and have not ended"),
            )),
        }
    }

    fn write(&self, known: &Known) -> Result<(), NodeError> {
        let text = |json: Vec<u8>| String::from_utf8(json).map_err(|_| NodeError::Broken("a JWS that is no text"));
        let row = Row {
            plan: text(known.plan.to_json())?,
            steps: known
                .steps
                .iter()
                .map(|step| text(step.to_json()))
                .collect::<Result<_, _>>()?,
            is_invited: known.is_invited,
            joined_here: known.joined_here.clone(),
            received: known.received,
        };
        let row = serde_json::to_vec(&row).map_err(|_| NodeError::Broken("an action cannot be written"))?;
        Ok(self.store.documents().put(DocumentKind::Action, &known.hash(), &row)?)
    }

    /// Forgets actions, and their counters, whose window was over before a moment.
    pub(crate) fn forget(&self, before: Timestamp) -> Result<u64, StoreError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gone = BTreeSet::new();
        for known in self.all() {
            if known.plan().until < before {
                gone.insert(known.hash());
            }
        }
        if gone.is_empty() {
            return Ok(0);
        }
        let documents = self.store.documents();
        let is_gone = |row: &[u8]| {
            let row: Option<Row> = serde_json::from_slice(row).ok();
            let plan = row.and_then(|row| Signed::<Plan>::parse(row.plan.as_bytes()).ok());
            plan.is_some_and(|plan| gone.contains(&plan.hash()))
        };
        documents.erase(DocumentKind::Figures, |row| {
            super::figures::action_of(row).is_some_and(|hash| gone.contains(&hash))
        })?;
        let erased = documents.erase(DocumentKind::Action, is_gone)?;
        self.known
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|hash, _| !gone.contains(hash));
        Ok(erased)
    }
}
