//! How a hit stands that somebody follows up.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::entry::{UnknownName, named};

named! {
    /// Why a holder does not tell what it has behind a hit, in a word that says nothing of the case.
    Declined {
        /// Nobody decided in time.
        Lapsed = "lapsed",
        /// The holder has no such record, or no longer.
        NotHeld = "not-held",
        /// It would harm an investigation under way.
        Investigation = "investigation",
        /// It would endanger somebody.
        Safety = "safety",
        /// It would give a source away.
        Source = "source",
        /// The request does not say enough for what it asks.
        Unfounded = "unfounded",
        /// The law, or another's condition, stands against it.
        Law = "law",
    }
}

impl Declined {
    /// Those that a functionary chooses from.
    pub const CHOICES: [Self; 5] = [
        Self::Investigation,
        Self::Safety,
        Self::Source,
        Self::Unfounded,
        Self::Law,
    ];
}

/// How a follow-up stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The holder has not decided.
    Pending,
    /// The holder tells.
    Disclosed,
    /// The holder does not.
    Declined(Declined),
}

impl Standing {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Disclosed => "disclosed",
            Self::Declined(_) => "declined",
        }
    }

    /// Why not.
    pub const fn declined(self) -> Option<Declined> {
        match self {
            Self::Declined(why) => Some(why),
            _ => None,
        }
    }
}
