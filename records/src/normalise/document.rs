//! Travel and identity document numbers, ICAO Doc 9303.

use zeroize::Zeroizing;

use super::mrz::{Mrz, check_digit};
use super::text::alphanumeric;
use crate::region::Region;
use crate::rejection::Rejection;

/// Issuers that are no country of ISO 3166-1, ICAO Doc 9303 part 3 section 5, and UTO, which specimens show.
const ORGANISATIONS: &[&str] = &[
    "EUE", "IAO", "NTZ", "UNA", "UNK", "UNO", "UTO", "XAA", "XBA", "XCC", "XCE", "XCO", "XCT", "XDC", "XEC", "XES",
    "XIM", "XMP", "XOM", "XPO", "XXA", "XXB", "XXC", "XXX",
];

/// `L898902C36` in NL -> `NL:L898902C3`; two or three lines of a machine-readable zone give number and issuer.
///
/// Two states give the same number, so the issuer is part of the canonical form: in front of a colon, from the machine-readable zone,
/// or from the hints.
///
/// Ten characters with a valid check digit at the end are nine and a check digit, copied from the machine-readable zone. One in
/// ten other numbers of ten characters loses its last digit by that rule, at both agencies alike.
///
/// # Errors
///
/// - [`Rejection::DocumentNotValid`]: fewer than 5 or more than 24 letters and digits, or no digit.
/// - [`Rejection::CountryUnknown`]: no such issuer.
/// - [`Rejection::Placeholder`], [`Rejection::SeveralValues`], and those of [`Mrz::parse`].
pub(crate) fn document(raw: &str, region: Region) -> Result<Zeroizing<String>, Rejection> {
    if Mrz::is_like(raw) {
        let mrz = Mrz::parse(raw)?;
        return canonical(mrz.issuer(), mrz.number());
    }
    match raw.split_once(':') {
        Some((code, number)) => canonical(issuer(code.trim()).ok_or(Rejection::CountryUnknown)?, number),
        None => canonical(region.as_str(), raw),
    }
}

fn canonical(issuer: &str, number: &str) -> Result<Zeroizing<String>, Rejection> {
    let mut number = alphanumeric(number)?;
    if number.len() == 10 && has_check_digit(&number) {
        number.truncate(9);
    }
    if !(5..=24).contains(&number.len()) || !number.bytes().any(|b| b.is_ascii_digit()) {
        return Err(Rejection::DocumentNotValid);
    }
    // what is left of 0000000000 without its check digit is still a filler
    let number = alphanumeric(&number)?;
    Ok(Zeroizing::new(format!("{issuer}:{}", *number)))
}

/// The issuer of that code: a country by its two letters, an organisation by its three.
pub(crate) fn issuer(code: &str) -> Option<&'static str> {
    let upper = code.to_ascii_uppercase();
    Region::from_icao(&upper)
        .map(Region::as_str)
        .or_else(|| ORGANISATIONS.iter().find(|known| **known == upper).copied())
}

/// Whether the last character is the check digit of those before it.
fn has_check_digit(number: &str) -> bool {
    number
        .split_at_checked(number.len().saturating_sub(1))
        .is_some_and(|(number, check)| check.parse() == Ok(check_digit(&[number])))
}
