//! The national counts that the Security Agenda is steered by: unique subjects in a role, year to date, and where the year will end.

use serde::{Deserialize, Serialize};

use crate::{
    picture::{Form, KindPicture, Picture},
    tally::Month,
};

/// A year's count of unique subjects in a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// What is counted.
    pub kind: String,
    /// In which role, whatever other roles they have.
    pub role: String,
    /// First month.
    pub since: String,
    /// Last month that is counted whole.
    pub through: String,
    /// How many months that is.
    pub months: u32,
    /// Subjects first observed in them.
    pub to_date: u64,
    /// Whether counts were withheld, or subjects have no month, so that it is at least this.
    pub at_least: bool,
    /// Subjects in the role that no agency knows a month of: not counted.
    pub undated: u64,
    /// What twelve months come to, from the mean of the months so far.
    pub projection: f64,
    /// What it is to be.
    pub target: Option<u64>,
    /// By month; one that is not here is nought, or withheld.
    pub by_month: Vec<(String, u64)>,
}

/// Why there are no figures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FiguresError {
    /// The picture has nothing of the kind.
    #[error("the picture has nothing of the kind {0}: it has {1}")]
    NoKind(String, String),
    /// No such role.
    #[error("{0} is no role that is counted: suspect, convicted, victim or other")]
    NoRole(String),
    /// Neither the picture nor the caller says where to begin.
    #[error("the picture has no first month: name the first that counts (--since)")]
    NoStart,
    /// The picture is of other roles.
    #[error("the picture is not of subjects in the role {0}: it was asked for {1}")]
    OtherRoles(String, String),
    /// Nothing of the kind is told, or no role.
    #[error("the picture tells no counts of {0} by role: they would give small counts away; run one with --role alone")]
    NotTold(String),
    /// The picture begins later.
    #[error("the picture begins in {begins}: it cannot tell of {since}")]
    Before {
        /// When it begins.
        begins: Month,
        /// The first that was asked for.
        since: Month,
    },
    /// An operational picture has no months.
    #[error("an operational picture has no months: figures need one of statistics")]
    Operational,
    /// The last month is not over when the picture was made.
    #[error("the picture was made in {made}: it cannot tell of {through}")]
    Future {
        /// When it was made.
        made: Month,
        /// The last.
        through: Month,
    },
    /// The months are in the wrong order, or more than a year.
    #[error("from {since} through {through} is not a part of one year of twelve months")]
    Months {
        /// The first.
        since: Month,
        /// The last.
        through: Month,
    },
}

/// Counts the subjects of a kind that any agency knows in a role, from the month `since` through the month `through`.
///
/// A subject counts in the month in which the first agency observed it. In a picture that begins at `since` too, what was observed before
/// takes no part. The projection is the mean of the months times twelve.
///
/// # Errors
/// [`FiguresError`].
pub fn figures(
    picture: &Picture,
    kind: &str,
    role: &str,
    since: Month,
    through: Month,
    target: Option<u64>,
) -> Result<Figures, FiguresError> {
    if picture.form == Form::Operational {
        return Err(FiguresError::Operational);
    }
    let found: &KindPicture = picture.kind(kind).ok_or_else(|| {
        let known: Vec<&str> = picture.kinds.iter().map(|one| one.kind.as_str()).collect();
        FiguresError::NoKind(kind.to_owned(), known.join(", "))
    })?;
    if !["suspect", "convicted", "victim", "other"].contains(&role) {
        return Err(FiguresError::NoRole(role.to_owned()));
    }
    if role != "other" && !picture.roles.iter().any(|one| one == role) {
        return Err(FiguresError::OtherRoles(role.to_owned(), picture.roles.join(", ")));
    }
    if found.roles.is_empty() {
        return Err(FiguresError::NotTold(kind.to_owned()));
    }
    if since == Month::UNKNOWN {
        return Err(FiguresError::NoStart);
    }
    let first: Option<Month> = picture.since.as_deref().and_then(|month| month.parse().ok());
    if let Some(begins) = first.filter(|begins| since < *begins) {
        return Err(FiguresError::Before { begins, since });
    }
    let months = u32::from(through.number()) + 1;
    let months = months.saturating_sub(u32::from(since.number()));
    if !(1..=12).contains(&months) {
        return Err(FiguresError::Months { since, through });
    }
    let made = picture.made.get(..7).and_then(|month| month.parse::<Month>().ok());
    if let Some(made) = made.filter(|made| through > *made) {
        return Err(FiguresError::Future { made, through });
    }
    let counted: Vec<_> = found
        .roles
        .iter()
        .filter(|one| one.roles.iter().any(|name| name == role))
        .collect();
    let mut by_month: Vec<(Month, u64)> = Vec::new();
    let (mut to_date, mut told, mut undated) = (0, 0, 0);
    for one in &counted {
        for month in &one.months {
            let at: Month = month.month.parse().unwrap_or_default();
            told += month.count;
            if at == Month::UNKNOWN {
                undated += month.count;
            }
            if (since..=through).contains(&at) {
                to_date += month.count;
                match by_month.iter_mut().find(|(known, _)| *known == at) {
                    Some((_, count)) => *count += month.count,
                    None => by_month.push((at, month.count)),
                }
            }
        }
    }
    by_month.sort_unstable();
    // where the picture begins and ends with the months that are counted, what is withheld of a month is still in the sum of its role
    let whole: u64 = counted.iter().map(|one| one.count).sum();
    let begins = picture.since.as_deref().and_then(|month| month.parse().ok()) == Some(since);
    let is_whole = begins && made.is_some_and(|made| made <= through);
    if is_whole {
        to_date = whole;
    }
    let all_roles: u64 = found.roles.iter().map(|one| one.count).sum();
    let at_least = found.unique != Some(all_roles) || !is_whole && told != whole || undated > 0;
    Ok(Figures {
        kind: kind.to_owned(),
        role: role.to_owned(),
        since: since.to_string(),
        through: through.to_string(),
        months,
        to_date,
        at_least,
        undated,
        // more digits than it means
        projection: (to_date as f64 / f64::from(months) * 120.0).round() / 10.0,
        target,
        by_month: by_month
            .into_iter()
            .map(|(month, count)| (month.to_string(), count))
            .collect(),
    })
}
