//! `overlap log`.

mod check;
pub(crate) mod export;
mod files;
mod list;
mod open;
pub(crate) mod reconcile;
mod stats;

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table};
use overlap_audit::Logged;
use overlap_proto::{fault::Reason, pb::operator as pb};
use uuid::Uuid;

use crate::{
    client::{self, Client, Failure},
    output::{Output, grouped, table},
    settings::Connection,
};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Find entries by time, agency, person, purpose, case or outcome; the newest first
    List(list::Args),
    /// Show one entry with all its fields
    Show {
        /// Id of the entry, or of the transaction, which `overlap match` prints
        #[arg(value_name = "ID")]
        entry: Uuid,
    },
    /// Take the log away as a file that can be checked without the node; or make a table of such a file
    Export(export::Args),
    /// Check a log that was taken away: that nothing was changed, left out or added, and who has countersigned it
    Verify(check::VerifyArgs),
    /// Make a small proof out of a log: that it has one entry, or that it only grew
    Prove(check::ProveArgs),
    /// Check a proof: of an entry, of growth, or of what was in a query's set
    Check(check::CheckArgs),
    /// Hold two agencies' logs against each other: every query in one has its twin in the other
    Reconcile(reconcile::Args),
    /// Count the queries in a log that was taken away, by agency, purpose, outcome and month
    Stats(stats::Args),
    /// Show an auditor whether an identifier was in the set that your node asked with
    Open(open::Args),
    /// Take an alarm back, once you have looked into it
    Acknowledge {
        /// Id of the alarm, as `overlap status` shows it
        #[arg(value_name = "ID")]
        alarm: Uuid,
        /// What you found, in words; goes to the log
        #[arg(long)]
        reason: String,
    },
}

pub(crate) async fn run(connection: Connection, command: Command, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::List(args) => list::run(connection.check()?, args, output).await,
        Command::Show { entry } => {
            let mut client = client::connect(&connection.check()?).await?;
            let request = pb::ShowEntryRequest {
                entry: entry.as_bytes().to_vec().into(),
            };
            let entry = match client.show_entry(request).await {
                Ok(shown) => parse(&shown.into_inner().entry)?,
                // the id that a match prints is its transaction's: good to show as well
                Err(status) if Reason::of(&status) == Some(Reason::NotFound) => {
                    of_transaction(&mut client, entry).await?.pop().ok_or(status)?
                }
                Err(status) => return Err(status.into()),
            };
            output.print(&entry, |out| print(out, &entry))
        }
        Command::Export(args) => export::run(connection, args, output).await,
        Command::Verify(args) => check::verify(&args, output),
        Command::Prove(args) => check::prove(&args, output),
        Command::Check(args) => check::check(&args, output),
        Command::Reconcile(args) => reconcile::run(&args, output),
        Command::Stats(args) => stats::run(&args, output),
        Command::Open(args) => open::run(connection.check()?, args, output).await,
        Command::Acknowledge { alarm, reason } => {
            let mut client = client::connect(&connection.check()?).await?;
            let request = pb::AcknowledgeAlarmRequest {
                id: alarm.as_bytes().to_vec().into(),
                reason,
            };
            client.acknowledge_alarm(request).await?;
            output.print(&serde_json::json!({ "acknowledged": alarm }), |out| {
                writeln!(out, "alarm {alarm} is taken back; the log says who did it and why")
            })
        }
    }
}

/// The entries of one query in the log of the node of `client`.
pub(crate) async fn of_transaction(client: &mut Client, transaction: Uuid) -> Result<Vec<Logged>, Failure> {
    let transaction = transaction.as_bytes().to_vec().into();
    let request = pb::ListEntriesRequest {
        limit: 10,
        transaction,
        ..pb::ListEntriesRequest::default()
    };
    let entries = client.list_entries(request).await?.into_inner().entries;
    entries.iter().map(|entry| parse(entry)).collect()
}

fn parse(json: &str) -> Result<Logged, Failure> {
    serde_json::from_str(json).map_err(|error| {
        Failure::internal(anyhow::anyhow!(
            "the node sent an entry that this version cannot read: {error}"
        ))
    })
}

fn entries_table(entries: &[Logged]) -> Table {
    let mut shown = table([
        "index",
        "started",
        "operation",
        "side",
        "with",
        "mode",
        "outcome",
        "transaction",
    ]);
    // ids are there to be copied: rows run over a narrow terminal rather than be cut into pieces
    shown.set_content_arrangement(ContentArrangement::Disabled);
    for logged in entries {
        let entry = &logged.entry;
        let with: Vec<&str> = entry.others().map(|id| id.rsplit('/').next().unwrap_or(id)).collect();
        shown.add_row([
            logged.index.to_string(),
            entry.started.strftime("%F %TZ").to_string(),
            entry.operation.to_string(),
            entry.side.to_string(),
            with.join(", "),
            entry.mode.clone().unwrap_or_default(),
            logged.outcome().to_string(),
            entry.transaction.to_string(),
        ]);
    }
    shown
}

/// The fields that people read first, in the order of the law: what, who, why, how it ended.
pub(crate) fn fields(logged: &Logged) -> Vec<(&'static str, String)> {
    let (entry, closing) = (&logged.entry, logged.closing.as_ref());
    let text = |text: &Option<String>| text.clone();
    let number = |number: Option<u64>| number.map(grouped);
    let digest = |digest: Option<overlap_audit::Digest>| digest.map(|digest| digest.to_string());
    let list = |list: &[String]| (!list.is_empty()).then(|| list.join(", "));
    [
        ("entry", Some(entry.id.to_string())),
        ("transaction", Some(entry.transaction.to_string())),
        ("index", Some(logged.index.to_string())),
        ("started", Some(format!("{:.3}", entry.started))),
        ("ended", closing.map(|closing| format!("{:.3}", closing.ended))),
        ("about", entry.about.map(|about| about.to_string())),
        ("operation", Some(entry.operation.to_string())),
        ("side", Some(entry.side.to_string())),
        ("outcome", Some(logged.outcome().to_string())),
        ("detail", closing.and_then(|closing| closing.detail.clone())),
        ("asker", text(&entry.asker)),
        ("holder", text(&entry.holder)),
        ("recipients", list(&entry.recipients)),
        ("country", text(&entry.country)),
        ("person", text(&entry.person)),
        ("role", text(&entry.role)),
        ("approver", text(&entry.approver)),
        ("purpose", text(&entry.purpose)),
        ("regime", text(&entry.regime)),
        ("article", text(&entry.article)),
        ("case", text(&entry.case_reference)),
        ("reason", text(&entry.reason)),
        ("order", text(&entry.order)),
        ("dataset", text(&entry.dataset)),
        ("dataset version", number(entry.dataset_version)),
        ("kinds", list(&entry.kinds)),
        ("mode", text(&entry.mode)),
        ("profile", text(&entry.profile)),
        ("profile hash", digest(entry.profile_hash)),
        ("protocol", text(&entry.protocol)),
        ("items asked", number(entry.input_count)),
        ("input commitment", digest(entry.input_commitment)),
        ("items given", closing.and_then(|closing| number(closing.output_count))),
        ("hits", closing.and_then(|closing| number(closing.hits))),
        ("candidates", closing.and_then(|closing| number(closing.candidates))),
        (
            "items of the peer",
            closing.and_then(|closing| number(closing.peer_count)),
        ),
        (
            "was sent",
            closing
                .and_then(|closing| closing.sent)
                .map(|sent| if sent { "yes" } else { "no" }.to_owned()),
        ),
        ("visibility", list(&entry.visibility)),
        ("agreement", text(&entry.agreement)),
        ("agreement hash", digest(entry.agreement_hash)),
        ("policy hash", digest(entry.policy_hash)),
        ("caller's certificate", digest(entry.caller_certificate)),
        (
            "callee's certificate",
            digest(closing.and_then(|closing| closing.callee_certificate)),
        ),
        ("trace", text(&entry.trace)),
        ("caller's step", text(&entry.parent_span)),
        ("software", Some(entry.software.clone())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

fn print(out: &mut dyn Write, logged: &Logged) -> io::Result<()> {
    let mut shown = table(["field", "value"]);
    for (name, value) in fields(logged) {
        shown.add_row([name, value.as_str()]);
    }
    writeln!(out, "{shown}")
}
