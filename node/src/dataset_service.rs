//! Work on own datasets that is asked for and done: erasing, purging.

use std::sync::Arc;

use overlap_audit::{Entry, Operation, Outcome, Side};
use overlap_proto::{fault::Reason, operator::Erase, pb::operator as pb};
use overlap_store::DatasetInfo;
use uuid::Uuid;

use crate::{
    error::NodeError,
    node::{Node, now},
    policy::{self, Denial, User},
    pool::blocking,
    retention,
    rules::Action,
    spine::{self, Finding},
};

/// The entry of work on an own dataset.
pub(crate) fn dataset_entry(node: &Node, user: &User, operation: Operation, dataset: &str) -> Entry {
    let mut entry = policy::blank_entry(operation, Side::Holder, now(), Uuid::now_v7());
    entry.policy_hash = Some(node.rules.load().hash);
    entry.person = Some(user.id.clone());
    entry.caller_certificate = Some(user.certificate);
    entry.holder = Some(node.config.id.clone());
    entry.dataset = Some(dataset.to_owned());
    entry
}

pub(crate) async fn erase(node: &Arc<Node>, user: &User, wish: Erase) -> Result<DatasetInfo, NodeError> {
    let mut entry = dataset_entry(node, user, Operation::Erasure, &wish.dataset);
    entry.reason = Some(wish.reason);
    let held = match node.permit_on(user, Action::EraseDataset, &wish.dataset) {
        Err(error) => Err(error),
        Ok(role) => {
            entry.role = Some(role.name().to_owned());
            node.store
                .dataset(&wish.dataset)
                .ok_or_else(|| no_dataset(&wish.dataset))
        }
    };
    let held = match held {
        Ok(held) => held,
        Err(error) => return Err(spine::deny(node, Denial { entry, error }).await),
    };
    let version = held.info().version;
    entry.dataset_version = Some(version);
    let (store, name) = (Arc::clone(&node.store), wish.dataset);
    spine::logged(node, entry, async {
        drop(held);
        let erased = blocking(move || {
            let erased = store.erase(&name, version)?.ok_or_else(|| replaced(&name))?;
            // what was found of its records goes with them
            store.hits().erase(|found| found.dataset == name)?;
            store.follow_ups().erase(|row| row.dataset == name)?;
            Ok::<_, NodeError>(erased)
        })
        .await??;
        let finding = Finding {
            output_count: Some(erased.records),
            ..Finding::default()
        };
        Ok((Outcome::Done, finding, erased))
    })
    .await
}

pub(crate) async fn purge(
    node: &Arc<Node>,
    user: &User,
    only: Option<String>,
) -> Result<pb::PurgeDatasetsResponse, NodeError> {
    let named = only.as_deref();
    let all = node.store.datasets();
    let names = all.iter().map(|held| held.info().name.as_str());
    // a purge of all needs leave for each
    let mut names = names.filter(|_| named.is_none());
    let role = node.permit_on(user, Action::PurgeDataset, named.unwrap_or_default());
    let role = role.and_then(|role| {
        names.try_for_each(|name| node.permit_on(user, Action::PurgeDataset, name).map(drop))?;
        Ok(role)
    });
    let role = role.and_then(|role| match named {
        Some(name) if node.store.dataset(name).is_none() => Err(no_dataset(name)),
        _ => Ok(role),
    });
    let role = match role {
        Ok(role) => role.name(),
        Err(error) => {
            let mut entry = dataset_entry(node, user, Operation::Erasure, named.unwrap_or_default());
            entry.dataset = only;
            return Err(spine::deny(node, Denial { entry, error }).await);
        }
    };
    let entry = |node: &Node, name: &str| {
        let mut entry = dataset_entry(node, user, Operation::Erasure, name);
        entry.role = Some(role.to_owned());
        entry
    };
    let purged = retention::purge(node, named, &entry).await?;
    let datasets = purged.datasets.iter().map(|(info, records)| pb::Purged {
        dataset: Some(dataset(info)),
        records: *records,
    });
    Ok(pb::PurgeDatasetsResponse {
        purged: datasets.collect(),
        hits: purged.hits,
    })
}

fn replaced(name: &str) -> NodeError {
    NodeError::refused(
        Reason::NotFound,
        format!("dataset {name} was replaced meanwhile; look at it and ask again"),
    )
}

pub(crate) fn no_dataset(name: &str) -> NodeError {
    NodeError::refused(
        Reason::NotFound,
        format!("no dataset has the name {name}; see `overlap dataset list`"),
    )
}

pub(crate) fn dataset(info: &DatasetInfo) -> pb::Dataset {
    let kinds = info.kinds().into_iter().map(|(kind, items)| pb::KindCount {
        kind: kind.to_string(),
        items,
    });
    pb::Dataset {
        name: info.name.clone(),
        version: info.version,
        created: info.created.to_string(),
        profile: info.profile.clone(),
        records: info.records,
        withheld: info.withheld,
        expires: info.expires.map(|date| date.to_string()).unwrap_or_default(),
        kinds: kinds.collect(),
    }
}
