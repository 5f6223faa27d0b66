//! The coordinator's part in a picture.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;
use overlap_agreement::{Participant, Roster, Signed};
use overlap_audit::{Digest, Outcome};
use overlap_proto::{
    fault::Reason,
    peer::{self, Mode},
    picture::{Request, Response},
};
use overlap_psi::{
    PeerMisbehaved,
    dleq::PublicKey,
    joint::{Entry, Merge, Met, Pseudonym},
};
use overlap_report::{Month, Roles, Subject, Tally};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    blame::{Failed, Heard, accused, disagree, second_time, too_large},
    gather::{Link, any},
    part::{Kept, Part, take_part},
    rounds::evaluated_for,
};
use crate::{
    error::NodeError,
    node::Node,
    policy::LeadTerms,
    spine::{Finding, Opened, Session},
};

/// Most shared pseudonyms that an operational picture lists.
const MOST_SHARED: usize = 1 << 18;

/// Leads a picture.
pub(crate) struct Lead<F> {
    /// Told how far it is; must not block.
    pub(crate) progress: F,
}

/// How far a picture is.
pub(crate) enum Step<'a> {
    /// The entry is on disk.
    Admitted,
    /// A round begins, with these.
    Round(u32, Vec<&'a str>),
    /// A participant is so far with a phase: the phase, what is done of it, and the whole.
    Progress(&'a str, &'static str, u64, u64),
    /// A participant is left out, and why.
    Dropped(&'a str, &'a NodeError),
}

/// What a picture yields.
pub(crate) struct Made {
    pub(crate) tally: Tally,
    /// In operational pictures, what two or more have: kind by its place, holders as bits, roles.
    pub(crate) shared: Vec<(Pseudonym, Subject)>,
    /// Name and size of each that took part, in the order of the bits.
    pub(crate) agencies: Vec<(String, u64)>,
    /// Who was left out, and why in brief.
    pub(crate) dropped: Vec<(String, String)>,
    /// What stands behind the own pseudonyms.
    pub(crate) own: Option<Kept>,
}

/// The own part, which runs beside.
type OwnPart = tokio_util::task::AbortOnDropHandle<Result<Kept, NodeError>>;

impl<F: Fn(&Opened<LeadTerms>, Step<'_>) + Send + Sync + 'static> Session for Lead<F> {
    type Terms = LeadTerms;
    type Output = Made;

    async fn run(
        self,
        node: &Arc<Node>,
        opened: &Opened<LeadTerms>,
        finding: &mut Finding,
    ) -> Result<(Outcome, Made), NodeError> {
        let terms = opened.terms();
        (self.progress)(opened, Step::Admitted);
        finding.sent = Some(true);
        // the report tells in brief what the log tells at length
        let (mut dropped, mut why) = (Vec::new(), Vec::new());
        let mut drop_out = |name: &str, error: &NodeError| {
            tracing::warn!(participant = name, %error, "a participant is left out of the picture");
            (self.progress)(opened, Step::Dropped(name, error));
            why.push(format!("{name} was left out: {error}"));
            dropped.push((name.to_owned(), error.brief().to_owned()));
        };
        let (mut links, mut last) = (Vec::new(), None);
        let calls = terms.invited.iter().map(|one| Link::open(node, opened, one));
        for (one, link) in terms.invited.iter().zip(join_all(calls).await) {
            match link {
                Ok(link) => links.push(link),
                Err((heard, error)) => {
                    if !heard {
                        finding.unheard.push(one.peer.id.clone());
                    }
                    drop_out(&one.peer.name, &error);
                    last = Some(error);
                }
            }
        }
        let mut own = self.own_part(node, opened, &mut links).await?;
        links.sort_by(|one, other| one.id.cmp(&other.id));
        let (mut number, mut known, mut accusers) = (0, BTreeMap::new(), BTreeSet::new());
        let (tally, shared, sizes) = loop {
            if links.len() < terms.min_participants.max(2) {
                return Err(too_few(links.len(), terms.min_participants, last));
            }
            number += 1;
            let names = links.iter().map(|link| link.name.as_str()).collect();
            (self.progress)(opened, Step::Round(number, names));
            let round = (number, &mut known, &mut finding.remark);
            match self.round(node, opened, &mut links, round).await? {
                Ok(made) => break made,
                Err(failed) => {
                    for (mut place, mut error) in failed {
                        // who has had one left out, and cannot go on for another one, is the one that cannot go on
                        if let NodeError::PeerAccused { by, .. } = &error
                            && !accusers.insert(by.clone())
                            && let Some(accuser) = links.iter().position(|link| link.name == *by)
                        {
                            (place, error) = (accuser, second_time(by, &error));
                        }
                        let link = links.remove(place);
                        drop_out(&link.name, &error);
                        if link.id == node.config.id {
                            // its own fault: nothing that the others could mend
                            return Err(error);
                        }
                        last = Some(error);
                    }
                }
            }
        };
        for link in &mut links {
            // one that hangs up now has done its part
            let _ = link.tell(Request::Done).await;
        }
        let ends = links.iter_mut().map(|link| async move {
            link.listen();
            loop {
                return match link.next().await {
                    Ok(Response::Complete) => None,
                    // who has nothing is not waited for, and may be at work still
                    Ok(Response::Working { .. } | Response::Failed { .. }) => continue,
                    Ok(_) => Some(link.misbehaved(PeerMisbehaved::OutOfTurn)),
                    Err(error) => Some(error),
                };
            }
        });
        let mut remarks: Vec<String> = finding.remark.take().into_iter().collect();
        remarks.append(&mut why);
        let ended = join_all(ends).await.into_iter().flatten();
        remarks.extend(ended.map(|error| format!("after its list was complete: {error}")));
        let own = match own.take() {
            None => None,
            Some(part) => Some(part.await.map_err(|_| NodeError::Broken("a part panicked"))??),
        };
        finding.remark = (!remarks.is_empty()).then(|| remarks.join("; "));
        let outcome = match (terms.open.query.mode, tally.shared()) {
            (Mode::Count, _) => Outcome::Done,
            (Mode::Hits, 0) => Outcome::NoHit,
            (Mode::Hits, hits) => {
                finding.hits = Some(hits);
                finding.output_count = Some(hits);
                Outcome::Hit
            }
        };
        let names = links.iter().map(|link| link.name.clone());
        let made = Made {
            tally,
            shared,
            agencies: names.zip(sizes).collect(),
            dropped,
            own,
        };
        Ok((outcome, made))
    }
}

fn too_few(left: usize, least: usize, last: Option<NodeError>) -> NodeError {
    let why = last.map(|error| format!(": {error}")).unwrap_or_default();
    let message = format!("{left} can take part, and there have to be {}{why}", least.max(2));
    NodeError::refused(Reason::PeerUnreachable, message)
}

impl<F: Fn(&Opened<LeadTerms>, Step<'_>) + Send + Sync + 'static> Lead<F> {
    /// Starts the own part, with a stream to it like those to peers.
    async fn own_part(
        &self,
        node: &Arc<Node>,
        opened: &Opened<LeadTerms>,
        links: &mut Vec<Link>,
    ) -> Result<Option<OwnPart>, NodeError> {
        let Some(part) = Part::of_leader(node, opened).await? else {
            return Ok(None);
        };
        let (requests, asked) = mpsc::channel(4);
        let (replies, answers) = mpsc::channel(4);
        let (id, name) = (node.config.id.clone(), node.config.name.clone());
        let patience = opened.terms().patience;
        links.push(Link::new(
            id,
            name,
            requests,
            Box::pin(ReceiverStream::new(answers)),
            patience,
        ));
        let running = Arc::clone(node);
        let taking = tokio::spawn(async move {
            let asked = tokio_stream::StreamExt::map(ReceiverStream::new(asked), Ok);
            let taken = take_part(&running, part, asked, replies.clone(), (Arc::default(), &mut None)).await;
            let last = match &taken {
                Ok(_) => Ok(Response::Complete.into()),
                Err(error) => Err(error.to_status()),
            };
            let _ = replies.send(last).await;
            taken
        });
        Ok(Some(tokio_util::task::AbortOnDropHandle::new(taking)))
    }

    /// One round; the inner error names those that failed, by falling place.
    async fn round(
        &self,
        node: &Arc<Node>,
        opened: &Opened<LeadTerms>,
        links: &mut [Link],
        (number, known, remark): (u32, &mut BTreeMap<String, u64>, &mut Option<String>),
    ) -> Result<Result<Counted, Vec<Failed>>, NodeError> {
        let terms = opened.terms();
        let ready = join_all(links.iter_mut().map(|link| ready(link, number, terms.patience))).await;
        let (mut participants, mut failed) = (Vec::new(), Vec::new());
        for (place, (link, ready)) in links.iter().zip(ready).enumerate() {
            // what all others would refuse to evaluate is its own fault, not theirs
            let others = links.iter().map(|other| other.id.as_str()).filter(|id| *id != link.id);
            let may = |size| link.id == node.config.id || size <= terms.max_set_size(others);
            let ready = ready.and_then(
                |(size, key)| match *known.entry(link.id.clone()).or_insert(size) == size {
                    true if may(size) => Ok((size, key)),
                    true => Err(too_large(&link.name)),
                    false => Err(link.misbehaved(PeerMisbehaved::Size)),
                },
            );
            match ready {
                Ok((size, key)) => participants.push(Participant {
                    id: link.id.clone(),
                    size,
                    key: Digest(key.encode()),
                }),
                Err(error) => failed.push((place, error)),
            }
        }
        if !failed.is_empty() {
            failed.reverse();
            return Ok(Err(failed));
        }
        let sizes: Vec<u64> = participants.iter().map(|one| one.size).collect();
        let mut roster = Signed::new(Roster {
            picture: opened.entry().transaction,
            round: number,
            coordinator: node.config.id.clone(),
            agreement: opened.terms().agreement.hash(),
            participants,
        })
        // what keys and sizes can be was checked; equal keys are what is left
        .map_err(|error| NodeError::refused(Reason::PeerMisbehaved, error.to_string()))?;
        roster.sign(&node.config.signing_key);
        *remark = Some(evaluated_for(&roster));
        for (place, link) in links.iter_mut().enumerate() {
            if let Err(error) = link.tell(Request::Roster(Box::new(roster.clone()))).await {
                return Ok(Err(vec![(place, error)]));
            }
            link.listen();
        }
        self.merge(&node.config.id, opened, links, sizes).await
    }

    /// Merges the lists of all.
    async fn merge(
        &self,
        own: &str,
        opened: &Opened<LeadTerms>,
        links: &mut [Link],
        sizes: Vec<u64>,
    ) -> Result<Result<Counted, Vec<Failed>>, NodeError> {
        let query = &opened.terms().open.query;
        let lists_shared = query.mode == Mode::Hits;
        let mut merge = Merge::new(&sizes);
        let mut received = vec![0u64; sizes.len()];
        let mut heard = vec![Heard::default(); sizes.len()];
        let mut served = 0;
        let mut hungry = vec![false; sizes.len()];
        let (mut tally, mut shared, mut met) = (Tally::default(), Vec::new(), Met::default());
        loop {
            while merge.next(&mut met) {
                let subject = subject(&met).ok_or_else(|| disagree(&met, links))?;
                let added = tally.add(subject);
                added.map_err(|error| NodeError::limit("cells", error.to_string()))?;
                if lists_shared && met.parties.len() > 1 {
                    if shared.len() == MOST_SHARED {
                        let message = format!("more than {MOST_SHARED} subjects are shared: ask about fewer kinds");
                        return Err(NodeError::limit("shared", message));
                    }
                    shared.push((met.pseudonym, subject));
                }
            }
            if merge.wants().is_none() {
                return Ok(Ok((tally, shared, sizes)));
            }
            // silence counts from when something is waited for
            for (place, link) in links.iter_mut().enumerate() {
                let is_hungry = merge.is_hungry(place);
                if let Some(was) = hungry.get_mut(place)
                    && is_hungry != std::mem::replace(was, is_hungry)
                    && is_hungry
                {
                    link.listen();
                }
            }
            let (place, message) = any(links, served, |place| merge.is_hungry(place)).await;
            served = place;
            let (Some(link), Some(size)) = (links.get(place), sizes.get(place).copied()) else {
                return Err(NodeError::Broken("a participant that there is not"));
            };
            let blame = match message {
                Ok(Response::Working { done, waiting_for }) if done <= size => {
                    if let (Some(work), Some(link)) = (heard.get_mut(place), links.get_mut(place)) {
                        if done > work.done {
                            link.listen();
                            (self.progress)(opened, Step::Progress(&link.name, "evaluating", done, size));
                        }
                        work.done = done.max(work.done);
                        work.waits = waiting_for.map(|other| (other, Instant::now()));
                    }
                    continue;
                }
                Ok(Response::Entries(entries)) => {
                    let count = entries.len() as u64;
                    let pushed = match check(&entries, query) {
                        Ok(()) => merge.push(place, entries).map_err(|source| link.misbehaved(source)),
                        Err(what) => Err(link.misbehaved(what)),
                    };
                    match pushed {
                        Ok(()) => {
                            if let Some(received) = received.get_mut(place) {
                                *received += count;
                                let phase = if *received == size { "done" } else { "sending" };
                                (self.progress)(opened, Step::Progress(&link.name, phase, *received, size));
                            }
                            if let Some(link) = links.get_mut(place) {
                                link.listen();
                            }
                            if let Some(work) = heard.get_mut(place) {
                                // it has all that it waited for
                                work.waits = None;
                            }
                            continue;
                        }
                        Err(error) => (place, error),
                    }
                }
                Ok(Response::Failed { participant, why }) => accused(links, own, (place, &participant), &why),
                Err(error @ NodeError::PeerSilent { .. }) => match heard.get(place).and_then(Heard::waits) {
                    Some(other) => {
                        let why = format!("it waits for an answer, and {error}");
                        accused(links, own, (place, other), &why)
                    }
                    None => (place, error),
                },
                Ok(Response::Ready { .. } | Response::Working { .. } | Response::Complete) => {
                    (place, link.misbehaved(PeerMisbehaved::OutOfTurn))
                }
                Err(error) => (place, error),
            };
            return Ok(Err(vec![blame]));
        }
    }
}

/// What a round yields: counts, what is shared, and sizes.
type Counted = (Tally, Vec<(Pseudonym, Subject)>, Vec<u64>);

/// Waits until a participant is ready for a round, which is reading its set at most; what it still says of the one before is passed over.
async fn ready(link: &mut Link, number: u32, patience: Duration) -> Result<(u64, PublicKey), NodeError> {
    /// Times that the patience lasts for reading a set while it says that it is at work.
    const READING: u32 = 10;
    if number > 1 {
        link.tell(Request::Again(number)).await?;
    }
    let last = Instant::now() + patience * READING;
    loop {
        if Instant::now() < last {
            link.listen();
        }
        match link.next().await? {
            Response::Ready { round, size, key } if round == number => return Ok((size, key)),
            Response::Complete => return Err(link.misbehaved(PeerMisbehaved::OutOfTurn)),
            Response::Working { .. } => {}
            _ if number > 1 => {}
            _ => return Err(link.misbehaved(PeerMisbehaved::OutOfTurn)),
        }
    }
}

/// Whether what is said of each pseudonym can be.
fn check(entries: &[Entry], query: &peer::Open) -> Result<(), PeerMisbehaved> {
    let is_fine = |entry: &Entry| {
        let [kind, roles, high, low] = entry.mark;
        let month = u16::from_be_bytes([high, low]);
        usize::from(kind) < query.kinds.len()
            && Roles::from_bits(roles).is_some()
            && Month::from_number(month).is_some()
            && (month == 0 || query.mode == Mode::Count)
    };
    match entries.iter().all(is_fine) {
        true => Ok(()),
        false => Err(PeerMisbehaved::BadMark),
    }
}

/// What all say of a pseudonym together, if they agree on the kind.
fn subject(met: &Met) -> Option<Subject> {
    let mut subject = Subject {
        kind: met.parties.first().map(|(_, [kind, ..])| *kind)?,
        agencies: 0,
        roles: Roles::OTHER,
        month: Month::UNKNOWN,
    };
    for (party, [kind, roles, high, low]) in &met.parties {
        if *kind != subject.kind {
            return None;
        }
        subject.agencies |= 1 << party;
        subject.roles = subject.roles.and(Roles::from_bits(*roles).unwrap_or_default());
        let month = Month::from_number(u16::from_be_bytes([*high, *low])).unwrap_or_default();
        subject.month = subject.month.earlier(month);
    }
    Some(subject)
}
