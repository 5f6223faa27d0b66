//! `overlap match`.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use clap::builder::NonEmptyStringValueParser;
use comfy_table::Table;
use indicatif::ProgressBar;
use overlap_proto::pb::operator::{self as pb, match_response::Message};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    client::{self, Client, Failure},
    output::{Output, grouped, table},
    settings::Settings,
};

/// Ask a peer what your dataset has in common with its
///
/// Your node blinds its items, the peer's node blinds them again, and neither sees what the other holds. Both log the query before
/// anything is computed. Mode hits tells which of your identifiers the peer holds too; mode count only how many.
#[derive(clap::Args, Clone)]
#[command(
    after_help = "Example:\n  overlap match --peer kmar --dataset cases --mode hits --kind phone \\\n    --purpose thb-investigation --case 2026-0042 --reason \"phones of the victim's contacts\""
)]
pub(crate) struct Args {
    /// Name of the peer
    #[arg(long)]
    pub(crate) peer: String,
    /// Your dataset
    #[arg(long)]
    pub(crate) dataset: String,
    /// What you want to learn: hits (which) or count (how many)
    #[arg(long, value_parser = ["hits", "count"])]
    pub(crate) mode: String,
    /// Kind of identifiers to compare; may be repeated [default: all that the agreement allows and your dataset holds]
    #[arg(long = "kind", value_name = "KIND")]
    pub(crate) kinds: Vec<String>,
    /// Purpose, as the agreement names it
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) purpose: String,
    /// Reference of your case
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) case: String,
    /// Why, in words; goes to both logs
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) reason: String,
    /// Agreement to ask under [default: the one that covers the query]
    #[arg(long)]
    pub(crate) agreement: Option<String>,
}

/// What a match found, in JSON.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MatchShape {
    pub(crate) peer: String,
    pub(crate) dataset: String,
    pub(crate) mode: String,
    pub(crate) agreement: String,
    pub(crate) kinds: Vec<String>,
    /// The same in both logs.
    pub(crate) transaction: String,
    pub(crate) own_set_size: u64,
    pub(crate) peer_set_size: u64,
    /// Items that both hold.
    pub(crate) count: u64,
    /// In mode hits: one per identifier and own record.
    pub(crate) hits: Vec<HitShape>,
}

/// An own identifier that the peer holds too, with an own record that holds it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HitShape {
    pub(crate) kind: String,
    pub(crate) identifier: String,
    pub(crate) reference: String,
    pub(crate) role: String,
}

pub(crate) async fn run(settings: Settings, args: Args, output: &mut Output) -> Result<(), Failure> {
    let mut client = client::connect(&settings).await?;
    let bar = output.bar("{spinner} {msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}");
    let found = find(&mut client, &args, bar).await?;
    output.print(&found, |out| print(out, &found, usize::MAX))
}

/// Runs a match to its end.
pub(crate) async fn find(client: &mut Client, args: &Args, bar: ProgressBar) -> Result<MatchShape, Failure> {
    let request = pb::MatchRequest {
        peer: args.peer.clone(),
        dataset: args.dataset.clone(),
        mode: args.mode.clone(),
        kinds: args.kinds.clone(),
        purpose: args.purpose.clone(),
        case_reference: args.case.clone(),
        reason: args.reason.clone(),
        agreement: args.agreement.clone().unwrap_or_default(),
    };
    bar.set_message(format!("{} with {}", args.mode, args.peer));
    let mut answers = client.r#match(request).await?.into_inner();
    let mut found = MatchShape {
        peer: args.peer.clone(),
        dataset: args.dataset.clone(),
        mode: args.mode.clone(),
        agreement: String::new(),
        kinds: Vec::new(),
        transaction: String::new(),
        own_set_size: 0,
        peer_set_size: 0,
        count: 0,
        hits: Vec::new(),
    };
    while let Some(answer) = answers.message().await? {
        match answer.message {
            Some(Message::Admitted(admitted)) => {
                found.transaction = Uuid::from_slice(&admitted.transaction).unwrap_or_default().to_string();
                found.agreement = admitted.agreement;
                found.kinds = admitted.kinds;
                found.own_set_size = admitted.set_size;
            }
            Some(Message::Progress(progress)) => {
                bar.set_length(progress.total);
                bar.set_position(progress.received);
            }
            Some(Message::Hits(hits)) => found.hits.extend(hits.hits.into_iter().flat_map(hit_shapes)),
            Some(Message::Done(done)) => {
                found.count = done.count;
                found.peer_set_size = done.peer_set_size;
                bar.finish_and_clear();
                let told: BTreeSet<_> = found.hits.iter().map(|hit| (&hit.kind, &hit.identifier)).collect();
                if found.mode == "hits" && told.len() as u64 != found.count {
                    return Err(Failure::internal(anyhow::anyhow!(
                        "the node told {} of {} hits; ask again",
                        told.len(),
                        found.count
                    )));
                }
                return Ok(found);
            }
            None => {}
        }
    }
    Err(Failure::internal(anyhow::anyhow!(
        "the node ended the answer early; `overlap log list` shows how the query ended"
    )))
}

fn hit_shapes(hit: pb::Hit) -> impl Iterator<Item = HitShape> {
    let pb::Hit {
        kind,
        canonical,
        records,
    } = hit;
    records.into_iter().map(move |record| HitShape {
        kind: kind.clone(),
        identifier: canonical.clone(),
        reference: record.reference,
        role: record.role,
    })
}

/// Prints a result for people, with at most `rows` of the hits.
pub(crate) fn print(out: &mut dyn Write, found: &MatchShape, rows: usize) -> io::Result<()> {
    writeln!(
        out,
        "{} of your {} items ({}) are held by {} too, which compared {}.",
        grouped(found.count),
        grouped(found.own_set_size),
        found.kinds.join(", "),
        found.peer,
        grouped(found.peer_set_size),
    )?;
    if !found.hits.is_empty() {
        writeln!(out, "{}", hits_table(&found.hits, rows))?;
        if found.hits.len() > rows {
            writeln!(
                out,
                "  and {} more rows, one per identifier and record",
                grouped((found.hits.len() - rows) as u64)
            )?;
        }
    }
    writeln!(
        out,
        "transaction {}, under agreement {}",
        found.transaction, found.agreement
    )
}

fn hits_table(hits: &[HitShape], rows: usize) -> Table {
    let mut shown = table(["kind", "identifier", "your record", "role"]);
    for hit in hits.iter().take(rows) {
        shown.add_row([&hit.kind, &hit.identifier, &hit.reference, &hit.role]);
    }
    shown
}
