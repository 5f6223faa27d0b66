//! Checks of an action: one node asks N partners, each with a node of its own, over loopback TLS.

use std::{
    collections::HashMap,
    io,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use overlap_proto::pb::operator::{self as pb, check_request, check_response};
use overlap_records::Kind;
use serde::Serialize;
use tokio::sync::mpsc;
use tonic::Streaming;

use super::{
    Hardware,
    load::{Load, bare, loads, wish},
    network::load,
};
use crate::{
    action::checks,
    client::{self, Failure},
    fleet::{ACTION, Acting, CASE, Fleet, ready},
    output::{Output, grouped, table},
    process,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Partners that are asked; one more asks
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=63))]
    partners: u16,
    /// Items of each partner
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    items: u32,
    /// Checks in a second
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Seconds that they go on
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Identifiers of one check at saturation: documents, and then persons, as many as one check can have
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=32))]
    identifiers: u32,
}

/// What the benchmark measures, in JSON.
#[derive(Serialize)]
struct Shape {
    partners: u64,
    /// Of each.
    items: u64,
    rate: u64,
    checks: u64,
    /// Milliseconds from the moment at which a check was due to the last partner's answer.
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
    /// Checks that not all partners answered before the deadline.
    late: u64,
    /// Microseconds of CPU per check.
    asker_us_per_check: f64,
    /// And partner.
    partner_us_per_check: f64,
    /// What a partner's group operations alone take for a check of one item, with all cores at work, in this run.
    bare_evaluation_us: f64,
    /// And the asker's: verifying and unblinding, for one partner.
    bare_verification_us: f64,
    /// Of one partner that others ask as fast as it answers: checks of one identifier.
    checks_per_second: f64,
    saturation: Vec<Saturation>,
    filter_bytes: u64,
    filter_bytes_per_item: f64,
    /// Seconds from the start of the action until every partner could be checked: all snapshots are made on the same cores.
    snapshots_seconds: f64,
    /// Items per second, of all partners together.
    snapshot_items_per_second: f64,
    /// Of the asker's whole process.
    asker_memory_bytes: u64,
    hardware: Hardware,
}

/// One partner, asked by others as fast as it answers.
#[derive(Serialize)]
struct Saturation {
    identifiers: u64,
    /// document or person.
    kind: Kind,
    /// Match keys that are evaluated for one check: a document has one, a person several.
    items: u64,
    checks_per_second: f64,
    items_per_second: f64,
    /// CPU of the partner per check.
    partner_us_per_check: f64,
    /// Its group operations alone, with all cores at work, in this run.
    bare_us_per_check: f64,
    /// Of the partner's CPU, the share of the group operations: the rate that it gets to, over that of the bare VOPRF on the same cores.
    share_of_bare_rate: f64,
}

const ASKER: &str = "asker";
/// The partner that others ask as fast as it answers.
const ASKED: &str = "p01";
/// How many others do, at most: so many that it has work enough, and not so many that they take its cores from it.
const MOST_ASKERS: usize = 4;

pub(super) async fn run(args: Args, output: &mut Output) -> Result<(), Failure> {
    let bar = output.bar("{spinner} {msg}");
    bar.enable_steady_tick(Duration::from_millis(100));
    let directory = tempfile::Builder::new().prefix("overlap-bench-").tempdir();
    let directory = directory.map_err(Failure::internal)?;
    let names: Vec<String> = (1..=args.partners).map(|number| format!("p{number:02}")).collect();
    let all: Vec<&str> = std::iter::once(ASKER).chain(names.iter().map(String::as_str)).collect();
    bar.set_message(format!("starting {} nodes", all.len()));
    let fleet = Fleet::start(directory.path(), &all, &[])
        .await
        .map_err(Failure::internal)?;
    let measured = measure(&fleet, &args, &bar).await;
    fleet.stop().await.map_err(Failure::internal)?;
    let shape = measured?;
    bar.finish_and_clear();
    output.print(&shape, |out| print(out, &shape))
}

async fn measure(fleet: &Fleet, args: &Args, bar: &indicatif::ProgressBar) -> Result<Shape, Failure> {
    for (number, agency) in (0u32..).zip(fleet.agencies().iter().filter(|agency| agency.name != ASKER)) {
        bar.set_message(format!("loading {} items into {}", args.items, agency.name));
        let mut operator = client::connect(&agency.settings("operator")).await?;
        let start = number * args.items;
        load(&mut operator, start..start + args.items).await?;
    }
    bar.set_message("starting the action: each partner makes its snapshot");
    let started = Instant::now();
    let acting = Acting {
        asks: |asker, holder| asker == ASKER || holder == ASKED,
        kinds: &["document", "person"],
        grant: "",
        checks_per_minute: u32::MAX,
        deadline_ms: 60_000,
    };
    fleet.act(&acting).await.map_err(Failure::internal)?;
    let mut coordinator = fleet.coordinator(ASKER).await.map_err(Failure::internal)?;
    let filters = ready(&mut coordinator, usize::from(args.partners))
        .await
        .map_err(Failure::internal)?;
    let snapshots_seconds = started.elapsed().as_secs_f64();
    let askers: Vec<&str> = match args.partners {
        1 => vec![ASKER],
        _ => fleet.agencies()[2..]
            .iter()
            .map(|agency| agency.name.as_str())
            .take(MOST_ASKERS)
            .collect(),
    };
    for asker in &askers {
        let mut coordinator = fleet.coordinator(asker).await.map_err(Failure::internal)?;
        ready(&mut coordinator, 1).await.map_err(Failure::internal)?;
    }
    let filter_bytes = filters.first().copied().unwrap_or_default();

    // what loading wrote is on disk before the clock runs
    rustix::fs::sync();
    bar.set_message("bare group operations");
    let one = bare(1);
    let loads = loads(args.identifiers)?;

    bar.set_message(format!("{} checks a second for {} s", args.rate, args.seconds));
    // the first checks warm the way
    paced(fleet, args.rate.min(20), 2, args.partners).await?;
    let pids: Vec<u32> = fleet
        .agencies()
        .iter()
        .map(|agency| agency.pid())
        .collect::<Result<_>>()
        .map_err(Failure::internal)?;
    let cpu = |pids: &[u32]| -> Result<Vec<f64>, Failure> {
        pids.iter()
            .map(|pid| process::cpu_seconds(*pid).map_err(Failure::internal))
            .collect()
    };
    let before = cpu(&pids)?;
    let mut latencies = paced(fleet, args.rate, args.seconds, args.partners).await?;
    let after = cpu(&pids)?;
    let count = latencies.times.len() as f64;
    let spent: Vec<f64> = after
        .iter()
        .zip(&before)
        .map(|(after, before)| after - before)
        .collect();
    let partners = &spent[1..];
    latencies.times.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let last = latencies.times.len().saturating_sub(1);
        let at = (share * latencies.times.len() as f64).ceil() as usize;
        latencies
            .times
            .get(at.saturating_sub(1).min(last))
            .copied()
            .unwrap_or_default()
    };

    let mut saturation = Vec::new();
    for load in loads {
        bar.set_message(format!(
            "one partner at saturation, {} of kind {} a check",
            load.identifiers, load.kind
        ));
        saturation.push(saturate(fleet, load, &askers, pids[1]).await?);
    }
    let asker_memory_bytes = process::memory_now(pids[0]).map_err(Failure::internal)?;
    Ok(Shape {
        partners: args.partners.into(),
        items: args.items.into(),
        rate: args.rate.into(),
        checks: latencies.times.len() as u64,
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        p999_ms: at(0.999),
        max_ms: at(1.0),
        late: latencies.late,
        asker_us_per_check: spent.first().copied().unwrap_or_default() / count * 1e6,
        partner_us_per_check: partners.iter().sum::<f64>() / partners.len() as f64 / count * 1e6,
        bare_evaluation_us: one.0,
        bare_verification_us: one.1,
        checks_per_second: saturation.first().map_or(0.0, |one: &Saturation| one.checks_per_second),
        saturation,
        filter_bytes,
        filter_bytes_per_item: filter_bytes as f64 / f64::from(args.items),
        snapshots_seconds,
        snapshot_items_per_second: f64::from(args.items) * f64::from(args.partners) / snapshots_seconds,
        asker_memory_bytes,
        hardware: Hardware::here(),
    })
}

/// What was measured of checks at a fixed rate.
struct Latencies {
    times: Vec<f64>,
    late: u64,
}

type Stream = (mpsc::Sender<pb::CheckRequest>, Streaming<pb::CheckResponse>);

async fn open(fleet: &Fleet, asker: &str) -> Result<Stream, Failure> {
    let mut client = fleet.coordinator(asker).await.map_err(Failure::internal)?;
    let open = pb::CheckOpen {
        action: ACTION.to_owned(),
        case_reference: CASE.to_owned(),
        reason: "benchmark with made-up items".to_owned(),
        on_behalf_of: String::new(),
    };
    checks(&mut client, open).await
}

/// Makes checks at a fixed rate, whatever becomes of those before.
async fn paced(fleet: &Fleet, rate: u32, seconds: u32, partners: u16) -> Result<Latencies, Failure> {
    let (wishes, mut answers) = open(fleet, ASKER).await?;
    let (began, total) = (Instant::now(), u64::from(rate) * u64::from(seconds));
    let due = move |number: u64| began + Duration::from_secs_f64((number - 1) as f64 / f64::from(rate));
    let base = rand::random_range(1..1_000_000_000_u64);
    tokio::spawn(async move {
        for number in 1..=total {
            tokio::time::sleep_until(due(number).into()).await;
            let Ok(mut request) = wish(Kind::Document, base + number, 1) else {
                return;
            };
            if let Some(check_request::Message::Check(check)) = &mut request.message {
                check.number = number;
            }
            if wishes.send(request).await.is_err() {
                return;
            }
        }
    });
    let mut latencies = Latencies {
        times: Vec::new(),
        late: 0,
    };
    let mut last: HashMap<u64, Instant> = HashMap::new();
    while let Some(answer) = answers.message().await? {
        let now = Instant::now();
        match answer.message {
            Some(check_response::Message::Answer(_)) => drop(last.insert(answer.number, now)),
            Some(check_response::Message::Done(done)) => {
                if !done.refused.is_empty() {
                    return Err(Failure::internal(anyhow!("a check was refused: {}", done.refused)));
                }
                latencies.late += u64::from(done.answered < u32::from(partners));
                let ended = last.remove(&answer.number).unwrap_or(now);
                latencies
                    .times
                    .push(ended.duration_since(due(answer.number)).as_secs_f64() * 1000.0);
            }
            None => {}
        }
    }
    Ok(latencies)
}

/// Asks one partner as fast as it answers, from several others at once.
async fn saturate(fleet: &Fleet, load: Load, askers: &[&str], pid: u32) -> Result<Saturation, Failure> {
    let cpu = || process::cpu_seconds(pid).map_err(Failure::internal);
    // before and after: what else the machine does comes and goes
    let bare_before = bare(load.items).0;
    let (before, began) = (cpu()?, Instant::now());
    let asking = askers.iter().map(|asker| ask(fleet, asker, load, began));
    let done: u64 = futures::future::try_join_all(asking).await?.into_iter().sum();
    let seconds = began.elapsed().as_secs_f64();
    let partner_us_per_check = (cpu()? - before) / done as f64 * 1e6;
    let bare = f64::midpoint(bare_before, bare(load.items).0);
    let checks_per_second = done as f64 / seconds;
    Ok(Saturation {
        identifiers: load.identifiers.into(),
        kind: load.kind,
        items: load.items as u64,
        checks_per_second,
        items_per_second: checks_per_second * load.items as f64,
        partner_us_per_check,
        bare_us_per_check: bare,
        share_of_bare_rate: bare / partner_us_per_check,
    })
}

/// Makes checks as fast as they are answered; gives how many.
async fn ask(fleet: &Fleet, asker: &str, load: Load, began: Instant) -> Result<u64, Failure> {
    const TIME: Duration = Duration::from_secs(10);
    let (wishes, mut answers) = open(fleet, asker).await?;
    let base = rand::random_range(1..1_000_000_000_u64);
    tokio::spawn(async move {
        let mut number = base;
        // the stream itself holds it up: the node takes so many at once
        while began.elapsed() < TIME
            && let Ok(wish) = wish(load.kind, number, load.identifiers)
            && wishes.send(wish).await.is_ok()
        {
            number += 1;
        }
    });
    let mut done = 0u64;
    while let Some(answer) = answers.message().await? {
        if let Some(check_response::Message::Done(one)) = answer.message {
            if !one.refused.is_empty() || one.answered == 0 {
                return Err(Failure::internal(anyhow!("a check was not answered: {}", one.refused)));
            }
            done += 1;
        }
    }
    Ok(done)
}

fn print(out: &mut dyn io::Write, shape: &Shape) -> io::Result<()> {
    writeln!(out, "{}", shape.hardware)?;
    writeln!(
        out,
        "{} partners with {} items each, {} checks at {} a second, to the last partner's answer:",
        shape.partners,
        grouped(shape.items),
        grouped(shape.checks),
        shape.rate
    )?;
    writeln!(
        out,
        "p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, slowest {:.1} ms; {} were not answered by all",
        shape.p50_ms, shape.p99_ms, shape.p999_ms, shape.max_ms, shape.late
    )?;
    writeln!(
        out,
        "CPU per check: {:.0} µs at the asker, {:.0} µs at each partner; the bare group operations of one take {:.0} µs at a partner, and {:.0} µs per partner at the asker",
        shape.asker_us_per_check, shape.partner_us_per_check, shape.bare_evaluation_us, shape.bare_verification_us
    )?;
    let mut rows = table([
        "one check",
        "items",
        "checks/s",
        "items/s",
        "CPU per check",
        "bare",
        "share of the bare rate",
    ]);
    for one in &shape.saturation {
        rows.add_row([
            match one.identifiers {
                1 => format!("1 {}", one.kind),
                several => format!("{several} {}s", one.kind),
            },
            grouped(one.items),
            grouped(one.checks_per_second as u64),
            grouped(one.items_per_second as u64),
            format!("{:.0} µs", one.partner_us_per_check),
            format!("{:.0} µs", one.bare_us_per_check),
            format!("{:.0} %", one.share_of_bare_rate * 100.0),
        ]);
    }
    writeln!(out, "one partner, asked by others as fast as it answers:\n{rows}")?;
    writeln!(
        out,
        "snapshot: {} bytes, {:.2} per item; all made and sent in {:.1} s, {} items/s; the asker's node has {:.1} MiB",
        grouped(shape.filter_bytes),
        shape.filter_bytes_per_item,
        shape.snapshots_seconds,
        grouped(shape.snapshot_items_per_second as u64),
        shape.asker_memory_bytes as f64 / f64::from(1 << 20)
    )
}
