//! The group ristretto255 (RFC 9496), with the checks and the batching that every protocol needs.

use curve25519_dalek::{
    ristretto::{CompressedRistretto, RistrettoPoint},
    scalar::Scalar,
    traits::Identity,
};
use rand_core::CryptoRng;
use rayon::prelude::*;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{Error, PeerMisbehaved};

/// The wire form of a group element: 32 bytes, not yet checked.
pub type Encoded = [u8; 32];

/// Points per task of the CPU pool: enough to make the shared inversion of batched compression cheap.
const BATCH: usize = 256;

/// A group element that is canonical and not the identity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Element(RistrettoPoint);

impl Element {
    /// Decodes and checks 32 bytes.
    ///
    /// # Errors
    /// [`PeerMisbehaved::NotCanonical`], [`PeerMisbehaved::Identity`].
    pub fn decode(bytes: &Encoded) -> Result<Self, PeerMisbehaved> {
        let point = CompressedRistretto(*bytes)
            .decompress()
            .ok_or(PeerMisbehaved::NotCanonical)?;
        if point == RistrettoPoint::identity() {
            return Err(PeerMisbehaved::Identity);
        }
        Ok(Self(point))
    }

    /// The 32-byte canonical encoding.
    pub fn encode(&self) -> Encoded {
        self.0.compress().to_bytes()
    }

    /// Takes a point that the caller knows not to be the identity.
    pub(crate) fn new_unchecked(point: RistrettoPoint) -> Self {
        Self(point)
    }
}

/// A secret scalar, fresh per session, wiped when dropped.
///
/// Held as `k/2`, because [`RistrettoPoint::double_and_compress_batch`] doubles what it compresses and costs a tenth of single
/// compressions.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key {
    half: Scalar,
}

impl Key {
    /// Draws a non-zero scalar.
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        loop {
            let scalar = Scalar::random(rng);
            if scalar != Scalar::ZERO {
                return Self::from_scalar(&scalar);
            }
        }
    }

    /// The key that undoes this one.
    pub fn inverse(&self) -> Self {
        let mut inverse = (self.half + self.half).invert();
        let key = Self::from_scalar(&inverse);
        inverse.zeroize();
        key
    }

    /// Multiplies one element; for many use [`Key::multiply_all`].
    pub fn multiply(&self, element: &Element) -> Element {
        let half = self.half * element.0;
        Element(half + half)
    }

    /// Multiplies every element, in order, in parallel on the current rayon pool.
    ///
    /// # Errors
    /// The first [`PeerMisbehaved::NotCanonical`] or [`PeerMisbehaved::Identity`] among the inputs.
    pub fn multiply_all(&self, elements: &[Encoded]) -> Result<Vec<Encoded>, PeerMisbehaved> {
        let batches: Vec<Vec<CompressedRistretto>> = elements
            .par_chunks(BATCH)
            .map(|batch| {
                let halves = batch
                    .iter()
                    .map(|bytes| Element::decode(bytes).map(|element| self.half * element.0))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(RistrettoPoint::double_and_compress_batch(&halves))
            })
            .collect::<Result<_, PeerMisbehaved>>()?;
        Ok(batches
            .into_iter()
            .flatten()
            .map(|compressed| compressed.to_bytes())
            .collect())
    }

    pub(crate) fn from_scalar(scalar: &Scalar) -> Self {
        Self {
            half: scalar * Scalar::from(2u8).invert(),
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl std::fmt::Debug for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Element(..)")
    }
}

/// Turns a fault in the own set into the caller's, not the peer's.
pub(crate) fn own<T>(result: Result<T, PeerMisbehaved>) -> Result<T, Error> {
    result.map_err(|_| crate::ApiMisuse::OwnElement.into())
}
