//! Joint OPRF over ristretto255 for two parties and more: each holds a share of a key that nobody has whole, and turns its own items
//! into pseudonyms that are equal for equal items and random without every share.
//!
//! The function is 2HashDH (ePrint 2014/650) under the sum of all shares; proofs are those of RFC 9497 ([`crate::dleq`]). With
//! `H` = [`crate::oprf::hash_to_group`], the owner `i` with blind `r` and share `k_i`, and every other party `j` with share `k_j` and public key `K_j`:
//!
//! ```text
//! owner i                                     party j, each
//!            -- blinded    r.H(x)            ->
//!            <- evaluated  k_j.r.H(x), proof --
//! y = r^-1 . (Σ evaluated + k_i.r.H(x)) = (Σ k) . H(x)
//! pseudonym = the first 16 bytes of SHA-512(domain ‖ picture ‖ y)
//! ```
//!
//! A party evaluates for each owner no more points than were announced. It sees blinded points alone, which are random to it. Whoever
//! lacks one share can compute no pseudonym, not of a guessed item either: one honest party keeps the items of all from being guessed
//! by those who see pseudonyms. Shares are fresh for each picture, so pseudonyms of two pictures have nothing in common.

mod merge;

pub use merge::{Entry, Mark, Merge, Met};

use curve25519_dalek::{ristretto::RistrettoPoint, traits::Identity};
use rand_core::CryptoRng;
use rayon::prelude::*;
use sha2::{Digest, Sha512};

use crate::{
    ApiMisuse, Encoded, Error, Key, PeerMisbehaved, Stored,
    dleq::{self, Batch, MAX_BATCH, Proof, PublicKey},
    group::decode_all,
};

/// 16 bytes that are equal for equal items within one picture, and random without every share.
pub type Pseudonym = [u8; 16];

/// One party's share of the key of one picture.
#[derive(Clone, Debug)]
pub struct Share {
    key: Key,
    public: PublicKey,
}

impl Share {
    /// Draws a fresh one.
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let key = Key::random(rng);
        let public = PublicKey::of(&key);
        Self { key, public }
    }

    /// What the others hold its proofs against.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
}

/// Evaluates what one other party blinded; never more than was announced.
#[derive(Debug)]
pub struct Evaluator {
    share: Share,
    announced: u64,
    received: u64,
}

/// What an evaluator sends back for one chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluated {
    /// The elements, in the order of the chunk.
    pub elements: Vec<Encoded>,
    /// That all of them were made with the share of the public key.
    pub proof: Proof,
}

impl Evaluator {
    /// Starts with the size that the other party announced.
    pub fn start(share: Share, announced: u64) -> Self {
        Self {
            share,
            announced,
            received: 0,
        }
    }

    /// Evaluates a chunk, in order.
    ///
    /// # Errors
    /// [`PeerMisbehaved`], for a chunk larger than [`MAX_BATCH`] too.
    pub fn evaluate<R: CryptoRng + ?Sized>(
        mut self,
        blinded: &[Encoded],
        rng: &mut R,
    ) -> Result<(Self, Evaluated), PeerMisbehaved> {
        let announced = self.announced;
        match self.received.checked_add(blinded.len() as u64) {
            Some(received) if received <= announced && blinded.len() <= MAX_BATCH => self.received = received,
            _ => return Err(PeerMisbehaved::TooMany { announced }),
        }
        let inputs = decode_all(blinded)?;
        let elements = self.share.key.multiply_points(&inputs);
        let batch = Batch {
            inputs: &inputs,
            encoded_inputs: blinded,
            encoded_outputs: &elements,
        };
        let proof = dleq::prove(&self.share.key, &self.share.public, &batch, rng);
        Ok((self, Evaluated { elements, proof }))
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// [`PeerMisbehaved::TooFew`].
    pub fn finish(self) -> Result<(), PeerMisbehaved> {
        match self.received == self.announced {
            true => Ok(()),
            false => Err(PeerMisbehaved::TooFew {
                announced: self.announced,
                received: self.received,
            }),
        }
    }
}

/// Turns the own set into pseudonyms, chunk by chunk.
#[derive(Debug)]
pub struct Owner {
    blind: Key,
    unblind: Key,
    share: Share,
    others: Vec<PublicKey>,
    picture: [u8; 32],
    announced: u64,
    given: u64,
}

/// A chunk of the own set that was blinded, until every other party has evaluated it.
pub struct Blinded {
    points: Vec<RistrettoPoint>,
    encoded: Vec<Encoded>,
}

/// What one of the others did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blame {
    /// Its place among the others.
    pub other: usize,
    /// What it did.
    pub what: PeerMisbehaved,
}

impl Owner {
    /// Starts with a fresh blind, the public keys of all other parties, an id that binds the pseudonyms to the picture, and the
    /// size of the own set that was announced.
    pub fn start<R: CryptoRng + ?Sized>(
        share: Share,
        others: Vec<PublicKey>,
        picture: [u8; 32],
        announced: u64,
        rng: &mut R,
    ) -> Self {
        let blind = Key::random(rng);
        Self {
            unblind: blind.inverse(),
            blind,
            share,
            others,
            picture,
            announced,
            given: 0,
        }
    }

    /// Blinds a chunk of the own set: distinct elements, each once.
    ///
    /// # Errors
    /// [`ApiMisuse::OwnSize`] past the announced size, [`ApiMisuse::OwnElement`] for bytes that are no element.
    pub fn blind(&mut self, own: &[Stored]) -> Result<Blinded, ApiMisuse> {
        self.given += own.len() as u64;
        if self.given > self.announced {
            return Err(ApiMisuse::OwnSize {
                announced: self.announced,
                given: self.given,
            });
        }
        let (points, encoded) = self.blind.multiply_stored_points(own)?;
        Ok(Blinded { points, encoded })
    }

    /// Takes what every other party made of a chunk, in the order of their public keys, and gives its pseudonyms in its order.
    ///
    /// # Errors
    /// [`Blame`]: which of the others sent another number of elements, bytes that are none, or a proof that does not hold.
    pub fn combine(&self, blinded: &Blinded, evaluated: &[Evaluated]) -> Result<Vec<Pseudonym>, Blame> {
        let count = blinded.encoded.len();
        let short = |other: usize, received: usize| Blame {
            other,
            what: PeerMisbehaved::TooFew {
                announced: count as u64,
                received: received as u64,
            },
        };
        if evaluated.len() != self.others.len() {
            return Err(short(evaluated.len().min(self.others.len()), 0));
        }
        let checked: Vec<Vec<RistrettoPoint>> = evaluated
            .par_iter()
            .zip(&self.others)
            .enumerate()
            .map(|(other, (answer, public))| {
                if answer.elements.len() != count {
                    return Err(short(other, answer.elements.len()));
                }
                let blame = |what| Blame { other, what };
                let points = decode_all(&answer.elements).map_err(blame)?;
                let batch = Batch {
                    inputs: &blinded.points,
                    encoded_inputs: &blinded.encoded,
                    encoded_outputs: &answer.elements,
                };
                dleq::verify(public, &batch, &points, &answer.proof).map_err(blame)?;
                Ok(points)
            })
            .collect::<Result<_, Blame>>()?;
        let sums: Vec<RistrettoPoint> = (0..count)
            .into_par_iter()
            .map(|at| {
                let others = checked.iter().filter_map(|points| points.get(at));
                let others = others.fold(RistrettoPoint::identity(), |sum, point| sum + point);
                let own = blinded.points.get(at).copied().unwrap_or_default();
                others + self.share.key.multiply_point(&own)
            })
            .collect();
        let unblinded = self.unblind.multiply_points(&sums);
        Ok(unblinded.par_iter().map(|element| self.pseudonym(element)).collect())
    }

    /// Ends the own set.
    ///
    /// # Errors
    /// [`ApiMisuse::OwnSize`] before the announced size was given.
    pub fn finish(self) -> Result<(), Error> {
        match self.given == self.announced {
            true => Ok(()),
            false => Err(ApiMisuse::OwnSize {
                announced: self.announced,
                given: self.given,
            }
            .into()),
        }
    }

    fn pseudonym(&self, element: &Encoded) -> Pseudonym {
        let hash = Sha512::new()
            .chain_update(b"overlap/picture/pseudonym/v1")
            .chain_update(self.picture)
            .chain_update(element)
            .finalize();
        let mut pseudonym = Pseudonym::default();
        pseudonym.copy_from_slice(&hash[..16]);
        pseudonym
    }
}

impl Blinded {
    /// What every other party is sent: 32 bytes for each item, in the order of the own set.
    pub fn encoded(&self) -> &[Encoded] {
        &self.encoded
    }
}

impl std::fmt::Debug for Blinded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blinded")
            .field("count", &self.encoded.len())
            .finish_non_exhaustive()
    }
}
