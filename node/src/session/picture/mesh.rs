//! The mesh: every participant has its items evaluated by every other one.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
    time::Duration,
};

use futures::future::try_join_all;
use overlap_proto::{
    fault::Reason,
    pb::peer as pb,
    picture::{self, Asked},
};
use overlap_psi::{
    PeerMisbehaved,
    joint::{Blinded, Evaluated, Evaluator, Owner},
};
use overlap_store::{Member, SealedSorter};
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Status, Streaming};

use super::{WINDOW, bound, part::Part, rounds::Round, telling::Work, together};
use crate::{
    config::Peer,
    dial::{self, Dialled},
    error::NodeError,
    identity::Certificate,
    node::Node,
    pool::blocking,
    session::{misuse_of, send, send_blocking, spill_directory},
};

/// Bytes of one line that a participant sorts: pseudonym, what it tells of it, and where it finds the item again.
pub(super) const LINE: usize = 16 + 4 + overlap_store::LINK;

/// Why a participant could not make its list.
pub(super) enum Fault {
    /// Its own fault, or the coordinator's.
    Own(NodeError),
    /// Another participant did not do its part.
    Other {
        /// Its id.
        id: String,
        error: NodeError,
    },
}

impl From<NodeError> for Fault {
    fn from(error: NodeError) -> Self {
        Self::Own(error)
    }
}

/// A stream to another participant.
struct Other {
    id: String,
    name: String,
    /// None once all was sent.
    requests: Option<mpsc::Sender<pb::EvaluateRequest>>,
    answers: Streaming<pb::EvaluateResponse>,
}

/// Makes the own list: a line for each item, unsorted.
pub(super) async fn lines(
    node: &Arc<Node>,
    part: &Arc<Part>,
    round: &Arc<Round>,
    work: &Work,
) -> Result<SealedSorter<LINE>, Fault> {
    let roster = round.roster.document();
    let own = &node.config.id;
    let rest = roster.participants.iter().filter(|one| one.id != *own);
    let keys = rest.clone().map(|one| picture::key_of(&one.key));
    let keys = keys.collect::<Result<Vec<_>, _>>().map_err(NodeError::Request)?;
    let mut others = try_join_all(rest.map(|one| work.wait_for(&one.id, connect(node, part, round, &one.id)))).await?;
    let mut owner = Owner::start(
        round.share.clone(),
        keys,
        bound(&round.roster),
        part.size,
        &mut rand::rng(),
    );
    let mut chunks = read(node, part, together(roster.participants.len()))?;
    let directory = spill_directory(node).map_err(|error| NodeError::from(overlap_store::StoreError::Spill(error)))?;
    let mut sorter = SealedSorter::<LINE>::new(&directory);
    let mut under_way: VecDeque<(Vec<Member>, Blinded)> = VecDeque::new();
    let mut has_more = true;
    while has_more || !under_way.is_empty() {
        if has_more && under_way.len() < WINDOW {
            let Some(chunk) = chunks.recv().await else {
                has_more = false;
                others.iter_mut().for_each(|other| other.requests = None);
                continue;
            };
            let members = chunk?;
            let stored: Vec<_> = members.iter().map(|member| member.stored).collect();
            let blinding = move || {
                let blinded = owner.blind(&stored);
                (owner, blinded)
            };
            let (back, blinded) = node.pool.run(blinding).await?;
            owner = back;
            let blinded = blinded.map_err(|misuse| misuse_of(&misuse))?;
            for other in &others {
                let message = Asked::Blinded(blinded.encoded().to_vec()).into();
                if let Some(requests) = &other.requests {
                    let sending = send(requests, message, node.config.limits.idle_stream, &other.name);
                    let sent = work.wait_for(&other.id, sending).await;
                    sent.map_err(|error| other.fault(error))?;
                }
            }
            under_way.push_back((members, blinded));
            continue;
        }
        let Some((members, blinded)) = under_way.pop_front() else {
            break;
        };
        let mut answers = Vec::with_capacity(others.len());
        for other in &mut others {
            let id = other.id.clone();
            answers.push(work.wait_for(&id, other.answer(node)).await?);
        }
        let combining = move || {
            let combined = owner.combine(&blinded, &answers);
            (owner, combined)
        };
        let (back, combined) = node.pool.run(combining).await?;
        owner = back;
        let pseudonyms = combined.map_err(|blame| match others.get(blame.other) {
            Some(other) => other.fault(NodeError::PeerProtocol {
                peer: other.name.clone(),
                source: blame.what,
            }),
            None => Fault::Own(NodeError::Broken("a participant that there is not is blamed")),
        })?;
        work.add(members.len());
        let marking = Arc::clone(part);
        let pushing = blocking(move || {
            let lines = members.iter().zip(&pseudonyms).map(|(member, pseudonym)| {
                let mut line = [0; LINE];
                line[..16].copy_from_slice(pseudonym);
                line[16..20].copy_from_slice(&marking.mark(member));
                line[20..].copy_from_slice(&member.link);
                line
            });
            let lines: Vec<[u8; LINE]> = lines.collect();
            sorter.push(&lines).map(|()| sorter)
        });
        sorter = pushing.await?.map_err(NodeError::from)?;
    }
    owner.finish().map_err(|error| match error {
        overlap_psi::Error::Misuse(misuse) => misuse_of(&misuse),
        overlap_psi::Error::Peer(_) => NodeError::Broken("the own set is not a peer's"),
    })?;
    for other in &mut others {
        other.end(node).await?;
    }
    Ok(sorter)
}

/// Reads the own set in chunks.
fn read(
    node: &Arc<Node>,
    part: &Arc<Part>,
    together: usize,
) -> Result<mpsc::Receiver<Result<Vec<Member>, NodeError>>, NodeError> {
    let (chunks, receiver) = mpsc::channel(1);
    let (part, name) = (Arc::clone(part), node.config.name.clone());
    tokio::task::spawn_blocking(move || {
        let mut members = part.members();
        loop {
            let chunk: Result<Vec<Member>, _> = members.by_ref().take(together).collect();
            if chunk.as_ref().is_ok_and(Vec::is_empty) {
                return;
            }
            let is_last = chunk.is_err();
            // who reads no more has another error to tell
            if send_blocking(&chunks, chunk.map_err(NodeError::from), None, &name).is_err() || is_last {
                return;
            }
        }
    });
    Ok(receiver)
}

/// Calls another participant.
async fn connect(node: &Arc<Node>, part: &Part, round: &Round, id: &str) -> Result<Other, Fault> {
    let blame = |error| Fault::Other {
        id: id.to_owned(),
        error,
    };
    let unknown = || NodeError::Broken("a participant is no peer");
    let peer: &Peer = node
        .config
        .peers
        .iter()
        .find(|peer| peer.id == id)
        .ok_or_else(unknown)?;
    let agreement = part.agreement.agreement();
    let party = agreement.party(id).ok_or_else(unknown)?;
    let mut dialled = dial_patiently(node, peer).await.map_err(blame)?;
    dial::check_key(&dialled.certificate, peer, &party.key, &agreement.id).map_err(blame)?;
    let (requests, outgoing) = mpsc::channel(WINDOW);
    let first = Asked::Roster(Box::new(round.roster.clone())).into();
    requests
        .try_send(first)
        .map_err(|_| NodeError::Broken("an empty queue is full"))?;
    let call = dialled.pictures.evaluate(ReceiverStream::new(outgoing));
    let answered = tokio::time::timeout(node.config.limits.idle_stream, call).await;
    let answered = answered.map_err(|_| blame(idle(node, &peer.name)))?;
    let answers = answered.map_err(|status| blame(dial::refusal(&peer.name, &status)))?;
    Ok(Other {
        id: id.to_owned(),
        name: peer.name.clone(),
        requests: Some(requests),
        answers: answers.into_inner(),
    })
}

/// Calls more than once: when a round begins all call all at the same moment, and who is busy may drop a call.
async fn dial_patiently(node: &Arc<Node>, peer: &Peer) -> Result<Dialled, NodeError> {
    let mut wait = Duration::from_millis(200);
    loop {
        let tls = node.tls.dial.load_full();
        let dialled = dial::dial(peer, tls, &node.config.limits, Arc::clone(&node.traffic)).await;
        match dialled {
            Err(NodeError::Unreachable { .. }) if wait <= node.config.limits.connect => {}
            ended => return ended,
        }
        // apart from each other, so that they do not meet again
        tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.5))).await;
        wait *= 2;
    }
}

fn idle(node: &Node, peer: &str) -> NodeError {
    NodeError::PeerIdle {
        peer: peer.to_owned(),
        seconds: node.config.limits.idle_stream.as_secs(),
    }
}

impl Other {
    fn fault(&self, error: NodeError) -> Fault {
        Fault::Other {
            id: self.id.clone(),
            error,
        }
    }

    async fn message(&mut self, node: &Node) -> Result<Option<pb::EvaluateResponse>, Fault> {
        let answer = tokio::time::timeout(node.config.limits.idle_stream, self.answers.message()).await;
        let answer = answer.map_err(|_| self.fault(idle(node, &self.name)))?;
        answer.map_err(|status| self.fault(dial::refusal(&self.name, &status)))
    }

    async fn answer(&mut self, node: &Node) -> Result<Evaluated, Fault> {
        let peer = self.name.clone();
        let Some(message) = self.message(node).await? else {
            return Err(self.fault(NodeError::PeerHungUp { peer }));
        };
        picture::evaluated(message).map_err(|source| self.fault(NodeError::PeerWire { peer, source }))
    }

    /// Everything was evaluated, and the other says so too.
    async fn end(&mut self, node: &Node) -> Result<(), Fault> {
        match self.message(node).await? {
            None => Ok(()),
            Some(_) => Err(self.fault(NodeError::PeerProtocol {
                peer: self.name.clone(),
                source: PeerMisbehaved::OutOfTurn,
            })),
        }
    }
}

/// Evaluates what another participant blinded, as the roster says that both have.
pub(crate) async fn evaluate(
    node: &Arc<Node>,
    caller: &Certificate,
    mut requests: impl Stream<Item = Result<pb::EvaluateRequest, Status>> + Unpin,
    replies: &mpsc::Sender<Result<pb::EvaluateResponse, Status>>,
) -> Result<(), NodeError> {
    let idle_stream = node.config.limits.idle_stream;
    let peer = node.config.peers.iter().find(|peer| peer.id == caller.id);
    let peer = peer.ok_or_else(|| {
        let message = format!("{} is no peer of {}", caller.id, node.config.name);
        NodeError::refused(Reason::UnknownCaller, message)
    })?;
    let misbehaved = |source| NodeError::PeerProtocol {
        peer: peer.name.clone(),
        source,
    };
    let Some(Asked::Roster(roster)) = next(node, &peer.name, &mut requests).await? else {
        return Err(misbehaved(PeerMisbehaved::OutOfTurn));
    };
    let told = roster.document();
    let round = node.parts.round(told.picture, told.round, idle_stream).await?;
    if roster.hash() != round.roster.hash() {
        if roster.is_signed_by(&round.signer) {
            // both bear the coordinator's signature
            round.betrayed.cancel();
        }
        let message = "the caller has another roster of this round than this node";
        return Err(NodeError::refused(Reason::InvalidRequest, message));
    }
    let place = told.place(&caller.id);
    let is_pinned = {
        let held = node.agreements.get(&told.agreement);
        let party = held.as_ref().and_then(|held| held.agreement().party(&caller.id));
        party.is_some_and(|party| party.key == caller.key)
    };
    let participant = place.and_then(|place| Some((place, told.participants.get(place)?)));
    let Some((place, participant)) = participant.filter(|_| is_pinned) else {
        let message = "the caller takes no part in this round, or with another key than the agreement pins";
        return Err(NodeError::refused(Reason::AgreementDenied, message));
    };
    let is_first = round.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(place);
    if !is_first {
        let message = "the caller has had its items evaluated in this round";
        return Err(NodeError::limit("evaluations", message));
    }
    let mut evaluator = Evaluator::start(round.share.clone(), participant.size);
    loop {
        let asked = tokio::select! {
            biased;
            () = round.over.cancelled() => return Err(NodeError::refused(Reason::NotFound, "the round is over")),
            // it may have to wait for others than this node: as long as the round goes on
            asked = message(&peer.name, &mut requests) => asked?,
        };
        let blinded = match asked {
            None => return evaluator.finish().map_err(misbehaved),
            Some(Asked::Blinded(blinded)) => blinded,
            Some(Asked::Roster(_)) => return Err(misbehaved(PeerMisbehaved::OutOfTurn)),
        };
        let evaluated = node
            .pool
            .run(move || evaluator.evaluate(&blinded, &mut rand::rng()))
            .await?;
        let (back, evaluated) = evaluated.map_err(misbehaved)?;
        evaluator = back;
        let message = Ok(picture::evaluated_message(&evaluated));
        send(replies, message, idle_stream, &peer.name).await?;
    }
}

async fn next(
    node: &Node,
    peer: &str,
    requests: &mut (impl Stream<Item = Result<pb::EvaluateRequest, Status>> + Unpin),
) -> Result<Option<Asked>, NodeError> {
    let message = tokio::time::timeout(node.config.limits.idle_stream, message(peer, requests)).await;
    message.map_err(|_| idle(node, peer))?
}

async fn message(
    peer: &str,
    requests: &mut (impl Stream<Item = Result<pb::EvaluateRequest, Status>> + Unpin),
) -> Result<Option<Asked>, NodeError> {
    match requests.next().await {
        None => Ok(None),
        Some(Err(status)) => Err(NodeError::of_stream(peer, &status)),
        Some(Ok(message)) => Asked::try_from(message)
            .map(Some)
            .map_err(|source| NodeError::PeerWire {
                peer: peer.to_owned(),
                source,
            }),
    }
}
