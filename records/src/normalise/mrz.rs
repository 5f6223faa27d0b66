//! Machine-readable zones of travel documents, ICAO Doc 9303 parts 3 to 7.

use std::fmt;
use std::ops::Range;

use jiff::civil::Date;
use zeroize::Zeroizing;

use super::document::issuer;
use super::text::ascii;
use crate::rejection::Rejection;

/// Weights of the check digit, ICAO Doc 9303 part 3 section 4.9.
const WEIGHTS: [u32; 3] = [7, 3, 1];

/// A line, and the characters in it.
type Place = (usize, Range<usize>);

/// Where the fields of one format stand.
struct Layout {
    width: usize,
    number: Place,
    optional: Place,
    /// The optional data's own check digit, which the smaller formats do not have.
    optional_check: Option<usize>,
    birth: Place,
    sex: Place,
    expiry: Place,
    nationality: Place,
    names: Place,
    /// What the last character checks, and where it stands.
    composite: (&'static [Place], Place),
}

/// Three lines of 30, part 5 section 4.2.
const TD1: Layout = Layout {
    width: 30,
    number: (0, 5..14),
    optional: (0, 15..30),
    optional_check: None,
    birth: (1, 0..6),
    sex: (1, 7..8),
    expiry: (1, 8..14),
    nationality: (1, 15..18),
    names: (2, 0..30),
    composite: (&[(0, 5..30), (1, 0..7), (1, 8..15), (1, 18..29)], (1, 29..30)),
};

/// Two lines of 36, part 6 section 4.2.
const TD2: Layout = Layout {
    width: 36,
    number: (1, 0..9),
    optional: (1, 28..35),
    optional_check: None,
    birth: (1, 13..19),
    sex: (1, 20..21),
    expiry: (1, 21..27),
    nationality: (1, 10..13),
    names: (0, 5..36),
    composite: (&[(1, 0..10), (1, 13..20), (1, 21..35)], (1, 35..36)),
};

/// Two lines of 44, part 4 section 4.2.
const TD3: Layout = Layout {
    width: 44,
    optional: (1, 28..42),
    optional_check: Some(42),
    names: (0, 5..44),
    composite: (&[(1, 0..10), (1, 13..20), (1, 21..43)], (1, 43..44)),
    ..TD2
};

/// What a machine-readable zone says, its check digits verified. `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Mrz {
    issuer: &'static str,
    number: Zeroizing<String>,
    nationality: Option<&'static str>,
    surname: Zeroizing<String>,
    given: Zeroizing<String>,
    born: Zeroizing<String>,
    sex: Option<char>,
}

impl Mrz {
    /// Reads the lines of an identity card (TD1, TD2), a passport (TD3) or a visa, run together or not, and verifies all check digits.
    ///
    /// # Errors
    ///
    /// - [`Rejection::MrzNotValid`]: not in one of the formats.
    /// - [`Rejection::MrzNumberCheckDigit`], [`Rejection::MrzBirthCheckDigit`], [`Rejection::MrzExpiryCheckDigit`],
    ///   [`Rejection::MrzOptionalCheckDigit`], [`Rejection::MrzCompositeCheckDigit`]: the first one that does not fit.
    /// - [`Rejection::CountryUnknown`]: an issuer that does not exist.
    pub fn parse(text: &str) -> Result<Self, Rejection> {
        let zone = Zone::new(text)?;
        let layout = zone.layout;
        let number = zone.number()?;
        let at = |(line, range): &Place| zone.field(*line, range.clone());
        let after = |(line, range): &Place| zone.field(*line, range.end..range.end + 1);
        if !fits(&[at(&layout.birth)], after(&layout.birth)) {
            return Err(Rejection::MrzBirthCheckDigit);
        }
        if !fits(&[at(&layout.expiry)], after(&layout.expiry)) {
            return Err(Rejection::MrzExpiryCheckDigit);
        }
        // visas (part 7) have neither of the two that follow
        if !zone.field(0, 0..1).starts_with('V') {
            if let Some(check) = layout.optional_check
                && !fits(&[at(&layout.optional)], zone.field(layout.optional.0, check..check + 1))
            {
                return Err(Rejection::MrzOptionalCheckDigit);
            }
            let (fields, check) = &layout.composite;
            let fields: Vec<&str> = fields.iter().map(at).collect();
            if !fits(&fields, at(check)) {
                return Err(Rejection::MrzCompositeCheckDigit);
            }
        }
        let (surname, given) = at(&layout.names).split_once("<<").unwrap_or((at(&layout.names), ""));
        Ok(Self {
            issuer: issuer(filled(zone.field(0, 2..5))).ok_or(Rejection::CountryUnknown)?,
            number,
            nationality: issuer(filled(at(&layout.nationality))),
            surname: name(surname),
            given: name(given),
            born: Zeroizing::new(at(&layout.birth).to_owned()),
            sex: at(&layout.sex).chars().next().filter(|c| matches!(c, 'F' | 'M')),
        })
    }

    /// Whether the text has the length and the fillers of a machine-readable zone.
    pub(crate) fn is_like(text: &str) -> bool {
        // scanners and word processors make one character of two fillers; hence the low bound
        text.len() >= 36
            && ascii(text).is_ok_and(|text| {
                let length = text.chars().filter(|c| !c.is_ascii_whitespace()).count();
                text.contains('<') && layout(length).is_some()
            })
    }

    /// Who issued the document: ISO 3166-1 alpha-2, or three letters for an organisation (`UNO`).
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.issuer
    }

    /// The document number: letters and digits.
    #[must_use]
    pub fn number(&self) -> &str {
        &self.number
    }

    /// The holder's nationality, as [`Mrz::issuer`]; none if the code is not known.
    #[must_use]
    pub fn nationality(&self) -> Option<&str> {
        self.nationality
    }

    /// The primary identifier, in capitals, with blanks between its parts.
    #[must_use]
    pub fn surname(&self) -> &str {
        &self.surname
    }

    /// The secondary identifier, in capitals, with blanks between its parts; empty if there is none.
    #[must_use]
    pub fn given(&self) -> &str {
        &self.given
    }

    /// The birth date. Two digits of the year are given: the latest such day that is not after `today` is meant, so that nobody is
    /// older than a hundred. None if any part of it is not known.
    #[must_use]
    pub fn birth_date(&self, today: Date) -> Option<Date> {
        let part = |range: Range<usize>| self.born.get(range)?.parse::<i8>().ok();
        let (year, month, day) = (part(0..2)?, part(2..4)?, part(4..6)?);
        let century = today.year() - today.year().rem_euclid(100);
        [century, century - 100]
            .into_iter()
            .filter_map(|century| Date::new(century + i16::from(year), month, day).ok())
            .find(|date| *date <= today)
    }

    /// `F` or `M`; none if the document does not say.
    #[must_use]
    pub fn sex(&self) -> Option<char> {
        self.sex
    }
}

impl fmt::Debug for Mrz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mrz").finish_non_exhaustive()
    }
}

/// The characters of all lines, run together.
struct Zone {
    text: Zeroizing<String>,
    layout: &'static Layout,
}

impl Zone {
    fn new(raw: &str) -> Result<Self, Rejection> {
        let mut text = ascii(raw)?;
        text.make_ascii_uppercase();
        text.retain(|c| !c.is_ascii_whitespace());
        let is_mrz = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'<';
        if !text.bytes().all(is_mrz) || !text.contains('<') {
            return Err(Rejection::MrzNotValid);
        }
        let layout = layout(text.len()).ok_or(Rejection::MrzNotValid)?;
        Ok(Self { text, layout })
    }

    /// Part of a line; the layouts stay within the text.
    fn field(&self, line: usize, range: Range<usize>) -> &str {
        let start = line * self.layout.width;
        self.text
            .get(start + range.start..start + range.end)
            .unwrap_or_default()
    }

    /// The document number. On cards a number longer than nine characters has a filler for check digit and goes on in the optional data,
    /// up to the next filler; its check digit comes last (part 5 section 4.2.2, part 6 section 4.2.2).
    fn number(&self) -> Result<Zeroizing<String>, Rejection> {
        let (line, range) = &self.layout.number;
        let first = self.field(*line, range.clone());
        let check = self.field(*line, range.end..range.end + 1);
        let (line, range) = &self.layout.optional;
        let more = self.field(*line, range.clone()).split('<').next().unwrap_or_default();
        let is_long = check == "<" && self.layout.optional_check.is_none() && !first.ends_with('<');
        let (rest, check) = match more.split_at_checked(more.len().saturating_sub(1)) {
            Some((rest, last)) if is_long => (rest, last),
            _ => ("", check),
        };
        let mut number = Zeroizing::new(String::with_capacity(first.len() + rest.len()));
        number.push_str(first);
        number.push_str(rest);
        if filled(&number).is_empty() || !fits(&[&number], check) {
            return Err(Rejection::MrzNumberCheckDigit);
        }
        number.retain(|c| c != '<');
        Ok(number)
    }
}

/// The format of a zone of so many characters.
fn layout(length: usize) -> Option<&'static Layout> {
    match length {
        90 => Some(&TD1),
        72 => Some(&TD2),
        88 => Some(&TD3),
        _ => None,
    }
}

/// Whether `check` is the check digit of the fields one after the other; of fillers alone it may be a filler too.
fn fits(fields: &[&str], check: &str) -> bool {
    match check.parse::<u32>() {
        Ok(digit) => check_digit(fields) == digit,
        Err(_) => check == "<" && fields.iter().all(|field| filled(field).is_empty()),
    }
}

/// The check digit, part 3 section 4.9: digits count as themselves, A to Z as 10 to 35, fillers as 0.
pub(crate) fn check_digit(fields: &[&str]) -> u32 {
    let sum: u32 = fields
        .iter()
        .flat_map(|field| field.chars())
        .zip(WEIGHTS.into_iter().cycle())
        .map(|(c, weight)| c.to_digit(36).unwrap_or(0) * weight)
        .sum();
    sum % 10
}

/// A field without the fillers at its end.
fn filled(field: &str) -> &str {
    field.trim_end_matches('<')
}

fn name(field: &str) -> Zeroizing<String> {
    let mut name = Zeroizing::new(String::with_capacity(field.len()));
    for part in field.split('<').filter(|part| !part.is_empty()) {
        if !name.is_empty() {
            name.push(' ');
        }
        name.push_str(part);
    }
    name
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    /// ICAO Doc 9303: part 4 appendix B, part 5 appendix B, part 6 appendix B.
    const PASSPORT: &str = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10";
    const CARD: &str = "I<UTOD231458907<<<<<<<<<<<<<<<\n7408122F1204159UTO<<<<<<<<<<<6\nERIKSSON<<ANNA<MARIA<<<<<<<<<<";
    const CARD_TD2: &str = "I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<\nD231458907UTO7408122F1204159<<<<<<<6";

    #[test]
    fn examples_of_the_standard() {
        let today = date(2026, 1, 1);
        for (text, number) in [(PASSPORT, "L898902C3"), (CARD, "D23145890"), (CARD_TD2, "D23145890")] {
            let mrz = Mrz::parse(text).unwrap();
            assert_eq!(
                (mrz.number(), mrz.issuer(), mrz.nationality()),
                (number, "UTO", Some("UTO"))
            );
            assert_eq!(
                (mrz.surname(), mrz.given(), mrz.sex()),
                ("ERIKSSON", "ANNA MARIA", Some('F'))
            );
            assert_eq!(mrz.birth_date(today), Some(date(1974, 8, 12)));
            let run_together = text.replace('\n', "").to_lowercase();
            assert_eq!(Mrz::parse(&run_together).unwrap(), mrz);
            assert_eq!(Mrz::parse(&text.replace("<<", "\u{ab}")).unwrap(), mrz);
            assert_eq!(format!("{mrz:?}"), "Mrz { .. }");
        }
    }

    #[test]
    fn long_numbers() {
        // the card's number of twelve characters: D23145890734, check digit 9
        let card = "I<UTOD23145890<7349<<<<<<<<<<<3407127M9507122UTO<<<<<<<<<<<2STEVENSON<<PETER<JOHN<<<<<<<<<";
        let mrz = Mrz::parse(card).unwrap();
        assert_eq!((mrz.number(), mrz.given()), ("D23145890734", "PETER JOHN"));
        assert_eq!(mrz.birth_date(date(2026, 1, 1)), Some(date(1934, 7, 12)));
        assert_eq!(mrz.birth_date(date(2034, 7, 12)), Some(date(2034, 7, 12)));
        let wrong = card.replace("<7349<", "<7348<");
        assert_eq!(Mrz::parse(&wrong), Err(Rejection::MrzNumberCheckDigit));
    }

    #[test]
    fn the_wrong_check_digit_is_named() {
        for (from, to, expected) in [
            ("L898902C36", "L898902C37", Rejection::MrzNumberCheckDigit),
            ("L898902C36", "L898902C<<", Rejection::MrzNumberCheckDigit),
            ("7408122", "7408112", Rejection::MrzBirthCheckDigit),
            ("1204159", "1204158", Rejection::MrzExpiryCheckDigit),
            ("ZE184226B<<<<<1", "ZE184226C<<<<<1", Rejection::MrzOptionalCheckDigit),
            ("<<<<<10", "<<<<<11", Rejection::MrzCompositeCheckDigit),
            ("P<UTO", "P<QQQ", Rejection::CountryUnknown),
            ("ANNA", "ANN\u{e4}\u{e4}", Rejection::MrzNotValid),
            ("ANNA", "ANN.", Rejection::MrzNotValid),
        ] {
            let text = PASSPORT.replace(from, to);
            assert_eq!(Mrz::parse(&text), Err(expected), "{from}");
        }
    }

    #[test]
    fn unknown_parts_of_a_birth_date() {
        let text = PASSPORT.replace("7408122F", "74<<<<8F");
        // 7*7 + 4*3 = 61; the last digit is over all
        let with = |digit: char| {
            text.replace("74<<<<8F", &format!("74<<<<{}F", 1))
                .replace("<<<<<10", &format!("<<<<<1{digit}"))
        };
        let mrz = ('0'..='9').find_map(|digit| Mrz::parse(&with(digit)).ok()).unwrap();
        assert_eq!(mrz.birth_date(date(2026, 1, 1)), None);
    }
}
