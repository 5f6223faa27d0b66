//! Decisions on hits that are followed up: an asker hears of them, and a holder is reminded of those that are due.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use overlap_audit::Standing;
use overlap_proto::{
    follow_up::{self, MOST_DECISIONS},
    operator,
    pb::peer as pb,
};
use overlap_store::{FollowUp, StoreError};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::{
    config::Peer,
    dial,
    error::NodeError,
    hits_service,
    identity::Certificate,
    node::{Node, now},
    policy::{self, User},
    pool::blocking,
};

/// How often a peer is asked whether it has decided, while something waits for it.
const BETWEEN: Duration = Duration::from_secs(15);
/// How long it is not, after it could not be reached.
const AFTER_FAILURE: Duration = Duration::from_secs(600);
/// How long what could not be fetched is left alone: each attempt is an entry on both sides.
const LEFT: Duration = Duration::from_secs(6 * 3600);
/// How often it is looked whether a decision is due.
const BETWEEN_REMINDERS: Duration = Duration::from_secs(3600);

/// Fetches what one peer has decided, until the node drains.
pub(crate) async fn run(node: Arc<Node>, peer: Peer) {
    let mut wait = BETWEEN;
    let (mut left, mut since) = (BTreeSet::new(), Instant::now());
    loop {
        if since.elapsed() > LEFT {
            (left, since) = (BTreeSet::new(), Instant::now());
        }
        tokio::select! {
            () = node.draining.cancelled() => return,
            () = sleep(wait) => {}
        }
        let (running, asked, known) = (Arc::clone(&node), peer.clone(), left.clone());
        let round = node.queries.spawn(async move { round(&running, &asked, known).await });
        wait = BETWEEN;
        match round.await {
            Ok(Ok(more)) => left.extend(more),
            Ok(Err(error)) => {
                wait = AFTER_FAILURE;
                tracing::warn!(peer = peer.name, reason = error.reason().name(), %error, "no word about decisions");
            }
            Err(_) => wait = AFTER_FAILURE,
        }
    }
}

/// Returns what could not be fetched although it is decided.
async fn round(node: &Arc<Node>, peer: &Peer, left: BTreeSet<Uuid>) -> Result<Vec<Uuid>, NodeError> {
    let waiting = rows(node, |row| !row.as_holder && row.decision.is_none()).await?;
    let is_due = |row: &FollowUp| row.peer == peer.name && !left.contains(&row.id);
    let mut waiting: Vec<FollowUp> = waiting.into_iter().filter(is_due).collect();
    waiting.truncate(MOST_DECISIONS);
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    let tls = node.tls.dial.load_full();
    let dialled = dial::dial(peer, tls, &node.config.limits, Arc::clone(&node.traffic)).await?;
    let mut client = dialled.client;
    let request = pb::DecisionsRequest {
        follow_ups: waiting.iter().map(|row| operator::id(row.id)).collect(),
    };
    let answer = timeout(node.config.limits.idle_stream, client.decisions(request)).await;
    let answer = answer.map_err(|_| NodeError::PeerIdle {
        peer: peer.name.clone(),
        seconds: node.config.limits.idle_stream.as_secs(),
    })?;
    let answer = answer
        .map_err(|status| dial::refusal(&peer.name, &status))?
        .into_inner();
    let decided = follow_up::ids("decided", &answer.decided).map_err(|source| NodeError::PeerWire {
        peer: peer.name.clone(),
        source,
    })?;
    let mut failed = Vec::new();
    for row in waiting.into_iter().filter(|row| decided.contains(&row.id)) {
        let id = row.id;
        if !fetch(node, row).await? {
            failed.push(id);
        }
    }
    Ok(failed)
}

/// Fetches a decision on behalf of who asked, as far as that user still may. False: there is none to be had.
async fn fetch(node: &Arc<Node>, row: FollowUp) -> Result<bool, NodeError> {
    let Some(user) = User::named(&row.person, &node.config) else {
        return Ok(false);
    };
    let running = Arc::clone(node);
    let decision = blocking(move || policy::ask_follow_up(&running, &user, (row, true), None, None, now())).await?;
    if decision.is_err() {
        // nobody asked just now, so nobody is refused
        return Ok(false);
    }
    match hits_service::ask(node, decision).await {
        Ok(row) => Ok(row.decision.is_some()),
        Err(error) => {
            tracing::warn!(reason = error.reason().name(), %error, "a decision was not fetched");
            Ok(false)
        }
    }
}

/// Which of a peer's follow-ups wait no more.
pub(crate) async fn of(node: &Arc<Node>, caller: &Certificate, wanted: Vec<Uuid>) -> Result<Vec<Uuid>, NodeError> {
    let peer = node.config.peers.iter().find(|peer| peer.id == caller.id);
    let peer = peer.map(|peer| peer.name.clone()).unwrap_or_default();
    let store = Arc::clone(&node.store);
    blocking(move || {
        let mut decided = Vec::new();
        for id in wanted {
            let row = store.follow_ups().get(true, id)?.filter(|row| row.peer == peer);
            if row.is_none_or(|row| row.standing(now()) != Standing::Pending) {
                decided.push(id);
            }
        }
        Ok::<_, NodeError>(decided)
    })
    .await?
}

/// What waits for a decision of this node, the first to lapse first.
pub(crate) async fn undecided(node: &Arc<Node>) -> Result<Vec<FollowUp>, NodeError> {
    let mut rows = rows(node, |row| row.as_holder && row.standing(now()) == Standing::Pending).await?;
    rows.sort_by_key(|row| row.decide_by);
    Ok(rows)
}

async fn rows(
    node: &Arc<Node>,
    wanted: impl Fn(&FollowUp) -> bool + Send + 'static,
) -> Result<Vec<FollowUp>, NodeError> {
    let store = Arc::clone(&node.store);
    let rows = blocking(move || {
        let rows = store.follow_ups().iter()?;
        rows.filter(|row| row.as_ref().map_or(true, &wanted))
            .collect::<Result<Vec<_>, StoreError>>()
    });
    Ok(rows.await??)
}

/// Reminds of decisions when three quarters of the time for them are over, until the node drains.
pub(crate) async fn remind(node: Arc<Node>) {
    loop {
        match undecided(&node).await {
            Ok(rows) => {
                let due = rows.iter().filter(|row| {
                    let (left, all) = (
                        row.decide_by.duration_since(now()),
                        row.decide_by.duration_since(row.made),
                    );
                    left.as_secs() * 4 < all.as_secs()
                });
                for row in due {
                    tracing::warn!(
                        follow_up = %row.id, peer = row.peer, decide_by = %row.decide_by,
                        "a hit waits for a functionary's decision, and lapses soon"
                    );
                }
            }
            Err(error) => tracing::error!(
                reason = error.reason().name(),
                "what waits for a decision cannot be read"
            ),
        }
        tokio::select! {
            () = node.draining.cancelled() => return,
            () = sleep(BETWEEN_REMINDERS) => {}
        }
    }
}
