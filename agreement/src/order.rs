//! Orders: a competent authority's permission for one purpose and scope.

use std::collections::BTreeSet;

use jiff::Timestamp;
use overlap_audit::Digest;
use overlap_records::Kind;
use serde::{Deserialize, Serialize};

use crate::{
    agreement::Mode,
    check::{self, Flaw},
    signed::Document,
};

/// What an authority permits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Its number at the authority.
    pub id: String,
    /// Name of the authority, as agreements call it.
    pub authority: String,
    /// Purpose, as agreements call it.
    pub purpose: String,
    /// The case that it was given for.
    pub case_reference: String,
    /// SPIFFE URI of the agency that may ask.
    pub asker: String,
    /// SPIFFE URIs of the agencies that may be asked.
    pub holders: BTreeSet<String>,
    /// Their datasets; none: any.
    #[serde(default)]
    pub datasets: BTreeSet<String>,
    /// What may be learnt.
    pub modes: BTreeSet<Mode>,
    /// Kinds of identifiers.
    pub kinds: BTreeSet<Kind>,
    /// Most items in one query.
    pub max_set_size: u64,
    /// How often it may be used, at each holder.
    pub uses: u64,
    /// The exact set that may be asked with: the commitment that `overlap order draft` made to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_commitment: Option<Digest>,
    /// First moment at which it holds.
    pub valid_from: Timestamp,
    /// First moment at which it holds no more.
    pub valid_until: Timestamp,
    /// Why it was given.
    pub weighing: Weighing,
}

/// The weighing that an order rests on, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weighing {
    /// Why it is needed.
    pub necessity: String,
    /// Why it is not too much.
    pub proportionality: String,
    /// Why nothing lighter would do.
    pub subsidiarity: String,
}

impl Order {
    /// Whether it holds at a moment.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        (self.valid_from..self.valid_until).contains(&now)
    }
}

impl Document for Order {
    const TYP: &'static str = "overlap-order+json";
    const NAME: &'static str = "order";

    fn check(&self) -> Result<(), Flaw> {
        check::name("id", &self.id)?;
        check::words("authority", &self.authority)?;
        check::name("purpose", &self.purpose)?;
        check::words("case_reference", &self.case_reference)?;
        check::spiffe("asker", &self.asker)?;
        check::some("holders", &self.holders)?;
        self.holders
            .iter()
            .try_for_each(|holder| check::spiffe("holders: each", holder))?;
        self.datasets
            .iter()
            .try_for_each(|dataset| check::name("datasets: each", dataset))?;
        check::some("modes", &self.modes)?;
        check::some("kinds", &self.kinds)?;
        if self.max_set_size == 0 || self.uses == 0 {
            return Err(Flaw::new("max_set_size and uses must be at least 1"));
        }
        if self.valid_from >= self.valid_until {
            return Err(Flaw::new("valid_until must be after valid_from"));
        }
        check::words("weighing: necessity", &self.weighing.necessity)?;
        check::words("weighing: proportionality", &self.weighing.proportionality)?;
        check::words("weighing: subsidiarity", &self.weighing.subsidiarity)
    }
}
