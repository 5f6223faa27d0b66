//! Identifiers in canonical form, and the match keys that are compared.

use std::fmt;

use jiff::civil::Date;
use zeroize::Zeroizing;

use crate::date::DateOrder;
use crate::kind::Kind;
use crate::normalise::{self, PersonNames};
use crate::region::Region;
use crate::rejection::Rejection;

/// Longest canonical form in bytes; an e-mail address has 254 at most (RFC 5321 section 4.5.3.1.3).
pub const MAX_CANONICAL: usize = 256;

/// Longest raw text in bytes that is looked at.
pub const MAX_RAW: usize = 1024;

/// A value that points at a person or thing, in the one spelling that every agency gives it.
///
/// The value is personal data: `Debug` shows the kind alone, and the memory is zeroized on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Identifier {
    kind: Kind,
    canonical: Zeroizing<String>,
}

impl Identifier {
    /// Brings raw text into canonical form. A person is written as `names|birth date`; [`Identifier::person`] takes the parts.
    ///
    /// # Errors
    ///
    /// The [`Rejection`] says what is wrong with the text, without repeating it.
    pub fn normalise(kind: Kind, raw: &str, hints: &Hints) -> Result<Self, Rejection> {
        if raw.len() > MAX_RAW {
            return Err(Rejection::TooLong);
        }
        if raw.trim().is_empty() {
            return Err(Rejection::Empty);
        }
        let canonical = match kind {
            Kind::Phone => normalise::phone(raw, hints.region),
            Kind::Email => normalise::email(raw),
            Kind::Iban => normalise::iban(raw),
            Kind::Plate => normalise::plate(raw, hints.region),
            Kind::Document => normalise::document(raw),
            Kind::Bsn => normalise::bsn(raw),
            Kind::Person => normalise::person_line(raw, hints.dates),
        }?;
        Self::new(kind, canonical)
    }

    /// A person by names and birth date: `berg jan|1985-02-23`.
    ///
    /// # Errors
    ///
    /// - [`Rejection::PersonNameTooShort`]: fewer than two names, or initials only.
    /// - [`Rejection::PersonNameNotValid`]: digits in a name.
    /// - [`Rejection::Placeholder`]: "unknown" and the like.
    /// - [`Rejection::DateOutOfRange`]: not born between 1850 and 2150.
    /// - [`Rejection::TooLong`].
    pub fn person(names: &PersonNames<'_>, born: Date) -> Result<Self, Rejection> {
        Self::new(Kind::Person, normalise::person(names, born)?)
    }

    /// Takes a canonical form that was made elsewhere; accepts exactly the strings that normalisation yields.
    ///
    /// # Errors
    ///
    /// [`Rejection::NotCanonical`], whatever else may be wrong with it.
    pub fn from_canonical(kind: Kind, canonical: &str) -> Result<Self, Rejection> {
        // No kind's canonical form depends on the hints: plates carry their country, phones their prefix, persons an ISO date.
        match Self::normalise(kind, canonical, &Hints::default()) {
            Ok(identifier) if identifier.canonical() == canonical => Ok(identifier),
            _ => Err(Rejection::NotCanonical),
        }
    }

    /// What it points with.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The canonical form: personal data, in clear.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// What is compared on behalf of this identifier: one key, the canonical form itself.
    ///
    /// This is the seam for profiles in which a person has several weighted keys (surname + birth date, initials + postcode ...).
    #[must_use]
    pub fn match_keys(&self) -> Vec<MatchKey> {
        vec![MatchKey {
            kind: self.kind,
            bytes: Zeroizing::new(self.canonical.as_bytes().to_vec()),
        }]
    }

    fn new(kind: Kind, canonical: Zeroizing<String>) -> Result<Self, Rejection> {
        if canonical.len() > MAX_CANONICAL {
            return Err(Rejection::TooLong);
        }
        Ok(Self { kind, canonical })
    }
}

impl PartialOrd for Identifier {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Identifier {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.kind, self.canonical()).cmp(&(other.kind, other.canonical()))
    }
}

impl std::hash::Hash for Identifier {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.kind, self.canonical()).hash(state);
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identifier")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// What is compared: bytes that are equal at two agencies when the identifiers agree under the profile.
#[derive(Clone, PartialEq, Eq)]
pub struct MatchKey {
    kind: Kind,
    bytes: Zeroizing<Vec<u8>>,
}

impl MatchKey {
    /// The kind of identifier that it was made from.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The bytes to hash: personal data, in clear.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for MatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MatchKey")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// What the text itself does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hints {
    /// Country of telephone numbers without country code, and of number plates.
    pub region: Region,
    /// Order of day, month and year.
    pub dates: DateOrder,
}
