//! `overlap log reconcile`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::anyhow;
use overlap_audit::{Reconciled, reconcile};
use overlap_proto::plain;

use super::{check, files};
use crate::{
    client::Failure,
    output::{Output, grouped, table},
};

#[derive(clap::Args)]
#[command(
    after_help = "Each log's key is taken from --key-a and --key-b, or from what the other log says of it.\nExit code 6: a log is not whole, or they do not agree."
)]
pub(crate) struct Args {
    /// What `overlap log export` wrote at one agency
    a: PathBuf,
    /// And at the other
    b: PathBuf,
    /// Verifier key of the first log, or a file with it
    #[arg(long, value_name = "KEY|FILE")]
    key_a: Option<String>,
    /// Verifier key of the second
    #[arg(long, value_name = "KEY|FILE")]
    key_b: Option<String>,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<(), Failure> {
    let bar = files::bar(output);
    let paths = [&args.a, &args.b];
    for path in paths {
        // so that an error names the file
        files::open(path, &bar).map_err(files::unreadable(path))?;
    }
    let keys = [&args.key_a, &args.key_b].map(|given| given.as_deref().map(files::key).transpose());
    let [key_a, key_b] = keys;
    let reconciled = reconcile(|which| files::open(paths[which], &bar), [key_a?, key_b?])
        .map_err(|error| Failure::usage(anyhow!(error)))?;
    bar.finish_and_clear();
    output.print(&reconciled, |out| tell(out, &reconciled))?;
    match reconciled.is_agreed() {
        true => Ok(()),
        false => Err(check::not_whole(anyhow!("the logs do not tell the same story"))),
    }
}

/// The verdict in a few lines, for who does not want each log's figures.
pub(crate) fn summary(reconciled: &Reconciled) -> String {
    let [one, other] = reconciled.logs.each_ref();
    let witnessed = one.witnessed.iter().chain(&other.witnessed).count();
    format!(
        "{} events of {} and {} of {}: {}. Heads were countersigned by peers {witnessed} times.\n\
         {} queries between the two are in both logs and tell the same story; {} events are as the receipts say.",
        grouped(one.events),
        one.agency,
        grouped(other.events),
        other.agency,
        match one.is_whole() && other.is_whole() {
            true => "both logs are whole",
            false => "a log is NOT whole",
        },
        grouped(reconciled.agreed),
        grouped(reconciled.receipts_held),
    )
}

fn tell(out: &mut dyn Write, reconciled: &Reconciled) -> io::Result<()> {
    for report in &reconciled.logs {
        check::tell(out, report)?;
    }
    writeln!(
        out,
        "{} queries between the two are in both logs and agree; {} events are as their receipts say.",
        grouped(reconciled.agreed),
        grouped(reconciled.receipts_held)
    )?;
    for remark in &reconciled.remarks {
        writeln!(out, "note: {}", plain(remark))?;
    }
    for found in &reconciled.discrepancies {
        let index = |index: Option<u64>| index.map_or("-".to_owned(), |index| index.to_string());
        writeln!(
            out,
            "WRONG: query {} (index {} and {}): {}",
            found.transaction,
            index(found.indexes[0]),
            index(found.indexes[1]),
            plain(&found.what)
        )?;
        if !found.fields.is_empty() {
            let [one, other] = reconciled.logs.each_ref().map(|report| report.agency.as_str());
            let mut fields = table(["field", one, other]);
            for field in &found.fields {
                let value = |at: usize| field.values[at].as_deref().map_or("(missing)".to_owned(), plain);
                fields.add_row([field.field.to_owned(), value(0), value(1)]);
            }
            writeln!(out, "{fields}")?;
        }
    }
    if reconciled.more_remarks > 0 {
        writeln!(out, "note: and {} more", grouped(reconciled.more_remarks))?;
    }
    if reconciled.more_discrepancies > 0 {
        writeln!(out, "WRONG: and {} more", grouped(reconciled.more_discrepancies))?;
    }
    match reconciled.is_agreed() {
        true => writeln!(out, "Both logs are whole and tell the same story."),
        false => writeln!(out, "The logs do NOT tell the same story."),
    }
}
