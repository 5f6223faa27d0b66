//! The agreements that this node has: what parties signed and stated, and what holds because of it.
//!
//! What is known of an agreement only grows: signatures and statements come together from all sides in any order, and every node that
//! has heard the same holds the same. An end that was stated stays stated.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use jiff::Timestamp;
use overlap_agreement::{Agreement, Signed, SigningKey, Statement, Subject, Verb};
use overlap_audit::Digest;
use overlap_proto::{
    agreement::{MOST_STATEMENTS, Settle},
    fault::Reason,
};
use overlap_store::{DocumentKind, Store, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{error::NodeError, identity::sha256};

/// The agreements of a node.
pub(crate) struct Agreements {
    store: Arc<Store>,
    held: RwLock<BTreeMap<Digest, Arc<Held>>>,
    /// Held from reading what is kept to writing what is new.
    writing: Mutex<()>,
    /// Counts what changed: running queries judge themselves anew.
    pub(crate) changed: watch::Sender<u64>,
}

/// One agreement, with what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) signed: Signed<Agreement>,
    pub(crate) statements: Vec<Signed<Statement>>,
    /// When this node first had it.
    pub(crate) received: Timestamp,
}

/// How an agreement stands at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Some parties have not signed.
    Proposed {
        /// Their names.
        missing: Vec<String>,
    },
    /// All have signed; it begins later.
    Future,
    /// It holds.
    InForce,
    /// A later edition holds.
    Replaced {
        /// Hash of that.
        by: Digest,
    },
    /// It has run out.
    Expired,
    /// A party has ended it.
    Ended {
        /// Whether it had been in force.
        verb: Verb,
        /// Name of the party.
        by: String,
        /// When.
        at: Timestamp,
    },
}

/// What a merge brought.
pub(crate) struct Merged {
    pub(crate) held: Arc<Held>,
    /// What is new, in words; empty: nothing.
    pub(crate) news: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    agreement: String,
    statements: Vec<String>,
    received: Timestamp,
}

/// Most agreements that one peer may have brought here and this node has not decided on, whatever became of them: none can fill the disk,
/// nor keep others from proposing.
const MOST_UNDECIDED: usize = 64;

impl Held {
    pub(crate) fn agreement(&self) -> &Agreement {
        self.signed.document()
    }

    pub(crate) fn hash(&self) -> Digest {
        self.signed.hash()
    }

    /// Names of the parties that have not signed.
    pub(crate) fn missing(&self) -> Vec<String> {
        let parties = self.agreement().parties.iter();
        let missing = parties.filter(|party| !self.signed.is_signed_by(&party.signing_key));
        missing.map(|party| party.name.clone()).collect()
    }

    /// How it stands, apart from later editions.
    fn alone(&self, now: Timestamp) -> Standing {
        let agreement = self.agreement();
        let mut statements: Vec<_> = self.statements.iter().collect();
        statements.sort_by_key(|one| one.document().at);
        if let Some(first) = statements.first() {
            let by = agreement
                .parties
                .iter()
                .find(|party| first.is_signed_by(&party.signing_key));
            return Standing::Ended {
                verb: first.document().verb,
                by: by.map_or_else(String::new, |party| party.name.clone()),
                at: first.document().at,
            };
        }
        let missing = self.missing();
        match () {
            () if now >= agreement.valid_until => Standing::Expired,
            () if !missing.is_empty() => Standing::Proposed { missing },
            () if now < agreement.valid_from => Standing::Future,
            () => Standing::InForce,
        }
    }

    /// What two nodes compare to see whether they have heard the same.
    pub(crate) fn digest(&self) -> Digest {
        let mut heard: Vec<String> = self.signed.signers().map(|key| key.thumbprint().to_string()).collect();
        heard.extend(self.statements.iter().map(|one| one.hash().to_string()));
        heard.sort();
        sha256(heard.join(" ").as_bytes())
    }

    pub(crate) fn settle(&self) -> Settle {
        Settle {
            agreement: Some(Box::new(self.signed.clone())),
            statements: self.statements.clone(),
        }
    }
}

impl Standing {
    /// The word for it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Proposed { .. } => "proposed",
            Self::Future => "future",
            Self::InForce => "in-force",
            Self::Replaced { .. } => "replaced",
            Self::Expired => "expired",
            Self::Ended {
                verb: Verb::Rejected, ..
            } => "rejected",
            Self::Ended {
                verb: Verb::Revoked, ..
            } => "revoked",
        }
    }

    /// What it says of an agreement, in words.
    pub(crate) fn explain(&self, held: &Held) -> String {
        let agreement = held.agreement();
        let id = &agreement.id;
        match self {
            Self::Proposed { missing } => format!("agreement {id} is not signed by {}", missing.join(" and ")),
            Self::Future => format!("agreement {id} holds from {} on", agreement.valid_from),
            Self::InForce => format!("agreement {id} holds until {}", agreement.valid_until),
            Self::Replaced { by } => format!("agreement {id} was replaced by its edition {by}"),
            Self::Expired => format!("agreement {id} has expired: it held until {}", agreement.valid_until),
            Self::Ended { verb, by, at } => {
                let verb = match verb {
                    Verb::Rejected => "rejected",
                    Verb::Revoked => "revoked",
                };
                format!("agreement {id} was {verb} by {by} at {at}")
            }
        }
    }
}

impl Agreements {
    pub(crate) fn load(store: &Arc<Store>) -> Result<Self, StoreError> {
        const DAMAGED: StoreError = StoreError::Damaged("an agreement cannot be read");
        let mut held = BTreeMap::new();
        for row in store.documents().all(DocumentKind::Agreement)? {
            let row: Row = serde_json::from_slice(&row).map_err(|_| DAMAGED)?;
            let statements = row.statements.iter().map(|one| Signed::parse(one.as_bytes()));
            let one = Held {
                signed: Signed::parse(row.agreement.as_bytes()).map_err(|_| DAMAGED)?,
                statements: statements.collect::<Result<_, _>>().map_err(|_| DAMAGED)?,
                received: row.received,
            };
            held.insert(one.hash(), Arc::new(one));
        }
        Ok(Self {
            store: Arc::clone(store),
            held: RwLock::new(held),
            writing: Mutex::default(),
            changed: watch::Sender::new(0),
        })
    }

    pub(crate) fn get(&self, hash: &Digest) -> Option<Arc<Held>> {
        self.read().get(hash).cloned()
    }

    /// Every one, the newest first.
    pub(crate) fn all(&self) -> Vec<Arc<Held>> {
        let mut all: Vec<_> = self.read().values().cloned().collect();
        all.sort_by(|one, other| other.received.cmp(&one.received).then(one.hash().cmp(&other.hash())));
        all
    }

    /// Those that every party has signed, the newest first: whose keys and authorities count.
    pub(crate) fn whole(&self) -> Vec<Arc<Held>> {
        let mut all = self.all();
        all.retain(|held| held.missing().is_empty());
        all
    }

    /// Those that hold at a moment.
    pub(crate) fn in_force(&self, now: Timestamp) -> Vec<Arc<Held>> {
        let all = self.all();
        all.into_iter()
            .filter(|held| self.standing(held, now) == Standing::InForce)
            .collect()
    }

    /// Forgets those whose validity was over before a moment: nothing revives them, whatever a peer still has of them.
    pub(crate) fn forget(&self, before: Timestamp) -> Result<u64, StoreError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |agreement: &Signed<Agreement>| agreement.document().valid_until < before;
        let erased = self.store.documents().erase(DocumentKind::Agreement, |row| {
            let row: Option<Row> = serde_json::from_slice(row).ok();
            let signed = row.and_then(|row| Signed::parse(row.agreement.as_bytes()).ok());
            signed.is_some_and(|signed| is_over(&signed))
        })?;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, held| !is_over(&held.signed));
        Ok(erased)
    }

    /// How one stands.
    pub(crate) fn standing(&self, held: &Held, now: Timestamp) -> Standing {
        match held.alone(now) {
            Standing::InForce => {
                let hash = held.hash();
                let by = self.read();
                // what took its place did so for good, whatever became of that
                let took = |other: &&Arc<Held>| {
                    let later = other.agreement();
                    later.replaces == Some(hash)
                        && later.may_replace(held.agreement())
                        && other.missing().is_empty()
                        && later.valid_from <= now
                };
                match by.values().find(took) {
                    Some(later) => Standing::Replaced { by: later.hash() },
                    None => Standing::InForce,
                }
            }
            other => other,
        }
    }

    /// The one that a user means: by its hash, or by its id where only one has that and has not ended.
    pub(crate) fn find(&self, wanted: &str, now: Timestamp) -> Result<Arc<Held>, NodeError> {
        let not_found = |message: String| NodeError::refused(Reason::NotFound, message);
        let all = self.all();
        if wanted.len() >= 8 {
            let mut by_hash = all.iter().filter(|held| held.hash().to_string().starts_with(wanted));
            if let (Some(held), None) = (by_hash.next(), by_hash.next()) {
                return Ok(Arc::clone(held));
            }
        }
        let named: Vec<_> = all.iter().filter(|held| held.agreement().id == wanted).collect();
        let (mut living, mut holding) = (Vec::new(), Vec::new());
        for held in &named {
            match self.standing(held, now) {
                Standing::InForce => holding.push(held),
                Standing::Proposed { .. } | Standing::Future => living.push(held),
                _ => {}
            }
        }
        // what holds comes before what is proposed under the same name
        let living = if holding.is_empty() { living } else { holding };
        match (living.as_slice(), named.as_slice()) {
            ([one], _) => Ok(Arc::clone(one)),
            ([], [one]) => Ok(Arc::clone(one)),
            ([], []) => Err(not_found(format!(
                "no agreement has the id or hash {wanted}; see `overlap agreement list`"
            ))),
            _ => Err(not_found(format!(
                "several agreements have the id {wanted}: name one by its hash; see `overlap agreement list`"
            ))),
        }
    }

    /// Takes in what is known elsewhere. Written and synced before it counts. `own` is the thumbprint of this node's signing key, `from` the
    /// id of the peer that brings it, where one does.
    pub(crate) fn merge(
        &self,
        signed: &Signed<Agreement>,
        statements: &[Signed<Statement>],
        from: Option<&str>,
        own: &Digest,
        now: Timestamp,
    ) -> Result<Merged, NodeError> {
        let denied = |message: String| NodeError::refused(Reason::AgreementDenied, message);
        let agreement = signed.document();
        let is_party = |thumbprint: Digest| agreement.parties.iter().any(|party| party.signing_key == thumbprint);
        if !signed.signers().all(|key| is_party(key.thumbprint())) {
            return Err(denied(format!(
                "agreement {} is signed with a key that none of its parties has",
                agreement.id
            )));
        }
        for statement in statements {
            let says = statement.document();
            let mut signers = statement.signers().map(|key| key.thumbprint()).peekable();
            if says.about != Subject::Agreement
                || says.hash != signed.hash()
                || signers.peek().is_none()
                || !signers.all(is_party)
            {
                return Err(denied(format!(
                    "a statement about agreement {} is of none of its parties",
                    agreement.id
                )));
            }
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.get(&signed.hash());
        let mut news = Vec::new();
        let mut held = match &known {
            Some(known) => Held::clone(known),
            None => {
                if let Some(from) = from {
                    self.check_room(from, own)?;
                }
                news.push("new to this node".to_owned());
                Held {
                    signed: Signed::new(agreement.clone()).map_err(|error| denied(error.to_string()))?,
                    statements: Vec::new(),
                    received: now,
                }
            }
        };
        for party in &agreement.parties {
            if signed.is_signed_by(&party.signing_key) && !held.signed.is_signed_by(&party.signing_key) {
                news.push(format!("signed by {}", party.name));
            }
        }
        held.signed.merge(signed);
        for statement in statements {
            let is_known = held.statements.iter().any(|known| known.hash() == statement.hash());
            if !is_known && held.statements.len() < MOST_STATEMENTS {
                held.statements.push(statement.clone());
                news.push(held.alone(now).explain(&held));
            }
        }
        if let (true, Some(known)) = (news.is_empty(), known) {
            return Ok(Merged { held: known, news });
        }
        self.write(&held)?;
        let held = Arc::new(held);
        self.held
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(held.hash(), Arc::clone(&held));
        self.changed.send_modify(|count| *count += 1);
        Ok(Merged { held, news })
    }

    fn check_room(&self, from: &str, own: &Digest) -> Result<(), NodeError> {
        let is_decided = |held: &Held| {
            held.signed.is_signed_by(own) || held.statements.iter().any(|statement| statement.is_signed_by(own))
        };
        let held = self.read();
        let undecided = held
            .values()
            .filter(|held| held.agreement().party(from).is_some() && !is_decided(held));
        match undecided.count() {
            0..MOST_UNDECIDED => Ok(()),
            _ => Err(NodeError::limit(
                "undecided_agreements",
                format!(
                    "{MOST_UNDECIDED} agreements with this peer wait for a decision: they have to be accepted or rejected first"
                ),
            )),
        }
    }

    fn write(&self, held: &Held) -> Result<(), NodeError> {
        let text = |json: Vec<u8>| String::from_utf8(json).map_err(|_| NodeError::Broken("JSON is not UTF-8"));
        let row = Row {
            agreement: text(held.signed.to_json())?,
            statements: held
                .statements
                .iter()
                .map(|one| text(one.to_json()))
                .collect::<Result<_, _>>()?,
            received: held.received,
        };
        let json = serde_json::to_vec(&row).map_err(|_| NodeError::Broken("an agreement cannot be written"))?;
        Ok(self
            .store
            .documents()
            .put(DocumentKind::Agreement, &held.hash(), &json)?)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<Digest, Arc<Held>>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A statement of this node.
pub(crate) fn state(
    about: Subject,
    hash: Digest,
    verb: Verb,
    reason: String,
    now: Timestamp,
    key: &SigningKey,
) -> Result<Signed<Statement>, NodeError> {
    let statement = Statement {
        about,
        hash,
        verb,
        at: now,
        reason,
    };
    let mut signed = Signed::new(statement).map_err(|error| invalid(&error))?;
    signed.sign(key);
    Ok(signed)
}

pub(crate) fn invalid(error: &impl fmt::Display) -> NodeError {
    NodeError::refused(Reason::InvalidRequest, error.to_string())
}
