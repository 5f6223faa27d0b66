//! The mirrored pass against the plain meaning: the responder learns which of its hidden items are asked about, the initiator sees the
//! same whatever is hidden.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use overlap_psi::{
    Encoded, Item, Stored,
    dh::{Blinder, Mode, Terms},
    mirror::Mirror,
};
use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

fn stored(numbers: &BTreeSet<u8>) -> Vec<Stored> {
    let items: Vec<Item> = numbers
        .iter()
        .map(|number| Item::derive("p", "k", &[*number]))
        .collect();
    Stored::of(&items)
}

/// What the responder finds, and what it sent.
fn run(
    asked: &BTreeSet<u8>,
    hidden: &BTreeSet<u8>,
    size: usize,
    chunk: usize,
    seed: u64,
) -> (BTreeSet<u8>, Vec<Encoded>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let terms = Terms::new(Mode::Hits, [0; 32], asked.len() as u64, 0).unwrap();
    let (blinder, _) = Blinder::start(terms, &mut rng);
    let (mirror, sent) = Mirror::start(&stored(hidden), size, &mut rng).unwrap();
    let evaluated = blinder.evaluate(&sent).unwrap();
    let watch = mirror.finish(&evaluated).unwrap();
    let (_, blinded) = blinder.blind(&stored(asked)).unwrap();
    let places: BTreeSet<u32> = blinded.chunks(chunk).flat_map(|chunk| watch.look(chunk)).collect();
    let hidden: Vec<u8> = hidden.iter().copied().collect();
    (places.into_iter().map(|at| hidden[at as usize]).collect(), sent)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_responder_finds_what_both_hold(
        asked in prop::collection::btree_set(any::<u8>(), 1..24),
        hidden in prop::collection::btree_set(any::<u8>(), 0..24),
        chunk in 1usize..9,
        seed: u64,
    ) {
        let (found, sent) = run(&asked, &hidden, 24, chunk, seed);
        prop_assert_eq!(found, asked.intersection(&hidden).copied().collect::<BTreeSet<_>>());
        prop_assert_eq!(sent.len(), 24);
        prop_assert!(sent.is_sorted());
    }

    #[test]
    fn no_more_is_asked_about_than_was_agreed(
        hidden in prop::collection::btree_set(any::<u8>(), 5..24),
        seed: u64,
    ) {
        let (found, sent) = run(&hidden, &hidden, 4, 8, seed);
        prop_assert_eq!((found.len(), sent.len()), (4, 4));
    }
}

#[test]
fn what_the_initiator_sees_has_no_trace_of_what_is_hidden() {
    // The points are uniform under a fresh key, in either case: each bit of an encoding that is free is set about as often. The seeds are
    // fixed, so this says of these runs, not of luck, that no bit tells.
    let asked = (0..8).collect();
    let ones = |hidden: BTreeSet<u8>| {
        let mut ones = [0u32; 248];
        for seed in 0..32 {
            for point in run(&asked, &hidden, 16, 8, seed).1 {
                for (bit, ones) in ones.iter_mut().enumerate().skip(1) {
                    *ones += u32::from(point[bit / 8] >> (bit % 8) & 1);
                }
            }
        }
        ones
    };
    let (with, without) = (ones((0..8).collect()), ones(BTreeSet::new()));
    // 512 points: 256 expected, a standard deviation of 11.3; six of them
    for (bit, (with, without)) in with.iter().zip(&without).enumerate().skip(1) {
        assert!(
            (188..=324).contains(with) && (188..=324).contains(without),
            "bit {bit}: {with}, {without}"
        );
    }
}

#[test]
fn answers_of_another_length_and_points_that_are_none_are_refused() {
    let mut rng = StdRng::seed_from_u64(1);
    for (count, words) in [(3, "announced"), (5, "more")] {
        let (mirror, sent) = Mirror::start(&[], 4, &mut rng).unwrap();
        let answer: Vec<Encoded> = sent.iter().cycle().take(count).copied().collect();
        assert!(mirror.finish(&answer).is_err(), "{words}");
    }
    let (mirror, mut sent) = Mirror::start(&[], 4, &mut rng).unwrap();
    sent[2] = [0xff; 32];
    assert!(mirror.finish(&sent).is_err());
}
