//! Which records take part, by the role of their subject and their visibility.

use std::collections::{BTreeMap, BTreeSet};

use overlap_records::{Record, Role, Visibility};

/// Pairs of a role and a visibility class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classes(u32);

/// The pair that a record is of.
pub(crate) type Class = u8;

const VISIBILITIES: u8 = Visibility::ALL.len() as u8;
const ALL: u32 = (1 << (Role::ALL.len() * Visibility::ALL.len())) - 1;

impl Classes {
    /// Every record.
    pub const fn all() -> Self {
        Self(ALL)
    }

    /// Records whose subject has one of these roles, and which are of one of these visibility classes.
    pub fn of(roles: &BTreeSet<Role>, visibility: &BTreeSet<Visibility>) -> Self {
        let pairs = roles
            .iter()
            .flat_map(|role| visibility.iter().map(|class| index(*role, *class)));
        Self(pairs.fold(0, |mask, class| mask | 1 << class))
    }

    /// Records that others may meet: of visibility class `a`, `b` or `c`.
    pub fn shown() -> Self {
        Self::of(&Role::ALL.into(), &[Visibility::A, Visibility::B, Visibility::C].into())
    }

    /// Records of visibility class `d`.
    pub fn hidden() -> Self {
        Self::of(&Role::ALL.into(), &[Visibility::D].into())
    }

    /// Whether one of these classes is in a set of classes.
    pub(crate) const fn meets(self, mask: u32) -> bool {
        self.0 & mask != 0
    }

    pub(crate) const fn has(self, class: Class) -> bool {
        class < 32 && self.0 & (1 << class) != 0
    }

    /// How many of items are held by a record of these classes; `held` counts items by the set of classes that hold them.
    pub(crate) fn count(self, held: &BTreeMap<u32, u64>) -> u64 {
        let here = held.iter().filter(|(mask, _)| self.meets(**mask));
        here.map(|(_, items)| items).sum()
    }
}

pub(crate) fn class(record: &Record) -> Class {
    index(record.role, record.visibility)
}

/// The role of the records of a class.
pub(crate) fn role_of(class: Class) -> Option<Role> {
    Role::ALL.into_iter().find(|role| *role as u8 == class / VISIBILITIES)
}

const fn index(role: Role, visibility: Visibility) -> Class {
    role as u8 * VISIBILITIES + visibility as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_a_class_of_its_own() {
        let mut seen = BTreeSet::new();
        for role in Role::ALL {
            for visibility in Visibility::ALL {
                let one = Classes::of(&[role].into(), &[visibility].into());
                assert!(one.has(index(role, visibility)));
                assert_eq!(role_of(index(role, visibility)), Some(role));
                assert_ne!(one.meets(Classes::shown().0), one.meets(Classes::hidden().0));
                assert!(seen.insert(one.0));
            }
        }
        assert_eq!(Classes::of(&Role::ALL.into(), &Visibility::ALL.into()), Classes::all());
        let held = [(0b01, 3), (0b10, 4), (0b11, 5)].into();
        assert_eq!(
            [Classes(0b01), Classes(0b10), Classes(0b11)].map(|one| one.count(&held)),
            [8, 9, 12]
        );
    }
}
