//! What a holder tells of a record once a hit on it may be followed up.

use std::{fmt, str::FromStr};

use overlap_records::Kind;
use serde::{Deserialize, Serialize};

use crate::check::Flaw;

/// One field of a record, by its name in agreements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Field {
    /// The holder's own key for the record: what to name on the telephone.
    Reference,
    /// In what quality the holder knows the subject.
    Role,
    /// When the holder last confirmed the data.
    Observed,
    /// The unit or system that the record came from.
    Origin,
    /// Text that the holder's functionary adds.
    Attachment,
    /// The record's identifiers of a kind.
    Identifiers(Kind),
}

const PLAIN: [(Field, &str); 5] = [
    (Field::Reference, "reference"),
    (Field::Role, "role"),
    (Field::Observed, "observed"),
    (Field::Origin, "origin"),
    (Field::Attachment, "attachment"),
];

impl Field {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identifiers(kind) => kind.as_str(),
            plain => PLAIN
                .into_iter()
                .find(|(field, _)| *field == plain)
                .map_or("", |(_, name)| name),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Field {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let plain = PLAIN
            .into_iter()
            .find(|(_, name)| *name == text)
            .map(|(field, _)| field);
        let field = plain.or_else(|| text.parse().ok().map(Self::Identifiers));
        field.ok_or_else(|| {
            Flaw::new("disclose: each must be reference, role, observed, origin, attachment or a kind of identifiers")
        })
    }
}

impl From<Field> for String {
    fn from(field: Field) -> Self {
        field.name().to_owned()
    }
}

impl TryFrom<String> for Field {
    type Error = Flaw;

    fn try_from(text: String) -> Result<Self, Flaw> {
        text.parse()
    }
}
