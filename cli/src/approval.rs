//! `overlap approval`.

use std::io::{self, Write};

use clap::builder::NonEmptyStringValueParser;
use overlap_proto::pb::operator as pb;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    client::{self, Client, Failure},
    matching,
    output::{Output, table},
    settings::Settings,
};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show the queries that wait for another user's approval, or had it, the newest first
    List,
    /// Approve a query of another user
    ///
    /// It may be asked once, within a day, exactly as it stands, by the user who wants to. Nobody approves an own query.
    #[command(after_help = "Example:\n  overlap approval give 3f9a2b1c --reason \"read with the team lead\"")]
    Give(Decision),
    /// Refuse a query of another user
    Refuse(Decision),
    /// Ask the peer, now that it is approved
    Run {
        /// Its id, or the first 8 digits or more
        #[arg(value_name = "ID")]
        approval: String,
    },
}

#[derive(clap::Args)]
pub(crate) struct Decision {
    /// Its id, or the first 8 digits or more
    #[arg(value_name = "ID")]
    approval: String,
    /// Why, in words; goes to the log
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    reason: String,
}

/// A query that another user is to approve, in JSON.
#[derive(Serialize)]
struct Shape {
    id: String,
    state: String,
    asked_by: String,
    asked: String,
    decided_by: Option<String>,
    decided: Option<String>,
    peer: String,
    dataset: String,
    dataset_version: u64,
    mode: String,
    kinds: Vec<String>,
    roles: Vec<String>,
    purpose: String,
    case_reference: String,
    reason: String,
    order: Option<String>,
    on_behalf_of: Option<String>,
}

impl From<pb::Approval> for Shape {
    fn from(approval: pb::Approval) -> Self {
        let query = approval.query.unwrap_or_default();
        let given = |text: String| (!text.is_empty()).then_some(text);
        Self {
            id: Uuid::from_slice(&approval.id).unwrap_or_default().simple().to_string(),
            state: approval.state,
            asked_by: approval.asked_by,
            asked: approval.asked,
            decided_by: given(approval.decided_by),
            decided: given(approval.decided),
            peer: query.peer,
            dataset: query.dataset,
            dataset_version: approval.dataset_version,
            mode: query.mode,
            kinds: query.kinds,
            roles: query.roles,
            purpose: query.purpose,
            case_reference: query.case_reference,
            reason: query.reason,
            order: given(query.order),
            on_behalf_of: given(query.on_behalf_of),
        }
    }
}

pub(crate) async fn run(settings: Settings, command: Command, output: &mut Output) -> Result<(), Failure> {
    let mut client = client::connect(&settings).await?;
    match command {
        Command::List => {
            let all: Vec<Shape> = all(&mut client).await?.into_iter().map(Shape::from).collect();
            output.print(&all, |out| print(out, &all))
        }
        Command::Give(decision) => decide(&mut client, decision, false, output).await,
        Command::Refuse(decision) => decide(&mut client, decision, true, output).await,
        Command::Run { approval } => {
            let digits = approval.replace('-', "").to_lowercase();
            let mut meant = all(&mut client).await?;
            meant.retain(|one| digits.len() >= 8 && hex::encode(&one.id).starts_with(&digits));
            let (1, Some(one)) = (meant.len(), meant.pop()) else {
                let error = anyhow::anyhow!(
                    "no approval, or more than one, has an id that begins so; see `overlap approval list`"
                );
                return Err(Failure::usage(error));
            };
            let query = one.query.unwrap_or_default();
            let request = pb::MatchRequest {
                approval: hex::encode(&one.id),
                ..query
            };
            matching::run_request(&mut client, request, output).await
        }
    }
}

/// Asks for the approval of a query.
pub(crate) async fn ask(client: &mut Client, query: pb::MatchRequest, output: &mut Output) -> Result<(), Failure> {
    let asked = client
        .ask_approval(pb::AskApprovalRequest { query: Some(query) })
        .await?;
    let one = Shape::from(asked.into_inner());
    output.print(&one, |out| {
        writeln!(
            out,
            "approval {} waits for another user: overlap approval give {}",
            one.id,
            short(&one.id)
        )?;
        writeln!(out, "once it is given: overlap approval run {}", short(&one.id))
    })
}

async fn all(client: &mut Client) -> Result<Vec<pb::Approval>, Failure> {
    let listed = client.list_approvals(pb::ListApprovalsRequest {}).await?;
    Ok(listed.into_inner().approvals)
}

async fn decide(client: &mut Client, decision: Decision, refuses: bool, output: &mut Output) -> Result<(), Failure> {
    let request = pb::DecideApprovalRequest {
        approval: decision.approval,
        refuses,
        reason: decision.reason,
    };
    let one = Shape::from(client.decide_approval(request).await?.into_inner());
    output.print(&one, |out| {
        writeln!(out, "approval {} of {}: {}", one.id, one.asked_by, one.state)
    })
}

fn print(out: &mut dyn Write, all: &[Shape]) -> io::Result<()> {
    let mut shown = table([
        "id", "state", "asked by", "peer", "dataset", "mode", "kinds", "purpose", "case", "reason",
    ]);
    for one in all {
        shown.add_row([
            short(&one.id),
            &one.state,
            &one.asked_by,
            &one.peer,
            &one.dataset,
            &one.mode,
            &one.kinds.join(", "),
            &one.purpose,
            &one.case_reference,
            &one.reason,
        ]);
    }
    match all.is_empty() {
        true => writeln!(out, "nothing waits for approval"),
        false => writeln!(out, "{shown}"),
    }
}

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
