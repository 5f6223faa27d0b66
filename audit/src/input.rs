//! What an asker commits to: the exact set of items that it asks with, so that an auditor can later be shown what was in it and what was not.
//!
//! Each item becomes a leaf under a secret salt; the leaves stand in ascending order in the tree of RFC 6962, whose root both logs hold. Who
//! knows neither salt nor leaves learns nothing from the root. That an item was not in the set is shown by the two leaves between which it
//! would stand.

use std::fmt;

use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{Digest, FullTile, Tree, TreeError, View, check_inclusion, leaf_hash, tree::HeldTiles};

/// The secret of one commitment; kept by the asker, shown to an auditor alone. Wiped when dropped, prints nothing.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct InputSalt([u8; 32]);

/// The tree over a set's leaves in the making.
///
/// Memory: a few kilobytes; what became full is given away.
#[derive(Default)]
pub struct InputTree {
    tree: Tree,
    last: Option<Digest>,
}

/// A set's leaves, to show what is among them. Memory: 64 bytes per item.
pub struct OpenedInput {
    tree: Tree,
    tiles: HeldTiles,
    leaves: Vec<Digest>,
}

/// That an item was in a set, or was not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "was", deny_unknown_fields)]
pub enum Membership {
    /// It was: its leaf stands there.
    In {
        /// Where.
        leaf: ProvedLeaf,
    },
    /// It was not: these two stand side by side, and it would be between them. One is missing where it would be first or last.
    Out {
        /// The leaf before.
        before: Option<ProvedLeaf>,
        /// The leaf after.
        after: Option<ProvedLeaf>,
    },
}

/// A leaf of a set, with its path to the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvedLeaf {
    /// Its place among the leaves.
    pub index: u64,
    /// The leaf.
    pub leaf: Digest,
    /// RFC 6962 section 2.1.1.
    pub path: Vec<Digest>,
}

/// What an agency shows an auditor of the set that it asked with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputProof {
    /// Version of the form: 1.
    pub overlap_input_proof: u32,
    /// The agency that asked.
    pub agency: String,
    /// The query.
    pub transaction: Uuid,
    /// The profile that items were made under, and its hash.
    pub profile: String,
    /// Its hash.
    pub profile_hash: Digest,
    /// Kind of the identifier that was looked for.
    pub kind: String,
    /// Its canonical form.
    pub canonical: String,
    /// Items in the set, as both logs have it.
    pub input_count: u64,
    /// The commitment, as both logs have it.
    pub input_commitment: Digest,
    /// What the leaves were made under. With it, the leaves that stand beside the one that is shown can be guessed: the proof is for the auditor
    /// alone.
    pub salt: Digest,
    /// For each match key of the identifier that took part.
    pub keys: Vec<KeyProof>,
}

/// One match key of an identifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyProof {
    /// Its name in the profile.
    pub key: String,
    /// Whether its item was in the set.
    pub membership: Membership,
}

/// Why a set cannot be committed to, or what is shown of it not be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// Two items are equal, or the leaves are not in order.
    #[error("the items of a set must differ, and their leaves ascend")]
    Order,
    /// What is shown does not lead to the commitment.
    #[error("what is shown of the set does not fit the commitment")]
    Proof,
    /// The system gave no randomness.
    #[error("the system gave no randomness")]
    Randomness,
}

impl InputSalt {
    /// A fresh salt.
    ///
    /// # Errors
    /// [`InputError::Randomness`].
    pub fn random() -> Result<Self, InputError> {
        let mut salt = [0; 32];
        SystemRandom::new()
            .fill(&mut salt)
            .map_err(|_| InputError::Randomness)?;
        Ok(Self(salt))
    }

    /// A salt that was kept.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// To be kept, or shown.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The leaf of an item, given as its group element: HMAC-SHA256 under the salt over a label and the element.
    pub fn leaf(&self, element: &[u8; 32]) -> Digest {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.0));
        context.update(b"overlap/input/v2");
        context.update(element);
        let mut leaf = Digest([0; 32]);
        leaf.0.copy_from_slice(context.sign().as_ref());
        leaf
    }
}

impl fmt::Debug for InputSalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InputSalt(..)")
    }
}

impl InputTree {
    /// Takes the next leaf.
    ///
    /// # Errors
    /// [`InputError::Order`] unless it is greater than the one before.
    pub fn push(&mut self, leaf: Digest, full: &mut Vec<FullTile>) -> Result<(), InputError> {
        if self.last.is_some_and(|last| last >= leaf) {
            return Err(InputError::Order);
        }
        self.last = Some(leaf);
        self.tree.push(leaf_hash(&leaf), full);
        Ok(())
    }

    /// The commitment.
    pub fn root(&self) -> Digest {
        self.tree.root()
    }

    /// Items taken.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }
}

impl OpenedInput {
    /// The set that has these leaves.
    ///
    /// # Errors
    /// [`InputError::Order`].
    pub fn new(leaves: Vec<Digest>) -> Result<Self, InputError> {
        let (mut input, mut full, mut tiles) = (InputTree::default(), Vec::new(), HeldTiles::default());
        for leaf in &leaves {
            input.push(*leaf, &mut full)?;
            full.drain(..).for_each(|tile| tiles.hold(tile));
        }
        Ok(Self {
            tree: input.tree,
            tiles,
            leaves,
        })
    }

    /// The commitment.
    pub fn root(&self) -> Digest {
        self.tree.root()
    }

    /// Items in the set.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Shows whether a leaf is there.
    ///
    /// # Errors
    /// None that can happen: every tile is held.
    pub fn show(&self, leaf: &Digest) -> Result<Membership, TreeError> {
        match self.leaves.binary_search(leaf) {
            Ok(at) => Ok(Membership::In { leaf: self.proved(at)? }),
            Err(at) => {
                let neighbour = |at: Option<usize>| {
                    at.filter(|at| *at < self.leaves.len())
                        .map(|at| self.proved(at))
                        .transpose()
                };
                Ok(Membership::Out {
                    before: neighbour(at.checked_sub(1))?,
                    after: neighbour(Some(at))?,
                })
            }
        }
    }

    fn proved(&self, at: usize) -> Result<ProvedLeaf, TreeError> {
        let (index, size) = (at as u64, self.size());
        let leaf = *self.leaves.get(at).ok_or(TreeError::Beyond { size })?;
        let path = View::new(&self.tree, &self.tiles).inclusion(index, size)?;
        Ok(ProvedLeaf { index, leaf, path })
    }
}

impl Membership {
    /// Whether the item with this leaf was in the set of that size and commitment.
    ///
    /// # Errors
    /// [`InputError::Proof`]: neither is shown.
    pub fn check(&self, leaf: &Digest, size: u64, commitment: &Digest) -> Result<bool, InputError> {
        let proved = |one: &ProvedLeaf| {
            check_inclusion(&one.path, size, commitment, one.index, &leaf_hash(&one.leaf))
                .map_err(|_| InputError::Proof)
        };
        match self {
            Self::In { leaf: shown } => {
                proved(shown)?;
                (shown.leaf == *leaf).then_some(true).ok_or(InputError::Proof)
            }
            Self::Out { before, after } => {
                before.iter().chain(after).try_for_each(proved)?;
                let stands_between = before.as_ref().is_none_or(|before| before.leaf < *leaf)
                    && after.as_ref().is_none_or(|after| *leaf < after.leaf);
                let side_by_side = match (before, after) {
                    (Some(before), Some(after)) => before.index + 1 == after.index,
                    (None, Some(after)) => after.index == 0,
                    (Some(before), None) => before.index + 1 == size,
                    (None, None) => size == 0,
                };
                (stands_between && side_by_side)
                    .then_some(false)
                    .ok_or(InputError::Proof)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn opened(salt: &InputSalt, elements: &[[u8; 32]]) -> OpenedInput {
        let mut leaves: Vec<Digest> = elements.iter().map(|element| salt.leaf(element)).collect();
        leaves.sort_unstable();
        OpenedInput::new(leaves).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_was_in_is_shown_in_and_what_was_not_out(
            elements in prop::collection::btree_set(any::<[u8; 32]>(), 1..700), other: [u8; 32], pick: prop::sample::Index
        ) {
            let elements: Vec<[u8; 32]> = elements.into_iter().collect();
            let salt = InputSalt::from_bytes([7; 32]);
            let set = opened(&salt, &elements);
            let (size, root) = (set.size(), set.root());
            prop_assert_eq!(size, elements.len() as u64);
            let mut full = Vec::new();
            let mut streamed = InputTree::default();
            for leaf in &set.leaves {
                streamed.push(*leaf, &mut full).unwrap();
            }
            prop_assert_eq!(streamed.root(), root);

            let held = salt.leaf(pick.get(&elements));
            let shown = set.show(&held).unwrap();
            prop_assert_eq!(shown.check(&held, size, &root), Ok(true));
            let absent = salt.leaf(&other);
            let missing = set.show(&absent).unwrap();
            prop_assert_eq!(missing.check(&absent, size, &root), Ok(elements.contains(&other)));
            // neither is good for the other, or for another set
            prop_assert_eq!(shown.check(&absent, size, &root), Err(InputError::Proof));
            prop_assert!(missing.check(&held, size, &root).is_err());
            prop_assert!(shown.check(&held, size, &Digest([0; 32])).is_err());
        }
    }

    #[test]
    fn neighbours_that_are_none_are_refused() {
        let salt = InputSalt::from_bytes([1; 32]);
        let elements: Vec<[u8; 32]> = (0..9).map(|n| [n; 32]).collect();
        let set = opened(&salt, &elements);
        let (size, root) = (set.size(), set.root());
        let hidden = set.leaves[4];
        // leaves out the item that is asked for
        let forged = Membership::Out {
            before: Some(set.proved(3).unwrap()),
            after: Some(set.proved(5).unwrap()),
        };
        assert_eq!(forged.check(&hidden, size, &root), Err(InputError::Proof));
        for forged in [
            Membership::Out {
                before: Some(set.proved(3).unwrap()),
                after: None,
            },
            Membership::Out {
                before: None,
                after: Some(set.proved(5).unwrap()),
            },
            Membership::Out {
                before: None,
                after: None,
            },
        ] {
            assert_eq!(forged.check(&hidden, size, &root), Err(InputError::Proof));
        }
    }

    #[test]
    fn a_set_has_each_item_once() {
        assert_eq!(
            OpenedInput::new(vec![Digest([1; 32]), Digest([1; 32])]).err(),
            Some(InputError::Order)
        );
    }

    /// Computed with Python's hmac.
    #[test]
    fn a_leaf_stays_the_same() {
        let leaf = InputSalt::from_bytes([1; 32]).leaf(&[2; 32]);
        assert_eq!(
            leaf.to_string(),
            "5f23f682348e332d35c985465a72e0b0fc670b0c6f2e4e72426bef22f4ce7c8c"
        );
    }
}
