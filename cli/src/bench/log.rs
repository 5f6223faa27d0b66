//! `overlap bench log`: what a log that can prove itself costs.

use std::{fs, io, path::PathBuf, time::Instant};

use anyhow::{Context as _, bail};
use overlap_audit::{Anchors, ExportReader, Proof, Wanted, prove_entry, verify};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::Hardware;
use crate::{
    client::Failure,
    fleet,
    output::{Output, grouped, table},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Queries to log, each with an opening and an end
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    entries: u64,
    /// Queries under way at a time
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=4000))]
    concurrent: u32,
    /// Directory on the disk to measure [default: the system's for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What the node's program measured; the names are those of its own output.
#[derive(Serialize, Deserialize)]
struct Node {
    entries: u64,
    concurrent: u64,
    seconds: f64,
    appends_per_second: f64,
    entries_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    bytes_per_append: f64,
    fsyncs_per_second: f64,
    fsync_p50_ms: f64,
    fsync_p99_ms: f64,
    rocksdb_batches_per_second: f64,
    rocksdb_rows_per_second: f64,
    search_ms: f64,
    proof_ms: f64,
    proof_bytes: u64,
}

#[derive(Serialize)]
struct Shape {
    #[serde(flatten)]
    node: Node,
    /// `p99_ms` over the median of one plain sync.
    p99_over_fsync: f64,
    /// Events whose leaf, place and root were checked per second, on one core, from the exported file.
    verify_per_second: f64,
    /// The same with every event read and every entry joined, as `overlap log verify` does.
    verify_entries_per_second: f64,
    /// Bytes of the export per event.
    export_bytes_per_event: f64,
    /// Checking one entry's proof.
    check_proof_ms: f64,
    hardware: Hardware,
}

pub(super) async fn run(args: Args, output: &mut Output) -> Result<(), Failure> {
    let shape = measure(&args, output).await.map_err(Failure::internal)?;
    output.print(&shape, |out| print(out, &shape))
}

async fn measure(args: &Args, output: &Output) -> anyhow::Result<Shape> {
    let bar = output.bar("{spinner} {msg}");
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar.set_message("appending, with the disk's own rate before it");
    let parent = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let directory = tempfile::Builder::new().prefix("overlap-bench-").tempdir_in(parent)?;
    let export = directory.path().join("export.log");
    let ran = Command::new(fleet::node_program()?)
        .arg("bench-log")
        .arg("--directory")
        .arg(directory.path())
        .args(["--entries", &args.entries.to_string()])
        .args(["--concurrent", &args.concurrent.to_string()])
        .arg("--export")
        .arg(&export)
        .kill_on_drop(true)
        .output()
        .await?;
    if !ran.status.success() {
        bail!("{}", String::from_utf8_lossy(&ran.stderr).trim());
    }
    let node: Node = serde_json::from_slice(&ran.stdout).context("the node's figures cannot be read")?;
    bar.set_message("verifying what was exported");
    let bytes = fs::metadata(&export)?.len();
    let open = || ExportReader::open(io::BufReader::with_capacity(1 << 20, fs::File::open(&export)?));
    let started = Instant::now();
    let leaves = verify(open()?.leaves_alone(), &Anchors::default(), &mut ())?;
    let alone = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let report = verify(open()?, &Anchors::default(), &mut ())?;
    let whole = started.elapsed().as_secs_f64();
    if !report.is_whole() || !leaves.is_whole() || report.entries != args.entries {
        bail!("the log that was written is not whole");
    }
    let proof: Proof = prove_entry(open, Wanted::Index(report.events / 3))?;
    let started = Instant::now();
    proof.check(Some(&report.key))?;
    let check_proof_ms = started.elapsed().as_secs_f64() * 1000.0;
    bar.finish_and_clear();
    Ok(Shape {
        p99_over_fsync: node.p99_ms / node.fsync_p50_ms,
        verify_per_second: report.events as f64 / alone,
        verify_entries_per_second: report.entries as f64 / whole,
        export_bytes_per_event: bytes as f64 / report.events as f64,
        check_proof_ms,
        node,
        hardware: Hardware::here(),
    })
}

fn print(out: &mut dyn io::Write, shape: &Shape) -> io::Result<()> {
    let node = &shape.node;
    writeln!(out, "{}", shape.hardware)?;
    writeln!(
        out,
        "{} queries, {} at a time, each with two events on disk before it goes on: {:.2} s",
        grouped(node.entries),
        grouped(node.concurrent),
        node.seconds
    )?;
    let whole = |number: f64| grouped(number.round() as u64);
    let mut rates = table(["durable writes", "per second", "half within ms", "99 % within ms"]);
    let ms = |number: f64| format!("{number:.2}");
    rates.add_row([
        "events of the log".to_owned(),
        whole(node.appends_per_second),
        ms(node.p50_ms),
        ms(node.p99_ms),
    ]);
    rates.add_row([
        "queries".to_owned(),
        whole(node.entries_per_second),
        String::new(),
        String::new(),
    ]);
    rates.add_row([
        "plain syncs of 4 KiB".to_owned(),
        whole(node.fsyncs_per_second),
        ms(node.fsync_p50_ms),
        ms(node.fsync_p99_ms),
    ]);
    rates.add_row([
        "RocksDB rows of 1 KiB, 1,024 to a sync".to_owned(),
        whole(node.rocksdb_rows_per_second),
        String::new(),
        String::new(),
    ]);
    writeln!(out, "{rates}")?;
    writeln!(
        out,
        "99 % of appends within {:.1} times one plain sync",
        shape.p99_over_fsync
    )?;
    let mut checks = table(["reading", "figure"]);
    let rows = [
        ("events verified per second, one core", whole(shape.verify_per_second)),
        (
            "entries verified and joined per second, one core",
            whole(shape.verify_entries_per_second),
        ),
        ("bytes on disk per event", whole(node.bytes_per_append)),
        ("bytes of the export per event", whole(shape.export_bytes_per_event)),
        ("search by person and case, ms", ms(node.search_ms)),
        ("inclusion proof, bytes", grouped(node.proof_bytes)),
        ("inclusion proof, ms to make", ms(node.proof_ms)),
        ("proof of an entry, ms to check", ms(shape.check_proof_ms)),
    ];
    for (name, figure) in rows {
        checks.add_row([name.to_owned(), figure]);
    }
    writeln!(out, "{checks}")
}
