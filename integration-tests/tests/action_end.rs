//! What is gone when a Joint Action Day is over, and what stays.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use jiff::{SignedDuration, Timestamp};
use overlap_integration_tests::{ActionDay, HostileAttendant, alert, answer, text_of, wait_for};
use overlap_store::DocumentKind;
use serde_json::Value;

const KMAR: &str = "ref;phone\nk1;06-10000002\n";
const NOBODY: &str = "ref;phone\nx;06-19999999\n";

fn three() -> ActionDay {
    let mut day = ActionDay::new(&["politie", "kmar", "belgium"], "");
    day.start();
    for (name, csv) in [("politie", NOBODY), ("kmar", KMAR), ("belgium", NOBODY)] {
        day.import(name, csv);
    }
    day
}

/// What a store holds of alerts, of what was told behind them, and of own checks.
fn stored(day: &ActionDay, agency: &str) -> (usize, usize, usize) {
    let store = day.store(agency);
    let alerts = store.alerts().iter().unwrap().count();
    let checks = store.documents().all(DocumentKind::Check).unwrap().len();
    (alerts, store.follow_ups().iter().unwrap().count(), checks)
}

#[test]
fn at_the_end_keys_snapshots_checks_and_alerts_are_gone_and_the_numbers_stay() {
    let mut day = three();
    day.begin("jad", &[]);
    let printed = day.checked("politie", "jad", "phone 06-10000002\nphone 06-10000009\n", &[]);
    day.handle("politie", "confirm", "jad", alert(&printed, 1, "kmar"));
    day.wait_for_alerts("kmar", "jad", 1);
    // while it runs they are there: what the end does can be seen
    for (name, checks) in [("politie", 2), ("kmar", 0)] {
        day.world.agency_mut(name).stop();
        assert_eq!(stored(&day, name), (1, 1, checks), "{name}");
        day.world.start(name);
    }
    day.wait_until_ready("jad");
    assert_eq!(day.alerts("politie", "jad").len(), 1, "a restart loses no alert");
    day.step("politie", "end", "jad");
    for name in ["politie", "kmar", "belgium"] {
        wait_for(&format!("it ends at {name}"), || {
            let report = day.action(name, &["report", "jad"]).json();
            report["ended"].is_string()
        });
        let refused = day.check(name, "jad", "phone 06-10000002\n", &[]);
        assert_eq!(refused.code, 3, "{refused:?}");
        assert_eq!(day.action(name, &["feed", "jad", "--once"]).code, 3);
    }
    let report = day.action("politie", &["report", "jad"]).json();
    assert_eq!(
        (&report["checks"], &report["partners"]["kmar"]["phone"]["confirmed"]),
        (&2.into(), &1.into())
    );
    // nobody gets a stream any more
    let runtime = tokio::runtime::Runtime::new().unwrap();
    day.world.agency_mut("belgium").stop();
    let refused = runtime.block_on(HostileAttendant::attend(&day, "belgium", "kmar", "jad"));
    assert!(refused.err().unwrap().message().contains("ended"));
    let entries = day.world.entries("politie");
    let erasure = entries
        .iter()
        .find(|one| one["entry"]["operation"] == "erasure" && one["entry"]["mode"] == "action");
    assert_eq!(erasure.unwrap()["closing"]["output_count"], 2);
    for name in ["politie", "kmar"] {
        day.world.agency_mut(name).stop();
        assert_eq!(stored(&day, name), (0, 0, 0), "{name}");
    }
}

#[test]
fn an_action_past_its_window_answers_nothing() {
    let day = three();
    let now = Timestamp::now();
    let at = |seconds: i64| (now + SignedDuration::from_secs(seconds)).to_string();
    let (from, until) = (at(-60), at(20));
    day.begin("jad", &["--from", &from, "--until", &until]);
    assert_eq!(
        answer(&day.checked("politie", "jad", "phone 06-10000002\n", &[]), 1, "kmar")["outcome"],
        "hit"
    );
    wait_for("the window is over", || {
        let status = day.action("politie", &["status", "jad"]).json();
        status[0]["state"] == "ended"
    });
    let refused = day.check("politie", "jad", "phone 06-10000002\n", &[]);
    assert_eq!(refused.code, 3, "{refused:?}");
    wait_for("alerts are gone", || {
        day.action("politie", &["report", "jad"]).json()["ended"].is_string()
    });
    let again = day.action("politie", &["start", "jad", "--reason", "once more"]);
    assert!(text_of(&again.failure()["message"]).contains("has ended"));
}

#[test]
fn what_an_agency_keeps_of_alerts_when_it_leaves_goes_when_the_action_ends() {
    let mut day = three();
    day.begin("jad", &[]);
    day.checked("politie", "jad", "phone 06-10000002\n", &[]);
    day.wait_for_alerts("kmar", "jad", 1);
    let plan = text_of(&day.action("kmar", &["status", "jad"]).json()[0]["hash"]).to_owned();
    // what it counted, so that it counts nothing twice if it comes back
    let left = |day: &mut ActionDay| {
        day.world.agency_mut("kmar").stop();
        let hash = hex::decode(&plan).unwrap().try_into().unwrap();
        let row = day
            .store("kmar")
            .documents()
            .get(DocumentKind::Figures, &overlap_audit::Digest(hash));
        let row: Value = serde_json::from_slice(&row.unwrap().unwrap()).unwrap();
        day.world.start("kmar");
        row["left"].as_array().unwrap().len()
    };
    day.step("kmar", "leave", "jad");
    wait_for("it has left", || {
        day.action("kmar", &["report", "jad"]).json()["ended"].is_string()
    });
    assert_eq!(left(&mut day), 1);
    day.step("politie", "end", "jad");
    wait_for("kmar has heard", || {
        day.action("kmar", &["status", "jad"]).json()[0]["state"] == "ended"
    });
    wait_for("nothing of it is left", || left(&mut day) == 0);
    let report = day.action("kmar", &["report", "jad"]).json();
    assert_eq!(report["partners"]["politie"]["phone"]["told"], 1);
}
