//! Which counts by combination of agencies and role may be told, for readers who know what every agency has.
//!
//! Such a reader knows how many of each role every agency has (each knows its own; all that take part learn each other's sizes), and all
//! that is told: the total, totals by role, counts by combination, and of some combinations the counts by role. All of these are sums over
//! counts that are not told. A small count is safe if these sums agree with it being the minimum or more. A linear program looks for such
//! counts, and what it finds is checked, so that a fault of the solver withholds too much and never too little. As long as a small count
//! is not safe, something more is withheld. Where nothing helps, not even the total is told: of two agencies the common part is the sum of both without the total. (Protecting tables by the bounds that readers can compute:
//! Fischetti and Salazar, Management Science 47(7), 2001.)
//!
//! What a reader of this kind knows before anything is told cannot be kept from it; it is kept from those who know less ([`Level`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use microlp::{ComparisonOp, OptimizationDirection, Problem, Variable};

use crate::tally::Roles;

/// Up to so many agencies, counts that are nought are unknown to a reader like those that are withheld. With more of them what is withheld is
/// judged as if the reader knew which are nought.
const FEW: u32 = 6;
/// Small counts that are tried to be made safe by one search.
const TOGETHER: usize = 64;
/// Longest single search; what was not found then is not safe.
const LONGEST: Duration = Duration::from_secs(2);
/// Most counts of one table that may be unknown to a reader; with more of them the table is withheld as a whole.
const MOST_UNKNOWN: usize = 20_000;
/// Longest for one table; one that takes longer is withheld as a whole.
const LONGEST_OF_ALL: Duration = Duration::from_secs(30);
/// Unknown counts up to which only whole numbers will do; beyond, that there are real ones and no whole ones is too odd to look for.
const WHOLE: usize = 64;
/// How far from right a sum of found counts may be.
const ROUNDING: f64 = 1e-3;
/// Largest table in which what turned out not to be needed is told after all.
const MOST_AGAIN: usize = 256;

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

/// A table by combination and role.
pub(crate) struct Table<'a> {
    pub(crate) cells: &'a [Cell],
    pub(crate) least: u64,
    /// Roles whose totals are told.
    pub(crate) roles: BTreeSet<Roles>,
}

/// What of a table is told, beside its total: combinations, and which of these by role.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) combinations: Vec<bool>,
    pub(crate) by_role: Vec<bool>,
}

/// It is too large to be judged.
struct TooMuch;

/// What was found out of one table so far.
struct Judging {
    until: Instant,
    /// Small counts that are safe, and stay it whatever more is withheld.
    safe: BTreeSet<Sum>,
    /// From whom each small count can be kept: from who knows so much, and less.
    levels: BTreeMap<Sum, Level>,
}

/// A sum of unknown counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sum {
    Total,
    OfAgency(u32),
    OfAgencyAndRole(u32, Roles),
    OfRole(Roles),
    OfCombination(u64),
    Cell(u64, Roles),
}

/// A small count that nobody is told.
#[derive(Clone)]
struct Small {
    sum: Sum,
    /// Agencies that it is of; of the total of a role all that have it.
    who: u64,
}

/// How much a reader knows before anything is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// How many of each role every agency has.
    Roles,
    /// How many every agency has.
    Sizes,
    /// Nothing.
    Nothing,
}

impl Level {
    const ALL: [Self; 3] = [Self::Roles, Self::Sizes, Self::Nothing];
}

/// What a reader does not know, and what sums of it.
struct Reader {
    unknown: Vec<(u64, Roles, u64)>,
    /// Places of the unknown counts in each sum that is known, or asked for.
    sums: BTreeMap<Sum, Vec<usize>>,
    known: Vec<Sum>,
    small: Vec<Small>,
    least: u64,
}

impl Table<'_> {
    /// What may be told; nothing if the total may not be.
    pub(crate) fn tell(&self) -> Option<Told> {
        let sums: Vec<u64> = self.cells.iter().map(Cell::sum).collect();
        if sums.iter().sum::<u64>() < self.least {
            return None;
        }
        let is_large = |count: &u64| *count >= self.least;
        let mut told = Told {
            combinations: sums.iter().map(is_large).collect(),
            by_role: self
                .cells
                .iter()
                .map(|cell| cell.roles.values().all(is_large))
                .collect(),
        };
        if self.least <= 1 {
            // nothing is small
            return Some(told);
        }
        let (mut added, mut judging) = (Vec::new(), self.begin().ok()?);
        while let Some(exposed) = self.exposed(&told, &mut judging).ok()? {
            let shares = |at: &usize| self.cells[*at].who & exposed != 0;
            let is_by_role = |at: &usize| told.combinations[*at] && told.by_role[*at];
            // roles first, all that have to do with it: they are what most can be worked out from, and say least
            let by_role: Vec<usize> = (0..sums.len()).filter(|at| is_by_role(at) && shares(at)).collect();
            if !by_role.is_empty() {
                by_role.into_iter().for_each(|at| told.by_role[at] = false);
                continue;
            }
            // what an agency has alone hides what it shares from who knows what it has
            let worth = |at: &usize| {
                (
                    self.cells[*at].who.count_ones() != 1 || !shares(at),
                    !shares(at),
                    sums[*at],
                )
            };
            let next = (0..sums.len()).filter(|at| told.combinations[*at]).min_by_key(worth)?;
            told.combinations[next] = false;
            added.push(next);
        }
        // what turned out not to be needed, the largest first
        added.sort_by_key(|at| std::cmp::Reverse(sums[*at]));
        for at in added.into_iter().filter(|_| sums.len() <= MOST_AGAIN) {
            told.combinations[at] = true;
            judging.safe.clear();
            let exposed = self.exposed(&told, &mut judging);
            told.combinations[at] = exposed.is_ok_and(|exposed| exposed.is_none());
        }
        Some(told)
    }

    /// Finds out what a reader knows of each small count before anything is told.
    fn begin(&self) -> Result<Judging, TooMuch> {
        let nothing = Told {
            combinations: vec![false; self.cells.len()],
            by_role: vec![false; self.cells.len()],
        };
        let table = Table {
            roles: BTreeSet::new(),
            ..*self
        };
        let mut judging = Judging {
            until: Instant::now() + LONGEST_OF_ALL,
            safe: BTreeSet::new(),
            levels: BTreeMap::new(),
        };
        for (level, next) in [(Level::Roles, Level::Sizes), (Level::Sizes, Level::Nothing)] {
            let mut reader = table.reader(&nothing, level)?;
            reader
                .known
                .retain(|sum| matches!(sum, Sum::OfAgency(_) | Sum::OfAgencyAndRole(..)));
            while let Some(known) = reader.exposed(level, &mut judging)? {
                judging.levels.insert(known.sum, next);
            }
        }
        judging.safe.clear();
        Ok(judging)
    }

    /// Agencies of a small count that is not safe, if there is one.
    fn exposed(&self, told: &Told, judging: &mut Judging) -> Result<Option<u64>, TooMuch> {
        for level in Level::ALL {
            if let Some(small) = self.reader(told, level)?.exposed(level, judging)? {
                return Ok(Some(small.who));
            }
        }
        Ok(None)
    }

    fn reader(&self, told: &Told, level: Level) -> Result<Reader, TooMuch> {
        let mut reader = Reader {
            unknown: Vec::new(),
            sums: BTreeMap::new(),
            known: vec![Sum::Total],
            small: Vec::new(),
            least: self.least,
        };
        let mut of_role: BTreeMap<Roles, (u64, u64)> = BTreeMap::new();
        let mut of_agency = BTreeSet::new();
        let mut small = Vec::new();
        let mut look = |sum, who, count: u64| {
            if (1..self.least).contains(&count) {
                small.push(Small { sum, who });
            }
        };
        for (at, cell) in self.cells.iter().enumerate() {
            let is_told = told.combinations[at] && told.by_role[at];
            for (role, count) in &cell.roles {
                let total = of_role.entry(*role).or_default();
                *total = (total.0 | cell.who, total.1 + count);
                of_agency.extend(agencies(cell.who).map(|agency| match level {
                    Level::Roles => Sum::OfAgencyAndRole(agency, *role),
                    Level::Sizes | Level::Nothing => Sum::OfAgency(agency),
                }));
                if !is_told {
                    reader.add(cell.who, *role, *count);
                    look(Sum::Cell(cell.who, *role), cell.who, *count);
                }
            }
            match told.combinations[at] {
                false => look(Sum::OfCombination(cell.who), cell.who, cell.sum()),
                true if !is_told => reader.known.push(Sum::OfCombination(cell.who)),
                true => {}
            }
        }
        for (who, role) in self.absent(&of_role, told) {
            reader.add(who, role, 0);
        }
        for (role, (who, total)) in of_role.iter().filter(|(role, _)| !self.roles.contains(role)) {
            look(Sum::OfRole(*role), *who, *total);
        }
        if level != Level::Nothing {
            reader.known.extend(of_agency);
        }
        reader.known.extend(self.roles.iter().map(|role| Sum::OfRole(*role)));
        reader.small = small;
        match reader.unknown.len() {
            0..=MOST_UNKNOWN => Ok(reader),
            _ => Err(TooMuch),
        }
    }

    /// Combinations and roles that do not occur although all of the agencies know somebody in the role, where there are few agencies.
    fn absent(&self, of_role: &BTreeMap<Roles, (u64, u64)>, told: &Told) -> Vec<(u64, Roles)> {
        let all = self.cells.iter().fold(0, |all, cell| all | cell.who);
        let number = u64::BITS - all.leading_zeros();
        if number > FEW {
            return Vec::new();
        }
        let mut absent = Vec::new();
        for (role, (known_by, _)) in of_role {
            for who in (1..1u64 << number).filter(|who| who & known_by == *who) {
                let at = self.cells.iter().position(|cell| cell.who == who);
                // of what is told by role, what is not there is known to be nought
                let is_known = at.is_some_and(|at| {
                    self.cells[at].roles.contains_key(role) || told.combinations[at] && told.by_role[at]
                });
                if !is_known {
                    absent.push((who, *role));
                }
            }
        }
        absent
    }
}

fn agencies(who: u64) -> impl Iterator<Item = u32> {
    (0..u64::BITS).filter(move |agency| who >> agency & 1 == 1)
}

impl Reader {
    fn add(&mut self, who: u64, role: Roles, count: u64) {
        let at = self.unknown.len();
        self.unknown.push((who, role, count));
        let of_agencies = agencies(who).flat_map(|agency| [Sum::OfAgency(agency), Sum::OfAgencyAndRole(agency, role)]);
        let others = [
            Sum::Total,
            Sum::OfRole(role),
            Sum::OfCombination(who),
            Sum::Cell(who, role),
        ];
        for sum in of_agencies.chain(others) {
            self.sums.entry(sum).or_default().push(at);
        }
    }

    fn places(&self, sum: Sum) -> &[usize] {
        self.sums.get(&sum).map_or(&[], Vec::as_slice)
    }

    /// A small count that is to be kept from who knows so much, and is not safe.
    fn exposed(&self, level: Level, judging: &mut Judging) -> Result<Option<Small>, TooMuch> {
        let kept_from = |sum: &Sum| judging.levels.get(sum).copied().unwrap_or(Level::Roles);
        let small: Vec<&Small> = self
            .small
            .iter()
            .filter(|small| kept_from(&small.sum) == level)
            .collect();
        let mut together = TOGETHER;
        loop {
            let waiting = small.iter().filter(|small| !judging.safe.contains(&small.sum));
            let waiting: Vec<&Small> = waiting.take(together).copied().collect();
            let Some(first) = waiting.first() else {
                return Ok(None);
            };
            if Instant::now() > judging.until {
                return Err(TooMuch);
            }
            let found = self.imagine(&waiting);
            // counts that were found for some may do for others as well
            let met = small
                .iter()
                .filter(|small| found.as_ref().is_some_and(|found| self.is_met(small, found)));
            let before = judging.safe.len();
            judging.safe.extend(met.map(|small| small.sum));
            match (judging.safe.len() > before, together) {
                (true, _) => {}
                (false, 1) => return Ok(Some(Small::clone(first))),
                // those that could not be safe together, each alone
                (false, _) => together = 1,
            }
        }
    }

    fn is_met(&self, small: &Small, found: &[f64]) -> bool {
        let places = self.places(small.sum).iter();
        let count: f64 = places.filter_map(|at| found.get(*at)).sum();
        count > self.least as f64 - ROUNDING
    }

    /// Other counts that a reader may think of, with as much as possible of what is wanted.
    fn imagine(&self, wanted: &[&Small]) -> Option<Vec<f64>> {
        // real numbers are found quickly, and often whole
        let found = self.search(wanted, false)?;
        let whole: Vec<f64> = found.iter().map(|count| count.round()).collect();
        match (self.agrees(&whole), self.unknown.len() <= WHOLE) {
            (true, _) => Some(whole),
            (false, true) => {
                let found = self.search(wanted, true)?;
                let whole: Vec<f64> = found.iter().map(|count| count.round()).collect();
                self.agrees(&whole).then_some(whole)
            }
            (false, false) => self.agrees(&found).then_some(found),
        }
    }

    /// Whether counts can be, and all that is known agrees with them.
    fn agrees(&self, found: &[f64]) -> bool {
        let sums = |sum: &Sum| {
            let places = self.places(*sum).iter();
            let found: f64 = places.filter_map(|at| found.get(*at)).sum();
            (found - self.truth(*sum) as f64).abs() < ROUNDING
        };
        found.iter().all(|count| *count > -ROUNDING) && self.known.iter().all(sums)
    }

    fn search(&self, wanted: &[&Small], whole: bool) -> Option<Vec<f64>> {
        let searching = || -> Option<Vec<f64>> {
            let mut problem = Problem::new(OptimizationDirection::Maximize);
            problem.set_time_limit(LONGEST);
            let mut count = || match whole {
                true => problem.add_integer_var(0.0, (0, i32::MAX)),
                false => problem.add_var(0.0, (0.0, f64::INFINITY)),
            };
            let counts: Vec<Variable> = self.unknown.iter().map(|_| count()).collect();
            let terms = |sum: Sum| -> Vec<(Variable, f64)> {
                let places = self.places(sum).iter();
                places.filter_map(|at| Some((*counts.get(*at)?, 1.0))).collect()
            };
            for sum in self.known.iter().filter(|sum| !self.places(**sum).is_empty()) {
                problem.add_constraint(terms(*sum), ComparisonOp::Eq, self.truth(*sum) as f64);
            }
            for small in wanted {
                let mut terms = terms(small.sum);
                terms.push((problem.add_var(1.0, (0.0, self.least as f64)), -1.0));
                problem.add_constraint(terms, ComparisonOp::Ge, 0.0);
            }
            let found = problem.solve().ok()?.into_solution().ok()?;
            Some(counts.iter().map(|variable| found.var_value(*variable)).collect())
        };
        // a solver that panics has found nothing
        catch_unwind(AssertUnwindSafe(searching)).ok().flatten()
    }

    fn truth(&self, sum: Sum) -> u64 {
        let places = self.places(sum).iter();
        places
            .filter_map(|at| self.unknown.get(*at))
            .map(|(_, _, count)| count)
            .sum()
    }
}

#[cfg(test)]
mod tests;
