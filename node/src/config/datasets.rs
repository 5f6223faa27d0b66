//! What the agency marks its datasets with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The marks on one dataset.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Marks {
    /// Compared under an order alone: what a crawler or a decoy profile collected, say.
    pub(crate) orders_only: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    name: String,
    #[serde(default)]
    orders_only: bool,
}

pub(super) fn check(raw: Vec<Raw>) -> Result<BTreeMap<String, Marks>, String> {
    let mut datasets = BTreeMap::new();
    for Raw { name, orders_only } in raw {
        if name.is_empty() || name.len() > 128 || name.contains(char::is_whitespace) {
            return Err("must have names of 1 to 128 bytes without blanks".to_owned());
        }
        if datasets.insert(name.clone(), Marks { orders_only }).is_some() {
            return Err(format!("must name {name} once"));
        }
    }
    Ok(datasets)
}
