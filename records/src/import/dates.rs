//! Which of day and month stands in front: a file that says both cannot be trusted with either.

use std::borrow::Cow;

use super::error::Fault;
use super::plan::Column;
use crate::date::{DateOrder, parse_date};
use crate::mapping::MixedDates;
use crate::rejection::Rejection;
use crate::summary::{Summary, WarningKind};

/// A column of dates, and what its rows said so far.
pub(crate) struct DateColumn {
    pub(crate) column: Column,
    day_first: Seen,
    month_first: Seen,
    /// Dates that fit both orders, and differ by it.
    either: Seen,
}

/// Dates of one sort.
#[derive(Default)]
struct Seen {
    dates: u64,
    first_row: u64,
}

/// Of a hundred dates that fit one order alone, so many in the other are slips; more are a file in two orders.
const SLIPS_PER_HUNDRED: u64 = 5;

impl DateColumn {
    pub(crate) fn new(column: Column) -> Self {
        Self {
            column,
            day_first: Seen::default(),
            month_first: Seen::default(),
            either: Seen::default(),
        }
    }

    /// The date as [`parse_date`] may read it in the file's order.
    pub(crate) fn settle<'a>(
        &mut self,
        text: &'a str,
        row: u64,
        order: DateOrder,
        mixed: MixedDates,
    ) -> Result<Cow<'a, str>, Rejection> {
        if order == DateOrder::Ymd {
            return Ok(Cow::Borrowed(text));
        }
        let read = |order| parse_date(text, order).ok();
        match (read(DateOrder::Dmy), read(DateOrder::Mdy), mixed) {
            (Some(day_first), Some(month_first), MixedDates::Reject) if day_first != month_first => {
                return Err(Rejection::DateAmbiguous);
            }
            (Some(date), _, MixedDates::Reject) | (None, Some(date), MixedDates::Reject) => {
                return Ok(Cow::Owned(date.to_string()));
            }
            (Some(_), None, _) => self.day_first.note(row),
            (None, Some(_), _) => self.month_first.note(row),
            (Some(day_first), Some(month_first), _) if day_first != month_first => self.either.note(row),
            _ => {}
        }
        match read(order).or_else(|| read(other(order))) {
            Some(_) if read(order).is_none() => Err(Rejection::DateOtherOrder),
            _ => Ok(Cow::Borrowed(text)),
        }
    }

    /// Judges the column once all of it was read, in the file's order. A few slips are rejected one by one, with a warning about
    /// the dates that could be slips as well.
    pub(crate) fn check(&self, order: DateOrder, summary: &mut Summary) -> Result<(), Fault> {
        let (day_first, month_first) = (&self.day_first, &self.month_first);
        let (own, slips) = match order {
            DateOrder::Mdy => (month_first, day_first),
            DateOrder::Dmy | DateOrder::Ymd => (day_first, month_first),
        };
        if 100 * slips.dates <= SLIPS_PER_HUNDRED * (own.dates + slips.dates) {
            if slips.dates > 0 && self.either.dates > 0 {
                let (cells, row) = (self.either.dates, self.either.first_row);
                summary.warn_of(WarningKind::Dates, &self.column.name, cells, row);
            }
            return Ok(());
        }
        let column = self.column.name.clone();
        // the dates that fit both orders would be read in the wrong one
        Err(match own.dates {
            0 => Fault::OtherOrder {
                column,
                dates: slips.dates,
                row: slips.first_row,
            },
            _ => Fault::MixedDates {
                column,
                day_first: day_first.first_row,
                month_first: month_first.first_row,
            },
        })
    }
}

impl Seen {
    fn note(&mut self, row: u64) {
        if self.dates == 0 {
            self.first_row = row;
        }
        self.dates += 1;
    }
}

fn other(order: DateOrder) -> DateOrder {
    match order {
        DateOrder::Mdy => DateOrder::Dmy,
        DateOrder::Dmy | DateOrder::Ymd => DateOrder::Mdy,
    }
}
