//! A picture of N agencies, each with a node of its own, over loopback TLS.

use std::{io, time::Instant};

use anyhow::anyhow;
use overlap_proto::pb::operator as pb;
use overlap_report::Picture;
use serde::Serialize;

use super::{
    Hardware,
    network::{Reading, load},
    units::{self, UnitCosts},
};
use crate::{
    client::{self, Failure},
    fleet::{CASE, Convened, Fleet, ORDER, PURPOSE},
    output::{Output, grouped, table},
    picture::{self, Phases},
    process,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Agencies that take part; one more leads
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(2..=63))]
    agencies: u16,
    /// Items of each
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    items: u32,
    /// Share of each agency's items that the next one has too, 0 to 1
    #[arg(long, default_value_t = 0.1, value_parser = super::parse_share)]
    overlap: f64,
}

/// What the benchmark measures, in JSON.
#[derive(Serialize)]
struct Shape {
    agencies: u64,
    /// Of each.
    items: u64,
    /// That two agencies have: each with the next.
    common: u64,
    wall_seconds: f64,
    /// Seconds of the wall clock: until the last list began to come, and until the last was complete.
    phases: PhaseSeconds,
    /// Own items per second and node, of the whole.
    items_per_second: f64,
    /// Of the node that leads, which has no items.
    coordinator: Node,
    /// Of all that take part, each the mean, the peak of memory the largest.
    participant: Node,
    /// CPU of one participant over what the formula says.
    ratio: f64,
    /// Microseconds of CPU per own item that the formula says, with the unit costs of this run.
    formula_us_per_item: f64,
    unit_costs_us: UnitCosts,
    hardware: Hardware,
}

#[derive(Serialize)]
struct PhaseSeconds {
    evaluating: f64,
    sending: f64,
}

#[derive(Serialize)]
struct Node {
    cpu_seconds: f64,
    bytes_sent: u64,
    /// Of the whole process, during the picture.
    peak_memory_bytes: u64,
    /// Of the whole process, before it.
    memory_before_bytes: u64,
}

const LEADER: &str = "lead";

pub(super) async fn run(args: Args, output: &mut Output) -> Result<(), Failure> {
    let bar = output.bar("{spinner} {msg}");
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar.set_message("unit costs");
    let unit_costs_us = units::measure().map_err(Failure::internal)?;
    let directory = tempfile::Builder::new()
        .prefix("overlap-bench-")
        .tempdir()
        .map_err(Failure::internal)?;
    let names: Vec<String> = (1..=args.agencies).map(|number| format!("a{number:02}")).collect();
    let all: Vec<&str> = std::iter::once(LEADER)
        .chain(names.iter().map(String::as_str))
        .collect();
    bar.set_message(format!("starting {} nodes", all.len()));
    let fleet = Fleet::start(directory.path(), &all, &[])
        .await
        .map_err(Failure::internal)?;
    let convened = Convened {
        leader: LEADER,
        kinds: &["document"],
        min_count: 1,
        max_set_size: u64::from(args.items),
    };
    fleet.convene(&convened).await.map_err(Failure::internal)?;
    let measured = measure(&fleet, &args, &names, unit_costs_us, &bar).await;
    fleet.stop().await.map_err(Failure::internal)?;
    let shape = measured?;
    bar.finish_and_clear();
    output.print(&shape, |out| print(out, &shape))
}

async fn measure(
    fleet: &Fleet,
    args: &Args,
    names: &[String],
    unit_costs_us: UnitCosts,
    bar: &indicatif::ProgressBar,
) -> Result<Shape, Failure> {
    let common = (f64::from(args.items) * args.overlap).round() as u32;
    let mut operators = Vec::new();
    for (number, agency) in (0u32..).zip(fleet.agencies()) {
        let mut operator = client::connect(&agency.settings("operator")).await?;
        // the leader is the first, and has nothing
        if let Some(number) = number.checked_sub(1) {
            bar.set_message(format!("loading {} items into {}", args.items, agency.name));
            let start = number * (args.items - common);
            load(&mut operator, start..start + args.items).await?;
        }
        operators.push(operator);
    }
    let mut before = Vec::new();
    for (agency, operator) in fleet.agencies().iter().zip(&mut operators) {
        let pid = agency.pid().map_err(Failure::internal)?;
        process::reset_peak_memory(pid).map_err(Failure::internal)?;
        before.push(Reading::take(pid, operator).await?);
    }
    bar.set_message("making a picture over loopback TLS");
    let leader = fleet.agency(LEADER).map_err(Failure::internal)?;
    let mut analyst = client::pictures(&leader.settings("analyst")).await?;
    let request = pb::RunPictureRequest {
        peers: names.to_vec(),
        form: "statistics".to_owned(),
        purpose: PURPOSE.to_owned(),
        case_reference: CASE.to_owned(),
        reason: "benchmark with made-up items".to_owned(),
        order: ORDER.to_owned(),
        keep_days: 1,
        ..pb::RunPictureRequest::default()
    };
    let started = Instant::now();
    let (made, phases) = picture::lead(&mut analyst, request, &Output::quiet()).await?;
    let wall_seconds = started.elapsed().as_secs_f64();
    check(&made, args, common)?;

    let mut nodes = Vec::new();
    for ((agency, operator), before) in fleet.agencies().iter().zip(&mut operators).zip(&before) {
        let pid = agency.pid().map_err(Failure::internal)?;
        let after = Reading::take(pid, operator).await?;
        nodes.push(Node {
            cpu_seconds: after.cpu_seconds - before.cpu_seconds,
            bytes_sent: after.bytes_sent - before.bytes_sent,
            peak_memory_bytes: process::peak_memory(pid).map_err(Failure::internal)?,
            memory_before_bytes: before.memory,
        });
    }
    let coordinator = nodes.remove(0);
    let count = nodes.len() as f64;
    let participant = Node {
        cpu_seconds: nodes.iter().map(|node| node.cpu_seconds).sum::<f64>() / count,
        bytes_sent: (nodes.iter().map(|node| node.bytes_sent).sum::<u64>() as f64 / count) as u64,
        peak_memory_bytes: nodes
            .iter()
            .map(|node| node.peak_memory_bytes)
            .max()
            .unwrap_or_default(),
        memory_before_bytes: nodes
            .iter()
            .map(|node| node.memory_before_bytes)
            .max()
            .unwrap_or_default(),
    };
    let formula = formula(&unit_costs_us, args.agencies);
    Ok(Shape {
        agencies: args.agencies.into(),
        items: args.items.into(),
        common: common.into(),
        wall_seconds,
        phases: seconds(&phases, wall_seconds),
        items_per_second: f64::from(args.items) / wall_seconds,
        coordinator,
        ratio: participant.cpu_seconds / f64::from(args.items) * 1e6 / formula,
        participant,
        formula_us_per_item: formula,
        unit_costs_us,
        hardware: Hardware::here(),
    })
}

/// Of each own item: blinding, adding the own share and unblinding, three multiplications and a decoding; and with each of the N-1 others a
/// multiplication and two decodings (one on each side), and three terms of the proofs' sums, each about a third of a multiplication.
fn formula(units: &UnitCosts, agencies: u16) -> f64 {
    let others = f64::from(agencies - 1);
    let multiply = units.multiply_in_batch;
    3.0 * multiply + units.decode + others * (2.0 * multiply + 2.0 * units.decode)
}

fn seconds(phases: &Phases, wall_seconds: f64) -> PhaseSeconds {
    let sending = phases.get("sending").copied().unwrap_or(wall_seconds);
    PhaseSeconds {
        evaluating: sending,
        sending: phases.get("done").map_or(0.0, |done| (done - sending).max(0.0)),
    }
}

fn check(made: &Picture, args: &Args, common: u32) -> Result<(), Failure> {
    let kind = made.kinds.first().ok_or_else(|| anyhow!("the picture is empty"));
    let kind = kind.map_err(Failure::internal)?;
    let pairs = u64::from(args.agencies - 1) * u64::from(common);
    let unique = u64::from(args.agencies) * u64::from(args.items) - pairs;
    // where agencies share more than half with the next, some items have three holders
    let shared = if args.overlap <= 0.5 { pairs } else { kind.shared() };
    if (kind.unique, kind.shared()) == (Some(unique), shared) {
        return Ok(());
    }
    Err(Failure::internal(anyhow!(
        "the picture has {:?} unique and {} shared, not {unique} and {shared}",
        kind.unique,
        kind.shared()
    )))
}

fn print(out: &mut dyn io::Write, shape: &Shape) -> io::Result<()> {
    writeln!(out, "{}", shape.hardware)?;
    writeln!(
        out,
        "{} agencies with {} items each, {} of which each shares with the next; one more leads",
        shape.agencies,
        grouped(shape.items),
        grouped(shape.common)
    )?;
    writeln!(
        out,
        "{:.2} s, {} own items/s and node; until the last list began {:.2} s, until it was complete {:.2} s more",
        shape.wall_seconds,
        grouped(shape.items_per_second as u64),
        shape.phases.evaluating,
        shape.phases.sending
    )?;
    let mebibytes = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let mut nodes = table(["node", "CPU s", "bytes sent", "peak memory", "memory before"]);
    for (name, node) in [("coordinator", &shape.coordinator), ("participant", &shape.participant)] {
        nodes.add_row([
            name.to_owned(),
            format!("{:.2}", node.cpu_seconds),
            grouped(node.bytes_sent),
            mebibytes(node.peak_memory_bytes),
            mebibytes(node.memory_before_bytes),
        ]);
    }
    writeln!(out, "{nodes}")?;
    writeln!(
        out,
        "a participant's CPU is {:.2} times what the formula says with this run's unit costs: {:.1} µs per own item",
        shape.ratio, shape.formula_us_per_item
    )
}
