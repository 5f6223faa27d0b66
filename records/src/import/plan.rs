//! A mapping held against a header: which cell of a row becomes what.

mod person;

use std::collections::BTreeMap;

use jiff::civil::Date;
use zeroize::Zeroizing;

use self::person::Person;
use super::cells::{Cells, column_name};
use super::dates::DateColumn;
use super::error::{Fault, Header};
use super::{Reject, Row};
use crate::date::parse_date;
use crate::identifier::{Hints, Identifier};
use crate::kind::{Kind, Platform, Role, Visibility};
use crate::mapping::{Country, Mapping, MixedDates, Source};
use crate::normalise::{AddressParts, is_error, is_formula, is_hidden, unquoted, visible};
use crate::record::{Record, RecordError};
use crate::region::Region;
use crate::rejection::Rejection;
use crate::summary::{Summary, WarningKind};

pub(crate) struct Plan {
    width: usize,
    rules: Rules,
    reference: Column,
    origin: Option<Column>,
    default_origin: Option<String>,
    role: Option<Column>,
    roles: BTreeMap<String, Role>,
    default_role: Role,
    visibility: Visibility,
    visibility_column: Option<Column>,
    observed: Option<DateColumn>,
    expires: Option<DateColumn>,
    fields: Vec<Field>,
    persons: Vec<Person>,
    /// Columns in which a lost zero, a formula or a hidden character matters.
    watched: Vec<Column>,
}

/// How a file writes what it writes.
#[derive(Clone, Copy)]
struct Rules {
    hints: Hints,
    mixed_dates: MixedDates,
}

#[derive(Clone)]
pub(crate) struct Column {
    pub(crate) index: usize,
    pub(crate) name: String,
}

struct Field {
    kind: Kind,
    text: Text,
    country: Option<Region>,
    country_column: Option<Column>,
    platform: Option<Platform>,
}

/// Where a field's text stands.
enum Text {
    Cell(Column),
    Address {
        postcode: Column,
        house_number: Column,
        addition: Option<Column>,
        street: Option<Column>,
    },
}

/// A row while it is read.
struct Draft<'a> {
    cells: Cells<'a>,
    rejects: Vec<Reject>,
    /// False once something was rejected without which the record must not exist.
    is_usable: bool,
}

impl Plan {
    pub(crate) fn new(mapping: &Mapping, header: &Cells<'_>) -> Result<Self, Fault> {
        let columns = Columns(header.iter().map(column_name).collect());
        columns.check(mapping)?;
        let find = |name: &String| columns.find(name);
        let find_some = |name: &Option<String>| name.as_ref().map(find).transpose();
        let mut fields = Vec::new();
        let mut persons = Vec::new();
        for source in &mapping.identifiers {
            match source {
                Source::Columns {
                    kind,
                    columns,
                    country,
                    platform,
                } => {
                    for column in columns {
                        let field = Field::new(*kind, Text::Cell(find(column)?), country, find)?;
                        fields.push(Field {
                            platform: *platform,
                            ..field
                        });
                    }
                }
                Source::Address {
                    postcode,
                    house_number,
                    addition,
                    street,
                    country,
                } => {
                    let text = Text::Address {
                        postcode: find(postcode)?,
                        house_number: find(house_number)?,
                        addition: find_some(addition)?,
                        street: find_some(street)?,
                    };
                    fields.push(Field::new(Kind::Address, text, country, find)?);
                }
                Source::Person(person) => persons.push(Person::new(person, find)?),
            }
        }
        let reference = find(&mapping.reference)?;
        let mut watched = vec![reference.clone()];
        watched.extend(fields.iter().map(|field| match &field.text {
            Text::Cell(column) => column.clone(),
            Text::Address { postcode, .. } => postcode.clone(),
        }));
        watched.extend(persons.iter().filter_map(Person::postcode).cloned());
        watched.sort_by_key(|column| column.index);
        watched.dedup_by_key(|column| column.index);
        Ok(Self {
            width: header.len(),
            rules: Rules {
                hints: mapping.hints,
                mixed_dates: mapping.mixed_dates,
            },
            reference,
            origin: find_some(&mapping.origin)?,
            default_origin: mapping.default_origin.clone(),
            role: find_some(&mapping.role)?,
            roles: mapping.roles.clone(),
            default_role: mapping.default_role,
            visibility: mapping.visibility,
            visibility_column: find_some(&mapping.visibility_column)?,
            observed: find_some(&mapping.observed)?.map(DateColumn::new),
            expires: find_some(&mapping.expires)?.map(DateColumn::new),
            fields,
            persons,
            watched,
        })
    }

    /// How many cells a row has.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn read(&mut self, cells: Cells<'_>) -> Row {
        let mut draft = Draft {
            cells,
            rejects: Vec::new(),
            is_usable: true,
        };
        let reference = draft.cell(&self.reference);
        draft.is_usable &= reference.is_some();
        // why the cell cannot be used says more than that it is empty then
        let is_told = reference.is_none();
        let role = self.role(&mut draft);
        let visibility = self.visibility(&mut draft);
        let origin = self.origin(&mut draft);
        let observed = date(&mut self.observed, self.rules, &mut draft).unwrap_or_default();
        let expires = date(&mut self.expires, self.rules, &mut draft);
        // a record whose end is unknown would be held for ever
        draft.is_usable &= expires.is_some();
        let expires = expires.unwrap_or_default();

        let mut identifiers = Vec::new();
        for field in &self.fields {
            identifiers.extend(field.read(&self.rules.hints, &mut draft));
        }
        for person in &mut self.persons {
            identifiers.extend(person.read(self.rules, &mut draft));
        }
        let reference = reference.unwrap_or_default();
        let reference = visible(reference).map_or_else(|| reference.to_owned(), |text| text.trim().to_owned());
        let record = Record::new(reference, role, visibility, observed, expires, identifiers)
            .and_then(|record| record.with_origin(origin));
        let record = record.map_err(|error| {
            if matches!(error, RecordError::ReferenceMissing) && is_told {
                return;
            }
            let column = match error {
                RecordError::ReferenceMissing | RecordError::ReferenceNotValid => self.reference.name.as_str(),
                RecordError::OriginNotValid => self.origin.as_ref().map_or("", |column| column.name.as_str()),
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

    /// Judges what only the whole file shows.
    pub(crate) fn check(&self, summary: &mut Summary) -> Result<(), Fault> {
        let dates = [&self.observed, &self.expires].into_iter().flatten();
        let births = self.persons.iter().filter_map(Person::born);
        dates
            .chain(births)
            .try_for_each(|dates| dates.check(self.rules.hints.dates, summary))
    }

    /// Counts what may be wrong with a cell although it can be read.
    pub(crate) fn watch(&self, cells: Cells<'_>, summary: &mut Summary) {
        for column in &self.watched {
            let mark = cells.mark(column.index);
            if mark.is_number {
                summary.warn(WarningKind::Numbers, &column.name, cells.line());
            }
            if cells.get(column.index).chars().any(is_hidden) {
                summary.warn(WarningKind::Hidden, &column.name, cells.line());
            }
            if mark.is_formula {
                summary.warn(WarningKind::Formulas, &column.name, cells.line());
            }
        }
        for field in &self.fields {
            if let Text::Cell(column) = &field.text
                && !cells.mark(column.index).is_number
                && field.lacks_zero(cells.get(column.index), &self.rules.hints)
            {
                summary.warn(WarningKind::Zeros, &column.name, cells.line());
            }
        }
    }

    fn role(&self, draft: &mut Draft<'_>) -> Role {
        let Some(column) = &self.role else {
            return self.default_role;
        };
        let Some(word) = draft.cell(column).map(str::to_lowercase) else {
            draft.is_usable = false;
            return self.default_role;
        };
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
        let Some(word) = draft.cell(column).map(str::to_lowercase) else {
            draft.is_usable = false;
            return self.visibility;
        };
        if word.is_empty() {
            return self.visibility;
        }
        word.parse().unwrap_or_else(|_| {
            draft.is_usable = false;
            draft.reject(&column.name, Rejection::VisibilityUnknown);
            self.visibility
        })
    }

    /// Where feedback goes; a cell that cannot be read leaves that open, since the default could be the wrong unit.
    fn origin(&self, draft: &mut Draft<'_>) -> Option<String> {
        let Some(column) = &self.origin else {
            return self.default_origin.clone();
        };
        match draft.cell(column)? {
            "" => self.default_origin.clone(),
            origin => Some(origin.to_owned()),
        }
    }
}

impl Field {
    fn new(
        kind: Kind,
        text: Text,
        country: &Country,
        find: impl Fn(&String) -> Result<Column, Fault>,
    ) -> Result<Self, Fault> {
        Ok(Self {
            kind,
            text,
            country: country.fixed,
            country_column: country.column.as_ref().map(find).transpose()?,
            platform: None,
        })
    }

    /// Whether digits alone were taken for what they are with a zero in front: a program took them for a number on the way.
    fn lacks_zero(&self, text: &str, hints: &Hints) -> bool {
        const LONGEST: usize = 12;
        let has_zeros = matches!(self.kind, Kind::Phone | Kind::Bsn | Kind::Company | Kind::National);
        let is_digits = (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if !has_zeros || !is_digits || text.starts_with('0') {
            return false;
        }
        let hints = Hints {
            region: self.country.unwrap_or(hints.region),
            ..*hints
        };
        let padded = Zeroizing::new(format!("0{text}"));
        Identifier::normalise(self.kind, &padded, &hints)
            .is_ok_and(|with| Identifier::normalise(self.kind, text, &hints).is_ok_and(|without| with == without))
    }

    fn read(&self, hints: &Hints, draft: &mut Draft<'_>) -> Option<Identifier> {
        let mut region = self.country.unwrap_or(hints.region);
        let hints = |region| Hints {
            region,
            platform: self.platform.or(hints.platform),
            ..*hints
        };
        let mut in_country = |draft: &mut Draft<'_>| {
            if let Some(column) = &self.country_column {
                let country = draft.cell(column)?;
                if !country.is_empty() {
                    region = draft.keep(column, country.parse().map_err(|_| Rejection::CountryUnknown))?;
                }
            }
            Some(hints(region))
        };
        match &self.text {
            Text::Cell(column) => {
                let text = draft.cell(column)?;
                if text.is_empty() {
                    return None;
                }
                let hints = in_country(draft)?;
                draft.keep(column, Identifier::normalise(self.kind, text, &hints))
            }
            Text::Address {
                postcode,
                house_number,
                addition,
                street,
            } => {
                let (code, number) = (draft.cell(postcode)?, draft.cell(house_number)?);
                let mut rest = |column: &Option<Column>| column.as_ref().map_or(Some(""), |column| draft.cell(column));
                let (addition, street) = (rest(addition)?, rest(street)?);
                if code.is_empty() && number.is_empty() {
                    return None;
                }
                let parts = AddressParts {
                    postcode: code,
                    number,
                    addition,
                    street,
                    country: "",
                };
                let hints = in_country(draft)?;
                draft.keep(postcode, Identifier::address(&parts, &hints))
            }
        }
    }
}

impl<'a> Draft<'a> {
    /// The text of a cell; none, and a reject, if the cell cannot be used at all, or was made a date.
    fn cell(&mut self, column: &Column) -> Option<&'a str> {
        let mark = self.cells.mark(column.index);
        self.unless(column, mark.bad.or(mark.is_date.then_some(Rejection::CellDate)))
    }

    /// The text of a cell that is to be a date.
    fn date_cell(&mut self, column: &Column) -> Option<&'a str> {
        self.unless(column, self.cells.mark(column.index).bad)
    }

    fn unless(&mut self, column: &Column, bad: Option<Rejection>) -> Option<&'a str> {
        let text = unquoted(self.cells.get(column.index));
        let written = match text {
            text if is_error(text) => Some(Rejection::CellError),
            // references and origins go back into spreadsheets, with the hits
            text if is_formula(text) => Some(Rejection::Formula),
            _ => None,
        };
        match bad.or(written) {
            None => Some(text),
            Some(reason) => {
                // one cell may serve two identifiers
                let is_known = |reject: &Reject| reject.column == column.name && reject.reason == reason;
                if !self.rejects.iter().any(is_known) {
                    self.reject(&column.name, reason);
                }
                None
            }
        }
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

/// The date of a column, if there are both; none, and a reject, if it cannot be read.
fn date(column: &mut Option<DateColumn>, rules: Rules, draft: &mut Draft<'_>) -> Option<Option<Date>> {
    let Some(dates) = column.as_mut() else {
        return Some(None);
    };
    let text = draft.date_cell(&dates.column)?;
    if text.is_empty() {
        return Some(None);
    }
    let order = rules.hints.dates;
    let settled = dates.settle(text, draft.cells.line(), order, rules.mixed_dates);
    let date = settled.and_then(|text| parse_date(&text, order));
    draft.keep(&dates.column, date).map(Some)
}

/// A header's names, as people see them.
struct Columns(Vec<String>);

impl Columns {
    /// All that the mapping names must be there.
    fn check(&self, mapping: &Mapping) -> Result<(), Fault> {
        let missing: Vec<String> = mapping
            .columns()
            .into_iter()
            .filter(|column| !self.0.contains(&column_name(column)))
            .map(str::to_owned)
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(self.missing(missing))
        }
    }

    /// The one column of that name; two would leave open which one is meant.
    fn find(&self, name: &str) -> Result<Column, Fault> {
        let name = column_name(name);
        let mut found = self.0.iter().enumerate().filter(|(_, column)| **column == name);
        match (found.next(), found.next()) {
            (Some((index, _)), None) => Ok(Column { index, name }),
            (Some(_), Some(_)) => Err(Fault::DuplicateColumn { column: name }),
            (None, _) => Err(self.missing(vec![name])),
        }
    }

    fn missing(&self, columns: Vec<String>) -> Fault {
        Fault::MissingColumn {
            columns,
            header: Header::new(self.0.iter().map(String::as_str)),
        }
    }
}
