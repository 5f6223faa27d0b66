//! Checks that were answered: a claim is of one of them, or of nothing.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use overlap_proto::fault::Reason;
use overlap_records::Kind;
use uuid::Uuid;

use super::recent::MOST_OUTPUTS;
use crate::error::NodeError;

/// The newest checks of each partner, by name: none pushes out another's.
#[derive(Default)]
pub(super) struct Answered(Mutex<HashMap<String, Checks>>);

#[derive(Default)]
struct Checks {
    checks: HashMap<Uuid, Check>,
    order: VecDeque<Uuid>,
    items: usize,
}

struct Check {
    kinds: Vec<Kind>,
    items: usize,
    /// Claims that it may still have.
    left: usize,
}

/// How often each item may be claimed: a link may break before the answer.
const TIMES: usize = 4;

impl Answered {
    /// Notes a check of so many items. As many are remembered as the asker remembers: it claims of records that come later too.
    pub(super) fn note(&self, partner: &str, check: Uuid, kinds: &[Kind], items: usize) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(partner.to_owned()).or_default();
        let one = Check {
            kinds: kinds.to_vec(),
            items,
            left: items * TIMES,
        };
        known.items += items;
        match known.checks.insert(check, one) {
            None => known.order.push_back(check),
            Some(before) => known.items -= before.items,
        }
        while known.items > MOST_OUTPUTS {
            let Some(oldest) = known.order.pop_front() else { break };
            known.items -= known.checks.remove(&oldest).map_or(0, |gone| gone.items);
        }
    }

    /// Takes one claim of a check, about a kind that it was of.
    pub(super) fn take(&self, partner: &str, check: Uuid, kind: Kind) -> Result<(), NodeError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get_mut(partner).and_then(|known| known.checks.get_mut(&check));
        let known = known.filter(|known| known.kinds.contains(&kind));
        let known = known.ok_or_else(|| {
            let message = "no check of this asker that was answered here is claimed, or none of this kind";
            NodeError::refused(Reason::NotFound, message)
        })?;
        known.left = known
            .left
            .checked_sub(1)
            .ok_or_else(|| NodeError::limit("claims", "of this check everything was claimed that there can be"))?;
        Ok(())
    }

    /// Gives a claim back that came to nothing: what failed here may be claimed again.
    pub(super) fn give_back(&self, partner: &str, check: Uuid) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get_mut(partner).and_then(|known| known.checks.get_mut(&check)) {
            known.left = (known.left + 1).min(known.items * TIMES);
        }
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_of_a_check_that_was_answered_and_no_more_often_than_can_be() {
        let (answered, check) = (Answered::default(), Uuid::now_v7());
        answered.note("kmar", check, &[Kind::Phone], 1);
        assert!(answered.take("politie", check, Kind::Phone).is_err());
        assert!(answered.take("kmar", Uuid::now_v7(), Kind::Phone).is_err());
        assert!(answered.take("kmar", check, Kind::Person).is_err());
        for _ in 0..TIMES {
            answered.take("kmar", check, Kind::Phone).unwrap();
        }
        let error = answered.take("kmar", check, Kind::Phone).unwrap_err();
        assert_eq!(error.limit_name(), Some("claims"));
        for _ in 0..2 * TIMES {
            answered.give_back("kmar", check);
        }
        for _ in 0..TIMES {
            answered.take("kmar", check, Kind::Phone).unwrap();
        }
        assert!(answered.take("kmar", check, Kind::Phone).is_err());
    }
}
