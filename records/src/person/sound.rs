//! Names as they sound: the spellings that transliteration and hearing give one name fold into one.
//!
//! What is left are consonants, alike ones written alike, and an `a` for a vowel at the start: Tetyana, Tetiana and Тетяна are `ttn`;
//! Mohammed, Muhamad and Mohamet `mhmt`; Herasymenko and Gerasimenko `hrsmnk`.

use zeroize::Zeroizing;

/// Letters that stand for one sound, longest first; each is tried where the ones before do not fit.
pub(crate) const SOUNDS: &[(&str, &str)] = &[
    ("schtsch", "s"),
    ("shch", "s"),
    ("szcz", "s"),
    ("tsch", "h"),
    ("sch", "s"),
    ("tch", "h"),
    ("dzh", ""),
    ("sh", "s"),
    ("zh", "s"),
    ("kh", "h"),
    ("gh", "h"),
    ("ch", "h"),
    ("th", "t"),
    ("dh", "t"),
    ("ph", "v"),
    ("dj", ""),
    ("gk", "h"),
    ("sz", "s"),
    ("cz", "h"),
    ("ts", "s"),
    ("tz", "s"),
    ("ce", "s"),
    ("ci", "s"),
    ("cy", "s"),
    ("x", "ks"),
    ("c", "k"),
    ("q", "k"),
    ("g", "h"),
    ("z", "s"),
    ("d", "t"),
    ("f", "v"),
    ("w", "v"),
];

/// Letters at the start of a name that stand for others there: French `Ouattara`, Greek `Mpampis`, `Ntinos`.
pub(crate) const STARTS: &[(&str, &str)] = &[("oua", "wa"), ("oue", "we"), ("oui", "wi"), ("mp", "b"), ("nt", "d")];

/// Shortest name that can stand behind an article.
const BEHIND_ARTICLE: usize = 4;

/// The skeleton of a lower-case ASCII name.
pub(crate) fn sound(name: &str) -> String {
    let (start, rest) = start(name);
    let rest = match rest.strip_suffix('h') {
        // Sarah, Jalloh
        Some(open) if open.ends_with(is_vowel) => open,
        _ => rest,
    };
    skeleton(&Zeroizing::new([start, rest].concat()))
}

/// How a name begins, and what follows: an article that was written to the name (`Elamrani`) counts no more than one that was not
/// (`El Amrani`), and neither does the one in `Abdulrahman`.
fn start(name: &str) -> (&str, &str) {
    if let Some(rest) = name.strip_prefix("abd").and_then(behind_article) {
        return ("abd", rest);
    }
    if let Some(rest) = behind_article(name).map(|rest| rest.trim_start_matches('l'))
        && rest.len() >= BEHIND_ARTICLE
    {
        return ("", rest);
    }
    let found = STARTS
        .iter()
        .find_map(|(letters, other)| Some((*other, name.strip_prefix(letters)?)));
    found.unwrap_or(("", name))
}

/// What stands behind vowels and an `l`.
fn behind_article(name: &str) -> Option<&str> {
    let rest = name.trim_start_matches(is_vowel);
    rest.strip_prefix('l').filter(|_| rest.len() < name.len())
}

fn is_vowel(c: char) -> bool {
    matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'y' | 'j')
}

fn skeleton(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let found = SOUNDS.iter().find(|(letters, _)| rest.starts_with(letters));
        let (length, letters) = match found {
            Some((letters, sound)) => (letters.len(), *sound),
            None => (first.len_utf8(), rest.get(..first.len_utf8()).unwrap_or_default()),
        };
        for c in letters.chars() {
            let is_vowel = is_vowel(c);
            let c = if is_vowel { 'a' } else { c };
            if (!is_vowel || folded.is_empty()) && !folded.ends_with(c) {
                folded.push(c);
            }
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    folded
}
