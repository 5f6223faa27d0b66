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

/// The skeleton of a lower-case ASCII name.
pub(crate) fn sound(name: &str) -> Zeroizing<String> {
    let found = STARTS
        .iter()
        .find_map(|(letters, other)| Some((*other, name.strip_prefix(letters)?)));
    let (start, rest) = found.unwrap_or(("", name));
    let rest = match rest.strip_suffix('h') {
        // Sarah, Jalloh
        Some(open) if open.ends_with(is_vowel) => open,
        _ => rest,
    };
    skeleton(&Zeroizing::new([start, rest].concat()))
}

fn is_vowel(c: char) -> bool {
    matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'y' | 'j')
}

fn skeleton(name: &str) -> Zeroizing<String> {
    // x becomes two letters
    let mut folded = Zeroizing::new(String::with_capacity(2 * name.len()));
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
