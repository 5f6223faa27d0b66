//! The Merkle tree over the log (RFC 6962 section 2.1), kept in tiles of 256 hashes (C2SP tlog-tiles).
//!
//! A full tile never changes: it is handed over once, to be stored. What is not full yet is the [`Tree`] itself, a few kilobytes.

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};
use tlog_tiles::{Hash, HashReader as _, Tile};

use crate::{Digest, View};

/// Height of tiles: 2^8 hashes each, as C2SP tlog-tiles has it.
pub const TILE_HEIGHT: u8 = 8;

/// Hashes of a full tile.
pub const TILE_WIDTH: usize = 1 << TILE_HEIGHT;

/// Most leaves of a tree that is read or proved: 2^40 are 30,000 years at a query a second.
pub const MAX_TREE_SIZE: u64 = 1 << 40;

/// A full tile: 256 hashes of one level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullTile {
    /// Level of the tile: 0 holds the leaves' hashes, 1 the roots of 256 leaves each.
    pub level: u8,
    /// Number within the level.
    pub number: u64,
    /// The hashes, 8192 bytes.
    pub hashes: Vec<u8>,
}

/// Where full tiles are kept.
pub trait Tiles {
    /// The hashes of a full tile; none if it is not there, which is a damage.
    fn tile(&self, level: u8, number: u64) -> Option<Vec<u8>>;
}

/// Full tiles in memory.
#[derive(Clone, Debug, Default)]
pub struct HeldTiles(BTreeMap<(u8, u64), Vec<u8>>);

impl HeldTiles {
    /// Keeps a tile.
    pub fn hold(&mut self, tile: FullTile) {
        self.0.insert((tile.level, tile.number), tile.hashes);
    }
}

impl Tiles for HeldTiles {
    fn tile(&self, level: u8, number: u64) -> Option<Vec<u8>> {
        self.0.get(&(level, number)).cloned()
    }
}

/// The right edge of a tree: its size and the tiles that are not full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    /// The hashes of the last, unfinished tile of each level; fewer than 256.
    edge: Vec<Vec<u8>>,
    /// The roots of the full subtrees that the size is the sum of, the largest first: what a root takes at each sync.
    peaks: Vec<Digest>,
}

/// Why a tree cannot be read or a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// An index or size beyond the tree.
    #[error("there is no such entry: the log has {size}")]
    Beyond {
        /// Entries in the tree.
        size: u64,
    },
    /// A tile is missing or has another length.
    #[error("tile {number} of level {level} is missing or damaged")]
    Tile {
        /// Level of the tile.
        level: u8,
        /// Number within the level.
        number: u64,
    },
    /// The proof does not lead from what it starts with to the root.
    #[error("the proof does not hold")]
    Proof,
}

/// The leaf hash of RFC 6962: SHA-256(0x00 ‖ data).
pub fn leaf_hash(data: &Digest) -> Digest {
    Digest(tlog_tiles::record_hash(&data.0).0)
}

fn node(left: Digest, right: Digest) -> Digest {
    Digest(tlog_tiles::node_hash(Hash(left.0), Hash(right.0)).0)
}

/// The root of a tree without leaves.
pub fn empty_root() -> Digest {
    let mut root = Digest([0; 32]);
    root.0.copy_from_slice(digest(&SHA256, b"").as_ref());
    root
}

impl Tree {
    /// The edge of a tree whose full tiles are stored: `leaves` are the hashes of the leaves after the last full tile of level 0.
    ///
    /// # Errors
    /// [`TreeError::Tile`]: a full tile is missing; [`TreeError::Beyond`]: not as many leaves as the size says, or too many.
    pub fn restore(size: u64, leaves: &[Digest], tiles: &impl Tiles) -> Result<Self, TreeError> {
        let edge = usize::try_from(size % TILE_WIDTH as u64).unwrap_or_default();
        if size > MAX_TREE_SIZE || leaves.len() != edge {
            return Err(TreeError::Beyond { size });
        }
        let mut tree = Self {
            size,
            ..Self::default()
        };
        tree.edge.push(leaves.iter().flat_map(|leaf| leaf.0).collect());
        let mut full = size >> TILE_HEIGHT;
        let mut level = 0;
        while full > 0 {
            let first = full - full % TILE_WIDTH as u64;
            let mut hashes = Vec::new();
            for number in first..full {
                let tile = whole(tiles, level, number)?;
                hashes.extend(Tile::subtree_hash(&tile).0);
            }
            tree.edge.push(hashes);
            full >>= TILE_HEIGHT;
            level += 1;
        }
        let levels = (0..=40_u8).rev().filter(|level| size >> level & 1 == 1);
        let indexes: Vec<u64> = levels
            .map(|level| tlog_tiles::stored_hash_index(level, (size >> level) - 1))
            .collect();
        let peaks = View::new(&tree, &NoTiles).reading(|reader| reader.read_hashes(&indexes))?;
        tree.peaks = peaks.into_iter().map(|hash| Digest(hash.0)).collect();
        Ok(tree)
    }

    /// Leaves in the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash; tiles that became full are pushed to `full`.
    pub fn push(&mut self, leaf: Digest, full: &mut Vec<FullTile>) {
        self.size += 1;
        self.peaks.push(leaf);
        for _ in 0..self.size.trailing_zeros() {
            if let (Some(right), Some(left)) = (self.peaks.pop(), self.peaks.pop()) {
                self.peaks.push(node(left, right));
            }
        }
        let mut hash = leaf.0;
        for level in 0.. {
            if self.edge.len() <= usize::from(level) {
                self.edge.push(Vec::new());
            }
            let Some(hashes) = self.edge.get_mut(usize::from(level)) else {
                return;
            };
            hashes.extend(hash);
            if hashes.len() < TILE_WIDTH * hash.len() {
                return;
            }
            let hashes = std::mem::take(hashes);
            hash = Tile::subtree_hash(&hashes).0;
            // the tile that the last leaf of the tree closes
            let number = ((self.size - 1) >> TILE_HEIGHT) >> (TILE_HEIGHT * level);
            full.push(FullTile { level, number, hashes });
        }
    }

    /// The root.
    pub fn root(&self) -> Digest {
        let mut smallest_first = self.peaks.iter().rev().copied();
        let Some(last) = smallest_first.next() else {
            return empty_root();
        };
        smallest_first.fold(last, |right, left| node(left, right))
    }

    /// The hashes of the unfinished tile of that level and number.
    pub(crate) fn edge(&self, level: u8, number: u64) -> Option<&[u8]> {
        let is_last = number == (self.size >> (u32::from(TILE_HEIGHT) * (u32::from(level) + 1)));
        self.edge.get(usize::from(level)).filter(|_| is_last).map(Vec::as_slice)
    }
}

/// Stands for the full tiles where none is needed.
struct NoTiles;

impl Tiles for NoTiles {
    fn tile(&self, _: u8, _: u64) -> Option<Vec<u8>> {
        None
    }
}

pub(crate) fn whole(tiles: &impl Tiles, level: u8, number: u64) -> Result<Vec<u8>, TreeError> {
    tiles
        .tile(level, number)
        .filter(|hashes| hashes.len() == TILE_WIDTH * 32)
        .ok_or(TreeError::Tile { level, number })
}

#[cfg(test)]
mod tests {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;
    use sha2::Sha256;

    use super::*;
    use crate::{check_consistency, check_inclusion};

    fn leaf(index: u64) -> Digest {
        let mut data = Digest([0; 32]);
        data.0[..8].copy_from_slice(&index.to_be_bytes());
        data
    }

    fn grown(size: u64) -> (Tree, HeldTiles) {
        let (mut tree, mut held, mut full) = (Tree::default(), HeldTiles::default(), Vec::new());
        for index in 0..size {
            tree.push(leaf_hash(&leaf(index)), &mut full);
        }
        for tile in full {
            assert_eq!(tile.hashes.len(), TILE_WIDTH * 32);
            assert!(held.0.insert((tile.level, tile.number), tile.hashes).is_none());
        }
        (tree, held)
    }

    /// The roots of the eight inputs that Certificate Transparency's implementations share as test vectors.
    #[test]
    fn roots_of_certificate_transparency() {
        let inputs = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Tree::default();
        assert_eq!(tree.root(), empty_root());
        assert_eq!(
            empty_root().to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        for (input, root) in inputs.iter().zip(roots) {
            let data = hex::decode(input).unwrap();
            tree.push(Digest(tlog_tiles::record_hash(&data).0), &mut Vec::new());
            assert_eq!(tree.root().to_string(), root);
        }
    }

    #[test]
    fn another_implementation_agrees() {
        for size in [1_u64, 2, 3, 255, 256, 257, 511, 512, 700] {
            let (tree, held) = grown(size);
            let view = View::new(&tree, &held);
            let mut other = MemoryBackedTree::<Sha256, [u8; 32]>::new();
            for index in 0..size {
                other.push(leaf(index).0);
            }
            assert_eq!(tree.root().0.as_slice(), other.root().as_bytes().as_slice(), "{size}");
            for index in [0, size / 2, size - 1] {
                let ours: Vec<u8> = view
                    .inclusion(index, size)
                    .unwrap()
                    .iter()
                    .flat_map(|hash| hash.0)
                    .collect();
                let theirs = other.prove_inclusion(usize::try_from(index).unwrap());
                assert_eq!(ours, theirs.as_bytes(), "{size} {index}");
            }
        }
    }

    #[test]
    fn a_large_tree_restores_from_its_tiles() {
        for size in [0, 255, 256, 65_535, 65_536, 65_537, 66_000, 131_372] {
            let (tree, held) = grown(size);
            let leaves: Vec<Digest> = (size - size % 256..size).map(|index| leaf_hash(&leaf(index))).collect();
            let restored = Tree::restore(size, &leaves, &held).unwrap();
            assert_eq!(restored.root(), tree.root());
            // and grows on in the same way
            let (mut one, mut two) = (tree, restored);
            let (mut full_one, mut full_two) = (Vec::new(), Vec::new());
            for index in size..size + 300 {
                one.push(leaf_hash(&leaf(index)), &mut full_one);
                two.push(leaf_hash(&leaf(index)), &mut full_two);
            }
            assert_eq!((one.root(), full_one), (two.root(), full_two));
        }
    }

    #[test]
    fn a_missing_tile_is_named() {
        let (tree, mut held) = grown(66_000);
        held.0.remove(&(0, 3));
        let error = View::new(&tree, &held).inclusion(3 * 256 + 1, 66_000).unwrap_err();
        assert_eq!(error, TreeError::Tile { level: 0, number: 3 });
        held.0.insert((0, 3), vec![0; 31]);
        assert_eq!(
            View::new(&tree, &held).tile(0, 3, 256),
            Err(TreeError::Tile { level: 0, number: 3 })
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn proofs_hold_and_nothing_else_does(new in 1_u64..1500, old in 0_u64..1500, index in 0_u64..1500, wrong in 0_usize..64) {
            let (old, index) = (old.min(new), index.min(new - 1));
            let (tree, held) = grown(new);
            let view = View::new(&tree, &held);
            let (old_root, new_root) = (view.root(old).unwrap(), view.root(new).unwrap());
            prop_assert_eq!(old_root, grown(old).0.root());

            let path = view.inclusion(index, new).unwrap();
            let hash = leaf_hash(&leaf(index));
            check_inclusion(&path, new, &new_root, index, &hash).unwrap();
            prop_assert!(check_inclusion(&path, new, &new_root, index, &leaf_hash(&leaf(new + 1))).is_err());
            prop_assert!(new == 1 || check_inclusion(&path, new, &new_root, (index + 1) % new, &hash).is_err());

            let growth = view.consistency(old, new).unwrap();
            check_consistency(&growth, (old, &old_root), (new, &new_root)).unwrap();
            prop_assert!(check_consistency(&growth, (new + 1, &old_root), (new, &new_root)).is_err());
            if !growth.is_empty() {
                let mut changed = growth.clone();
                let at = wrong % changed.len();
                changed[at].0[0] ^= 1;
                prop_assert!(check_consistency(&changed, (old, &old_root), (new, &new_root)).is_err());
                prop_assert!(check_consistency(&growth[1..], (old, &old_root), (new, &new_root)).is_err());
            }
        }

        #[test]
        fn any_proof_is_refused_without_panic(size: u64, index: u64, proof in prop::collection::vec(any::<[u8; 32]>(), 0..70)) {
            let proof: Vec<Digest> = proof.into_iter().map(Digest).collect();
            let root = empty_root();
            let _ = check_inclusion(&proof, size, &root, index, &root);
            prop_assert!(check_consistency(&proof, (index, &root), (size, &root)).is_err() || index == size || index == 0);
        }
    }
}
