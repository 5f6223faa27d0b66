//! Who may ask what: the one place that makes a [`Permit`].

mod cover;

use std::{collections::BTreeSet, path::Path, sync::Arc};

use jiff::Timestamp;
use overlap_audit::{Digest, Entry, Operation, Side};
use overlap_proto::{fault::Reason, operator, peer};
use overlap_psi::Protocol;
use overlap_records::Kind;
use overlap_store::{Dataset, Quota, Selection, Store};
use uuid::Uuid;

use crate::{
    SOFTWARE,
    agreement::{Agreement, Grant, join},
    config::{Config, Peer, Role},
    error::NodeError,
    identity::Certificate,
    trace::TraceContext,
};
use cover::{Ask, check_dataset, check_size, choose, cite, quota};

/// Leave to run one match: whatever code runs it has been through here.
pub(crate) struct Permit {
    entry: Entry,
    quota: Quota,
    terms: Terms,
}

/// What was permitted.
pub(crate) struct Terms {
    pub(crate) agreement: Arc<Agreement>,
    pub(crate) dataset: Dataset,
    /// What of the dataset takes part.
    pub(crate) selection: Selection,
    pub(crate) peer: Peer,
    /// Key that the peer's certificate has to carry.
    pub(crate) peer_key: Digest,
    /// For the asker: what to tell the holder.
    pub(crate) opening: peer::Open,
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
    /// Commits to the exact set that an own query asks with, in the entry and in what the holder is told.
    pub(crate) fn commit(mut self, store: &Store, spill: &Path) -> Result<Self, Box<Denial>> {
        let (id, terms) = (self.entry.id, &mut self.terms);
        match store.log().commit_input(id, &terms.dataset, &terms.selection, spill) {
            Ok(commitment) => {
                terms.opening.input_commitment = commitment;
                self.entry.input_commitment = Some(commitment);
                Ok(self)
            }
            Err(error) => Err(self.deny(error.into())),
        }
    }

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

    pub(crate) fn quota(&self) -> Quota {
        self.quota
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }
}

impl User {
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

    /// The first of these roles that the user has.
    pub(crate) fn acts_as(&self, roles: &[Role]) -> Result<Role, NodeError> {
        roles
            .iter()
            .copied()
            .find(|role| self.roles.contains(role))
            .ok_or_else(|| {
                let needed = roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(" or ");
                NodeError::refused(Reason::RoleDenied, format!("this needs the role {needed}"))
            })
    }
}

/// An entry with nothing but its ids, its time and its kind.
pub(crate) fn blank_entry(operation: Operation, side: Side, now: Timestamp, transaction: Uuid) -> Entry {
    Entry {
        id: Uuid::now_v7(),
        transaction,
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
        caller_certificate: None,
        recipients: Vec::new(),
        country: None,
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

/// Judges a user's wish to ask a peer.
pub(crate) fn authorise_ask(
    config: &Config,
    store: &Store,
    user: &User,
    request: &operator::Match,
    trace: Option<TraceContext>,
    now: Timestamp,
) -> Result<Permit, Box<Denial>> {
    let mut entry = blank_entry(Operation::Combination, Side::Asker, now, Uuid::now_v7());
    TraceContext::enter(trace, &mut entry);
    entry.policy_hash = Some(config.policy_hash);
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
    match ask(config, store, user, request, now, &mut entry) {
        Ok((terms, quota)) => Ok(Permit { entry, quota, terms }),
        Err(error) => Err(Box::new(Denial { entry, error })),
    }
}

fn ask(
    config: &Config,
    store: &Store,
    user: &User,
    request: &operator::Match,
    now: Timestamp,
    entry: &mut Entry,
) -> Result<(Terms, Quota), NodeError> {
    let role = user.acts_as(&[Role::Analyst, Role::Coordinator])?;
    entry.role = Some(role.name().to_owned());
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
    let (agreement, grant) = choose(config, request, &peer.id, now)?;
    cite(entry, agreement, &config.id);
    let held = dataset.info().kinds();
    let kinds: Vec<Kind> = match &request.kinds {
        Some(kinds) => kinds.clone(),
        None => grant
            .kinds
            .iter()
            .copied()
            .filter(|kind| held.contains_key(kind))
            .collect(),
    };
    entry.kinds = kinds.iter().map(ToString::to_string).collect();
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
    check_size(set_size, grant)?;
    let opening = peer::Open {
        transaction: entry.transaction,
        agreement: agreement.id.clone(),
        agreement_hash: agreement.hash,
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
    };
    let terms = Terms {
        agreement: Arc::clone(agreement),
        dataset,
        selection,
        peer: peer.clone(),
        peer_key: grant.holder.key,
        opening,
    };
    Ok((terms, quota(agreement, grant, set_size, now)))
}

/// Judges a peer's wish to ask this node.
pub(crate) fn authorise_hold(
    config: &Config,
    store: &Store,
    caller: &Certificate,
    open: &peer::Open,
    trace: Option<TraceContext>,
    now: Timestamp,
) -> Result<Permit, Box<Denial>> {
    let mut entry = blank_entry(Operation::Combination, Side::Holder, now, open.transaction);
    TraceContext::enter(trace, &mut entry);
    entry.policy_hash = Some(config.policy_hash);
    entry.purpose = Some(open.purpose.clone());
    entry.case_reference = Some(open.case_reference.clone());
    entry.reason = Some(open.reason.clone());
    entry.person = Some(open.person.clone());
    entry.role = Some(open.role.clone());
    entry.asker = Some(caller.id.clone());
    entry.holder = Some(config.id.clone());
    entry.caller_certificate = Some(caller.thumbprint);
    entry.recipients = vec![caller.id.clone()];
    entry.mode = Some(open.mode.to_string());
    entry.protocol = Some(open.protocol.to_string());
    entry.profile = Some(open.profile.clone());
    entry.profile_hash = Some(open.profile_hash);
    entry.dataset = Some(open.dataset.clone());
    entry.kinds = open.kinds.iter().map(ToString::to_string).collect();
    entry.input_count = Some(open.set_size);
    entry.input_commitment = Some(open.input_commitment);
    entry.agreement = Some(open.agreement.clone());
    match hold(config, store, caller, open, now, &mut entry) {
        Ok((terms, quota)) => Ok(Permit { entry, quota, terms }),
        Err(error) => Err(Box::new(Denial { entry, error })),
    }
}

fn hold(
    config: &Config,
    store: &Store,
    caller: &Certificate,
    open: &peer::Open,
    now: Timestamp,
    entry: &mut Entry,
) -> Result<(Terms, Quota), NodeError> {
    let peer = config.peers.iter().find(|peer| peer.id == caller.id).ok_or_else(|| {
        NodeError::refused(
            Reason::UnknownCaller,
            format!("{} is no peer of {}", caller.id, config.name),
        )
    })?;
    let denied = |message: String| NodeError::refused(Reason::AgreementDenied, message);
    let none = || {
        denied(format!(
            "{} has no agreement {} with {}",
            config.name, open.agreement, peer.name
        ))
    };
    let agreement = config
        .agreements
        .iter()
        .find(|agreement| agreement.id == open.agreement)
        .ok_or_else(none)?;
    let party = agreement.party(&caller.id).ok_or_else(none)?;
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
    if agreement.hash != open.agreement_hash {
        let message = format!(
            "agreement {} is {} here and {} at the asker: both sides need the same file",
            agreement.id, agreement.hash, open.agreement_hash
        );
        return Err(denied(message));
    }
    cite(entry, agreement, &caller.id);
    let between = |grant: &&Grant| grant.asker.id == caller.id && grant.holder.id == config.id;
    let grants: Vec<&Grant> = agreement
        .grants
        .iter()
        .filter(between)
        .filter(|grant| grant.dataset == open.dataset)
        .collect();
    let ask = Ask {
        purpose: &open.purpose,
        mode: open.mode,
        kinds: Some(&open.kinds),
        now,
    };
    let grant = ask.covering(agreement, &grants)?;
    check_size(open.set_size, grant)?;
    let dataset = store.dataset(&open.dataset).ok_or_else(|| {
        NodeError::refused(
            Reason::NotFound,
            format!("{} has no dataset {} loaded", config.name, open.dataset),
        )
    })?;
    entry.dataset_version = Some(dataset.info().version);
    check_dataset(&dataset, &config.profile, now)?;
    let terms = Terms {
        agreement: Arc::clone(agreement),
        dataset,
        selection: selection(config, &open.kinds, open.mode),
        peer: peer.clone(),
        peer_key: party.key,
        opening: open.clone(),
    };
    Ok((terms, quota(agreement, grant, open.set_size, now)))
}

/// What takes part: in mode `count` a person has one item, not several.
fn selection(config: &Config, kinds: &[Kind], mode: peer::Mode) -> Selection {
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
