//! What the agency marks its datasets with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The marks on one dataset.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Marks {
    /// Compared under an order alone: what a crawler or a decoy profile collected, say.
    pub(crate) orders_only: bool,
    /// May be asked with although it looks like an enumeration of a numbering range: its operator has looked at it.
    pub(crate) may_enumerate: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    name: String,
    #[serde(default)]
    orders_only: bool,
    #[serde(default)]
    may_enumerate: bool,
}

pub(super) fn check(raw: Vec<Raw>) -> Result<BTreeMap<String, Marks>, String> {
    let mut datasets = BTreeMap::new();
    for Raw {
        name,
        orders_only,
        may_enumerate,
    } in raw
    {
        if name.is_empty() || name.len() > 128 || name.contains(char::is_whitespace) {
            return Err("must have names of 1 to 128 bytes without blanks".to_owned());
        }
        let marks = Marks {
            orders_only,
            may_enumerate,
        };
        if datasets.insert(name.clone(), marks).is_some() {
            return Err(format!("must name {name} once"));
        }
    }
    Ok(datasets)
}
