//! Two pictures held against each other: counts alone, since pseudonyms of two pictures have nothing in common.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::picture::Picture;

/// How many subjects a combination of agencies had, and has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The kind.
    pub kind: String,
    /// Names of the agencies.
    pub agencies: Vec<String>,
    /// How many before; none: nought, or withheld.
    pub before: Option<u64>,
    /// How many after; none: nought, or withheld.
    pub after: Option<u64>,
}

impl Change {
    /// The difference, where both are told.
    pub fn difference(&self) -> Option<i64> {
        let (before, after) = (i64::try_from(self.before?).ok()?, i64::try_from(self.after?).ok()?);
        Some(after - before)
    }
}

/// Why two pictures cannot be held against each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// They are not of the same agencies.
    #[error(
        "the pictures are not of the same agencies: {0} took part in one alone; combinations would mean different things"
    )]
    Agencies(String),
    /// The first is the later.
    #[error("the first of the two was made after the second: name the earlier first")]
    Order,
    /// They are not about the same subjects.
    #[error("the pictures are not about the same: {0} differ")]
    Scope(&'static str),
}

/// What has changed from one picture to another, by kind and combination: all that either tells, the largest difference first.
///
/// # Errors
/// [`CompareError`] where counts would mean different things.
pub fn compare(before: &Picture, after: &Picture) -> Result<Vec<Change>, CompareError> {
    let names = |picture: &Picture| -> BTreeSet<String> { picture.names().into_iter().map(str::to_owned).collect() };
    let (had, has) = (names(before), names(after));
    if had != has {
        let differ: Vec<String> = had.symmetric_difference(&has).cloned().collect();
        return Err(CompareError::Agencies(differ.join(", ")));
    }
    if before.made > after.made {
        return Err(CompareError::Order);
    }
    if before.form != after.form || before.min_count != after.min_count {
        return Err(CompareError::Scope("the forms, or the least counts,"));
    }
    if before.agreement != after.agreement {
        return Err(CompareError::Scope("the agreements, and so the datasets,"));
    }
    if before.roles != after.roles {
        return Err(CompareError::Scope("the roles"));
    }
    if before.since != after.since {
        return Err(CompareError::Scope("the months that they begin at"));
    }
    let cells = |picture: &Picture| -> BTreeMap<(String, BTreeSet<String>), u64> {
        let kinds = picture.kinds.iter();
        let cells = kinds.flat_map(|kind| {
            let combinations = kind.combinations.iter();
            combinations.map(|one| ((kind.kind.clone(), one.agencies.iter().cloned().collect()), one.count))
        });
        cells.collect()
    };
    let (had, has) = (cells(before), cells(after));
    let all: BTreeSet<_> = had.keys().chain(has.keys()).cloned().collect();
    let mut changes: Vec<Change> = all
        .into_iter()
        .map(|cell| Change {
            before: had.get(&cell).copied(),
            after: has.get(&cell).copied(),
            kind: cell.0,
            agencies: cell.1.into_iter().collect(),
        })
        .collect();
    changes.sort_by_key(|change| std::cmp::Reverse(change.difference().map_or(0, i64::unsigned_abs)));
    Ok(changes)
}
