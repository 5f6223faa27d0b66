//! `overlap.operator.v1`, checked.

use bytes::Bytes;
use jiff::{Timestamp, civil::Date};
use overlap_audit::{Digest, Outcome};
use overlap_records::{Identifier, Kind, Record, Role};
use uuid::Uuid;

use crate::{
    WireError, check,
    pb::operator::{self as pb, import_dataset_request},
    peer::{self, Mode},
};

/// A user asks for a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Name of the peer.
    pub peer: String,
    /// Own dataset.
    pub dataset: String,
    /// What to learn.
    pub mode: Mode,
    /// Kinds to compare; none: all that the agreement allows.
    pub kinds: Option<Vec<Kind>>,
    /// Purpose.
    pub purpose: String,
    /// Case reference.
    pub case_reference: String,
    /// Reason in words.
    pub reason: String,
    /// Agreement; none: the one that covers the query.
    pub agreement: Option<String>,
    /// Roles of the subjects to ask about; none: all that the grant covers.
    pub roles: Option<Vec<Role>>,
    /// Id of the order to ask under.
    pub order: Option<String>,
    /// Country to ask for, where that is not the own.
    pub on_behalf_of: Option<String>,
    /// The first digits of the id of another user's approval.
    pub approval: Option<String>,
}

/// One step of an import.
#[derive(Debug)]
pub enum ImportStep {
    /// The first: the dataset and the profile that the records were normalised under.
    Begin {
        /// Name of the dataset.
        dataset: String,
        /// Name of the profile.
        profile: String,
        /// Hash of the profile.
        profile_hash: Digest,
        /// Whether to add to what the dataset holds, instead of replacing it.
        append: bool,
    },
    /// Records.
    Records(Vec<Record>),
    /// The last.
    Commit,
}

/// A user erases a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erase {
    /// Name of the dataset.
    pub dataset: String,
    /// Reason in words.
    pub reason: String,
}

/// A user reads what matches found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListHits {
    /// Only those of this query.
    pub transaction: Option<Uuid>,
    /// Reason in words.
    pub reason: String,
}

/// A user looks entries up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListEntries {
    /// Where the page before ended.
    pub after: Option<Bytes>,
    /// At most so many.
    pub limit: usize,
    /// Only those of this query.
    pub transaction: Option<Uuid>,
    /// Begun at this time or later.
    pub from: Option<Timestamp>,
    /// Begun before this time.
    pub until: Option<Timestamp>,
    /// With this agency, by name or id.
    pub peer: Option<String>,
    /// Asked by this person.
    pub person: Option<String>,
    /// For this purpose.
    pub purpose: Option<String>,
    /// For this case.
    pub case_reference: Option<String>,
    /// That stand so.
    pub outcome: Option<Outcome>,
}

/// A user asks whether an identifier was in the set of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenInput {
    /// The query.
    pub transaction: Uuid,
    /// The identifier.
    pub identifier: Identifier,
    /// Reason in words.
    pub reason: String,
}

/// A user takes an alarm back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcknowledgeAlarm {
    /// The alarm.
    pub id: Uuid,
    /// Reason in words.
    pub reason: String,
}

impl TryFrom<pb::MatchRequest> for Match {
    type Error = WireError;

    fn try_from(request: pb::MatchRequest) -> Result<Self, WireError> {
        Ok(Self {
            peer: check::name("peer", request.peer)?,
            dataset: check::name("dataset", request.dataset)?,
            mode: check::listed("mode", &request.mode, "must be hits or count")?,
            kinds: match request.kinds.as_slice() {
                [] => None,
                names => Some(peer::kinds("kinds", names)?),
            },
            purpose: check::name("purpose", request.purpose)?,
            case_reference: check::case_reference("case_reference", request.case_reference)?,
            reason: check::reason("reason", request.reason)?,
            agreement: check::optional(request.agreement, |id| check::name("agreement", id))?,
            roles: match request.roles.as_slice() {
                [] => None,
                names => Some(peer::roles("roles", names)?),
            },
            order: check::optional(request.order, |id| check::name("order", id))?,
            on_behalf_of: check::optional(request.on_behalf_of, |text| check::country("on_behalf_of", text))?,
            approval: check::optional(request.approval, |text| check::digits("approval", &text))?,
        })
    }
}

impl TryFrom<pb::ImportDatasetRequest> for ImportStep {
    type Error = WireError;

    fn try_from(request: pb::ImportDatasetRequest) -> Result<Self, WireError> {
        Ok(match check::present("message", request.message)? {
            import_dataset_request::Message::Begin(begin) => Self::Begin {
                dataset: check::name("begin.dataset", begin.dataset)?,
                profile: check::name("begin.profile", begin.profile)?,
                profile_hash: check::digest("begin.profile_hash", &begin.profile_hash)?,
                append: begin.append,
            },
            import_dataset_request::Message::Records(records) => {
                Self::Records(records.records.into_iter().map(record).collect::<Result<_, _>>()?)
            }
            import_dataset_request::Message::Commit(_) => Self::Commit,
        })
    }
}

impl TryFrom<pb::EraseDatasetRequest> for Erase {
    type Error = WireError;

    fn try_from(request: pb::EraseDatasetRequest) -> Result<Self, WireError> {
        Ok(Self {
            dataset: check::name("dataset", request.dataset)?,
            reason: check::reason("reason", request.reason)?,
        })
    }
}

impl TryFrom<pb::ListHitsRequest> for ListHits {
    type Error = WireError;

    fn try_from(request: pb::ListHitsRequest) -> Result<Self, WireError> {
        Ok(Self {
            transaction: match request.transaction.is_empty() {
                true => None,
                false => Some(check::uuid("transaction", &request.transaction)?),
            },
            reason: check::reason("reason", request.reason)?,
        })
    }
}

/// The dataset that a request to purge names; none: all of them.
///
/// # Errors
/// [`WireError`] unless it is a name.
pub fn purge(request: pb::PurgeDatasetsRequest) -> Result<Option<String>, WireError> {
    match request.dataset {
        none if none.is_empty() => Ok(None),
        name => Ok(Some(check::name("dataset", name)?)),
    }
}

impl TryFrom<pb::ListEntriesRequest> for ListEntries {
    type Error = WireError;

    fn try_from(request: pb::ListEntriesRequest) -> Result<Self, WireError> {
        let name = |field, text: String| match text {
            none if none.is_empty() => Ok(None),
            name => check::name(field, name).map(Some),
        };
        let time = |field, millis: Option<i64>| {
            let time =
                |millis| Timestamp::from_millisecond(millis).map_err(|_| WireError::new(field, "must be a time"));
            millis.map(time).transpose()
        };
        Ok(Self {
            after: (!request.after.is_empty()).then_some(request.after),
            limit: match request.limit {
                0 => 50,
                limit @ 1..=1000 => limit as usize,
                _ => return Err(WireError::new("limit", "must be 1 to 1000, or 0 for 50")),
            },
            transaction: match request.transaction.is_empty() {
                true => None,
                false => Some(check::uuid("transaction", &request.transaction)?),
            },
            from: time("from", request.from)?,
            until: time("until", request.until)?,
            peer: name("peer", request.peer)?,
            person: name("person", request.person)?,
            purpose: name("purpose", request.purpose)?,
            case_reference: match request.case_reference {
                none if none.is_empty() => None,
                case => Some(check::case_reference("case_reference", case)?),
            },
            outcome: match request.outcome.as_str() {
                "" => None,
                outcome => Some(check::listed("outcome", outcome, "must be an outcome of an entry")?),
            },
        })
    }
}

impl TryFrom<pb::OpenInputRequest> for OpenInput {
    type Error = WireError;

    fn try_from(request: pb::OpenInputRequest) -> Result<Self, WireError> {
        let kind = check::listed("kind", &request.kind, "must be a known kind")?;
        let identifier = Identifier::from_canonical(kind, &request.canonical);
        Ok(Self {
            transaction: check::uuid("transaction", &request.transaction)?,
            identifier: identifier
                .map_err(|_| WireError::new("canonical", "must be in canonical form for its kind"))?,
            reason: check::reason("reason", request.reason)?,
        })
    }
}

impl TryFrom<pb::AcknowledgeAlarmRequest> for AcknowledgeAlarm {
    type Error = WireError;

    fn try_from(request: pb::AcknowledgeAlarmRequest) -> Result<Self, WireError> {
        Ok(Self {
            id: check::uuid("id", &request.id)?,
            reason: check::reason("reason", request.reason)?,
        })
    }
}

/// The reason that a request to export the log gives.
///
/// # Errors
/// [`WireError`] unless it is in words.
pub fn export_reason(request: pb::ExportLogRequest) -> Result<String, WireError> {
    check::reason("reason", request.reason)
}

/// The id that a request to show an entry names.
///
/// # Errors
/// [`WireError`] unless it is a UUID.
pub fn entry_id(request: &pb::ShowEntryRequest) -> Result<Uuid, WireError> {
    check::uuid("entry", &request.entry)
}

/// A record, to be sent.
pub fn to_pb(record: &Record) -> pb::Record {
    let date = |date: Option<Date>| date.map(|date| date.to_string()).unwrap_or_default();
    pb::Record {
        reference: record.reference.clone(),
        role: record.role.to_string(),
        visibility: record.visibility.to_string(),
        observed: date(record.observed),
        expires: date(record.expires),
        origin: record.origin.clone().unwrap_or_default(),
        identifiers: record
            .identifiers
            .iter()
            .map(|identifier| pb::Identifier {
                kind: identifier.kind().to_string(),
                canonical: identifier.canonical().to_owned(),
            })
            .collect(),
    }
}

/// The bytes of an id.
pub fn id(id: Uuid) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

fn record(record: pb::Record) -> Result<Record, WireError> {
    let identifiers = record
        .identifiers
        .iter()
        .map(|identifier| {
            let kind = check::listed("records.identifiers.kind", &identifier.kind, "must be a known kind")?;
            Identifier::from_canonical(kind, &identifier.canonical).map_err(|_| {
                WireError::new(
                    "records.identifiers.canonical",
                    "must be in canonical form for its kind",
                )
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let date = |field, text: &str| match text {
        "" => Ok(None),
        text => Ok(Some(check::listed::<Date>(field, text, "must be a date yyyy-mm-dd")?)),
    };
    Record::new(
        record.reference,
        check::listed("records.role", &record.role, "must be a known role")?,
        check::listed("records.visibility", &record.visibility, "must be a, b, c or d")?,
        date("records.observed", &record.observed)?,
        date("records.expires", &record.expires)?,
        identifiers,
    )
    .and_then(|checked| checked.with_origin((!record.origin.is_empty()).then_some(record.origin)))
    .map_err(|_| {
        WireError::new(
            "records",
            "must hold a reference of 1 to 128 bytes, 1 to 64 identifiers and an origin of at most 128 bytes",
        )
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_panic(bytes: Vec<u8>) {
            if let Ok(message) = pb::ImportDatasetRequest::decode(bytes.as_slice()) {
                let _ = ImportStep::try_from(message);
            }
            if let Ok(message) = pb::MatchRequest::decode(bytes.as_slice()) {
                let _ = Match::try_from(message);
            }
        }
    }

    #[test]
    fn records_are_checked_again_on_arrival() {
        let good = pb::Record {
            reference: "a-1".into(),
            role: "suspect".into(),
            visibility: "b".into(),
            observed: String::new(),
            expires: "2030-01-01".into(),
            origin: "Team Noord".into(),
            identifiers: vec![pb::Identifier {
                kind: "phone".into(),
                canonical: "+31612345678".into(),
            }],
        };
        assert!(record(good.clone()).is_ok());
        type Spoil = fn(&mut pb::Record);
        let spoiled: [(&str, Spoil); 7] = [
            ("records.identifiers.canonical", |r| {
                r.identifiers[0].canonical = "06-12345678".into()
            }),
            ("records.identifiers.kind", |r| r.identifiers[0].kind = "CANARY".into()),
            ("records.role", |r| r.role = "CANARY".into()),
            ("records.visibility", |r| r.visibility = "e".into()),
            ("records.expires", |r| r.expires = "01-01-2030".into()),
            ("records", |r| r.reference = "CANARY".repeat(100)),
            ("records", |r| r.origin = "CANARY\n".into()),
        ];
        for (field, spoil) in spoiled {
            let mut bad = good.clone();
            spoil(&mut bad);
            let error = record(bad).unwrap_err();
            assert_eq!(error.field, field);
            assert!(!error.to_string().contains("CANARY"));
        }
    }
}
