//! Certificate authorities, certificates and keys: what an agency needs to try Overlap, and what the demo and the tests run on.
//!
//! Two kinds of authority appear. The *federation* authority vouches for nodes; each agency's *users* authority vouches for its own
//! people and for its operator port. Both are a directory with [`Authority`] as its only writer. Everything is ECDSA P-256 with
//! SHA-256 (RFC 5480), which rustls with ring verifies and every other TLS stack knows.
//!
//! Private keys leave this module in one way only: as a file that is created with mode 0600. Nothing here prints one.

pub(crate) use authority::{Authority, Issued};
pub(crate) use certificate::{Details, thumbprint};
pub(crate) use command::{PkiCommand, run};
pub(crate) use request::{Issue, Subject};

mod authority;
mod certificate;
mod command;
mod crl;
mod request;
pub(crate) mod signing;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
