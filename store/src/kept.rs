//! Rows of one column family that are sealed whole, and taken off the disk when they are erased.

use std::{marker::PhantomData, sync::Arc};

use rocksdb::{IteratorMode, WriteBatch};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::{
    Inner, StoreError, Writing, dataset,
    keys::{self, Cf, TAG},
    synced,
};

/// A key, and what is kept there.
type Row<T> = (Box<[u8]>, T);

/// Rows written or removed together.
const TOGETHER: usize = 4096;

/// The rows of a column family, each a `T` as JSON under a lookup tag.
pub(crate) struct Kept<T> {
    inner: Arc<Inner>,
    cf: Cf,
    row: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Kept<T> {
    pub(crate) fn new(inner: Arc<Inner>, cf: Cf) -> Self {
        Self {
            inner,
            cf,
            row: PhantomData,
        }
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(crate) fn tag(&self, what: &[u8], of: &[u8]) -> [u8; TAG] {
        self.inner.keys.tag(what, of)
    }

    /// Keeps rows in the place of what was kept at their keys: all or none. Synced.
    pub(crate) fn put<'a>(&self, rows: impl Iterator<Item = ([u8; TAG], &'a T)>) -> Result<(), StoreError>
    where
        T: 'a,
    {
        let cf = self.inner.cf(self.cf)?;
        let mut writes = WriteBatch::default();
        for (key, row) in rows {
            let plain = Zeroizing::new(serde_json::to_vec(row)?);
            writes.put_cf(cf, key, self.inner.keys.hits().seal(self.cf, &key, &plain)?);
        }
        Ok(self.inner.db.write_opt(writes, &synced())?)
    }

    pub(crate) fn get(&self, key: [u8; TAG]) -> Result<Option<T>, StoreError> {
        let sealed = self.inner.db.get_cf(self.inner.cf(self.cf)?, key)?;
        sealed.map(|sealed| self.open(&key, &sealed)).transpose()
    }

    /// All rows with their keys, in an order that says nothing.
    pub(crate) fn rows(&self) -> Result<impl Iterator<Item = Result<Row<T>, StoreError>> + '_, StoreError> {
        let rows = self.inner.db.iterator_cf(self.inner.cf(self.cf)?, IteratorMode::Start);
        Ok(rows.map(|row| {
            let (key, sealed) = row?;
            let row = self.open(&key, &sealed)?;
            Ok((key, row))
        }))
    }

    /// Erases the rows that `gone` picks, and takes them off the disk. Returns how many.
    pub(crate) fn erase(&self, gone: impl Fn(&T) -> bool) -> Result<u64, StoreError> {
        let writing = self.inner.write_lock();
        let erased = self.remove(&writing, gone)?;
        dataset::scrub(&self.inner, &writing)?;
        Ok(erased)
    }

    /// Removes the rows that `gone` picks, to be taken off the disk by [`dataset::scrub`]. Returns how many.
    pub(crate) fn remove(&self, _: &Writing<'_>, gone: impl Fn(&T) -> bool) -> Result<u64, StoreError> {
        let cf = self.inner.cf(self.cf)?;
        let mut erased = 0;
        let mut rows = self.rows()?;
        loop {
            let mut writes = WriteBatch::default();
            let mut seen = 0;
            for row in rows.by_ref().take(TOGETHER) {
                let (key, row) = row?;
                seen += 1;
                if gone(&row) {
                    writes.delete_cf(cf, key);
                    erased += 1;
                }
            }
            if seen == 0 {
                break;
            }
            if !writes.is_empty() {
                writes.put_cf(self.inner.cf(Cf::Meta)?, keys::META_SCRUB, []);
                self.inner.db.write_opt(writes, &synced())?;
            }
        }
        Ok(erased)
    }

    fn open(&self, key: &[u8], sealed: &[u8]) -> Result<T, StoreError> {
        let plain = self.inner.keys.hits().open(self.cf, key, sealed)?;
        serde_json::from_slice(&plain).map_err(|_| StoreError::Damaged("a kept hit cannot be read"))
    }
}
