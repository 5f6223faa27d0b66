//! What a witness checks before it countersigns another log's head (C2SP tlog-witness).

use crate::{Checkpoint, Digest, TreeError, check_consistency};

/// Why a witness does not countersign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// The proof does not begin at the head that was countersigned last. Nothing is wrong: ask again from there.
    #[error("the head that was countersigned last has {known} events")]
    Stale {
        /// Events of the log when it was countersigned last.
        known: u64,
    },
    /// The log is shorter than the head that was countersigned last.
    #[error("the log has {size} events; {known} were countersigned before")]
    Back {
        /// Events that it shows now.
        size: u64,
        /// Events that it had.
        known: u64,
    },
    /// As many events as before, and others.
    #[error("the log of {size} events is another one than was countersigned before")]
    Fork {
        /// Events of both.
        size: u64,
    },
    /// The new log does not begin with the old one.
    #[error("the log of {size} events does not begin with the {known} that were countersigned before")]
    Inconsistent {
        /// Events that it shows now.
        size: u64,
        /// Events that it had.
        known: u64,
    },
}

/// Whether a head, whose signature was verified, grows from the last one that was countersigned.
///
/// # Errors
/// [`WitnessError`].
pub fn judge(
    last: Option<&Checkpoint>,
    new: &Checkpoint,
    proved_from: u64,
    proof: &[Digest],
) -> Result<(), WitnessError> {
    let known = last.map_or(0, |last| last.size);
    let size = new.size;
    match last {
        _ if size < known => Err(WitnessError::Back { size, known }),
        Some(last) if size == known => match new.root == last.root {
            true => Ok(()),
            false => Err(WitnessError::Fork { size }),
        },
        _ if proved_from != known => Err(WitnessError::Stale { known }),
        None => Ok(()),
        Some(last) => check_consistency(proof, (known, &last.root), (size, &new.root))
            .map_err(|_: TreeError| WitnessError::Inconsistent { size, known }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HeldTiles, Tree, View, leaf_hash};

    fn grown(leaves: &[u8]) -> (Tree, Checkpoint) {
        let mut tree = Tree::default();
        for leaf in leaves {
            tree.push(leaf_hash(&Digest([*leaf; 32])), &mut Vec::new());
        }
        let checkpoint = Checkpoint {
            origin: "a.example/log".into(),
            size: tree.size(),
            root: tree.root(),
        };
        (tree, checkpoint)
    }

    #[test]
    fn only_what_grows_is_countersigned() {
        let (_, three) = grown(&[1, 2, 3]);
        let (tree, five) = grown(&[1, 2, 3, 4, 5]);
        let (other_tree, other) = grown(&[1, 2, 9, 4, 5]);
        let tiles = HeldTiles::default();
        let proof = View::new(&tree, &tiles).consistency(3, 5).unwrap();
        let forged = View::new(&other_tree, &tiles).consistency(3, 5).unwrap();

        assert_eq!(judge(None, &five, 0, &[]), Ok(()));
        assert_eq!(judge(Some(&three), &five, 3, &proof), Ok(()));
        assert_eq!(judge(Some(&five), &five, 3, &[]), Ok(()), "shown again");
        assert_eq!(
            judge(Some(&three), &five, 2, &proof),
            Err(WitnessError::Stale { known: 3 })
        );
        assert_eq!(
            judge(Some(&five), &three, 5, &[]),
            Err(WitnessError::Back { size: 3, known: 5 })
        );
        assert_eq!(judge(Some(&five), &other, 5, &[]), Err(WitnessError::Fork { size: 5 }));
        for proof in [&proof, &forged] {
            assert_eq!(
                judge(Some(&three), &other, 3, proof),
                Err(WitnessError::Inconsistent { size: 5, known: 3 })
            );
        }
    }
}
