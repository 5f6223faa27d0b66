//! Who may not ask, and what may not be asked: each is refused clearly, and logged by the side that refused.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;

use overlap_integration_tests::{Agreement, HostileAsker, Ran, World};
use overlap_records::Profile;

const CSV: &str = "ref;phone;email\na;06-10000001;a@example.org\nb;06-10000002;\n";

/// A world where the agreement of both is changed.
fn agreed(change: impl Fn(&mut Agreement<'_>)) -> World {
    let mut world = World::new(&["politie", "kmar"]);
    let mut agreement = Agreement::between("politie", "kmar");
    change(&mut agreement);
    world.agree(&agreement);
    run_both(&mut world);
    world
}

fn run_both(world: &mut World) {
    world.configure();
    for name in ["politie", "kmar"] {
        world.start(name);
        world.import(name, CSV);
    }
}

fn assert_refused(ran: &Ran, reason: &str, words: &str) {
    assert_eq!(ran.code, 3, "{ran:?}");
    let failure = ran.failure();
    assert_eq!(failure["reason"], reason, "{ran:?}");
    assert!(failure["message"].as_str().unwrap().contains(words), "{ran:?}");
    assert!(ran.stdout.is_empty(), "nothing of a result: {ran:?}");
}

fn assert_denied(world: &World, agency: &str, words: &str) {
    let (outcome, detail) = world.newest_outcome(agency);
    assert_eq!(outcome, "denied");
    assert!(detail.contains(words), "{detail}");
}

#[test]
fn an_agreement_that_does_not_cover_the_query() {
    type Change = fn(&mut Agreement<'_>);
    let cases: [(Change, &[&str], &str, &str); 8] = [
        (|a| a.min_set_size = 4, &[], "LIMIT_REACHED", "smaller than the 4"),
        (
            |_| (),
            &["--purpose", "curiosity"],
            "AGREEMENT_DENIED",
            "does not cover purpose curiosity",
        ),
        (
            |a| a.modes = r#""count""#,
            &[],
            "AGREEMENT_DENIED",
            "does not cover mode hits",
        ),
        (
            |a| a.kinds = r#""email""#,
            &["--kind", "phone"],
            "AGREEMENT_DENIED",
            "does not cover all of the kinds",
        ),
        (|a| a.max_set_size = 2, &[], "LIMIT_REACHED", "larger than the 2"),
        (|a| a.items_per_day = 2, &[], "LIMIT_REACHED", "daily amount of 2"),
        (
            |a| a.valid_until = "2026-02-01T00:00:00Z",
            &[],
            "AGREEMENT_DENIED",
            "has expired",
        ),
        (
            |a| a.valid_from = "2098-01-01T00:00:00Z",
            &[],
            "AGREEMENT_DENIED",
            "holds from",
        ),
    ];
    for (change, arguments, reason, words) in cases {
        let world = agreed(change);
        assert_refused(&world.ask("hits", arguments), reason, words);
        assert_denied(&world, "politie", words);
    }
}

#[test]
fn the_holder_judges_for_itself() {
    type Change = fn(&mut Agreement<'_>);
    // the asker's agreement says more than the holder has signed: its hash gives it away
    let cases: [Change; 3] = [
        |a| a.modes = r#""count""#,
        |a| a.max_set_size = 1,
        |a| a.valid_until = "2026-02-01T00:00:00Z",
    ];
    for change in cases {
        let mut world = World::new(&["politie", "kmar"]);
        let mut narrower = Agreement::between("politie", "kmar");
        change(&mut narrower);
        world.agree_one_sided("kmar", &narrower);
        run_both(&mut world);
        let wider = Agreement {
            id: "thb-wide",
            ..Agreement::between("politie", "kmar")
        };
        let wider = world.sign("politie", &wider, &["politie"]);
        let ran = world.run(
            "politie",
            "operator",
            &["agreement", "take", wider.to_str().unwrap(), "--reason", "a test"],
        );
        assert_eq!(ran.code, 0, "{ran:?}");
        let ran = world.ask("hits", &["--agreement", "thb-wide"]);
        assert_refused(&ran, "AGREEMENT_DENIED", "is not signed by kmar");
        assert_denied(&world, "politie", "is not signed by kmar");
    }
}

#[test]
fn no_agreement_at_all() {
    let mut world = World::new(&["politie", "kmar"]);
    run_both(&mut world);
    assert_refused(
        &world.ask("hits", &[]),
        "AGREEMENT_DENIED",
        "no agreement lets politie ask kmar",
    );
}

#[test]
fn a_key_that_the_agreement_does_not_pin() {
    let mut world = World::new(&["politie", "kmar"]);
    // politie's node gets a new key under the same name; the holder pins the old one
    let old = world.agency("politie").thumbprint();
    let directory = world.agency("politie").directory.clone();
    for file in ["node.pem", "node.key"] {
        fs::remove_file(directory.join(file)).unwrap();
    }
    let federation = world.path("federation");
    let (federation, out) = (federation.to_str().unwrap(), directory.to_str().unwrap());
    let uri = "spiffe://overlap.example/agency/politie";
    world.pki(&[
        "node",
        "--ca",
        federation,
        "--uri",
        uri,
        "--host",
        "127.0.0.1",
        "--out",
        out,
        "--name",
        "node",
    ]);
    world.agree(&Agreement {
        asker_key: Some(old),
        ..Agreement::between("politie", "kmar")
    });
    run_both(&mut world);
    assert_refused(
        &world.ask("hits", &[]),
        "AGREEMENT_DENIED",
        "pins another key for politie",
    );
    assert_denied(&world, "politie", "pins another key");
}

#[test]
fn the_daily_amount_survives_a_restart() {
    let mut world = agreed(|agreement| agreement.items_per_day = 7);
    assert_eq!(world.ask("hits", &[]).json()["count"], 3);
    assert_eq!(world.ask("hits", &[]).json()["count"], 3);
    for name in ["politie", "kmar"] {
        world.agency_mut(name).stop();
        world.start(name);
    }
    assert_refused(&world.ask("hits", &[]), "LIMIT_REACHED", "6 asked today");
    assert_denied(&world, "politie", "daily amount");
}

/// Gives politie's node another certificate, from an authority and for a time of the test's choice.
fn recertify(world: &World, authority: &str, times: &[&str]) {
    let directory = world.agency("politie").directory.clone();
    fs::remove_file(directory.join("node.pem")).unwrap();
    let (ca, key) = (world.path(authority), directory.join("node.key"));
    let arguments = [
        "node",
        "--ca",
        ca.to_str().unwrap(),
        "--uri",
        "spiffe://overlap.example/agency/politie",
        "--host",
        "127.0.0.1",
        "--out",
        directory.to_str().unwrap(),
        "--name",
        "node",
        "--key",
        key.to_str().unwrap(),
    ];
    world.pki(&[&arguments[..], times].concat());
}

#[test]
fn certificates_that_do_not_hold() {
    let cases: [(&str, &[&str], &str); 3] = [
        ("other", &[], "an authority that this node does not trust"),
        (
            "federation",
            &[
                "--not-before",
                "2024-01-01T00:00:00Z",
                "--not-after",
                "2025-01-01T00:00:00Z",
            ],
            "has expired",
        ),
        (
            "federation",
            &[
                "--not-before",
                "2028-01-01T00:00:00Z",
                "--not-after",
                "2029-01-01T00:00:00Z",
            ],
            "is not valid yet",
        ),
    ];
    for (authority, times, words) in cases {
        let mut world = World::new(&["politie", "kmar"]);
        world.pki(&[
            "ca",
            "--dir",
            world.path("other").to_str().unwrap(),
            "--name",
            "Another authority",
        ]);
        world.agree(&Agreement::between("politie", "kmar"));
        recertify(&world, authority, times);
        run_both(&mut world);
        let ran = world.ask("hits", &[]);
        assert_eq!(ran.code, 4, "{ran:?}");
        let message = ran.failure()["message"].as_str().unwrap().to_owned();
        assert!(
            message.contains("kmar cannot be reached: it refused this node's certificate"),
            "{message}"
        );
        assert_eq!(world.newest_outcome("politie").0, "error");
        let refused = world
            .entries("kmar")
            .into_iter()
            .find(|entry| entry["closing"]["outcome"] == "denied")
            .unwrap();
        let detail = refused["closing"]["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{detail}");
    }
}

#[test]
fn a_holder_whose_certificate_does_not_hold() {
    let mut world = World::new(&["kmar", "politie"]);
    // roles turned round: politie, whose certificate has expired, is the one that is asked
    world.agree(&Agreement::between("kmar", "politie"));
    recertify(
        &world,
        "federation",
        &[
            "--not-before",
            "2024-01-01T00:00:00Z",
            "--not-after",
            "2025-01-01T00:00:00Z",
        ],
    );
    run_both(&mut world);
    let arguments = [
        "--json",
        "match",
        "--peer",
        "politie",
        "--dataset",
        "cases",
        "--mode",
        "hits",
        "--purpose",
        "thb-investigation",
    ];
    let ran = world.run(
        "kmar",
        "analyst",
        &[&arguments[..], &["--case", "1", "--reason", "a test"]].concat(),
    );
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stderr.contains("the certificate shown has expired"), "{ran:?}");
    assert_eq!(world.newest_outcome("kmar").0, "error");
}

#[test]
fn a_revoked_certificate_is_refused_without_a_restart() {
    let world = agreed(|_| ());
    assert_eq!(world.ask("hits", &[]).code, 0);
    let federation = world.path("federation");
    let certificate = world.agency("politie").file("node.pem");
    world.pki(&[
        "revoke",
        "--ca",
        federation.to_str().unwrap(),
        certificate.to_str().unwrap(),
    ]);
    world.publish_crl("kmar");
    let ran = world.ask("hits", &[]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(
        ran.stderr.contains("refused this node's certificate: revoked"),
        "{ran:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_up_does_not_outlive_a_revocation() {
    let world = agreed(|_| ());
    let mut politie = HostileAsker::connect(&world, "politie", "kmar").await;
    let (_, before) = politie.play(vec![], None).await;
    assert!(
        before.unwrap().message().contains("hung up"),
        "the certificate is good, only nothing was asked"
    );
    let federation = world.path("federation");
    let certificate = world.agency("politie").file("node.pem");
    world.pki(&[
        "revoke",
        "--ca",
        federation.to_str().unwrap(),
        certificate.to_str().unwrap(),
    ]);
    world.publish_crl("kmar");
    let (_, after) = politie.play(vec![], None).await;
    assert!(after.unwrap().message().contains("the certificate shown is revoked"));
}

#[test]
fn records_that_may_not_be_compared_are_not() {
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&Agreement::between("politie", "kmar"));
    run_both(&mut world);
    let import = |csv: &str, record: &str| {
        let (file, mapping) = world.write_export("kmar", csv);
        let toml = fs::read_to_string(&mapping)
            .unwrap()
            .replace("[record]", &format!("[record]\n{record}"));
        fs::write(&mapping, toml).unwrap();
        world
            .import_file("kmar", "operator", &file, &mapping, &["--json"])
            .json()["dataset"]
            .clone()
    };
    let today = jiff::tz::TimeZone::UTC
        .to_datetime(jiff::Timestamp::now())
        .date()
        .to_string();
    let shown = import(
        &format!("ref;phone;class;until\na;06-10000001;d;\nb;06-10000002;b;2020-01-01\nc;06-10000003;b;{today}\n"),
        "visibility_column = \"class\"\nexpires = \"until\"",
    );
    assert_eq!((&shown["records"], &shown["withheld"]), (&3.into(), &2.into()));
    assert_eq!(shown["expires"], today);
    let found = world.ask("hits", &[]).json();
    assert_eq!(
        (&found["count"], &found["peer_set_size"]),
        (&0.into(), &1.into()),
        "neither the informant nor the expired record"
    );
}

#[test]
fn an_expired_revocation_list_refuses_everybody() {
    let world = agreed(|_| ());
    let federation = world.path("federation");
    let times = [
        "--this-update",
        "2025-01-01T00:00:00Z",
        "--next-update",
        "2025-02-01T00:00:00Z",
    ];
    world.pki(&[&["crl", "--ca", federation.to_str().unwrap()][..], &times].concat());
    world.publish_crl("kmar");
    assert_eq!(world.ask("hits", &[]).code, 4);
    let refused = world
        .entries("kmar")
        .into_iter()
        .find(|entry| entry["closing"]["outcome"] == "denied")
        .unwrap();
    assert!(
        refused["closing"]["detail"]
            .as_str()
            .unwrap()
            .contains("revocation list has expired"),
        "{refused}"
    );
}

#[test]
fn two_profiles_are_refused_by_name_and_hash() {
    const OTHER: &str = "profile = \"trial/7\"\ncommon = 9\n[kinds]\nphone = \"e164/1\"\nemail = \"email/1\"\n";
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&Agreement::between("politie", "kmar"));
    fs::write(world.agency("kmar").file("trial.toml"), OTHER).unwrap();
    world.agency_mut("kmar").configuration = String::new();
    world.configure();
    let config = world.agency("kmar").file("node.toml");
    let configured = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        configured.replacen("state = ", "profile = \"trial.toml\"\nstate = ", 1),
    )
    .unwrap();

    // an agreement under another profile than a node's own does not count there, and says both
    let (own, other) = (Profile::eu_thb_1(), Profile::parse(OTHER).unwrap());
    for name in ["politie", "kmar"] {
        world.start(name);
    }
    world.import("politie", CSV);
    let (file, mapping) = world.write_export("kmar", CSV);
    let ran = world.import_file("kmar", "operator", &file, &mapping, &["--json"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.stderr.contains("trial/7") && ran.stderr.contains("eu-thb/1"),
        "{ran:?}"
    );
    let profile = world.agency("kmar").file("trial.toml");
    let ran = world.import_file(
        "kmar",
        "operator",
        &file,
        &mapping,
        &["--json", "--profile", profile.to_str().unwrap()],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = world.ask("hits", &["--kind", "phone"]);
    assert_refused(&ran, "PEER_REFUSED", "profile eu-thb/1");
    assert_refused(&ran, "PEER_REFUSED", "trial/7");
    assert_denied(&world, "kmar", &hex::encode(own.hash()));
    assert_denied(&world, "kmar", &hex::encode(other.hash()));
}

#[test]
fn a_profile_is_checked_before_it_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("p.toml");
    let check = |text: &str| {
        fs::write(&file, text).unwrap();
        Ran::overlap(&["profile", "check", file.to_str().unwrap()])
    };
    let shipped = Ran::overlap(&["profile", "show", "--toml"]).stdout;
    assert_eq!(check(&shipped).code, 0);
    for (text, words) in [
        (shipped.replace("e164/1", "e164/99"), "e164/1"),
        (shipped.replace("\nphone = ", "\nfax = "), "fax"),
        (shipped.replace("[kinds]", "[kindz]"), "kindz"),
        (shipped.replace("common = ", "common = \"x\" #"), "common"),
    ] {
        let ran = check(&text);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(
            ran.stderr.contains("p.toml") && ran.stderr.contains(words),
            "{words}: {ran:?}"
        );
    }
    let explained = Ran::overlap(&["--json", "profile", "explain", "+31 (0)6 12345678", "--kind", "phone"]).json();
    assert_eq!(explained["canonical"], "+31612345678");
    assert_eq!(explained["match_keys"][0]["name"], "phone");
    let rejected = Ran::overlap(&["profile", "explain", "112", "--kind", "phone"]);
    assert!(
        rejected.stdout.contains("rejected: not a valid telephone number"),
        "{rejected:?}"
    );
    assert_eq!(Ran::overlap(&["profile", "explain", "112", "--kind", "fax"]).code, 2);
}
