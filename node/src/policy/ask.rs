//! An own user asks a peer.

use super::*;
use crate::{approvals, identity::sha256};

/// Judges a user's wish to ask a peer.
pub(crate) fn authorise_ask(
    node: &Node,
    user: &User,
    request: &operator::Match,
    approved: Approved,
    trace: Option<TraceContext>,
    now: Timestamp,
) -> Result<Permit, Box<Denial>> {
    let config = &node.config;
    let mut entry = blank_entry(Operation::Combination, Side::Asker, now, Uuid::now_v7());
    TraceContext::enter(trace, &mut entry);
    let rules = node.rules.load_full();
    entry.policy_hash = Some(rules.hash);
    entry.purpose = Some(request.purpose.clone());
    entry.case_reference = Some(request.case_reference.clone());
    entry.reason = Some(request.reason.clone());
    entry.person = Some(user.id.clone());
    entry.caller_certificate = Some(user.certificate);
    entry.asker = Some(config.id.clone());
    entry.recipients = vec![config.id.clone()];
    entry.mode = Some(request.mode.to_string());
    entry.protocol = Some(Protocol::DhPsi.to_string());
    entry.profile = Some(config.profile.name().to_owned());
    entry.profile_hash = Some(Digest(config.profile.hash()));
    entry.dataset = Some(request.dataset.clone());
    entry.agreement = request.agreement.clone();
    entry.order = request.order.clone();
    entry.on_behalf_of = request.on_behalf_of.clone();
    entry.roles = words(request.roles.iter().flatten());
    match ask(node, &rules, user, request, approved, now, &mut entry) {
        Ok((terms, quotas)) => Ok(Permit { entry, quotas, terms }),
        Err(error) => Err(Box::new(Denial { entry, error })),
    }
}

fn ask(
    node: &Node,
    rules: &Rules,
    user: &User,
    request: &operator::Match,
    approved: Approved,
    now: Timestamp,
    entry: &mut Entry,
) -> Result<(Terms, Vec<Quota>), NodeError> {
    let (config, store) = (&node.config, &node.store);
    let peer = config
        .peers
        .iter()
        .find(|peer| peer.name == request.peer)
        .ok_or_else(|| {
            let known = join(config.peers.iter().map(|peer| &peer.name));
            NodeError::refused(
                Reason::NotFound,
                format!("no peer has the name {}; known are: {known}", request.peer),
            )
        })?;
    entry.holder = Some(peer.id.clone());
    let approval = match (&request.approval, approved) {
        (Some(digits), Approved::AsNamed) => Some(approvals::check(node, user, request, digits, now)?),
        _ => None,
    };
    let verdict = approval.as_ref().and_then(|approval| approval.verdict.as_ref());
    entry.approver = verdict.map(|verdict| verdict.by.clone());
    let mut query = Query {
        peer: peer.name.clone(),
        purpose: request.purpose.clone(),
        case_reference: request.case_reference.clone(),
        mode: request.mode.to_string(),
        kinds: words(request.kinds.iter().flatten()),
        roles: entry.roles.clone(),
        set_size: 0,
        has_order: request.order.is_some(),
        is_approved: approval.is_some() || matches!(approved, Approved::Supposed),
        on_behalf_of: request.on_behalf_of.clone(),
    };
    let resource = node.dataset_resource(&request.dataset);
    let dataset = store.dataset(&request.dataset).ok_or_else(|| {
        NodeError::refused(
            Reason::NotFound,
            format!(
                "no dataset has the name {}; see `overlap dataset list`",
                request.dataset
            ),
        )
    })?;
    entry.dataset_version = Some(dataset.info().version);
    let (held, grant) = choose(node, request, &peer.id, now)?;
    cite(entry, &held, &config.id);
    if grant.result == Recipient::Both {
        entry.recipients.push(peer.id.clone());
    }
    let agreement = held.agreement();
    let holds = dataset.info().kinds();
    let kinds: Vec<Kind> = match &request.kinds {
        Some(kinds) => kinds.clone(),
        None => grant
            .kinds
            .iter()
            .copied()
            .filter(|kind| holds.contains_key(kind))
            .collect(),
    };
    entry.kinds = words(&kinds);
    let roles = match &request.roles {
        Some(roles) => roles.clone(),
        None => grant.roles.iter().copied().collect(),
    };
    entry.roles = words(&roles);
    if let Some(approval) = &approval {
        approvals::check_scope(approval, &held.hash(), entry)?;
    }
    check_dataset(&dataset, &config.profile, now)?;
    let selection = selection(config, &kinds, request.mode);
    let set_size = dataset.items(&selection);
    if set_size == 0 {
        let message = format!(
            "dataset {} holds no items of the kinds that may be asked",
            request.dataset
        );
        return Err(NodeError::refused(Reason::NotFound, message));
    }
    entry.input_count = Some(set_size);
    check_size(set_size, &grant)?;
    (query.kinds, query.roles, query.set_size) = (entry.kinds.clone(), entry.roles.clone(), set_size);
    let role = rules.permit(user, "ask", resource, Some(&query), now)?;
    entry.role = Some(role.name().to_owned());
    let order = match &request.order {
        Some(id) => Some(node.orders.find(id, now)?),
        None => None,
    };
    entry.order_hash = order.as_ref().map(Signed::hash);
    let usage = Use {
        agreement,
        asker: &config.id,
        holder: &peer.id,
        dataset: &grant.dataset,
        purpose: &request.purpose,
        case_reference: &request.case_reference,
        mode: mode_of(request.mode),
        kinds: &kinds,
        set_size,
        now,
    };
    node.orders.check(
        order.as_ref(),
        order_rule(config, &grant, &request.dataset, false),
        &usage,
    )?;
    let drawing = Drawing {
        agreement,
        grant: &grant,
        order: order.as_ref().map(|order| (order.hash(), order.document().uses)),
        person: &user.id,
        items: set_size,
        mode: mode_of(request.mode),
        set: Some((dataset.digest(&selection), config.guard.repeats_per_day)),
        now,
    };
    let mut quotas = quotas(&drawing);
    quotas.extend(approval.as_ref().map(|approval| Quota {
        name: "approval_uses",
        account: sha256(format!("approval {}", approval.id).as_bytes()),
        period: 0,
        amount: 1,
        limit: 1,
    }));
    let opening = peer::Open {
        transaction: entry.transaction,
        agreement: agreement.id.clone(),
        agreement_hash: held.hash(),
        dataset: grant.dataset.clone(),
        mode: request.mode,
        protocol: Protocol::DhPsi,
        profile: config.profile.name().to_owned(),
        profile_hash: Digest(config.profile.hash()),
        kinds,
        purpose: request.purpose.clone(),
        case_reference: request.case_reference.clone(),
        reason: request.reason.clone(),
        person: user.id.clone(),
        role: role.name().to_owned(),
        set_size,
        input_commitment: overlap_audit::empty_root(),
        roles,
        order: order.map(Box::new),
        on_behalf_of: request.on_behalf_of.clone(),
    };
    let holder = agreement
        .party(&peer.id)
        .ok_or(NodeError::Broken("a grant's holder is no party"))?;
    let terms = Terms {
        peer_key: holder.key,
        agreement: held,
        grant,
        dataset,
        selection,
        peer: peer.clone(),
        opening,
        approval: approval.as_ref().map(|approval| approval.id),
        may_enumerate: verdict.is_some_and(|verdict| verdict.by_operator),
    };
    Ok((terms, quotas))
}
