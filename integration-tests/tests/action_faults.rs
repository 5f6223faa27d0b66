//! What may go wrong on a Joint Action Day.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use overlap_integration_tests::{
    ActionDay, HostileAttendant, HostilePartner, Lie, Proxy, answer, by_partner, text_of, wait_for,
};
use overlap_proto::{action::Attended, fault::Reason};
use overlap_psi::{Element, Encoded, Item};
use uuid::Uuid;

const KMAR: &str = "ref;phone\nk1;06-10000002\n";
const NOBODY: &str = "ref;phone\nx;06-19999999\n";

fn three(grant: &str) -> ActionDay {
    let mut day = ActionDay::new(&["politie", "kmar", "belgium"], grant);
    day.start();
    for (name, csv) in [("politie", NOBODY), ("kmar", KMAR), ("belgium", NOBODY)] {
        day.import(name, csv);
    }
    day
}

#[test]
fn a_partner_that_is_killed_in_the_middle_of_a_check_holds_up_nobody_and_answers_when_it_is_back() {
    let mut day = three("");
    day.begin("jad", &["--deadline", "1500"]);
    day.world.agency_mut("kmar").kill();
    day.world.agency_mut("kmar").start_to_fail_at("holder.evaluating");
    day.wait_for_link("politie", "kmar", "jad", "ready");
    let began = Instant::now();
    let printed = day.checked("politie", "jad", "phone 06-10000002\n", &[]);
    assert!(began.elapsed() < Duration::from_secs(8));
    let outcomes = by_partner(&printed, 1);
    assert_eq!(
        (outcomes["belgium"].as_str(), outcomes["kmar"].as_str()),
        ("no-hit", "unreachable")
    );
    let done = printed.iter().find(|one| one["done"] == true).unwrap();
    assert_eq!((&done["answered"], &done["partners"]), (&1.into(), &2.into()));
    day.world.agency_mut("kmar").wait_for_death();
    // what kmar had begun stands in its log as cut, and the check is asked again by itself
    day.world.start("kmar");
    let alerts = day.wait_for_alerts("politie", "jad", 1);
    assert_eq!(
        (&alerts[0]["partner"], &alerts[0]["identifier"]),
        (&"kmar".into(), &"+31610000002".into())
    );
    assert_eq!(day.wait_for_alerts("kmar", "jad", 1).len(), 1);
    let cut = day
        .world
        .entries("kmar")
        .into_iter()
        .filter(|entry| entry["closing"]["outcome"] == "interrupted");
    assert!(cut.count() >= 1);
}

#[test]
fn a_link_that_is_cut_and_healed_goes_on_from_the_last_delta() {
    let mut proxy = None;
    let mut day = ActionDay::with(&["politie", "kmar"], "", |world| {
        let kmar = world.agency_mut("kmar");
        let started = Proxy::start(kmar.peer);
        kmar.called_at = Some(started.address);
        proxy = Some(started);
    });
    let proxy = proxy.unwrap();
    day.start();
    day.import("politie", NOBODY);
    day.import("kmar", KMAR);
    day.begin("jad", &["--deadline", "500"]);
    day.append("kmar", "ref;phone\nk2;06-10000003\n");
    assert_eq!(
        answer(&day.checked("politie", "jad", "phone 06-10000002\n", &[]), 1, "kmar")["outcome"],
        "hit"
    );

    proxy.cut_after(0);
    proxy.cut_all();
    let printed = day.checked_with_code(4, "politie", "jad", "phone 06-10000003\n", &[]);
    assert_eq!(answer(&printed, 1, "kmar")["outcome"], "unreachable");
    assert!(answer(&printed, 1, "kmar")["detail"].is_string());
    // something comes in while the link is cut
    day.append("kmar", "ref;phone\nk4;06-10000004\n");
    let snapshots = |day: &ActionDay| day.world.agency("kmar").log().matches("a snapshot was made").count();
    let before = snapshots(&day);
    proxy.heal();
    day.wait_for_link("politie", "kmar", "jad", "ready");
    assert_eq!(
        answer(&day.checked("politie", "jad", "phone 06-10000004\n", &[]), 1, "kmar")["outcome"],
        "hit"
    );
    // the check that nobody answered was asked again
    assert_eq!(day.wait_for_alerts("politie", "jad", 3).len(), 3);
    assert_eq!(snapshots(&day), before, "the snapshot was still good");
}

#[test]
fn a_partner_that_lies_is_refused_and_named() {
    for (lie, why) in [
        (Lie::WrongProof, "another key"),
        (Lie::ReplayedDelta, "out of turn"),
        (Lie::StaleSnapshot, "out of turn"),
        (Lie::LongFilter, "a snapshot filter"),
        (Lie::Silence, "no answer within"),
        (Lie::Unasked, "no answer within"),
    ] {
        let mut day = three("");
        day.begin("jad", &["--deadline", "500"]);
        day.world.agency_mut("kmar").kill();
        wait_for("politie has seen it go", || {
            day.link("politie", "kmar", "jad") != "ready"
        });
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(HostilePartner::start(&day.world, "kmar", lie));
        let is_early = matches!(lie, Lie::StaleSnapshot | Lie::LongFilter | Lie::ReplayedDelta);
        if is_early {
            wait_for(&format!("{lie:?} is found out"), || {
                day.link("politie", "kmar", "jad").contains(why)
            });
            assert!(day.link("politie", "kmar", "jad").contains("kmar"));
            continue;
        }
        day.wait_for_link("politie", "kmar", "jad", "ready");
        let printed = day.checked("politie", "jad", "phone 06-10000002\n", &[]);
        let told = answer(&printed, 1, "kmar");
        let expected = if lie == Lie::WrongProof {
            "refused"
        } else {
            "unreachable"
        };
        assert_eq!(told["outcome"], expected, "{told}");
        assert!(text_of(&told["detail"]).contains(why), "{told}");
        assert_eq!(answer(&printed, 1, "belgium")["outcome"], "no-hit");
        assert!(day.alerts("politie", "jad").is_empty());
        runtime.shutdown_background();
    }
}

#[test]
fn a_pause_lets_nobody_check_until_it_goes_on() {
    let day = three("");
    day.begin("jad", &[]);
    day.step("politie", "pause", "jad");
    wait_for("kmar has heard", || {
        day.action("kmar", &["status", "jad"]).json()[0]["state"] == "paused"
    });
    let refused = day.check("kmar", "jad", "phone 06-10000001\n", &[]);
    assert!(refused.stdout.contains("is paused"), "{refused:?}");
    let other = day.action("kmar", &["start", "jad", "--reason", "impatience"]);
    assert!(text_of(&other.failure()["message"]).contains("politie coordinates"));
    day.step("politie", "start", "jad");
    wait_for("kmar checks again", || {
        let ran = day.check("kmar", "jad", "phone 06-10000001\n", &[]);
        ran.code == 0 && !ran.stdout.contains("paused")
    });
}

fn points(count: u32) -> Vec<Encoded> {
    let items = (0..count).map(|n| Item::derive("test", "phone", &n.to_be_bytes()));
    items.map(|item| Element::encode(&item.to_element())).collect()
}

#[test]
fn a_flood_of_checks_meets_the_limit_on_both_sides() {
    let mut day = three("");
    day.begin("jad", &["--checks-per-minute", "5"]);
    let lines: String = (0..8).map(|n| format!("phone 06-2000000{n}\n")).collect();
    let ran = day.check("politie", "jad", &lines, &[]);
    assert_eq!(ran.stdout.matches("5 checks a minute").count(), 3, "{ran:?}");

    // an asker that does not hold itself to it
    day.world.agency_mut("belgium").stop();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut flood = HostileAttendant::attend(&day, "belgium", "kmar", "jad").await.unwrap();
        let (mut evaluated, mut refused) = (0, 0);
        for _ in 0..20 {
            flood.check(Uuid::now_v7(), &points(1)).await;
        }
        while evaluated + refused < 20 {
            match flood.next().await.unwrap().unwrap() {
                Attended::Evaluated(..) => evaluated += 1,
                Attended::Refused(why) => {
                    assert_eq!(
                        (why.reason, why.limit.as_deref()),
                        (Reason::LimitReached, Some("checks_per_minute"))
                    );
                    refused += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!((5..=6).contains(&evaluated), "{evaluated}");
    });
    // each of them is in the log
    wait_for("all are logged", || {
        let entries = day.world.entries("kmar");
        let mine = entries
            .iter()
            .filter(|one| one["entry"]["person"] == "spiffe://x.example/user/x");
        mine.count() == 21
    });
}

#[test]
fn checks_of_the_day_are_made_again_until_an_amount_is_used_up() {
    let mut day = ActionDay::new(&["politie", "kmar"], "items_per_day = 5");
    day.start();
    day.import("politie", NOBODY);
    day.import("kmar", KMAR);
    day.begin("jad", &[]);
    let lines: String = (0..4).map(|n| format!("phone 06-2000000{n}\n")).collect();
    day.checked("politie", "jad", &lines, &[]);
    // after a restart kmar has another key
    day.world.agency_mut("kmar").kill();
    day.world.start("kmar");
    let outcomes = || -> Vec<String> {
        let entries = day.world.entries("politie");
        let checks = entries
            .iter()
            .filter(|one| one["entry"]["mode"] == "action" && one["entry"]["operation"] == "combination");
        // the stream itself is about no items
        let checks = checks.filter(|one| one["entry"]["input_count"] == 1);
        checks
            .map(|one| one["closing"]["outcome"].to_string().replace('"', ""))
            .collect()
    };
    wait_for("one is made again, and one refused", || {
        outcomes().iter().any(|one| one == "denied")
    });
    std::thread::sleep(Duration::from_secs(1));
    let count = |word: &str| outcomes().iter().filter(|one| *one == word).count();
    assert_eq!((count("no-hit"), count("denied")), (5, 1), "{:?}", outcomes());
}

#[test]
fn what_is_no_check_is_refused_and_the_others_go_on() {
    let mut day = three("");
    day.begin("jad", &[]);
    day.world.agency_mut("belgium").stop();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut hostile = HostileAttendant::attend(&day, "belgium", "kmar", "jad").await.unwrap();
        let refusal = async |hostile: &mut HostileAttendant| match hostile.next().await.unwrap().unwrap() {
            Attended::Refused(why) => why,
            other => panic!("{other:?}"),
        };
        for bad in [[0; 32], [0xff; 32]] {
            hostile.check(Uuid::now_v7(), &[bad]).await;
            assert_eq!(refusal(&mut hostile).await.reason, Reason::PeerMisbehaved);
        }
        let twice = Uuid::now_v7();
        hostile.check(twice, &points(1)).await;
        assert!(matches!(
            hostile.next().await.unwrap().unwrap(),
            Attended::Evaluated(..)
        ));
        hostile.check(twice, &points(1)).await;
        assert!(refusal(&mut hostile).await.message.contains("used before"));
        // 257 points are no message
        hostile.check(Uuid::now_v7(), &points(257)).await;
        assert!(hostile.next().await.unwrap_err().message().contains("check.blinded"));
        // a plan that is not known, and one that says something else
        let mut strange = overlap_integration_tests::opening(&day, "kmar", "jad");
        strange.query.case_reference = "another".to_owned();
        let refused = HostileAttendant::open(&day.world, "belgium", "kmar", strange.clone().into()).await;
        assert!(refused.err().unwrap().message().contains("not what the plan"));
        strange.plan.0[0] ^= 1;
        strange.query.transaction = Uuid::now_v7();
        let refused = HostileAttendant::open(&day.world, "belgium", "kmar", strange.into()).await;
        assert!(refused.err().unwrap().message().contains("no such action"));
    });
    assert_eq!(
        answer(&day.checked("politie", "jad", "phone 06-10000002\n", &[]), 1, "kmar")["outcome"],
        "hit"
    );
}

#[test]
fn a_claim_is_of_a_check_that_was_answered_and_who_left_asks_no_more() {
    let day = three("");
    day.begin("jad", &[]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut hostile = HostileAttendant::attend(&day, "belgium", "kmar", "jad").await.unwrap();
        let refusal = async |hostile: &mut HostileAttendant| match hostile.next().await.unwrap().unwrap() {
            Attended::Refused(why) => why,
            other => panic!("{other:?}"),
        };
        hostile.claim(Uuid::now_v7(), vec![[7; 16]]).await;
        assert_eq!(refusal(&mut hostile).await.reason, Reason::NotFound);
        let checked = Uuid::now_v7();
        hostile.check(checked, &points(1)).await;
        assert!(matches!(
            hostile.next().await.unwrap().unwrap(),
            Attended::Evaluated(..)
        ));
        // what is made up is not held; more outputs than one number has are refused; and there is an end to it
        hostile.claim(checked, vec![[7; 16]]).await;
        assert!(
            matches!(hostile.next().await.unwrap().unwrap(), Attended::Told(told) if told.answer.declined == "not-held")
        );
        hostile.claim(checked, vec![[7; 16]; 9]).await;
        assert_eq!(refusal(&mut hostile).await.reason, Reason::InvalidRequest);
        for _ in 0..2 {
            hostile.claim(checked, vec![[7; 16]]).await;
            assert!(matches!(hostile.next().await.unwrap().unwrap(), Attended::Told(_)));
        }
        hostile.claim(checked, vec![[7; 16]]).await;
        assert_eq!(refusal(&mut hostile).await.limit.as_deref(), Some("claims"));
        // its agency leaves: a stream that goes on standing is cut
        day.step("belgium", "leave", "jad");
        let cut = hostile.next().await;
        assert!(cut.unwrap_err().message().contains("takes no part"));
    });
    assert!(day.alerts("kmar", "jad").is_empty());
}

#[test]
fn what_is_erased_is_found_no_more() {
    let day = three("");
    day.begin("jad", &[]);
    assert_eq!(
        answer(&day.checked("politie", "jad", "phone 06-10000002\n", &[]), 1, "kmar")["outcome"],
        "hit"
    );
    day.import("kmar", "ref;phone\nk5;06-10000005\n");
    wait_for("kmar has made another snapshot", || {
        day.world.agency("kmar").log().matches("a snapshot was made").count() > 1
    });
    wait_for("politie has it, and what came with it", || {
        let printed = day.checked("politie", "jad", "phone 06-10000005\nphone 06-10000002\n", &[]);
        let of = |check| by_partner(&printed, check)["kmar"].clone();
        (of(1), of(2)) == ("hit".to_owned(), "no-hit".to_owned())
    });
}

#[test]
fn a_partner_whose_clock_is_beyond_the_window_says_so_and_minutes_do_no_harm() {
    let mut day = three("");
    for (name, seconds) in [("kmar", 7200), ("belgium", 120)] {
        day.world.agency_mut(name).stop();
        day.world.agency_mut(name).start_with_clock(seconds);
    }
    day.create("jad", &[]);
    day.step("politie", "invite", "jad");
    for name in ["politie", "belgium"] {
        day.step(name, "join", "jad");
    }
    // to kmar there is no such action any more, and it tells who invites it
    wait_for("politie hears why kmar does not join", || {
        day.world.agency("politie").log().contains("action jad has ended")
    });
    let late = day.action("kmar", &["join", "jad", "--reason", "a test"]);
    assert_eq!(late.failure()["reason"], "NOT_FOUND", "{late:?}");
    day.step("politie", "start", "jad");
    day.wait_for_link("politie", "belgium", "jad", "ready");
    let printed = day.checked("politie", "jad", "phone 06-10000002\n", &[]);
    assert_eq!(
        by_partner(&printed, 1),
        [("belgium".to_owned(), "no-hit".to_owned())].into()
    );
}

#[test]
fn the_day_goes_on_while_its_coordinator_is_down() {
    let mut day = three("");
    day.begin("jad", &[]);
    day.checked("politie", "jad", "phone 06-10000002\n", &[]);
    day.world.agency_mut("politie").kill();
    let printed = day.checked("belgium", "jad", "phone 06-10000002\n", &[]);
    let outcomes = by_partner(&printed, 1);
    assert_eq!(
        (outcomes["kmar"].as_str(), outcomes["politie"].as_str()),
        ("hit", "unreachable")
    );
    day.world.start("politie");
    day.wait_until_ready("jad");
    assert_eq!(day.action("politie", &["status", "jad"]).json()[0]["state"], "running");
    assert_eq!(day.alerts("politie", "jad").len(), 1);
    let printed = day.checked("belgium", "jad", "phone 06-19999999\n", &[]);
    assert_eq!(answer(&printed, 1, "politie")["outcome"], "hit");
    day.step("politie", "end", "jad");
}

#[test]
fn a_full_disk_means_no_answer() {
    let mut day = three("");
    day.begin("jad", &["--deadline", "1000"]);
    overlap_integration_tests::fill_disk(day.world.agency("kmar").pid());
    let printed = day.checked("politie", "jad", "phone 06-10000002\n", &[]);
    let told = answer(&printed, 1, "kmar");
    assert!(
        told["outcome"] != "hit" && text_of(&told["detail"]).contains("log"),
        "{told}"
    );
    assert!(day.alerts("politie", "jad").is_empty());
    day.world.agency_mut("kmar").kill();
}
