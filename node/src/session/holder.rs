//! The holder's part of a match.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use overlap_agreement::Recipient;
use overlap_audit::{Outcome, Side};
use overlap_proto::{
    CHUNK,
    found::Found,
    pb::peer as pb,
    peer::{Mode, Request, Response},
};
use overlap_psi::{
    Encoded, PeerMisbehaved, Stored,
    dh::{self, Evaluator, First, Reply, Terms, Tokeniser},
    mirror::{Mirror, Watch},
};
use overlap_records::Visibility;
use overlap_store::{Classes, Element, FollowUp, FoundRecord, SealedSorter, StoreError};
use rand::Rng;
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;
use zeroize::Zeroizing;

use super::{
    labels::Handles, mirrored::Mirrored, misuse_of, peer_fault, protocol_terms, send, send_blocking, spill_directory,
};
use crate::{
    error::NodeError,
    fault,
    findings::{About, Noticed, partly_held, told_by_asker, unasked},
    node::{Node, now},
    policy,
    pool::{Pool, blocking},
    spine::{Finding, Opened, Session},
};

/// Messages towards the asker that wait for the network.
pub(crate) type Replies = mpsc::Sender<Result<pb::MatchResponse, Status>>;

/// How often an asker that waits hears that the holder is at work.
const BETWEEN: Duration = Duration::from_secs(1);

/// When the points of a mirrored pass leave, after it began: later than they are ready, so that it does not tell how many are real.
const MIRROR_BASE: Duration = Duration::from_millis(50);
const MIRROR_EACH: Duration = Duration::from_micros(150);

/// Most bytes of identifiers that an asker tells a holder it found, beside their number.
const MOST_SHARED_BYTES: usize = 32 << 20;

/// Answers one match.
pub(crate) struct Hold<S> {
    /// The asker's messages after the opening.
    pub(crate) requests: S,
    pub(crate) replies: Replies,
}

impl<S> Session for Hold<S>
where
    S: Stream<Item = Result<pb::MatchRequest, Status>> + Send + Unpin + 'static,
{
    type Terms = policy::Terms;
    type Output = Held;

    async fn run(self, node: &Arc<Node>, opened: &Opened, finding: &mut Finding) -> Result<(Outcome, Held), NodeError> {
        let permitted = opened.terms();
        let open = &permitted.opening;
        finding.peer_count = Some(open.set_size);
        let own_size = permitted.dataset.items(&permitted.selection);
        let terms = protocol_terms(open, &permitted.peer.id, &node.config.id, own_size)?;
        let (evaluator, tokeniser) = Evaluator::start(terms, &mut rand::rng());
        let mut work = Work {
            node: Arc::clone(node),
            peer: permitted.peer.name.clone(),
            idle: node.config.limits.idle_stream,
            requests: self.requests,
            replies: self.replies,
            steps: 0,
            handed: Arc::default(),
            ended: Ended::default(),
            watch: None,
            noticed: BTreeSet::new(),
        };
        work.reply(Response::Accepted(own_size)).await?;
        let mirrored = work.mirror(opened).await?;
        fault::point(Side::Holder, "accepted");
        // what was supplied is logged however the session ends
        finding.supplied = Some(Arc::clone(&work.handed));
        work.answer(opened, terms, own_size, evaluator, tokeniser).await?;
        fault::point(Side::Holder, "handed");
        // Everything is out: from here on an asker that hangs up or is silent cannot make it look as if nothing had been supplied.
        let mut shared = Found::default();
        finding.remark = match work.expect_end(terms, permitted.grant.result, &mut shared).await {
            Ok(()) => None,
            Err(ended @ (NodeError::PeerHungUp { .. } | NodeError::PeerIdle { .. })) => {
                Some(format!("all was handed over; then {ended}"))
            }
            Err(error) => return Err(error),
        };
        let mut held = Held::default();
        if permitted.grant.result == Recipient::Both {
            let (dataset, selection) = (permitted.dataset.clone(), permitted.selection.clone());
            shared.hits.sort_unstable();
            shared.hits.dedup();
            let (about, asked, count) = (About::of(opened, now()), open.set_size, shared.count);
            let told = blocking(move || told_by_asker(&about, &dataset, &selection, &shared.hits, asked));
            let (found, unknown) = told.await??;
            let identifiers: BTreeSet<_> = found.iter().map(|one| (one.kind, &one.canonical)).collect();
            // a count that is not told is none
            finding.hits = match open.mode {
                Mode::Count => count,
                Mode::Hits => Some(identifiers.len() as u64),
            };
            if unknown > 0 {
                finding.remark = Some(format!(
                    "{unknown} identifiers that the asker says it found are not held here"
                ));
            }
            held.shared = found;
        }
        let Some(mirrored) = mirrored else {
            return Ok((Outcome::Done, held));
        };
        finding.hits = Some(finding.hits.unwrap_or_default() + work.noticed.len() as u64);
        let (positions, behind) = mirrored.positions(&work.noticed);
        let noticed = Noticed {
            dataset: permitted.dataset.clone(),
            selection: mirrored.hidden,
            positions: behind,
            about: About::of(opened, now()),
        };
        let fresh = unasked(opened, open.dataset.clone(), now());
        let (store, dataset) = (Arc::clone(&node.store), permitted.dataset.clone());
        let found = blocking(move || partly_held(fresh, &store, &dataset, &mirrored.partly, &positions)).await??;
        held.noticed = Some(noticed);
        held.partly = found;
        Ok((Outcome::Done, held))
    }
}

/// What a holder learns of a match.
#[derive(Default)]
pub(crate) struct Held {
    /// Hidden records that were asked about.
    pub(crate) noticed: Option<Noticed>,
    /// Hits of which the asker is shown the kind alone.
    pub(crate) partly: Vec<FollowUp>,
    /// What the asker says it found, where the result is for both.
    pub(crate) shared: Vec<FoundRecord>,
}

struct Work<S> {
    node: Arc<Node>,
    peer: String,
    idle: Duration,
    requests: S,
    replies: Replies,
    /// Items of both sets done, as `Working` tells.
    steps: u64,
    /// Tokens of the own set that were handed to the network.
    handed: Arc<AtomicU64>,
    /// What the asker's elements are held against, where there is a mirrored pass.
    watch: Option<Watch>,
    /// Places of hidden items that were asked about.
    noticed: BTreeSet<u32>,
    /// Set when the session ends, however it does: blocking work that outlives it sends no more.
    ended: Ended,
}

#[derive(Default)]
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<S: Stream<Item = Result<pb::MatchRequest, Status>> + Unpin> Work<S> {
    async fn answer(
        &mut self,
        opened: &Opened,
        terms: Terms,
        own_size: u64,
        evaluator: Evaluator,
        tokeniser: Tokeniser,
    ) -> Result<(), NodeError> {
        match terms.first() {
            First::Evaluated => {
                self.evaluate(terms, evaluator).await?;
                self.tokens(opened, terms, own_size, tokeniser).await
            }
            First::Tokens => {
                self.tokens(opened, terms, own_size, tokeniser).await?;
                self.evaluate(terms, evaluator).await
            }
        }
    }

    /// Evaluates what the asker blinded: in mode `hits` chunk by chunk, in mode `count` sorted once all of it is here.
    async fn evaluate(&mut self, terms: Terms, mut evaluator: Evaluator) -> Result<(), NodeError> {
        let mut sorter = match terms.mode() {
            dh::Mode::Hits | dh::Mode::Labels => None,
            dh::Mode::Count => Some(SealedSorter::<32>::new(
                &spill_directory(&self.node).map_err(StoreError::Spill)?,
            )),
        };
        let mut told = Instant::now();
        while !evaluator.is_complete() {
            let Some(blinded) = self.next().await? else {
                return evaluator.finish().map_err(|source| self.misbehaved(source));
            };
            if let Some(watch) = &self.watch {
                self.noticed.extend(watch.look(&blinded));
            }
            let (next, evaluated) = self
                .node
                .pool
                .run(move || evaluator.evaluate(&blinded))
                .await?
                .map_err(|source| self.misbehaved(source))?;
            evaluator = next;
            self.steps += evaluated.len() as u64;
            if sorter.is_some() && told.elapsed() >= BETWEEN {
                told = Instant::now();
                self.reply(Response::Working(self.steps)).await?;
            }
            sorter = match sorter {
                None => {
                    self.reply(Response::Reply(Reply::Evaluated(evaluated))).await?;
                    None
                }
                Some(mut sorter) => Some(blocking(move || sorter.push(&evaluated).map(|()| sorter)).await??),
            };
        }
        match sorter {
            None => Ok(()),
            Some(sorter) => {
                self.send_sorted(sorter, Reply::Evaluated, Some(PeerMisbehaved::Duplicate))
                    .await
            }
        }
    }

    /// Makes tokens of the own set, sorts all of them, sends them.
    async fn tokens(
        &mut self,
        opened: &Opened,
        terms: Terms,
        own_size: u64,
        tokeniser: Tokeniser,
    ) -> Result<(), NodeError> {
        if terms.mode() != dh::Mode::Labels {
            let make = |tokeniser: Tokeniser, chunk: &[Element]| {
                let elements: Vec<Stored> = chunk.iter().map(|element| element.stored).collect();
                tokeniser.tokens(&elements)
            };
            return self
                .sorted_tokens(opened, own_size, tokeniser, make, Reply::Tokens)
                .await;
        }
        let mut secret = Zeroizing::new([0; 32]);
        rand::rng().fill_bytes(&mut *secret);
        let handles = Handles::new(&secret);
        let make = move |tokeniser: Tokeniser, chunk: &[Element]| {
            let labelled: Vec<_> = chunk
                .iter()
                .map(|element| (element.stored, handles.label(element)))
                .collect();
            tokeniser.labelled(&labelled)
        };
        self.sorted_tokens(opened, own_size, tokeniser, make, Reply::Labelled)
            .await
    }

    async fn sorted_tokens<const N: usize>(
        &mut self,
        opened: &Opened,
        own_size: u64,
        mut tokeniser: Tokeniser,
        make: impl Fn(Tokeniser, &[Element]) -> Result<(Tokeniser, Vec<[u8; N]>), overlap_psi::Error>
        + Send
        + Sync
        + 'static,
        reply: fn(Vec<[u8; N]>) -> Reply,
    ) -> Result<(), NodeError> {
        let permitted = opened.terms();
        let (dataset, selection) = (permitted.dataset.clone(), permitted.selection.clone());
        let pool: Pool = self.node.pool.clone();
        let (replies, peer, idle) = (self.replies.clone(), self.peer.clone(), self.idle);
        let directory = spill_directory(&self.node).map_err(StoreError::Spill)?;
        let before = self.steps;
        let sorter = blocking(move || {
            let mut sorter = SealedSorter::<N>::new(&directory);
            let mut elements = dataset.elements(&selection);
            let mut done = 0u64;
            let mut told = Instant::now();
            loop {
                let chunk: Vec<Element> = elements.by_ref().take(CHUNK).collect::<Result<_, _>>()?;
                if chunk.is_empty() {
                    break;
                }
                let (next, tokens) = pool
                    .install(|| make(tokeniser, &chunk))
                    .map_err(|error| peer_fault(&peer, error))?;
                tokeniser = next;
                sorter.push(&tokens)?;
                done += chunk.len() as u64;
                if told.elapsed() >= BETWEEN && done < own_size {
                    told = Instant::now();
                    send_blocking(&replies, Ok(Response::Working(before + done).into()), Some(idle), &peer)?;
                }
            }
            tokeniser.finish().map_err(|misuse| misuse_of(&misuse))?;
            Ok::<_, NodeError>(sorter)
        })
        .await??;
        self.steps += own_size;
        self.send_sorted(sorter, reply, None).await
    }

    /// Sends what was sorted; with `equal`, refuses the whole of it before the first leaves when two values are equal.
    async fn send_sorted<const N: usize>(
        &mut self,
        sorter: SealedSorter<N>,
        reply: fn(Vec<[u8; N]>) -> Reply,
        equal: Option<PeerMisbehaved>,
    ) -> Result<(), NodeError> {
        let (replies, peer, idle) = (self.replies.clone(), self.peer.clone(), self.idle);
        let (handed, ended) = (Arc::clone(&self.handed), Arc::clone(&self.ended.0));
        blocking(move || {
            let mut sorted = sorter.finish()?;
            if let Some(source) = equal
                && sorted.has_equal()?
            {
                return Err(NodeError::PeerProtocol { peer, source });
            }
            let mut values = sorted.iter()?;
            loop {
                let chunk: Vec<[u8; N]> = values.by_ref().take(CHUNK).collect::<Result<_, _>>()?;
                if chunk.is_empty() || ended.load(Ordering::Relaxed) {
                    return Ok(());
                }
                if equal.is_none() {
                    handed.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                }
                send_blocking(&replies, Ok(Response::Reply(reply(chunk)).into()), Some(idle), &peer)?;
            }
        })
        .await?
    }

    /// Has the asker evaluate points of which it cannot tell whether any stands for a record of this node. They leave at a time that is set before
    /// anything is read. Returns what hidden items are taken from.
    async fn mirror(&mut self, opened: &Opened) -> Result<Option<Mirrored>, NodeError> {
        let permitted = opened.terms();
        let size = usize::try_from(permitted.grant.mirror).map_err(|_| NodeError::Broken("a mirror is too large"))?;
        if size == 0 {
            return Ok(None);
        }
        let leave = Instant::now() + MIRROR_BASE + MIRROR_EACH * u32::try_from(size).unwrap_or(u32::MAX);
        let (dataset, pool, open) = (permitted.dataset.clone(), self.node.pool.clone(), &permitted.opening);
        let selection = policy::selection(&self.node.config, &open.kinds, Mode::Count);
        let mut visibility = permitted.grant.visibility.clone();
        visibility.retain(|class| *class == Visibility::C && open.mode == Mode::Hits);
        let partly = Classes::of(&open.roles.iter().copied().collect(), &visibility);
        let partly = selection.clone().of_classes(partly);
        let hidden = selection.of_classes(Classes::hidden());
        let started = blocking(move || {
            let (mirrored, points) = Mirrored::collect(&dataset, partly, hidden, size)?;
            let started = pool.install(|| Mirror::start(&points, size, &mut rand::rng()));
            let (mirror, sent) = started.map_err(|misuse| misuse_of(&misuse))?;
            Ok::<_, NodeError>((mirror, sent, mirrored))
        });
        let (mirror, sent, mirrored) = started.await??;
        tokio::time::sleep_until(leave.into()).await;
        for chunk in sent.chunks(CHUNK) {
            self.reply(Response::Mirror(chunk.to_vec())).await?;
        }
        let mut evaluated = Vec::with_capacity(size);
        while evaluated.len() < size {
            match self.request().await? {
                Some(Request::Mirrored(points)) => evaluated.extend(points),
                Some(_) => return Err(self.misbehaved(PeerMisbehaved::OutOfTurn)),
                None => break,
            }
        }
        let watch = self.node.pool.run(move || mirror.finish(&evaluated)).await?;
        self.watch = Some(watch.map_err(|source| self.misbehaved(source))?);
        Ok(Some(mirrored))
    }

    /// The asker ends its stream once it has sent what it announced and, where the result is for both, what it found.
    async fn expect_end(&mut self, terms: Terms, result: Recipient, shared: &mut Found) -> Result<(), NodeError> {
        let mut bytes = 0;
        loop {
            match self.request().await? {
                None => return Ok(()),
                Some(Request::Found(found)) if result == Recipient::Both => {
                    bytes += found.hits.iter().map(|hit| hit.canonical().len()).sum::<usize>();
                    shared.hits.extend(found.hits);
                    shared.count = shared.count.or(found.count);
                    // no more can be in common than the asker has, which the agreement bounds for this
                    let announced = terms.initiator_size();
                    if shared.hits.len() as u64 > announced || bytes > MOST_SHARED_BYTES {
                        return Err(self.misbehaved(PeerMisbehaved::TooMany { announced }));
                    }
                }
                Some(Request::Blinded(_)) => {
                    return Err(self.misbehaved(PeerMisbehaved::TooMany {
                        announced: terms.initiator_size(),
                    }));
                }
                Some(_) => return Err(self.misbehaved(PeerMisbehaved::OutOfTurn)),
            }
        }
    }

    async fn next(&mut self) -> Result<Option<Vec<Encoded>>, NodeError> {
        match self.request().await? {
            None => Ok(None),
            Some(Request::Blinded(elements)) => Ok(Some(elements)),
            Some(Request::Open(_) | Request::Mirrored(_) | Request::Found(_)) => {
                Err(self.misbehaved(PeerMisbehaved::OutOfTurn))
            }
        }
    }

    async fn request(&mut self) -> Result<Option<Request>, NodeError> {
        let idle = || NodeError::PeerIdle {
            peer: self.peer.clone(),
            seconds: self.idle.as_secs(),
        };
        match tokio::time::timeout(self.idle, self.requests.next()).await {
            Err(_) => Err(idle()),
            Ok(None) => Ok(None),
            Ok(Some(Err(status))) => Err(NodeError::of_stream(&self.peer, &status)),
            Ok(Some(Ok(message))) => match Request::try_from(message) {
                Ok(request) => Ok(Some(request)),
                Err(source) => Err(NodeError::PeerWire {
                    peer: self.peer.clone(),
                    source,
                }),
            },
        }
    }

    async fn reply(&mut self, response: Response) -> Result<(), NodeError> {
        send(&self.replies, Ok(response.into()), self.idle, &self.peer).await
    }

    fn misbehaved(&self, source: PeerMisbehaved) -> NodeError {
        NodeError::PeerProtocol {
            peer: self.peer.clone(),
            source,
        }
    }
}
