//! Why a mapping cannot be used.

use thiserror::Error;

use crate::kind::Kind;

/// Why a mapping file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MappingError {
    /// Not TOML, an unknown setting, or a value that a setting does not take.
    #[error("{message}")]
    Toml {
        /// What the parser says, with the line.
        message: String,
    },
    /// No `[[identifier]]`.
    #[error("the mapping has no [[identifier]]: nothing would be compared")]
    NoIdentifier,
    /// A column name that is blank.
    #[error("a column name in the mapping is empty")]
    EmptyColumn,
    /// Not one ASCII character.
    #[error("`delimiter` must be one character such as \";\", \",\", \"|\" or \"\\t\"")]
    Delimiter,
    /// A label that the WHATWG Encoding Standard does not know.
    #[error("unknown `encoding`: use a name such as \"utf-8\", \"windows-1252\" or \"utf-16le\"")]
    Encoding,
    /// An origin that no record can have.
    #[error(
        "`default_origin` must be 1 to {} bytes without control characters",
        crate::MAX_REFERENCE
    )]
    DefaultOrigin,
    /// A setting that means nothing alone.
    #[error("`{setting}` needs `{needs}` beside it")]
    Needs {
        /// The setting that is there.
        setting: &'static str,
        /// The one that is not.
        needs: &'static str,
    },
    /// The same word in other case, with another role.
    #[error("`roles` gives \"{word}\" two roles: case does not count")]
    RoleTwice {
        /// The word, from the mapping file.
        word: String,
    },
    /// A setting that the kind cannot do without.
    #[error("identifier of kind {kind} needs `{setting}`")]
    IdentifierNeeds {
        /// The identifier's kind.
        kind: Kind,
        /// The setting that is missing.
        setting: &'static str,
    },
    /// A setting that belongs to another kind.
    #[error("`{setting}` does not go with an identifier of kind {kind}")]
    NotForKind {
        /// The identifier's kind.
        kind: Kind,
        /// The setting that is too many.
        setting: &'static str,
    },
}
