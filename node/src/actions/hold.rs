//! What a holder does for one check, and for one claim.

use std::{collections::BTreeMap, sync::Arc};

use jiff::tz::TimeZone;
use overlap_audit::{Declined, Outcome, Side, Standing};
use overlap_proto::{
    action::{Check, Claim},
    fault::Reason,
    follow_up::Answer,
};
use overlap_psi::{joint::Evaluated, mirror::Watch};
use overlap_records::{Agreed, Identifier, Kind, Record, Sizes};
use overlap_store::{Alert, Dataset, Decision, FollowUp, Link, Selection};
use uuid::Uuid;

use super::{claim::outcome, live::Live, table::Table};
use crate::{
    error::NodeError,
    fault,
    node::{Node, now},
    policy::{
        self,
        action::{CheckTerms, Standing as Terms},
    },
    pool::blocking,
    session::{held_record, told},
    spine::{Finding, Opened, Session},
};

/// The hidden records of a stream's mirrored pass.
pub(super) struct Hidden {
    pub(super) watch: Watch,
    /// Where its items are found, in the order of the pass.
    pub(super) links: Vec<Link>,
    pub(super) selection: Selection,
}

/// One check.
pub(super) struct Evaluate {
    pub(super) check: Box<Check>,
    pub(super) table: Arc<Table>,
    pub(super) hidden: Option<Arc<Hidden>>,
}

/// What became of a check: what its asker is told, and which hidden items it asked about.
pub(super) struct Made {
    pub(super) evaluated: Evaluated,
    pub(super) noticed: Vec<Link>,
}

impl Session for Evaluate {
    type Terms = CheckTerms;
    type Output = Made;

    async fn run(
        self,
        node: &Arc<Node>,
        opened: &Opened<CheckTerms>,
        finding: &mut Finding,
    ) -> Result<(Outcome, Made), NodeError> {
        let Self { check, table, hidden } = self;
        finding.peer_count = Some(check.blinded.len() as u64);
        fault::point(Side::Holder, "evaluating");
        let made = node.pool.run_short(move || {
            let evaluated = table.evaluate(&check.blinded)?;
            let noticed = hidden.map_or_else(Vec::new, |hidden| {
                let places = hidden.watch.look(&check.mirrored);
                let links = places
                    .into_iter()
                    .filter_map(|at| hidden.links.get(at as usize).copied());
                links.collect()
            });
            Ok(Made { evaluated, noticed })
        });
        let made = made.await?.map_err(|source| NodeError::PeerProtocol {
            peer: opened.terms().peer.name.clone(),
            source,
        })?;
        finding.output_count = Some(made.evaluated.elements.len() as u64);
        if !made.noticed.is_empty() {
            finding.hits = Some(made.noticed.len() as u64);
        }
        Ok((Outcome::Done, made))
    }
}

/// One claim.
pub(super) struct Tell {
    pub(super) claim: Box<Claim>,
    pub(super) table: Arc<Table>,
    pub(super) live: Arc<Live>,
}

/// What a claim comes to: the answer, and what this side keeps of it.
struct Told {
    answer: Answer,
    kept: Option<Kept>,
}

/// What a holder keeps of a hit, once the log is closed.
struct Kept {
    alert: Alert,
    row: Option<FollowUp>,
}

impl Session for Tell {
    type Terms = CheckTerms;
    type Output = Answer;

    async fn run(
        self,
        node: &Arc<Node>,
        opened: &Opened<CheckTerms>,
        finding: &mut Finding,
    ) -> Result<(Outcome, Answer), NodeError> {
        let Self { claim, table, live } = self;
        finding.peer_count = Some(1);
        let terms = opened.terms();
        let selection = terms
            .shown
            .clone()
            .ok_or(NodeError::Broken("a holder without a selection"))?;
        let keys = selection.keys().filter(|(_, rule)| rule.kind() == claim.kind).count();
        if claim.outputs.len() > keys {
            let message = "a claim is of one identifier, and has no more outputs than that has match keys";
            return Err(NodeError::refused(Reason::InvalidRequest, message));
        }
        // one in four thousand million is found in a filter, and not here
        let links: Vec<Link> = claim.outputs.iter().filter_map(|output| table.link(output)).collect();
        let dataset = node.store.dataset(&terms.opening.query.dataset);
        let today = TimeZone::UTC.to_datetime(now()).date();
        let dataset = dataset.filter(|dataset| !dataset.has_expired(today));
        let (action, purpose) = (live.hash, live.purpose.clone());
        let row = Row {
            action,
            purpose,
            claim,
            peer: terms.peer.name.clone(),
            agreement: terms.agreement.hash(),
            grant: terms.grant.clone(),
        };
        let made = blocking(move || match dataset {
            Some(dataset) => row.make(&dataset, &selection, &links),
            None => Ok(row.nothing()),
        })
        .await??;
        let Told { answer, kept } = made;
        if let Some(Kept { alert, row }) = kept {
            let (peer, kind, id) = (alert.peer.clone(), alert.kind, alert.id);
            // before the entry ends, and the partner is told: a hit that its holder's people do not hear of is told to nobody
            if live.alerts.raise(node, alert, row).await? {
                live.figures.told(&peer, kind, id);
            }
        }
        finding.output_count = Some(answer.records.len() as u64);
        let standing = answer.standing;
        finding.remark = Some(match standing {
            Standing::Pending => format!("waits for a decision until {}", answer.decide_by),
            Standing::Disclosed => "disclosed".to_owned(),
            Standing::Declined(why) => format!("declined: {why}"),
        });
        Ok((outcome(standing), answer))
    }
}

/// What a claim is answered from.
struct Row {
    action: overlap_audit::Digest,
    purpose: String,
    claim: Box<Claim>,
    peer: String,
    agreement: overlap_audit::Digest,
    grant: overlap_agreement::Grant,
}

impl Row {
    fn nothing(&self) -> Told {
        Told {
            answer: Answer {
                standing: Standing::Declined(Declined::NotHeld),
                decide_by: now(),
                canonical: None,
                records: Vec::new(),
                attachment: None,
            },
            kept: None,
        }
    }

    /// Finds the records, decides what needs no functionary, and tells what may be told at once.
    fn make(self, dataset: &Dataset, selection: &Selection, links: &[Link]) -> Result<Told, NodeError> {
        let found = behind(dataset, selection, self.claim.kind, links)?;
        let Some((_, identifier)) = found.first() else {
            return Ok(self.nothing());
        };
        let canonical = identifier.canonical().to_owned();
        let (claim, at) = (&self.claim, now());
        let records: Vec<_> = found.iter().map(|(record, _)| held_record(record)).collect();
        let tells = !self.grant.disclose.is_empty();
        let is_open = |record: &Record| record.visibility == overlap_records::Visibility::A;
        let needs_consent = !tells || found.iter().any(|(record, _)| !is_open(record));
        let asking = &claim.asking;
        let mut row = FollowUp {
            id: claim.alert,
            about: claim.check,
            as_holder: true,
            peer: self.peer.clone(),
            agreement: self.agreement,
            dataset: dataset.info().name.clone(),
            purpose: self.purpose.clone(),
            case_reference: asking.case_reference.clone(),
            person: asking.person.clone(),
            role: asking.role.clone(),
            reason: asking.reason.clone(),
            made: at,
            decide_by: policy::decide_by(&self.grant, at),
            kind: claim.kind,
            partly: false,
            canonical: Some(canonical.clone()),
            records: records.clone(),
            expires: found.iter().filter_map(|(record, _)| record.expires).min(),
            decision: (!needs_consent).then_some(Decision {
                at,
                by: None,
                declined: None,
            }),
            attachment: None,
            disclosed: Vec::new(),
        };
        let standing = row.standing(at);
        let answer = Answer {
            standing,
            decide_by: row.decide_by,
            canonical: None,
            records: match tells {
                true => told(&row, &self.grant, dataset, selection, standing)?,
                false => Vec::new(),
            },
            attachment: None,
        };
        // asked about again it is known by its id alone: the asker may have another spelling
        row.partly = true;
        let alert = Alert {
            id: claim.alert,
            action: self.action,
            as_holder: true,
            peer: self.peer,
            check: claim.check,
            made: at,
            kind: claim.kind,
            canonical: Some(canonical),
            person: asking.person.clone(),
            case_reference: asking.case_reference.clone(),
            reason: asking.reason.clone(),
            on_behalf_of: asking.on_behalf_of.clone(),
            records,
            told: Vec::new(),
            is_hidden: false,
            steps: Vec::new(),
            is_untold: true,
        };
        Ok(Told {
            answer,
            kept: Some(Kept {
                alert,
                row: tells.then_some(row),
            }),
        })
    }
}

/// Records behind items of one identifier, each with the identifier of its own that they are of. A person is found by the weight of all keys together.
fn behind(
    dataset: &Dataset,
    selection: &Selection,
    kind: Kind,
    links: &[Link],
) -> Result<Vec<(Record, Identifier)>, NodeError> {
    let mut keys: BTreeMap<u32, Vec<Agreed>> = BTreeMap::new();
    for link in links {
        let key = u16::from_be_bytes([link[0], link[1]]);
        let (records, holders) = dataset.holders(selection, link)?;
        for record in records {
            keys.entry(record).or_default().push(Agreed {
                key,
                own: 1,
                peer: u32::try_from(holders).unwrap_or(u32::MAX),
            });
        }
    }
    let profile = selection.profile();
    let sizes = Sizes {
        own: 1,
        peer: dataset.items(selection),
    };
    let mut found = Vec::new();
    for (number, agreed) in keys {
        let record = dataset.record(number)?;
        let of_kind = record.identifiers.iter().filter(|one| one.kind() == kind);
        let is_meant = |one: &&Identifier| match kind {
            Kind::Person => profile.score(one, &agreed, sizes) >= profile.threshold(),
            _ => {
                let own = dataset.items_of(selection, one);
                links.iter().any(|link| own.has(link))
            }
        };
        let meant = of_kind.into_iter().find(is_meant).cloned();
        if let Some(identifier) = meant {
            found.push((record, identifier));
        }
    }
    Ok(found)
}

/// The alerts of a check on hidden records: for the holder alone.
pub(super) fn noticed(
    node: &Node,
    live: &Live,
    terms: &Terms,
    check: &Check,
    (hidden, links): (&Hidden, &[Link]),
) -> Result<Vec<Alert>, NodeError> {
    let Some(dataset) = node.store.dataset(&terms.opening.query.dataset) else {
        return Ok(Vec::new());
    };
    let at = now();
    let mut alerts = Vec::new();
    for kind in &check.kinds {
        let of_kind: Vec<Link> = links
            .iter()
            .copied()
            .filter(|link| {
                let key = u16::from_be_bytes([link[0], link[1]]);
                let rule = hidden.selection.keys().find(|(index, _)| *index == key);
                rule.is_some_and(|(_, rule)| rule.kind() == *kind)
            })
            .collect();
        let found = behind(&dataset, &hidden.selection, *kind, &of_kind)?;
        let Some((_, identifier)) = found.first() else { continue };
        let asking = &check.asking;
        alerts.push(Alert {
            // random from its first digit on, by which people name it
            id: Uuid::new_v4(),
            action: live.hash,
            as_holder: true,
            peer: terms.peer.name.clone(),
            check: asking.transaction,
            made: at,
            kind: *kind,
            canonical: Some(identifier.canonical().to_owned()),
            person: asking.person.clone(),
            case_reference: asking.case_reference.clone(),
            reason: asking.reason.clone(),
            on_behalf_of: asking.on_behalf_of.clone(),
            records: found.iter().map(|(record, _)| held_record(record)).collect(),
            told: Vec::new(),
            is_hidden: true,
            steps: Vec::new(),
            is_untold: false,
        });
    }
    Ok(alerts)
}
