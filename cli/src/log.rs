//! `overlap log`.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table};
use overlap_audit::Logged;
use overlap_proto::{fault::Reason, pb::operator as pb};
use uuid::Uuid;

use crate::{
    client::{self, Client, Failure},
    output::{Output, grouped, table},
    settings::Settings,
};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List the newest entries
    List {
        /// At most so many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Only entries before this index: the last one shown, to read on
        #[arg(long, value_name = "INDEX")]
        before: Option<u64>,
        /// Only those of this query
        #[arg(long, value_name = "UUID")]
        transaction: Option<Uuid>,
    },
    /// Show one entry with all its fields
    Show {
        /// Id of the entry, or of the transaction, which `overlap match` prints
        #[arg(value_name = "ID")]
        entry: Uuid,
    },
}

pub(crate) async fn run(settings: Settings, command: Command, output: &mut Output) -> Result<(), Failure> {
    let mut client = client::connect(&settings).await?;
    match command {
        Command::List {
            limit,
            before,
            transaction,
        } => {
            let transaction = transaction.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
            let mut entries: Vec<Logged> = Vec::new();
            // the node's pages end where a message would grow too large
            while entries.len() < limit as usize {
                let before = entries.last().map(|last| last.index).or(before);
                if before == Some(0) {
                    break;
                }
                let request = pb::ListEntriesRequest {
                    before: before.unwrap_or_default(),
                    limit: limit - entries.len() as u32,
                    transaction: transaction.clone().into(),
                };
                let page = client.list_entries(request).await?.into_inner().entries;
                if page.is_empty() {
                    break;
                }
                entries.extend(page.iter().map(|entry| parse(entry)).collect::<Result<Vec<_>, _>>()?);
            }
            output.print(&entries, |out| writeln!(out, "{}", entries_table(&entries)))
        }
        Command::Show { entry } => {
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
    }
}

/// The entries of one query in the log of the node of `client`.
pub(crate) async fn of_transaction(client: &mut Client, transaction: Uuid) -> Result<Vec<Logged>, Failure> {
    let transaction = transaction.as_bytes().to_vec().into();
    let request = pb::ListEntriesRequest {
        before: 0,
        limit: 10,
        transaction,
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
        let other = match entry.side {
            overlap_audit::Side::Asker => &entry.holder,
            _ => &entry.asker,
        };
        let with = other.as_deref().map(|id| id.rsplit('/').next().unwrap_or(id));
        shown.add_row([
            logged.index.to_string(),
            entry.started.strftime("%F %TZ").to_string(),
            entry.operation.to_string(),
            entry.side.to_string(),
            with.unwrap_or_default().to_owned(),
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
        ("started", Some(entry.started.to_string())),
        ("ended", closing.map(|closing| closing.ended.to_string())),
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
        ("protocol", text(&entry.protocol)),
        ("items asked", number(entry.input_count)),
        (
            "input commitment",
            entry.input.as_ref().map(|input| input.digest.to_string()),
        ),
        ("items given", closing.and_then(|closing| number(closing.output_count))),
        ("hits", closing.and_then(|closing| number(closing.hits))),
        ("candidates", closing.and_then(|closing| number(closing.candidates))),
        (
            "items of the peer",
            closing.and_then(|closing| number(closing.peer_count)),
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
