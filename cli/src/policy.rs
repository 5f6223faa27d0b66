//! `overlap policy`.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, anyhow};
use overlap_proto::pb::operator as pb;
use serde::Serialize;

use crate::{
    client::{self, Failure},
    output::Output,
    settings::Settings,
};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Check whether a policy (Cedar) could be put in force; your node judges
    #[command(after_help = "Example:\n  overlap policy check policy.cedar")]
    Check {
        /// The file
        file: PathBuf,
    },
    /// Say which rule of the policy in force allows or denies a request; nothing is asked
    ///
    /// Agreements, orders and limits are judged beside the policy: a query that the policy allows may still be refused by them.
    #[command(
        after_help = "Examples:\n  overlap policy explain --as-role analyst --dataset cases --peer kmar --mode hits --purpose thb-investigation\n  \
                      overlap policy explain --as-peer kmar --dataset cases --mode count --purpose thb-investigation --at 2026-11-28T03:00:00Z\n  \
                      overlap policy explain --as-role auditor --action export_log"
    )]
    Explain(Box<Explain>),
}

#[derive(clap::Args)]
pub(crate) struct Explain {
    /// Judge as if the caller had this role; may be repeated [default: your own roles]
    #[arg(long = "as-role", value_name = "ROLE")]
    as_roles: Vec<String>,
    /// Judge a query of this peer about your dataset instead
    #[arg(long, value_name = "PEER", conflicts_with = "as_roles")]
    as_peer: Option<String>,
    /// What would be done, as the policy's schema calls it [default: ask; of a peer: answer]
    #[arg(long, default_value = "", hide_default_value = true)]
    action: String,
    /// Your dataset
    #[arg(long, default_value = "")]
    dataset: String,
    /// Name of the peer that would be asked
    #[arg(long, default_value = "")]
    peer: String,
    /// hits or count
    #[arg(long, default_value = "hits")]
    mode: String,
    /// Kind of identifiers; may be repeated
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// Role of the subjects asked about; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Purpose
    #[arg(long, default_value = "")]
    purpose: String,
    /// Items of the asker
    #[arg(long, default_value_t = 1)]
    set_size: u64,
    /// As if an order was named
    #[arg(long)]
    with_order: bool,
    /// As if another user had approved it
    #[arg(long)]
    approved: bool,
    /// Country that would be asked for
    #[arg(long, default_value = "")]
    on_behalf_of: String,
    /// When (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", default_value = "")]
    at: String,
}

/// What the policy says, in JSON.
#[derive(Serialize)]
struct VerdictShape {
    allowed: bool,
    rules: Vec<RuleShape>,
    policy_hash: String,
}

#[derive(Serialize)]
struct RuleShape {
    id: String,
    effect: String,
    advice: Option<String>,
    text: String,
}

/// A policy that was checked, in JSON.
#[derive(Serialize)]
struct Checked {
    rules: u32,
}

pub(crate) async fn run(settings: Settings, command: Command, output: &mut Output) -> Result<(), Failure> {
    let mut client = client::connect(&settings).await?;
    match command {
        Command::Check { file } => {
            let policy = fs::read_to_string(&file)
                .with_context(|| format!("cannot read {}", file.display()))
                .map_err(Failure::usage)?;
            let answer = client
                .check_policy(pb::CheckPolicyRequest { policy })
                .await?
                .into_inner();
            if !answer.fault.is_empty() {
                return Err(Failure::usage(anyhow!("{}: {}", file.display(), answer.fault)));
            }
            let checked = Checked { rules: answer.rules };
            output.print(&checked, |out| {
                writeln!(
                    out,
                    "{} holds: {} rules. Name it as `policy` in node.toml; SIGHUP reads a changed one again.",
                    file.display(),
                    checked.rules
                )
            })
        }
        Command::Explain(wish) => {
            let request = pb::ExplainPolicyRequest {
                as_peer: wish.as_peer.unwrap_or_default(),
                as_roles: wish.as_roles,
                action: wish.action,
                dataset: wish.dataset,
                peer: wish.peer,
                mode: wish.mode,
                kinds: wish.kinds,
                purpose: wish.purpose,
                set_size: wish.set_size,
                with_order: wish.with_order,
                on_behalf_of: wish.on_behalf_of,
                at: wish.at,
                roles: wish.roles,
                approved: wish.approved,
            };
            let answer = client.explain_policy(request).await?.into_inner();
            let verdict = VerdictShape {
                allowed: answer.is_allowed,
                policy_hash: hex::encode(&answer.policy_hash),
                rules: answer
                    .rules
                    .into_iter()
                    .map(|rule| RuleShape {
                        id: rule.id,
                        effect: rule.effect,
                        advice: (!rule.advice.is_empty()).then_some(rule.advice),
                        text: rule.text,
                    })
                    .collect(),
            };
            output.print(&verdict, |out| {
                let word = if verdict.allowed { "allowed" } else { "denied" };
                match verdict.rules.as_slice() {
                    [] => writeln!(out, "{word}: no rule allows it")?,
                    rules => {
                        for rule in rules {
                            writeln!(out, "{word} by rule {} ({})", rule.id, rule.effect)?;
                            if let Some(advice) = &rule.advice {
                                writeln!(out, "  {advice}")?;
                            }
                            for line in rule.text.lines() {
                                writeln!(out, "    {line}")?;
                            }
                        }
                    }
                }
                writeln!(out, "policy {}", verdict.policy_hash)
            })
        }
    }
}
