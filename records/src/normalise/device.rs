//! Mobile devices and SIM cards, 3GPP TS 23.003.

use zeroize::Zeroizing;

use super::check::luhn;
use super::text::ascii;
use crate::rejection::Rejection;

/// First fourteen digits that many cloned or unprogrammed devices share, or that are typed to fill a form.
pub(crate) const SHARED_IMEIS: &[&str] = &[
    "00000000000000",
    "00499901064000",
    "01234567890123",
    "12345678901234",
    "35000000000000",
    "99999999999999",
];

/// `49-015420-323751-8` -> `49015420323751`: type allocation code and serial number, TS 23.003 section 6.2.
///
/// Fifteen digits end in a Luhn check digit, or in 0 where they come from a network, which sends 0 in its place (section 6.2.1).
/// Sixteen (IMEISV) end in a software version.
///
/// # Errors
///
/// - [`Rejection::ImeiNotValid`]: not 14 to 16 digits.
/// - [`Rejection::ImeiCheckDigit`].
/// - [`Rejection::Placeholder`]: a number of [`SHARED_IMEIS`].
pub(crate) fn imei(raw: &str) -> Result<Zeroizing<String>, Rejection> {
    let mut number = labelled(raw, &["IMEISV", "IMEI"]).ok_or(Rejection::ImeiNotValid)?;
    match number.len() {
        14 | 16 => {}
        15 if number.ends_with('0') => {}
        15 => {
            let mut digits = [0; 15];
            digits
                .iter_mut()
                .zip(number.bytes())
                .for_each(|(digit, byte)| *digit = u32::from(byte - b'0'));
            if !luhn(&digits) {
                return Err(Rejection::ImeiCheckDigit);
            }
        }
        _ => return Err(Rejection::ImeiNotValid),
    }
    number.truncate(14);
    let has_one_digit = number.bytes().zip(number.bytes().skip(1)).all(|(a, b)| a == b);
    if has_one_digit || number.starts_with("00000000") || SHARED_IMEIS.contains(&number.as_str()) {
        return Err(Rejection::Placeholder);
    }
    Ok(number)
}

/// `204 08 1234567890` -> `204081234567890`: mobile country code, network and subscriber, ITU-T E.212.
///
/// # Errors
///
/// - [`Rejection::ImsiNotValid`]: not 14 or 15 digits, or no mobile country code: 2xx to 7xx, 901 and 902.
/// - [`Rejection::Placeholder`]: one digit all through after the country code.
pub(crate) fn imsi(raw: &str) -> Result<Zeroizing<String>, Rejection> {
    let number = labelled(raw, &["IMSI"]).ok_or(Rejection::ImsiNotValid)?;
    let (country, rest) = number.split_at_checked(3).ok_or(Rejection::ImsiNotValid)?;
    let is_country = matches!(country.as_bytes().first(), Some(b'2'..=b'7')) || matches!(country, "901" | "902");
    if !matches!(number.len(), 14 | 15) || !is_country {
        return Err(Rejection::ImsiNotValid);
    }
    if rest.bytes().zip(rest.bytes().skip(1)).all(|(a, b)| a == b) {
        return Err(Rejection::Placeholder);
    }
    Ok(number)
}

/// The digits after a label and between separators; none if anything else is there.
fn labelled(raw: &str, labels: &[&str]) -> Option<Zeroizing<String>> {
    let mut text = ascii(raw).ok()?;
    text.make_ascii_uppercase();
    let label = labels.iter().find_map(|label| text.strip_prefix(label));
    let (text, is_labelled) = (label.unwrap_or(&text), label.is_some());
    // IMEI1 and IMEI2 are those of a phone with two SIM cards
    let marks = [':', ' ', '.'];
    let text = text.trim_start_matches(marks);
    let text = text
        .strip_prefix(['1', '2'])
        .filter(|rest| is_labelled && rest.starts_with(marks))
        .unwrap_or(text)
        .trim_start_matches(marks);
    let mut number = Zeroizing::new(String::with_capacity(16));
    for c in text.chars() {
        match c {
            '0'..='9' if number.len() < 16 => number.push(c),
            ' ' | '-' | '.' | '/' => {}
            _ => return None,
        }
    }
    Some(number)
}
