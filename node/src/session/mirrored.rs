//! What a holder puts into a mirrored pass: first items of which an asker is shown the kind, then those that are hidden.

use std::collections::{BTreeSet, HashMap};

use overlap_psi::Stored;
use overlap_store::{Dataset, Selection, StoreError};

/// Which points stand for which of the own items.
pub(super) struct Mirrored {
    /// What an asker is shown the kind of.
    pub(super) partly: Selection,
    pub(super) hidden: Selection,
    /// Place of the first point that stands for a hidden item alone.
    first: u32,
    /// Places of points that stand for hidden items, with their positions among these, both ascending.
    at: Vec<(u32, u32)>,
}

impl Mirrored {
    /// Collects points, `size` at most. How many of what is partly visible find room does not depend on what is hidden; an item that both
    /// hold has one point, since two equal ones would tell of it.
    pub(super) fn collect(
        dataset: &Dataset,
        partly: Selection,
        hidden: Selection,
        size: usize,
    ) -> Result<(Self, Vec<Stored>), StoreError> {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let points = dataset.elements(&partly).take(size).map(|item| Ok(item?.stored));
        let mut points: Vec<Stored> = points.collect::<Result<_, StoreError>>()?;
        let first = number(points.len());
        let places: HashMap<[u8; 32], u32> = (0..).zip(&points).map(|(at, point)| (point.to_bytes(), at)).collect();
        let mut at = Vec::new();
        // no more are looked at than there might be room for, so that the time it takes is bounded by what is agreed
        for (position, item) in (0..).zip(dataset.elements(&hidden).take(size)) {
            let point = item?.stored;
            if let Some(place) = places.get(&point.to_bytes()) {
                at.push((*place, position));
            } else if points.len() < size {
                at.push((number(points.len()), position));
                points.push(point);
            }
        }
        let mirrored = Self {
            partly,
            hidden,
            first,
            at,
        };
        Ok((mirrored, points))
    }

    /// Positions among what is partly visible, and among what is hidden, of points that were asked about; both ascending.
    pub(super) fn positions(&self, noticed: &BTreeSet<u32>) -> (Vec<u32>, Vec<u32>) {
        let partly = noticed.range(..self.first).copied().collect();
        let hidden = self.at.iter().filter(|(place, _)| noticed.contains(place));
        let hidden: BTreeSet<u32> = hidden.map(|(_, position)| *position).collect();
        (partly, hidden.into_iter().collect())
    }
}
