//! The rounds of pictures that this node takes part in: what decides for whom it evaluates.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use overlap_agreement::{Roster, Signed};
use overlap_audit::Digest;
use overlap_proto::fault::Reason;
use overlap_psi::joint::Share;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::NodeError;

/// The pictures that this node takes part in now.
#[derive(Default)]
pub(crate) struct Parts {
    under_way: Mutex<HashMap<Uuid, Option<Arc<Round>>>>,
    changed: watch::Sender<u64>,
}

/// One round of a picture.
pub(crate) struct Round {
    pub(super) roster: Signed<Roster>,
    /// Thumbprint of the key that the coordinator signs rosters with.
    pub(super) signer: Digest,
    pub(super) share: Share,
    /// Places of those that have asked for their evaluation: each once.
    pub(super) asked: Mutex<BTreeSet<usize>>,
    /// The round is over: nothing more is evaluated.
    pub(super) over: CancellationToken,
    /// Set with what proves that the coordinator told another participant of another roster.
    pub(super) betrayed: CancellationToken,
}

/// The own part in a picture; with it ends the round.
pub(super) struct Taking<'a> {
    parts: &'a Parts,
    picture: Uuid,
}

impl Parts {
    /// Begins to take part in a picture.
    pub(super) fn take(&self, picture: Uuid) -> Result<Taking<'_>, NodeError> {
        let mut under_way = self.lock();
        if under_way.contains_key(&picture) {
            let message = "this node takes part in this picture already";
            return Err(NodeError::refused(Reason::InvalidRequest, message));
        }
        under_way.insert(picture, None);
        Ok(Taking { parts: self, picture })
    }

    /// The round with this number, once this node is in it: the coordinator may have told others first.
    pub(super) async fn round(&self, picture: Uuid, number: u32, wait: Duration) -> Result<Arc<Round>, NodeError> {
        let gone = || {
            let message = "this node takes no part in this round of the picture";
            NodeError::refused(Reason::NotFound, message)
        };
        let mut changed = self.changed.subscribe();
        let finding = async {
            loop {
                match self.lock().get(&picture) {
                    None => return Err(gone()),
                    Some(Some(round)) if round.roster.document().round == number => return Ok(Arc::clone(round)),
                    Some(Some(round)) if round.roster.document().round > number => return Err(gone()),
                    Some(_) => {}
                }
                changed.changed().await.map_err(|_| gone())?;
            }
        };
        tokio::time::timeout(wait, finding)
            .await
            .unwrap_or_else(|_| Err(gone()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Option<Arc<Round>>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taking<'_> {
    /// Enters a round, and leaves the one before.
    pub(super) fn enter(&self, round: Arc<Round>) {
        self.put(Some(round));
    }

    /// Leaves the round, to wait for another.
    pub(super) fn leave(&self) {
        self.put(None);
    }

    fn put(&self, round: Option<Arc<Round>>) {
        let before = self.parts.lock().insert(self.picture, round).flatten();
        if let Some(before) = before {
            before.over.cancel();
        }
        self.parts.changed.send_modify(|count| *count += 1);
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        if let Some(Some(round)) = self.parts.lock().remove(&self.picture) {
            round.over.cancel();
        }
        self.parts.changed.send_modify(|count| *count += 1);
    }
}

/// For whom a node evaluates in a round, and how much: for the log of all that are in it.
pub(super) fn evaluated_for(roster: &Signed<Roster>) -> String {
    let told = roster.document();
    let sizes = told.participants.iter().map(|one| format!("{} {}", one.id, one.size));
    let sizes: Vec<String> = sizes.collect();
    format!(
        "round {} with roster {}: {}",
        told.round,
        roster.hash(),
        sizes.join(", ")
    )
}

impl Round {
    pub(super) fn new(roster: Signed<Roster>, signer: Digest, share: Share) -> Self {
        Self {
            roster,
            signer,
            share,
            asked: Mutex::default(),
            over: CancellationToken::new(),
            betrayed: CancellationToken::new(),
        }
    }
}
