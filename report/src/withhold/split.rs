//! Months of combinations of agencies in one role, where the sums of both are told.
//!
//! A table of rows (combinations) and columns (months). Sums of rows and of columns are told, or withheld, already. A row is told
//! by column as a whole or not at all. All rows that are not told together must not say more than one may: in each column they have nothing or the
//! minimum at least, and they are two or more, so that a count in them can be at least the minimum more or less than another
//! (the bounds of Fréchet: between no more than nought and the rest of either sum).

use std::collections::BTreeMap;

/// A row: whether its sum is told, and its counts.
pub(crate) struct Row<'a, C> {
    pub(crate) is_told: bool,
    pub(crate) cells: &'a BTreeMap<C, u64>,
}

/// Which rows may be told by column.
pub(crate) fn split<C: Ord + Copy>(rows: &[Row<'_, C>], is_told: impl Fn(C) -> bool, least: u64) -> Vec<bool> {
    let fits = |row: &Row<'_, C>| {
        row.is_told
            && row
                .cells
                .iter()
                .all(|(column, count)| *count >= least && is_told(*column))
    };
    let mut told: Vec<bool> = rows.iter().map(fits).collect();
    loop {
        let mut left: BTreeMap<C, u64> = BTreeMap::new();
        let mut number = 0;
        for (row, _) in rows.iter().zip(&told).filter(|(_, told)| !**told) {
            number += 1;
            for (column, count) in row.cells {
                *left.entry(*column).or_default() += count;
            }
        }
        // the only row that is left is what the others are not
        let alone = number == 1 && left.len() > 1;
        let small: Vec<C> = left
            .iter()
            .filter(|(column, count)| **count < least && is_told(**column))
            .map(|(column, _)| *column)
            .collect();
        let hides = |row: &Row<'_, C>| alone || small.iter().any(|column| row.cells.contains_key(column));
        let next = (0..rows.len()).filter(|at| told[*at] && hides(&rows[*at]));
        match next.min_by_key(|at| rows[*at].cells.values().sum::<u64>()) {
            Some(next) => told[next] = false,
            None => return told,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum_of(rows: &[BTreeMap<u8, u64>]) -> BTreeMap<u8, u64> {
        let mut sums = BTreeMap::new();
        for (column, count) in rows.iter().flatten() {
            *sums.entry(*column).or_default() += count;
        }
        sums
    }

    proptest! {
        /// What is not told is enough in every column, and no row stands alone, unless it is the whole table.
        #[test]
        fn what_is_left_is_never_small(
            rows in prop::collection::vec(prop::collection::btree_map(0u8..4, 1u64..20, 1..4), 1..6),
            least in 1u64..8,
        ) {
            let columns = sum_of(&rows);
            let is_told = |column: u8| columns[&column] >= least;
            let table: Vec<Row<'_, u8>> = rows
                .iter()
                .map(|cells| Row { is_told: cells.values().sum::<u64>() >= least, cells })
                .collect();
            let told = split(&table, is_told, least);
            let mut left = Vec::new();
            for (row, told) in table.iter().zip(&told) {
                match told {
                    true => prop_assert!(row.is_told && row.cells.values().all(|count| *count >= least)),
                    false => left.push(row.cells.clone()),
                }
            }
            for (column, count) in sum_of(&left) {
                prop_assert!(count >= least || !is_told(column));
            }
            prop_assert!(left.len() != 1 || rows.len() == 1 || left[0].len() == 1);
            // without a minimum all is told
            prop_assert!(least > 1 || told.iter().all(|told| *told));
        }
    }
}
