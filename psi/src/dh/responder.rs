//! The responder: evaluates what the initiator blinded, and makes tokens of its own set.

use rand_core::CryptoRng;
use rayon::prelude::*;

use super::{Label, LabelledToken, Terms, Token, mask};
use crate::{ApiMisuse, Encoded, Error, Key, PeerMisbehaved, Stored};

/// Evaluates the initiator's blinded elements; never more than were announced.
///
/// In modes `hits` and `labels` each chunk goes back as it is. In mode `count` all chunks are sorted together, and refused when two elements are equal,
/// before the first one goes back.
#[derive(Debug)]
pub struct Evaluator {
    key: Key,
    announced: u64,
    received: u64,
}

/// Makes tokens of the own set; all of them are sorted together before the first one leaves.
#[derive(Debug)]
pub struct Tokeniser {
    key: Key,
    terms: Terms,
    given: u64,
}

impl Evaluator {
    /// Starts a session with a fresh key: one machine for each stream.
    pub fn start<R: CryptoRng + ?Sized>(terms: Terms, rng: &mut R) -> (Self, Tokeniser) {
        let key = Key::random(rng);
        (
            Self {
                key: key.clone(),
                announced: terms.initiator,
                received: 0,
            },
            Tokeniser { key, terms, given: 0 },
        )
    }

    /// Evaluates a chunk, in order.
    ///
    /// # Errors
    /// [`PeerMisbehaved::TooMany`], [`PeerMisbehaved::NotCanonical`], [`PeerMisbehaved::Identity`].
    pub fn evaluate(mut self, blinded: &[Encoded]) -> Result<(Self, Vec<Encoded>), PeerMisbehaved> {
        match self.received.checked_add(blinded.len() as u64) {
            Some(received) if received <= self.announced => self.received = received,
            _ => {
                return Err(PeerMisbehaved::TooMany {
                    announced: self.announced,
                });
            }
        }
        let evaluated = self.key.multiply_all(blinded)?;
        Ok((self, evaluated))
    }

    /// Whether all announced elements were evaluated.
    pub fn is_complete(&self) -> bool {
        self.received == self.announced
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// [`PeerMisbehaved::TooFew`].
    pub fn finish(self) -> Result<(), PeerMisbehaved> {
        if self.is_complete() {
            return Ok(());
        }
        Err(PeerMisbehaved::TooFew {
            announced: self.announced,
            received: self.received,
        })
    }
}

impl Tokeniser {
    /// Makes tokens of a chunk of the own set; each element once.
    ///
    /// # Errors
    /// [`ApiMisuse::OwnSize`] past the announced size, [`ApiMisuse::OwnElement`] for bytes that are no element.
    pub fn tokens(self, own: &[Stored]) -> Result<(Self, Vec<Token>), Error> {
        let (this, keyed) = self.keyed(own)?;
        let tokens = keyed.par_iter().map(|element| this.terms.token(element)).collect();
        Ok((this, tokens))
    }

    /// Makes tokens with sealed labels of a chunk of the own set; each element once, with its label.
    ///
    /// # Errors
    /// As [`Self::tokens`].
    pub fn labelled(self, own: &[(Stored, Label)]) -> Result<(Self, Vec<LabelledToken>), Error> {
        let elements: Vec<Stored> = own.iter().map(|(element, _)| *element).collect();
        let (this, keyed) = self.keyed(&elements)?;
        let tokens = keyed.par_iter().zip(own).map(|(element, (_, label))| {
            let (token, pad) = this.terms.token_and_pad(element);
            let mut labelled = [0; size_of::<LabelledToken>()];
            labelled[..16].copy_from_slice(&token);
            labelled[16..].copy_from_slice(&mask(*label, &pad));
            labelled
        });
        let tokens = tokens.collect();
        Ok((this, tokens))
    }

    fn keyed(mut self, own: &[Stored]) -> Result<(Self, Vec<Encoded>), Error> {
        self.given += own.len() as u64;
        if self.given > self.terms.responder {
            return Err(ApiMisuse::OwnSize {
                announced: self.terms.responder,
                given: self.given,
            }
            .into());
        }
        let keyed = self.key.multiply_stored(own)?;
        Ok((self, keyed))
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// [`ApiMisuse::OwnSize`] before the announced size was given.
    pub fn finish(self) -> Result<(), ApiMisuse> {
        if self.given == self.terms.responder {
            return Ok(());
        }
        Err(ApiMisuse::OwnSize {
            announced: self.terms.responder,
            given: self.given,
        })
    }
}
