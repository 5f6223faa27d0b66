//! DH-PSI over ristretto255 for two parties, in the modes `hits` (with labels or without) and `count`.
//!
//! Commutative blinding (Huberman, Franklin, Hogg 1999; in the form of 2HashDH, ePrint 2016/144). With `H` = [`crate::oprf::hash_to_group`],
//! the initiator's key `a` and set `X`, the responder's key `b` and set `Y`:
//!
//! ```text
//! initiator                                   responder
//!            -- blinded    a.H(x), own order ->
//!            <- evaluated  b.a.H(x)          --
//!            <- tokens     T(b.H(y)), sorted --
//! T(a^-1 . evaluated) ∩ tokens
//! ```
//!
//! `T` is the first 16 bytes of SHA-512 over a domain, the session id and the encoded element. With labels, each token carries 32 bytes
//! of the responder's choice, sealed with the next 32 bytes of that hash: who holds the same item opens the label, and for everyone
//! else it is noise of one length. In mode `hits` the evaluated elements
//! come in the order of the blinded ones, so the initiator learns which of its own match. In mode `count` (PSI-CA, ePrint 2011/141)
//! they come **sorted**: sorting by the value under the fresh secret `b` is a shuffle, and duplicates, which would turn a count into
//! weights, cannot hide. Against an initiator that keeps to the protocol this hides which of its items match. One that deviates, by
//! blinding items with keys of their own, can find out for more work; that is what agreements, minimum sizes and the log are for. Tokens are sorted for the same reason, so that positions say nothing across sessions.
//! What is sorted is checked by the receiver.
//!
//! The smaller set is the table: when the initiator's is the smaller, evaluated elements come first and tokens stream by; otherwise the
//! tokens come first. The initiator holds 20 bytes per item of the smaller set, with labels 52. The responder's machines hold nothing; whoever sorts for it
//! may spill to disk.

mod initiator;
mod responder;

pub use initiator::{Blinder, Matched, Matcher, Reply};
pub use responder::{Evaluator, Tokeniser};

use sha2::{Digest, Sha512};

use crate::{ApiMisuse, Encoded};

/// The mode of a match: what the initiator learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Which of its own items match.
    Hits,
    /// Which of its own items match, with the responder's label of each.
    Labels,
    /// Only how many match.
    Count,
}

/// 16 bytes that are equal for equal items within one session, and random without the responder's key.
pub type Token = [u8; 16];

/// What the responder says of one of its items; only who holds the same item can read it.
pub type Label = [u8; 32];

/// A token, and behind it the sealed label.
pub type LabelledToken = [u8; 48];

/// What both parties know before the first element: the terms of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    mode: Mode,
    session: [u8; 32],
    initiator: u64,
    responder: u64,
}

/// Which of the responder's two streams comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// The evaluated elements: the initiator's set is the table.
    Evaluated,
    /// The tokens: the responder's set is the table.
    Tokens,
}

impl Terms {
    /// The largest set, by the 32-bit index in the initiator's table.
    pub const MAX_SET: u64 = u32::MAX as u64;

    /// Settles a session: its mode, an id that binds it to its query (both sides derive it), and both set sizes.
    ///
    /// # Errors
    /// [`ApiMisuse::TooLarge`].
    pub fn new(mode: Mode, session: [u8; 32], initiator: u64, responder: u64) -> Result<Self, ApiMisuse> {
        match initiator.max(responder) {
            size if size > Self::MAX_SET => Err(ApiMisuse::TooLarge {
                size,
                max: Self::MAX_SET,
            }),
            _ => Ok(Self {
                mode,
                session,
                initiator,
                responder,
            }),
        }
    }

    /// Which of the responder's streams comes first; both sides follow it.
    pub fn first(&self) -> First {
        if self.initiator <= self.responder {
            First::Evaluated
        } else {
            First::Tokens
        }
    }

    /// Size of the initiator's set, as announced.
    pub fn initiator_size(&self) -> u64 {
        self.initiator
    }

    /// The mode.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    fn token(&self, element: &Encoded) -> Token {
        self.token_and_pad(element).0
    }

    /// The token of a double-blinded element, and what its label is sealed with: fresh for each session, since the element is.
    fn token_and_pad(&self, element: &Encoded) -> (Token, Label) {
        let hash = Sha512::new()
            .chain_update(b"overlap/dh-psi/token/v1")
            .chain_update(self.session)
            .chain_update(element)
            .finalize();
        let (mut token, mut pad) = (Token::default(), Label::default());
        token.copy_from_slice(&hash[..16]);
        pad.copy_from_slice(&hash[16..48]);
        (token, pad)
    }
}

/// Seals a label, or opens it: the same operation.
fn mask(mut label: Label, pad: &Label) -> Label {
    label.iter_mut().zip(pad).for_each(|(byte, pad)| *byte ^= pad);
    label
}
