//! `overlap-node`: one agency's server.

use std::time::Duration;
use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;
use overlap_node::{config::Config, server, telemetry};

/// One agency's Overlap node: answers peers and its own users over mutual TLS, and logs every query.
#[derive(Parser)]
#[command(name = "overlap-node", version, about, after_help = HELP, subcommand_negates_reqs = true)]
struct Args {
    /// Configuration file (TOML); paths in it are relative to it.
    #[arg(long, value_name = "FILE", env = "OVERLAP_NODE_CONFIG", required = true)]
    config: Option<PathBuf>,
    /// Check the configuration and every file that it names, explain it, and end.
    #[arg(long)]
    check: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// The node's part of `overlap bench log`, which knows no RocksDB.
    #[command(hide = true)]
    BenchLog {
        #[arg(long)]
        directory: PathBuf,
        #[arg(long)]
        entries: u64,
        #[arg(long)]
        concurrent: usize,
        #[arg(long)]
        export: PathBuf,
    },
}

const HELP: &str = "\
When it listens, it prints one line to standard output:
  ready name=NAME peer=ADDRESS operator=ADDRESS
SIGTERM and SIGINT drain and stop it, SIGHUP reads certificates and revocation lists again.

Exit codes: 0 stopped or checked, 1 failed, 2 wrong flags, 3 wrong configuration.";

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(Command::BenchLog {
        directory,
        entries,
        concurrent,
        export,
    }) = args.command
    {
        let figures = overlap_store::bench::log(&directory, entries, concurrent, &export);
        return match figures.map(|figures| serde_json::to_string(&figures)) {
            Ok(Ok(json)) if writeln!(io::stdout(), "{json}").is_ok() => ExitCode::SUCCESS,
            Ok(_) => ExitCode::FAILURE,
            Err(error) => fail(&error, 1),
        };
    }
    let path = args.config.unwrap_or_default();
    let config = match Config::load(&path) {
        Ok(config) => config,
        Err(error) => return fail(&error, 3),
    };
    if args.check {
        return match config.read_data_key() {
            Ok(_) => explain(&config),
            Err(error) => fail(&error, 3),
        };
    }
    if let Err(error) = telemetry::init(&config.log) {
        return fail(&error, 3);
    }
    // where, and not what: the words of a panic may quote a value
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panicked");
    }));
    // messages take half of the cores: what is heavy is on the CPU pool, and each thread more wakes others for nothing
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = match builder.worker_threads(cores.div_ceil(2)).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, 1),
    };
    let served = runtime.block_on(server::serve(config, |config, ready| {
        let line = format!(
            "ready name={} peer={} operator={}\n",
            config.name, ready.peer, ready.operator
        );
        // whoever waits for the line and is gone does not stop the node
        let _ = io::stdout()
            .write_all(line.as_bytes())
            .and_then(|()| io::stdout().flush());
    }));
    // Tasks let go of the store before the process ends: RocksDB aborts when it is closed while the process is taken apart. Work on
    // blocking threads that the drain gave up on must not hold up the end for longer.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ server::ServeError::Config(_)) => fail(&error, 3),
        Err(error) => fail(&error, 1),
    }
}

fn explain(config: &Config) -> ExitCode {
    let mut out = io::stdout().lock();
    for line in config.explain() {
        if writeln!(out, "{line}").is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "overlap-node: {error}");
    ExitCode::from(code)
}
