//! Identifiers from numbers: made up, yet valid. Different numbers give different values.

use super::chance::Chance;

/// A telephone number: country code and the digits after it.
pub(crate) struct Phone {
    pub(crate) country: &'static str,
    pub(crate) national: String,
}

/// A calendar date.
#[derive(Clone, Copy)]
pub(crate) struct Date {
    pub(crate) year: u64,
    pub(crate) month: u64,
    pub(crate) day: u64,
}

/// Years 1955 to 2006, months of 28 days.
pub(crate) const BIRTH_DAYS: u64 = 52 * 12 * 28;

/// Consonants that Dutch plates use, without those of the forbidden combinations.
const PLATE_LETTERS: &[u8; 14] = b"BDFGHJLNPRTVXZ";
const PLATES_PER_FORM: u64 = 14 * 14 * 14 * 1000;
/// How many plates there are.
pub(crate) const PLATES: u64 = 4 * PLATES_PER_FORM;

/// The smallest power of ten that is not under `count`: small worlds get numbers with rows of zeros, plainly made up.
pub(crate) fn power_of_ten(count: u64) -> u64 {
    let mut power = 1;
    while power < count {
        power *= 10;
    }
    power
}

/// Day `day` of [`BIRTH_DAYS`].
pub(crate) fn birth_date(day: u64) -> Date {
    Date {
        year: 1955 + day / (12 * 28),
        month: day / 28 % 12 + 1,
        day: day % 28 + 1,
    }
}

/// A mobile number with `number` as its last seven digits; the ranges are those that libphonenumber takes for mobile.
pub(crate) fn phone(number: u64, chance: &mut Chance) -> Phone {
    let (country, prefix) = match chance.below(20) {
        0 => ("32", "47"),
        1 => ("49", "1511"),
        2 => ("48", "51"),
        3 => ("84", *chance.pick(&["32", "33", "34", "35", "36", "37", "38", "39"])),
        _ => ("31", *chance.pick(&["61", "62", "63", "64", "65", "68"])),
    };
    Phone {
        country,
        national: format!("{prefix}{number:07}"),
    }
}

/// An account at a bank that does not exist, with right check digits.
pub(crate) fn iban(number: u64, chance: &mut Chance) -> String {
    let (country, account) = match chance.below(10) {
        0 => {
            let domestic = 9_990_000_000 + number;
            let check = match domestic % 97 {
                0 => 97,
                rest => rest,
            };
            ("BE", format!("{domestic}{check:02}"))
        }
        1 => ("DE", format!("99999999{number:010}")),
        _ => ("NL", format!("{}{number:010}", chance.pick(&["DEMO", "FICT", "SHAM"]))),
    };
    let check = 98 - mod_97(&format!("{account}{country}00"));
    format!("{country}{check:02}{account}")
}

/// ISO 7064 MOD 97-10, letters as 10 to 35.
fn mod_97(text: &str) -> u64 {
    text.chars().filter_map(|c| c.to_digit(36)).fold(0, |rest, value| {
        let shift = if value > 9 { 100 } else { 10 };
        (rest * shift + u64::from(value)) % 97
    })
}

/// A Dutch plate of the forms (sidecodes) 7 to 10.
pub(crate) fn plate(number: u64) -> [String; 3] {
    let (form, rest) = (number / PLATES_PER_FORM, number % PLATES_PER_FORM);
    let digits = format!("{:03}", rest % 1000);
    let letter = |place: u64| char::from(PLATE_LETTERS[(rest / 1000 / place % 14) as usize]);
    let letters: String = [letter(196), letter(14), letter(1)].iter().collect();
    let (d, l) = (digits.as_str(), letters.as_str());
    let groups = match form {
        0 => [&d[..2], l, &d[2..]],
        1 => [&d[..1], l, &d[1..]],
        2 => [&l[..2], d, &l[2..]],
        _ => [&l[..1], d, &l[1..]],
    };
    groups.map(str::to_owned)
}

/// A document number of nine characters that ends in a letter, so that its last one cannot be taken for a check digit.
pub(crate) fn document(number: u64, chance: &mut Chance) -> String {
    let series = char::from(b'A' + (number / 1_000_000) as u8);
    let last = char::from(*chance.pick(PLATE_LETTERS));
    format!("X{series}{:06}{last}", number % 1_000_000)
}

/// A citizen service number that passes the eleven test, from the top of the range like the usual test numbers.
pub(crate) fn bsn(number: u64, block: u64) -> String {
    let prefix = 9_000_000 + (1_000_000 - block) + number / 9;
    // of ten eighth digits at most one needs a check digit of 10: nine are always left
    let mut usable = (0..10)
        .map(|digit| prefix * 10 + digit)
        .filter(|eight| eleven_rest(*eight) < 10);
    // Unwrap safety: nine items at least, and the index is under 9
    #[allow(clippy::expect_used, reason = "the filter leaves nine items at least")]
    let eight = usable.nth((number % 9) as usize).expect("nine usable digits");
    format!("{eight}{}", eleven_rest(eight))
}

/// The digits of an eight-digit number times 9, 8 .. 2, modulo 11: what the ninth digit has to be.
fn eleven_rest(eight: u64) -> u64 {
    (2..10)
        .fold((0, eight), |(sum, rest), weight| (sum + rest % 10 * weight, rest / 10))
        .0
        % 11
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn known_check_digits() {
        assert_eq!(mod_97("ABNA0417164300NL91"), 1);
        assert_eq!(eleven_rest(11_122_233), 3);
    }

    #[test]
    fn ibans_pass_mod_97() {
        let mut chance = Chance::of(1, &[]);
        for number in 0..5000 {
            let iban = iban(number * 1999, &mut chance);
            let length = if iban.starts_with("NL") {
                18
            } else if iban.starts_with("DE") {
                22
            } else {
                16
            };
            assert_eq!(iban.len(), length, "{iban}");
            assert_eq!(mod_97(&format!("{}{}", &iban[4..], &iban[..4])), 1, "{iban}");
        }
    }

    #[test]
    fn bsns_pass_the_eleven_test() {
        for number in 0..9000 {
            let bsn = bsn(number, 1000);
            let digits = bsn.chars().map(|c| i64::from(c.to_digit(10).unwrap()));
            assert_eq!(bsn.len(), 9);
            assert_eq!(
                digits
                    .zip([9, 8, 7, 6, 5, 4, 3, 2, -1])
                    .map(|(d, w)| d * w)
                    .sum::<i64>()
                    % 11,
                0,
                "{bsn}"
            );
        }
    }

    #[test]
    fn plates_cover_their_forms() {
        assert_eq!(plate(0), ["00", "BBB", "0"]);
        assert_eq!(plate(PLATES - 1), ["Z", "999", "ZZ"]);
        assert_eq!(plate(PLATES_PER_FORM * 2 + 1234).concat().len(), 6);
    }
}
