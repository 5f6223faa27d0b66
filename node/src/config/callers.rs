//! Who may call: other nodes and own users.

use std::collections::{BTreeMap, BTreeSet};

use overlap_audit::{VerifyingKey, log_name};
use serde::Deserialize;

use super::{Peer, Role, is_spiffe};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPeer {
    name: String,
    id: String,
    address: String,
    log_key: Option<VerifyingKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUser {
    id: String,
    roles: BTreeSet<Role>,
}

pub(super) fn peers(raw: Vec<RawPeer>) -> Result<Vec<Peer>, String> {
    let mut names = BTreeSet::new();
    raw.into_iter()
        .map(
            |RawPeer {
                 name,
                 id,
                 address,
                 log_key,
             }| match () {
                () if !is_spiffe(&id) => Err(format!("must give {name} a SPIFFE URI as id")),
                () if !address.contains(':') => Err(format!("must give {name} an address with a port")),
                () if !names.insert(name.clone()) => Err(format!("must name {name} once")),
                () if log_key.as_ref().is_some_and(|key| key.name() != log_name(&id)) => {
                    Err(format!("must give {name} a log_key that is called {}", log_name(&id)))
                }
                () => Ok(Peer {
                    name,
                    id,
                    address,
                    log_key,
                }),
            },
        )
        .collect()
}

pub(super) fn users(raw: Vec<RawUser>) -> Result<BTreeMap<String, BTreeSet<Role>>, String> {
    let mut users = BTreeMap::new();
    for RawUser { id, roles } in raw {
        if !is_spiffe(&id) {
            return Err(format!("must give a SPIFFE URI as id, not {id}"));
        }
        if users.insert(id.clone(), roles).is_some() {
            return Err(format!("must name {id} once"));
        }
    }
    Ok(users)
}
