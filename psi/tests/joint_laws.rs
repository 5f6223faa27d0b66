//! Laws of the joint OPRF: pseudonyms meet exactly where items do, whoever takes part and in whatever chunks; and who breaks the protocol is named.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use overlap_psi::{
    ApiMisuse, Error, Item, Key, PeerMisbehaved, Stored,
    dleq::PublicKey,
    joint::{Blame, Entry, Evaluated, Evaluator, Merge, Met, Owner, Pseudonym, Share},
};
use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

const PICTURE: [u8; 32] = [7; 32];

fn stored(items: impl IntoIterator<Item = u16>) -> Vec<Stored> {
    let items = items.into_iter();
    let items: Vec<Item> = items
        .map(|item| Item::derive("test", "n", &item.to_be_bytes()))
        .collect();
    Stored::of(&items)
}

/// One picture: every party's pseudonyms, in the order of its items.
fn picture(sets: &[BTreeSet<u16>], chunk: usize, id: [u8; 32], rng: &mut StdRng) -> Vec<Vec<Pseudonym>> {
    let shares: Vec<Share> = sets.iter().map(|_| Share::random(rng)).collect();
    let own = |at: usize, rng: &mut StdRng| {
        let others: Vec<usize> = (0..sets.len()).filter(|other| *other != at).collect();
        let keys = others.iter().map(|other| *shares[*other].public()).collect();
        let size = sets[at].len() as u64;
        let mut owner = Owner::start(shares[at].clone(), keys, id, size, rng);
        let mut evaluators: Vec<Evaluator> = others
            .iter()
            .map(|other| Evaluator::start(shares[*other].clone(), size))
            .collect();
        let mut pseudonyms = Vec::new();
        for own in stored(sets[at].iter().copied()).chunks(chunk) {
            let blinded = owner.blind(own).unwrap();
            let mut answers = Vec::new();
            for evaluator in std::mem::take(&mut evaluators) {
                let (next, answer) = evaluator.evaluate(blinded.encoded(), rng).unwrap();
                evaluators.push(next);
                answers.push(answer);
            }
            pseudonyms.extend(owner.combine(&blinded, &answers).unwrap());
        }
        owner.finish().unwrap();
        evaluators.into_iter().for_each(|evaluator| evaluator.finish().unwrap());
        pseudonyms
    };
    (0..sets.len()).map(|at| own(at, rng)).collect()
}

/// Which parties hold what, by item or by pseudonym: how often each combination occurs.
fn overlap<T: Ord>(held: impl IntoIterator<Item = Vec<T>>) -> BTreeMap<BTreeSet<usize>, usize> {
    let mut holders: BTreeMap<T, BTreeSet<usize>> = BTreeMap::new();
    for (party, items) in held.into_iter().enumerate() {
        for item in items {
            holders.entry(item).or_default().insert(party);
        }
    }
    let mut combinations = BTreeMap::new();
    for parties in holders.into_values() {
        *combinations.entry(parties).or_default() += 1;
    }
    combinations
}

fn sets() -> impl Strategy<Value = Vec<BTreeSet<u16>>> {
    prop::collection::vec(prop::collection::btree_set(0u16..12, 0..8), 2..=8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn pseudonyms_overlap_as_the_items_do(sets in sets(), chunk in 1usize..6, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let pseudonyms = picture(&sets, chunk, PICTURE, &mut rng);
        let plain = sets.iter().map(|set| set.iter().copied().collect());
        prop_assert_eq!(overlap(pseudonyms), overlap::<u16>(plain));
    }

    /// Nothing of the outcome depends on who comes where.
    #[test]
    fn the_order_of_the_parties_changes_nothing(mut sets in sets(), seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let sizes = |held: Vec<Vec<Pseudonym>>| {
            let mut sizes: Vec<(usize, usize)> = overlap(held).into_iter().map(|(who, count)| (who.len(), count)).collect();
            sizes.sort_unstable();
            sizes
        };
        let one = sizes(picture(&sets, 3, PICTURE, &mut rng));
        sets.reverse();
        prop_assert_eq!(one, sizes(picture(&sets, 4, PICTURE, &mut rng)));
    }

    /// Fresh shares, or another picture, and nothing can be linked.
    #[test]
    fn two_pictures_have_no_pseudonym_in_common(sets in sets(), seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let all = |held: Vec<Vec<Pseudonym>>| held.into_iter().flatten().collect::<BTreeSet<_>>();
        let one = all(picture(&sets, 4, PICTURE, &mut rng));
        let two = all(picture(&sets, 4, PICTURE, &mut rng));
        prop_assert!(one.is_disjoint(&two));
        let mut same = StdRng::seed_from_u64(seed);
        let three = all(picture(&sets, 4, [8; 32], &mut same));
        prop_assert!(one.is_disjoint(&three));
    }
}

struct Three {
    owner: Owner,
    evaluators: Vec<Evaluator>,
    rng: StdRng,
}

fn three(size: u64) -> Three {
    let mut rng = StdRng::seed_from_u64(1);
    let shares: Vec<Share> = (0..3).map(|_| Share::random(&mut rng)).collect();
    let keys = shares[1..].iter().map(|share| *share.public()).collect();
    Three {
        owner: Owner::start(shares[0].clone(), keys, PICTURE, size, &mut rng),
        evaluators: shares[1..]
            .iter()
            .map(|share| Evaluator::start(share.clone(), size))
            .collect(),
        rng,
    }
}

/// The answers of both others to one chunk of four.
fn answers(three: &mut Three) -> (overlap_psi::joint::Blinded, Vec<Evaluated>) {
    let blinded = three.owner.blind(&stored(0..4)).unwrap();
    let evaluators = std::mem::take(&mut three.evaluators);
    let answers = evaluators
        .into_iter()
        .map(|evaluator| evaluator.evaluate(blinded.encoded(), &mut three.rng).unwrap().1);
    let answers = answers.collect();
    (blinded, answers)
}

#[test]
fn who_evaluates_with_another_key_is_named() {
    let mut three = three(4);
    let (blinded, mut answers) = answers(&mut three);
    let stranger = Evaluator::start(Share::random(&mut three.rng), 4);
    answers[1] = stranger.evaluate(blinded.encoded(), &mut three.rng).unwrap().1;
    let what = PeerMisbehaved::BadProof;
    assert_eq!(three.owner.combine(&blinded, &answers), Err(Blame { other: 1, what }));
}

#[test]
fn one_element_under_another_key_breaks_the_proof() {
    let mut three = three(4);
    let (blinded, mut answers) = answers(&mut three);
    let other = Key::random(&mut three.rng);
    answers[0].elements[2] = other.multiply_all(&blinded.encoded()[2..3]).unwrap()[0];
    let what = PeerMisbehaved::BadProof;
    assert_eq!(three.owner.combine(&blinded, &answers), Err(Blame { other: 0, what }));
}

#[test]
fn who_sends_too_few_or_no_elements_is_named() {
    let mut three = three(4);
    let (blinded, answers) = answers(&mut three);
    let mut short = answers.clone();
    short[1].elements.pop();
    let what = PeerMisbehaved::TooFew {
        announced: 4,
        received: 3,
    };
    assert_eq!(three.owner.combine(&blinded, &short), Err(Blame { other: 1, what }));
    let mut identity = answers.clone();
    identity[0].elements[1] = [0; 32];
    let what = PeerMisbehaved::Identity;
    assert_eq!(three.owner.combine(&blinded, &identity), Err(Blame { other: 0, what }));
    let what = PeerMisbehaved::TooFew {
        announced: 4,
        received: 0,
    };
    assert_eq!(
        three.owner.combine(&blinded, &answers[..1]),
        Err(Blame { other: 1, what })
    );
    assert!(three.owner.combine(&blinded, &answers).is_ok());
}

#[test]
fn no_more_is_evaluated_than_was_announced() {
    let mut rng = StdRng::seed_from_u64(2);
    let points: Vec<_> = Key::random(&mut rng).multiply_stored(&stored(0..4)).unwrap();
    let (evaluator, _) = Evaluator::start(Share::random(&mut rng), 3)
        .evaluate(&points[..2], &mut rng)
        .unwrap();
    let announced = 3;
    assert_eq!(
        evaluator.evaluate(&points[2..], &mut rng).unwrap_err(),
        PeerMisbehaved::TooMany { announced }
    );
    let (evaluator, _) = Evaluator::start(Share::random(&mut rng), 3)
        .evaluate(&points[..2], &mut rng)
        .unwrap();
    assert_eq!(
        evaluator.finish(),
        Err(PeerMisbehaved::TooFew { announced, received: 2 })
    );
    let bad = Evaluator::start(Share::random(&mut rng), 3).evaluate(&[[0xff; 32]], &mut rng);
    assert_eq!(bad.unwrap_err(), PeerMisbehaved::NotCanonical);
}

#[test]
fn the_own_set_has_the_announced_size() {
    let mut three = three(4);
    let misuse = ApiMisuse::OwnSize { announced: 4, given: 5 };
    assert_eq!(three.owner.blind(&stored(0..5)).unwrap_err(), misuse);
    let fresh = self::three(4);
    let misuse = ApiMisuse::OwnSize { announced: 4, given: 0 };
    assert_eq!(fresh.owner.finish(), Err(Error::Misuse(misuse)));
}

#[test]
fn public_keys_are_checked_elements() {
    assert_eq!(PublicKey::decode(&[0; 32]), Err(PeerMisbehaved::Identity));
    assert_eq!(PublicKey::decode(&[0xff; 32]), Err(PeerMisbehaved::NotCanonical));
}

proptest! {
    /// However the lists come in, the merge tells who has what.
    #[test]
    fn the_merge_equals_the_plain_overlap(sets in sets(), chunks in prop::collection::vec(1usize..4, 8)) {
        let entry = |party: usize, item: u16| {
            let mut pseudonym = [0; 16];
            pseudonym[..2].copy_from_slice(&item.to_be_bytes());
            Entry { pseudonym, mark: [party as u8; 4] }
        };
        let lists: Vec<Vec<Entry>> = (0..sets.len())
            .map(|party| sets[party].iter().map(|item| entry(party, *item)).collect())
            .collect();
        let announced: Vec<u64> = lists.iter().map(|list| list.len() as u64).collect();
        let mut left: Vec<&[Entry]> = lists.iter().map(Vec::as_slice).collect();
        let mut merge = Merge::new(&announced);
        let (mut met, mut holders) = (Met::default(), vec![Vec::new(); sets.len()]);
        loop {
            while merge.next(&mut met) {
                for (party, mark) in &met.parties {
                    prop_assert_eq!(*mark, [*party as u8; 4]);
                    holders[*party].push(met.pseudonym);
                }
            }
            let Some(party) = merge.wants() else { break };
            let (now, later) = left[party].split_at(chunks[party].min(left[party].len()));
            merge.push(party, now.iter().copied()).unwrap();
            left[party] = later;
        }
        for party in 0..sets.len() {
            merge.end(party).unwrap();
        }
        prop_assert_eq!(overlap(holders), overlap::<u16>(sets.iter().map(|set| set.iter().copied().collect())));
    }
}

#[test]
fn lists_that_are_not_as_announced_are_refused() {
    let entry = |first: u8| Entry {
        pseudonym: [first; 16],
        mark: [0; 4],
    };
    let mut merge = Merge::new(&[2, 1]);
    merge.push(0, [entry(3)]).unwrap();
    assert_eq!(
        merge.end(0),
        Err(PeerMisbehaved::TooFew {
            announced: 2,
            received: 1
        })
    );
    for unsorted in [2, 3] {
        let mut merge = Merge::new(&[2, 1]);
        assert_eq!(
            merge.push(0, [entry(3), entry(unsorted)]),
            Err(PeerMisbehaved::NotSorted)
        );
    }
    assert_eq!(
        merge.push(0, [entry(4), entry(5)]),
        Err(PeerMisbehaved::TooMany { announced: 2 })
    );
    assert_eq!(merge.push(2, [entry(1)]), Err(PeerMisbehaved::OutOfTurn));
    // nothing is told before every list has shown its next
    assert!(!Merge::new(&[1, 1]).next(&mut Met::default()));
}
