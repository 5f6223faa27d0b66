//! Addresses and sex: the fields of a person that are no name and no date.

use zeroize::Zeroizing;

use crate::normalise::ascii;
use crate::rejection::Rejection;

/// Words that say what sort of street it is, which one agency writes out and the other abbreviates.
pub(crate) const STREET_WORDS: &[&str] = &[
    "av", "ave", "avenue", "calle", "cl", "close", "court", "cr", "crescent", "crt", "ct", "dr", "drive", "la", "lane",
    "laan", "pl", "place", "plein", "rd", "road", "rua", "rue", "st", "str", "straat", "strasse", "street", "ul",
    "ulica", "via", "way", "weg",
];

/// Longest street, place and postcode that are kept, so that a person fits into a canonical form.
const MAX_WORDS: usize = 40;
const MAX_POSTCODE: usize = 10;
const MAX_NUMBER: usize = 6;

/// `m`, `f` or blank, from the words and the digits (ISO/IEC 5218) that records have.
pub(crate) fn sex(raw: &str) -> Result<&'static str, Rejection> {
    let word = ascii(raw)?.trim().to_ascii_lowercase();
    Ok(match word.as_str() {
        "1" | "m" | "male" | "man" | "mannelijk" | "maennlich" | "mannlich" | "masculin" | "homme" | "h" => "m",
        "2" | "f" | "v" | "w" | "female" | "woman" | "vrouw" | "vrouwelijk" | "weiblich" | "feminin" | "femme" => "f",
        _ => "",
    })
}

/// Upper-case letters and digits.
pub(crate) fn postcode(raw: &str) -> Result<Zeroizing<String>, Rejection> {
    let text = ascii(raw)?;
    let code = text.chars().filter(char::is_ascii_alphanumeric).take(MAX_POSTCODE);
    Ok(Zeroizing::new(code.map(|c| c.to_ascii_uppercase()).collect()))
}

/// The number itself: additions are written in too many ways.
pub(crate) fn house_number(raw: &str) -> Result<Zeroizing<String>, Rejection> {
    let text = ascii(raw)?;
    let digits = text.chars().skip_while(|c| !matches!(c, '1'..='9'));
    let digits = digits.take_while(char::is_ascii_digit).take(MAX_NUMBER);
    Ok(Zeroizing::new(digits.collect()))
}

/// Lower-case words with a letter each, and the first bare number among them.
pub(crate) fn words(raw: &str) -> Result<(Zeroizing<String>, Zeroizing<String>), Rejection> {
    let text = ascii(raw)?;
    let mut words = Zeroizing::new(String::new());
    let mut number = Zeroizing::new(String::new());
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
        if word.bytes().any(|byte| byte.is_ascii_alphabetic()) {
            if words.len() + word.len() >= MAX_WORDS {
                break;
            }
            if !words.is_empty() {
                words.push(' ');
            }
            words.extend(word.chars().map(|c| c.to_ascii_lowercase()));
        } else if number.is_empty() {
            number = house_number(word)?;
        }
    }
    Ok((words, number))
}

/// A street's own words, joined.
pub(crate) fn street(words: &str) -> String {
    let own = words.split(' ').filter(|word| !STREET_WORDS.contains(word));
    own.collect()
}
