//! The orders that this node has, and what is held against them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use jiff::Timestamp;
use overlap_agreement::{Agreement, Mode, Order, OrderRule, Signed, Statement, Subject};
use overlap_audit::Digest;
use overlap_proto::{agreement::MOST_STATEMENTS, fault::Reason};
use overlap_records::Kind;
use overlap_store::{DocumentKind, Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::{
    agreements::{Agreements, invalid},
    error::NodeError,
};

/// The orders of a node, own ones and those that peers asked under.
pub(crate) struct Orders {
    store: Arc<Store>,
    held: RwLock<BTreeMap<Digest, Arc<HeldOrder>>>,
    writing: Mutex<()>,
}

/// One order, with what its authority stated about it; the statement may come first.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeldOrder {
    pub(crate) signed: Option<Signed<Order>>,
    pub(crate) statements: Vec<Signed<Statement>>,
    pub(crate) received: Timestamp,
}

/// What a query asks for, to be held against an order.
pub(crate) struct Use<'a> {
    pub(crate) agreement: &'a Agreement,
    pub(crate) asker: &'a str,
    pub(crate) holder: &'a str,
    /// The holder's dataset.
    pub(crate) dataset: &'a str,
    pub(crate) purpose: &'a str,
    pub(crate) case_reference: &'a str,
    pub(crate) mode: Mode,
    pub(crate) kinds: &'a [Kind],
    pub(crate) set_size: u64,
    pub(crate) now: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Row {
    hash: Digest,
    order: Option<String>,
    statements: Vec<String>,
    received: Timestamp,
}

impl HeldOrder {
    /// What ends the order: who gave it says so, nobody else.
    fn revoked(&self) -> Option<&Signed<Statement>> {
        let order = self.signed.as_ref()?;
        let by_giver =
            |statement: &&Signed<Statement>| order.signers().any(|key| statement.is_signed_by(&key.thumbprint()));
        self.statements.iter().find(by_giver)
    }

    /// How it stands, in a word and in words.
    pub(crate) fn standing(&self, now: Timestamp) -> (&'static str, String) {
        let Some(order) = self.signed.as_ref().map(Signed::document) else {
            return ("revoked", "revoked before it came here".to_owned());
        };
        if let Some(revoked) = self.revoked() {
            let (at, id) = (revoked.document().at, &order.id);
            return (
                "revoked",
                format!("order {id} was revoked by {} at {at}", order.authority),
            );
        }
        match () {
            () if now >= order.valid_until => (
                "expired",
                format!("order {} has expired: it held until {}", order.id, order.valid_until),
            ),
            () if now < order.valid_from => (
                "future",
                format!("order {} holds from {} on", order.id, order.valid_from),
            ),
            () => (
                "in-force",
                format!("order {} holds until {}", order.id, order.valid_until),
            ),
        }
    }
}

impl Orders {
    pub(crate) fn load(store: &Arc<Store>) -> Result<Self, StoreError> {
        const DAMAGED: StoreError = StoreError::Damaged("an order cannot be read");
        let mut held = BTreeMap::new();
        for row in store.documents().all(DocumentKind::Order)? {
            let row: Row = serde_json::from_slice(&row).map_err(|_| DAMAGED)?;
            let signed = row.order.map(|text| Signed::parse(text.as_bytes())).transpose();
            let statements = row.statements.iter().map(|one| Signed::parse(one.as_bytes()));
            let one = HeldOrder {
                signed: signed.map_err(|_| DAMAGED)?,
                statements: statements.collect::<Result<_, _>>().map_err(|_| DAMAGED)?,
                received: row.received,
            };
            held.insert(row.hash, Arc::new(one));
        }
        Ok(Self {
            store: Arc::clone(store),
            held: RwLock::new(held),
            writing: Mutex::default(),
        })
    }

    pub(crate) fn get(&self, hash: &Digest) -> Option<Arc<HeldOrder>> {
        self.read().get(hash).cloned()
    }

    /// Every one, the newest first.
    pub(crate) fn all(&self) -> Vec<(Digest, Arc<HeldOrder>)> {
        let mut all: Vec<_> = self
            .read()
            .iter()
            .map(|(hash, held)| (*hash, Arc::clone(held)))
            .collect();
        all.sort_by_key(|(_, held)| std::cmp::Reverse(held.received));
        all
    }

    /// The one with this id that has not ended, or the last that had it.
    pub(crate) fn find(&self, id: &str, now: Timestamp) -> Result<Signed<Order>, NodeError> {
        let all = self.all();
        let named: Vec<_> = all
            .iter()
            .filter_map(|(_, held)| Some((held, held.signed.as_ref()?)))
            .filter(|(_, order)| order.document().id == id)
            .collect();
        let living = named.iter().find(|(held, _)| held.standing(now).0 == "in-force");
        let found = living.or(named.first()).map(|(_, order)| Signed::clone(order));
        found.ok_or_else(|| {
            let message =
                format!("no order has the id {id}; see `overlap order list`, and add it with `overlap order add`");
            NodeError::refused(Reason::NotFound, message)
        })
    }

    /// Takes an order in, signed by the authority of that name in an agreement. True: it is new.
    pub(crate) fn add(
        &self,
        order: &Signed<Order>,
        agreements: &Agreements,
        now: Timestamp,
    ) -> Result<bool, NodeError> {
        let name = &order.document().authority;
        let held = agreements.whole();
        let mut named = held
            .iter()
            .flat_map(|held| &held.agreement().authorities)
            .filter(|one| one.name == *name);
        if !named.any(|authority| order.is_signed_by(&authority.signing_key)) {
            let message = format!(
                "order {} is not signed by {name}: no agreement here names an authority of that name with the key that signed it",
                order.document().id
            );
            return Err(NodeError::refused(Reason::OrderDenied, message));
        }
        self.change(order.hash(), now, |held| {
            let is_new = held.signed.is_none();
            held.signed = Some(order.clone());
            is_new
        })
    }

    /// Takes in that an authority has revoked an order, known here or not. True: it is new.
    pub(crate) fn revoke(
        &self,
        statement: &Signed<Statement>,
        agreements: &Agreements,
        now: Timestamp,
    ) -> Result<bool, NodeError> {
        let says = statement.document();
        if says.about != Subject::Order {
            return Err(invalid(&"the statement is not about an order"));
        }
        let known = self.get(&says.hash);
        let of = known
            .as_ref()
            .and_then(|held| held.signed.as_ref())
            .map(|order| &order.document().authority);
        let held = agreements.whole();
        let mut authorities = held
            .iter()
            .flat_map(|held| &held.agreement().authorities)
            .filter(|authority| of.is_none_or(|name| *name == authority.name));
        if !authorities.any(|authority| statement.is_signed_by(&authority.signing_key)) {
            let message = "the statement is not signed by the order's authority, as an agreement here names it";
            return Err(NodeError::refused(Reason::OrderDenied, message));
        }
        let changed = self.change(says.hash, now, |held| {
            let is_new = held.statements.iter().all(|known| known.hash() != statement.hash());
            let is_new = is_new && held.statements.len() < MOST_STATEMENTS;
            if is_new {
                held.statements.push(statement.clone());
            }
            is_new
        })?;
        if changed {
            agreements.changed.send_modify(|count| *count += 1);
        }
        Ok(changed)
    }

    /// Forgets those whose validity was over before a moment.
    pub(crate) fn forget(&self, before: Timestamp) -> Result<u64, StoreError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |order: &Signed<Order>| order.document().valid_until < before;
        let erased = self.store.documents().erase(DocumentKind::Order, |row| {
            let row: Option<Row> = serde_json::from_slice(row).ok();
            let signed = row.and_then(|row| Signed::parse(row.order?.as_bytes()).ok());
            signed.is_some_and(|signed| is_over(&signed))
        })?;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, held| !held.signed.as_ref().is_some_and(is_over));
        Ok(erased)
    }

    fn change(
        &self,
        hash: Digest,
        now: Timestamp,
        change: impl FnOnce(&mut HeldOrder) -> bool,
    ) -> Result<bool, NodeError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held = self.get(&hash).map_or_else(
            || HeldOrder {
                received: now,
                ..HeldOrder::default()
            },
            |known| HeldOrder::clone(&known),
        );
        if !change(&mut held) {
            return Ok(false);
        }
        let text = |json: Vec<u8>| String::from_utf8(json).map_err(|_| NodeError::Broken("JSON is not UTF-8"));
        let row = Row {
            hash,
            order: held.signed.as_ref().map(|order| text(order.to_json())).transpose()?,
            statements: held
                .statements
                .iter()
                .map(|one| text(one.to_json()))
                .collect::<Result<_, _>>()?,
            received: held.received,
        };
        let json = serde_json::to_vec(&row).map_err(|_| NodeError::Broken("an order cannot be written"))?;
        self.store.documents().put(DocumentKind::Order, &hash, &json)?;
        self.held
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(hash, Arc::new(held));
        Ok(true)
    }

    /// Whether an order that a query needs, or names, covers it.
    pub(crate) fn check(
        &self,
        order: Option<&Signed<Order>>,
        rule: OrderRule,
        usage: &Use<'_>,
    ) -> Result<(), NodeError> {
        let denied = |message: String| Err(NodeError::refused(Reason::OrderDenied, message));
        let Some(signed) = order else {
            return match rule {
                OrderRule::None => Ok(()),
                OrderRule::Required => denied(format!(
                    "agreement {} asks for an order: name one with --order (of an action: overlap action join ID --order ORDER)",
                    usage.agreement.id
                )),
            };
        };
        let order = signed.document();
        let id = &order.id;
        let mut authorities = usage
            .agreement
            .authorities
            .iter()
            .filter(|one| one.name == order.authority);
        if !authorities.any(|authority| signed.is_signed_by(&authority.signing_key)) {
            return denied(format!(
                "order {id} is not signed by an authority that agreement {} names",
                usage.agreement.id
            ));
        }
        self.check_standing(signed, usage.now)?;
        let covers = |what: &str, is: bool| match is {
            true => Ok(()),
            false => denied(format!("order {id} does not cover {what}")),
        };
        covers(&format!("purpose {}", usage.purpose), order.purpose == usage.purpose)?;
        covers("this case", order.case_reference == usage.case_reference)?;
        covers(&format!("the asker {}", usage.asker), order.asker == usage.asker)?;
        covers(
            &format!("the holder {}", usage.holder),
            order.holders.contains(usage.holder),
        )?;
        covers(
            &format!("dataset {}", usage.dataset),
            order.datasets.is_empty() || order.datasets.contains(usage.dataset),
        )?;
        covers(&format!("mode {}", usage.mode), order.modes.contains(&usage.mode))?;
        covers(
            "all of the kinds asked",
            usage.kinds.iter().all(|kind| order.kinds.contains(kind)),
        )?;
        covers(
            &format!("a set of {} items, but {} at most", usage.set_size, order.max_set_size),
            usage.set_size <= order.max_set_size,
        )
    }

    /// Whether an order holds now.
    pub(crate) fn check_standing(&self, signed: &Signed<Order>, now: Timestamp) -> Result<(), NodeError> {
        let known = self.get(&signed.hash());
        let held = HeldOrder {
            signed: Some(signed.clone()),
            statements: known.map(|known| known.statements.clone()).unwrap_or_default(),
            received: now,
        };
        match held.standing(now) {
            ("in-force", _) => Ok(()),
            (_, words) => Err(NodeError::refused(Reason::OrderDenied, words)),
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<Digest, Arc<HeldOrder>>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a commitment is the one that an order was given for.
pub(crate) fn check_commitment(order: &Signed<Order>, commitment: &Digest) -> Result<(), NodeError> {
    match order.document().input_commitment {
        Some(given) if given != *commitment => Err(NodeError::refused(
            Reason::OrderDenied,
            format!(
                "order {} was given for another set: the commitments differ",
                order.document().id
            ),
        )),
        _ => Ok(()),
    }
}
