//! How sure it is that two records are of one person, from the match keys that they agree on.
//!
//! A key that agrees says that all its features do; the union over the keys says in which fields the records agree, and how well. A
//! key of the asker's own record that did not agree, though all its features but those of one field are known to, says that this
//! field differs (or that the other record lacks it). Weights of evidence are added up per field, after Fellegi and Sunter.

use super::Key;
use crate::kind::Kind;
use crate::person::{Feature, Field, Person};

/// One match key that a pair of records agrees on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// The rule: its place in [`Profile::keys`](super::Profile::keys).
    pub key: u16,
    /// How many of the asker's own records hold that very item.
    pub own: u32,
    /// How many of the peer's records hold it; counted up to 4.
    pub peer: u32,
}

/// How many records are compared with how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// The asker's own records.
    pub own: u64,
    /// The peer's items in the comparison.
    pub peer: u64,
}

/// Weights in bits.
#[derive(Default)]
pub(super) struct Scoring {
    pub(super) threshold: f64,
    /// Where the score starts, before the sizes are taken off.
    pub(super) base: f64,
    /// For each doubling of the records that hold the rarest agreed item.
    pub(super) shared: f64,
    /// For two of house number, street, and postcode or place together: they go together, so that their weights overlap.
    pub(super) address: f64,
    pub(super) agree: Vec<(Feature, f64)>,
    pub(super) differ: Vec<(Field, f64)>,
    /// What of a difference is taken back where the address agrees, which chance does not explain.
    pub(super) excuse: Vec<(Field, f64)>,
}

/// What is known of a pair.
#[derive(Default)]
struct Evidence {
    agreed: Vec<Feature>,
    differ: Vec<Field>,
}

impl Scoring {
    pub(super) fn score(&self, keys: &[Key], person: &Person<'_>, agreed: &[Agreed], sizes: Sizes) -> f64 {
        let keys: Vec<(u16, &Key)> = (0..)
            .zip(keys)
            .filter(|(_, key)| key.kind == Kind::Person && key.can_be_made(person))
            .collect();
        let hits = || {
            agreed
                .iter()
                .filter(|hit| keys.iter().any(|(index, _)| *index == hit.key))
        };
        let Some(rarest) = hits().map(|hit| hit.own.max(hit.peer).max(1)).min() else {
            return f64::NEG_INFINITY;
        };
        let is_hit = |index: u16| agreed.iter().any(|hit| hit.key == index);
        let evidence = Evidence::new(&keys, is_hit);
        self.base - prior(sizes, keys.len()) + self.shared * f64::from(rarest).log2() + self.weigh(&evidence)
    }

    fn weigh(&self, evidence: &Evidence) -> f64 {
        let weight = |feature: &Feature| find(&self.agree, feature).max(0.0);
        let mut best: Vec<(Field, f64)> = Vec::new();
        for feature in &evidence.agreed {
            for (field, part) in feature.parts() {
                match best.iter_mut().find(|(known, _)| known == field) {
                    Some((_, best)) => *best = best.max(weight(part)),
                    None => best.push((*field, weight(part))),
                }
            }
        }
        let mut sum: f64 = best.iter().map(|(_, weight)| weight).sum();
        sum += evidence
            .differ
            .iter()
            .map(|field| find(&self.differ, field))
            .sum::<f64>();
        if evidence.has_address() {
            sum += self.address;
            sum += evidence
                .differ
                .iter()
                .map(|field| find(&self.excuse, field))
                .sum::<f64>();
        }
        sum
    }

    /// All that it says, for the profile's hash.
    pub(super) fn describe(&self, add: &mut impl FnMut(&str)) {
        for number in [self.threshold, self.base, self.shared, self.address] {
            add(&number.to_string());
        }
        for (feature, weight) in &self.agree {
            add(feature.as_str());
            add(&weight.to_string());
        }
        for fields in [&self.differ, &self.excuse] {
            add("");
            for (field, weight) in fields {
                add(&format!("{field:?}"));
                add(&weight.to_string());
            }
        }
        add("");
    }
}

impl Evidence {
    fn new(keys: &[(u16, &Key)], is_hit: impl Fn(u16) -> bool) -> Self {
        let mut evidence = Self::default();
        for (_, key) in keys.iter().filter(|(index, _)| is_hit(*index)) {
            key.parts().for_each(|(_, feature)| evidence.add(feature));
        }
        evidence.complete_birth_date();
        for (_, key) in keys.iter().filter(|(index, _)| !is_hit(*index)) {
            for (field, _) in key.parts() {
                let others = key.parts().filter(|(other, _)| *other != field);
                let is_telling = others.map(|(_, feature)| feature).all(|feature| evidence.has(feature));
                if is_telling && !evidence.has_any(field) && !evidence.differ.contains(&field) {
                    evidence.differ.push(field);
                }
            }
        }
        evidence
    }

    fn add(&mut self, feature: Feature) {
        for feature in [&[feature], feature.implied()].concat() {
            if !self.has(feature) {
                self.agreed.push(feature);
            }
        }
    }

    /// Year, month and day need not have agreed in one key.
    fn complete_birth_date(&mut self) {
        let (year, month, day) = (
            self.has(Feature::BornYear),
            self.has(Feature::BornDay) || self.has(Feature::BornMonth),
            self.has(Feature::BornDay) || self.has(Feature::BornYearDay),
        );
        if year && month && day {
            self.add(Feature::Born);
        }
    }

    fn has(&self, feature: Feature) -> bool {
        self.agreed.contains(&feature)
    }

    fn has_any(&self, field: Field) -> bool {
        let mut parts = self.agreed.iter().flat_map(|feature| feature.parts());
        parts.any(|(known, _)| *known == field)
    }

    fn has_address(&self) -> bool {
        let town = self.has_any(Field::Postcode) || self.has_any(Field::Place);
        let parts = [self.has_any(Field::House), self.has_any(Field::Street), town];
        parts.iter().filter(|part| **part).count() >= 2
    }
}

/// How unlikely it is that two records picked at random are of one person, in bits. The number of the peer's records is guessed from
/// its items, at as many for each as the asker's own record has.
fn prior(sizes: Sizes, keys: usize) -> f64 {
    let peer = sizes.peer / (keys as u64).max(1);
    (sizes.own.max(peer).max(1) as f64).log2()
}

fn find<T: PartialEq>(weights: &[(T, f64)], what: &T) -> f64 {
    weights
        .iter()
        .find(|(known, _)| known == what)
        .map_or(0.0, |(_, weight)| *weight)
}
