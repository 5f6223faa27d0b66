//! What counts tell together: two of them on overlapping sets tell, by their difference, of the items in which the sets differ.

use jiff::{SignedDuration, Timestamp};
use overlap_store::{Store, StoreError, ToldCount};

/// Items of a set that it is told from others by.
pub(crate) const SAMPLE: usize = 1024;
/// How long a count that was told is held against later ones.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Whether a count may be told beside those that were told before, none of which, with it, may tell of fewer than `least` items.
pub(crate) fn may_tell(store: &Store, new: &ToldCount, least: u64) -> Result<bool, StoreError> {
    for told in store.counts().iter()? {
        let told = told?;
        if told.account == new.account && tells_of_few(&told, new, least) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Forgets counts that are too old to matter.
pub(crate) fn forget(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    store.counts().erase(|told| now.duration_since(told.at) > REMEMBERED)
}

fn tells_of_few(told: &ToldCount, new: &ToldCount, least: u64) -> bool {
    let is_same_set = told.set == new.set;
    let is_same = is_same_set && told.roles == new.roles;
    let roles_meet = told.roles.iter().any(|role| new.roles.contains(role));
    if is_same || !roles_meet || !(is_same_set || overlap(told, new)) {
        return false;
    }
    // of the items in which they differ, as many match, or as many do not
    let matching = told.count.abs_diff(new.count);
    let other = (i128::from(told.size) - i128::from(told.count)) - (i128::from(new.size) - i128::from(new.count));
    matching < least || !is_same_set && other.unsigned_abs() < u128::from(least)
}

/// Whether two sets have an item in common, as far as their samples tell: of two large ones up to the least of both samples' ends.
fn overlap(one: &ToldCount, other: &ToldCount) -> bool {
    let end = |set: &ToldCount| match set.size > set.sample.len() as u64 {
        true => set.sample.last().copied().unwrap_or(u64::MAX),
        false => u64::MAX,
    };
    let end = end(one).min(end(other));
    let within = one.sample.iter().take_while(|tag| **tag <= end);
    within.into_iter().any(|tag| other.sample.binary_search(tag).is_ok())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use overlap_audit::Digest;
    use overlap_records::Role;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    /// What is told of a set of items, of which the even ones match.
    fn told(items: &BTreeSet<u64>, roles: &[Role], sample: usize) -> ToldCount {
        // as tags do, these say nothing of the order of the items
        let mut tags: Vec<u64> = items
            .iter()
            .map(|item| item.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .collect();
        tags.sort_unstable();
        let set = crate::identity::sha256(format!("{items:?}").as_bytes());
        tags.truncate(sample);
        ToldCount {
            transaction: Uuid::nil(),
            at: Timestamp::UNIX_EPOCH,
            account: Digest([0; 32]),
            set,
            size: items.len() as u64,
            sample: tags,
            roles: roles.to_vec(),
            count: items.iter().filter(|item| **item % 2 == 0).count() as u64,
        }
    }

    #[test]
    fn one_item_more_or_less_is_not_told_apart() {
        let all: BTreeSet<u64> = (0..100).collect();
        let whole = told(&all, &[Role::Suspect], SAMPLE);
        for item in [7, 8] {
            let mut less = all.clone();
            less.remove(&item);
            assert!(tells_of_few(&whole, &told(&less, &[Role::Suspect], SAMPLE), 5));
        }
        // the same again is no news, a set apart has nothing to do with it, and half of it is enough
        assert!(!tells_of_few(&whole, &whole, 5));
        assert!(!tells_of_few(
            &whole,
            &told(&(200..300).collect(), &[Role::Suspect], SAMPLE),
            5
        ));
        assert!(!tells_of_few(
            &whole,
            &told(&(0..50).collect(), &[Role::Suspect], SAMPLE),
            5
        ));
        // nearly all of the difference matches, or nearly none of it
        let evens: BTreeSet<u64> = all
            .iter()
            .copied()
            .chain((100..160).filter(|item| item % 2 == 0))
            .collect();
        assert!(tells_of_few(&whole, &told(&evens, &[Role::Suspect], SAMPLE), 5));
        let odds: BTreeSet<u64> = all
            .iter()
            .copied()
            .chain((100..160).filter(|item| item % 2 == 1))
            .collect();
        assert!(tells_of_few(&whole, &told(&odds, &[Role::Suspect], SAMPLE), 5));
        // one set, by roles: all less suspects are the victims
        let both = ToldCount {
            count: whole.count + 2,
            ..told(&all, &[Role::Suspect, Role::Victim], SAMPLE)
        };
        assert!(tells_of_few(&whole, &both, 5));
        assert!(!tells_of_few(&whole, &told(&all, &[Role::Victim], SAMPLE), 5));
    }

    proptest! {
        #[test]
        fn a_set_within_another_never_tells_of_fewer_than_allowed(
            whole in proptest::collection::btree_set(0u64..500, 60..200),
            parts in proptest::collection::vec(any::<bool>(), 500),
            least in 2u64..20,
        ) {
            let part: BTreeSet<u64> = whole.iter().copied().filter(|item| parts[*item as usize]).collect();
            prop_assume!(!part.is_empty() && part != whole);
            let (whole_told, part_told) = (told(&whole, &[Role::Other], SAMPLE), told(&part, &[Role::Other], SAMPLE));
            let rest: BTreeSet<u64> = whole.difference(&part).copied().collect();
            let matching = rest.iter().filter(|item| **item % 2 == 0).count() as u64;
            let other = rest.len() as u64 - matching;
            prop_assert_eq!(tells_of_few(&whole_told, &part_told, least), matching < least || other < least);
            // of large sets a sample is enough
            prop_assert!(overlap(&told(&whole, &[], 50), &told(&whole, &[], 50)));
        }
    }
}
