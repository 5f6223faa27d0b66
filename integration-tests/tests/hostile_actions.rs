//! What partners of an action that hold valid certificates may try, and get nowhere with.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use overlap_integration_tests::{ActionDay, HostileAttendant, HostilePartner, Lie, answer, speak, wait_for};
use overlap_proto::{
    action::{Attended, Refused},
    fault::Reason,
};
use tokio::runtime::Runtime;
use uuid::Uuid;

const KMAR: &str = "ref;phone\nk1;06-10000002\nk2;06-10000003\n";
const NOBODY: &str = "ref;phone\nx;06-19999999\n";

fn two(grant: &str) -> ActionDay {
    let mut day = ActionDay::new(&["politie", "kmar"], grant);
    day.start();
    day.import("politie", NOBODY);
    day.import("kmar", KMAR);
    day.begin("jad", &["--deadline", "1000"]);
    day
}

/// Lets a hostile partner listen in the place of kmar's node.
fn replaced(day: &mut ActionDay, runtime: &Runtime, lie: Lie) -> HostilePartner {
    day.world.agency_mut("kmar").kill();
    wait_for("politie has seen it go", || {
        day.link("politie", "kmar", "jad") != "ready"
    });
    let partner = runtime.block_on(HostilePartner::start(&day.world, "kmar", lie));
    day.wait_for_link("politie", "kmar", "jad", "ready");
    partner
}

#[test]
fn a_check_takes_part_in_the_mirrored_pass_of_a_partner_once() {
    let mut day = two("mirror = 8");
    let runtime = Runtime::new().unwrap();
    let partner = replaced(&mut day, &runtime, Lie::HangUp);
    let printed = day.checked_with_code(4, "politie", "jad", "phone 06-10000002\n", &[]);
    assert_eq!(answer(&printed, 1, "kmar")["outcome"], "unreachable");
    // on each new stream it is asked again; what could be noticed of it was noticed the first time
    let mirrored = || partner.mirrored.lock().unwrap().clone();
    wait_for("it is asked three times", || mirrored().len() >= 3);
    assert_eq!(mirrored()[..3], [1, 0, 0]);
    let report = day.action("politie", &["report", "jad"]).json();
    assert_eq!(report["partners"]["kmar"]["phone"]["asked"], 1);
    runtime.shutdown_background();
}

#[test]
fn a_hit_is_claimed_under_one_id_and_an_id_is_of_one_hit() {
    let mut day = two("");
    day.world.agency_mut("politie").stop();
    let runtime = Runtime::new().unwrap();
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    runtime.block_on(async {
        let mut hostile = HostileAttendant::attend(&day, "politie", "kmar", "jad").await.unwrap();
        let told = |answer: &Attended| matches!(answer, Attended::Told(told) if told.answer.declined.is_empty());
        let (check, outputs) = hostile.look_up(&day, "kmar", "jad", "06-10000002").await;
        // the answer may have been lost: the same is claimed again under its id
        for _ in 0..2 {
            hostile.claim_as(first, check, outputs.clone()).await;
            assert!(told(&hostile.next().await.unwrap().unwrap()));
        }
        hostile.claim_as(second, check, outputs).await;
        assert!(refused(&mut hostile).await.message.contains("under another id"));
        let (check, outputs) = hostile.look_up(&day, "kmar", "jad", "06-10000003").await;
        hostile.claim_as(first, check, outputs.clone()).await;
        assert!(refused(&mut hostile).await.message.contains("is of another"));
        hostile.claim_as(second, check, outputs).await;
        assert!(told(&hostile.next().await.unwrap().unwrap()));
    });
    // nothing was told that its holder's people do not hear of
    let mut alerts: Vec<_> = day.wait_for_alerts("kmar", "jad", 2);
    alerts.sort_by_key(|alert| alert["identifier"].to_string());
    let ids: Vec<_> = alerts.iter().map(|alert| alert["id"].clone()).collect();
    assert_eq!(ids, [first.to_string(), second.to_string()]);
}

async fn refused(hostile: &mut HostileAttendant) -> Refused {
    match hostile.next().await.unwrap().unwrap() {
        Attended::Refused(why) => {
            assert_eq!(why.reason, Reason::InvalidRequest);
            why
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_partner_speaks_of_no_more_hits_than_it_was_asked_about() {
    let mut day = two("");
    let runtime = Runtime::new().unwrap();
    let partner = replaced(&mut day, &runtime, Lie::Silence);
    day.checked_with_code(4, "politie", "jad", "phone 06-10000002\n", &[]);
    wait_for("it was asked", || !partner.checks.lock().unwrap().is_empty());
    let check = partner.checks.lock().unwrap()[0];
    runtime
        .block_on(speak(
            &day,
            "kmar",
            "politie",
            "jad",
            &[Uuid::now_v7(), check, check, check],
        ))
        .unwrap();
    let alerts = day.wait_for_alerts("politie", "jad", 1);
    assert_eq!(alerts[0]["check"], check.to_string());
    runtime.shutdown_background();
}
