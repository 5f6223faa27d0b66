//! The asker's side of a standing stream: connecting, the partner's snapshot, and what comes over it.

use std::{sync::Arc, time::Duration};

use overlap_audit::Outcome;
use overlap_proto::{
    action::{self, Attended, Snapshot},
    fault::Reason,
    pb::peer as pb,
};
use overlap_psi::{Key, PeerMisbehaved, filter::Filter};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Streaming};

use super::{
    catch_up, check,
    connection::{Connection, Held, Reply, Standing},
    live::{Live, Partner},
    recent::Found,
    table::bound,
};
use crate::{
    dial::{self, Dialled},
    error::NodeError,
    node::{Node, now},
    policy::{self, action::AttendTerms},
    spine::{self, Finding, Opened, Session},
    trace::TraceContext,
};

/// Messages towards a partner that wait for the network.
const QUEUE: usize = 256;
/// How often a partner's certificate is looked at.
const JUDGED_AGAIN: Duration = Duration::from_secs(5);
/// Shortest and longest wait before a partner is called again.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Stands at one partner until the action ends here, it leaves, or the node drains.
pub(super) async fn run(node: Arc<Node>, live: Arc<Live>, partner: Arc<Partner>) {
    let mut wait = SHORTEST_WAIT;
    loop {
        let began = Instant::now();
        let ended = once(&node, &live, &partner).await;
        partner.disconnect();
        match &ended {
            Ok(()) => partner.note("it closed the stream, and is called again".to_owned(), false),
            Err(error) => {
                tracing::warn!(partner = partner.peer.name, reason = error.reason().name(), %error, "no standing stream");
                partner.note(error.to_string(), check::is_refusal(error));
            }
        }
        // one that stood for a while is called again at once
        wait = match began.elapsed() > LONGEST_WAIT {
            true => SHORTEST_WAIT,
            false => (wait * 2).min(LONGEST_WAIT),
        };
        if matches!(ended, Err(NodeError::PeerProtocol { .. } | NodeError::PeerWire { .. })) {
            wait = LONGEST_WAIT;
        }
        tokio::select! {
            () = node.draining.cancelled() => return,
            () = live.ended.cancelled() => return,
            () = partner.left.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
            // something was agreed, or the partner has joined anew
            () = partner.again.notified() => {}
        }
    }
}

async fn once(node: &Arc<Node>, live: &Arc<Live>, partner: &Arc<Partner>) -> Result<(), NodeError> {
    let known = live.known(node)?;
    let joined = known
        .joined_here
        .clone()
        .ok_or(NodeError::Broken("an action that nobody joined"))?;
    let decision = policy::action::authorise_attending(node, &known, &joined, &partner.peer, partner.has(), now());
    let decision = match decision {
        Ok(permit) => Ok(permit),
        // what is not permitted is not tried again and again in the log
        Err(denial) if partner.was_denied(&denial.error) => return Err(denial.error),
        Err(denial) => Err(denial),
    };
    let session = Attending {
        live: Arc::clone(live),
        partner: Arc::clone(partner),
    };
    spine::run(node, decision, session).await
}

/// One standing stream, from its opening to its end.
struct Attending {
    live: Arc<Live>,
    partner: Arc<Partner>,
}

impl Session for Attending {
    type Terms = AttendTerms;
    type Output = ();

    async fn run(
        self,
        node: &Arc<Node>,
        opened: &Opened<AttendTerms>,
        finding: &mut Finding,
    ) -> Result<(Outcome, ()), NodeError> {
        let terms = opened.terms();
        let peer = &terms.peer;
        let tls = node.tls.dial.load_full();
        let dialled = dial::dial_standing(peer, tls, &node.config.limits, Arc::clone(&node.traffic)).await?;
        let Dialled {
            mut actions,
            certificate,
            callee,
            ..
        } = dialled;
        finding.callee_certificate = Some(certificate.thumbprint);
        dial::check_key(&certificate, peer, &terms.peer_key, &terms.agreement.agreement().id)?;
        let (sender, outgoing) = mpsc::channel(QUEUE);
        sender
            .try_send(terms.opening.clone().into())
            .map_err(|_| NodeError::Broken("an empty queue is full"))?;
        let mut request = Request::new(ReceiverStream::new(outgoing));
        TraceContext::send(opened.entry(), request.metadata_mut())?;
        finding.sent = Some(true);
        finding.peer_count = Some(0);
        let answer = actions.attend(request).await;
        let mut stream = answer
            .map_err(|status| dial::refusal(&peer.name, &status))?
            .into_inner();
        let (snapshot, mirror) = tokio::select! {
            accepted = accept(node, terms, &self.partner, &mut stream, &sender) => accepted?,
            () = self.live.ended.cancelled() => return Ok((Outcome::Done, ())),
            () = node.draining.cancelled() => return Ok((Outcome::Done, ())),
        };
        finding.stood = true;
        let connection = Connection::new(opened.parent(), snapshot, certificate.thumbprint, sender, mirror);
        let connection = Arc::new(connection);
        let _standing = Standing(Arc::clone(&connection));
        tracing::info!(partner = peer.name, "a partner can be checked");
        self.partner.connect(&connection);
        node.queries.spawn(catch_up::catch_up(
            Arc::clone(node),
            Arc::clone(&self.live),
            Arc::clone(&self.partner),
            Arc::clone(&connection),
        ));
        // connections outlive revocations and expiry, also where nothing is asked
        let mut judging = tokio::time::interval(JUDGED_AGAIN);
        loop {
            tokio::select! {
                _ = judging.tick() => {
                    callee.check_now(peer, &node.tls.dial.load())?;
                    self.claim_again(node, &connection);
                }
                message = stream.message() => match message {
                    Ok(Some(message)) => self.take(node, &connection, message)?,
                    Ok(None) => return Ok((Outcome::Done, ())),
                    Err(status) => return Err(dial::refusal(&peer.name, &status)),
                },
                () = connection.broke() => return Err(NodeError::PeerProtocol {
                    peer: peer.name.clone(),
                    source: PeerMisbehaved::BadProof,
                }),
                () = self.live.ended.cancelled() => return Ok((Outcome::Done, ())),
                () = self.partner.left.cancelled() => return Ok((Outcome::Done, ())),
                () = node.draining.cancelled() => return Ok((Outcome::Done, ())),
            }
        }
    }
}

impl Attending {
    /// Takes one message of a partner that stands.
    fn take(
        &self,
        node: &Arc<Node>,
        connection: &Arc<Connection>,
        message: pb::AttendResponse,
    ) -> Result<(), NodeError> {
        let peer = || self.partner.peer.name.clone();
        match checked(&self.partner.peer.name, message)? {
            Attended::Evaluated(transaction, evaluated) => {
                connection.settle(transaction, Ok(Reply::Evaluated(evaluated)));
            }
            Attended::Told(told) => connection.settle(told.transaction, Ok(Reply::Told(told))),
            Attended::Refused(refused) => {
                let error = match refused.reason {
                    Reason::Draining | Reason::LogUnavailable | Reason::Internal | Reason::PeerUnreachable => {
                        NodeError::PeerFailed {
                            peer: peer(),
                            why: refused.message,
                        }
                    }
                    _ => NodeError::PeerRefused {
                        peer: peer(),
                        message: refused.message,
                        limit: refused.limit,
                    },
                };
                connection.settle(refused.transaction, Err(error));
            }
            Attended::Delta(delta) => {
                let fresh = connection.snapshot.add(delta);
                let fresh = fresh.map_err(|source| NodeError::PeerProtocol { peer: peer(), source })?;
                // checks that were answered before are looked up once more
                let found = self
                    .partner
                    .recent()
                    .look(&node.config.profile, &connection.snapshot, &fresh);
                self.claim(node, connection, found);
            }
            _ => {
                return Err(NodeError::PeerProtocol {
                    peer: peer(),
                    source: PeerMisbehaved::OutOfTurn,
                });
            }
        }
        Ok(())
    }
}

impl Attending {
    /// Claims again what could not be claimed before.
    fn claim_again(&self, node: &Arc<Node>, connection: &Arc<Connection>) {
        if self.live.is_running(node) {
            let now = std::time::Instant::now();
            let found = self
                .partner
                .recent()
                .due(&node.config.profile, &connection.snapshot, now);
            self.claim(node, connection, found);
        }
    }

    fn claim(&self, node: &Arc<Node>, connection: &Arc<Connection>, found: Vec<Found>) {
        if !found.is_empty() {
            node.queries.spawn(catch_up::claim_all(
                Arc::clone(node),
                Arc::clone(&self.live),
                Arc::clone(&self.partner),
                Arc::clone(connection),
                found,
            ));
        }
    }
}

fn checked(peer: &str, message: pb::AttendResponse) -> Result<Attended, NodeError> {
    Attended::try_from(message).map_err(|source| NodeError::PeerWire {
        peer: peer.to_owned(),
        source,
    })
}

/// Receives what comes before a partner can be checked.
async fn accept(
    node: &Arc<Node>,
    terms: &AttendTerms,
    partner: &Partner,
    stream: &mut Streaming<pb::AttendResponse>,
    sender: &mpsc::Sender<pb::AttendRequest>,
) -> Result<(Arc<Held>, Option<Key>), NodeError> {
    let peer = &terms.peer.name;
    let misbehaved = |source| NodeError::PeerProtocol {
        peer: peer.clone(),
        source,
    };
    let Attended::Accepted(said) = next(peer, stream).await? else {
        return Err(misbehaved(PeerMisbehaved::OutOfTurn));
    };
    if u64::from(said.mirror) != terms.grant.mirror {
        return Err(misbehaved(PeerMisbehaved::TooMany {
            announced: terms.grant.mirror,
        }));
    }
    let mirror = match said.mirror {
        0 => None,
        points => Some(evaluate_mirror(node, peer, points, stream, sender).await?),
    };
    let held = match (said.resumed, partner.kept()) {
        (true, Some(kept)) if kept.epoch == said.epoch && kept.public == said.public => kept,
        (true, _) => return Err(misbehaved(PeerMisbehaved::OutOfTurn)),
        (false, kept) => {
            // there is room for one
            drop(kept);
            partner.forget();
            Arc::new(receive(terms, said, node, stream).await?)
        }
    };
    Ok((held, mirror))
}

/// Receives a whole snapshot.
async fn receive(
    terms: &AttendTerms,
    said: Snapshot,
    node: &Node,
    stream: &mut Streaming<pb::AttendResponse>,
) -> Result<Held, NodeError> {
    let peer = &terms.peer.name;
    let misbehaved = |source| NodeError::PeerProtocol {
        peer: peer.clone(),
        source,
    };
    let expected = said.shape.expected().map_err(misbehaved)?;
    let expected = usize::try_from(expected).map_err(|_| misbehaved(PeerMisbehaved::BadFilter))?;
    // grows as it comes: what a partner announces takes no memory
    let mut fingerprints: Vec<u32> = Vec::new();
    while fingerprints.len() < expected {
        let idle = node.config.limits.idle_stream;
        let message = timeout(idle, next(peer, stream))
            .await
            .map_err(|_| NodeError::PeerIdle {
                peer: peer.clone(),
                seconds: idle.as_secs(),
            })??;
        let Attended::Fingerprints(some) = message else {
            return Err(misbehaved(PeerMisbehaved::OutOfTurn));
        };
        if fingerprints.len() + some.len() > expected {
            return Err(misbehaved(PeerMisbehaved::BadFilter));
        }
        fingerprints.extend(some);
    }
    fingerprints.shrink_to_fit();
    let action = terms.opening.plan.to_string();
    let filter = Filter::of(said.shape, fingerprints).map_err(misbehaved)?;
    let bound = bound(&action, &terms.peer.id, &said.epoch);
    Ok(Held::new(said.epoch, said.public, bound, filter))
}

/// Evaluates the partner's points under a key of this stream, by which it notices checks on records that nobody but it may know of.
async fn evaluate_mirror(
    node: &Arc<Node>,
    peer: &str,
    points: u32,
    stream: &mut Streaming<pb::AttendResponse>,
    sender: &mpsc::Sender<pb::AttendRequest>,
) -> Result<Key, NodeError> {
    let misbehaved = |source| NodeError::PeerProtocol {
        peer: peer.to_owned(),
        source,
    };
    let mut key = Key::random(&mut rand::rng());
    let mut left = points as usize;
    while left > 0 {
        let Attended::Mirror(some) = next(peer, stream).await? else {
            return Err(misbehaved(PeerMisbehaved::OutOfTurn));
        };
        left = left.checked_sub(some.len()).ok_or_else(|| {
            misbehaved(PeerMisbehaved::TooMany {
                announced: points.into(),
            })
        })?;
        let (back, evaluated) = node
            .pool
            .run(move || {
                let evaluated = key.multiply_all(&some);
                (key, evaluated)
            })
            .await?;
        key = back;
        let evaluated = evaluated.map_err(misbehaved)?;
        let sent = sender.send(action::mirrored(&evaluated)).await;
        sent.map_err(|_| NodeError::PeerHungUp { peer: peer.to_owned() })?;
    }
    Ok(key)
}

async fn next(peer: &str, stream: &mut Streaming<pb::AttendResponse>) -> Result<Attended, NodeError> {
    match stream.message().await {
        Ok(Some(message)) => checked(peer, message),
        Ok(None) => Err(NodeError::PeerHungUp { peer: peer.to_owned() }),
        Err(status) => Err(dial::refusal(peer, &status)),
    }
}
