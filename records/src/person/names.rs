//! Names of any script as lower-case ASCII tokens.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

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

pub(crate) type Tokens = Vec<Zeroizing<String>>;

/// Given names and family names.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) given: Tokens,
    pub(crate) family: Tokens,
}

impl Names {
    /// Particles are dropped all together, and only where two other names remain: `Lê Văn Đức` keeps all three.
    pub(crate) fn new(mut given: Tokens, mut family: Tokens) -> Result<Self, Rejection> {
        let mut all = given.iter().chain(&family);
        if all.any(|token| UNKNOWN_NAMES.contains(&token.as_str())) {
            return Err(Rejection::Placeholder);
        }
        let others = given.iter().chain(&family).filter(|token| !is_particle(token)).count();
        if others >= 2 {
            given.retain(|token| !is_particle(token));
            family.retain(|token| !is_particle(token));
        }
        Ok(Self { given, family })
    }

    /// A whole name in one field: `Berg, Jan v.d.`, `Jan van den Berg`, `Jan Berg`.
    ///
    /// A comma stands after the family name; else a particle between names begins it; else the last name is it. Where that guess is
    /// wrong (`Nguyen Van Duc`), features that do not tell given from family name still agree.
    pub(crate) fn whole(text: &str) -> Result<Self, Rejection> {
        if let Some((family, given)) = text.split_once(',') {
            return Self::new(tokens(given)?, tokens(family)?);
        }
        let mut given = tokens(text)?;
        let last = given.len().saturating_sub(1);
        let particle = given
            .iter()
            .enumerate()
            .position(|(index, token)| 0 < index && index < last && is_particle(token));
        let family = given.split_off(particle.unwrap_or(last));
        Self::new(given, family)
    }
}

fn is_particle(token: &Zeroizing<String>) -> bool {
    PARTICLES.contains(&token.as_str())
}

/// Lower-case ASCII names. An apostrophe joins (O'Brien is OBrien), everything else that is no letter splits.
pub(crate) fn tokens(text: &str) -> Result<Tokens, Rejection> {
    if text.len() > MAX_RAW {
        return Err(Rejection::TooLong);
    }
    let mut tokens = Vec::new();
    let mut token = Zeroizing::new(String::new());
    let mut digits = 0;
    // NFKC, not NFKD: the latter takes Hangul syllables apart, and any_ascii reads the parts differently
    for c in text.nfkc() {
        // one digit among letters is a slip of the finger, more of them are another column
        if c.is_numeric() {
            digits += 1;
            continue;
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
    if digits > 0 && digits * 3 > tokens.iter().map(|token| token.len()).sum::<usize>() {
        return Err(Rejection::PersonNameNotValid);
    }
    Ok(tokens)
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
