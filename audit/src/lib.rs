//! The log's entries.
//!
//! The log is a sequence of [`Event`]s that only grows. A query is one entry: an [`Event::Opened`] that is durable before anything is
//! computed, and an [`Event::Closed`] that is durable before the result leaves. [`Entry`] carries the fields that Directive (EU) 2016/680
//! art. 25 and Wpg art. 32a ask for. An event is stored as the JSON of [`Event::to_json`], encrypted under a key of its own ([`Sealed`]).
//! A [`Tree`] commits to the ciphertexts; a [`SignedCheckpoint`] signs its root. So whoever holds a checkpoint can check everything
//! before it, and erasing a key erases an event without touching a proof.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod checkpoint;
mod digest;
mod entry;
mod event;
mod export;
mod follow_up;
mod input;
mod key;
mod ldv;
mod proof;
mod prove;
mod receipt;
mod reconcile;
mod sealed;
mod tree;
mod verify;
mod view;
mod witness;

pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
pub use digest::{BadDigest, Digest};
pub use entry::{Entry, Operation, Outcome, Side, UnknownName};
pub use event::{BadEvent, Closing, Event, EventRef, Logged};
pub use export::{
    EXPORT_VERSION, ExportError, ExportReader, ExportWriter, ExportedEvent, Header, KnownPeer, Line, MAX_LINE, RawLine,
};
pub use follow_up::{Declined, Standing};
pub use input::{InputError, InputProof, InputSalt, InputTree, KeyProof, Membership, OpenedInput, ProvedLeaf};
pub use key::{BadKey, SigningKey, VerifyingKey, log_name};
pub use ldv::{Activities, LdvRecord, LdvResource, LdvStatus, span_id};
pub use proof::{check_consistency, check_inclusion};
pub use prove::{Proof, ProofError, Proved, ProvedEvent, Wanted, prove_entry, prove_growth};
pub use receipt::{KeptReceipt, Receipt, ReceiptError, SignedReceipt};
pub use reconcile::{Discrepancy, FieldDifference, Reconciled, reconcile};
pub use sealed::{PayloadKey, Sealed, SealedError};
pub use tree::{
    FullTile, HeldTiles, MAX_TREE_SIZE, TILE_HEIGHT, TILE_WIDTH, Tiles, Tree, TreeError, empty_root, leaf_hash,
};
pub use verify::{Anchors, Problem, Report, SHREDDING, Visitor, Vouched, Witnessed, verify};
pub use view::View;
pub use witness::{WitnessError, judge};
