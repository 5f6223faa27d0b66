//! Peers with valid certificates that break the protocol: named, logged, survived.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use overlap_integration_tests::{Agreement, HostileAsker, HostileHolder, PURPOSE, Play, World};
use overlap_proto::{
    pb::peer::{self as pb, match_request, match_response},
    peer::{self, Mode, Open, Response},
};
use overlap_psi::{
    Encoded, Item, Key, Protocol,
    dh::{Evaluator, Reply, Terms},
};
use overlap_records::{Kind, Profile, Role};
use uuid::Uuid;

const CSV: &str = "ref;phone;email\na;06-10000001;a@example.org\nb;06-10000002;\n";
/// Short, so that waiting for a stalled peer does not take a minute.
const LIMITS: &str = "[limits]\nidle_stream = \"1s\"\n";

/// Both agencies agreed; only the node of the given one runs.
fn world(running: &str) -> World {
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&Agreement::between("politie", "kmar"));
    world.agency_mut(running).configuration = LIMITS.to_owned();
    world.configure();
    world.start(running);
    world.import(running, CSV);
    world
}

fn elements(count: u32) -> Vec<Encoded> {
    let key = Key::random(&mut rand::rng());
    let plain: Vec<_> = (0..count)
        .map(|n| Item::derive("t", "t", &n.to_be_bytes()).to_element().encode())
        .collect();
    key.multiply_all(&plain).unwrap()
}

fn open(world: &World, set_size: u64, mode: Mode) -> Open {
    let agreements = world.json("kmar", "operator", &["agreement", "list"]);
    let hash = agreements[0]["hash"].as_str().unwrap().parse().unwrap();
    Open {
        transaction: Uuid::now_v7(),
        agreement: "thb-2026".into(),
        agreement_hash: hash,
        dataset: "cases".into(),
        mode,
        protocol: Protocol::DhPsi,
        profile: Profile::eu_thb_1().name().into(),
        profile_hash: overlap_audit::Digest(Profile::eu_thb_1().hash()),
        kinds: vec![Kind::Phone, Kind::Email],
        purpose: PURPOSE.into(),
        case_reference: "1".into(),
        reason: "a test".into(),
        person: "spiffe://politie.example/user/analyst".into(),
        role: "analyst".into(),
        set_size,
        input_commitment: overlap_audit::Digest([1; 32]),
        roles: Role::ALL.to_vec(),
        order: None,
        on_behalf_of: None,
    }
}

fn raw(bytes: Vec<u8>) -> pb::MatchRequest {
    pb::MatchRequest {
        message: Some(match_request::Message::Blinded(pb::Elements { elements: bytes.into() })),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_askers() {
    let world = world("kmar");
    let blinded = |count: u32| peer::blinded(&elements(count));
    let mut twice = elements(1);
    twice.push(twice[0]);
    let opening = |size: u64, mode: Mode| Play::Send(pb::MatchRequest::from(open(&world, size, mode)));
    let send = Play::Send;
    type Case = (
        &'static str,
        Vec<Play<pb::MatchRequest>>,
        Option<Duration>,
        &'static str,
    );
    let cases: Vec<Case> = vec![
        (
            "not canonical",
            vec![opening(1, Mode::Hits), send(raw(vec![0xff; 32]))],
            None,
            "not in canonical form",
        ),
        (
            "identity",
            vec![opening(1, Mode::Hits), send(raw(vec![0; 32]))],
            None,
            "is the identity",
        ),
        (
            "half an element",
            vec![opening(1, Mode::Hits), send(raw(vec![1; 31]))],
            None,
            "whole elements of 32 bytes",
        ),
        (
            "no element",
            vec![opening(1, Mode::Hits), send(raw(vec![]))],
            None,
            "whole elements of 32 bytes",
        ),
        (
            "too large a message",
            vec![opening(1, Mode::Hits), send(raw(vec![1; 3 << 20]))],
            None,
            "limit message_bytes",
        ),
        (
            "too many",
            vec![opening(2, Mode::Hits), send(blinded(3))],
            None,
            "more elements than the 2",
        ),
        (
            "too many after the end",
            vec![opening(2, Mode::Hits), send(blinded(2)), send(blinded(1))],
            None,
            "more elements than the 2",
        ),
        (
            "too few",
            vec![opening(3, Mode::Hits), send(blinded(2))],
            None,
            "2 elements came of the 3",
        ),
        (
            "the same twice",
            vec![opening(2, Mode::Count), send(peer::blinded(&twice))],
            None,
            "the same element came twice",
        ),
        (
            "stalls",
            vec![opening(3, Mode::Hits), send(blinded(2))],
            Some(Duration::from_secs(5)),
            "nothing came for 1 s",
        ),
        (
            "opens twice",
            vec![opening(2, Mode::Hits), opening(2, Mode::Hits)],
            None,
            "out of turn",
        ),
        ("no opening", vec![send(blinded(2))], None, "out of turn"),
        (
            "nothing at all",
            vec![Play::Wait(Duration::from_secs(4))],
            None,
            "nothing came for 1 s",
        ),
    ];
    let mut asker = HostileAsker::connect(&world, "politie", "kmar").await;
    for (name, plays, keep, words) in cases {
        let (answers, error) = asker.play(plays, keep).await;
        let status = error.unwrap_or_else(|| panic!("{name}: no error, {} answers", answers.len()));
        assert!(status.message().contains(words), "{name}: {status:?}");
        assert!(
            !answers
                .iter()
                .any(|answer| matches!(answer, match_response::Message::Complete(_))),
            "{name}"
        );
        let (outcome, detail) = tokio::task::block_in_place(|| world.newest_outcome("kmar"));
        assert!(["error", "denied"].contains(&outcome.as_str()), "{name}: {outcome}");
        assert!(!detail.is_empty(), "{name}");
        if name == "the same twice" {
            let evaluated = answers
                .iter()
                .filter(|answer| matches!(answer, match_response::Message::Evaluated(_)));
            assert_eq!(evaluated.count(), 0, "not one element goes back");
        }
    }

    // after all of that the node still answers, and nothing is left open
    let (answers, error) = asker.play(vec![opening(3, Mode::Hits), send(blinded(3))], None).await;
    assert!(error.is_none(), "{error:?}");
    assert!(matches!(answers.last(), Some(match_response::Message::Complete(_))));
    let status = tokio::task::block_in_place(|| world.json("kmar", "operator", &["status"]));
    assert_eq!(status["open_entries"], 0);
    assert!(!world.agency("kmar").log().contains("panicked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_at_once_are_limited() {
    let mut world = World::new(&["politie", "kmar"]);
    world.agree(&Agreement::between("politie", "kmar"));
    world.agency_mut("kmar").configuration = "[limits]\nsessions_per_peer = 1\n".to_owned();
    world.configure();
    world.start("kmar");
    world.import("kmar", CSV);
    let first = Play::Send(pb::MatchRequest::from(open(&world, 3, Mode::Hits)));
    let mut asker = HostileAsker::connect(&world, "politie", "kmar").await;
    let mut other = HostileAsker::connect(&world, "politie", "kmar").await;
    let holds = tokio::spawn(async move { asker.play(vec![first, Play::Wait(Duration::from_secs(3))], None).await });
    tokio::time::sleep(Duration::from_millis(700)).await;
    let second = Play::Send(pb::MatchRequest::from(open(&world, 3, Mode::Hits)));
    let (_, error) = other.play(vec![second], None).await;
    let status = error.unwrap();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status:?}");
    assert!(status.message().contains("1 sessions with this peer"), "{status:?}");
    holds.await.unwrap();
}

fn reply(reply: Reply) -> Play<pb::MatchResponse> {
    Play::Send(Response::Reply(reply).into())
}

fn accepted(size: u64) -> Play<pb::MatchResponse> {
    Play::Send(Response::Accepted(size).into())
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_holders() {
    type Script = fn(Open) -> Vec<Play<pb::MatchResponse>>;
    let cases: Vec<(&str, Script, i64, &str)> = vec![
        (
            "not canonical",
            |_| vec![accepted(5), reply(Reply::Evaluated(vec![[0xff; 32]]))],
            1,
            "not in canonical form",
        ),
        (
            "identity",
            |_| vec![accepted(5), reply(Reply::Evaluated(vec![[0; 32]]))],
            1,
            "is the identity",
        ),
        (
            "out of turn",
            |_| vec![accepted(5), reply(Reply::Tokens(vec![[1; 16]]))],
            1,
            "out of turn",
        ),
        (
            "no size",
            |_| vec![reply(Reply::Tokens(vec![[1; 16]]))],
            1,
            "out of turn",
        ),
        (
            "too many",
            |_| vec![accepted(5), reply(Reply::Evaluated(elements(4)))],
            1,
            "more elements than the 3",
        ),
        (
            "not sorted",
            |_| {
                vec![
                    accepted(5),
                    reply(Reply::Evaluated(elements(3))),
                    reply(Reply::Tokens(vec![[2; 16], [1; 16]])),
                ]
            },
            1,
            "not sorted",
        ),
        (
            "complete too soon",
            |_| vec![accepted(5), Play::Send(Response::Complete.into())],
            1,
            "elements came of the",
        ),
        ("hangs up", |_| vec![accepted(5)], 4, "hung up"),
        (
            "stalls",
            |_| vec![accepted(5), Play::Wait(Duration::from_secs(5))],
            4,
            "sent nothing for 1 s",
        ),
        (
            "only works",
            |_| {
                vec![
                    accepted(5),
                    Play::Send(Response::Working(1).into()),
                    Play::Send(Response::Working(1).into()),
                ]
            },
            1,
            "out of turn",
        ),
        (
            "too large a message",
            |_| {
                let elements = pb::Elements {
                    elements: vec![0xff; 3 << 20].into(),
                };
                vec![
                    accepted(5),
                    Play::Send(pb::MatchResponse {
                        message: Some(match_response::Message::Evaluated(elements)),
                    }),
                ]
            },
            1,
            "limit message_bytes",
        ),
    ];
    for (name, script, code, words) in cases {
        let world = world("politie");
        HostileHolder::start(&world, "kmar", script).await;
        let ran = tokio::task::block_in_place(|| world.ask("hits", &[]));
        assert_eq!(i64::from(ran.code), code, "{name}: {ran:?}");
        assert!(
            ran.failure()["message"].as_str().unwrap().contains(words),
            "{name}: {ran:?}"
        );
        assert!(ran.stdout.is_empty(), "{name}: nothing of a result");
        let (outcome, detail) = world.newest_outcome("politie");
        assert_eq!(outcome, "error", "{name}");
        assert!(detail.contains(words), "{name}: {detail}");
        assert!(!world.agency("politie").log().contains("panicked"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_id_is_used_once() {
    let world = world("kmar");
    let mut asker = HostileAsker::connect(&world, "politie", "kmar").await;
    let opening = pb::MatchRequest::from(open(&world, 3, Mode::Hits));
    let plays = || vec![Play::Send(opening.clone()), Play::Send(peer::blinded(&elements(3)))];
    assert!(asker.play(plays(), None).await.1.is_none());
    let status = asker.play(plays(), None).await.1.unwrap();
    assert!(
        status.message().contains("transaction id was used before"),
        "{status:?}"
    );
    assert_eq!(world.newest_outcome("kmar").0, "denied");
}

/// A status whose details are not even base64 makes the gRPC library panic; the entry is closed all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_cannot_be_read() {
    let world = world("politie");
    HostileHolder::start(&world, "kmar", |_| {
        let mut headers = tonic::codegen::http::HeaderMap::new();
        headers.insert(
            "grpc-status-details-bin",
            tonic::codegen::http::HeaderValue::from_static("!!!"),
        );
        let metadata = tonic::metadata::MetadataMap::from_headers(headers);
        vec![
            accepted(5),
            Play::Fail(tonic::Status::with_metadata(
                tonic::Code::Unknown,
                "\u{1b}[31mred",
                metadata,
            )),
        ]
    })
    .await;
    let ran = tokio::task::block_in_place(|| world.ask("hits", &[]));
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(!ran.stderr.contains('\u{1b}'), "{ran:?}");
    assert_eq!(world.newest_outcome("politie").0, "error");
    assert_eq!(
        tokio::task::block_in_place(|| world.json("politie", "operator", &["status"]))["open_entries"],
        0
    );
}

/// The hostile parties above fail for what they do wrong: one that does it right is answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_scripted_holder_that_keeps_to_the_protocol() {
    let world = world("politie");
    HostileHolder::start(&world, "kmar", |open| {
        // three elements that are nobody's, and no token: nothing in common
        let terms = Terms::new(open.protocol_mode(), [0; 32], open.set_size, 0).unwrap();
        let (evaluator, _) = Evaluator::start(terms, &mut rand::rng());
        let (_, evaluated) = evaluator.evaluate(&elements(3)).unwrap();
        vec![
            accepted(0),
            reply(Reply::Evaluated(evaluated)),
            Play::Send(Response::Complete.into()),
        ]
    })
    .await;
    let ran = tokio::task::block_in_place(|| world.ask("hits", &[]));
    assert_eq!(ran.json()["count"], 0);
}
