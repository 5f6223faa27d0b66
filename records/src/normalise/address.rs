//! Addresses: where a house is, by postcode and number.

use zeroize::Zeroizing;

use super::cell::whole;
use super::text::{ascii, with_country};
use crate::region::Region;
use crate::rejection::Rejection;

/// One address, as written in the columns of a file. `Default` leaves everything empty.
#[derive(Clone, Copy, Default)]
pub struct AddressParts<'a> {
    /// Postcode.
    pub postcode: &'a str,
    /// House number, with or without its addition.
    pub number: &'a str,
    /// What follows the number, where it has a column of its own.
    pub addition: &'a str,
    /// Street: needed where a postcode covers many streets, not used elsewhere.
    pub street: &'a str,
    /// Country, ISO 3166-1; where it is empty that of the hints counts.
    pub country: &'a str,
}

/// `1012 AB`, `12`, `a` -> `NL:1012AB:12A`; `10115`, `12`, `Invalidenstraße` in DE -> `DE:10115:INVALIDENSTR:12`.
pub(crate) fn address(parts: &AddressParts<'_>, region: Region) -> Result<Zeroizing<String>, Rejection> {
    let region = match parts.country.trim() {
        "" => region,
        code => code.parse().map_err(|_| Rejection::CountryUnknown)?,
    };
    let postcode = postcode(parts.postcode, region)?;
    let number = number(parts.number, parts.addition)?;
    if has_street_in_postcode(region) {
        return Ok(Zeroizing::new(format!("{region}:{}:{}", *postcode, *number)));
    }
    let street = street(parts.street)?;
    Ok(Zeroizing::new(format!(
        "{region}:{}:{}:{}",
        *postcode, *street, *number
    )))
}

/// An address in one line: `1012 AB 12-a`, `Damrak 12a, 1012 AB Amsterdam`, `Invalidenstr. 12, 10115 Berlin`, or the canonical form.
///
/// # Errors
///
/// - [`Rejection::AddressNotValid`]: cannot be taken apart.
/// - [`Rejection::AddressPostcode`], [`Rejection::AddressNumber`], [`Rejection::AddressStreet`], [`Rejection::CountryUnknown`].
pub(crate) fn address_line(raw: &str, region: Region) -> Result<Zeroizing<String>, Rejection> {
    let text = ascii(raw)?;
    let (region, line) = with_country(&text, region)?;
    let mut parts = AddressParts::default();
    let fields = line.split(':').collect::<Vec<_>>();
    match fields.as_slice() {
        [postcode, number] => (parts.postcode, parts.number) = (postcode, number),
        [postcode, street, number] => (parts.postcode, parts.street, parts.number) = (postcode, street, number),
        [line] => parts = taken_apart(line.trim(), region).ok_or(Rejection::AddressNotValid)?,
        _ => return Err(Rejection::AddressNotValid),
    }
    address(&parts, region)
}

/// Countries whose postcode, with the house number, is one address: it belongs to a street or a part of one.
fn has_street_in_postcode(region: Region) -> bool {
    matches!(region.as_str(), "NL" | "GB")
}

/// Finds the postcode. A line starts with it and goes on with the number, or it starts with street and number.
fn taken_apart(line: &str, region: Region) -> Option<AddressParts<'_>> {
    let (start, end) = find_postcode(line, region)?;
    let postcode = line.get(start..end)?;
    let before = line.get(..start)?.trim_matches([' ', ',', ';', '\n', '\r']);
    let after = line.get(end..)?.trim_matches([' ', ',', ';', '\n', '\r']);
    if before.is_empty() {
        return Some(AddressParts {
            postcode,
            number: after,
            ..AddressParts::default()
        });
    }
    // what follows is the town; a number there would leave open which one is meant
    let mut numbers = before
        .match_indices(|c: char| c.is_ascii_digit())
        .filter(|(at, _)| {
            before
                .get(..*at)
                .is_some_and(|start| start.is_empty() || start.ends_with(' '))
        })
        .map(|(at, _)| at);
    let (at, None) = (numbers.next()?, numbers.next()) else {
        return None;
    };
    let (street, number) = before.split_at_checked(at)?;
    let is_town = !after.bytes().any(|b| b.is_ascii_digit());
    is_town.then_some(AddressParts {
        postcode,
        number,
        street,
        ..AddressParts::default()
    })
}

/// Where the one text stands that has the form of the country's postcode.
fn find_postcode(line: &str, region: Region) -> Option<(usize, usize)> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, c) in line.char_indices().chain([(line.len(), ' ')]) {
        match (c.is_ascii_alphanumeric(), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                words.push((from, at));
                start = None;
            }
            _ => {}
        }
    }
    let is_postcode =
        |start: usize, end: usize| line.get(start..end).is_some_and(|text| postcode(text, region).is_ok());
    let pairs = words
        .iter()
        .zip(words.iter().skip(1))
        .map(|(first, second)| (first.0, second.1));
    let found: Vec<_> = pairs
        .chain(words.iter().copied())
        .filter(|(start, end)| is_postcode(*start, *end))
        .collect();
    // two words before one: 1012 AB is not the postcode 1012 of somewhere else
    let first = *found
        .iter()
        .min_by_key(|(start, end)| (*start, std::cmp::Reverse(*end)))?;
    // in front it is the postcode, whatever the number looks like; elsewhere a second one would leave open which is meant
    let is_only = found.iter().all(|(_, end)| *end <= first.1);
    (first.0 == 0 || is_only).then_some(first)
}

/// Capitals and digits in the country's form.
fn postcode(text: &str, region: Region) -> Result<Zeroizing<String>, Rejection> {
    let mut code = ascii(text)?;
    code.make_ascii_uppercase();
    code.retain(|c| !matches!(c, ' ' | '-' | '.' | '\t'));
    let country = region.as_str();
    // D-10115, B-1000, L-1234: the old way to say the country
    if let Some(bare) = code.strip_prefix(country.get(..1).unwrap_or_default())
        && matches!(country, "AT" | "BE" | "DE" | "FR" | "LU" | "IT" | "ES")
    {
        code = Zeroizing::new(bare.to_owned());
    }
    let is_postcode = match country {
        "NL" => {
            has_form(&code, "9999AA")
                && !code.starts_with('0')
                && !["SA", "SD", "SS"].iter().any(|end| code.ends_with(end))
        }
        "GB" => ["A99AA", "A999AA", "AA99AA", "AA999AA", "A9A9AA", "AA9A9AA"]
            .iter()
            .any(|form| has_form(&code, form)),
        "AT" | "BE" | "BG" | "CH" | "DK" | "HU" | "LU" | "LV" | "NO" | "SI" => has_form(&code, "9999"),
        "CZ" | "DE" | "EE" | "ES" | "FI" | "FR" | "GR" | "HR" | "IT" | "LT" | "PL" | "SE" | "SK" | "TR" | "UA" => {
            has_form(&code, "99999")
        }
        "RO" | "RU" => has_form(&code, "999999"),
        "PT" => has_form(&code, "9999999"),
        _ => {
            (3..=10).contains(&code.len())
                && code.bytes().all(|b| b.is_ascii_alphanumeric())
                && code.bytes().any(|b| b.is_ascii_digit())
        }
    };
    is_postcode.then_some(code).ok_or(Rejection::AddressPostcode)
}

/// Whether the text has a letter for each A and a digit for each 9.
fn has_form(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text.bytes().zip(form.bytes()).all(|(byte, kind)| match kind {
            b'9' => byte.is_ascii_digit(),
            _ => byte.is_ascii_uppercase(),
        })
}

/// `12 - a`, `12a`, `12 A` -> `12A`; a hyphen stays between two digits only, so that 12-1 is not 121.
fn number(number: &str, addition: &str) -> Result<Zeroizing<String>, Rejection> {
    let (number, addition) = (ascii(number)?, ascii(addition)?);
    let mut canonical = Zeroizing::new(String::with_capacity(8));
    let mut is_parted = false;
    for c in whole(number.trim()).chars().chain([' ']).chain(addition.chars()) {
        match c.to_ascii_uppercase() {
            c @ ('0'..='9' | 'A'..='Z') => {
                if is_parted && c.is_ascii_digit() && canonical.ends_with(|last: char| last.is_ascii_digit()) {
                    canonical.push('-');
                }
                canonical.push(c);
                is_parted = false;
            }
            ' ' | '-' | '/' | '.' | '_' | '\t' => is_parted = true,
            _ => return Err(Rejection::AddressNumber),
        }
    }
    while canonical.len() > 1 && canonical.starts_with('0') {
        canonical.remove(0);
    }
    let digits = canonical.bytes().take_while(u8::is_ascii_digit).count();
    let is_number = (1..=5).contains(&digits) && !canonical.starts_with('0') && canonical.len() <= digits + 9;
    is_number.then_some(canonical).ok_or(Rejection::AddressNumber)
}

/// How a street's last word is shortened, longest first; compared without blanks.
const STREETS: &[(&str, &str)] = &[("STRASSE", "STR"), ("STRAAT", "STR")];

/// Letters and digits in capitals.
fn street(text: &str) -> Result<Zeroizing<String>, Rejection> {
    let mut street = ascii(text)?;
    street.make_ascii_uppercase();
    street.retain(|c| c.is_ascii_alphanumeric());
    for (long, short) in STREETS {
        if let Some(start) = street.strip_suffix(long).map(str::len) {
            street.truncate(start);
            street.push_str(short);
        }
    }
    if street.len() < 2 || street.len() > 100 || !street.bytes().any(|b| b.is_ascii_alphabetic()) {
        return Err(Rejection::AddressStreet);
    }
    Ok(street)
}
