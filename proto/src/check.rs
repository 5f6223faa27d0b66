//! The checks that wire data passes.

use overlap_audit::Digest;
use uuid::Uuid;

/// What was wrong with a message; names the field and what it has to be, never its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {must}")]
pub struct WireError {
    /// Path of the field.
    pub field: &'static str,
    /// What it has to be.
    pub must: &'static str,
}

/// Bytes that text fields may have.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Names: of datasets, agreements, peers, purposes, protocols.
    pub name: usize,
    /// Case references.
    pub case_reference: usize,
    /// Reasons.
    pub reason: usize,
}

/// The limits in force; [`WireError`]s state them.
pub const LIMITS: Limits = Limits {
    name: 128,
    case_reference: 128,
    reason: 1024,
};

impl WireError {
    pub(crate) const fn new(field: &'static str, must: &'static str) -> Self {
        Self { field, must }
    }
}

/// Text of a peer, fit to be logged and shown: cut to 512 characters, without any that act on a terminal or hide.
pub fn plain(text: &str) -> String {
    const LONGEST: usize = 512;
    text.chars()
        .take(LONGEST)
        .map(|c| if is_visible(c) { c } else { '\u{fffd}' })
        .collect()
}

/// No control character, and none of the format characters (Unicode category Cf) that reorder or hide text.
fn is_visible(c: char) -> bool {
    let hides = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !c.is_control() && !hides
}

/// A name: not empty, visible characters without blanks.
pub(crate) fn name(field: &'static str, text: String) -> Result<String, WireError> {
    let fits = (1..=LIMITS.name).contains(&text.len());
    if fits && text.chars().all(|c| is_visible(c) && !c.is_whitespace()) {
        return Ok(text);
    }
    Err(WireError::new(
        field,
        "must be 1 to 128 bytes without blanks or control characters",
    ))
}

pub(crate) fn case_reference(field: &'static str, text: String) -> Result<String, WireError> {
    let text = words(text, LIMITS.case_reference);
    text.ok_or(WireError::new(
        field,
        "must be given, at most 128 bytes without control characters",
    ))
}

pub(crate) fn reason(field: &'static str, text: String) -> Result<String, WireError> {
    let text = words(text, LIMITS.reason);
    text.ok_or(WireError::new(
        field,
        "must be given in words, at most 1024 bytes without control characters",
    ))
}

fn words(text: String, max: usize) -> Option<String> {
    let fits = text.len() <= max && !text.trim().is_empty();
    (fits && text.chars().all(is_visible)).then_some(text)
}

/// Text of several lines, fit to be shown.
pub(crate) fn is_text(text: &str, most: usize) -> bool {
    text.len() <= most && text.chars().all(|c| is_visible(c) || c == '\n')
}

pub(crate) fn digest(field: &'static str, bytes: &[u8]) -> Result<Digest, WireError> {
    Ok(Digest(
        bytes
            .try_into()
            .map_err(|_| WireError::new(field, "must be a digest of 32 bytes"))?,
    ))
}

pub(crate) fn uuid(field: &'static str, bytes: &[u8]) -> Result<Uuid, WireError> {
    let id = Uuid::from_slice(bytes).map_err(|_| WireError::new(field, "must be a UUID of 16 bytes"))?;
    if id.is_nil() {
        return Err(WireError::new(field, "must not be the nil UUID"));
    }
    Ok(id)
}

/// The first digits of an id, in lower case.
pub(crate) fn digits(field: &'static str, text: &str) -> Result<String, WireError> {
    let digits: String = text.chars().filter(|c| *c != '-').collect::<String>().to_lowercase();
    let fits = (8..=32).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    match fits {
        true => Ok(digits),
        false => Err(WireError::new(field, "must be 8 to 32 hexadecimal digits of an id")),
    }
}

/// ISO 3166-1 alpha-2.
pub(crate) fn country(field: &'static str, text: String) -> Result<String, WireError> {
    match text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        true => Ok(text),
        false => Err(WireError::new(field, "must be two capital letters, as in NL")),
    }
}

/// What may be left out.
pub(crate) fn optional<T>(
    text: String,
    check: impl FnOnce(String) -> Result<T, WireError>,
) -> Result<Option<T>, WireError> {
    (!text.is_empty()).then(|| check(text)).transpose()
}

/// A name out of a list.
pub(crate) fn listed<T: std::str::FromStr>(
    field: &'static str,
    text: &str,
    must: &'static str,
) -> Result<T, WireError> {
    text.parse().map_err(|_| WireError::new(field, must))
}

/// A field that a message cannot do without.
pub(crate) fn present<T>(field: &'static str, value: Option<T>) -> Result<T, WireError> {
    value.ok_or(WireError::new(field, "must be present"))
}

/// Bytes that are a whole number of elements of `N` bytes, at least one.
pub(crate) fn elements<const N: usize>(
    field: &'static str,
    bytes: &[u8],
    must: &'static str,
) -> Result<Vec<[u8; N]>, WireError> {
    match bytes.as_chunks::<N>() {
        (elements, []) if !elements.is_empty() => Ok(elements.to_vec()),
        _ => Err(WireError::new(field, must)),
    }
}
