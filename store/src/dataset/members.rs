//! A dataset as it takes part in a picture: its items, with what their records say of them.

use std::collections::BTreeSet;

use overlap_psi::Stored;
use overlap_records::{Kind, Role};

use super::{Classes, Dataset, Place, Selection, classes::role_of, decode_dates, rows::Group};
use crate::{StoreError, keys::TAG};

/// Bytes of a [`Link`].
pub const LINK: usize = 2 + TAG;

/// What finds an item again, in whatever version: its match key, and its tag. Says nothing without this store's key.
pub type Link = [u8; LINK];

/// An item that takes part.
pub struct Member {
    /// Its group element.
    pub stored: Stored,
    /// The kind of identifier that it is of.
    pub kind: Kind,
    /// Roles of the subjects of the records that hold it, as far as they may be seen.
    pub roles: BTreeSet<Role>,
    /// The first month in which one of these records was observed, as in [`Months`].
    pub month: u16,
    /// Where it is found again.
    pub link: Link,
}

/// When records were observed, by their number: 12 times the year and the months before it in that; 0 if unknown. Two bytes a record.
pub struct Months(Vec<u16>);

impl Months {
    fn of(&self, record: u32) -> u16 {
        let at = usize::try_from(record).ok();
        at.and_then(|at| self.0.get(at)).copied().unwrap_or_default()
    }
}

impl Dataset {
    /// When its records were observed. Reads all of them.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn months(&self) -> Result<Months, StoreError> {
        let mut months = Vec::new();
        for row in self.version.record_rows()? {
            let (number, plain) = row?;
            let at = usize::try_from(number).map_err(|_| StoreError::Damaged("a record has too high a number"))?;
            if at >= months.len() {
                months.resize(at + 1, 0);
            }
            let observed = decode_dates(&plain)?.observed;
            let month = observed.and_then(|day| {
                let (year, month) = (u16::try_from(day.year()).ok()?, u16::try_from(day.month()).ok()?);
                (year * 12).checked_add(month - 1)
            });
            if let (Some(place), Some(month)) = (months.get_mut(at), month) {
                *place = month;
            }
        }
        Ok(Months(months))
    }

    /// The items of what is selected that records observed from the month `since` on hold; 0: all. Roles are those of records of the classes
    /// `seen`.
    pub fn members<'a>(
        &'a self,
        selection: &'a Selection,
        seen: Classes,
        months: &'a Months,
        since: u16,
    ) -> impl Iterator<Item = Result<Member, StoreError>> + 'a {
        let keys = selection.keys();
        keys.flat_map(move |(index, key)| {
            let groups = self.version.groups(key, selection.classes);
            groups.filter_map(move |group| match group {
                Err(error) => Some(Err(error)),
                Ok(group) => member(group, index, key.kind(), seen, months, since).transpose(),
            })
        })
    }

    /// The item of a link, if a record of what is selected holds it still.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn linked(&self, selection: &Selection, link: &Link) -> Result<Option<Place>, StoreError> {
        let [high, low, tag @ ..] = *link;
        let index = u16::from_be_bytes([high, low]);
        let Some((key, rule)) = selection.keys().find(|(key, _)| *key == index) else {
            return Ok(None);
        };
        let (records, _) = self.rows_of(rule.name(), tag, selection.classes)?;
        Ok((!records.is_empty()).then_some(Place { key, tag, records }))
    }
}

fn member(
    group: Group,
    key: u16,
    kind: Kind,
    seen: Classes,
    months: &Months,
    since: u16,
) -> Result<Option<Member>, StoreError> {
    let meant = group.records.iter().filter(|(record, _)| months.of(*record) >= since);
    let (mut roles, mut first, mut any) = (BTreeSet::new(), 0, false);
    for (record, class) in meant {
        any = true;
        if seen.has(*class) {
            roles.extend(role_of(*class));
        }
        first = match (first, months.of(*record)) {
            (0, month) | (month, 0) => month,
            (one, other) => one.min(other),
        };
    }
    if !any {
        return Ok(None);
    }
    let mut link = [0; LINK];
    let (at, tag) = link.split_at_mut(2);
    at.copy_from_slice(&key.to_be_bytes());
    tag.copy_from_slice(&group.tag);
    Ok(Some(Member {
        stored: group.element()?,
        kind,
        roles,
        month: first,
        link,
    }))
}
