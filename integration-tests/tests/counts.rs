//! Counts that would tell, one beside the other, of a few items.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;

use overlap_integration_tests::{Agreement, World};
use serde_json::{Value, json};

/// Numbers of which kmar holds the even ones; every sixth of those as a victim's.
fn csv(numbers: impl Iterator<Item = u32>) -> String {
    let rows = numbers.map(|n| format!("r{n};06-1{n:07};{}\n", if n % 12 == 0 { "victim" } else { "suspect" }));
    format!("ref;phone;role\n{}", rows.collect::<String>())
}

fn import(world: &World, agency: &str, csv: &str) {
    let (file, mapping) = world.write_export(agency, csv);
    let toml = fs::read_to_string(&mapping).unwrap();
    fs::write(&mapping, toml.replace("[record]\n", "[record]\nrole = \"role\"\n")).unwrap();
    let ran = world.import_file(agency, "operator", &file, &mapping, &["--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

fn count(world: &World, numbers: impl Iterator<Item = u32>, more: &[&str]) -> (Value, Value) {
    import(world, "politie", &csv(numbers));
    let found = world.ask("count", &[&["--kind", "phone"], more].concat()).json();
    (found["count"].clone(), found["suppressed_below"].clone())
}

#[test]
fn a_person_is_not_told_apart_by_two_counts() {
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&Agreement {
        grant: "min_count = 5",
        ..Agreement::between("politie", "kmar")
    });
    world.configure();
    for name in ["politie", "kmar"] {
        world.start(name);
    }
    import(&world, "kmar", &csv((0..60).filter(|n| n % 2 == 0)));
    let untold = (Value::Null, json!(5));
    assert_eq!(count(&world, 0..60, &[]), (json!(30), Value::Null));
    assert_eq!(
        count(&world, 0..60, &[]),
        (json!(30), Value::Null),
        "again, it says no more"
    );
    // less by one: whether kmar holds it would be told
    assert_eq!(count(&world, 0..59, &[]), untold);
    assert_eq!(count(&world, (0..60).filter(|n| *n != 4), &[]), untold);
    let entry = world.newest_match("politie");
    assert_eq!(entry["closing"]["output_count"], Value::Null, "nor by the log");
    // with made-up numbers that nobody holds, the same
    assert_eq!(count(&world, (1..60).chain(1000..1100), &[]), untold);
    // another part of the set is as good a question as before
    assert_eq!(count(&world, 0..30, &[]), (json!(15), Value::Null));
    // all but the suspects are the victims, of whom there are five: as few as may be told
    assert_eq!(count(&world, 0..60, &["--role", "suspect"]), (json!(25), Value::Null));
    assert_eq!(
        count(&world, 0..30, &["--role", "suspect"]),
        untold,
        "three victims among half of them"
    );

    // it is remembered over a restart, and held against another edition of the dataset too
    world.agency_mut("politie").kill();
    world.start("politie");
    assert_eq!(count(&world, (0..60).filter(|n| *n != 8), &[]), untold);
}
