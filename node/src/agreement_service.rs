//! What own users do with agreements, orders and the policy.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;
use overlap_agreement::{Agreement, Signed, Statement, Subject, Verb as Stated};
use overlap_audit::{Digest, Entry, InputSalt, Operation, Outcome};
use overlap_proto::{
    agreement::{self, AddOrder, CommitInput, Decide, OrderDocument, Verb},
    fault::Reason,
    pb::operator as pb,
};
use overlap_store::{DocumentKind, StoreError};

use crate::{
    agreements::{Held, Standing, invalid, state},
    dataset_service::{dataset_entry, no_dataset},
    error::NodeError,
    node::{Node, now},
    orders::HeldOrder,
    policy::{self, Denial, User, cover},
    pool::blocking,
    rules::Action,
    session, settle,
    spine::{self, Finding},
};

/// Asks each peer's node who it is.
pub(crate) async fn draft(
    node: &Arc<Node>,
    user: &User,
    wish: pb::DraftAgreementRequest,
) -> Result<pb::DraftAgreementResponse, NodeError> {
    node.permit(user, Action::DraftAgreement)?;
    let config = &node.config;
    let mut parties = vec![pb::DraftParty {
        name: config.name.clone(),
        id: config.id.clone(),
        country: config.country.clone(),
        key: bytes(config.key),
        signing_key: bytes(config.signing_key.public().thumbprint()),
    }];
    for name in wish.peers {
        let peer = config.peers.iter().find(|peer| peer.name == name).ok_or_else(|| {
            let known = cover::join(config.peers.iter().map(|peer| &peer.name));
            NodeError::refused(
                Reason::NotFound,
                format!("no peer has the name that was given; known are: {known}"),
            )
        })?;
        let (introduction, key) = settle::introduce(node, peer).await?;
        parties.push(pb::DraftParty {
            name: peer.name.clone(),
            id: peer.id.clone(),
            country: introduction.country,
            key: bytes(key),
            signing_key: bytes(introduction.signing_key),
        });
    }
    Ok(pb::DraftAgreementResponse {
        parties,
        profile: config.profile.name().to_owned(),
        profile_hash: bytes(Digest(config.profile.hash())),
    })
}

pub(crate) async fn propose(
    node: &Arc<Node>,
    user: &User,
    wish: pb::ProposeAgreementRequest,
) -> Result<pb::AgreementResponse, NodeError> {
    let (document, reason) = agreement::proposal(wish)?;
    let mut entry = entry(node, user, reason);
    let signed = permitted(node, user, Action::ProposeAgreement, &mut entry).and_then(|()| proposal(node, &document));
    let mut signed = refused(node, &entry, signed).await?;
    entry.agreement = Some(signed.document().id.clone());
    entry.agreement_hash = Some(signed.hash());
    signed.sign(&node.config.signing_key);
    let held = change(node, entry, signed, Vec::new(), "proposed").await?;
    Ok(answer(node, &held).await)
}

/// Takes in what came by another way than between nodes.
pub(crate) async fn take(
    node: &Arc<Node>,
    user: &User,
    wish: pb::TakeAgreementRequest,
) -> Result<pb::AgreementResponse, NodeError> {
    let (document, reason) = agreement::taken(wish)?;
    let mut entry = entry(node, user, reason);
    let signed = permitted(node, user, Action::ProposeAgreement, &mut entry).and_then(|()| {
        let signed = Signed::<Agreement>::parse(&document).map_err(|error| invalid(&error))?;
        let is_signed = signed.signers().next().is_some();
        match (signed.document().party(&node.config.id).is_some(), is_signed) {
            (true, true) => Ok(signed),
            (false, _) => Err(invalid(&format!("{} is no party to it", node.config.name))),
            (_, false) => Err(invalid(&"it is signed by nobody")),
        }
    });
    let signed = refused(node, &entry, signed).await?;
    entry.agreement = Some(signed.document().id.clone());
    entry.agreement_hash = Some(signed.hash());
    let held = change(node, entry, signed, Vec::new(), "taken in").await?;
    Ok(answer(node, &held).await)
}

fn proposal(node: &Node, document: &Bytes) -> Result<Signed<Agreement>, NodeError> {
    let agreement: Agreement = serde_json::from_slice(document).map_err(|error| invalid(&error))?;
    let signed = Signed::new(agreement).map_err(|error| invalid(&error))?;
    let agreement = signed.document();
    cover::check_own(node, agreement)?;
    let now = now();
    if now >= agreement.valid_until {
        return Err(invalid(&"valid_until must be later than now"));
    }
    let peers: BTreeSet<&str> = node.config.peers.iter().map(|peer| peer.id.as_str()).collect();
    let mut others = agreement.parties.iter().filter(|party| party.id != node.config.id);
    if let Some(stranger) = others.find(|party| !peers.contains(party.id.as_str())) {
        return Err(NodeError::refused(
            Reason::NotFound,
            format!(
                "party {} ({}) is no peer of this node: its operator adds it to the configuration",
                stranger.name, stranger.id
            ),
        ));
    }
    check_editions(node, &signed, now)?;
    Ok(signed)
}

/// An id is in use once: who agrees anew under it says which edition that takes the place of.
fn check_editions(node: &Node, signed: &Signed<Agreement>, now: Timestamp) -> Result<(), NodeError> {
    let agreement = signed.document();
    let whole = node.agreements.whole();
    let same = whole.iter().find(|held| {
        let standing = node.agreements.standing(held, now);
        held.agreement().id == agreement.id
            && held.hash() != signed.hash()
            && matches!(standing, Standing::InForce | Standing::Future)
    });
    match same {
        Some(held) if agreement.replaces != Some(held.hash()) || !agreement.may_replace(held.agreement()) => {
            Err(NodeError::refused(
                Reason::InvalidRequest,
                format!(
                    "an agreement with the id {} is in force, or will be: to take its place, have the same parties and say replaces = \"{}\"",
                    agreement.id,
                    held.hash()
                ),
            ))
        }
        _ => Ok(()),
    }
}

pub(crate) async fn decide(node: &Arc<Node>, user: &User, wish: Decide) -> Result<pb::AgreementResponse, NodeError> {
    let (action, word) = match wish.verb {
        Verb::Accept => (Action::AcceptAgreement, "accepted"),
        Verb::Reject => (Action::RejectAgreement, "rejected"),
        Verb::Revoke => (Action::RevokeAgreement, "revoked"),
    };
    let mut entry = entry(node, user, wish.reason.clone());
    let found = permitted(node, user, action, &mut entry).and_then(|()| {
        // an id may be given to another document between a look and a signature
        let is_hash = wish.agreement.len() >= 16 && wish.agreement.bytes().all(|byte| byte.is_ascii_hexdigit());
        match wish.verb == Verb::Accept && !is_hash {
            true => Err(invalid(
                &"what is accepted has to be named by its hash, of which 16 digits are enough; see `overlap agreement show`",
            )),
            false => node.agreements.find(&wish.agreement, now()),
        }
    });
    let held = refused(node, &entry, found).await?;
    entry.agreement = Some(held.agreement().id.clone());
    entry.agreement_hash = Some(held.hash());
    let decided = decision(node, &held, wish.verb, wish.reason);
    let (signed, statements) = refused(node, &entry, decided).await?;
    let held = change(node, entry, signed, statements, word).await?;
    Ok(answer(node, &held).await)
}

fn own_name(node: &Node, held: &Held) -> String {
    let own = held.agreement().party(&node.config.id);
    own.map(|party| party.name.clone()).unwrap_or_default()
}

type Decision = (Signed<Agreement>, Vec<Signed<Statement>>);

fn decision(node: &Node, held: &Held, verb: Verb, reason: String) -> Result<Decision, NodeError> {
    let now = now();
    let mut signed = held.signed.clone();
    let standing = node.agreements.standing(held, now);
    let state = |verb| {
        let key = &node.config.signing_key;
        state(Subject::Agreement, held.hash(), verb, reason, now, key).map(|statement| vec![statement])
    };
    let statements = match (verb, &standing) {
        (Verb::Accept, Standing::Proposed { .. }) => {
            cover::check_own(node, held.agreement())?;
            check_editions(node, &held.signed, now)?;
            signed.sign(&node.config.signing_key);
            Vec::new()
        }
        // also what was ended or has expired before this node decided: it is off the list of what waits then
        (Verb::Reject, Standing::Proposed { .. } | Standing::Ended { .. } | Standing::Expired)
            if held.missing().contains(&own_name(node, held)) =>
        {
            state(Stated::Rejected)?
        }
        (
            Verb::Revoke,
            Standing::Proposed { .. } | Standing::Future | Standing::InForce | Standing::Replaced { .. },
        ) => state(Stated::Revoked)?,
        _ => {
            let message = format!("{}: there is nothing to {}", standing.explain(held), verb.name());
            return Err(NodeError::refused(Reason::AgreementDenied, message));
        }
    };
    Ok((signed, statements))
}

/// Writes what changes between the opening and the end of its entry.
async fn change(
    node: &Arc<Node>,
    entry: Entry,
    signed: Signed<Agreement>,
    statements: Vec<Signed<Statement>>,
    word: &'static str,
) -> Result<Arc<Held>, NodeError> {
    let running = Arc::clone(node);
    spine::logged(node, entry, async move {
        let merged = blocking(move || {
            let own = running.config.signing_key.public().thumbprint();
            running.agreements.merge(&signed, &statements, None, &own, now())
        })
        .await??;
        let finding = Finding {
            remark: Some(word.to_owned()),
            ..Finding::default()
        };
        Ok((Outcome::Done, finding, merged.held))
    })
    .await
}

async fn answer(node: &Arc<Node>, held: &Arc<Held>) -> pb::AgreementResponse {
    let deliveries = settle::tell_all(node, held).await;
    let deliveries = deliveries.into_iter().map(|(party, told)| pb::Delivery {
        party,
        failed: told.err().map(|error| error.to_string()).unwrap_or_default(),
    });
    // telling may have brought signatures back
    let held = node.agreements.get(&held.hash()).unwrap_or_else(|| Arc::clone(held));
    pb::AgreementResponse {
        deliveries: deliveries.collect(),
        agreement: Some(shown(node, &held)),
    }
}

pub(crate) fn shown(node: &Node, held: &Held) -> pb::SignedAgreement {
    let standing = node.agreements.standing(held, now());
    pb::SignedAgreement {
        id: held.agreement().id.clone(),
        hash: bytes(held.hash()),
        state: standing.name().to_owned(),
        explanation: standing.explain(held),
        unsigned: held.missing(),
        document: held.signed.to_json().into(),
        statements: held.statements.iter().map(|one| one.to_json().into()).collect(),
        received: held.received.to_string(),
    }
}

pub(crate) async fn add_order(
    node: &Arc<Node>,
    user: &User,
    wish: AddOrder,
) -> Result<pb::AddOrderResponse, NodeError> {
    let mut entry = entry(node, user, wish.reason);
    let document = permitted(node, user, Action::AddOrder, &mut entry).and_then(|()| read(&wish.document));
    let document = refused(node, &entry, document).await?;
    let (hash, word) = match &document {
        Read::Order(order) => {
            entry.order = Some(order.document().id.clone());
            (order.hash(), "an order was taken in")
        }
        Read::Statement(statement) => (statement.document().hash, "an order was revoked by its authority"),
    };
    entry.order_hash = Some(hash);
    let running = Arc::clone(node);
    spine::logged(node, entry, async move {
        let adding = move || match document {
            Read::Order(order) => running.orders.add(&order, &running.agreements, now()),
            Read::Statement(statement) => running.orders.revoke(&statement, &running.agreements, now()),
        };
        blocking(adding).await??;
        let finding = Finding {
            remark: Some(word.to_owned()),
            ..Finding::default()
        };
        Ok((Outcome::Done, finding, ()))
    })
    .await?;
    let held = node.orders.get(&hash);
    Ok(pb::AddOrderResponse {
        order: held.map(|held| shown_order(hash, &held)),
    })
}

/// Commits to a set before it is asked with: the salt stays here, the order names the commitment.
pub(crate) async fn commit_input(
    node: &Arc<Node>,
    user: &User,
    wish: CommitInput,
) -> Result<pb::CommitInputResponse, NodeError> {
    let mut entry = entry(node, user, wish.reason);
    entry.operation = Operation::Consultation;
    entry.dataset = Some(wish.dataset.clone());
    entry.kinds = wish.kinds.iter().map(ToString::to_string).collect();
    entry.mode = Some(wish.mode.to_string());
    let permitted = node.permit_on(user, Action::CommitInput, &wish.dataset);
    let held = permitted.and_then(|role| {
        entry.role = Some(role.name().to_owned());
        node.store
            .dataset(&wish.dataset)
            .ok_or_else(|| no_dataset(&wish.dataset))
    });
    let dataset = refused(node, &entry, held).await?;
    entry.dataset_version = Some(dataset.info().version);
    let selection = policy::selection(&node.config, &wish.kinds, wish.mode);
    let set_size = dataset.items(&selection);
    let (running, id) = (Arc::clone(node), entry.id);
    spine::logged(node, entry, async move {
        let commitment = blocking(move || {
            let spill = session::spill_directory(&running).map_err(StoreError::Spill)?;
            let log = running.store.log();
            let salt = InputSalt::random().map_err(|_| StoreError::Crypto)?;
            let kept = policy::dated_salt(&salt, now());
            let commitment = log.commit_input(id, &dataset, &selection, Some(salt), &spill)?;
            // the query makes the tree again; only the salt has to be known then
            log.drop_input(id)?;
            running.store.documents().put(DocumentKind::Salt, &commitment, &kept)?;
            Ok::<_, NodeError>(commitment)
        })
        .await??;
        let finding = Finding {
            output_count: Some(set_size),
            remark: Some("a set was committed to, for an order".to_owned()),
            ..Finding::default()
        };
        let answer = pb::CommitInputResponse {
            input_commitment: bytes(commitment),
            set_size,
        };
        Ok((Outcome::Done, finding, answer))
    })
    .await
}

enum Read {
    Order(Box<Signed<overlap_agreement::Order>>),
    Statement(Box<Signed<Statement>>),
}

fn read(document: &OrderDocument) -> Result<Read, NodeError> {
    match document {
        OrderDocument::Order(json) => Signed::parse(json).map(|order| Read::Order(Box::new(order))),
        OrderDocument::Statement(json) => Signed::parse(json).map(|statement| Read::Statement(Box::new(statement))),
    }
    .map_err(|error| invalid(&error))
}

pub(crate) fn shown_order(hash: Digest, held: &HeldOrder) -> pb::SignedOrder {
    let (state, explanation) = held.standing(now());
    pb::SignedOrder {
        id: held
            .signed
            .as_ref()
            .map(|order| order.document().id.clone())
            .unwrap_or_default(),
        hash: bytes(hash),
        state: state.to_owned(),
        explanation,
        document: held
            .signed
            .as_ref()
            .map(|order| order.to_json())
            .unwrap_or_default()
            .into(),
    }
}

/// The entry of a change in what is agreed.
fn entry(node: &Node, user: &User, reason: String) -> Entry {
    let mut entry = dataset_entry(node, user, Operation::Alteration, "");
    entry.dataset = None;
    entry.reason = Some(reason);
    entry
}

fn permitted(node: &Node, user: &User, action: Action, entry: &mut Entry) -> Result<(), NodeError> {
    entry.role = Some(node.permit(user, action)?.name().to_owned());
    Ok(())
}

/// Logs a refusal.
async fn refused<T>(node: &Arc<Node>, entry: &Entry, decided: Result<T, NodeError>) -> Result<T, NodeError> {
    match decided {
        Ok(decided) => Ok(decided),
        Err(error) => {
            let entry = entry.clone();
            Err(spine::deny(node, Denial { entry, error }).await)
        }
    }
}

fn bytes(digest: Digest) -> Bytes {
    Bytes::copy_from_slice(&digest.0)
}
