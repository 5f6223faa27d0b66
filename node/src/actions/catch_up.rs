//! What a partner missed while it was away, or this side could not say: checks and claims that are made again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    check::{ask_one, blind},
    claim,
    connection::Connection,
    live::{Live, Partner},
    recent::Found,
};
use crate::node::Node;

/// How often a check that met the limit of a minute is tried again at a partner that came back.
const MOST_TRIES: usize = 60;

/// Claims what was found of checks that were answered before.
pub(super) async fn claim_all(
    node: Arc<Node>,
    live: Arc<Live>,
    partner: Arc<Partner>,
    connection: Arc<Connection>,
    found: Vec<Found>,
) {
    for one in found {
        let Some((_, check)) = one.asked.answer_of(&partner.peer.id) else {
            continue;
        };
        if let Err(error) = claim::claim(&node, &live, &partner, &connection, &one, check).await {
            tracing::warn!(partner = partner.peer.name, %error, "what was found is claimed later");
            partner.recent().release(&one, std::time::Instant::now());
        }
    }
}

/// What a partner missed while it was away: claims that a broken link cut, and, under a new key, the checks of the day.
pub(super) async fn catch_up(node: Arc<Node>, live: Arc<Live>, partner: Arc<Partner>, connection: Arc<Connection>) {
    let left = partner.recent().left(&node.config.profile, &connection.snapshot);
    claim_all(
        Arc::clone(&node),
        Arc::clone(&live),
        Arc::clone(&partner),
        Arc::clone(&connection),
        left,
    )
    .await;
    if live.alerts.tell_again(&node, &partner.peer.name).await.is_err() {
        return;
    }
    // beside those that users make now, which have the other half of the minute
    let pace = pace(&node, &live);
    let mut tried: BTreeMap<Uuid, usize> = BTreeMap::new();
    while let Some(asked) = live.remembered.all().into_iter().find(|asked| {
        let tries = tried.get(&asked.id).copied().unwrap_or_default();
        tries < MOST_TRIES && !asked.is_settled_at(&partner.peer.id, connection.snapshot.epoch)
    }) {
        if !may_go_on(&node, &live, &partner, &connection).await {
            return;
        }
        let Some(_under_way) = asked.begin_at(&partner.peer.id) else {
            continue;
        };
        let again = Arc::clone(&asked);
        let Ok(Ok(blinded)) = node.pool.run_short(move || blind(&again)).await else {
            return;
        };
        let answer = ask_one(&node, &live, &partner, &asked, &Arc::new(blinded)).await;
        // it may have left in between, and have lost what this side's people did
        if !answer.alerts.is_empty() && live.alerts.tell_again(&node, &partner.peer.name).await.is_err() {
            return;
        }
        let tries = tried.entry(asked.id).or_default();
        let wait = match answer.limit.as_deref() {
            Some("checks_per_minute") => {
                *tries += 1;
                pace.max(Duration::from_secs(2))
            }
            // what is left would be refused as well, and each be an entry on both sides
            Some(limit @ "items_per_day") => {
                tracing::warn!(
                    partner = partner.peer.name,
                    limit,
                    "checks of the day are not made again"
                );
                return;
            }
            _ => {
                *tries = MOST_TRIES;
                pace
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = live.ended.cancelled() => return,
            () = node.draining.cancelled() => return,
        }
    }
}

/// How long there is between checks that are made again.
fn pace(node: &Node, live: &Live) -> Duration {
    let known = live.known(node);
    known.map_or(Duration::ZERO, |known| {
        Duration::from_secs(120) / known.plan().checks_per_minute.max(1)
    })
}

/// Waits while an action is paused; false: the stream has ended, or the action.
async fn may_go_on(node: &Node, live: &Live, partner: &Partner, connection: &Arc<Connection>) -> bool {
    loop {
        let current = partner.connection();
        let is_current = current.is_ok_and(|current| Arc::ptr_eq(&current, connection));
        if !is_current || live.ended.is_cancelled() || node.draining.is_cancelled() {
            return false;
        }
        if live.is_running(node) {
            return true;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
