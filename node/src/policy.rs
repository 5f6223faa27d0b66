//! Who may ask what: the one place that makes a [`Permit`].

pub(crate) mod action;
mod ask;
pub(crate) mod cover;
mod follow_up;
mod hold;
mod picture;

pub(crate) use ask::authorise_ask;
pub(crate) use cover::account_of_counts;
pub(crate) use follow_up::{FollowUpTerms, ask_follow_up, decide_by, grant_of, hold_follow_up, tells};
pub(crate) use hold::authorise_hold;
pub(crate) use picture::{Invited, LeadTerms, authorise_lead, authorise_take};

use std::{collections::BTreeSet, path::Path, sync::Arc};

use jiff::Timestamp;
use overlap_agreement::{Agreement, Grant, Mode, OrderRule, Recipient, Signed};
use overlap_audit::{Digest, Entry, InputSalt, Operation, Side};
use overlap_proto::{fault::Reason, operator, peer};
use overlap_psi::Protocol;
use overlap_records::{Kind, Visibility};
use overlap_store::{Classes, Dataset, DocumentKind, Quota, Selection, Store, StoreError};
use uuid::Uuid;

use crate::{
    SOFTWARE,
    agreements::Held,
    config::{Config, Peer, Role},
    error::NodeError,
    identity::Certificate,
    node::Node,
    orders::{self, Use},
    rules::{self, Action, Asker, Query, Resource, Rules},
    trace::TraceContext,
};
use cover::{
    Ask, Drawing, check_dataset, check_own, check_size, check_standing, choose, cite, join, mode_of, not_for, quotas,
};

/// Leave to run one query: whatever code runs it has been through here.
pub(crate) struct Permit<T = Terms> {
    entry: Entry,
    quotas: Vec<Quota>,
    terms: T,
}

/// What was permitted, of any kind of query.
pub(crate) trait Permitted: Send + Sync + 'static {
    /// When the permission ends by itself.
    fn until(&self) -> Timestamp;

    /// Whether it may go on for longer than any one session.
    fn goes_on(&self) -> bool {
        false
    }

    /// Whether it is one of thousands, which is in the log and not among what operators watch.
    fn is_routine(&self) -> bool {
        false
    }

    /// Judges a query that runs anew, after something changed that it was permitted by.
    fn check_again(&self, node: &Node, entry: &Entry, now: Timestamp) -> Result<(), NodeError>;
}

/// What was permitted of a match.
pub(crate) struct Terms {
    pub(crate) agreement: Arc<Held>,
    pub(crate) grant: Grant,
    pub(crate) dataset: Dataset,
    /// What of the dataset takes part.
    pub(crate) selection: Selection,
    pub(crate) peer: Peer,
    /// Key that the peer's certificate has to carry.
    pub(crate) peer_key: Digest,
    /// For the asker: what to tell the holder.
    pub(crate) opening: peer::Open,
    /// For the asker: the approval that it uses up.
    pub(crate) approval: Option<Uuid>,
    /// For the asker: whether an operator has looked at the set, however dense it is.
    may_enumerate: bool,
}

/// Whether another user has approved a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Approved {
    /// As far as the query names an approval.
    AsNamed,
    /// As if one had: to see whether it would be allowed then.
    Supposed,
}

/// A refusal, with the entry that logs it.
pub(crate) struct Denial {
    pub(crate) entry: Entry,
    pub(crate) error: NodeError,
}

/// A user of this node, as the certificate and the configuration say.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) roles: BTreeSet<Role>,
    pub(crate) certificate: Digest,
}

impl Permit {
    /// Looks at the exact set that an own query asks with, and commits to it, in the entry and in what the holder is told.
    pub(crate) fn commit(mut self, node: &Node, spill: &Path) -> Result<Self, Box<Denial>> {
        let (id, terms) = (self.entry.id, &mut self.terms);
        let set = (&terms.dataset, &terms.selection);
        match committed(node, id, set, &terms.opening, terms.may_enumerate, spill) {
            Ok(commitment) => {
                terms.opening.input_commitment = commitment;
                self.entry.input_commitment = Some(commitment);
                Ok(self)
            }
            Err(error) => Err(self.deny(error)),
        }
    }
}

/// The commitment to an own set that is asked with, unless it looks like an enumeration, or the order was given for another.
fn committed(
    node: &Node,
    entry: Uuid,
    (dataset, selection): (&Dataset, &Selection),
    opening: &peer::Open,
    may_enumerate: bool,
    spill: &Path,
) -> Result<Digest, NodeError> {
    if !may_enumerate {
        node.densities
            .check(&node.config, dataset, selection, &opening.kinds, spill)?;
    }
    let (store, order) = (&node.store, opening.order.as_deref());
    let salt = match order.and_then(|order| order.document().input_commitment) {
        None => None,
        Some(given) => salt_of(store, &given)?,
    };
    let committed = store.log().commit_input(entry, dataset, selection, salt, spill);
    let committed = committed.map_err(NodeError::from).and_then(|commitment| {
        order.map_or(Ok(()), |order| orders::check_commitment(order, &commitment))?;
        Ok(commitment)
    });
    if committed.is_err() {
        // nothing was opened that it would be needed for; if this fails, the next start does it
        let _ = store.log().drop_input(entry);
    }
    committed
}

impl<T> Permit<T> {
    /// Takes the permission back before it was used.
    pub(crate) fn deny(self, error: NodeError) -> Box<Denial> {
        Box::new(Denial {
            entry: self.entry,
            error,
        })
    }

    pub(crate) fn entry(&self) -> &Entry {
        &self.entry
    }

    pub(crate) fn quotas(&self) -> &[Quota] {
        &self.quotas
    }

    pub(crate) fn terms(&self) -> &T {
        &self.terms
    }
}

impl User {
    /// The user of this id, for whom the node acts by itself.
    pub(crate) fn named(id: &str, config: &Config) -> Option<Self> {
        let roles = config.users.get(id)?;
        Some(Self {
            id: id.to_owned(),
            roles: roles.clone(),
            certificate: config.key,
        })
    }

    /// The user of a certificate.
    pub(crate) fn of(certificate: &Certificate, config: &Config) -> Result<Self, NodeError> {
        let roles = config.users.get(&certificate.id).ok_or_else(|| {
            let message = "the certificate is of no user of this node; its operator adds users to the configuration";
            NodeError::refused(Reason::UnknownCaller, message)
        })?;
        Ok(Self {
            id: certificate.id.clone(),
            roles: roles.clone(),
            certificate: certificate.thumbprint,
        })
    }
}

impl Node {
    /// The role in which a user may do something with the node; otherwise the refusal.
    pub(crate) fn permit(&self, user: &User, action: Action) -> Result<Role, NodeError> {
        let resource = Resource::Node(&self.config.name);
        self.rules
            .load()
            .permit(user, action.name(), resource, None, crate::node::now())
    }

    /// The role in which a user may do something with a dataset; otherwise the refusal.
    pub(crate) fn permit_on(&self, user: &User, action: Action, dataset: &str) -> Result<Role, NodeError> {
        let resource = self.dataset_resource(dataset);
        self.rules
            .load()
            .permit(user, action.name(), resource, None, crate::node::now())
    }

    fn dataset_resource<'a>(&self, name: &'a str) -> Resource<'a> {
        Resource::Dataset {
            name,
            orders_only: self.config.is_orders_only(name),
        }
    }
}

/// The salt that was drawn for a commitment when its order was drafted.
fn salt_of(store: &Store, commitment: &Digest) -> Result<Option<InputSalt>, NodeError> {
    let kept = store.documents().get(DocumentKind::Salt, commitment)?;
    let bytes = kept.as_ref().and_then(|kept| kept.first_chunk().copied());
    // without it the commitments differ, which is what the refusal says
    Ok(bytes.map(InputSalt::from_bytes))
}

/// A salt as it is kept until its order has come: with when it was drawn.
pub(crate) fn dated_salt(salt: &InputSalt, now: Timestamp) -> Vec<u8> {
    [salt.as_bytes().as_slice(), &now.as_second().to_be_bytes()].concat()
}

/// Forgets salts that were drawn before a moment.
pub(crate) fn forget_salts(store: &Store, before: Timestamp) -> Result<u64, StoreError> {
    store.documents().erase(DocumentKind::Salt, |row| {
        row.last_chunk()
            .is_some_and(|drawn| i64::from_be_bytes(*drawn) < before.as_second())
    })
}

/// An entry with nothing but its ids, its time and its kind.
pub(crate) fn blank_entry(operation: Operation, side: Side, now: Timestamp, transaction: Uuid) -> Entry {
    Entry {
        id: Uuid::now_v7(),
        transaction,
        about: None,
        trace: None,
        parent_span: None,
        started: now,
        operation,
        side,
        purpose: None,
        regime: None,
        article: None,
        case_reference: None,
        reason: None,
        person: None,
        role: None,
        approver: None,
        order: None,
        asker: None,
        holder: None,
        participants: Vec::new(),
        caller_certificate: None,
        recipients: Vec::new(),
        country: None,
        roles: Vec::new(),
        order_hash: None,
        on_behalf_of: None,
        dataset: None,
        dataset_version: None,
        kinds: Vec::new(),
        mode: None,
        profile: None,
        profile_hash: None,
        protocol: None,
        input_count: None,
        input_commitment: None,
        visibility: Vec::new(),
        agreement: None,
        agreement_hash: None,
        policy_hash: None,
        software: SOFTWARE.to_owned(),
    }
}

/// What the local policy says of a peer's query.
fn check_rules(
    node: &Node,
    rules: &Rules,
    action: &str,
    peer: (&Peer, &str),
    dataset: &str,
    query: &Query,
    now: Timestamp,
) -> Result<(), NodeError> {
    let (peer, country) = peer;
    let asker = Asker {
        id: &peer.id,
        name: &peer.name,
        country,
    };
    let verdict = rules.peer(&asker, action, node.dataset_resource(dataset), query, now)?;
    match verdict.is_allowed {
        true => Ok(()),
        false => Err(self::rules::refusal(&verdict)),
    }
}

/// What the policy can know of a match.
fn query_of(peer: &Peer, open: &peer::Open, is_approved: bool) -> Query {
    Query {
        peer: peer.name.clone(),
        purpose: open.purpose.clone(),
        case_reference: open.case_reference.clone(),
        mode: open.word().to_owned(),
        kinds: words(&open.kinds),
        roles: words(&open.roles),
        set_size: open.set_size,
        has_order: open.order.is_some(),
        is_approved,
        on_behalf_of: open.on_behalf_of.clone(),
    }
}

/// The country of a peer, as an agreement has it.
fn country_of<'a>(agreement: &'a Agreement, peer: &Peer) -> &'a str {
    let party = agreement.party(&peer.id);
    party.map(|party| party.country.as_str()).unwrap_or_default()
}

/// The user of an entry, as the configuration has that user now.
fn user_of(node: &Node, entry: &Entry) -> Result<User, NodeError> {
    let id = entry.person.as_deref().unwrap_or_default();
    User::named(id, &node.config).ok_or(NodeError::Broken("a query of no user"))
}

impl Permitted for Terms {
    fn until(&self) -> Timestamp {
        let until = self.agreement.agreement().valid_until;
        let order = self.opening.order.as_ref().map(|order| order.document().valid_until);
        order.map_or(until, |order| order.min(until))
    }

    fn check_again(&self, node: &Node, entry: &Entry, now: Timestamp) -> Result<(), NodeError> {
        let open = &self.opening;
        // as it is known now, not as it was when the query began
        let known = node.agreements.get(&open.agreement_hash);
        check_standing(node, known.as_ref().unwrap_or(&self.agreement), now)?;
        if let Some(order) = open.order.as_deref() {
            node.orders.check_standing(order, now)?;
        }
        let rules = node.rules.load();
        let query = query_of(&self.peer, open, entry.approver.is_some());
        match entry.side {
            Side::Asker => {
                let resource = node.dataset_resource(entry.dataset.as_deref().unwrap_or_default());
                let user = user_of(node, entry)?;
                rules.permit(&user, "ask", resource, Some(&query), now).map(drop)
            }
            _ => {
                let country = country_of(self.agreement.agreement(), &self.peer);
                check_rules(
                    node,
                    &rules,
                    "answer",
                    (&self.peer, country),
                    &open.dataset,
                    &query,
                    now,
                )
            }
        }
    }
}

/// Whether a query needs an order: by the agreement, by the own dataset's mark, or as a picture, which is combined processing (Wpg art. 11).
fn order_rule(config: &Config, grant: &Grant, own_dataset: &str, is_picture: bool) -> OrderRule {
    match is_picture || config.is_orders_only(own_dataset) {
        true => OrderRule::Required,
        false => grant.order,
    }
}

fn words<'a, T: ToString + 'a>(values: impl IntoIterator<Item = &'a T>) -> Vec<String> {
    values.into_iter().map(ToString::to_string).collect()
}

/// What takes part: in mode `count` a person has one item, not several.
pub(crate) fn selection(config: &Config, kinds: &[Kind], mode: peer::Mode) -> Selection {
    Selection::of(&config.profile, kinds, mode == peer::Mode::Count)
}

/// Whether the profile that records were normalised under is this node's.
pub(crate) fn check_profile(config: &Config, name: &str, hash: &Digest) -> Result<(), NodeError> {
    let own = (config.profile.name(), Digest(config.profile.hash()));
    if (name, *hash) == own {
        return Ok(());
    }
    let message = format!(
        "the records were normalised under profile {name} ({hash}); this node has {} ({}): give `overlap` the same profile and version",
        own.0, own.1,
    );
    Err(NodeError::refused(Reason::InvalidRequest, message))
}
