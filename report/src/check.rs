//! Whether a picture can be one: files of pictures are passed around, and may say anything.

use std::collections::BTreeSet;

use crate::{
    picture::{KindPicture, Picture, RoleCount},
    tally::Month,
};

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
            let roles = || kind.role_counts().map(|(_, role)| role);
            let months = || roles().flat_map(|role| &role.months);
            let counts = kind.combinations.iter().map(|one| one.count);
            let counts = counts
                .chain(roles().map(|one| one.count))
                .chain(months().map(|one| one.count));
            must(
                counts.chain(kind.unique).all(|count| count <= MOST),
                "a count is too large",
            )?;
            must(
                months().all(|one| one.month.parse::<Month>().is_ok()),
                "a month is none",
            )?;
            let of_roles = |roles: &[RoleCount]| roles.iter().map(|one| one.count).sum::<u64>();
            let total = kind.unique.unwrap_or_default();
            let by_role = kind.combinations.iter().all(|one| of_roles(&one.roles) <= one.count);
            must(
                kind.told().max(of_roles(&kind.roles)) <= total && by_role,
                "parts are more than their total",
            )?;
            let of_months = |role: &RoleCount| role.months.iter().map(|one| one.count).sum::<u64>();
            let by_month = roles().all(|role| of_months(role) <= role.count);
            must(by_month, "months are more than their total")?;
        }
        must(self.shared.len() <= LONGEST, "a list is too long")?;
        must(
            self.shared.iter().all(|one| are_known(&one.agencies)),
            "something is shared by an agency that took no part",
        )?;
        let is_hex = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        must(
            self.shared.iter().all(|one| is_hex(&one.pseudonym)),
            "a pseudonym is not 32 hexadecimal digits",
        )?;
        must(
            self.texts()
                .all(|text| text.len() <= 4096 && text.chars().all(is_plain)),
            "a text is too long, or has characters that steer a terminal",
        )?;
        let since = self.since.as_deref().is_none_or(|month| month.parse::<Month>().is_ok());
        must(since && self.min_count >= 1, "its first month or least count cannot be")
    }

    /// All texts that people read, but for those that were checked as names.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let about = [
            &self.id,
            &self.made,
            &self.expires,
            &self.agreement,
            &self.purpose,
            &self.case_reference,
        ];
        let dropped = self.dropped.iter().flat_map(|one| [&one.name, &one.why]);
        let counted = self
            .kinds
            .iter()
            .flat_map(KindPicture::role_counts)
            .flat_map(|(_, one)| &one.roles);
        let shared = self
            .shared
            .iter()
            .flat_map(|one| std::iter::once(&one.kind).chain(&one.roles));
        let texts = about
            .into_iter()
            .chain(&self.roles)
            .chain(dropped)
            .chain(counted)
            .chain(shared);
        texts.map(String::as_str)
    }
}

/// Neither a control character nor one that turns the direction of text.
fn is_plain(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
