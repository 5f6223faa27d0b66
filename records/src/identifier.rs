//! Identifiers in canonical form, and the match keys that are compared.

use std::fmt;

use zeroize::Zeroizing;

use crate::date::DateOrder;
use crate::kind::{Kind, Platform};
use crate::normalise::{self, AddressParts};
use crate::person::{self, PersonParts};
use crate::profile::Profile;
use crate::region::Region;
use crate::rejection::Rejection;

/// Longest canonical form in bytes. Only a web address comes near; what is longer is seldom written twice the same.
pub const MAX_CANONICAL: usize = 2048;

/// Longest raw text in bytes that is looked at: any canonical form is raw text too.
pub const MAX_RAW: usize = MAX_CANONICAL;

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
        let visible = normalise::visible(raw);
        let text = normalise::cell(kind, visible.as_ref().map_or(raw, |visible| visible.as_str()))?;
        let canonical = match kind {
            Kind::Phone => normalise::phone(text, hints.region),
            Kind::Email => normalise::email(text),
            Kind::Iban => normalise::iban(text),
            Kind::Plate => normalise::plate(text, hints.region),
            Kind::Vin => normalise::vin(text),
            Kind::Document => normalise::document(text, hints.region),
            Kind::Bsn => normalise::bsn(text),
            Kind::National => normalise::national(text, hints.region),
            Kind::Handle => normalise::handle(text, hints.platform),
            Kind::Url => normalise::url(text),
            Kind::Ip => normalise::ip(text),
            Kind::Imei => normalise::imei(text),
            Kind::Imsi => normalise::imsi(text),
            Kind::Wallet => normalise::wallet(text),
            Kind::Company => normalise::company(text, hints.region),
            Kind::Address => normalise::address_line(text, hints.region),
            Kind::Person => person::canonical_of_line(text, hints),
        }?;
        Self::new(kind, canonical)
    }

    /// A person by what a record says: `jan|berg|1985-02-23|m|1234AB|12|dorpsstraat|utrecht`.
    ///
    /// # Errors
    ///
    /// - [`Rejection::PersonTooLittle`]: no match key of the shipped profile can be made of it.
    /// - [`Rejection::PersonNameNotValid`]: digits in a name.
    /// - [`Rejection::Placeholder`]: "unknown" and the like in a name's place.
    /// - [`Rejection::DateFormat`], [`Rejection::DateTwoDigitYear`], [`Rejection::DateImpossible`],
    ///   [`Rejection::DateOutOfRange`]: the birth date is none, or not between 1500 and 2150.
    /// - [`Rejection::TooLong`].
    pub fn person(parts: &PersonParts<'_>, hints: &Hints) -> Result<Self, Rejection> {
        Self::new(Kind::Person, person::canonical(parts, hints)?)
    }

    /// An address by its parts: 1012 AB, 12, a -> `NL:1012AB:12A`.
    ///
    /// # Errors
    ///
    /// - [`Rejection::AddressPostcode`], [`Rejection::AddressNumber`]: not in the country's form.
    /// - [`Rejection::AddressStreet`]: no street, where a postcode covers many.
    pub fn address(parts: &AddressParts<'_>, hints: &Hints) -> Result<Self, Rejection> {
        Self::new(Kind::Address, normalise::address(parts, hints.region)?)
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

    /// What is compared on behalf of this identifier under a profile: one key for a numbered kind, several for a person, none
    /// for a kind that the profile lacks. Each once, in the order of [`Profile::keys`].
    #[must_use]
    pub fn match_keys(&self, profile: &Profile) -> Vec<MatchKey> {
        profile.match_keys(self)
    }

    fn new(kind: Kind, canonical: Zeroizing<String>) -> Result<Self, Rejection> {
        if canonical.len() > MAX_CANONICAL {
            return Err(Rejection::TooLong);
        }
        let identifier = Self { kind, canonical };
        if kind == Kind::Person && !Profile::shipped().has_key(&identifier) {
            return Err(Rejection::PersonTooLittle);
        }
        Ok(identifier)
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

/// What is compared: bytes that are equal at two agencies when the identifiers agree under one rule of the profile.
#[derive(Clone, PartialEq, Eq)]
pub struct MatchKey {
    key: u16,
    bytes: Zeroizing<Vec<u8>>,
}

impl MatchKey {
    pub(crate) fn new(key: u16, bytes: Zeroizing<Vec<u8>>) -> Self {
        Self { key, bytes }
    }

    /// The rule that it was made by: its place in [`Profile::keys`].
    #[must_use]
    pub fn key(&self) -> u16 {
        self.key
    }

    /// The bytes to hash, together with the kind of the key: personal data, in clear. Those of different rules for persons differ.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for MatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MatchKey")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// What the text itself does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hints {
    /// Country of what does not name its own: telephone numbers without country code, plates, documents and the like.
    pub region: Region,
    /// Order of day, month and year.
    pub dates: DateOrder,
    /// Platform of handles that do not name theirs.
    pub platform: Option<Platform>,
}
