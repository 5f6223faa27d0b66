//! A mapping held against a header: which field of a row becomes what.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::error::{Fault, Header};
use super::rows::Cells;
use super::{Reject, Row};
use crate::date::parse_date;
use crate::identifier::{Hints, Identifier};
use crate::kind::{Kind, Role, Visibility};
use crate::mapping::{Mapping, Source};
use crate::normalise::PersonNames;
use crate::record::{Record, RecordError};
use crate::region::Region;
use crate::rejection::Rejection;

pub(crate) struct Plan {
    width: usize,
    hints: Hints,
    reference: Column,
    role: Option<Column>,
    roles: BTreeMap<String, Role>,
    default_role: Role,
    visibility: Visibility,
    visibility_column: Option<Column>,
    observed: Option<Column>,
    expires: Option<Column>,
    fields: Vec<Field>,
    persons: Vec<Person>,
}

#[derive(Clone)]
struct Column {
    index: usize,
    name: String,
}

struct Field {
    kind: Kind,
    column: Column,
    country: Option<Region>,
    country_column: Option<Column>,
}

struct Person {
    given: Column,
    family: Column,
    particle: Option<Column>,
    born: Column,
}

/// A row while it is read.
struct Draft<'a> {
    cells: &'a Cells<'a>,
    rejects: Vec<Reject>,
    /// False once something was rejected without which the record must not exist.
    is_usable: bool,
}

impl Plan {
    pub(crate) fn new(mapping: &Mapping, header: &Cells<'_>) -> Result<Self, Fault> {
        let missing: Vec<String> = mapping
            .columns()
            .into_iter()
            .filter(|column| header.iter().all(|name| name != column.trim()))
            .map(str::to_owned)
            .collect();
        if !missing.is_empty() {
            return Err(Fault::MissingColumn {
                columns: missing,
                header: Header::new(header.iter()),
            });
        }
        let find = |name: &String| find(header, name);
        let find_some = |name: &Option<String>| name.as_ref().map(find).transpose();
        let mut fields = Vec::new();
        let mut persons = Vec::new();
        for source in &mapping.identifiers {
            match source {
                Source::Columns {
                    kind,
                    columns,
                    country,
                    country_column,
                } => {
                    let country_column = find_some(country_column)?;
                    for column in columns {
                        fields.push(Field {
                            kind: *kind,
                            column: find(column)?,
                            country: *country,
                            country_column: country_column.clone(),
                        });
                    }
                }
                Source::Person {
                    given,
                    family,
                    particle,
                    born,
                } => persons.push(Person {
                    given: find(given)?,
                    family: find(family)?,
                    particle: find_some(particle)?,
                    born: find(born)?,
                }),
            }
        }
        Ok(Self {
            width: header.len(),
            hints: mapping.hints,
            reference: find(&mapping.reference)?,
            role: find_some(&mapping.role)?,
            roles: mapping.roles.clone(),
            default_role: mapping.default_role,
            visibility: mapping.visibility,
            visibility_column: find_some(&mapping.visibility_column)?,
            observed: find_some(&mapping.observed)?,
            expires: find_some(&mapping.expires)?,
            fields,
            persons,
        })
    }

    /// How many fields a row has.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn read(&self, cells: &Cells<'_>) -> Row {
        let mut draft = Draft {
            cells,
            rejects: Vec::new(),
            is_usable: true,
        };
        let reference = draft.cell(&self.reference);
        let role = self.role(&mut draft);
        let visibility = self.visibility(&mut draft);
        let observed = self.date(&self.observed, &mut draft);
        let before = draft.rejects.len();
        let expires = self.date(&self.expires, &mut draft);
        // a record whose end is unknown would be held for ever
        draft.is_usable &= draft.rejects.len() == before;

        let mut identifiers = Vec::new();
        for field in &self.fields {
            identifiers.extend(self.identifier(field, &mut draft));
        }
        for person in &self.persons {
            identifiers.extend(self.person(person, &mut draft));
        }
        let record = Record::new(reference.to_owned(), role, visibility, observed, expires, identifiers);
        let record = record.map_err(|error| {
            let column = match error {
                RecordError::ReferenceMissing | RecordError::ReferenceNotValid => self.reference.name.as_str(),
                RecordError::NoIdentifier | RecordError::TooManyIdentifiers { .. } => "",
            };
            draft.reject(column, error.into());
        });
        Row {
            number: cells.line(),
            record: record.ok().filter(|_| draft.is_usable),
            rejects: draft.rejects,
        }
    }

    fn role(&self, draft: &mut Draft<'_>) -> Role {
        let Some(column) = &self.role else {
            return self.default_role;
        };
        let word = draft.cell(column).to_lowercase();
        if word.is_empty() {
            return self.default_role;
        }
        match self.roles.get(&word).copied().or_else(|| word.parse().ok()) {
            Some(role) => role,
            None => {
                draft.is_usable = false;
                draft.reject(&column.name, Rejection::RoleUnknown);
                self.default_role
            }
        }
    }

    fn visibility(&self, draft: &mut Draft<'_>) -> Visibility {
        let Some(column) = &self.visibility_column else {
            return self.visibility;
        };
        let word = draft.cell(column).to_lowercase();
        if word.is_empty() {
            return self.visibility;
        }
        word.parse().unwrap_or_else(|_| {
            draft.is_usable = false;
            draft.reject(&column.name, Rejection::VisibilityUnknown);
            self.visibility
        })
    }

    fn date(&self, column: &Option<Column>, draft: &mut Draft<'_>) -> Option<Date> {
        let column = column.as_ref()?;
        let cell = draft.cell(column);
        if cell.is_empty() {
            return None;
        }
        draft.keep(column, parse_date(cell, self.hints.dates))
    }

    fn identifier(&self, field: &Field, draft: &mut Draft<'_>) -> Option<Identifier> {
        let cell = draft.cell(&field.column);
        if cell.is_empty() {
            return None;
        }
        let mut region = field.country.unwrap_or(self.hints.region);
        // a document's issuer may be mapped, but its canonical form does not use it
        if let Some(column) = field.country_column.as_ref().filter(|_| field.kind != Kind::Document) {
            let country = draft.cell(column);
            if !country.is_empty() {
                region = draft.keep(column, country.parse().map_err(|_| Rejection::CountryUnknown))?;
            }
        }
        let identifier = Identifier::normalise(field.kind, cell, &Hints { region, ..self.hints });
        draft.keep(&field.column, identifier)
    }

    fn person(&self, person: &Person, draft: &mut Draft<'_>) -> Option<Identifier> {
        let (given, family) = (draft.cell(&person.given), draft.cell(&person.family));
        if given.is_empty() && family.is_empty() {
            return None;
        }
        let born = draft.cell(&person.born);
        if born.is_empty() {
            draft.reject(&person.born.name, Rejection::PersonBirthDateMissing);
            return None;
        }
        let born = draft.keep(&person.born, parse_date(born, self.hints.dates))?;
        let particle = person.particle.as_ref().map_or("", |column| draft.cell(column));
        match Identifier::person(
            &PersonNames {
                given,
                family,
                particle,
            },
            born,
        ) {
            Ok(identifier) => Some(identifier),
            Err(reason) => {
                let column = if reason == Rejection::DateOutOfRange {
                    &person.born
                } else {
                    &person.family
                };
                draft.reject(&column.name, reason);
                None
            }
        }
    }
}

impl<'a> Draft<'a> {
    fn cell(&self, column: &Column) -> &'a str {
        self.cells.get(column.index)
    }

    fn reject(&mut self, column: &str, reason: Rejection) {
        self.rejects.push(Reject {
            row: self.cells.line(),
            column: column.to_owned(),
            reason,
        });
    }

    fn keep<T>(&mut self, column: &Column, result: Result<T, Rejection>) -> Option<T> {
        result.map_err(|reason| self.reject(&column.name, reason)).ok()
    }
}

/// The one column of that name; two would leave open which one is meant.
fn find(header: &Cells<'_>, name: &str) -> Result<Column, Fault> {
    let name = name.trim();
    let mut found = header
        .iter()
        .enumerate()
        .filter(|(_, column)| *column == name)
        .map(|(index, _)| index);
    match (found.next(), found.next()) {
        (Some(index), None) => Ok(Column {
            index,
            name: name.to_owned(),
        }),
        (Some(_), Some(_)) => Err(Fault::DuplicateColumn {
            column: name.to_owned(),
        }),
        (None, _) => Err(Fault::MissingColumn {
            columns: vec![name.to_owned()],
            header: Header::new(header.iter()),
        }),
    }
}
