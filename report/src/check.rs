//! Whether a picture can be one: files of pictures are passed around, and may say anything.

use std::collections::BTreeSet;

use crate::{picture::Picture, tally::Month};

/// Largest count, far from where sums of them end.
const MOST: u64 = 1 << 40;
/// Longest list.
const LONGEST: usize = 1 << 21;

/// What is wrong with a picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoPicture(&'static str);

impl Picture {
    /// Checks what was read from a file: names that can be those of files, counts that add up, agencies and months that are some.
    ///
    /// # Errors
    /// [`NoPicture`] says what cannot be, never a value.
    pub fn check(&self) -> Result<(), NoPicture> {
        let must = |is: bool, what: &'static str| if is { Ok(()) } else { Err(NoPicture(what)) };
        let names: BTreeSet<&str> = self.names().into_iter().collect();
        must(
            !names.is_empty() && names.len() == self.agencies.len(),
            "its agencies are none, or one is there twice",
        )?;
        let is_name = |name: &str| !name.is_empty() && name.len() <= 128 && !name.chars().any(char::is_control);
        must(
            names.iter().all(|name| is_name(name)),
            "the name of an agency cannot be one",
        )?;
        let are_known =
            |agencies: &[String]| !agencies.is_empty() && agencies.iter().all(|name| names.contains(name.as_str()));
        let mut kinds = BTreeSet::new();
        for kind in &self.kinds {
            let is_word = |name: &str| {
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_')
            };
            must(
                is_name(&kind.kind) && is_word(&kind.kind),
                "a kind is not a word of small letters",
            )?;
            must(kinds.insert(kind.kind.as_str()), "a kind is there twice")?;
            let lists = [kind.combinations.len(), kind.roles.len()];
            must(lists.iter().all(|length| *length <= LONGEST), "a list is too long")?;
            must(
                kind.combinations.iter().all(|one| are_known(&one.agencies)),
                "a combination has an agency that took no part",
            )?;
            let months = || kind.roles.iter().flat_map(|role| &role.months);
            let counts = kind.combinations.iter().map(|one| one.count);
            let counts = counts
                .chain(kind.roles.iter().map(|one| one.count))
                .chain(months().map(|one| one.count));
            must(
                counts.chain(kind.unique).all(|count| count <= MOST),
                "a count is too large",
            )?;
            must(
                months().all(|one| one.month.parse::<Month>().is_ok()),
                "a month is none",
            )?;
            let roles: u64 = kind.roles.iter().map(|one| one.count).sum();
            let total = kind.unique.unwrap_or_default();
            must(kind.told().max(roles) <= total, "parts are more than their total")?;
            let fits = |sum: u64, count: u64| sum <= count;
            let by_month = kind
                .roles
                .iter()
                .all(|role| fits(role.months.iter().map(|one| one.count).sum(), role.count));
            must(by_month, "months are more than their total")?;
        }
        must(self.shared.len() <= LONGEST, "a list is too long")?;
        must(
            self.shared.iter().all(|one| are_known(&one.agencies)),
            "something is shared by an agency that took no part",
        )?;
        let since = self.since.as_deref().is_none_or(|month| month.parse::<Month>().is_ok());
        must(since && self.min_count >= 1, "its first month or least count cannot be")
    }
}
