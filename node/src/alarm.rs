//! Alarms: what must not be, told loudly until somebody has looked into it.

use std::sync::Arc;

use overlap_audit::{Operation, Outcome, Side};
use overlap_proto::{fault::Reason, operator::AcknowledgeAlarm};
use overlap_store::{Alarm, AlarmKind};
use uuid::Uuid;

use crate::{
    dataset_service::dataset_entry,
    error::NodeError,
    node::{Node, now},
    policy::{self, Denial, User},
    pool::blocking,
    rules::Action,
    spine::{self, Finding},
    witness,
};

/// Raises an alarm, unless there is one of that kind about that agency; it is an entry of the log too.
pub(crate) async fn raise(
    node: &Arc<Node>,
    agency: &str,
    kind: AlarmKind,
    what: String,
    evidence: Vec<String>,
) -> Result<(), NodeError> {
    let _one_at_a_time = node.raising.lock().await;
    let alarm = Alarm {
        id: Uuid::now_v7(),
        raised: now(),
        agency: agency.to_owned(),
        kind,
        what,
        evidence,
    };
    let store = Arc::clone(&node.store);
    let known = blocking(move || store.log().alarms()).await??;
    node.alarmed.send_replace(true);
    if known
        .iter()
        .any(|other| (&other.agency, other.kind) == (&alarm.agency, kind))
    {
        return Ok(());
    }
    tracing::error!(agency, kind = kind.name(), what = alarm.what, "ALARM");
    let mut entry = policy::blank_entry(Operation::Consultation, Side::Witness, now(), Uuid::now_v7());
    entry.id = alarm.id;
    entry.policy_hash = Some(node.rules.load().hash);
    entry.holder = Some(node.config.id.clone());
    entry.asker = (agency != node.config.id).then(|| agency.to_owned());
    entry.reason = Some(format!("alarm: {}", kind.name()));
    // the entry first: if the node stops in between, the alarm is raised again
    spine::record(node, entry, Outcome::Error, Some(alarm.what.clone())).await?;
    let store = Arc::clone(&node.store);
    blocking(move || store.log().raise(&alarm)).await??;
    Ok(())
}

/// Tells whether there are alarms, at the start.
pub(crate) async fn load(node: &Arc<Node>) -> Result<(), NodeError> {
    let store = Arc::clone(&node.store);
    let alarms = blocking(move || store.log().alarms()).await??;
    for alarm in &alarms {
        tracing::error!(
            agency = alarm.agency,
            kind = alarm.kind.name(),
            what = alarm.what,
            "ALARM"
        );
    }
    node.alarmed
        .send_replace(!alarms.is_empty() || node.store.log().is_failing());
    Ok(())
}

/// Takes an alarm back on a user's word, which is an entry. What was known of that log is forgotten: it is taken as it is from now on.
pub(crate) async fn acknowledge(node: &Arc<Node>, user: &User, wish: AcknowledgeAlarm) -> Result<(), NodeError> {
    let mut entry = dataset_entry(node, user, Operation::Alteration, "");
    entry.dataset = None;
    entry.reason = Some(wish.reason);
    let store = Arc::clone(&node.store);
    let alarms = blocking(move || store.log().alarms()).await??;
    let found = node.permit(user, Action::AcknowledgeAlarm).and_then(|role| {
        entry.role = Some(role.name().to_owned());
        let found = alarms.into_iter().find(|alarm| alarm.id == wish.id);
        found
            .ok_or_else(|| NodeError::refused(Reason::NotFound, "there is no alarm with this id; see `overlap status`"))
    });
    let alarm = match found {
        Ok(alarm) => alarm,
        Err(error) => return Err(spine::deny(node, Denial { entry, error }).await),
    };
    let remark = format!("alarm {} ({}) about {}", alarm.id, alarm.kind.name(), alarm.agency);
    let store = Arc::clone(&node.store);
    let running = Arc::clone(node);
    spine::logged(node, entry, async move {
        blocking(move || {
            match alarm.kind {
                AlarmKind::Damaged => {}
                AlarmKind::Missing => {
                    // no more is to come of these
                    let missing: Vec<Uuid> = alarm.evidence.iter().filter_map(|id| id.parse().ok()).collect();
                    store.log().waive_receipts(&alarm.agency, &missing)?;
                }
                _ => witness::forget(&running, &alarm.agency)?,
            }
            Ok::<_, NodeError>(store.log().lower(alarm.id)?)
        })
        .await??;
        let finding = Finding {
            remark: Some(remark),
            ..Finding::default()
        };
        Ok((Outcome::Done, finding, ()))
    })
    .await?;
    load(node).await
}
