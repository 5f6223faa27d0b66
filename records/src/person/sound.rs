//! Names as they sound: the spellings that transliteration and hearing give one name fold into one.
//!
//! What is left are consonants, alike ones written alike, and an `a` for a vowel at the start: Tetyana, Tetiana and Тетяна are `ttn`;
//! Mohammed, Muhamad and Mohamet `mhmt`; Herasymenko and Gerasimenko `hrsmnk`.

/// Letters that stand for one sound, longest first; each is tried where the ones before do not fit.
pub(crate) const SOUNDS: &[(&str, &str)] = &[
    ("shch", "s"),
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

/// The skeleton of a lower-case ASCII name.
pub(crate) fn sound(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let found = SOUNDS.iter().find(|(letters, _)| rest.starts_with(letters));
        let (length, letters) = match found {
            Some((letters, sound)) => (letters.len(), *sound),
            None => (first.len_utf8(), rest.get(..first.len_utf8()).unwrap_or_default()),
        };
        for c in letters.chars() {
            let is_vowel = matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'y' | 'j');
            let c = if is_vowel { 'a' } else { c };
            if (!is_vowel || folded.is_empty()) && !folded.ends_with(c) {
                folded.push(c);
            }
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    folded
}
