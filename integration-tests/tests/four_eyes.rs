//! Queries that another user has to approve.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;

use overlap_integration_tests::{Ran, World, text_of};
use rustix::process::Signal;

const CSV: &str = "ref;phone\nx;06-10000001\ny;06-10000002\n";

/// Whoever asks about victims needs a second person.
const RULE: &str = r#"
@id("four-eyes")
@advice("Ask another user: overlap match ... --ask-approval")
forbid (principal, action == Action::"ask", resource) when { !context.is_approved };
"#;

fn world() -> World {
    let world = World::of_two(CSV, CSV);
    let policy = world.agency("politie").file("policy.cedar");
    let rules = fs::read_to_string(&policy).unwrap();
    fs::write(&policy, rules + RULE).unwrap();
    world.agency("politie").signal(Signal::HUP);
    overlap_integration_tests::wait_for("the policy is read", || {
        world.agency("politie").log().contains("were read again")
    });
    world
}

fn asked(world: &World, more: &[&str]) -> String {
    let ran = world.ask("hits", &[&["--kind", "phone", "--ask-approval"], more].concat());
    let asked = ran.json();
    assert_eq!(asked["state"], "waiting");
    text_of(&asked["id"]).to_owned()
}

fn decide(world: &World, user: &str, verb: &str, id: &str) -> Ran {
    world.run(
        "politie",
        user,
        &["--json", "approval", verb, &id[..8], "--reason", "looked at it"],
    )
}

fn run(world: &World, user: &str, id: &str) -> Ran {
    world.run("politie", user, &["--json", "approval", "run", &id[..8]])
}

fn refused(ran: &Ran, words: &str) {
    assert_eq!(ran.code, 3, "{words}: {ran:?}");
    assert!(ran.stderr.contains(words), "{words}: {ran:?}");
}

#[test]
fn one_asks_and_another_approves() {
    let world = world();
    refused(&world.ask("hits", &["--kind", "phone"]), "four-eyes");
    let id = asked(&world, &[]);
    // nothing has been asked of kmar
    assert!(
        world
            .entries("kmar")
            .iter()
            .all(|entry| entry["entry"]["operation"] != "combination")
    );
    refused(&run(&world, "analyst", &id), "waiting");
    // an analyst may not, and nobody may of what they ask themselves
    assert_eq!(decide(&world, "analyst", "give", &id).code, 3);
    let listed = world.json("politie", "coordinator", &["approval", "list"]);
    assert_eq!(
        (&listed[0]["asked_by"], &listed[0]["reason"]),
        (&"spiffe://politie.example/user/analyst".into(), &"a test".into())
    );
    assert_eq!(decide(&world, "coordinator", "give", &id).json()["state"], "approved");
    assert_eq!(decide(&world, "operator", "refuse", &id).code, 2, "it is decided");

    refused(&run(&world, "coordinator", &id), "another user");
    let found = run(&world, "analyst", &id).json();
    assert_eq!(found["count"], 2);
    let entry = world.newest_match("politie");
    assert_eq!(entry["entry"]["approver"], "spiffe://politie.example/user/coordinator");
    assert_eq!(entry["entry"]["person"], "spiffe://politie.example/user/analyst");
    // once
    refused(&run(&world, "analyst", &id), "used before");
    let listed = world.json("politie", "analyst", &["approval", "list"]);
    assert_eq!(listed[0]["state"], "used");
}

#[test]
fn nobody_approves_an_own_query() {
    let world = world();
    let asked = world
        .ask_as("coordinator", "hits", &["--kind", "phone", "--ask-approval"])
        .json();
    let id = text_of(&asked["id"]);
    refused(&decide(&world, "coordinator", "give", id), "who asks cannot approve");
    let entries = world.entries("politie");
    assert_eq!(entries[0]["closing"]["outcome"], "denied", "the attempt is logged");
    assert_eq!(decide(&world, "functionary", "refuse", id).json()["state"], "refused");
    refused(&run(&world, "coordinator", id), "refused");
}

#[test]
fn an_approval_is_of_exactly_one_query_and_dataset() {
    let mut world = world();
    let id = asked(&world, &[]);
    assert_eq!(decide(&world, "operator", "give", &id).code, 0);
    // the CLI sends what was approved; whoever calls the node otherwise gets no further
    world.import("politie", &CSV.replace("06-10000002", "06-10000003"));
    refused(&run(&world, "analyst", &id), "was changed since");
    // what cannot be asked at all is not put to anybody
    let ran = world.ask("hits", &["--kind", "phone", "--ask-approval", "--purpose", "curiosity"]);
    refused(&ran, "does not cover purpose");

    // approvals outlive a restart, and so does that one was used
    let id = asked(&world, &[]);
    decide(&world, "operator", "give", &id);
    world.agency_mut("politie").stop();
    world.start("politie");
    assert_eq!(run(&world, "analyst", &id).json()["count"], 1);
    world.agency_mut("politie").kill();
    world.start("politie");
    refused(&run(&world, "analyst", &id), "used before");
}

#[test]
fn a_set_that_looks_like_an_enumeration_is_held_for_an_operator() {
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&overlap_integration_tests::Agreement::between("politie", "kmar"));
    world.configure();
    let file = world.agency("politie").file("node.toml");
    let toml = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        toml.replace("enumeration_most = 1000000", "enumeration_most = 20"),
    )
    .unwrap();
    for name in ["politie", "kmar"] {
        world.start(name);
    }
    let range: String = (0..50).map(|n| format!("r{n};06-100000{n:02}\n")).collect();
    world.import("politie", &format!("ref;phone\n{range}"));
    world.import("kmar", CSV);
    refused(&world.ask("hits", &["--kind", "phone"]), "--ask-approval");
    // who answers for the node's datasets has to have looked: a coordinator's word is not enough
    let id = asked(&world, &[]);
    decide(&world, "coordinator", "give", &id);
    refused(&run(&world, "analyst", &id), "enumeration");
    let id = asked(&world, &[]);
    decide(&world, "operator", "give", &id);
    assert_eq!(run(&world, "analyst", &id).json()["count"], 2);
}
