//! Alerts of actions: hits that two agencies have been told of, and what their people make of them.

use std::{collections::HashSet, sync::Arc};

use jiff::Timestamp;
use overlap_audit::Digest;
use overlap_records::{Disclosed, Kind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Inner, OwnRecord, StoreError, dataset,
    follow_ups::FollowUps,
    kept::Kept,
    keys::{Cf, TAG},
};

/// One hit of an action, as one side keeps it. Gone when the action ends.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// Its id, the same on both sides.
    pub id: Uuid,
    /// Hash of the action's plan.
    pub action: Digest,
    /// Whether this agency is the one that was asked.
    pub as_holder: bool,
    /// Name of the other agency.
    pub peer: String,
    /// The check that brought it about.
    pub check: Uuid,
    /// When.
    pub made: Timestamp,
    /// Kind of the identifier.
    pub kind: Kind,
    /// The identifier in canonical form, where this side knows it.
    pub canonical: Option<String>,
    /// The user who checked.
    pub person: String,
    /// The case reference of the check.
    pub case_reference: String,
    /// Why it was checked, in words.
    pub reason: String,
    /// The country that it was checked for, where that is not the asker's own.
    pub on_behalf_of: Option<String>,
    /// At the holder: its records.
    pub records: Vec<OwnRecord>,
    /// At the asker: what was told at once.
    pub told: Vec<Disclosed>,
    /// Whether the other side does not know: the records are of class `d`.
    pub is_hidden: bool,
    /// What people of both sides have done about it.
    pub steps: Vec<AlertStep>,
    /// Whether the other side is still to be told of something.
    pub is_untold: bool,
}

/// What somebody did about an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertStep {
    /// Tells it from others.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// What.
    pub verb: AlertVerb,
    /// SPIFFE URI of the agency whose user did it.
    pub agency: String,
    /// The user.
    pub person: String,
    /// Of a hand-over: SPIFFE URI of the agency that it goes to.
    pub to: Option<String>,
}

/// What is done about an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertVerb {
    /// Somebody takes it on.
    Claim,
    /// It is the person or thing that was looked for.
    Confirm,
    /// It is not.
    False,
    /// The other agency goes on with it.
    HandOver,
}

impl AlertVerb {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Claim, Self::Confirm, Self::False, Self::HandOver];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Confirm => "confirm",
            Self::False => "false",
            Self::HandOver => "hand-over",
        }
    }
}

/// How an alert stands, by its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertState {
    /// `new`, `claimed`, `confirmed`, `false` or `handed-over`.
    pub name: &'static str,
    /// Who has it: agency and user.
    pub owner: Option<(String, String)>,
    /// Whether it was confirmed, or found false.
    pub verdict: Option<bool>,
}

impl Alert {
    /// How it stands, whatever the order in which steps were heard.
    pub fn state(&self) -> AlertState {
        let mut steps: Vec<&AlertStep> = self.steps.iter().collect();
        steps.sort_by_key(|step| (step.at, step.id));
        let mut state = AlertState {
            name: "new",
            owner: None,
            verdict: None,
        };
        for step in steps {
            match step.verb {
                AlertVerb::Claim => {
                    state.owner = Some((step.agency.clone(), step.person.clone()));
                    state.name = "claimed";
                }
                AlertVerb::Confirm => {
                    (state.name, state.verdict) = ("confirmed", Some(true));
                    state.owner.get_or_insert((step.agency.clone(), step.person.clone()));
                }
                AlertVerb::False => {
                    (state.name, state.verdict) = ("false", Some(false));
                    state.owner.get_or_insert((step.agency.clone(), step.person.clone()));
                }
                AlertVerb::HandOver => {
                    state.name = "handed-over";
                    state.owner = step.to.clone().map(|to| (to, String::new()));
                }
            }
        }
        state
    }

    /// Takes in steps; true: some were new.
    pub fn merge(&mut self, steps: &[AlertStep]) -> bool {
        let before = self.steps.len();
        for step in steps {
            if self.steps.iter().all(|known| known.id != step.id) {
                self.steps.push(step.clone());
            }
        }
        self.steps.len() > before
    }
}

/// The alerts of a store.
pub struct Alerts(Kept<Alert>);

impl Alerts {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self(Kept::new(inner, Cf::Alerts))
    }

    fn key(&self, as_holder: bool, id: Uuid) -> [u8; TAG] {
        let side: &[u8] = if as_holder { b"holder" } else { b"asker" };
        self.0.tag(b"alert", &[side, id.as_bytes()].concat())
    }

    /// Keeps one in the place of what was kept under its id. Synced.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Encode`].
    pub fn put(&self, one: &Alert) -> Result<(), StoreError> {
        self.0.put(std::iter::once((self.key(one.as_holder, one.id), one)))
    }

    /// The one with this id, on one side.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn get(&self, as_holder: bool, id: Uuid) -> Result<Option<Alert>, StoreError> {
        self.0.get(self.key(as_holder, id))
    }

    /// All, in an order that says nothing.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn iter(&self) -> Result<impl Iterator<Item = Result<Alert, StoreError>> + '_, StoreError> {
        Ok(self.0.rows()?.map(|row| row.map(|(_, one)| one)))
    }

    /// Erases those that `gone` picks, with what was told behind them, and takes all of it off the disk. Returns how many rows that were.
    /// `removed` is called when they can be read no more: taking them off the disk takes longer.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn erase(
        &self,
        follow_ups: &FollowUps,
        gone: impl Fn(&Alert) -> bool,
        removed: impl FnOnce(),
    ) -> Result<u64, StoreError> {
        let writing = self.0.inner().write_lock();
        let mut ids = HashSet::new();
        for alert in self.iter()? {
            let alert = alert?;
            if gone(&alert) {
                ids.insert((alert.as_holder, alert.id, alert.check));
            }
        }
        let erased = follow_ups.remove(&writing, |row| ids.contains(&(row.as_holder, row.id, row.about)))?
            + self.0.remove(&writing, gone)?;
        removed();
        dataset::scrub(self.0.inner(), &writing)?;
        Ok(erased)
    }
}

impl std::fmt::Debug for Alert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alert")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("steps", &self.steps.len())
            .finish_non_exhaustive()
    }
}
