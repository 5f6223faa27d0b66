//! What own users do with actions: plan, invite, join, start, pause, end; and see how they stand.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use overlap_agreement::{ActionState, ActionVerb, Agreement, Mode, Plan, Signed, Step};
use overlap_audit::{Entry, Operation, Outcome, Side};
use overlap_proto::{
    action::{Convey, Create, StepAction},
    fault::Reason,
    pb::operator as pb,
};
use overlap_records::{Kind, Role};
use uuid::Uuid;

use super::{Joined, Known, figures, spread};
use crate::{
    agreements::Held,
    error::NodeError,
    node::{Node, now},
    policy::{self, Denial, User},
    pool::blocking,
    rules::Action,
    spine::{self, Finding},
};

/// Who has heard, by name.
type Heard = Vec<(String, Result<(), NodeError>)>;

/// The entry of what a user does with an action.
fn entry(node: &Node, user: &User, known: Option<&Known>, reason: &str) -> Entry {
    let mut entry = policy::blank_entry(Operation::Alteration, Side::Holder, now(), Uuid::now_v7());
    if let Some(known) = known {
        spread::describe(&mut entry, node, known);
    }
    entry.policy_hash = Some(node.rules.load().hash);
    entry.holder = Some(node.config.id.clone());
    entry.mode = Some("action".to_owned());
    entry.person = Some(user.id.clone());
    entry.caller_certificate = Some(user.certificate);
    entry.reason = Some(reason.to_owned());
    entry
}

/// Plans an action; an entry.
pub(super) async fn create(node: &Arc<Node>, user: &User, wish: Create) -> Result<pb::Action, NodeError> {
    let mut entry = entry(node, user, None, &wish.reason);
    entry.purpose = Some(wish.purpose.clone());
    entry.case_reference = Some(wish.case_reference.clone());
    let planned = node
        .permit(user, Action::Coordinate)
        .and_then(|role| plan(node, wish).map(|planned| (role, planned)));
    let (role, (signed, held)) = match planned {
        Ok(planned) => planned,
        Err(error) => return Err(spine::deny(node, Denial { entry, error }).await),
    };
    entry.role = Some(role.name().to_owned());
    entry.agreement = Some(held.agreement().id.clone());
    entry.agreement_hash = Some(held.hash());
    entry.kinds = signed.document().kinds.iter().map(ToString::to_string).collect();
    entry.roles = signed.document().roles.iter().map(ToString::to_string).collect();
    let convey = Convey {
        plan: signed,
        steps: Vec::new(),
        words: Vec::new(),
    };
    let known = change(node, entry, convey, held, |_| {}).await?;
    shown(node, &known, Vec::new()).await
}

/// The plan that a user wishes, signed, with its agreement.
fn plan(node: &Node, wish: Create) -> Result<(Signed<Plan>, Arc<Held>), NodeError> {
    let config = &node.config;
    let mut participants = BTreeSet::new();
    for name in &wish.participants {
        let peer = config.peers.iter().find(|peer| peer.name == *name);
        participants.insert(match peer {
            Some(peer) => peer.id.clone(),
            None if *name == config.name => config.id.clone(),
            None => {
                let known: Vec<&str> = config.peers.iter().map(|peer| peer.name.as_str()).collect();
                let message = format!("no peer has the name {name}; known are: {}", known.join(", "));
                return Err(NodeError::refused(Reason::NotFound, message));
            }
        });
    }
    let is_taken = |known: &Arc<Known>| known.plan().coordinator == config.id && known.plan().id == wish.id;
    if let Some(known) = node.actions.all().iter().find(|known| is_taken(known)) {
        let message = format!(
            "your agency has an action {} already, which is {}: give this one another id",
            wish.id,
            known.state(now()).name()
        );
        return Err(NodeError::refused(Reason::InvalidRequest, message));
    }
    let at = now();
    let held = match &wish.agreement {
        Some(wanted) => node.agreements.find(wanted, at)?,
        None => only_covering(node, &participants, &wish.purpose)?,
    };
    let (kinds, roles) = scope(held.agreement(), &participants);
    let plan = Plan {
        id: wish.id,
        coordinator: config.id.clone(),
        agreement: held.hash(),
        purpose: wish.purpose,
        case_reference: wish.case_reference,
        reason: wish.reason,
        participants,
        kinds: wish.kinds.map_or(kinds, |kinds| kinds.into_iter().collect()),
        roles: wish.roles.map_or(roles, |roles| roles.into_iter().collect()),
        from: wish.from,
        until: wish.until,
        deadline_ms: wish.deadline_ms,
        checks_per_minute: wish.checks_per_minute,
        escalate_after_seconds: wish.escalate_after_seconds,
    };
    policy::action::agreement_of(node, &plan, at)?;
    check_grants(&held, &plan)?;
    if plan.until > held.agreement().valid_until {
        let (id, until) = (&held.agreement().id, held.agreement().valid_until);
        let message = format!("agreement {id} holds until {until}: the window of the action has to end by then");
        return Err(NodeError::refused(Reason::AgreementDenied, message));
    }
    if plan.until <= at {
        let message = "the window of the action is over already: until has to be later";
        return Err(NodeError::refused(Reason::InvalidRequest, message));
    }
    let mut signed =
        Signed::new(plan).map_err(|error| NodeError::refused(Reason::InvalidRequest, error.to_string()))?;
    signed.sign(&config.signing_key);
    Ok((signed, held))
}

/// The one agreement in force that all are parties to, and that lets any of them check at another.
fn only_covering(node: &Node, participants: &BTreeSet<String>, purpose: &str) -> Result<Arc<Held>, NodeError> {
    let denied = |message: String| Err(NodeError::refused(Reason::AgreementDenied, message));
    let mut covering = node.agreements.in_force(now());
    covering.retain(|held| {
        let agreement = held.agreement();
        participants.iter().all(|id| agreement.party(id).is_some())
            && agreement.purposes.contains(purpose)
            && agreement.grants.iter().any(|grant| grant.modes.contains(&Mode::Action))
    });
    match covering.as_slice() {
        [one] => Ok(Arc::clone(one)),
        [] => denied(format!(
            "no agreement in force has all participants as parties, purpose {purpose} and a grant with mode action: see \
             `overlap agreement list`, and `overlap agreement draft` for one that has"
        )),
        several => {
            let ids: Vec<&str> = several.iter().map(|held| held.agreement().id.as_str()).collect();
            denied(format!(
                "several agreements cover this: name one of {} with --agreement",
                ids.join(", ")
            ))
        }
    }
}

/// Kinds and roles that every grant among the participants covers.
fn scope(agreement: &Agreement, participants: &BTreeSet<String>) -> (BTreeSet<Kind>, BTreeSet<Role>) {
    let mut common: Option<(BTreeSet<Kind>, BTreeSet<Role>)> = None;
    for asker in participants {
        for holder in participants {
            let grants = agreement.grants_between(asker, holder);
            for grant in grants.filter(|grant| grant.modes.contains(&Mode::Action)) {
                common = Some(match common {
                    None => (grant.kinds.clone(), grant.roles.clone()),
                    Some((kinds, roles)) => (&kinds & &grant.kinds, &roles & &grant.roles),
                });
            }
        }
    }
    common.unwrap_or_default()
}

/// Whether anybody may check anywhere: a plan that its agreement does not cover is found out before the day.
fn check_grants(held: &Held, plan: &Plan) -> Result<(), NodeError> {
    let mut why = None;
    for asker in &plan.participants {
        for holder in plan.participants.iter().filter(|holder| *holder != asker) {
            match policy::action::grant_in(held, plan, asker, holder) {
                Ok(_) => return Ok(()),
                Err(error) => why = why.or(Some(error)),
            }
        }
    }
    Err(why.unwrap_or(NodeError::Broken("a plan without participants")))
}

/// Takes a change in, within its entry.
async fn change(
    node: &Arc<Node>,
    entry: Entry,
    convey: Convey,
    held: Arc<Held>,
    local: impl FnOnce(&mut Known) + Send + 'static,
) -> Result<Arc<Known>, NodeError> {
    let running = Arc::clone(node);
    let known = spine::logged(node, entry, async move {
        let merging = Arc::clone(&running);
        let merged = blocking(move || merging.actions.merge(&convey, &held, local, now()));
        let (known, news) = merged.await??;
        let finding = Finding {
            remark: (!news.is_empty()).then(|| news.join("; ")),
            ..Finding::default()
        };
        Ok((Outcome::Done, finding, known))
    })
    .await?;
    node.agreements.changed.send_modify(|count| *count += 1);
    Ok(known)
}

/// Lets the participants be told; an entry.
pub(super) async fn invite(
    node: &Arc<Node>,
    user: &User,
    wish: pb::AboutActionRequest,
) -> Result<pb::Action, NodeError> {
    let known = node.actions.find(&wish.action, now())?;
    let mut entry = entry(node, user, Some(&known), &wish.reason);
    let checked = node
        .permit(user, Action::Coordinate)
        .and_then(|role| check_own(node, &known).map(|()| role))
        .and_then(|role| policy::action::agreement_of(node, known.plan(), now()).map(|held| (role, held)));
    let (role, held) = match checked {
        Ok(checked) => checked,
        Err(error) => return Err(spine::deny(node, Denial { entry, error }).await),
    };
    entry.role = Some(role.name().to_owned());
    let known = change(node, entry, known.convey(), held, |known| known.is_invited = true).await?;
    let heard = spread::tell_all(node, &known).await;
    shown(node, &known, heard).await
}

fn check_own(node: &Node, known: &Known) -> Result<(), NodeError> {
    let plan = known.plan();
    match plan.coordinator == node.config.id {
        true => Ok(()),
        false => Err(NodeError::refused(
            Reason::AgreementDenied,
            format!(
                "{} coordinates action {}: this is for it to do",
                name_of(node, &plan.coordinator),
                plan.id
            ),
        )),
    }
}

/// Makes a step; an entry.
pub(super) async fn step(node: &Arc<Node>, user: &User, wish: StepAction) -> Result<pb::Action, NodeError> {
    let known = node.actions.find(&wish.action, now())?;
    let mut entry = entry(node, user, Some(&known), &wish.reason);
    entry.order = wish.order.clone();
    let (role, held) = match check_step(node, user, &known, &wish) {
        Ok(checked) => checked,
        Err(error) => return Err(spine::deny(node, Denial { entry, error }).await),
    };
    entry.role = Some(role.clone());
    let step = Step {
        plan: known.hash(),
        by: node.config.id.clone(),
        verb: wish.verb,
        at: known.next_step(&node.config.id, now()),
        reason: wish.reason,
    };
    let mut signed =
        Signed::new(step).map_err(|error| NodeError::refused(Reason::InvalidRequest, error.to_string()))?;
    signed.sign(&node.config.signing_key);
    let mut convey = known.convey();
    convey.steps.push(signed);
    let joined = (wish.verb == ActionVerb::Join).then(|| Joined {
        person: user.id.clone(),
        role,
        order: wish.order,
    });
    let known = change(node, entry, convey, held, |known| {
        if joined.is_some() {
            known.joined_here = joined;
        }
    })
    .await?;
    // before the invitation it is told to nobody, its end included
    let heard = match known.is_invited || known.plan().coordinator != node.config.id {
        true => spread::tell_all(node, &known).await,
        false => Vec::new(),
    };
    shown(node, &known, heard).await
}

fn check_step(node: &Node, user: &User, known: &Known, wish: &StepAction) -> Result<(String, Arc<Held>), NodeError> {
    let plan = known.plan();
    let at = now();
    let denied = |message: String| Err(NodeError::refused(Reason::AgreementDenied, message));
    let is_own = matches!(wish.verb, ActionVerb::Start | ActionVerb::Pause | ActionVerb::End);
    let action = if is_own { Action::Coordinate } else { Action::Join };
    let role = node.permit(user, action)?;
    match is_own {
        true => check_own(node, known)?,
        false if !plan.participants.contains(&node.config.id) => {
            return denied(format!("{} is no participant of action {}", node.config.name, plan.id));
        }
        false => {}
    }
    // an end, or a leave, is always possible: also when the agreement has ended first
    let held = match wish.verb {
        ActionVerb::End | ActionVerb::Leave => node.agreements.get(&plan.agreement),
        _ => Some(policy::action::agreement_of(node, plan, at)?),
    };
    let held =
        held.ok_or_else(|| NodeError::refused(Reason::NotFound, "the agreement of the action is not here any more"))?;
    if known.state(at) == ActionState::Ended && !matches!(wish.verb, ActionVerb::End | ActionVerb::Leave) {
        return denied(format!("action {} has ended", plan.id));
    }
    if wish.verb == ActionVerb::Start
        && !known.is_invited
        && plan.participants.len() > usize::from(plan.participants.contains(&node.config.id))
    {
        return denied(format!(
            "nobody has been told of action {}: `overlap action invite` does",
            plan.id
        ));
    }
    if !known.has_room(&node.config.id, wish.verb) {
        let message = "an agency makes 60 steps of one action at most: plan another";
        return Err(NodeError::limit("steps", message));
    }
    if let Some(order) = &wish.order {
        node.orders.find(order, at)?;
    }
    Ok((role.name().to_owned(), held))
}

pub(super) fn name_of(node: &Node, id: &str) -> String {
    match node.config.peers.iter().find(|peer| peer.id == id) {
        Some(peer) => peer.name.clone(),
        None if id == node.config.id => node.config.name.clone(),
        None => id.to_owned(),
    }
}

/// How actions stand.
pub(super) async fn list(node: &Arc<Node>, user: &User, wanted: &str) -> Result<pb::ListActionsResponse, NodeError> {
    node.permit(user, Action::ReadActions)?;
    let known = match wanted {
        "" => node.actions.all(),
        wanted => vec![node.actions.find(wanted, now())?],
    };
    let mut actions = Vec::with_capacity(known.len());
    for known in &known {
        actions.push(shown(node, known, Vec::new()).await?);
    }
    Ok(pb::ListActionsResponse { actions })
}

/// The counters of an action.
pub(super) async fn report(node: &Arc<Node>, user: &User, wanted: &str) -> Result<pb::ReportResponse, NodeError> {
    node.permit(user, Action::ReadActions)?;
    let known = node.actions.find(wanted, now())?;
    Ok(pb::ReportResponse {
        figures: figures_of(node, &known).await?,
    })
}

async fn figures_of(node: &Arc<Node>, known: &Arc<Known>) -> Result<String, NodeError> {
    let figures = match node.actions.begun(&known.hash()) {
        Some(live) => live.figures.now(&live.alerts),
        None => {
            let (store, known) = (Arc::clone(&node.store), Arc::clone(known));
            blocking(move || figures::kept(&store, &known)).await??
        }
    };
    serde_json::to_string(&figures).map_err(|_| NodeError::Broken("counters cannot be written"))
}

/// An action as a user sees it.
async fn shown(node: &Arc<Node>, known: &Arc<Known>, heard: Heard) -> Result<pb::Action, NodeError> {
    let plan = known.plan();
    let live = node.actions.live(&known.hash());
    let joined = known.joined();
    let mut heard: BTreeMap<String, Result<(), NodeError>> = heard.into_iter().collect();
    let held = node.agreements.get(&plan.agreement);
    let running: BTreeMap<String, _> = live
        .iter()
        .flat_map(|live| live.partners())
        .map(|partner| (partner.peer.id.clone(), partner))
        .collect();
    let in_force = policy::action::agreement_of(node, plan, now());
    let everybody: BTreeSet<&String> = plan.participants.iter().chain([&plan.coordinator]).collect();
    let partners = everybody.into_iter().map(|id| {
        let name = name_of(node, id);
        let has_joined = joined.contains(id);
        let (mut filter_bytes, mut link) = (0, String::new());
        if *id == node.config.id {
            "own".clone_into(&mut link);
        } else if !plan.participants.contains(id) {
            "coordinator".clone_into(&mut link);
        } else if known.state(now()) == ActionState::Ended {
            "ended".clone_into(&mut link);
        } else if let Err(error) = &in_force {
            link = error.to_string();
        } else if !has_joined {
            "not joined".clone_into(&mut link);
        } else if !joined.contains(&node.config.id) {
            "own agency has not joined".clone_into(&mut link);
        } else if let Some(partner) = running.get(id) {
            match partner.connection() {
                Ok(connection) => {
                    filter_bytes = connection.snapshot.bytes();
                    "ready".clone_into(&mut link);
                }
                Err(why) => link = why.words,
            }
        } else {
            let grant = held
                .as_ref()
                .map(|held| policy::action::grant_in(held, plan, &node.config.id, id));
            match grant {
                Some(Ok(_)) => "waits for the start".clone_into(&mut link),
                _ => "no grant: it is not asked".clone_into(&mut link),
            }
        }
        pb::ActionPartner {
            heard: match heard.remove(&name) {
                None => String::new(),
                Some(Ok(())) => "yes".to_owned(),
                Some(Err(error)) => error.to_string(),
            },
            name,
            id: id.clone(),
            has_joined,
            link,
            filter_bytes,
        }
    });
    let partners = partners.collect();
    Ok(pb::Action {
        id: plan.id.clone(),
        hash: known.hash().0.to_vec().into(),
        coordinator: name_of(node, &plan.coordinator),
        agreement: held.map_or_else(|| plan.agreement.to_string(), |held| held.agreement().id.clone()),
        purpose: plan.purpose.clone(),
        case_reference: plan.case_reference.clone(),
        reason: plan.reason.clone(),
        kinds: plan.kinds.iter().map(ToString::to_string).collect(),
        roles: plan.roles.iter().map(ToString::to_string).collect(),
        from: plan.from.to_string(),
        until: plan.until.to_string(),
        deadline_ms: plan.deadline_ms,
        checks_per_minute: plan.checks_per_minute,
        escalate_after_seconds: plan.escalate_after_seconds,
        state: known.state(now()).name().to_owned(),
        partners,
        unclaimed: spread::unclaimed(node, known),
        figures: figures_of(node, known).await?,
    })
}
