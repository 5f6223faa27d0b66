//! Sessions: the protocols' machines, driven over streams of checked messages.

mod asker;
mod follow_up;
mod holder;
pub(crate) mod labels;
mod mirrored;
pub(crate) mod picture;

pub(crate) use asker::{Ask, Progress};
pub(crate) use follow_up::{AskFollowUp, HoldFollowUp, held_record, own_records, told};
pub(crate) use holder::{Held, Hold};

use std::{io, path::Path, sync::Arc, time::Duration};

use overlap_proto::peer::Open;
use overlap_psi::{ApiMisuse, Error, dh};
use overlap_store::StoreError;
use tokio::sync::mpsc;

use crate::{
    error::NodeError,
    identity::sha256,
    node::Node,
    policy::{Denial, Permit},
    pool::blocking,
};

/// The terms of the protocol, bound to the query: both sides derive the same or their tokens never meet.
fn protocol_terms(open: &Open, asker: &str, holder: &str, holder_size: u64) -> Result<dh::Terms, NodeError> {
    let kinds = open
        .kinds
        .iter()
        .map(|kind| kind.as_str())
        .collect::<Vec<_>>()
        .join(",");
    let roles = open
        .roles
        .iter()
        .map(|role| role.as_str())
        .collect::<Vec<_>>()
        .join(",");
    let order = open
        .order
        .as_ref()
        .map(|order| order.hash().to_string())
        .unwrap_or_default();
    let bound = [
        "overlap/match/session/v2",
        &open.transaction.to_string(),
        &open.agreement_hash.to_string(),
        &open.profile_hash.to_string(),
        &open.input_commitment.to_string(),
        asker,
        holder,
        open.mode.name(),
        open.protocol.name(),
        &kinds,
        &roles,
        open.on_behalf_of.as_deref().unwrap_or_default(),
        &order,
    ];
    // no part holds a line break: names and ids are checked for it
    let session = sha256(bound.join("\n").as_bytes()).0;
    dh::Terms::new(open.protocol_mode(), session, open.set_size, holder_size).map_err(|misuse| misuse_of(&misuse))
}

/// A fault of the own set or code; the peer has no part in it.
fn misuse_of(misuse: &ApiMisuse) -> NodeError {
    match misuse {
        ApiMisuse::OwnElement => NodeError::Store(StoreError::Damaged("an item is no group element")),
        ApiMisuse::OwnSize { .. } => NodeError::Store(StoreError::Damaged("a dataset has another size than recorded")),
        _ => NodeError::Broken("a set is too large for the protocol"),
    }
}

/// Tells who is at fault.
fn peer_fault(peer: &str, error: Error) -> NodeError {
    match error {
        Error::Peer(source) => NodeError::PeerProtocol {
            peer: peer.to_owned(),
            source,
        },
        Error::Misuse(misuse) => misuse_of(&misuse),
    }
}

/// Sends from a blocking thread; gives up when nobody takes the message for too long.
pub(crate) fn send_blocking<T>(
    to: &mpsc::Sender<T>,
    message: T,
    idle: Option<Duration>,
    peer: &str,
) -> Result<(), NodeError> {
    let hung_up = || NodeError::PeerHungUp { peer: peer.to_owned() };
    match idle {
        None => to.blocking_send(message).map_err(|_| hung_up()),
        Some(idle) => tokio::runtime::Handle::current().block_on(send(to, message, idle, peer)),
    }
}

/// Sends; gives up when nobody takes the message for too long.
async fn send<T>(to: &mpsc::Sender<T>, message: T, idle: Duration, peer: &str) -> Result<(), NodeError> {
    match tokio::time::timeout(idle, to.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(NodeError::PeerHungUp { peer: peer.to_owned() }),
        Err(_) => Err(NodeError::PeerIdle {
            peer: peer.to_owned(),
            seconds: idle.as_secs(),
        }),
    }
}

/// What became of a permit.
type Decision<T> = Result<Permit<T>, Box<Denial>>;

/// Commits to the own set of a query, before anything is said to anybody: `commit` is how a permit of its kind does.
pub(crate) async fn committed<T: Send + 'static>(
    node: &Arc<Node>,
    permit: Permit<T>,
    commit: fn(Permit<T>, &Node, &Path) -> Decision<T>,
) -> Result<Decision<T>, NodeError> {
    let running = Arc::clone(node);
    blocking(move || match spill_directory(&running) {
        Ok(spill) => commit(permit, &running, &spill),
        Err(error) => Err(permit.deny(StoreError::Spill(error).into())),
    })
    .await
}

/// Where sorting may spill: beside the store, on the same disk.
pub(crate) fn spill_directory(node: &Node) -> io::Result<std::path::PathBuf> {
    let directory = node.config.state.join("spill");
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}
