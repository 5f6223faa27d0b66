//! An auditor's work: two logs taken away, checked, held against each other, and every kind of tampering refused.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::{fs, path::Path, process::Command};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ct_merkle::{InclusionProof, RootHash};
use overlap_integration_tests::{Agreement, PURPOSE, Ran, World, text_of};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use sha2::Sha256;

fn export(range: std::ops::Range<u32>) -> String {
    let rows = range.map(|n| format!("dossier-{n};06-{:08}", 10_000_000 + n));
    [vec!["ref;phone".to_owned()], rows.collect()].concat().join("\n")
}

/// Two agencies with some queries behind them: a hit, none, a count, and one that was refused.
fn asked() -> World {
    let world = World::of_two(&export(0..40), &export(30..60));
    assert_eq!(world.ask("hits", &[]).json()["count"], 10);
    assert_eq!(world.ask("count", &[]).json()["count"], 10);
    assert_eq!(world.ask("hits", &["--purpose", "another"]).code, 3);
    for agency in ["politie", "kmar"] {
        world.wait_for_witnesses(agency);
    }
    world
}

fn log(arguments: &[&str]) -> Ran {
    Ran::overlap(&[&["--json", "log"], arguments].concat())
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn an_auditors_session() {
    let world = asked();
    let early = world.status("politie")["log"]["checkpoint"]
        .as_str()
        .unwrap()
        .to_owned();
    let kept = world.path("early-checkpoint");
    fs::write(&kept, &early).unwrap();
    assert_eq!(world.ask("hits", &[]).json()["count"], 10);
    world.wait_for_witnesses("politie");
    world.wait_for_witnesses("kmar");
    let (politie, kmar) = (
        world.export_log("politie", "politie.log"),
        world.export_log("kmar", "kmar.log"),
    );
    let key = text_of(&world.status("politie")["log"]["key"]).to_owned();

    // the log is whole, countersigned by the other, and the same as when the checkpoint was kept
    let report = log(&["verify", path(&politie), "--log-key", &key, "--checkpoint", path(&kept)]).json();
    assert_eq!(report["problems"], serde_json::json!([]), "{report}");
    assert_eq!(report["key_vouched"], "given");
    assert_eq!(report["witnesses_vouched"], "by_itself");
    assert_eq!(report["receipts"], 3, "of the queries that left");
    assert_eq!(report["witnessed"][0]["by"], "spiffe://overlap.example/agency/kmar");
    let another = text_of(&world.status("kmar")["log"]["key"]).to_owned();
    assert_eq!(log(&["verify", path(&politie), "--log-key", &another]).code, 6);

    // both tell the same story
    let reconciled = log(&["reconcile", path(&politie), path(&kmar)]).json();
    assert_eq!(reconciled["agreed"], 3, "{reconciled}");
    assert_eq!(reconciled["discrepancies"], serde_json::json!([]));
    assert_eq!(
        reconciled["receipts_held"], 12,
        "two events per receipt, three receipts a side"
    );

    // one entry, proved; checked by this command, and by an implementation of another hand
    let transaction = text_of(&world.newest_match("politie")["entry"]["transaction"]).to_owned();
    let proof = world.path("proof.json");
    log(&["prove", path(&politie), "--entry", &transaction, "--out", path(&proof)]).json();
    let checked = log(&["check", path(&proof), "--log-key", &key]).json();
    assert_eq!(checked["has"].as_array().unwrap().len(), 2, "its opening and its end");
    assert_eq!(checked["has"][0][1]["transaction"], transaction.as_str());
    independently_checked(&proof);
    check_in_python(&proof);
    let forged = fs::read_to_string(&proof).unwrap().replace(PURPOSE, "idle-curiosity");
    fs::write(world.path("forged.json"), forged).unwrap();
    assert_eq!(log(&["check", path(&world.path("forged.json"))]).code, 6);

    // and that the log only grew
    let growth = world.path("growth.json");
    log(&["prove", path(&politie), "--since", path(&kept), "--out", path(&growth)]).json();
    let grew = log(&["check", path(&growth), "--log-key", &key]).json();
    assert!(grew["grew_from"].as_u64() < grew["events"].as_u64(), "{grew}");

    // tables for people who read tables
    for format in ["jsonl", "csv", "ldv"] {
        let out = world.path(&format!("table.{format}"));
        let arguments = [
            "export",
            "--from",
            path(&politie),
            "--format",
            format,
            "--out",
            path(&out),
        ];
        let activity = ["--activity", "https://register.example/7"];
        let entries =
            log(&[&arguments[..], if format == "ldv" { &activity } else { &[] }].concat()).json()["entries"].clone();
        let text = fs::read_to_string(&out).unwrap();
        let header = u64::from(format == "csv");
        assert_eq!(
            text.lines().count() as u64,
            entries.as_u64().unwrap() + header,
            "{format}"
        );
        assert!(text.contains(&transaction), "{format}");
        assert_eq!(
            text.contains("user/analyst"),
            format != "ldv",
            "{format}: no users in the Dutch form"
        );
        assert_eq!(log(&arguments).code, 2, "an existing file is not overwritten");
    }
    let stats = log(&["stats", path(&politie)]).json();
    assert_eq!(stats["peers"]["spiffe://overlap.example/agency/kmar"]["asked"], 4);
    assert_eq!(stats["outcomes"]["hit"], 3);
    assert_eq!(stats["items_asked"], 120);
}

/// The inclusion of a proof's events, by ct-merkle, from the JSON alone.
fn independently_checked(proof: &Path) {
    let Proved { entry: proof } = serde_json::from_str(&fs::read_to_string(proof).unwrap()).unwrap();
    let checkpoint: Vec<&str> = proof.checkpoint.lines().collect();
    let (size, root) = (
        checkpoint[1].parse().unwrap(),
        BASE64_STANDARD.decode(checkpoint[2]).unwrap(),
    );
    let root = RootHash::<Sha256>::new(sha2::digest::Output::<Sha256>::try_from(root.as_slice()).unwrap(), size);
    for event in &proof.events {
        let path: Vec<u8> = event.path.iter().flat_map(|hash| hex::decode(hash).unwrap()).collect();
        let path = InclusionProof::<Sha256>::try_from_bytes(path).unwrap();
        root.verify_inclusion(&commitment(event), event.index, &path).unwrap();
    }
}

/// The JSON of a proof, as an outsider reads it; an event byte for byte.
#[derive(Deserialize)]
struct Proved {
    entry: RawProof,
}

#[derive(Deserialize)]
struct RawProof {
    checkpoint: String,
    events: Vec<RawEvent>,
}

#[derive(Deserialize)]
struct RawEvent {
    index: u64,
    key: String,
    event: Box<RawValue>,
    path: Vec<String>,
}

/// What the leaf is the hash of: made again from the key and the event, with other crates than the log uses.
fn commitment(event: &RawEvent) -> Vec<u8> {
    use aes_gcm::{Aes256Gcm, KeyInit as _, aead::Aead as _};
    use hmac::{Hmac, Mac as _};
    use sha2::Digest as _;

    let mac = |key: &[u8], label: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(label);
        mac.finalize().into_bytes()
    };
    let key = hex::decode(&event.key).unwrap();
    let salt = mac(&key, b"overlap/log/salt/v1");
    let cipher = Aes256Gcm::new_from_slice(&mac(&key, b"overlap/log/seal/v1")).unwrap();
    let plain = event.event.get().as_bytes();
    let ciphertext = cipher.encrypt(&[0; 12].into(), plain).unwrap();
    let mut hash = Sha256::new();
    hash.update(b"overlap/log/leaf/v1");
    hash.update(salt);
    hash.update(ciphertext);
    hash.finalize().to_vec()
}

/// The script that the docs give to auditors, where there is a Python to run it.
fn check_in_python(proof: &Path) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/check_inclusion.py");
    match Command::new("python3").args([script, path(proof)]).output() {
        Ok(ran) => assert!(ran.status.success(), "{ran:?}"),
        Err(_) => println!("skipped: no python3 here"),
    }
}

#[test]
fn every_tampering_is_refused() {
    let world = asked();
    let (politie, kmar) = (
        world.export_log("politie", "politie.log"),
        world.export_log("kmar", "kmar.log"),
    );
    let whole = fs::read_to_string(&politie).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let tampered = world.path("tampered.log");
    let problems = |lines: Vec<String>| {
        fs::write(&tampered, lines.join("\n") + "\n").unwrap();
        let ran = log(&["verify", path(&tampered)]);
        assert_eq!(ran.code, 6, "{ran:?}");
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        report["problems"].clone()
    };
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        change(&mut changed);
        problems(changed)
    };
    let at = |found: &Value| found[0]["index"].as_u64();
    let said = |found: &Value, what: &str| assert!(found.to_string().contains(what), "{what}: {found}");

    // line 0 is the header: event n is on line n + 1
    let event = lines.iter().position(|line| line.contains(PURPOSE)).unwrap();
    let index = event as u64 - 1;
    let found = with(&|lines| lines[event] = lines[event].replace(PURPOSE, "idle-curiosity"));
    assert_eq!(at(&found), Some(index));
    said(&found, "was changed");
    let found = with(&|lines| drop(lines.remove(event)));
    assert_eq!(at(&found), Some(index));
    said(&found, "missing or out of order");
    let found = with(&|lines| lines.swap(event, event + 1));
    assert_eq!(at(&found), Some(index));
    said(&with(&|lines| lines.truncate(event + 1)), "truncated");
    said(&with(&|lines| drop(lines.pop())), "truncated");
    said(
        &with(&|lines| lines[event] = lines[event][..100].to_owned()),
        "not a line of an export",
    );
    // whoever seals an event anew arrives at another root than was signed
    let found = with(&|lines| {
        let number = |index: u64| format!("{{\"index\":{index},");
        lines[event] = lines[event + 1].replace(&number(index + 1), &number(index));
    });
    said(&found, "was signed for other events");
    // a receipt that the other never gave
    let receipt = lines.iter().position(|line| line.starts_with("{\"receipt\"")).unwrap();
    said(
        &with(&|lines| lines[receipt] = lines[receipt].replace("\\nholder\\n", "\\nasker\\n")),
        "receipt of spiffe://overlap.example/agency/kmar",
    );
    assert_eq!(
        log(&["verify", path(&world.path("federation/ca.pem"))]).code,
        2,
        "no export at all"
    );

    // a holder's log without the query: made from the same node before it was asked
    let tampering = log(&["reconcile", path(&tampered), path(&kmar)]);
    assert_eq!(tampering.code, 6);
    assert_eq!(
        log(&["reconcile", path(&politie), path(&tampered)]).code,
        2,
        "one agency's log twice"
    );
    assert_eq!(log(&["reconcile", path(&politie), path(&kmar)]).code, 0);
}

#[test]
fn a_query_that_one_side_lost_is_missed() {
    let mut world = World::of_two(&export(0..40), &export(30..60));
    world.ask("count", &[]).json();
    world.wait_for_witnesses("kmar");
    world.wait_for_witnesses("politie");
    world.agency_mut("kmar").stop();
    copy(&world.agency("kmar").file("state"), &world.path("backup"));
    world.start("kmar");
    let lost = text_of(&world.ask("hits", &[]).json()["transaction"]).to_owned();
    world.wait_for_witnesses("politie");
    world.wait_for_witnesses("kmar");
    // the old backup is put back
    world.agency_mut("kmar").stop();
    fs::remove_dir_all(world.agency("kmar").file("state")).unwrap();
    copy(&world.path("backup"), &world.agency("kmar").file("state"));
    world.start("kmar");
    let (politie, kmar) = (
        world.export_log("politie", "politie.log"),
        world.export_log("kmar", "kmar.log"),
    );
    let ran = log(&["reconcile", path(&politie), path(&kmar)]);
    assert_eq!(ran.code, 6);
    let reconciled: Value = serde_json::from_str(&ran.stdout).unwrap();
    let found = reconciled["discrepancies"].to_string();
    assert!(
        found.contains(&lost) && found.contains("gave a receipt for it, and it is missing in its log"),
        "{found}"
    );
    assert!(found.contains("gave a receipt for event"), "{found}");
}

fn copy(from: &Path, to: &Path) {
    assert!(
        Command::new("cp")
            .args(["-a", path(from), path(to)])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn an_auditor_sees_the_log_and_nothing_else() {
    let world = asked();
    for forbidden in [
        &["hits", "list", "--reason", "curiosity"][..],
        &["dataset", "erase", "cases", "--reason", "curiosity"],
        &["dataset", "purge"],
        &[
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
            "x",
        ],
    ] {
        assert_eq!(world.run("politie", "auditor", forbidden).code, 3, "{forbidden:?}");
    }
    assert_eq!(world.run("politie", "auditor", &["log", "list"]).code, 0);
    let stolen = world.path("stolen");
    let denied = ["log", "export", "--out", path(&stolen), "--reason", "x"];
    assert_eq!(world.run("politie", "analyst", &denied).code, 3);
    assert_eq!(world.run("politie", "analyst", &["log", "list"]).code, 3);
    assert!(!stolen.exists());
    let whole = fs::read_to_string(world.export_log("politie", "politie.log")).unwrap();
    assert!(
        !whole.contains("dossier-") && !whole.contains("+316"),
        "no record, no identifier"
    );
}

#[test]
fn entries_are_found_by_what_they_say() {
    let world = asked();
    let found = |more: &[&str]| {
        let list = world.json(
            "politie",
            "auditor",
            &[&["log", "list", "--limit", "1000"], more].concat(),
        );
        list["entries"].as_array().unwrap().len()
    };
    assert_eq!(found(&["--peer", "kmar"]), 3);
    assert_eq!(found(&["--peer", "spiffe://overlap.example/agency/iszw"]), 0);
    // a name that is no peer's is a slip, not an answer
    let slip = world.run("politie", "auditor", &["log", "list", "--peer", "iszw"]);
    assert!(
        slip.code == 2 && slip.stderr.contains("there is no peer of that name"),
        "{slip:?}"
    );
    assert_eq!(found(&["--outcome", "denied", "--purpose", "another"]), 1);
    assert_eq!(
        found(&["--person", "spiffe://politie.example/user/analyst", "--case", "2026-1"]),
        3
    );
    assert_eq!(found(&["--until", "2020-01-01"]), 0);
    assert_eq!(found(&["--from", "2020-01-01", "--outcome", "hit"]), 2);
    let first = world.json("politie", "auditor", &["log", "list", "--limit", "2"]);
    assert_eq!(found(&["--after", text_of(&first["next"])]), found(&[]) - 2);
    let all = world.json("politie", "auditor", &["log", "list", "--limit", "1000"]);
    assert!(all["next"].is_null());
}

#[test]
fn a_commitment_is_opened_for_an_auditor() {
    let world = asked();
    let transaction = text_of(&world.newest_match("politie")["entry"]["transaction"]).to_owned();
    let hit = world
        .entries("politie")
        .into_iter()
        .find(|entry| entry["closing"]["outcome"] == "hit")
        .unwrap();
    let asked = text_of(&hit["entry"]["transaction"]).to_owned();
    let kmar = world.export_log("kmar", "kmar.log");
    let open = |query: &str, value: &str, name: &str| {
        let out = world.path(name);
        let arguments = [
            "log",
            "open",
            query,
            value,
            "--kind",
            "phone",
            "--reason",
            "a complaint",
            "--out",
        ];
        world.run("politie", "auditor", &[&arguments[..], &[path(&out)]].concat())
    };
    // the set can be opened also when the dataset is another by now
    world.import("politie", &export(100..110));
    for (value, was_in) in [("+31610000007", true), ("+31612345678", false)] {
        let ran = open(&asked, value, "opened.json");
        assert_eq!(ran.code, 0, "{ran:?}");
        let proof = world.path("opened.json");
        let shown = log(&["check", path(&proof), "--log", path(&kmar)]).json();
        assert_eq!(shown["keys"][0]["was_in"], was_in, "{value}: {shown}");
        assert_eq!(shown["log_agrees"], true);
        // what is shown of one number is no good for another
        let forged = fs::read_to_string(&proof).unwrap().replace(value, "+31610000008");
        fs::write(world.path("forged.json"), forged).unwrap();
        assert_eq!(log(&["check", path(&world.path("forged.json"))]).code, 6);
    }
    assert_eq!(
        open(&transaction, "+31610000007", "denied.json").code,
        2,
        "a query that was not asked has no set"
    );
    let opened = &world.entries("politie")[0];
    assert_eq!(
        (&opened["entry"]["operation"], &opened["entry"]["reason"]),
        (&"consultation".into(), &"a complaint".into())
    );
}

#[test]
fn an_agreement_does_not_have_to_be_there_to_witness() {
    let mut world = World::new(&["politie", "kmar", "iszw"]);
    world.agree(&Agreement::between("politie", "kmar"));
    world.configure();
    for name in ["politie", "kmar", "iszw"] {
        world.start(name);
        world.import(name, &export(0..10));
    }
    world.ask("hits", &[]).json();
    world.wait_for_witnesses("politie");
    let log = &world.status("politie")["log"];
    assert_eq!(log["witnesses"].as_array().unwrap().len(), 2);
}
