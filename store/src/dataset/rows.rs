//! The rows of one match key, grouped by item.

use overlap_psi::Stored;
use overlap_records::{Key, Kind};
use rocksdb::{DBRawIteratorWithThreadMode, IteratorMode, ReadOptions};
use zeroize::Zeroizing;

use super::{Class, Classes, Version};
use crate::{
    StoreError,
    keys::{self, Cf, TAG},
};

/// An item of the own set.
pub struct Element {
    /// The kind of identifier that it is of.
    pub kind: Kind,
    /// Its group element.
    pub stored: Stored,
    /// Numbers of the records that hold it, ascending.
    pub records: Vec<u32>,
}

/// A record's number, and its stored form in clear.
pub(crate) type PlainRecord = (u32, Zeroizing<Vec<u8>>);

/// The rows of one item.
pub(crate) struct Group {
    pub(crate) tag: [u8; TAG],
    /// Numbers and classes of the records that hold it, by number.
    pub(crate) records: Vec<(u32, Class)>,
    /// How many hold it that others may meet, of whatever class: hidden ones must not show in what is too common.
    shown: usize,
    element: Option<Stored>,
}

impl Group {
    pub(crate) fn element(&self) -> Result<Stored, StoreError> {
        self.element.ok_or(StoreError::Damaged("an item has no element"))
    }

    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.records.iter().map(|(number, _)| *number).collect()
    }

    /// The set of classes of the records that hold it.
    pub(crate) fn classes(&self) -> u32 {
        self.records.iter().fold(0, |mask, (_, class)| mask | 1 << class)
    }

    pub(crate) fn into_element(self, kind: Kind) -> Result<Element, StoreError> {
        Ok(Element {
            kind,
            stored: self.element()?,
            records: self.numbers(),
        })
    }
}

impl Version {
    /// The items of a match key that records of some classes hold, without those of persons that too many records of any class hold: they
    /// would tell nothing, and cost the most.
    pub(crate) fn groups<'a>(
        &'a self,
        key: &'a Key,
        classes: Classes,
    ) -> impl Iterator<Item = Result<Group, StoreError>> + use<'a> {
        self.all_groups(key.name(), classes)
            .filter(|group| !matches!(group, Ok(group) if self.is_common(key.kind(), group)))
    }

    pub(crate) fn is_common(&self, kind: Kind, group: &Group) -> bool {
        kind == Kind::Person && group.shown > self.info.common as usize
    }

    /// The records of the version, in clear, by number.
    pub(crate) fn record_rows(&self) -> Result<impl Iterator<Item = Result<PlainRecord, StoreError>> + '_, StoreError> {
        let (first, after) = keys::version_range(self.info.version);
        let mut options = ReadOptions::default();
        options.set_iterate_range(first.to_vec()..after.to_vec());
        options.fill_cache(false);
        let rows = self
            .inner
            .db
            .iterator_cf_opt(self.inner.cf(Cf::Records)?, options, IteratorMode::Start);
        Ok(rows.map(|row| {
            let (key, sealed) = row?;
            let number = keys::parse_record(&key).ok_or(StoreError::Damaged("a record's key has another length"))?;
            Ok((number, self.sealer.open(Cf::Records, &key, &sealed)?))
        }))
    }

    /// Every item of a match key that records of some classes hold.
    pub(crate) fn all_groups<'a>(
        &'a self,
        key: &str,
        classes: Classes,
    ) -> impl Iterator<Item = Result<Group, StoreError>> + use<'a> {
        let mut rows = Some(Rows::open(self, key));
        // an error ends it
        std::iter::from_fn(move || {
            let group = match rows.as_mut()? {
                Ok(open) => next_group(self, open, classes).transpose(),
                Err(_) => rows.take().and_then(Result::err).map(Err),
            };
            if !matches!(group, Some(Ok(_))) {
                rows = None;
            }
            group
        })
    }
}

fn next_group(version: &Version, rows: &mut Rows<'_>, classes: Classes) -> Result<Option<Group>, StoreError> {
    let (mut group, shown): (Option<Group>, _) = (None, Classes::shown());
    while let Some((tag, record, key, sealed)) = rows.current()? {
        if group.as_ref().is_some_and(|group| group.tag != tag) {
            // one that no record of these classes holds is passed over
            match group.take_if(|group| group.records.is_empty()) {
                Some(_) => {}
                None => break,
            }
        }
        let group = group.get_or_insert_with(|| Group {
            tag,
            records: Vec::new(),
            shown: 0,
            element: None,
        });
        let plain = version.sealer.open(Cf::Items, key, sealed)?;
        let (class, element) = parse_value(&plain)?;
        group.element = Some(element);
        group.shown += usize::from(shown.has(class));
        if classes.has(class) {
            group.records.push((record, class));
        }
        rows.advance();
    }
    Ok(group.filter(|group| !group.records.is_empty()))
}

/// `class ‖ element`: what stands at an item and a record.
pub(crate) fn value(class: Class, element: &Stored) -> [u8; 33] {
    let mut value = [class; 33];
    value[1..].copy_from_slice(&element.to_bytes());
    value
}

pub(super) fn parse_value(plain: &[u8]) -> Result<(Class, Stored), StoreError> {
    const LENGTH: StoreError = StoreError::Damaged("an item has another length");
    let (class, element) = plain.split_first().ok_or(LENGTH)?;
    let element = element.try_into().map_err(|_| LENGTH)?;
    Ok((*class, Stored::from_bytes(element)))
}

/// The rows of one match key, in order.
struct Rows<'a> {
    cursor: DBRawIteratorWithThreadMode<'a, rocksdb::DB>,
}

type Row<'r> = ([u8; TAG], u32, &'r [u8], &'r [u8]);

impl<'a> Rows<'a> {
    fn open(version: &'a Version, key: &str) -> Result<Self, StoreError> {
        let tag = version.inner.keys.kind_tag(version.info.version, key);
        let prefix = keys::item_prefix(version.info.version, tag);
        let mut options = ReadOptions::default();
        options.set_iterate_range(rocksdb::PrefixRange(prefix));
        options.fill_cache(false);
        options.set_readahead_size(1 << 20);
        let mut cursor = version
            .inner
            .db
            .raw_iterator_cf_opt(version.inner.cf(Cf::Items)?, options);
        cursor.seek_to_first();
        Ok(Self { cursor })
    }

    fn current(&self) -> Result<Option<Row<'_>>, StoreError> {
        match (self.cursor.key(), self.cursor.value()) {
            (Some(key), Some(value)) => {
                let (tag, record) =
                    keys::parse_item(key).ok_or(StoreError::Damaged("an item's key has another length"))?;
                Ok(Some((tag, record, key, value)))
            }
            _ => Ok(self.cursor.status().map(|()| None)?),
        }
    }

    fn advance(&mut self) {
        if self.cursor.valid() {
            self.cursor.next();
        }
    }
}
