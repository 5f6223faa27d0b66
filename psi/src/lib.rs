//! Private set intersection as pure state machines.
//!
//! Typed messages go in, typed messages come out; randomness is passed in. Nothing here knows of IO, async, gRPC, storage or
//! what an item means. Heavy steps use the rayon pool in which they are called.
//!
//! - [`oprf`]: RFC 9497 `OPRF(ristretto255, SHA-512)`, the one hash-to-group of every protocol here.
//! - [`dh`]: DH-PSI for two parties, modes `hits` (with labels or without) and `count`.
//! - [`joint`]: joint OPRF for two parties and more, with the proofs of [`dleq`].
//! - [`voprf`]: single lookups in what others hold, in a [`filter`] of theirs.
//!
//! A further protocol becomes a further module beside [`dh`] and a further [`Protocol`]; its machines have the same shape: a
//! step consumes the machine and returns it with the message to send.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod dh;
pub mod dleq;
mod error;
pub mod filter;
mod group;
mod item;
pub mod joint;
pub mod mirror;
pub mod oprf;
pub mod voprf;

pub use error::{ApiMisuse, Error, PeerMisbehaved};
pub use group::{Element, Encoded, Key, Stored};
pub use item::Item;

use std::{fmt, str::FromStr};

/// A protocol that two nodes can agree to run, by its name on the wire and in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Commutative blinding over ristretto255, [`dh`].
    DhPsi,
    /// Joint OPRF over ristretto255, [`joint`].
    JointOprf,
    /// Single lookups over ristretto255, [`voprf`] with a [`filter`].
    Voprf,
}

impl Protocol {
    /// Every protocol that this build can run.
    pub const ALL: [Self; 3] = [Self::DhPsi, Self::JointOprf, Self::Voprf];

    /// The name on the wire and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DhPsi => "dh-psi/ristretto255/v1",
            Self::JointOprf => "joint-oprf/ristretto255/v1",
            Self::Voprf => "voprf/ristretto255/v1",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(name: &str) -> Result<Self, UnknownProtocol> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.name() == name)
            .ok_or(UnknownProtocol)
    }
}

/// The name is of no protocol that this build can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown protocol; this build runs {}, {} and {}",
    Protocol::DhPsi.name(),
    Protocol::JointOprf.name(),
    Protocol::Voprf.name()
)]
pub struct UnknownProtocol;
