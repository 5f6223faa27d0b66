//! Two agencies find out which identifiers they share; both logs tell of it.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use overlap_integration_tests::{Agreement, PURPOSE, World};
use serde_json::Value;

fn export(numbers: impl Iterator<Item = u32>) -> String {
    let rows = numbers.map(|n| format!("dossier-{n};06-{:08};person{n}@example.org", 10_000_000 + n));
    [vec!["ref;phone;email".to_owned()], rows.collect()].concat().join("\n")
}

#[test]
fn hits_count_and_both_logs() {
    let mut world = World::of_two(&export(0..300), &export(250..1000));

    let hits = world.ask("hits", &["--kind", "phone"]).json();
    let found: BTreeSet<&str> = hits["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| hit["identifier"].as_str().unwrap())
        .collect();
    let expected: Vec<String> = (250..300).map(|n| format!("+316{:08}", 10_000_000 + n)).collect();
    assert_eq!(found, expected.iter().map(String::as_str).collect());
    assert_eq!(hits["count"], 50);
    assert_eq!(hits["own_set_size"], 300);
    assert_eq!(hits["peer_set_size"], 750);
    assert!(
        hits["hits"]
            .as_array()
            .unwrap()
            .iter()
            .any(|hit| hit["reference"] == "dossier-250")
    );

    let count = world.ask("count", &[]).json();
    assert_eq!(count["count"], 100, "phones and e-mail addresses");
    assert_eq!(count["hits"], Value::Array(vec![]));

    // the larger set asks the smaller: the other order of the protocol
    world.agree(&Agreement {
        id: "back",
        ..Agreement::between("kmar", "politie")
    });
    for name in ["politie", "kmar"] {
        world.agency_mut(name).stop();
        world.start(name);
    }
    let ask = |mode: &str| {
        let arguments = [
            "match",
            "--peer",
            "politie",
            "--dataset",
            "cases",
            "--purpose",
            PURPOSE,
            "--case",
            "7",
        ];
        world.json(
            "kmar",
            "analyst",
            &[&arguments[..], &["--reason", "a test", "--mode", mode]].concat(),
        )
    };
    assert_eq!(ask("hits")["hits"].as_array().unwrap().len(), 100);
    assert_eq!(ask("count")["count"], 100);

    for (result, outcomes) in [(&hits, ["hit", "done"]), (&count, ["hit", "done"])] {
        let transaction = result["transaction"].as_str().unwrap();
        let mut of_both = Vec::new();
        for (agency, outcome) in ["politie", "kmar"].into_iter().zip(outcomes) {
            let arguments = ["log", "list", "--transaction", transaction];
            let entries = world.json(agency, "auditor", &arguments)["entries"]
                .as_array()
                .unwrap()
                .clone();
            assert_eq!(entries.len(), 1, "{agency}");
            assert_eq!(entries[0]["closing"]["outcome"], outcome);
            of_both.push(entries[0]["entry"].clone());
        }
        let [asker, holder] = of_both.as_slice() else {
            panic!("two entries")
        };
        for field in [
            "transaction",
            "purpose",
            "regime",
            "article",
            "case_reference",
            "reason",
            "person",
            "role",
            "asker",
            "holder",
            "recipients",
            "country",
            "kinds",
            "mode",
            "protocol",
            "input_count",
            "input_commitment",
            "trace",
            "agreement",
            "agreement_hash",
            "operation",
            "software",
        ] {
            assert_eq!(asker[field], holder[field], "{field}");
            assert!(!asker[field].is_null(), "{field}");
        }
        assert_eq!((&asker["side"], &holder["side"]), (&"asker".into(), &"holder".into()));
    }
    let by_transaction = world.json(
        "kmar",
        "auditor",
        &["log", "show", hits["transaction"].as_str().unwrap()],
    );
    assert_eq!(by_transaction["entry"]["transaction"], hits["transaction"]);
    let one = &world.entries("kmar")[0]["entry"]["id"];
    let shown = world.json("kmar", "auditor", &["log", "show", one.as_str().unwrap()]);
    assert_eq!(&shown["entry"]["id"], one);
}

#[test]
fn nothing_in_common_is_logged_too() {
    let world = World::of_two(&export(0..10), &export(20..30));
    let ran = world.ask("hits", &[]);
    assert_eq!(ran.json()["count"], 0);
    assert_eq!(world.newest_outcome("politie").0, "no-hit");
    assert_eq!(world.newest_outcome("kmar").0, "done");
}

#[test]
fn datasets_are_replaced_whole_and_erased() {
    let world = World::of_two(&export(0..10), &export(0..10));
    assert_eq!(world.ask("count", &[]).json()["count"], 20);
    let imported = world.import("kmar", &export(5..30));
    assert_eq!(imported["dataset"]["records"], 25);
    assert_eq!(world.ask("count", &[]).json()["count"], 10);

    // an export that breaks off leaves the version before it in force
    let (file, mapping) = world.write_export("kmar", "ref;phone;email\na;06-10000001;\nb;06-10000002\n");
    let ran = world.import_file("kmar", "operator", &file, &mapping, &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.stderr.contains("row 3") && ran.stderr.contains("export.csv"),
        "{ran:?}"
    );
    assert_eq!(world.ask("count", &[]).json()["count"], 10);

    let listed = world.json("kmar", "auditor", &["dataset", "list"]);
    assert_eq!(listed[0]["items"]["phone"], 25);
    let erased = world.json("kmar", "operator", &["dataset", "erase", "cases", "--reason", "a test"]);
    assert_eq!(erased["records"], 25);
    assert_eq!(
        world.json("kmar", "operator", &["dataset", "list"]),
        Value::Array(vec![])
    );
    assert_eq!(world.run("kmar", "operator", &["dataset", "show", "cases"]).code, 2);
    let ran = world.ask("count", &[]);
    assert!(
        ran.failure()["message"].as_str().unwrap().contains("no dataset"),
        "{ran:?}"
    );
    let erasure = world
        .entries("kmar")
        .into_iter()
        .find(|entry| entry["entry"]["operation"] == "erasure")
        .unwrap();
    assert_eq!(erasure["closing"]["output_count"], 25);
    assert_eq!(erasure["entry"]["reason"], "a test");
}

#[test]
fn roles_are_kept_apart() {
    let world = World::of_two(&export(0..3), &export(0..3));
    let (file, mapping) = world.write_export("politie", &export(0..3));
    let import = [
        "dataset",
        "import",
        file.to_str().unwrap(),
        "--dataset",
        "x",
        "--mapping",
        mapping.to_str().unwrap(),
    ];
    let ask = [
        "match",
        "--peer",
        "kmar",
        "--dataset",
        "cases",
        "--mode",
        "hits",
        "--purpose",
        PURPOSE,
        "--case",
        "1",
        "--reason",
        "a",
    ];
    let cases: [(&str, &[&str]); 5] = [
        ("analyst", &import),
        ("analyst", &["dataset", "erase", "cases", "--reason", "a"]),
        ("analyst", &["log", "list"]),
        ("operator", &ask),
        ("auditor", &ask),
    ];
    for (user, arguments) in cases {
        let ran = world.run("politie", user, &[&["--json"], arguments].concat());
        assert_eq!(ran.code, 3, "{ran:?}");
        assert_eq!(ran.failure()["reason"], "ROLE_DENIED");
    }
    // a certificate of the right authority for a user that the node does not know
    let ran = world.run("politie", "stranger", &["--json", "status"]);
    assert_eq!(ran.failure()["reason"], "UNKNOWN_CALLER");
    let denied = world
        .entries("politie")
        .into_iter()
        .filter(|entry| entry["closing"]["outcome"] == "denied")
        .count();
    assert_eq!(denied, 4, "each denial of work on data or of a query is an entry");
}
