//! Reading a log's tree: roots of earlier sizes, proofs, and tiles to serve.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use tlog_tiles::{Error as TlogError, Hash, HashReader, Tile};

use crate::{Digest, MAX_TREE_SIZE, TILE_HEIGHT, TILE_WIDTH, Tiles, Tree, TreeError, empty_root, tree::whole};

/// A tree together with its full tiles: what roots, proofs and tiles are read from. It remembers the hashes that it made: the next proof
/// needs most of them again. Memory: 40 bytes for each.
pub struct View<'a, T> {
    tree: &'a Tree,
    tiles: &'a T,
    made: RefCell<HashMap<u64, Hash>>,
}

impl<'a, T: Tiles> View<'a, T> {
    /// A tree and where its full tiles are.
    pub fn new(tree: &'a Tree, tiles: &'a T) -> Self {
        Self {
            tree,
            tiles,
            made: RefCell::default(),
        }
    }

    /// The root when the tree had that size.
    ///
    /// # Errors
    /// [`TreeError::Beyond`], [`TreeError::Tile`].
    pub fn root(&self, size: u64) -> Result<Digest, TreeError> {
        self.within(size)?;
        if size == 0 {
            return Ok(empty_root());
        }
        Ok(Digest(self.reading(|reader| tlog_tiles::tree_hash(size, reader))?.0))
    }

    /// The audit path of RFC 6962 section 2.1.1: that the tree of `size` leaves has this one at `index`.
    ///
    /// # Errors
    /// [`TreeError::Beyond`], [`TreeError::Tile`].
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Digest>, TreeError> {
        self.within(size)?;
        if index >= size {
            return Err(TreeError::Beyond { size });
        }
        let proof = self.reading(|reader| tlog_tiles::prove_record(size, index, reader))?;
        Ok(proof.into_iter().map(|hash| Digest(hash.0)).collect())
    }

    /// The consistency proof of RFC 6962 section 2.1.2: that the tree of `old` leaves is the start of the one of `new`.
    ///
    /// # Errors
    /// [`TreeError::Beyond`], [`TreeError::Tile`].
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Digest>, TreeError> {
        self.within(new)?;
        if old > new {
            return Err(TreeError::Beyond { size: new });
        }
        if old == 0 {
            return Ok(Vec::new());
        }
        let proof = self.reading(|reader| tlog_tiles::prove_tree(new, old, reader))?;
        Ok(proof.into_iter().map(|hash| Digest(hash.0)).collect())
    }

    /// The first `width` hashes of a tile, as C2SP tlog-tiles serves them; none if the tree does not have them yet.
    ///
    /// # Errors
    /// [`TreeError::Tile`].
    pub fn tile(&self, level: u8, number: u64, width: usize) -> Result<Option<Vec<u8>>, TreeError> {
        if level > 5 || width == 0 || width > TILE_WIDTH {
            return Ok(None);
        }
        let hashes = self.tree.size() >> (u32::from(TILE_HEIGHT) * u32::from(level));
        let start = number.saturating_mul(TILE_WIDTH as u64);
        if start.saturating_add(width as u64) > hashes {
            return Ok(None);
        }
        let held = match self.tree.edge(level, number) {
            Some(edge) => edge.to_vec(),
            None => whole(self.tiles, level, number)?,
        };
        held.get(..width * 32)
            .map(|hashes| Some(hashes.to_vec()))
            .ok_or(TreeError::Tile { level, number })
    }

    fn within(&self, size: u64) -> Result<(), TreeError> {
        match size <= self.tree.size() && size <= MAX_TREE_SIZE {
            true => Ok(()),
            false => Err(TreeError::Beyond { size: self.tree.size() }),
        }
    }

    pub(crate) fn reading<R>(&self, read: impl FnOnce(&Reader<'_, T>) -> Result<R, TlogError>) -> Result<R, TreeError> {
        let reader = Reader {
            view: self,
            fault: Cell::new(None),
        };
        read(&reader).map_err(|_| reader.fault.take().unwrap_or(TreeError::Proof))
    }
}

/// Finds single hashes in tiles, and remembers which tile failed.
pub(crate) struct Reader<'a, T> {
    view: &'a View<'a, T>,
    fault: Cell<Option<TreeError>>,
}

impl<T: Tiles> HashReader for Reader<'_, T> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, TlogError> {
        let mut last: Option<(Tile, Vec<u8>)> = None;
        let mut hashes = Vec::with_capacity(indexes.len());
        let mut made = self.view.made.borrow_mut();
        for index in indexes {
            if let Some(hash) = made.get(index) {
                hashes.push(*hash);
                continue;
            }
            let least = Tile::from_index(TILE_HEIGHT, *index);
            let (level, number) = (least.level(), least.level_index());
            let is_last = |(tile, _): &(Tile, Vec<u8>)| (tile.level(), tile.level_index()) == (level, number);
            if !last.as_ref().is_some_and(is_last) {
                last = Some(match self.view.tree.edge(level, number) {
                    Some(edge) => {
                        let width = u32::try_from(edge.len() / 32).unwrap_or_default();
                        if width < least.width() {
                            self.fault.set(Some(TreeError::Tile { level, number }));
                            return Err(TlogError::InvalidTile);
                        }
                        (Tile::new(TILE_HEIGHT, level, number, width, false), edge.to_vec())
                    }
                    None => match whole(self.view.tiles, level, number) {
                        Ok(hashes) => (Tile::new(TILE_HEIGHT, level, number, TILE_WIDTH as u32, false), hashes),
                        Err(fault) => {
                            self.fault.set(Some(fault));
                            return Err(TlogError::InvalidTile);
                        }
                    },
                });
            }
            if let Some((tile, data)) = &last {
                let hash = tile.hash_at_index(data, *index)?;
                made.insert(*index, hash);
                hashes.push(hash);
            }
        }
        Ok(hashes)
    }
}
