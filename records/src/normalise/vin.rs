//! Vehicle identification numbers, ISO 3779.

use zeroize::Zeroizing;

use super::text::alphanumeric;
use crate::rejection::Rejection;

/// Weights of the 17 positions, 49 CFR 565.15(c); position 9 is the check digit itself.
const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];

/// `1M8 GDM9A XKP042788` -> `1M8GDM9AXKP042788`.
///
/// Only North America (first character 1 to 5) makes the check digit mandatory; elsewhere position 9 is the maker's own.
///
/// # Errors
///
/// - [`Rejection::VinNotValid`]: not 17 letters and digits, or an I, O or Q among them.
/// - [`Rejection::VinCheckDigit`].
/// - [`Rejection::Placeholder`], [`Rejection::SeveralValues`].
pub(crate) fn vin(raw: &str) -> Result<Zeroizing<String>, Rejection> {
    let number = alphanumeric(raw)?;
    if number.len() != 17 || number.contains(['I', 'O', 'Q']) {
        return Err(Rejection::VinNotValid);
    }
    if number.starts_with(['1', '2', '3', '4', '5']) && !has_check_digit(&number) {
        return Err(Rejection::VinCheckDigit);
    }
    Ok(number)
}

fn has_check_digit(number: &str) -> bool {
    let sum: u32 = number
        .bytes()
        .zip(WEIGHTS)
        .map(|(byte, weight)| worth(byte) * weight)
        .sum();
    let check = match sum % 11 {
        10 => Some('X'),
        remainder => char::from_digit(remainder, 10),
    };
    number.chars().nth(8) == check
}

/// Table III of 49 CFR 565.15(c): A to I are 1 to 9, J to R are 1 to 9, S to Z are 2 to 9.
fn worth(byte: u8) -> u32 {
    u32::from(match byte {
        b'0'..=b'9' => byte - b'0',
        b'A'..=b'I' => byte - b'A' + 1,
        b'J'..=b'R' => byte - b'J' + 1,
        b'S'..=b'Z' => byte - b'S' + 2,
        _ => 0,
    })
}
