//! A dataset as it takes part in an action: its items, and those that are new in a later version.

use overlap_psi::Stored;
use overlap_records::Kind;
use rocksdb::ReadOptions;

use super::{Classes, Dataset, LINK, Link, Selection, rows};
use crate::{
    StoreError,
    keys::{self, Cf},
};

/// An item that takes part in an action.
pub struct Entrant {
    /// Its group element.
    pub stored: Stored,
    /// Where it is found again.
    pub link: Link,
}

impl Dataset {
    /// The items of what is selected that are not known yet. Of known ones no more than their keys are read, so that little that is new in
    /// much that is not is found soon.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn entrants(
        &self,
        selection: &Selection,
        is_known: impl Fn(&Link) -> bool,
        mut take: impl FnMut(Entrant) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let inner = &self.version.inner;
        let cf = inner.cf(Cf::Items)?;
        for (index, key) in selection.keys() {
            let kind = inner.keys.kind_tag(self.info().version, key.name());
            let mut options = ReadOptions::default();
            options.set_iterate_range(rocksdb::PrefixRange(
                keys::item_prefix(self.info().version, kind).to_vec(),
            ));
            options.fill_cache(false);
            options.set_readahead_size(1 << 20);
            let mut cursor = inner.db.raw_iterator_cf_opt(cf, options);
            cursor.seek_to_first();
            let mut group: Option<Group> = None;
            while let (Some(at), Some(sealed)) = (cursor.key(), cursor.value()) {
                let (tag, _) = keys::parse_item(at).ok_or(StoreError::Damaged("an item's key has another length"))?;
                let mut link = [0; LINK];
                let (high, low) = link.split_at_mut(2);
                high.copy_from_slice(&index.to_be_bytes());
                low.copy_from_slice(&tag);
                if group.as_ref().is_none_or(|group| group.link != link) {
                    if let Some(entrant) = group.take().and_then(|group| group.entrant(self, key.kind())) {
                        take(entrant)?;
                    }
                    group = Some(Group {
                        link,
                        is_known: is_known(&link),
                        shown: 0,
                        any: false,
                        stored: None,
                    });
                }
                if let Some(group) = group.as_mut().filter(|group| !group.is_known) {
                    let plain = self.version.sealer.open(Cf::Items, at, sealed)?;
                    let (class, stored) = rows::parse_value(&plain)?;
                    group.stored = Some(stored);
                    group.shown += usize::from(Classes::shown().has(class));
                    group.any |= selection.classes.has(class);
                }
                cursor.next();
            }
            cursor.status()?;
            if let Some(entrant) = group.and_then(|group| group.entrant(self, key.kind())) {
                take(entrant)?;
            }
        }
        Ok(())
    }

    /// Numbers of the records of what is selected that hold the item of a link, with how many of the dataset's records hold it that others
    /// may meet.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn holders(&self, selection: &Selection, link: &Link) -> Result<(Vec<u32>, usize), StoreError> {
        let [high, low, tag @ ..] = *link;
        let index = u16::from_be_bytes([high, low]);
        match selection.keys().find(|(key, _)| *key == index) {
            Some((_, rule)) => self.rows_of(rule.name(), tag, selection.classes),
            None => Ok((Vec::new(), 0)),
        }
    }
}

/// The rows of one item, as far as they were read.
struct Group {
    link: Link,
    is_known: bool,
    shown: usize,
    any: bool,
    stored: Option<Stored>,
}

impl Group {
    fn entrant(self, dataset: &Dataset, kind: Kind) -> Option<Entrant> {
        let is_common = kind == Kind::Person && self.shown > dataset.info().common as usize;
        match (self.any && !is_common, self.stored) {
            (true, Some(stored)) => Some(Entrant {
                stored,
                link: self.link,
            }),
            _ => None,
        }
    }
}
