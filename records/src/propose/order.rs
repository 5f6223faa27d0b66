//! In which order day and month stand, as far as a sample tells.

use super::sample::Dates;

/// What is known of the order, the least first.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// No dates.
    #[default]
    None,
    YearFirst,
    /// Every date can be read both ways.
    Open,
    DayFirst,
    MonthFirst,
    /// Both orders occur in one column.
    Mixed,
}

impl Order {
    pub(super) fn of(dates: Dates) -> Self {
        match (dates.day_first, dates.month_first) {
            (0, 0) if dates.either > 0 => Self::Open,
            (0, 0) if dates.year_first > 0 => Self::YearFirst,
            (0, 0) => Self::None,
            (_, 0) => Self::DayFirst,
            (0, _) => Self::MonthFirst,
            _ => Self::Mixed,
        }
    }

    /// The order of two columns, unless one mapping cannot say both.
    pub(super) fn and(self, other: Self) -> Option<Self> {
        match (self.min(other), self.max(other)) {
            (one, two) if one == two => Some(one),
            (Self::DayFirst, Self::MonthFirst) => None,
            (_, more) => Some(more),
        }
    }

    /// What to look at in the column of that name.
    pub(super) fn note(self, name: &str) -> Option<String> {
        match self {
            Self::Open => Some(format!(
                "column {name}: every date in the sample can be read both ways: set `dates`"
            )),
            Self::Mixed => Some(format!(
                "column {name}: some dates can only be day-month and some only month-day: find out why before importing"
            )),
            _ => None,
        }
    }

    /// The keys of `[source]`.
    pub(super) fn toml(self) -> &'static str {
        match self {
            Self::None => "",
            Self::YearFirst => "dates = \"ymd\"\n",
            Self::Open => "# decide: every date in the sample can be read both ways\n# dates = \"dmy\" # or \"mdy\"\n",
            Self::DayFirst => "dates = \"dmy\"\n",
            Self::MonthFirst => "dates = \"mdy\"\n",
            Self::Mixed => {
                "dates = \"dmy\"\n# both orders occur: only dates that can be read in one way are taken\nmixed_dates = \"reject\"\n"
            }
        }
    }
}
