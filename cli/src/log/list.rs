//! `overlap log list`.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use overlap_audit::{Logged, Outcome};
use overlap_proto::pb::operator as pb;
use uuid::Uuid;

use super::{entries_table, parse};
use crate::{
    client::{self, Failure},
    output::Output,
    settings::Settings,
    status,
};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  overlap log list --peer kmar --from 2026-01-01 --outcome hit --limit 100")]
pub(crate) struct Args {
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Read on where an earlier list ended: what it printed as next
    #[arg(long, value_name = "PAGE", value_parser = parse_page)]
    after: Option<Page>,
    /// Only those of this query
    #[arg(long, value_name = "UUID")]
    transaction: Option<Uuid>,
    /// Begun at this time (UTC) or later: 2026-01-31, or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<Timestamp>,
    /// Begun before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<Timestamp>,
    /// Only with this agency: name of the peer, or its SPIFFE URI
    #[arg(long)]
    peer: Option<String>,
    /// Only asked by this person: a SPIFFE URI
    #[arg(long, value_name = "URI", value_parser = parse_person)]
    person: Option<String>,
    /// Only for this purpose
    #[arg(long)]
    purpose: Option<String>,
    /// Only for this case
    #[arg(long)]
    case: Option<String>,
    /// Only those that stand so: hit, no-hit, done, denied, error, interrupted, admitted
    #[arg(long)]
    outcome: Option<Outcome>,
}

/// Where a list ended.
#[derive(Clone)]
struct Page(Vec<u8>);

fn parse_page(text: &str) -> Result<Page, String> {
    hex::decode(text)
        .map(Page)
        .map_err(|_| "must be what an earlier list printed as next".to_owned())
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let in_utc = || {
        text.parse::<DateTime>()
            .and_then(|time| TimeZone::UTC.to_timestamp(time))
    };
    text.parse::<Timestamp>()
        .or_else(|_| in_utc())
        .map_err(|_| "must be a date or a time, such as 2026-01-31 or 2026-01-31T12:00:00Z".to_owned())
}

fn parse_person(text: &str) -> Result<String, String> {
    match text.starts_with("spiffe://") {
        true => Ok(text.to_owned()),
        false => Err("must be a SPIFFE URI, such as spiffe://politie.example/user/analyst".to_owned()),
    }
}

pub(super) async fn run(settings: Settings, args: Args, output: &mut Output) -> Result<(), Failure> {
    let mut client = client::connect(&settings).await?;
    let mut entries: Vec<Logged> = Vec::new();
    let mut request = pb::ListEntriesRequest {
        after: args.after.map(|page| page.0).unwrap_or_default().into(),
        transaction: args
            .transaction
            .map(|id| id.as_bytes().to_vec())
            .unwrap_or_default()
            .into(),
        from: args.from.map(Timestamp::as_millisecond),
        until: args.until.map(Timestamp::as_millisecond),
        peer: args.peer.unwrap_or_default(),
        person: args.person.unwrap_or_default(),
        purpose: args.purpose.unwrap_or_default(),
        case_reference: args.case.unwrap_or_default(),
        outcome: args.outcome.map(|outcome| outcome.to_string()).unwrap_or_default(),
        limit: 0,
    };
    // the node's pages end where a message would grow too large
    loop {
        const PAGE: usize = 1000;
        request.limit = (args.limit as usize - entries.len()).min(PAGE) as u32;
        let page = client.list_entries(request.clone()).await?.into_inner();
        let read = page.entries.iter().map(|entry| parse(entry));
        entries.extend(read.collect::<Result<Vec<_>, _>>()?);
        request.after = page.next;
        if request.after.is_empty() || entries.len() >= args.limit as usize {
            break;
        }
    }
    let next = (!request.after.is_empty()).then(|| hex::encode(&request.after));
    let shape = serde_json::json!({ "entries": entries, "next": next });
    output.print(&shape, |out| {
        if entries.is_empty() {
            return writeln!(out, "no entry fits");
        }
        writeln!(out, "{}", entries_table(&entries))?;
        match &next {
            Some(next) => writeln!(out, "there is more; read on with --after {next}"),
            None => Ok(()),
        }
    })?;
    status::warn(&mut client).await;
    Ok(())
}
