//! Holding a query against the agreements.

use std::{collections::BTreeSet, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};
use overlap_audit::{Digest, Entry};
use overlap_proto::{fault::Reason, operator, peer};
use overlap_records::{Kind, Profile};
use overlap_store::{Dataset, Quota};

use crate::{
    agreement::{Agreement, Grant, join},
    config::Config,
    error::NodeError,
    identity::sha256,
};

/// The agreement and grant that cover a user's wish: the named one, or the only one.
pub(super) fn choose<'a>(
    config: &'a Config,
    request: &operator::Match,
    holder: &str,
    now: Timestamp,
) -> Result<(&'a Arc<Agreement>, &'a Grant), NodeError> {
    let between = |grant: &&Grant| grant.asker.id == config.id && grant.holder.id == holder;
    let ask = Ask {
        purpose: &request.purpose,
        mode: request.mode,
        kinds: request.kinds.as_deref(),
        now,
    };
    let named = |agreement: &&Arc<Agreement>| request.agreement.as_ref().is_none_or(|id| *id == agreement.id);
    let mut last = None;
    let mut covering = Vec::new();
    for agreement in config.agreements.iter().filter(named) {
        let grants: Vec<&Grant> = agreement.grants.iter().filter(between).collect();
        if grants.is_empty() {
            continue;
        }
        match ask.covering(agreement, &grants) {
            Ok(grant) => covering.push((agreement, grant)),
            Err(error) => last = Some(error),
        }
    }
    match (covering.as_slice(), last) {
        ([one], _) => Ok(*one),
        ([], Some(error)) => Err(error),
        ([], None) => Err(NodeError::refused(
            Reason::AgreementDenied,
            format!("no agreement lets {} ask {}", config.name, request.peer),
        )),
        (several, _) => Err(NodeError::refused(
            Reason::AgreementDenied,
            format!(
                "several agreements cover this: name one of {} with --agreement",
                join(several.iter().map(|(agreement, _)| &agreement.id))
            ),
        )),
    }
}

/// What a query asks for, to be held against grants.
pub(super) struct Ask<'a> {
    pub(super) purpose: &'a str,
    pub(super) mode: peer::Mode,
    pub(super) kinds: Option<&'a [Kind]>,
    pub(super) now: Timestamp,
}

impl Ask<'_> {
    /// The grant that covers this, or the rule that does not.
    pub(super) fn covering<'g>(&self, agreement: &Agreement, grants: &[&'g Grant]) -> Result<&'g Grant, NodeError> {
        let id = &agreement.id;
        let denied = |message: String| Err(NodeError::refused(Reason::AgreementDenied, message));
        if !agreement.is_valid_at(self.now) {
            return denied(format!(
                "agreement {id} is valid from {} until {}",
                agreement.valid_from, agreement.valid_until
            ));
        }
        if !agreement.purposes.contains(self.purpose) {
            let allowed = join(&agreement.purposes);
            return denied(format!(
                "agreement {id} does not cover purpose {}; it covers: {allowed}",
                self.purpose
            ));
        }
        if grants.is_empty() {
            return denied(format!("agreement {id} does not let this asker ask about that dataset"));
        }
        let by_mode: Vec<&&Grant> = grants.iter().filter(|grant| grant.modes.contains(&self.mode)).collect();
        if by_mode.is_empty() {
            return denied(format!("agreement {id} does not cover mode {}", self.mode));
        }
        let covers = |grant: &&&&Grant| {
            self.kinds
                .is_none_or(|kinds| kinds.iter().all(|kind| grant.kinds.contains(kind)))
        };
        match by_mode.iter().find(covers) {
            Some(grant) => Ok(grant),
            None => {
                let allowed = join(by_mode.iter().flat_map(|grant| &grant.kinds).collect::<BTreeSet<_>>());
                denied(format!(
                    "agreement {id} does not cover all of the kinds asked; it covers: {allowed}"
                ))
            }
        }
    }
}

pub(super) fn check_size(set_size: u64, grant: &Grant) -> Result<(), NodeError> {
    if set_size < grant.min_set_size {
        let message = format!(
            "a set of {set_size} items is smaller than the {} that the agreement asks for",
            grant.min_set_size
        );
        return Err(NodeError::limit("min_set_size", message));
    }
    if set_size <= grant.max_set_size {
        return Ok(());
    }
    let message = format!(
        "a set of {set_size} items is larger than the {} that the agreement allows",
        grant.max_set_size
    );
    Err(NodeError::limit("max_set_size", message))
}

pub(super) fn check_dataset(dataset: &Dataset, profile: &Profile, now: Timestamp) -> Result<(), NodeError> {
    if dataset.has_expired(TimeZone::UTC.to_datetime(now).date()) {
        let message = format!(
            "dataset {} holds records that have expired: its agency has to purge it",
            dataset.info().name
        );
        return Err(NodeError::refused(Reason::DatasetExpired, message));
    }
    let info = dataset.info();
    let want = Digest(profile.hash());
    if info.profile_hash == want {
        return Ok(());
    }
    let message = format!(
        "dataset {} was made under profile {} ({}), this node has {} ({want}): import it again",
        info.name,
        info.profile,
        info.profile_hash,
        profile.name(),
    );
    Err(NodeError::refused(Reason::AgreementDenied, message))
}

/// Names the agreement in the entry, and with it what the law asks of it.
pub(super) fn cite(entry: &mut Entry, agreement: &Agreement, asker: &str) {
    entry.country = agreement.party(asker).map(|party| party.country.clone());
    entry.agreement = Some(agreement.id.clone());
    entry.agreement_hash = Some(agreement.hash);
    entry.regime = Some(agreement.regime.clone());
    entry.article = Some(agreement.article.clone());
}

pub(super) fn quota(agreement: &Agreement, grant: &Grant, items: u64, now: Timestamp) -> Quota {
    // by id, so that a new edition of an agreement does not start the day anew; each pair of a shared one has an amount of its own
    let account = sha256(
        format!(
            "{} {} {} {}",
            agreement.id, grant.asker.id, grant.holder.id, grant.dataset
        )
        .as_bytes(),
    );
    let day = u32::try_from(now.as_second().div_euclid(86_400)).unwrap_or_default();
    Quota {
        account,
        day,
        items,
        limit: grant.items_per_day,
    }
}
