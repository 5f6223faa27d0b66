//! Birth dates, which records often know in part only.

use crate::date::{DateOrder, calendar, numbers};
use crate::normalise::ascii;
use crate::rejection::Rejection;

/// Birth years that can be meant; registers of the dead go back further than the living.
const YEARS: std::ops::RangeInclusive<i16> = 1500..=2150;

/// A birth date; zero stands for a part that is not known.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Birth {
    pub(crate) year: i16,
    pub(crate) month: i16,
    pub(crate) day: i16,
}

impl Birth {
    /// Reads a whole date, or a partial one: `00-00-1985`, `1985-02-00`, `1985`, `1985-02`, `02-1985`.
    pub(crate) fn parse(raw: &str, order: DateOrder) -> Result<Self, Rejection> {
        let text = ascii(raw)?;
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::default());
        }
        let (year, month, day) = match short(text) {
            Some((year, month)) => (year, month, 0),
            None => numbers(text, order)?,
        };
        let birth = Self { year, month, day };
        if birth == Self::default() {
            return Ok(birth);
        }
        if year != 0 && !YEARS.contains(&year) {
            return Err(Rejection::DateOutOfRange);
        }
        // a day without its month says nothing; what is left out is filled with what every calendar has
        let or = |number: i16, filling| if number == 0 { filling } else { number };
        calendar(or(year, 2000), or(month, 1), or(day, 1))?;
        Ok(if month == 0 { Self { day: 0, ..birth } } else { birth })
    }

    /// What of a date that cannot be may still be right: `1985-02-30` leaves the month, `1985-19-02` the year.
    pub(crate) fn salvage(raw: &str, order: DateOrder) -> Self {
        let (mut year, mut month, mut day) = numbers(raw, order).unwrap_or_default();
        if !YEARS.contains(&year) {
            year = 0;
        }
        if !(1..=12).contains(&month) {
            (month, day) = (0, 0);
        }
        if calendar(if year == 0 { 2000 } else { year }, month, day).is_err() {
            day = 0;
        }
        Self { year, month, day }
    }

    pub(crate) fn is_known(self) -> bool {
        self != Self::default()
    }
}

impl std::fmt::Display for Birth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_known() {
            write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)?;
        }
        Ok(())
    }
}

/// A year alone, or with its month; `00-00-1985` can be read in any order.
fn short(text: &str) -> Option<(i16, i16)> {
    let number = |digits: &str, lengths: std::ops::RangeInclusive<usize>| {
        let is_number = lengths.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<i16>().ok()).flatten()
    };
    if let Some(year) = number(text, 4..=4) {
        return Some((year, 0));
    }
    let is_zeros = |part: &str| matches!(part, "0" | "00");
    let parts: Vec<&str> = text.split(['-', '/', '.', ' ']).collect();
    if let [a, b, year] = parts.as_slice()
        && is_zeros(a)
        && is_zeros(b)
    {
        return number(year, 4..=4).map(|year| (year, 0));
    }
    let [a, b] = parts.as_slice() else { return None };
    number(a, 4..=4)
        .zip(number(b, 1..=2))
        .or_else(|| number(b, 4..=4).zip(number(a, 1..=2)))
}
