//! The rules that two nodes agree on before they compare anything.

mod error;
mod file;
mod form;
mod score;

use std::fmt;
use std::sync::{Arc, OnceLock};

use zeroize::Zeroizing;

use self::score::Scoring;
use crate::identifier::{Identifier, MatchKey};
use crate::kind::Kind;
use crate::person::{Feature, Field, Person};

pub use self::error::ProfileError;
pub use self::score::{Agreed, Sizes};

/// A named set of normal forms, match keys and weights, read from TOML. Cheap to clone.
#[derive(Clone)]
pub struct Profile(Arc<Rules>);

struct Rules {
    name: String,
    hash: [u8; 32],
    kinds: Vec<Kind>,
    forms: Vec<&'static str>,
    keys: Vec<Key>,
    common: u32,
    scoring: Scoring,
}

/// One rule for match keys. A numbered kind has one, which is the canonical form; persons have several.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    name: String,
    kind: Kind,
    counts: bool,
    description: String,
    features: Vec<Feature>,
}

impl Profile {
    /// The text of the shipped profile `eu-thb/1`.
    pub const SHIPPED: &'static str = include_str!("../profiles/eu-thb-1.toml");

    /// The shipped profile `eu-thb/1`.
    #[must_use]
    pub fn eu_thb_1() -> Self {
        Self::shipped().clone()
    }

    pub(crate) fn shipped() -> &'static Self {
        static SHIPPED: OnceLock<Profile> = OnceLock::new();
        // Unwrap safety: the file is part of the build, and a test parses it.
        #[allow(clippy::expect_used, reason = "see above")]
        SHIPPED.get_or_init(|| Self::parse(Self::SHIPPED).expect("the shipped profile is valid"))
    }

    /// Reads a profile from TOML.
    ///
    /// # Errors
    ///
    /// - [`ProfileError::Toml`]: not TOML, a section or key that is not known, or of the wrong type.
    /// - [`ProfileError::Unknown`]: a kind, form, feature or field that this build does not have; the known ones are listed.
    /// - [`ProfileError::Rule`]: a rule that cannot be kept, such as a number out of range or a name given twice.
    pub fn parse(toml: &str) -> Result<Self, ProfileError> {
        file::parse(toml).map(|rules| Self(Arc::new(rules)))
    }

    /// Its name and version: `eu-thb/1`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// SHA-256 over all that the file says, however it is spelt, and over the rules and word lists that it names: equal only where
    /// these are.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.0.hash
    }

    /// The kinds that it has rules for, in their fixed order.
    #[must_use]
    pub fn kinds(&self) -> &[Kind] {
        &self.0.kinds
    }

    /// The normal form of each kind, by name.
    pub fn forms(&self) -> impl Iterator<Item = (Kind, &'static str)> {
        self.0.kinds.iter().copied().zip(self.0.forms.iter().copied())
    }

    /// All rules for match keys in fixed order: the numbered kinds', each named as its kind (`phone`), then the persons'
    /// (`person:pair.born`).
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.0.keys
    }

    /// The score from which a pair of records is a candidate.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.0.scoring.threshold
    }

    /// An item that more records than this hold at one side is too common to be compared.
    #[must_use]
    pub fn common(&self) -> u32 {
        self.0.common
    }

    /// How sure it is that two records are of one person, in bits: the base-2 logarithm of the odds.
    ///
    /// `person` is the asker's own; of the other record nothing is known but the match keys that `agreed`. Keys of numbered kinds
    /// among them do not count: they are hits in their own right.
    #[must_use]
    pub fn score(&self, person: &Identifier, agreed: &[Agreed], sizes: Sizes) -> f64 {
        self.0
            .scoring
            .score(&self.0.keys, &Person::of(person.canonical()), agreed, sizes)
    }

    pub(crate) fn match_keys(&self, identifier: &Identifier) -> Vec<MatchKey> {
        let kind = identifier.kind();
        let person = (kind == Kind::Person).then(|| Person::of(identifier.canonical()));
        (0..)
            .zip(self.keys())
            .filter(|(_, key)| key.kind == kind)
            .filter_map(|(index, key)| {
                let bytes = match &person {
                    Some(person) => key.value(person)?,
                    None => Zeroizing::new(identifier.canonical().as_bytes().to_vec()),
                };
                Some(MatchKey::new(index, bytes))
            })
            .collect()
    }

    pub(crate) fn has_key(&self, person: &Identifier) -> bool {
        let parts = Person::of(person.canonical());
        self.keys()
            .iter()
            .any(|key| key.kind == Kind::Person && key.can_be_made(&parts))
    }
}

impl Key {
    /// Its name: `phone`, `person:pair.born`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kind of identifier that it is made of.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it takes part in mode `count`: the keys of numbered kinds, and the strictest one of persons, so that nobody is
    /// counted twice.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.counts
    }

    /// What it is made of, for people.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Its features, each of one field.
    fn parts(&self) -> impl Iterator<Item = (Field, Feature)> + '_ {
        self.features.iter().flat_map(|feature| feature.parts()).copied()
    }

    fn can_be_made(&self, person: &Person<'_>) -> bool {
        self.features.iter().all(|feature| feature.value(person).is_some())
    }

    /// The name of the rule and the values of its features; none if the record lacks one.
    fn value(&self, person: &Person<'_>) -> Option<Zeroizing<Vec<u8>>> {
        let mut bytes = Zeroizing::new(self.name.as_bytes().to_vec());
        for feature in &self.features {
            bytes.push(b'|');
            bytes.extend_from_slice(feature.value(person)?.as_bytes());
        }
        Some(bytes)
    }
}

impl PartialEq for Profile {
    fn eq(&self, other: &Self) -> bool {
        self.0.hash == other.0.hash
    }
}

impl Eq for Profile {}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("name", &self.name).finish_non_exhaustive()
    }
}
