//! Own sets that nobody should ask with: those that try a numbering range number by number.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Mutex, PoisonError},
};

use overlap_records::Kind;
use overlap_store::{Dataset, Selection};

use crate::{config::Config, error::NodeError};

/// How dense sets are, by dataset version and kinds: looked at once.
#[derive(Default)]
pub(crate) struct Densities(Mutex<HashMap<Set, Option<(Kind, u64)>>>);

/// A dataset version, and the kinds of it.
type Set = (u64, Vec<Kind>);

/// Sets that are remembered.
const MOST_REMEMBERED: usize = 64;

impl Densities {
    /// Refuses a set that looks like an enumeration, unless its operator has marked the dataset. Reads every record of a set that it has not
    /// seen before.
    pub(crate) fn check(
        &self,
        config: &Config,
        dataset: &Dataset,
        selection: &Selection,
        kinds: &[Kind],
        spill: &Path,
    ) -> Result<(), NodeError> {
        let (name, guard) = (&dataset.info().name, &config.guard);
        if config.datasets.get(name).is_some_and(|marks| marks.may_enumerate) {
            return Ok(());
        }
        let at = (dataset.info().version, kinds.to_vec());
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&at).copied();
        let densest = match known {
            Some(densest) => densest,
            None => {
                let densest = dataset.densest(selection, guard.enumeration_window, spill)?;
                let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= MOST_REMEMBERED {
                    known.clear();
                }
                known.insert(at, densest);
                densest
            }
        };
        match densest {
            Some((kind, count)) if count > guard.enumeration_most => Err(NodeError::limit(
                "enumeration_most",
                format!(
                    "dataset {name} looks like an enumeration: {count} identifiers of kind {kind} are among {} numbers of one range, {} may be; \
                     let an operator look at it (`overlap match ... --ask-approval`), who may also mark it with may_enumerate",
                    guard.enumeration_window, guard.enumeration_most
                ),
            )),
            _ => Ok(()),
        }
    }
}
