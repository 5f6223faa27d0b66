//! The counters of the day: kept as numbers alone, so that they stay when the action ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use overlap_audit::Digest;
use overlap_records::Kind;
use overlap_report::action::{Figures, Tally};
use overlap_store::{DocumentKind, Store};
use serde::{Deserialize, Serialize};

use super::{Known, alerts::Alerts};
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
    is_kept: bool,
}

#[derive(Serialize, Deserialize)]
struct Row {
    action: Digest,
    figures: Figures,
}

/// The action that kept counters are of.
pub(super) fn action_of(row: &[u8]) -> Option<Digest> {
    serde_json::from_slice::<Row>(row).ok().map(|row| row.action)
}

/// The counters of an action, as they were kept.
pub(super) fn kept(store: &Store, known: &Known) -> Result<Figures, NodeError> {
    let row = store.documents().get(DocumentKind::Figures, &known.hash())?;
    let row: Option<Row> = row.and_then(|row| serde_json::from_slice(&row).ok());
    let plan = known.plan();
    Ok(row.map_or_else(
        || Figures::new(&plan.id, &plan.from.to_string(), &plan.until.to_string()),
        |row| row.figures,
    ))
}

impl Counters {
    pub(super) fn load(store: &Store, known: &Known) -> Result<Self, NodeError> {
        Ok(Self {
            hash: known.hash(),
            inner: Mutex::new(Inner {
                figures: kept(store, known)?,
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
    pub(super) fn hit(&self, partner: &str, kind: Kind) {
        self.each(partner, &[kind], |tally| tally.hits += 1);
        self.change().figures.minute(&minute(now())).hits += 1;
    }

    /// A partner's check was answered.
    pub(super) fn answered(&self, partner: &str, kinds: &[Kind]) {
        self.each(partner, kinds, |tally| tally.answered += 1);
        self.change().figures.minute(&minute(now())).answered += 1;
    }

    /// A partner was told of a hit.
    pub(super) fn told(&self, partner: &str, kind: Kind) {
        self.each(partner, &[kind], |tally| tally.told += 1);
        self.change().figures.minute(&minute(now())).hits += 1;
    }

    /// The counters now, with what was made of the alerts.
    pub(super) fn now(&self, alerts: &Alerts) -> Figures {
        let mut figures = {
            let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.figures.clone()
        };
        judge(&mut figures, alerts);
        figures
    }

    /// Takes over what was made of the alerts, before they go.
    pub(super) fn freeze(&self, alerts: &Alerts) {
        let mut inner = self.change();
        judge(&mut inner.figures, alerts);
        inner.figures.ended = Some(now().to_string());
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
            }
        };
        let row = serde_json::to_vec(&row).map_err(|_| NodeError::Broken("counters cannot be written"))?;
        let (store, hash) = (Arc::clone(&node.store), self.hash);
        blocking(move || store.documents().put(DocumentKind::Figures, &hash, &row)).await??;
        Ok(())
    }
}

/// Counts anew what people made of alerts.
fn judge(figures: &mut Figures, alerts: &Alerts) {
    figures.forget_verdicts();
    for alert in alerts.all() {
        let tally = figures.tally(&alert.peer, alert.kind.as_str());
        if alert.is_hidden {
            tally.noticed += 1;
        }
        match alert.state().verdict {
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
