//! The group ristretto255 (RFC 9496), with the checks and the batching that every protocol needs.

use curve25519_dalek::{
    ristretto::{CompressedRistretto, RistrettoPoint},
    scalar::Scalar,
};
use rand_core::CryptoRng;
use rayon::prelude::*;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{ApiMisuse, Item, PeerMisbehaved};

/// The wire form of a group element: 32 bytes, not yet checked.
pub type Encoded = [u8; 32];

/// Points per task of the CPU pool: enough to make the shared inversion of batched compression cheap.
const BATCH: usize = 256;

/// An item's group element as a node stores it: the encoding of **twice** its hash to the group.
///
/// Batched compression doubles what it compresses, so this is what import can make at a tenth of the cost; the own keys of a session
/// make up for it, and what goes over the wire is as if the hash itself were stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Stored([u8; 32]);

impl Stored {
    /// Hashes items to the group, once, at import: RFC 9497 `HashToGroup`, batched.
    pub fn of(items: &[Item]) -> Vec<Self> {
        let points: Vec<RistrettoPoint> = items.iter().map(|item| item.to_element().0).collect();
        let doubled = RistrettoPoint::double_and_compress_batch(&points);
        doubled
            .into_iter()
            .map(|compressed| Self(compressed.to_bytes()))
            .collect()
    }

    /// The bytes, to be stored.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// Takes what [`Self::to_bytes`] gave; checked when it is used.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// A group element that is canonical and not the identity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Element(RistrettoPoint);

impl Element {
    /// Decodes and checks 32 bytes.
    ///
    /// # Errors
    /// [`PeerMisbehaved::NotCanonical`], [`PeerMisbehaved::Identity`].
    pub fn decode(bytes: &Encoded) -> Result<Self, PeerMisbehaved> {
        // an element has one encoding: the identity's is all zeros
        if *bytes == [0; 32] {
            return Err(PeerMisbehaved::Identity);
        }
        CompressedRistretto(*bytes)
            .decompress()
            .map(Self)
            .ok_or(PeerMisbehaved::NotCanonical)
    }

    /// The 32-byte canonical encoding.
    pub fn encode(&self) -> Encoded {
        self.0.compress().to_bytes()
    }

    pub(crate) fn point(&self) -> RistrettoPoint {
        self.0
    }

    /// Takes a point that the caller knows not to be the identity.
    pub(crate) fn new_unchecked(point: RistrettoPoint) -> Self {
        Self(point)
    }
}

/// A secret scalar, fresh per session, wiped when dropped.
///
/// Held as `k/2` and `k/4`, because [`RistrettoPoint::double_and_compress_batch`] doubles what it compresses (and costs a tenth of
/// single compressions), and [`Stored`] elements are doubled once already.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key {
    half: Scalar,
    quarter: Scalar,
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
        multiply(&self.half, elements, |element| element)
    }

    /// Multiplies the hash to the group of every stored item, in order, in parallel on the current rayon pool.
    ///
    /// # Errors
    /// [`ApiMisuse::OwnElement`] for bytes that are no element: the store is damaged.
    pub fn multiply_stored(&self, stored: &[Stored]) -> Result<Vec<Encoded>, ApiMisuse> {
        multiply(&self.quarter, stored, |stored| &stored.0).map_err(|_| ApiMisuse::OwnElement)
    }

    /// Multiplies points, in order, in parallel on the current rayon pool.
    pub(crate) fn multiply_points(&self, points: &[RistrettoPoint]) -> Vec<Encoded> {
        let batches = points.par_chunks(BATCH).map(|batch| {
            let halves: Vec<RistrettoPoint> = batch.iter().map(|point| self.half * point).collect();
            RistrettoPoint::double_and_compress_batch(&halves)
        });
        let batches: Vec<_> = batches.collect();
        let compressed = batches.into_iter().flatten();
        compressed.map(|one| one.to_bytes()).collect()
    }

    /// Multiplies one point.
    pub(crate) fn multiply_point(&self, point: &RistrettoPoint) -> RistrettoPoint {
        let half = self.half * point;
        half + half
    }

    /// As [`Self::multiply_stored`], with the points as well.
    pub(crate) fn multiply_stored_points(
        &self,
        stored: &[Stored],
    ) -> Result<(Vec<RistrettoPoint>, Vec<Encoded>), ApiMisuse> {
        let batches = stored.par_chunks(BATCH).map(|batch| {
            let halves = batch
                .iter()
                .map(|stored| Ok(self.quarter * Element::decode(&stored.0)?.0));
            let halves: Vec<RistrettoPoint> = halves.collect::<Result<_, PeerMisbehaved>>()?;
            let encoded = RistrettoPoint::double_and_compress_batch(&halves);
            let both = halves.into_iter().zip(encoded);
            Ok(both.map(|(half, one)| (half + half, one.to_bytes())).collect())
        });
        let batches: Vec<Vec<_>> = batches
            .collect::<Result<_, PeerMisbehaved>>()
            .map_err(|_| ApiMisuse::OwnElement)?;
        Ok(batches.into_iter().flatten().unzip())
    }

    /// The scalar itself; the caller wipes it.
    pub(crate) fn scalar(&self) -> Scalar {
        self.half + self.half
    }

    pub(crate) fn from_scalar(scalar: &Scalar) -> Self {
        let halve = Scalar::from(2u8).invert();
        let half = scalar * halve;
        Self {
            half,
            quarter: half * halve,
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stored(..)")
    }
}

impl std::fmt::Debug for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Element(..)")
    }
}

/// Decodes and checks elements, in order, in parallel on the current rayon pool.
pub(crate) fn decode_all(elements: &[Encoded]) -> Result<Vec<RistrettoPoint>, PeerMisbehaved> {
    elements
        .par_iter()
        .with_min_len(BATCH)
        .map(|element| Element::decode(element).map(|element| element.0))
        .collect()
}

/// Multiplies by twice the scalar, which batched compression makes of it.
fn multiply<T: Sync>(
    scalar: &Scalar,
    elements: &[T],
    bytes: impl Fn(&T) -> &Encoded + Sync,
) -> Result<Vec<Encoded>, PeerMisbehaved> {
    let batches: Vec<Vec<CompressedRistretto>> = elements
        .par_chunks(BATCH)
        .map(|batch| {
            let halves = batch
                .iter()
                .map(|element| Element::decode(bytes(element)).map(|element| scalar * element.0))
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
