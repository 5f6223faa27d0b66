//! The log's entries.
//!
//! The log is a sequence of [`Event`]s that only grows. A query is one entry: an [`Event::Opened`] that is durable before anything is
//! computed, and an [`Event::Closed`] that is durable before the result leaves. [`Entry`] carries the fields that Directive (EU) 2016/680
//! art. 25 and Wpg art. 32a ask for. An event is stored as the JSON of [`Event::to_json`]; a Merkle leaf will commit to that.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod digest;
mod entry;
mod event;

pub use digest::{BadDigest, Digest};
pub use entry::{Entry, InputCommitment, Operation, Outcome, Side, UnknownName};
pub use event::{BadEvent, Closing, Event, Logged};
