//! Writes made-up exports of four agencies, their mapping files, and what they have in common.
//!
//! Rows are made and written one by one, so that a million records per agency take no more memory than a thousand.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::chance::{Chance, Shuffle};
use super::export::{self, Faults, Record};
use super::truth::Truth;
use super::world::{Agency, Slot, Slots, World};

/// What to generate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Rows per export, without the header.
    pub(crate) records_per_agency: usize,
    /// Share of each agency's subjects that another agency knows too, in `0..=1`.
    pub(crate) overlap: f64,
    /// Equal plans give equal files.
    pub(crate) seed: u64,
}

/// Writes `politie.csv`, `kmar.csv`, `iszw.csv`, `emm.csv`, their mapping files `NAME.toml`, and `truth.json` into `dir`,
/// which is made if it is not there.
///
/// # Errors
///
/// `InvalidInput` when the plan cannot be carried out ([`World::new`]); else what the file system says.
pub(crate) fn generate(plan: &Plan, dir: &Path) -> io::Result<Truth> {
    let layout = Layout::new(plan.records_per_agency as u64);
    let world = World::new(plan.seed, layout.subjects, plan.overlap)?;
    fs::create_dir_all(dir)?;
    let mut truth = Truth::of(&world, plan.seed, layout.rows(), layout.duplicates);
    for agency in Agency::ALL {
        let faults = write_export(
            &world,
            plan.seed,
            layout,
            agency,
            &dir.join(format!("{}.csv", agency.name())),
        )?;
        if let Some(export) = truth.agencies.get_mut(agency.name()) {
            export.bad_cells = faults.bad_cells;
            export.undated_names = faults.undated_names;
        }
        fs::write(dir.join(format!("{}.toml", agency.name())), export::mapping(agency))?;
    }
    let mut json = serde_json::to_string_pretty(&truth)?;
    json.push('\n');
    fs::write(dir.join("truth.json"), json)?;
    Ok(truth)
}

/// How the rows of an export are divided: first records of subjects, second records of some, and repeated rows.
#[derive(Clone, Copy)]
struct Layout {
    subjects: u64,
    second_records: u64,
    duplicates: u64,
}

impl Layout {
    fn new(rows: u64) -> Self {
        let (second_records, duplicates) = (rows / 20, rows / 50);
        Self {
            subjects: rows - second_records - duplicates,
            second_records,
            duplicates,
        }
    }

    fn rows(self) -> u64 {
        self.subjects + self.second_records + self.duplicates
    }
}

const ROW_ORDER: u64 = 200;
const EXTRA_ORDER: u64 = 201;
const ROLE: u64 = 202;
const CELLS: u64 = 203;
const SECOND: u64 = 204;

/// Writes `agency`'s rows to `path`; answers what an import must reject in them.
fn write_export(world: &World, seed: u64, layout: Layout, agency: Agency, path: &Path) -> io::Result<Faults> {
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&export::header(agency))?;
    let order = Shuffle::new(seed, ROW_ORDER + 10 * agency as u64, layout.rows());
    let extras = Shuffle::new(seed, EXTRA_ORDER + 10 * agency as u64, layout.subjects);
    let mut faults = Faults::default();
    for row in 0..layout.rows() {
        // the number of the record, the subject's place in the agency's list, and whether it is a second record
        let (number, position, second) = match order.at(row) {
            first if first < layout.subjects => (first, first, false),
            extra if extra < layout.subjects + layout.second_records => {
                (extra, extras.at(extra - layout.subjects), true)
            }
            repeat => {
                let position = extras.at(repeat - layout.subjects);
                (position, position, false)
            }
        };
        let Some((id, cohort)) = world.subject_of(agency, position) else {
            return Err(io::Error::other("a row without a subject"));
        };
        let known = world.known(id, cohort, agency);
        let record = Record {
            number,
            subject: &world.subject(id),
            slots: if second {
                some_of(known, Chance::of(seed, &[SECOND, id, agency as u64]))
            } else {
                known
            },
            role: role(Chance::of(seed, &[ROLE, id])),
            shared: cohort.shared(),
        };
        let (line, found) = export::row(agency, &record, Chance::of(seed, &[CELLS, agency as u64, number]));
        faults.bad_cells += found.bad_cells;
        faults.undated_names += found.undated_names;
        file.write_all(&line)?;
    }
    file.flush()?;
    Ok(faults)
}

/// One slot of `slots` for certain and each other one with an even chance.
fn some_of(slots: Slots, mut chance: Chance) -> Slots {
    let all: Vec<Slot> = slots.iter().collect();
    let certain = *chance.pick(&all);
    let some: Vec<Slot> = all
        .into_iter()
        .filter(|slot| *slot == certain || chance.percent(50))
        .collect();
    Slots::of(&some)
}

/// An index into the role words: suspects and victims mostly.
fn role(mut chance: Chance) -> usize {
    *chance.pick(&[0, 0, 0, 0, 1, 2, 2, 2, 3, 4])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;

    const FILES: [&str; 9] = [
        "politie.csv",
        "kmar.csv",
        "iszw.csv",
        "emm.csv",
        "politie.toml",
        "kmar.toml",
        "iszw.toml",
        "emm.toml",
        "truth.json",
    ];

    fn shipped_plan() -> Plan {
        Plan {
            records_per_agency: 1500,
            overlap: 0.1,
            seed: 2026,
        }
    }

    #[test]
    fn one_seed_gives_one_world() {
        let (one, two, other) = (
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
        );
        let plan = Plan {
            records_per_agency: 400,
            overlap: 0.3,
            seed: 5,
        };
        assert_eq!(
            generate(&plan, one.path()).unwrap(),
            generate(&plan, two.path()).unwrap()
        );
        generate(&Plan { seed: 6, ..plan }, other.path()).unwrap();
        for file in FILES {
            assert_eq!(
                fs::read(one.path().join(file)).unwrap(),
                fs::read(two.path().join(file)).unwrap(),
                "{file}"
            );
        }
        assert_ne!(
            fs::read(one.path().join("emm.csv")).unwrap(),
            fs::read(other.path().join("emm.csv")).unwrap()
        );
    }

    /// The files that come with the source are the ones that this code writes.
    #[test]
    fn shipped_files_are_up_to_date() {
        let dir = tempfile::tempdir().unwrap();
        generate(&shipped_plan(), dir.path()).unwrap();
        let shipped = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("demo");
        for file in FILES {
            let same = fs::read(dir.path().join(file)).unwrap() == fs::read(shipped.join(file)).unwrap();
            assert!(same, "demo/{file} differs; generate it again with {:?}", shipped_plan());
        }
    }

    #[test]
    fn every_export_reads_in_its_encoding_with_its_delimiter() {
        let dir = tempfile::tempdir().unwrap();
        let truth = generate(&shipped_plan(), dir.path()).unwrap();
        for (name, delimiter) in [("politie", b';'), ("kmar", b','), ("iszw", b';'), ("emm", b'\t')] {
            let bytes = fs::read(dir.path().join(format!("{name}.csv"))).unwrap();
            let text = if name == "politie" {
                assert!(
                    std::str::from_utf8(&bytes).is_err(),
                    "politie.csv happens to be UTF-8 as well"
                );
                assert!(bytes.windows(2).any(|pair| pair == b"\r\n"));
                encoding_rs::WINDOWS_1252
                    .decode_without_bom_handling(&bytes)
                    .0
                    .into_owned()
            } else {
                String::from_utf8(bytes).unwrap()
            };
            assert_eq!(text.starts_with('\u{feff}'), name == "kmar");
            assert!(!text.contains("&#"), "{name}: a letter that the encoding lacks");
            let mut reader = csv::ReaderBuilder::new()
                .delimiter(delimiter)
                .from_reader(text.as_bytes());
            let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
            let export = &truth.agencies[name];
            assert_eq!(rows.len() as u64, export.rows, "{name}");
            let distinct: BTreeSet<Vec<&str>> = rows.iter().map(|row| row.iter().collect()).collect();
            assert_eq!(distinct.len() as u64, export.rows - export.duplicate_rows, "{name}");
            let references: BTreeSet<&str> = rows.iter().map(|row| &row[0]).collect();
            assert_eq!(references.len(), distinct.len(), "{name}");
            let cells = rows.iter().map(csv::StringRecord::len).sum::<usize>() as u64;
            let per_mille = export.bad_cells * 1000 / cells;
            assert!(
                (5..20).contains(&per_mille),
                "{name}: {per_mille} bad cells in a thousand"
            );
        }
    }

    #[test]
    fn truth_adds_up() {
        let dir = tempfile::tempdir().unwrap();
        let truth = generate(&shipped_plan(), dir.path()).unwrap();
        assert_eq!((truth.pairs.len(), truth.combinations.len()), (6, 11));
        for pair in &truth.pairs {
            for (kind, number) in &pair.identifiers {
                let within = truth
                    .combinations
                    .iter()
                    .filter(|common| pair.agencies.iter().all(|name| common.agencies.contains(name)))
                    .map(|common| common.identifiers[kind])
                    .sum::<u64>();
                assert_eq!(*number, within, "{pair:?}");
                assert!(
                    pair.agencies
                        .iter()
                        .all(|name| truth.agencies[name].identifiers[kind] >= *number)
                );
            }
            assert!(
                pair.identifiers["phone"] > 0 && pair.identifiers["person"] > 0,
                "{pair:?}"
            );
        }
        let written = fs::read_to_string(dir.path().join("truth.json")).unwrap();
        assert_eq!(serde_json::from_str::<Truth>(&written).unwrap(), truth);
    }

    #[test]
    fn tiny_plans_work() {
        for records_per_agency in [0, 1, 2, 21] {
            let dir = tempfile::tempdir().unwrap();
            let plan = Plan {
                records_per_agency,
                overlap: 1.0,
                seed: 1,
            };
            assert_eq!(
                generate(&plan, dir.path()).unwrap().agencies["emm"].rows,
                records_per_agency as u64
            );
        }
    }
}
