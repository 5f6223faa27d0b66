//! Persons: the columns that their parts stand in.

use std::borrow::Cow;

use zeroize::Zeroizing;

use super::{Column, Draft, Rules};
use crate::date::{DateOrder, parse_date};
use crate::identifier::Identifier;
use crate::import::dates::DateColumn;
use crate::import::error::Fault;
use crate::mapping::{Born, PersonColumns};
use crate::person::{PersonParts, salvage_birth_date};
use crate::rejection::Rejection;

pub(super) struct Person {
    name: Option<Column>,
    given: Vec<Column>,
    family: Option<Column>,
    particle: Option<Column>,
    birth: Option<Birth>,
    sex: Option<Column>,
    postcode: Option<Column>,
    house_number: Option<Column>,
    street: Option<Column>,
    place: Option<Column>,
}

enum Birth {
    Date(DateColumn),
    /// Year, month, day.
    Parts([Column; 3]),
}

impl Person {
    pub(super) fn new(columns: &PersonColumns, find: impl Fn(&String) -> Result<Column, Fault>) -> Result<Self, Fault> {
        let find_some = |name: &Option<String>| name.as_ref().map(&find).transpose();
        let birth = match &columns.born {
            None => None,
            Some(Born::Date(column)) => Some(Birth::Date(DateColumn::new(find(column)?))),
            Some(Born::Parts([year, month, day])) => Some(Birth::Parts([find(year)?, find(month)?, find(day)?])),
        };
        Ok(Self {
            name: find_some(&columns.name)?,
            given: columns.given.iter().map(&find).collect::<Result<_, _>>()?,
            family: find_some(&columns.family)?,
            particle: find_some(&columns.particle)?,
            birth,
            sex: find_some(&columns.sex)?,
            postcode: find_some(&columns.postcode)?,
            house_number: find_some(&columns.house_number)?,
            street: find_some(&columns.street)?,
            place: find_some(&columns.place)?,
        })
    }

    pub(super) fn born(&self) -> Option<&DateColumn> {
        match &self.birth {
            Some(Birth::Date(dates)) => Some(dates),
            _ => None,
        }
    }

    pub(super) fn postcode(&self) -> Option<&Column> {
        self.postcode.as_ref()
    }

    /// A row without any name is simply no person, unless birth date and address tell of one.
    pub(super) fn read(&mut self, rules: Rules, draft: &mut Draft<'_>) -> Option<Identifier> {
        let names = [&self.name, &self.family, &self.particle];
        let [Some(name), Some(family), Some(particle)] = names.map(|column| cell(column, draft)) else {
            return None;
        };
        let given: Option<Vec<&str>> = self.given.iter().map(|column| draft.cell(column)).collect();
        let given = Zeroizing::new(given?.join(" ").trim().to_owned());
        let is_named = !(name.is_empty() && given.is_empty() && family.is_empty());
        let (born, doubt) = match &mut self.birth {
            None => (Cow::Borrowed(""), None),
            Some(birth) => birth.read(rules, draft),
        };
        // what only tells people apart may be missing
        let extras = [&self.sex, &self.postcode, &self.house_number, &self.street, &self.place];
        let [sex, postcode, house_number, street, place] = extras.map(|column| cell(column, draft).unwrap_or_default());
        let person = |born: &str| {
            let parts = PersonParts {
                name,
                given: &given,
                family,
                particle,
                born,
                sex,
                postcode,
                house_number,
                street,
                place,
            };
            Identifier::person(&parts, &rules.hints)
        };
        let born = Zeroizing::new(born.into_owned());
        let read = person(&born);
        if let Some(reason) = doubt {
            draft.reject(self.blamed(reason), reason);
            return read.ok();
        }
        let reason = match read {
            Ok(person) => return Some(person),
            // an address, or a birth date, is no person by itself
            Err(Rejection::PersonTooLittle | Rejection::Empty) if !is_named => return None,
            Err(reason) => reason,
        };
        draft.reject(self.blamed(reason), reason);
        // a date that cannot be costs its wrong part, not the person
        let salvaged = reason.is_date().then(|| salvage_birth_date(&born, rules.hints.dates))?;
        person(&salvaged).ok()
    }

    /// The column that a rejection is about.
    fn blamed(&self, reason: Rejection) -> &str {
        let is_birth = reason.is_date() || matches!(reason, Rejection::DateAmbiguous | Rejection::DateOtherOrder);
        let birth = self.birth.as_ref().filter(|_| is_birth).map(Birth::column);
        let name = [&self.family, &self.name]
            .into_iter()
            .flatten()
            .chain(&self.given)
            .next();
        birth.or(name).map_or("", |column| &column.name)
    }
}

impl Birth {
    /// The birth date's text, blank if its cell cannot be used at all; the year alone, and why, if day and month may be swapped.
    fn read<'a>(&mut self, rules: Rules, draft: &mut Draft<'a>) -> (Cow<'a, str>, Option<Rejection>) {
        match self {
            Self::Date(dates) => {
                let text = draft.date_cell(&dates.column).unwrap_or_default();
                match dates.settle(text, draft.cells.line(), rules.hints.dates, rules.mixed_dates) {
                    Ok(text) => (text, None),
                    Err(reason) => (Cow::Owned(year_alone(text)), Some(reason)),
                }
            }
            Self::Parts(columns) => {
                let parts = columns.each_ref().map(|column| draft.cell(column));
                let [year, month, day] = parts.map(Option::unwrap_or_default);
                (Cow::Owned(joined(year, month, day)), None)
            }
        }
    }

    fn column(&self) -> &Column {
        match self {
            Self::Date(dates) => &dates.column,
            Self::Parts([year, _, _]) => year,
        }
    }
}

/// A partial date: both orders of day and month say the same year.
fn year_alone(text: &str) -> String {
    let date = [DateOrder::Dmy, DateOrder::Mdy]
        .into_iter()
        .find_map(|order| parse_date(text, order).ok());
    date.map(|date| format!("{:04}-00-00", date.year())).unwrap_or_default()
}

/// yyyy-mm-dd, with zeros for what is not known; nothing if that is all of it. A year of two digits stays one.
fn joined(year: &str, month: &str, day: &str) -> String {
    match (year, month, day) {
        ("", "", "") => String::new(),
        (_, "", _) => format!("{year}-00-00"),
        (_, _, "") => format!("{year}-{month}-00"),
        _ => format!("{year}-{month}-{day}"),
    }
}

fn cell<'a>(column: &Option<Column>, draft: &mut Draft<'a>) -> Option<&'a str> {
    column.as_ref().map_or(Some(""), |column| draft.cell(column))
}
