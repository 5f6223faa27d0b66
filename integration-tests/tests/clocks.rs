//! Nodes whose clocks differ.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use jiff::{Timestamp, ToSpan as _};
use overlap_integration_tests::{Agreement, World};

const CSV: &str = "ref;phone\nx;06-10000001\n";

fn world(from: i64, until: i64, kmar_is_ahead: i64) -> World {
    let now = Timestamp::now();
    let at = |minutes: i64| (now + minutes.minutes()).to_string();
    let (from, until) = (at(from), at(until));
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&Agreement {
        valid_from: &from,
        valid_until: &until,
        ..Agreement::between("politie", "kmar")
    });
    world.configure();
    world.start("politie");
    world.agency_mut("kmar").start_with_clock(60 * kmar_is_ahead);
    world.take_agreements("kmar");
    for name in ["politie", "kmar"] {
        world.import(name, CSV);
    }
    world
}

fn refused(world: &World, asker: (&str, &str), holder: &str) {
    let ran = world.ask("hits", &["--kind", "phone"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    let (outcome, detail) = world.newest_outcome("politie");
    assert!(outcome == "denied" && detail.contains(asker.1), "{}: {detail}", asker.0);
    let (outcome, detail) = world.newest_outcome("kmar");
    assert!(outcome == "denied" && detail.contains(holder), "{detail}");
}

#[test]
fn each_node_judges_by_its_own_clock_and_both_log_what_came_of_it() {
    // politie thinks that the agreement holds for another hour; kmar's clock is two hours ahead
    refused(&world(-60, 60, 120), ("expired there", "kmar refused"), "has expired");
    // and here it has not begun for kmar
    refused(&world(-10, 60, -30), ("future there", "kmar refused"), "holds from");
}

#[test]
fn clocks_that_are_minutes_apart_do_no_harm() {
    let world = world(-60, 600, 7);
    assert_eq!(world.ask("hits", &["--kind", "phone"]).json()["count"], 1);
    world.reconcile();
}
