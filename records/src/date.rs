//! Dates as agencies write them.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::normalise::ascii;
use crate::rejection::Rejection;

/// In which order a file writes day, month and year; `yyyy-mm-dd` is read always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DateOrder {
    /// Day, month, year: 23-02-1985.
    Dmy,
    /// Month, day, year: 02/23/1985.
    Mdy,
    /// Year, month, day: 1985-02-23.
    #[default]
    Ymd,
}

/// Reads a date; separators may be `-`, `/`, `.`, a blank or none, and a time of day after it is dropped.
///
/// # Errors
///
/// - [`Rejection::DateFormat`]: not three groups of digits in the given order.
/// - [`Rejection::DateTwoDigitYear`]: the century is open, as in 23-02-85.
/// - [`Rejection::DatePartial`]: day or month is zero, as in 00-00-1985.
/// - [`Rejection::DateImpossible`]: 30 February.
/// - [`Rejection::Empty`], [`Rejection::TooLong`].
pub fn parse_date(raw: &str, order: DateOrder) -> Result<Date, Rejection> {
    let (year, month, day) = numbers(raw, order)?;
    if month == 0 || day == 0 {
        return Err(Rejection::DatePartial);
    }
    calendar(year, month, day)
}

/// Year, month and day as written, zeros included; whether the day exists is not looked at.
pub(crate) fn numbers(raw: &str, order: DateOrder) -> Result<(i16, i16, i16), Rejection> {
    let text = ascii(raw)?;
    let text = without_time(text.trim());
    if text.is_empty() {
        return Err(Rejection::Empty);
    }
    let (year, month, day) = if text.bytes().all(|b| b.is_ascii_digit()) {
        compact(text, order)?
    } else {
        separated(text, order)?
    };
    let number = |digits: &str| digits.parse::<i16>().map_err(|_| Rejection::DateFormat);
    Ok((number(year)?, number(month)?, number(day)?))
}

/// The day, if the calendar has it.
pub(crate) fn calendar(year: i16, month: i16, day: i16) -> Result<Date, Rejection> {
    let (Ok(month), Ok(day)) = (i8::try_from(month), i8::try_from(day)) else {
        return Err(Rejection::DateImpossible);
    };
    Date::new(year, month, day).map_err(|_| Rejection::DateImpossible)
}

type Parts<'a> = (&'a str, &'a str, &'a str);

/// Eight digits in the file's order.
fn compact(text: &str, order: DateOrder) -> Result<Parts<'_>, Rejection> {
    let cut = |from: usize, to: usize| text.get(from..to).ok_or(Rejection::DateFormat);
    match (text.len(), order) {
        (8, DateOrder::Ymd) => Ok((cut(0, 4)?, cut(4, 6)?, cut(6, 8)?)),
        (8, DateOrder::Dmy) => Ok((cut(4, 8)?, cut(2, 4)?, cut(0, 2)?)),
        (8, DateOrder::Mdy) => Ok((cut(4, 8)?, cut(0, 2)?, cut(2, 4)?)),
        (6, _) => Err(Rejection::DateTwoDigitYear),
        _ => Err(Rejection::DateFormat),
    }
}

/// Three groups of digits; four digits in front can only be the year.
fn separated(text: &str, order: DateOrder) -> Result<Parts<'_>, Rejection> {
    let mut groups = text.split(['-', '/', '.', ' ']);
    let (Some(a), Some(b), Some(c), None) = (groups.next(), groups.next(), groups.next(), groups.next()) else {
        return Err(Rejection::DateFormat);
    };
    if [a, b, c]
        .iter()
        .any(|group| group.is_empty() || !group.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Err(Rejection::DateFormat);
    }
    match (a.len(), b.len(), c.len(), order) {
        (4, 1 | 2, 1 | 2, _) => Ok((a, b, c)),
        (1 | 2, 1 | 2, 4, DateOrder::Dmy) => Ok((c, b, a)),
        (1 | 2, 1 | 2, 4, DateOrder::Mdy) => Ok((c, a, b)),
        (1 | 2, 1 | 2, 1 | 2, _) => Err(Rejection::DateTwoDigitYear),
        _ => Err(Rejection::DateFormat),
    }
}

/// Databases export dates as `1985-02-23 00:00:00` or `1985-02-23T00:00:00Z`.
fn without_time(text: &str) -> &str {
    let Some((date, time)) = text.split_once(['T', ' ']) else {
        return text;
    };
    let is_time = time.contains(':') && time.bytes().all(|b| b.is_ascii_digit() || b":.Z+- ".contains(&b));
    if is_time { date } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        use DateOrder::{Dmy, Mdy, Ymd};
        let cases = [
            ("1985-02-23", Ymd, Ok("1985-02-23")),
            ("1985-02-23", Dmy, Ok("1985-02-23")),
            ("1985/2/3", Mdy, Ok("1985-02-03")),
            ("23-02-1985", Dmy, Ok("1985-02-23")),
            ("3.2.1985", Dmy, Ok("1985-02-03")),
            ("02/23/1985", Mdy, Ok("1985-02-23")),
            (" ٢٣-٠٢-١٩٨٥ ", Dmy, Ok("1985-02-23")),
            ("1985-02-23 00:00:00.000", Ymd, Ok("1985-02-23")),
            ("1985-02-23T10:00:00Z", Ymd, Ok("1985-02-23")),
            ("23-02-1985 0:00", Dmy, Ok("1985-02-23")),
            ("19850223", Ymd, Ok("1985-02-23")),
            ("23021985", Dmy, Ok("1985-02-23")),
            ("2000-02-29", Ymd, Ok("2000-02-29")),
            ("9999-12-31", Ymd, Ok("9999-12-31")),
            ("19850230", Ymd, Err(Rejection::DateImpossible)),
            ("1900-02-29", Ymd, Err(Rejection::DateImpossible)),
            ("1985-13-01", Ymd, Err(Rejection::DateImpossible)),
            ("02/23/1985", Dmy, Err(Rejection::DateImpossible)),
            ("23-02-1985", Ymd, Err(Rejection::DateFormat)),
            ("23-02-85", Dmy, Err(Rejection::DateTwoDigitYear)),
            ("850223", Ymd, Err(Rejection::DateTwoDigitYear)),
            ("00-00-1985", Dmy, Err(Rejection::DatePartial)),
            ("19850200", Ymd, Err(Rejection::DatePartial)),
            ("1985", Ymd, Err(Rejection::DateFormat)),
            ("31101", Ymd, Err(Rejection::DateFormat)),
            ("1985--02-23", Ymd, Err(Rejection::DateFormat)),
            ("-1985-02-23", Ymd, Err(Rejection::DateFormat)),
            ("1985-02-23 in the morning", Ymd, Err(Rejection::DateFormat)),
            ("  ", Ymd, Err(Rejection::Empty)),
        ];
        for (raw, order, expected) in cases {
            let found = parse_date(raw, order).map(|date| date.to_string());
            assert_eq!(found.as_deref().map_err(|e| *e), expected, "{raw} {order:?}");
        }
    }
}
