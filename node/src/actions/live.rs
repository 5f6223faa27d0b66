//! Actions that run here: begun when all that it takes is there, and ended with everything that was made for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use overlap_agreement::ActionState;
use overlap_audit::{Digest, Operation, Outcome, Side};
use overlap_records::Kind;
use overlap_store::Alert;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Known,
    alerts::Alerts,
    answered::Answered,
    attend,
    connection::{Connection, Held},
    figures::{self, Counters},
    guard::Guard,
    recent::Recent,
    remembered::{self, Remembered},
    table::Tables,
};
use crate::{
    config::{Peer, Role},
    error::NodeError,
    node::{Node, now},
    policy::{self, User},
    pool::blocking,
    spine::{self, Finding},
};

/// An action that runs here.
pub(super) struct Live {
    pub(super) hash: Digest,
    pub(super) purpose: String,
    pub(super) kinds: BTreeSet<Kind>,
    pub(super) deadline: Duration,
    pub(super) escalate_after: Duration,
    /// Cancelled at its end.
    pub(super) ended: CancellationToken,
    pub(super) tables: Tables,
    pub(super) guard: Guard,
    /// Checks of partners that were answered here.
    pub(super) answered: Answered,
    pub(super) alerts: Alerts,
    pub(super) figures: Counters,
    partners: Mutex<BTreeMap<String, Arc<Partner>>>,
    pub(super) remembered: Remembered,
    verdicts: Mutex<Verdicts>,
}

/// Users' queries that the rules have allowed in one minute, under one policy.
#[derive(Default)]
struct Verdicts {
    at: (i64, Option<Digest>),
    allowed: BTreeMap<String, Role>,
}

/// Why a partner cannot be checked.
#[derive(Clone)]
pub(super) struct Why {
    pub(super) words: String,
    /// Whether something was refused, here or there: waiting does not help.
    pub(super) is_refusal: bool,
}

/// Another participant.
pub(super) struct Partner {
    pub(super) peer: Peer,
    /// Cancelled when it takes part no more.
    pub(super) left: CancellationToken,
    /// Told when something has changed that it may have been refused for.
    pub(super) again: Notify,
    connection: Mutex<Option<Arc<Connection>>>,
    kept: Mutex<Option<Arc<Held>>>,
    why: Mutex<Why>,
    denied: Mutex<Option<String>>,
    recent: Mutex<Recent>,
}

impl Partner {
    fn new(peer: Peer) -> Self {
        Self {
            peer,
            left: CancellationToken::new(),
            again: Notify::new(),
            connection: Mutex::default(),
            kept: Mutex::default(),
            why: Mutex::new(Why {
                words: "connecting".to_owned(),
                is_refusal: false,
            }),
            denied: Mutex::default(),
            recent: Mutex::default(),
        }
    }

    /// The stream that it can be checked by; otherwise why not.
    pub(super) fn connection(&self) -> Result<Arc<Connection>, Why> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let why = || self.why.lock().unwrap_or_else(PoisonError::into_inner).clone();
        connection.clone().ok_or_else(why)
    }

    pub(super) fn connect(&self, connection: &Arc<Connection>) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&connection.snapshot));
        *self.denied.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(connection));
    }

    /// Forgets the snapshot, when there is another.
    pub(super) fn forget(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(super) fn disconnect(&self) {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Says why it cannot be checked.
    pub(super) fn note(&self, words: String, is_refusal: bool) {
        let why = Why { words, is_refusal };
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Whether it was refused for the same reason before.
    pub(super) fn was_denied(&self, error: &NodeError) -> bool {
        let mut denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        denied.replace(error.to_string()) == Some(error.to_string())
    }

    /// The snapshot that was received last.
    pub(super) fn kept(&self) -> Option<Arc<Held>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What its holder is told of that.
    pub(super) fn has(&self) -> Option<([u8; 16], u64)> {
        self.kept().map(|held| (held.epoch, held.seen()))
    }

    pub(super) fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    fn start(node: &Node, known: &Known) -> Result<Self, NodeError> {
        let plan = known.plan();
        Ok(Self {
            hash: known.hash(),
            purpose: plan.purpose.clone(),
            kinds: plan.kinds.clone(),
            deadline: Duration::from_millis(plan.deadline_ms.into()),
            escalate_after: Duration::from_secs(plan.escalate_after_seconds.into()),
            ended: CancellationToken::new(),
            tables: Tables::default(),
            guard: Guard::default(),
            answered: Answered::default(),
            alerts: Alerts::load(&node.store, known.hash())?,
            figures: Counters::load(&node.store, known)?,
            partners: Mutex::default(),
            remembered: Remembered::new(known.hash()),
            verdicts: Mutex::default(),
        })
    }

    /// What is known of the action now.
    pub(super) fn known(&self, node: &Node) -> Result<Arc<Known>, NodeError> {
        let known = node.actions.get(&self.hash);
        known.ok_or(NodeError::Broken("an action runs that is not known"))
    }

    /// Whether it is time for checks, and claims.
    pub(super) fn is_running(&self, node: &Node) -> bool {
        self.known(node).is_ok_and(|known| known.check_running(now()).is_ok())
    }

    pub(super) fn partners(&self) -> Vec<Arc<Partner>> {
        self.lock_partners().values().cloned().collect()
    }

    fn lock_partners(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Partner>>> {
        self.partners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The role in which a user may check; judged once for like checks in a minute.
    pub(super) fn may_check(
        &self,
        node: &Node,
        user: &User,
        known: &Known,
        about: (&str, Option<&str>),
        kinds: &[Kind],
        now: Timestamp,
    ) -> Result<Role, NodeError> {
        const MOST: usize = 4096;
        let words: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
        let of = format!(
            "{}\n{}\n{}\n{}",
            user.id,
            about.0,
            about.1.unwrap_or_default(),
            words.join(",")
        );
        let at = (now.as_second().div_euclid(60), Some(node.rules.load().hash));
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        if verdicts.at != at || verdicts.allowed.len() >= MOST {
            *verdicts = Verdicts {
                at,
                allowed: BTreeMap::new(),
            };
        }
        if let Some(role) = verdicts.allowed.get(&of) {
            return Ok(*role);
        }
        let role = policy::action::may_check(node, user, known, about, kinds, now)?;
        verdicts.allowed.insert(of, role);
        Ok(role)
    }

    /// Stands at every other participant that has joined, and no longer at those that left.
    fn attend(self: &Arc<Self>, node: &Arc<Node>, known: &Known, has_changed: bool) {
        let joined = known.joined();
        let mut partners = self.lock_partners();
        partners.retain(|id, partner| {
            let stays = joined.contains(id);
            if !stays {
                partner.left.cancel();
            }
            stays
        });
        for peer in node.config.peers.iter().filter(|peer| joined.contains(&peer.id)) {
            if let Some(partner) = partners.get(&peer.id) {
                if has_changed {
                    partner.again.notify_waiters();
                }
                continue;
            }
            // who may not be asked by this node is no partner of its checks
            let held = node.agreements.get(&known.plan().agreement);
            let grant = held.map(|held| policy::action::grant_in(&held, known.plan(), &node.config.id, &peer.id));
            if !matches!(grant, Some(Ok(_))) {
                continue;
            }
            let partner = Arc::new(Partner::new(peer.clone()));
            partners.insert(peer.id.clone(), Arc::clone(&partner));
            node.queries
                .spawn(attend::run(Arc::clone(node), Arc::clone(self), partner));
        }
    }

    /// Forgets keys, snapshots and checks.
    fn wipe(&self) {
        self.ended.cancel();
        self.tables.clear();
        for partner in std::mem::take(&mut *self.lock_partners()).into_values() {
            partner.disconnect();
            partner.forget();
            *partner.recent() = Recent::default();
        }
        self.remembered.clear();
        self.guard.clear();
        self.answered.clear();
    }
}

/// Begins and ends actions, until the node drains.
pub(crate) async fn run(node: Arc<Node>) {
    let mut changed = node.agreements.changed.subscribe();
    let mut has_changed = true;
    // those that ended, of which nothing is left but numbers
    let mut over = BTreeSet::new();
    let mut is_swept = false;
    loop {
        if !is_swept {
            match sweep(&node).await {
                Ok(()) => is_swept = true,
                Err(error) => {
                    tracing::error!(reason = error.reason().name(), %error, "what actions have left was not erased");
                }
            }
        }
        for known in node.actions.all() {
            let settled = match over.contains(&known.hash()) {
                true => Ok(false),
                false => settle(&node, &known, has_changed).await,
            };
            match settled {
                Ok(true) => drop(over.insert(known.hash())),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(action = known.plan().id, reason = error.reason().name(), %error, "an action cannot begin or end");
                }
            }
        }
        let wait = tokio::time::sleep(Duration::from_secs(1));
        tokio::select! {
            () = node.draining.cancelled() => break,
            () = wait => has_changed = false,
            changed = changed.changed() => {
                if changed.is_err() { break }
                has_changed = true;
            }
        }
        for live in all(&node) {
            live.alerts.escalate(live.escalate_after, now());
            keep(&node, &live).await;
        }
    }
}

/// Puts on disk what has changed since the last second, when queries have ended and the node is about to.
pub(crate) async fn keep_all(node: &Arc<Node>) {
    for live in all(node) {
        keep(node, &live).await;
    }
}

/// Puts on disk what has changed in counters and checks: after a crash the last second is missing.
async fn keep(node: &Arc<Node>, live: &Live) {
    let kept = [live.figures.keep(node).await, live.remembered.keep(node).await];
    for error in kept.into_iter().filter_map(Result::err) {
        tracing::error!(reason = error.reason().name(), "counters or checks were not kept");
    }
}

pub(super) fn all(node: &Node) -> Vec<Arc<Live>> {
    let live = node.actions.live.lock().unwrap_or_else(PoisonError::into_inner);
    live.values().cloned().collect()
}

/// Keeps the snapshots of the actions that run as their datasets are, until the node drains. Looked at each second too: one may have been made
/// while its dataset changed.
pub(crate) async fn follow_data(node: Arc<Node>) {
    let mut data = node.store.changed();
    loop {
        tokio::select! {
            () = node.draining.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            changed = data.changed() => if changed.is_err() { return },
        }
        follow(&node).await;
    }
}

/// Takes what is new in a dataset into the snapshots of the actions that run.
async fn follow(node: &Arc<Node>) {
    for live in all(node) {
        let running = Arc::clone(node);
        let followed = blocking(move || live.tables.follow(&running)).await;
        if let Ok(Err(error)) | Err(error) = followed {
            tracing::error!(reason = error.reason().name(), %error, "new records are not in the snapshot of an action");
        }
    }
}

/// Begins or ends one action, as it stands now; gives whether it is over, here and for good.
async fn settle(node: &Arc<Node>, known: &Arc<Known>, has_changed: bool) -> Result<bool, NodeError> {
    let has_ended = known.state(now()) == ActionState::Ended;
    match (node.actions.begun(&known.hash()), is_to_run(node, known)) {
        // checks from before a restart are looked up like others
        (Some(live), true) if !live.remembered.is_restored() => {}
        (Some(live), true) => live.attend(node, known, has_changed),
        (None, true) => {
            let (running, beginning) = (Arc::clone(node), Arc::clone(known));
            let live = blocking(move || Live::start(&running, &beginning)).await??;
            let live = Arc::new(live);
            {
                let mut all = node.actions.live.lock().unwrap_or_else(PoisonError::into_inner);
                all.insert(known.hash(), Arc::clone(&live));
            }
            tracing::info!(action = known.plan().id, "an action begins");
            let running = Arc::clone(node);
            node.queries.spawn(async move {
                loop {
                    let (restoring, node) = (Arc::clone(&live), Arc::clone(&running));
                    let restored = blocking(move || restoring.remembered.restore(&node)).await;
                    let (Ok(Err(error)) | Err(error)) = restored else { break };
                    tracing::error!(reason = error.reason().name(), %error, "checks of before are not restored yet");
                    tokio::select! {
                        () = tokio::time::sleep(Duration::from_secs(1)) => {}
                        () = live.ended.cancelled() => return,
                        () = running.draining.cancelled() => return,
                    }
                }
                running.agreements.changed.send_modify(|count| *count += 1);
            });
        }
        (Some(live), false) => {
            live.wipe();
            // what is under way writes nothing behind the erasure
            live.alerts.close().await;
            live.figures.freeze(&live.alerts, has_ended);
            live.figures.keep(node).await?;
            // tried again until it is done
            erase(node, &[known.hash()].into(), known.plan().id.clone()).await?;
            live.alerts.clear();
            let mut all = node.actions.live.lock().unwrap_or_else(PoisonError::into_inner);
            all.remove(&known.hash());
            drop(all);
            tracing::info!(
                action = known.plan().id,
                "an action ended: keys, snapshots, checks and alerts are gone"
            );
        }
        (None, false) if has_ended => {
            let (store, known) = (Arc::clone(&node.store), Arc::clone(known));
            blocking(move || figures::forget_left(&store, &known)).await??;
        }
        (None, false) => return Ok(false),
    }
    Ok(has_ended)
}

/// Whether an action is to run here.
fn is_to_run(node: &Node, known: &Known) -> bool {
    let runs = matches!(
        known.state(now()),
        ActionState::Waiting | ActionState::Running | ActionState::Paused
    );
    // keys do not outlive the agreement that they were made under
    let holds = || policy::action::agreement_of(node, known.plan(), now()).is_ok();
    runs && known.joined_here.is_some() && known.joined().contains(&node.config.id) && holds()
}

/// Erases what actions have left that do not run any more: a node may have been down at the end of one.
async fn sweep(node: &Arc<Node>) -> Result<(), NodeError> {
    let store = Arc::clone(&node.store);
    let left = blocking(move || {
        let alerts = store.alerts().iter()?;
        let alerts = alerts.map(|alert| Ok(alert?.action));
        let checks = remembered::actions(&store)?.into_iter().map(Ok);
        alerts.chain(checks).collect::<Result<BTreeSet<Digest>, NodeError>>()
    })
    .await??;
    let over: BTreeSet<Digest> = left
        .into_iter()
        .filter(|hash| {
            let known = node.actions.get(hash);
            known.is_none_or(|known| !is_to_run(node, &known))
        })
        .collect();
    match over.is_empty() {
        true => Ok(()),
        false => erase(node, &over, "that ended while the node was down".to_owned()).await,
    }
}

/// Erases the checks and the alerts of actions, with what was told behind these; an entry.
async fn erase(node: &Arc<Node>, actions: &BTreeSet<Digest>, which: String) -> Result<(), NodeError> {
    let mut entry = policy::blank_entry(Operation::Erasure, Side::Holder, now(), Uuid::now_v7());
    entry.policy_hash = Some(node.rules.load().hash);
    entry.holder = Some(node.config.id.clone());
    entry.mode = Some("action".to_owned());
    entry.reason = Some(format!(
        "the end of action {which}: its checks, its alerts, and what was told behind them"
    ));
    let (store, actions) = (Arc::clone(&node.store), actions.clone());
    spine::logged(node, entry, async move {
        // no functionary decides meanwhile, and no follow-up comes back; hits of other actions wait no longer than that
        let deciding = node.deciding.lock().await;
        let (removed, is_removed) = tokio::sync::oneshot::channel();
        let erasing = blocking(move || {
            let is_gone = |alert: &Alert| actions.contains(&alert.action);
            let erased = store.alerts().erase(store.follow_ups(), is_gone, || {
                // nobody waits for it if this fails
                let _ = removed.send(());
            })?;
            remembered::erase(&store, |action| actions.contains(action))?;
            Ok::<_, NodeError>(erased)
        });
        let released = async {
            let _ = is_removed.await;
            drop(deciding);
        };
        let (erased, ()) = tokio::join!(erasing, released);
        let erased = erased??;
        let finding = Finding {
            output_count: Some(erased),
            ..Finding::default()
        };
        Ok((Outcome::Done, finding, ()))
    })
    .await
}
