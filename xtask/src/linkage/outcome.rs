//! What came out of a match, held against the true links.

use std::collections::HashSet;
use std::time::Instant;

use anyhow::Result;
use overlap_records::{Profile, Sizes};
use serde_json::{Value, json};

use super::pairs::{self, Pairs};
use super::set::Set;

/// F1 of the peer (CLK Bloom filters, at its own best threshold), and of match keys tuned to each set: raw.
const OTHERS: &[(&str, f64, f64)] = &[
    ("FEBRL4", 0.9945, 0.9968),
    ("febrl4p", 0.9940, 0.9960),
    ("rldata", 0.9567, 0.9688),
    ("h50kp", 0.7227, 0.7583),
    ("foreigners", 0.345, 0.835),
    ("essdev", 0.9558, 0.970),
];

/// How well one set was matched.
pub(crate) struct Outcome {
    pub(crate) set: String,
    pub(crate) records: (usize, usize),
    pub(crate) links: usize,
    pub(crate) precision: f64,
    pub(crate) recall: f64,
    pub(crate) f1_raw: f64,
    pub(crate) f1_one_to_one: f64,
    pub(crate) keys_per_record: f64,
    pub(crate) seconds: f64,
}

impl Outcome {
    /// Compares the two files and takes every pair at or over the profile's threshold.
    pub(crate) fn of(set: &Set, profile: &Profile, plain: bool) -> Result<(Self, Pairs)> {
        let start = Instant::now();
        let pairs = pairs::compare(set, profile, plain)?;
        let candidates = candidates(set, profile, &pairs);
        let seconds = start.elapsed().as_secs_f64();
        let (precision, recall, f1_raw) = measure(set, candidates.iter().map(|(_, pair)| *pair));
        let (_, _, f1_one_to_one) = measure(set, one_to_one(&candidates).into_iter());
        let outcome = Self {
            set: set.name.clone(),
            records: (set.a.len(), set.b.len()),
            links: set.links.len(),
            precision,
            recall,
            f1_raw,
            f1_one_to_one,
            keys_per_record: pairs.keys_per_record,
            seconds,
        };
        Ok((outcome, pairs))
    }

    /// F1 of the peer and of keys tuned to this set, where they were measured.
    pub(crate) fn others(&self) -> Option<(f64, f64)> {
        let found = OTHERS.iter().find(|(set, ..)| *set == self.set);
        found.map(|(_, peer, reached)| (*peer, *reached))
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "set": self.set,
            "records": [self.records.0, self.records.1],
            "links": self.links,
            "precision": self.precision,
            "recall": self.recall,
            "f1_raw": self.f1_raw,
            "f1_one_to_one": self.f1_one_to_one,
            "keys_per_record": self.keys_per_record,
            "seconds": self.seconds,
            "peer_f1_raw": self.others().map(|(peer, _)| peer),
            "reached_f1_raw": self.others().map(|(_, reached)| reached),
        })
    }
}

/// Pairs at or over the threshold with their scores, the surest first.
fn candidates(set: &Set, profile: &Profile, pairs: &Pairs) -> Vec<(f64, (u32, u32))> {
    let sizes = Sizes {
        own: set.a.len() as u64,
        peer: pairs.peer_items,
    };
    let score = |(pair, agreed): (&(u32, u32), &Vec<_>)| {
        let person = set.a.get(pair.0 as usize)?.as_ref()?;
        Some((profile.score(person, agreed, sizes), *pair))
    };
    let mut candidates: Vec<_> = pairs.agreed.iter().filter_map(score).collect();
    candidates.retain(|(score, _)| *score >= profile.threshold());
    candidates.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    candidates
}

/// Each record once, the surest pair first.
fn one_to_one(candidates: &[(f64, (u32, u32))]) -> Vec<(u32, u32)> {
    let (mut own, mut peer) = (HashSet::new(), HashSet::new());
    let pairs = candidates.iter().map(|(_, pair)| *pair);
    pairs
        .filter(|(a, b)| {
            let is_free = !own.contains(a) && !peer.contains(b);
            is_free && own.insert(*a) && peer.insert(*b)
        })
        .collect()
}

/// Precision, recall, F1.
fn measure(set: &Set, pairs: impl Iterator<Item = (u32, u32)>) -> (f64, f64, f64) {
    let (mut found, mut right) = (0_usize, 0_usize);
    for pair in pairs {
        found += 1;
        right += usize::from(set.links.contains(&pair));
    }
    let share = |of: usize| right as f64 / of.max(1) as f64;
    let f1 = 2.0 * right as f64 / (found + set.links.len()).max(1) as f64;
    (share(found), share(set.links.len()), f1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        let set = Set {
            name: "test".to_owned(),
            a: Vec::new(),
            b: Vec::new(),
            links: [(0, 0), (1, 1), (2, 2), (3, 3)].into(),
        };
        let candidates = [(9.0, (0, 0)), (8.0, (1, 1)), (7.0, (1, 2)), (6.0, (4, 0))];
        assert_eq!(measure(&set, candidates.iter().map(|(_, pair)| *pair)), (0.5, 0.5, 0.5));
        assert_eq!(one_to_one(&candidates), [(0, 0), (1, 1)]);
        assert_eq!(measure(&set, std::iter::empty()), (0.0, 0.0, 0.0));
    }
}
