//! Pictures: what one told, at the agency that led it; and at those that took part, what stands behind its pseudonyms.

use std::sync::Arc;

use jiff::Timestamp;
use overlap_audit::Digest;
use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Inner, Link, StoreError,
    kept::Kept,
    keys::{self, Cf, TAG},
    synced,
};

/// A picture that this agency led, or took part in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptPicture {
    /// Its transaction.
    pub id: Uuid,
    /// Whether this agency took part at another's asking.
    pub as_holder: bool,
    /// Hash of the agreement.
    pub agreement: Digest,
    /// Own dataset that took part; empty: none did.
    pub dataset: String,
    /// When it was made.
    pub made: Timestamp,
    /// When it is erased.
    pub expires: Timestamp,
    /// At the agency that led it: what it told, as JSON.
    pub told: Option<String>,
}

/// The pictures of a store.
pub struct Pictures {
    rows: Kept<KeptPicture>,
    inner: Arc<Inner>,
}

/// Links written together.
const TOGETHER: usize = 4096;

impl Pictures {
    /// Takes away the links of pictures that did not come to their end.
    pub(crate) fn open(inner: Arc<Inner>) -> Result<Self, StoreError> {
        let this = Self {
            rows: Kept::new(Arc::clone(&inner), Cf::Pictures),
            inner,
        };
        let mut kept = Vec::new();
        for row in this.iter()? {
            let row = row?;
            kept.push(this.links_of(row.id));
        }
        let cf = this.inner.cf(Cf::PictureLinks)?;
        let mut cursor = this.inner.db.raw_iterator_cf(cf);
        cursor.seek_to_first();
        while let Some(picture) = cursor.key().and_then(|key| key.first_chunk::<TAG>().copied()) {
            if !kept.contains(&picture) {
                this.drop_links(picture)?;
            }
            match after(picture) {
                Some(next) => cursor.seek(next),
                None => break,
            }
        }
        cursor.status()?;
        drop(cursor);
        Ok(this)
    }

    fn key(&self, as_holder: bool, id: Uuid) -> [u8; TAG] {
        let side: &[u8] = if as_holder { b"holder" } else { b"asker" };
        self.rows.tag(b"picture", &[side, id.as_bytes()].concat())
    }

    fn links_of(&self, id: Uuid) -> [u8; TAG] {
        self.rows.tag(b"picture-links", id.as_bytes())
    }

    /// Keeps one; with it the links that were kept before it. Synced.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Encode`].
    pub fn put(&self, one: &KeptPicture) -> Result<(), StoreError> {
        self.rows.put(std::iter::once((self.key(one.as_holder, one.id), one)))
    }

    /// Keeps what stands behind pseudonyms of a picture; gone with a crash before [`Self::put`].
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`].
    pub fn put_links(
        &self,
        id: Uuid,
        links: impl Iterator<Item = Result<([u8; 16], Link), StoreError>>,
    ) -> Result<(), StoreError> {
        let (cf, picture) = (self.inner.cf(Cf::PictureLinks)?, self.links_of(id));
        let mut links = links.peekable();
        while links.peek().is_some() {
            let mut writes = WriteBatch::default();
            for link in links.by_ref().take(TOGETHER) {
                let (pseudonym, link) = link?;
                let key = keys::link(picture, &pseudonym);
                writes.put_cf(cf, key, self.inner.keys.hits().seal(Cf::PictureLinks, &key, &link)?);
            }
            self.inner.db.write(writes)?;
        }
        Ok(())
    }

    /// What stands behind a pseudonym.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn link(&self, id: Uuid, pseudonym: &[u8; 16]) -> Result<Option<Link>, StoreError> {
        let key = keys::link(self.links_of(id), pseudonym);
        let Some(sealed) = self.inner.db.get_cf(self.inner.cf(Cf::PictureLinks)?, key)? else {
            return Ok(None);
        };
        let plain = self.inner.keys.hits().open(Cf::PictureLinks, &key, &sealed)?;
        let link = Link::try_from(plain.as_slice());
        link.map(Some)
            .map_err(|_| StoreError::Damaged("a link has another length"))
    }

    /// The picture of this id, on one side.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn get(&self, as_holder: bool, id: Uuid) -> Result<Option<KeptPicture>, StoreError> {
        self.rows.get(self.key(as_holder, id))
    }

    /// All, in an order that says nothing.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn iter(&self) -> Result<impl Iterator<Item = Result<KeptPicture, StoreError>> + '_, StoreError> {
        Ok(self.rows.rows()?.map(|row| row.map(|(_, one)| one)))
    }

    /// Erases those that `gone` picks, with their links, and takes them off the disk. Returns how many.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn erase(&self, gone: impl Fn(&KeptPicture) -> bool) -> Result<u64, StoreError> {
        let mut left = Vec::new();
        let mut going = Vec::new();
        for row in self.iter()? {
            let row = row?;
            match gone(&row) {
                true => going.push(row.id),
                false => left.push(row.id),
            }
        }
        // a node that leads a picture and takes part in it has links of it once
        for id in going.iter().filter(|id| !left.contains(id)) {
            self.drop_links(self.links_of(*id))?;
        }
        match going.is_empty() {
            true => Ok(0),
            false => self.rows.erase(gone),
        }
    }

    fn drop_links(&self, picture: [u8; TAG]) -> Result<(), StoreError> {
        let cf = self.inner.cf(Cf::PictureLinks)?;
        let mut writes = WriteBatch::default();
        let beyond = after(picture).map_or(vec![0xff; 2 * TAG + 1], Vec::from);
        writes.delete_range_cf(cf, picture.to_vec(), beyond);
        writes.put_cf(self.inner.cf(Cf::Meta)?, keys::META_SCRUB, []);
        Ok(self.inner.db.write_opt(writes, &synced())?)
    }
}

/// The first tag after one.
fn after(tag: [u8; TAG]) -> Option<[u8; TAG]> {
    u128::from_be_bytes(tag).checked_add(1).map(u128::to_be_bytes)
}

impl std::fmt::Debug for KeptPicture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptPicture")
            .field("id", &self.id)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}
