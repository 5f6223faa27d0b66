//! Why a cell, or a whole row, cannot be used.

use serde::{Serialize, Serializer};
use thiserror::Error;

/// Every reason once: variant, code for machines, message for people.
macro_rules! rejections {
    ($($(#[$doc:meta])* $variant:ident $code:literal $message:literal)+) => {
        /// Why a value was not taken. The message says what is wrong and what to do; it never contains the value.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
        #[non_exhaustive]
        pub enum Rejection {
            $($(#[$doc])* #[error($message)] $variant,)+
        }

        impl Rejection {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// A stable kebab-case code for machines, such as `bsn-check-digits`.
            #[must_use]
            pub const fn code(&self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }
        }
    };
}

rejections! {
    /// No text at all.
    Empty "empty" "nothing here: give a value"
    /// More text than any identifier has.
    TooLong "too-long" "too long for an identifier: check that the column is the right one"
    /// A list in one cell.
    SeveralValues "several-values" "more than one value in one cell: give each its own column or row"
    /// "unknown", "n/a" and the like, which would match at every agency.
    Placeholder "placeholder" "a filler such as 'unknown', not a value: leave the cell empty"
    /// Not in the form that normalisation yields.
    NotCanonical "not-canonical" "not in canonical form: normalise it first"
    /// A country that does not exist.
    CountryUnknown "country-unknown" "unknown country: use a two-letter ISO 3166-1 code such as NL, DE or GB"

    /// Not a number that can exist.
    PhoneNotValid "phone-not-valid" "not a valid telephone number: check the digits, and the region if it has no country code"
    /// Not an address.
    EmailNotValid "email-not-valid" "not a valid e-mail address: expected name@domain"
    /// Letters outside ASCII.
    EmailNotAscii "email-not-ascii" "e-mail addresses with letters outside ASCII are not compared yet: give the ASCII (xn--) form"
    /// Not shaped as an IBAN of its country.
    IbanNotValid "iban-not-valid" "not a valid IBAN: check its length and characters"
    /// The check digits are wrong.
    IbanCheckDigits "iban-check-digits" "the IBAN's check digits do not fit: one of its characters is wrong"
    /// A country that issues no IBANs.
    IbanCountryUnknown "iban-country-unknown" "no such IBAN country: check the first two letters"
    /// Not a registration mark.
    PlateNotValid "plate-not-valid" "not a valid number plate: expected 2 to 12 letters and digits"
    /// Not a document number.
    DocumentNotValid "document-not-valid" "not a valid document number: expected 5 to 24 letters and digits, one digit at least"
    /// Other characters than digits.
    BsnNotDigits "bsn-not-digits" "a citizen service number has digits only"
    /// Neither 8 nor 9 digits.
    BsnLength "bsn-length" "a citizen service number has 9 digits, or 8 where the leading zero was lost"
    /// All zeros.
    BsnZero "bsn-zero" "all zeros is not a citizen service number: leave the cell empty"
    /// The eleven test fails.
    BsnCheckDigits "bsn-check-digits" "the citizen service number fails the eleven test: one of its digits is wrong"

    /// Fewer than two names.
    PersonNameTooShort "person-name-too-short" "a person needs two names at least, one of them more than an initial"
    /// Digits in a name.
    PersonNameNotValid "person-name-not-valid" "digits in a name: check that the column is the right one"
    /// No birth date.
    PersonBirthDateMissing "person-birth-date-missing" "a person needs a birth date"
    /// Not `names|date`.
    PersonForm "person-form" "a person is written as: names|birth date"

    /// Not shaped as a date in the given order.
    DateFormat "date-format" "not a date: use yyyy-mm-dd, or set `dates` in the mapping to the order that the file has"
    /// The century is open.
    DateTwoDigitYear "date-two-digit-year" "a year of two digits is ambiguous: give four"
    /// Day or month not known.
    DatePartial "date-partial" "day or month is 00: partial dates are not compared yet"
    /// A day that does not exist.
    DateImpossible "date-impossible" "no such day in the calendar: check day and month, and the order of dates"
    /// No living person, and no date in a record, is that old or that far off.
    DateOutOfRange "date-out-of-range" "a birth date lies between 1850 and 2150: check the year, and the order of dates"

    /// A row without a reference.
    ReferenceMissing "reference-missing" "no reference: the record could never be found again"
    /// A reference that cannot be stored or shown.
    ReferenceNotValid "reference-not-valid" "the reference is longer than 128 bytes or has control characters"
    /// Nothing to compare.
    NoIdentifier "no-identifier" "no usable identifier in this row: nothing to compare"
    /// More identifiers than a record may have.
    TooManyIdentifiers "too-many-identifiers" "more than 64 identifiers in one record: split it"
    /// A role in the agency's own words.
    RoleUnknown "role-unknown" "unknown role: add it to `roles` in the mapping"
    /// Not a class.
    VisibilityUnknown "visibility-unknown" "unknown visibility class: use a, b, c or d"
}

impl Serialize for Rejection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_kebab_case() {
        let codes: BTreeSet<_> = Rejection::ALL.iter().map(Rejection::code).collect();
        assert_eq!(codes.len(), Rejection::ALL.len());
        for code in codes {
            assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{code}");
        }
    }

    #[test]
    fn messages_state_the_limits_that_hold() {
        assert!(
            Rejection::ReferenceNotValid
                .to_string()
                .contains(&crate::MAX_REFERENCE.to_string())
        );
        assert!(
            Rejection::TooManyIdentifiers
                .to_string()
                .contains(&crate::MAX_IDENTIFIERS_PER_RECORD.to_string())
        );
    }
}
