//! What a dataset holds over time: records are added, expire and are erased; and the units that reported hear of hits.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;

use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};
use overlap_audit::{Closing, Entry};
use overlap_integration_tests::{Ran, World, text_of, wait_for};
use overlap_store::{DataKey, LogSettings, Store};
use uuid::Uuid;

const MAPPING: &str = r#"
[record]
reference = "ref"
expires = "until"
origin = "unit"
[[identifier]]
kind = "phone"
columns = ["phone"]
"#;

fn load(world: &World, agency: &str, rows: &str, more: &[&str]) -> Ran {
    let (file, mapping) = (
        world.agency(agency).file("list.csv"),
        world.agency(agency).file("list.toml"),
    );
    fs::write(&file, format!("ref;phone;until;unit\n{rows}")).unwrap();
    fs::write(&mapping, MAPPING).unwrap();
    world.import_file(agency, "operator", &file, &mapping, &[&["--json"], more].concat())
}

fn hits(world: &World) -> Vec<String> {
    let found = world.ask("hits", &["--kind", "phone"]).json();
    let mut found: Vec<String> = found["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| text_of(&hit["reference"]).to_owned())
        .collect();
    found.sort();
    found
}

#[test]
fn expired_records_take_no_part_and_are_purged_as_an_erasure() {
    let world = World::of_two(
        "ref;phone\nx;06-10000009\n",
        "ref;phone\na;06-10000001\nb;06-10000002\n",
    );
    let rows = "A;06-10000001;2020-01-01;\nB;06-10000002;2099-01-01;\nC;06-10000003;;\n";
    let imported = load(&world, "politie", rows, &[]).json();
    assert_eq!(imported["dataset"]["records"], 3);
    assert_eq!(imported["dataset"]["withheld"], 1);
    assert_eq!(hits(&world), ["B"]);

    let purged = world.json("politie", "operator", &["dataset", "purge"]);
    assert_eq!(purged["datasets"][0]["erased"], 1);
    assert_eq!(purged["datasets"][0]["dataset"]["records"], 2);
    assert_eq!(purged["datasets"][0]["dataset"]["withheld"], 0);
    assert_eq!(hits(&world), ["B"]);
    let erasure = |world: &World| {
        let entries = world.entries("politie");
        entries
            .into_iter()
            .filter(|one| one["entry"]["operation"] == "erasure")
            .collect::<Vec<_>>()
    };
    let entries = erasure(&world);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["closing"]["output_count"], 1);
    assert_eq!(entries[0]["entry"]["dataset"], "cases");
    assert!(text_of(&entries[0]["entry"]["reason"]).contains("retention"));

    // nothing is left to erase
    let again = world.json("politie", "operator", &["dataset", "purge", "cases"]);
    assert!(again["datasets"].as_array().unwrap().is_empty());
    assert_eq!(erasure(&world).len(), 1);
    let ran = world.run("politie", "analyst", &["dataset", "purge"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    let ran = world.run("politie", "operator", &["dataset", "purge", "nothing"]);
    assert!(ran.stderr.contains("no dataset has the name nothing"), "{ran:?}");
}

#[test]
fn a_node_purges_by_itself_when_it_starts() {
    let mut world = World::of_two("ref;phone\nx;06-10000009\n", "ref;phone\na;06-10000001\n");
    load(&world, "politie", "A;06-10000001;2020-01-01;\nB;06-10000002;;\n", &[]).json();
    world.agency_mut("politie").stop();
    world.start("politie");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let listed = world.json("politie", "operator", &["dataset", "list"]);
        if listed[0]["records"] == 1 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{listed}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let entry = world.entries("politie").remove(0);
    assert_eq!(entry["entry"]["operation"], "erasure");
    assert!(entry["entry"]["person"].is_null(), "the node's own work");
}

#[test]
fn records_are_added_to_what_is_there() {
    let world = World::of_two(
        "ref;phone\nx;06-10000009\n",
        "ref;phone\na;06-10000001\nb;06-10000002\nc;06-10000003\n",
    );
    load(&world, "politie", "A;06-10000001;;\nD;06-10000004;2020-01-01;\n", &[]).json();
    let added = load(&world, "politie", "B;06-10000002;;\nE;06-10000001;;\n", &["--append"]).json();
    assert_eq!(added["dataset"]["records"], 4);
    assert_eq!(added["dataset"]["withheld"], 1);
    assert_eq!(added["dataset"]["items"]["phone"], 2);
    assert_eq!(hits(&world), ["A", "B", "E"]);
    let entry = world
        .entries("politie")
        .into_iter()
        .find(|one| one["entry"]["operation"] == "collection")
        .unwrap();
    assert_eq!(entry["closing"]["output_count"], 2, "those that were added");
    assert!(text_of(&entry["closing"]["detail"]).starts_with("added to version"));
    let (file, mapping) = (
        world.agency("politie").file("list.csv"),
        world.agency("politie").file("list.toml"),
    );
    let arguments = [
        "dataset",
        "import",
        file.to_str().unwrap(),
        "--dataset",
        "csaes",
        "--mapping",
        mapping.to_str().unwrap(),
    ];
    let ran = world.run("politie", "operator", &[&arguments[..], &["--append"]].concat());
    assert!(
        ran.code == 2 && ran.stderr.contains("no dataset has the name csaes"),
        "{ran:?}"
    );
    // a replacement starts anew
    let replaced = load(&world, "politie", "C;06-10000003;;\n", &[]).json();
    assert_eq!(replaced["dataset"]["records"], 1);
    assert_eq!(hits(&world), ["C"]);
    // what cannot be read leaves everything as it was
    let ran = load(&world, "politie", "B;06-10000002;;\nE;06-10000001;;;;\n", &["--append"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(hits(&world), ["C"]);
}

#[test]
fn each_unit_gets_its_own_hits_back() {
    let world = World::of_two(
        "ref;phone\nx;06-10000009\n",
        "ref;phone\na;06-10000001\nb;06-10000002\nc;06-10000003\n",
    );
    let rows = "A;06-10000001;;Team Noord\nB;06-10000002;;Team Zuid\nB2;06-10000002;;Team Noord\nC;06-10000003;;\n";
    load(&world, "politie", rows, &[]).json();
    assert_eq!(hits(&world).len(), 4);
    let to = world.path("feedback");
    let to = to.to_str().unwrap();
    let export = [
        "hits",
        "export",
        "--by",
        "origin",
        "--reason",
        "weekly feedback",
        "--to",
        to,
    ];
    let files = world.json("politie", "analyst", &export);
    assert_eq!(files.as_array().unwrap().len(), 3);
    let north = fs::read_to_string(world.path("feedback/team-noord.csv")).unwrap();
    assert_eq!(north.lines().count(), 3, "{north}");
    assert!(
        north.contains("A") && north.contains("B2") && !north.contains("Team Zuid"),
        "{north}"
    );
    assert!(
        fs::read_to_string(world.path("feedback/no-origin.csv"))
            .unwrap()
            .contains("+31610000003")
    );
    // what is there is not overwritten
    let ran = world.run("politie", "analyst", &export);
    assert!(ran.code == 2 && ran.stderr.contains("exists already"), "{ran:?}");
    // reading is an entry, and not for everyone
    let entry = world
        .entries("politie")
        .into_iter()
        .find(|one| one["entry"]["operation"] == "consultation")
        .unwrap();
    assert_eq!(
        (&entry["closing"]["output_count"], &entry["entry"]["reason"]),
        (&4.into(), &"weekly feedback".into())
    );
    let ran = world.run("politie", "auditor", &["hits", "list", "--reason", "curious"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    // what a new import leaves out is erased with what was found of it, and so is what expired meanwhile
    load(
        &world,
        "politie",
        "A;06-10000001;;Team Noord\nB;06-10000002;2020-01-01;Team Zuid\n",
        &[],
    )
    .json();
    let list = ["hits", "list", "--reason", "a test"];
    let references = || {
        let found = world.json("politie", "analyst", &list);
        let found: Vec<_> = found
            .as_array()
            .unwrap()
            .iter()
            .map(|hit| hit["reference"].clone())
            .collect();
        found
    };
    assert_eq!(references(), ["A", "B"]);
    world.json("politie", "operator", &["dataset", "purge"]);
    assert_eq!(references(), ["A"]);
    // erased with its dataset
    world.json(
        "politie",
        "operator",
        &["dataset", "erase", "cases", "--reason", "a test"],
    );
    let left = world.json("politie", "analyst", &["hits", "list", "--reason", "a test"]);
    assert!(left.as_array().unwrap().is_empty());
}

/// A node that has a log of ten days ago, as if it had been there.
fn with_old_entries(world: &World, agency: &str, count: u32) {
    let agency = world.agency(agency);
    let key = DataKey::from_hex(&fs::read_to_string(agency.file("data.key")).unwrap()).unwrap();
    let id = format!("spiffe://overlap.example/agency/{}", agency.name);
    let settings = LogSettings {
        name: overlap_audit::log_name(&id),
        hands_on: false,
    };
    fs::create_dir_all(agency.file("state")).unwrap();
    let store = Store::open(&agency.file("state/db"), &key, &settings).unwrap();
    for n in 0..count {
        let started = Timestamp::now() - SignedDuration::from_hours(240);
        let started = Timestamp::from_second(started.as_second()).unwrap();
        let entry: Entry = serde_json::from_value(serde_json::json!({
            "id": Uuid::now_v7(), "transaction": Uuid::now_v7(), "started": started, "operation": "consultation", "side": "holder",
            "holder": id, "person": "spiffe://politie.example/user/CANARY", "reason": format!("long ago {n}"),
            "recipients": [], "kinds": [], "visibility": [], "software": "overlap/test",
        }))
        .unwrap();
        let closing: Closing =
            serde_json::from_value(serde_json::json!({ "id": entry.id, "ended": started, "outcome": "done" })).unwrap();
        block_on(store.log().record(&entry, &closing)).unwrap();
    }
}

#[test]
fn the_log_is_shredded_after_its_term_and_still_proves_itself() {
    let mut world = World::new(&["politie", "kmar"]);
    world.agency_mut("politie").configuration = "[limits]\nkeep_log = \"2days\"\n".into();
    world.configure();
    with_old_entries(&world, "politie", 30);
    world.start("politie");
    let shredding = || {
        let entries = world.entries("politie");
        entries.into_iter().find(|entry| entry["entry"]["mode"] == "shred-log")
    };
    wait_for("the log is shredded", || {
        shredding().is_some_and(|entry| !entry["closing"].is_null())
    });
    let logged = shredding().unwrap();
    assert_eq!(logged["closing"]["output_count"], 60, "{logged}");
    let listed = world.entries("politie");
    assert_eq!(listed.len(), 1, "what was shredded is found no more");

    let export = world.export_log("politie", "politie.log");
    let report = Ran::overlap(&["--json", "log", "verify", export.to_str().unwrap()]).json();
    assert_eq!(
        (&report["shredded"], &report["problems"]),
        (&60.into(), &serde_json::json!([])),
        "{report}"
    );
    assert!(!fs::read_to_string(&export).unwrap().contains("CANARY"));
    let proof = world.path("proof.json");
    let arguments = [
        "log",
        "prove",
        export.to_str().unwrap(),
        "--index",
        "5",
        "--out",
        proof.to_str().unwrap(),
    ];
    assert_eq!(Ran::overlap(&arguments).code, 0);
    let checked = Ran::overlap(&["--json", "log", "check", proof.to_str().unwrap()]).json();
    assert_eq!(checked["has"], serde_json::json!([[5, null]]));
    // and the node finds nothing wrong with it when it starts again
    world.agency_mut("politie").stop();
    world.start("politie");
    assert_eq!(world.status("politie")["alarms"], serde_json::json!([]));
}
