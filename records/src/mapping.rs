//! The mapping file: which column of an agency's export means what.

use std::collections::{BTreeMap, BTreeSet};

use encoding_rs::Encoding;
use serde::Deserialize;
use thiserror::Error;

use crate::date::DateOrder;
use crate::identifier::Hints;
use crate::kind::{Kind, Role, Visibility};
use crate::region::Region;

/// A checked mapping.
#[derive(Debug, Clone)]
pub struct Mapping {
    pub(crate) delimiter: Option<u8>,
    pub(crate) encoding: Option<&'static Encoding>,
    pub(crate) hints: Hints,
    pub(crate) reference: String,
    pub(crate) role: Option<String>,
    /// The agency's own words, in lower case.
    pub(crate) roles: BTreeMap<String, Role>,
    pub(crate) default_role: Role,
    pub(crate) visibility: Visibility,
    pub(crate) visibility_column: Option<String>,
    pub(crate) observed: Option<String>,
    pub(crate) expires: Option<String>,
    pub(crate) identifiers: Vec<Source>,
}

/// Where identifiers of one kind stand.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// One identifier per column.
    Columns {
        kind: Kind,
        columns: Vec<String>,
        country: Option<Region>,
        country_column: Option<String>,
    },
    /// One person per row.
    Person {
        given: String,
        family: String,
        particle: Option<String>,
        born: String,
    },
}

impl Mapping {
    /// Reads and checks a mapping file.
    ///
    /// # Errors
    ///
    /// [`MappingError`] names the setting at fault.
    pub fn parse(toml: &str) -> Result<Self, MappingError> {
        let raw: RawMapping = toml::from_str(toml)?;
        let delimiter = raw.source.delimiter.as_deref().map(delimiter).transpose()?;
        let encoding = raw.source.encoding.as_deref().map(encoding).transpose()?;
        let identifiers = raw.identifier.into_iter().map(source).collect::<Result<Vec<_>, _>>()?;
        if identifiers.is_empty() {
            return Err(MappingError::NoIdentifier);
        }
        if raw.record.role.is_none() && !raw.record.roles.is_empty() {
            return Err(MappingError::Needs {
                setting: "roles",
                needs: "role",
            });
        }
        let mapping = Self {
            delimiter,
            encoding,
            hints: Hints {
                region: raw.source.region,
                dates: raw.source.dates,
            },
            reference: raw.record.reference,
            role: raw.record.role,
            roles: roles(raw.record.roles)?,
            default_role: raw.record.default_role,
            visibility: raw.record.visibility,
            visibility_column: raw.record.visibility_column,
            observed: raw.record.observed,
            expires: raw.record.expires,
            identifiers,
        };
        if mapping.columns().iter().any(|column| column.trim().is_empty()) {
            return Err(MappingError::EmptyColumn);
        }
        Ok(mapping)
    }

    /// The kinds of identifier that an import through it can yield.
    #[must_use]
    pub fn kinds(&self) -> BTreeSet<Kind> {
        self.identifiers
            .iter()
            .map(|source| match source {
                Source::Columns { kind, .. } => *kind,
                Source::Person { .. } => Kind::Person,
            })
            .collect()
    }

    /// Every column that the file must have.
    #[must_use]
    pub fn columns(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::from([self.reference.as_str()]);
        names.extend(
            [&self.role, &self.visibility_column, &self.observed, &self.expires]
                .into_iter()
                .filter_map(|c| c.as_deref()),
        );
        for source in &self.identifiers {
            match source {
                Source::Columns {
                    columns,
                    country_column,
                    ..
                } => {
                    names.extend(columns.iter().map(String::as_str));
                    names.extend(country_column.as_deref());
                }
                Source::Person {
                    given,
                    family,
                    particle,
                    born,
                } => {
                    names.extend([given.as_str(), family.as_str(), born.as_str()]);
                    names.extend(particle.as_deref());
                }
            }
        }
        names
    }
}

fn delimiter(text: &str) -> Result<u8, MappingError> {
    match text.as_bytes() {
        // a quote or a line end cannot be told from the file's own; letters and digits are data
        [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"\"\r\n\0".contains(byte) => Ok(*byte),
        _ => Err(MappingError::Delimiter),
    }
}

fn encoding(label: &str) -> Result<&'static Encoding, MappingError> {
    Encoding::for_label_no_replacement(label.as_bytes()).ok_or(MappingError::Encoding)
}

fn roles(raw: BTreeMap<String, Role>) -> Result<BTreeMap<String, Role>, MappingError> {
    let mut roles = BTreeMap::new();
    for (word, role) in raw {
        if roles
            .insert(word.trim().to_lowercase(), role)
            .is_some_and(|other| other != role)
        {
            return Err(MappingError::RoleTwice { word });
        }
    }
    Ok(roles)
}

fn source(raw: RawIdentifier) -> Result<Source, MappingError> {
    let kind = raw.kind;
    let needs = |setting| MappingError::IdentifierNeeds { kind, setting };
    let unfit = |setting| MappingError::NotForKind { kind, setting };
    if kind == Kind::Person {
        for (given, setting) in [
            (raw.columns.is_some(), "columns"),
            (raw.country.is_some(), "country"),
            (raw.country_column.is_some(), "country_column"),
        ] {
            if given {
                return Err(unfit(setting));
            }
        }
        return Ok(Source::Person {
            given: raw.given.ok_or(needs("given"))?,
            family: raw.family.ok_or(needs("family"))?,
            particle: raw.particle,
            born: raw.born.ok_or(needs("born"))?,
        });
    }
    for (given, setting) in [
        (raw.given.is_some(), "given"),
        (raw.family.is_some(), "family"),
        (raw.particle.is_some(), "particle"),
        (raw.born.is_some(), "born"),
    ] {
        if given {
            return Err(unfit(setting));
        }
    }
    let has_country = matches!(kind, Kind::Phone | Kind::Plate | Kind::Document);
    if raw.country.is_some() && !has_country {
        return Err(unfit("country"));
    }
    if raw.country_column.is_some() && !has_country {
        return Err(unfit("country_column"));
    }
    let columns = raw
        .columns
        .filter(|columns| !columns.is_empty())
        .ok_or(needs("columns"))?;
    Ok(Source::Columns {
        kind,
        columns,
        country: raw.country,
        country_column: raw.country_column,
    })
}

/// Why a mapping file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MappingError {
    /// Not TOML, an unknown setting, or a value that a setting does not take.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMapping {
    #[serde(default)]
    source: RawSource,
    record: RawRecord,
    #[serde(default)]
    identifier: Vec<RawIdentifier>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawSource {
    delimiter: Option<String>,
    encoding: Option<String>,
    region: Region,
    dates: DateOrder,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRecord {
    reference: String,
    role: Option<String>,
    #[serde(default)]
    roles: BTreeMap<String, Role>,
    #[serde(default = "default_role")]
    default_role: Role,
    #[serde(default = "default_visibility")]
    visibility: Visibility,
    visibility_column: Option<String>,
    observed: Option<String>,
    expires: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIdentifier {
    kind: Kind,
    columns: Option<Vec<String>>,
    #[serde(alias = "issuer")]
    country: Option<Region>,
    #[serde(alias = "issuer_column")]
    country_column: Option<String>,
    given: Option<String>,
    family: Option<String>,
    particle: Option<String>,
    born: Option<String>,
}

fn default_role() -> Role {
    Role::Other
}

/// Visible only after consent: the safe side for an agency that said nothing.
fn default_visibility() -> Visibility {
    Visibility::B
}
