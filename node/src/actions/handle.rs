//! What own users do about alerts, and see of them.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use overlap_audit::{Operation, Outcome, Side};
use overlap_proto::{
    action::{Handle, Verb},
    fault::Reason,
    operator,
    pb::operator as pb,
};
use overlap_store::{Alert, AlertStep, FollowUp};
use uuid::Uuid;

use super::{
    Known,
    alerts::{MOST_STEPS, entry, is_escalated, verb},
    live::{self, Live},
    manage::name_of,
};
use crate::{
    error::{NodeError, one_of},
    hits_service::followed,
    node::{Node, now},
    policy::{self, Denial, User},
    rules::Action,
    spine::{self, Finding},
};

/// A user does something about an alert; an entry.
pub(super) async fn handle(
    node: &Arc<Node>,
    user: &User,
    known: &Known,
    live: &Arc<Live>,
    wish: Handle,
) -> Result<pb::Alert, NodeError> {
    let mut meant = live.alerts.all();
    meant.retain(|alert| alert.id.simple().to_string().starts_with(&wish.alert));
    let alert = one_of(meant, "alert", "overlap action feed --once");
    let mut entry = match &alert {
        Ok(alert) => entry(node, alert),
        Err(_) => policy::blank_entry(Operation::Alteration, Side::Holder, now(), Uuid::now_v7()),
    };
    entry.holder = Some(node.config.id.clone());
    entry.person = Some(user.id.clone());
    entry.caller_certificate = Some(user.certificate);
    entry.reason = Some(wish.reason.clone());
    entry.purpose = Some(known.plan().purpose.clone());
    let permitted = node.permit(user, Action::HandleAlert);
    let alert = match permitted.and_then(|role| alert.map(|alert| (role, alert))) {
        Ok((role, alert)) => {
            entry.role = Some(role.name().to_owned());
            alert
        }
        Err(error) => return Err(spine::deny(node, Denial { entry, error }).await),
    };
    let to = match wish.verb {
        Verb::HandOver if alert.is_hidden => {
            let message = "the other agency does not know of this one: it is about records of class d";
            let error = NodeError::refused(Reason::InvalidRequest, message);
            return Err(spine::deny(node, Denial { entry, error }).await);
        }
        Verb::HandOver => {
            let peer = node.config.peers.iter().find(|peer| peer.name == alert.peer);
            peer.map(|peer| peer.id.clone())
        }
        _ => None,
    };
    let done = AlertStep {
        id: Uuid::now_v7(),
        at: now(),
        verb: verb(wish.verb),
        agency: node.config.id.clone(),
        person: user.id.clone(),
        to,
    };
    let key = (alert.as_holder, alert.id);
    let (running, standing) = (Arc::clone(node), Arc::clone(live));
    let alert = spine::logged(node, entry, async move {
        let _turn = standing.alerts.turn().await?;
        // as it is by now
        let mut alert = standing.alerts.get(key).unwrap_or(alert);
        if alert
            .steps
            .iter()
            .filter(|step| step.agency == running.config.id)
            .count()
            >= MOST_STEPS
        {
            return Err(NodeError::limit(
                "alert_steps",
                "an alert has 128 steps of one agency at most",
            ));
        }
        // the last word counts, also where another clock was ahead
        let last = alert.steps.iter().map(|step| step.at).max();
        let after = last.and_then(|last| last.checked_add(SignedDuration::from_millis(1)).ok());
        let at = after.map_or(done.at, |after| after.max(done.at));
        alert.steps.push(AlertStep { at, ..done });
        alert.is_untold = !alert.is_hidden;
        standing.alerts.put(&running, alert.clone()).await?;
        let finding = Finding {
            remark: Some(wish.verb.name().to_owned()),
            ..Finding::default()
        };
        Ok((Outcome::Done, finding, alert))
    })
    .await?;
    Ok(shown(node, live, &alert, now()))
}

/// An alert as a user sees it.
pub(super) fn shown(node: &Node, live: &Live, alert: &Alert, now: Timestamp) -> pb::Alert {
    let state = alert.state();
    let (agency, owner) = state.owner.unwrap_or_default();
    pb::Alert {
        id: operator::id(alert.id),
        check: operator::id(alert.check),
        peer: alert.peer.clone(),
        as_holder: alert.as_holder,
        kind: alert.kind.to_string(),
        canonical: alert.canonical.clone().unwrap_or_default(),
        state: state.name.to_owned(),
        owner_agency: if agency.is_empty() {
            agency
        } else {
            name_of(node, &agency)
        },
        owner,
        made: alert.made.to_string(),
        age: Duration::try_from(now.duration_since(alert.made))
            .unwrap_or_default()
            .as_secs(),
        escalated: is_escalated(alert, live.escalate_after, now),
        hidden: alert.is_hidden,
        person: alert.person.clone(),
        case_reference: alert.case_reference.clone(),
        reason: alert.reason.clone(),
        on_behalf_of: alert.on_behalf_of.clone().unwrap_or_default(),
        records: alert.records.iter().map(followed).collect(),
        told: alert.told.iter().map(pb::DisclosedRecord::from).collect(),
    }
}

/// Lets an alert show what its holder has told of it by now.
pub(crate) async fn disclosed(node: &Arc<Node>, row: &FollowUp) -> Result<(), NodeError> {
    for live in live::all(node) {
        match live.alerts.disclose(node, row.id, &row.disclosed).await {
            // the action has ended, and what was told goes with it
            Err(NodeError::Draining) => {}
            shown => shown?,
        }
    }
    Ok(())
}
