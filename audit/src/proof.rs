//! Checking what a tree proves (RFC 6962 section 2.1), without the tree.

use tlog_tiles::Hash;

use crate::{
    Digest,
    tree::{MAX_TREE_SIZE, TreeError, empty_root},
};

/// Checks an audit path: the tree of `size` leaves with this root has the leaf at `index`.
///
/// # Errors
/// [`TreeError::Beyond`]: no such leaf in a tree of that size; [`TreeError::Proof`].
pub fn check_inclusion(proof: &[Digest], size: u64, root: &Digest, index: u64, leaf: &Digest) -> Result<(), TreeError> {
    if size > MAX_TREE_SIZE || index >= size {
        return Err(TreeError::Beyond { size });
    }
    tlog_tiles::check_record(&hashes(proof)?, size, Hash(root.0), index, Hash(leaf.0)).map_err(|_| TreeError::Proof)
}

/// Checks a consistency proof: the tree of `old` leaves and root is the start of the one of `new`.
///
/// # Errors
/// [`TreeError::Beyond`]: the new tree is smaller; [`TreeError::Proof`].
pub fn check_consistency(proof: &[Digest], old: (u64, &Digest), new: (u64, &Digest)) -> Result<(), TreeError> {
    if new.0 > MAX_TREE_SIZE || old.0 > new.0 {
        return Err(TreeError::Beyond { size: new.0 });
    }
    if old.0 == 0 {
        // every tree begins with the empty one
        return match proof.is_empty() && *old.1 == empty_root() && (new.0 > 0 || new.1 == old.1) {
            true => Ok(()),
            false => Err(TreeError::Proof),
        };
    }
    tlog_tiles::check_tree(&hashes(proof)?, new.0, Hash(new.1.0), old.0, Hash(old.1.0)).map_err(|_| TreeError::Proof)
}

/// No path in a tree of [`MAX_TREE_SIZE`] is longer.
const MAX_PROOF: usize = 64;

fn hashes(proof: &[Digest]) -> Result<Vec<Hash>, TreeError> {
    match proof.len() <= MAX_PROOF {
        true => Ok(proof.iter().map(|digest| Hash(digest.0)).collect()),
        false => Err(TreeError::Proof),
    }
}
