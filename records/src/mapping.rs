//! The mapping file: which column of an agency's export means what.

mod error;
mod raw;

use std::collections::{BTreeMap, BTreeSet};

use encoding_rs::Encoding;
use serde::{Deserialize, Serialize};

use self::raw::{RawBorn, RawGiven, RawIdentifier, RawMapping};
use crate::identifier::Hints;
use crate::import::Format;
use crate::kind::{Kind, Platform, Role, Visibility};
use crate::record::is_plain;
use crate::region::Region;

pub use self::error::MappingError;

/// A checked mapping.
#[derive(Debug, Clone)]
pub struct Mapping {
    pub(crate) format: Option<Format>,
    pub(crate) sheet: Option<String>,
    pub(crate) delimiter: Option<u8>,
    pub(crate) encoding: Option<&'static Encoding>,
    pub(crate) hints: Hints,
    pub(crate) mixed_dates: MixedDates,
    pub(crate) reference: String,
    pub(crate) role: Option<String>,
    /// The agency's own words, in lower case.
    pub(crate) roles: BTreeMap<String, Role>,
    pub(crate) default_role: Role,
    pub(crate) visibility: Visibility,
    pub(crate) visibility_column: Option<String>,
    pub(crate) observed: Option<String>,
    pub(crate) expires: Option<String>,
    pub(crate) origin: Option<String>,
    pub(crate) default_origin: Option<String>,
    pub(crate) identifiers: Vec<Source>,
}

/// What to do with a column that writes some dates day-month and some month-day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MixedDates {
    /// End the import when both are seen.
    #[default]
    Stop,
    /// Take what can be read in one way, and reject what can be read in two.
    Reject,
}

/// Where identifiers of one kind stand.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// One identifier per column.
    Columns {
        kind: Kind,
        columns: Vec<String>,
        country: Country,
        platform: Option<Platform>,
    },
    /// One address per row, in parts.
    Address {
        postcode: String,
        house_number: String,
        addition: Option<String>,
        street: Option<String>,
        country: Country,
    },
    /// One person per row.
    Person(Box<PersonColumns>),
}

/// Where the country stands that an identifier belongs to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Country {
    pub(crate) fixed: Option<Region>,
    pub(crate) column: Option<String>,
}

/// Where the parts of a person stand.
#[derive(Debug, Clone)]
pub(crate) struct PersonColumns {
    pub(crate) name: Option<String>,
    /// Joined by blanks.
    pub(crate) given: Vec<String>,
    pub(crate) family: Option<String>,
    pub(crate) particle: Option<String>,
    pub(crate) born: Option<Born>,
    pub(crate) sex: Option<String>,
    pub(crate) postcode: Option<String>,
    pub(crate) house_number: Option<String>,
    pub(crate) street: Option<String>,
    pub(crate) place: Option<String>,
}

/// Where a birth date stands.
#[derive(Debug, Clone)]
pub(crate) enum Born {
    Date(String),
    /// Year, month and day apart.
    Parts([String; 3]),
}

impl PersonColumns {
    /// All but the birth date.
    fn plain(&self) -> impl Iterator<Item = &str> {
        let columns = [
            &self.name,
            &self.family,
            &self.particle,
            &self.sex,
            &self.postcode,
            &self.house_number,
            &self.street,
            &self.place,
        ];
        let given = self.given.iter().map(String::as_str);
        given.chain(columns.into_iter().filter_map(|column| column.as_deref()))
    }
}

impl Mapping {
    /// Reads and checks a mapping file.
    ///
    /// # Errors
    ///
    /// [`MappingError`] names the setting at fault.
    pub fn parse(toml: &str) -> Result<Self, MappingError> {
        let raw: RawMapping = crate::from_toml(toml).map_err(|message| MappingError::Toml { message })?;
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
        if raw
            .record
            .default_origin
            .as_deref()
            .is_some_and(|origin| !is_origin(origin))
        {
            return Err(MappingError::DefaultOrigin);
        }
        let mapping = Self {
            format: raw.source.format,
            sheet: raw.source.sheet,
            delimiter,
            encoding,
            hints: Hints {
                region: raw.source.region,
                dates: raw.source.dates,
                platform: raw.source.platform,
            },
            mixed_dates: raw.source.mixed_dates,
            reference: raw.record.reference,
            role: raw.record.role,
            roles: roles(raw.record.roles)?,
            default_role: raw.record.default_role,
            visibility: raw.record.visibility,
            visibility_column: raw.record.visibility_column,
            observed: raw.record.observed,
            expires: raw.record.expires,
            origin: raw.record.origin,
            default_origin: raw.record.default_origin,
            identifiers,
        };
        if mapping.columns().iter().any(|column| column.trim().is_empty()) {
            return Err(MappingError::EmptyColumn);
        }
        Ok(mapping)
    }

    /// One that maps nothing, to look into a file with.
    pub(crate) fn blank(format: Option<Format>, sheet: Option<String>, region: Region) -> Self {
        Self {
            format,
            sheet,
            delimiter: None,
            encoding: None,
            hints: Hints {
                region,
                ..Hints::default()
            },
            mixed_dates: MixedDates::Stop,
            reference: String::new(),
            role: None,
            roles: BTreeMap::new(),
            default_role: Role::Other,
            visibility: Visibility::B,
            visibility_column: None,
            observed: None,
            expires: None,
            origin: None,
            default_origin: None,
            identifiers: Vec::new(),
        }
    }

    /// Reads every file as of this format, whatever its name, its bytes or the mapping file say.
    #[must_use]
    pub fn with_format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// The kinds of identifier that an import through it can yield.
    #[must_use]
    pub fn kinds(&self) -> BTreeSet<Kind> {
        self.identifiers
            .iter()
            .map(|source| match source {
                Source::Columns { kind, .. } => *kind,
                Source::Address { .. } => Kind::Address,
                Source::Person(_) => Kind::Person,
            })
            .collect()
    }

    /// Every column that the file must have.
    #[must_use]
    pub fn columns(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::from([self.reference.as_str()]);
        names.extend(
            [
                &self.role,
                &self.visibility_column,
                &self.observed,
                &self.expires,
                &self.origin,
            ]
            .into_iter()
            .filter_map(|c| c.as_deref()),
        );
        for source in &self.identifiers {
            match source {
                Source::Columns { columns, country, .. } => {
                    names.extend(columns.iter().map(String::as_str));
                    names.extend(country.column.as_deref());
                }
                Source::Address {
                    postcode,
                    house_number,
                    addition,
                    street,
                    country,
                } => {
                    names.extend([postcode.as_str(), house_number]);
                    names.extend(addition.as_deref());
                    names.extend(street.as_deref());
                    names.extend(country.column.as_deref());
                }
                Source::Person(person) => {
                    names.extend(person.plain());
                    match &person.born {
                        None => {}
                        Some(Born::Date(column)) => names.extend([column.as_str()]),
                        Some(Born::Parts(columns)) => names.extend(columns.iter().map(String::as_str)),
                    }
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

fn is_origin(text: &str) -> bool {
    !text.is_empty() && is_plain(text)
}

fn source(raw: RawIdentifier) -> Result<Source, MappingError> {
    let kind = raw.kind;
    let (is_person, is_address) = (kind == Kind::Person, kind == Kind::Address);
    let is_document = kind == Kind::Document;
    let has_country = kind.has_country();
    for (is_set, setting, fits) in [
        (raw.columns.is_some(), "columns", !is_person),
        (raw.country.is_some(), "country", has_country),
        (raw.country_column.is_some(), "country_column", has_country),
        (raw.mrz.is_some(), "mrz", is_document),
        (raw.name.is_some(), "name", is_person),
        (raw.given.is_some(), "given", is_person),
        (raw.family.is_some(), "family", is_person),
        (raw.particle.is_some(), "particle", is_person),
        (raw.born.is_some(), "born", is_person),
        (raw.sex.is_some(), "sex", is_person),
        (raw.postcode.is_some(), "postcode", is_person || is_address),
        (raw.house_number.is_some(), "house_number", is_person || is_address),
        (raw.addition.is_some(), "addition", is_address),
        (raw.street.is_some(), "street", is_person || is_address),
        (raw.platform.is_some(), "platform", kind == Kind::Handle),
        (raw.place.is_some(), "place", is_person),
    ] {
        if is_set && !fits {
            return Err(MappingError::NotForKind { kind, setting });
        }
    }
    let needs = |setting| MappingError::IdentifierNeeds { kind, setting };
    if is_person {
        if raw.name.is_none() && raw.given.is_none() && raw.family.is_none() {
            return Err(needs("name, given or family"));
        }
        return Ok(Source::Person(Box::new(PersonColumns {
            name: raw.name,
            given: match raw.given {
                None => Vec::new(),
                Some(RawGiven::One(column)) => vec![column],
                Some(RawGiven::Several(columns)) => columns,
            },
            family: raw.family,
            particle: raw.particle,
            born: raw.born.map(|born| match born {
                RawBorn::Date(column) => Born::Date(column),
                RawBorn::Parts(columns) => Born::Parts(columns),
            }),
            sex: raw.sex,
            postcode: raw.postcode,
            house_number: raw.house_number,
            street: raw.street,
            place: raw.place,
        })));
    }
    let country = Country {
        fixed: raw.country,
        column: raw.country_column,
    };
    match (raw.postcode, raw.house_number) {
        (Some(postcode), Some(house_number)) if raw.columns.is_none() => Ok(Source::Address {
            postcode,
            house_number,
            addition: raw.addition,
            street: raw.street,
            country,
        }),
        (None, None) if raw.addition.is_none() => {
            let columns: Vec<String> = raw.columns.into_iter().flatten().chain(raw.mrz).collect();
            if columns.is_empty() {
                return Err(needs("columns"));
            }
            Ok(Source::Columns {
                kind,
                columns,
                country,
                platform: raw.platform,
            })
        }
        _ => Err(needs("columns, or postcode and house_number,")),
    }
}
