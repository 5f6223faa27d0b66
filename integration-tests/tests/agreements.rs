//! Agreements from draft to end, between real nodes; and documents that do not count.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{fs, thread, time::Duration};

use jiff::{Timestamp, ToSpan as _};
use overlap_integration_tests::{Agreement, Proxy, Ran, World, text_of, wait_for};
use rustix::process::Signal;
use serde_json::Value;

const CSV: &str = "ref;phone;email\na;06-10000001;a@example.org\nb;06-10000002;\n";

fn running() -> World {
    let mut world = World::new(&["politie", "kmar"]);
    start(&mut world);
    world
}

fn start(world: &mut World) {
    world.configure();
    for name in ["politie", "kmar"] {
        world.start(name);
        world.import(name, CSV);
    }
}

fn propose(world: &World, toml: &str) -> Ran {
    let file = world.path("draft.toml");
    fs::write(&file, toml).unwrap();
    let arguments = [
        "--json",
        "agreement",
        "propose",
        file.to_str().unwrap(),
        "--reason",
        "a test",
    ];
    world.run("politie", "operator", &arguments)
}

fn decide(world: &World, agency: &str, user: &str, verb: &str) -> Ran {
    // what is accepted is named by its hash
    let list = world.json(agency, "auditor", &["agreement", "list"]);
    let newest = text_of(&list[0]["hash"]).to_owned();
    let named = if verb == "accept" { &newest } else { "thb-2026" };
    world.run(
        agency,
        user,
        &["--json", "agreement", verb, named, "--reason", "a test"],
    )
}

fn state(world: &World, agency: &str) -> String {
    let list = world.json(agency, "auditor", &["agreement", "list"]);
    text_of(&list[0]["state"]).to_owned()
}

fn refused(ran: &Ran, words: &str) {
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(text_of(&ran.failure()["message"]).contains(words), "{words}: {ran:?}");
    assert!(ran.stdout.is_empty(), "{ran:?}");
}

/// What an agency's log says of changes in what is agreed, the oldest first.
fn changes(world: &World, agency: &str) -> Vec<Value> {
    let mut entries = world.entries(agency);
    entries.retain(|entry| entry["entry"]["operation"] == "alteration");
    entries.reverse();
    entries
}

#[test]
fn from_a_draft_to_the_end() {
    let world = running();
    let file = world.path("thb-2026.toml");
    let ran = world.run(
        "politie",
        "operator",
        &[
            "agreement",
            "draft",
            "--with",
            "kmar",
            "--id",
            "thb-2026",
            "--out",
            file.to_str().unwrap(),
        ],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let kmar = world.agency("kmar");
    for thumbprint in [kmar.thumbprint(), kmar.signing_thumbprint()] {
        assert!(
            ran.stdout.contains(&thumbprint),
            "to be compared over another channel: {ran:?}"
        );
    }
    let draft = fs::read_to_string(&file).unwrap();

    // nothing may be asked before all have signed
    let proposed = propose(&world, &draft).json();
    assert_eq!(proposed["agreement"]["state"], "proposed");
    assert_eq!(proposed["deliveries"][0]["failed"], Value::Null);
    refused(&world.ask("hits", &[]), "is not signed by kmar");
    assert_eq!(state(&world, "kmar"), "proposed");
    let accepted = decide(&world, "kmar", "functionary", "accept").json();
    assert_eq!(accepted["agreement"]["state"], "in-force");
    assert_eq!(accepted["agreement"]["hash"], proposed["agreement"]["hash"]);
    assert_eq!(
        [state(&world, "politie"), state(&world, "kmar")],
        ["in-force", "in-force"]
    );
    assert_eq!(world.ask("hits", &["--kind", "phone"]).json()["count"], 2);
    let entry = world.newest_match("kmar")["entry"].clone();
    assert_eq!(entry["agreement_hash"], proposed["agreement"]["hash"]);

    // it survives restarts, and so does its end
    let mut world = world;
    for name in ["politie", "kmar"] {
        world.agency_mut(name).stop();
        world.start(name);
    }
    assert_eq!(world.ask("hits", &["--kind", "phone"]).json()["count"], 2);
    let again = decide(&world, "kmar", "operator", "accept");
    refused(&again, "there is nothing to accept");
    assert_eq!(
        decide(&world, "kmar", "operator", "revoke").json()["agreement"]["state"],
        "revoked"
    );
    refused(&world.ask("hits", &["--kind", "phone"]), "was revoked by kmar");
    for name in ["politie", "kmar"] {
        world.agency_mut(name).stop();
        world.start(name);
        assert_eq!(state(&world, name), "revoked");
    }
    // what was signed does not come back to life when it is sent again
    let list = world.json("politie", "operator", &["agreement", "list"]);
    let hash = text_of(&list[0]["hash"]);
    let jws = world.run("politie", "operator", &["agreement", "show", hash, "--jws"]);
    let copy = world.path("copy.json");
    fs::write(&copy, jws.stdout).unwrap();
    let taken = [
        "--json",
        "agreement",
        "take",
        copy.to_str().unwrap(),
        "--reason",
        "again",
    ];
    assert_eq!(
        world.run("kmar", "operator", &taken).json()["agreement"]["state"],
        "revoked"
    );

    // both logs tell who did what
    let words = |agency: &str| -> Vec<String> {
        let changes = changes(&world, agency);
        changes
            .iter()
            .map(|entry| text_of(&entry["closing"]["detail"]).to_owned())
            .collect()
    };
    assert_eq!(words("politie")[0], "proposed");
    assert!(
        words("politie").iter().any(|words| words == "signed by kmar"),
        "{:?}",
        words("politie")
    );
    assert!(words("kmar").iter().any(|words| words.contains("signed by politie")));
    assert!(
        words("politie")
            .iter()
            .any(|words| words.contains("was revoked by kmar"))
    );
    assert!(words("kmar").iter().any(|words| words == "revoked"));
}

#[test]
fn a_party_that_was_away_hears_of_it_when_it_is_back() {
    let mut world = World::new(&["politie", "kmar"]);
    let agreement = Agreement::between("politie", "kmar");
    world.agree(&agreement);
    start(&mut world);
    world.agency_mut("kmar").stop();
    let revoked = decide(&world, "politie", "operator", "revoke").json();
    assert!(text_of(&revoked["deliveries"][0]["failed"]).contains("cannot be reached"));
    refused(&world.ask("hits", &[]), "was revoked by politie");
    world.start("kmar");
    wait_for("kmar has heard", || state(&world, "kmar") == "revoked");
    assert!(changes(&world, "kmar").iter().any(|entry| {
        text_of(&entry["closing"]["detail"]).contains("was revoked by politie")
            && entry["entry"]["asker"] == "spiffe://overlap.example/agency/politie"
    }));
}

#[test]
fn a_rejection_is_final_and_an_edition_takes_the_place_of_another() {
    let world = running();
    let draft = Agreement::between("politie", "kmar").draft(&world);
    assert_eq!(propose(&world, &draft).code, 0);
    assert_eq!(
        decide(&world, "kmar", "operator", "reject").json()["agreement"]["state"],
        "rejected"
    );
    assert_eq!(state(&world, "politie"), "rejected");
    refused(&world.ask("hits", &[]), "was rejected by kmar");
    refused(&decide(&world, "kmar", "operator", "accept"), "nothing to accept");

    let first = draft.replace("max_set_size = 1000000", "max_set_size = 2");
    let first = propose(&world, &first).json()["agreement"]["hash"].clone();
    assert_eq!(
        decide(&world, "kmar", "operator", "accept").json()["agreement"]["state"],
        "in-force"
    );
    refused(&world.ask("hits", &[]), "larger than the 2");
    // a second of the same name has to say which one it replaces
    let second = draft.replace("max_set_size = 1000000", "max_set_size = 3");
    let ran = propose(&world, &second);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains(text_of(&first)), "{ran:?}");
    let second = second.replacen("purposes", &format!("replaces = {first}\npurposes"), 1);
    let hash = propose(&world, &second).json()["agreement"]["hash"].clone();
    refused(
        &world.ask("hits", &["--agreement", text_of(&hash)]),
        "is not signed by kmar",
    );
    let accept = ["--json", "agreement", "accept", text_of(&hash), "--reason", "a test"];
    assert_eq!(
        world.run("kmar", "operator", &accept).json()["agreement"]["state"],
        "in-force"
    );
    assert_eq!(world.ask("hits", &[]).json()["count"], 3);
    refused(
        &world.ask("hits", &["--agreement", text_of(&first)]),
        "was replaced by its edition",
    );
    let diff = world.json(
        "politie",
        "auditor",
        &["agreement", "diff", text_of(&first), text_of(&hash)],
    );
    assert_eq!(diff[0]["field"], "grant[0].max_set_size");
}

#[test]
fn what_is_not_signed_as_it_has_to_be_does_not_count() {
    let world = running();
    let agreement = Agreement::between("politie", "kmar");
    let whole = world.sign("politie", &agreement, &["politie", "kmar"]);
    let take = |agency: &str, text: &str| {
        let file = world.path("taken.json");
        fs::write(&file, text).unwrap();
        let arguments = [
            "--json",
            "agreement",
            "take",
            file.to_str().unwrap(),
            "--reason",
            "a test",
        ];
        world.run(agency, "operator", &arguments)
    };
    let good = fs::read_to_string(&whole).unwrap();
    // altered: the payload of another agreement under the same signatures
    let other = Agreement {
        max_set_size: 7,
        ..Agreement::between("politie", "kmar")
    };
    let other = fs::read_to_string(world.sign("kmar", &other, &["politie", "kmar"])).unwrap();
    let payload = |text: &str| {
        let value: Value = serde_json::from_str(text).unwrap();
        text_of(&value["payload"]).to_owned()
    };
    let altered = good.replace(&payload(&good), &payload(&other));
    let ran = take("politie", &altered);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("a signature does not hold"), "{ran:?}");
    // signed with a key that no party has
    let stray = world.path("stray.key");
    world.pki(&["signing-key", stray.to_str().unwrap()]);
    let out = world.path("stray.json");
    let sign = [
        "agreement",
        "sign",
        whole.to_str().unwrap(),
        "--key",
        stray.to_str().unwrap(),
    ];
    assert_eq!(
        Ran::overlap(&[&sign[..], &["--out", out.to_str().unwrap()]].concat()).code,
        0
    );
    refused(
        &take("politie", &fs::read_to_string(&out).unwrap()),
        "a key that none of its parties has",
    );
    // half signed, by the other side alone
    let half = world.sign("kmar", &agreement, &["kmar"]);
    assert_eq!(
        take("politie", &fs::read_to_string(half).unwrap()).json()["agreement"]["state"],
        "proposed"
    );
    refused(&world.ask("hits", &[]), "is not signed by politie");
    // of others
    let mut third = World::new(&["politie", "kmar", "iszw"]);
    third.configure();
    third.start("iszw");
    let file = third.sign("politie", &agreement, &["politie", "kmar"]);
    let arguments = [
        "--json",
        "agreement",
        "take",
        file.to_str().unwrap(),
        "--reason",
        "a test",
    ];
    let ran = third.run("iszw", "operator", &arguments);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("iszw is no party to it"), "{ran:?}");
    // who has not the role
    let analyst = world.run(
        "politie",
        "analyst",
        &["--json", "agreement", "revoke", "thb-2026", "--reason", "x"],
    );
    refused(&analyst, "this needs the role");
    assert_eq!(analyst.failure()["reason"], "ROLE_DENIED");
}

/// Runs a query over a link that holds still, changes something in the middle, and gives what became of the query.
fn in_the_middle(world: &World, proxy: &Proxy, change: impl FnOnce(&World)) -> Ran {
    proxy.hold_after(20_000);
    thread::scope(|scope| {
        let asking = scope.spawn(|| world.ask("hits", &[]));
        wait_for("both are in the middle", || {
            ["politie", "kmar"]
                .iter()
                .all(|name| world.status(name)["open_entries"] == 1)
        });
        change(world);
        proxy.heal();
        asking.join().unwrap()
    })
}

/// The hash of the policy that the newest entry of kmar was judged by.
fn policy_hash(world: &World) -> Value {
    world.entries("kmar")[0]["entry"]["policy_hash"].clone()
}

fn over_a_link() -> (World, Proxy) {
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&Agreement::between("politie", "kmar"));
    let proxy = Proxy::start(world.agency("kmar").peer);
    world.agency_mut("kmar").called_at = Some(proxy.address);
    world.configure();
    let rows: String = (0..5000).map(|n| format!("r{n};06-1{n:07}\n")).collect();
    for name in ["politie", "kmar"] {
        world.start(name);
        world.import(name, &format!("ref;phone\n{rows}"));
    }
    (world, proxy)
}

#[test]
fn a_revocation_cuts_a_query_under_way() {
    for by in ["politie", "kmar"] {
        let (world, proxy) = over_a_link();
        let ran = in_the_middle(&world, &proxy, |world| {
            assert_eq!(decide(world, by, "operator", "revoke").code, 0);
            wait_for("the query is cut", || world.status(by)["open_entries"] == 0);
        });
        assert!(ran.code == 3 || ran.code == 4, "{by}: {ran:?}");
        assert!(ran.stdout.is_empty(), "{by}: {ran:?}");
        // the side that revoked denies; the other denies too, or saw the link end first
        let (outcome, detail) = world.newest_outcome(by);
        assert_eq!(outcome, "denied", "{by}: {detail}");
        assert!(detail.contains(&format!("was revoked by {by}")), "{detail}");
        let other = if by == "politie" { "kmar" } else { "politie" };
        assert_ne!(world.newest_outcome(other).0, "done", "{by}");
    }
}

#[test]
fn a_policy_that_changes_in_the_middle_cuts_the_query() {
    let (world, proxy) = over_a_link();
    let before = policy_hash(&world);
    let ran = in_the_middle(&world, &proxy, |world| {
        let kmar = world.agency("kmar");
        let rules = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../node/policy/default.cedar")).unwrap();
        let closed = "@id(\"closed-today\") @advice(\"kmar answers nothing today\")\n\
            forbid (principal, action == Action::\"answer\", resource);\n";
        fs::write(kmar.file("policy.cedar"), format!("{rules}\n{closed}")).unwrap();
        kmar.signal(Signal::HUP);
        wait_for("the policy is read", || kmar.log().contains("were read again"));
        wait_for("the query is cut", || world.status("kmar")["open_entries"] == 0);
    });
    assert_eq!(ran.code, 3, "{ran:?}");
    let message = text_of(&ran.failure()["message"]).to_owned();
    assert!(
        message.contains("rule closed-today") && message.contains("answers nothing today"),
        "{message}"
    );
    for name in ["politie", "kmar"] {
        let (outcome, detail) = world.newest_outcome(name);
        assert_eq!(outcome, "denied", "{name}");
        assert!(detail.contains("closed-today"), "{name}: {detail}");
    }
    // the next query is refused before it begins, under the new policy's hash
    refused(&world.ask("hits", &[]), "closed-today");
    assert_ne!(policy_hash(&world), before);
    // a policy that cannot be used leaves the one before in force
    fs::write(
        world.agency("kmar").file("policy.cedar"),
        "permit (principal, action, resource);",
    )
    .unwrap();
    world.agency("kmar").signal(Signal::HUP);
    wait_for("it was refused", || {
        world.agency("kmar").log().contains("each rule needs a name")
    });
    refused(&world.ask("hits", &[]), "closed-today");
}

#[test]
fn an_agreement_that_runs_out_in_the_middle_cuts_the_query() {
    let (world, proxy) = over_a_link();
    let until = (Timestamp::now() + 8.seconds()).to_string();
    let short = Agreement {
        id: "short",
        valid_until: &until,
        ..Agreement::between("politie", "kmar")
    };
    world.agree(&short);
    proxy.hold_after(20_000);
    let ran = world.ask("hits", &["--agreement", "short"]);
    proxy.heal();
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(
        text_of(&ran.failure()["message"]).contains("agreement short has expired"),
        "{ran:?}"
    );
    assert_eq!(world.newest_outcome("politie").0, "denied");
    thread::sleep(Duration::from_millis(10));
    let again = world.ask("hits", &["--agreement", "short"]);
    refused(&again, "has expired");
}
