//! Company numbers of national registers.

use zeroize::Zeroizing;

use super::check::{digits, luhn, value, weighted};
use super::text::{alphanumeric, with_country};
use crate::region::Region;
use crate::rejection::Rejection;

/// Countries in a VAT number, Directive 2006/112/EC art. 215; Greece writes EL.
const VAT_PREFIXES: &[&str] = &[
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "EL", "ES", "FI", "FR", "HR", "HU", "IE", "IT", "LT", "LU", "LV",
    "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
];

/// `12345678` in NL -> `NL:12345678`; `BE 0403.019.261` -> `BE:0403019261`.
///
/// A VAT number says its own country. Where it contains the company number (BE, FR, PL) that number is meant; elsewhere it stays a
/// number of its own, in full: `NL:NL123456789B01`. Countries that are not in [`check`] are held to a form alone: 3 to 40 letters and
/// digits, a digit among them.
///
/// # Errors
///
/// - [`Rejection::CompanyNotValid`]: not the country's form.
/// - [`Rejection::CompanyCheckDigits`].
/// - [`Rejection::CountryUnknown`], [`Rejection::Placeholder`], [`Rejection::SeveralValues`].
pub(crate) fn company(raw: &str, region: Region) -> Result<Zeroizing<String>, Rejection> {
    let (mut region, text) = with_country(raw, region)?;
    let mut number = alphanumeric(text)?;
    if let Some(country) = vat_country(&number, region) {
        region = country;
        match region.as_str() {
            "BE" | "PL" => number.replace_range(..2, ""),
            // two characters are a key to the nine that follow
            "FR" if number.len() == 13 => number.replace_range(..4, ""),
            _ => return Ok(Zeroizing::new(format!("{region}:{}", *number))),
        }
    }
    if check(region.as_str(), &mut number)? {
        Ok(Zeroizing::new(format!("{region}:{}", *number)))
    } else {
        Err(Rejection::CompanyCheckDigits)
    }
}

/// The country of a VAT number: two letters of a member state, then 8 to 12 characters with a digit among the first three.
fn vat_country(number: &str, region: Region) -> Option<Region> {
    let (prefix, rest) = number.split_at_checked(2)?;
    let has_form = (8..=12).contains(&rest.len())
        && rest.bytes().filter(u8::is_ascii_digit).count() >= 7
        && VAT_PREFIXES.contains(&prefix)
        // only the Dutch number has a letter in it, and that is B
        && (prefix != "NL" || (rest.len() == 12 && rest.get(9..10) == Some("B")));
    if !has_form || region.as_str() == "GB" {
        return None;
    }
    if prefix == "EL" { "GR" } else { prefix }.parse().ok()
}

/// Each country's rule. It may bring the number into its one form.
fn check(country: &str, number: &mut String) -> Result<bool, Rejection> {
    let not_valid = Rejection::CompanyNotValid;
    match country {
        // Kamer van Koophandel
        "NL" => {
            pad(number, 7, 8);
            digits::<8>(number).map(|_| true).ok_or(not_valid)
        }
        // Kruispuntbank van Ondernemingen: 97 minus the rest modulo 97
        "BE" => {
            pad(number, 9, 10);
            let d = digits::<10>(number).filter(|d| d[0] < 2).ok_or(not_valid)?;
            Ok(97 - value(&d[..8]) % 97 == value(&d[8..]))
        }
        "FR" => france(number),
        "GB" => united_kingdom(number),
        "PL" => poland(number),
        _ if (3..=40).contains(&number.len()) && number.bytes().any(|b| b.is_ascii_digit()) => Ok(true),
        _ => Err(not_valid),
    }
}

/// Puts back the zero that a spreadsheet dropped.
fn pad(number: &mut String, from: usize, to: usize) {
    if number.len() >= from && number.bytes().all(|b| b.is_ascii_digit()) {
        while number.len() < to {
            number.insert(0, '0');
        }
    }
}

/// SIREN, Luhn; a SIRET is a SIREN and five digits of an establishment. La Poste's own establishments are numbered otherwise.
fn france(number: &mut String) -> Result<bool, Rejection> {
    let fits = match digits::<14>(number) {
        Some(siret) => luhn(&siret) || number.starts_with("356000000"),
        None => true,
    };
    if number.len() == 14 {
        number.truncate(9);
    }
    let siren = digits::<9>(number).ok_or(Rejection::CompanyNotValid)?;
    Ok(fits && luhn(&siren))
}

/// Companies House: eight digits, or two letters (SC, NI, OC ...) and six.
fn united_kingdom(number: &mut String) -> Result<bool, Rejection> {
    pad(number, 6, 8);
    let (prefix, rest) = number.split_at_checked(2).ok_or(Rejection::CompanyNotValid)?;
    let is_prefix = prefix.bytes().all(|b| b.is_ascii_digit()) || prefix.bytes().all(|b| b.is_ascii_uppercase());
    let is_form = is_prefix && digits::<6>(rest).is_some();
    is_form.then_some(true).ok_or(Rejection::CompanyNotValid)
}

/// NIP with its check digit. A KRS number has ten digits too, and no NIP starts with the two zeros that every KRS number starts with.
fn poland(number: &str) -> Result<bool, Rejection> {
    let d = digits::<10>(number).ok_or(Rejection::CompanyNotValid)?;
    Ok(number.starts_with("00") || weighted(&d, &[6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11 == d[9])
}
