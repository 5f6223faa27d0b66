//! Pictures whose counts are the point: months and figures, and as many agencies as there are.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use overlap_integration_tests::{Gathering, combinations, phones, plain, text_of, wait_for};

/// What was observed when, in counts by month; and the figures made of them.
#[test]
fn figures_count_each_subject_in_its_first_month() {
    let mut world = Gathering::new(&["emm", "kmar", "politie"], "min_count = 2");
    world.start();
    let rows = |agency: &str, months: &[(u32, u32)]| -> String {
        let mut csv = "ref;phone;role;seen\n".to_owned();
        let mut number = 0;
        for (month, count) in months {
            for _ in 0..*count {
                csv.push_str(&format!(
                    "{agency}{number};06-2{number:07};suspect;2026-{month:02}-15\n"
                ));
                number += 1;
            }
        }
        csv + "old;06-39999999;suspect;2024-05-01\nundated;06-38888888;suspect;\n"
    };
    // the same twenty phones: politie saw the second ten a month before kmar did
    world.import("kmar", &rows("k", &[(1, 10), (3, 10)]));
    world.import("politie", &rows("p", &[(1, 10), (2, 10), (3, 4)]));
    let arguments = ["--kind", "phone", "--since", "2026-01", "--role", "suspect"];
    let picture = world.picture("kmar,politie", "statistics", &arguments).json();
    assert_eq!(
        picture["kinds"][0]["unique"], 24,
        "the old and the undated take no part: {picture}"
    );
    let months = picture["kinds"][0]["roles"][0]["months"].clone();
    let month = |month: &str, count: u64| serde_json::json!({"month": month, "count": count});
    assert_eq!(
        months,
        serde_json::json!([month("2026-01", 10), month("2026-02", 10), month("2026-03", 4)])
    );
    let id = text_of(&picture["id"]);
    let figures = |more: &[&str]| {
        let arguments = ["picture", "figures", id, "--kind", "phone", "--reason", "the agenda"];
        world.world.json("emm", "analyst", &[&arguments[..], more].concat())
    };
    let told = figures(&["--through", "2026-03", "--target", "100"]);
    assert_eq!(
        (&told["to_date"], &told["months"], &told["projection"]),
        (&24.into(), &3.into(), &96.0.into())
    );
    // a second picture, after kmar found four more, and what is new in it
    world.import("kmar", &rows("k", &[(1, 10), (3, 14)]));
    let later = world.picture("kmar,politie", "statistics", &arguments).json();
    let compare = [
        "picture",
        "compare",
        id,
        text_of(&later["id"]),
        "--reason",
        "what is new",
    ];
    let changes = world.world.json("emm", "analyst", &compare);
    let both = changes
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["agencies"].as_array().unwrap().len() == 2)
        .unwrap();
    assert_eq!((&both["before"], &both["after"]), (&20.into(), &24.into()), "{changes}");
    // and a picture that has expired, with what stands behind it, is gone
    let kept = world.world.json("politie", "analyst", &["picture", "status"]);
    assert_eq!(
        kept.as_array().unwrap().len(),
        2,
        "{kept} {}",
        world.world.newest_match("emm")
    );
    world.world.agency_mut("politie").stop();
    world.world.agency_mut("politie").start_with_clock(31 * 86_400);
    wait_for("what has expired is erased", || {
        world
            .world
            .json("politie", "analyst", &["picture", "status"])
            .as_array()
            .unwrap()
            .is_empty()
    });
}

/// As many as take part in an EMPACT action: 32 agencies, and one that leads.
#[test]
fn thirty_three_nodes_make_one_picture() {
    let names: Vec<String> = std::iter::once("lead".to_owned())
        .chain((1..33).map(|number| format!("country{number:02}")))
        .collect();
    let named: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut empact = Gathering::new(&named, "disclose = [\"reference\"]");
    empact.start();
    // each has some of its own, shares five with the next, and one with all
    let mut held = Vec::new();
    for (number, name) in (0u32..).zip(&named[1..]) {
        let numbers: BTreeSet<u32> = (number * 10..number * 10 + 15).chain([9_000]).collect();
        empact.import(name, &phones(numbers.iter().copied(), "suspect"));
        held.push((*name, numbers));
    }
    let picture = empact
        .picture(&named[1..].join(","), "operational", &["--kind", "phone"])
        .json();
    assert_eq!(picture["agencies"].as_array().unwrap().len(), 32);
    assert_eq!(combinations(&picture, "phone"), plain(&held));
    let shared = picture["shared"].as_array().unwrap();
    let most = shared.iter().map(|one| one["agencies"].as_array().unwrap().len()).max();
    assert_eq!(most, Some(32));
}
