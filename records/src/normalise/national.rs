//! National personal numbers of other states than the Netherlands.

use zeroize::Zeroizing;

use super::check::{digits, luhn, mod_11_10, value, weighted};
use super::text::{alphanumeric, ascii, with_country};
use crate::region::Region;
use crate::rejection::Rejection;

/// Whether a number of the right shape has the check digits that it should.
type Checked = Result<bool, Rejection>;

/// `44051401359` in PL -> `PL:44051401359`.
///
/// Letters and digits as the country writes them, without separators; only Finland's sign between date and serial number stays, since
/// it tells the century. Countries that are not in [`check`] are held to a form alone: 5 to 20 letters and digits.
///
/// # Errors
///
/// - [`Rejection::NationalUseBsn`]: the country is the Netherlands.
/// - [`Rejection::NationalNotValid`]: not the country's form.
/// - [`Rejection::NationalCheckDigits`].
/// - [`Rejection::CountryUnknown`], [`Rejection::Placeholder`], [`Rejection::SeveralValues`].
pub(crate) fn national(raw: &str, region: Region) -> Result<Zeroizing<String>, Rejection> {
    let (region, text) = with_country(raw, region)?;
    if region == Region::NL {
        return Err(Rejection::NationalUseBsn);
    }
    let mut number = alphanumeric(text)?;
    if region.as_str() == "FI" {
        number = with_century(text, &number)?;
    }
    if check(region.as_str(), &mut number)? {
        Ok(Zeroizing::new(format!("{region}:{}", *number)))
    } else {
        Err(Rejection::NationalCheckDigits)
    }
}

/// Each country's rule. It may bring the number into its one form: lost zeros, parts that are not always written.
fn check(country: &str, number: &mut String) -> Checked {
    match country {
        "AT" => austria(number),
        "BA" | "ME" | "MK" | "RS" | "SI" => jmbg(number),
        "BE" => belgium(number),
        "BG" => padded(number).map(|d: [u32; 10]| weighted(&d[..9], &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10 == d[9]),
        "CH" => exactly(number).map(|d: [u32; 13]| {
            value(&d[..3]) == 756 && weighted(&d, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
        }),
        "CZ" | "SK" => birth_number(number),
        "DE" => germany(number),
        "DK" => denmark(number),
        "EE" | "LT" => baltic(number),
        "ES" => spain(number),
        "FI" => finland(number),
        "FR" => france(number),
        "GB" => united_kingdom(number),
        "HR" => padded(number).map(|d: [u32; 11]| mod_11_10(&d)),
        "IE" => ireland(number),
        "IT" => italy(number),
        "LV" => latvia(number),
        "NO" => padded(number).map(|d: [u32; 11]| {
            weighted(&d, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]).is_multiple_of(11)
                && weighted(&d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
        }),
        "PL" => padded(number).map(|d: [u32; 11]| weighted(&d, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)),
        "PT" => exactly(number).map(|d: [u32; 9]| match weighted(&d, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11 {
            0 | 1 => d[8] == 0,
            remainder => d[8] == 11 - remainder,
        }),
        "RO" => exactly(number).map(|d: [u32; 13]| {
            let sum = weighted(&d, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
            d[0] != 0 && d[12] == if sum == 10 { 1 } else { sum }
        }),
        "SE" => sweden(number),
        "TR" => turkey(number),
        "UA" => padded(number).map(|d: [u32; 10]| {
            // the first weight is -1, which is 10 modulo 11
            weighted(&d, &[10, 5, 7, 9, 4, 6, 10, 5, 7]) % 11 % 10 == d[9]
        }),
        _ if (5..=20).contains(&number.len()) => Ok(true),
        _ => Err(Rejection::NationalNotValid),
    }
}

/// Whether [`check`] verifies more than the form of such a number.
pub(crate) fn has_check_digits(country: &str, number: &str) -> bool {
    match country {
        "DK" | "GB" => false,
        "CZ" | "SK" => number.len() == 10,
        "LV" => !number.starts_with("32"),
        _ => CHECKED.contains(&country),
    }
}

/// Countries that [`check`] knows.
const CHECKED: &[&str] = &[
    "AT", "BA", "BE", "BG", "CH", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "HR", "IE", "IT", "LT", "LV", "ME",
    "MK", "NO", "PL", "PT", "RO", "RS", "SE", "SI", "SK", "TR", "UA",
];

/// Exactly so many digits.
fn exactly<const N: usize>(number: &str) -> Result<[u32; N], Rejection> {
    digits(number).ok_or(Rejection::NationalNotValid)
}

/// So many digits, or one fewer: a spreadsheet dropped the zero in front.
fn padded<const N: usize>(number: &mut String) -> Result<[u32; N], Rejection> {
    if number.len() + 1 == N {
        number.insert(0, '0');
    }
    exactly(number)
}

/// Whether the calendar has such a day, in a leap year at least.
fn is_day(day: u64, month: u64) -> bool {
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 29,
        _ => return false,
    };
    (1..=last).contains(&day)
}

/// Social insurance number: the fourth digit checks the others.
fn austria(number: &str) -> Checked {
    exactly(number).map(|d: [u32; 10]| d[0] != 0 && weighted(&d, &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6]) % 11 == d[3])
}

/// JMBG, EMŠO: the states that were Yugoslavia.
fn jmbg(number: &mut String) -> Checked {
    padded(number).map(|d: [u32; 13]| {
        let sum = weighted(&d, &[7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
        is_day(value(&d[..2]), value(&d[2..4])) && (11 - sum) % 11 % 10 == d[12]
    })
}

/// Rijksregisternummer and BIS number: 97 minus the rest modulo 97, with a 2 in front for those born from 2000 on.
fn belgium(number: &mut String) -> Checked {
    padded(number).map(|d: [u32; 11]| {
        let (body, check) = (value(&d[..9]), value(&d[9..]));
        [body, body + 2_000_000_000].iter().any(|body| 97 - body % 97 == check)
    })
}

/// Rodné číslo: nine digits until 1953, without a check digit; then ten, divisible by eleven (or 10 as rest and 0 as last digit).
fn birth_number(number: &str) -> Checked {
    let has_month = |d: &[u32]| matches!(value(d), 1..=12 | 21..=32 | 51..=62 | 71..=82);
    if number.len() == 9 {
        return exactly(number).map(|d: [u32; 9]| has_month(&d[2..4]));
    }
    exactly(number).map(|d: [u32; 10]| has_month(&d[2..4]) && value(&d[..9]) % 11 % 10 == u64::from(d[9]))
}

/// Steuer-Identifikationsnummer, ISO 7064 mod 11,10: among the first ten digits one comes two or three times, the others once at most.
fn germany(number: &str) -> Checked {
    exactly(number).map(|d: [u32; 11]| {
        let counts: [usize; 10] = std::array::from_fn(|digit| d[..10].iter().filter(|d| **d as usize == digit).count());
        let repeated = counts.iter().filter(|count| **count > 1).count();
        d[0] != 0 && repeated == 1 && counts.iter().all(|count| *count <= 3) && mod_11_10(&d)
    })
}

/// CPR number. Since 2007 numbers are given out that fail the old modulo 11 test, so only the day is checked; replacement numbers have
/// 60 added to it.
fn denmark(number: &mut String) -> Checked {
    padded(number).map(|d: [u32; 10]| is_day(value(&d[..2]) % 60, value(&d[2..4])))
}

/// Isikukood, asmens kodas: a second set of weights where the first gives ten.
fn baltic(number: &str) -> Checked {
    exactly(number).map(|d: [u32; 11]| {
        let check = match weighted(&d, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11 {
            10 => weighted(&d, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11 % 10,
            first => first,
        };
        check == d[10]
    })
}

/// DNI and NIE: a letter for the number modulo 23; X, Y and Z in front of a foreigner's are 0, 1 and 2.
fn spain(number: &mut String) -> Checked {
    if number.len() == 8 && number.starts_with(|c: char| c.is_ascii_digit()) {
        number.insert(0, '0');
    }
    let (body, letter) = number.split_at_checked(8).ok_or(Rejection::NationalNotValid)?;
    let mut plain = Zeroizing::new(body.to_owned());
    for (letter, digit) in [("X", "0"), ("Y", "1"), ("Z", "2")] {
        if body.starts_with(letter) {
            plain.replace_range(..1, digit);
        }
    }
    let digits: [u32; 8] = exactly(&plain)?;
    Ok(letter.len() == 1 && letter.chars().next() == nth_letter("TRWAGMYFPDXBNJZSQVHLCKE", value(&digits) % 23))
}

fn nth_letter(letters: &str, at: u64) -> Option<char> {
    letters.chars().nth(usize::try_from(at).ok()?)
}

/// Puts the sign for the century back between date and serial number: `131052-308T`.
fn with_century(text: &str, number: &str) -> Result<Zeroizing<String>, Rejection> {
    let text = ascii(text)?;
    let sign = text.trim().chars().nth(6).map(|c| c.to_ascii_uppercase());
    match (sign, number.split_at_checked(6)) {
        (Some(sign @ ('-' | '+')), Some((date, serial))) => Ok(Zeroizing::new(format!("{date}{sign}{serial}"))),
        (Some('A'..='F' | 'U'..='Y'), Some(_)) => Ok(Zeroizing::new(number.to_owned())),
        _ => Err(Rejection::NationalNotValid),
    }
}

/// Henkilötunnus: the last character stands for date and serial number modulo 31.
fn finland(number: &str) -> Checked {
    let parts = (number.get(..6), number.get(7..10), number.get(10..));
    let (Some(date), Some(serial), Some(check)) = parts else {
        return Err(Rejection::NationalNotValid);
    };
    let (date, serial): ([u32; 6], [u32; 3]) = (exactly(date)?, exactly(serial)?);
    let letter = nth_letter(
        "0123456789ABCDEFHJKLMNPRSTUVWXY",
        (value(&date) * 1000 + value(&serial)) % 31,
    );
    Ok(check.len() == 1 && check.chars().next() == letter && is_day(value(&date[..2]), value(&date[2..4])))
}

/// NIR with its key: 97 minus the rest modulo 97; Corsica's departments 2A and 2B count as 19 and 18.
fn france(number: &str) -> Checked {
    let mut plain = Zeroizing::new(number.to_owned());
    for (letters, digits) in [("2A", "19"), ("2B", "18")] {
        if plain.get(5..7) == Some(letters) {
            plain.replace_range(5..7, digits);
        }
    }
    exactly(&plain).map(|d: [u32; 15]| d[0] != 0 && 97 - value(&d[..13]) % 97 == value(&d[13..]))
}

/// National Insurance number: form alone. The letter at the end says nothing about the person and is often left out: dropped.
fn united_kingdom(number: &mut String) -> Checked {
    let (letters, rest) = number.split_at_checked(2).ok_or(Rejection::NationalNotValid)?;
    let (serial, suffix) = rest.split_at_checked(6).ok_or(Rejection::NationalNotValid)?;
    let is_prefix = letters
        .bytes()
        .all(|b| b.is_ascii_uppercase() && !b"DFIQUV".contains(&b))
        && !letters.ends_with('O')
        && !matches!(letters, "BG" | "GB" | "NK" | "KN" | "TN" | "NT" | "ZZ");
    let is_form = serial.bytes().all(|b| b.is_ascii_digit()) && matches!(suffix, "" | "A" | "B" | "C" | "D");
    if !is_prefix || !is_form {
        return Err(Rejection::NationalNotValid);
    }
    number.truncate(8);
    Ok(true)
}

/// PPS number: a letter for the weighted sum modulo 23, W for none; a second letter counts nine times.
fn ireland(number: &str) -> Checked {
    let (body, letters) = number.split_at_checked(7).ok_or(Rejection::NationalNotValid)?;
    let body: [u32; 7] = exactly(body)?;
    let mut letters = letters.bytes();
    let (check, second, None) = (letters.next(), letters.next(), letters.next()) else {
        return Err(Rejection::NationalNotValid);
    };
    let second = match second {
        None | Some(b'W') => 0,
        Some(letter @ b'A'..=b'I') => u32::from(letter - b'A') + 1,
        Some(_) => return Err(Rejection::NationalNotValid),
    };
    let sum = (weighted(&body, &[8, 7, 6, 5, 4, 3, 2]) + 9 * second) % 23;
    Ok(check.map(char::from) == nth_letter("WABCDEFGHIJKLMNOPQRSTUV", u64::from(sum)))
}

/// What a character in an odd place of a codice fiscale counts, Decreto ministeriale 23/12/1976: 0 to 9, and A to Z.
const ITALY_ODD_DIGITS: [u32; 10] = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21];
const ITALY_ODD_LETTERS: [u32; 26] = [
    1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
];

/// Codice fiscale: letters may stand for digits where two people would share one, so only the check letter is verified.
fn italy(number: &str) -> Checked {
    if number.len() != 16 || !number.bytes().take(6).all(|b| b.is_ascii_uppercase()) {
        return Err(Rejection::NationalNotValid);
    }
    let worth = |(at, c): (usize, char)| match (at % 2, c.to_digit(10)) {
        (0, Some(digit)) => ITALY_ODD_DIGITS.get(digit as usize).copied().unwrap_or(0),
        (0, None) => ITALY_ODD_LETTERS.get(c as usize - 'A' as usize).copied().unwrap_or(0),
        (_, Some(digit)) => digit,
        (_, None) => c as u32 - 'A' as u32,
    };
    let sum: u32 = number.chars().take(15).enumerate().map(worth).sum();
    Ok(number.chars().last() == nth_letter("ABCDEFGHIJKLMNOPQRSTUVWXYZ", u64::from(sum % 26)))
}

/// Personas kods: numbers since 2017 start with 32 and have no known check digit.
fn latvia(number: &mut String) -> Checked {
    padded(number).map(|d: [u32; 11]| {
        value(&d[..2]) == 32 || (1 + weighted(&d, &[10, 5, 8, 4, 2, 1, 6, 3, 7, 9])) % 11 % 10 == d[10]
    })
}

/// Personnummer: ten digits with Luhn. The century, where it is written, is dropped: most files do not have it.
fn sweden(number: &mut String) -> Checked {
    if number.len() == 12 && (number.starts_with("18") || number.starts_with("19") || number.starts_with("20")) {
        number.replace_range(..2, "");
    }
    exactly(number).map(|d: [u32; 10]| luhn(&d))
}

/// T.C. kimlik numarası: two check digits.
fn turkey(number: &str) -> Checked {
    exactly(number).map(|d: [u32; 11]| {
        let odd = weighted(&d, &[1, 0, 1, 0, 1, 0, 1, 0, 1]);
        let even = weighted(&d, &[0, 1, 0, 1, 0, 1, 0, 1, 0]);
        // minus even is plus nine times even, modulo ten
        d[0] != 0 && (7 * odd + 9 * even) % 10 == d[9] && (odd + even + d[9]) % 10 == d[10]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_checked_countries_is_true() {
        // no country's own rule takes letters alone, and the common form does
        let letters = "A".repeat(12);
        for country in ["AF", "HU", "MD", "VN"].iter().chain(CHECKED) {
            let is_known = CHECKED.contains(country);
            assert_eq!(check(country, &mut letters.clone()).is_err(), is_known, "{country}");
        }
    }
}
