//! Persons are written differently by every agency: they become candidates with a score, beside the hits on numbered identifiers.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use overlap_integration_tests::{World, text_of};
use serde_json::Value;

const POLITIE: &str = "ref;given;family;born;phone\n\
    P1;Tetyana;Kovalenko;1991-04-17;06-11110001\n\
    P2;Jan;van den Berg;1985-02-23;\n\
    P3;Văn Đức;Lê;1978-11-05;06-11110003\n\
    P4;Mohammed;El Amrani;1990-07-12;\n\
    P5;Piet;Jansen;1970-01-30;06-11110005\n";
// the same persons spelled, swapped and dated otherwise; one who shares a surname and nothing else, and one who shares a phone only
const KMAR: &str = "ref;given;family;born;phone\n\
    K1;Tetiana;Kovalenko;1991-04-17;06 1111 0001\n\
    K2;J.;Berg;1985-02-23;\n\
    K3;Lê;Van Duc;1978-11-05;\n\
    K4;Muhammad;Elamrani;1990-12-07;\n\
    K5;Kees;Jansen;1982-06-02;\n\
    K6;Anna;de Wit;1999-09-09;+31611110005\n";

fn words<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|one| text_of(&one[field]))
        .collect()
}

#[test]
fn persons_are_candidates_and_numbers_are_hits() {
    let world = World::of_two(POLITIE, KMAR);
    let found = world.ask("hits", &["--kind", "person", "--kind", "phone"]).json();

    let mut hits = words(&found["hits"], "identifier");
    hits.sort_unstable();
    assert_eq!(hits, ["+31611110001", "+31611110005"]);

    let mut records = words(&found["candidates"], "reference");
    records.sort_unstable();
    records.dedup();
    assert!(["P1", "P2", "P3"].iter().all(|one| records.contains(one)), "{found}");
    assert!(!records.contains(&"P5"), "a surname is not enough: {found}");
    let candidates = found["candidates"].as_array().unwrap();
    let scores: Vec<f64> = candidates.iter().map(|one| one["score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|one, other| one >= other), "the best first");
    for candidate in candidates {
        assert!(words(&serde_json::json!([candidate]), "person")[0].is_ascii());
        let keys = candidate["keys"].as_array().unwrap();
        assert!(!keys.is_empty() && keys.iter().all(|key| text_of(key).starts_with("person:")));
        assert_eq!(text_of(&candidate["peer_record"]).len(), 16);
    }
    // one record of the peer has one handle within a match, and another in the next
    let handle = |found: &Value| {
        let candidates = found["candidates"].as_array().unwrap();
        let one = candidates.iter().find(|one| one["reference"] == "P1").unwrap();
        text_of(&one["peer_record"]).to_owned()
    };
    let again = world.ask("hits", &["--kind", "person"]).json();
    assert_ne!(handle(&found), handle(&again));

    // both entries: the asker's tells both kinds of result, the holder's cannot
    let entry = |agency| {
        world
            .entries(agency)
            .into_iter()
            .find(|one| one["entry"]["transaction"] == found["transaction"])
    };
    let (asker, holder) = (entry("politie").unwrap(), entry("kmar").unwrap());
    assert_eq!(asker["closing"]["hits"], 2);
    assert_eq!(asker["closing"]["candidates"], candidates.len());
    assert_eq!(asker["closing"]["outcome"], "hit");
    assert!(holder["closing"]["hits"].is_null() && holder["closing"]["candidates"].is_null());

    // for people: two tables
    let arguments = [
        "match",
        "--peer",
        "kmar",
        "--dataset",
        "cases",
        "--mode",
        "hits",
        "--case",
        "1",
        "--reason",
        "a test",
    ];
    let shown = world.run(
        "politie",
        "analyst",
        &[&arguments[..], &["--purpose", "thb-investigation"]].concat(),
    );
    assert_eq!(shown.code, 0, "{shown:?}");
    for part in ["Hits", "Candidates", "score", "P1", "+31611110005"] {
        assert!(shown.stdout.contains(part), "{part}: {shown:?}");
    }
}

#[test]
fn a_person_counts_once() {
    let world = World::of_two(POLITIE, POLITIE);
    let count = world.ask("count", &["--kind", "person"]).json();
    assert_eq!((&count["own_set_size"], &count["count"]), (&5.into(), &5.into()));
    assert!(count["candidates"].as_array().unwrap().is_empty());
}

#[test]
fn what_nobody_shares_gives_no_candidates() {
    let world = World::of_two(POLITIE, "ref;given;family;born\nX1;Olga;Ivanova;1966-03-03\n");
    let found = world.ask("hits", &["--kind", "person"]).json();
    assert!(found["candidates"].as_array().unwrap().is_empty(), "{found}");
    assert_eq!(world.newest_outcome("politie").0, "no-hit");
}
