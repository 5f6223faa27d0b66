//! Following a hit up: whether an own user may ask what is behind it, and whether a peer may.

use jiff::SignedDuration;
use overlap_agreement::Field;
use overlap_audit::{Outcome, Standing};
use overlap_proto::follow_up;
use overlap_store::FollowUp;

use super::{picture::behind, *};
use crate::identity::sha256;

/// The word for it where matches have a mode.
const MODE: &str = "follow-up";

/// What was permitted of a follow-up.
pub(crate) struct FollowUpTerms {
    pub(crate) agreement: Arc<Held>,
    pub(crate) grant: Grant,
    pub(crate) peer: Peer,
    /// Key that the peer's certificate has to carry.
    pub(crate) peer_key: Digest,
    /// What is followed up, as this side keeps it, or is to.
    pub(crate) row: FollowUp,
    /// Whether it is kept already.
    pub(crate) is_known: bool,
    /// For an asker: what the hit is called in a picture, where the holder has not heard of it.
    pub(crate) pseudonym: Option<[u8; 16]>,
    /// Size of the asker's set in the match.
    pub(crate) asked: u64,
    /// For a holder: the dataset, and what of it takes part.
    pub(crate) held: Option<(Dataset, Selection)>,
    /// The order that the match was asked under.
    order: Option<Signed<overlap_agreement::Order>>,
    query: Query,
}

impl Permitted for FollowUpTerms {
    fn until(&self) -> Timestamp {
        let until = self.agreement.agreement().valid_until;
        let order = self.order.as_ref().map(|order| order.document().valid_until);
        order.map_or(until, |order| order.min(until))
    }

    fn check_again(&self, node: &Node, entry: &Entry, now: Timestamp) -> Result<(), NodeError> {
        let known = node.agreements.get(&self.agreement.hash());
        check_standing(node, known.as_ref().unwrap_or(&self.agreement), now)?;
        if let Some(order) = &self.order {
            node.orders.check_standing(order, now)?;
        }
        let rules = node.rules.load();
        match entry.side {
            Side::Asker => {
                let user = user_of(node, entry)?;
                let resource = node.dataset_resource(&self.row.dataset);
                rules
                    .permit(&user, "follow_up", resource, Some(&self.query), now)
                    .map(drop)
            }
            _ => {
                let country = country_of(self.agreement.agreement(), &self.peer);
                let (peer, dataset) = ((&self.peer, country), &self.row.dataset);
                check_rules(node, &rules, "disclose", peer, dataset, &self.query, now)
            }
        }
    }
}

/// Judges a user's wish to know what a peer has behind a hit. `row` is what is followed up, new or kept.
pub(crate) fn ask_follow_up(
    node: &Node,
    user: &User,
    (row, is_known): (FollowUp, bool),
    pseudonym: Option<[u8; 16]>,
    trace: Option<TraceContext>,
    now: Timestamp,
) -> Result<Permit<FollowUpTerms>, Box<Denial>> {
    let config = &node.config;
    let rules = node.rules.load_full();
    let mut entry = blank_entry(Operation::Disclosure, Side::Asker, now, Uuid::now_v7());
    TraceContext::enter(trace, &mut entry);
    entry.policy_hash = Some(rules.hash);
    entry.person = Some(user.id.clone());
    entry.caller_certificate = Some(user.certificate);
    entry.asker = Some(config.id.clone());
    entry.recipients = vec![config.id.clone()];
    describe(&mut entry, config, &row);
    match ask(node, &rules, user, (row, is_known), pseudonym, now, &mut entry) {
        Ok(terms) => Ok(Permit {
            entry,
            quotas: Vec::new(),
            terms,
        }),
        Err(error) => Err(Box::new(Denial { entry, error })),
    }
}

fn ask(
    node: &Node,
    rules: &Rules,
    user: &User,
    (row, is_known): (FollowUp, bool),
    pseudonym: Option<[u8; 16]>,
    now: Timestamp,
    entry: &mut Entry,
) -> Result<FollowUpTerms, NodeError> {
    let config = &node.config;
    let peer =
        config.peers.iter().find(|peer| peer.name == row.peer).ok_or_else(|| {
            NodeError::refused(Reason::NotFound, format!("no peer has the name {} any more", row.peer))
        })?;
    entry.holder = Some(peer.id.clone());
    let found = the_match(node, Side::Asker, row.about)?;
    let order = take_over(node, entry, &found, now)?;
    let held = edition(node, &row.agreement, now)?;
    cite(entry, &held, &config.id);
    check_own(node, held.agreement())?;
    let grants: Vec<&Grant> = held.agreement().grants_between(&config.id, &peer.id).collect();
    let grant = covering(&held, &grants, &found, row.kind)?;
    let query = query(peer, &found, row.kind);
    let resource = node.dataset_resource(&row.dataset);
    let role = rules.permit(user, "follow_up", resource, Some(&query), now)?;
    entry.role = Some(role.name().to_owned());
    let party = held.agreement().party(&peer.id);
    Ok(FollowUpTerms {
        peer_key: party.ok_or(NodeError::Broken("a grant's holder is no party"))?.key,
        asked: found.input_count.unwrap_or_default(),
        agreement: held,
        grant,
        peer: peer.clone(),
        row,
        is_known,
        pseudonym,
        held: None,
        order,
        query,
    })
}

/// Judges a peer's wish to know what this node has behind a hit. Reads the log and the store: call it where that may block.
pub(crate) fn hold_follow_up(
    node: &Node,
    caller: &Certificate,
    wish: &follow_up::FollowUp,
    trace: Option<TraceContext>,
    now: Timestamp,
) -> Result<Permit<FollowUpTerms>, Box<Denial>> {
    let config = &node.config;
    let rules = node.rules.load_full();
    let mut entry = blank_entry(Operation::Disclosure, Side::Holder, now, wish.transaction);
    TraceContext::enter(trace, &mut entry);
    entry.policy_hash = Some(rules.hash);
    entry.person = Some(wish.person.clone());
    entry.role = Some(wish.role.clone());
    entry.reason = Some(wish.reason.clone());
    entry.about = Some(wish.about);
    entry.kinds = vec![wish.kind.to_string()];
    entry.mode = Some(MODE.to_owned());
    entry.asker = Some(caller.id.clone());
    entry.holder = Some(config.id.clone());
    entry.recipients = vec![caller.id.clone()];
    entry.caller_certificate = Some(caller.thumbprint);
    match hold(node, &rules, caller, wish, now, &mut entry) {
        Ok(terms) => {
            let quota = Quota {
                name: "follow_ups",
                account: sha256(format!("follow-ups {}", wish.about).as_bytes()),
                period: 0,
                amount: 1,
                limit: terms.asked,
            };
            // asked again is not counted again
            let quotas = if terms.is_known { Vec::new() } else { vec![quota] };
            Ok(Permit { entry, quotas, terms })
        }
        Err(error) => Err(Box::new(Denial { entry, error })),
    }
}

fn hold(
    node: &Node,
    rules: &Rules,
    caller: &Certificate,
    wish: &follow_up::FollowUp,
    now: Timestamp,
    entry: &mut Entry,
) -> Result<FollowUpTerms, NodeError> {
    let (config, store) = (&node.config, &node.store);
    let peer = config.peers.iter().find(|peer| peer.id == caller.id).ok_or_else(|| {
        NodeError::refused(
            Reason::UnknownCaller,
            format!("{} is no peer of {}", caller.id, config.name),
        )
    })?;
    let none = || {
        let message = format!(
            "{} has no agreement {} with {}",
            config.name, wish.agreement_hash, peer.name
        );
        NodeError::refused(Reason::AgreementDenied, message)
    };
    let held = node.agreements.get(&wish.agreement_hash).ok_or_else(none)?;
    let agreement = held.agreement();
    let party = agreement.party(&caller.id).ok_or_else(none)?;
    if party.key != caller.key {
        let message = format!("agreement {} pins another key for {}", agreement.id, peer.name);
        return Err(NodeError::refused(Reason::AgreementDenied, message));
    }
    cite(entry, &held, &caller.id);
    check_standing(node, &held, now)?;
    check_own(node, agreement)?;
    let no_match = || {
        let message =
            "no match of this asker, in mode hits and under this agreement, has this id and compared this kind";
        NodeError::refused(Reason::NotFound, message)
    };
    let found = the_match(node, Side::Holder, wish.about)?;
    let same = found.asker.as_ref() == Some(&caller.id)
        && found.agreement.as_ref() == Some(&agreement.id)
        && found.kinds.contains(&wish.kind.to_string())
        && (wish.pseudonym.is_none() || !found.participants.is_empty());
    if !same {
        return Err(no_match());
    }
    let kept = SignedDuration::try_from(config.limits.keep_hits).unwrap_or(SignedDuration::MAX);
    if now.duration_since(found.started) > kept {
        let message = "the query that found it is too long ago: what was found is kept no more (keep_hits)";
        return Err(NodeError::refused(Reason::NotFound, message));
    }
    let order = take_over(node, entry, &found, now)?;
    // it is for the country that the match was asked for
    entry.country = entry.on_behalf_of.clone().or(entry.country.take());
    let name = found.dataset.clone().ok_or_else(no_match)?;
    let grants: Vec<&Grant> = agreement
        .grants_between(&caller.id, &config.id)
        .filter(|grant| grant.dataset == name)
        .collect();
    let grant = covering(&held, &grants, &found, wish.kind)?;
    entry.visibility = words(&grant.visibility);
    let query = query(peer, &found, wish.kind);
    check_rules(node, rules, "disclose", (peer, &party.country), &name, &query, now)?;
    let dataset = store.dataset(&name).ok_or_else(|| {
        NodeError::refused(
            Reason::NotFound,
            format!("{} has no dataset {name} loaded", config.name),
        )
    })?;
    entry.dataset = Some(name.clone());
    entry.dataset_version = Some(dataset.info().version);
    check_dataset(&dataset, &config.profile, now)?;
    let known = store.follow_ups().get(true, wish.id)?;
    let is_known = known.is_some();
    let row = match known {
        Some(row) => {
            let canonical = wish.identifier.as_ref().map(|identifier| identifier.canonical());
            // of what is partly visible no identifier is named: a right one would be told from a wrong one
            let names = match row.partly {
                true => canonical.is_none(),
                false => canonical.is_none() || canonical == row.canonical.as_deref(),
            };
            let same = row.peer == peer.name && row.about == wish.about && row.kind == wish.kind && names;
            if !same {
                let message = "the id of the follow-up is of another";
                return Err(NodeError::refused(Reason::InvalidRequest, message));
            }
            row
        }
        // of an action what is told is claimed by the outputs of a check, and nothing by a name
        None if found.mode.as_deref() == Some("action") => {
            let message = "no alert of an action that runs here has this id";
            return Err(NodeError::refused(Reason::NotFound, message));
        }
        None => {
            let gone = || NodeError::refused(Reason::NotFound, "no follow-up has this id, or none any more");
            let identifier = match (&wish.identifier, wish.pseudonym) {
                (Some(identifier), None) if found.participants.is_empty() => identifier.clone(),
                // of a picture the asker knows no more than that it is shared
                (None, Some(pseudonym)) => behind(node, &dataset, &found, (&pseudonym, wish.kind), now)?,
                _ => return Err(gone()),
            };
            FollowUp {
                id: wish.id,
                about: wish.about,
                as_holder: true,
                peer: peer.name.clone(),
                agreement: held.hash(),
                dataset: name,
                purpose: found.purpose.clone().unwrap_or_default(),
                case_reference: found.case_reference.clone().unwrap_or_default(),
                person: wish.person.clone(),
                role: wish.role.clone(),
                reason: wish.reason.clone(),
                made: now,
                decide_by: decide_by(&grant, now),
                kind: wish.kind,
                partly: wish.pseudonym.is_some(),
                canonical: Some(identifier.canonical().to_owned()),
                records: Vec::new(),
                expires: None,
                decision: None,
                attachment: None,
                disclosed: Vec::new(),
            }
        }
    };
    describe(entry, config, &row);
    // each asking has a reason of its own
    entry.reason = Some(wish.reason.clone());
    // who decided, where it was
    entry.approver = match row.standing(now) {
        Standing::Disclosed => row.decision.as_ref().and_then(|decision| decision.by.clone()),
        _ => None,
    };
    let selection = behind_hits(node, &grant, &found, wish.kind);
    Ok(FollowUpTerms {
        peer_key: party.key,
        asked: asked(node, &found)?,
        agreement: held,
        grant,
        peer: peer.clone(),
        row,
        is_known,
        pseudonym: None,
        held: Some((dataset, selection)),
        order,
        query,
    })
}

/// The grant that a peer's follow-up is answered under. Reads the log: call it where that may block.
pub(crate) fn grant_of(node: &Node, row: &FollowUp, now: Timestamp) -> Result<(Grant, Selection), NodeError> {
    let held = edition(node, &row.agreement, now)?;
    let found = the_match(node, Side::Holder, row.about)?;
    let asker = found.asker.clone().unwrap_or_default();
    let grants: Vec<&Grant> = held
        .agreement()
        .grants_between(&asker, &node.config.id)
        .filter(|grant| grant.dataset == row.dataset)
        .collect();
    let grant = covering(&held, &grants, &found, row.kind)?;
    let selection = behind_hits(node, &grant, &found, row.kind);
    Ok((grant, selection))
}

/// What of a dataset may stand behind a hit.
fn behind_hits(node: &Node, grant: &Grant, found: &Entry, kind: Kind) -> Selection {
    let mut visibility = grant.visibility.clone();
    visibility.remove(&Visibility::D);
    let classes = Classes::of(&roles_of(found).into_iter().collect(), &visibility);
    Selection::of(&node.config.profile, &[kind], false).of_classes(classes)
}

/// When the time to decide is over.
pub(crate) fn decide_by(grant: &Grant, now: Timestamp) -> Timestamp {
    let hours = i64::try_from(grant.decide_within_days).unwrap_or(1) * 24;
    now.checked_add(SignedDuration::from_hours(hours)).unwrap_or(now)
}

/// Whether a record's field is told.
pub(crate) fn tells(grant: &Grant, field: Field) -> bool {
    grant.disclose.contains(&field)
}

fn describe(entry: &mut Entry, config: &Config, row: &FollowUp) {
    entry.about = Some(row.about);
    entry.mode = Some(MODE.to_owned());
    entry.kinds = vec![row.kind.to_string()];
    entry.dataset = Some(row.dataset.clone());
    entry.reason = Some(row.reason.clone());
    entry.input_count = Some(1);
    entry.profile = Some(config.profile.name().to_owned());
    entry.profile_hash = Some(Digest(config.profile.hash()));
}

/// The entry of the match that a hit comes from, on one side of it.
fn the_match(node: &Node, side: Side, transaction: Uuid) -> Result<Entry, NodeError> {
    let none = || {
        let message =
            "the query that found it is not in the log, or was none that tells which items match and came to its end";
        NodeError::refused(Reason::NotFound, message)
    };
    let log = node.store.log();
    let id = log.entry_of(side, transaction)?.ok_or_else(none)?;
    let logged = log.entry(id)?.ok_or_else(none)?;
    let has_ended = matches!(logged.outcome(), Outcome::Hit | Outcome::NoHit | Outcome::Done);
    let entry = logged.entry;
    match has_ended
        && entry.operation == Operation::Combination
        && matches!(entry.mode.as_deref(), Some("hits" | "operational" | "action"))
    {
        true => Ok(entry),
        false => Err(none()),
    }
}

/// Against how many items hits of a query were found: those of the asker's set, or in a picture those that this node handed over.
fn asked(node: &Node, found: &Entry) -> Result<u64, NodeError> {
    if found.participants.is_empty() {
        return Ok(found.input_count.unwrap_or_default());
    }
    let closing = node.store.log().entry(found.id)?.and_then(|logged| logged.closing);
    Ok(closing.and_then(|closing| closing.output_count).unwrap_or_default())
}

/// What a follow-up is for is what its match was for, under the same order, which must still stand.
fn take_over(
    node: &Node,
    entry: &mut Entry,
    found: &Entry,
    now: Timestamp,
) -> Result<Option<Signed<overlap_agreement::Order>>, NodeError> {
    entry.purpose = found.purpose.clone();
    entry.case_reference = found.case_reference.clone();
    entry.roles = found.roles.clone();
    entry.on_behalf_of = found.on_behalf_of.clone();
    entry.order = found.order.clone();
    entry.order_hash = found.order_hash;
    let Some(hash) = found.order_hash else {
        return Ok(None);
    };
    let order = node.orders.get(&hash).and_then(|held| held.signed.clone());
    let order =
        order.ok_or_else(|| NodeError::refused(Reason::OrderDenied, "the order of the match is not here any more"))?;
    node.orders.check_standing(&order, now)?;
    Ok(Some(order))
}

/// The agreement that a hit was found under, or the edition of it that is in force.
fn edition(node: &Node, hash: &Digest, now: Timestamp) -> Result<Arc<Held>, NodeError> {
    let gone = || {
        NodeError::refused(
            Reason::AgreementDenied,
            "the agreement that it was found under is not here any more",
        )
    };
    let held = node.agreements.get(hash).ok_or_else(gone)?;
    match check_standing(node, &held, now) {
        Ok(()) => Ok(held),
        Err(error) => {
            let mut editions = node.agreements.in_force(now).into_iter();
            editions
                .find(|other| other.agreement().id == held.agreement().id)
                .ok_or(error)
        }
    }
}

/// The grant that covers what a match asked, and says what is told behind a hit.
fn covering(held: &Held, grants: &[&Grant], found: &Entry, kind: Kind) -> Result<Grant, NodeError> {
    let roles = roles_of(found);
    let ask = Ask {
        purpose: found.purpose.as_deref().unwrap_or_default(),
        mode: match found.mode.as_deref() {
            Some("hits") => Mode::Hits,
            Some("action") => Mode::Action,
            _ => Mode::Picture,
        },
        tells: false,
        kinds: Some(&[kind]),
        roles: Some(&roles),
        on_behalf_of: found.on_behalf_of.as_deref(),
    };
    let grant = ask.covering(held.agreement(), grants)?;
    if grant.disclose.is_empty() {
        let message = format!(
            "agreement {} names nothing that is told behind a hit (disclose): call the other agency",
            held.agreement().id
        );
        return Err(NodeError::refused(Reason::AgreementDenied, message));
    }
    Ok(grant.clone())
}

fn roles_of(found: &Entry) -> Vec<overlap_records::Role> {
    found.roles.iter().filter_map(|role| role.parse().ok()).collect()
}

fn query(peer: &Peer, found: &Entry, kind: Kind) -> Query {
    Query {
        peer: peer.name.clone(),
        purpose: found.purpose.clone().unwrap_or_default(),
        case_reference: found.case_reference.clone().unwrap_or_default(),
        mode: MODE.to_owned(),
        kinds: vec![kind.to_string()],
        roles: found.roles.clone(),
        set_size: 1,
        has_order: found.order_hash.is_some(),
        is_approved: false,
        on_behalf_of: found.on_behalf_of.clone(),
    }
}
