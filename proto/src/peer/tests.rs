use proptest::prelude::*;
use prost::Message;

use super::*;

fn open() -> Open {
    Open {
        transaction: Uuid::from_u128(1),
        agreement: "thb".into(),
        agreement_hash: Digest([1; 32]),
        dataset: "cases".into(),
        mode: Mode::Hits,
        protocol: Protocol::DhPsi,
        profile: "eu-thb/1".into(),
        profile_hash: Digest([2; 32]),
        kinds: vec![Kind::Phone, Kind::Bsn],
        purpose: "thb-investigation".into(),
        case_reference: "case 1".into(),
        reason: "lead from a victim's phone".into(),
        person: "spiffe://politie.example/user/a".into(),
        role: "analyst".into(),
        set_size: 5,
        input_commitment: Digest([3; 32]),
        roles: vec![Role::Suspect],
        order: None,
        on_behalf_of: Some("RO".into()),
    }
}

fn wire() -> pb::MatchOpen {
    match pb::MatchRequest::from(open()).message {
        Some(match_request::Message::Open(open)) => open,
        _ => unreachable!("an open message was made"),
    }
}

#[test]
fn an_opening_survives_the_wire() {
    let mut expected = open();
    expected.kinds.sort_unstable();
    assert_eq!(Open::try_from(wire()).unwrap(), expected);
}

#[test]
fn each_bad_field_is_named_without_its_value() {
    type Spoil = fn(&mut pb::MatchOpen);
    let cases: [(&str, Spoil); 22] = [
        ("open.transaction", |o| o.transaction = Bytes::from_static(b"CANARY")),
        ("open.transaction", |o| o.transaction = Bytes::from_static(&[0; 16])),
        ("open.agreement", |o| o.agreement = "CANARY agreement".into()),
        ("open.agreement_hash", |o| {
            o.agreement_hash = Bytes::from_static(b"CANARY")
        }),
        ("open.dataset", |o| o.dataset = String::new()),
        ("open.mode", |o| o.mode = "CANARY".into()),
        ("open.protocol", |o| o.protocol = "CANARY".into()),
        ("open.kinds", |o| o.kinds = vec![]),
        ("open.kinds", |o| o.kinds = vec!["CANARY".into()]),
        ("open.kinds", |o| o.kinds = vec!["phone".into(), "phone".into()]),
        ("open.purpose", |o| o.purpose = "CANARY\n".into()),
        ("open.case_reference", |o| o.case_reference = "  ".into()),
        ("open.reason", |o| o.reason = "CANARY".repeat(200)),
        ("open.person", |o| o.person = String::new()),
        ("open.reason", |o| o.reason = "CANARY\u{202e}".into()),
        ("open.set_size", |o| o.set_size = u64::MAX),
        ("open.set_size", |o| o.set_size = 0),
        ("open.input_commitment", |o| o.input_commitment = Bytes::new()),
        ("open.roles", |o| o.roles = vec![]),
        ("open.roles", |o| o.roles = vec!["CANARY".into()]),
        ("open.order", |o| o.order = Bytes::from_static(b"CANARY")),
        ("open.on_behalf_of", |o| o.on_behalf_of = "CANARY".into()),
    ];
    for (field, spoil) in cases {
        let mut open = wire();
        spoil(&mut open);
        let error = Open::try_from(open).unwrap_err();
        assert_eq!(error.field, field);
        assert!(!error.to_string().contains("CANARY"), "{error}");
    }
}

#[test]
fn a_query_is_opened_for_the_protocol_that_it_runs() {
    let of = |protocol: Protocol, set_size| {
        let open = pb::MatchOpen {
            protocol: protocol.name().into(),
            set_size,
            ..wire()
        };
        (
            Open::of(open.clone(), Protocol::DhPsi),
            Open::of(open, Protocol::JointOprf),
        )
    };
    let (matched, pictured) = of(Protocol::JointOprf, 0);
    assert_eq!(
        (matched.unwrap_err().field, pictured.unwrap().set_size),
        ("open.protocol", 0)
    );
    let (matched, pictured) = of(Protocol::DhPsi, 1);
    assert_eq!(
        (matched.unwrap().set_size, pictured.unwrap_err().field),
        (1, "open.protocol")
    );
}

#[test]
fn labels_come_one_for_each_token() {
    let of = |tokens: usize, labels: usize| {
        Response::try_from(pb::MatchResponse {
            message: Some(match_response::Message::Tokens(pb::Tokens {
                tokens: vec![1; tokens].into(),
                labels: vec![2; labels].into(),
            })),
        })
    };
    assert!(matches!(of(32, 0), Ok(Response::Reply(dh::Reply::Tokens(tokens))) if tokens.len() == 2));
    let labelled = of(32, 64).unwrap();
    let again = Response::try_from(pb::MatchResponse::from(labelled)).unwrap();
    assert!(matches!(again, Response::Reply(dh::Reply::Labelled(labelled))
        if labelled.len() == 2 && labelled[0][15..17] == [1, 2]));
    for bad in [1, 32, 63, 96] {
        assert_eq!(of(32, bad).unwrap_err().field, "tokens.labels");
    }
}

#[test]
fn elements_come_whole_and_not_too_many() {
    let of = |bytes: usize| pb::MatchRequest {
        message: Some(match_request::Message::Blinded(pb::Elements {
            elements: vec![0; bytes].into(),
        })),
    };
    assert!(Request::try_from(of(32 * CHUNK)).is_ok());
    for bad in [0, 1, 31, 33, 32 * CHUNK + 32] {
        assert_eq!(Request::try_from(of(bad)).unwrap_err().field, "blinded.elements");
    }
    assert_eq!(
        Request::try_from(pb::MatchRequest { message: None }).unwrap_err().field,
        "request.message"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_panic(bytes: Vec<u8>) {
        if let Ok(message) = pb::MatchRequest::decode(bytes.as_slice()) {
            let _ = Request::try_from(message);
        }
        if let Ok(message) = pb::MatchResponse::decode(bytes.as_slice()) {
            let _ = Response::try_from(message);
        }
    }
}
