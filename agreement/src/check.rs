//! What a document has to be.

/// Why a document cannot be used: the field, and what it has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Flaw(pub String);

/// Longest text of a name, in bytes; of words.
const NAME: usize = 128;
const WORDS: usize = 4096;

impl Flaw {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A name: not empty, without blanks.
pub(crate) fn name(field: &str, text: &str) -> Result<(), Flaw> {
    let fits = (1..=NAME).contains(&text.len());
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control();
    if fits && text.chars().all(is_plain) {
        return Ok(());
    }
    Err(Flaw::new(format!("{field} must be 1 to {NAME} bytes without blanks")))
}

/// Words: not empty, one line.
pub(crate) fn words(field: &str, text: &str) -> Result<(), Flaw> {
    let fits = text.len() <= WORDS && !text.trim().is_empty();
    if fits && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Flaw::new(format!(
        "{field} must be given in words, at most {WORDS} bytes on one line"
    )))
}

/// ISO 3166-1 alpha-2.
pub(crate) fn country(field: &str, text: &str) -> Result<(), Flaw> {
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(Flaw::new(format!("{field} must be two capital letters, as in NL")))
}

/// A SPIFFE URI with a path.
pub(crate) fn spiffe(field: &str, text: &str) -> Result<(), Flaw> {
    name(field, text)?;
    let parts = text.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/'));
    match parts {
        Some((domain, path)) if !domain.is_empty() && !path.is_empty() && text.is_ascii() => Ok(()),
        _ => Err(Flaw::new(format!(
            "{field} must be a SPIFFE URI such as spiffe://overlap.example/agency/politie"
        ))),
    }
}

/// A list that says something.
pub(crate) fn some<'a, T: 'a>(field: &str, list: impl IntoIterator<Item = &'a T>) -> Result<(), Flaw> {
    match list.into_iter().next() {
        Some(_) => Ok(()),
        None => Err(Flaw::new(format!("{field} must name at least one"))),
    }
}
