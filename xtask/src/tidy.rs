//! The project's own rules, which no other tool checks. Each finding says where and what.

mod crates;
mod docs;
mod files;
mod sources;

use std::fmt;

use anyhow::{Result, bail};

use crate::metadata::Metadata;
use crate::tidy::files::File;

/// Something to put right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// From the top of the workspace.
    path: String,
    /// From 1.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Runs every check and prints every finding; fails when there is one.
pub(crate) fn run(metadata: &Metadata) -> Result<()> {
    let files = files::read(&metadata.root, metadata.target())?;
    let findings = check(metadata, &files);
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => bail!("tidy: 1 finding"),
        number => bail!("tidy: {number} findings"),
    }
}

fn check(metadata: &Metadata, files: &[File]) -> Vec<Finding> {
    let mut findings = crates::dependency_line(metadata, files);
    findings.extend(crates::banned(files));
    for file in files {
        findings.extend(sources::home_paths(file));
        if file.path.ends_with(".rs") {
            findings.extend(sources::length(file));
            findings.extend(sources::leftovers(file));
            findings.extend(sources::unwraps(file));
        }
        if file.path.ends_with(".md") {
            findings.extend(docs::links(&metadata.root, file));
        }
    }
    findings.extend(docs::commands(files));
    findings.sort();
    findings
}
