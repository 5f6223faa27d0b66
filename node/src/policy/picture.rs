//! Pictures: whether an own user may lead one, and whether this node takes part in one that a peer leads.

use std::time::Duration;

use jiff::tz::TimeZone;
use overlap_proto::picture;
use overlap_records::Identifier;
use overlap_report::Month;

use super::*;
use crate::retention;

/// Longest that a picture is kept, in days, with room for clocks that differ.
const MOST_DAYS: i64 = 367;

/// What was permitted of a picture that this node leads.
pub(crate) struct LeadTerms {
    pub(crate) agreement: Arc<Held>,
    /// Who is asked to take part.
    pub(crate) invited: Vec<Invited>,
    /// The own dataset, where it takes part, and what of it.
    pub(crate) own: Option<(Dataset, Selection)>,
    /// What each is told; the dataset is that of its grant.
    pub(crate) open: picture::Open,
    /// Fewest that take part.
    pub(crate) min_participants: usize,
    /// How long one may say nothing.
    pub(crate) patience: Duration,
    /// Counts below this are not told.
    pub(crate) min_count: u64,
}

/// One that is asked to take part.
#[derive(Clone)]
pub(crate) struct Invited {
    pub(crate) peer: Peer,
    /// Key that its certificate has to carry.
    pub(crate) key: Digest,
    pub(crate) grant: Grant,
}

impl Permitted for LeadTerms {
    fn until(&self) -> Timestamp {
        let until = self.agreement.agreement().valid_until;
        let order = self.open.query.order.as_ref().map(|order| order.document().valid_until);
        order.map_or(until, |order| order.min(until))
    }

    fn check_again(&self, node: &Node, entry: &Entry, now: Timestamp) -> Result<(), NodeError> {
        let known = node.agreements.get(&self.agreement.hash());
        check_standing(node, known.as_ref().unwrap_or(&self.agreement), now)?;
        if let Some(order) = self.open.query.order.as_deref() {
            node.orders.check_standing(order, now)?;
        }
        let user = user_of(node, entry)?;
        let own = self.own.as_ref().map(|(dataset, _)| dataset.info().name.as_str());
        check_lead(node, &node.rules.load(), &user, own, &self.query(), now).map(drop)
    }
}

/// The role in which a user may lead a picture, with the own dataset that takes part.
fn check_lead(
    node: &Node,
    rules: &Rules,
    user: &User,
    own: Option<&str>,
    query: &Query,
    now: Timestamp,
) -> Result<Role, NodeError> {
    let role = rules.permit(user, "lead", Resource::Node(&node.config.name), Some(query), now)?;
    if let Some(own) = own {
        rules.permit(user, "lead", node.dataset_resource(own), Some(query), now)?;
    }
    Ok(role)
}

impl Permit<LeadTerms> {
    /// Looks at the exact set that takes part, where this node has one, and commits to it, in the entry and in what holders are told.
    pub(crate) fn commit(mut self, node: &Node, spill: &Path) -> Result<Self, Box<Denial>> {
        let (id, terms) = (self.entry.id, &mut self.terms);
        let Some((dataset, selection)) = &terms.own else {
            return Ok(self);
        };
        match committed(node, id, (dataset, selection), &terms.open.query, false, spill) {
            Ok(commitment) => {
                terms.open.query.input_commitment = commitment;
                self.entry.input_commitment = Some(commitment);
                Ok(self)
            }
            Err(error) => Err(self.deny(error)),
        }
    }
}

impl LeadTerms {
    /// Most items that one may take part with for all of these others to go along: each bounds the others by its grant, and this node by the least
    /// of all grants.
    pub(crate) fn max_set_size<'a>(&self, others: impl Iterator<Item = &'a str>) -> u64 {
        let grants = &self.invited;
        let bound = |id: &str| {
            let grant = grants.iter().find(|one| one.peer.id == id);
            let least = || grants.iter().map(|one| one.grant.max_set_size).min();
            grant
                .map(|one| one.grant.max_set_size)
                .or_else(least)
                .unwrap_or(u64::MAX)
        };
        others.map(bound).min().unwrap_or(u64::MAX)
    }

    fn query(&self) -> Query {
        lead_query(&self.invited, &self.open.query)
    }
}

fn lead_query(invited: &[Invited], open: &peer::Open) -> Query {
    Query {
        peer: join(invited.iter().map(|one| &one.peer.name)),
        purpose: open.purpose.clone(),
        case_reference: open.case_reference.clone(),
        mode: open.word().to_owned(),
        kinds: words(&open.kinds),
        roles: words(&open.roles),
        set_size: open.set_size,
        has_order: open.order.is_some(),
        is_approved: false,
        on_behalf_of: None,
    }
}

/// Judges a user's wish to lead a picture.
pub(crate) fn authorise_lead(
    node: &Node,
    user: &User,
    request: &picture::Run,
    trace: Option<TraceContext>,
    now: Timestamp,
) -> Result<Permit<LeadTerms>, Box<Denial>> {
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
    entry.protocol = Some(Protocol::JointOprf.to_string());
    entry.profile = Some(config.profile.name().to_owned());
    entry.profile_hash = Some(Digest(config.profile.hash()));
    entry.dataset = request.dataset.clone();
    entry.agreement = request.agreement.clone();
    entry.order = request.order.clone();
    match lead(node, &rules, user, request, now, &mut entry) {
        Ok((terms, quotas)) => Ok(Permit { entry, quotas, terms }),
        Err(error) => Err(Box::new(Denial { entry, error })),
    }
}

fn lead(
    node: &Node,
    rules: &Rules,
    user: &User,
    request: &picture::Run,
    now: Timestamp,
    entry: &mut Entry,
) -> Result<(LeadTerms, Vec<Quota>), NodeError> {
    let config = &node.config;
    let refused = |reason, message: String| NodeError::refused(reason, message);
    let mut peers = Vec::with_capacity(request.peers.len());
    for name in &request.peers {
        peers.push(config.peers.iter().find(|peer| peer.name == *name).ok_or_else(|| {
            let known = join(config.peers.iter().map(|peer| &peer.name));
            refused(
                Reason::NotFound,
                format!("no peer has the name {name}; known are: {known}"),
            )
        })?);
    }
    peers.sort_by(|one, other| one.id.cmp(&other.id));
    let mut participants: Vec<String> = peers.iter().map(|peer| peer.id.clone()).collect();
    if request.dataset.is_some() {
        participants.push(config.id.clone());
        participants.sort_unstable();
    }
    entry.participants = participants.clone();
    if participants.len() < 2 {
        let message = "a picture needs two that take part: name another peer, or an own dataset";
        return Err(refused(Reason::InvalidRequest, message.to_owned()));
    }
    let today = TimeZone::UTC.to_datetime(now).date();
    if Month::new(today.year(), today.month()).is_some_and(|this| request.since > this.number()) {
        let message = "no record can be observed from a month on that is still to come";
        return Err(refused(Reason::InvalidRequest, message.to_owned()));
    }
    if let Some(least) = request.min_participants.filter(|least| *least > participants.len()) {
        let message = format!(
            "{} are asked to take part, fewer than the {least} that have to",
            participants.len()
        );
        return Err(refused(Reason::InvalidRequest, message));
    }
    let (held, invited) = covering(node, request, &peers, now)?;
    cite(entry, &held, &config.id);
    let agreement = held.agreement();
    let own = match &request.dataset {
        None => None,
        Some(name) => {
            let message = || format!("no dataset has the name {name}; see `overlap dataset list`");
            let dataset = node.store.dataset(name);
            Some(dataset.ok_or_else(|| refused(Reason::NotFound, message()))?)
        }
    };
    let common = |kinds: &mut Vec<Kind>| kinds.retain(|kind| invited.iter().all(|one| one.grant.kinds.contains(kind)));
    let mut kinds = request.kinds.clone().unwrap_or_else(|| Kind::ALL.to_vec());
    common(&mut kinds);
    let mut roles = request
        .roles
        .clone()
        .unwrap_or_else(|| overlap_records::Role::ALL.to_vec());
    roles.retain(|role| invited.iter().all(|one| one.grant.roles.contains(role)));
    kinds.sort_unstable();
    roles.sort_unstable();
    entry.kinds = words(&kinds);
    entry.roles = words(&roles);
    if kinds.is_empty() || roles.is_empty() {
        let message = format!(
            "the grants of agreement {} have no kind, or no role, in common",
            agreement.id
        );
        return Err(refused(Reason::AgreementDenied, message));
    }
    let classes = Classes::of(
        &roles.iter().copied().collect(),
        &[Visibility::A, Visibility::B, Visibility::C].into(),
    );
    let selection = selection(config, &kinds, peer::Mode::Count).of_classes(classes);
    let own = match own {
        None => None,
        Some(dataset) => {
            check_dataset(&dataset, &config.profile, now)?;
            entry.dataset_version = Some(dataset.info().version);
            Some((dataset, selection))
        }
    };
    let set_size = own.as_ref().map_or(0, |(dataset, selection)| dataset.items(selection));
    entry.input_count = Some(set_size);
    let order = match &request.order {
        Some(id) => Some(node.orders.find(id, now)?),
        None => None,
    };
    entry.order_hash = order.as_ref().map(Signed::hash);
    let mut query = peer::Open {
        transaction: entry.transaction,
        agreement: agreement.id.clone(),
        agreement_hash: held.hash(),
        dataset: String::new(),
        mode: request.mode,
        protocol: Protocol::JointOprf,
        profile: config.profile.name().to_owned(),
        profile_hash: Digest(config.profile.hash()),
        kinds,
        purpose: request.purpose.clone(),
        case_reference: request.case_reference.clone(),
        reason: request.reason.clone(),
        person: user.id.clone(),
        role: String::new(),
        set_size,
        input_commitment: overlap_audit::empty_root(),
        roles,
        order: order.map(Box::new),
        on_behalf_of: None,
    };
    entry.mode = Some(query.word().to_owned());
    let asked = lead_query(&invited, &query);
    let role = check_lead(node, rules, user, request.dataset.as_deref(), &asked, now)?;
    entry.role = Some(role.name().to_owned());
    query.role = role.name().to_owned();
    let mut drawn = Vec::new();
    let set = own.as_ref().map(|(dataset, selection)| dataset.digest(selection));
    for one in &invited {
        if own.is_some() {
            check_size(set_size, &one.grant)?;
        }
        let usage = Use {
            agreement,
            asker: &config.id,
            holder: &one.peer.id,
            dataset: &one.grant.dataset,
            purpose: &request.purpose,
            case_reference: &request.case_reference,
            mode: Mode::Picture,
            kinds: &query.kinds,
            set_size,
            now,
        };
        let rule = order_rule(config, &one.grant, "", true);
        node.orders.check(query.order.as_deref(), rule, &usage)?;
        drawn.extend(quotas(&Drawing {
            agreement,
            grant: &one.grant,
            order: query.order.as_ref().map(|order| (order.hash(), order.document().uses)),
            person: &user.id,
            items: set_size,
            mode: mode_of(request.mode),
            set: set.map(|set| (set, config.guard.repeats_per_day)),
            now,
        }));
    }
    let hours = i64::from(request.keep_days) * 24;
    let expires = now
        .checked_add(jiff::SignedDuration::from_hours(hours))
        .map_err(|_| NodeError::Broken("a time that cannot be"))?;
    let strictest = invited.iter().map(|one| one.grant.min_count).max();
    let terms = LeadTerms {
        own,
        open: picture::Open {
            query,
            since: request.since,
            expires,
            participants: participants.clone(),
        },
        min_participants: request
            .min_participants
            .unwrap_or(participants.len())
            .min(participants.len()),
        patience: request
            .patience
            .map_or(config.limits.idle_stream, Duration::from_secs)
            .min(config.limits.session),
        min_count: match request.mode {
            peer::Mode::Count => strictest.unwrap_or(1),
            peer::Mode::Hits => 1,
        },
        agreement: held,
        invited,
    };
    Ok((terms, drawn))
}

/// The one agreement under which every peer may be asked, with its grants: the named one, or the only one.
fn covering(
    node: &Node,
    request: &picture::Run,
    peers: &[&Peer],
    now: Timestamp,
) -> Result<(Arc<Held>, Vec<Invited>), NodeError> {
    let config = &node.config;
    let ask = Ask {
        purpose: &request.purpose,
        mode: Mode::Picture,
        tells: request.mode == peer::Mode::Hits,
        kinds: request.kinds.as_deref(),
        roles: request.roles.as_deref(),
        on_behalf_of: None,
    };
    let named = |held: &Arc<Held>| {
        let wanted = request.agreement.as_deref();
        wanted.is_none_or(|wanted| held.agreement().id == wanted || held.hash().to_string() == wanted)
    };
    let invite = |held: &Held| {
        check_standing(node, held, now)?;
        check_own(node, held.agreement())?;
        let invited = peers.iter().map(|peer| {
            let grants: Vec<&Grant> = held.agreement().grants_between(&config.id, &peer.id).collect();
            let party = held.agreement().party(&peer.id);
            let grant = ask.covering(held.agreement(), &grants)?;
            Ok(Invited {
                peer: (*peer).clone(),
                key: party.ok_or(NodeError::Broken("a grant's holder is no party"))?.key,
                grant: grant.clone(),
            })
        });
        invited.collect::<Result<Vec<_>, NodeError>>()
    };
    let (mut found, mut why) = (Vec::new(), None);
    for held in node.agreements.all().into_iter().filter(named) {
        let is_party = |peer: &&Peer| held.agreement().party(&peer.id).is_some();
        if !peers.iter().all(is_party) {
            continue;
        }
        match invite(&held) {
            Ok(invited) => found.push((held, invited)),
            Err(error) => why = why.or(Some(error)),
        }
    }
    let denied = |message: String| Err(NodeError::refused(Reason::AgreementDenied, message));
    match (found.len(), why) {
        (0, Some(error)) => Err(error),
        (0, None) => denied(format!(
            "no agreement here has {} and all of {} as parties",
            config.name,
            join(peers.iter().map(|peer| &peer.name))
        )),
        (1, _) => found.pop().ok_or(NodeError::Broken("a list of one is empty")),
        _ => denied(format!(
            "several agreements cover this: name one of {} with --agreement",
            join(found.iter().map(|(held, _)| &held.agreement().id))
        )),
    }
}

/// Judges a peer's wish that this node takes part in a picture.
pub(crate) fn authorise_take(
    node: &Node,
    caller: &Certificate,
    open: &picture::Open,
    trace: Option<TraceContext>,
    now: Timestamp,
) -> Result<Permit, Box<Denial>> {
    let mut decision = authorise_hold(node, caller, &open.query, trace, now);
    let entry = match &mut decision {
        Ok(permit) => &mut permit.entry,
        Err(denial) => &mut denial.entry,
    };
    entry.participants = open.participants.clone();
    let mut permit = decision?;
    let (query, grant) = (&open.query, &permit.terms.grant);
    let all_roles = query.roles.iter().copied().collect::<BTreeSet<_>>() == grant.roles;
    if query.mode == peer::Mode::Hits && !(all_roles && open.since == 0) {
        // taking part would tell of records of class c in which role they are, or since when
        let mut seen = grant.visibility.clone();
        seen.retain(|class| ![Visibility::C, Visibility::D].contains(class));
        let classes = Classes::of(&query.roles.iter().copied().collect(), &seen);
        permit.terms.selection = permit.terms.selection.clone().of_classes(classes);
    }
    match check_participants(node, permit.terms().agreement.agreement(), open, now) {
        Ok(()) => Ok(permit),
        Err(error) => Err(permit.deny(error)),
    }
}

/// Whether this node may compare with all of these: parties to the same agreement, whom it knows.
fn check_participants(
    node: &Node,
    agreement: &Agreement,
    open: &picture::Open,
    now: Timestamp,
) -> Result<(), NodeError> {
    let denied = |message: String| Err(NodeError::refused(Reason::AgreementDenied, message));
    let own = &node.config.id;
    if !open.participants.contains(own) {
        return denied(format!("{} is not among those that take part", node.config.name));
    }
    let longest = jiff::SignedDuration::from_hours(24 * MOST_DAYS);
    if open.expires.duration_since(now) > longest {
        return denied(format!(
            "what a picture is made of is kept for {MOST_DAYS} days at most"
        ));
    }
    for id in &open.participants {
        if agreement.party(id).is_none() {
            return denied(format!("{id} is no party to agreement {}", agreement.id));
        }
        if id != own && node.config.peers.iter().all(|peer| peer.id != *id) {
            return denied(format!("{id} is no peer of {}", node.config.name));
        }
    }
    Ok(())
}

/// The identifier that is called so in a picture.
pub(super) fn behind(
    node: &Node,
    dataset: &Dataset,
    found: &Entry,
    (pseudonym, kind): (&[u8; 16], Kind),
    now: Timestamp,
) -> Result<Identifier, NodeError> {
    let unknown = || {
        let message = "nothing is called so in this picture here, or it is gone by now";
        NodeError::refused(Reason::NotFound, message)
    };
    let pictures = node.store.pictures();
    let kept = pictures.get(true, found.transaction)?.ok_or_else(unknown)?;
    if retention::Gone::at(node, now).is_picture(&kept) {
        return Err(unknown());
    }
    let link = pictures.link(found.transaction, pseudonym)?.ok_or_else(unknown)?;
    let kinds: Vec<Kind> = found.kinds.iter().filter_map(|kind| kind.parse().ok()).collect();
    let selection = Selection::of(&node.config.profile, &kinds, true);
    let place = dataset.linked(&selection, &link)?.ok_or_else(unknown)?;
    let identifier = dataset.hit(&selection, &place)?.identifier;
    match identifier.kind() == kind {
        true => Ok(identifier),
        false => Err(unknown()),
    }
}
