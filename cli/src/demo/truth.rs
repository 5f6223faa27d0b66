//! What the exports have in common, known by construction.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::world::{Agency, Cohort, Slot, Slots, World};

/// What the exports contain, by construction: identifiers are counted where they were made, not parsed back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Truth {
    pub(crate) seed: u64,
    /// By agency name.
    pub(crate) agencies: BTreeMap<String, Export>,
    /// Every unordered pair of agencies: the identifiers that both have, whoever else has them.
    pub(crate) pairs: Vec<Common>,
    /// Every combination of two or more agencies: the identifiers that these and no others have.
    pub(crate) combinations: Vec<Common>,
}

/// One agency's export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Export {
    /// Rows without the header.
    pub(crate) rows: u64,
    /// Rows that repeat another one to the letter; the others have a reference of their own.
    pub(crate) duplicate_rows: u64,
    /// Cells with something invalid in them, duplicate rows included: an import must reject each.
    pub(crate) bad_cells: u64,
    /// Rows with a name but no birth date, duplicate rows included: they make no person.
    pub(crate) undated_names: u64,
    /// Distinct valid identifiers by kind.
    pub(crate) identifiers: Kinds,
}

/// What some agencies have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Common {
    pub(crate) agencies: Vec<String>,
    /// Distinct identifiers by kind.
    pub(crate) identifiers: Kinds,
}

/// A number per identifier kind; every kind is named, if need be with 0.
pub(crate) type Kinds = BTreeMap<String, u64>;

impl Truth {
    /// What exports of `rows` rows each, of which `duplicate_rows` repeat another, contain; what is wrong in them is not counted here.
    pub(crate) fn of(world: &World, seed: u64, rows: u64, duplicate_rows: u64) -> Self {
        // by the set of agencies (bit n: the n-th of Agency::ALL), then by kind
        let mut by_holders: [Kinds; 16] = std::array::from_fn(|_| no_kinds());
        for cohort in world.cohorts() {
            for id in cohort.subjects() {
                for (slot, holders) in holders(world, id, *cohort) {
                    *by_holders[holders].entry(slot.kind().to_owned()).or_default() += 1;
                }
            }
        }
        let held_by_all = |agencies: usize| {
            by_holders
                .iter()
                .enumerate()
                .filter(|(holders, _)| holders & agencies == agencies)
                .fold(no_kinds(), |mut sum, (_, kinds)| {
                    kinds
                        .iter()
                        .for_each(|(kind, number)| *sum.entry(kind.clone()).or_default() += number);
                    sum
                })
        };
        let agencies = Agency::ALL.map(|agency| {
            let export = Export {
                rows,
                duplicate_rows,
                bad_cells: 0,
                undated_names: 0,
                identifiers: held_by_all(1 << agency as usize),
            };
            (agency.name().to_owned(), export)
        });
        let sets = |least: u32, most: u32| (1usize..16).filter(move |set| (least..=most).contains(&set.count_ones()));
        Self {
            seed,
            agencies: agencies.into(),
            pairs: sets(2, 2)
                .map(|set| Common {
                    agencies: names(set),
                    identifiers: held_by_all(set),
                })
                .collect(),
            combinations: sets(2, 4)
                .map(|set| Common {
                    agencies: names(set),
                    identifiers: by_holders[set].clone(),
                })
                .collect(),
        }
    }
}

/// For each slot of the subject that anyone knows, the set of agencies that know it.
fn holders(world: &World, id: u64, cohort: Cohort) -> impl Iterator<Item = (Slot, usize)> {
    let known: Vec<(usize, Slots)> = cohort
        .agencies()
        .map(|agency| (1 << agency as usize, world.known(id, cohort, agency)))
        .collect();
    Slot::ALL.into_iter().filter_map(move |slot| {
        let holders = known
            .iter()
            .filter(|(_, slots)| slots.has(slot))
            .fold(0, |set, (bit, _)| set | bit);
        (holders != 0).then_some((slot, holders))
    })
}

fn names(set: usize) -> Vec<String> {
    Agency::ALL
        .into_iter()
        .filter(|agency| set & (1 << *agency as usize) != 0)
        .map(|agency| agency.name().to_owned())
        .collect()
}

fn no_kinds() -> Kinds {
    Slot::ALL.map(|slot| (slot.kind().to_owned(), 0)).into()
}
