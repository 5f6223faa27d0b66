//! Small cells: which counts of a table may be told so that none below a minimum can be worked out.
//!
//! Three tables are told of a picture, each with its own rule: by combination of agencies and role ([`combinations`]), where readers may know
//! what every agency has; by role and month, a tree; and the months of a combination and role ([`split`]), which have totals in common with
//! either of the others.
//!
//! A tree has a total, its parts, and theirs. A count below the minimum is withheld (primary suppression). Under each total that
//! is told, what is withheld must be at least two counts, and together at least the minimum; where it is not, the next smallest
//! counts are withheld as well (complementary suppression). What is withheld is withheld with all its parts. Empty cells are no part of
//! the tree, so a count that is not shown may be nought. A total of the minimum or more can always be covered so.

pub(crate) mod combinations;
pub(crate) mod split;

/// A count with its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    count: u64,
    /// What may be told of it.
    pub(crate) told: Option<u64>,
    pub(crate) parts: Vec<Node>,
}

impl Node {
    /// A count without parts.
    pub(crate) fn leaf(count: u64) -> Self {
        Self {
            count,
            told: None,
            parts: Vec::new(),
        }
    }

    /// The sum of its parts.
    pub(crate) fn of(parts: impl IntoIterator<Item = Self>) -> Self {
        let parts: Vec<Self> = parts.into_iter().collect();
        Self {
            count: parts.iter().map(|part| part.count).sum(),
            told: None,
            parts,
        }
    }

    /// Marks what may be told, of a table that nothing was told of yet.
    pub(crate) fn tell(mut self, least: u64) -> Self {
        self.mark(least);
        self
    }

    fn mark(&mut self, least: u64) {
        if self.count < least {
            return;
        }
        self.told = Some(self.count);
        let mut smallest_first: Vec<&mut Self> = self.parts.iter_mut().collect();
        smallest_first.sort_by_key(|part| part.count);
        let (mut withheld, mut sum) = (0u64, 0);
        for part in smallest_first {
            let exposes = withheld == 1 || withheld > 1 && sum < least;
            if part.count < least || exposes {
                withheld += 1;
                sum += part.count;
            } else {
                part.mark(least);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a reader sees holds: nothing small, and nothing small by subtraction.
    fn check(node: &Node, least: u64) {
        let Some(told) = node.told else {
            // nothing of what is withheld is told by its parts
            assert!(node.parts.iter().all(|part| part.told.is_none()));
            node.parts.iter().for_each(|part| check(part, least));
            return;
        };
        assert!(told == node.count && told >= least);
        let withheld: Vec<u64> = node
            .parts
            .iter()
            .filter(|part| part.told.is_none())
            .map(|part| part.count)
            .collect();
        assert!(withheld.is_empty() || withheld.len() >= 2 && withheld.iter().sum::<u64>() >= least);
        // no more is withheld than has to be: the largest of it is small, or covers for one that is
        assert!(withheld.is_empty() || withheld.iter().any(|count| *count < least));
        node.parts.iter().for_each(|part| check(part, least));
    }

    fn trees() -> impl Strategy<Value = Node> {
        let leaf = (1u64..30).prop_map(Node::leaf);
        leaf.prop_recursive(3, 40, 6, |part| prop::collection::vec(part, 1..6).prop_map(Node::of))
    }

    proptest! {
        #[test]
        fn no_small_count_is_told_or_left_over(tree in trees(), least in 1u64..12) {
            check(&tree.tell(least), least);
        }

        #[test]
        fn without_a_minimum_all_is_told(tree in trees()) {
            fn all(node: &Node) -> bool {
                node.told == Some(node.count) && node.parts.iter().all(all)
            }
            prop_assert!(all(&tree.tell(1)));
        }
    }

    #[test]
    fn one_small_count_takes_the_next_with_it() {
        let told = |counts: &[u64]| {
            let tree = Node::of(counts.iter().map(|count| Node::leaf(*count))).tell(5);
            tree.parts.iter().map(|part| part.told).collect::<Vec<_>>()
        };
        assert_eq!(told(&[3, 40, 9]), [None, Some(40), None]);
        assert_eq!(told(&[1, 2, 40, 9]), [None, None, Some(40), None]);
        assert_eq!(told(&[3, 2, 40, 9]), [None, None, Some(40), Some(9)]);
        assert_eq!(told(&[3]), [None]);
    }
}
