//! What a partner missed while it was away, or this side could not say: checks and claims that are made again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use overlap_store::Alert;
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
/// How long those that are left, and all under way, are waited for.
const UNDER_WAY: Duration = Duration::from_millis(500);

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
    let all = |alert: &Alert| alert.peer == partner.peer.name;
    if live.alerts.tell_again(&node, all).await.is_err() {
        return;
    }
    // beside those that users make now, which have the other half of the minute
    let pace = pace(&node, &live);
    let mut tried: BTreeMap<Uuid, usize> = BTreeMap::new();
    // users whose amount of the day is used up
    let mut spent = BTreeSet::new();
    loop {
        if !may_go_on(&node, &live, &partner, &connection).await {
            return;
        }
        let mut left = live.remembered.all();
        left.retain(|asked| {
            let tries = tried.get(&asked.id).copied().unwrap_or_default();
            let is_over = tries >= MOST_TRIES || spent.contains(&asked.grounds.person);
            !is_over && !asked.is_answered_at(&partner.peer.id, connection.snapshot.epoch)
        });
        if left.is_empty() {
            return;
        }
        let next = left
            .into_iter()
            .find_map(|asked| Some((asked.begin_at(&partner.peer.id)?, asked)));
        let wait = match next {
            // they may still be answered, or fail
            None => UNDER_WAY,
            Some((under_way, asked)) => {
                let again = Arc::clone(&asked);
                let Ok(Ok(blinded)) = node.pool.run_short(move || blind(&again)).await else {
                    return;
                };
                let answer = ask_one(&node, &live, &partner, &asked, &Arc::new(blinded)).await;
                drop(under_way);
                // it may have left in between, and have lost what this side's people did
                let found: BTreeSet<Uuid> = answer.alerts.iter().map(|alert| alert.id).collect();
                let found = |alert: &Alert| !alert.as_holder && found.contains(&alert.id);
                if !answer.alerts.is_empty() && live.alerts.tell_again(&node, found).await.is_err() {
                    return;
                }
                let tries = tried.entry(asked.id).or_default();
                match answer.limit.as_deref() {
                    Some("checks_per_minute") => {
                        *tries += 1;
                        pace.max(Duration::from_secs(2))
                    }
                    // what is left would be refused as well, and each be an entry on both sides
                    Some(limit @ "items_per_day") => {
                        let partner = &partner.peer.name;
                        tracing::warn!(partner, limit, "checks of the day are not made again");
                        return;
                    }
                    Some("items_per_user_and_day") => {
                        spent.insert(asked.grounds.person.clone());
                        pace
                    }
                    _ => {
                        *tries = MOST_TRIES;
                        pace
                    }
                }
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
