//! The mirrored pass: the responder of a match finds out which of its hidden items the initiator asks about, and the initiator does not
//! find out whether there are any.
//!
//! ```text
//! initiator (key a, set X)                    responder (fresh key c, hidden set D, N points in all)
//!            <- c.H(d), and c.P of made-up P, sorted
//!            -- a.c.H(d), a.c.P                  ->
//!            -- blinded a.H(x), as in the match  ->
//!                                             D ∩ X = { d : c^-1 . (a.c.H(d)) is among the a.H(x) }
//! ```
//!
//! Points under a fresh key are random to who has not the key (decisional Diffie-Hellman in ristretto255): the initiator sees N of them,
//! in the order of their encodings, whatever `D` is. `N` is agreed, and bounds what the responder can ask about; it is the one thing
//! that it learns more than in a match without this pass. The responder compares encodings, so the pass costs N evaluations on each side.

use rand_core::CryptoRng;

use crate::{ApiMisuse, Encoded, Item, Key, PeerMisbehaved, Stored};

/// What the responder keeps until the initiator has evaluated its points.
#[derive(Debug)]
pub struct Mirror {
    unblind: Key,
    /// For each point sent: its place among the hidden items; made-up ones have none.
    places: Vec<Option<u32>>,
}

/// What the initiator's blinded elements are held against: of N entries, whatever is hidden.
pub struct Watch {
    table: Vec<(Encoded, Option<u32>)>,
}

impl Mirror {
    /// Blinds the hidden items and as many made-up ones as make it `size`. Hidden items beyond that take no part.
    ///
    /// # Errors
    /// [`ApiMisuse::OwnElement`] for bytes that are no element.
    pub fn start<R: CryptoRng + ?Sized>(
        hidden: &[Stored],
        size: usize,
        rng: &mut R,
    ) -> Result<(Self, Vec<Encoded>), ApiMisuse> {
        let key = Key::random(rng);
        let mut points = hidden.get(..size).unwrap_or(hidden).to_vec();
        let made_up: Vec<Item> = (points.len()..size)
            .map(|_| {
                let mut bytes = [0; 32];
                rng.fill_bytes(&mut bytes);
                Item::derive("overlap/mirror", "made-up", &bytes)
            })
            .collect();
        let known = points.len();
        points.extend(Stored::of(&made_up));
        let blinded = key.multiply_stored(&points)?;
        let mut placed: Vec<(Encoded, Option<u32>)> = blinded
            .into_iter()
            .enumerate()
            .map(|(at, point)| (point, u32::try_from(at).ok().filter(|_| at < known)))
            .collect();
        placed.sort_unstable();
        let (sent, places) = placed.into_iter().unzip();
        let unblind = key.inverse();
        Ok((Self { unblind, places }, sent))
    }

    /// Takes the initiator's evaluation of every point, in the order in which they were sent.
    ///
    /// # Errors
    /// [`PeerMisbehaved`].
    pub fn finish(self, evaluated: &[Encoded]) -> Result<Watch, PeerMisbehaved> {
        let announced = self.places.len() as u64;
        match evaluated.len().cmp(&self.places.len()) {
            std::cmp::Ordering::Less => {
                return Err(PeerMisbehaved::TooFew {
                    announced,
                    received: evaluated.len() as u64,
                });
            }
            std::cmp::Ordering::Greater => return Err(PeerMisbehaved::TooMany { announced }),
            std::cmp::Ordering::Equal => {}
        }
        let unblinded = self.unblind.multiply_all(evaluated)?;
        let mut table: Vec<(Encoded, Option<u32>)> = unblinded.into_iter().zip(self.places).collect();
        table.sort_unstable();
        Ok(Watch { table })
    }
}

impl Watch {
    /// Places, among the hidden items, of those that the initiator asks about in this chunk.
    pub fn look(&self, blinded: &[Encoded]) -> Vec<u32> {
        let found = |element: &Encoded| {
            let at = self.table.binary_search_by(|(known, _)| known.cmp(element)).ok()?;
            self.table.get(at)?.1
        };
        blinded.iter().filter_map(found).collect()
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
