//! Four eyes: queries that one user wants to ask and another approves.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use overlap_audit::{Digest, Entry, Operation, Outcome};
use overlap_proto::{
    approval::DecideApproval,
    fault::Reason,
    operator::{self, Match},
    pb::operator as pb,
};
use overlap_store::{Approval, Store, StoreError, Verdict};
use prost::Message as _;
use uuid::Uuid;

use crate::{
    dataset_service::dataset_entry,
    error::{NodeError, one_of},
    node::{Node, now},
    policy::{self, Denial, User},
    pool::blocking,
    rules::Action,
    spine,
};

/// How long a query waits for another user, an approval for its use, and either is remembered.
const WAITS: SignedDuration = SignedDuration::from_hours(7 * 24);
const HOLDS: SignedDuration = SignedDuration::from_hours(24);
const REMEMBERED: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Most queries of one user that wait.
const MOST_WAITING: usize = 64;

/// How an approval stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Waiting,
    Approved,
    Refused,
    Used,
    Lapsed,
}

fn standing(one: &Approval, now: Timestamp) -> Standing {
    match &one.verdict {
        _ if one.used.is_some() => Standing::Used,
        None if now.duration_since(one.asked) > WAITS => Standing::Lapsed,
        None => Standing::Waiting,
        Some(verdict) if !verdict.is_approved => Standing::Refused,
        Some(verdict) if now.duration_since(verdict.at) > HOLDS => Standing::Lapsed,
        Some(_) => Standing::Approved,
    }
}

impl Standing {
    const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Used => "used",
            Self::Lapsed => "lapsed",
        }
    }
}

/// The approval that a query names. Whether it has been used already is counted with the entry.
pub(crate) fn check(
    node: &Node,
    user: &User,
    wish: &Match,
    digits: &str,
    now: Timestamp,
) -> Result<Approval, NodeError> {
    let denied = |message: String| Err(NodeError::refused(Reason::PolicyDenied, message));
    let one = find(&node.store, digits)?;
    if one.asked_by != user.id {
        return denied("the approval was asked for by another user".to_owned());
    }
    let holds = one
        .verdict
        .as_ref()
        .is_some_and(|verdict| now.duration_since(verdict.at) <= HOLDS);
    match standing(&one, now) {
        // whether it was used is counted with the entry that used it
        Standing::Approved | Standing::Used if holds => {}
        other => return denied(format!("the approval is of no use: it is {}", other.name())),
    }
    let asked = wish_of(&one)?;
    let same = Match {
        approval: None,
        ..wish.clone()
    };
    if asked != same {
        return denied("another query was approved: an approval holds for exactly what was asked".to_owned());
    }
    let version = node.store.dataset(&one.dataset).map(|dataset| dataset.info().version);
    if version != Some(one.dataset_version) {
        return denied(format!(
            "dataset {} was changed since it was approved: ask again",
            one.dataset
        ));
    }
    Ok(one)
}

/// What is compared: kinds and roles, whether they were named or followed from the agreement.
fn scope(entry: &Entry) -> String {
    format!("{}; {}", entry.kinds.join(", "), entry.roles.join(", "))
}

/// Whether a query comes to what was approved: what it does not name follows from an agreement, and these change.
pub(crate) fn check_scope(one: &Approval, agreement: &Digest, entry: &Entry) -> Result<(), NodeError> {
    if one.agreement == *agreement && one.scope == scope(entry) {
        return Ok(());
    }
    let message = "what is agreed has changed since it was approved: ask again";
    Err(NodeError::refused(Reason::PolicyDenied, message))
}

fn wish_of(one: &Approval) -> Result<Match, NodeError> {
    const BROKEN: NodeError = NodeError::Broken("a query that waits for approval cannot be read");
    Match::try_from(query_of(one)?).map_err(|_| BROKEN)
}

fn query_of(one: &Approval) -> Result<pb::MatchRequest, NodeError> {
    const BROKEN: NodeError = NodeError::Broken("a query that waits for approval cannot be read");
    let bytes = hex::decode(&one.query).map_err(|_| BROKEN)?;
    pb::MatchRequest::decode(bytes.as_slice()).map_err(|_| BROKEN)
}

fn find(store: &Store, digits: &str) -> Result<Approval, NodeError> {
    let mut all = store.approvals().all()?;
    all.retain(|one| one.id.simple().to_string().starts_with(digits));
    one_of(all, "approval", "overlap approval list")
}

/// Notes which query an approval was used for.
pub(crate) async fn used(node: &Arc<Node>, approval: Uuid, transaction: Uuid) {
    let store = Arc::clone(&node.store);
    let noted = blocking(move || {
        let one = store.approvals().all()?.into_iter().find(|one| one.id == approval);
        let noted = one.map(|one| {
            store.approvals().put(&Approval {
                used: Some(transaction),
                ..one
            })
        });
        noted.unwrap_or(Ok(()))
    });
    // it is counted with the entry of the query already: this is for people to see
    if !matches!(noted.await, Ok(Ok(()))) {
        tracing::error!(%approval, "it is not noted that an approval was used");
    }
}

/// Asks another user to approve a query; an entry.
pub(crate) async fn ask(node: &Arc<Node>, user: &User, query: pb::MatchRequest) -> Result<pb::Approval, NodeError> {
    let wish = Match::try_from(query.clone())?;
    let at = now();
    let running = Arc::clone(node);
    let (asker, asked) = (user.clone(), wish.clone());
    // whether it would be allowed once it is approved: nobody has to look at what cannot be
    let judging = blocking(move || {
        let permit = policy::authorise_ask(&running, &asker, &asked, policy::Approved::Supposed, None, at);
        permit.map(|permit| {
            let terms = permit.terms();
            let agreement = terms.agreement.hash();
            (terms.dataset.info().version, agreement, scope(permit.entry()))
        })
    });
    let judged = judging.await?;
    let mut entry = dataset_entry(node, user, Operation::Alteration, &wish.dataset);
    entry.purpose = Some(wish.purpose.clone());
    entry.case_reference = Some(wish.case_reference.clone());
    entry.reason = Some(wish.reason.clone());
    let _one_at_a_time = node.deciding.lock().await;
    let store = Arc::clone(&node.store);
    let all = blocking(move || store.approvals().all()).await??;
    let waiting = all
        .iter()
        .filter(|one| one.asked_by == user.id && standing(one, at) == Standing::Waiting);
    let judged = match (judged, waiting.count()) {
        (Err(denial), _) => Err(denial.error),
        (_, MOST_WAITING..) => {
            let message = format!("{MOST_WAITING} queries of yours wait for approval already");
            Err(NodeError::limit("approvals", message))
        }
        (Ok(found), _) => Ok(found),
    };
    let (dataset_version, agreement, scope) = match judged {
        Ok(found) => found,
        Err(error) => return Err(spine::deny(node, Denial { entry, error }).await),
    };
    let one = Approval {
        id: Uuid::new_v4(),
        asked_by: user.id.clone(),
        asked: at,
        query: hex::encode(query.encode_to_vec()),
        dataset: wish.dataset,
        dataset_version,
        agreement,
        scope,
        verdict: None,
        used: None,
    };
    entry.dataset_version = Some(dataset_version);
    spine::record(
        node,
        entry,
        Outcome::Pending,
        Some("a query waits for another user's approval".to_owned()),
    )
    .await?;
    keep(node, &one).await?;
    shown(&one)
}

/// Every one that is remembered, the newest first.
pub(crate) async fn list(node: &Arc<Node>, user: &User) -> Result<pb::ListApprovalsResponse, NodeError> {
    node.permit(user, Action::ReadApprovals)?;
    let store = Arc::clone(&node.store);
    let mut all = blocking(move || store.approvals().all()).await??;
    all.sort_by_key(|one| std::cmp::Reverse(one.asked));
    all.truncate(MOST_LISTED);
    Ok(pb::ListApprovalsResponse {
        approvals: all.iter().map(shown).collect::<Result<_, _>>()?,
    })
}

/// Most that one answer lists.
const MOST_LISTED: usize = 256;

/// Approves or refuses a query of another user; an entry.
pub(crate) async fn decide(node: &Arc<Node>, user: &User, wish: DecideApproval) -> Result<pb::Approval, NodeError> {
    let _one_at_a_time = node.deciding.lock().await;
    let (store, digits) = (Arc::clone(&node.store), wish.approval);
    let found = blocking(move || find(&store, &digits)).await?;
    let dataset = found.as_ref().map(|one| one.dataset.clone()).unwrap_or_default();
    let mut entry = dataset_entry(node, user, Operation::Alteration, &dataset);
    entry.reason = Some(wish.reason);
    let checked = found.and_then(|one| {
        let role = node.permit(user, Action::Approve)?;
        if one.asked_by == user.id {
            let message = "who asks cannot approve: another user has to";
            return Err(NodeError::refused(Reason::PolicyDenied, message));
        }
        match standing(&one, now()) {
            Standing::Waiting => Ok((role, one)),
            other => {
                let message = format!("it does not wait any more: it is {}", other.name());
                Err(NodeError::refused(Reason::InvalidRequest, message))
            }
        }
    });
    let (role, mut one) = match checked {
        Ok((role, one)) => {
            entry.role = Some(role.name().to_owned());
            entry.approver = Some(user.id.clone());
            entry.dataset_version = Some(one.dataset_version);
            (role, one)
        }
        Err(error) => return Err(spine::deny(node, Denial { entry, error }).await),
    };
    one.verdict = Some(Verdict {
        by: user.id.clone(),
        by_operator: role == crate::config::Role::Operator,
        at: now(),
        is_approved: !wish.refuses,
    });
    let word = if wish.refuses { "refused" } else { "approved" };
    let detail = format!("the query of {} was {word}", one.asked_by);
    spine::record(node, entry, Outcome::Done, Some(detail)).await?;
    keep(node, &one).await?;
    shown(&one)
}

/// Forgets those that nobody can use any more. Called once a day.
pub(crate) fn forget(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    store
        .approvals()
        .erase(|one| now.duration_since(one.asked) > REMEMBERED)
}

async fn keep(node: &Arc<Node>, one: &Approval) -> Result<(), NodeError> {
    let (store, one) = (Arc::clone(&node.store), one.clone());
    Ok(blocking(move || store.approvals().put(&one)).await??)
}

fn shown(one: &Approval) -> Result<pb::Approval, NodeError> {
    let verdict = one.verdict.as_ref();
    Ok(pb::Approval {
        id: operator::id(one.id),
        query: Some(query_of(one)?),
        asked_by: one.asked_by.clone(),
        asked: one.asked.to_string(),
        dataset_version: one.dataset_version,
        state: standing(one, now()).name().to_owned(),
        decided_by: verdict.map(|verdict| verdict.by.clone()).unwrap_or_default(),
        decided: verdict.map(|verdict| verdict.at.to_string()).unwrap_or_default(),
    })
}
