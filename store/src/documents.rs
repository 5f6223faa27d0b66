//! Agreements and orders, as bytes whose meaning is the node's.

use std::sync::Arc;

use overlap_audit::Digest;
use rocksdb::{Direction, IteratorMode};
use zeroize::Zeroizing;

use crate::{
    Inner, StoreError,
    keys::{self, Cf},
    synced,
};

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// An agreement.
    Agreement,
    /// An order.
    Order,
    /// The salt of an input commitment that an order is to be given for, under the commitment.
    Salt,
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

    /// All of a kind, in an order that says nothing.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn all(&self, kind: DocumentKind) -> Result<Vec<Zeroizing<Vec<u8>>>, StoreError> {
        let first = keys::document(kind.code(), [0; keys::TAG]);
        let from = IteratorMode::From(&first, Direction::Forward);
        let rows = self.inner.db.iterator_cf(self.inner.cf(Cf::Documents)?, from);
        let of_kind = rows.take_while(|row| match row {
            Ok((key, _)) => key.first() == Some(&kind.code()),
            Err(_) => true,
        });
        of_kind
            .map(|row| {
                let (key, sealed) = row?;
                self.inner.keys.documents().open(Cf::Documents, &key, &sealed)
            })
            .collect()
    }
}
