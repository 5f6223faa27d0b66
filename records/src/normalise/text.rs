//! What the kinds share: folding any script's letters and digits to ASCII.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::identifier::MAX_RAW;
use crate::region::Region;
use crate::rejection::Rejection;

/// Words that stand in a column where a number should be; compared with separators removed.
pub(crate) const FILLERS: &[&str] = &[
    "GEEN",
    "NA",
    "NB",
    "NEE",
    "NIETBEKEND",
    "NIL",
    "NIHIL",
    "NONE",
    "NULL",
    "NVT",
    "ONB",
    "ONBEKEND",
    "TEST",
    "UNBEKANNT",
    "UNK",
    "UNKNOWN",
    "INCONNU",
    "DESCONOCIDO",
    "NECUNOSCUT",
    "NIEZNANY",
];

/// The nearest ASCII text: full-width forms, digits of any script, dashes, no-break and zero-width blanks.
///
/// # Errors
///
/// [`Rejection::TooLong`] over [`MAX_RAW`] bytes.
pub(crate) fn ascii(raw: &str) -> Result<Zeroizing<String>, Rejection> {
    if raw.len() > MAX_RAW {
        return Err(Rejection::TooLong);
    }
    if raw.is_ascii() {
        return Ok(Zeroizing::new(raw.to_owned()));
    }
    let mut text = Zeroizing::new(String::with_capacity(raw.len()));
    for c in raw.nfkc() {
        text.push_str(any_ascii::any_ascii_char(c));
    }
    Ok(text)
}

/// Upper-case letters and digits alone, as stamped on plates and printed on documents.
///
/// Cyrillic and Greek letters become the Latin letters of the same shape, not of the same sound: the Vienna Convention on Road
/// Traffic (annex 2) and ICAO Doc 9303 have such numbers repeated in Latin capitals, and that is how the other agency reads them.
///
/// # Errors
///
/// - [`Rejection::SeveralValues`]: a list separator between two values.
/// - [`Rejection::Placeholder`]: one of [`FILLERS`], nothing at all, or one character repeated.
/// - [`Rejection::TooLong`].
pub(crate) fn alphanumeric(raw: &str) -> Result<Zeroizing<String>, Rejection> {
    if raw.len() > MAX_RAW {
        return Err(Rejection::TooLong);
    }
    if raw.trim().contains([',', ';', '|', '&', '\n', '\r']) {
        return Err(Rejection::SeveralValues);
    }
    let mut text = Zeroizing::new(String::with_capacity(raw.len()));
    if raw.is_ascii() {
        text.extend(
            raw.chars()
                .filter(char::is_ascii_alphanumeric)
                .map(|c| c.to_ascii_uppercase()),
        );
        return checked(text);
    }
    for c in raw.nfkc().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase) {
        match same_shape(c) {
            Some(latin) => text.push(latin),
            None => text.extend(
                any_ascii::any_ascii_char(c)
                    .chars()
                    .filter(char::is_ascii_alphanumeric)
                    .map(|c| c.to_ascii_uppercase()),
            ),
        }
    }
    checked(text)
}

/// Letters and digits that are not a filler.
fn checked(text: Zeroizing<String>) -> Result<Zeroizing<String>, Rejection> {
    if FILLERS.contains(&text.as_str()) || is_one_character(&text) {
        return Err(Rejection::Placeholder);
    }
    Ok(text)
}

/// Splits `NL:12AB34`: a country in front of a colon decides, else the one from the hints.
///
/// # Errors
///
/// [`Rejection::CountryUnknown`]: what stands before the colon names no country.
pub(crate) fn with_country(raw: &str, region: Region) -> Result<(Region, &str), Rejection> {
    match raw.split_once(':') {
        Some((country, rest)) => Ok((country.trim().parse().map_err(|_| Rejection::CountryUnknown)?, rest)),
        None => Ok((region, raw)),
    }
}

/// `000000`, `XXXX`, or nothing but separators.
fn is_one_character(text: &str) -> bool {
    let mut bytes = text.bytes();
    let Some(first) = bytes.next() else { return true };
    text.len() > 2 && bytes.all(|byte| byte == first)
}

/// Upper-case Cyrillic and Greek letters that look like a Latin one.
fn same_shape(c: char) -> Option<char> {
    Some(match c {
        'А' | 'Α' => 'A',
        'В' | 'Β' => 'B',
        'С' => 'C',
        'Е' | 'Ε' => 'E',
        'Н' | 'Η' => 'H',
        'І' | 'Ι' => 'I',
        'Ј' => 'J',
        'К' | 'Κ' => 'K',
        'М' | 'Μ' => 'M',
        'Ν' => 'N',
        'О' | 'Ο' => 'O',
        'Р' | 'Ρ' => 'P',
        'Ѕ' => 'S',
        'Т' | 'Τ' => 'T',
        'У' | 'Υ' => 'Y',
        'Х' | 'Χ' => 'X',
        'Ζ' => 'Z',
        _ => return None,
    })
}
