//! Checks against what others hold: equal to the plain lookup, refused where a holder cheats, and equal to the RFC.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use overlap_psi::{
    Item, PeerMisbehaved, Stored,
    dleq::PublicKey,
    filter::{Filter, Shape},
    oprf,
    voprf::{self, Check, Evaluator, MAX_CHECK},
};
use proptest::prelude::*;
use serde::Deserialize;

fn stored(numbers: impl IntoIterator<Item = u32>) -> Vec<Stored> {
    let items: Vec<Item> = numbers
        .into_iter()
        .map(|number| Item::derive("eu-thb/1", "phone", &number.to_be_bytes()))
        .collect();
    Stored::of(&items)
}

#[derive(Deserialize)]
struct Suite {
    secret_key: String,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    inputs: Vec<String>,
    blinds: Vec<String>,
    blinded_elements: Vec<String>,
    evaluation_elements: Vec<String>,
    outputs: Vec<String>,
}

#[test]
fn blinding_equals_rfc_9497() {
    let suite: Suite = serde_json::from_str(include_str!("vectors/rfc9497-ristretto255-voprf.json")).unwrap();
    let bytes = |text: &str| -> [u8; 32] { hex::decode(text).unwrap().try_into().unwrap() };
    let evaluator = voprf::evaluator_from_bytes(bytes(&suite.secret_key)).unwrap();
    for vector in &suite.vectors {
        let blinded: Vec<[u8; 32]> = (0..vector.inputs.len())
            .map(|at| {
                let blind = oprf::key_from_bytes(bytes(&vector.blinds[at])).unwrap();
                voprf::blind(&hex::decode(&vector.inputs[at]).unwrap(), &blind).encode()
            })
            .collect();
        let hexes: Vec<String> = blinded.iter().map(hex::encode).collect();
        assert_eq!(hexes, vector.blinded_elements);
        let evaluated = evaluator.evaluate(&blinded, &mut rand::rng()).unwrap();
        let hexes: Vec<String> = evaluated.elements.iter().map(hex::encode).collect();
        assert_eq!(hexes, vector.evaluation_elements);
        for (at, element) in evaluated.elements.iter().enumerate() {
            let blind = oprf::key_from_bytes(bytes(&vector.blinds[at])).unwrap();
            let element = overlap_psi::Element::decode(element).unwrap();
            let input = hex::decode(&vector.inputs[at]).unwrap();
            let output = oprf::finalize(&input, &blind, &element).unwrap();
            assert_eq!(hex::encode(output), vector.outputs[at]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_check_finds_what_the_holder_has_and_nothing_else(
        held in prop::collection::btree_set(0u32..60, 0..40),
        asked in prop::collection::btree_set(0u32..60, 1..20),
        bound in any::<[u8; 32]>(),
    ) {
        let mut rng = rand::rng();
        let holder = Evaluator::random(&mut rng);
        let outputs = holder.outputs(&stored(held.iter().copied()), &bound).unwrap();
        let filter = Filter::build(outputs.iter().copied()).unwrap();
        // as it goes over the wire
        let filter = Filter::of(filter.shape(), filter.fingerprints().to_vec()).unwrap();
        let check = Check::blind(&stored(asked.iter().copied()), &mut rng).unwrap();
        let evaluated = holder.evaluate(check.encoded(), &mut rng).unwrap();
        let evaluated = voprf::evaluated(evaluated.elements, &evaluated.proof.to_bytes()).unwrap();
        let public = PublicKey::decode(&holder.public().encode()).unwrap();
        let found = check.finish(&evaluated, &public, &bound).unwrap();
        for (number, output) in asked.iter().zip(&found) {
            prop_assert_eq!(filter.may_have(output), held.contains(number));
            prop_assert_eq!(outputs.contains(output), held.contains(number));
        }
        // bound to something else, nothing is found
        let other = check.finish(&evaluated, &public, &[7; 32]).unwrap();
        prop_assert!(bound == [7; 32] || other.iter().all(|output| !filter.may_have(output)));
    }
}

#[test]
fn who_evaluates_with_another_key_is_found_out() {
    let mut rng = rand::rng();
    let (announced, used) = (Evaluator::random(&mut rng), Evaluator::random(&mut rng));
    let check = Check::blind(&stored(0..3), &mut rng).unwrap();
    let evaluated = used.evaluate(check.encoded(), &mut rng).unwrap();
    let wrong = check.finish(&evaluated, announced.public(), &[0; 32]);
    assert_eq!(wrong, Err(PeerMisbehaved::BadProof));
    let mut short = announced.evaluate(check.encoded(), &mut rng).unwrap();
    short.elements.pop();
    let wrong = check.finish(&short, announced.public(), &[0; 32]);
    assert!(matches!(
        wrong,
        Err(PeerMisbehaved::TooFew {
            announced: 3,
            received: 2
        })
    ));
    assert!(voprf::evaluated(Vec::new(), &[255; 64]).is_err());
}

#[test]
fn sizes_have_limits() {
    let mut rng = rand::rng();
    let holder = Evaluator::random(&mut rng);
    assert!(Check::blind(&[], &mut rng).is_err());
    assert!(Check::blind(&stored(0..MAX_CHECK as u32 + 1), &mut rng).is_err());
    let check = Check::blind(&stored(0..1), &mut rng).unwrap();
    assert!(holder.evaluate(&[], &mut rng).is_err());
    assert!(
        holder
            .evaluate(&vec![check.encoded()[0]; MAX_CHECK + 1], &mut rng)
            .is_err()
    );
    assert_eq!(holder.evaluate(&[[0; 32]], &mut rng), Err(PeerMisbehaved::Identity));
    assert_eq!(
        holder.evaluate(&[[255; 32]], &mut rng),
        Err(PeerMisbehaved::NotCanonical)
    );
}

/// Outputs without the group, which tests of filters need many of.
fn outputs(from: u64, count: u64) -> impl Iterator<Item = voprf::Output> {
    let spread = |number: u64| u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    (from..from + count).map(move |number| spread(number + 1).to_be_bytes())
}

#[test]
fn a_filter_has_all_that_was_put_in_and_is_small() {
    let count = 1_000_000;
    let filter = Filter::build(outputs(0, count)).unwrap();
    assert!(outputs(0, count).all(|output| filter.may_have(&output)));
    // one in 2^32 would be affirmed
    let wrong = outputs(count, count).filter(|output| filter.may_have(output)).count();
    assert!(wrong <= 1, "{wrong}");
    let bytes = filter.fingerprints().len() as f64 * 4.0 / count as f64;
    assert!(bytes <= 4.6, "{bytes} bytes for each");
    // outputs that come twice are no matter
    let twice = Filter::build(outputs(0, 100).chain(outputs(50, 100))).unwrap();
    assert!(outputs(0, 150).all(|output| twice.may_have(&output)));
    assert!(outputs(0, 10).all(|output| !Filter::build([]).unwrap().may_have(&output)));
}

#[test]
fn a_filter_from_the_wire_is_never_read_out_of_bounds() {
    let good = Filter::build(outputs(0, 1000)).unwrap();
    let (shape, fingerprints) = (good.shape(), good.fingerprints().to_vec());
    let bad = |change: &dyn Fn(&mut Shape)| {
        let mut shape = shape;
        change(&mut shape);
        Filter::of(shape, fingerprints.clone())
    };
    assert!(bad(&|_| {}).is_ok());
    assert!(bad(&|shape| shape.span += shape.segment).is_err());
    assert!(bad(&|shape| shape.span -= 1).is_err());
    assert!(bad(&|shape| shape.segment += 1).is_err());
    assert!(bad(&|shape| shape.segment = 0).is_err());
    assert!(bad(&|shape| shape.span = u32::MAX).is_err());
    assert!(bad(&|shape| shape.span = 0).is_err());
    // shapes that fit, with whatever else in them, may affirm what they like, and stay within their bounds
    let seeds: BTreeSet<u64> = (0..50u64).map(|n| n.wrapping_mul(0x1234_5678_9abc_def1)).collect();
    for seed in seeds {
        for segment in [4, 16, 64] {
            for spans in 1..6 {
                let shape = Shape {
                    seed,
                    segment,
                    span: segment * spans,
                };
                let length = usize::try_from(shape.expected().unwrap()).unwrap();
                let filter = Filter::of(shape, vec![seed as u32; length]).unwrap();
                let affirmed = outputs(seed % 1000, 200).filter(|output| filter.may_have(output));
                assert!(affirmed.count() <= 200);
            }
        }
    }
}
