//! Everything that has to pass before a change goes in.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Result, bail};

use crate::metadata::Metadata;
use crate::{cargo, tidy};

/// Runs the steps in order, up to the first that fails.
pub(crate) fn run(metadata: &Metadata) -> Result<()> {
    let start = Instant::now();
    command("format", cargo(&metadata.root).args(["fmt", "--all", "--", "--check"]))?;
    step("tidy", || tidy::run(metadata))?;
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    command("clippy", cargo(&metadata.root).args(clippy))?;
    // the integration tests run the real binaries, which `cargo test` does not build for them
    command(
        "build",
        cargo(&metadata.root).args(["build", "--workspace", "--bins", "--locked"]),
    )?;
    let test = ["test", "--workspace", "--locked"];
    command(
        "test",
        cargo(&metadata.root)
            .args(test)
            .env("OVERLAP_BIN_DIR", metadata.bin_dir()),
    )?;
    let doc = ["doc", "--no-deps", "--workspace", "--locked"];
    command(
        "doc",
        cargo(&metadata.root).args(doc).env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    deny(metadata)?;
    println!("ci: all passed in {}", seconds(start));
    Ok(())
}

/// Licences, sources and banned crates; advisories are left out, as they need the network.
fn deny(metadata: &Metadata) -> Result<()> {
    if !works(cargo(&metadata.root).args(["deny", "--version"])) {
        println!("ci: deny skipped: cargo-deny is not installed (`cargo install --locked cargo-deny`)");
        return Ok(());
    }
    command(
        "deny",
        cargo(&metadata.root).args(["deny", "check", "bans", "licenses", "sources"]),
    )
}

/// True when `command` runs and succeeds; its output is not shown.
pub(crate) fn works(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn command(name: &str, command: &mut Command) -> Result<()> {
    step(name, || {
        let status = command.status()?;
        if !status.success() {
            bail!("{status}");
        }
        Ok(())
    })
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("ci: {name} ...");
    let start = Instant::now();
    match work() {
        Ok(()) => {
            println!("ci: {name} passed in {}", seconds(start));
            Ok(())
        }
        Err(error) => bail!("ci: {name} FAILED after {}: {error:#}", seconds(start)),
    }
}

fn seconds(start: Instant) -> String {
    format!("{:.1} s", start.elapsed().as_secs_f64())
}
