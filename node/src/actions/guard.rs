//! What checks are held against: how many there may be in a minute, and whether they try a numbering range.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
    time::Instant,
};

use overlap_records::Identifier;
use overlap_store::{Numbered, numbered};

use crate::{
    config::{self, Config},
    error::NodeError,
};

/// Of one action, at one node.
#[derive(Default)]
pub(super) struct Guard {
    buckets: Mutex<HashMap<String, Bucket>>,
    numbers: Mutex<BTreeSet<Numbered>>,
}

/// Checks that may still be made: as many as a minute has, filled up as time goes by.
struct Bucket {
    left: f64,
    at: Instant,
}

/// Numbers that are remembered.
const MOST_NUMBERS: usize = 1 << 20;

impl Guard {
    /// Counts a check of an agency.
    pub(super) fn count(&self, agency: &str, per_minute: u32) -> Result<(), NodeError> {
        let most = f64::from(per_minute);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let bucket = buckets
            .entry(agency.to_owned())
            .or_insert(Bucket { left: most, at: now });
        let gained = now.duration_since(bucket.at).as_secs_f64() * most / 60.0;
        (bucket.left, bucket.at) = ((bucket.left + gained).min(most), now);
        if bucket.left < 1.0 {
            return Err(NodeError::limit(
                "checks_per_minute",
                format!("the plan allows {per_minute} checks a minute: wait a moment"),
            ));
        }
        bucket.left -= 1.0;
        Ok(())
    }

    /// Forgets all numbers.
    pub(super) fn clear(&self) {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Refuses an identifier that makes too many of one range, as in the sets of matches.
    pub(super) fn look(&self, config: &Config, identifiers: &[Identifier]) -> Result<(), NodeError> {
        self.look_with(&config.guard, identifiers)
    }

    fn look_with(&self, guard: &config::Guard, identifiers: &[Identifier]) -> Result<(), NodeError> {
        let mut known = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        for identifier in identifiers {
            let Some(number) = numbered(identifier) else { continue };
            let (range, value) = number.split_at(8);
            let value = u64::from_be_bytes(value.try_into().unwrap_or_default());
            let at = |value: u64| {
                let mut at = number;
                at[..8].copy_from_slice(range);
                at[8..].copy_from_slice(&value.to_be_bytes());
                at
            };
            let window = guard.enumeration_window.saturating_sub(1);
            let near = known.range(at(value.saturating_sub(window))..=at(value.saturating_add(window)));
            let most = usize::try_from(guard.enumeration_most).unwrap_or(usize::MAX);
            if !known.contains(&number) && near.take(most).count() >= most {
                return Err(NodeError::limit(
                    "enumeration_most",
                    format!(
                        "the checks of this action look like an enumeration: {} identifiers of kind {} are within {} numbers of this one; if these were met one by one, the operator of this node may raise `enumeration_most` in its configuration",
                        guard.enumeration_most,
                        identifier.kind(),
                        guard.enumeration_window
                    ),
                ));
            }
            if known.len() >= MOST_NUMBERS {
                known.clear();
            }
            known.insert(number);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use overlap_records::Kind;

    use super::*;

    #[test]
    fn no_more_checks_pass_than_a_minute_has() {
        let guard = Guard::default();
        let passed = (0..20).filter(|_| guard.count("kmar", 5).is_ok()).count();
        assert_eq!(passed, 5);
        // another agency has its own
        assert!(guard.count("politie", 5).is_ok());
        let error = guard.count("kmar", 5).unwrap_err();
        assert_eq!(error.limit_name(), Some("checks_per_minute"));
    }

    #[test]
    fn numbers_that_stand_together_are_refused_and_others_pass() {
        let (guard, config) = (Guard::default(), crate::config::Guard::default());
        let phone = |number: u32| Identifier::from_canonical(Kind::Phone, &format!("+3161{number:07}")).unwrap();
        let most = u32::try_from(config.enumeration_most).unwrap();
        for number in 0..most {
            guard.look_with(&config, &[phone(number)]).unwrap();
        }
        let error = guard.look_with(&config, &[phone(most)]).unwrap_err();
        assert_eq!(error.limit_name(), Some("enumeration_most"));
        // what was checked before may be checked again, and far away is another range
        guard.look_with(&config, &[phone(3)]).unwrap();
        guard.look_with(&config, &[phone(9_000_000)]).unwrap();
        // names have no numbers
        let person = Identifier::from_canonical(Kind::Person, "jan|jansen|1985-02-23");
        guard
            .look_with(&config, &person.into_iter().collect::<Vec<_>>())
            .unwrap();
    }
}
