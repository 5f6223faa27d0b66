//! What can be wrong with a profile.

use thiserror::Error;

/// Why a profile cannot be used. A profile holds no personal data, so the message quotes it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// Not TOML, or not of a profile's shape.
    #[error("the profile cannot be read: {message}")]
    Toml {
        /// What the parser says, with the line.
        message: String,
    },
    /// A word that this build does not know.
    #[error("unknown {what} `{word}` in the profile, use one of: {known}")]
    Unknown {
        /// What the word should be: kind, form, feature or field.
        what: &'static str,
        /// The word.
        word: String,
        /// The words that are known.
        known: String,
    },
    /// A rule that cannot be kept.
    #[error("`{rule}` in the profile {problem}")]
    Rule {
        /// Which rule.
        rule: String,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
}
