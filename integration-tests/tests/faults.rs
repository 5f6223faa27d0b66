//! What breaks: killed nodes, cut links, full disks. Nothing is lost, and nothing is answered without the log.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{thread, time::Duration};

use overlap_integration_tests::{Agreement, HostileHolder, Play, Proxy, World, fill_disk, wait_for};
use overlap_proto::peer::Response;
use rustix::process::Signal;

fn export(count: u32) -> String {
    let rows = (0..count).map(|n| format!("dossier-{n};06-{:08}", 10_000_000 + n));
    [vec!["ref;phone".to_owned()], rows.collect()].concat().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asker_killed_in_the_middle() {
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&Agreement::between("politie", "kmar"));
    world.configure();
    world.start("politie");
    world.import("politie", &export(100));
    // a holder that admits the match and then is silent holds the asker in the middle of it
    let stalled = HostileHolder::start(&world, "kmar", |_| {
        vec![
            Play::Send(Response::Accepted(1000).into()),
            Play::Wait(Duration::from_secs(600)),
        ]
    });
    stalled.await;
    thread::scope(|scope| {
        let asking = scope.spawn(|| world.ask("hits", &[]));
        wait_for("the match is under way", || {
            world.json("politie", "operator", &["status"])["open_entries"] == 1
        });
        world.agency("politie").signal(Signal::KILL);
        let ran = asking.join().unwrap();
        assert_eq!(ran.code, 4, "{ran:?}");
    });
    world.start("politie");
    let (outcome, detail) = world.newest_outcome("politie");
    assert_eq!(
        (outcome.as_str(), detail.as_str()),
        ("interrupted", "the node stopped before the end")
    );
    assert_eq!(
        world.json("politie", "operator", &["dataset", "list"])[0]["records"],
        100
    );
    assert_eq!(world.json("politie", "operator", &["status"])["open_entries"], 0);
}

#[test]
fn either_node_killed_in_the_middle_and_the_next_match_works() {
    for killed in ["kmar", "politie"] {
        let mut world = World::new(&["politie", "kmar"]);
        world.agree(&Agreement::between("politie", "kmar"));
        // the link lets the opening through and then nothing more: both sides are in the middle
        let proxy = Proxy::start(world.agency("kmar").peer);
        world.agency_mut("kmar").called_at = Some(proxy.address);
        world.configure();
        for name in ["politie", "kmar"] {
            world.start(name);
            world.import(name, &export(300));
        }
        proxy.hold_after(6000);
        thread::scope(|scope| {
            let asking = scope.spawn(|| world.ask("hits", &[]));
            wait_for("both are in the middle", || {
                ["politie", "kmar"]
                    .iter()
                    .all(|name| world.json(name, "operator", &["status"])["open_entries"] == 1)
            });
            world.agency(killed).signal(Signal::KILL);
            // a node that is still dying could hear of the cut, and close its entry
            let stat = format!("/proc/{}/stat", world.agency(killed).pid());
            wait_for("it is dead", || {
                std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z "))
            });
            proxy.cut_all();
            let ran = asking.join().unwrap();
            assert_eq!(ran.code, 4, "{killed}: {ran:?}");
        });
        proxy.heal();
        world.start(killed);
        assert_eq!(world.newest_outcome(killed).0, "interrupted", "{killed}");
        let other = if killed == "kmar" { "politie" } else { "kmar" };
        assert_eq!(world.newest_outcome(other).0, "error", "{killed}");
        assert_eq!(world.ask("hits", &[]).json()["count"], 300, "{killed}");
    }
}

#[test]
fn a_link_cut_in_the_middle() {
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&Agreement::between("politie", "kmar"));
    let proxy = Proxy::start(world.agency("kmar").peer);
    world.agency_mut("kmar").called_at = Some(proxy.address);
    world.configure();
    for name in ["politie", "kmar"] {
        world.start(name);
        world.import(name, &export(2000));
    }
    for bytes in [500, 5000, 40_000] {
        proxy.cut_after(bytes);
        let ran = world.ask("hits", &[]);
        assert_eq!(ran.code, 4, "{bytes}: {ran:?}");
        assert!(ran.failure()["message"].as_str().unwrap().contains("kmar"), "{ran:?}");
        assert_eq!(world.newest_outcome("politie").0, "error");
    }
    proxy.heal();
    assert_eq!(world.ask("hits", &[]).json()["count"], 2000);
    assert_eq!(world.ask("count", &[]).json()["count"], 2000);
}

#[test]
fn an_import_killed_in_the_middle_leaves_the_version_before() {
    let mut world = World::of_two(&export(50), &export(50));
    let (file, mapping) = world.write_export("kmar", &export(60_000));
    thread::scope(|scope| {
        let importing = scope.spawn(|| world.import_file("kmar", "operator", &file, &mapping, &[]));
        wait_for("the import is under way", || {
            world.json("kmar", "operator", &["status"])["open_entries"] == 1
        });
        world.agency("kmar").signal(Signal::KILL);
        assert_ne!(importing.join().unwrap().code, 0);
    });
    world.start("kmar");
    assert_eq!(world.json("kmar", "operator", &["dataset", "list"])[0]["records"], 50);
    let import = world.entries("kmar").into_iter().next().unwrap();
    assert_eq!(
        (&import["entry"]["operation"], &import["closing"]["outcome"]),
        (&"collection".into(), &"interrupted".into())
    );
    assert_eq!(world.ask("hits", &[]).json()["count"], 50);
    assert_eq!(world.import("kmar", &export(70))["dataset"]["records"], 70);
}

#[test]
fn a_log_that_cannot_be_written_answers_nothing() {
    for full in ["politie", "kmar"] {
        let mut world = World::new(&["politie", "kmar"]);
        world.agree(&Agreement::between("politie", "kmar"));
        world.configure();
        for name in ["politie", "kmar"] {
            world.start(name);
            world.import(name, &export(50));
        }
        assert_eq!(world.ask("hits", &[]).json()["count"], 50);
        let before = world.entries(full).len();
        fill_disk(world.agency(full).pid());
        let ran = world.ask("hits", &[]);
        assert_ne!(ran.code, 0, "{full}: {ran:?}");
        assert!(ran.stdout.is_empty(), "{full}: nothing is answered");
        let failure = ran.failure();
        assert!(
            failure["message"]
                .as_str()
                .unwrap()
                .contains("log cannot be written, so nothing is answered"),
            "{full}: {ran:?}"
        );
        assert!(!world.agency(full).log().contains("panicked"));
        if full == "kmar" {
            assert!(
                failure["message"]
                    .as_str()
                    .unwrap()
                    .starts_with("kmar cannot answer now"),
                "{ran:?}"
            );
        }
        // reading goes on, and says how it stands
        let status = world.json(full, "operator", &["status"]);
        assert_eq!(status["log"]["is_failing"], true, "{full}");
        // with room again, after a restart, all that was logged is there and the next match works
        world.agency_mut(full).kill();
        world.start(full);
        assert_eq!(world.entries(full).len(), before, "{full}");
        assert_eq!(world.ask("hits", &[]).json()["count"], 50, "{full}");
    }
}

#[test]
fn a_stop_waits_for_the_query_under_way() {
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&Agreement::between("politie", "kmar"));
    world.configure();
    for name in ["politie", "kmar"] {
        world.start(name);
        world.import(name, &export(20_000));
    }
    thread::scope(|scope| {
        let asking = scope.spawn(|| world.ask("count", &[]));
        wait_for("the match is under way", || {
            world.json("kmar", "operator", &["status"])["open_entries"] == 1
        });
        world.agency("kmar").signal(Signal::TERM);
        assert_eq!(asking.join().unwrap().json()["count"], 20_000);
    });
    wait_for("the node is gone", || world.agency("kmar").log().contains("draining"));
    assert_eq!(world.newest_outcome("politie").0, "hit");
    assert_eq!(world.ask("count", &[]).code, 4, "the node is down");
}

#[test]
fn another_data_key_opens_nothing() {
    let mut world = World::of_two(&export(5), &export(5));
    world.agency_mut("kmar").stop();
    let key = world.agency("kmar").file("data.key");
    std::fs::remove_file(&key).unwrap();
    world.pki(&["data-key", key.to_str().unwrap()]);
    let config = world.agency("kmar").file("node.toml");
    let ran = overlap_integration_tests::Ran::overlap_node(&["--config", config.to_str().unwrap()]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr
            .contains("the data key is not the one that this store was made with"),
        "{ran:?}"
    );
}
