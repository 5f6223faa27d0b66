//! Agreements, orders and actions, as bytes whose meaning is the node's.

use std::sync::Arc;

use overlap_audit::Digest;
use rocksdb::{Direction, IteratorMode, WriteBatch};
use zeroize::Zeroizing;

use crate::{
    Inner, StoreError, dataset,
    keys::{self, Cf},
    synced,
};

/// A key, and what is kept there.
type Row = (Box<[u8]>, Zeroizing<Vec<u8>>);

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// An agreement.
    Agreement,
    /// An order.
    Order,
    /// The salt of an input commitment that an order is to be given for, with when it was drawn, under the commitment.
    Salt,
    /// An action: its plan and the steps that were made.
    Action,
    /// The counters of an action, under the hash of its plan.
    Figures,
    /// A check that was made in an action that runs.
    Check,
}

/// The documents of a store.
pub struct Documents {
    inner: Arc<Inner>,
}

impl DocumentKind {
    const fn code(self) -> u8 {
        match self {
            Self::Agreement => 0,
            Self::Order => 1,
            Self::Salt => 2,
            Self::Action => 3,
            Self::Figures => 4,
            Self::Check => 5,
        }
    }
}

impl Documents {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    fn key(&self, kind: DocumentKind, hash: &Digest) -> [u8; keys::DOCUMENT] {
        keys::document(kind.code(), self.inner.keys.tag(b"document", &hash.0))
    }

    /// Keeps a document under its hash, in the place of what was kept there. Synced.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`].
    pub fn put(&self, kind: DocumentKind, hash: &Digest, document: &[u8]) -> Result<(), StoreError> {
        let key = self.key(kind, hash);
        let sealed = self.inner.keys.documents().seal(Cf::Documents, &key, document)?;
        Ok(self
            .inner
            .db
            .put_cf_opt(self.inner.cf(Cf::Documents)?, key, sealed, &synced())?)
    }

    /// Keeps several, all or none. Synced.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`].
    pub fn put_all(&self, kind: DocumentKind, rows: Vec<(Digest, Vec<u8>)>) -> Result<(), StoreError> {
        let cf = self.inner.cf(Cf::Documents)?;
        let mut writes = WriteBatch::default();
        for (hash, document) in rows {
            let (key, document) = (self.key(kind, &hash), Zeroizing::new(document));
            writes.put_cf(
                cf,
                key,
                self.inner.keys.documents().seal(Cf::Documents, &key, &document)?,
            );
        }
        Ok(self.inner.db.write_opt(writes, &synced())?)
    }

    /// What is kept under a hash.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn get(&self, kind: DocumentKind, hash: &Digest) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let key = self.key(kind, hash);
        let sealed = self.inner.db.get_cf(self.inner.cf(Cf::Documents)?, key)?;
        let open = |sealed: Vec<u8>| self.inner.keys.documents().open(Cf::Documents, &key, &sealed);
        sealed.map(open).transpose()
    }

    /// Erases those of a kind that `gone` picks, and takes them off the disk. Returns how many.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn erase(&self, kind: DocumentKind, gone: impl Fn(&[u8]) -> bool) -> Result<u64, StoreError> {
        let cf = self.inner.cf(Cf::Documents)?;
        let writing = self.inner.write_lock();
        let mut writes = WriteBatch::default();
        for row in self.rows(kind)? {
            let (key, document) = row?;
            if gone(&document) {
                writes.delete_cf(cf, key);
            }
        }
        let erased = writes.len() as u64;
        if erased > 0 {
            writes.put_cf(self.inner.cf(Cf::Meta)?, keys::META_SCRUB, []);
            self.inner.db.write_opt(writes, &synced())?;
            dataset::scrub(&self.inner, &writing)?;
        }
        Ok(erased)
    }

    /// All of a kind, in an order that says nothing.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn all(&self, kind: DocumentKind) -> Result<Vec<Zeroizing<Vec<u8>>>, StoreError> {
        self.rows(kind)?.map(|row| row.map(|(_, document)| document)).collect()
    }

    fn rows(&self, kind: DocumentKind) -> Result<impl Iterator<Item = Result<Row, StoreError>> + '_, StoreError> {
        let first = keys::document(kind.code(), [0; keys::TAG]);
        let from = IteratorMode::From(&first, Direction::Forward);
        let rows = self.inner.db.iterator_cf(self.inner.cf(Cf::Documents)?, from);
        let of_kind = rows.take_while(move |row| match row {
            Ok((key, _)) => key.first() == Some(&kind.code()),
            Err(_) => true,
        });
        Ok(of_kind.map(|row| {
            let (key, sealed) = row?;
            let document = self.inner.keys.documents().open(Cf::Documents, &key, &sealed)?;
            Ok((key, document))
        }))
    }
}
