use proptest::prelude::*;

use super::*;

fn cells(of: &[(u64, u8, u64)]) -> Vec<Cell> {
    let mut cells: BTreeMap<u64, BTreeMap<Roles, u64>> = BTreeMap::new();
    for (who, role, count) in of.iter().filter(|(.., count)| *count > 0) {
        let roles = cells.entry(*who).or_default();
        *roles.entry(Roles::from_bits(*role).unwrap()).or_default() += count;
    }
    cells.into_iter().map(|(who, roles)| Cell { who, roles }).collect()
}

fn roles(of: &[u8]) -> BTreeSet<Roles> {
    of.iter().map(|role| Roles::from_bits(*role).unwrap()).collect()
}

/// Combinations that are told, and those that are told by role.
fn told(of: &[(u64, u8, u64)], least: u64, by: &[u8]) -> Option<(Vec<u64>, Vec<u64>)> {
    let cells = cells(of);
    let table = Table {
        cells: &cells,
        least,
        roles: roles(by),
    };
    let told = table.tell()?;
    let who = |marks: &[bool]| -> Vec<u64> {
        let told = cells.iter().zip(marks).filter(|(_, told)| **told);
        told.map(|(cell, _)| cell.who).collect()
    };
    let both: Vec<bool> = told
        .combinations
        .iter()
        .zip(&told.by_role)
        .map(|(one, other)| *one && *other)
        .collect();
    Some((who(&told.combinations), who(&both)))
}

#[test]
fn what_an_agency_has_does_not_give_a_small_count_away() {
    // three agencies, of which all three share 3: the next two columns alone would not hide it
    let counts = [90, 80, 20, 70, 15, 12, 3];
    let of: [(u64, u8, u64); 7] = std::array::from_fn(|at| (at as u64 + 1, 1, counts[at]));
    let (told, _) = told(&of, 5, &[1]).unwrap();
    assert!(!told.contains(&0b111));
    assert!(told.len() >= 2, "{told:?}");
}

#[test]
fn of_two_agencies_a_small_common_part_takes_all_with_it() {
    let of = |one, other, both| [(0b01, 1, one), (0b10, 1, other), (0b11, 1, both)];
    assert!(told(&of(100, 50, 3), 5, &[1]).is_none());
    assert_eq!(told(&of(100, 50, 5), 5, &[1]).unwrap().0, [1, 2, 3]);
    assert!(told(&of(2, 2, 0), 5, &[1]).is_none());
}

#[test]
fn totals_by_role_give_away_what_agencies_of_one_role_share() {
    // help line (victims), police and military police (suspects), and 2 that both of these know
    let three = [(0b001, 4, 20), (0b010, 1, 30), (0b100, 1, 40), (0b110, 1, 2)];
    assert!(told(&three, 5, &[1, 4]).is_none());
    // a fourth that shares enough with each of them hides it
    let four = [
        (0b0001, 4, 20),
        (0b0010, 1, 30),
        (0b0100, 1, 40),
        (0b0110, 1, 2),
        (0b1000, 1, 30),
        (0b1010, 1, 9),
        (0b1100, 1, 8),
        (0b1110, 1, 7),
    ];
    let (told, _) = told(&four, 5, &[1, 4]).unwrap();
    assert!(!told.contains(&0b0110) && told.contains(&0b0001), "{told:?}");
}

#[test]
fn small_counts_of_a_role_hide_behind_no_large_combination() {
    // only the first has suspects: its victims would be what is left of it
    let of = [(0b01, 1, 8), (0b01, 4, 2), (0b10, 4, 3), (0b10, 2, 10), (0b11, 0, 20)];
    let every = told(&of, 5, &[0, 1, 2, 4]);
    assert!(every.is_none_or(|(_, by_role)| !by_role.contains(&0b01)));
}

#[test]
fn a_total_by_role_that_is_withheld_is_not_what_the_others_leave() {
    // only the third has convicted: victims would be what is left of the total
    let of = [
        (0b001, 1, 60),
        (0b001, 4, 2),
        (0b010, 1, 40),
        (0b010, 4, 1),
        (0b100, 2, 6),
    ];
    assert!(told(&of, 5, &[1, 2]).is_none());
    assert!(
        told(&of, 5, &[]).is_some(),
        "without totals by role the combinations are told"
    );
}

#[test]
fn an_agency_that_has_next_to_nothing_takes_nobody_with_it() {
    let of = [
        (0b001, 1, 50),
        (0b010, 1, 40),
        (0b011, 1, 30),
        (0b100, 1, 2),
        (0b101, 1, 1),
    ];
    assert!(told(&of, 5, &[1]).is_some());
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
    assert!(told(&many, 5, &[0, 1, 2]).is_some());
}

#[test]
fn without_a_minimum_all_is_told_however_much_it_is() {
    let many: Vec<(u64, u8, u64)> = (1..=30_000).map(|who| (who, 1, 1)).collect();
    let (combinations, by_role) = told(&many, 1, &[1]).unwrap();
    assert_eq!((combinations.len(), by_role.len()), (30_000, 30_000));
    // with one, a table that is too large to be judged is not told
    assert!(told(&many, 2, &[1]).is_none());
}

/// How small and how large a reader can make each unknown count, found by trying all.
fn bounds(unknown: &[(u64, Roles)], known: &[(Sum, u64)]) -> Vec<Vec<f64>> {
    let covers = |sum: &Sum, (who, role): &(u64, Roles)| match sum {
        Sum::Total => true,
        Sum::OfAgency(agency) => who >> agency & 1 == 1,
        Sum::OfAgencyAndRole(agency, of) => who >> agency & 1 == 1 && of == role,
        Sum::OfRole(of) => of == role,
        Sum::OfCombination(of) => of == who,
        Sum::Cell(..) => false,
    };
    let mut all = Vec::new();
    let mut so_far = Vec::new();
    fn fill(
        unknown: &[(u64, Roles)],
        known: &[(Sum, u64)],
        so_far: &mut Vec<u64>,
        all: &mut Vec<Vec<f64>>,
        covers: &dyn Fn(&Sum, &(u64, Roles)) -> bool,
    ) {
        let Some((first, rest)) = unknown.split_first() else {
            if known.iter().all(|(_, left)| *left == 0) {
                all.push(so_far.iter().map(|count| *count as f64).collect());
            }
            return;
        };
        let most = known
            .iter()
            .filter(|(sum, _)| covers(sum, first))
            .map(|(_, left)| *left)
            .min();
        for count in 0..=most.unwrap_or_default() {
            let less = |(sum, left): &(Sum, u64)| (*sum, left - if covers(sum, first) { count } else { 0 });
            let known: Vec<(Sum, u64)> = known.iter().map(less).collect();
            so_far.push(count);
            fill(rest, &known, so_far, all, covers);
            so_far.pop();
        }
    }
    fill(unknown, known, &mut so_far, &mut all, &covers);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// By trying all counts that a reader can think of: no small one has but one value left, nor any sum of one combination or role.
    #[test]
    fn no_small_count_can_be_worked_out(
        of in prop::collection::vec((1u64..8, prop::sample::select(vec![1u8, 1, 4]), 1u64..6), 2..6),
        least in 2u64..5,
    ) {
        let cells = cells(&of);
        let total = |role: Roles| cells.iter().filter_map(|cell| cell.roles.get(&role)).sum::<u64>();
        let large: BTreeSet<Roles> = [1, 4].map(|role| Roles::from_bits(role).unwrap()).into_iter().filter(|role| total(*role) >= least).collect();
        let table = Table { cells: &cells, least, roles: large };
        let Some(told) = table.tell() else { return Ok(()) };
        let Ok(judging) = table.begin() else { return Ok(()) };
        let mut listed = BTreeSet::new();
        for level in Level::ALL {
            let Ok(reader) = table.reader(&told, level) else { return Ok(()) };
            listed.extend(reader.small.iter().map(|small| small.sum));
            let unknown: Vec<(u64, Roles)> = reader.unknown.iter().map(|(who, role, _)| (*who, *role)).collect();
            let known: Vec<(Sum, u64)> = reader.known.iter().map(|sum| (*sum, reader.truth(*sum))).collect();
            // as far as all can be tried
            prop_assume!(unknown.len() <= 9);
            let all = bounds(&unknown, &known);
            prop_assert!(!all.is_empty());
            let kept_from = |sum: &Sum| judging.levels.get(sum).copied().unwrap_or(Level::Roles);
            for small in reader.small.iter().filter(|small| kept_from(&small.sum) == level) {
                let others = all.iter().filter(|found| reader.is_met(small, found));
                prop_assert!(others.count() > 0, "{level:?}: {:?} is too small for all that can be", small.sum);
            }
        }
        // whatever is not told and small was looked at
        for (at, cell) in cells.iter().enumerate() {
            let is_listed = |sum: Sum| listed.contains(&sum);
            prop_assert!(told.combinations[at] || cell.sum() >= least || is_listed(Sum::OfCombination(cell.who)));
            prop_assert!(!told.combinations[at] || cell.sum() >= least);
            for (role, count) in &cell.roles {
                let is_told = told.combinations[at] && told.by_role[at];
                prop_assert!(*count >= least || !is_told && is_listed(Sum::Cell(cell.who, *role)));
            }
        }
    }
}
