//! Alerts: what both sides of a hit are told, and what their people make of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use overlap_audit::{Digest, Entry, Operation, Outcome, Side};
use overlap_proto::{
    action::{AlertWord, Done, MOST_WORDS, Verb},
    fault::Reason,
};
use overlap_records::Disclosed;
use overlap_store::{Alert, AlertStep, AlertVerb, FollowUp, Store};
use tokio::sync::broadcast;
use uuid::Uuid;

use super::live::Live;
use crate::{
    config::{Config, Peer},
    error::NodeError,
    node::{Node, now},
    policy,
    pool::blocking,
    spine,
};

/// The alerts of one action at one node. On disk before anybody is told.
pub(super) struct Alerts {
    rows: Mutex<BTreeMap<Key, Alert>>,
    /// Those that nobody claimed in time, told once.
    escalated: Mutex<BTreeSet<Key>>,
    /// Those that the other side is told of once more, though the disk has it that it was told.
    retold: Mutex<BTreeSet<Key>>,
    /// Held from reading a row to writing it; true: the action has ended, and nothing is written any more.
    writing: tokio::sync::Mutex<bool>,
    changed: broadcast::Sender<Key>,
}

/// Whether this side is the holder, and the id: an agency may check what it holds itself at a partner that checks it too.
pub(super) type Key = (bool, Uuid);

/// How long a holder waits for its asker's word about a hit.
const FIRST_WORD: SignedDuration = SignedDuration::from_secs(5);
/// Most steps of one side about one alert.
pub(super) const MOST_STEPS: usize = 128;
/// How far clocks may be apart.
const AHEAD: SignedDuration = SignedDuration::from_mins(10);
/// Changes that a slow reader of the feed may be behind; then it is told all anew.
const BEHIND: usize = 1024;

impl Alerts {
    pub(super) fn load(store: &Store, action: Digest) -> Result<Self, NodeError> {
        let mut rows = BTreeMap::new();
        for alert in store.alerts().iter()? {
            let alert = alert?;
            if alert.action == action {
                rows.insert((alert.as_holder, alert.id), alert);
            }
        }
        Ok(Self {
            rows: Mutex::new(rows),
            escalated: Mutex::default(),
            retold: Mutex::default(),
            writing: tokio::sync::Mutex::new(false),
            changed: broadcast::channel(BEHIND).0,
        })
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<Key, Alert>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn all(&self) -> Vec<Alert> {
        let mut all: Vec<Alert> = self.rows().values().cloned().collect();
        all.sort_by_key(|alert| (alert.made, alert.id));
        all
    }

    pub(super) fn get(&self, key: Key) -> Option<Alert> {
        self.rows().get(&key).cloned()
    }

    pub(super) fn changes(&self) -> broadcast::Receiver<Key> {
        self.changed.subscribe()
    }

    /// Writes nothing any more: what is there is about to be erased.
    pub(super) async fn close(&self) {
        *self.writing.lock().await = true;
    }

    /// Forgets what is erased.
    pub(super) fn clear(&self) {
        self.rows().clear();
    }

    /// The right to write.
    pub(super) async fn turn(&self) -> Result<tokio::sync::MutexGuard<'_, bool>, NodeError> {
        let turn = self.writing.lock().await;
        match *turn {
            false => Ok(turn),
            true => Err(NodeError::Draining),
        }
    }

    /// Keeps a new alert, with what is to be decided or known of the hit, and tells this side's people; one that is there already stays as it is.
    /// Gives whether it is new.
    pub(super) async fn raise(&self, node: &Arc<Node>, alert: Alert, row: Option<FollowUp>) -> Result<bool, NodeError> {
        let _turn = self.turn().await?;
        self.check_own_id(&alert)?;
        if let Some(row) = &row {
            keep_row(node, row.clone(), false).await?;
        }
        let key = (alert.as_holder, alert.id);
        let known = self.get(key);
        // claimed again of another asking it stays that of the first
        let about = match &known {
            Some(known) if known.canonical.is_some() => known.check,
            _ => alert.check,
        };
        // what was heard of it from the other side first lacks what this side knows
        let is_new = known
            .as_ref()
            .is_none_or(|known| known.canonical.is_none() && alert.canonical.is_some());
        if is_new {
            let steps = known.as_ref().map_or_else(Vec::new, |known| known.steps.clone());
            self.put(node, Alert { steps, ..alert }).await?;
        }
        // after the alert, by which the end of the action finds it
        if let Some(mut row) = row {
            row.about = about;
            keep_row(node, row, true).await?;
        }
        Ok(is_new)
    }

    /// Refuses what a partner claims under an id of another identifier, which would be told without an alert, and what it claims of one check
    /// twice, which would bury the others.
    fn check_own_id(&self, alert: &Alert) -> Result<(), NodeError> {
        if !alert.as_holder || alert.is_hidden {
            return Ok(());
        }
        let rows = self.rows();
        let is_same = |known: &Alert| {
            known.peer == alert.peer
                && known.kind == alert.kind
                && !known.is_hidden
                && (known.canonical.is_none() || known.canonical == alert.canonical)
        };
        let refused = |message: &str| Err(NodeError::refused(Reason::InvalidRequest, message));
        if rows.get(&(true, alert.id)).is_some_and(|known| !is_same(known)) {
            return refused("the id of the alert is of another");
        }
        let is_twice = |known: &Alert| {
            known.as_holder
                && known.check == alert.check
                && known.id != alert.id
                && is_same(known)
                && known.canonical.is_some()
        };
        match rows.values().any(is_twice) {
            true => refused("of this check the same was claimed under another id"),
            false => Ok(()),
        }
    }

    pub(super) async fn put(&self, node: &Arc<Node>, alert: Alert) -> Result<(), NodeError> {
        let key = (alert.as_holder, alert.id);
        let (store, kept) = (Arc::clone(&node.store), alert.clone());
        blocking(move || store.alerts().put(&kept)).await??;
        self.retold().remove(&key);
        let is_untold = alert.is_untold;
        self.rows().insert(key, alert);
        // nobody may be listening
        let _ = self.changed.send(key);
        if is_untold {
            node.actions.due.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    /// Tells this side's people of alerts that nobody has claimed for too long, once.
    pub(super) fn escalate(&self, after: Duration, now: Timestamp) {
        let late: Vec<Key> = {
            let rows = self.rows();
            let late = rows.iter().filter(|(_, alert)| is_escalated(alert, after, now));
            late.map(|(key, _)| *key).collect()
        };
        let mut escalated = self.escalated.lock().unwrap_or_else(PoisonError::into_inner);
        for key in late {
            if escalated.insert(key) {
                tracing::warn!(alert = %key.1, "nobody has claimed an alert in time");
                let _ = self.changed.send(key);
            }
        }
    }

    /// What a partner is still to be told. Of a hit that a holder has just answered its asker speaks first, unless it lost the answer.
    pub(super) fn words(&self, config: &Config, peer: &Peer, now: Timestamp) -> Vec<AlertWord> {
        let rows = self.rows();
        let is_fresh =
            |alert: &Alert| alert.as_holder && alert.steps.is_empty() && now.duration_since(alert.made) < FIRST_WORD;
        let due = rows
            .values()
            .filter(|alert| alert.is_untold && !alert.is_hidden && alert.peer == peer.name && !is_fresh(alert));
        due.take(MOST_WORDS).map(|alert| word(config, alert)).collect()
    }

    /// Takes in what the holder told later, once its functionary consented.
    pub(super) async fn disclose(&self, node: &Arc<Node>, id: Uuid, told: &[Disclosed]) -> Result<(), NodeError> {
        let _turn = self.turn().await?;
        match self.get((false, id)).filter(|alert| alert.told != told) {
            Some(mut alert) => {
                alert.told = told.to_vec();
                self.put(node, alert).await
            }
            None => Ok(()),
        }
    }

    /// Lets a partner be told once more of alerts that it may know of.
    pub(super) async fn tell_again(&self, node: &Node, which: impl Fn(&Alert) -> bool) -> Result<(), NodeError> {
        let _turn = self.turn().await?;
        let mut is_due = false;
        let mut rows = self.rows();
        for (key, alert) in rows.iter_mut().filter(|(_, alert)| which(alert) && !alert.is_hidden) {
            if !alert.is_untold {
                self.retold().insert(*key);
            }
            (alert.is_untold, is_due) = (true, true);
        }
        drop(rows);
        if is_due {
            node.actions.due.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    fn retold(&self) -> MutexGuard<'_, BTreeSet<Key>> {
        self.retold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a partner was told.
    pub(super) async fn told(&self, node: &Arc<Node>, words: &[AlertWord]) -> Result<(), NodeError> {
        for word in words {
            // each in its turn: hits of others come in between
            let _turn = self.turn().await?;
            if let Some(alert) = self.get((word.as_holder, word.alert)) {
                self.settle(node, alert, word.steps.len()).await?;
            }
        }
        Ok(())
    }

    /// Notes that the other side has an alert, with so many of this side's steps: all, or more is still to be told.
    async fn settle(&self, node: &Arc<Node>, mut alert: Alert, told: usize) -> Result<(), NodeError> {
        let own = alert.steps.iter().filter(|step| step.agency == node.config.id).count();
        if !alert.is_untold || own != told {
            return Ok(());
        }
        alert.is_untold = false;
        let key = (alert.as_holder, alert.id);
        let is_on_disk = self.retold().remove(&key);
        if !is_on_disk {
            let (store, kept) = (Arc::clone(&node.store), alert.clone());
            blocking(move || store.alerts().put(&kept)).await??;
        }
        self.rows().insert(key, alert);
        Ok(())
    }

    /// Takes in what a partner says: that it has an alert, and what its people have done.
    pub(super) async fn hear(
        &self,
        node: &Arc<Node>,
        live: &Live,
        peer: &Peer,
        words: Vec<AlertWord>,
    ) -> Result<(), NodeError> {
        for word in words {
            // each in its turn: hits of others come in between
            let _turn = self.turn().await?;
            let key = (!word.as_holder, word.alert);
            let steps: Vec<AlertStep> = word.steps.iter().map(|done| step(done, &peer.id)).collect();
            let mut alert = match self.get(key) {
                Some(alert) if alert.peer == peer.name && !alert.is_hidden => alert,
                Some(_) => continue,
                None => match recalled(node, live, peer, &word).await? {
                    Some(alert) => alert,
                    None => continue,
                },
            };
            let is_known = self.get(key).is_some();
            let latest = now() + AHEAD;
            let strange =
                |step: &AlertStep| step.to.as_ref().is_some_and(|to| *to != node.config.id) || step.at > latest;
            let is_gone = |known: &&AlertStep| known.agency == peer.id && steps.iter().all(|step| step.id != known.id);
            let theirs = alert.steps.iter().filter(is_gone).count() + steps.len();
            if steps.iter().any(strange) || theirs > MOST_STEPS {
                // the words behind it are heard all the same
                tracing::warn!(
                    partner = peer.name,
                    "a word about an alert is not heard: it is handed over between its two sides alone, and has 128 steps of each, none in the future"
                );
                continue;
            }
            if !alert.merge(&steps) && is_known {
                // that it speaks of it says that it has it
                self.settle(node, alert, 0).await?;
                continue;
            }
            let mut entry = entry(node, &alert);
            entry.asker = Some(peer.id.clone());
            let news: Vec<&str> = steps.iter().map(|step| step.verb.name()).collect();
            let detail = match news.is_empty() {
                true => format!("{} told of a hit", peer.name),
                false => format!("{}: {}", peer.name, news.join(", ")),
            };
            spine::record(node, entry, Outcome::Done, Some(detail)).await?;
            self.put(node, alert).await?;
        }
        Ok(())
    }

    /// How many nobody has claimed.
    pub(super) fn unclaimed(&self) -> u64 {
        self.rows().values().filter(|alert| alert.state().name == "new").count() as u64
    }
}

/// Keeps what is to be decided or known of a hit, unless it is there; refused under the id of another. `for_good`: not only looked at.
async fn keep_row(node: &Arc<Node>, row: FollowUp, for_good: bool) -> Result<(), NodeError> {
    let store = Arc::clone(&node.store);
    let _deciding = node.deciding.lock().await;
    // claimed again after a link broke: what was decided, or heard, meanwhile stays
    blocking(move || match store.follow_ups().get(row.as_holder, row.id)? {
        None if for_good => Ok(store.follow_ups().put(&[row])?),
        None => Ok(()),
        Some(kept) if (&kept.peer, kept.kind, &kept.canonical) == (&row.peer, row.kind, &row.canonical) => Ok(()),
        Some(_) => Err(NodeError::refused(
            Reason::InvalidRequest,
            "the id of the alert is of another",
        )),
    })
    .await?
}

pub(super) fn is_escalated(alert: &Alert, after: Duration, now: Timestamp) -> bool {
    let age = Duration::try_from(now.duration_since(alert.made)).unwrap_or_default();
    age >= after && alert.state().name == "new"
}

fn word(config: &Config, alert: &Alert) -> AlertWord {
    let own = alert.steps.iter().filter(|step| step.agency == config.id);
    AlertWord {
        alert: alert.id,
        check: alert.check,
        kind: alert.kind,
        as_holder: alert.as_holder,
        steps: own
            .map(|step| Done {
                id: step.id,
                at: step.at,
                verb: match step.verb {
                    AlertVerb::Claim => Verb::Claim,
                    AlertVerb::Confirm => Verb::Confirm,
                    AlertVerb::False => Verb::False,
                    AlertVerb::HandOver => Verb::HandOver,
                },
                person: step.person.clone(),
                to: step.to.clone(),
            })
            .collect(),
    }
}

pub(super) fn verb(verb: Verb) -> AlertVerb {
    match verb {
        Verb::Claim => AlertVerb::Claim,
        Verb::Confirm => AlertVerb::Confirm,
        Verb::False => AlertVerb::False,
        Verb::HandOver => AlertVerb::HandOver,
    }
}

fn step(done: &Done, agency: &str) -> AlertStep {
    AlertStep {
        id: done.id,
        at: done.at,
        verb: verb(done.verb),
        agency: agency.to_owned(),
        person: done.person.clone(),
        to: done.to.clone(),
    }
}

/// An alert that this side lost in a crash, or never came to hear of, from its own log: only what it has an entry of.
async fn recalled(node: &Arc<Node>, live: &Live, peer: &Peer, word: &AlertWord) -> Result<Option<Alert>, NodeError> {
    // a holder has its alerts before it answers
    if !word.as_holder {
        return Ok(None);
    }
    let is_of_check = |alert: &&Alert| !alert.as_holder && alert.check == word.check && alert.kind == word.kind;
    let there = live.alerts.rows().values().filter(is_of_check).count() as u64;
    let side = Side::Asker;
    let (store, check) = (Arc::clone(&node.store), word.check);
    let found = blocking(move || {
        let log = store.log();
        let id = log.entry_of(side, check)?;
        Ok::<_, NodeError>(id.map(|id| log.entry(id)).transpose()?.flatten())
    });
    let Some(logged) = found.await?? else {
        return Ok(None);
    };
    let found = logged.entry;
    let is_meant = found.holder.as_ref() == Some(&peer.id)
        && found.operation == Operation::Combination
        && found.mode.as_deref() == Some("action")
        && found.agreement_hash == Some(live.known(node)?.plan().agreement)
        && found.kinds.contains(&word.kind.to_string())
        // no more can have been lost than was asked about
        && there < found.input_count.unwrap_or_default();
    if !is_meant {
        return Ok(None);
    }
    Ok(Some(Alert {
        id: word.alert,
        action: live.hash,
        as_holder: !word.as_holder,
        peer: peer.name.clone(),
        check: word.check,
        made: now(),
        kind: word.kind,
        canonical: None,
        person: found.person.unwrap_or_default(),
        case_reference: found.case_reference.unwrap_or_default(),
        reason: found.reason.unwrap_or_default(),
        on_behalf_of: found.on_behalf_of,
        records: Vec::new(),
        told: Vec::new(),
        is_hidden: false,
        steps: Vec::new(),
        is_untold: true,
    }))
}

/// The entry of something that is done about an alert.
pub(super) fn entry(node: &Node, alert: &Alert) -> Entry {
    let mut entry = policy::blank_entry(Operation::Alteration, Side::Holder, now(), Uuid::now_v7());
    entry.policy_hash = Some(node.rules.load().hash);
    entry.holder = Some(node.config.id.clone());
    entry.about = Some(alert.check);
    entry.case_reference = Some(alert.case_reference.clone());
    entry.kinds = vec![alert.kind.to_string()];
    entry.mode = Some("action".to_owned());
    entry
}
