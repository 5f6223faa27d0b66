//! Runs the fuzz targets, one after the other.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::ci::works;

/// Fuzzes each target for `args[0]` seconds, or 60.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    let seconds: u32 = match args {
        [] => 60,
        [seconds] => seconds
            .parse()
            .with_context(|| format!("not a number of seconds: {seconds}"))?,
        _ => bail!("usage: cargo xtask fuzz [seconds]"),
    };
    if !works(nightly(root).args(["cargo", "--version"])) {
        bail!("fuzzing needs nightly Rust: rustup toolchain install nightly");
    }
    if !works(nightly(root).args(["cargo", "fuzz", "--version"])) {
        bail!("fuzzing needs cargo-fuzz: cargo install --locked cargo-fuzz");
    }
    let targets = targets(root)?;
    if targets.is_empty() {
        bail!("there are no targets in fuzz/fuzz_targets");
    }
    for target in targets {
        println!("fuzz: {target} for {seconds} s");
        let limit = format!("-max_total_time={seconds}");
        let status = nightly(root)
            .args(["cargo", "fuzz", "run", &target, "--", &limit])
            .status()?;
        if !status.success() {
            bail!("fuzz: {target} FAILED; the input is in fuzz/artifacts/{target}");
        }
    }
    Ok(())
}

fn nightly(root: &Path) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly"]).current_dir(root);
    command
}

fn targets(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}
