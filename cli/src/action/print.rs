//! What people see of actions.

use std::io::{self, Write};

use overlap_proto::pb::operator as pb;
use overlap_report::action::Figures;
use serde::Serialize;

use crate::output::{grouped, table};

/// An action, in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct ActionShape {
    pub(crate) id: String,
    /// SHA-256 of its plan.
    pub(crate) hash: String,
    coordinator: String,
    agreement: String,
    purpose: String,
    case_reference: String,
    reason: String,
    kinds: Vec<String>,
    roles: Vec<String>,
    from: String,
    until: String,
    deadline_ms: u32,
    checks_per_minute: u32,
    escalate_after_seconds: u32,
    /// planned, waiting, running, paused or ended.
    pub(crate) state: String,
    pub(crate) partners: Vec<PartnerShape>,
    unclaimed: u64,
    /// The counters so far.
    figures: Option<Figures>,
}

#[derive(Debug, Serialize)]
pub(crate) struct PartnerShape {
    pub(crate) name: String,
    id: String,
    pub(crate) has_joined: bool,
    /// own, ready, or why it cannot be checked.
    pub(crate) link: String,
    filter_bytes: u64,
    /// yes, or why not; null: it was not to be told.
    pub(crate) heard: Option<String>,
}

impl From<pb::Action> for ActionShape {
    fn from(action: pb::Action) -> Self {
        let partners = action.partners.into_iter().map(|one| PartnerShape {
            name: one.name,
            id: one.id,
            has_joined: one.has_joined,
            link: one.link,
            filter_bytes: one.filter_bytes,
            heard: Some(one.heard).filter(|heard| !heard.is_empty()),
        });
        Self {
            id: action.id,
            hash: hex::encode(&action.hash),
            coordinator: action.coordinator,
            agreement: action.agreement,
            purpose: action.purpose,
            case_reference: action.case_reference,
            reason: action.reason,
            kinds: action.kinds,
            roles: action.roles,
            from: action.from,
            until: action.until,
            deadline_ms: action.deadline_ms,
            checks_per_minute: action.checks_per_minute,
            escalate_after_seconds: action.escalate_after_seconds,
            state: action.state,
            partners: partners.collect(),
            unclaimed: action.unclaimed,
            figures: serde_json::from_str(&action.figures).ok(),
        }
    }
}

pub(super) fn actions(out: &mut dyn Write, all: &[ActionShape]) -> io::Result<()> {
    if all.is_empty() {
        return writeln!(out, "no action is known here: `overlap action create` plans one");
    }
    for one in all {
        action(out, one)?;
    }
    Ok(())
}

pub(super) fn action(out: &mut dyn Write, one: &ActionShape) -> io::Result<()> {
    let time = |text: &str| text.get(..16).unwrap_or(text).replace('T', " ");
    writeln!(
        out,
        "{} ({}) is {}: {} to {} UTC, coordinated by {}, for {} ({}), case {}",
        one.id,
        one.hash.get(..12).unwrap_or(&one.hash),
        one.state,
        time(&one.from),
        time(&one.until),
        one.coordinator,
        one.purpose,
        one.agreement,
        one.case_reference
    )?;
    writeln!(
        out,
        "  {} of {}; {} checks a minute each, answers within {} ms, escalation after {} s",
        one.kinds.join(", "),
        one.roles.join(", "),
        grouped(one.checks_per_minute.into()),
        grouped(one.deadline_ms.into()),
        grouped(one.escalate_after_seconds.into())
    )?;
    let mut partners = table(["agency", "joined", "can be checked", "snapshot"]);
    for partner in &one.partners {
        let joined = if partner.has_joined { "yes" } else { "" };
        let bytes = match partner.filter_bytes {
            0 => String::new(),
            bytes => format!("{} bytes", grouped(bytes)),
        };
        partners.add_row([partner.name.as_str(), joined, &partner.link, &bytes]);
    }
    writeln!(out, "{partners}")?;
    let sum = one.figures.as_ref().map(Figures::sum).unwrap_or_default();
    writeln!(
        out,
        "  {} own checks, {} hits; {} checks of others answered; {} alerts nobody has claimed",
        grouped(one.figures.as_ref().map_or(0, |figures| figures.checks)),
        grouped(sum.hits),
        grouped(sum.answered),
        grouped(one.unclaimed)
    )
}

/// The counters of the day.
pub(crate) fn print_report(out: &mut dyn Write, figures: &Figures) -> io::Result<()> {
    let time = |text: &str| text.get(..16).unwrap_or(text).replace('T', " ");
    write!(
        out,
        "{}, {} to {} UTC",
        figures.action,
        time(&figures.from),
        time(&figures.until)
    )?;
    match &figures.ended {
        Some(ended) => writeln!(out, "; ended {}", time(ended))?,
        None => writeln!(out, "; so far")?,
    }
    let mut rows = table([
        "partner",
        "kind",
        "asked",
        "hits",
        "unreachable",
        "refused",
        "answered",
        "told",
        "confirmed",
        "false",
    ]);
    for (partner, kinds) in &figures.partners {
        for (kind, tally) in kinds {
            let told = match tally.noticed {
                0 => grouped(tally.told),
                noticed => format!("{} + {} of class d", grouped(tally.told), grouped(noticed)),
            };
            rows.add_row([
                partner.clone(),
                kind.clone(),
                grouped(tally.asked),
                grouped(tally.hits),
                grouped(tally.unreachable),
                grouped(tally.refused),
                grouped(tally.answered),
                told,
                grouped(tally.confirmed),
                grouped(tally.found_false),
            ]);
        }
    }
    writeln!(out, "{rows}")?;
    let sum = figures.sum();
    writeln!(
        out,
        "{} checks of your agency, {} hits; {} checks of others answered, {} of them told of a hit; {} confirmed, {} false",
        grouped(figures.checks),
        grouped(sum.hits),
        grouped(sum.answered),
        grouped(sum.told),
        grouped(sum.confirmed),
        grouped(sum.found_false)
    )
}
