//! A participant's part in a picture.

use std::sync::{Arc, atomic::AtomicU64};

use overlap_agreement::{Participant, Roster, Signed};
use overlap_audit::{Digest, Outcome};
use overlap_proto::{
    fault::Reason,
    pb::peer as pb,
    peer::Mode,
    picture::{Open, Request, Response},
};
use overlap_psi::{
    PeerMisbehaved,
    joint::{Mark, Share},
};
use overlap_records::{Kind, Visibility};
use overlap_store::{Classes, Dataset, KeptPicture, Link, Member, Months, SealedSorter, Selection, Sorted, StoreError};
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uuid::Uuid;

use super::{
    mesh::{self, Fault, LINE},
    roles,
    rounds::{Round, Taking, evaluated_for},
    telling::{Replies, Work, tell, working},
};
use crate::{
    agreements::Held,
    error::NodeError,
    fault,
    node::{Node, now},
    policy::{self, LeadTerms},
    pool::blocking,
    session::{send, spill_directory},
    spine::{Finding, Opened, Session},
};

/// What this node takes part with; made of an opened query alone.
pub(crate) struct Part {
    picture: Uuid,
    coordinator: String,
    /// Thumbprint of the key that the coordinator signs rosters with.
    signer: Digest,
    pub(super) agreement: Arc<Held>,
    dataset: Dataset,
    selection: Selection,
    kinds: Vec<Kind>,
    mode: Mode,
    since: u16,
    expires: jiff::Timestamp,
    participants: Vec<String>,
    /// Most items that another may take part with, for all that this node is asked.
    max_size: u64,
    /// How many the coordinator announced when it asked: what its query was judged, counted and logged by.
    announced: u64,
    months: Months,
    pub(super) size: u64,
}

/// What stands behind the own pseudonyms, to be kept once the log is closed.
pub(crate) struct Kept {
    row: KeptPicture,
    /// In operational pictures.
    links: Option<Sorted<LINE>>,
}

/// Takes part in a picture that a peer leads.
pub(crate) struct Take<S> {
    pub(crate) open: Box<Open>,
    /// The coordinator's messages after the opening.
    pub(crate) requests: S,
    pub(crate) replies: Replies,
}

impl<S> Session for Take<S>
where
    S: Stream<Item = Result<pb::TakeRequest, Status>> + Send + Unpin + 'static,
{
    type Terms = policy::Terms;
    type Output = Kept;

    async fn run(self, node: &Arc<Node>, opened: &Opened, finding: &mut Finding) -> Result<(Outcome, Kept), NodeError> {
        let terms = opened.terms();
        finding.peer_count = Some(terms.opening.set_size);
        let handed = Arc::new(AtomicU64::new(0));
        finding.supplied = Some(Arc::clone(&handed));
        let reading = working(self.replies.clone(), Arc::default());
        let part = Part::of_holder(opened, &self.open).await?;
        drop(reading);
        let Self { requests, replies, .. } = self;
        let kept = take_part(node, part, requests, replies, (handed, &mut finding.remark)).await?;
        Ok((Outcome::Done, kept))
    }
}

impl Part {
    async fn of_holder(opened: &Opened, open: &Open) -> Result<Self, NodeError> {
        let terms = opened.terms();
        let dataset = (terms.dataset.clone(), terms.selection.clone());
        let agreement = Arc::clone(&terms.agreement);
        Self::new(&terms.peer.id, agreement, dataset, open, terms.grant.max_set_size).await
    }

    /// The own part in a picture that this node leads, if it has one.
    pub(super) async fn of_leader(node: &Node, opened: &Opened<LeadTerms>) -> Result<Option<Self>, NodeError> {
        let terms = opened.terms();
        let Some(dataset) = terms.own.clone() else {
            return Ok(None);
        };
        let agreement = Arc::clone(&terms.agreement);
        let part = Self::new(
            &node.config.id,
            agreement,
            dataset,
            &terms.open,
            terms.max_set_size([node.config.id.as_str()].into_iter()),
        );
        part.await.map(Some)
    }

    async fn new(
        coordinator: &str,
        agreement: Arc<Held>,
        (dataset, selection): (Dataset, Selection),
        open: &Open,
        max_size: u64,
    ) -> Result<Self, NodeError> {
        let party = agreement.agreement().party(coordinator);
        let signer = party.ok_or(NodeError::Broken("a coordinator is no party"))?.signing_key;
        let reading = dataset.clone();
        let months = blocking(move || reading.months()).await??;
        let part = Self {
            picture: open.query.transaction,
            coordinator: coordinator.to_owned(),
            signer,
            agreement,
            size: dataset.items(&selection),
            dataset,
            selection,
            kinds: open.query.kinds.clone(),
            mode: open.query.mode,
            since: open.since,
            expires: open.expires,
            participants: open.participants.clone(),
            max_size,
            announced: open.query.set_size,
            months,
        };
        if part.since == 0 {
            return Ok(part);
        }
        let counting = move || {
            let size = part.members().try_fold(0, |count, member| member.map(|_| count + 1))?;
            Ok(Self { size, ..part })
        };
        blocking(counting).await?
    }

    /// The items that take part, in the order of the store.
    pub(super) fn members(&self) -> impl Iterator<Item = Result<Member, StoreError>> + '_ {
        // of records of class c an asker is shown the kind alone until their holder consents
        let seen = match self.mode {
            Mode::Count => Classes::shown(),
            Mode::Hits => Classes::of(
                &overlap_records::Role::ALL.into(),
                &[Visibility::A, Visibility::B].into(),
            ),
        };
        self.dataset.members(&self.selection, seen, &self.months, self.since)
    }

    /// What the coordinator is told of an item: kind, roles and month.
    pub(super) fn mark(&self, member: &Member) -> Mark {
        let kind = self.kinds.iter().position(|kind| *kind == member.kind);
        let kind = kind.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX);
        // when, in an operational picture, is nobody's business before consent
        let month = match self.mode {
            Mode::Count => member.month,
            Mode::Hits => 0,
        };
        let [high, low] = month.to_be_bytes();
        [kind, roles(&member.roles).bits(), high, low]
    }

    /// Whether a roster is one that this node can take part in.
    fn check(
        &self,
        node: &Node,
        roster: &Signed<Roster>,
        (round, before): (u32, Option<&Roster>),
        share: &Share,
    ) -> Result<(), NodeError> {
        let wrong = |what: &str| {
            let message = format!("the coordinator's roster is not what it has to be: {what}");
            Err(NodeError::refused(Reason::InvalidRequest, message))
        };
        if !roster.is_signed_by(&self.signer) {
            return wrong("it is not signed with the key that the agreement pins for the coordinator");
        }
        let told = roster.document();
        let same = told.picture == self.picture
            && told.round == round
            && told.coordinator == self.coordinator
            && told.agreement == self.agreement.hash();
        if !same {
            return wrong("it is of another picture, round or agreement");
        }
        for one in &told.participants {
            if !self.participants.contains(&one.id) {
                return wrong("it has one that was not asked to take part");
            }
            if one.id == node.config.id {
                if one.size != self.size || one.key.0 != share.public().encode() {
                    return wrong("this node's size or key in it are not its own");
                }
            } else if one.id == self.coordinator && one.size > self.announced {
                return wrong("the coordinator takes part with more items than it announced");
            } else if one.size > self.max_size {
                let message = format!("{} takes part with more items than the agreement allows", one.id);
                return Err(NodeError::limit("max_set_size", message));
            }
        }
        // each round is for fewer than the one before, with what they had then: nobody asks about more by failing
        let had = |one: &Participant| {
            let known = before.map(|before| {
                before
                    .participants
                    .iter()
                    .any(|known| (&known.id, known.size) == (&one.id, one.size))
            });
            known.unwrap_or(true)
        };
        let is_smaller = before.is_none_or(|before| told.participants.len() < before.participants.len());
        if !is_smaller || !told.participants.iter().all(had) {
            return wrong("it is not of fewer than the round before, or they have other sizes");
        }
        match told.place(&node.config.id) {
            Some(_) => Ok(()),
            None => wrong("this node is not in it"),
        }
    }
}

/// What came of one round.
enum Ended {
    /// The list was handed over.
    Listed(Box<Sorted<LINE>>),
    /// And the coordinator has said that it is done.
    Done(Box<Sorted<LINE>>),
    /// The next round begins.
    Again(u32),
}

/// Takes part in a picture, round by round, until the coordinator has what it needs.
pub(crate) async fn take_part<S>(
    node: &Arc<Node>,
    part: Part,
    mut requests: S,
    replies: Replies,
    (handed, remark): (Arc<AtomicU64>, &mut Option<String>),
) -> Result<Kept, NodeError>
where
    S: Stream<Item = Result<pb::TakeRequest, Status>> + Send + Unpin,
{
    let taking = node.parts.take(part.picture)?;
    let part = Arc::new(part);
    let (mut number, mut before) = (1, None);
    let links = loop {
        let this = (number, &mut before, &mut *remark);
        match round(node, &part, &taking, this, &mut requests, &replies, &handed).await? {
            Ended::Again(next) => number = next,
            Ended::Done(list) => break *list,
            Ended::Listed(list) => match coming(&part, number, &mut requests).await? {
                Coming::Again(next) => number = next,
                Coming::Done => break *list,
                Coming::Roster(_) => return Err(part.misbehaved()),
            },
        }
        taking.leave();
    };
    let dataset = part.dataset.info().name.clone();
    Ok(Kept {
        row: KeptPicture {
            id: part.picture,
            as_holder: part.coordinator != node.config.id,
            agreement: part.agreement.hash(),
            dataset,
            made: now(),
            expires: part.expires,
            told: None,
        },
        links: (part.mode == Mode::Hits).then_some(links),
    })
}

async fn round<S>(
    node: &Arc<Node>,
    part: &Arc<Part>,
    taking: &Taking<'_>,
    (number, before, remark): (u32, &mut Option<Roster>, &mut Option<String>),
    requests: &mut S,
    replies: &Replies,
    handed: &Arc<AtomicU64>,
) -> Result<Ended, NodeError>
where
    S: Stream<Item = Result<pb::TakeRequest, Status>> + Send + Unpin,
{
    let share = Share::random(&mut rand::rng());
    let ready = Response::Ready {
        round: number,
        size: part.size,
        key: *share.public(),
    };
    reply(node, part, replies, ready).await?;
    let roster = match coming(part, number, requests).await? {
        Coming::Roster(roster) => roster,
        Coming::Again(next) => return Ok(Ended::Again(next)),
        Coming::Done => return Err(part.misbehaved()),
    };
    part.check(node, &roster, (number, before.as_ref()), &share)?;
    *before = Some(roster.document().clone());
    *remark = Some(evaluated_for(&roster));
    let round = Arc::new(Round::new(*roster, part.signer, share));
    taking.enter(Arc::clone(&round));
    fault::point(overlap_audit::Side::Holder, "in-round");

    let work = Arc::new(Work::default());
    let working = working(replies.clone(), Arc::clone(&work));
    let made = tokio::select! {
        biased;
        () = round.betrayed.cancelled() => {
            let message = format!("{} told another participant of another roster of this round", part.coordinator);
            return Err(NodeError::refused(Reason::InvalidRequest, message));
        }
        next = coming(part, number, requests) => return match next? {
            Coming::Again(next) => Ok(Ended::Again(next)),
            // who has nothing is not waited for
            Coming::Done if part.size == 0 => nothing(node),
            Coming::Done | Coming::Roster(_) => Err(part.misbehaved()),
        },
        made = mesh::lines(node, part, &round, &work) => made,
    };
    drop(working);
    let lines = match made {
        Ok(lines) => lines,
        Err(Fault::Own(error)) => return Err(error),
        Err(Fault::Other { id, error }) => {
            tracing::warn!(participant = %id, %error, "another participant did not do its part");
            let failed = Response::Failed {
                participant: id,
                why: error.to_string(),
            };
            reply(node, part, replies, failed).await?;
            return match coming(part, number, requests).await? {
                Coming::Again(next) => Ok(Ended::Again(next)),
                Coming::Done if part.size == 0 => nothing(node),
                Coming::Done | Coming::Roster(_) => Err(part.misbehaved()),
            };
        }
    };
    // told in a thread that is waited for: nothing of this round comes after the next has begun, nor after the session has ended
    let over = CancellationToken::new();
    let _ends = over.clone().drop_guard();
    let telling = tell(
        lines,
        replies.clone(),
        Arc::clone(handed),
        over.clone(),
        part.coordinator.clone(),
    );
    tokio::pin!(telling);
    let next = tokio::select! {
        biased;
        told = &mut telling => return told.map(|list| Ended::Listed(Box::new(list))),
        next = coming(part, number, requests) => next,
    };
    if matches!(next, Ok(Coming::Done)) {
        // it has taken the last before this side has noticed
        return telling.await.map(|list| Ended::Done(Box::new(list)));
    }
    // a coordinator that hangs up takes no more either, and the telling ends with it
    over.cancel();
    let told = telling.await;
    match next? {
        Coming::Again(next) => told.map(|_| Ended::Again(next)),
        Coming::Done | Coming::Roster(_) => Err(part.misbehaved()),
    }
}

/// The list of who has nothing.
fn nothing(node: &Node) -> Result<Ended, NodeError> {
    let directory = spill_directory(node).map_err(StoreError::Spill)?;
    let list = SealedSorter::new(&directory).finish()?;
    Ok(Ended::Done(Box::new(list)))
}

/// What a coordinator may say.
enum Coming {
    Roster(Box<Signed<Roster>>),
    Again(u32),
    Done,
}

/// The coordinator's next message. No longer waited for than the session may last, which the spine sees to.
async fn coming<S>(part: &Part, number: u32, requests: &mut S) -> Result<Coming, NodeError>
where
    S: Stream<Item = Result<pb::TakeRequest, Status>> + Send + Unpin,
{
    let peer = || part.coordinator.clone();
    let message = match requests.next().await {
        None => return Err(NodeError::PeerHungUp { peer: peer() }),
        Some(Err(status)) => return Err(NodeError::of_stream(&part.coordinator, &status)),
        Some(Ok(message)) => {
            Request::try_from(message).map_err(|source| NodeError::PeerWire { peer: peer(), source })?
        }
    };
    match message {
        Request::Roster(roster) => Ok(Coming::Roster(roster)),
        Request::Again(next) if next > number => Ok(Coming::Again(next)),
        Request::Done => Ok(Coming::Done),
        Request::Again(_) | Request::Open(_) => Err(part.misbehaved()),
    }
}

impl Part {
    fn misbehaved(&self) -> NodeError {
        NodeError::PeerProtocol {
            peer: self.coordinator.clone(),
            source: PeerMisbehaved::OutOfTurn,
        }
    }
}

async fn reply(node: &Node, part: &Part, replies: &Replies, response: Response) -> Result<(), NodeError> {
    let idle = node.config.limits.idle_stream;
    send(replies, Ok(response.into()), idle, &part.coordinator).await
}

impl Kept {
    /// Keeps what stands behind the own pseudonyms, until the picture expires.
    pub(crate) fn keep(self, store: &overlap_store::Store) -> Result<(), StoreError> {
        if let Some(mut links) = self.links {
            let rows = links.iter()?.map(|line| {
                let line = line?;
                let (mut pseudonym, mut link) = ([0; 16], Link::default());
                pseudonym.copy_from_slice(&line[..16]);
                link.copy_from_slice(&line[20..]);
                Ok((pseudonym, link))
            });
            store.pictures().put_links(self.row.id, rows)?;
        }
        store.pictures().put(&self.row)
    }
}
