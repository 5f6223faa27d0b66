//! Pictures: what many agencies have in common, from the field.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use overlap_integration_tests::{CASE, Gathering, HostileAsker, Ran, combinations, phones, plain, text_of, wait_for};
use overlap_proto::follow_up::FollowUp;
use overlap_records::{Identifier, Kind};
use serde_json::Value;
use uuid::Uuid;

fn refused(ran: &Ran, reason: &str, words: &str) {
    assert_eq!(ran.failure()["reason"], reason, "{ran:?}");
    assert!(text_of(&ran.failure()["message"]).contains(words), "{words}: {ran:?}");
}

#[test]
fn the_expertise_centre_sees_what_three_agencies_share_and_has_nothing_itself() {
    let mut digw = Gathering::new(
        &["emm", "iszw", "kmar", "politie"],
        "disclose = [\"reference\", \"role\", \"phone\"]",
    );
    digw.start();
    let held: [(&str, BTreeSet<u32>); 3] = [
        ("politie", (0..60).collect()),
        ("kmar", (40..90).collect()),
        ("iszw", (50..100).chain(10..15).collect()),
    ];
    for (name, numbers) in &held {
        digw.import(name, &phones(numbers.iter().copied(), "suspect"));
    }
    let ran = digw.picture("politie,kmar,iszw", "operational", &["--kind", "phone"]);
    let picture = ran.json();
    assert_eq!(combinations(&picture, "phone"), plain(&held));
    assert_eq!(picture["kinds"][0]["unique"], 100);
    let shared = picture["shared"].as_array().unwrap();
    let in_common: u64 = plain(&held)
        .iter()
        .filter(|(names, _)| names.contains('+'))
        .map(|(_, count)| count)
        .sum();
    assert_eq!(shared.len() as u64, in_common);

    // one transaction in all four logs, and each pair of them agrees
    let id = text_of(&picture["id"]);
    for agency in ["emm", "politie", "kmar", "iszw"] {
        wait_for(&format!("the log of {agency}"), || {
            !digw.world.newest_match(agency)["closing"].is_null()
        });
        let entry = digw.world.newest_match(agency);
        assert_eq!(entry["entry"]["transaction"], id, "{agency}");
        assert_eq!(entry["entry"]["mode"], "operational");
        assert_eq!(entry["entry"]["order"], overlap_integration_tests::ORDER);
        let outcome = if agency == "emm" { "hit" } else { "done" };
        assert_eq!(entry["closing"]["outcome"], outcome, "{agency}: {entry}");
    }

    // what is shared is followed up with its holders, by the pseudonym alone
    let all_three = shared
        .iter()
        .find(|one| one["agencies"].as_array().unwrap().len() == 3)
        .unwrap();
    let pseudonym = text_of(&all_three["pseudonym"]);
    let follow_up = |pseudonym: &str| {
        let arguments = ["picture", "follow-up", &id[..8], pseudonym, "--reason", "who is it"];
        digw.world.json("emm", "analyst", &arguments)
    };
    let asked = follow_up(&pseudonym[..8]);
    let rows = asked["follow_ups"].as_array().unwrap();
    assert_eq!(
        (rows.len(), asked["failed"].as_array().unwrap().len()),
        (3, 0),
        "{asked}"
    );
    for row in rows {
        assert_eq!((&row["state"], &row["identifier"]), (&"pending".into(), &Value::Null));
    }
    for agency in ["politie", "kmar"] {
        let row = rows.iter().find(|row| row["peer"] == agency).unwrap();
        let hit = text_of(&row["id"]);
        let shown = digw
            .world
            .json(agency, "functionary", &["hits", "show", hit, "--reason", "a question"]);
        assert!(text_of(&shown["identifier"]).starts_with("+316"), "{shown}");
        let verb = if agency == "politie" { "approve" } else { "decline" };
        let mut arguments = vec!["hits", verb, hit, "--reason", "weighed"];
        if verb == "decline" {
            arguments.extend(["--why", "investigation"]);
        }
        digw.world.json(agency, "functionary", &arguments);
    }
    let told = follow_up(pseudonym);
    let of = |name: &str| {
        let rows = told["follow_ups"].as_array().unwrap();
        rows.iter().find(|row| row["peer"] == name).unwrap().clone()
    };
    assert_eq!(of("politie")["state"], "disclosed", "{told}");
    assert_eq!(
        of("politie")["disclosed"][0]["identifiers"][0]["kind"],
        "phone",
        "{told}"
    );
    assert_eq!(
        (&of("kmar")["state"], &of("iszw")["state"]),
        (&"declined".into(), &"pending".into())
    );

    let all = ["emm", "politie", "kmar", "iszw"];
    for agency in &all[1..] {
        digw.world.wait_for_witness("emm", agency);
        digw.world.wait_for_witness(agency, "emm");
    }
    let exports = all.map(|name| digw.world.export_log(name, &format!("{name}.exported")));
    for other in &exports[1..] {
        let ran = Ran::overlap(&[
            "log",
            "reconcile",
            exports[0].to_str().unwrap(),
            other.to_str().unwrap(),
        ]);
        assert_eq!(ran.code, 0, "{ran:?}");
    }

    // a picture of another case, of no order, or of a peer that is no party, is refused, and the refusal logged
    refused(
        &digw.picture("politie,kmar", "statistics", &["--kind", "plate"]),
        "AGREEMENT_DENIED",
        "kinds",
    );
    let unordered = [
        "--json",
        "picture",
        "run",
        "--with",
        "politie,kmar",
        "--form",
        "statistics",
        "--purpose",
        "thb-investigation",
        "--case",
        CASE,
        "--reason",
        "a test",
    ];
    refused(
        &digw.world.run("emm", "analyst", &unordered),
        "ORDER_DENIED",
        "asks for an order",
    );
    assert_eq!(digw.world.newest_outcome("emm").0, "denied");
    refused(
        &digw.world.run("emm", "auditor", &unordered),
        "ROLE_DENIED",
        "needs the role",
    );
}

#[test]
fn victims_are_counted_once_across_help_lines_and_police_and_small_groups_are_not_told() {
    let mut world = Gathering::new(&["emm", "comensha", "politie", "leger"], "min_count = 5");
    world.start();
    let held: [(&str, BTreeSet<u32>); 3] = [
        ("comensha", (0..50).collect()),
        ("politie", (30..70).collect()),
        ("leger", (46..58).chain(90..100).collect()),
    ];
    for (name, numbers) in &held {
        world.import(name, &phones(numbers.iter().copied(), "victim"));
    }
    let picture = world
        .picture(
            "comensha,politie,leger",
            "statistics",
            &["--kind", "phone", "--role", "victim"],
        )
        .json();
    // 102 reports, 80 victims
    assert_eq!(picture["kinds"][0]["unique"], 80);
    let told = combinations(&picture, "phone");
    let truth = plain(&held);
    assert_eq!(truth["comensha+leger+politie"], 4);
    assert_eq!(told.get("comensha+leger+politie"), None, "four are not told");
    let withheld: u64 = truth.values().sum::<u64>() - told.values().sum::<u64>();
    assert!(withheld >= 5, "what is left over is no fewer: {told:?}");
    for (names, count) in &told {
        assert_eq!(truth[names], *count);
        assert!(*count >= 5);
    }
    assert!(picture.get("shared").is_none());
    assert!(
        picture["agencies"][0].get("items").is_none(),
        "sizes would tell it: {picture}"
    );
    // without anything that is told behind a hit, nobody may know which
    refused(
        &world.picture("comensha,politie,leger", "operational", &["--kind", "phone"]),
        "AGREEMENT_DENIED",
        "statistics alone",
    );
}

#[test]
fn minors_who_left_shelter_are_looked_for_with_everybody_at_once() {
    let mut study = Gathering::new(&["coa", "kmar", "politie", "iszw"], "disclose = [\"reference\"]");
    study.start();
    let missing: BTreeSet<u32> = (0..30).collect();
    let held: [(&str, BTreeSet<u32>); 4] = [
        ("coa", missing),
        ("kmar", (20..60).collect()),
        ("politie", (25..35).chain(100..120).collect()),
        ("iszw", (5..8).chain(200..220).collect()),
    ];
    for (name, numbers) in &held {
        study.import(name, &phones(numbers.iter().copied(), "victim"));
    }
    let out = study.world.path("picture");
    let arguments = ["--dataset", "cases", "--kind", "phone", "--out", out.to_str().unwrap()];
    let picture = study.picture("kmar,politie,iszw", "operational", &arguments).json();
    assert_eq!(combinations(&picture, "phone"), plain(&held));
    let found = combinations(&picture, "phone").into_iter();
    let found: u64 = found
        .filter(|(names, _)| names.contains("coa+"))
        .map(|(_, count)| count)
        .sum();
    assert_eq!(
        found, 13,
        "ten of kmar, five of whom politie knows too, and three of iszw"
    );
    for file in [
        "phone-upset.svg",
        "phone-matrix.svg",
        "phone.txt",
        "picture.csv",
        "picture.xlsx",
        "picture.json",
        "picture.graphml",
        "links-i2.csv",
    ] {
        assert!(out.join(file).exists(), "{file}");
    }
    // the own records behind what is shared come with the question
    let shared = picture["shared"].as_array().unwrap();
    let one = shared
        .iter()
        .find(|one| one["agencies"].as_array().unwrap().contains(&"coa".into()))
        .unwrap();
    let id = text_of(&picture["id"]);
    let arguments = [
        "picture",
        "follow-up",
        id,
        text_of(&one["pseudonym"]),
        "--reason",
        "where",
    ];
    let asked = study.world.json("coa", "analyst", &arguments);
    assert!(
        text_of(&asked["follow_ups"][0]["records"][0]["reference"]).starts_with('r'),
        "{asked}"
    );
    // kept, shown again, and saved the same
    let shown = study
        .world
        .json("coa", "analyst", &["picture", "show", &id[..8], "--reason", "again"]);
    assert_eq!(shown, picture);
    let saved: Value = serde_json::from_slice(&std::fs::read(out.join("picture.json")).unwrap()).unwrap();
    assert_eq!(saved, picture);
    let listed = study.world.json("kmar", "analyst", &["picture", "status"]);
    assert_eq!((&listed[0]["id"], &listed[0]["led_by"]), (&id.into(), &"coa".into()));
}

/// Each class of records, in a picture and behind it.
#[test]
fn a_picture_shows_of_each_class_what_it_may() {
    let mut world = Gathering::new(
        &["emm", "kmar", "politie"],
        "disclose = [\"reference\"]\nvisibility = [\"a\", \"b\", \"c\", \"d\"]",
    );
    world.start();
    let held =
        "ref;phone;role;class\nopen;06-10000001;suspect;a\nclosed;06-10000002;suspect;b\nshy;06-10000003;suspect;c\n";
    world.import("kmar", &format!("{held}informant;06-10000004;witness;d\n"));
    let other =
        "ref;phone;role\n1;06-10000001;victim\n2;06-10000002;victim\n3;06-10000003;victim\n4;06-10000004;victim\n";
    world.import("politie", other);
    let picture = world
        .picture("kmar,politie", "operational", &["--kind", "phone"])
        .json();
    let told = combinations(&picture, "phone");
    assert_eq!(
        told,
        BTreeMap::from([("kmar+politie".to_owned(), 3), ("politie".to_owned(), 1)])
    );
    let kmar = picture["agencies"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "kmar");
    assert_eq!(kmar.unwrap()["items"], 3, "nor does the size tell of the informant");
    // the role of class c is for its holder to tell
    let mut roles: Vec<String> = picture["shared"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["roles"].to_string())
        .collect();
    roles.sort_unstable();
    let both = r#"["suspect","victim"]"#;
    assert_eq!(roles, [both, both, r#"["victim"]"#]);
    // whatever the class, a functionary decides: the holder cannot see that the other has it
    for one in picture["shared"].as_array().unwrap() {
        let id = text_of(&picture["id"]);
        let arguments = [
            "picture",
            "follow-up",
            id,
            text_of(&one["pseudonym"]),
            "--reason",
            "who is it",
        ];
        let asked = world.world.json("emm", "analyst", &arguments);
        for row in asked["follow_ups"].as_array().unwrap() {
            assert_eq!(
                (&row["state"], row["disclosed"].as_array().unwrap().len()),
                (&"pending".into(), 0),
                "{asked}"
            );
        }
    }
    // what only one has was never shown, and cannot be followed up by a guess
    let arguments = [
        "picture",
        "follow-up",
        text_of(&picture["id"]),
        "00000000",
        "--reason",
        "a guess",
    ];
    let ran = world.world.run("emm", "analyst", &arguments);
    assert_eq!(ran.code, 2, "{ran:?}");
}

/// Who leads a picture knows pseudonyms alone: it cannot ask about identifiers that it names.
#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_no_leave_to_ask_about_any_identifier() {
    let mut world = Gathering::new(&["emm", "kmar", "politie"], "disclose = [\"reference\"]");
    world.start();
    world.import("kmar", "ref;phone;class\nopen;06-10000001;a\n");
    world.import("politie", "ref;phone\n1;06-10000001\n");
    let picture = world
        .picture("kmar,politie", "operational", &["--kind", "phone"])
        .json();
    let listed = world.world.json("kmar", "operator", &["agreement", "list"]);
    let wish = |identifier: Option<&str>, pseudonym| FollowUp {
        transaction: Uuid::now_v7(),
        id: Uuid::now_v7(),
        about: text_of(&picture["id"]).parse().unwrap(),
        agreement_hash: text_of(&listed[0]["hash"]).parse().unwrap(),
        kind: Kind::Phone,
        identifier: identifier.map(|one| Identifier::from_canonical(Kind::Phone, one).unwrap()),
        pseudonym,
        reason: "a guess".into(),
        person: "spiffe://emm.example/user/analyst".into(),
        role: "analyst".into(),
    };
    let mut emm = HostileAsker::connect(&world.world, "emm", "kmar").await;
    for guess in [
        wish(Some("+31610000001"), None),
        wish(None, Some([0; 16])),
        wish(Some("+31610000001"), Some([0; 16])),
    ] {
        let refused = emm.follow_up(&guess).await.unwrap_err();
        assert!(!refused.message().contains("open"), "{refused:?}");
        assert_eq!(refused.code(), tonic::Code::NotFound, "{refused:?}");
    }
}
