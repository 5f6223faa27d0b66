//! Names of any script as lower-case ASCII tokens.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::script::latin;
use crate::identifier::MAX_RAW;
use crate::rejection::Rejection;

/// Words between names that agencies write, leave out or abbreviate as they like; `'t` has lost its apostrophe by then.
pub(crate) const PARTICLES: &[&str] = &[
    "aan", "ad", "af", "al", "am", "an", "ar", "as", "ash", "auf", "av", "az", "bij", "bin", "bint", "d", "da", "das",
    "de", "degli", "dei", "del", "della", "dello", "dem", "den", "der", "des", "di", "die", "do", "dos", "du", "e",
    "een", "el", "en", "het", "ibn", "im", "in", "la", "las", "le", "les", "lo", "los", "of", "onder", "op", "over",
    "s", "t", "te", "ten", "ter", "tot", "ud", "uijt", "uit", "ul", "und", "ur", "v", "van", "vander", "vant", "vd",
    "ver", "vom", "von", "voor", "y", "zu", "zum", "zur",
];

/// First halves of Arabic names, which are no names alone: `Abd al-Rahman` is `abdrahman`, `Abu Bakr` `abubakr`.
pub(crate) const FIRST_HALVES: &[&str] = &[
    "abd", "abdal", "abdel", "abdoul", "abdul", "abder", "abdur", "abo", "abou", "abu",
];

/// Second halves behind an article, which some are written to: `Salah al-Din` and `Salah Eddine` are one name.
pub(crate) const SECOND_HALVES: &[&str] = &["deen", "din", "dine", "eddin", "eddine", "uddin"];

/// The Arabic article, as it is written before each letter.
pub(crate) const ARTICLES: &[&str] = &[
    "ad", "al", "an", "ar", "as", "ash", "at", "az", "ed", "el", "er", "es", "ud", "ul", "ur",
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
    "null",
    "nvt",
    "onbekend",
    "onbekende",
    "unbekannt",
    "unknown",
];

/// The same in abbreviations, which would pass for initials.
pub(crate) const NO_NAMES: &[&str] = &["k.a.", "n.a.", "n.b.", "n.v.t.", "n/a", "n/b"];

pub(crate) type Tokens = Vec<Zeroizing<String>>;

/// Given names and family names.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) given: Tokens,
    pub(crate) family: Tokens,
}

impl Names {
    /// Halves of Arabic names are joined, and particles dropped all together: each only where two other names remain, so that
    /// `Lê Văn Đức` keeps all three and `Abdul Rahman` both.
    pub(crate) fn new(given: Tokens, family: Tokens) -> Result<Self, Rejection> {
        let border = given.len();
        let mut names = joined(given.into_iter().chain(family).collect());
        if names.iter().any(|name| name.is_unknown) {
            return Err(Rejection::Placeholder);
        }
        if others(&names) >= 2 {
            names.retain(|name| !is_particle(&name.text));
        }
        let mut first_of_family = names.partition_point(|name| name.first < border);
        let spans_border = names
            .last()
            .is_some_and(|name| name.first < border && name.last >= border);
        if spans_border && names.len() > 1 {
            // the family keeps a name: `Mohammed Salah` | `al-Din` is `mohammed` | `salahdin`
            first_of_family = names.len() - 1;
        }
        let mut given: Tokens = names.into_iter().map(|name| name.text).collect();
        let family = given.split_off(first_of_family);
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
        let names = joined(given.clone());
        let last = names.len().saturating_sub(1);
        let particle = names
            .iter()
            .enumerate()
            .position(|(index, name)| 0 < index && index < last && is_particle(&name.text));
        let border = names.get(particle.unwrap_or(last)).map_or(0, |name| name.first);
        let family = given.split_off(border);
        Self::new(given, family)
    }
}

/// A name of one token or more.
struct Name {
    text: Zeroizing<String>,
    /// The places of its first and its last token.
    first: usize,
    last: usize,
    /// Whether one of them says that there is no name.
    is_unknown: bool,
}

/// Names of two halves as one, where two names remain; else one name for each token.
fn joined(tokens: Tokens) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    let mut is_open = false;
    for (place, token) in tokens.iter().enumerate() {
        let word = token.as_str();
        if is_open && ARTICLES.contains(&word) {
            continue;
        }
        let is_article = |name: &Name| ARTICLES.contains(&name.text.as_str());
        // an article has to stand before, or to be part of it: a family may be called Din
        let is_second = SECOND_HALVES.contains(&word)
            && (word.starts_with(['e', 'u']) || names.last().is_some_and(is_article) && names.len() > 1);
        while is_second && names.len() > 1 && names.last().is_some_and(is_article) {
            names.pop();
        }
        let is_unknown = UNKNOWN_NAMES.contains(&word);
        match names.last_mut() {
            Some(name) if is_open || is_second => {
                name.text.push_str(word);
                name.last = place;
                name.is_unknown |= is_unknown;
            }
            _ => names.push(Name {
                text: token.clone(),
                first: place,
                last: place,
                is_unknown,
            }),
        }
        is_open = names
            .last()
            .is_some_and(|name| FIRST_HALVES.contains(&name.text.as_str()));
    }
    if others(&names) >= 2 {
        return names;
    }
    let apart = tokens.into_iter().enumerate().map(|(place, text)| Name {
        is_unknown: UNKNOWN_NAMES.contains(&text.as_str()),
        text,
        first: place,
        last: place,
    });
    apart.collect()
}

/// How many names there are but particles.
fn others(names: &[Name]) -> usize {
    names.iter().filter(|name| !is_particle(&name.text)).count()
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
    let mut word = Zeroizing::new(String::new());
    let mut digits = 0;
    let mut close = |word: &mut Zeroizing<String>| {
        tokens.extend(latin(word).into_iter().filter(|token| !token.is_empty()));
        word.clear();
    };
    // NFKC, not NFKD: the latter takes Hangul syllables apart, and any_ascii reads the parts differently
    for c in text.nfkc() {
        // one digit among letters is a slip of the finger, more of them are another column
        if c.is_numeric() {
            digits += 1;
        } else if is_silent(c) {
            // vowel points count as letters
        } else if c.is_alphabetic() {
            word.push(c);
        } else {
            close(&mut word);
        }
    }
    close(&mut word);
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
