//! What a participant tells its coordinator: how far it is, and its list.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use overlap_proto::{CHUNK, pb::peer as pb, picture::Response};
use overlap_psi::joint::Entry;
use overlap_store::{SealedSorter, Sorted};
use tokio::{runtime::Handle, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::Status;

use super::mesh::LINE;
use crate::{error::NodeError, pool::blocking};

/// How often the coordinator hears that this node is at work.
pub(super) const BETWEEN: Duration = Duration::from_millis(500);

/// Messages towards the coordinator that wait for the network.
pub(crate) type Replies = mpsc::Sender<Result<pb::TakeResponse, Status>>;

/// How far a participant is with having its items evaluated.
#[derive(Default)]
pub(super) struct Work {
    done: AtomicU64,
    /// Ids of the participants whose answers it needs to go on.
    waiting_for: Mutex<BTreeSet<String>>,
}

impl Work {
    /// Counts items whose pseudonyms were made.
    pub(super) fn add(&self, items: usize) {
        self.done.fetch_add(items as u64, Ordering::Relaxed);
    }

    /// Waits for another participant, and says so meanwhile.
    pub(super) async fn wait_for<T>(&self, id: &str, answer: impl Future<Output = T>) -> T {
        self.waits().insert(id.to_owned());
        let answer = answer.await;
        self.waits().remove(id);
        answer
    }

    fn waits(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.waiting_for.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> Response {
        Response::Working {
            done: self.done.load(Ordering::Relaxed),
            waiting_for: self.waits().first().cloned(),
        }
    }
}

/// Tells the coordinator again and again how far this node is, for as long as what is returned lives.
pub(super) fn working(replies: Replies, work: Arc<Work>) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            tokio::time::sleep(BETWEEN).await;
            let _ = replies.try_send(Ok(work.told().into()));
        }
    }))
}

/// Tells the list until it is told, or over: what is over sends nothing more, whoever waits for it. `handed` counts what left.
pub(super) async fn tell(
    lines: SealedSorter<LINE>,
    replies: Replies,
    handed: Arc<AtomicU64>,
    over: CancellationToken,
    coordinator: String,
) -> Result<Sorted<LINE>, NodeError> {
    let telling = move || {
        let mut sorted = lines.finish()?;
        let mut lines = sorted.iter()?;
        loop {
            let chunk: Vec<[u8; LINE]> = lines.by_ref().take(CHUNK).collect::<Result<_, _>>()?;
            if chunk.is_empty() {
                break;
            }
            let message = Ok(Response::Entries(chunk.iter().map(entry).collect()).into());
            let sent = Handle::current().block_on(async {
                tokio::select! {
                    biased;
                    () = over.cancelled() => None,
                    sent = replies.send(message) => Some(sent),
                }
            });
            match sent {
                None => break,
                Some(Ok(())) => drop(handed.fetch_add(chunk.len() as u64, Ordering::Relaxed)),
                Some(Err(_)) => return Err(NodeError::PeerHungUp { peer: coordinator }),
            }
        }
        drop(lines);
        Ok(sorted)
    };
    blocking(telling).await?
}

fn entry(line: &[u8; LINE]) -> Entry {
    let (mut pseudonym, mut mark) = ([0; 16], [0; 4]);
    pseudonym.copy_from_slice(&line[..16]);
    mark.copy_from_slice(&line[16..20]);
    Entry { pseudonym, mark }
}
