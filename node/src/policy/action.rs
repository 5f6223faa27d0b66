//! Actions: whether this node may check at a partner, and whether a partner may check here.

mod standing;

pub(crate) use standing::{authorise_attended, authorise_attending};

use std::sync::{Mutex, PoisonError};

use overlap_agreement::{ActionState, Plan};
use overlap_proto::action::{Asking, Opening};

use super::*;
use crate::{actions::Known, spine::Opened};

/// What was permitted of a standing stream. Cheap to clone: every check of the stream has it.
#[derive(Clone)]
pub(crate) struct AttendTerms(Arc<Standing>);

/// One direction between two participants of an action.
pub(crate) struct Standing {
    pub(crate) known: Arc<Known>,
    pub(crate) agreement: Arc<Held>,
    pub(crate) grant: Grant,
    pub(crate) peer: Peer,
    /// Key that the peer's certificate has to carry.
    pub(crate) peer_key: Digest,
    /// What the holder is told, or has been.
    pub(crate) opening: Opening,
    /// For a holder: what of its dataset may be found.
    pub(crate) shown: Option<Selection>,
    verdicts: Verdicts,
}

/// A standing stream that was permitted and is in the log: what its checks are judged by.
#[derive(Clone)]
pub(crate) struct Parent {
    terms: AttendTerms,
    entry: Arc<Entry>,
}

/// What was permitted of a check, or of a claim.
pub(crate) struct CheckTerms(AttendTerms);

/// Queries that the rules have allowed in this minute: a rule may know the time, and is asked anew with each minute, as for a query that goes on.
#[derive(Default)]
struct Verdicts(Mutex<Allowed>);

#[derive(Default)]
struct Allowed {
    /// The minute, and the policy.
    at: (i64, Option<Digest>),
    queries: BTreeSet<String>,
}

/// Most that are remembered.
const MOST_VERDICTS: usize = 1024;

impl Verdicts {
    /// Judges a query, unless one like it was allowed in the same minute under the same policy.
    fn judge(
        &self,
        rules: &Rules,
        query: &Query,
        now: Timestamp,
        judge: impl FnOnce() -> Result<(), NodeError>,
    ) -> Result<(), NodeError> {
        let of = format!(
            "{}\n{}\n{}\n{}\n{}",
            query.case_reference,
            query.kinds.join(","),
            query.set_size,
            query.on_behalf_of.as_deref().unwrap_or_default(),
            query.purpose,
        );
        let at = (now.as_second().div_euclid(60), Some(rules.hash));
        {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.at != at || known.queries.len() >= MOST_VERDICTS {
                *known = Allowed {
                    at,
                    queries: BTreeSet::new(),
                };
            }
            if known.queries.contains(&of) {
                return Ok(());
            }
        }
        judge()?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.at == at {
            known.queries.insert(of);
        }
        Ok(())
    }
}

impl std::ops::Deref for AttendTerms {
    type Target = Standing;

    fn deref(&self) -> &Standing {
        &self.0
    }
}

impl std::ops::Deref for Parent {
    type Target = Standing;

    fn deref(&self) -> &Standing {
        &self.terms.0
    }
}

impl std::ops::Deref for CheckTerms {
    type Target = Standing;

    fn deref(&self) -> &Standing {
        &self.0.0
    }
}

impl Standing {
    /// Whether both sides take part.
    fn check_joined(&self, node: &Node, known: &Known) -> Result<(), NodeError> {
        let joined = known.joined();
        for (id, name) in [(&self.peer.id, &self.peer.name), (&node.config.id, &node.config.name)] {
            if !joined.contains(id) {
                let message = format!("{name} takes no part in action {}", known.plan().id);
                return Err(NodeError::refused(Reason::AgreementDenied, message));
            }
        }
        Ok(())
    }
}

impl Opened<AttendTerms> {
    /// What the checks of this stream are judged by.
    pub(crate) fn parent(&self) -> Parent {
        Parent {
            terms: self.terms().clone(),
            entry: Arc::new(self.entry().clone()),
        }
    }
}

impl Permitted for AttendTerms {
    fn until(&self) -> Timestamp {
        let until = self.agreement.agreement().valid_until;
        let order = self.opening.query.order.as_ref();
        order.map_or(until, |order| order.document().valid_until.min(until))
    }

    fn goes_on(&self) -> bool {
        true
    }

    fn check_again(&self, node: &Node, entry: &Entry, now: Timestamp) -> Result<(), NodeError> {
        let known = node.agreements.get(&self.agreement.hash());
        check_standing(node, known.as_ref().unwrap_or(&self.agreement), now)?;
        if let Some(order) = self.opening.query.order.as_deref() {
            node.orders.check_standing(order, now)?;
        }
        // as it is known now, not as it was when the stream began
        let action = node.actions.get(&self.opening.plan);
        self.check_joined(node, action.as_deref().unwrap_or(&self.known))?;
        match entry.side {
            Side::Asker => node.permit(&user_of(node, entry)?, Action::Join).map(drop),
            _ => {
                let country = country_of(self.agreement.agreement(), &self.peer);
                let query = query_of(&self.peer, &self.opening.query, false);
                let (peer, name) = ((&self.peer, country), &self.opening.query.dataset);
                if let Some(dataset) = node.store.dataset(name) {
                    check_dataset(&dataset, &node.config.profile, now)?;
                }
                check_rules(node, &node.rules.load(), "answer", peer, name, &query, now)
            }
        }
    }
}

impl Permitted for CheckTerms {
    fn until(&self) -> Timestamp {
        self.0.until()
    }

    fn is_routine(&self) -> bool {
        true
    }

    /// The stream that it is of is judged anew when anything changes, and takes its checks with it.
    fn check_again(&self, _: &Node, _: &Entry, _: Timestamp) -> Result<(), NodeError> {
        Ok(())
    }
}

/// The word for it where matches have a mode.
const MODE: &str = "action";

/// What a grant has to cover for an action.
fn wanted<'a>(plan: &'a Plan, kinds: &'a [Kind], roles: &'a [overlap_records::Role]) -> Ask<'a> {
    Ask {
        purpose: &plan.purpose,
        mode: Mode::Action,
        tells: false,
        kinds: Some(kinds),
        roles: Some(roles),
        on_behalf_of: None,
    }
}

/// The grant by which one participant of an action may check at another; none: it may not.
pub(crate) fn grant_in(held: &Held, plan: &Plan, asker: &str, holder: &str) -> Result<Grant, NodeError> {
    let (kinds, roles): (Vec<_>, Vec<_>) = (
        plan.kinds.iter().copied().collect(),
        plan.roles.iter().copied().collect(),
    );
    let grants: Vec<&Grant> = held.agreement().grants_between(asker, holder).collect();
    let grant = wanted(plan, &kinds, &roles).covering(held.agreement(), &grants)?;
    Ok(grant.clone())
}

/// The agreement of a plan, if it holds here.
pub(crate) fn agreement_of(node: &Node, plan: &Plan, now: Timestamp) -> Result<Arc<Held>, NodeError> {
    let denied = |message: String| NodeError::refused(Reason::AgreementDenied, message);
    let held = node.agreements.get(&plan.agreement);
    let held = held.ok_or_else(|| {
        denied(format!(
            "agreement {} of action {} is not here",
            plan.agreement, plan.id
        ))
    })?;
    check_standing(node, &held, now)?;
    check_own(node, held.agreement())?;
    for id in plan.participants.iter().chain([&plan.coordinator]) {
        if held.agreement().party(id).is_none() {
            return Err(denied(format!("{id} is no party to agreement {}", held.agreement().id)));
        }
    }
    if !held.agreement().purposes.contains(&plan.purpose) {
        let message = format!(
            "agreement {} does not cover purpose {}",
            held.agreement().id,
            plan.purpose
        );
        return Err(denied(message));
    }
    Ok(held)
}

/// Judges a check of a standing stream, on either side of it.
pub(crate) fn authorise_check(
    node: &Node,
    parent: &Parent,
    asking: &Asking,
    (kinds, items): (&[Kind], usize),
    now: Timestamp,
) -> Result<Permit<CheckTerms>, Box<Denial>> {
    let items = items as u64;
    let entry = child(parent, asking, kinds, items, now);
    let judged = judge(node, parent, asking, kinds, items, now);
    match judged {
        Ok(quotas) => Ok(Permit {
            entry,
            quotas,
            terms: CheckTerms(parent.terms.clone()),
        }),
        Err(error) => Err(Box::new(Denial { entry, error })),
    }
}

/// Judges a claim of what a check found, on either side.
pub(crate) fn authorise_claim(
    node: &Node,
    parent: &Parent,
    asking: &Asking,
    (check, kind): (Uuid, Kind),
    now: Timestamp,
) -> Result<Permit<CheckTerms>, Box<Denial>> {
    let mut entry = child(parent, asking, &[kind], 1, now);
    entry.operation = Operation::Disclosure;
    entry.about = Some(check);
    match judge(node, parent, asking, &[kind], 1, now) {
        Ok(_) => Ok(Permit {
            entry,
            // the check has drawn already
            quotas: Vec::new(),
            terms: CheckTerms(parent.terms.clone()),
        }),
        Err(error) => Err(Box::new(Denial { entry, error })),
    }
}

/// The entry of a check: as of its stream, but for who asks, what and why.
fn child(parent: &Parent, asking: &Asking, kinds: &[Kind], items: u64, now: Timestamp) -> Entry {
    let mut entry = Entry::clone(&parent.entry);
    entry.id = Uuid::now_v7();
    entry.about = Some(entry.transaction);
    entry.transaction = asking.transaction;
    entry.trace = None;
    entry.parent_span = None;
    entry.started = now;
    entry.person = Some(asking.person.clone());
    entry.role = Some(asking.role.clone());
    entry.case_reference = Some(asking.case_reference.clone());
    entry.reason = Some(asking.reason.clone());
    if let Some(country) = &asking.on_behalf_of {
        entry.on_behalf_of = Some(country.clone());
        entry.country = Some(country.clone());
    }
    entry.kinds = words(kinds);
    entry.input_count = Some(items);
    entry
}

fn judge(
    node: &Node,
    parent: &Parent,
    asking: &Asking,
    kinds: &[Kind],
    items: u64,
    now: Timestamp,
) -> Result<Vec<Quota>, NodeError> {
    let denied = |message: String| Err(NodeError::refused(Reason::AgreementDenied, message));
    let plan = parent.known.plan();
    // as it is known now, not as it was when the stream began
    let known = node.actions.get(&parent.opening.plan);
    let known = known.as_deref().unwrap_or(&parent.known);
    parent.check_joined(node, known)?;
    known.check_running(now)?;
    if let Some(kind) = kinds.iter().find(|kind| !plan.kinds.contains(kind)) {
        return denied(format!("action {} is not about kind {kind}", plan.id));
    }
    if let Some(country) = &asking.on_behalf_of
        && !parent.grant.on_behalf_of.contains(country)
    {
        return Err(not_for(&parent.agreement.agreement().id, country, &[&parent.grant]));
    }
    // the fewest are of sets that are compared
    check_size(items.max(parent.grant.min_set_size), &parent.grant)?;
    if parent.entry.side == Side::Holder {
        let rules = node.rules.load();
        let query = Query {
            peer: parent.peer.name.clone(),
            purpose: plan.purpose.clone(),
            case_reference: asking.case_reference.clone(),
            mode: MODE.to_owned(),
            kinds: words(kinds),
            roles: words(&plan.roles),
            set_size: items,
            has_order: parent.opening.query.order.is_some(),
            is_approved: false,
            on_behalf_of: asking.on_behalf_of.clone(),
        };
        parent.verdicts.judge(&rules, &query, now, || {
            let country = country_of(parent.agreement.agreement(), &parent.peer);
            let dataset = &parent.opening.query.dataset;
            check_rules(node, &rules, "answer", (&parent.peer, country), dataset, &query, now)
        })?;
    }
    let mut quotas = quotas(&Drawing {
        agreement: parent.agreement.agreement(),
        grant: &parent.grant,
        order: None,
        person: &asking.person,
        items,
        mode: Mode::Action,
        set: None,
        now,
    });
    // how many checks there may be is the plan's to say
    quotas.retain(|quota| quota.name != "queries_per_hour");
    Ok(quotas)
}

/// Judges whether an own user may check: the same for all partners.
pub(crate) fn may_check(
    node: &Node,
    user: &User,
    known: &Known,
    (case_reference, on_behalf_of): (&str, Option<&str>),
    kinds: &[Kind],
    now: Timestamp,
) -> Result<Role, NodeError> {
    let plan = known.plan();
    let query = Query {
        peer: String::new(),
        purpose: plan.purpose.clone(),
        case_reference: case_reference.to_owned(),
        mode: MODE.to_owned(),
        kinds: words(kinds),
        roles: words(&plan.roles),
        set_size: 0,
        has_order: false,
        is_approved: false,
        on_behalf_of: on_behalf_of.map(str::to_owned),
    };
    let resource = Resource::Node(&node.config.name);
    node.rules.load().permit(user, "check", resource, Some(&query), now)
}

/// The entry of a check that own users may not make: nobody was asked.
pub(crate) fn unasked_check(
    node: &Node,
    user: &User,
    known: &Known,
    (case_reference, reason): (&str, &str),
    on_behalf_of: Option<&str>,
    kinds: &[Kind],
    now: Timestamp,
) -> Entry {
    let plan = known.plan();
    let mut entry = blank_entry(Operation::Combination, Side::Asker, now, Uuid::now_v7());
    entry.policy_hash = Some(node.rules.load().hash);
    entry.purpose = Some(plan.purpose.clone());
    entry.case_reference = Some(case_reference.to_owned());
    entry.reason = Some(reason.to_owned());
    entry.on_behalf_of = on_behalf_of.map(str::to_owned);
    entry.country = on_behalf_of.map(str::to_owned);
    entry.person = Some(user.id.clone());
    entry.caller_certificate = Some(user.certificate);
    entry.asker = Some(node.config.id.clone());
    entry.mode = Some(MODE.to_owned());
    entry.kinds = words(kinds);
    entry.agreement_hash = Some(plan.agreement);
    entry
}

/// Records of class d among what a standing stream may be about, which its mirrored pass notices.
pub(crate) fn hidden_in(node: &Node, standing: &Standing) -> Selection {
    let roles: BTreeSet<_> = standing.opening.query.roles.iter().copied().collect();
    let classes = Classes::of(&roles, &[Visibility::D].into());
    Selection::of(&node.config.profile, &standing.opening.query.kinds, false).of_classes(classes)
}
