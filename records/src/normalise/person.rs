//! Persons: names in any order and script, and a birth date.

use jiff::civil::Date;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::date::{DateOrder, parse_date};
use crate::identifier::MAX_RAW;
use crate::rejection::Rejection;

/// Words between names that agencies write, leave out or abbreviate as they like; `'t` has lost its apostrophe by then.
pub(crate) const PARTICLES: &[&str] = &[
    "aan", "af", "al", "am", "an", "auf", "av", "bij", "bin", "bint", "d", "da", "das", "de", "degli", "dei", "del",
    "della", "dello", "dem", "den", "der", "des", "di", "die", "do", "dos", "du", "e", "een", "el", "en", "het", "ibn",
    "im", "in", "la", "las", "le", "les", "lo", "los", "of", "onder", "op", "over", "s", "t", "te", "ten", "ter",
    "tot", "uijt", "uit", "und", "v", "van", "vander", "vant", "vd", "ver", "vom", "von", "voor", "y", "zu", "zum",
    "zur",
];

/// Words in a name's place that say that there is none.
pub(crate) const UNKNOWN_NAMES: &[&str] = &[
    "anoniem",
    "anonymous",
    "desconocido",
    "inconnu",
    "neznamy",
    "nieznany",
    "nnb",
    "nvt",
    "onbekend",
    "onbekende",
    "unbekannt",
    "unknown",
];

/// Birth years that can be meant.
const BIRTH_YEARS: std::ops::RangeInclusive<i16> = 1850..=2150;

/// The names of one person, as written; which name stands in which field does not matter.
#[derive(Clone, Copy, Default)]
pub struct PersonNames<'a> {
    /// Given names or initials.
    pub given: &'a str,
    /// Family name, with or without its particles.
    pub family: &'a str,
    /// Particles in a column of their own (Dutch: tussenvoegsels).
    pub particle: &'a str,
}

/// `Jan`, `BERG, v.d.`, 1985-02-23 -> `berg jan|1985-02-23`.
///
/// Names are transliterated to ASCII, split at everything but letters, and sorted, so that neither script nor order of fields
/// counts. Particles are dropped all together, and only where two other names remain: `Lê Văn Đức` keeps all three.
pub(crate) fn person(names: &PersonNames<'_>, born: Date) -> Result<Zeroizing<String>, Rejection> {
    if !BIRTH_YEARS.contains(&born.year()) {
        return Err(Rejection::DateOutOfRange);
    }
    let mut tokens = Vec::new();
    for text in [names.given, names.particle, names.family] {
        split(text, &mut tokens)?;
    }
    if tokens.iter().any(|token| UNKNOWN_NAMES.contains(&token.as_str())) {
        return Err(Rejection::Placeholder);
    }
    let is_particle = |token: &Zeroizing<String>| PARTICLES.contains(&token.as_str());
    if tokens.iter().filter(|token| !is_particle(token)).count() >= 2 {
        tokens.retain(|token| !is_particle(token));
    }
    if tokens.len() < 2 || tokens.iter().all(|token| token.len() < 2) {
        return Err(Rejection::PersonNameTooShort);
    }
    tokens.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    let mut canonical = Zeroizing::new(String::new());
    for token in &tokens {
        if !canonical.is_empty() {
            canonical.push(' ');
        }
        canonical.push_str(token);
    }
    canonical.push('|');
    canonical.push_str(&born.to_string());
    Ok(canonical)
}

/// A person in one line: `Jan van den Berg|1985-02-23`.
pub(crate) fn person_line(raw: &str, dates: DateOrder) -> Result<Zeroizing<String>, Rejection> {
    let (names, born) = raw.rsplit_once('|').ok_or(Rejection::PersonForm)?;
    if born.trim().is_empty() {
        return Err(Rejection::PersonBirthDateMissing);
    }
    person(
        &PersonNames {
            given: names,
            ..PersonNames::default()
        },
        parse_date(born, dates)?,
    )
}

/// Lower-case ASCII names. An apostrophe joins (O'Brien is OBrien), everything else that is no letter splits.
fn split(text: &str, tokens: &mut Vec<Zeroizing<String>>) -> Result<(), Rejection> {
    if text.len() > MAX_RAW {
        return Err(Rejection::TooLong);
    }
    let mut token = Zeroizing::new(String::new());
    // NFKC, not NFKD: the latter takes Hangul syllables apart, and any_ascii reads the parts differently
    for c in text.nfkc() {
        if c.is_numeric() {
            return Err(Rejection::PersonNameNotValid);
        }
        if is_silent(c) {
            continue;
        }
        let letters = any_ascii::any_ascii_char(c);
        if c.is_alphabetic() {
            token.extend(
                letters
                    .chars()
                    .filter(char::is_ascii_alphabetic)
                    .map(|letter| letter.to_ascii_lowercase()),
            );
        } else if !token.is_empty() {
            tokens.push(std::mem::take(&mut token));
        }
    }
    if !token.is_empty() {
        tokens.push(token);
    }
    Ok(())
}

/// Apostrophes, marks above and below letters, vowel points that are written or not, and zero-width characters.
fn is_silent(c: char) -> bool {
    matches!(c,
        '\'' | '`' | '´' | '‘' | '’' | '‛' | '′'
        | '\u{300}'..='\u{36f}'      // combining diacritical marks that have no composed letter
        | '\u{591}'..='\u{5c7}'      // Hebrew points
        | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{640}' // Arabic vowel marks and the stretching tatweel
        | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
