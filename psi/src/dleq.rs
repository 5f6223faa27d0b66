//! Batched proofs that many elements were multiplied by the key of one public key: RFC 9497 section 2.2, over ristretto255 and SHA-512.
//!
//! The context is that of mode VOPRF (0x01), so its published vectors cover the proofs. A batch has at most [`MAX_BATCH`] elements.

use curve25519_dalek::{
    constants::RISTRETTO_BASEPOINT_TABLE,
    ristretto::RistrettoPoint,
    scalar::Scalar,
    traits::{Identity, VartimeMultiscalarMul},
};
use rand_core::CryptoRng;
use rayon::prelude::*;
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::{Element, Encoded, Key, PeerMisbehaved, oprf::expand_message_xmd_64};

/// Most elements in one proof: their index has two bytes (RFC 9497 section 2.2.1).
pub const MAX_BATCH: usize = 1 << 16;

/// `"HashToScalar-" || contextString` (RFC 9497 section 4.1).
const HASH_TO_SCALAR_DST: &[u8] = b"HashToScalar-OPRFV1-\x01-ristretto255-SHA512";
/// `"Seed-" || contextString` (section 2.2.1).
const SEED_DST: &[u8] = b"Seed-OPRFV1-\x01-ristretto255-SHA512";

/// Terms of a sum that one task makes; larger sums are cheaper per term.
const SUM: usize = 1024;

/// A proof: 64 bytes, the challenge and the response.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    challenge: Scalar,
    response: Scalar,
}

/// What a key's proofs are held against: the key times the generator.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey {
    point: RistrettoPoint,
    encoded: Encoded,
}

impl PublicKey {
    /// Of a key.
    pub fn of(key: &Key) -> Self {
        let mut scalar = key.scalar();
        let point = RISTRETTO_BASEPOINT_TABLE * &scalar;
        scalar.zeroize();
        Self {
            point,
            encoded: point.compress().to_bytes(),
        }
    }

    /// Decodes and checks 32 bytes.
    ///
    /// # Errors
    /// [`PeerMisbehaved::NotCanonical`], [`PeerMisbehaved::Identity`].
    pub fn decode(bytes: &Encoded) -> Result<Self, PeerMisbehaved> {
        Ok(Self {
            point: Element::decode(bytes)?.point(),
            encoded: *bytes,
        })
    }

    /// The 32-byte canonical encoding.
    pub fn encode(&self) -> Encoded {
        self.encoded
    }
}

impl Proof {
    /// The wire form: both scalars, 32 bytes each.
    pub fn to_bytes(self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(self.challenge.as_bytes());
        bytes[32..].copy_from_slice(self.response.as_bytes());
        bytes
    }

    /// Decodes what [`Self::to_bytes`] gave.
    ///
    /// # Errors
    /// [`PeerMisbehaved::NotCanonical`] where a scalar is not reduced.
    pub fn from_bytes(bytes: &[u8; 64]) -> Result<Self, PeerMisbehaved> {
        let scalar = |half: &[u8]| {
            let half = half.try_into().ok()?;
            Option::<Scalar>::from(Scalar::from_canonical_bytes(half))
        };
        let (challenge, response) = bytes.split_at(32);
        match (scalar(challenge), scalar(response)) {
            (Some(challenge), Some(response)) => Ok(Self { challenge, response }),
            _ => Err(PeerMisbehaved::NotCanonical),
        }
    }
}

/// One batch: what came in, and what it became under the key, each as points and as they are encoded.
pub(crate) struct Batch<'a> {
    pub(crate) inputs: &'a [RistrettoPoint],
    pub(crate) encoded_inputs: &'a [Encoded],
    pub(crate) encoded_outputs: &'a [Encoded],
}

/// RFC 9497 section 2.2.1 `GenerateProof`, with `ComputeCompositesFast`.
pub(crate) fn prove<R: CryptoRng + ?Sized>(key: &Key, public: &PublicKey, batch: &Batch<'_>, rng: &mut R) -> Proof {
    prove_with(key, public, batch, Scalar::random(rng))
}

pub(crate) fn prove_with(key: &Key, public: &PublicKey, batch: &Batch<'_>, mut random: Scalar) -> Proof {
    let mut secret = key.scalar();
    let m = sum(&batch.weights(public), batch.inputs);
    let z = secret * m;
    let t2 = RISTRETTO_BASEPOINT_TABLE * &random;
    let t3 = random * m;
    let challenge = challenge(public, [m, z, t2, t3]);
    let response = random - challenge * secret;
    secret.zeroize();
    random.zeroize();
    Proof { challenge, response }
}

/// RFC 9497 section 2.2.2 `VerifyProof`, of outputs that are decoded already.
pub(crate) fn verify(
    public: &PublicKey,
    batch: &Batch<'_>,
    outputs: &[RistrettoPoint],
    proof: &Proof,
) -> Result<(), PeerMisbehaved> {
    let weights = batch.weights(public);
    let (m, z) = rayon::join(|| sum(&weights, batch.inputs), || sum(&weights, outputs));
    let combine = |a: &RistrettoPoint, b: &RistrettoPoint| {
        RistrettoPoint::vartime_multiscalar_mul([proof.response, proof.challenge], [a, b])
    };
    let t2 = combine(&RISTRETTO_BASEPOINT_TABLE.basepoint(), &public.point);
    let t3 = combine(&m, &z);
    match bool::from(challenge(public, [m, z, t2, t3]).ct_eq(&proof.challenge)) {
        true => Ok(()),
        false => Err(PeerMisbehaved::BadProof),
    }
}

impl Batch<'_> {
    /// The scalars `d_i` of `ComputeComposites`.
    fn weights(&self, public: &PublicKey) -> Vec<Scalar> {
        let seed = Sha512::new()
            .chain_update(length(&public.encoded))
            .chain_update(public.encoded)
            .chain_update(length(SEED_DST))
            .chain_update(SEED_DST)
            .finalize();
        let pairs = self.encoded_inputs.par_iter().zip(self.encoded_outputs).enumerate();
        let weight = pairs.map(|(index, (input, output))| {
            let mut transcript = Vec::with_capacity(seed.len() + 2 * input.len() + 17);
            transcript.extend(length(&seed));
            transcript.extend_from_slice(&seed);
            transcript.extend((index as u16).to_be_bytes());
            for element in [input, output] {
                transcript.extend(length(element));
                transcript.extend_from_slice(element);
            }
            transcript.extend_from_slice(b"Composite");
            hash_to_scalar(&transcript)
        });
        weight.collect()
    }
}

/// Sum of elements, each times its weight. Both are known to either party: nothing secret takes time here.
fn sum(weights: &[Scalar], points: &[RistrettoPoint]) -> RistrettoPoint {
    weights
        .par_chunks(SUM)
        .zip(points.par_chunks(SUM))
        .map(|(weights, points)| RistrettoPoint::vartime_multiscalar_mul(weights, points))
        .reduce(RistrettoPoint::identity, |a, b| a + b)
}

/// The challenge over the public key and the four points of the transcript (section 2.2.1).
fn challenge(public: &PublicKey, points: [RistrettoPoint; 4]) -> Scalar {
    let mut transcript = Vec::with_capacity(5 * 34 + 9);
    let points = points.map(|point| point.compress().to_bytes());
    for element in std::iter::once(&public.encoded).chain(&points) {
        transcript.extend(length(element));
        transcript.extend_from_slice(element);
    }
    transcript.extend_from_slice(b"Challenge");
    hash_to_scalar(&transcript)
}

/// RFC 9497 section 4.1 `HashToScalar`.
fn hash_to_scalar(input: &[u8]) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&expand_message_xmd_64(input, HASH_TO_SCALAR_DST))
}

/// `I2OSP(len(bytes), 2)`, of what is never longer than 64 bytes.
fn length(bytes: &[u8]) -> [u8; 2] {
    (bytes.len() as u16).to_be_bytes()
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proof(..)")
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PublicKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::{group::decode_all, oprf};

    #[derive(Deserialize)]
    struct Suite {
        secret_key: String,
        public_key: String,
        vectors: Vec<Vector>,
    }

    #[derive(Deserialize)]
    struct Vector {
        inputs: Vec<String>,
        blinds: Vec<String>,
        blinded_elements: Vec<String>,
        evaluation_elements: Vec<String>,
        proof: String,
        proof_random_scalar: String,
        outputs: Vec<String>,
    }

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    fn suite() -> Suite {
        serde_json::from_str(include_str!("../tests/vectors/rfc9497-ristretto255-voprf.json")).unwrap()
    }

    /// Every proof of the vectors, made and verified.
    #[test]
    fn proofs_equal_rfc_9497() {
        let suite = suite();
        let key = oprf::key_from_bytes(bytes(&suite.secret_key)).unwrap();
        let public = PublicKey::of(&key);
        assert_eq!(hex::encode(public.encode()), suite.public_key);
        assert_eq!(suite.vectors.len(), 3);
        for vector in suite.vectors {
            let encoded_inputs: Vec<Encoded> = vector.blinded_elements.iter().map(|one| bytes(one)).collect();
            let inputs = decode_all(&encoded_inputs).unwrap();
            let encoded_outputs = key.multiply_points(&inputs);
            let outputs: Vec<String> = encoded_outputs.iter().map(hex::encode).collect();
            assert_eq!(outputs, vector.evaluation_elements);
            let batch = Batch {
                inputs: &inputs,
                encoded_inputs: &encoded_inputs,
                encoded_outputs: &encoded_outputs,
            };
            let random = Scalar::from_canonical_bytes(bytes(&vector.proof_random_scalar)).unwrap();
            let proof = prove_with(&key, &public, &batch, random);
            assert_eq!(hex::encode(proof.to_bytes()), vector.proof);
            assert_eq!(Proof::from_bytes(&proof.to_bytes()).unwrap(), proof);
            verify(&public, &batch, &decode_all(&encoded_outputs).unwrap(), &proof).unwrap();
            // what is left of the RFC's protocol is that of mode OPRF
            for (at, evaluated) in encoded_outputs.iter().enumerate() {
                let blind = oprf::key_from_bytes(bytes(&vector.blinds[at])).unwrap();
                let evaluated = Element::decode(evaluated).unwrap();
                let input = hex::decode(&vector.inputs[at]).unwrap();
                let output = oprf::finalize(&input, &blind, &evaluated).unwrap();
                assert_eq!(hex::encode(output), vector.outputs[at]);
            }
        }
    }

    /// Whatever is changed, the proof holds no more.
    #[test]
    fn a_proof_holds_for_exactly_what_it_was_made_of() {
        let suite = suite();
        let vector = &suite.vectors[2];
        let public = PublicKey::decode(&bytes(&suite.public_key)).unwrap();
        let encoded_inputs: Vec<Encoded> = vector.blinded_elements.iter().map(|one| bytes(one)).collect();
        let encoded_outputs: Vec<Encoded> = vector.evaluation_elements.iter().map(|one| bytes(one)).collect();
        let proof: [u8; 64] = bytes(&vector.proof);
        let check = |public: &PublicKey, inputs: &[Encoded], outputs: &[Encoded], proof: &[u8; 64]| {
            let batch = Batch {
                inputs: &decode_all(inputs)?,
                encoded_inputs: inputs,
                encoded_outputs: outputs,
            };
            verify(public, &batch, &decode_all(outputs)?, &Proof::from_bytes(proof)?)
        };
        check(&public, &encoded_inputs, &encoded_outputs, &proof).unwrap();
        let other = PublicKey::of(&oprf::key_from_bytes([1; 32]).unwrap());
        let mut swapped = encoded_outputs.clone();
        swapped.swap(0, 1);
        let mut response = proof;
        response[40] ^= 1;
        let bad = PeerMisbehaved::BadProof;
        assert_eq!(check(&other, &encoded_inputs, &encoded_outputs, &proof), Err(bad));
        assert_eq!(check(&public, &encoded_inputs, &swapped, &proof), Err(bad));
        assert_eq!(check(&public, &encoded_outputs, &encoded_inputs, &proof), Err(bad));
        assert_eq!(check(&public, &encoded_inputs, &encoded_outputs, &response), Err(bad));
        let unreduced = [0xff; 64];
        assert_eq!(
            check(&public, &encoded_inputs, &encoded_outputs, &unreduced),
            Err(PeerMisbehaved::NotCanonical)
        );
    }
}
