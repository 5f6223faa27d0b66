//! `overlap match`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use clap::builder::NonEmptyStringValueParser;
use comfy_table::Table;
use indicatif::ProgressBar;
use overlap_proto::pb::operator::{self as pb, match_response::Message};
use overlap_records::{Kind, Role, UnknownKind, UnknownRole};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    approval,
    client::{self, Client, Failure},
    output::{Output, grouped, table},
    settings::Settings,
    status,
};

/// Ask a peer what your dataset has in common with its
///
/// Your node blinds its items, the peer's node blinds them again, and neither sees what the other holds. Both log the query before
/// anything is computed. Mode hits tells which of your numbered identifiers the peer holds too (hits), and which of your persons may be
/// persons that the peer holds, with a score (candidates: someone has to look); mode count only how many items.
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
    #[arg(long = "kind", value_name = "KIND", value_parser = kind)]
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
    /// Agreement to ask under, by id or hash [default: the one that covers the query]
    #[arg(long)]
    pub(crate) agreement: Option<String>,
    /// Role of the subjects to ask about: suspect, convicted, victim, witness, other; may be repeated [default: all that the agreement
    /// covers in this mode]
    #[arg(long = "role", value_name = "ROLE", value_parser = role)]
    pub(crate) roles: Vec<String>,
    /// Id of the order to ask under, where one is needed; `overlap order list` shows them
    #[arg(long)]
    pub(crate) order: Option<String>,
    /// Country that you ask for, where the agreement lets your agency ask for another (two letters)
    #[arg(long, value_name = "COUNTRY")]
    pub(crate) on_behalf_of: Option<String>,
    /// Ask nobody yet: let another user of your node approve it first (`overlap approval`)
    #[arg(long)]
    pub(crate) ask_approval: bool,
}

/// A kind's own spelling; an error that lists all of them otherwise.
fn kind(word: &str) -> Result<String, UnknownKind> {
    word.parse::<Kind>().map(|kind| kind.to_string())
}

/// A role's own spelling; an error that lists all of them otherwise.
fn role(word: &str) -> Result<String, UnknownRole> {
    word.parse::<Role>().map(|role| role.to_string())
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
    /// Items that both hold; in mode hits, numbered identifiers. Null where it is not told.
    pub(crate) count: Option<u64>,
    /// In mode count: the count is not told, since it, or what is left of your set, is below this.
    pub(crate) suppressed_below: Option<u64>,
    /// In mode hits: hits of which the peer shows no more than their kind, until it decides to; by kind.
    pub(crate) partly: BTreeMap<String, u64>,
    /// In mode hits: one per numbered identifier and own record.
    pub(crate) hits: Vec<HitShape>,
    /// In mode hits: one per own record and record of the peer, the best first.
    pub(crate) candidates: Vec<CandidateShape>,
}

/// An own identifier that the peer holds too, with an own record that holds it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HitShape {
    pub(crate) kind: String,
    pub(crate) identifier: String,
    pub(crate) reference: String,
    pub(crate) role: String,
    /// The unit or system that the own record came from.
    pub(crate) origin: Option<String>,
}

/// An own person that may be one of the peer's.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CandidateShape {
    /// The own person, in canonical form.
    pub(crate) person: String,
    pub(crate) reference: String,
    pub(crate) role: String,
    pub(crate) origin: Option<String>,
    /// The peer's record, by a name that means nothing outside this match.
    pub(crate) peer_record: String,
    pub(crate) score: f64,
    /// The match keys that agreed.
    pub(crate) keys: Vec<String>,
}

pub(crate) async fn run(settings: Settings, args: Args, output: &mut Output) -> Result<(), Failure> {
    let mut client = client::connect(&settings).await?;
    match args.ask_approval {
        true => approval::ask(&mut client, request(&args), output).await,
        false => run_request(&mut client, request(&args), output).await,
    }
}

/// Runs a match to its end, and shows what it found.
pub(crate) async fn run_request(
    client: &mut Client,
    request: pb::MatchRequest,
    output: &mut Output,
) -> Result<(), Failure> {
    let bar = output.bar("{spinner} {msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}");
    let found = find(client, request, bar).await?;
    output.print(&found, |out| print(out, &found, usize::MAX))?;
    status::warn(client).await;
    Ok(())
}

/// What is asked of the own node.
pub(crate) fn request(args: &Args) -> pb::MatchRequest {
    pb::MatchRequest {
        peer: args.peer.clone(),
        dataset: args.dataset.clone(),
        mode: args.mode.clone(),
        kinds: args.kinds.clone(),
        purpose: args.purpose.clone(),
        case_reference: args.case.clone(),
        reason: args.reason.clone(),
        agreement: args.agreement.clone().unwrap_or_default(),
        roles: args.roles.clone(),
        order: args.order.clone().unwrap_or_default(),
        on_behalf_of: args.on_behalf_of.clone().unwrap_or_default(),
        approval: String::new(),
    }
}

/// Runs a match to its end.
pub(crate) async fn find(
    client: &mut Client,
    request: pb::MatchRequest,
    bar: ProgressBar,
) -> Result<MatchShape, Failure> {
    bar.set_message(format!("{} with {}", request.mode, request.peer));
    let mut found = MatchShape {
        peer: request.peer.clone(),
        dataset: request.dataset.clone(),
        mode: request.mode.clone(),
        agreement: String::new(),
        kinds: Vec::new(),
        transaction: String::new(),
        own_set_size: 0,
        peer_set_size: 0,
        count: None,
        suppressed_below: None,
        partly: BTreeMap::new(),
        hits: Vec::new(),
        candidates: Vec::new(),
    };
    let mut answers = client.r#match(request).await?.into_inner();
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
            Some(Message::Candidates(more)) => found
                .candidates
                .extend(more.candidates.into_iter().map(candidate_shape)),
            Some(Message::Done(done)) => {
                found.suppressed_below = (done.suppressed_below > 0).then_some(done.suppressed_below);
                found.count = found.suppressed_below.is_none().then_some(done.count);
                found.peer_set_size = done.peer_set_size;
                found.partly = done.partly.into_iter().map(|one| (one.kind, one.items)).collect();
                bar.finish_and_clear();
                let told: BTreeSet<_> = found.hits.iter().map(|hit| (&hit.kind, &hit.identifier)).collect();
                let told = (told.len() as u64, found.candidates.len() as u64);
                if found.mode == "hits" && told != (done.count, done.candidates) {
                    return Err(Failure::internal(anyhow::anyhow!(
                        "the node told {} of {} hits and {} of {} candidates; ask again",
                        told.0,
                        done.count,
                        told.1,
                        done.candidates,
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
        origin: (!record.origin.is_empty()).then_some(record.origin),
    })
}

fn candidate_shape(candidate: pb::Candidate) -> CandidateShape {
    let record = candidate.record.unwrap_or_default();
    CandidateShape {
        person: candidate.canonical,
        reference: record.reference,
        role: record.role,
        origin: (!record.origin.is_empty()).then_some(record.origin),
        peer_record: hex::encode(&candidate.peer_record),
        // more digits than it means
        score: (candidate.score * 100.0).round() / 100.0,
        keys: candidate.keys,
    }
}

/// Prints a result for people, with at most `rows` of the hits and of the candidates.
pub(crate) fn print(out: &mut dyn Write, found: &MatchShape, rows: usize) -> io::Result<()> {
    let (own, peer) = (grouped(found.own_set_size), grouped(found.peer_set_size));
    let (count, kinds) = (grouped(found.count.unwrap_or_default()), found.kinds.join(", "));
    if let Some(least) = found.suppressed_below {
        writeln!(
            out,
            "{} holds too: a number of your {own} items ({kinds}) that is not told: it, what is left, or what it tells beside an earlier count, is below {least}.",
            found.peer
        )?;
        return writeln!(
            out,
            "transaction {}, under agreement {}",
            found.transaction, found.agreement
        );
    }
    match found.mode.as_str() {
        "hits" if !found.kinds.iter().any(|kind| kind == Kind::Person.as_str()) => writeln!(
            out,
            "{} holds too: {count} of your identifiers; {own} items were compared with {peer} ({kinds}).",
            found.peer,
        ),
        "hits" => writeln!(
            out,
            "{} holds too: {count} of your identifiers; persons who may be the same: {} pairs. {own} items were compared with {peer} ({kinds}).",
            found.peer,
            grouped(found.candidates.len() as u64),
        ),
        _ => writeln!(
            out,
            "{} holds too: {count} of your {own} items ({kinds}); it compared {peer}.",
            found.peer
        ),
    }?;
    for (kind, items) in &found.partly {
        writeln!(
            out,
            "{} more of kind {kind}, of which {} shows no more than that; it decides on them unasked.",
            grouped(*items),
            found.peer
        )?;
    }
    if !found.hits.is_empty() {
        writeln!(out, "Hits: identifiers that both hold")?;
        writeln!(out, "{}", hits_table(&found.hits, rows))?;
        more(out, found.hits.len(), rows, "one per identifier and record")?;
    }
    if !found.candidates.is_empty() {
        writeln!(
            out,
            "Candidates: persons who may be the same, by score; someone has to look"
        )?;
        writeln!(out, "{}", candidates_table(&found.candidates, rows))?;
        more(out, found.candidates.len(), rows, "one per pair of records")?;
    }
    writeln!(
        out,
        "transaction {}, under agreement {}",
        found.transaction, found.agreement
    )
}

fn more(out: &mut dyn Write, all: usize, rows: usize, of: &str) -> io::Result<()> {
    match all.saturating_sub(rows) {
        0 => Ok(()),
        left => writeln!(out, "  and {} more rows, {of}", grouped(left as u64)),
    }
}

fn hits_table(hits: &[HitShape], rows: usize) -> Table {
    let mut shown = table(["kind", "identifier", "your record", "role"]);
    for hit in hits.iter().take(rows) {
        shown.add_row([&hit.kind, &hit.identifier, &hit.reference, &hit.role]);
    }
    shown
}

fn candidates_table(candidates: &[CandidateShape], rows: usize) -> Table {
    let mut shown = table(["score", "person", "your record", "role", "their record", "agree"]);
    for candidate in candidates.iter().take(rows) {
        shown.add_row([
            format!("{:.1}", candidate.score),
            candidate.person.clone(),
            candidate.reference.clone(),
            candidate.role.clone(),
            candidate.peer_record.clone(),
            agreed(&candidate.keys),
        ]);
    }
    shown
}

/// The first of the keys that agreed, and how many more there are; `--json` has them all.
fn agreed(keys: &[String]) -> String {
    let first = keys.first().map_or("", |key| key.trim_start_matches("person:"));
    match keys.len() {
        0 | 1 => first.to_owned(),
        all => format!("{first} and {} more", all - 1),
    }
}
