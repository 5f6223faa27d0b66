//! Which records hold one identifier.

use std::collections::BTreeMap;

use overlap_records::{Identifier, Kind};
use rocksdb::{IteratorMode, ReadOptions};

use super::{Classes, Dataset, Selection, item_of, item_tag, rows};
use crate::{
    StoreError,
    keys::{self, Cf},
};

/// A record that holds an identifier, or of a person the same match keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Number of the record.
    pub record: u32,
    /// By which match keys, as indexes in the profile, each with how many records of the dataset hold the same.
    pub keys: Vec<(u16, u32)>,
}

impl Dataset {
    /// The records of what is selected that hold an identifier by one of its match keys, by number. Keys of persons that are too common to
    /// be compared count for nothing.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn holding(&self, selection: &Selection, identifier: &Identifier) -> Result<Vec<Holding>, StoreError> {
        let mut found: BTreeMap<u32, Vec<(u16, u32)>> = BTreeMap::new();
        let wanted: Vec<u16> = selection.keys().map(|(index, _)| index).collect();
        let keys = identifier.match_keys(&selection.profile);
        for key in keys.iter().filter(|key| wanted.contains(&key.key())) {
            let Some(rule) = selection.profile.keys().get(usize::from(key.key())) else {
                continue;
            };
            let tag = item_tag(&self.version.inner, &item_of(&selection.profile, key)?);
            let (records, shown) = self.rows_of(rule.name(), tag, selection.classes)?;
            if rule.kind() == Kind::Person && shown > self.info().common as usize {
                continue;
            }
            let holders = u32::try_from(records.len()).unwrap_or(u32::MAX);
            for record in records {
                found.entry(record).or_default().push((key.key(), holders));
            }
        }
        let found = found.into_iter();
        Ok(found.map(|(record, keys)| Holding { record, keys }).collect())
    }

    /// Numbers of the records of some classes that hold an item, and how many hold it that others may meet.
    pub(super) fn rows_of(
        &self,
        key: &str,
        tag: [u8; keys::TAG],
        classes: Classes,
    ) -> Result<(Vec<u32>, usize), StoreError> {
        let (version, inner) = (self.info().version, &self.version.inner);
        let kind = inner.keys.kind_tag(version, key);
        let mut prefix = keys::item_prefix(version, kind).to_vec();
        prefix.extend(tag);
        let mut options = ReadOptions::default();
        options.set_iterate_range(rocksdb::PrefixRange(prefix));
        let rows = inner
            .db
            .iterator_cf_opt(inner.cf(Cf::Items)?, options, IteratorMode::Start);
        let (mut records, mut shown) = (Vec::new(), 0);
        for row in rows {
            let (at, sealed) = row?;
            let (_, record) = keys::parse_item(&at).ok_or(StoreError::Damaged("an item's key has another length"))?;
            let (class, _) = rows::parse_value(&self.version.sealer.open(Cf::Items, &at, &sealed)?)?;
            shown += usize::from(Classes::shown().has(class));
            if classes.has(class) {
                records.push(record);
            }
        }
        Ok((records, shown))
    }
}
