//! The counters of an action, as one agency has them.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde::{Deserialize, Serialize};

/// What one agency asked and was asked in an action: numbers alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// What people call the action.
    pub action: String,
    /// Its window, RFC 3339.
    pub from: String,
    /// The end of its window.
    pub until: String,
    /// When it ended here, once it has.
    #[serde(default)]
    pub ended: Option<String>,
    /// Checks of own users: each counts once, however many partners it was asked of.
    pub checks: u64,
    /// By the name of the partner, and the kind of identifier.
    pub partners: BTreeMap<String, BTreeMap<String, Tally>>,
    /// By the begin of the minute, RFC 3339.
    pub minutes: BTreeMap<String, Minute>,
}

/// What was asked of one partner about one kind, and by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tally {
    /// Own checks that it was asked.
    pub asked: u64,
    /// Of these: hits.
    pub hits: u64,
    /// Of these: it could not be reached, or not in time.
    pub unreachable: u64,
    /// Of these: it refused.
    pub refused: u64,
    /// Its checks that this agency answered.
    pub answered: u64,
    /// Of these: hits that it was told of.
    pub told: u64,
    /// Of these: on records that nobody but this agency knows of.
    pub noticed: u64,
    /// Hits of either side that were confirmed.
    pub confirmed: u64,
    /// Hits of either side that were found false.
    pub found_false: u64,
}

/// What happened in one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Minute {
    /// Checks of own users.
    pub checks: u64,
    /// Checks of partners that were answered.
    pub answered: u64,
    /// Hits of either side.
    pub hits: u64,
}

/// Minutes that are told apart: nine days; what comes later is in the sums alone.
const MOST_MINUTES: usize = 9 * 24 * 60;

impl Tally {
    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.asked += other.asked;
        self.hits += other.hits;
        self.unreachable += other.unreachable;
        self.refused += other.refused;
        self.answered += other.answered;
        self.told += other.told;
        self.noticed += other.noticed;
        self.confirmed += other.confirmed;
        self.found_false += other.found_false;
    }
}

impl Figures {
    /// Of an action in which nothing has happened yet.
    pub fn new(action: &str, from: &str, until: &str) -> Self {
        Self {
            action: action.to_owned(),
            from: from.to_owned(),
            until: until.to_owned(),
            ended: None,
            checks: 0,
            partners: BTreeMap::new(),
            minutes: BTreeMap::new(),
        }
    }

    /// The counters of a partner and a kind.
    pub fn tally(&mut self, partner: &str, kind: &str) -> &mut Tally {
        let kinds = self.partners.entry(partner.to_owned()).or_default();
        kinds.entry(kind.to_owned()).or_default()
    }

    /// The counters of a minute.
    pub fn minute(&mut self, begin: &str) -> &mut Minute {
        if self.minutes.len() >= MOST_MINUTES && !self.minutes.contains_key(begin) {
            self.minutes.pop_first();
        }
        self.minutes.entry(begin.to_owned()).or_default()
    }

    /// Forgets what people made of alerts, to count it anew.
    pub fn forget_verdicts(&mut self) {
        for tally in self.partners.values_mut().flat_map(BTreeMap::values_mut) {
            (tally.noticed, tally.confirmed, tally.found_false) = (0, 0, 0);
        }
    }

    /// The sums over all partners and kinds.
    pub fn sum(&self) -> Tally {
        let mut sum = Tally::default();
        self.partners
            .values()
            .flat_map(BTreeMap::values)
            .for_each(|tally| sum.add(tally));
        sum
    }

    /// Writes a row per partner and kind.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write_csv(&self, out: impl Write) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record([
            "action",
            "partner",
            "kind",
            "asked",
            "hits",
            "unreachable",
            "refused",
            "answered",
            "told",
            "noticed",
            "confirmed",
            "false",
        ])?;
        for (partner, kinds) in &self.partners {
            for (kind, tally) in kinds {
                let numbers = [
                    tally.asked,
                    tally.hits,
                    tally.unreachable,
                    tally.refused,
                    tally.answered,
                    tally.told,
                    tally.noticed,
                    tally.confirmed,
                    tally.found_false,
                ];
                let row = [self.action.clone(), partner.clone(), kind.clone()].into_iter();
                writer.write_record(row.chain(numbers.iter().map(ToString::to_string)))?;
            }
        }
        writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day() -> Figures {
        let mut figures = Figures::new("jad", "2026-06-01T06:00:00Z", "2026-06-02T06:00:00Z");
        figures.checks = 3;
        *figures.tally("kmar", "phone") = Tally {
            asked: 3,
            hits: 2,
            confirmed: 1,
            ..Tally::default()
        };
        figures.tally("iszw", "phone").asked = 3;
        figures.minute("2026-06-01T06:01:00Z").checks = 3;
        figures
    }

    #[test]
    fn sums_are_over_all_partners_and_kinds() {
        let sum = day().sum();
        assert_eq!((sum.asked, sum.hits, sum.confirmed), (6, 2, 1));
    }

    #[test]
    fn verdicts_are_counted_anew() {
        let mut figures = day();
        figures.forget_verdicts();
        assert_eq!((figures.sum().confirmed, figures.sum().hits), (0, 2));
    }

    #[test]
    fn a_row_per_partner_and_kind() {
        let mut csv = Vec::new();
        day().write_csv(&mut csv).unwrap();
        let csv = String::from_utf8(csv).unwrap();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1], "jad,iszw,phone,3,0,0,0,0,0,0,0,0");
        assert_eq!(lines[2], "jad,kmar,phone,3,2,0,0,0,0,0,1,0");
    }

    #[test]
    fn the_oldest_minutes_give_way() {
        let mut figures = day();
        for at in 0..=MOST_MINUTES {
            figures.minute(&format!("{at:09}")).checks += 1;
        }
        assert_eq!(figures.minutes.len(), MOST_MINUTES);
        assert!(figures.minutes.contains_key(&format!("{MOST_MINUTES:09}")));
    }
}
