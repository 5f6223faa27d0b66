//! Counts by combination of agencies, for readers who know how much every agency has.
//!
//! A count below the minimum is withheld. What is told beside it (the total; totals by role) and what each agency has in all (the agency
//! knows its own, and all that take part learn each other's) are sums over what is not told. A withheld count is safe if it may as well be
//! the minimum or more: if there are counts, none below nought, that all these sums agree with, in which it is. A linear program looks for
//! them, and what it finds is checked, so that a fault of the solver withholds too much and never too little. As long as a count is not
//! safe, the next one is withheld as well. Where withholding all is not enough, not even the total may be told: of two agencies the common
//! part is the sum of both without the total. (Protecting tables by the bounds that readers can compute: Fischetti and Salazar,
//! Management Science 47(7), 2001.)
//!
//! A reader is taken to know which roles which combinations have at all: who has only victims shares nothing but victims.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use microlp::{ComparisonOp, OptimizationDirection, Problem, Variable};

use crate::tally::Roles;

/// Up to so many agencies, combinations that nobody has are unknown to a reader like those that are withheld. With more of them
/// what is withheld is judged as if the reader knew which are none.
const FEW: u32 = 6;
/// Counts that are tried to be made safe by one search.
const TOGETHER: usize = 64;
/// Longest single search; what was not found then is not safe.
const LONGEST: Duration = Duration::from_secs(2);
/// Most work on one table, in unknown counts times searches; one that needs more is withheld as a whole.
const MOST_WORK: usize = 2_000_000;
/// How far from right a sum of found counts may be.
const ROUNDING: f64 = 1e-6;

/// Subjects that exactly these agencies have, bit `i` for the agency at place `i`, by role.
pub(crate) struct Cell {
    pub(crate) who: u64,
    pub(crate) roles: BTreeMap<Roles, u64>,
}

impl Cell {
    pub(crate) fn sum(&self) -> u64 {
        self.roles.values().sum()
    }
}

/// A table by combination, and what of it may be told.
pub(crate) struct Table<'a> {
    pub(crate) cells: &'a [Cell],
    pub(crate) agencies: u32,
    pub(crate) least: u64,
    /// Roles whose totals are told; none if no role's is.
    pub(crate) roles: Option<BTreeSet<Roles>>,
}

/// Why a table cannot be told.
struct TooMuchWork;

/// A count that a reader does not know.
struct Unknown {
    who: u64,
    role: Option<Roles>,
    count: u64,
}

/// What a reader knows the sum of.
#[derive(Clone, Copy)]
enum Known {
    Total,
    Agency(u32),
    Role(Roles),
    Combination(u64),
}

impl Known {
    fn covers(self, unknown: &Unknown) -> bool {
        match self {
            Self::Total => true,
            Self::Agency(agency) => unknown.who >> agency & 1 == 1,
            Self::Role(role) => unknown.role == Some(role),
            Self::Combination(who) => unknown.who == who,
        }
    }
}

impl Table<'_> {
    /// Which of the combinations may be told, beside their total; none if the total may not be.
    pub(crate) fn tell(&self) -> Option<Vec<bool>> {
        let sums: Vec<u64> = self.cells.iter().map(Cell::sum).collect();
        if sums.iter().sum::<u64>() < self.least {
            return None;
        }
        let mut told: Vec<bool> = sums.iter().map(|count| *count >= self.least).collect();
        if told.iter().all(|told| *told) {
            return Some(told);
        }
        let whole = vec![false; told.len()];
        let (mut added, mut work) = (Vec::new(), 0);
        while let Some(exposed) = self.exposed(&told, &whole, &mut work).ok()? {
            // what an agency has alone hides what it shares from who knows what it has
            let worth = |at: &usize| {
                let who = self.cells[*at].who;
                (
                    who.count_ones() != 1 || who & exposed == 0,
                    who & exposed == 0,
                    sums[*at],
                )
            };
            let next = (0..told.len()).filter(|at| told[*at]).min_by_key(worth)?;
            told[next] = false;
            added.push(next);
        }
        // what turned out not to be needed, the largest first
        added.sort_by_key(|at| std::cmp::Reverse(sums[*at]));
        for at in added {
            told[at] = true;
            told[at] = self
                .exposed(&told, &whole, &mut work)
                .is_ok_and(|exposed| exposed.is_none());
        }
        Some(told)
    }

    /// Whether nothing small can be worked out if some of the combinations that are told are told by role, too.
    pub(crate) fn is_safe(&self, told: &[bool], by_role: &[bool]) -> bool {
        self.exposed(told, by_role, &mut 0)
            .is_ok_and(|exposed| exposed.is_none())
    }

    /// A withheld combination that is not safe, if there is one.
    fn exposed(&self, told: &[bool], by_role: &[bool], work: &mut usize) -> Result<Option<u64>, TooMuchWork> {
        let (unknown, known) = self.reader(told, by_role);
        let withheld = self
            .cells
            .iter()
            .zip(told)
            .filter(|(_, told)| !**told)
            .map(|(cell, _)| cell);
        let mut waiting: Vec<u64> = withheld
            .filter(|cell| cell.sum() < self.least)
            .map(|cell| cell.who)
            .collect();
        let mut together = TOGETHER;
        while !waiting.is_empty() {
            let mut left = Vec::new();
            for wanted in waiting.chunks(together) {
                *work += unknown.len();
                if *work > MOST_WORK {
                    return Err(TooMuchWork);
                }
                let found = self.imagine(&unknown, &known, wanted).unwrap_or_default();
                let is_safe = |who: &u64| {
                    let parts = unknown.iter().zip(&found).filter(|(one, _)| one.who == *who);
                    parts.map(|(_, count)| count).sum::<f64>() >= self.least as f64 - ROUNDING
                };
                left.extend(wanted.iter().copied().filter(|who| !is_safe(who)));
                if together == 1 && !left.is_empty() {
                    return Ok(left.first().copied());
                }
            }
            // those that could not be safe with the others, each alone
            (waiting, together) = (left, 1);
        }
        Ok(None)
    }

    /// What a reader does not know, and of what the sum is known.
    fn reader(&self, told: &[bool], by_role: &[bool]) -> (Vec<Unknown>, Vec<Known>) {
        let mut unknown = Vec::new();
        let mut known = vec![Known::Total];
        known.extend((0..self.agencies).map(Known::Agency));
        known.extend(self.roles.iter().flatten().map(|role| Known::Role(*role)));
        for ((cell, told), by_role) in self.cells.iter().zip(told).zip(by_role) {
            let who = cell.who;
            match &self.roles {
                _ if *told && *by_role => continue,
                None if *told => continue,
                None => unknown.push(Unknown {
                    who,
                    role: None,
                    count: cell.sum(),
                }),
                Some(_) => {
                    let cells = cell.roles.iter();
                    unknown.extend(cells.map(|(role, count)| Unknown {
                        who,
                        role: Some(*role),
                        count: *count,
                    }));
                    if *told {
                        known.push(Known::Combination(who));
                    }
                }
            }
        }
        if self.agencies <= FEW {
            let present: BTreeSet<u64> = self.cells.iter().map(|cell| cell.who).collect();
            for who in (1..1u64 << self.agencies).filter(|who| !present.contains(who)) {
                match &self.roles {
                    None => unknown.push(Unknown {
                        who,
                        role: None,
                        count: 0,
                    }),
                    Some(_) => unknown.extend(self.possible(who).into_iter().map(|role| Unknown {
                        who,
                        role: Some(role),
                        count: 0,
                    })),
                }
            }
        }
        (unknown, known)
    }

    /// Roles that a combination which nobody has could have: of each agency one that it knows anybody as.
    fn possible(&self, who: u64) -> BTreeSet<Roles> {
        let of = |agency: u32| {
            let cells = self.cells.iter().filter(|cell| cell.who >> agency & 1 == 1);
            cells
                .flat_map(|cell| cell.roles.keys())
                .fold(Roles::OTHER, |all, role| all.and(*role))
        };
        let agencies: Vec<Roles> = (0..self.agencies)
            .filter(|agency| who >> agency & 1 == 1)
            .map(of)
            .collect();
        let all = agencies.iter().fold(Roles::OTHER, |all, roles| all.and(*roles));
        let fits = |role: &Roles| {
            role.and(all) == all && agencies.iter().all(|of| of.bits() == 0 || of.bits() & role.bits() != 0)
        };
        let occurring = self.cells.iter().flat_map(|cell| cell.roles.keys().copied());
        occurring.filter(fits).collect()
    }

    /// Other counts that a reader may think of, with as much as possible up to the minimum in each combination that is wanted.
    fn imagine(&self, unknown: &[Unknown], known: &[Known], wanted: &[u64]) -> Option<Vec<f64>> {
        let mut problem = Problem::new(OptimizationDirection::Maximize);
        problem.set_time_limit(LONGEST);
        let counts: Vec<Variable> = unknown
            .iter()
            .map(|_| problem.add_var(0.0, (0.0, f64::INFINITY)))
            .collect();
        let terms = |of: Known| -> Vec<(Variable, f64)> {
            let covered = unknown.iter().zip(&counts).filter(|(one, _)| of.covers(one));
            covered.map(|(_, variable)| (*variable, 1.0)).collect()
        };
        let sum = |of: Known| {
            unknown
                .iter()
                .filter(|one| of.covers(one))
                .map(|one| one.count)
                .sum::<u64>() as f64
        };
        for of in known {
            problem.add_constraint(terms(*of), ComparisonOp::Eq, sum(*of));
        }
        for who in wanted {
            let reached = problem.add_var(1.0, (0.0, self.least as f64));
            let mut terms = terms(Known::Combination(*who));
            terms.push((reached, -1.0));
            problem.add_constraint(terms, ComparisonOp::Ge, 0.0);
        }
        let found = problem.solve().ok()?.into_solution().ok()?;
        let found: Vec<f64> = counts.iter().map(|variable| found.var_value(*variable)).collect();
        let agrees = |of: &Known| {
            let covered = unknown.iter().zip(&found).filter(|(one, _)| of.covers(one));
            (covered.map(|(_, count)| count).sum::<f64>() - sum(*of)).abs() < ROUNDING * (1.0 + sum(*of))
        };
        let can_be = found.iter().all(|count| *count > -ROUNDING) && known.iter().all(agrees);
        can_be.then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cells(of: &[(u64, u8, u64)]) -> Vec<Cell> {
        let mut cells: BTreeMap<u64, BTreeMap<Roles, u64>> = BTreeMap::new();
        for (who, role, count) in of {
            let roles = cells.entry(*who).or_default();
            *roles.entry(Roles::from_bits(*role).unwrap()).or_default() += count;
        }
        cells.into_iter().map(|(who, roles)| Cell { who, roles }).collect()
    }

    fn told(cells: &[Cell], agencies: u32, least: u64, roles: &[u8]) -> Option<Vec<u64>> {
        let roles = roles.iter().map(|role| Roles::from_bits(*role).unwrap()).collect();
        let table = Table {
            cells,
            agencies,
            least,
            roles: Some(roles),
        };
        let told = table.tell()?;
        let told = cells.iter().zip(told).filter(|(_, told)| *told);
        Some(told.map(|(cell, _)| cell.who).collect())
    }

    #[test]
    fn what_an_agency_has_does_not_give_a_small_count_away() {
        // three agencies, of which all three share 3: the next two columns alone would not hide it
        let counts = [90, 80, 20, 70, 15, 12, 3];
        let cells = cells(&std::array::from_fn::<_, 7, _>(|at| (at as u64 + 1, 1, counts[at])));
        let told = told(&cells, 3, 5, &[1]).unwrap();
        assert!(!told.contains(&0b111));
        assert!(told.len() >= 2, "{told:?}");
    }

    #[test]
    fn of_two_agencies_a_small_common_part_takes_all_with_it() {
        let of = |one, other, both| cells(&[(0b01, 1, one), (0b10, 1, other), (0b11, 1, both)]);
        assert_eq!(told(&of(100, 50, 3), 2, 5, &[1]), None);
        assert_eq!(told(&of(100, 50, 5), 2, 5, &[1]), Some(vec![1, 2, 3]));
        assert_eq!(told(&of(2, 2, 0), 2, 5, &[1]), None);
    }

    #[test]
    fn totals_by_role_give_away_what_agencies_of_one_role_share() {
        // help line (victims), police and military police (suspects), and 2 that both of these know
        let of = cells(&[(0b001, 4, 20), (0b010, 1, 30), (0b100, 1, 40), (0b110, 1, 2)]);
        assert_eq!(told(&of, 3, 5, &[1, 4]), None);
        // a fourth that shares enough with each of them hides it
        let of = cells(&[
            (0b0001, 4, 20),
            (0b0010, 1, 30),
            (0b0100, 1, 40),
            (0b0110, 1, 2),
            (0b1000, 1, 30),
            (0b1010, 1, 9),
            (0b1100, 1, 8),
        ]);
        let told = told(&of, 4, 5, &[1, 4]).unwrap();
        assert!(!told.contains(&0b0110) && told.contains(&0b0001), "{told:?}");
    }

    #[test]
    fn many_agencies_are_judged_in_time() {
        let mut many = BTreeMap::new();
        for at in 0u64..2000 {
            many.insert(at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 31 | 1, at % 13 + 1);
        }
        let many: Vec<(u64, u8, u64)> = many
            .into_iter()
            .map(|(who, count)| (who, (who % 3) as u8, count))
            .collect();
        assert!(told(&cells(&many), 33, 5, &[0, 1, 2]).is_some());
    }

    /// How small and how large a reader can make each unknown count, found by trying all.
    fn bounds(cells: &BTreeMap<u64, u64>, told: &BTreeMap<u64, u64>, agencies: u32) -> BTreeMap<u64, (u64, u64)> {
        let unknown: Vec<u64> = (1..1 << agencies).filter(|who| !told.contains_key(who)).collect();
        let left = |covers: &dyn Fn(u64) -> bool| -> u64 {
            let all = |cells: &BTreeMap<u64, u64>| {
                let covered = cells.iter().filter(|(who, _)| covers(**who));
                covered.map(|(_, count)| count).sum::<u64>()
            };
            all(cells) - all(told)
        };
        let mut sums = vec![left(&|_| true)];
        sums.extend((0..agencies).map(|agency| left(&|who| who >> agency & 1 == 1)));
        let mut bounds = BTreeMap::new();
        fill(&unknown, &sums, &mut Vec::new(), &mut bounds);
        bounds
    }

    fn fill(unknown: &[u64], sums: &[u64], so_far: &mut Vec<(u64, u64)>, bounds: &mut BTreeMap<u64, (u64, u64)>) {
        let Some((who, rest)) = unknown.split_first() else {
            if sums.iter().all(|sum| *sum == 0) {
                for (who, count) in so_far.iter() {
                    let bound = bounds.entry(*who).or_insert((*count, *count));
                    *bound = (bound.0.min(*count), bound.1.max(*count));
                }
            }
            return;
        };
        let touches = |at: usize| at == 0 || who >> (at - 1) & 1 == 1;
        let touched = sums.iter().enumerate().filter(|(at, _)| touches(*at));
        let most = touched.map(|(_, sum)| *sum).min().unwrap_or_default();
        for count in 0..=most {
            let less = |(at, sum): (usize, &u64)| sum - if touches(at) { count } else { 0 };
            let sums: Vec<u64> = sums.iter().enumerate().map(less).collect();
            so_far.push((*who, count));
            fill(rest, &sums, so_far, bounds);
            so_far.pop();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// By trying all counts that a reader can think of: no small one has but one value left.
        #[test]
        fn no_small_count_can_be_worked_out(counts in prop::collection::vec(0u64..8, 7), least in 2u64..5) {
            let counts: BTreeMap<u64, u64> = (1..8).zip(counts).filter(|(_, count)| *count > 0).collect();
            let list: Vec<(u64, u8, u64)> = counts.iter().map(|(who, count)| (*who, 1, *count)).collect();
            let Some(marks) = told(&cells(&list), 3, least, &[]) else { return Ok(()) };
            let told: BTreeMap<u64, u64> = marks.iter().map(|who| (*who, counts[who])).collect();
            prop_assert!(told.values().all(|count| *count >= least));
            for (who, (fewest, most)) in bounds(&counts, &told, 3) {
                let count = counts.get(&who).copied().unwrap_or_default();
                prop_assert!(fewest <= count && count <= most);
                let is_safe = count == 0 || count >= least || fewest < most;
                prop_assert!(is_safe, "{who:b} is {count} and nothing else: {told:?} of {counts:?}");
            }
        }
    }
}
