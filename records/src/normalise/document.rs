//! Travel and identity document numbers, ICAO Doc 9303.

use zeroize::Zeroizing;

use super::text::alphanumeric;
use crate::rejection::Rejection;

/// Weights of the check digit, ICAO Doc 9303 part 3, section 4.9.
const WEIGHTS: [u32; 3] = [7, 3, 1];

/// `L898902C36` -> `L898902C3`.
///
/// Ten characters with a valid check digit at the end are nine and a check digit, copied from the machine-readable zone. One in
/// ten other numbers of ten characters loses its last digit by that rule, at both agencies alike.
///
/// The issuing state is not part of the canonical form at this version: it is often missing, and written as NLD, NL or
/// "Nederlandse", so that the same document would not match itself. The price is a rare false hit between two states' numbers.
///
/// # Errors
///
/// - [`Rejection::DocumentNotValid`]: fewer than 5 or more than 24 letters and digits, or no digit.
/// - [`Rejection::Placeholder`], [`Rejection::SeveralValues`].
pub(crate) fn document(raw: &str) -> Result<Zeroizing<String>, Rejection> {
    let mut number = alphanumeric(raw)?;
    if number.len() == 10 && has_check_digit(&number) {
        number.truncate(9);
    }
    if !(5..=24).contains(&number.len()) || !number.bytes().any(|b| b.is_ascii_digit()) {
        return Err(Rejection::DocumentNotValid);
    }
    // what is left of 0000000000 without its check digit is still a filler
    let number = alphanumeric(&number)?;
    Ok(number)
}

/// Whether the last character is the check digit of those before it.
fn has_check_digit(number: &str) -> bool {
    let mut characters = number.chars();
    let Some(check) = characters.next_back().and_then(|c| c.to_digit(10)) else {
        return false;
    };
    // digits count as themselves, A to Z as 10 to 35
    let sum: u32 = characters
        .zip(WEIGHTS.into_iter().cycle())
        .map(|(c, weight)| c.to_digit(36).unwrap_or(0) * weight)
        .sum();
    sum % 10 == check
}
