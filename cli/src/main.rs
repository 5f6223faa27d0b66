//! `overlap`: the command line of Overlap.

mod action;
mod agreement;
mod approval;
mod bench;
mod client;
mod dataset;
mod demo;
mod files;
mod fleet;
mod hits;
mod log;
mod matching;
mod order;
mod output;
mod picture;
mod pki;
mod policy;
mod process;
mod profile;
mod settings;
mod status;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use client::Failure;
use output::Output;
use settings::Connection;

/// Find out what agencies that may not pool their data have in common.
///
/// Each agency runs a node (overlap-node) beside its own records. This command talks to your own agency's node: it loads records, asks
/// peers for matches, and reads the log that both sides keep of every query.
#[derive(Parser)]
#[command(name = "overlap", version, about, after_help = HELP)]
struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Print JSON for machines instead of tables; the shapes are in docs/json.md
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const HELP: &str = "\
To see all of it at work: overlap demo

Exit codes: 0 done, 1 internal fault, 2 wrong usage or input, 3 refused, 4 unreachable,
5 not importable (dataset import --check), 6 a log or a proof does not hold (log verify, check, reconcile).";

#[derive(Subcommand)]
enum Command {
    /// Show who your node is, whom it knows and what it holds
    Status,
    /// Load, list and erase the datasets of your node
    #[command(subcommand)]
    Dataset(dataset::Command),
    /// Ask a peer what your dataset has in common with its
    Match(matching::Args),
    /// See what many agencies have in common, and follow up what they share
    #[command(subcommand)]
    Picture(picture::Command),
    /// Check persons and things live at many agencies at once: Joint Action Days, watch lists, joint teams
    #[command(subcommand)]
    Action(action::Command),
    /// Approve queries of other users, where your agency wants two people to look
    #[command(subcommand)]
    Approval(approval::Command),
    /// Agree with other agencies on who may ask whom what; see and end what was agreed
    #[command(subcommand)]
    Agreement(agreement::Command),
    /// Draft, sign and take in orders of a competent authority
    #[command(subcommand)]
    Order(order::Command),
    /// Check your node's local policy, and see which rule allows or denies something
    #[command(subcommand)]
    Policy(policy::Command),
    /// See the rules that decide what is compared, and what a value becomes under them
    #[command(subcommand)]
    Profile(profile::Command),
    /// See what matches found, ask or decide on what is behind it, and tell the units whose records led to it
    #[command(subcommand)]
    Hits(hits::Command),
    /// Read the log of your node; check logs that were taken away, without any node
    #[command(subcommand)]
    Log(log::Command),
    /// Make the keys and certificates that nodes and users know each other by
    #[command(subcommand)]
    Pki(pki::PkiCommand),
    /// Run four agencies on this machine and match their made-up exports
    Demo(demo::Args),
    /// Measure, with the cost of the bare operations beside it
    #[command(subcommand)]
    Bench(bench::Command),
    /// Print a completion script for your shell
    ///
    /// For bash: overlap completions bash > /etc/bash_completion.d/overlap
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    let Args {
        connection,
        json,
        command,
    } = Args::parse();
    let mut output = Output::new(json);
    match run(connection, command, &mut output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(connection: Connection, command: Command, output: &mut Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::internal)?;
    match command {
        Command::Status => runtime.block_on(status::run(connection.check()?, output)),
        Command::Dataset(command) => runtime.block_on(dataset::run(connection, command, output)),
        Command::Match(args) => runtime.block_on(matching::run(connection.check()?, args, output)),
        Command::Picture(command) => runtime.block_on(picture::run(connection, command, output)),
        Command::Action(command) => runtime.block_on(action::run(connection, command, output)),
        Command::Approval(command) => runtime.block_on(approval::run(connection.check()?, command, output)),
        Command::Agreement(command) => runtime.block_on(agreement::run(connection, command, output)),
        Command::Order(command) => runtime.block_on(order::run(connection, command, output)),
        Command::Policy(command) => runtime.block_on(policy::run(connection.check()?, command, output)),
        Command::Profile(command) => profile::run(command, output),
        Command::Hits(command) => runtime.block_on(hits::run(connection.check()?, command, output)),
        Command::Log(command) => runtime.block_on(log::run(connection, command, output)),
        Command::Demo(args) => runtime.block_on(demo::run(args, output)),
        Command::Bench(command) => runtime.block_on(bench::run(command, output)),
        Command::Pki(command) => {
            let json = output.json();
            pki::run(command, json, output.writer()).map_err(Failure::usage)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "overlap", &mut script);
            output.writer().write_all(&script).map_err(Failure::internal)
        }
    }
}
