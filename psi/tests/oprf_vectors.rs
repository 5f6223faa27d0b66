//! The published vectors, good and bad.

#![allow(missing_docs, clippy::unwrap_used)]

use overlap_psi::{Element, PeerMisbehaved, oprf};
use serde::Deserialize;

#[derive(Deserialize)]
struct Suite {
    secret_key: String,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    input: String,
    blind: String,
    blinded_element: String,
    evaluation_element: String,
    output: String,
}

#[derive(Deserialize)]
struct Bad {
    not_canonical: Vec<String>,
    identity: String,
}

fn bytes32(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}

#[test]
fn oprf_equals_rfc_9497() {
    let suite: Suite = serde_json::from_str(include_str!("vectors/rfc9497-ristretto255-oprf.json")).unwrap();
    let key = oprf::key_from_bytes(bytes32(&suite.secret_key)).unwrap();
    assert_eq!(suite.vectors.len(), 2);
    for vector in suite.vectors {
        let input = hex::decode(&vector.input).unwrap();
        let blind = oprf::key_from_bytes(bytes32(&vector.blind)).unwrap();
        let blinded = oprf::blind(&input, &blind);
        assert_eq!(hex::encode(blinded.encode()), vector.blinded_element);
        let evaluated = oprf::blind_evaluate(&key, &blinded);
        assert_eq!(hex::encode(evaluated.encode()), vector.evaluation_element);
        assert_eq!(
            hex::encode(oprf::finalize(&input, &blind, &evaluated).unwrap()),
            vector.output
        );
        // the batched way that the protocols use gives the same
        let batched = key.multiply_all(&[blinded.encode()]).unwrap();
        assert_eq!(hex::encode(batched[0]), vector.evaluation_element);
    }
}

#[test]
fn inputs_that_the_rfc_does_not_allow_are_refused() {
    let key = oprf::key_from_bytes([1; 32]).unwrap();
    let element = oprf::hash_to_group(b"x");
    assert!(oprf::finalize(&[0; 65_535], &key, &element).is_ok());
    assert!(oprf::finalize(&[0; 65_536], &key, &element).is_err());
}

#[test]
fn bad_encodings_of_rfc_9496_are_refused() {
    let bad: Bad = serde_json::from_str(include_str!("vectors/rfc9496-bad-encodings.json")).unwrap();
    for encoding in &bad.not_canonical {
        assert_eq!(
            Element::decode(&bytes32(encoding)),
            Err(PeerMisbehaved::NotCanonical),
            "{encoding}"
        );
    }
    assert_eq!(Element::decode(&bytes32(&bad.identity)), Err(PeerMisbehaved::Identity));
}
