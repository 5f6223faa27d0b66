//! Holding a query against the agreements.

use std::{collections::BTreeSet, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};
use overlap_agreement::{Agreement, Grant, Mode};
use overlap_audit::{Digest, Entry};
use overlap_proto::{fault::Reason, operator, peer};
use overlap_records::{Kind, Profile, Role};
use overlap_store::{Dataset, Quota};

use crate::{
    agreements::{Held, Standing},
    error::NodeError,
    identity::sha256,
    node::Node,
};

/// The agreement and grant that cover a user's wish: the named one, or the only one.
pub(super) fn choose(
    node: &Node,
    request: &operator::Match,
    holder: &str,
    now: Timestamp,
) -> Result<(Arc<Held>, Grant), NodeError> {
    let config = &node.config;
    let ask = Ask {
        purpose: &request.purpose,
        mode: mode_of(request.mode),
        tells: false,
        kinds: request.kinds.as_deref(),
        roles: request.roles.as_deref(),
        on_behalf_of: request.on_behalf_of.as_deref(),
    };
    let named = |held: &Arc<Held>| {
        let wanted = request.agreement.as_deref();
        wanted.is_none_or(|wanted| held.agreement().id == wanted || held.hash().to_string() == wanted)
    };
    // those that do not hold tell why, where none holds
    let (mut last, mut lapsed) = (None, None);
    let mut covering = Vec::new();
    for held in node.agreements.all().into_iter().filter(named) {
        let grants: Vec<&Grant> = held.agreement().grants_between(&config.id, holder).collect();
        if grants.is_empty() {
            continue;
        }
        let usable = check_standing(node, &held, now).and_then(|()| check_own(node, held.agreement()));
        if let Err(error) = usable {
            lapsed.get_or_insert(error);
            continue;
        }
        match ask.covering(held.agreement(), &grants) {
            Ok(grant) => {
                let grant = grant.clone();
                covering.push((held, grant));
            }
            Err(error) => last = Some(error),
        }
    }
    match (covering.len(), last.or(lapsed)) {
        (0, Some(error)) => Err(error),
        (0, None) => Err(NodeError::refused(
            Reason::AgreementDenied,
            format!("no agreement lets {} ask {}", config.name, request.peer),
        )),
        (1, _) => covering.pop().ok_or(NodeError::Broken("a list of one is empty")),
        _ => Err(NodeError::refused(
            Reason::AgreementDenied,
            format!(
                "several agreements cover this: name one of {} with --agreement",
                join(covering.iter().map(|(held, _)| &held.agreement().id))
            ),
        )),
    }
}

/// Whether an agreement holds now.
pub(super) fn check_standing(node: &Node, held: &Held, now: Timestamp) -> Result<(), NodeError> {
    match node.agreements.standing(held, now) {
        Standing::InForce => Ok(()),
        other => Err(NodeError::refused(Reason::AgreementDenied, other.explain(held))),
    }
}

/// Whether this node is the party that the agreement names, and compares as it says.
pub(crate) fn check_own(node: &Node, agreement: &Agreement) -> Result<(), NodeError> {
    let config = &node.config;
    let denied = |message: String| Err(NodeError::refused(Reason::AgreementDenied, message));
    let id = &agreement.id;
    let Some(own) = agreement.party(&config.id) else {
        return denied(format!("{} is no party to agreement {id}", config.name));
    };
    if own.key != config.key {
        return denied(format!(
            "agreement {id} pins another key for {} than this node's certificate carries",
            config.name
        ));
    }
    if own.signing_key != config.signing_key.public().thumbprint() {
        return denied(format!("agreement {id} pins another signing key for {}", config.name));
    }
    let profile = (config.profile.name(), Digest(config.profile.hash()));
    if (agreement.profile.as_str(), agreement.profile_hash) != profile {
        return denied(format!(
            "agreement {id} is about profile {} ({}), this node has {} ({}): all parties need the same profile; see `overlap profile show`",
            agreement.profile, agreement.profile_hash, profile.0, profile.1,
        ));
    }
    Ok(())
}

/// What a query asks for, to be held against grants.
pub(super) struct Ask<'a> {
    pub(super) purpose: &'a str,
    pub(super) mode: Mode,
    /// Whether something has to be told behind a hit: what is found is to be followed up.
    pub(super) tells: bool,
    pub(super) kinds: Option<&'a [Kind]>,
    pub(super) roles: Option<&'a [Role]>,
    pub(super) on_behalf_of: Option<&'a str>,
}

impl Ask<'_> {
    /// The grant that covers this, or the rule that does not.
    pub(super) fn covering<'g>(&self, agreement: &Agreement, grants: &[&'g Grant]) -> Result<&'g Grant, NodeError> {
        let id = &agreement.id;
        let denied = |message: String| Err(NodeError::refused(Reason::AgreementDenied, message));
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
        let mode = self.mode;
        let narrowed = narrow(grants, |grant| grant.modes.contains(&mode));
        if narrowed.is_empty() {
            return denied(format!("agreement {id} does not cover mode {mode}"));
        }
        let before = narrowed;
        let narrowed = narrow(&before, |grant| !self.tells || !grant.disclose.is_empty());
        if narrowed.is_empty() {
            return denied(format!(
                "agreement {id} covers pictures of statistics alone: it names nothing that is told behind a hit (disclose)"
            ));
        }
        let before = narrowed;
        let narrowed = narrow(&before, |grant| all(self.kinds, |kind| grant.kinds.contains(kind)));
        if narrowed.is_empty() {
            let allowed = join(before.iter().flat_map(|grant| &grant.kinds).collect::<BTreeSet<_>>());
            return denied(format!(
                "agreement {id} does not cover all of the kinds asked; it covers: {allowed}"
            ));
        }
        let before = narrowed;
        let narrowed = narrow(&before, |grant| all(self.roles, |role| grant.roles.contains(role)));
        if narrowed.is_empty() {
            let allowed = join(before.iter().flat_map(|grant| &grant.roles).collect::<BTreeSet<_>>());
            return denied(format!(
                "agreement {id} does not cover all of the roles asked about in mode {mode}; it covers: {allowed}"
            ));
        }
        let delegated = |grant: &Grant| {
            self.on_behalf_of
                .is_none_or(|country| grant.on_behalf_of.contains(country))
        };
        match (narrow(&narrowed, delegated).as_slice(), self.on_behalf_of) {
            ([grant, ..], _) => Ok(grant),
            ([], country) => Err(not_for(id, country.unwrap_or_default(), &narrowed)),
        }
    }
}

/// Refuses to ask on behalf of a country, and names those that grants allow.
pub(super) fn not_for(agreement: &str, country: &str, grants: &[&Grant]) -> NodeError {
    let may: BTreeSet<&str> = grants
        .iter()
        .flat_map(|grant| &grant.on_behalf_of)
        .map(String::as_str)
        .collect();
    let but = match may.is_empty() {
        true => "nor of any other".to_owned(),
        false => format!("but of {}", join(may)),
    };
    let message = format!("agreement {agreement} does not let this asker ask on behalf of {country}, {but}");
    NodeError::refused(Reason::AgreementDenied, message)
}

fn narrow<'g>(grants: &[&'g Grant], covers: impl Fn(&Grant) -> bool) -> Vec<&'g Grant> {
    grants.iter().copied().filter(|grant| covers(grant)).collect()
}

fn all<T>(asked: Option<&[T]>, covers: impl Fn(&T) -> bool) -> bool {
    asked.is_none_or(|asked| asked.iter().all(covers))
}

/// The word of agreements for a mode of the wire.
pub(super) fn mode_of(mode: peer::Mode) -> Mode {
    match mode {
        peer::Mode::Count => Mode::Count,
        peer::Mode::Hits => Mode::Hits,
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
pub(super) fn cite(entry: &mut Entry, held: &Held, asker: &str) {
    let agreement = held.agreement();
    // the result is for the country that was asked for
    let own = agreement.party(asker).map(|party| party.country.clone());
    entry.country = entry.on_behalf_of.clone().or(own);
    entry.agreement = Some(agreement.id.clone());
    entry.agreement_hash = Some(held.hash());
    entry.regime = Some(agreement.regime.clone());
    entry.article = Some(agreement.article.clone());
}

/// Who draws from amounts.
pub(super) struct Drawing<'a> {
    pub(super) agreement: &'a Agreement,
    pub(super) grant: &'a Grant,
    pub(super) order: Option<(Digest, u64)>,
    /// The user who asks, as the asker's node names it.
    pub(super) person: &'a str,
    pub(super) items: u64,
    pub(super) mode: Mode,
    /// For an asker: what its set is told from others by, and how often one may be asked with in a day.
    pub(super) set: Option<(Digest, u64)>,
    pub(super) now: Timestamp,
}

/// What counts are held against each other by: all that one party asks about one dataset of another, under any edition.
pub(crate) fn account_of_counts(held: &Held, grant: &Grant) -> Digest {
    let agreement = held.agreement();
    sha256(format!("told {}", pair(agreement, grant)).as_bytes())
}

/// Agreement, asker, holder and dataset.
fn pair(agreement: &Agreement, grant: &Grant) -> String {
    // parties by their ids: what an agreement calls them is anybody's choice
    let id = |name: &str| {
        agreement
            .party_named(name)
            .map_or(name, |party| party.id.as_str())
            .to_owned()
    };
    let (asker, holder) = (id(&grant.asker), id(&grant.holder));
    format!("{} {asker} {holder} {}", agreement.id, grant.dataset)
}

/// What a query draws: each is counted on both sides, by the name of the agreement and not its hash, so that a new edition starts nothing
/// anew.
pub(super) fn quotas(drawing: &Drawing<'_>) -> Vec<Quota> {
    let Drawing {
        agreement,
        grant,
        order,
        person,
        items,
        mode,
        set,
        now,
    } = drawing;
    let pair = pair(agreement, grant);
    let period = |seconds: i64| u32::try_from(now.as_second().div_euclid(seconds)).unwrap_or_default();
    let (day, hour) = (period(86_400), period(3600));
    let quota = |name: &'static str, account: String, period, amount, limit| Quota {
        name,
        account: sha256(account.as_bytes()),
        period,
        amount,
        limit,
    };
    let mut quotas = vec![
        quota(
            "items_per_day",
            format!("items {pair}"),
            day,
            *items,
            grant.items_per_day,
        ),
        quota(
            "queries_per_hour",
            format!("queries {pair}"),
            hour,
            1,
            grant.queries_per_hour,
        ),
    ];
    if *mode == Mode::Count {
        let account = format!("counts {pair}");
        quotas.push(quota("counts_per_day", account, day, 1, grant.counts_per_day));
    }
    if let Some((digest, limit)) = set {
        quotas.push(quota(
            "repeats_per_day",
            format!("set {pair} {mode} {digest}"),
            day,
            1,
            *limit,
        ));
    }
    if let Some(limit) = grant.items_per_user_and_day {
        let account = format!("user {pair} {person}");
        quotas.push(quota("items_per_user_and_day", account, day, *items, limit));
    }
    if let Some((hash, uses)) = order {
        let holder = agreement
            .party_named(&grant.holder)
            .map_or(grant.holder.as_str(), |party| party.id.as_str());
        quotas.push(quota("order_uses", format!("order {hash} {holder}"), 0, 1, *uses));
    }
    quotas
}

pub(crate) fn join<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    values
        .into_iter()
        .map(|value| value.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}
