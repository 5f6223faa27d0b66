//! Limits on what an own query may look like.

use serde::{Deserialize, Serialize};

/// What own users' sets are held against before anything is asked: a set that tries a numbering range, or the same set again and again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Guard {
    /// How often one dataset of a peer may be asked with the same items in a day.
    pub(crate) repeats_per_day: u64,
    /// Numbers of one range that are looked at together.
    pub(crate) enumeration_window: u64,
    /// Most identifiers that a set may have among them.
    pub(crate) enumeration_most: u64,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            repeats_per_day: 24,
            enumeration_window: 1000,
            enumeration_most: 40,
        }
    }
}

impl Guard {
    pub(super) fn check(self) -> Result<Self, (&'static str, &'static str)> {
        const MUST: &str = "must be at least 1";
        match &self {
            guard if guard.repeats_per_day == 0 => Err(("guard.repeats_per_day", MUST)),
            guard if guard.enumeration_window == 0 => Err(("guard.enumeration_window", MUST)),
            guard if guard.enumeration_most == 0 => Err(("guard.enumeration_most", MUST)),
            _ => Ok(self),
        }
    }
}
