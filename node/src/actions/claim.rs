//! Claims: the asker says what it found, and is told what the holder's visibility allows.

use std::sync::Arc;

use overlap_audit::{Declined, Outcome, Standing};
use overlap_proto::{
    action::{self, Claim},
    follow_up::Answer,
};
use overlap_records::Kind;
use overlap_store::{Alert, Decision, FollowUp};
use uuid::Uuid;

use super::{
    connection::{Connection, Reply},
    live::{Live, Partner},
    recent::Found,
};
use crate::{
    error::NodeError,
    node::{Node, now},
    policy::{self, action::CheckTerms},
    spine::{self, Finding, Opened, Session},
};

/// What is said of a partner whose snapshot has what it denies to hold.
pub(super) const CONTRADICTION: &str = "its snapshot has it, and it says that it does not hold it: it was erased a moment ago, or the snapshot has more than the partner holds";

/// Claims what was found of one identifier: a query of its own. None: the holder has nothing that may be found.
pub(super) async fn claim(
    node: &Arc<Node>,
    live: &Arc<Live>,
    partner: &Arc<Partner>,
    connection: &Arc<Connection>,
    found: &Found,
    check: Uuid,
) -> Result<Option<Alert>, NodeError> {
    let (asked, parent) = (&found.asked, &connection.parent);
    let grounds = &asked.grounds;
    let wanted = asked
        .wanted
        .get(found.at)
        .ok_or(NodeError::Broken("a claim of nothing"))?;
    let kind = wanted.identifier.kind();
    let asking = asked.asking(Uuid::now_v7());
    // the same each time it is claimed, so that a link that breaks makes no second alert
    let alert = node.store.follow_ups().new_id(&format!(
        "alert {} {} {} {}",
        live.hash,
        partner.peer.id,
        asked.id,
        wanted.identifier.canonical()
    ));
    let decision = policy::action::authorise_claim(node, parent, &asking, (check, kind), now());
    let session = Say {
        connection: Arc::clone(connection),
        claim: Claim {
            asking: asking.clone(),
            check,
            alert,
            kind,
            outputs: found.outputs.clone(),
        },
    };
    let answer = spine::run(node, decision, session).await?;
    if answer.standing == Standing::Declined(Declined::NotHeld) {
        // of a person the holder judges with more than this side knows
        if kind != Kind::Person {
            tracing::warn!(partner = partner.peer.name, check = %check, "{CONTRADICTION}");
        }
        return Ok(None);
    }
    let at = now();
    let one = Alert {
        id: alert,
        action: live.hash,
        as_holder: false,
        peer: partner.peer.name.clone(),
        check,
        made: at,
        kind,
        canonical: Some(wanted.identifier.canonical().to_owned()),
        person: grounds.person.clone(),
        case_reference: grounds.case_reference.clone(),
        reason: grounds.reason.clone(),
        on_behalf_of: grounds.on_behalf_of.clone(),
        records: Vec::new(),
        told: answer.records.clone(),
        is_hidden: false,
        steps: Vec::new(),
        is_untold: true,
    };
    let row = (!parent.grant.disclose.is_empty()).then(|| FollowUp {
        id: alert,
        about: check,
        as_holder: false,
        peer: partner.peer.name.clone(),
        agreement: parent.agreement.hash(),
        dataset: String::new(),
        purpose: live.purpose.clone(),
        case_reference: grounds.case_reference.clone(),
        person: grounds.person.clone(),
        role: grounds.role.clone(),
        reason: grounds.reason.clone(),
        made: at,
        decide_by: answer.decide_by,
        kind,
        // the holder knows it by its id: of a person it has another spelling
        partly: true,
        canonical: one.canonical.clone(),
        records: Vec::new(),
        expires: None,
        decision: (answer.standing == Standing::Disclosed).then_some(Decision {
            at,
            by: None,
            declined: None,
        }),
        attachment: None,
        disclosed: answer.records,
    });
    if live.alerts.raise(node, one.clone(), row).await? {
        live.figures.hit(&partner.peer.name, kind, alert);
    }
    Ok(Some(one))
}

/// One claim.
struct Say {
    connection: Arc<Connection>,
    claim: Claim,
}

impl Session for Say {
    type Terms = CheckTerms;
    type Output = Answer;

    async fn run(
        self,
        node: &Arc<Node>,
        opened: &Opened<CheckTerms>,
        finding: &mut Finding,
    ) -> Result<(Outcome, Answer), NodeError> {
        let Self { connection, claim } = self;
        let peer = || opened.terms().peer.name.clone();
        finding.callee_certificate = Some(connection.certificate);
        let patience = node.config.limits.idle_stream;
        let message = action::claim(&claim);
        let reply = connection
            .call(claim.asking.transaction, message, patience, &mut finding.sent)
            .await?;
        let Reply::Told(told) = reply else {
            return Err(NodeError::PeerProtocol {
                peer: peer(),
                source: overlap_psi::PeerMisbehaved::OutOfTurn,
            });
        };
        let answer = told
            .answer(claim.kind)
            .map_err(|source| NodeError::PeerWire { peer: peer(), source })?;
        finding.peer_count = Some(answer.records.len() as u64);
        finding.output_count = finding.peer_count;
        Ok((outcome(answer.standing), answer))
    }
}

/// How the entry of a claim ends, on both sides.
pub(super) fn outcome(standing: Standing) -> Outcome {
    match standing {
        Standing::Pending => Outcome::Pending,
        Standing::Disclosed | Standing::Declined(_) => Outcome::Done,
    }
}
