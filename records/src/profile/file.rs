//! A profile's TOML, twice typed: as written, and as rules that hold.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::error::ProfileError;
use super::form::{FORMS, Form, word_lists, word_pairs};
use super::score::Scoring;
use super::{Key, Rules};
use crate::kind::Kind;
use crate::person::{FIELDS, Feature, Field};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProfile {
    profile: String,
    common: u32,
    kinds: BTreeMap<String, String>,
    person: Option<RawPerson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPerson {
    threshold: f64,
    base: f64,
    shared: f64,
    address: f64,
    agree: BTreeMap<String, f64>,
    differ: BTreeMap<String, f64>,
    #[serde(default)]
    excuse: BTreeMap<String, f64>,
    /// Features joined by `+`.
    keys: Vec<String>,
    /// The one of `keys` that mode `count` compares.
    count: String,
}

pub(super) fn parse(toml: &str) -> Result<Rules, ProfileError> {
    let raw: RawProfile = crate::from_toml(toml).map_err(|message| ProfileError::Toml { message })?;
    if raw.profile.is_empty() || raw.profile.len() > 64 || !raw.profile.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(rule(
            "profile",
            "is no name: give 1 to 64 ASCII characters without blanks",
        ));
    }
    if raw.common == 0 {
        return Err(rule(
            "common",
            "is 0, which would leave nothing to compare: give 1 or more",
        ));
    }
    let mut forms = Vec::new();
    for (kind, form) in &raw.kinds {
        forms.push(form_of(kind, form)?);
    }
    forms.sort_unstable_by_key(|form| form.kind);
    let kinds: Vec<Kind> = forms.iter().map(|form| form.kind).collect();
    let mut keys: Vec<Key> = kinds
        .iter()
        .filter(|kind| **kind != Kind::Person)
        .map(numbered)
        .collect();
    let scoring = match (&raw.person, kinds.contains(&Kind::Person)) {
        (Some(person), true) => {
            keys.extend(person_keys(person)?);
            scoring(person)?
        }
        (None, false) => Scoring::default(),
        (Some(_), false) => return Err(rule("person", "has a section but no form: add it to [kinds]")),
        (None, true) => return Err(rule("person", "has a form but no keys: add the section [person]")),
    };
    if keys.len() > usize::from(u16::MAX) {
        return Err(rule("person.keys", "has too many entries"));
    }
    let mut rules = Rules {
        name: raw.profile,
        hash: [0; 32],
        kinds,
        forms: forms.iter().map(|form| form.name).collect(),
        keys,
        common: raw.common,
        scoring,
    };
    rules.hash = hash(&rules, &forms);
    Ok(rules)
}

fn form_of(kind: &str, form: &str) -> Result<&'static Form, ProfileError> {
    let known_kind: Kind = kind
        .parse()
        .map_err(|_| unknown("kind", kind, FORMS.iter().map(|form| form.kind.as_str())))?;
    let of_kind = || FORMS.iter().filter(move |form| form.kind == known_kind);
    of_kind()
        .find(|known| known.name == form)
        .ok_or_else(|| unknown("form", form, of_kind().map(|form| form.name)))
}

fn numbered(kind: &Kind) -> Key {
    Key {
        name: kind.to_string(),
        kind: *kind,
        counts: true,
        description: format!("{kind}: the canonical form"),
        features: Vec::new(),
    }
}

fn person_keys(raw: &RawPerson) -> Result<Vec<Key>, ProfileError> {
    let mut keys: Vec<Key> = Vec::new();
    let mut seen = BTreeSet::new();
    for key in &raw.keys {
        let features = key.split('+').map(feature).collect::<Result<Vec<_>, _>>()?;
        if !seen.insert(features.iter().copied().collect::<BTreeSet<_>>()) {
            return Err(rule(key, "stands in `keys` twice: remove one"));
        }
        keys.push(Key {
            name: format!("person:{key}"),
            kind: Kind::Person,
            counts: *key == raw.count,
            description: features
                .iter()
                .map(|feature| feature.rule())
                .collect::<Vec<_>>()
                .join("; "),
            features,
        });
    }
    if !keys.iter().any(|key| key.counts) {
        return Err(rule(&raw.count, "is to be counted and is none of `keys`: add it there"));
    }
    Ok(keys)
}

fn scoring(raw: &RawPerson) -> Result<Scoring, ProfileError> {
    let weights = raw.agree.iter().chain(&raw.differ).chain(&raw.excuse);
    let single = [
        ("threshold", raw.threshold),
        ("base", raw.base),
        ("shared", raw.shared),
        ("address", raw.address),
    ];
    let named = weights.map(|(word, weight)| (word.as_str(), *weight)).chain(single);
    for (word, weight) in named {
        if !weight.is_finite() || weight.abs() > 100.0 {
            return Err(rule(
                word,
                "is out of range: weights and the threshold lie between -100 and 100",
            ));
        }
    }
    let mut scoring = Scoring {
        threshold: raw.threshold,
        base: raw.base,
        shared: raw.shared,
        address: raw.address,
        ..Scoring::default()
    };
    for (word, weight) in &raw.agree {
        scoring.agree.push((feature(word)?, *weight));
    }
    for (word, weight) in &raw.differ {
        scoring.differ.push((field(word)?, *weight));
    }
    for (word, weight) in &raw.excuse {
        scoring.excuse.push((field(word)?, *weight));
    }
    Ok(scoring)
}

fn feature(word: &str) -> Result<Feature, ProfileError> {
    Feature::named(word).ok_or_else(|| unknown("feature", word, Feature::ALL.iter().map(|feature| feature.as_str())))
}

fn field(word: &str) -> Result<Field, ProfileError> {
    let found = FIELDS.iter().find(|(_, known)| *known == word);
    found
        .map(|(field, _)| *field)
        .ok_or_else(|| unknown("field", word, FIELDS.iter().map(|(_, known)| *known)))
}

fn unknown(what: &'static str, word: &str, known: impl Iterator<Item = &'static str>) -> ProfileError {
    ProfileError::Unknown {
        what,
        word: word.to_owned(),
        known: known.collect::<Vec<_>>().join(", "),
    }
}

fn rule(rule: &str, problem: &'static str) -> ProfileError {
    ProfileError::Rule {
        rule: rule.to_owned(),
        problem,
    }
}

/// Over what was parsed, not how it was written.
fn hash(rules: &Rules, forms: &[&Form]) -> [u8; 32] {
    let mut sha = Sha256::new();
    let mut add = |text: &str| {
        // length first, so that no two sequences of texts run together
        sha.update((text.len() as u64).to_be_bytes());
        sha.update(text.as_bytes());
    };
    add(&rules.name);
    add(&rules.common.to_string());
    for form in forms {
        add(form.kind.as_str());
        add(form.name);
        add(form.rules);
    }
    for key in &rules.keys {
        add(key.name());
        add(key.description());
        add(if key.counts { "counts" } else { "" });
    }
    rules.scoring.describe(&mut add);
    for words in word_lists() {
        words.iter().for_each(|word| add(word));
        add("");
    }
    for (old, new) in word_pairs() {
        add(old);
        add(new);
    }
    sha.finalize().into()
}
