//! What may be told of the counts.

use std::collections::BTreeMap;

use super::{Month, Roles, Tally};
use crate::{
    picture::{Combination, KindPicture, MonthCount, RoleCount},
    withhold::{
        Node,
        combinations::{Cell, Table, Told},
        split::{Row, split},
    },
};

type Months = BTreeMap<Month, u64>;
type ByRole = BTreeMap<Roles, Months>;
/// Totals by role that are told, with those of their months that are.
type ToldRoles = BTreeMap<Roles, (u64, Months)>;

impl Tally {
    /// What may be told: counts below `least`, and as many more as keep these from being worked out, are left out.
    pub fn told(&self, kinds: &[String], agencies: &[String], least: u64) -> Vec<KindPicture> {
        let one = |(at, kind): (usize, &String)| {
            let at = u8::try_from(at).unwrap_or(u8::MAX);
            let mut by_combination: BTreeMap<u64, ByRole> = BTreeMap::new();
            let mut by_role = ByRole::new();
            let cells = self.cells.range((at, 0, Roles::default(), Month::default())..);
            for ((_, who, role, month), count) in cells.take_while(|((kind, ..), _)| *kind == at) {
                let roles = by_combination.entry(*who).or_default();
                *roles.entry(*role).or_default().entry(*month).or_default() += count;
                *by_role.entry(*role).or_default().entry(*month).or_default() += count;
            }
            let cells: Vec<Cell> = by_combination.iter().map(|(who, roles)| cell(*who, roles)).collect();
            let Some((may, roles)) = choose(&cells, &by_role, least) else {
                return KindPicture::withheld(kind);
            };
            let details = Details::of(&by_combination, &may, &roles, least);
            let mut told: Vec<Combination> = cells
                .iter()
                .zip(&may.combinations)
                .filter(|(_, may)| **may)
                .map(|(cell, _)| Combination {
                    agencies: names(agencies, cell.who),
                    count: cell.sum(),
                    roles: by_combination
                        .get(&cell.who)
                        .map(|roles| details.told(cell.who, roles))
                        .unwrap_or_default(),
                })
                .collect();
            told.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.agencies.cmp(&b.agencies)));
            KindPicture {
                kind: kind.clone(),
                unique: Some(cells.iter().map(Cell::sum).sum()),
                combinations: told,
                roles: roles
                    .into_iter()
                    .map(|(role, (count, months))| role_count(role, count, &months))
                    .collect(),
            }
        };
        kinds.iter().enumerate().map(one).collect()
    }
}

fn cell(who: u64, roles: &ByRole) -> Cell {
    let roles = roles.iter().map(|(role, months)| (*role, months.values().sum()));
    Cell {
        who,
        roles: roles.collect(),
    }
}

/// What may be told of combinations and of roles: totals by role only where they leave something to be told of combinations.
fn choose(cells: &[Cell], by_role: &ByRole, least: u64) -> Option<(Told, ToldRoles)> {
    let judged = |roles: ToldRoles| {
        let known = roles.keys().copied().collect();
        let table = Table {
            cells,
            least,
            roles: known,
        };
        Some((table.tell()?, roles))
    };
    let roles = told_roles(by_role, least);
    let has_roles = !roles.is_empty();
    judged(roles).or_else(|| has_roles.then(|| judged(ToldRoles::new())).flatten())
}

fn names(agencies: &[String], who: u64) -> Vec<String> {
    let names = agencies.iter().enumerate().filter(|(at, _)| who >> at & 1 == 1);
    names.map(|(_, name)| name.clone()).collect()
}

fn role_count(role: Roles, count: u64, months: &Months) -> RoleCount {
    let months = months.iter().map(|(month, count)| MonthCount {
        month: month.to_string(),
        count: *count,
    });
    RoleCount {
        roles: role.names(),
        count,
        months: months.collect(),
    }
}

/// Roles that may be told, with those of their months that may.
fn told_roles(by_role: &ByRole, least: u64) -> ToldRoles {
    let of_months = by_role
        .values()
        .map(|months| Node::of(months.values().map(|count| Node::leaf(*count))));
    let tree = Node::of(of_months).tell(least);
    let roles = by_role.iter().zip(&tree.parts).filter_map(|((role, months), node)| {
        let months = months.keys().zip(&node.parts);
        let months = months.filter_map(|(month, node)| Some((*month, node.told?)));
        Some((*role, (node.told?, months.collect())))
    });
    roles.collect()
}

/// Combinations that may be told by role, and for each role those that may by month.
struct Details {
    by_role: BTreeMap<u64, bool>,
    by_month: BTreeMap<(u64, Roles), bool>,
}

impl Details {
    fn of(by_combination: &BTreeMap<u64, ByRole>, may: &Told, roles: &ToldRoles, least: u64) -> Self {
        let told = may
            .combinations
            .iter()
            .zip(&may.by_role)
            .map(|(told, by_role)| *told && *by_role);
        let by_role: BTreeMap<u64, bool> = by_combination.keys().copied().zip(told).collect();
        let mut by_month = BTreeMap::new();
        for (role, (_, months)) in roles {
            let (who, rows): (Vec<u64>, Vec<Row<'_, Month>>) = by_combination
                .iter()
                .filter_map(|(who, roles)| {
                    let is_told = by_role.get(who).copied().unwrap_or_default();
                    Some((
                        *who,
                        Row {
                            is_told,
                            cells: roles.get(role)?,
                        },
                    ))
                })
                .unzip();
            let told = split(&rows, |month| months.contains_key(&month), least);
            by_month.extend(who.into_iter().map(|who| (who, *role)).zip(told));
        }
        Self { by_role, by_month }
    }

    fn told(&self, who: u64, roles: &ByRole) -> Vec<RoleCount> {
        if !self.by_role.get(&who).copied().unwrap_or_default() {
            return Vec::new();
        }
        let none = Months::new();
        let told = roles.iter().map(|(role, months)| {
            let is_told = self.by_month.get(&(who, *role)).copied().unwrap_or_default();
            role_count(*role, months.values().sum(), if is_told { months } else { &none })
        });
        told.collect()
    }
}

impl KindPicture {
    fn withheld(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            unique: None,
            combinations: Vec::new(),
            roles: Vec::new(),
        }
    }
}
