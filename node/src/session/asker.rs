//! The asker's part of a match.

use std::{sync::Arc, time::Duration};

use overlap_agreement::Recipient;
use overlap_audit::{Outcome, Side};
use overlap_proto::{
    CHUNK, WireError,
    follow_up::PartlyVisible,
    found::{Found, MOST_FOUND},
    pb::peer as pb,
    peer::{self, Response},
};
use overlap_psi::{
    PeerMisbehaved, Stored,
    dh::{Blinder, Label, Matched},
};
use overlap_store::{FollowUp, StoreError, ToldCount};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Streaming};

use super::{misuse_of, peer_fault, protocol_terms, send, send_blocking};
use crate::{
    dial::{self, Dialled},
    differences,
    error::NodeError,
    fault,
    findings::{self, About, Findings},
    node::{Node, now},
    policy::{self, Terms},
    pool::blocking,
    spine::{Finding, Opened, Session},
    trace::TraceContext,
};

/// Asks a peer for one match.
pub(crate) struct Ask<F> {
    /// Told how far it is; must not block.
    pub(crate) progress: F,
}

/// What a match yields.
pub(crate) struct Answer {
    /// How many items are in common; in mode `hits` those of numbered identifiers.
    pub(crate) count: u64,
    /// In mode `count`: what the agreement wants to be no fewer, where it would be.
    pub(crate) suppressed_below: Option<u64>,
    /// In mode `hits`.
    pub(crate) found: Option<(Findings, About)>,
    /// In mode `hits`: hits of which the peer shows no more than their kind.
    pub(crate) partly: Vec<FollowUp>,
    /// Size of the peer's set.
    pub(crate) peer_size: u64,
}

/// How far a match is.
pub(crate) enum Progress {
    /// The entry is on disk.
    Admitted,
    /// Elements received of those that will be, and the size of the peer's set.
    Received { received: u64, total: u64, peer: u64 },
}

/// Messages towards the holder that wait for the network; few, since each is work for many milliseconds.
const QUEUE: usize = 4;

impl<F: Fn(&Opened, Progress) + Send + Sync + 'static> Session for Ask<F> {
    type Terms = Terms;
    type Output = Answer;

    async fn run(
        self,
        node: &Arc<Node>,
        opened: &Opened,
        finding: &mut Finding,
    ) -> Result<(Outcome, Answer), NodeError> {
        (self.progress)(opened, Progress::Admitted);
        let permitted = opened.terms();
        let tls = node.tls.dial.load_full();
        let Dialled {
            mut client,
            certificate,
            ..
        } = dial::dial(&permitted.peer, tls, &node.config.limits, Arc::clone(&node.traffic)).await?;
        finding.callee_certificate = Some(certificate.thumbprint);
        let agreement = &permitted.opening.agreement;
        dial::check_key(&certificate, &permitted.peer, &permitted.peer_key, agreement)?;

        let (requests, outgoing) = mpsc::channel(QUEUE);
        let open = peer::Open::clone(&permitted.opening);
        requests
            .try_send(pb::MatchRequest::from(open))
            .map_err(|_| NodeError::Broken("an empty queue is full"))?;
        let mut incoming = Incoming {
            peer: permitted.peer.name.clone(),
            node: Arc::clone(node),
            stream: None,
        };
        let mut request = Request::new(ReceiverStream::new(outgoing));
        TraceContext::send(opened.entry(), request.metadata_mut())?;
        fault::point(Side::Asker, "dialled");
        // from here on the peer may have heard of it
        finding.sent = Some(true);
        let answer = incoming.within_idle(client.r#match(request)).await?;
        incoming.stream = Some(
            answer
                .map_err(|status| dial::refusal(&incoming.peer, &status))?
                .into_inner(),
        );

        let Some(Response::Accepted(peer_size)) = incoming.next().await? else {
            return Err(incoming.misbehaved(PeerMisbehaved::OutOfTurn));
        };
        finding.peer_count = Some(peer_size);
        fault::point(Side::Asker, "accepted");
        let terms = protocol_terms(&permitted.opening, &node.config.id, &permitted.peer.id, peer_size)?;
        let (mut blinder, mut matcher) = Blinder::start(terms, &mut rand::rng());
        let mut left = permitted.grant.mirror;
        while left > 0 {
            let Some(Response::Mirror(points)) = incoming.next().await? else {
                return Err(incoming.misbehaved(PeerMisbehaved::OutOfTurn));
            };
            let announced = permitted.grant.mirror;
            left = left
                .checked_sub(points.len() as u64)
                .ok_or_else(|| incoming.misbehaved(PeerMisbehaved::TooMany { announced }))?;
            let evaluate = move || (blinder.evaluate(&points), blinder);
            let (evaluated, back) = node.pool.run(evaluate).await?;
            blinder = back;
            let evaluated = evaluated.map_err(|source| incoming.misbehaved(source))?;
            let idle = node.config.limits.idle_stream;
            send(&requests, peer::mirrored(&evaluated), idle, &permitted.peer.name).await?;
        }
        // held open for what is found, where that is for both
        let sharing = (permitted.grant.result == Recipient::Both).then(|| requests.clone());
        let blinding = tokio::spawn(blind(
            Arc::clone(node),
            permitted.dataset.clone(),
            permitted.selection.clone(),
            blinder,
            requests,
            permitted.peer.name.clone(),
        ));

        let open_size = permitted.opening.set_size;
        let (mut worked, mut partly, mut is_complete) = (None, Vec::new(), false);
        loop {
            let reply = match incoming.next().await {
                Ok(Some(Response::Reply(reply))) => reply,
                Ok(Some(Response::Working(done))) if worked < Some(done) && done <= peer_size + open_size => {
                    worked = Some(done);
                    continue;
                }
                Ok(Some(Response::Partly(hits))) if (partly.len() + hits.len()) as u64 <= permitted.grant.mirror => {
                    partly.extend(hits);
                    continue;
                }
                Ok(Some(Response::Complete)) => {
                    is_complete = true;
                    break;
                }
                Ok(Some(_)) => return Err(incoming.misbehaved(PeerMisbehaved::OutOfTurn)),
                Ok(None) => return Err(NodeError::PeerHungUp { peer: incoming.peer }),
                // the own set may be what failed
                Err(error) => return Err(own_fault(blinding).await.unwrap_or(error)),
            };
            matcher = node
                .pool
                .run(move || matcher.receive(reply))
                .await?
                .map_err(|source| incoming.misbehaved(source))?;
            let (received, total) = matcher.progress();
            (self.progress)(
                opened,
                Progress::Received {
                    received,
                    total,
                    peer: peer_size,
                },
            );
            if sharing.is_some() && received == total {
                break;
            }
        }
        fault::point(Side::Asker, "received");
        let matched = node
            .pool
            .run(move || matcher.finish())
            .await?
            .map_err(|source| incoming.misbehaved(source))?;
        let matched: Vec<(u32, Option<Label>)> = match matched {
            Matched::Count(count) => {
                let least = permitted.grant.min_count;
                // what is left of the set says as much as the count
                let mut is_small = least > 1 && (count < least || open_size.saturating_sub(count) < least);
                if !is_small && least > 1 {
                    is_small = !tell(node, opened, count, least).await?;
                }
                let (count, outcome) = match (is_small, count) {
                    (true, _) => {
                        finding.remark = Some(format!(
                            "the count is not told: it, what is left, or what it tells with one before, is below {least}"
                        ));
                        (0, Outcome::Done)
                    }
                    (false, 0) => (0, Outcome::NoHit),
                    (false, count) => (count, Outcome::Hit),
                };
                finding.output_count = (!is_small).then_some(count);
                if let Some(requests) = sharing {
                    let found = Found {
                        count: finding.output_count,
                        ..Found::default()
                    };
                    let idle = node.config.limits.idle_stream;
                    send(&requests, found.into(), idle, &permitted.peer.name).await?;
                    drop(requests);
                    if !is_complete {
                        incoming.complete(0).await?;
                    }
                }
                let answer = Answer {
                    count,
                    suppressed_below: is_small.then_some(least),
                    found: None,
                    partly: Vec::new(),
                    peer_size,
                };
                return Ok((outcome, answer));
            }
            Matched::Hits(positions) => positions.into_iter().map(|position| (position, None)).collect(),
            Matched::Labels(labels) => labels
                .into_iter()
                .map(|(position, label)| (position, Some(label)))
                .collect(),
        };
        let (dataset, selection) = (permitted.dataset.clone(), permitted.selection.clone());
        let findings = blocking(move || findings::find(&dataset, &selection, &matched, peer_size)).await??;
        let findings = match sharing {
            None => findings,
            Some(requests) => {
                let (findings, shared) = share(opened, findings, requests, node.config.limits.idle_stream).await?;
                finding.remark = shared;
                let left = permitted.grant.mirror.saturating_sub(partly.len() as u64);
                if !is_complete {
                    partly.extend(incoming.complete(left).await?);
                }
                findings
            }
        };
        finding.hits = Some(findings.hits.len() as u64);
        finding.candidates = Some(findings.candidates.len() as u64);
        // items of persons that make no candidate are nobody's to know
        let found = (findings.hits.len() + findings.candidates.len()) as u64;
        finding.output_count = Some(found);
        if !partly.is_empty() {
            let shown = format!("of {} hits more the kind alone is shown", partly.len());
            finding.remark = Some(
                finding
                    .remark
                    .take()
                    .map_or(shown.clone(), |told| format!("{told}; {shown}")),
            );
        }
        let is_hit = found > 0 || !partly.is_empty();
        let answer = Answer {
            count: findings.hits.len() as u64,
            suppressed_below: None,
            partly: partly.iter().map(|hit| findings::partly(opened, *hit, now())).collect(),
            found: Some((findings, About::of(opened, now()))),
            peer_size,
        };
        Ok((if is_hit { Outcome::Hit } else { Outcome::NoHit }, answer))
    }
}

/// Tells the holder what was found.
async fn share(
    opened: &Opened,
    findings: Findings,
    requests: mpsc::Sender<pb::MatchRequest>,
    idle: Duration,
) -> Result<(Findings, Option<String>), NodeError> {
    let terms = opened.terms();
    let (dataset, selection) = (terms.dataset.clone(), terms.selection.clone());
    let (findings, all) = blocking(move || {
        let all = findings.identifiers(&dataset, &selection)?;
        Ok::<_, StoreError>((findings, all))
    })
    .await??;
    for hits in all.chunks(MOST_FOUND) {
        let found = Found {
            hits: hits.to_vec(),
            count: None,
        };
        send(&requests, found.into(), idle, &terms.peer.name).await?;
    }
    let remark = (!all.is_empty()).then(|| format!("{} was told of {} identifiers", terms.peer.name, all.len()));
    Ok((findings, remark))
}

/// Whether a count may be told beside those before it; if so, it is kept to be held against those after it.
async fn tell(node: &Arc<Node>, opened: &Opened, count: u64, least: u64) -> Result<bool, NodeError> {
    let (terms, entry) = (opened.terms(), opened.entry());
    let (dataset, selection) = (terms.dataset.clone(), terms.selection.clone());
    let mut told = ToldCount {
        transaction: entry.transaction,
        at: now(),
        account: policy::account_of_counts(&terms.agreement, &terms.grant),
        set: dataset.digest(&selection),
        size: terms.opening.set_size,
        sample: Vec::new(),
        roles: terms.opening.roles.clone(),
        count,
    };
    // one at a time: two that end together are held against each other too
    let _telling = node.telling.lock().await;
    let store = Arc::clone(&node.store);
    blocking(move || {
        told.sample = dataset.sample(&selection, differences::SAMPLE)?;
        let may = differences::may_tell(&store, &told, least)?;
        if may {
            store.counts().put(&told)?;
        }
        Ok::<_, StoreError>(may)
    })
    .await?
    .map_err(NodeError::from)
}

/// Blinds the own set into the stream; waits for the network as long as it takes, since the receiving side watches the time.
async fn blind(
    node: Arc<Node>,
    dataset: overlap_store::Dataset,
    selection: overlap_store::Selection,
    mut blinder: Blinder,
    requests: mpsc::Sender<pb::MatchRequest>,
    peer: String,
) -> Result<(), NodeError> {
    blocking(move || {
        let mut elements = dataset.elements(&selection);
        loop {
            let chunk = elements.by_ref().take(CHUNK).map(|element| Ok(element?.stored));
            let chunk: Vec<Stored> = chunk.collect::<Result<_, StoreError>>()?;
            if chunk.is_empty() {
                return blinder.finish().map_err(|misuse| misuse_of(&misuse));
            }
            let (next, blinded) = node
                .pool
                .install(|| blinder.blind(&chunk))
                .map_err(|error| peer_fault(&peer, error))?;
            blinder = next;
            send_blocking(&requests, peer::blinded(&blinded), None, &peer)?;
        }
    })
    .await?
}

/// The fault of the own side, if blinding is what failed.
async fn own_fault(blinding: tokio::task::JoinHandle<Result<(), NodeError>>) -> Option<NodeError> {
    if !blinding.is_finished() {
        return None;
    }
    match blinding.await {
        Ok(Err(error @ (NodeError::Store(_) | NodeError::Broken(_)))) => Some(error),
        _ => None,
    }
}

struct Incoming {
    peer: String,
    node: Arc<Node>,
    stream: Option<Streaming<pb::MatchResponse>>,
}

impl Incoming {
    async fn next(&mut self) -> Result<Option<Response>, NodeError> {
        let Some(mut stream) = self.stream.take() else {
            return Ok(None);
        };
        let message = self.within_idle(stream.message()).await?;
        self.stream = Some(stream);
        match message.map_err(|status| dial::refusal(&self.peer, &status))? {
            None => Ok(None),
            Some(message) => Response::try_from(message)
                .map(Some)
                .map_err(|source: WireError| NodeError::PeerWire {
                    peer: self.peer.clone(),
                    source,
                }),
        }
    }

    /// Waits for the end, with at most so many hits of which the kind alone is shown.
    async fn complete(&mut self, most: u64) -> Result<Vec<PartlyVisible>, NodeError> {
        let mut partly = Vec::new();
        loop {
            match self.next().await? {
                Some(Response::Partly(hits)) if (partly.len() + hits.len()) as u64 <= most => partly.extend(hits),
                Some(Response::Complete) => return Ok(partly),
                Some(_) => return Err(self.misbehaved(PeerMisbehaved::OutOfTurn)),
                None => {
                    return Err(NodeError::PeerHungUp {
                        peer: self.peer.clone(),
                    });
                }
            }
        }
    }

    async fn within_idle<T>(&self, future: impl Future<Output = T>) -> Result<T, NodeError> {
        let idle = self.node.config.limits.idle_stream;
        let seconds = idle.as_secs();
        timeout(idle, future).await.map_err(|_| NodeError::PeerIdle {
            peer: self.peer.clone(),
            seconds,
        })
    }

    fn misbehaved(&self, source: PeerMisbehaved) -> NodeError {
        NodeError::PeerProtocol {
            peer: self.peer.clone(),
            source,
        }
    }
}
