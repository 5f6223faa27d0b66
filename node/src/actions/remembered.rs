//! The checks of the day, for partners that come late, come back or have a new key: also after this node was started again.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use overlap_audit::Digest;
use overlap_records::Kind;
use overlap_store::{DocumentKind, Store};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::asked::{Asked, Grounds};
use crate::{error::NodeError, identity::sha256, node::Node, pool::blocking};

/// The newest checks of one action.
pub(super) struct Remembered {
    action: Digest,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    checks: VecDeque<Arc<Asked>>,
    /// Number of the next that is put on disk.
    next: u64,
    is_restored: bool,
    is_over: bool,
}

/// Checks that are remembered of one action.
const MOST: usize = 4096;

/// A check on disk, sealed as every row is.
#[derive(Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) action: Digest,
    pub(super) number: u64,
    pub(super) id: Uuid,
    pub(super) grounds: Grounds,
    /// Partners at which it has counted, by name.
    pub(super) counted: BTreeSet<String>,
    /// Partners that have answered it, by id.
    pub(super) answered: BTreeSet<String>,
    /// Kinds, with canonical forms.
    pub(super) identifiers: Vec<(Kind, String)>,
}

impl Remembered {
    pub(super) fn new(action: Digest) -> Self {
        Self {
            action,
            inner: Mutex::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up those that are on disk; no partner is asked before. Hashes to the group.
    pub(super) fn restore(&self, node: &Node) -> Result<(), NodeError> {
        let rows = node.store.documents().all(DocumentKind::Check)?;
        let mut rows: Vec<Row> = rows.iter().filter_map(|row| read(row)).collect();
        rows.retain(|row| row.action == self.action);
        rows.sort_by_key(|row| row.number);
        let next = rows.last().map_or(0, |row| row.number + 1);
        let profile = &node.config.profile;
        // what the profile looks up no more is remembered no more
        let checks = rows.into_iter().filter_map(|row| Asked::restored(profile, row));
        let mut checks: VecDeque<_> = checks.map(Arc::new).collect();
        let mut inner = self.inner();
        if !inner.is_over {
            // behind them those that users made meanwhile
            checks.append(&mut inner.checks);
            let surplus = checks.len().saturating_sub(MOST);
            checks.drain(..surplus);
            (inner.checks, inner.next, inner.is_restored) = (checks, next, true);
        }
        Ok(())
    }

    /// Whether those of before are there.
    pub(super) fn is_restored(&self) -> bool {
        self.inner().is_restored
    }

    pub(super) fn push(&self, asked: &Arc<Asked>) {
        let mut inner = self.inner();
        if inner.is_over {
            return;
        }
        if inner.checks.len() >= MOST {
            inner.checks.pop_front();
        }
        inner.checks.push_back(Arc::clone(asked));
    }

    /// The oldest first.
    pub(super) fn all(&self) -> Vec<Arc<Asked>> {
        self.inner().checks.iter().cloned().collect()
    }

    /// Forgets all; what is on disk is erased behind it.
    pub(super) fn clear(&self) {
        *self.inner() = Inner {
            is_over: true,
            ..Inner::default()
        };
    }

    /// Puts on disk what came or changed since the last time; what is new takes the place of the one that it pushed out.
    pub(super) async fn keep(&self, node: &Arc<Node>) -> Result<(), NodeError> {
        let changed: Vec<(u64, Arc<Asked>)> = {
            let mut inner = self.inner();
            if !inner.is_restored {
                return Ok(());
            }
            let Inner { checks, next, .. } = &mut *inner;
            let changed = checks
                .iter()
                .filter_map(|asked| Some((asked.to_keep(next)?, Arc::clone(asked))));
            changed.collect()
        };
        if changed.is_empty() {
            return Ok(());
        }
        let (store, action, writing) = (Arc::clone(&node.store), self.action, changed.clone());
        let kept = blocking(move || {
            let rows = writing.into_iter().map(|(number, asked)| {
                let row = serde_json::to_vec(&asked.row(action, number));
                let row = row.map_err(|_| NodeError::Broken("a check cannot be written"))?;
                Ok((place(&action, number), row))
            });
            let rows: Vec<_> = rows.collect::<Result<_, NodeError>>()?;
            Ok::<_, NodeError>(store.documents().put_all(DocumentKind::Check, rows)?)
        });
        let kept = kept.await?;
        if kept.is_err() {
            changed.iter().for_each(|(_, asked)| asked.changed());
        }
        kept
    }
}

/// Where a check is kept: as many places as are remembered, taken in turn.
fn place(action: &Digest, number: u64) -> Digest {
    sha256(format!("{action} {}", number % MOST as u64).as_bytes())
}

fn read(row: &[u8]) -> Option<Row> {
    serde_json::from_slice(row).ok()
}

/// The actions that checks are kept of.
pub(super) fn actions(store: &Store) -> Result<Vec<Digest>, NodeError> {
    let rows = store.documents().all(DocumentKind::Check)?;
    Ok(rows.iter().filter_map(|row| read(row)).map(|row| row.action).collect())
}

/// Erases the checks of actions.
pub(super) fn erase(store: &Store, gone: impl Fn(&Digest) -> bool) -> Result<(), NodeError> {
    // one that cannot be read is of no use to anybody
    store
        .documents()
        .erase(DocumentKind::Check, |row| read(row).is_none_or(|row| gone(&row.action)))?;
    Ok(())
}

impl Asked {
    fn row(&self, action: Digest, number: u64) -> Row {
        let identifiers = self.wanted.iter().map(|one| &one.identifier);
        Row {
            action,
            number,
            id: self.id,
            grounds: self.grounds.clone(),
            counted: self.counted(),
            answered: self.answered(),
            identifiers: identifiers
                .map(|one| (one.kind(), one.canonical().to_owned()))
                .collect(),
        }
    }
}
