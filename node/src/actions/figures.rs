//! The counters of the day: kept as numbers alone, so that they stay when the action ends.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use overlap_audit::Digest;
use overlap_records::Kind;
use overlap_report::action::{Figures, Tally};
use overlap_store::{DocumentKind, Store};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Known,
    alerts::{Alerts, Key},
};
use crate::{
    error::NodeError,
    node::{Node, now},
    pool::blocking,
};

/// The counters of one action at one node.
pub(super) struct Counters {
    hash: Digest,
    inner: Mutex<Inner>,
}

struct Inner {
    figures: Figures,
    left: BTreeMap<Key, Counted>,
    is_kept: bool,
}

#[derive(Serialize, Deserialize)]
struct Row {
    action: Digest,
    figures: Figures,
    /// Alerts that went when this agency left, until the action ends: it may come back.
    #[serde(default)]
    left: Vec<(Key, Counted)>,
}

/// What is counted of one alert.
#[derive(Clone, Serialize, Deserialize)]
struct Counted {
    partner: String,
    kind: Kind,
    is_hidden: bool,
    verdict: Option<bool>,
}

/// The action that kept counters are of.
pub(super) fn action_of(row: &[u8]) -> Option<Digest> {
    serde_json::from_slice::<Row>(row).ok().map(|row| row.action)
}

/// The counters of an action, as they were kept.
pub(super) fn kept(store: &Store, known: &Known) -> Result<Figures, NodeError> {
    Ok(row(store, known)?.figures)
}

fn row(store: &Store, known: &Known) -> Result<Row, NodeError> {
    let row = store.documents().get(DocumentKind::Figures, &known.hash())?;
    let plan = known.plan();
    Ok(row
        .and_then(|row| serde_json::from_slice(&row).ok())
        .unwrap_or_else(|| Row {
            action: known.hash(),
            figures: Figures::new(&plan.id, &plan.from.to_string(), &plan.until.to_string()),
            left: Vec::new(),
        }))
}

/// Forgets what was kept for an agency that might come back to an action that has ended.
pub(super) fn forget_left(store: &Store, known: &Known) -> Result<(), NodeError> {
    let kept = row(store, known)?;
    match kept.left.is_empty() {
        true => Ok(()),
        false => put(
            store,
            &Row {
                left: Vec::new(),
                ..kept
            },
        ),
    }
}

fn put(store: &Store, row: &Row) -> Result<(), NodeError> {
    let bytes = serde_json::to_vec(row).map_err(|_| NodeError::Broken("counters cannot be written"))?;
    Ok(store.documents().put(DocumentKind::Figures, &row.action, &bytes)?)
}

impl Counters {
    pub(super) fn load(store: &Store, known: &Known) -> Result<Self, NodeError> {
        let Row { mut figures, left, .. } = row(store, known)?;
        // this agency has come back
        figures.ended = None;
        Ok(Self {
            hash: known.hash(),
            inner: Mutex::new(Inner {
                figures,
                left: left.into_iter().collect(),
                is_kept: true,
            }),
        })
    }

    fn change(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.is_kept = false;
        inner
    }

    fn each(&self, partner: &str, kinds: &[Kind], count: impl Fn(&mut Tally)) {
        let mut inner = self.change();
        for kind in kinds {
            count(inner.figures.tally(partner, kind.as_str()));
        }
    }

    /// A check was made by an own user.
    pub(super) fn checked(&self) {
        let mut inner = self.change();
        inner.figures.checks += 1;
        inner.figures.minute(&minute(now())).checks += 1;
    }

    /// A partner is asked.
    pub(super) fn asked(&self, partner: &str, kinds: &[Kind]) {
        self.each(partner, kinds, |tally| tally.asked += 1);
    }

    /// A partner could not be asked, or was late.
    pub(super) fn unreached(&self, partner: &str, kinds: &[Kind]) {
        self.each(partner, kinds, |tally| tally.unreachable += 1);
    }

    /// A partner refused, or did not answer as it has to.
    pub(super) fn failed(&self, partner: &str, kinds: &[Kind], is_refusal: bool) {
        match is_refusal {
            true => self.each(partner, kinds, |tally| tally.refused += 1),
            false => self.unreached(partner, kinds),
        }
    }

    /// An own check hit.
    pub(super) fn hit(&self, partner: &str, kind: Kind, alert: Uuid) {
        self.alerted((false, alert), partner, kind, |tally| tally.hits += 1);
    }

    /// Counts a hit, unless it was counted before this agency left.
    fn alerted(&self, alert: Key, partner: &str, kind: Kind, count: impl FnOnce(&mut Tally)) {
        let mut inner = self.change();
        if !inner.left.contains_key(&alert) {
            count(inner.figures.tally(partner, kind.as_str()));
            inner.figures.minute(&minute(now())).hits += 1;
        }
    }

    /// A partner's check was answered.
    pub(super) fn answered(&self, partner: &str, kinds: &[Kind]) {
        self.each(partner, kinds, |tally| tally.answered += 1);
        self.change().figures.minute(&minute(now())).answered += 1;
    }

    /// A partner was told of a hit.
    pub(super) fn told(&self, partner: &str, kind: Kind, alert: Uuid) {
        self.alerted((true, alert), partner, kind, |tally| tally.told += 1);
    }

    /// The counters now, with what was made of the alerts.
    pub(super) fn now(&self, alerts: &Alerts) -> Figures {
        let (mut figures, left) = {
            let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            (inner.figures.clone(), inner.left.clone())
        };
        judge(&mut figures, &counted(left, alerts));
        figures
    }

    /// Takes over what was made of the alerts, before they go.
    pub(super) fn freeze(&self, alerts: &Alerts, has_ended: bool) {
        let mut inner = self.change();
        let counted = counted(std::mem::take(&mut inner.left), alerts);
        judge(&mut inner.figures, &counted);
        inner.figures.ended = Some(now().to_string());
        if !has_ended {
            inner.left = counted;
        }
    }

    /// Keeps what has changed.
    pub(super) async fn keep(&self, node: &Arc<Node>) -> Result<(), NodeError> {
        let row = {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::replace(&mut inner.is_kept, true) {
                return Ok(());
            }
            Row {
                action: self.hash,
                figures: inner.figures.clone(),
                left: inner.left.clone().into_iter().collect(),
            }
        };
        let store = Arc::clone(&node.store);
        blocking(move || put(&store, &row)).await?
    }
}

/// The alerts that are there, and those that went when this agency left: of one that came back, the word that was said last.
fn counted(mut left: BTreeMap<Key, Counted>, alerts: &Alerts) -> BTreeMap<Key, Counted> {
    for alert in alerts.all() {
        let key = (alert.as_holder, alert.id);
        let verdict = alert.state().verdict;
        let verdict = verdict.or_else(|| left.get(&key).and_then(|before| before.verdict));
        let one = Counted {
            partner: alert.peer,
            kind: alert.kind,
            is_hidden: alert.is_hidden,
            verdict,
        };
        left.insert(key, one);
    }
    left
}

/// Counts anew what people made of alerts.
fn judge(figures: &mut Figures, alerts: &BTreeMap<Key, Counted>) {
    figures.forget_verdicts();
    for alert in alerts.values() {
        let tally = figures.tally(&alert.partner, alert.kind.as_str());
        if alert.is_hidden {
            tally.noticed += 1;
        }
        match alert.verdict {
            Some(true) => tally.confirmed += 1,
            Some(false) => tally.found_false += 1,
            None => {}
        }
    }
}

/// The begin of a minute, RFC 3339.
fn minute(at: Timestamp) -> String {
    let seconds = at.as_second().div_euclid(60) * 60;
    Timestamp::from_second(seconds).map_or_else(|_| String::new(), |minute| minute.to_string())
}
