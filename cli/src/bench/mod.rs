//! `overlap bench`.

mod action;
mod import;
mod load;
mod log;
mod network;
mod picture;
mod pure;
mod units;

use std::{fmt, io};

use overlap_psi::dh::Mode;
use serde::Serialize;

use crate::{
    client::Failure,
    output::{Output, grouped, table},
    process,
};
use units::UnitCosts;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Measure a match: the pure protocol on one core, then between two real nodes over loopback TLS
    #[command(after_help = "Example:\n  overlap bench match --size 65536 --overlap 0.1 --mode hits --json")]
    Match(Args),
    /// Measure a picture of many agencies, each with a node of its own on this machine
    #[command(after_help = "Example:\n  overlap bench picture --agencies 4 --items 100000 --json")]
    Picture(picture::Args),
    /// Measure checks of an action: one node asks many partners on this machine, then one of them alone at saturation
    #[command(after_help = "Example:\n  overlap bench action --partners 10 --items 1000000 --rate 50 --json")]
    Action(action::Args),
    /// Measure an import: normalisation and hashing on one core, then end to end into a real node
    #[command(after_help = "Example:\n  overlap bench import --rows 1000000 --json")]
    Import(import::Args),
    /// Measure the log: durable appends beside the disk's own rate, then verifying what was written
    #[command(after_help = "Example:\n  overlap bench log --entries 200000 --concurrent 1000 --json")]
    Log(log::Args),
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Items per side
    #[arg(long, default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    size: u32,
    /// Items of the holder, where they should differ in number [default: as --size]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    holder_size: Option<u32>,
    /// Share of the asker's items that the holder has too, 0 to 1
    #[arg(long, default_value_t = 0.1, value_parser = parse_share)]
    overlap: f64,
    /// hits or count
    #[arg(long, default_value = "hits", value_parser = ["hits", "count"])]
    mode: String,
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("must be 0 to 1".into()),
    }
}

/// What the benchmark measures, in JSON.
#[derive(Serialize)]
struct Shape {
    mode: String,
    /// Items of the asker.
    items: u64,
    holder_items: u64,
    /// Items that both hold.
    common: u64,
    /// Of the match over the network.
    wall_seconds: f64,
    /// Items of both sides per second of the match over the network.
    items_per_second: f64,
    parties: Vec<Party>,
    pure: Pure,
    /// Two multiplications and one hash to the group, as measured in this run: what ratios are over.
    budget_us_per_item: f64,
    unit_costs_us: UnitCosts,
    hardware: Hardware,
}

/// What the match over the network took from one party's node process.
#[derive(Serialize)]
struct Party {
    party: &'static str,
    items: u64,
    cpu_seconds: f64,
    /// CPU per own item over the budget: protocol, store, log, gRPC and TLS together.
    ratio: f64,
    bytes_sent: u64,
    /// Of the whole process, during the match.
    peak_memory_bytes: u64,
    /// Of the whole process, before the match.
    memory_before_bytes: u64,
    /// Loading the items: normalising, hashing to the group, sealing, writing.
    import_seconds: f64,
}

/// The protocol alone, in this process, on one core.
#[derive(Serialize)]
struct Pure {
    wall_seconds: f64,
    parties: Vec<PureParty>,
}

#[derive(Serialize)]
struct PureParty {
    party: &'static str,
    cpu_seconds: f64,
    /// Hashing the own set to the group: done once, at import.
    import_cpu_seconds: f64,
    /// Of the match, per own item.
    us_per_item: f64,
    /// The same over the budget.
    ratio: f64,
    /// With the hash to the group, as if this were the only match that the import serves.
    ratio_with_import: f64,
}

#[derive(Serialize)]
struct Hardware {
    processor: String,
    cores: usize,
}

impl Hardware {
    fn here() -> Self {
        Self {
            processor: process::processor(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

impl fmt::Display for Hardware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} cores", self.processor, self.cores)
    }
}

pub(crate) async fn run(command: Command, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Match(args) => bench_match(args, output).await,
        Command::Picture(args) => picture::run(args, output).await,
        Command::Action(args) => action::run(args, output).await,
        Command::Import(args) => import::run(args, output).await,
        Command::Log(args) => log::run(args, output).await,
    }
}

async fn bench_match(args: Args, output: &mut Output) -> Result<(), Failure> {
    let sizes = Sizes::new(&args);
    let mode = if args.mode == "hits" { Mode::Hits } else { Mode::Count };
    let bar = output.bar("{spinner} {msg}");
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar.set_message("unit costs");
    let unit_costs_us = units::measure().map_err(Failure::internal)?;
    bar.set_message("the pure protocol on one core");
    let pure = pure::run(mode, &sizes, &unit_costs_us).map_err(Failure::internal)?;
    let network = network::run(&args.mode, &sizes, &unit_costs_us, &bar).await?;
    bar.finish_and_clear();
    let hardware = Hardware::here();
    let shape = Shape {
        mode: args.mode,
        items: sizes.asker.into(),
        holder_items: sizes.holder.into(),
        common: sizes.common.into(),
        wall_seconds: network.wall_seconds,
        items_per_second: (u64::from(sizes.asker) + u64::from(sizes.holder)) as f64 / network.wall_seconds,
        parties: network.parties,
        pure,
        budget_us_per_item: unit_costs_us.budget(),
        unit_costs_us,
        hardware,
    };
    output.print(&shape, |out| print(out, &shape))
}

/// How many items each side has, and how many of them both.
#[derive(Clone, Copy)]
struct Sizes {
    asker: u32,
    holder: u32,
    common: u32,
}

impl Sizes {
    fn new(args: &Args) -> Self {
        let holder = args.holder_size.unwrap_or(args.size);
        let common = ((f64::from(args.size) * args.overlap).round() as u32).min(holder);
        Self {
            asker: args.size,
            holder,
            common,
        }
    }

    /// The numbers that stand for the items of each side: the asker's, then the holder's.
    fn items(&self) -> [std::ops::Range<u32>; 2] {
        let start = self.asker - self.common;
        [0..self.asker, start..start + self.holder]
    }
}

fn print(out: &mut dyn io::Write, shape: &Shape) -> io::Result<()> {
    writeln!(out, "{}", shape.hardware)?;
    writeln!(
        out,
        "{} items asked of {} held, {} in common, mode {}",
        grouped(shape.items),
        grouped(shape.holder_items),
        grouped(shape.common),
        shape.mode
    )?;
    let mut units = table(["operation", "µs on one core"]);
    for (name, cost) in shape.unit_costs_us.named() {
        units.add_row([name.to_owned(), format!("{cost:.2}")]);
    }
    writeln!(out, "\n{units}")?;
    let budget = shape.budget_us_per_item;
    writeln!(
        out,
        "ratios are over 2 multiplications + 1 hash to the group: {budget:.1} µs per item and side\n"
    )?;
    writeln!(out, "The protocol alone, on one core: {:.2} s", shape.pure.wall_seconds)?;
    let mut pure = table([
        "party",
        "CPU s",
        "µs per item",
        "ratio",
        "hash to group s",
        "ratio with it",
    ]);
    for party in &shape.pure.parties {
        pure.add_row([
            party.party.to_owned(),
            format!("{:.2}", party.cpu_seconds),
            format!("{:.1}", party.us_per_item),
            format!("{:.2}", party.ratio),
            format!("{:.2}", party.import_cpu_seconds),
            format!("{:.2}", party.ratio_with_import),
        ]);
    }
    writeln!(out, "{pure}\n")?;
    writeln!(
        out,
        "Between two nodes over loopback TLS: {:.2} s, {} items/s",
        shape.wall_seconds,
        grouped(shape.items_per_second as u64)
    )?;
    let mut parties = table([
        "party",
        "CPU s",
        "ratio",
        "bytes sent",
        "peak memory",
        "memory before",
        "import s",
    ]);
    for party in &shape.parties {
        let mebibytes = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        parties.add_row([
            party.party.to_owned(),
            format!("{:.2}", party.cpu_seconds),
            format!("{:.2}", party.ratio),
            grouped(party.bytes_sent),
            mebibytes(party.peak_memory_bytes),
            mebibytes(party.memory_before_bytes),
            format!("{:.1}", party.import_seconds),
        ]);
    }
    writeln!(out, "{parties}")
}
