//! Pictures in which somebody fails, lies or is killed: named, left out, and the rest goes on or nothing is told.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use overlap_agreement::{Participant, Roster, Signed, SigningKey};
use overlap_audit::Digest;
use overlap_integration_tests::{
    CASE, Gathering, HostileCoordinator, HostileParticipant, PURPOSE, Proxy, Ran, Vice, fill_disk, text_of, wait_for,
};
use overlap_proto::{
    peer::{self, Mode},
    picture::{Open, Request, Response},
};
use overlap_psi::{Key, Protocol, Stored};
use overlap_records::{Kind, Profile, Role};
use serde_json::Value;
use uuid::Uuid;

const NAMES: [&str; 4] = ["emm", "iszw", "kmar", "politie"];

fn phones(numbers: std::ops::Range<u32>) -> String {
    let rows = numbers.map(|n| format!("r{n};06-1{n:07};suspect\n"));
    format!("ref;phone;role\n{}", rows.collect::<String>())
}

/// Four agencies, of which those that are named run.
fn gathering(running: &[&str]) -> Gathering {
    let mut gathering = Gathering::new(&NAMES, "disclose = [\"reference\"]");
    for name in running {
        gathering.world.start(name);
    }
    gathering.add_order();
    for (number, name) in (0..).zip(running.iter().filter(|name| **name != "emm")) {
        gathering.import(name, &phones(number * 10..number * 10 + 20));
    }
    gathering
}

fn run(gathering: &Gathering, more: &[&str]) -> Ran {
    let kind = ["--kind", "phone"];
    gathering.picture("iszw,kmar,politie", "operational", &[&kind[..], more].concat())
}

fn unique(picture: &Value) -> (u64, usize) {
    let unique = picture["kinds"][0]["unique"].as_u64().unwrap();
    (unique, picture["agencies"].as_array().unwrap().len())
}

/// `brief` is what the report says of it.
async fn vice(vice: Vice, words: &str, brief: &str) {
    let gathering = gathering(&["emm", "iszw", "kmar"]);
    HostileParticipant::start(&gathering.world, "politie", vice).await;
    tokio::task::block_in_place(|| {
        // without leave to go on, nothing is told, and the one at fault is named
        let patience = ["--deadline", "3"];
        let ran = run(&gathering, &patience);
        assert_ne!(ran.code, 0, "{ran:?}");
        let message = ran.failure()["message"].clone();
        assert!(text_of(&message).contains("politie"), "{vice:?}: {message}");
        assert!(text_of(&message).contains(words), "{vice:?}: {message}");
        let (outcome, detail) = gathering.world.newest_outcome("emm");
        assert!(outcome != "hit" && detail.contains("politie"), "{outcome}: {detail}");
        // with it, the rest is told, under fresh keys
        let picture = run(&gathering, &["--deadline", "3", "--min-participants", "2"]).json();
        assert_eq!(unique(&picture), (30, 2), "{vice:?}");
        assert_eq!(picture["dropped"][0]["name"], "politie");
        assert_eq!(picture["dropped"][0]["why"], brief, "{vice:?}: {picture}");
        let (outcome, detail) = gathering.world.newest_outcome("emm");
        assert!(
            outcome == "hit" && detail.contains("politie was left out") && detail.contains(words),
            "{outcome}: {detail}"
        );
        for name in ["iszw", "kmar"] {
            let (outcome, detail) = gathering.world.newest_outcome(name);
            assert_eq!(outcome, "done", "{vice:?}: {name}");
            // each log tells for whom its node evaluated, and how much
            assert!(
                detail.starts_with("round 2 with roster ")
                    && detail.ends_with("agency/iszw 20, spiffe://overlap.example/agency/kmar 20"),
                "{name}: {detail}"
            );
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn who_evaluates_with_another_key_is_named_and_left_out() {
    vice(
        Vice::OtherKey,
        "another key than the one announced",
        "could not do its part",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_named_and_left_out() {
    vice(Vice::Silent, "got no further for 3 s", "got no further in time").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_is_named_and_left_out() {
    vice(Vice::HangsUp, "politie", "broke off").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_a_short_list_is_named_and_left_out() {
    vice(Vice::Short, "out of turn", "broke the protocol").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_an_unsorted_list_is_named_and_left_out() {
    vice(Vice::Unsorted, "not sorted", "broke the protocol").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_what_cannot_be_is_named_and_left_out() {
    vice(Vice::BadMarks, "what cannot be", "broke the protocol").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_at_work_for_ever_is_named_and_left_out() {
    vice(Vice::Busy, "got no further for 3 s", "got no further in time").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_up_the_others_is_named_by_them_and_left_out() {
    vice(Vice::Hinders, "waits for an answer", "could not do its part").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_another_size_in_the_next_round_is_named_and_not_those_who_would_refuse_it() {
    let gathering = gathering(&["emm", "iszw", "kmar"]);
    HostileParticipant::start(&gathering.world, "politie", Vice::Grows).await;
    tokio::task::block_in_place(|| {
        let ran = run(&gathering, &["--min-participants", "2"]);
        let message = text_of(&ran.failure()["message"]).to_owned();
        assert!(message.starts_with("1 can take part"), "{message}");
        assert!(
            message.contains("politie") && message.contains("another size"),
            "{message}"
        );
        assert_ne!(gathering.world.newest_outcome("kmar").0, "denied");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_it_of_a_second_one_is_left_out_itself() {
    let gathering = gathering(&["emm", "iszw", "kmar"]);
    HostileParticipant::start(&gathering.world, "politie", Vice::Accuses).await;
    tokio::task::block_in_place(|| {
        let ran = run(&gathering, &["--min-participants", "2"]);
        let message = text_of(&ran.failure()["message"]).to_owned();
        assert!(message.starts_with("1 can take part"), "{message}");
        assert!(
            message.contains("politie cannot answer now") && message.contains("second one"),
            "{message}"
        );
    });
}

#[test]
fn a_link_that_is_cut_leaves_its_participant_out_until_it_heals() {
    let mut gathering = Gathering::new(&NAMES, "disclose = [\"reference\"]");
    let proxy = Proxy::start(gathering.world.agency("politie").peer);
    gathering.world.agency_mut("politie").called_at = Some(proxy.address);
    gathering.world.configure();
    gathering.start();
    for (number, name) in (0..).zip(&NAMES[1..]) {
        gathering.import(name, &phones(number * 1000..number * 1000 + 2000));
    }
    // in the handshake, and in the middle of what politie evaluates and tells
    for bytes in [500, 20_000] {
        proxy.cut_after(bytes);
        let picture = run(&gathering, &["--min-participants", "2"]).json();
        assert_eq!(unique(&picture), (3000, 2), "{bytes}");
        assert_eq!(picture["dropped"][0]["name"], "politie", "{bytes}");
    }
    proxy.heal();
    assert_eq!(unique(&run(&gathering, &[]).json()), (4000, 3));
}

#[test]
fn a_full_disk_leaves_its_participant_out_and_tells_nothing_at_the_coordinator() {
    let mut gathering = gathering(&NAMES);
    fill_disk(gathering.world.agency("politie").pid());
    let picture = run(&gathering, &["--min-participants", "2"]).json();
    assert_eq!(unique(&picture), (30, 2));
    assert_eq!(picture["dropped"][0]["name"], "politie");
    gathering.world.agency_mut("politie").kill();
    gathering.world.start("politie");
    fill_disk(gathering.world.agency("emm").pid());
    let ran = run(&gathering, &[]);
    assert!(ran.code != 0 && ran.stdout.is_empty(), "{ran:?}");
    let message = ran.failure()["message"].clone();
    assert!(text_of(&message).contains("log cannot be written"), "{message}");
    gathering.world.agency_mut("emm").kill();
    gathering.world.start("emm");
    assert_eq!(unique(&run(&gathering, &[]).json()), (40, 3));
}

#[test]
fn a_participant_that_is_killed_is_left_out_and_leaves_nothing() {
    let mut gathering = gathering(&NAMES);
    gathering.world.agency_mut("politie").stop();
    gathering
        .world
        .agency_mut("politie")
        .start_to_fail_at("holder.in-round");
    let picture = run(&gathering, &["--min-participants", "2"]).json();
    assert_eq!(unique(&picture), (30, 2));
    assert_eq!(picture["dropped"][0]["name"], "politie");
    gathering.world.agency_mut("politie").wait_for_death();
    gathering.world.start("politie");
    assert_eq!(gathering.world.newest_outcome("politie").0, "interrupted");
    let kept = gathering.world.json("politie", "analyst", &["picture", "status"]);
    assert_eq!(kept.as_array().unwrap().len(), 0, "{kept}");
    // and takes part again
    assert_eq!(unique(&run(&gathering, &[]).json()), (40, 3));
}

#[test]
fn a_coordinator_that_is_killed_ends_its_picture_everywhere() {
    let mut gathering = gathering(&NAMES);
    for (told, point) in ["asker.opened", "asker.ended"].into_iter().enumerate() {
        gathering.world.agency_mut("emm").stop();
        gathering.world.agency_mut("emm").start_to_fail_at(point);
        let ran = run(&gathering, &[]);
        assert_eq!(ran.code, 4, "{point}: {ran:?}");
        let message = ran.failure()["message"].clone();
        assert!(
            text_of(&message).contains("hung up before the end"),
            "{point}: {message}"
        );
        gathering.world.agency_mut("emm").wait_for_death();
        gathering.world.start("emm");
        assert_eq!(gathering.world.newest_outcome("emm").0, "interrupted", "{point}");
        let kept = gathering.world.json("emm", "analyst", &["picture", "status"]);
        assert_eq!(kept.as_array().unwrap().len(), told, "{point}: {kept}");
        for name in ["iszw", "kmar", "politie"] {
            wait_for(&format!("{name} has ended it"), || {
                gathering.world.status(name)["open_entries"] == 0
            });
        }
        assert_eq!(unique(&run(&gathering, &[]).json()), (40, 3), "{point}");
    }
}

#[test]
fn a_participant_that_is_stopped_in_the_middle_is_left_out_after_the_deadline() {
    let gathering = gathering(&NAMES);
    gathering.world.agency("kmar").signal(rustix::process::Signal::STOP);
    let picture = run(&gathering, &["--deadline", "2", "--min-participants", "2"]).json();
    gathering.world.agency("kmar").signal(rustix::process::Signal::CONT);
    assert_eq!(unique(&picture), (40, 2), "{picture}");
    assert_eq!(picture["dropped"][0]["name"], "kmar");
    assert_eq!(unique(&run(&gathering, &[]).json()), (40, 3));
}

/// What emm's node would open a picture with.
fn opening(gathering: &Gathering, holder: &str) -> Open {
    let listed = gathering.world.json("iszw", "operator", &["agreement", "list"]);
    let hash = hex::decode(text_of(&listed[0]["hash"])).unwrap();
    let order = std::fs::read(gathering.world.path("order.json")).unwrap();
    let profile = Profile::eu_thb_1();
    let id = |name: &str| format!("spiffe://overlap.example/agency/{name}");
    Open {
        query: peer::Open {
            transaction: Uuid::now_v7(),
            agreement: "digw".into(),
            agreement_hash: Digest(hash.try_into().unwrap()),
            dataset: "cases".into(),
            mode: Mode::Hits,
            protocol: Protocol::JointOprf,
            profile: profile.name().into(),
            profile_hash: Digest(profile.hash()),
            kinds: vec![Kind::Phone],
            purpose: PURPOSE.into(),
            case_reference: CASE.into(),
            reason: "a test".into(),
            person: "spiffe://emm.example/user/analyst".into(),
            role: "analyst".into(),
            set_size: 0,
            input_commitment: Digest([0; 32]),
            roles: vec![Role::Suspect],
            order: Some(Box::new(Signed::parse(&order).unwrap())),
            on_behalf_of: None,
        },
        participants: vec![id("iszw"), id(holder)],
        since: 0,
        expires: jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_tells_two_rosters_is_found_out() {
    let mut gathering = gathering(&["emm", "iszw", "kmar"]);
    gathering.world.agency_mut("emm").stop();
    let world = &gathering.world;
    let open = opening(&gathering, "kmar");
    let signer = std::fs::read_to_string(world.agency("emm").file("signing.key")).unwrap();
    let signer = SigningKey::from_pem(&signer).unwrap();
    let mut streams = Vec::new();
    for name in ["iszw", "kmar"] {
        let mut coordinator = HostileCoordinator::connect(world, "emm", name).await;
        let (requests, mut says) = coordinator.open(open.clone()).await.unwrap();
        let ready = Response::try_from(says.message().await.unwrap().unwrap()).unwrap();
        let Response::Ready { size, key, .. } = ready else {
            panic!("{ready:?}");
        };
        streams.push((name, requests, says, size, key));
    }
    let participants: Vec<Participant> = streams
        .iter()
        .map(|(name, _, _, size, key)| Participant {
            id: format!("spiffe://overlap.example/agency/{name}"),
            size: *size,
            key: Digest(key.encode()),
        })
        .collect();
    let mut rosters = Vec::new();
    for told in 0..2 {
        let mut participants = participants.clone();
        // the other one's size, which this one cannot know
        participants[1 - told].size += 1;
        let roster = Roster {
            picture: open.query.transaction,
            round: 1,
            coordinator: "spiffe://overlap.example/agency/emm".into(),
            agreement: open.query.agreement_hash,
            participants,
        };
        let mut roster = Signed::new(roster).unwrap();
        roster.sign(&signer);
        rosters.push(roster);
    }
    for ((_, requests, ..), roster) in streams.iter().zip(&rosters) {
        let told = Request::Roster(Box::new(roster.clone()));
        requests.send(told.into()).await.unwrap();
    }
    // nobody hands over a pseudonym, and both logs say why
    for (name, _, says, ..) in &mut streams {
        loop {
            match says.message().await {
                Ok(Some(message)) => match Response::try_from(message).unwrap() {
                    Response::Entries(_) | Response::Complete => panic!("{name} took part"),
                    Response::Failed { .. } => break,
                    _ => {}
                },
                Ok(None) => panic!("{name} ended well"),
                Err(status) => {
                    assert!(status.message().contains("another roster"), "{name}: {status:?}");
                    break;
                }
            }
        }
    }
    let betrayed = streams.iter().map(|(name, ..)| *name);
    let betrayed: Vec<&str> = betrayed
        .filter(|name| world.agency(name).log().contains("another roster"))
        .collect();
    assert!(!betrayed.is_empty());
    drop(streams);
    tokio::task::block_in_place(|| {
        for name in ["iszw", "kmar"] {
            let (outcome, _) = world.newest_outcome(name);
            assert!(outcome == "denied" || outcome == "error", "{name}: {outcome}");
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_evaluated_outside_of_a_round_or_for_who_is_not_in_it() {
    let mut gathering = gathering(&["emm", "iszw", "kmar"]);
    gathering.world.agency_mut("emm").stop();
    let world = &gathering.world;
    let open = opening(&gathering, "kmar");
    let signer = std::fs::read_to_string(world.agency("emm").file("signing.key")).unwrap();
    let signer = SigningKey::from_pem(&signer).unwrap();
    let mut rng = rand::rng();
    let points = Key::random(&mut rng)
        .multiply_stored(&Stored::of(&[overlap_psi::Item::derive("x", "y", b"z")]))
        .unwrap();
    let roster = |participants: Vec<Participant>| {
        let mut roster = Signed::new(Roster {
            picture: open.query.transaction,
            round: 1,
            coordinator: "spiffe://overlap.example/agency/emm".into(),
            agreement: open.query.agreement_hash,
            participants,
        })
        .unwrap();
        roster.sign(&signer);
        roster
    };
    let made_up = |name: &str, byte: u8| Participant {
        id: format!("spiffe://overlap.example/agency/{name}"),
        size: 20,
        key: Digest([byte; 32]),
    };
    // no picture is open
    let unopened = roster(vec![made_up("iszw", 1), made_up("politie", 2)]);
    let mut politie = HostileCoordinator::connect(world, "politie", "iszw").await;
    let refused = politie.evaluate(&unopened, points.clone()).await.unwrap_err();
    assert!(refused.message().contains("no part in this round"), "{refused:?}");
    // it is open, and politie is not in it
    let mut emm = HostileCoordinator::connect(world, "emm", "iszw").await;
    let (requests, mut says) = emm.open(open.clone()).await.unwrap();
    let ready = Response::try_from(says.message().await.unwrap().unwrap()).unwrap();
    let Response::Ready { size, key, .. } = ready else {
        panic!("{ready:?}");
    };
    let own = Participant {
        id: "spiffe://overlap.example/agency/iszw".into(),
        size,
        key: Digest(key.encode()),
    };
    let kmar = Key::random(&mut rng).multiply(&overlap_psi::Element::decode(&key.encode()).unwrap());
    let kmar = Participant {
        key: Digest(kmar.encode()),
        ..made_up("kmar", 0)
    };
    let told = roster(vec![own, kmar]);
    requests
        .send(Request::Roster(Box::new(told.clone())).into())
        .await
        .unwrap();
    let refused = politie.evaluate(&told, points.clone()).await.unwrap_err();
    assert!(refused.message().contains("takes no part"), "{refused:?}");
    // nor is a participant evaluated more than it announced, or twice
    let mut kmar = HostileCoordinator::connect(world, "kmar", "iszw").await;
    let many = vec![points[0]; 21];
    let refused = kmar.evaluate(&told, many).await.unwrap_err();
    assert!(refused.message().contains("more elements than the 20"), "{refused:?}");
    let refused = kmar.evaluate(&told, points).await.unwrap_err();
    assert!(refused.message().contains("has had its items evaluated"), "{refused:?}");
}
