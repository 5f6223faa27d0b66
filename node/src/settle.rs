//! Agreements and revocations on their way between nodes: each tells the others what it has, and takes in what they have.

use std::{sync::Arc, time::Duration};

use overlap_agreement::{Agreement, Subject};
use overlap_audit::{Digest, Entry, Operation, Outcome, Side};
use overlap_proto::{
    agreement::{Introduction, Settle},
    fault::Reason,
    pb::peer::{self as pb, peer_service_client::PeerServiceClient},
};
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use uuid::Uuid;

use crate::{
    agreements::{Held, Merged, Standing},
    config::Peer,
    dial::{self, Dialled},
    error::NodeError,
    identity::{Certificate, sha256},
    node::{Node, now},
    policy::{self, Denial},
    pool::blocking,
    spine,
};

type Client = PeerServiceClient<Channel>;

/// The longest wait after a peer could not be reached.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Tells one peer what it has not heard, until the node drains.
pub(crate) async fn run(node: Arc<Node>, peer: Peer) {
    let mut changed = node.agreements.changed.subscribe();
    let mut failures = 0u32;
    loop {
        if let Err(error) = round(&node, &peer).await {
            failures += 1;
            tracing::warn!(peer = peer.name, reason = error.reason().name(), %error, "no word about agreements");
        } else {
            failures = 0;
        }
        let wait = match failures {
            0 => None,
            failures => Some(Duration::from_secs(1 << failures.min(9)).min(LONGEST_WAIT)),
        };
        let pause = async {
            match wait {
                Some(wait) => sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = node.draining.cancelled() => return,
            () = pause => {}
            changed = changed.changed() => if changed.is_err() { return },
        }
    }
}

async fn round(node: &Arc<Node>, peer: &Peer) -> Result<(), NodeError> {
    let agreements = node.agreements.all();
    let due: Vec<_> = agreements.iter().filter(|held| is_due(node, held, peer)).collect();
    let orders = due_orders(node, peer);
    if due.is_empty() && orders.is_empty() {
        return Ok(());
    }
    let (mut client, certificate) = dial(node, peer).await?;
    let mut failed = None;
    for held in due {
        match tell(node, peer, &mut client, &certificate, held).await {
            Ok(()) => {}
            // what it will not take is not sent again, until something that is agreed with it changes
            Err(error @ NodeError::PeerRefused { .. }) => {
                tracing::warn!(peer = peer.name, %error, "an agreement is not taken");
                note(node, peer, held.hash(), held.digest());
            }
            Err(error) => failed = Some(error),
        }
    }
    for (hash, statements) in orders {
        let digest = digest_of(&statements);
        let settle = Settle {
            agreement: None,
            statements,
        };
        match send(node, peer, &mut client, &settle).await {
            Ok(_) => note(node, peer, hash, digest),
            // it knows no such authority: told again when what is agreed with it changes
            Err(NodeError::PeerRefused { .. }) => note(node, peer, hash, digest),
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(()), Err)
}

fn is_due(node: &Node, held: &Held, peer: &Peer) -> bool {
    let agreement = held.agreement();
    // what nobody can use any more needs no words, but for that it was ended
    let is_over = matches!(node.agreements.standing(held, now()), Standing::Expired);
    agreement.party(&peer.id).is_some()
        && agreement.party(&node.config.id).is_some()
        && !is_over
        && !is_told(node, peer, held.hash(), held.digest())
}

type Statements = Vec<overlap_agreement::Signed<overlap_agreement::Statement>>;

/// Revocations of orders that name the peer.
fn due_orders(node: &Node, peer: &Peer) -> Vec<(Digest, Statements)> {
    let names = |order: &overlap_agreement::Order| order.asker == peer.id || order.holders.contains(&peer.id);
    let orders = node.orders.all().into_iter().filter(|(hash, held)| {
        !held.statements.is_empty()
            && held.signed.as_ref().is_some_and(|order| names(order.document()))
            && !is_told(node, peer, *hash, digest_of(&held.statements))
    });
    orders.map(|(hash, held)| (hash, held.statements.clone())).collect()
}

fn digest_of(statements: &Statements) -> Digest {
    let mut hashes: Vec<String> = statements.iter().map(|one| one.hash().to_string()).collect();
    hashes.sort();
    sha256(hashes.join(" ").as_bytes())
}

fn is_told(node: &Node, peer: &Peer, document: Digest, digest: Digest) -> bool {
    let told = node.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    told.get(&(peer.id.clone(), document)) == Some(&digest)
}

fn note(node: &Node, peer: &Peer, document: Digest, digest: Digest) {
    let mut told = node.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    told.insert((peer.id.clone(), document), digest);
}

async fn dial(node: &Arc<Node>, peer: &Peer) -> Result<(Client, Certificate), NodeError> {
    let tls = node.tls.dial.load_full();
    let Dialled {
        client, certificate, ..
    } = dial::dial(peer, tls, &node.config.limits, Arc::clone(&node.traffic)).await?;
    Ok((client, certificate))
}

/// Asks a peer's node who it is; the key is the one that its certificate carries.
pub(crate) async fn introduce(node: &Arc<Node>, peer: &Peer) -> Result<(Introduction, Digest), NodeError> {
    let (mut client, certificate) = dial(node, peer).await?;
    let answer = client.introduce(pb::IntroduceRequest {}).await;
    let answer = answer
        .map_err(|status| dial::refusal(&peer.name, &status))?
        .into_inner();
    let introduction = Introduction::try_from(answer).map_err(|source| NodeError::PeerWire {
        peer: peer.name.clone(),
        source,
    })?;
    Ok((introduction, certificate.key))
}

/// Tells every other party of an agreement, at once; says of each by name whether it has heard.
pub(crate) async fn tell_all(node: &Arc<Node>, held: &Arc<Held>) -> Vec<(String, Result<(), NodeError>)> {
    let others = held
        .agreement()
        .parties
        .iter()
        .filter(|party| party.id != node.config.id);
    let telling = others.map(|party| async {
        let peer = node.config.peers.iter().find(|peer| peer.id == party.id);
        let told = async {
            let peer = peer
                .ok_or_else(|| NodeError::refused(Reason::NotFound, format!("no peer of this node is {}", party.id)))?;
            if is_told(node, peer, held.hash(), held.digest()) {
                return Ok(());
            }
            let (mut client, certificate) = dial(node, peer).await?;
            tell(node, peer, &mut client, &certificate, held).await
        };
        (party.name.clone(), told.await)
    });
    futures::future::join_all(telling).await
}

async fn tell(
    node: &Arc<Node>,
    peer: &Peer,
    client: &mut Client,
    certificate: &Certificate,
    held: &Arc<Held>,
) -> Result<(), NodeError> {
    let agreement = held.agreement();
    if let Some(party) = agreement.party(&peer.id) {
        dial::check_key(certificate, peer, &party.key, &agreement.id)?;
    }
    let answer = send(node, peer, client, &held.settle()).await?;
    let Some(theirs) = answer.agreement.filter(|theirs| theirs.hash() == held.hash()) else {
        return Err(NodeError::PeerWire {
            peer: peer.name.clone(),
            source: overlap_proto::WireError {
                field: "agreement",
                must: "must be the one that was sent",
            },
        });
    };
    // What it has now is what it answered. This node may have come to know more since it sent its own, which is then still to be told.
    let has = Held {
        signed: (*theirs).clone(),
        statements: answer.statements.clone(),
        received: held.received,
    };
    let merged = merge(node, &peer.id, *theirs, answer.statements).await?;
    log_news(node, &peer.id, &merged).await?;
    note(node, peer, has.hash(), has.digest());
    Ok(())
}

/// Sends what this node has; the answer comes within the limit on connecting, or the peer is told later.
async fn send(node: &Arc<Node>, peer: &Peer, client: &mut Client, settle: &Settle) -> Result<Settle, NodeError> {
    let limit = node.config.limits.connect;
    let answer = timeout(limit, client.settle(pb::SettleRequest::from(settle))).await;
    let answer = answer.map_err(|_| NodeError::Unreachable {
        peer: peer.name.clone(),
        why: format!("no answer within {limit:?} (limit connect)"),
    })?;
    let answer = answer
        .map_err(|status| dial::refusal(&peer.name, &status))?
        .into_inner();
    Settle::try_from(answer).map_err(|source| NodeError::PeerWire {
        peer: peer.name.clone(),
        source,
    })
}

async fn merge(
    node: &Arc<Node>,
    from: &str,
    agreement: overlap_agreement::Signed<Agreement>,
    statements: Statements,
) -> Result<Merged, NodeError> {
    let running = Arc::clone(node);
    let from = from.to_owned();
    blocking(move || {
        let own = running.config.signing_key.public().thumbprint();
        running
            .agreements
            .merge(&agreement, &statements, Some(&from), &own, now())
    })
    .await?
}

/// Takes in what a peer has, and answers with what this node has of it.
pub(crate) async fn take(
    node: &Arc<Node>,
    caller: &Certificate,
    message: pb::SettleRequest,
) -> Result<Settle, NodeError> {
    let taken = try_take(node, caller, message).await;
    match taken {
        Err(error @ (NodeError::Refused { .. } | NodeError::Request(_))) => {
            let mut entry = entry(node, &caller.id, None);
            entry.caller_certificate = Some(caller.thumbprint);
            Err(spine::deny(node, Denial { entry, error }).await)
        }
        taken => taken,
    }
}

async fn try_take(node: &Arc<Node>, caller: &Certificate, message: pb::SettleRequest) -> Result<Settle, NodeError> {
    let Some(peer) = node.config.peers.iter().find(|peer| peer.id == caller.id) else {
        let message = format!("{} is no peer of {}", caller.id, node.config.name);
        return Err(NodeError::refused(Reason::UnknownCaller, message));
    };
    // signatures are checked once it is known who sent them
    let settle = blocking(move || Settle::try_from(message)).await??;
    let Some(agreement) = settle.agreement else {
        return take_statements(node, caller, settle.statements).await;
    };
    let says = agreement.document();
    let denied = |message: String| Err(NodeError::refused(Reason::AgreementDenied, message));
    match says.party(&caller.id) {
        None => return denied(format!("{} is no party to agreement {}", peer.name, says.id)),
        Some(party) if party.key != caller.key => {
            return denied(format!("agreement {} pins another key for {}", says.id, peer.name));
        }
        Some(_) => {}
    }
    if says.party(&node.config.id).is_none() {
        return denied(format!("{} is no party to agreement {}", node.config.name, says.id));
    }
    if agreement.signers().next().is_none() {
        return denied(format!("agreement {} is signed by nobody", says.id));
    }
    let merged = merge(node, &caller.id, *agreement, settle.statements).await?;
    log_news(node, &caller.id, &merged).await?;
    note(node, peer, merged.held.hash(), merged.held.digest());
    Ok(merged.held.settle())
}

async fn take_statements(node: &Arc<Node>, caller: &Certificate, statements: Statements) -> Result<Settle, NodeError> {
    for statement in statements {
        if statement.document().about != Subject::Order {
            let message = "a statement about an agreement comes with that agreement";
            return Err(NodeError::refused(Reason::InvalidRequest, message));
        }
        let hash = statement.document().hash;
        let running = Arc::clone(node);
        let is_new = blocking(move || running.orders.revoke(&statement, &running.agreements, now())).await??;
        if is_new {
            let mut entry = entry(node, &caller.id, None);
            entry.order_hash = Some(hash);
            let detail = Some("an order was revoked by its authority".to_owned());
            spine::record(node, entry, Outcome::Done, detail).await?;
        }
    }
    Ok(Settle {
        agreement: None,
        statements: Vec::new(),
    })
}

async fn log_news(node: &Arc<Node>, from: &str, merged: &Merged) -> Result<(), NodeError> {
    if merged.news.is_empty() {
        return Ok(());
    }
    node.told
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .retain(|(peer, _), _| peer != from);
    let entry = entry(node, from, Some(&merged.held));
    spine::record(node, entry, Outcome::Done, Some(merged.news.join("; "))).await
}

/// The entry of a change in what is agreed, which another agency told.
fn entry(node: &Node, from: &str, held: Option<&Held>) -> Entry {
    let mut entry = policy::blank_entry(Operation::Alteration, Side::Holder, now(), Uuid::now_v7());
    entry.policy_hash = Some(node.rules.load().hash);
    entry.asker = Some(from.to_owned());
    entry.holder = Some(node.config.id.clone());
    if let Some(held) = held {
        entry.agreement = Some(held.agreement().id.clone());
        entry.agreement_hash = Some(held.hash());
    }
    entry
}
