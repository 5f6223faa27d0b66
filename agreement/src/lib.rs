//! What agencies and authorities sign: agreements, orders, statements that end either, rosters of pictures, and plans of actions with the steps
//! that are made of them.
//!
//! Each is one JSON document in its canonical form (RFC 8785), signed as a JWS in the general JSON serialization (RFC 7515 section 7.2.1)
//! with EdDSA over Ed25519 (RFC 8037). The hash of a document is SHA-256 over its canonical form: two parties that hold the same hash
//! hold the same document. People write TOML, which is read into the same document ([`from_toml`]).
//!
//! This crate knows keys and documents; whether something may be done under them is for the node to judge.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod action;
mod agreement;
mod check;
mod diff;
mod field;
mod jws;
mod key;
mod order;
mod roster;
mod signed;
mod statement;

pub use action::{ActionState, ActionVerb, Plan, Step, is_signed};
pub use agreement::{Agreement, Authority, Ending, Grant, Mode, OrderRule, Party, Recipient};
pub use check::Flaw;
pub use diff::{Change, diff};
pub use field::Field;
pub use key::{BadKey, PublicKey, SigningKey};
pub use order::{Order, Weighing};
pub use roster::{Participant, Roster};
pub use signed::{Document, MAX_DOCUMENT, Signed, SignedError, from_toml};
pub use statement::{Statement, Subject, Verb};
