//! The head of the log: tree, signed checkpoint and the key that signs it.

use overlap_audit::{Digest, SignedCheckpoint, SigningKey, Tiles, Tree, TreeError};
use rocksdb::{Direction, IteratorMode};

use super::{parse_index, payload::Row};
use crate::{
    Inner, StoreError,
    keys::{self, Cf},
    synced,
};

/// What readers see of the log, replaced as a whole with every group.
pub(super) struct Head {
    pub(super) tree: Tree,
    /// The signed note.
    pub(super) checkpoint: String,
}

/// Full tiles, in the database.
pub(super) struct StoredTiles<'a>(pub(super) &'a Inner);

impl Tiles for StoredTiles<'_> {
    fn tile(&self, level: u8, number: u64) -> Option<Vec<u8>> {
        let cf = self.0.cf(Cf::LogTiles).ok()?;
        self.0.db.get_cf(cf, keys::tile(level, number)).ok()?
    }
}

/// The log's key; made when the store is, and sealed in it.
pub(super) fn signing_key(inner: &Inner, name: &str) -> Result<SigningKey, StoreError> {
    let meta = inner.cf(Cf::Meta)?;
    let sealer = inner.keys.log();
    let key = match inner.db.get_cf(meta, keys::META_LOG_KEY)? {
        Some(sealed) => sealer.open(Cf::Meta, keys::META_LOG_KEY, &sealed)?,
        None => {
            let key = SigningKey::generate().map_err(|_| StoreError::Crypto)?;
            let sealed = sealer.seal(Cf::Meta, keys::META_LOG_KEY, &key)?;
            inner.db.put_cf_opt(meta, keys::META_LOG_KEY, sealed, &synced())?;
            key
        }
    };
    SigningKey::from_pkcs8(name, &key).map_err(|_| StoreError::Damaged("the log's key cannot be used"))
}

/// Reads the head and holds what is stored against the checkpoint that was signed last.
pub(super) fn load(inner: &Inner, key: &SigningKey) -> Result<Head, StoreError> {
    let log = inner.cf(Cf::Log)?;
    let last = inner.db.iterator_cf(log, IteratorMode::End).next().transpose()?;
    let size = match last {
        None => 0,
        Some((index, _)) => parse_index(&index)?.saturating_add(1),
    };
    let from = keys::index(size - size % overlap_audit::TILE_WIDTH as u64);
    let rows = inner.db.iterator_cf(log, IteratorMode::From(&from, Direction::Forward));
    let mut leaves: Vec<Digest> = Vec::new();
    for row in rows {
        leaves.push(Row::parse(&row?.1)?.leaf());
    }
    let tree = match Tree::restore(size, &leaves, &StoredTiles(inner)) {
        Ok(tree) => tree,
        Err(TreeError::Beyond { .. }) => return Err(StoreError::Damaged("log events are missing")),
        Err(error) => return Err(error.into()),
    };
    let root = tree.root();
    let meta = inner.cf(Cf::Meta)?;
    let checkpoint = match inner.db.get_cf(meta, keys::META_CHECKPOINT)? {
        None if size == 0 => {
            let text = key.sign(0, &root)?.to_string();
            inner.db.put_cf_opt(meta, keys::META_CHECKPOINT, &text, &synced())?;
            text
        }
        None => return Err(StoreError::Damaged("the log's checkpoint is missing")),
        Some(text) => {
            let text = String::from_utf8(text).map_err(|_| StoreError::Damaged("the log's checkpoint is no text"))?;
            let signed = SignedCheckpoint::parse(&text)?;
            let checkpoint = signed.verify(&key.verifying_key())?;
            if (checkpoint.size, checkpoint.root) != (size, root) {
                return Err(StoreError::Damaged(
                    "the log is not the one that its checkpoint was signed for",
                ));
            }
            text
        }
    };
    Ok(Head { tree, checkpoint })
}
