//! Both parts of following a hit up: what is behind it, told as far as class, agreement and functionary allow.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use overlap_agreement::{Field, Grant};
use overlap_audit::{Declined, Outcome, Standing};
use overlap_proto::follow_up::{Answer, FollowUp as Wish, MOST_RECORDS};
use overlap_records::{Agreed, Disclosed, Identifier, Kind, Record, Sizes, Visibility};
use overlap_store::{Dataset, Decision, FollowUp, OwnRecord, Selection};
use tonic::Request;

use crate::{
    dial::{self, Dialled},
    error::NodeError,
    node::{Node, now},
    policy::{FollowUpTerms, tells},
    pool::blocking,
    spine::{Finding, Opened, Session},
    trace::TraceContext,
};

/// Most bytes that an answer carries beside its attachment: far below the largest message.
const MOST_BYTES: usize = 512 << 10;

/// Asks a peer what it has behind a hit.
pub(crate) struct AskFollowUp;

impl Session for AskFollowUp {
    type Terms = FollowUpTerms;
    /// As it is to be kept.
    type Output = FollowUp;

    async fn run(
        self,
        node: &Arc<Node>,
        opened: &Opened<FollowUpTerms>,
        finding: &mut Finding,
    ) -> Result<(Outcome, FollowUp), NodeError> {
        let (terms, entry) = (opened.terms(), opened.entry());
        let tls = node.tls.dial.load_full();
        let dialled = dial::dial(&terms.peer, tls, &node.config.limits, Arc::clone(&node.traffic)).await?;
        let Dialled {
            mut client,
            certificate,
            ..
        } = dialled;
        finding.callee_certificate = Some(certificate.thumbprint);
        let agreement = &terms.agreement.agreement().id;
        dial::check_key(&certificate, &terms.peer, &terms.peer_key, agreement)?;
        let row = &terms.row;
        // a hit of which the peer shows the kind alone is known to it by its id
        let canonical = row.canonical.as_ref().filter(|_| !row.partly);
        let asked = canonical.map(|canonical| identifier(row.kind, canonical)).transpose()?;
        let wish = Wish {
            transaction: entry.transaction,
            id: row.id,
            about: row.about,
            agreement_hash: terms.agreement.hash(),
            kind: row.kind,
            identifier: asked,
            pseudonym: terms.pseudonym,
            reason: row.reason.clone(),
            person: entry.person.clone().unwrap_or_default(),
            role: entry.role.clone().unwrap_or_default(),
        };
        let mut request = Request::new((&wish).into());
        TraceContext::send(entry, request.metadata_mut())?;
        finding.sent = Some(true);
        let idle = node.config.limits.idle_stream;
        let answer = tokio::time::timeout(idle, client.follow_up(request)).await;
        let answer = answer.map_err(|_| NodeError::PeerIdle {
            peer: terms.peer.name.clone(),
            seconds: idle.as_secs(),
        })?;
        let answer = answer.map_err(|status| dial::refusal(&terms.peer.name, &status))?;
        let answer = Answer::check(answer.into_inner(), row.kind).map_err(|source| NodeError::PeerWire {
            peer: terms.peer.name.clone(),
            source,
        })?;
        finding.peer_count = Some(answer.records.len() as u64);
        finding.output_count = finding.peer_count;
        finding.remark = remark(answer.standing, answer.decide_by);
        let mut kept = row.clone();
        kept.canonical = kept.canonical.or(answer.canonical);
        kept.decide_by = answer.decide_by;
        kept.disclosed = answer.records;
        kept.attachment = answer.attachment;
        kept.decision = match answer.standing {
            Standing::Pending => None,
            other => Some(Decision {
                at: now(),
                by: None,
                declined: other.declined(),
            }),
        };
        if kept.records.is_empty()
            && let Some(canonical) = &kept.canonical
        {
            let identifier = identifier(kept.kind, canonical)?;
            let (store, profile, name) = (
                Arc::clone(&node.store),
                node.config.profile.clone(),
                kept.dataset.clone(),
            );
            let own = blocking(move || {
                let selection = Selection::of(&profile, &[identifier.kind()], false);
                let dataset = store.dataset(&name);
                dataset.map_or(Ok(Vec::new()), |dataset| {
                    own_records(&dataset, &selection, &identifier, None)
                })
            });
            let own: Vec<Record> = own.await??;
            kept.expires = own.iter().filter_map(|record| record.expires).min();
            kept.records = own.iter().map(|record| own_record(record, None)).collect();
        }
        Ok((outcome(answer.standing), kept))
    }
}

/// Answers a peer that follows a hit up.
pub(crate) struct HoldFollowUp;

impl Session for HoldFollowUp {
    type Terms = FollowUpTerms;
    /// The row, where it is new, and the answer.
    type Output = (Option<FollowUp>, Answer);

    async fn run(
        self,
        _: &Arc<Node>,
        opened: &Opened<FollowUpTerms>,
        finding: &mut Finding,
    ) -> Result<(Outcome, Self::Output), NodeError> {
        let terms = opened.terms();
        finding.peer_count = Some(1);
        let (mut row, is_known, now) = (terms.row.clone(), terms.is_known, now());
        let held = terms
            .held
            .clone()
            .ok_or(NodeError::Broken("a follow-up without a dataset"))?;
        let (grant, asked) = (terms.grant.clone(), terms.asked);
        let (row, records) = blocking(move || {
            let (dataset, selection) = held;
            if !is_known {
                look_up(&mut row, &dataset, &selection, asked, now)?;
            }
            let records = told(&row, &grant, &dataset, &selection, row.standing(now))?;
            Ok::<_, NodeError>((row, records))
        })
        .await??;
        let standing = row.standing(now);
        finding.output_count = Some(records.len() as u64);
        finding.remark = remark(standing, row.decide_by);
        let is_disclosed = standing == Standing::Disclosed;
        let answer = Answer {
            standing,
            decide_by: row.decide_by,
            canonical: row.canonical.clone().filter(|_| is_disclosed && row.partly),
            records,
            attachment: row.attachment.clone().filter(|_| is_disclosed),
        };
        Ok((outcome(standing), ((!is_known).then_some(row), answer)))
    }
}

fn outcome(standing: Standing) -> Outcome {
    match standing {
        Standing::Pending => Outcome::Pending,
        Standing::Disclosed | Standing::Declined(_) => Outcome::Done,
    }
}

fn remark(standing: Standing, decide_by: Timestamp) -> Option<String> {
    Some(match standing {
        Standing::Pending => format!("waits for a decision until {decide_by}"),
        Standing::Disclosed => "disclosed".to_owned(),
        Standing::Declined(why) => format!("declined: {why}"),
    })
}

fn identifier(kind: Kind, canonical: &str) -> Result<Identifier, NodeError> {
    Identifier::from_canonical(kind, canonical).map_err(|_| NodeError::Broken("a kept identifier is not canonical"))
}

/// Finds what this node holds of an identifier, and decides what needs no functionary: nothing held, or class `a` alone.
fn look_up(
    row: &mut FollowUp,
    dataset: &Dataset,
    selection: &Selection,
    asked: u64,
    now: Timestamp,
) -> Result<(), NodeError> {
    let canonical = row.canonical.as_deref().unwrap_or_default();
    let identifier = identifier(row.kind, canonical)?;
    let mut records = own_records(dataset, selection, &identifier, Some(asked))?;
    // of class c the asker has been shown nothing that it could follow up by its identifier; a picture shows the kind
    if !row.partly {
        records.retain(|record| record.visibility != Visibility::C);
    }
    row.expires = records.iter().filter_map(|record| record.expires).min();
    row.records = records.iter().map(held_record).collect();
    let declined = row.records.is_empty().then_some(Declined::NotHeld);
    // in a picture the holder cannot see whether anybody else has it at all
    let needs_consent = row.partly || records.iter().any(|record| record.visibility != Visibility::A);
    if !needs_consent || declined.is_some() {
        row.decision = Some(Decision {
            at: now,
            by: None,
            declined,
        });
    }
    Ok(())
}

/// Own records that hold an identifier or, with the size of the asker's set, may be about the person, by number.
pub(crate) fn own_records(
    dataset: &Dataset,
    selection: &Selection,
    identifier: &Identifier,
    asked: Option<u64>,
) -> Result<Vec<Record>, NodeError> {
    let mut records = Vec::new();
    for holding in dataset.holding(selection, identifier)? {
        let record = dataset.record(holding.record)?;
        let is_meant = match (identifier.kind(), asked) {
            (Kind::Person, Some(asked)) => {
                let agreed: Vec<Agreed> = holding
                    .keys
                    .iter()
                    .map(|(key, peer)| Agreed {
                        key: *key,
                        own: 1,
                        peer: *peer,
                    })
                    .collect();
                // as the match had it: the asker's records, and this side's items
                let keys = selection.keys().count().max(1) as u64;
                let sizes = Sizes {
                    own: (asked / keys).max(1),
                    peer: dataset.items(selection),
                };
                let profile = selection.profile();
                profile.score(identifier, &agreed, sizes) >= profile.threshold()
            }
            (Kind::Person, None) => record.identifiers.contains(identifier),
            _ => true,
        };
        if is_meant {
            records.push(record);
        }
    }
    Ok(records)
}

/// A record of a holder's, with the class that decides on what is told of it.
pub(crate) fn held_record(record: &Record) -> OwnRecord {
    own_record(record, Some(record.visibility))
}

fn own_record(record: &Record, visibility: Option<Visibility>) -> OwnRecord {
    OwnRecord {
        reference: record.reference.clone(),
        role: record.role,
        visibility,
        origin: record.origin.clone(),
    }
}

/// What is told of the records of a follow-up that stands so: of class `a` at once, of the others once it is disclosed. Only records that
/// it was about from its begin on, as they are now.
pub(crate) fn told(
    row: &FollowUp,
    grant: &Grant,
    dataset: &Dataset,
    selection: &Selection,
    standing: Standing,
) -> Result<Vec<Disclosed>, NodeError> {
    // what nobody has decided on was told for its class: it has to have that class still
    let by_nobody = row.decision.as_ref().is_some_and(|decision| decision.by.is_none());
    let is_decided = standing == Standing::Disclosed && !by_nobody;
    let is_open = |class: Visibility| !row.partly && class == Visibility::A && grant.visibility.contains(&class);
    let meant = row
        .records
        .iter()
        .filter(|record| is_decided || record.visibility.is_some_and(is_open));
    // records may have a reference in common: each is told as the one that was decided on
    let meant = meant.map(|record| (record.reference.as_str(), record.visibility));
    let meant: BTreeSet<(&str, Option<Visibility>)> = meant.collect();
    let (Some(canonical), false) = (&row.canonical, meant.is_empty()) else {
        return Ok(Vec::new());
    };
    let mut told = Vec::new();
    let mut bytes = 0;
    for holding in dataset.holding(selection, &identifier(row.kind, canonical)?)? {
        let record = dataset.record(holding.record)?;
        let is_meant = meant.contains(&(record.reference.as_str(), Some(record.visibility)));
        if !is_meant || !is_decided && !is_open(record.visibility) {
            continue;
        }
        let one = disclosed(&record, grant);
        bytes += one
            .identifiers
            .iter()
            .map(|(_, canonical)| canonical.len() + 16)
            .sum::<usize>()
            + 512;
        if told.len() >= MOST_RECORDS || bytes > MOST_BYTES {
            break;
        }
        told.push(one);
    }
    Ok(told)
}

fn disclosed(record: &Record, grant: &Grant) -> Disclosed {
    let identifiers = record.identifiers.iter();
    let identifiers = identifiers.filter(|one| tells(grant, Field::Identifiers(one.kind())));
    Disclosed {
        reference: tells(grant, Field::Reference).then(|| record.reference.clone()),
        role: tells(grant, Field::Role).then_some(record.role),
        observed: record.observed.filter(|_| tells(grant, Field::Observed)),
        origin: record.origin.clone().filter(|_| tells(grant, Field::Origin)),
        identifiers: identifiers
            .map(|one| (one.kind(), one.canonical().to_owned()))
            .collect(),
    }
}
