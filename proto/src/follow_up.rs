//! Following hits up, checked: what an asker wants to know of one, what its holder answers, and what a functionary decides.

use bytes::Bytes;
use jiff::{Timestamp, civil::Date};
use overlap_audit::{Declined, Digest, Standing};
use overlap_records::{Disclosed, Identifier, Kind, MAX_ATTACHMENT, MAX_REFERENCE};
use uuid::Uuid;

use crate::{
    WireError, check, operator,
    pb::{operator as op, peer as pb},
};

/// Most records that one hit is disclosed with; an answer stays far below the largest message.
pub const MOST_RECORDS: usize = 32;

/// Most follow-ups that one question about decisions names.
pub const MOST_DECISIONS: usize = 1000;

/// Most hits in one message of what is partly visible.
pub const MOST_PARTLY: usize = 1024;

/// What an asker wants to know of a hit.
#[derive(Clone, PartialEq, Eq)]
pub struct FollowUp {
    /// Id of this query, the same in both logs.
    pub transaction: Uuid,
    /// Id of the follow-up, the same each time it is asked.
    pub id: Uuid,
    /// The match that found the hit.
    pub about: Uuid,
    /// The agreement.
    pub agreement_hash: Digest,
    /// Kind of the identifier.
    pub kind: Kind,
    /// The identifier; none: the holder knows it.
    pub identifier: Option<Identifier>,
    /// What the hit is called in a picture, when it is asked first.
    pub pseudonym: Option<[u8; 16]>,
    /// Reason in words.
    pub reason: String,
    /// The person that asks.
    pub person: String,
    /// In which role.
    pub role: String,
}

/// What a holder answers.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// How the follow-up stands.
    pub standing: Standing,
    /// When it lapses if nobody has decided.
    pub decide_by: Timestamp,
    /// Canonical form of the identifier, where the asker does not know it.
    pub canonical: Option<String>,
    /// What is told so far.
    pub records: Vec<Disclosed>,
    /// Text of the holder's functionary.
    pub attachment: Option<String>,
}

/// A hit of which its asker is shown the kind alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartlyVisible {
    /// Id of the follow-up.
    pub id: Uuid,
    /// The kind.
    pub kind: Kind,
}

/// A user names a hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AboutHit {
    /// The first digits of its id, at least 8: lower-case hexadecimal.
    pub hit: String,
    /// Reason in words.
    pub reason: String,
}

/// A user decides on a hit.
#[derive(Clone, PartialEq, Eq)]
pub struct DecideHit {
    /// The hit.
    pub about: AboutHit,
    /// Why not; none: it is disclosed.
    pub declined: Option<Declined>,
    /// Text to disclose beside the records.
    pub attachment: Option<String>,
}

impl TryFrom<pb::FollowUpRequest> for FollowUp {
    type Error = WireError;

    fn try_from(request: pb::FollowUpRequest) -> Result<Self, WireError> {
        let kind = check::listed("kind", &request.kind, "must be a kind of identifiers")?;
        let identifier = match request.canonical.as_str() {
            "" => None,
            canonical => Some(identifier("canonical", kind, canonical)?),
        };
        Ok(Self {
            transaction: check::uuid("transaction", &request.transaction)?,
            id: check::uuid("follow_up", &request.follow_up)?,
            about: check::uuid("match", &request.r#match)?,
            agreement_hash: check::digest("agreement_hash", &request.agreement_hash)?,
            kind,
            identifier,
            pseudonym: match request.pseudonym.as_ref() {
                [] => None,
                bytes => Some(
                    bytes
                        .try_into()
                        .map_err(|_| WireError::new("pseudonym", "must be none, or 16 bytes"))?,
                ),
            },
            reason: check::reason("reason", request.reason)?,
            person: check::name("person", request.person)?,
            role: check::name("role", request.role)?,
        })
    }
}

impl From<&FollowUp> for pb::FollowUpRequest {
    fn from(wish: &FollowUp) -> Self {
        let canonical = wish
            .identifier
            .as_ref()
            .map(|identifier| identifier.canonical().to_owned());
        Self {
            transaction: operator::id(wish.transaction),
            follow_up: operator::id(wish.id),
            r#match: operator::id(wish.about),
            agreement_hash: Bytes::copy_from_slice(&wish.agreement_hash.0),
            kind: wish.kind.to_string(),
            canonical: canonical.unwrap_or_default(),
            reason: wish.reason.clone(),
            person: wish.person.clone(),
            role: wish.role.clone(),
            pseudonym: wish
                .pseudonym
                .map(|one| Bytes::copy_from_slice(&one))
                .unwrap_or_default(),
        }
    }
}

impl Answer {
    /// Checks an answer about an identifier of a kind.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn check(response: pb::FollowUpResponse, kind: Kind) -> Result<Self, WireError> {
        let standing = match response.state.as_str() {
            "pending" => Standing::Pending,
            "disclosed" => Standing::Disclosed,
            "declined" => Standing::Declined(check::listed(
                "declined",
                &response.declined,
                "must be a reason to decline",
            )?),
            _ => return Err(WireError::new("state", "must be pending, disclosed or declined")),
        };
        if response.records.len() > MOST_RECORDS {
            return Err(WireError::new("records", "must be 32 at most"));
        }
        let records = response.records.into_iter().map(disclosed);
        Ok(Self {
            standing,
            decide_by: check::listed("decide_by", &response.decide_by, "must be a time in RFC 3339")?,
            canonical: check::optional(response.canonical, |text| {
                identifier("canonical", kind, &text).map(|identifier| identifier.canonical().to_owned())
            })?,
            records: records.collect::<Result<_, _>>()?,
            attachment: attachment(response.attachment)?,
        })
    }
}

impl From<&Disclosed> for op::DisclosedRecord {
    fn from(record: &Disclosed) -> Self {
        let identifiers = record.identifiers.iter().map(|(kind, canonical)| op::Identifier {
            kind: kind.to_string(),
            canonical: canonical.clone(),
        });
        Self {
            reference: record.reference.clone().unwrap_or_default(),
            role: record.role.map(|role| role.to_string()).unwrap_or_default(),
            observed: record.observed.map(|date| date.to_string()).unwrap_or_default(),
            origin: record.origin.clone().unwrap_or_default(),
            identifiers: identifiers.collect(),
        }
    }
}

impl From<&Answer> for pb::FollowUpResponse {
    fn from(answer: &Answer) -> Self {
        let declined = answer.standing.declined();
        // the two messages are alike: what a peer tells, and what a user is shown of it
        let records = answer.records.iter().map(|record| {
            let shown = op::DisclosedRecord::from(record);
            let identifiers = shown.identifiers.into_iter().map(|one| pb::Identifier {
                kind: one.kind,
                canonical: one.canonical,
            });
            pb::DisclosedRecord {
                reference: shown.reference,
                role: shown.role,
                observed: shown.observed,
                origin: shown.origin,
                identifiers: identifiers.collect(),
            }
        });
        Self {
            state: answer.standing.name().to_owned(),
            declined: declined.map(|why| why.to_string()).unwrap_or_default(),
            decide_by: answer.decide_by.to_string(),
            canonical: answer.canonical.clone().unwrap_or_default(),
            records: records.collect(),
            attachment: answer.attachment.clone().unwrap_or_default(),
        }
    }
}

fn identifier(field: &'static str, kind: Kind, canonical: &str) -> Result<Identifier, WireError> {
    let identifier = Identifier::from_canonical(kind, canonical);
    identifier.map_err(|_| WireError::new(field, "must be an identifier of its kind in canonical form"))
}

fn attachment(text: String) -> Result<Option<String>, WireError> {
    check::optional(text, |text| match check::is_text(&text, MAX_ATTACHMENT) {
        true => Ok(text),
        false => Err(WireError::new(
            "attachment",
            "must be at most 16384 bytes of text without control characters",
        )),
    })
}

fn disclosed(record: pb::DisclosedRecord) -> Result<Disclosed, WireError> {
    let text = |field, text: String, most| {
        check::optional(text, |text| match check::is_text(&text, most) {
            true => Ok(text),
            false => Err(WireError::new(field, "must be plain text, not too long")),
        })
    };
    let identifiers = record.identifiers.iter().map(|one| {
        let kind = check::listed("records.identifiers.kind", &one.kind, "must be a kind of identifiers")?;
        identifier("records.identifiers.canonical", kind, &one.canonical)?;
        Ok((kind, one.canonical.clone()))
    });
    Ok(Disclosed {
        reference: text("records.reference", record.reference, MAX_REFERENCE)?,
        role: check::optional(record.role, |role| {
            check::listed("records.role", &role, "must be a role of subjects")
        })?,
        observed: check::optional(record.observed, |date| {
            check::listed::<Date>("records.observed", &date, "must be a date in ISO 8601")
        })?,
        origin: text("records.origin", record.origin, MAX_REFERENCE)?,
        identifiers: identifiers.collect::<Result<_, _>>()?,
    })
}

/// Hits that are partly visible.
///
/// # Errors
/// [`WireError`].
pub fn partly(message: &pb::MatchPartly) -> Result<Vec<PartlyVisible>, WireError> {
    if message.hits.len() > MOST_PARTLY {
        return Err(WireError::new("partly.hits", "must be 1024 at most"));
    }
    let hits = message.hits.iter().map(|hit| {
        Ok(PartlyVisible {
            id: check::uuid("partly.follow_up", &hit.follow_up)?,
            kind: check::listed("partly.kind", &hit.kind, "must be a kind of identifiers")?,
        })
    });
    hits.collect()
}

/// The message for them.
pub fn partly_message(hits: &[PartlyVisible]) -> pb::MatchPartly {
    let hits = hits.iter().map(|hit| pb::PartlyVisible {
        follow_up: operator::id(hit.id),
        kind: hit.kind.to_string(),
    });
    pb::MatchPartly { hits: hits.collect() }
}

/// Ids of follow-ups.
///
/// # Errors
/// [`WireError`].
pub fn ids(field: &'static str, ids: &[Bytes]) -> Result<Vec<Uuid>, WireError> {
    if ids.len() > MOST_DECISIONS {
        return Err(WireError::new(field, "must be 1000 at most"));
    }
    ids.iter().map(|id| check::uuid(field, id)).collect()
}

fn about(hit: String, reason: String) -> Result<AboutHit, WireError> {
    Ok(AboutHit {
        hit: check::digits("hit", &hit)?,
        reason: check::reason("reason", reason)?,
    })
}

impl TryFrom<op::FollowUpHitRequest> for AboutHit {
    type Error = WireError;

    fn try_from(request: op::FollowUpHitRequest) -> Result<Self, WireError> {
        about(request.hit, request.reason)
    }
}

impl TryFrom<op::ShowHitRequest> for AboutHit {
    type Error = WireError;

    fn try_from(request: op::ShowHitRequest) -> Result<Self, WireError> {
        about(request.hit, request.reason)
    }
}

impl TryFrom<op::DecideHitRequest> for DecideHit {
    type Error = WireError;

    fn try_from(request: op::DecideHitRequest) -> Result<Self, WireError> {
        const MUST: &str = "must be investigation, safety, source, unfounded or law";
        let declined = check::optional(request.declined, |why| check::listed("declined", &why, MUST))?;
        if declined.is_some_and(|why| !Declined::CHOICES.contains(&why)) {
            return Err(WireError::new("declined", MUST));
        }
        let attachment = attachment(request.attachment)?;
        if declined.is_some() && attachment.is_some() {
            return Err(WireError::new("attachment", "must be left out of what is declined"));
        }
        Ok(Self {
            about: about(request.hit, request.reason)?,
            declined,
            attachment,
        })
    }
}

impl std::fmt::Debug for FollowUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FollowUp").field("id", &self.id).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("standing", &self.standing)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for DecideHit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecideHit")
            .field("declined", &self.declined)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn wish() -> FollowUp {
        FollowUp {
            pseudonym: None,
            transaction: Uuid::from_u128(1),
            id: Uuid::from_u128(2),
            about: Uuid::from_u128(3),
            agreement_hash: Digest([4; 32]),
            kind: Kind::Phone,
            identifier: Some(Identifier::from_canonical(Kind::Phone, "+31612345678").unwrap()),
            reason: "to call the officer".into(),
            person: "spiffe://politie.example/user/a".into(),
            role: "analyst".into(),
        }
    }

    fn answer() -> Answer {
        Answer {
            standing: Standing::Disclosed,
            decide_by: "2026-12-01T00:00:00Z".parse().unwrap(),
            canonical: Some("+31612345678".into()),
            records: vec![Disclosed {
                reference: Some("K-1".into()),
                role: Some(overlap_records::Role::Victim),
                observed: Some(jiff::civil::date(2026, 1, 2)),
                origin: None,
                identifiers: vec![(Kind::Phone, "+31612345678".into())],
            }],
            attachment: Some("call the\nstation".into()),
        }
    }

    #[test]
    fn both_survive_the_wire() {
        assert_eq!(FollowUp::try_from(pb::FollowUpRequest::from(&wish())).unwrap(), wish());
        let again = Answer::check(pb::FollowUpResponse::from(&answer()), Kind::Phone).unwrap();
        assert!(again == answer());
        assert!(!format!("{:?}{:?}{:?}", wish(), answer(), answer().records).contains("316"));
    }

    #[test]
    fn each_bad_field_is_named_without_its_value() {
        type Spoil = fn(&mut pb::FollowUpRequest);
        let cases: [(&str, Spoil); 7] = [
            ("transaction", |w| w.transaction = Bytes::from_static(b"CANARY")),
            ("follow_up", |w| w.follow_up = Bytes::from_static(&[0; 16])),
            ("match", |w| w.r#match = Bytes::new()),
            ("agreement_hash", |w| w.agreement_hash = Bytes::from_static(b"CANARY")),
            ("kind", |w| w.kind = "CANARY".into()),
            ("canonical", |w| w.canonical = "CANARY".into()),
            ("reason", |w| w.reason = " ".into()),
        ];
        for (field, spoil) in cases {
            let mut request = pb::FollowUpRequest::from(&wish());
            spoil(&mut request);
            let error = FollowUp::try_from(request).unwrap_err();
            assert_eq!(error.field, field);
            assert!(!error.to_string().contains("CANARY"));
        }
        type SpoilAnswer = fn(&mut pb::FollowUpResponse);
        let cases: [(&str, SpoilAnswer); 6] = [
            ("state", |a| a.state = "CANARY".into()),
            ("declined", |a| a.state = "declined".into()),
            ("decide_by", |a| a.decide_by = String::new()),
            ("canonical", |a| a.canonical = "CANARY".into()),
            ("records", |a| a.records = vec![a.records[0].clone(); 33]),
            ("records.role", |a| a.records[0].role = "CANARY".into()),
        ];
        for (field, spoil) in cases {
            let mut response = pb::FollowUpResponse::from(&answer());
            spoil(&mut response);
            assert_eq!(Answer::check(response, Kind::Phone).unwrap_err().field, field);
        }
    }

    #[test]
    fn a_decision_is_one_or_the_other() {
        let decide = |declined: &str, attachment: &str| {
            DecideHit::try_from(op::DecideHitRequest {
                hit: "0123ABCD-ef".into(),
                declined: declined.into(),
                reason: "a test".into(),
                attachment: attachment.into(),
            })
        };
        assert_eq!(decide("", "text").unwrap().about.hit, "0123abcdef");
        assert_eq!(decide("safety", "").unwrap().declined, Some(Declined::Safety));
        assert_eq!(decide("lapsed", "").unwrap_err().field, "declined");
        assert_eq!(decide("safety", "text").unwrap_err().field, "attachment");
        assert_eq!(decide("", "\u{1b}[2J").unwrap_err().field, "attachment");
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_panic(bytes: Vec<u8>) {
            if let Ok(message) = pb::FollowUpRequest::decode(bytes.as_slice()) {
                let _ = FollowUp::try_from(message);
            }
            if let Ok(message) = pb::FollowUpResponse::decode(bytes.as_slice()) {
                let _ = Answer::check(message, Kind::Person);
            }
            if let Ok(message) = pb::MatchPartly::decode(bytes.as_slice()) {
                let _ = partly(&message);
            }
        }
    }
}
