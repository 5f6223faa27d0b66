//! A partner that can be checked: its snapshot, and the stream to ask it by.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use overlap_audit::Digest;
use overlap_proto::{
    action::{Delta, Told},
    pb::peer as pb,
};
use overlap_psi::{
    ApiMisuse, Encoded, Key, PeerMisbehaved, Stored,
    dleq::PublicKey,
    filter::Filter,
    joint::Evaluated,
    voprf::{Image, Output, image},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{error::NodeError, policy::action::Parent};

/// A partner that may be checked now.
pub(super) struct Connection {
    /// What the checks on it are judged by.
    pub(super) parent: Parent,
    pub(super) snapshot: Arc<Held>,
    /// The certificate that it showed.
    pub(super) certificate: Digest,
    sender: mpsc::Sender<pb::AttendRequest>,
    pending: Mutex<HashMap<Uuid, oneshot::Sender<Result<Reply, NodeError>>>>,
    mirror: Option<Key>,
    /// Cancelled to end the stream: its holder broke the protocol.
    broken: CancellationToken,
}

/// A partner's snapshot, with the deltas to it.
pub(super) struct Held {
    pub(super) epoch: [u8; 16],
    pub(super) public: PublicKey,
    pub(super) bound: [u8; 32],
    filter: Filter,
    deltas: RwLock<HashSet<Image>>,
    /// Number of the last delta.
    seen: AtomicU64,
}

/// What a partner made of a check or a claim.
pub(super) enum Reply {
    Evaluated(Box<Evaluated>),
    Told(Told),
}

/// Most outputs that deltas may add to one snapshot: a holder makes another before.
const MOST_DELTAS: usize = 1 << 18;

impl Held {
    pub(super) fn new(epoch: [u8; 16], public: PublicKey, bound: [u8; 32], filter: Filter) -> Self {
        Self {
            epoch,
            public,
            bound,
            filter,
            deltas: RwLock::default(),
            seen: AtomicU64::new(0),
        }
    }

    /// Takes a delta in; a number that is not the next is a replay, or leaves a gap.
    pub(super) fn add(&self, delta: Delta) -> Result<Vec<Image>, PeerMisbehaved> {
        if delta.number != self.seen.load(Ordering::Acquire) + 1 {
            return Err(PeerMisbehaved::OutOfTurn);
        }
        let mut deltas = self.deltas.write().unwrap_or_else(PoisonError::into_inner);
        if deltas.len() + delta.images.len() > MOST_DELTAS {
            return Err(PeerMisbehaved::TooMany {
                announced: MOST_DELTAS as u64,
            });
        }
        deltas.extend(delta.images.iter().copied());
        self.seen.store(delta.number, Ordering::Release);
        Ok(delta.images)
    }

    pub(super) fn has(&self, output: &Output) -> bool {
        let deltas = || self.deltas.read().unwrap_or_else(PoisonError::into_inner);
        self.filter.may_have(output) || deltas().contains(&image(output))
    }

    /// Number of the last delta.
    pub(super) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Acquire)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.filter.fingerprints().len() as u64 * 4
    }
}

impl Connection {
    pub(super) fn new(
        parent: Parent,
        snapshot: Arc<Held>,
        certificate: Digest,
        sender: mpsc::Sender<pb::AttendRequest>,
        mirror: Option<Key>,
    ) -> Self {
        Self {
            parent,
            snapshot,
            certificate,
            sender,
            pending: Mutex::default(),
            mirror,
            broken: CancellationToken::new(),
        }
    }

    /// Waits until what came over the stream cannot be trusted.
    pub(super) async fn broke(&self) {
        self.broken.cancelled().await;
    }

    /// Asks one thing, and waits for its answer. `sent` is set once the message is on its way.
    pub(super) async fn call(
        &self,
        transaction: Uuid,
        message: pb::AttendRequest,
        patience: Duration,
        sent: &mut Option<bool>,
    ) -> Result<Reply, NodeError> {
        let peer = || self.parent.peer.name.clone();
        let (answer, answered) = oneshot::channel();
        self.pending().insert(transaction, answer);
        // whoever stops waiting leaves nothing behind
        let _waiting = Waiting(self, transaction);
        let sending = timeout(patience, self.sender.send(message)).await;
        match sending {
            Ok(Ok(())) => *sent = Some(true),
            Ok(Err(_)) => return Err(NodeError::PeerHungUp { peer: peer() }),
            Err(_) => {
                return Err(NodeError::PeerIdle {
                    peer: peer(),
                    seconds: patience.as_secs(),
                });
            }
        }
        match timeout(patience, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(NodeError::PeerHungUp { peer: peer() }),
            Err(_) => Err(NodeError::PeerIdle {
                peer: peer(),
                seconds: patience.as_secs(),
            }),
        }
    }

    /// Ends the stream, since what came over it cannot be trusted.
    pub(super) fn break_off(&self) {
        self.broken.cancel();
    }

    /// Items for the mirrored pass, in an order that says nothing; none where there is no such pass.
    pub(super) fn mirrored(&self, items: &[Stored]) -> Result<Vec<Encoded>, ApiMisuse> {
        let Some(key) = self.mirror.as_ref().filter(|_| !items.is_empty()) else {
            return Ok(Vec::new());
        };
        let mut points = key.multiply_stored(items)?;
        points.sort_unstable();
        Ok(points)
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<Uuid, oneshot::Sender<Result<Reply, NodeError>>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over what came of one thing that was asked.
    pub(super) fn settle(&self, transaction: Uuid, reply: Result<Reply, NodeError>) {
        // who waits no longer has had its answer: unreachable
        if let Some(answer) = self.pending().remove(&transaction) {
            let _ = answer.send(reply);
        }
    }
}

/// Whoever still waits on a stream that has ended hears of it at once.
pub(super) struct Standing(pub(super) Arc<Connection>);

impl Drop for Standing {
    fn drop(&mut self) {
        self.0.pending().clear();
    }
}

struct Waiting<'a>(&'a Connection, Uuid);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.pending().remove(&self.1);
    }
}
