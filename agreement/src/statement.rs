//! Statements that one signer makes about a document that others hold.

use jiff::Timestamp;
use overlap_audit::Digest;
use serde::{Deserialize, Serialize};

use crate::{
    check::{self, Flaw},
    signed::Document,
};

/// That a document is not, or no more, to be relied on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// What kind of document it is about.
    pub about: Subject,
    /// Hash of that document.
    pub hash: Digest,
    /// What is stated.
    pub verb: Verb,
    /// When.
    pub at: Timestamp,
    /// Why, in words.
    pub reason: String,
}

/// Kind of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// An agreement.
    Agreement,
    /// An order.
    Order,
}

/// What is stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// It will not be signed.
    Rejected,
    /// It counts no more, from now on.
    Revoked,
}

impl Document for Statement {
    const TYP: &'static str = "overlap-statement+json";
    const NAME: &'static str = "statement";

    fn check(&self) -> Result<(), Flaw> {
        if (self.about, self.verb) == (Subject::Order, Verb::Rejected) {
            return Err(Flaw::new("verb: an order is revoked, not rejected"));
        }
        check::words("reason", &self.reason)
    }
}
