//! The sets that this node asked with, as it committed to them: what opens a commitment later, whatever became of the dataset.

use std::path::Path;

use overlap_audit::{Digest, InputSalt, InputTree, OpenedInput};
use rocksdb::{Direction, IteratorMode, WriteBatch};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Log;
use crate::{
    Dataset, Inner, SealedSorter, Selection, StoreError,
    keys::{self, Cf},
};

/// Leaves sealed as one row.
const PART: usize = 4096;

impl Log {
    /// Commits to what is selected of a dataset, for the entry that will be opened under this id, and keeps what opens the commitment. The
    /// opening makes it durable; an entry that is not opened needs [`Self::drop_input`]. Without a salt, a new one is drawn.
    ///
    /// Memory: that of the sorter. Disk: 32 bytes per item, for as long as the entry's content is kept.
    ///
    /// # Errors
    /// [`StoreError::Spill`], [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn commit_input(
        &self,
        entry: Uuid,
        dataset: &Dataset,
        selection: &Selection,
        salt: Option<InputSalt>,
        spill: &Path,
    ) -> Result<Digest, StoreError> {
        let committed = self.try_commit_input(entry, dataset, selection, salt, spill);
        if committed.is_err() {
            // if this fails too, the next start does it
            let _ = self.drop_input(entry);
        }
        committed
    }

    fn try_commit_input(
        &self,
        entry: Uuid,
        dataset: &Dataset,
        selection: &Selection,
        salt: Option<InputSalt>,
        spill: &Path,
    ) -> Result<Digest, StoreError> {
        let salt = match salt {
            Some(salt) => salt,
            None => InputSalt::random().map_err(|_| StoreError::Crypto)?,
        };
        let mut sorter = SealedSorter::<32>::new(spill);
        for element in dataset.elements(selection) {
            sorter.push(&[salt.leaf(&element?.stored.to_bytes()).0])?;
        }
        let inputs = self.inner.cf(Cf::LogInputs)?;
        let seal = |part: u32, plain: &[u8]| {
            let at = keys::input(entry, part);
            let sealed = self.inner.keys.log().seal(Cf::LogInputs, &at, plain)?;
            Ok::<_, StoreError>((at, sealed))
        };
        let mut sorted = sorter.finish()?;
        let mut leaves = sorted.iter()?;
        let (mut tree, mut full) = (InputTree::default(), Vec::new());
        let (at, sealed) = seal(0, salt.as_bytes())?;
        self.inner.db.put_cf(inputs, at, sealed)?;
        for part in 1.. {
            let chunk: Vec<[u8; 32]> = leaves.by_ref().take(PART).collect::<Result<_, _>>()?;
            if chunk.is_empty() {
                break;
            }
            for leaf in &chunk {
                tree.push(Digest(*leaf), &mut full)
                    .map_err(|_| StoreError::Damaged("a dataset has one item twice"))?;
            }
            full.clear();
            let (at, sealed) = seal(part, chunk.as_flattened())?;
            self.inner.db.put_cf(inputs, at, sealed)?;
        }
        Ok(tree.root())
    }

    /// Removes what was kept for an entry that was not opened.
    ///
    /// # Errors
    /// [`StoreError::Rocks`].
    pub fn drop_input(&self, entry: Uuid) -> Result<(), StoreError> {
        let mut writes = WriteBatch::default();
        erase(&self.inner, entry, &mut writes)?;
        Ok(self.inner.db.write(writes)?)
    }

    /// The salt and the leaves that an entry committed to; none if it has none, or was shredded.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn input(&self, entry: Uuid) -> Result<Option<(InputSalt, OpenedInput)>, StoreError> {
        const DAMAGED: StoreError = StoreError::Damaged("what opens an input commitment cannot be read");
        let (mut salt, mut leaves) = (None, Vec::new());
        for (expected, row) in (0..).zip(rows(&self.inner, entry)?) {
            let (at, sealed) = row?;
            if *at == keys::input(entry, keys::INPUT_OPENED) {
                break;
            }
            if *at != keys::input(entry, expected) {
                return Err(DAMAGED);
            }
            let plain = Zeroizing::new(self.inner.keys.log().open(Cf::LogInputs, &at, &sealed)?);
            match expected {
                0 => salt = Some(InputSalt::from_bytes(plain.as_slice().try_into().map_err(|_| DAMAGED)?)),
                _ => leaves.extend(plain.as_chunks::<32>().0.iter().map(|leaf| Digest(*leaf))),
            }
        }
        match salt {
            None => Ok(None),
            Some(salt) => Ok(Some((salt, OpenedInput::new(leaves).map_err(|_| DAMAGED)?))),
        }
    }
}

/// Erases what opens an entry's commitment, with other writes.
pub(super) fn erase(inner: &Inner, entry: Uuid, writes: &mut WriteBatch) -> Result<(), StoreError> {
    let inputs = inner.cf(Cf::LogInputs)?;
    for row in rows(inner, entry)? {
        writes.delete_cf(inputs, row?.0);
    }
    Ok(())
}

/// Removes what was kept for entries that a crash kept from being opened.
pub(super) fn clear(inner: &Inner) -> Result<(), StoreError> {
    let mut cursor = inner.db.raw_iterator_cf(inner.cf(Cf::LogInputs)?);
    cursor.seek_to_first();
    let mut writes = WriteBatch::default();
    while let Some(id) = cursor.key().and_then(|key| Uuid::from_slice(key.get(..16)?).ok()) {
        let opened = keys::input(id, keys::INPUT_OPENED);
        if inner.db.get_cf(inner.cf(Cf::LogInputs)?, opened)?.is_none() {
            erase(inner, id, &mut writes)?;
        }
        cursor.seek(id.as_u128().saturating_add(1).to_be_bytes());
    }
    cursor.status()?;
    Ok(inner.db.write(writes)?)
}

type Row = Result<(Box<[u8]>, Box<[u8]>), rocksdb::Error>;

fn rows(inner: &Inner, entry: Uuid) -> Result<impl Iterator<Item = Row> + '_, StoreError> {
    let start = keys::input(entry, 0);
    let rows = inner
        .db
        .iterator_cf(inner.cf(Cf::LogInputs)?, IteratorMode::From(&start, Direction::Forward));
    Ok(rows.take_while(move |row| row.as_ref().map_or(true, |(key, _)| key.starts_with(entry.as_bytes()))))
}
