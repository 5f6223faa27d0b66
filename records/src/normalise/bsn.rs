//! The Dutch citizen service number (burgerservicenummer).

use zeroize::Zeroizing;

use super::text::ascii;
use crate::rejection::Rejection;

/// Weights of the eleven test, Logisch Ontwerp BSN: the last digit counts negative.
const WEIGHTS: [i32; 9] = [9, 8, 7, 6, 5, 4, 3, 2, -1];

/// `1112.22.333` -> `111222333`; `12345672` -> `012345672`.
///
/// # Errors
///
/// - [`Rejection::BsnNotDigits`], [`Rejection::BsnLength`], [`Rejection::BsnZero`].
/// - [`Rejection::BsnCheckDigits`]: the weighted sum is no multiple of eleven.
pub(crate) fn bsn(raw: &str) -> Result<Zeroizing<String>, Rejection> {
    let text = ascii(raw)?;
    let mut number = Zeroizing::new(String::with_capacity(9));
    for c in text.trim().chars() {
        match c {
            '0'..='9' if number.len() == 9 => return Err(Rejection::BsnLength),
            '0'..='9' => number.push(c),
            ' ' | '.' | '-' => {}
            _ => return Err(Rejection::BsnNotDigits),
        }
    }
    if number.len() == 8 {
        // spreadsheets drop the leading zero
        number.insert(0, '0');
    }
    if number.len() != 9 {
        return Err(Rejection::BsnLength);
    }
    if number.bytes().all(|b| b == b'0') {
        return Err(Rejection::BsnZero);
    }
    let sum: i32 = number
        .bytes()
        .zip(WEIGHTS)
        .map(|(digit, weight)| i32::from(digit - b'0') * weight)
        .sum();
    if sum % 11 != 0 {
        return Err(Rejection::BsnCheckDigits);
    }
    Ok(number)
}
