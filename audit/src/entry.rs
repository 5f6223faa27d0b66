//! One log record of a query, as it stands when the query is admitted or denied.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Digest;

/// What was asked, by whom, of whom, why and under which rules. Its end is in the [`crate::Closing`] of the same id. What is not known is left out
/// of the JSON.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Id of this entry, in this log.
    pub id: Uuid,
    /// Id of the query, the same in both logs.
    pub transaction: Uuid,
    /// For what follows a hit up: the query that found it.
    pub about: Option<Uuid>,
    /// W3C trace id of the request, where it had one.
    pub trace: Option<String>,
    /// The step of the caller's trace that led to it: for a holder, the asker's entry.
    pub parent_span: Option<String>,
    /// Start; UTC, milliseconds.
    pub started: Timestamp,
    /// Kind of processing (Directive (EU) 2016/680 art. 25).
    pub operation: Operation,
    /// Which part this node played.
    pub side: Side,
    /// Purpose of the query.
    pub purpose: Option<String>,
    /// Legal regime, such as `wpg`.
    pub regime: Option<String>,
    /// Article of the regime.
    pub article: Option<String>,
    /// Reference of the case.
    pub case_reference: Option<String>,
    /// Reason in words.
    pub reason: Option<String>,
    /// The person that asked, by the identity in the certificate of that user.
    pub person: Option<String>,
    /// Role in which the person asked.
    pub role: Option<String>,
    /// Who approved, where approval was needed.
    pub approver: Option<String>,
    /// Id of the order, where one was needed.
    pub order: Option<String>,
    /// Agency that asked.
    pub asker: Option<String>,
    /// Agency that was asked.
    pub holder: Option<String>,
    /// For a picture: the agencies that were asked to take part, on every side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub participants: Vec<String>,
    /// SHA-256 thumbprint of the certificate of the caller: the asker's node, or the own user.
    pub caller_certificate: Option<Digest>,
    /// Agencies that receive the result.
    pub recipients: Vec<String>,
    /// Country of the recipients, ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Roles of the subjects whose records were asked about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Hash of the order.
    pub order_hash: Option<Digest>,
    /// The delegation that the query was asked under: the country that the asker asked for.
    pub on_behalf_of: Option<String>,
    /// Own dataset that took part.
    pub dataset: Option<String>,
    /// Version of the own dataset.
    pub dataset_version: Option<u64>,
    /// Kinds of identifiers compared.
    pub kinds: Vec<String>,
    /// Mode: `hits`, `count`; of a picture `statistics`, `operational`.
    pub mode: Option<String>,
    /// Name of the profile that items were made under.
    pub profile: Option<String>,
    /// Its hash.
    pub profile_hash: Option<Digest>,
    /// Protocol, by name.
    pub protocol: Option<String>,
    /// How many items the asker put in.
    pub input_count: Option<u64>,
    /// What the asker committed to: the root of the tree over its salted items ([`crate::InputTree`]); the same in both logs.
    pub input_commitment: Option<Digest>,
    /// Visibility decisions taken, by class.
    pub visibility: Vec<String>,
    /// Id of the agreement.
    pub agreement: Option<String>,
    /// Hash of the agreement, the same on both sides.
    pub agreement_hash: Option<Digest>,
    /// Hash of the local policy in force.
    pub policy_hash: Option<Digest>,
    /// Version of the software.
    pub software: String,
}

impl Entry {
    /// The other agencies of the query: the one that asked or was asked, or all that an asker asked to take part in a picture.
    pub fn others(&self) -> impl Iterator<Item = &String> {
        let (one, many): (_, &[String]) = match self.side {
            Side::Asker => (self.holder.as_ref(), &self.participants),
            Side::Holder | Side::Witness => (self.asker.as_ref(), &[]),
        };
        let own = self.asker.as_ref().filter(|_| self.side == Side::Asker);
        one.into_iter().chain(many).filter(move |other| Some(*other) != own)
    }
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in the log, in JSON and on screen.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err(UnknownName) }
            }
        }
    };
}

/// The text names no value of this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown name")]
pub struct UnknownName;

pub(crate) use named;

named! {
    /// Kind of processing, after Directive (EU) 2016/680 art. 25(1).
    Operation {
        /// Personal data was collected: an import.
        Collection = "collection",
        /// Personal data was altered.
        Alteration = "alteration",
        /// Personal data was consulted.
        Consultation = "consultation",
        /// Personal data was disclosed.
        Disclosure = "disclosure",
        /// Data was combined: a match or a picture.
        Combination = "combination",
        /// Personal data was erased.
        Erasure = "erasure",
    }
}

named! {
    /// The part that this node played.
    Side {
        /// It asked.
        Asker = "asker",
        /// It was asked; also of work on its own data.
        Holder = "holder",
        /// It countersigned.
        Witness = "witness",
    }
}

named! {
    /// How an entry stands.
    Outcome {
        /// Admitted and not yet closed.
        Admitted = "admitted",
        /// Refused by agreement, policy or limit.
        Denied = "denied",
        /// Ended; something was found.
        Hit = "hit",
        /// Ended; nothing was found.
        NoHit = "no-hit",
        /// Ended as asked, with nothing to find on this side: a holder's part in a match, an import.
        Done = "done",
        /// Ended; waits for consent.
        Pending = "pending",
        /// The node stopped before the end.
        Interrupted = "interrupted",
        /// Failed.
        Error = "error",
    }
}
