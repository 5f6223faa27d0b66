//! Hits: what was found, what is followed up, and what is decided on it.

mod list;

pub(crate) use list::list_hits;

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use overlap_agreement::Field;
use overlap_audit::{Entry, Operation, Outcome, Standing};
use overlap_proto::{
    fault::Reason,
    follow_up::{self, AboutHit, Answer, DecideHit},
    operator,
    pb::operator as pb,
};
use overlap_records::{Disclosed, Visibility};
use overlap_store::{Decision, FollowUp, FoundRecord, OwnRecord, Store};

use crate::{
    actions,
    dataset_service::dataset_entry,
    error::{NodeError, one_of},
    identity::Certificate,
    node::{Node, now},
    policy::{self, Denial, FollowUpTerms, Permit, User, tells},
    pool::blocking,
    retention,
    rules::Action,
    session::{AskFollowUp, HoldFollowUp, told},
    spine::{self, Finding},
    trace::TraceContext,
};

/// What a user means by the first digits of an id.
enum Meant {
    Found(FoundRecord),
    Row(FollowUp),
}

/// Finds a hit or a follow-up by the first digits of its id.
fn find(store: &Store, gone: &retention::Gone, digits: &str) -> Result<Meant, NodeError> {
    let mut meant = Vec::new();
    for row in store.follow_ups().iter()? {
        let row = row?;
        if row.id.simple().to_string().starts_with(digits) && !gone.is_row(&row) {
            meant.push(Meant::Row(row));
        }
    }
    for row in store.hits().iter()? {
        let (id, found) = row?;
        if hex::encode(id.0).starts_with(digits) && !gone.is(&found) {
            meant.push(Meant::Found(found));
        }
    }
    one_of(meant, "hit", "overlap hits list")
}

/// Asks the peer what it has behind a hit of an own match.
pub(crate) async fn follow_up(
    node: &Arc<Node>,
    user: &User,
    wish: AboutHit,
    trace: Option<TraceContext>,
) -> Result<pb::FollowUpHitResponse, NodeError> {
    // before anything of a hit is told: also that there is none
    if let Err(error) = node.permit(user, Action::ReadHits) {
        let entry = hit_entry(node, user, Operation::Disclosure, None, wish.reason);
        return Err(spine::deny(node, Denial { entry, error }).await);
    }
    let (running, asker, reason) = (Arc::clone(node), user.clone(), wish.reason.clone());
    let decision = blocking(move || {
        let now = now();
        let gone = retention::Gone::at(&running, now);
        let (row, is_known) = match find(&running.store, &gone, &wish.hit)? {
            Meant::Row(row) => (row, true),
            Meant::Found(found) => started(&running.store, &gone, found, now)?,
        };
        if row.as_holder {
            let message = format!("{} asked about this one: its own people decide on it", row.peer);
            return Err(NodeError::refused(Reason::InvalidRequest, message));
        }
        if is_known && row.standing(now) != Standing::Pending {
            return Ok(Err(row));
        }
        let row = FollowUp { reason, ..row };
        Ok(Ok(policy::ask_follow_up(
            &running,
            &asker,
            (row, is_known),
            None,
            trace,
            now,
        )))
    })
    .await??;
    let follow_up = match decision {
        Ok(decision) => Some(shown(&ask(node, decision).await?, None)),
        // what has been told is not asked again: it is read, which is an entry of its own
        Err(row) => {
            let hit = row.id.simple().to_string();
            show(node, user, AboutHit { hit, ..wish }).await?.follow_up
        }
    };
    Ok(pb::FollowUpHitResponse { follow_up })
}

/// The follow-up of a hit: the one that there is, or a new one.
fn started(
    store: &Store,
    gone: &retention::Gone,
    found: FoundRecord,
    now: Timestamp,
) -> Result<(FollowUp, bool), NodeError> {
    if found.as_holder {
        let message = match found.by_both {
            true => format!("{} asked about this one, and told you that it found it", found.peer),
            false => format!(
                "{} knows nothing of this one: it is of an own record of class d",
                found.peer
            ),
        };
        return Err(NodeError::refused(Reason::InvalidRequest, message));
    }
    let is_same = |one: &FoundRecord| {
        !one.as_holder
            && one.agreement == found.agreement
            && one.peer == found.peer
            && one.dataset == found.dataset
            && one.kind == found.kind
            && one.canonical == found.canonical
    };
    let mut ended = 0;
    for row in store.follow_ups().iter()? {
        let row = row?;
        let same = !row.as_holder
            && !row.partly
            && row.agreement == found.agreement
            && row.peer == found.peer
            && row.kind == found.kind
            && row.canonical.as_ref() == Some(&found.canonical);
        if same && !matches!(row.standing(now), Standing::Declined(_)) && !gone.is_row(&row) {
            return Ok((row, true));
        }
        ended += u32::from(same);
    }
    let (mut records, mut expires) = (Vec::new(), None);
    for row in store.hits().iter()? {
        let (_, one) = row?;
        if is_same(&one) && !gone.is(&one) {
            expires = expires.into_iter().chain(one.expires).min();
            records.push(OwnRecord {
                reference: one.reference,
                role: one.role,
                visibility: None,
                origin: one.origin,
            });
        }
    }
    let told_apart_by = format!(
        "{}\n{}\n{}\n{}\n{}\n{ended}",
        found.transaction, found.agreement, found.peer, found.kind, found.canonical
    );
    let row = FollowUp {
        // two users who ask at the same moment ask one thing
        id: store.follow_ups().new_id(&told_apart_by),
        about: found.transaction,
        as_holder: false,
        peer: found.peer,
        agreement: found.agreement,
        dataset: found.dataset,
        purpose: found.purpose,
        case_reference: found.case_reference,
        person: String::new(),
        role: String::new(),
        reason: String::new(),
        made: now,
        decide_by: now,
        kind: found.kind,
        partly: false,
        canonical: Some(found.canonical),
        records,
        expires,
        decision: None,
        attachment: None,
        disclosed: Vec::new(),
    };
    Ok((row, false))
}

/// Asks a peer, and keeps what it answered once the log is closed.
pub(crate) async fn ask(
    node: &Arc<Node>,
    decision: Result<Permit<FollowUpTerms>, Box<Denial>>,
) -> Result<FollowUp, NodeError> {
    let session = match &decision {
        Ok(permit) => Some(node.session_with(&permit.terms().peer.id)),
        Err(_) => None,
    };
    let (decision, _session) = match (decision, session) {
        (Ok(permit), Some(Err(error))) => (Err(permit.deny(error)), None),
        (decision, session) => (decision, session.and_then(Result::ok)),
    };
    let is_known = decision.as_ref().is_ok_and(|permit| permit.terms().is_known);
    let by = decision.as_ref().ok().map(|permit| {
        let entry = permit.entry();
        (
            entry.person.clone().unwrap_or_default(),
            entry.role.clone().unwrap_or_default(),
        )
    });
    let mut row = spine::run(node, decision, AskFollowUp).await?;
    if let Some((person, role)) = by {
        (row.person, row.role) = (person, role);
    }
    let (store, kept) = (Arc::clone(&node.store), row.clone());
    let deciding = node.deciding.lock().await;
    blocking(
        move || match is_known && store.follow_ups().get(false, kept.id)?.is_none() {
            // it was erased while it was asked about
            true => Ok(()),
            false => store.follow_ups().put(&[kept]),
        },
    )
    .await??;
    drop(deciding);
    actions::disclosed(node, &row).await?;
    Ok(row)
}

/// Answers a peer that follows a hit up.
pub(crate) async fn hold(
    node: &Arc<Node>,
    caller: &Arc<Certificate>,
    message: overlap_proto::pb::peer::FollowUpRequest,
    trace: Option<TraceContext>,
) -> Result<Answer, NodeError> {
    let (running, asker) = (Arc::clone(node), Arc::clone(caller));
    let session = node.session_with(&caller.id);
    // one at a time: what is kept decides whether this is a new one
    let _deciding = node.deciding.lock().await;
    let wish = session.and_then(|session| Ok((session, follow_up::FollowUp::try_from(message)?)));
    let (_session, decision) = match wish {
        Ok((session, wish)) => {
            let judging = blocking(move || policy::hold_follow_up(&running, &asker, &wish, trace, now()));
            (Some(session), judging.await?)
        }
        Err(error) => {
            let mut entry = crate::peer_service::unopened(node, caller, error);
            entry.entry.operation = Operation::Disclosure;
            (None, Err(entry))
        }
    };
    let (row, answer) = spine::run(node, decision, HoldFollowUp).await?;
    if let Some(row) = row {
        let store = Arc::clone(&node.store);
        blocking(move || store.follow_ups().put(&[row])).await??;
    }
    Ok(answer)
}

/// Shows one hit that is followed up; an entry.
pub(crate) async fn show(node: &Arc<Node>, user: &User, wish: AboutHit) -> Result<pb::ShowHitResponse, NodeError> {
    let row = find_row(node, &wish.hit).await;
    let mut entry = hit_entry(node, user, Operation::Consultation, row.as_ref().ok(), wish.reason);
    let permitted = node.permit(user, Action::ReadHits);
    let row = match permitted.and_then(|role| row.map(|row| (role, row))) {
        Ok((role, row)) => {
            entry.role = Some(role.name().to_owned());
            row
        }
        Err(error) => return Err(spine::deny(node, Denial { entry, error }).await),
    };
    let running = Arc::clone(node);
    let shown = spine::logged(node, entry, async move {
        let shown = blocking(move || {
            let disclosed = match row.as_holder {
                true => would_tell(&running, &row)?,
                false => row.disclosed.clone(),
            };
            Ok::<_, NodeError>(shown(&row, Some(&disclosed)))
        });
        let shown = shown.await??;
        let finding = Finding {
            output_count: Some(shown.disclosed.len() as u64),
            ..Finding::default()
        };
        Ok((Outcome::Done, finding, shown))
    })
    .await?;
    Ok(pb::ShowHitResponse { follow_up: Some(shown) })
}

/// Decides on a hit that a peer follows up; an entry.
pub(crate) async fn decide(node: &Arc<Node>, user: &User, wish: DecideHit) -> Result<pb::DecideHitResponse, NodeError> {
    let _deciding = node.deciding.lock().await;
    let row = find_row(node, &wish.about.hit).await;
    let mut entry = hit_entry(node, user, Operation::Alteration, row.as_ref().ok(), wish.about.reason);
    let checked = row.and_then(|row| {
        let role = node.permit_on(user, Action::DecideHit, &row.dataset)?;
        check_decision(node, user, &row, wish.declined.is_none(), wish.attachment.is_some())?;
        Ok((role, row))
    });
    let mut row = match checked {
        Ok((role, row)) => {
            entry.role = Some(role.name().to_owned());
            entry.approver = Some(user.id.clone());
            row
        }
        Err(error) => return Err(spine::deny(node, Denial { entry, error }).await),
    };
    row.decision = Some(Decision {
        at: now(),
        by: Some(user.id.clone()),
        declined: wish.declined,
    });
    row.attachment = wish.attachment;
    let (running, kept) = (Arc::clone(node), row.clone());
    spine::logged(node, entry, async move {
        blocking(move || running.store.follow_ups().put(&[kept])).await??;
        let finding = Finding {
            remark: Some(match wish.declined {
                None => "it is disclosed".to_owned(),
                Some(why) => format!("it is declined: {why}"),
            }),
            ..Finding::default()
        };
        Ok((Outcome::Done, finding, ()))
    })
    .await?;
    let running = Arc::clone(node);
    // what is told from now on
    let shown = blocking(move || {
        let told = match row.standing(now()) {
            Standing::Disclosed => would_tell(&running, &row)?,
            _ => Vec::new(),
        };
        Ok::<_, NodeError>(shown(&row, Some(&told)))
    });
    Ok(pb::DecideHitResponse {
        follow_up: Some(shown.await??),
    })
}

fn check_decision(node: &Node, user: &User, row: &FollowUp, discloses: bool, attaches: bool) -> Result<(), NodeError> {
    if !row.as_holder {
        let message = format!("{} decides on this one: it holds the records", row.peer);
        return Err(NodeError::refused(Reason::InvalidRequest, message));
    }
    if user.id == row.person {
        let message = "who asked cannot decide: another functionary has to";
        return Err(NodeError::refused(Reason::PolicyDenied, message));
    }
    match row.standing(now()) {
        Standing::Pending => {}
        standing => {
            let message = match standing.declined() {
                Some(why) => format!("it does not wait any more: it was declined ({why})"),
                None => "it does not wait any more: it was disclosed".to_owned(),
            };
            return Err(NodeError::refused(Reason::InvalidRequest, message));
        }
    }
    if discloses {
        let (grant, _) = policy::grant_of(node, row, now())?;
        if attaches && !tells(&grant, Field::Attachment) {
            let message = "the agreement does not name attachment among what is disclosed";
            return Err(NodeError::refused(Reason::AgreementDenied, message));
        }
    }
    Ok(())
}

async fn find_row(node: &Arc<Node>, digits: &str) -> Result<FollowUp, NodeError> {
    let (running, digits) = (Arc::clone(node), digits.to_owned());
    blocking(move || {
        let gone = retention::Gone::at(&running, now());
        match find(&running.store, &gone, &digits)? {
            Meant::Row(row) => Ok(row),
            Meant::Found(_) => Err(NodeError::refused(
                Reason::NotFound,
                "nobody has followed this hit up: `overlap hits request` does",
            )),
        }
    })
    .await?
}

fn hit_entry(node: &Node, user: &User, operation: Operation, row: Option<&FollowUp>, reason: String) -> Entry {
    let mut entry = dataset_entry(node, user, operation, "");
    entry.reason = Some(reason);
    entry.dataset = row.map(|row| row.dataset.clone());
    if let Some(row) = row {
        entry.about = Some(row.about);
        entry.purpose = Some(row.purpose.clone());
        entry.case_reference = Some(row.case_reference.clone());
        entry.kinds = vec![row.kind.to_string()];
        let classes: BTreeSet<Visibility> = row.records.iter().filter_map(|record| record.visibility).collect();
        entry.visibility = classes.iter().map(ToString::to_string).collect();
        if let Some(held) = node.agreements.get(&row.agreement) {
            entry.agreement = Some(held.agreement().id.clone());
            entry.agreement_hash = Some(held.hash());
        }
    }
    entry
}

/// What a peer is told, or would be if it were disclosed.
fn would_tell(node: &Node, row: &FollowUp) -> Result<Vec<Disclosed>, NodeError> {
    let Ok((grant, selection)) = policy::grant_of(node, row, now()) else {
        return Ok(Vec::new());
    };
    let Some(dataset) = node.store.dataset(&row.dataset) else {
        return Ok(Vec::new());
    };
    told(row, &grant, &dataset, &selection, Standing::Disclosed)
}

/// An own record behind a hit, as a user sees it.
pub(crate) fn followed(record: &OwnRecord) -> pb::FollowedRecord {
    pb::FollowedRecord {
        reference: record.reference.clone(),
        role: record.role.to_string(),
        visibility: record.visibility.map(|class| class.to_string()).unwrap_or_default(),
        origin: record.origin.clone().unwrap_or_default(),
    }
}

pub(crate) fn shown(row: &FollowUp, disclosed: Option<&[Disclosed]>) -> pb::FollowUp {
    let standing = row.standing(now());
    let disclosed = disclosed.unwrap_or(&row.disclosed).iter();
    let decision = row.decision.as_ref();
    pb::FollowUp {
        id: operator::id(row.id),
        r#match: operator::id(row.about),
        as_holder: row.as_holder,
        peer: row.peer.clone(),
        dataset: row.dataset.clone(),
        purpose: row.purpose.clone(),
        case_reference: row.case_reference.clone(),
        person: row.person.clone(),
        role: row.role.clone(),
        reason: row.reason.clone(),
        made: row.made.to_string(),
        decide_by: row.decide_by.to_string(),
        kind: row.kind.to_string(),
        canonical: row.canonical.clone().unwrap_or_default(),
        records: row.records.iter().map(followed).collect(),
        state: standing.name().to_owned(),
        declined: list::declined(Some(standing)),
        decided: decision.map(|decision| decision.at.to_string()).unwrap_or_default(),
        decided_by: decision.and_then(|decision| decision.by.clone()).unwrap_or_default(),
        disclosed: disclosed.map(pb::DisclosedRecord::from).collect(),
        attachment: row.attachment.clone().unwrap_or_default(),
    }
}
