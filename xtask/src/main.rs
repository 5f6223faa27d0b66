//! The project's chores: `cargo xtask --help`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people, whose output is its terminal"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod ci;
mod fuzz;
mod linkage;
mod metadata;
mod tidy;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::metadata::Metadata;

const HELP: &str = "\
usage: cargo xtask <command>

  ci              everything that has to pass: format, tidy, lints, build, tests, docs, licences
  tidy            the project's own rules: dependencies, sources, docs
  demo [args]     build the node and the command line, then run `overlap demo [args]`
  linkage [args]  measure how well persons are matched on public test data; `--plain`, `--json`, `--data DIR`, `--profile FILE`
  fuzz [seconds]  run every fuzz target for so long (60), with cargo-fuzz on nightly
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let (command, rest) = match args {
        [] => ("help", args),
        [command, rest @ ..] => (command.as_str(), rest),
    };
    // the demo has options of its own, `--help` among them
    let asks_for_help = command != "demo" && rest.iter().any(|arg| arg == "--help" || arg == "-h");
    if asks_for_help || ["help", "--help", "-h"].contains(&command) {
        print!("{HELP}");
        return Ok(());
    }
    if let ("ci" | "tidy", [unknown, ..]) = (command, rest) {
        bail!("`{command}` takes no arguments, but got `{unknown}`");
    }
    let metadata = Metadata::load()?;
    match command {
        "ci" => ci::run(&metadata),
        "tidy" => tidy::run(&metadata),
        "demo" => demo(&metadata, rest),
        "linkage" => linkage::run(&metadata.root, rest),
        "fuzz" => fuzz::run(&metadata.root, rest),
        _ => bail!("no such command: {command}\n\n{HELP}"),
    }
}

/// Builds what the demo runs and becomes it.
fn demo(metadata: &Metadata, args: &[String]) -> Result<()> {
    let build = cargo(&metadata.root)
        .args(["build", "--locked", "-p", "overlap", "-p", "overlap-node"])
        .status()?;
    if !build.success() {
        bail!("the build failed");
    }
    let overlap = metadata.bin_dir().join("overlap");
    let error = Command::new(&overlap).arg("demo").args(args).exec();
    Err(error).with_context(|| format!("cannot run {}", overlap.display()))
}

/// The cargo that started this program, in `root`.
fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}
