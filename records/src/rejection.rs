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

    /// Rounded by a spreadsheet.
    ScientificNotation "scientific-notation" "a spreadsheet rounded the number (6.12E+08): format the column as text and export it again"
    /// Made a date by a spreadsheet.
    CellDate "cell-date" "a spreadsheet made a date of it: format the column as text, and fill it again from its source"
    /// A spreadsheet's formula.
    Formula "formula" "a spreadsheet's formula, not a value: export values, not formulas"

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
    /// Not a vehicle identification number.
    VinNotValid "vin-not-valid" "not a vehicle identification number: expected 17 letters and digits, without I, O and Q"
    /// The check digit, mandatory in North America, is wrong.
    VinCheckDigit "vin-check-digit" "the vehicle identification number's check digit (position 9) does not fit: one of its characters is wrong"
    /// Not a document number.
    DocumentNotValid "document-not-valid" "not a valid document number: expected 5 to 24 letters and digits, one digit at least"
    /// Neither of the forms of ICAO 9303.
    MrzNotValid "mrz-not-valid" "not a machine-readable zone: expected 3 lines of 30, 2 of 36 or 2 of 44 characters A to Z, 0 to 9 and <"
    /// Check digit of the document number.
    MrzNumberCheckDigit "mrz-number-check-digit" "the check digit of the document number does not fit: read the machine-readable zone again"
    /// Check digit of the birth date.
    MrzBirthCheckDigit "mrz-birth-check-digit" "the check digit of the birth date does not fit: read the machine-readable zone again"
    /// Check digit of the expiry date.
    MrzExpiryCheckDigit "mrz-expiry-check-digit" "the check digit of the expiry date does not fit: read the machine-readable zone again"
    /// Check digit of the optional data.
    MrzOptionalCheckDigit "mrz-optional-check-digit" "the check digit of the optional data does not fit: read the machine-readable zone again"
    /// Composite check digit.
    MrzCompositeCheckDigit "mrz-composite-check-digit" "the last check digit, over all others, does not fit: read the machine-readable zone again"
    /// Other characters than digits.
    BsnNotDigits "bsn-not-digits" "a citizen service number has digits only"
    /// Neither 8 nor 9 digits.
    BsnLength "bsn-length" "a citizen service number has 9 digits, or 8 where the leading zero was lost"
    /// All zeros.
    BsnZero "bsn-zero" "all zeros is not a citizen service number: leave the cell empty"
    /// The eleven test fails.
    BsnCheckDigits "bsn-check-digits" "the citizen service number fails the eleven test: one of its digits is wrong"
    /// The Netherlands' number has a kind of its own.
    NationalUseBsn "national-use-bsn" "a Dutch number is of kind bsn: for another state's number give that country"
    /// Not shaped as the country's number.
    NationalNotValid "national-not-valid" "not shaped as a personal number of its country: check the digits and the country"
    /// The country's check digits are wrong.
    NationalCheckDigits "national-check-digits" "the personal number's check digits do not fit: check the digits and the country"

    /// Nobody said which platform.
    HandlePlatformMissing "handle-platform-missing" "a name without a platform: give the profile's address, platform:name, or `platform` in the mapping"
    /// Not a platform that is known here.
    HandlePlatformUnknown "handle-platform-unknown" "no such platform here: use kind url for a web address, or one of the platforms in the documentation"
    /// Not a name that the platform gives.
    HandleNotValid "handle-not-valid" "not a name that can exist on this platform: check for typing errors and for the right platform"
    /// A post, a group, an invitation or a page of the platform itself.
    HandleNoAccount "handle-no-account" "an address on the platform that names no account: give the profile's own address"
    /// WhatsApp and the like.
    HandleIsPhone "handle-is-phone" "this account is a telephone number: use kind phone"
    /// No web address.
    UrlNotValid "url-not-valid" "not a web address: expected a host name with a dot, and a path where there is one"
    /// Neither http nor https.
    UrlScheme "url-scheme" "only http and https addresses are compared"
    /// A user name or password in it.
    UrlCredentials "url-credentials" "a user name or password in the address: remove it"
    /// No internet address.
    IpNotValid "ip-not-valid" "not an internet address: expected four numbers up to 255 or an IPv6 address, without a network mask"
    /// An address that every machine has.
    IpNobody "ip-nobody" "a loopback, link-local, multicast or unspecified address points at nobody: leave the cell empty"
    /// Not a device number.
    ImeiNotValid "imei-not-valid" "not an IMEI: expected 14, 15 or 16 digits"
    /// Luhn fails.
    ImeiCheckDigit "imei-check-digit" "the IMEI's check digit does not fit: one of its digits is wrong"
    /// Not a SIM's number.
    ImsiNotValid "imsi-not-valid" "not an IMSI: expected 14 or 15 digits that start with a mobile country code"
    /// No currency's form.
    WalletNotValid "wallet-not-valid" "not an address of a known crypto-asset: expected btc, eth, tron, ltc, xmr or sol"
    /// The address's checksum is wrong.
    WalletChecksum "wallet-checksum" "the address's checksum does not fit: one of its characters, or its case, is wrong"
    /// Not a register's number.
    CompanyNotValid "company-not-valid" "not shaped as a company number of its country: check the number and the country"
    /// The register's check digits are wrong.
    CompanyCheckDigits "company-check-digits" "the company number's check digits do not fit: check the digits and the country"
    /// Nothing that can be read as postcode and house number.
    AddressNotValid "address-not-valid" "not an address: expected postcode and house number, such as 1012 AB 12"
    /// Not the country's form.
    AddressPostcode "address-postcode" "not a postcode of its country: check the postcode and the country"
    /// No house number.
    AddressNumber "address-number" "no house number: it starts with a digit that is not zero, and the addition is at most 8 letters and digits"
    /// A postcode of a whole town.
    AddressStreet "address-street" "in this country a postcode covers many streets: give the street too"

    /// No match key can be made.
    PersonTooLittle "person-too-little" "too little to tell a person by: give given and family name with a birth date or a postcode"
    /// Digits in a name.
    PersonNameNotValid "person-name-not-valid" "more digits than a slip in a name: check that the column is the right one"
    /// Neither `names|date` nor the canonical form.
    PersonForm "person-form" "a person is written as: names|birth date"

    /// Not shaped as a date in the given order.
    DateFormat "date-format" "not a date: use yyyy-mm-dd, or set `dates` in the mapping to the order that the file has"
    /// The century is open.
    DateTwoDigitYear "date-two-digit-year" "a year of two digits is ambiguous: give four"
    /// Day or month not known.
    DatePartial "date-partial" "day or month is 00: partial dates are not compared yet"
    /// A slip, or a file in two orders.
    DateOtherOrder "date-other-order" "only fits the other order of day and month: check the date, and `dates` in the mapping"
    /// A day that does not exist.
    DateImpossible "date-impossible" "no such day in the calendar: check day and month, and the order of dates"
    /// No living person, and no date in a record, is that old or that far off.
    DateOutOfRange "date-out-of-range" "a birth date lies between 1500 and 2150: check the year, and the order of dates"

    /// Two readings.
    DateAmbiguous "date-ambiguous" "day and month can be read either way, and this file mixes both orders: write yyyy-mm-dd"

    /// An error value of a spreadsheet.
    CellError "cell-error" "the cell holds an error such as #N/A: mend the formula, or leave the cell empty"
    /// Digits that are no longer there.
    NumberRounded "number-rounded" "a number of more than 15 digits, which spreadsheets round: enter it again in a column formatted as text"
    /// A value with parts.
    NestedValue "nested-value" "a list or an object where one value should be: give each value a column of its own"
    /// Bytes in a column of text.
    NotText "not-text" "bytes that are no UTF-8 text: check that the column is the right one"

    /// A row without a reference.
    ReferenceMissing "reference-missing" "no reference: the record could never be found again"
    /// A reference that cannot be stored or shown.
    ReferenceNotValid "reference-not-valid" "the reference is longer than 128 bytes or has control characters"
    /// An origin that cannot be stored or shown.
    OriginNotValid "origin-not-valid" "the origin is longer than 128 bytes or has control characters"
    /// Nothing to compare.
    NoIdentifier "no-identifier" "no usable identifier in this row: nothing to compare"
    /// More identifiers than a record may have.
    TooManyIdentifiers "too-many-identifiers" "more than 64 identifiers in one record: split it"
    /// A role in the agency's own words.
    RoleUnknown "role-unknown" "unknown role: add it to `roles` in the mapping"
    /// Not a class.
    VisibilityUnknown "visibility-unknown" "unknown visibility class: use a, b, c or d"
}

impl Rejection {
    /// Whether a date was wrong, not the value around it.
    #[must_use]
    pub const fn is_date(&self) -> bool {
        matches!(
            self,
            Self::DateFormat | Self::DateTwoDigitYear | Self::DatePartial | Self::DateImpossible | Self::DateOutOfRange
        )
    }
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
