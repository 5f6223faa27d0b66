//! The spellings of one value that different systems use.

use super::chance::Chance;
use super::values::{Date, Phone};

pub(crate) fn phone_politie(phone: &Phone, chance: &mut Chance) -> String {
    let Phone { country, national } = phone;
    match (*country, chance.below(4)) {
        ("31", 0) => format!("06-{}", &national[1..]),
        ("31", 1) => format!("06 {}", in_groups(&national[1..], 2, " ")),
        ("31", 2) => format!("+31 (0)6 {}", &national[1..]),
        (country, 0 | 3) => format!("00{country}{national}"),
        (country, _) => format!("+{country} {national}"),
    }
}

pub(crate) fn phone_iszw(phone: &Phone, chance: &mut Chance) -> String {
    let Phone { country, national } = phone;
    match (*country, chance.below(3)) {
        ("31", 0) => format!("0{national}"),
        ("31", 1) => format!("06.{}", in_groups(&national[1..], 2, ".")),
        (country, _) => format!("+{country}{national}"),
    }
}

pub(crate) fn phone_emm(phone: &Phone, chance: &mut Chance) -> String {
    let Phone { country, national } = phone;
    if chance.percent(50) {
        format!("+{country}{national}")
    } else {
        format!("+{country}-{national}")
    }
}

pub(crate) fn phone_grouped(phone: &Phone) -> String {
    let (head, tail) = phone.national.split_at(phone.national.len() - 8);
    format!("+{} {head} {}", phone.country, in_groups(tail, 4, " "))
}

/// A document number in lower case, with a space after the series, or with the check digit of ICAO 9303 part 3 behind it.
pub(crate) fn document_spaced(document: &str, chance: &mut Chance) -> String {
    match chance.below(4) {
        0 => document.to_lowercase(),
        1 => format!("{} {}", &document[..2], &document[2..]),
        2 => format!("{document}{}", check_digit(document)),
        _ => document.to_owned(),
    }
}

fn check_digit(document: &str) -> u32 {
    document
        .chars()
        .filter_map(|c| c.to_digit(36))
        .zip([7, 3, 1].into_iter().cycle())
        .map(|(value, weight)| value * weight)
        .sum::<u32>()
        % 10
}

pub(crate) fn in_fours(text: &str, separator: &str) -> String {
    in_groups(text, 4, separator)
}

fn in_groups(text: &str, size: usize, separator: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    chars
        .chunks(size)
        .map(String::from_iter)
        .collect::<Vec<_>>()
        .join(separator)
}

/// Every word of an e-mail address with a capital.
pub(crate) fn capitals(email: &str) -> String {
    let mut start = true;
    email
        .chars()
        .map(|c| {
            let cased = if start { c.to_ascii_uppercase() } else { c };
            start = !c.is_alphanumeric();
            cased
        })
        .collect()
}

pub(crate) fn dmy(date: Date, separator: char) -> String {
    format!("{:02}{separator}{:02}{separator}{:04}", date.day, date.month, date.year)
}

pub(crate) fn ymd(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year, date.month, date.day)
}

pub(crate) fn quote(cell: &str, delimiter: &str, always: bool) -> String {
    if cell.contains(['"', '\n', '\r']) || cell.contains(delimiter) || (always && !cell.is_empty()) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_as_rfc_4180_has_it() {
        assert_eq!(quote("a;\"b\"", ";", false), "\"a;\"\"b\"\"\"");
        assert_eq!(quote("a,b", ";", false), "a,b");
        assert_eq!(quote("", ",", true), "");
    }

    #[test]
    fn check_digit_of_the_icao_specimen() {
        assert_eq!(check_digit("L898902C3"), 6);
    }

    #[test]
    fn phones_have_each_systems_spelling() {
        let phone = Phone {
            country: "31",
            national: "612345678".to_owned(),
        };
        let mut chance = Chance::of(1, &[]);
        let mut seen: Vec<String> = (0..100).map(|_| phone_politie(&phone, &mut chance)).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(
            seen,
            ["+31 (0)6 12345678", "0031612345678", "06 12 34 56 78", "06-12345678"]
        );
        assert_eq!(phone_grouped(&phone), "+31 6 1234 5678");
    }

    #[test]
    fn emails_and_accounts_are_respelled() {
        assert_eq!(capitals("jan.berg1@example.org"), "Jan.Berg1@Example.Org");
        assert_eq!(in_fours("NL91ABNA0417164300", " "), "NL91 ABNA 0417 1643 00");
    }
}
