//! Entries handed on to a Logboek Dataverwerkingen over OTLP, to a receiver in a process of its own: each at least once, whatever fails.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeSet,
    fs,
    process::{Child, Command},
};

use overlap_integration_tests::{Agreement, World, binary, free_address, text_of, wait_for};
use serde_json::Value;

fn export(count: u32) -> String {
    let rows = (0..count).map(|n| format!("dossier-{n};06-{:08}", 10_000_000 + n));
    [vec!["ref;phone".to_owned()], rows.collect()].concat().join("\n")
}

struct Receiver(Child);

impl Receiver {
    fn start(world: &World, address: &str, refuse: &str, reject: &str) -> Self {
        let file = world.path("spans.jsonl");
        let mut command = Command::new(binary("otlp-receiver"));
        Self(
            command
                .args([address, file.to_str().unwrap(), refuse, reject])
                .spawn()
                .unwrap(),
        )
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spans(world: &World) -> Vec<Value> {
    let text = fs::read_to_string(world.path("spans.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_entry_arrives() {
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&Agreement::between("politie", "kmar"));
    let address = free_address().to_string();
    let ldv = format!(
        "[ldv]\nendpoint = \"http://{address}\"\nactivity = \"https://register.example/0\"\n\
         [ldv.activities]\nthb-investigation = \"https://register.example/7\"\n"
    );
    for name in ["politie", "kmar"] {
        world.agency_mut(name).configuration = ldv.clone();
    }
    world.configure();
    for name in ["politie", "kmar"] {
        world.start(name);
        world.import(name, &export(20));
    }
    // nobody listens yet: what is asked is answered all the same, and waits
    world.ask("hits", &[]).json();
    assert!(world.status("politie")["log"]["outbox"].as_u64() > Some(0));
    world.agency_mut("kmar").kill();
    world.start("kmar");
    let receiver = Receiver::start(&world, &address, "2", "2");
    for _ in 0..3 {
        world.ask("count", &[]).json();
    }
    let all_sent = || {
        ["politie", "kmar"]
            .iter()
            .all(|name| world.status(name)["log"]["outbox"] == 0)
    };
    wait_for("all is handed on", all_sent);
    // a receiver that goes away loses nothing either
    drop(receiver);
    world.ask("hits", &["--purpose", "another"]);
    let _receiver = Receiver::start(&world, &address, "0", "0");
    wait_for("all is handed on again", all_sent);

    let spans = spans(&world);
    for name in ["politie", "kmar"] {
        let agency = format!("spiffe://overlap.example/agency/{name}");
        let arrived: BTreeSet<&str> = spans
            .iter()
            .filter(|span| span["resource"]["service.instance.id"] == agency.as_str())
            .map(|span| text_of(&span["attributes"]["dpl.overlap.entry"]))
            .collect();
        let entries = world.entries(name);
        let logged: BTreeSet<&str> = entries.iter().map(|entry| text_of(&entry["entry"]["id"])).collect();
        assert_eq!(arrived, logged, "{name}");
    }
    // both sides of a query are steps of one trace, the holder's under the asker's
    let hits: Vec<&Value> = spans
        .iter()
        .filter(|span| span["attributes"]["dpl.overlap.mode"] == "hits")
        .collect();
    let side = |side: &str| {
        *hits
            .iter()
            .find(|span| span["attributes"]["dpl.overlap.side"] == side)
            .unwrap()
    };
    let (asker, holder) = (side("asker"), side("holder"));
    assert_eq!(asker["trace"], holder["trace"]);
    assert_eq!(asker["span"], holder["parent"]);
    assert_eq!(
        asker["attributes"]["dpl.core.processing_activity_id"],
        "https://register.example/7"
    );
    assert_eq!(
        holder["attributes"]["dpl.core.foreign_operation.processor"],
        "spiffe://overlap.example/agency/politie"
    );
    // nobody's name, no reason, no case
    let text = fs::read_to_string(world.path("spans.jsonl")).unwrap();
    for absent in ["/user/", "a test", "2026-1\"", "analyst"] {
        assert!(!text.contains(absent), "{absent}");
    }
}
