//! Counting: what subjects fall into which cells.

mod told;

use std::{collections::BTreeMap, fmt, str::FromStr};

/// Most cells that are counted, in memory.
const MOST_CELLS: usize = 1 << 20;

/// The roles of a subject, as a set: what any agency knows it as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Roles(u8);

impl Roles {
    /// Neither of the others: a witness, say.
    pub const OTHER: Self = Self(0);
    /// A suspect.
    pub const SUSPECT: Self = Self(1);
    /// Someone convicted.
    pub const CONVICTED: Self = Self(2);
    /// A victim.
    pub const VICTIM: Self = Self(4);

    const NAMES: [(Self, &'static str); 3] = [
        (Self::SUSPECT, "suspect"),
        (Self::CONVICTED, "convicted"),
        (Self::VICTIM, "victim"),
    ];

    /// The set with these bits, if it is one.
    pub fn from_bits(bits: u8) -> Option<Self> {
        (bits < 8).then_some(Self(bits))
    }

    /// As bits: 1 suspect, 2 convicted, 4 victim.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Both sets together.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The names of the roles; `other` where there is none.
    pub fn names(self) -> Vec<String> {
        let names: Vec<String> = Self::NAMES
            .iter()
            .filter(|(role, _)| self.0 & role.0 != 0)
            .map(|(_, name)| (*name).to_owned())
            .collect();
        match names.is_empty() {
            true => vec!["other".to_owned()],
            false => names,
        }
    }
}

/// A month of a year; in order of time, with the unknown one first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(u16);

/// The text is no month such as `2026-03`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a month such as 2026-03")]
pub struct NoMonth;

impl Month {
    /// When nobody wrote it down.
    pub const UNKNOWN: Self = Self(0);

    /// Of a year of our era up to 5000, and a month from 1 to 12.
    pub fn new(year: i16, month: i8) -> Option<Self> {
        let (year, month) = (u16::try_from(year).ok()?, u16::try_from(month).ok()?);
        let is_one = (1..=5000).contains(&year) && (1..=12).contains(&month);
        is_one.then(|| Self(year * 12 + month - 1))
    }

    /// The month with this number, if it is one.
    pub fn from_number(number: u16) -> Option<Self> {
        (number == 0 || (12..=5000 * 12 + 11).contains(&number)).then_some(Self(number))
    }

    /// Its number: 12 times the year, and the months before it in that; 0 if unknown.
    pub fn number(self) -> u16 {
        self.0
    }

    /// The year.
    pub fn year(self) -> u16 {
        self.0 / 12
    }

    /// The month of the year, from 1.
    pub fn month(self) -> u16 {
        self.0 % 12 + 1
    }

    /// The earlier of two, a known one before an unknown one.
    pub fn earlier(self, other: Self) -> Self {
        match (self.0, other.0) {
            (0, _) => other,
            (_, 0) => self,
            _ => self.min(other),
        }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::UNKNOWN => f.write_str("unknown"),
            _ => write!(f, "{:04}-{:02}", self.year(), self.month()),
        }
    }
}

impl FromStr for Month {
    type Err = NoMonth;

    fn from_str(text: &str) -> Result<Self, NoMonth> {
        if text == "unknown" {
            return Ok(Self::UNKNOWN);
        }
        let (year, month) = text.split_once('-').ok_or(NoMonth)?;
        match (year.len(), month.len(), year.parse(), month.parse()) {
            (4, 2, Ok(year), Ok(month)) => Self::new(year, month).ok_or(NoMonth),
            _ => Err(NoMonth),
        }
    }
}

/// One subject of the picture: an identifier, whoever holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Which kind, by its place in the list.
    pub kind: u8,
    /// Which agencies hold it: bit `i` for the agency at place `i`.
    pub agencies: u64,
    /// In which roles they know it, all together.
    pub roles: Roles,
    /// When the first of them observed it.
    pub month: Month,
}

/// Counts of subjects: by kind, combination of agencies, roles and month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    cells: BTreeMap<(u8, u64, Roles, Month), u64>,
}

/// There are more cells than are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "more than {MOST_CELLS} combinations of kind, agencies, roles and month occur (limit cells): ask about fewer kinds, or since a later month"
)]
pub struct TooManyCells;

impl Tally {
    /// Counts a subject in.
    ///
    /// # Errors
    /// [`TooManyCells`].
    pub fn add(&mut self, subject: Subject) -> Result<(), TooManyCells> {
        let many = self.cells.len() >= MOST_CELLS;
        let at = (subject.kind, subject.agencies, subject.roles, subject.month);
        match self.cells.get_mut(&at) {
            Some(count) => *count += 1,
            None if many => return Err(TooManyCells),
            None => drop(self.cells.insert(at, 1)),
        }
        Ok(())
    }

    /// How many subjects more than one agency holds, of all kinds.
    pub fn shared(&self) -> u64 {
        let shared = self.cells.iter().filter(|((_, who, ..), _)| who.count_ones() > 1);
        shared.map(|(_, count)| count).sum()
    }

    /// How many subjects there are, of all kinds.
    pub fn unique(&self) -> u64 {
        self.cells.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_read_as_they_print() {
        for text in ["2026-03", "1999-12", "unknown"] {
            assert_eq!(text.parse::<Month>().unwrap().to_string(), text);
        }
        for bad in ["2026-13", "2026-0", "26-01", "2026", "", "2026-1", "-001-01"] {
            assert_eq!(bad.parse::<Month>(), Err(NoMonth), "{bad}");
        }
        let (early, late) = (Month::new(2025, 12).unwrap(), Month::new(2026, 1).unwrap());
        assert_eq!(late.earlier(early), early);
        assert_eq!(Month::UNKNOWN.earlier(late), late);
        assert_eq!(Month::from_number(early.number()), Some(early));
        assert_eq!(Month::from_number(5), None);
    }

    #[test]
    fn a_subject_counts_once_however_many_hold_it() {
        let mut tally = Tally::default();
        let month = Month::new(2026, 3).unwrap();
        for agencies in [0b01, 0b10, 0b11, 0b11] {
            let roles = Roles::VICTIM;
            let kind = 0;
            tally
                .add(Subject {
                    kind,
                    agencies,
                    roles,
                    month,
                })
                .unwrap();
        }
        let names = ["politie".to_owned(), "kmar".to_owned()];
        let told = tally.told(&["person".to_owned()], &names, 1);
        assert_eq!(told[0].unique, Some(4));
        assert_eq!(told[0].combinations[0].agencies, names);
        assert_eq!(told[0].combinations[0].count, 2);
        assert_eq!(told[0].roles[0].roles, ["victim"]);
        assert_eq!(told[0].roles[0].months[0].month, "2026-03");
        assert_eq!(tally.shared(), 2);
    }
}
