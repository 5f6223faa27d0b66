//! A Joint Action Day: checks in the street, answered by all partners at once.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use overlap_integration_tests::{ActionDay, alert, answer, by_partner, text_of, wait_for};

const POLITIE: &str = "ref;phone;class\np1;06-10000001;a\n";
const KMAR: &str = "ref;phone;class\nk1;06-10000002;a\nk2;06-10000003;b\nk3;06-10000004;c\nk4;06-10000005;d\n";
const BELGIUM: &str =
    "ref;phone;document;born;given;family\nb1;06-10000003;;;;\nb2;;NXB1234;1985-02-23;Jan;van den Berg\n";

fn day(grant: &str) -> ActionDay {
    let mut day = ActionDay::new(&["politie", "kmar", "belgium"], grant);
    day.start();
    day.import("politie", POLITIE);
    day.import("kmar", KMAR);
    day.import("belgium", BELGIUM);
    day
}

#[test]
fn a_check_is_answered_by_all_partners_as_far_as_each_record_may_be_seen() {
    let day = day("");
    day.begin("jad", &[]);
    let lines = "phone 06-10000009\nphone 06-10000002\nphone 06-10000003\nphone 06-10000004\nphone 06-10000005\n\
                 phone 06-10000099\tperson Jan van den Berg|1985-02-23\n";
    let printed = day.checked("politie", "jad", lines, &[]);
    let outcomes = |check| {
        let answers = by_partner(&printed, check);
        [answers["kmar"].clone(), answers["belgium"].clone()]
    };
    assert_eq!(outcomes(1), ["no-hit", "no-hit"]);
    assert_eq!(outcomes(2), ["hit", "no-hit"]);
    assert_eq!(outcomes(3), ["hit", "hit"]);
    assert_eq!(outcomes(4), ["hit", "no-hit"]);
    assert_eq!(outcomes(5), ["no-hit", "no-hit"], "class d");
    assert_eq!(outcomes(6), ["no-hit", "hit"], "{printed:?}");
    // class a tells at once what the agreement names; b and c wait for a functionary
    assert_eq!(alert(&printed, 2, "kmar")["told"][0]["reference"], "k1");
    assert_eq!(alert(&printed, 3, "kmar")["told"].as_array().unwrap().len(), 0);
    assert_eq!(alert(&printed, 4, "kmar")["told"].as_array().unwrap().len(), 0);
    let done: Vec<_> = printed.iter().filter(|one| one["done"] == true).collect();
    assert_eq!(done.len(), 6);
    assert!(done.iter().all(|one| one["answered"] == 2 && one["partners"] == 2));

    // both sides are alerted
    let own = day.wait_for_alerts("politie", "jad", 5);
    let theirs = day.wait_for_alerts("kmar", "jad", 3);
    assert_eq!(day.wait_for_alerts("belgium", "jad", 2).len(), 2);
    assert!(
        own.iter()
            .all(|alert| alert["side"] == "asker" && alert["state"] == "new")
    );
    for theirs in &theirs {
        assert_eq!(
            (&theirs["side"], &theirs["partner"]),
            (&"holder".into(), &"politie".into())
        );
        assert!(
            own.iter()
                .any(|own| own["id"] == theirs["id"] && own["check"] == theirs["check"])
        );
    }

    // claim, confirm, hand over: the other side sees it
    let hit = alert(&printed, 3, "kmar");
    let same = |agency: &str, state: &str| {
        wait_for(&format!("{agency} sees it {state}"), || {
            let alerts = day.alerts(agency, "jad");
            alerts.iter().any(|one| one["id"] == hit["id"] && one["state"] == state)
        });
    };
    day.handle("kmar", "claim", "jad", hit);
    same("politie", "claimed");
    day.handle("kmar", "confirm", "jad", hit);
    same("politie", "confirmed");
    day.handle("kmar", "hand-over", "jad", hit);
    same("politie", "handed-over");
    let alerts = day.alerts("politie", "jad");
    let owner = alerts.iter().find(|one| one["id"] == hit["id"]).unwrap();
    assert_eq!(owner["owner"], "politie");

    // what waits for consent is decided on where all hits are
    let id = text_of(&hit["id"]);
    let approve = ["--json", "hits", "approve", id, "--reason", "same network"];
    assert_eq!(day.world.run("kmar", "functionary", &approve).code, 0);
    wait_for("politie has what is behind it", || {
        let request = ["--json", "hits", "request", id, "--reason", "to go on"];
        let ran = day.world.run("politie", "coordinator", &request);
        ran.code == 0 && ran.stdout.contains("k2")
    });
    let alerts = day.alerts("politie", "jad");
    let told = alerts.iter().find(|one| one["id"] == hit["id"]).unwrap();
    assert_eq!(told["told"][0]["reference"], "k2", "the feed shows it too");

    // the numbers of the day
    let report = day.action("politie", &["report", "jad"]).json();
    assert_eq!(report["checks"], 6);
    let kmar = &report["partners"]["kmar"]["phone"];
    assert_eq!(
        (&kmar["asked"], &kmar["hits"], &kmar["confirmed"]),
        (&6.into(), &3.into(), &1.into())
    );
    let report = day.action("kmar", &["report", "jad"]).json();
    let politie = &report["partners"]["politie"]["phone"];
    assert_eq!((&politie["answered"], &politie["told"]), (&6.into(), &3.into()));
    // a slip is an entry like others
    let slip = day.action("kmar", &["claim", "jad", "deadbeef", "--reason", "a slip"]);
    assert_eq!(slip.failure()["reason"], "NOT_FOUND", "{slip:?}");
    day.end_and_reconcile("jad", ["politie", "kmar"]);
}

#[test]
fn checks_at_the_same_moment_have_alerts_of_their_own() {
    let day = day("");
    day.begin("jad", &[]);
    let line = |case| format!("{{\"phone\": \"06-10000002\", \"case\": \"C-{case}\"}}\n");
    let lines: String = (1..=6).map(line).collect();
    day.checked("politie", "jad", &lines, &[]);
    let cases = |agency: &str| {
        let alerts = day.wait_for_alerts(agency, "jad", 6);
        let mut cases: Vec<(String, String)> = alerts
            .iter()
            .map(|alert| (alert["id"].to_string(), alert["case_reference"].to_string()))
            .collect();
        cases.sort();
        cases
    };
    let own = cases("politie");
    assert_eq!(own, cases("kmar"));
    let different: std::collections::BTreeSet<_> = own.iter().map(|(_, case)| case).collect();
    assert_eq!(different.len(), 6, "{own:?}");
}

#[test]
fn what_comes_in_during_a_pause_is_told_when_it_is_over() {
    let day = day("");
    day.begin("jad", &[]);
    day.checked("politie", "jad", "phone 06-10000042\n", &[]);
    day.step("politie", "pause", "jad");
    wait_for("kmar has heard", || {
        day.action("kmar", &["status", "jad"]).json()[0]["state"] == "paused"
    });
    day.append("kmar", "ref;phone;class\nk9;06-10000042;b\n");
    wait_for("politie has it, and may not claim it", || {
        day.world.agency("politie").log().contains("is claimed later")
    });
    assert!(day.alerts("politie", "jad").is_empty());
    day.step("politie", "start", "jad");
    assert_eq!(day.wait_for_alerts("politie", "jad", 1)[0]["partner"], "kmar");
    assert_eq!(day.wait_for_alerts("kmar", "jad", 1).len(), 1);
}

#[test]
fn a_restart_of_its_own_node_forgets_no_check() {
    let mut day = day("");
    day.begin("jad", &[]);
    day.checked("politie", "jad", "phone 06-10000042\n", &[]);
    // a crash takes the last second
    std::thread::sleep(std::time::Duration::from_millis(1500));
    day.world.agency_mut("politie").kill();
    day.world.start("politie");
    day.wait_until_ready("jad");
    day.append("kmar", "ref;phone;class\nk9;06-10000042;b\n");
    assert_eq!(
        day.wait_for_alerts("politie", "jad", 1)[0]["identifier"],
        "+31610000042"
    );
    // made once, and counted once
    let report = day.action("politie", &["report", "jad"]).json();
    assert_eq!(
        (&report["checks"], &report["partners"]["kmar"]["phone"]["asked"]),
        (&1.into(), &1.into())
    );
}

#[test]
fn a_record_that_comes_later_turns_an_earlier_check_into_a_hit() {
    let day = day("");
    day.begin("jad", &[]);
    let printed = day.checked("politie", "jad", "phone 06-10000042\n", &[]);
    assert_eq!(answer(&printed, 1, "kmar")["outcome"], "no-hit");
    day.append("kmar", "ref;phone;class\nk9;06-10000042;b\n");
    let own = day.wait_for_alerts("politie", "jad", 1);
    assert_eq!(
        (&own[0]["partner"], &own[0]["identifier"]),
        (&"kmar".into(), &"+31610000042".into())
    );
    assert_eq!(day.wait_for_alerts("kmar", "jad", 1)[0]["id"], own[0]["id"]);
    // and a check after it hits at once
    let printed = day.checked("belgium", "jad", "phone 06-10000042\n", &[]);
    assert_eq!(answer(&printed, 1, "kmar")["outcome"], "hit");
}

#[test]
fn the_holder_alone_is_alerted_of_a_check_on_an_informant() {
    let day = day("mirror = 64");
    day.begin("jad", &[]);
    let printed = day.checked("politie", "jad", "phone 06-10000005\nphone 06-10000009\n", &[]);
    for check in [1, 2] {
        assert_eq!(answer(&printed, check, "kmar")["outcome"], "no-hit");
    }
    let theirs = day.wait_for_alerts("kmar", "jad", 1);
    assert_eq!(
        (&theirs[0]["hidden"], &theirs[0]["records"][0]["reference"]),
        (&true.into(), &"k4".into())
    );
    let handed = day.action(
        "kmar",
        &["hand-over", "jad", text_of(&theirs[0]["id"]), "--reason", "a test"],
    );
    assert!(
        handed.failure()["message"].as_str().unwrap().contains("does not know"),
        "{handed:?}"
    );
    assert!(day.alerts("politie", "jad").is_empty());
}

#[test]
fn what_ends_before_it_is_told_is_told_to_nobody() {
    let day = day("");
    day.create("jad", &[]);
    let ended = day.action("politie", &["end", "jad", "--reason", "a mistake"]).json();
    assert!(
        ended["partners"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["heard"].is_null()),
        "{ended}"
    );
    for name in ["kmar", "belgium"] {
        let said = day.action(name, &["status"]).json();
        assert_eq!(said.as_array().unwrap().len(), 0, "{said}");
        assert!(!day.world.agency(name).log().contains("jad has ended"));
    }
    let again = day.plan("jad", &[]);
    assert!(again.code == 2 && again.stderr.contains("another id"), "{again:?}");
}

#[test]
fn who_leaves_and_joins_again_hears_of_its_alerts_and_counts_nothing_twice() {
    let day = day("");
    day.begin("jad", &[]);
    let printed = day.checked("politie", "jad", "phone 06-10000002\nphone 06-10000009\n", &[]);
    let hit = alert(&printed, 1, "kmar");
    day.wait_for_alerts("kmar", "jad", 1);
    day.handle("politie", "claim", "jad", hit);
    day.handle("kmar", "confirm", "jad", hit);
    let states = |agency: &str| -> Vec<String> {
        let alerts = day.alerts(agency, "jad");
        alerts.iter().map(|one| text_of(&one["state"]).to_owned()).collect()
    };
    wait_for("politie hears that it is confirmed", || {
        states("politie") == ["confirmed"]
    });
    let counted = |agency: &str, partner: &str| {
        let report = day.action(agency, &["report", "jad"]).json();
        let tally = &report["partners"][partner]["phone"];
        ["asked", "refused", "answered", "hits", "told", "confirmed"].map(|of| tally[of].as_u64().unwrap())
    };
    // what was refused is asked again too
    let refused = day.check("politie", "jad", "phone 06-10000007\n", &["--for", "FR"]);
    assert_eq!(refused.code, 3, "{refused:?}");
    let back = |agency: &str| {
        day.step(agency, "leave", "jad");
        wait_for(&format!("{agency} has left"), || {
            day.action(agency, &["feed", "jad", "--once"]).code == 3
        });
        assert!(day.action(agency, &["report", "jad"]).json()["ended"].is_string());
        day.step(agency, "join", "jad");
        day.wait_until_ready("jad");
    };
    // the holder: the asker looks its checks up again, and tells what its people did; what kmar's did is gone with its leave
    back("kmar");
    wait_for("kmar hears that it is claimed", || states("kmar") == ["claimed"]);
    assert_eq!(counted("kmar", "politie"), [0, 0, 2, 0, 1, 1]);
    assert_eq!(counted("politie", "kmar"), [3, 1, 0, 1, 0, 1]);
    // the asker: the holder tells of its alert, and the log knows what it was of
    back("politie");
    let recalled = day.wait_for_alerts("politie", "jad", 1);
    assert_eq!(
        (&recalled[0]["id"], &recalled[0]["check"]),
        (&hit["id"], &day.alerts("kmar", "jad")[0]["check"])
    );
    assert_eq!(counted("kmar", "politie"), [0, 0, 2, 0, 1, 1]);
    assert_eq!(counted("politie", "kmar"), [3, 1, 0, 1, 0, 1]);
    assert!(day.action("politie", &["report", "jad"]).json()["ended"].is_null());
    day.end_and_reconcile("jad", ["politie", "kmar"]);
}
