//! The demo finds what a plain intersection of the canonical forms finds; and of persons, candidates beyond those written alike.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::{Path, PathBuf},
};

use overlap_integration_tests::Ran;
use overlap_records::{Import, Kind, Mapping};
use serde_json::Value;

/// Every canonical identifier of an export, with the references of its records.
fn read(directory: &Path, agency: &str) -> BTreeMap<(Kind, String), BTreeSet<String>> {
    let mapping = std::fs::read_to_string(directory.join(format!("{agency}.toml"))).unwrap();
    let mapping = Mapping::parse(&mapping).unwrap();
    let file = File::open(directory.join(format!("{agency}.csv"))).unwrap();
    let mut identifiers: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for row in Import::open(file, agency, &mapping).unwrap() {
        let Some(record) = row.unwrap().record else { continue };
        for identifier in &record.identifiers {
            let key = (identifier.kind(), identifier.canonical().to_owned());
            identifiers.entry(key).or_default().insert(record.reference.clone());
        }
    }
    identifiers
}

fn kinds(result: &Value) -> BTreeSet<Kind> {
    result["kinds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind.as_str().unwrap().parse().unwrap())
        .collect()
}

#[test]
fn demo_equals_a_plain_intersection() {
    let ran = Ran::overlap(&["--json", "demo"]);
    let demo = ran.json();
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../cli/demo");
    let rows: u64 = demo["imports"]
        .as_object()
        .unwrap()
        .values()
        .map(|import| import["summary"]["rows"].as_u64().unwrap())
        .sum();
    assert!(rows >= 5000, "{rows} rows");

    // the match, and each time that a hit was followed up
    assert!(demo["audit"]["agreed"].as_u64().unwrap() >= 5);
    let follow_ups = demo["follow_ups"].as_array().unwrap();
    let states: Vec<_> = follow_ups.iter().map(|one| (&one["state"], &one["declined"])).collect();
    let declined = serde_json::json!("investigation");
    assert_eq!(
        states,
        [(&"disclosed".into(), &Value::Null), (&"declined".into(), &declined)]
    );
    assert!(follow_ups[0]["disclosed"][0]["reference"].is_string());
    assert_eq!(demo["audit"]["discrepancies"], serde_json::json!([]));
    let hits = &demo["matches"][0];
    let compared = kinds(&hits["result"]);
    let (politie, kmar) = (read(&data, "politie"), read(&data, "kmar"));
    let expected: BTreeSet<(Kind, String, String)> = politie
        .iter()
        .filter(|(key, _)| compared.contains(&key.0) && kmar.contains_key(*key))
        .flat_map(|((kind, canonical), references)| {
            references
                .iter()
                .map(move |reference| (*kind, canonical.clone(), reference.clone()))
        })
        .collect();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let found: BTreeSet<_> = hits["result"]["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| {
            (
                text(&hit["kind"]).parse().unwrap(),
                text(&hit["identifier"]),
                text(&hit["reference"]),
            )
        })
        .collect();
    let (persons, numbered): (BTreeSet<_>, BTreeSet<_>) =
        expected.into_iter().partition(|(kind, ..)| *kind == Kind::Person);
    assert_eq!(found, numbered);
    let distinct: BTreeSet<_> = numbered.iter().map(|(kind, canonical, _)| (kind, canonical)).collect();
    assert!(distinct.len() > 50);
    let candidates = hits["result"]["candidates"].as_array().unwrap();
    let candidates: BTreeSet<_> = candidates.iter().map(|one| text(&one["reference"])).collect();
    assert!(persons.iter().all(|(_, _, reference)| candidates.contains(reference)));
    // made-up people share names and birthdays more than real ones do: some candidates are chance, most are not
    assert!(
        candidates.len() < 2 * persons.len(),
        "{} of {}",
        candidates.len(),
        persons.len()
    );

    let count = &demo["matches"][1]["result"];
    let compared = kinds(count);
    let iszw = read(&data, "iszw");
    // a person counts by names and whole birth date
    let counts = |key: &&(Kind, String)| key.0 != Kind::Person || !key.1.contains("-00");
    let common = iszw
        .keys()
        .filter(counts)
        .filter(|key| compared.contains(&key.0) && politie.contains_key(*key))
        .count();
    assert_eq!(count["count"], common);

    // and what the makers of the exports know to be in common, by construction
    let truth: Value = serde_json::from_str(&std::fs::read_to_string(data.join("truth.json")).unwrap()).unwrap();
    let pair = |a: &str, b: &str, kinds: &BTreeSet<Kind>| -> u64 {
        let pairs = truth["pairs"].as_array().unwrap();
        let agencies = [serde_json::json!([a, b]), serde_json::json!([b, a])];
        let pair = pairs.iter().find(|pair| agencies.contains(&pair["agencies"])).unwrap();
        kinds
            .iter()
            .map(|kind| pair["identifiers"][kind.as_str()].as_u64().unwrap())
            .sum()
    };
    let of_numbers = kinds(&hits["result"]).into_iter().filter(|kind| *kind != Kind::Person);
    assert_eq!(distinct.len() as u64, pair("politie", "kmar", &of_numbers.collect()));
    assert_eq!(count["count"], pair("iszw", "politie", &compared));

    for entry in demo["matches"].as_array().unwrap() {
        let transaction = &entry["result"]["transaction"];
        assert_eq!(&entry["asker_entry"]["entry"]["transaction"], transaction);
        assert_eq!(&entry["holder_entry"]["entry"]["transaction"], transaction);
        assert!(
            entry["bytes_asker_to_holder"].as_u64().unwrap() > 32 * entry["result"]["own_set_size"].as_u64().unwrap()
        );
    }
}

#[test]
fn demo_tells_its_story_and_cleans_up() {
    let directory = tempfile::tempdir().unwrap();
    let ran = Ran::overlap(&["demo", "--dir", directory.path().to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for words in [
        "politie asks kmar WHICH",
        "iszw asks politie HOW MANY",
        "No name, no number",
        "transaction",
        "log of kmar",
    ] {
        assert!(ran.stdout.contains(words), "{words}");
    }
    assert_eq!(
        std::fs::read_dir(directory.path()).unwrap().count(),
        0,
        "what was made is gone"
    );

    let kept = directory.path().join("kept");
    let ran = Ran::overlap(&["demo", "--dir", kept.to_str().unwrap(), "--keep"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let checked = Ran::overlap_node(&["--config", kept.join("politie/node.toml").to_str().unwrap(), "--check"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.stdout.contains("agreements pin its key"), "{checked:?}");
    assert_eq!(
        Ran::overlap(&["demo", "--dir", kept.to_str().unwrap()]).code,
        2,
        "a used directory is not touched"
    );
}

#[test]
fn larger_exports_are_generated_alike_from_a_seed() {
    let directory = tempfile::tempdir().unwrap();
    let generate = |name: &str, seed: &str| {
        let into = directory.path().join(name);
        let arguments = [
            "demo",
            "generate",
            "--dir",
            into.to_str().unwrap(),
            "--records",
            "400",
            "--overlap",
            "0.3",
            "--seed",
            seed,
        ];
        assert_eq!(Ran::overlap(&arguments).code, 0);
        std::fs::read(into.join("kmar.csv")).unwrap()
    };
    let a = directory.path().join("a");
    assert_eq!(generate("a", "1"), generate("b", "1"));
    assert_eq!(
        Ran::overlap(&["demo", "generate", "--dir", a.to_str().unwrap()]).code,
        2,
        "what is there is kept"
    );
    assert_ne!(generate("c", "1"), generate("d", "2"));
}
