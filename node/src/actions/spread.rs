//! Plans, steps and words about alerts on their way between nodes: each tells the others what it has, and takes in what they have.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use overlap_agreement::ActionState;
use overlap_audit::{Entry, Operation, Outcome, Side};
use overlap_proto::{
    WireError,
    action::Convey,
    fault::Reason,
    pb::peer::{self as pb, action_service_client::ActionServiceClient},
};
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use uuid::Uuid;

use super::{Known, known::digest_of};
use crate::{
    config::Peer,
    dial::{self, Dialled},
    error::NodeError,
    identity::Certificate,
    node::{Node, now},
    policy::{self, Denial},
    pool::blocking,
    spine,
};

type Client = ActionServiceClient<Channel>;

/// The longest wait after a peer could not be reached: on the day every second counts.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How often is looked for what nobody was waked for.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Tells one peer what it has not heard, until the node drains.
pub(crate) async fn run(node: Arc<Node>, peer: Peer) {
    let mut changed = node.agreements.changed.subscribe();
    let mut due = node.actions.due.subscribe();
    let mut failures = 0u32;
    loop {
        if let Err(error) = round(&node, &peer).await {
            failures += 1;
            tracing::warn!(peer = peer.name, reason = error.reason().name(), %error, "no word about actions");
        } else {
            failures = 0;
        }
        let pause = async {
            match failures {
                // what an asker should have spoken of, and did not
                0 => sleep(LOOK_AGAIN).await,
                failures => sleep(Duration::from_secs(1 << failures.min(5)).min(LONGEST_WAIT)).await,
            }
        };
        tokio::select! {
            () = node.draining.cancelled() => return,
            () = pause => {}
            changed = changed.changed() => if changed.is_err() { return },
            changed = due.changed() => if changed.is_err() { return },
        }
    }
}

async fn round(node: &Arc<Node>, peer: &Peer) -> Result<(), NodeError> {
    let due: Vec<Arc<Known>> = node
        .actions
        .all()
        .into_iter()
        .filter(|known| is_due(node, known, peer))
        .collect();
    if due.is_empty() {
        return Ok(());
    }
    let (mut client, certificate) = dial(node, peer).await?;
    let mut failed = None;
    for known in due {
        match tell(node, peer, &mut client, &certificate, &known).await {
            Ok(()) => {}
            // what it will not take is not sent again, until something changes
            Err(error @ NodeError::PeerRefused { .. }) => {
                tracing::warn!(peer = peer.name, %error, "an action is not taken");
                note(node, peer, &known);
            }
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Whether a peer is to be told: it takes part, and has not heard all that this node may say.
fn is_due(node: &Node, known: &Known, peer: &Peer) -> bool {
    let is_own = known.plan().coordinator == node.config.id;
    let words = || {
        let live = node.actions.live(&known.hash());
        live.is_some_and(|live| !live.alerts.words(&node.config, peer, now()).is_empty())
    };
    known.concerns(&peer.id)
        && (known.is_invited || !is_own)
        && !is_over(known, now())
        && (!is_told(node, peer, known) || words())
}

/// Whether it ended so long ago that nobody needs to hear of it any more.
fn is_over(known: &Known, now: Timestamp) -> bool {
    now.duration_since(known.plan().until) > jiff::SignedDuration::from_hours(24)
}

fn is_told(node: &Node, peer: &Peer, known: &Known) -> bool {
    let told = node.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    told.get(&(peer.id.clone(), known.hash())) == Some(&known.digest())
}

fn note(node: &Node, peer: &Peer, known: &Known) {
    let mut told = node.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    told.insert((peer.id.clone(), known.hash()), known.digest());
}

async fn dial(node: &Arc<Node>, peer: &Peer) -> Result<(Client, Certificate), NodeError> {
    let tls = node.tls.dial.load_full();
    let Dialled {
        actions, certificate, ..
    } = dial::dial(peer, tls, &node.config.limits, Arc::clone(&node.traffic)).await?;
    Ok((actions, certificate))
}

/// Tells every other agency of an action, at once; says of each by name whether it has heard.
pub(super) async fn tell_all(node: &Arc<Node>, known: &Arc<Known>) -> Vec<(String, Result<(), NodeError>)> {
    let plan = known.plan();
    let all = plan.participants.iter().chain([&plan.coordinator]);
    let others: std::collections::BTreeSet<&String> = all.filter(|id| **id != node.config.id).collect();
    let telling = others.into_iter().map(|id| async move {
        let peer = node.config.peers.iter().find(|peer| peer.id == *id);
        let told = async {
            let peer =
                peer.ok_or_else(|| NodeError::refused(Reason::NotFound, format!("no peer of this node is {id}")))?;
            let (mut client, certificate) = dial(node, peer).await?;
            tell(node, peer, &mut client, &certificate, known).await
        };
        (peer.map_or_else(|| id.clone(), |peer| peer.name.clone()), told.await)
    });
    futures::future::join_all(telling).await
}

async fn tell(
    node: &Arc<Node>,
    peer: &Peer,
    client: &mut Client,
    certificate: &Certificate,
    known: &Arc<Known>,
) -> Result<(), NodeError> {
    let plan = known.plan();
    if let Some(held) = node.agreements.get(&plan.agreement)
        && let Some(party) = held.agreement().party(&peer.id)
    {
        dial::check_key(certificate, peer, &party.key, &held.agreement().id)?;
    }
    let live = node.actions.live(&known.hash());
    let mut convey = known.convey();
    if let Some(live) = &live {
        convey.words = live.alerts.words(&node.config, peer, now());
    }
    let limit = node.config.limits.connect;
    let answer = timeout(limit, client.convey(pb::ConveyRequest::from(&convey))).await;
    let answer = answer.map_err(|_| NodeError::Unreachable {
        peer: peer.name.clone(),
        why: format!("no answer within {limit:?} (limit connect)"),
    })?;
    let answer = answer
        .map_err(|status| dial::refusal(&peer.name, &status))?
        .into_inner();
    let wire = |source| NodeError::PeerWire {
        peer: peer.name.clone(),
        source,
    };
    // signatures are checked
    let theirs = blocking(move || Convey::try_from(answer)).await?.map_err(wire)?;
    if theirs.plan.hash() != known.hash() {
        let must = "must be the one that was sent";
        return Err(wire(WireError { field: "plan", must }));
    }
    if let Some(live) = &live {
        live.alerts.told(node, &convey.words).await?;
    }
    let now = take_in(node, &peer.id, theirs.clone()).await?;
    // this node may have come to know more since: that is still to be told
    if now.digest() == digest_of(&theirs.steps) {
        note(node, peer, &now);
    }
    Ok(())
}

/// Merges what a peer has of an action, and logs what is new.
async fn take_in(node: &Arc<Node>, from: &str, convey: Convey) -> Result<Arc<Known>, NodeError> {
    let plan = convey.plan.document();
    let held = node.agreements.get(&plan.agreement).ok_or_else(|| {
        let message = format!(
            "{} has no agreement {} of action {}",
            node.config.name, plan.agreement, plan.id
        );
        NodeError::refused(Reason::AgreementDenied, message)
    })?;
    let running = Arc::clone(node);
    let merged = blocking(move || running.actions.merge(&convey, &held, |_| {}, now()));
    let (known, news) = merged.await??;
    if !news.is_empty() {
        node.agreements.changed.send_modify(|count| *count += 1);
        let mut entry = policy::blank_entry(Operation::Alteration, Side::Holder, now(), Uuid::now_v7());
        describe(&mut entry, node, &known);
        // word of an action is no query, and has no twin
        entry.purpose = None;
        entry.asker = Some(from.to_owned());
        spine::record(node, entry, Outcome::Done, Some(news.join("; "))).await?;
    }
    Ok(known)
}

/// What an entry about an action says of it.
pub(super) fn describe(entry: &mut Entry, node: &Node, known: &Known) {
    let plan = known.plan();
    entry.policy_hash = Some(node.rules.load().hash);
    entry.holder = Some(node.config.id.clone());
    entry.purpose = Some(plan.purpose.clone());
    entry.case_reference = Some(plan.case_reference.clone());
    entry.kinds = plan.kinds.iter().map(ToString::to_string).collect();
    entry.roles = plan.roles.iter().map(ToString::to_string).collect();
    entry.mode = Some("action".to_owned());
    entry.agreement_hash = Some(plan.agreement);
    if let Some(held) = node.agreements.get(&plan.agreement) {
        entry.agreement = Some(held.agreement().id.clone());
    }
}

/// Takes in what a peer has, and answers with what this node has of it.
pub(super) async fn take(
    node: &Arc<Node>,
    caller: &Certificate,
    message: pb::ConveyRequest,
) -> Result<Convey, NodeError> {
    match try_take(node, caller, message).await {
        Err(error @ (NodeError::Refused { .. } | NodeError::Request(_))) => {
            let mut entry = policy::blank_entry(Operation::Alteration, Side::Holder, now(), Uuid::now_v7());
            entry.policy_hash = Some(node.rules.load().hash);
            entry.asker = Some(caller.id.clone());
            entry.holder = Some(node.config.id.clone());
            entry.mode = Some("action".to_owned());
            entry.caller_certificate = Some(caller.thumbprint);
            Err(spine::deny(node, Denial { entry, error }).await)
        }
        taken => taken,
    }
}

async fn try_take(node: &Arc<Node>, caller: &Certificate, message: pb::ConveyRequest) -> Result<Convey, NodeError> {
    let peer = node
        .config
        .peers
        .iter()
        .find(|peer| peer.id == caller.id)
        .ok_or_else(|| {
            let message = format!("{} is no peer of {}", caller.id, node.config.name);
            NodeError::refused(Reason::UnknownCaller, message)
        })?;
    // signatures are checked once it is known who sent them
    let mut convey = blocking(move || Convey::try_from(message)).await??;
    let plan = convey.plan.document();
    let denied = |message: String| Err(NodeError::refused(Reason::AgreementDenied, message));
    let concerns = |id: &String| plan.coordinator == *id || plan.participants.contains(id);
    for (id, name) in [(&caller.id, &peer.name), (&node.config.id, &node.config.name)] {
        if !concerns(id) {
            return denied(format!("{name} takes no part in action {}", plan.id));
        }
    }
    let held = policy::action::agreement_of(node, plan, now())?;
    if held
        .agreement()
        .party(&caller.id)
        .is_none_or(|party| party.key != caller.key)
    {
        return denied(format!(
            "agreement {} pins another key for {}",
            held.agreement().id,
            peer.name
        ));
    }
    let words = std::mem::take(&mut convey.words);
    let known = take_in(node, &caller.id, convey).await?;
    if !words.is_empty() {
        // an action that has ended here has no alerts any more: what is said of them goes with them
        if let Some(live) = node.actions.live(&known.hash()) {
            live.alerts.hear(node, &live, peer, words).await?;
        } else if known.state(now()) != ActionState::Ended && known.joined_here.is_some() {
            return Err(NodeError::Draining);
        }
    }
    Ok(known.convey())
}

/// How many alerts nobody has claimed.
pub(super) fn unclaimed(node: &Node, known: &Known) -> u64 {
    let live = node.actions.live(&known.hash());
    live.map_or(0, |live| live.alerts.unclaimed())
}
