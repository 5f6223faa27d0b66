//! `overlap action feed`, and what is done about alerts.

use clap::builder::NonEmptyStringValueParser;
use overlap_proto::pb::operator as pb;
use serde::Serialize;
use uuid::Uuid;

use super::check::line;
use crate::{
    client::{self, Failure},
    output::Output,
    settings::Settings,
};

/// Follow the alerts of your agency: hits of your checks, and of others' on what you hold
///
/// Prints every alert as it is, then each as it changes, until the action ends; with --json a line each, and at the end {"over": true}. An alert goes from new over claimed to
/// confirmed or false, or is handed over to the other agency; one that nobody claims in time is raised again.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The action, by its id or the first 8 digits or more of its hash
    action: String,
    /// End after the alerts that there are
    #[arg(long)]
    once: bool,
}

#[derive(clap::Args)]
pub(crate) struct Handle {
    /// The action, by its id or the first 8 digits or more of its hash
    action: String,
    /// The alert, by the first 8 digits or more of its id
    alert: String,
    /// Why, in words; goes to your log
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    reason: String,
}

/// The last line of a feed that ends by itself, in JSON.
#[derive(Serialize)]
struct Over {
    over: bool,
}

/// An alert, in JSON.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AlertShape {
    pub(crate) id: String,
    /// Transaction of the check.
    check: String,
    pub(crate) partner: String,
    /// asker or holder: which part your agency has.
    pub(crate) side: &'static str,
    pub(crate) kind: String,
    /// Null where your agency does not know it.
    identifier: Option<String>,
    /// new, claimed, confirmed, false or handed-over.
    pub(crate) state: String,
    /// Agency and user that have it.
    owner: Option<String>,
    made: String,
    age_seconds: u64,
    /// Whether nobody has claimed it for longer than the plan says.
    pub(crate) escalated: bool,
    /// Whether the other agency does not know of it.
    pub(crate) hidden: bool,
    /// Who checked, and why.
    person: String,
    case_reference: String,
    reason: String,
    on_behalf_of: Option<String>,
    /// Own records, at the holder.
    records: Vec<RecordShape>,
    /// What the partner told at once.
    told: Vec<ToldShape>,
}

#[derive(Clone, Debug, Serialize)]
struct RecordShape {
    reference: String,
    role: String,
    visibility: String,
    origin: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct ToldShape {
    reference: Option<String>,
    role: Option<String>,
    observed: Option<String>,
    origin: Option<String>,
    identifiers: Vec<(String, String)>,
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

impl From<pb::Alert> for AlertShape {
    fn from(alert: pb::Alert) -> Self {
        let id = |bytes: &[u8]| Uuid::from_slice(bytes).unwrap_or_default().to_string();
        let owner = match (alert.owner_agency.as_str(), alert.owner.as_str()) {
            ("", _) => None,
            (agency, "") => Some(agency.to_owned()),
            (agency, user) => Some(format!("{agency} ({user})")),
        };
        Self {
            id: id(&alert.id),
            check: id(&alert.check),
            partner: alert.peer,
            side: if alert.as_holder { "holder" } else { "asker" },
            kind: alert.kind,
            identifier: some(alert.canonical),
            state: alert.state,
            owner,
            made: alert.made,
            age_seconds: alert.age,
            escalated: alert.escalated,
            hidden: alert.hidden,
            person: alert.person,
            case_reference: alert.case_reference,
            reason: alert.reason,
            on_behalf_of: some(alert.on_behalf_of),
            records: alert
                .records
                .into_iter()
                .map(|record| RecordShape {
                    reference: record.reference,
                    role: record.role,
                    visibility: record.visibility,
                    origin: some(record.origin),
                })
                .collect(),
            told: alert
                .told
                .into_iter()
                .map(|told| ToldShape {
                    reference: some(told.reference),
                    role: some(told.role),
                    observed: some(told.observed),
                    origin: some(told.origin),
                    identifiers: told
                        .identifiers
                        .into_iter()
                        .map(|one| (one.kind, one.canonical))
                        .collect(),
                })
                .collect(),
        }
    }
}

impl AlertShape {
    /// What people see of it.
    pub(crate) fn line(&self) -> String {
        let short: String = self.id.chars().filter(|c| *c != '-').take(12).collect();
        let what = self
            .identifier
            .as_deref()
            .map_or_else(|| self.kind.clone(), |value| format!("{} {value}", self.kind));
        let mut text = match self.side {
            "asker" => format!("{short}  {}: your check of {what} hits at {}", self.state, self.partner),
            _ => format!(
                "{short}  {}: {} checked {what}, which you hold",
                self.state, self.partner
            ),
        };
        if let Some(country) = &self.on_behalf_of {
            text.push_str(&format!(", for {country}"));
        }
        if self.hidden {
            text.push_str("; class d: it does not know");
        }
        if !self.records.is_empty() {
            let records = self
                .records
                .iter()
                .map(|one| format!("{} ({}, class {})", one.reference, one.role, one.visibility));
            text.push_str(&format!("; records {}", records.collect::<Vec<_>>().join(", ")));
        }
        for told in &self.told {
            let parts = [&told.reference, &told.role, &told.observed, &told.origin]
                .into_iter()
                .flatten()
                .cloned();
            let identifiers = told.identifiers.iter().map(|(kind, value)| format!("{kind} {value}"));
            text.push_str(&format!(
                "; told: {}",
                parts.chain(identifiers).collect::<Vec<_>>().join(", ")
            ));
        }
        if let Some(owner) = &self.owner {
            text.push_str(&format!("; with {owner}"));
        }
        text.push_str(&format!("; case {}, {} s old", self.case_reference, self.age_seconds));
        if self.escalated {
            text.push_str("; ESCALATED: nobody has claimed it");
        }
        text
    }
}

pub(super) async fn run(settings: &Settings, args: Args, output: &mut Output) -> Result<(), Failure> {
    let once = args.once;
    let request = pb::FeedRequest {
        action: args.action,
        once,
    };
    let mut alerts = client::actions(settings).await?.feed(request).await?.into_inner();
    let mut any = false;
    while let Some(alert) = alerts.message().await? {
        any = true;
        let shape = AlertShape::from(alert);
        match output.json() {
            true => line(output, &shape)?,
            false => output.say(shape.line())?,
        }
    }
    match (once, any) {
        (true, true) => Ok(()),
        (true, false) => output.say("there are no alerts"),
        // who watches must not take the silence for a quiet day
        (false, _) if output.json() => line(output, &Over { over: true }),
        (false, _) => output.say("the feed is over: the action or its agreement has ended, or your agency has left it"),
    }
}

pub(super) async fn handle(settings: &Settings, verb: &str, args: Handle, output: &mut Output) -> Result<(), Failure> {
    let request = pb::HandleAlertRequest {
        action: args.action,
        alert: args.alert,
        verb: verb.to_owned(),
        reason: args.reason,
    };
    let alert = client::actions(settings).await?.handle(request).await?.into_inner();
    let shape = AlertShape::from(alert);
    output.print(&shape, |out| writeln!(out, "{}", shape.line()))
}
