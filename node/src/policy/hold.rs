//! A peer asks this node.

use super::*;

/// Judges a peer's wish to ask this node.
pub(crate) fn authorise_hold(
    node: &Node,
    caller: &Certificate,
    open: &peer::Open,
    trace: Option<TraceContext>,
    now: Timestamp,
) -> Result<Permit, Box<Denial>> {
    let config = &node.config;
    let mut entry = blank_entry(Operation::Combination, Side::Holder, now, open.transaction);
    TraceContext::enter(trace, &mut entry);
    let rules = node.rules.load_full();
    entry.policy_hash = Some(rules.hash);
    entry.purpose = Some(open.purpose.clone());
    entry.case_reference = Some(open.case_reference.clone());
    entry.reason = Some(open.reason.clone());
    entry.person = Some(open.person.clone());
    entry.role = Some(open.role.clone());
    entry.asker = Some(caller.id.clone());
    entry.holder = Some(config.id.clone());
    entry.caller_certificate = Some(caller.thumbprint);
    entry.recipients = vec![caller.id.clone()];
    entry.mode = Some(open.word().to_owned());
    entry.protocol = Some(open.protocol.to_string());
    entry.profile = Some(open.profile.clone());
    entry.profile_hash = Some(open.profile_hash);
    entry.dataset = Some(open.dataset.clone());
    entry.kinds = words(&open.kinds);
    entry.roles = words(&open.roles);
    entry.input_count = Some(open.set_size);
    // who leads a picture may have no set in it, and nobody has one in a standing stream
    entry.input_commitment = (open.set_size > 0).then_some(open.input_commitment);
    entry.agreement = Some(open.agreement.clone());
    entry.order = open.order.as_ref().map(|order| order.document().id.clone());
    entry.order_hash = open.order.as_ref().map(|order| order.hash());
    entry.on_behalf_of = open.on_behalf_of.clone();
    match hold(node, &rules, caller, open, now, &mut entry) {
        Ok((terms, quotas)) => Ok(Permit { entry, quotas, terms }),
        Err(error) => Err(Box::new(Denial { entry, error })),
    }
}

fn hold(
    node: &Node,
    rules: &Rules,
    caller: &Certificate,
    open: &peer::Open,
    now: Timestamp,
    entry: &mut Entry,
) -> Result<(Terms, Vec<Quota>), NodeError> {
    let (config, store) = (&node.config, &node.store);
    let peer = config.peers.iter().find(|peer| peer.id == caller.id).ok_or_else(|| {
        NodeError::refused(
            Reason::UnknownCaller,
            format!("{} is no peer of {}", caller.id, config.name),
        )
    })?;
    let denied = |message: String| NodeError::refused(Reason::AgreementDenied, message);
    let none = || {
        denied(format!(
            "{} has no agreement {} ({}) with {}",
            config.name, open.agreement, open.agreement_hash, peer.name
        ))
    };
    let held = node.agreements.get(&open.agreement_hash).ok_or_else(none)?;
    let agreement = held.agreement();
    let party = agreement.party(&caller.id).ok_or_else(none)?;
    if agreement.id != open.agreement {
        return Err(none());
    }
    if party.key != caller.key {
        return Err(denied(format!(
            "agreement {} pins another key for {}",
            agreement.id, peer.name
        )));
    }
    let own = (config.profile.name(), Digest(config.profile.hash()));
    if (open.profile.as_str(), open.profile_hash) != own {
        return Err(denied(format!(
            "the asker's items are made under profile {} ({}), this node's under {} ({}): both sides need the same profile",
            open.profile, open.profile_hash, own.0, own.1,
        )));
    }
    cite(entry, &held, &caller.id);
    check_standing(node, &held, now)?;
    check_own(node, agreement)?;
    let grants: Vec<&Grant> = agreement
        .grants_between(&caller.id, &config.id)
        .filter(|grant| grant.dataset == open.dataset)
        .collect();
    let is_picture = open.is_picture();
    let mode = match open.protocol {
        Protocol::JointOprf => Mode::Picture,
        Protocol::Voprf => Mode::Action,
        Protocol::DhPsi => mode_of(open.mode),
    };
    let ask = Ask {
        purpose: &open.purpose,
        mode,
        tells: is_picture && open.mode == peer::Mode::Hits,
        kinds: Some(&open.kinds),
        roles: Some(&open.roles),
        on_behalf_of: open.on_behalf_of.as_deref(),
    };
    let grant = ask.covering(agreement, &grants)?.clone();
    if grant.result == Recipient::Both {
        entry.recipients.push(config.id.clone());
    }
    if open.set_size > 0 {
        check_size(open.set_size, &grant)?;
    }
    let query = query_of(peer, open, false);
    check_rules(
        node,
        rules,
        "answer",
        (peer, &party.country),
        &open.dataset,
        &query,
        now,
    )?;
    let dataset = store.dataset(&open.dataset).ok_or_else(|| {
        NodeError::refused(
            Reason::NotFound,
            format!("{} has no dataset {} loaded", config.name, open.dataset),
        )
    })?;
    entry.dataset_version = Some(dataset.info().version);
    entry.visibility = words(&grant.visibility);
    check_dataset(&dataset, &config.profile, now)?;
    let usage = Use {
        agreement,
        asker: &caller.id,
        holder: &config.id,
        dataset: &open.dataset,
        purpose: &open.purpose,
        case_reference: &open.case_reference,
        mode,
        kinds: &open.kinds,
        set_size: open.set_size,
        now,
    };
    let order = open.order.as_deref();
    node.orders
        .check(order, order_rule(config, &grant, &open.dataset, is_picture), &usage)?;
    if let Some(order) = order {
        orders::check_commitment(order, &open.input_commitment)?;
    }
    let drawing = Drawing {
        agreement,
        grant: &grant,
        order: order.map(|order| (order.hash(), order.document().uses)),
        person: &open.person,
        items: open.set_size,
        mode: mode_of(open.mode),
        set: None,
        now,
    };
    let quotas = quotas(&drawing);
    let mut visibility = grant.visibility.clone();
    // whatever a grant says: of these nobody but the holder is to know
    visibility.remove(&Visibility::D);
    if mode == Mode::Hits {
        // of these an asker is shown the kind alone: the mirrored pass finds them
        visibility.remove(&Visibility::C);
    }
    let classes = Classes::of(&open.roles.iter().copied().collect(), &visibility);
    let terms = Terms {
        selection: selection(
            config,
            &open.kinds,
            if is_picture { peer::Mode::Count } else { open.mode },
        )
        .of_classes(classes),
        peer_key: party.key,
        grant,
        dataset,
        peer: peer.clone(),
        opening: open.clone(),
        agreement: held,
        approval: None,
        may_enumerate: false,
    };
    Ok((terms, quotas))
}
