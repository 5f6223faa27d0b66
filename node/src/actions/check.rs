//! Checks: one person or thing, looked up at all partners at once.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use overlap_audit::Outcome;
use overlap_proto::{
    action::{self, Asking, CheckOpen, CheckWish},
    fault::Reason,
    pb::operator as pb,
};
use overlap_psi::{Stored, voprf};
use overlap_records::{Identifier, Kind};
use overlap_store::Alert;
use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

use super::{
    asked::Asked,
    claim,
    connection::{Connection, Reply},
    handle,
    live::{Live, Partner},
    recent::Found,
};
use crate::{
    error::NodeError,
    node::{Node, now},
    policy::{self, Denial, User, action::CheckTerms},
    spine::{self, Finding, Opened, Session},
};

/// What one partner answers.
pub(super) struct Answer {
    pub(super) outcome: &'static str,
    pub(super) alerts: Vec<Alert>,
    pub(super) detail: String,
    /// The limit that it met, here or at the partner.
    pub(super) limit: Option<String>,
}

/// Answers to a user that wait for the network.
pub(super) type Out = mpsc::Sender<Result<pb::CheckResponse, tonic::Status>>;

impl Answer {
    fn failed(error: &NodeError) -> Self {
        let outcome = match error {
            NodeError::Refused { .. }
            | NodeError::PeerRefused { .. }
            | NodeError::PeerProtocol { .. }
            | NodeError::PeerWire { .. }
            | NodeError::Request(_) => "refused",
            _ => "unreachable",
        };
        let limit = match error {
            NodeError::PeerRefused { limit, .. } => limit.clone(),
            other => other.limit_name().map(str::to_owned),
        };
        Self {
            limit,
            ..Self::of(outcome, Vec::new(), error.to_string())
        }
    }

    fn of(outcome: &'static str, alerts: Vec<Alert>, detail: String) -> Self {
        Self {
            outcome,
            alerts,
            detail,
            limit: None,
        }
    }

    fn unreachable(detail: String) -> Self {
        Self::of("unreachable", Vec::new(), detail)
    }
}

/// Makes one check of a user's, and streams what partners answer; the last message comes at the deadline at the latest. What is late becomes an alert.
pub(super) async fn ask(
    node: Arc<Node>,
    live: Arc<Live>,
    user: Arc<User>,
    open: Arc<CheckOpen>,
    wish: CheckWish,
    out: Out,
) {
    let (began, number) = (Instant::now(), wish.number);
    let idle = node.config.limits.idle_stream;
    let say = async |message| {
        let response = pb::CheckResponse {
            number,
            message: Some(message),
        };
        // who reads no more asked in vain: what is found is in the feed
        let _ = tokio::time::timeout(idle, out.send(Ok(response))).await;
    };
    use pb::check_response::Message;
    let mut done = pb::CheckDone::default();
    match prepare(&node, &live, &user, &open, wish).await {
        Err(error) => done.refused = error.to_string(),
        Ok((asked, blinded)) => {
            let partners = live.partners();
            done.partners = u32::try_from(partners.len()).unwrap_or(u32::MAX);
            live.figures.checked();
            // who comes back meanwhile finds it under way
            let under_way: Vec<_> = partners
                .iter()
                .map(|partner| asked.begin_at(&partner.peer.id))
                .collect();
            live.remembered.push(&asked);
            let (answer, mut answers) = mpsc::channel(partners.len().max(1));
            for (partner, under_way) in partners.iter().zip(under_way) {
                let (node, live, asked, blinded) = (
                    Arc::clone(&node),
                    Arc::clone(&live),
                    Arc::clone(&asked),
                    Arc::clone(&blinded),
                );
                let (partner, answer) = (Arc::clone(partner), answer.clone());
                node.queries.clone().spawn(async move {
                    let made = ask_one(&node, &live, &partner, &asked, &blinded).await;
                    drop(under_way);
                    let _ = answer.send((partner.peer.name.clone(), made)).await;
                });
            }
            drop(answer);
            let deadline = began + live.deadline;
            let mut silent: BTreeSet<String> = partners.iter().map(|one| one.peer.name.clone()).collect();
            while let Ok(Some((partner, made))) = tokio::time::timeout_at(deadline, answers.recv()).await {
                silent.remove(&partner);
                done.answered += u32::from(matches!(made.outcome, "hit" | "no-hit"));
                done.hits += u32::from(made.outcome == "hit");
                say(Message::Answer(answer_of(&node, &live, partner, made, began.elapsed()))).await;
            }
            for partner in silent {
                let late = Answer::unreachable(format!(
                    "no answer within {} ms; what it still finds becomes an alert",
                    live.deadline.as_millis()
                ));
                if asked.misses_at(&partner) {
                    live.figures.unreached(&partner, &asked.kinds);
                }
                say(Message::Answer(answer_of(&node, &live, partner, late, began.elapsed()))).await;
            }
        }
    }
    done.milliseconds = milliseconds(began.elapsed());
    say(Message::Done(done)).await;
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn answer_of(node: &Node, live: &Live, partner: String, made: Answer, after: Duration) -> pb::PartnerAnswer {
    pb::PartnerAnswer {
        partner,
        outcome: made.outcome.to_owned(),
        alerts: made
            .alerts
            .iter()
            .map(|alert| handle::shown(node, live, alert, now()))
            .collect(),
        detail: made.detail,
        milliseconds: milliseconds(after),
    }
}

/// Judges a check of an own user, and blinds it. A refusal is an entry.
async fn prepare(
    node: &Arc<Node>,
    live: &Arc<Live>,
    user: &User,
    open: &CheckOpen,
    wish: CheckWish,
) -> Result<(Arc<Asked>, Arc<voprf::Check>), NodeError> {
    let at = now();
    let known = live.known(node)?;
    let kinds: BTreeSet<Kind> = wish.identifiers.iter().map(Identifier::kind).collect();
    let kinds: Vec<Kind> = kinds.into_iter().collect();
    let case_reference = wish.case_reference.as_ref().unwrap_or(&open.case_reference).clone();
    let reason = wish.reason.as_ref().unwrap_or(&open.reason).clone();
    let judged = live
        .may_check(
            node,
            user,
            &known,
            (&case_reference, open.on_behalf_of.as_deref()),
            &kinds,
            at,
        )
        .and_then(|role| {
            known.check_running(at)?;
            live.guard.look(&node.config, &wish.identifiers)?;
            live.guard.count(&node.config.id, known.plan().checks_per_minute)?;
            Ok(role)
        });
    let unasked = || {
        let words = (case_reference.as_str(), reason.as_str());
        policy::action::unasked_check(node, user, &known, words, open.on_behalf_of.as_deref(), &kinds, at)
    };
    let role = match judged {
        Ok(role) => role,
        Err(error) => {
            let entry = unasked();
            return Err(spine::deny(node, Denial { entry, error }).await);
        }
    };
    let (running, standing, asker, opened) = (Arc::clone(node), Arc::clone(live), user.clone(), open.clone());
    let prepared = node.pool.run_short(move || {
        let asked = Asked::new(&running, &standing, (&opened, wish), &asker, role.name())?;
        let blinded = blind(&asked)?;
        Ok::<_, NodeError>((Arc::new(asked), Arc::new(blinded)))
    });
    match prepared.await? {
        Ok(prepared) => Ok(prepared),
        Err(error) => {
            let entry = unasked();
            Err(spine::deny(node, Denial { entry, error }).await)
        }
    }
}

pub(super) fn blind(asked: &Asked) -> Result<voprf::Check, NodeError> {
    voprf::Check::blind(&asked.items, &mut rand::rng()).map_err(|_| NodeError::Broken("a check cannot be blinded"))
}

/// Looks a check up at one partner, and claims what is found.
pub(super) async fn ask_one(
    node: &Arc<Node>,
    live: &Arc<Live>,
    partner: &Arc<Partner>,
    asked: &Arc<Asked>,
    blinded: &Arc<voprf::Check>,
) -> Answer {
    let connection = match partner.connection() {
        Ok(connection) => connection,
        Err(why) => {
            if asked.misses_at(&partner.peer.name) {
                live.figures.failed(&partner.peer.name, &asked.kinds, why.is_refusal);
            }
            return match why.is_refusal {
                true => Answer::of("refused", Vec::new(), why.words),
                false => Answer::unreachable(why.words),
            };
        }
    };
    let asking = asked.asking(Uuid::now_v7());
    let items = (asked.kinds.as_slice(), asked.items.len());
    let decision = policy::action::authorise_check(node, &connection.parent, &asking, items, now());
    let counts = asked.counts_at(&partner.peer.name);
    if counts {
        live.figures.asked(&partner.peer.name, &asked.kinds);
    }
    let session = Look {
        partner: Arc::clone(partner),
        connection: Arc::clone(&connection),
        asked: Arc::clone(asked),
        blinded: Arc::clone(blinded),
        asking: asking.clone(),
        is_first: counts,
    };
    let found = match spine::run(node, decision, session).await {
        Ok(found) => found,
        Err(error) => {
            if matches!(error, NodeError::PeerProtocol { .. } | NodeError::PeerWire { .. }) {
                tracing::warn!(partner = partner.peer.name, %error, "a partner's answer is refused");
                connection.break_off();
            }
            let is_refusal = is_refusal(&error);
            if asked.misses_at(&partner.peer.name) {
                live.figures.failed(&partner.peer.name, &asked.kinds, is_refusal);
            }
            return Answer::failed(&error);
        }
    };
    let mut alerts = Vec::new();
    let (mut failed, mut denied) = (None, "");
    for found in found {
        match claim::claim(node, live, partner, &connection, &found, asking.transaction).await {
            Ok(Some(alert)) => alerts.push(alert),
            Ok(None) if found.kind() != Some(Kind::Person) => denied = claim::CONTRADICTION,
            Ok(None) => {}
            Err(error) => {
                partner.recent().release(&found, std::time::Instant::now());
                failed = failed.or(Some(error));
            }
        }
    }
    match (alerts.is_empty(), failed) {
        // the check itself was answered
        (true, Some(error)) => Answer {
            limit: None,
            ..Answer::failed(&error)
        },
        (true, None) => Answer::of("no-hit", alerts, denied.to_owned()),
        (false, failed) => {
            let detail = failed.map(|error| error.to_string()).unwrap_or_default();
            Answer::of("hit", alerts, detail)
        }
    }
}

/// Whether a check, or a stream, was refused, here or by the partner.
pub(super) fn is_refusal(error: &NodeError) -> bool {
    matches!(
        error.reason(),
        Reason::PeerRefused | Reason::AgreementDenied | Reason::OrderDenied | Reason::LimitReached
    )
}

/// One check at one partner.
struct Look {
    partner: Arc<Partner>,
    connection: Arc<Connection>,
    asked: Arc<Asked>,
    blinded: Arc<voprf::Check>,
    asking: Asking,
    /// Whether the partner was never asked before, answered or not.
    is_first: bool,
}

impl Session for Look {
    type Terms = CheckTerms;
    type Output = Vec<Found>;

    async fn run(
        self,
        node: &Arc<Node>,
        _: &Opened<CheckTerms>,
        finding: &mut Finding,
    ) -> Result<(Outcome, Vec<Found>), NodeError> {
        let Self {
            partner,
            connection,
            asked,
            blinded,
            asking,
            is_first,
        } = self;
        finding.callee_certificate = Some(connection.certificate);
        // a partner that makes a new stream again and again, or never answers, would notice more each time than is agreed
        let items: &[Stored] = if is_first { &asked.items } else { &[] };
        let mirrored = connection
            .mirrored(items)
            .map_err(|_| NodeError::Broken("an item is no group element"))?;
        let message = action::check(
            &asking,
            &asked.kinds,
            blinded.encoded(),
            &mirrored,
            asked.is_again_at(&partner.peer.id),
        );
        let patience = node.config.limits.idle_stream;
        let reply = connection
            .call(asking.transaction, message, patience, &mut finding.sent)
            .await?;
        let misbehaved = |source| NodeError::PeerProtocol {
            peer: partner.peer.name.clone(),
            source,
        };
        let Reply::Evaluated(evaluated) = reply else {
            return Err(misbehaved(overlap_psi::PeerMisbehaved::OutOfTurn));
        };
        finding.peer_count = Some(evaluated.elements.len() as u64);
        let (held, check) = (Arc::clone(&connection.snapshot), Arc::clone(&blinded));
        let outputs = node
            .pool
            .run_short(move || check.finish(&evaluated, &held.public, &held.bound))
            .await?;
        let outputs = outputs.map_err(misbehaved)?;
        // an answer under a key that has gone meanwhile: it is asked again
        if partner
            .kept()
            .is_none_or(|kept| kept.epoch != connection.snapshot.epoch)
        {
            return Err(NodeError::PeerHungUp {
                peer: partner.peer.name.clone(),
            });
        }
        asked.note(&partner.peer.id, connection.snapshot.epoch, asking.transaction);
        let found = partner
            .recent()
            .enter(&node.config.profile, &connection.snapshot, &asked, &outputs);
        finding.output_count = Some(found.len() as u64);
        let outcome = if found.is_empty() { Outcome::NoHit } else { Outcome::Hit };
        Ok((outcome, found))
    }
}
