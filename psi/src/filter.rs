//! Snapshot filters: whether an output may be among a holder's, in less than five bytes for each.
//!
//! A binary fuse filter (Graf and Lemire, 2022) with fingerprints of 32 bits: it never denies what is in it, and affirms what is not with a
//! probability of [`Filter::FALSE_POSITIVES`]. What it affirms is asked for exactly.

use std::collections::HashSet;

use xorf::{BinaryFuse32, Descriptor, Filter as _};

use crate::{PeerMisbehaved, voprf::Output};

/// A filter over outputs.
pub struct Filter {
    fuse: Option<BinaryFuse32>,
}

/// What a filter is but for its fingerprints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Seed of its hash.
    pub seed: u64,
    /// Fingerprints in one segment: a power of two.
    pub segment: u32,
    /// Fingerprints in all segments but the last two; 0 of an empty filter.
    pub span: u32,
}

/// The filter could not be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot filter could not be built")]
pub struct NotBuilt;

/// Largest filter that is taken from a peer: for the largest set, 2^32 - 1 items, it would be larger than what anybody wants to hold.
const MOST_FINGERPRINTS: u64 = 1 << 29;

impl Filter {
    /// How often an output that is not there is affirmed.
    pub const FALSE_POSITIVES: f64 = 1.0 / 4_294_967_296.0;

    /// Builds one, of outputs in any order, each as often as it likes.
    ///
    /// # Errors
    /// [`NotBuilt`], which a set of distinct outputs does not bring about.
    pub fn build(outputs: impl IntoIterator<Item = Output>) -> Result<Self, NotBuilt> {
        let distinct: HashSet<u64> = outputs.into_iter().map(|output| key(&output)).collect();
        let keys: Vec<u64> = distinct.into_iter().collect();
        if keys.is_empty() {
            return Ok(Self { fuse: None });
        }
        let fuse = BinaryFuse32::try_from(&keys).map_err(|_| NotBuilt)?;
        Ok(Self { fuse: Some(fuse) })
    }

    /// Whether an output may be there.
    pub fn may_have(&self, output: &Output) -> bool {
        self.fuse.as_ref().is_some_and(|fuse| fuse.contains(&key(output)))
    }

    /// What it is but for its fingerprints.
    pub fn shape(&self) -> Shape {
        match &self.fuse {
            None => Shape {
                seed: 0,
                segment: 4,
                span: 0,
            },
            Some(fuse) => Shape {
                seed: fuse.descriptor.seed,
                segment: fuse.descriptor.segment_length,
                span: fuse.descriptor.segment_count_length,
            },
        }
    }

    /// Its fingerprints.
    pub fn fingerprints(&self) -> &[u32] {
        self.fuse.as_ref().map_or(&[], |fuse| &fuse.fingerprints)
    }

    /// Puts one together that came over the wire.
    ///
    /// # Errors
    /// [`PeerMisbehaved::BadFilter`] for parts that do not fit together: looking something up would be out of bounds.
    pub fn of(shape: Shape, fingerprints: Vec<u32>) -> Result<Self, PeerMisbehaved> {
        if shape.expected()? != fingerprints.len() as u64 {
            return Err(PeerMisbehaved::BadFilter);
        }
        if fingerprints.is_empty() {
            return Ok(Self { fuse: None });
        }
        Ok(Self {
            fuse: Some(BinaryFuse32 {
                descriptor: Descriptor {
                    seed: shape.seed,
                    segment_length: shape.segment,
                    segment_length_mask: shape.segment - 1,
                    segment_count_length: shape.span,
                },
                fingerprints: fingerprints.into_boxed_slice(),
            }),
        })
    }
}

impl Shape {
    /// How many fingerprints it has.
    ///
    /// # Errors
    /// [`PeerMisbehaved::BadFilter`] where it cannot be one's.
    pub fn expected(&self) -> Result<u64, PeerMisbehaved> {
        if self.span == 0 {
            return Ok(0);
        }
        // a lookup goes to a place of the span, and to one each in the two segments after that one's
        let all = u64::from(self.span) + 2 * u64::from(self.segment);
        let fits = self.segment.is_power_of_two() && self.span.is_multiple_of(self.segment) && all <= MOST_FINGERPRINTS;
        fits.then_some(all).ok_or(PeerMisbehaved::BadFilter)
    }
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filter")
            .field("fingerprints", &self.fingerprints().len())
            .finish_non_exhaustive()
    }
}

fn key(output: &Output) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&output[..8]);
    u64::from_be_bytes(bytes)
}
