//! The holder's side of a standing stream: the snapshot, what is new in it, and the partner's checks.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use overlap_audit::Outcome;
use overlap_proto::{
    action::{Attend, Attended, Check, Claim, Delta, Refused, Snapshot, Told},
    pb::peer as pb,
};
use overlap_psi::{PeerMisbehaved, Stored, mirror::Mirror};
use tokio::sync::{Semaphore, mpsc};
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::{
    hold::{Evaluate, Hidden, Tell, noticed},
    live::Live,
    table::{OVERGROWN, Scope, Table},
};
use crate::{
    error::NodeError,
    listen::Caller,
    node::{Node, now},
    policy::{
        self,
        action::{AttendTerms, Parent},
    },
    pool::blocking,
    spine::{self, Finding, Opened, Session},
};

/// Answers that wait for the network.
pub(super) type Replies = mpsc::Sender<Result<pb::AttendResponse, Status>>;

/// Checks of one stream that are under way at once; the next waits.
const AT_ONCE: usize = 64;

/// Fingerprints of one message, 32 KiB: as many messages wait for a slow partner as the queue takes.
const TOGETHER: usize = 8192;

/// How long whoever was refused waits for its next turn: each refusal is an entry.
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// How long a mirrored pass lasts, about.
const PASS: Duration = Duration::from_mins(15);

/// How long a certificate that was checked counts as checked.
const JUDGED_FOR: Duration = Duration::from_secs(1);
/// How often one is looked at over which nothing comes.
const JUDGED_AGAIN: Duration = Duration::from_secs(5);

/// One standing stream, from its opening to its end.
pub(super) struct Stand {
    pub(super) live: Arc<Live>,
    pub(super) caller: Caller,
    /// Whether the partner has this snapshot, by its epoch, and the last delta to it.
    pub(super) has: Option<([u8; 16], u64)>,
    pub(super) requests: Streaming<pb::AttendRequest>,
    pub(super) replies: Replies,
}

impl Session for Stand {
    type Terms = AttendTerms;
    type Output = ();

    async fn run(
        self,
        node: &Arc<Node>,
        opened: &Opened<AttendTerms>,
        finding: &mut Finding,
    ) -> Result<(Outcome, ()), NodeError> {
        finding.peer_count = Some(0);
        let ended = self.live.ended.clone();
        let draining = node.draining.clone();
        tokio::select! {
            stood = self.stand(node, opened, finding) => stood.map(|()| (Outcome::Done, ())),
            () = ended.cancelled() => Ok((Outcome::Done, ())),
            () = draining.cancelled() => Ok((Outcome::Done, ())),
        }
    }
}

impl Stand {
    async fn stand(
        mut self,
        node: &Arc<Node>,
        opened: &Opened<AttendTerms>,
        finding: &mut Finding,
    ) -> Result<(), NodeError> {
        let terms = opened.terms();
        let peer = terms.peer.name.clone();
        let hung_up = || NodeError::PeerHungUp { peer: peer.clone() };
        let selection = terms
            .shown
            .clone()
            .ok_or(NodeError::Broken("a holder without a selection"))?;
        let scope = Scope {
            dataset: terms.opening.query.dataset.clone(),
            kinds: terms.opening.query.kinds.clone(),
            classes: selection.classes(),
        };
        let action = terms.opening.plan.to_string();
        let table = self.live.tables.of(node, &action, &scope, &selection).await?;
        let mut deltas = table.deltas.subscribe();
        let has = self
            .has
            .filter(|(epoch, seen)| *epoch == table.epoch && *seen <= *deltas.borrow());
        let accepted = Snapshot {
            epoch: table.epoch,
            public: *table.public(),
            shape: table.shape(),
            resumed: has.is_some(),
            mirror: u32::try_from(terms.grant.mirror).unwrap_or_default(),
        };
        self.reply(Attended::Accepted(accepted)).await.map_err(|()| hung_up())?;
        finding.stood = true;
        // it may have left in between, and have lost them
        self.live.alerts.tell_again(node, |alert| alert.peer == peer).await?;
        let hidden = self.mirror(node, terms).await?.map(Arc::new);
        if has.is_none() {
            for some in table.fingerprints().chunks(TOGETHER) {
                self.reply(Attended::Fingerprints(some.to_vec()))
                    .await
                    .map_err(|()| hung_up())?;
            }
        }
        let parent = opened.parent();
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut sent = has.map_or(0, |(_, seen)| seen);
        let (began, lasts) = (Instant::now(), PASS.mul_f64(rand::random_range(0.7..1.3)));
        let mut judged = began;
        loop {
            // hidden records that came since are noticed by another pass: the partner comes back, and goes on where it was. Whether there
            // are any, or ever were, is not to be told by when
            if terms.grant.mirror > 0 && began.elapsed() > lasts * 2 {
                return Ok(());
            }
            // connections outlive revocations and expiry, also of who says nothing
            if judged.elapsed() >= JUDGED_FOR {
                self.caller.check_now()?;
                judged = Instant::now();
            }
            let there = *deltas.borrow_and_update();
            if there == OVERGROWN {
                return Ok(());
            }
            while sent < there {
                sent += 1;
                let images = table.delta(sent).ok_or(NodeError::Broken("a delta is missing"))?;
                let delta = Delta {
                    number: sent,
                    images: images.to_vec(),
                };
                self.reply(Attended::Delta(delta)).await.map_err(|()| hung_up())?;
            }
            let place = tokio::select! {
                changed = deltas.changed() => {
                    changed.map_err(|_| NodeError::Broken("a table is gone"))?;
                    continue;
                }
                place = Arc::clone(&places).acquire_owned() => place.map_err(|_| NodeError::Broken("a semaphore was closed"))?,
            };
            let message = tokio::select! {
                changed = deltas.changed() => {
                    changed.map_err(|_| NodeError::Broken("a table is gone"))?;
                    continue;
                }
                message = self.requests.message() => message,
                // at a quiet moment, if there is one
                () = tokio::time::sleep(JUDGED_AGAIN) => match terms.grant.mirror > 0 && began.elapsed() > lasts {
                    true => return Ok(()),
                    false => continue,
                },
            };
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(()),
                Err(status) => return Err(NodeError::of_stream(&peer, &status)),
            };
            match Attend::try_from(message)? {
                Attend::Check(check) => self.check(node, &parent, check, &table, hidden.clone(), place),
                Attend::Claim(claim) => self.claim(node, &parent, claim, &table, place),
                Attend::Open(_) | Attend::Mirrored(_) => {
                    return Err(NodeError::PeerProtocol {
                        peer,
                        source: PeerMisbehaved::OutOfTurn,
                    });
                }
            }
        }
    }

    async fn reply(&self, message: Attended) -> Result<(), ()> {
        self.replies.send(Ok(message.into())).await.map_err(drop)
    }

    /// Has the partner evaluate the hidden items, among as many made-up ones as are agreed.
    async fn mirror(&mut self, node: &Arc<Node>, terms: &AttendTerms) -> Result<Option<Hidden>, NodeError> {
        let size = usize::try_from(terms.grant.mirror).unwrap_or_default();
        if size == 0 {
            return Ok(None);
        }
        let peer = terms.peer.name.clone();
        let selection = policy::action::hidden_in(node, terms);
        let (running, wanted, name) = (Arc::clone(node), selection.clone(), terms.opening.query.dataset.clone());
        let (mirror, points, links) = blocking(move || {
            let (mut stored, mut links): (Vec<Stored>, Vec<_>) = (Vec::new(), Vec::new());
            if let Some(dataset) = running.store.dataset(&name) {
                dataset.entrants(
                    &wanted,
                    |_| false,
                    |entrant| {
                        if stored.len() < size {
                            stored.push(entrant.stored);
                            links.push(entrant.link);
                        }
                        Ok(())
                    },
                )?;
            }
            let started = running.pool.install(|| Mirror::start(&stored, size, &mut rand::rng()));
            let (mirror, points) = started.map_err(|_| NodeError::Broken("an item is no group element"))?;
            Ok::<_, NodeError>((mirror, points, links))
        })
        .await??;
        let mut evaluated = Vec::with_capacity(points.len());
        for some in points.chunks(overlap_proto::CHUNK) {
            let sent = self.reply(Attended::Mirror(some.to_vec())).await;
            sent.map_err(|()| NodeError::PeerHungUp { peer: peer.clone() })?;
            let message = self.requests.message().await;
            let message = message.map_err(|status| NodeError::of_stream(&peer, &status))?;
            let message = message.ok_or_else(|| NodeError::PeerHungUp { peer: peer.clone() })?;
            let Attend::Mirrored(some) = Attend::try_from(message)? else {
                return Err(NodeError::PeerProtocol {
                    peer,
                    source: PeerMisbehaved::OutOfTurn,
                });
            };
            evaluated.extend(some);
        }
        let watch = node.pool.run(move || mirror.finish(&evaluated)).await?;
        let watch = watch.map_err(|source| NodeError::PeerProtocol { peer, source })?;
        Ok(Some(Hidden {
            watch,
            links,
            selection,
        }))
    }

    /// Answers one check, in a task of its own: none waits for another.
    fn check(
        &self,
        node: &Arc<Node>,
        parent: &Parent,
        check: Box<Check>,
        table: &Arc<Table>,
        hidden: Option<Arc<Hidden>>,
        place: tokio::sync::OwnedSemaphorePermit,
    ) {
        let at = now();
        let items = (check.kinds.as_slice(), check.blinded.len());
        let mut decision = policy::action::authorise_check(node, parent, &check.asking, items, at);
        if let Ok(permit) = decision {
            let counted = self
                .live
                .guard
                .count(&parent.peer.id, parent.known.plan().checks_per_minute);
            decision = match counted {
                Ok(()) => Ok(permit),
                Err(error) => Err(permit.deny(error)),
            };
        }
        let asking = check.asking.clone();
        let asked = hidden.as_ref().map(|_| check.clone());
        let session = Evaluate {
            check,
            table: Arc::clone(table),
            hidden: hidden.clone(),
        };
        let (running, live, parent, replies) = (
            Arc::clone(node),
            Arc::clone(&self.live),
            parent.clone(),
            self.replies.clone(),
        );
        node.queries.spawn(async move {
            let (kinds, is_again) = (session.check.kinds.clone(), session.check.again);
            let noticed_links = answer(&replies, asking.transaction, async {
                let made = spine::run(&running, decision, session).await?;
                let items = made.evaluated.elements.len();
                live.answered.note(&parent.peer.id, asking.transaction, &kinds, items);
                if !is_again {
                    live.figures.answered(&parent.peer.name, &kinds);
                }
                Ok((
                    Attended::Evaluated(asking.transaction, Box::new(made.evaluated)),
                    made.noticed,
                ))
            })
            .await;
            // the stream may end now: by when it does nothing is told of what follows
            drop(replies);
            hold(place, noticed_links.is_none()).await;
            let (Some(links), Some(hidden), Some(check)) = (noticed_links, hidden, asked) else {
                return;
            };
            if links.is_empty() {
                return;
            }
            // long after the answer has left, and nobody knows when: what its asker does next must not be held up by it
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(rand::random_range(500..3000))) => {}
                () = running.draining.cancelled() => {}
            }
            let looking = (Arc::clone(&running), Arc::clone(&live), parent);
            let alerts = blocking(move || {
                let (node, live, parent) = &looking;
                noticed(node, live, parent, &check, (&hidden, &links))
            });
            match alerts.await {
                Ok(Ok(alerts)) => {
                    for alert in alerts {
                        if let Err(error) = live.alerts.raise(&running, alert, None).await {
                            tracing::error!(reason = error.reason().name(), "an alert was not kept");
                        }
                    }
                }
                Ok(Err(error)) | Err(error) => {
                    tracing::error!(
                        reason = error.reason().name(),
                        "hidden records that were asked about are in the log as a number alone"
                    );
                }
            }
        });
    }

    /// Answers one claim.
    fn claim(
        &self,
        node: &Arc<Node>,
        parent: &Parent,
        claim: Box<Claim>,
        table: &Arc<Table>,
        place: tokio::sync::OwnedSemaphorePermit,
    ) {
        let about = (claim.check, claim.kind);
        let mut decision = policy::action::authorise_claim(node, parent, &claim.asking, about, now());
        if let Ok(permit) = decision {
            decision = match self.live.answered.take(&parent.peer.id, claim.check, claim.kind) {
                Ok(()) => Ok(permit),
                Err(error) => Err(permit.deny(error)),
            };
        }
        let transaction = claim.asking.transaction;
        let (live, peer, was_taken) = (Arc::clone(&self.live), parent.peer.id.clone(), decision.is_ok());
        let session = Tell {
            claim,
            table: Arc::clone(table),
            live: Arc::clone(&self.live),
        };
        let (running, replies) = (Arc::clone(node), self.replies.clone());
        node.queries.spawn(async move {
            let told = answer(&replies, transaction, async {
                let told = spine::run(&running, decision, session).await;
                let told = told.inspect_err(|error| {
                    // a fault here is none of the asker's
                    if was_taken && !matches!(error, NodeError::Refused { .. }) {
                        live.answered.give_back(&peer, about.0);
                    }
                })?;
                let answer = Told {
                    transaction,
                    answer: (&told).into(),
                };
                Ok((Attended::Told(answer), ()))
            })
            .await;
            drop(replies);
            hold(place, told.is_none()).await;
        });
    }
}

/// Gives a place free: after a refusal not at once, so that refusals do not fill the log.
async fn hold(place: tokio::sync::OwnedSemaphorePermit, was_refused: bool) {
    if was_refused {
        tokio::time::sleep(REFUSED_FOR).await;
    }
    drop(place);
}

/// Sends what becomes of one check or claim; gives what is left to do.
async fn answer<T>(
    replies: &Replies,
    transaction: Uuid,
    work: impl Future<Output = Result<(Attended, T), NodeError>>,
) -> Option<T> {
    let (message, rest) = match work.await {
        Ok((message, rest)) => (message, Some(rest)),
        Err(error) => {
            let status = error.to_peer_status();
            let refused = Refused {
                transaction,
                reason: error.reason(),
                limit: error.limit_name().map(str::to_owned),
                message: status.message().to_owned(),
            };
            (Attended::Refused(refused), None)
        }
    };
    // a partner that hung up asks again when it comes back
    let _ = replies.send(Ok(message.into())).await;
    rest
}
