use bytes::Bytes;

use super::*;
use crate::pb::{
    operator as op,
    peer::{attend_request, attend_response},
};

fn asking() -> pb::Asking {
    pb::Asking {
        transaction: Bytes::from_static(&[7; 16]),
        person: "spiffe://kmar.example/user/an".into(),
        role: "analyst".into(),
        case_reference: "JAD-1".into(),
        reason: "a check in the street".into(),
        on_behalf_of: String::new(),
    }
}

fn a_check() -> pb::Check {
    pb::Check {
        asking: Some(asking()),
        kinds: vec!["phone".into()],
        blinded: Bytes::from_static(&[1; 64]),
        mirrored: Bytes::new(),
        again: false,
    }
}

#[test]
fn each_bad_field_of_a_check_is_named() {
    let of = |check: pb::Check| {
        Attend::try_from(pb::AttendRequest {
            message: Some(attend_request::Message::Check(check)),
        })
    };
    assert!(matches!(of(a_check()), Ok(Attend::Check(check)) if check.blinded.len() == 2));
    type Spoil = fn(&mut pb::Check);
    let cases: [(&str, Spoil); 8] = [
        ("check.asking", |check| check.asking = None),
        ("asking.transaction", |check| {
            check.asking.as_mut().unwrap().transaction = Bytes::from_static(&[0; 16]);
        }),
        ("asking.reason", |check| check.asking.as_mut().unwrap().reason.clear()),
        ("asking.on_behalf_of", |check| {
            check.asking.as_mut().unwrap().on_behalf_of = "CANARY".into();
        }),
        ("check.kinds", |check| check.kinds.push("CANARY".into())),
        ("check.blinded", |check| check.blinded = Bytes::from_static(&[1; 63])),
        ("check.blinded", |check| check.blinded = vec![1; 32 * 257].into()),
        ("check.mirrored", |check| check.mirrored = Bytes::from_static(&[1; 32])),
    ];
    for (field, spoil) in cases {
        let mut bad = a_check();
        spoil(&mut bad);
        let error = of(bad).unwrap_err();
        assert_eq!(error.field, field);
        assert!(!error.to_string().contains("CANARY"));
    }
}

#[test]
fn what_a_holder_says_has_its_bounds() {
    let of = |message| {
        Attended::try_from(pb::AttendResponse { message: Some(message) })
            .map(drop)
            .map_err(|error| error.field)
    };
    use attend_response::Message as M;
    let delta = |number, outputs: usize| {
        M::Delta(pb::Delta {
            number,
            images: vec![0; outputs].into(),
        })
    };
    assert_eq!(of(delta(1, 16)), Ok(()));
    assert_eq!(of(delta(0, 16)), Err("delta.number"));
    assert_eq!(of(delta(1, 15)), Err("delta.images"));
    assert_eq!(of(delta(1, 16 * (MOST_OUTPUTS + 1))), Err("delta.images"));
    assert_eq!(of(M::Fingerprints(vec![0; FINGERPRINTS].into())), Ok(()));
    assert_eq!(
        of(M::Fingerprints(vec![0; FINGERPRINTS + 4].into())),
        Err("fingerprints")
    );
    assert_eq!(of(M::Fingerprints(vec![0; 5].into())), Err("fingerprints"));
    let refused = |reason: &str| {
        M::Refused(pb::CheckRefused {
            transaction: Bytes::from_static(&[7; 16]),
            reason: reason.into(),
            limit: String::new(),
            message: "so".into(),
        })
    };
    assert_eq!(of(refused("LIMIT_REACHED")), Ok(()));
    assert_eq!(of(refused("CANARY")), Err("refused.reason"));
}

#[test]
fn each_bad_field_of_a_wish_is_named() {
    let good = op::CreateActionRequest {
        id: "jad-1".into(),
        purpose: "thb".into(),
        case_reference: "JAD-1".into(),
        reason: "a day".into(),
        participants: vec!["kmar".into(), "iszw".into()],
        from: "2026-06-01T06:00:00Z".into(),
        until: "2026-06-02T06:00:00Z".into(),
        ..op::CreateActionRequest::default()
    };
    let create = Create::try_from(good.clone()).unwrap();
    assert_eq!((create.deadline_ms, create.participants.len()), (2000, 2));
    type Spoil = fn(&mut op::CreateActionRequest);
    let cases: [(&str, Spoil); 5] = [
        ("participants", |one| one.participants.truncate(1)),
        ("participants", |one| one.participants.push("kmar".into())),
        ("kinds", |one| one.kinds = vec!["CANARY".into()]),
        ("until", |one| one.until = "CANARY".into()),
        ("id", |one| one.id = "a day".into()),
    ];
    for (field, spoil) in cases {
        let mut bad = good.clone();
        spoil(&mut bad);
        let error = Create::try_from(bad).unwrap_err();
        assert_eq!(error.field, field);
        assert!(!error.to_string().contains("CANARY"));
    }
}

#[test]
fn what_is_looked_up_is_in_canonical_form_and_each_once() {
    let phone = |canonical: &str| op::Identifier {
        kind: "phone".into(),
        canonical: canonical.into(),
    };
    let wish = |identifiers| {
        CheckWish::try_from(op::CheckWish {
            number: 1,
            identifiers,
            ..op::CheckWish::default()
        })
    };
    let twice = wish(vec![phone("+31612345678"), phone("+31612345678")]);
    assert_eq!(twice.map(|wish| wish.identifiers.len()), Ok(1));
    let error = wish(vec![phone("0612345678")]).map(drop).unwrap_err();
    assert_eq!(error.field, "identifiers.canonical");
    assert!(!error.to_string().contains("0612345678"));
    assert_eq!(wish(Vec::new()).map(drop).unwrap_err().field, "identifiers");
}
