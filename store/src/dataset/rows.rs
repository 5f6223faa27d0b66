//! The rows of one match key, grouped by item.

use overlap_psi::Stored;
use overlap_records::{Key, Kind};
use rocksdb::{DBRawIteratorWithThreadMode, IteratorMode, ReadOptions};
use zeroize::Zeroizing;

use super::Version;
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

/// What is wanted of each item.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Its element too.
    Elements,
    /// Its records alone.
    Records,
}

/// A record's number, and its stored form in clear.
pub(crate) type PlainRecord = (u32, Zeroizing<Vec<u8>>);

/// The rows of one item.
pub(crate) struct Group {
    pub(crate) tag: [u8; TAG],
    pub(crate) records: Vec<u32>,
    element: Option<Stored>,
}

impl Group {
    pub(crate) fn element(&self) -> Result<Stored, StoreError> {
        self.element.ok_or(StoreError::Damaged("an item has no element"))
    }

    pub(crate) fn into_element(self, kind: Kind) -> Result<Element, StoreError> {
        Ok(Element {
            kind,
            stored: self.element()?,
            records: self.records,
        })
    }
}

impl Version {
    /// The items of a match key, without those of persons that too many records hold: they would tell nothing, and cost the most.
    pub(crate) fn groups<'a>(
        &'a self,
        key: &'a Key,
        reading: Reading,
    ) -> impl Iterator<Item = Result<Group, StoreError>> + use<'a> {
        self.all_groups(key.name(), reading)
            .filter(|group| !matches!(group, Ok(group) if self.is_common(key.kind(), group)))
    }

    pub(crate) fn is_common(&self, kind: Kind, group: &Group) -> bool {
        kind == Kind::Person && group.records.len() > self.info.common as usize
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

    /// Every item of a match key.
    pub(crate) fn all_groups<'a>(
        &'a self,
        key: &str,
        reading: Reading,
    ) -> impl Iterator<Item = Result<Group, StoreError>> + use<'a> {
        let mut rows = Some(Rows::open(self, key));
        // an error ends it
        std::iter::from_fn(move || {
            let group = match rows.as_mut()? {
                Ok(open) => next_group(self, open, reading).transpose(),
                Err(_) => rows.take().and_then(Result::err).map(Err),
            };
            if !matches!(group, Some(Ok(_))) {
                rows = None;
            }
            group
        })
    }
}

fn next_group(version: &Version, rows: &mut Rows<'_>, reading: Reading) -> Result<Option<Group>, StoreError> {
    let mut group: Option<Group> = None;
    while let Some((tag, record, key, sealed)) = rows.current()? {
        match &mut group {
            None => {
                let element = match reading {
                    Reading::Records => None,
                    Reading::Elements => {
                        let plain = version.sealer.open(Cf::Items, key, sealed)?;
                        let bytes = plain
                            .as_slice()
                            .try_into()
                            .map_err(|_| StoreError::Damaged("an item has another length"))?;
                        Some(Stored::from_bytes(bytes))
                    }
                };
                group = Some(Group {
                    tag,
                    records: vec![record],
                    element,
                });
            }
            Some(group) if group.tag == tag => group.records.push(record),
            Some(_) => break,
        }
        rows.advance();
    }
    Ok(group)
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
