//! The wire forms of Overlap: `overlap.peer.v1` between nodes, `overlap.operator.v1` between an agency's users and their own node.
//!
//! [`peer`] and [`operator`] hold what the rest of the code works with; `TryFrom` a generated message is the one door for wire data,
//! and where every length, name and size is checked. The generated code is in [`pb`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod action;
pub mod agreement;
pub mod approval;
mod check;
pub mod fault;
pub mod follow_up;
pub mod found;
pub mod log;
pub mod operator;
pub mod peer;
pub mod picture;

pub use check::{LIMITS, Limits, WireError, plain};

/// Generated from the `.proto` files.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
pub mod pb {
    /// Node to node.
    pub mod peer {
        tonic::include_proto!("overlap.peer.v1");
    }
    /// Users to their node.
    pub mod operator {
        tonic::include_proto!("overlap.operator.v1");
    }
}

/// The encoded descriptors of both packages, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The largest message in bytes, on every connection.
pub const MAX_MESSAGE: usize = 1 << 20;

/// Elements per message: 128 KiB of elements or 64 KiB of tokens, so that a message is work for many milliseconds and memory stays small.
pub const CHUNK: usize = 4096;
