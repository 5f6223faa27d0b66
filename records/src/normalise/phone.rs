//! Telephone numbers, ITU-T E.164.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat};
use zeroize::Zeroizing;

use super::text::ascii;
use crate::region::Region;
use crate::rejection::Rejection;

// rlibphonenumber prints whole numbers with `log::trace!`; a build in which those calls exist must not compile.
const _: () = assert!(log::STATIC_MAX_LEVEL as usize <= log::LevelFilter::Debug as usize);

/// Words after which an extension follows; everything from there on is dropped.
const EXTENSIONS: &[&str] = &[
    "toestel",
    "tstnr",
    "tst",
    "extension",
    "ext",
    "doorkiesnr",
    "doorkies",
    "durchwahl",
    "poste",
    "x",
];

/// Mobile prefixes that Viet Nam renumbered in 2018 (decision 798/QD-BTTTT): old after +84, new after +84.
pub(crate) const VIETNAM_2018: &[(&str, &str)] = &[
    ("120", "70"),
    ("121", "79"),
    ("122", "77"),
    ("123", "83"),
    ("124", "84"),
    ("125", "85"),
    ("126", "76"),
    ("127", "81"),
    ("128", "78"),
    ("129", "82"),
    ("162", "32"),
    ("163", "33"),
    ("164", "34"),
    ("165", "35"),
    ("166", "36"),
    ("167", "37"),
    ("168", "38"),
    ("169", "39"),
    ("186", "56"),
    ("188", "58"),
    ("199", "59"),
];

/// `06-12345678` in NL, `+31 (0)6 12345678`, `wa.me/31612345678` -> `+31612345678`.
///
/// # Errors
///
/// - [`Rejection::PhoneNotValid`]: letters, a short number such as 112, or no number of its country.
/// - [`Rejection::SeveralValues`]: a list separator between two numbers.
pub(crate) fn phone(raw: &str, region: Region) -> Result<Zeroizing<String>, Rejection> {
    let mut text = ascii(raw)?;
    text.make_ascii_lowercase();
    let number = diallable(&text)?;
    let e164 = e164(&number, region)?;
    match renumbered(&e164) {
        Some(new) => self::e164(&new, region),
        None => Ok(e164),
    }
}

/// Digits, with a `+` in front where the country code is given.
fn diallable(text: &str) -> Result<Zeroizing<String>, Rejection> {
    let (text, international) = without_scheme(text.trim());
    let text = without_extension(text);
    if text.contains([',', ';', '|', '\n', '\r']) {
        return Err(Rejection::SeveralValues);
    }
    let text = text.trim_start_matches(['(', ' ']);
    let mut number = Zeroizing::new(String::with_capacity(text.len() + 1));
    let text = match text.strip_prefix('+') {
        Some(rest) => {
            number.push('+');
            rest
        }
        None => {
            if international {
                number.push('+');
            }
            text
        }
    };
    // the trunk zero in "+31 (0)6" is for callers inside the country
    let is_international = !number.is_empty() || text.starts_with("00");
    let trunk = if is_international { text.find("(0)") } else { None };
    for (at, c) in text.char_indices() {
        match c {
            '0' if trunk.is_some_and(|trunk| at == trunk + 1) => {}
            '0'..='9' => number.push(c),
            ' ' | '-' | '.' | '/' | '(' | ')' | '~' | '_' | '\t' => {}
            _ => return Err(Rejection::PhoneNotValid),
        }
    }
    Ok(number)
}

/// The text without link and extension, and whether it starts with the country code whatever it looks like.
pub(crate) fn number_part(text: &str) -> (Zeroizing<String>, bool) {
    let lower = Zeroizing::new(text.to_ascii_lowercase());
    let (number, international) = without_scheme(lower.trim());
    (Zeroizing::new(without_extension(number).to_owned()), international)
}

/// Drops `tel:` and WhatsApp link forms; true if what follows starts with the country code.
fn without_scheme(text: &str) -> (&str, bool) {
    let text = text.strip_prefix("tel:").unwrap_or(text);
    let link = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .unwrap_or(text);
    match link.strip_prefix("wa.me/") {
        Some(rest) => (rest.split(['?', '/']).next().unwrap_or(rest), true),
        None => (text, false),
    }
}

fn without_extension(text: &str) -> &str {
    let cut = text
        .find(|c: char| c.is_ascii_alphabetic() || c == '#')
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(cut);
    let word = rest.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or(rest);
    if rest.starts_with('#') || EXTENSIONS.contains(&word) {
        number.trim_end_matches([' ', ',', ';', '-', '(', '.', '/'])
    } else {
        text
    }
}

fn e164(number: &str, region: Region) -> Result<Zeroizing<String>, Rejection> {
    // a country without telephone numbers of its own still reads numbers that carry a country code
    let region = region.as_str().parse().ok();
    let parsed = PHONE_NUMBER_UTIL
        .parse(number, region)
        .map_err(|_| Rejection::PhoneNotValid)?;
    let e164 = Zeroizing::new(PHONE_NUMBER_UTIL.format(&parsed, PhoneNumberFormat::E164).into_owned());
    if PHONE_NUMBER_UTIL.is_valid_number(&parsed) || renumbered(&e164).is_some() {
        Ok(e164)
    } else {
        Err(Rejection::PhoneNotValid)
    }
}

/// The number that replaced a Vietnamese mobile number of eleven digits.
fn renumbered(e164: &str) -> Option<Zeroizing<String>> {
    let national = e164.strip_prefix("+84").filter(|national| national.len() == 10)?;
    VIETNAM_2018.iter().find_map(|(old, new)| {
        national
            .strip_prefix(old)
            .map(|rest| Zeroizing::new(format!("+84{new}{rest}")))
    })
}
