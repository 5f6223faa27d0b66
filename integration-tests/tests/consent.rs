//! From a hit to what is behind it: asked, decided, told, on both sides of the log.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;

use overlap_integration_tests::{Agreement, Ran, World, text_of, wait_for};
use serde_json::Value;

const TELLS: &str =
    "disclose = [\"reference\", \"role\", \"origin\", \"phone\", \"email\", \"attachment\"]\nmirror = 64";

const ASKED: &str = "ref;phone\nx;06-10000001\ny;06-10000002\nz;06-10000003\nw;06-10000004\nv;06-10000005\n";
/// One number for each class, and one that nobody else holds.
const HELD: &str = "ref;phone;email;class\n\
    open;06-10000001;open@example.org;a\n\
    closed;06-10000002;closed@example.org;b\n\
    dim;06-10000003;dim@example.org;c\n\
    informant;06-10000004;secret@example.org;d\n";

fn import(world: &World, csv: &str) {
    let (file, mapping) = world.write_export("kmar", csv);
    let toml = fs::read_to_string(&mapping).unwrap();
    let classed = toml.replace(
        "[record]\n",
        "[record]\nvisibility_column = \"class\"\ndefault_origin = \"Brigade Schiphol\"\n",
    );
    fs::write(&mapping, classed).unwrap();
    let ran = world.import_file("kmar", "operator", &file, &mapping, &["--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

fn world(grant: &str) -> World {
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&Agreement {
        grant,
        max_set_size: 1000,
        ..Agreement::between("politie", "kmar")
    });
    world.configure();
    for name in ["politie", "kmar"] {
        world.start(name);
    }
    world.import("politie", ASKED);
    import(&world, HELD);
    world
}

fn hits(world: &World, agency: &str, user: &str) -> Vec<Value> {
    let listed = world.json(agency, user, &["hits", "list", "--reason", "a test"]);
    listed.as_array().unwrap().clone()
}

/// The id of the hit on a number.
fn id_of(world: &World, agency: &str, user: &str, number: &str) -> String {
    let hits = hits(world, agency, user);
    let hit = hits.iter().find(|hit| hit["identifier"].as_str() == Some(number));
    text_of(&hit.unwrap_or_else(|| panic!("no hit on the number among {hits:?}"))["id"]).to_owned()
}

fn state(hit: &Value) -> (&str, &str) {
    (text_of(&hit["state"]), hit["declined"].as_str().unwrap_or_default())
}

fn request(world: &World, id: &str) -> Ran {
    world.run(
        "politie",
        "analyst",
        &["--json", "hits", "request", &id[..8], "--reason", "to reach the team"],
    )
}

fn answer(ran: &Ran) -> Value {
    let all: Value = ran.json();
    assert_eq!(all.as_array().unwrap().len(), 1, "{ran:?}");
    all[0].clone()
}

/// The newest entry of an operation.
fn newest(world: &World, agency: &str, operation: &str) -> Value {
    let mut entries = world.entries(agency).into_iter();
    entries.find(|entry| entry["entry"]["operation"] == operation).unwrap()
}

#[test]
fn each_class_is_told_in_its_own_way() {
    let world = world(TELLS);
    let found = world.ask("hits", &["--kind", "phone"]).json();
    // class c: the kind and no more; class d: nothing
    assert_eq!(
        (&found["count"], &found["partly"]),
        (&2.into(), &serde_json::json!({ "phone": 1 }))
    );

    // class a at once, without anybody's decision
    let told = answer(&request(&world, &id_of(&world, "politie", "analyst", "+31610000001")));
    assert_eq!(state(&told), ("disclosed", ""));
    let record = &told["disclosed"][0];
    let expected = serde_json::json!({
        "reference": "open", "role": "other", "observed": null, "origin": "Brigade Schiphol",
        "identifiers": [
            { "kind": "phone", "identifier": "+31610000001" },
            { "kind": "email", "identifier": "open@example.org" },
        ],
    });
    let sorted = |value: &Value| {
        let mut value = value.clone();
        value["identifiers"]
            .as_array_mut()
            .unwrap()
            .sort_by_key(|one| one["kind"].to_string());
        value
    };
    assert_eq!(sorted(record), sorted(&expected));
    for agency in ["politie", "kmar"] {
        let entry = newest(&world, agency, "disclosure");
        assert_eq!(entry["closing"]["outcome"], "done", "{agency}");
        assert_eq!(entry["closing"]["output_count"], 1, "{agency}");
        assert_eq!(entry["entry"]["about"], found["transaction"], "{agency}");
        assert_eq!(entry["entry"]["approver"], Value::Null, "{agency}");
    }

    // asked again it is read, and no more than that: by who may, and logged
    let again = answer(&request(&world, text_of(&told["id"])));
    assert_eq!(again["disclosed"], told["disclosed"]);
    assert_eq!(
        newest(&world, "politie", "consultation")["entry"]["reason"],
        "to reach the team"
    );
    let auditor = ["hits", "request", text_of(&told["id"]), "--reason", "curiosity"];
    let ran = world.run("politie", "auditor", &auditor);
    assert!(ran.code == 3 && !ran.stdout.contains("open@example.org"), "{ran:?}");
    assert_eq!(newest(&world, "politie", "disclosure")["closing"]["outcome"], "denied");

    // class b waits for a functionary
    let id = id_of(&world, "politie", "analyst", "+31610000002");
    let told = answer(&request(&world, &id));
    assert_eq!(state(&told), ("pending", ""));
    assert!(told["disclosed"].as_array().unwrap().is_empty());
    assert_eq!(newest(&world, "kmar", "disclosure")["closing"]["outcome"], "pending");
    let status = world.status("kmar");
    // and so does class c, unasked
    assert_eq!(status["undecided"], 2);
    assert!(text_of(&status["decide_by"]) > "2026");
    let waiting = hits(&world, "kmar", "functionary");
    let states: Vec<_> = waiting
        .iter()
        .map(|hit| (text_of(&hit["reference"]), state(hit).0))
        .collect();
    for expected in [("closed", "pending"), ("dim", "pending"), ("informant", "hidden")] {
        assert!(states.contains(&expected), "{states:?}");
    }

    // the functionary sees who asks why, and what would be told
    let id = id_of(&world, "kmar", "functionary", "+31610000002");
    let shown = world.json("kmar", "functionary", &["hits", "show", &id, "--reason", "to decide"]);
    assert_eq!(shown["person"], "spiffe://politie.example/user/analyst");
    assert_eq!(shown["reason"], "to reach the team");
    assert_eq!(shown["records"][0]["visibility"], "b");
    assert_eq!(shown["disclosed"][0]["reference"], "closed");
    let note = world.path("note.txt");
    fs::write(&note, "Call the desk\nbefore you act.").unwrap();
    let decided = world.json(
        "kmar",
        "functionary",
        &[
            "hits",
            "approve",
            &id,
            "--reason",
            "same network",
            "--attach",
            note.to_str().unwrap(),
        ],
    );
    assert_eq!(decided["decided_by"], "spiffe://kmar.example/user/functionary");

    // asked again, it is told, with who approved in the holder's log
    let told = answer(&request(&world, &id_of(&world, "politie", "analyst", "+31610000002")));
    assert_eq!(
        (state(&told).0, &told["disclosed"][0]["reference"]),
        ("disclosed", &"closed".into())
    );
    assert_eq!(told["attachment"], "Call the desk\nbefore you act.");
    let entry = newest(&world, "kmar", "disclosure");
    assert_eq!(entry["entry"]["approver"], "spiffe://kmar.example/user/functionary");
    assert_eq!(
        entry["entry"]["transaction"],
        newest(&world, "politie", "disclosure")["entry"]["transaction"]
    );

    // class c: known by its kind, then told
    let hidden = hits(&world, "politie", "analyst");
    let dim = hidden.iter().find(|hit| hit["identifier"].is_null()).unwrap();
    assert_eq!((state(dim).0, &dim["kind"]), ("pending", &"phone".into()));
    let id = id_of(&world, "kmar", "functionary", "+31610000003");
    world.json(
        "kmar",
        "functionary",
        &["hits", "approve", &id, "--reason", "they may know"],
    );
    let told = answer(&request(&world, text_of(&dim["id"])));
    assert_eq!(
        (&told["identifier"], &told["records"][0]["reference"]),
        (&"+31610000003".into(), &"z".into())
    );
    assert_eq!(told["disclosed"][0]["reference"], "dim");

    // nothing of it is lost with the node, and all of it can be read again
    let mut world = world;
    world.agency_mut("politie").stop();
    world.start("politie");
    let shown = world.json(
        "politie",
        "analyst",
        &["hits", "show", text_of(&told["id"]), "--reason", "again"],
    );
    assert_eq!(shown["disclosed"][0]["reference"], "dim");
    // both logs tell the same
    world.reconcile();
}

#[test]
fn a_decision_is_a_functionarys_alone_and_final() {
    let world = world(TELLS);
    world.ask("hits", &["--kind", "phone"]).json();
    let id = id_of(&world, "politie", "analyst", "+31610000002");
    request(&world, &id);
    let id = id_of(&world, "kmar", "functionary", "+31610000002");
    let decline = [
        "hits",
        "decline",
        &id,
        "--why",
        "source",
        "--reason",
        "an informant's lead",
    ];
    for user in ["analyst", "operator", "auditor", "coordinator"] {
        let ran = world.run("kmar", user, &decline);
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(ran.stderr.contains("functionary"), "{ran:?}");
    }
    assert_eq!(newest(&world, "kmar", "alteration")["closing"]["outcome"], "denied");
    let decided = world.json("kmar", "functionary", &decline);
    assert_eq!(state(&decided), ("declined", "source"));
    let ran = world.run(
        "kmar",
        "functionary",
        &["hits", "approve", &id, "--reason", "after all"],
    );
    assert!(ran.code == 2 && ran.stderr.contains("was declined (source)"), "{ran:?}");

    // the asker hears the class of the reason, and not the words
    let told = answer(&request(&world, &id_of(&world, "politie", "analyst", "+31610000002")));
    assert_eq!(state(&told), ("declined", "source"));
    assert!(!told.to_string().contains("informant"));
    // nobody decides on an own question, and no peer's hit is asked about the wrong way round
    let own = id_of(&world, "politie", "analyst", "+31610000002");
    let ran = world.run("politie", "functionary", &["hits", "approve", &own, "--reason", "mine"]);
    assert!(ran.code == 2 && ran.stderr.contains("kmar decides"), "{ran:?}");
    let ran = world.run("kmar", "analyst", &["hits", "request", &id, "--reason", "what is it"]);
    assert!(ran.code == 2 && ran.stderr.contains("its own people decide"), "{ran:?}");
    let ran = request(&world, "0000000000");
    assert!(ran.code == 2 && ran.stderr.contains("no hit is kept"), "{ran:?}");
}

#[test]
fn a_user_of_both_agencies_does_not_approve_an_own_question() {
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&Agreement {
        grant: TELLS,
        ..Agreement::between("politie", "kmar")
    });
    // an analyst of politie works at kmar too, as a functionary
    let both = "spiffe://politie.example/user/analyst";
    let users = format!("[[users]]\nid = \"{both}\"\nroles = [\"functionary\"]\n");
    world.agency_mut("kmar").configuration.push_str(&users);
    let at = |name: &str| world.agency("kmar").file(name).to_str().unwrap().to_owned();
    let (ca, out) = (at("users"), at("people"));
    world.pki(&["user", "--ca", &ca, "--uri", both, "--out", &out, "--name", "liaison"]);
    world.configure();
    for name in ["politie", "kmar"] {
        world.start(name);
    }
    world.import("politie", ASKED);
    import(&world, HELD);
    world.ask("hits", &["--kind", "phone"]).json();
    let id = id_of(&world, "politie", "analyst", "+31610000002");
    request(&world, &id);
    let id = id_of(&world, "kmar", "liaison", "+31610000002");
    let ran = world.run("kmar", "liaison", &["hits", "approve", &id, "--reason", "me"]);
    assert!(
        ran.code == 3 && ran.stderr.contains("who asked cannot decide"),
        "{ran:?}"
    );
    assert_eq!(newest(&world, "kmar", "alteration")["closing"]["outcome"], "denied");
    let ran = world.run("kmar", "functionary", &["hits", "approve", &id, "--reason", "another"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn two_users_who_ask_at_once_ask_one_thing() {
    let world = world(TELLS);
    world.ask("hits", &["--kind", "phone"]).json();
    let id = id_of(&world, "politie", "analyst", "+31610000002");
    let ask = |user: &str| {
        let arguments = ["--json", "hits", "request", &id[..8], "--reason", "to reach the team"];
        answer(&world.run("politie", user, &arguments))
    };
    let answers = std::thread::scope(|scope| {
        ["analyst", "coordinator"]
            .map(|user| scope.spawn(move || ask(user)))
            .map(|asking| asking.join().unwrap())
    });
    assert_eq!(answers[0]["id"], answers[1]["id"]);
    let waiting = hits(&world, "kmar", "functionary");
    let waiting: Vec<_> = waiting
        .iter()
        .filter(|hit| hit["identifier"] == "+31610000002")
        .collect();
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    // declined, it may be asked anew, and that is another
    let decline = [
        "hits",
        "decline",
        text_of(&answers[0]["id"]),
        "--why",
        "investigation",
        "--reason",
        "weighed",
    ];
    world.json("kmar", "functionary", &decline);
    assert_eq!(state(&ask("analyst")), ("declined", "investigation"));
    let again = ask("analyst");
    assert_ne!(again["id"], answers[0]["id"]);
    assert_eq!(state(&again), ("pending", ""));
}

#[test]
fn what_the_agreement_does_not_name_is_not_told() {
    let told_nothing = world("mirror = 64");
    told_nothing.ask("hits", &["--kind", "phone"]).json();
    let ran = request(
        &told_nothing,
        &id_of(&told_nothing, "politie", "analyst", "+31610000001"),
    );
    assert!(ran.code == 3 && ran.stderr.contains("disclose"), "{ran:?}");
    assert_eq!(
        newest(&told_nothing, "politie", "disclosure")["closing"]["outcome"],
        "denied"
    );
    drop(told_nothing);

    let world = world("disclose = [\"role\"]");
    let found = world.ask("hits", &["--kind", "phone"]).json();
    assert_eq!(
        found["partly"],
        serde_json::json!({}),
        "without a mirrored pass class c is in nothing"
    );
    let told = answer(&request(&world, &id_of(&world, "politie", "analyst", "+31610000001")));
    assert_eq!(told["disclosed"][0]["role"], "other");
    assert_eq!(told["disclosed"][0]["reference"], Value::Null);
    assert_eq!(told["disclosed"][0]["identifiers"], serde_json::json!([]));
    let note = world.path("note.txt");
    fs::write(&note, "text").unwrap();
    request(&world, &id_of(&world, "politie", "analyst", "+31610000002"));
    let id = id_of(&world, "kmar", "functionary", "+31610000002");
    let approve = [
        "hits",
        "approve",
        &id,
        "--reason",
        "r",
        "--attach",
        note.to_str().unwrap(),
    ];
    let ran = world.run("kmar", "functionary", &approve);
    assert!(ran.code == 3 && ran.stderr.contains("attachment"), "{ran:?}");
}

#[test]
fn what_was_found_is_told_no_more_once_its_record_or_agreement_is_gone() {
    let world = world(TELLS);
    world.ask("hits", &["--kind", "phone"]).json();
    let (one, other) = (
        id_of(&world, "politie", "analyst", "+31610000001"),
        id_of(&world, "politie", "analyst", "+31610000002"),
    );
    request(&world, &other);
    // kmar's new export knows neither
    import(&world, "ref;phone;class\nelse;06-10000009;b\n");
    assert_eq!(state(&answer(&request(&world, &one))), ("declined", "not-held"));
    wait_for("what waited went with its record", || {
        world.status("kmar")["undecided"] == 0
    });

    let ran = world.run(
        "kmar",
        "operator",
        &["agreement", "revoke", "thb-2026", "--reason", "over"],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = request(&world, &other);
    assert!(ran.code == 3 && ran.stderr.contains("revoked"), "{ran:?}");
}

#[test]
fn a_decision_is_fetched_without_being_asked_for() {
    let world = world(TELLS);
    world.ask("hits", &["--kind", "phone"]).json();
    request(&world, &id_of(&world, "politie", "analyst", "+31610000002"));
    let id = id_of(&world, "kmar", "functionary", "+31610000002");
    world.json(
        "kmar",
        "functionary",
        &["hits", "approve", &id, "--reason", "same network"],
    );
    wait_for("politie has it", || {
        let hits = hits(&world, "politie", "analyst");
        hits.iter()
            .any(|hit| state(hit).0 == "disclosed" && hit["identifier"] == "+31610000002")
    });
    let entry = newest(&world, "politie", "disclosure");
    assert_eq!(entry["entry"]["person"], "spiffe://politie.example/user/analyst");
}

#[test]
fn where_the_result_is_for_both_the_holder_hears_what_was_found() {
    let world = world("result = \"both\"\nmirror = 16");
    let found = world.ask("hits", &["--kind", "phone"]).json();
    assert_eq!(
        (&found["count"], &found["partly"]),
        (&2.into(), &serde_json::json!({ "phone": 1 }))
    );
    let kept = hits(&world, "kmar", "operator");
    let mut states: Vec<_> = kept
        .iter()
        .map(|hit| (text_of(&hit["reference"]), state(hit).0))
        .collect();
    states.sort_unstable();
    let expected = [
        ("closed", "shared"),
        ("dim", "pending"),
        ("informant", "hidden"),
        ("open", "shared"),
    ];
    assert_eq!(states, expected);
    for agency in ["politie", "kmar"] {
        let entry = world.newest_match(agency);
        let recipients = ["politie", "kmar"].map(|name| format!("spiffe://overlap.example/agency/{name}"));
        assert_eq!(entry["entry"]["recipients"], serde_json::json!(recipients), "{agency}");
        // kmar's: two that it was told of, and two that it noticed
        let hits = if agency == "kmar" { 4 } else { 2 };
        assert_eq!(entry["closing"]["hits"], hits, "{agency}");
    }
    assert_eq!(world.ask("count", &["--kind", "phone"]).json()["count"], 3);
    // the number of those in common, and of the informant's, who takes no part in it
    assert_eq!(world.newest_match("kmar")["closing"]["hits"], 3 + 1);
    world.reconcile();
}

#[test]
fn what_nobody_decides_in_time_is_declined() {
    let mut world = world(&format!("{TELLS}\ndecide_within_days = 10"));
    world.ask("hits", &["--kind", "phone"]).json();
    let id = id_of(&world, "politie", "analyst", "+31610000002");
    assert_eq!(state(&answer(&request(&world, &id))), ("pending", ""));
    // eight days later the node reminds of it
    world.agency_mut("kmar").stop();
    world.agency_mut("kmar").start_with_clock(8 * 86_400);
    wait_for("a reminder", || world.agency("kmar").log().contains("lapses soon"));
    assert_eq!(world.status("kmar")["undecided"], 2);
    // and after ten nobody can decide any more
    world.agency_mut("kmar").stop();
    world.agency_mut("kmar").start_with_clock(11 * 86_400);
    assert_eq!(world.status("kmar")["undecided"], 0);
    let late = id_of(&world, "kmar", "functionary", "+31610000002");
    let ran = world.run("kmar", "functionary", &["hits", "approve", &late, "--reason", "late"]);
    assert!(ran.code == 2 && ran.stderr.contains("declined (lapsed)"), "{ran:?}");
    let id = id_of(&world, "politie", "analyst", "+31610000002");
    assert_eq!(state(&answer(&request(&world, &id))), ("declined", "lapsed"));
}
