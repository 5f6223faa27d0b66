//! `kill -9` at every step of a query, on either side: no admitted query is missing from a log, none is there twice, and what was cut says so.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use overlap_integration_tests::{Agreement, Ran, World, text_of, wait_for};

fn export(range: std::ops::Range<u32>) -> String {
    let rows = range.map(|n| format!("dossier-{n};06-{:08}", 10_000_000 + n));
    [vec!["ref;phone".to_owned()], rows.collect()].concat().join("\n")
}

/// What a step leaves at the asker and at the holder: the outcome of the entry, or none where there is no entry.
type Left = (&'static str, Option<&'static str>, Option<&'static str>);

const ASKER: [Left; 7] = [
    ("permitted", None, None),
    ("opened", Some("interrupted"), None),
    ("dialled", Some("interrupted"), None),
    ("accepted", Some("interrupted"), Some("error")),
    ("received", Some("interrupted"), Some("done")),
    ("ended", Some("interrupted"), Some("done")),
    ("closed", Some("hit"), Some("done")),
];

const HOLDER: [Left; 6] = [
    ("permitted", Some("error"), None),
    ("opened", Some("error"), Some("interrupted")),
    ("accepted", Some("error"), Some("interrupted")),
    ("handed", Some("error"), Some("interrupted")),
    ("ended", Some("error"), Some("interrupted")),
    ("closed", Some("error"), Some("done")),
];

#[test]
fn killed_at_every_step() {
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&Agreement::between("politie", "kmar"));
    world.configure();
    for (name, rows) in [("politie", 0..300), ("kmar", 200..500)] {
        world.start(name);
        world.import(name, &export(rows));
    }
    let steps = ASKER
        .iter()
        .map(|step| ("politie", "asker", step))
        .chain(HOLDER.iter().map(|step| ("kmar", "holder", step)));
    for (killed, side, (step, at_asker, at_holder)) in steps {
        let point = format!("{side}.{step}");
        let before = ["politie", "kmar"].map(|name| queries(&world, name));
        world.agency_mut(killed).stop();
        world.agency_mut(killed).start_to_fail_at(&point);
        let ran = world.ask("hits", &[]);
        assert_ne!(ran.code, 0, "{point}: nothing is answered: {ran:?}");
        world.agency_mut(killed).wait_for_death();
        world.start(killed);
        for (name, before, outcome) in [("politie", &before[0], at_asker), ("kmar", &before[1], at_holder)] {
            wait_for(&format!("{point}: {name} is done"), || {
                world.status(name)["open_entries"] == 0
            });
            let after = queries(&world, name);
            let new: Vec<_> = after.difference(before).map(|(_, outcome)| outcome.as_str()).collect();
            assert_eq!(new, outcome.iter().copied().collect::<Vec<_>>(), "{point}: {name}");
            assert!(before.is_subset(&after), "{point}: {name}: nothing is lost");
        }
    }
    assert_eq!(world.ask("hits", &[]).json()["count"], 100);
    // after all of that both logs are whole, and tell the same story
    world.wait_for_witnesses("politie");
    world.wait_for_witnesses("kmar");
    let logs = ["politie", "kmar"].map(|name| world.export_log(name, &format!("{name}.export")));
    let [a, b] = logs.each_ref().map(|path| path.to_str().unwrap());
    let reconciled = Ran::overlap(&["--json", "log", "reconcile", a, b]).json();
    assert_eq!(reconciled["discrepancies"], serde_json::json!([]), "{reconciled}");
    assert!(reconciled["agreed"].as_u64() >= Some(6), "{reconciled}");
    for name in ["politie", "kmar"] {
        assert_eq!(world.status(name)["alarms"], serde_json::json!([]), "{name}");
    }
}

/// Transaction and outcome of every query in a log; each transaction once.
fn queries(world: &World, name: &str) -> BTreeSet<(String, String)> {
    let entries = world.entries(name);
    let queries = entries
        .iter()
        .filter(|entry| entry["entry"]["operation"] == "combination");
    let queries: Vec<_> = queries
        .map(|entry| {
            let outcome = entry["closing"]["outcome"].as_str().unwrap_or("admitted");
            (text_of(&entry["entry"]["transaction"]).to_owned(), outcome.to_owned())
        })
        .collect();
    let transactions: BTreeSet<_> = queries.iter().map(|(transaction, _)| transaction.clone()).collect();
    assert_eq!(transactions.len(), queries.len(), "{name}: none is there twice");
    queries
        .into_iter()
        .filter(|(_, outcome)| outcome != "admitted")
        .collect()
}
