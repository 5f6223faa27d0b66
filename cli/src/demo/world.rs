//! The made-up subjects, which agencies know them, and which identifiers each agency has.
//!
//! A subject follows from the seed and its number alone, so nothing is kept in memory, and values are unique because each is
//! a permutation of that number.

use std::io;

use super::chance::{Chance, Shuffle};
use super::values::{self, Date, Phone};
use super::words;

/// More subjects than this and the shortest identifier (a plate, a seven-digit phone block) could run out.
pub(crate) const MAX_SUBJECTS: u64 = 4_000_000;

/// The four agencies of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agency {
    Politie,
    Kmar,
    Iszw,
    Emm,
}

impl Agency {
    pub(crate) const ALL: [Self; 4] = [Self::Politie, Self::Kmar, Self::Iszw, Self::Emm];

    /// Name of the agency and of its files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Politie => "politie",
            Self::Kmar => "kmar",
            Self::Iszw => "iszw",
            Self::Emm => "emm",
        }
    }

    /// What its export has columns for.
    fn columns(self) -> Slots {
        use Slot::*;
        match self {
            Self::Politie => Slots::of(&[Person, Phone, Phone2, Email, Iban, Plate, Bsn]),
            Self::Kmar => Slots::of(&[Person, Phone, Plate, Document]),
            Self::Iszw => Slots::of(&[Person, Phone, Email, Iban, Bsn]),
            Self::Emm => Slots::of(&[Person, Phone, Phone2, Email, Iban, Plate, Document, Bsn]),
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// One identifier that a subject can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Person,
    Phone,
    Phone2,
    Email,
    Iban,
    Plate,
    Document,
    Bsn,
}

impl Slot {
    pub(crate) const ALL: [Self; 8] = [
        Self::Person,
        Self::Phone,
        Self::Phone2,
        Self::Email,
        Self::Iban,
        Self::Plate,
        Self::Document,
        Self::Bsn,
    ];

    /// The identifier kind, as in a mapping file.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Phone | Self::Phone2 => "phone",
            Self::Email => "email",
            Self::Iban => "iban",
            Self::Plate => "plate",
            Self::Document => "document",
            Self::Bsn => "bsn",
        }
    }
}

/// A set of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slots(u8);

impl Slots {
    pub(crate) fn of(slots: &[Slot]) -> Self {
        Self(slots.iter().fold(0, |bits, slot| bits | 1 << *slot as u8))
    }

    pub(crate) fn has(self, slot: Slot) -> bool {
        self.0 & 1 << slot as u8 != 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Slot> {
        Slot::ALL.into_iter().filter(move |slot| self.has(*slot))
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn with(self, slot: Slot) -> Self {
        Self(self.0 | 1 << slot as u8)
    }

    fn without(self, slot: Slot) -> Self {
        Self(self.0 & !(1 << slot as u8))
    }
}

/// Subjects with consecutive numbers that the same agencies know.
#[derive(Clone, Copy)]
pub(crate) struct Cohort {
    agencies: u8,
    start: u64,
    len: u64,
}

impl Cohort {
    pub(crate) fn agencies(self) -> impl Iterator<Item = Agency> {
        Agency::ALL.into_iter().filter(move |agency| self.knows(*agency))
    }

    pub(crate) fn knows(self, agency: Agency) -> bool {
        self.agencies & agency.bit() != 0
    }

    pub(crate) fn shared(self) -> bool {
        self.agencies.count_ones() > 1
    }

    /// The numbers of its subjects.
    pub(crate) fn subjects(self) -> std::ops::Range<u64> {
        self.start..self.start + self.len
    }
}

/// Everyone there is.
pub(crate) struct World {
    seed: u64,
    cohorts: Vec<Cohort>,
    numbers: [Shuffle; 7],
    bsn_block: u64,
}

/// What all agencies together know of one subject.
pub(crate) struct Subject {
    pub(crate) given: &'static str,
    pub(crate) particle: &'static str,
    pub(crate) family: &'static str,
    pub(crate) born: Date,
    pub(crate) phones: [Phone; 2],
    pub(crate) email: String,
    pub(crate) iban: String,
    /// In groups: `12`, `BDF`, `3`.
    pub(crate) plate: [String; 3],
    pub(crate) document: String,
    pub(crate) bsn: String,
}

impl World {
    /// A world in which each agency knows `per_agency` subjects and shares `overlap` of them with at least one other.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for an `overlap` outside `0..=1` or for more than [`MAX_SUBJECTS`] subjects.
    pub(crate) fn new(seed: u64, per_agency: u64, overlap: f64) -> io::Result<Self> {
        if !(0.0..=1.0).contains(&overlap) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "overlap must lie between 0 and 1",
            ));
        }
        let (cohorts, total) = cohorts(per_agency, overlap);
        if total > MAX_SUBJECTS {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{total} subjects asked for; identifiers stay unique up to {MAX_SUBJECTS}"),
            ));
        }
        let block = values::power_of_ten(2 * total);
        let bsn_block = values::power_of_ten(total.div_ceil(9));
        let persons = words::names() * values::BIRTH_DAYS;
        let sizes = [persons, block, block, block, values::PLATES, block, 9 * bsn_block];
        let numbers = std::array::from_fn(|i| Shuffle::new(seed, i as u64, sizes[i]));
        Ok(Self {
            seed,
            cohorts,
            numbers,
            bsn_block,
        })
    }

    pub(crate) fn cohorts(&self) -> &[Cohort] {
        &self.cohorts
    }

    /// The subject at `position` in `agency`'s own list, and its cohort.
    pub(crate) fn subject_of(&self, agency: Agency, mut position: u64) -> Option<(u64, Cohort)> {
        for cohort in self.cohorts.iter().filter(|cohort| cohort.knows(agency)) {
            if position < cohort.len {
                return Some((cohort.start + position, *cohort));
            }
            position -= cohort.len;
        }
        None
    }

    /// What `agency` knows of subject `id`: never nothing, and of a shared subject at least one thing that every agency of
    /// the cohort knows.
    pub(crate) fn known(&self, id: u64, cohort: Cohort, agency: Agency) -> Slots {
        let mut chance = Chance::of(self.seed, &[HOLDINGS, id]);
        let mut held = Slots::of(&[Slot::Person, Slot::Phone]);
        for (slot, percent) in [
            (Slot::Phone2, 25),
            (Slot::Email, 35),
            (Slot::Iban, 40),
            (Slot::Plate, 35),
            (Slot::Document, 60),
            (Slot::Bsn, 45),
        ] {
            if chance.percent(percent) {
                held = held.with(slot);
            }
        }
        let common = cohort
            .agencies()
            .fold(held, |slots, member| slots.and(member.columns()))
            .without(Slot::Phone2);
        let common: Vec<Slot> = common.iter().collect();
        let anchor = *chance.pick(&common);

        let mut chance = Chance::of(self.seed, &[KNOWLEDGE, id, agency as u64]);
        let share = if cohort.shared() { 40 } else { 75 };
        held.and(agency.columns())
            .iter()
            .fold(Slots::of(&[anchor]), |known, slot| {
                if chance.percent(share) { known.with(slot) } else { known }
            })
    }

    /// All of subject `id`.
    pub(crate) fn subject(&self, id: u64) -> Subject {
        let [persons, phones, emails, accounts, plates, documents, bsns] = &self.numbers;
        let mut chance = Chance::of(self.seed, &[SUBJECT, id]);
        let person = persons.at(id);
        let (given, particle, family) = words::name(person / values::BIRTH_DAYS);
        let first = words::fold(given).to_ascii_lowercase().replace(' ', "");
        let last = words::fold(family).to_ascii_lowercase();
        let domain = chance.pick(&["example.com", "example.org", "example.net"]);
        Subject {
            given,
            particle,
            family,
            born: values::birth_date(person % values::BIRTH_DAYS),
            phones: [
                values::phone(phones.at(2 * id), &mut chance),
                values::phone(phones.at(2 * id + 1), &mut chance),
            ],
            email: format!("{first}.{last}{}@{domain}", emails.at(id)),
            iban: values::iban(accounts.at(id), &mut chance),
            plate: values::plate(plates.at(id)),
            document: values::document(documents.at(id), &mut chance),
            bsn: values::bsn(bsns.at(id), self.bsn_block),
        }
    }
}

const HOLDINGS: u64 = 100;
const KNOWLEDGE: u64 = 101;
const SUBJECT: u64 = 102;

/// All agency combinations, sized so that every agency shares the same number of subjects.
fn cohorts(per_agency: u64, overlap: f64) -> (Vec<Cohort>, u64) {
    let shared = per_agency as f64 * overlap;
    let mut total = 0;
    let mut next = |agencies: u8, len: u64| {
        let cohort = Cohort {
            agencies,
            start: total,
            len,
        };
        total += len;
        cohort
    };
    let mut cohorts = Vec::new();
    for agencies in 1u8..16 {
        // complementary pairs weigh the same: that keeps the agencies equal
        let weight = match agencies {
            0b0011 | 0b1100 => 0.30,
            0b0101 | 0b1010 => 0.18,
            0b1001 | 0b0110 => 0.24,
            0b1111 => 0.07,
            triple if triple.count_ones() == 3 => 0.07,
            _ => continue,
        };
        cohorts.push(next(agencies, (shared * weight).round() as u64));
    }
    for agency in Agency::ALL {
        let known: u64 = cohorts
            .iter()
            .filter(|cohort| cohort.knows(agency))
            .map(|cohort| cohort.len)
            .sum();
        cohorts.push(next(agency.bit(), per_agency.saturating_sub(known)));
    }
    (cohorts, total)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn values_are_unique_between_subjects() {
        let world = World::new(9, 5000, 0.1).unwrap();
        let total: u64 = world.cohorts().iter().map(|cohort| cohort.len).sum();
        let mut seen = HashSet::new();
        for id in 0..total {
            let subject = world.subject(id);
            let born = subject.born;
            for value in [
                format!(
                    "{} {} {}-{}-{}",
                    subject.given, subject.family, born.year, born.month, born.day
                ),
                subject.email,
                subject.iban,
                subject.plate.concat(),
                subject.document,
                subject.bsn,
            ] {
                assert!(seen.insert(value.clone()), "{value} twice");
            }
            for phone in subject.phones {
                assert!(
                    seen.insert(format!("+{}{}", phone.country, phone.national)),
                    "{} twice",
                    phone.national
                );
            }
        }
    }

    #[test]
    fn every_agency_shares_what_was_asked_and_knows_something() {
        let world = World::new(3, 2000, 0.25).unwrap();
        for agency in Agency::ALL {
            let mine = world.cohorts().iter().filter(|cohort| cohort.knows(agency));
            let (all, shared) = mine.fold((0, 0), |(all, shared), cohort| {
                (all + cohort.len, shared + if cohort.shared() { cohort.len } else { 0 })
            });
            assert_eq!((all, shared), (2000, 500), "{agency:?}");
        }
        for cohort in world.cohorts() {
            for id in cohort.subjects() {
                let common = cohort
                    .agencies()
                    .map(|agency| world.known(id, *cohort, agency))
                    .reduce(Slots::and)
                    .unwrap();
                assert_ne!(common, Slots::of(&[]), "subject {id}");
            }
        }
    }

    #[test]
    fn impossible_plans_are_refused() {
        assert!(World::new(0, 10, 1.5).is_err());
        assert!(World::new(0, 2_000_000, 0.0).is_err());
        assert!(World::new(0, 0, 0.0).is_ok());
    }
}
