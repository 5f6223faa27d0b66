//! One-sided lookups by RFC 9497 `VOPRF(ristretto255, SHA-512)`: a holder publishes a filter over its own outputs, an asker has single items
//! evaluated and looks them up itself. The holder sees blinded points alone.
//!
//! ```text
//! asker                                        holder with key k and public key K
//!           <- filter over all own outputs    --
//! check:    -- blinded    r.H(x)              ->
//!           <- evaluated  k.r.H(x), proof     --
//! y = r^-1 . evaluated = k.H(x)
//! output = the first 16 bytes of SHA-512(domain ‖ bound ‖ y)
//! ```
//!
//! Items are hashed to the group once, at import, as in every protocol here ([`crate::oprf`], mode 0x00); keys, proofs and batches are those of
//! mode VOPRF. Where the RFC's `Finalize` hashes the input again, an output here hashes what it is bound to: the input is known to its owner
//! as a group element alone. [`blind`], [`evaluate`](Evaluator::evaluate) and [`finalize`](crate::oprf::finalize) complete the RFC's own protocol, for its vectors.

use curve25519_dalek::ristretto::RistrettoPoint;
use rand_core::CryptoRng;
use rayon::prelude::*;
use sha2::{Digest, Sha512};

use crate::{
    ApiMisuse, Element, Encoded, Key, PeerMisbehaved, Stored,
    dleq::{self, Batch, Proof, PublicKey},
    group::decode_all,
    joint::Evaluated,
    oprf,
};

/// Most items of one check: several identifiers and match keys of one person.
pub const MAX_CHECK: usize = 256;

/// `"HashToGroup-" || contextString` of mode VOPRF (RFC 9497 section 3.1, 4.1).
const HASH_TO_GROUP_DST: &[u8] = b"HashToGroup-OPRFV1-\x01-ristretto255-SHA512";

/// 16 bytes that are equal for equal items under one key, and random without it.
pub type Output = [u8; 16];

/// 16 bytes that tell whether one has an output, and from which nobody gets it: what is told of records that come later.
pub type Image = [u8; 16];

/// The image of an output.
pub fn image(output: &Output) -> Image {
    let hash = Sha512::new()
        .chain_update(b"overlap/action/delta/v1")
        .chain_update(output)
        .finalize();
    let mut image = Image::default();
    image.copy_from_slice(&hash[..16]);
    image
}

/// RFC 9497 section 3.3.2 `Blind`, with the blind given.
pub fn blind(input: &[u8], blind: &Key) -> Element {
    let uniform = oprf::expand_message_xmd_64(input, HASH_TO_GROUP_DST);
    blind.multiply(&Element::new_unchecked(RistrettoPoint::from_uniform_bytes(&uniform)))
}

/// The holder's side: a fresh key, wiped when dropped.
#[derive(Clone, Debug)]
pub struct Evaluator {
    key: Key,
    public: PublicKey,
}

impl Evaluator {
    /// Draws a fresh key.
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::of(Key::random(rng))
    }

    fn of(key: Key) -> Self {
        let public = PublicKey::of(&key);
        Self { key, public }
    }

    /// What proofs are held against.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Evaluates what an asker blinded, with one proof for all of it.
    ///
    /// # Errors
    /// [`PeerMisbehaved`] for bytes that are no element, and more than [`MAX_CHECK`] of them.
    pub fn evaluate<R: CryptoRng + ?Sized>(
        &self,
        blinded: &[Encoded],
        rng: &mut R,
    ) -> Result<Evaluated, PeerMisbehaved> {
        let announced = MAX_CHECK as u64;
        if blinded.is_empty() || blinded.len() > MAX_CHECK {
            return Err(PeerMisbehaved::TooMany { announced });
        }
        let inputs = decode_all(blinded)?;
        let elements = self.key.multiply_points(&inputs);
        let batch = Batch {
            inputs: &inputs,
            encoded_inputs: blinded,
            encoded_outputs: &elements,
        };
        let proof = dleq::prove(&self.key, &self.public, &batch, rng);
        Ok(Evaluated { elements, proof })
    }

    /// The outputs of own items, in their order.
    ///
    /// # Errors
    /// [`ApiMisuse::OwnElement`] for bytes that are no element.
    pub fn outputs(&self, own: &[Stored], bound: &[u8; 32]) -> Result<Vec<Output>, ApiMisuse> {
        let elements = self.key.multiply_stored(own)?;
        Ok(elements.par_iter().map(|element| output(element, bound)).collect())
    }
}

/// The asker's side of one check, which any number of holders can be sent.
pub struct Check {
    unblind: Key,
    points: Vec<RistrettoPoint>,
    encoded: Vec<Encoded>,
}

impl Check {
    /// Blinds items with a fresh blind: distinct elements, 1 to [`MAX_CHECK`].
    ///
    /// # Errors
    /// [`ApiMisuse::OwnElement`] for bytes that are no element, [`ApiMisuse::TooLarge`].
    pub fn blind<R: CryptoRng + ?Sized>(own: &[Stored], rng: &mut R) -> Result<Self, ApiMisuse> {
        if own.is_empty() || own.len() > MAX_CHECK {
            return Err(ApiMisuse::TooLarge {
                size: own.len() as u64,
                max: MAX_CHECK as u64,
            });
        }
        let blind = Key::random(rng);
        let (points, encoded) = blind.multiply_stored_points(own)?;
        Ok(Self {
            unblind: blind.inverse(),
            points,
            encoded,
        })
    }

    /// What holders are sent: 32 bytes for each item.
    pub fn encoded(&self) -> &[Encoded] {
        &self.encoded
    }

    /// Takes what one holder made of it, and gives the outputs under its key, in the order of the items.
    ///
    /// # Errors
    /// [`PeerMisbehaved`]: another number of elements, bytes that are none, or a proof that does not hold.
    pub fn finish(
        &self,
        evaluated: &Evaluated,
        public: &PublicKey,
        bound: &[u8; 32],
    ) -> Result<Vec<Output>, PeerMisbehaved> {
        let announced = self.encoded.len() as u64;
        if evaluated.elements.len() != self.encoded.len() {
            let received = evaluated.elements.len() as u64;
            return Err(PeerMisbehaved::TooFew { announced, received });
        }
        let points = decode_all(&evaluated.elements)?;
        let batch = Batch {
            inputs: &self.points,
            encoded_inputs: &self.encoded,
            encoded_outputs: &evaluated.elements,
        };
        dleq::verify(public, &batch, &points, &evaluated.proof)?;
        let unblinded = self.unblind.multiply_points(&points);
        Ok(unblinded.iter().map(|element| output(element, bound)).collect())
    }
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Check")
            .field("count", &self.encoded.len())
            .finish_non_exhaustive()
    }
}

fn output(element: &Encoded, bound: &[u8; 32]) -> Output {
    let hash = Sha512::new()
        .chain_update(b"overlap/action/output/v1")
        .chain_update(bound)
        .chain_update(element)
        .finalize();
    let mut output = Output::default();
    output.copy_from_slice(&hash[..16]);
    output
}

/// The evaluator of a key, for published vectors.
#[doc(hidden)]
pub fn evaluator_from_bytes(bytes: [u8; 32]) -> Option<Evaluator> {
    oprf::key_from_bytes(bytes).map(Evaluator::of)
}

/// Decodes the parts of an evaluation from the wire.
///
/// # Errors
/// [`PeerMisbehaved::NotCanonical`] where the proof is none.
pub fn evaluated(elements: Vec<Encoded>, proof: &[u8; 64]) -> Result<Evaluated, PeerMisbehaved> {
    let proof = Proof::from_bytes(proof)?;
    Ok(Evaluated { elements, proof })
}
