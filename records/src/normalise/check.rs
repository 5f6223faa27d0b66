//! Check digits that several kinds share.

/// Luhn, ISO/IEC 7812-1 annex B: the last digit makes the sum a multiple of ten.
pub(crate) fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit * 2) {
            (0, _) => *digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// ISO 7064 mod 11,10: the last digit is the check digit.
pub(crate) fn mod_11_10(digits: &[u32]) -> bool {
    let Some((check, digits)) = digits.split_last() else {
        return false;
    };
    let product = digits.iter().fold(10, |product, digit| match (product + digit) % 10 {
        0 => 9, // 10 * 2 % 11
        sum => sum * 2 % 11,
    });
    (11 - product) % 10 == *check
}

/// The sum of digits times weights.
pub(crate) fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// The number that the digits write.
pub(crate) fn value(digits: &[u32]) -> u64 {
    digits.iter().fold(0, |value, digit| value * 10 + u64::from(*digit))
}

/// Exactly `N` digits.
pub(crate) fn digits<const N: usize>(text: &str) -> Option<[u32; N]> {
    let mut digits = [0; N];
    if text.len() != N {
        return None;
    }
    for (digit, c) in digits.iter_mut().zip(text.chars()) {
        *digit = c.to_digit(10)?;
    }
    Some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers() {
        // ISO/IEC 7812-1 and ISO 7064 examples
        assert!(luhn(&digits::<11>("79927398713").unwrap()));
        assert!(!luhn(&digits::<11>("79927398710").unwrap()));
        assert!(mod_11_10(&digits::<5>("07945").unwrap()));
        assert!(!mod_11_10(&digits::<5>("07946").unwrap()));
        assert!(digits::<3>("12").is_none() && digits::<3>("1a3").is_none() && digits::<2>("é").is_none());
        assert_eq!(value(&[1, 2, 3]), 123);
    }
}
