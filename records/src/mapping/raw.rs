//! A mapping as it stands in its file.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::MixedDates;
use crate::date::DateOrder;
use crate::import::Format;
use crate::kind::{Kind, Platform, Role, Visibility};
use crate::region::Region;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMapping {
    #[serde(default)]
    pub(super) source: RawSource,
    pub(super) record: RawRecord,
    #[serde(default)]
    pub(super) identifier: Vec<RawIdentifier>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSource {
    pub(super) delimiter: Option<String>,
    pub(super) encoding: Option<String>,
    pub(super) region: Region,
    pub(super) dates: DateOrder,
    pub(super) mixed_dates: MixedDates,
    pub(super) format: Option<Format>,
    pub(super) sheet: Option<String>,
    pub(super) platform: Option<Platform>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRecord {
    pub(super) reference: String,
    pub(super) role: Option<String>,
    #[serde(default)]
    pub(super) roles: BTreeMap<String, Role>,
    #[serde(default = "default_role")]
    pub(super) default_role: Role,
    #[serde(default = "default_visibility")]
    pub(super) visibility: Visibility,
    pub(super) visibility_column: Option<String>,
    pub(super) observed: Option<String>,
    pub(super) expires: Option<String>,
    pub(super) origin: Option<String>,
    pub(super) default_origin: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIdentifier {
    pub(super) kind: Kind,
    pub(super) columns: Option<Vec<String>>,
    #[serde(alias = "issuer")]
    pub(super) country: Option<Region>,
    #[serde(alias = "issuer_column")]
    pub(super) country_column: Option<String>,
    pub(super) platform: Option<Platform>,
    pub(super) mrz: Option<String>,
    pub(super) name: Option<String>,
    pub(super) given: Option<RawGiven>,
    pub(super) family: Option<String>,
    pub(super) particle: Option<String>,
    pub(super) born: Option<RawBorn>,
    pub(super) sex: Option<String>,
    pub(super) postcode: Option<String>,
    pub(super) house_number: Option<String>,
    pub(super) addition: Option<String>,
    pub(super) street: Option<String>,
    pub(super) place: Option<String>,
}

/// `given = "voornamen"` or `given = ["voornaam", "tweede_naam"]`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a column, or a list of columns")]
pub(super) enum RawGiven {
    One(String),
    Several(Vec<String>),
}

/// `born = "geboortedatum"` or `born = ["jaar", "maand", "dag"]`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a column, or a list of three: [year, month, day]")]
pub(super) enum RawBorn {
    Date(String),
    Parts([String; 3]),
}

fn default_role() -> Role {
    Role::Other
}

/// Visible only after consent: the safe side for an agency that said nothing.
fn default_visibility() -> Visibility {
    Visibility::B
}
