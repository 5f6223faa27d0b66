//! Standing streams: whether one may be opened, on either side.

use super::*;
use crate::actions::Joined;

/// Judges whether this node may open a standing stream to a partner, as the user who joined.
pub(crate) fn authorise_attending(
    node: &Node,
    known: &Arc<Known>,
    joined: &Joined,
    peer: &Peer,
    has: Option<([u8; 16], u64)>,
    now: Timestamp,
) -> Result<Permit<AttendTerms>, Box<Denial>> {
    let (config, plan) = (&node.config, known.plan());
    let mut entry = blank_entry(Operation::Combination, Side::Asker, now, Uuid::now_v7());
    TraceContext::enter(None, &mut entry);
    entry.policy_hash = Some(node.rules.load().hash);
    entry.purpose = Some(plan.purpose.clone());
    entry.case_reference = Some(plan.case_reference.clone());
    entry.reason = Some(plan.reason.clone());
    entry.person = Some(joined.person.clone());
    entry.role = Some(joined.role.clone());
    entry.caller_certificate = Some(config.key);
    entry.asker = Some(config.id.clone());
    entry.holder = Some(peer.id.clone());
    entry.recipients = vec![config.id.clone()];
    entry.mode = Some(MODE.to_owned());
    entry.protocol = Some(Protocol::Voprf.to_string());
    entry.profile = Some(config.profile.name().to_owned());
    entry.profile_hash = Some(Digest(config.profile.hash()));
    entry.kinds = words(&plan.kinds);
    entry.roles = words(&plan.roles);
    entry.input_count = Some(0);
    match attending(node, known, joined, peer, has, now, &mut entry) {
        Ok(terms) => Ok(Permit {
            entry,
            quotas: Vec::new(),
            terms,
        }),
        Err(error) => Err(Box::new(Denial { entry, error })),
    }
}

fn attending(
    node: &Node,
    known: &Arc<Known>,
    joined: &Joined,
    peer: &Peer,
    has: Option<([u8; 16], u64)>,
    now: Timestamp,
    entry: &mut Entry,
) -> Result<AttendTerms, NodeError> {
    let (config, plan) = (&node.config, known.plan());
    let held = agreement_of(node, plan, now)?;
    cite(entry, &held, &config.id);
    let grant = grant_in(&held, plan, &config.id, &peer.id)?;
    if grant.result == Recipient::Both {
        entry.recipients.push(peer.id.clone());
    }
    let order = joined
        .order
        .as_deref()
        .map(|id| node.orders.find(id, now))
        .transpose()?;
    entry.order = order.as_ref().map(|order| order.document().id.clone());
    entry.order_hash = order.as_ref().map(Signed::hash);
    let agreement = held.agreement();
    let kinds: Vec<Kind> = plan.kinds.iter().copied().collect();
    let usage = Use {
        agreement,
        asker: &config.id,
        holder: &peer.id,
        dataset: &grant.dataset,
        purpose: &plan.purpose,
        case_reference: &plan.case_reference,
        mode: Mode::Action,
        kinds: &kinds,
        set_size: 0,
        now,
    };
    let rule = order_rule(config, &grant, "", false);
    node.orders.check(order.as_ref(), rule, &usage)?;
    let party = agreement.party(&peer.id);
    let query = peer::Open {
        transaction: entry.transaction,
        agreement: agreement.id.clone(),
        agreement_hash: held.hash(),
        dataset: grant.dataset.clone(),
        mode: peer::Mode::Hits,
        protocol: Protocol::Voprf,
        profile: config.profile.name().to_owned(),
        profile_hash: Digest(config.profile.hash()),
        kinds,
        purpose: plan.purpose.clone(),
        case_reference: plan.case_reference.clone(),
        reason: plan.reason.clone(),
        person: joined.person.clone(),
        role: joined.role.clone(),
        set_size: 0,
        input_commitment: overlap_audit::empty_root(),
        roles: plan.roles.iter().copied().collect(),
        order: order.map(Box::new),
        on_behalf_of: None,
    };
    Ok(AttendTerms(Arc::new(Standing {
        peer_key: party.ok_or(NodeError::Broken("a grant's holder is no party"))?.key,
        known: Arc::clone(known),
        agreement: held,
        grant,
        peer: peer.clone(),
        opening: Opening {
            query,
            plan: known.hash(),
            has,
        },
        shown: None,
        verdicts: Verdicts::default(),
    })))
}

/// Judges a partner's wish for a standing stream.
pub(crate) fn authorise_attended(
    node: &Node,
    caller: &Certificate,
    opening: &Opening,
    trace: Option<TraceContext>,
    now: Timestamp,
) -> Result<Permit<AttendTerms>, Box<Denial>> {
    let permit = authorise_hold(node, caller, &opening.query, trace, now)?;
    let checked = node
        .actions
        .get(&opening.plan)
        .ok_or_else(|| NodeError::refused(Reason::NotFound, format!("{} knows no such action", node.config.name)))
        .and_then(|known| check_plan(node, &known, caller, &opening.query, now).map(|()| known));
    let known = match checked {
        Ok(known) => known,
        Err(error) => return Err(permit.deny(error)),
    };
    let Permit { entry, terms, .. } = permit;
    Ok(Permit {
        entry,
        // nothing is drawn by who only stands there: its checks draw
        quotas: Vec::new(),
        terms: AttendTerms(Arc::new(Standing {
            known,
            agreement: terms.agreement,
            grant: terms.grant,
            peer: terms.peer,
            peer_key: terms.peer_key,
            opening: opening.clone(),
            shown: Some(terms.selection),
            verdicts: Verdicts::default(),
        })),
    })
}

/// Whether a partner's opening is of the plan, and both take part in what has begun.
fn check_plan(
    node: &Node,
    known: &Known,
    caller: &Certificate,
    query: &peer::Open,
    now: Timestamp,
) -> Result<(), NodeError> {
    let plan = known.plan();
    let denied = |message: String| Err(NodeError::refused(Reason::AgreementDenied, message));
    let joined = known.joined();
    for (id, name) in [(&caller.id, caller.id.as_str()), (&node.config.id, &node.config.name)] {
        if !joined.contains(id) {
            return denied(format!("{name} has not joined action {}", plan.id));
        }
    }
    let same = query.agreement_hash == plan.agreement
        && query.purpose == plan.purpose
        && query.case_reference == plan.case_reference
        && query.kinds.iter().copied().eq(plan.kinds.iter().copied())
        && query.roles.iter().copied().eq(plan.roles.iter().copied());
    if !same {
        return denied(format!("this is not what the plan of action {} says", plan.id));
    }
    match known.state(now) {
        ActionState::Waiting | ActionState::Running | ActionState::Paused => Ok(()),
        state => denied(format!("action {} is {}", plan.id, state.name())),
    }
}
