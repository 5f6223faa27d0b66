//! A check as a user asked it: the same for all partners.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use overlap_proto::{
    action::{Asking, CheckOpen, CheckWish},
    fault::Reason,
};
use overlap_psi::{Item, Stored, voprf};
use overlap_records::{Identifier, Kind, Profile};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{live::Live, remembered::Row};
use crate::{error::NodeError, node::Node, policy::User};

/// One check, as it was asked: the same for all partners.
pub(super) struct Asked {
    /// Tells it from others: its alerts have ids of their own.
    pub(super) id: Uuid,
    pub(super) grounds: Grounds,
    pub(super) wanted: Vec<Wanted>,
    /// Kinds of what is wanted: ascending, each once.
    pub(super) kinds: Vec<Kind>,
    /// Items of all that is wanted, each once: a holder would see what is equal.
    pub(super) items: Vec<Stored>,
    /// Partners that had answered it when this node was started, by id.
    answered_before: BTreeSet<String>,
    /// Partners that have answered it, by id: the key that they answered under, and the transaction.
    answered: Mutex<BTreeMap<String, ([u8; 16], Uuid)>>,
    /// Partners at which it counts, by name: one that it is asked at again does not count twice.
    counted: Mutex<BTreeSet<String>>,
    /// Partners, by name, at which it counts that it was not answered.
    missed: Mutex<BTreeSet<String>>,
    /// Partners that are asked now, by id: none is asked twice at once.
    under_way: Mutex<BTreeSet<String>>,
    on_disk: Mutex<OnDisk>,
}

/// Who makes a check, and why.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Grounds {
    pub(super) person: String,
    pub(super) role: String,
    pub(super) case_reference: String,
    pub(super) reason: String,
    pub(super) on_behalf_of: Option<String>,
}

/// How a check is kept.
struct OnDisk {
    /// Its number there, once it has one.
    number: Option<u64>,
    has_changed: bool,
}

/// A partner is asked.
pub(super) struct UnderWay {
    asked: Arc<Asked>,
    partner: String,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut under_way = self.asked.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.remove(&self.partner);
    }
}

/// An identifier, with the match keys that it is looked up by.
pub(super) struct Wanted {
    pub(super) identifier: Identifier,
    /// Each with the place of its item.
    pub(super) keys: Vec<(u16, usize)>,
}

impl Asked {
    /// Prepares a check. Hashes to the group: on the CPU pool.
    pub(super) fn new(
        node: &Node,
        live: &Live,
        (open, wish): (&CheckOpen, CheckWish),
        user: &User,
        role: &str,
    ) -> Result<Self, NodeError> {
        let (wanted, items) = looked_up(&node.config.profile, wish.identifiers)?;
        if items.len() > voprf::MAX_CHECK {
            let message = format!("a check has {} items at most", voprf::MAX_CHECK);
            return Err(NodeError::refused(Reason::InvalidRequest, message));
        }
        let kinds = kinds(&wanted);
        if let Some(kind) = kinds.iter().find(|kind| !live.kinds.contains(kind)) {
            let about: Vec<&str> = live.kinds.iter().map(|kind| kind.as_str()).collect();
            let message = format!("the action is not about kind {kind}, but about {}", about.join(", "));
            return Err(NodeError::refused(Reason::AgreementDenied, message));
        }
        Ok(Self {
            id: Uuid::new_v4(),
            grounds: Grounds {
                person: user.id.clone(),
                role: role.to_owned(),
                case_reference: wish.case_reference.unwrap_or_else(|| open.case_reference.clone()),
                reason: wish.reason.unwrap_or_else(|| open.reason.clone()),
                on_behalf_of: open.on_behalf_of.clone(),
            },
            wanted,
            kinds,
            items,
            answered_before: BTreeSet::new(),
            answered: Mutex::default(),
            counted: Mutex::default(),
            missed: Mutex::default(),
            under_way: Mutex::default(),
            on_disk: Mutex::new(OnDisk {
                number: None,
                has_changed: true,
            }),
        })
    }

    /// One that was made before this node was started; none, if nothing of it is looked up any more.
    pub(super) fn restored(profile: &Profile, row: Row) -> Option<Self> {
        let identifiers = row.identifiers.into_iter();
        let identifiers = identifiers.map(|(kind, canonical)| Identifier::from_canonical(kind, &canonical).ok());
        let (wanted, items) = looked_up(profile, identifiers.collect::<Option<_>>()?).ok()?;
        Some(Self {
            id: row.id,
            grounds: row.grounds,
            kinds: kinds(&wanted),
            wanted,
            items,
            answered: Mutex::default(),
            missed: Mutex::new(row.counted.clone()),
            counted: Mutex::new(row.counted),
            answered_before: row.answered,
            under_way: Mutex::default(),
            on_disk: Mutex::new(OnDisk {
                number: Some(row.number),
                has_changed: false,
            }),
        })
    }

    /// Says that what is on disk of it is not what it is.
    pub(super) fn changed(&self) {
        self.on_disk.lock().unwrap_or_else(PoisonError::into_inner).has_changed = true;
    }

    /// The number under which it is to be put on disk, drawn from `next` if it has none; none: it is there as it is.
    pub(super) fn to_keep(&self, next: &mut u64) -> Option<u64> {
        let mut on_disk = self.on_disk.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::take(&mut on_disk.has_changed) {
            return None;
        }
        Some(*on_disk.number.get_or_insert_with(|| {
            *next += 1;
            *next - 1
        }))
    }

    pub(super) fn asking(&self, transaction: Uuid) -> Asking {
        let Grounds {
            person,
            role,
            case_reference,
            reason,
            on_behalf_of,
        } = self.grounds.clone();
        Asking {
            transaction,
            person,
            role,
            case_reference,
            reason,
            on_behalf_of,
        }
    }

    /// Notes that a partner has answered it.
    pub(super) fn note(&self, partner: &str, epoch: [u8; 16], transaction: Uuid) {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if answered.insert(partner.to_owned(), (epoch, transaction)).is_none() {
            self.changed();
        }
    }

    /// Whether it counts that a partner is asked: the first time.
    pub(super) fn counts_at(&self, partner: &str) -> bool {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counted.insert(partner.to_owned());
        if counts {
            self.changed();
        }
        counts
    }

    /// Whether it counts that a partner did not answer: the first time.
    pub(super) fn misses_at(&self, partner: &str) -> bool {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        missed.insert(partner.to_owned())
    }

    /// Partners at which it has counted, by name.
    pub(super) fn counted(&self) -> BTreeSet<String> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Partners that have answered it, by id.
    pub(super) fn answered(&self) -> BTreeSet<String> {
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.keys().chain(&self.answered_before).cloned().collect()
    }

    /// Whether a partner has answered it, under whatever key.
    pub(super) fn is_again_at(&self, partner: &str) -> bool {
        self.answer_of(partner).is_some() || self.answered_before.contains(partner)
    }

    /// Begins to ask a partner, unless it is asked now.
    pub(super) fn begin_at(self: &Arc<Self>, partner: &str) -> Option<UnderWay> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.insert(partner.to_owned()).then(|| UnderWay {
            asked: Arc::clone(self),
            partner: partner.to_owned(),
        })
    }

    /// Whether a partner has answered under a key.
    pub(super) fn is_answered_at(&self, partner: &str, epoch: [u8; 16]) -> bool {
        self.answer_of(partner).is_some_and(|(answered, _)| answered == epoch)
    }

    /// Under which key a partner has answered it last, and in which transaction.
    pub(super) fn answer_of(&self, partner: &str) -> Option<([u8; 16], Uuid)> {
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.get(partner).copied()
    }
}

/// Identifiers with their match keys, and the items of these: each once, as persons share keys.
fn looked_up(profile: &Profile, identifiers: Vec<Identifier>) -> Result<(Vec<Wanted>, Vec<Stored>), NodeError> {
    let (mut wanted, mut items, mut places) = (Vec::new(), Vec::new(), HashMap::new());
    for identifier in identifiers {
        let mut keys = Vec::new();
        for key in identifier.match_keys(profile) {
            let Some(rule) = profile.keys().get(usize::from(key.key())) else {
                continue;
            };
            let place = *places.entry((key.key(), key.as_bytes().to_vec())).or_insert_with(|| {
                items.push(Item::derive(profile.name(), rule.name(), key.as_bytes()));
                items.len() - 1
            });
            keys.push((key.key(), place));
        }
        if keys.is_empty() {
            let message = format!(
                "an identifier of kind {} has too little in it to be looked up: see `overlap profile explain`",
                identifier.kind()
            );
            return Err(NodeError::refused(Reason::InvalidRequest, message));
        }
        wanted.push(Wanted { identifier, keys });
    }
    Ok((wanted, Stored::of(&items)))
}

/// Ascending, each once.
fn kinds(wanted: &[Wanted]) -> Vec<Kind> {
    let kinds: BTreeSet<Kind> = wanted.iter().map(|one| one.identifier.kind()).collect();
    kinds.into_iter().collect()
}
