//! `overlap log reconcile`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use anyhow::anyhow;
use overlap_audit::{Anchors, Reconciled, reconcile};

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
    let headers = paths.map(|path| files::open(path, &bar).map(|export| export.header().clone()));
    let [a, b] = headers;
    let headers = [
        a.map_err(files::unreadable(&args.a))?,
        b.map_err(files::unreadable(&args.b))?,
    ];
    let anchors = |own: usize, given: Option<&String>| {
        let peers = &headers[1 - own].peers;
        let told = peers.iter().find(|peer| peer.agency == headers[own].agency);
        Ok::<_, Failure>(Anchors {
            key: match given {
                Some(text) => Some(files::key(text)?),
                None => told.map(|peer| peer.log.clone()),
            },
            cosigners: headers[own]
                .peers
                .iter()
                .map(|peer| (peer.agency.clone(), peer.cosigner.clone()))
                .collect(),
            checkpoint: None,
        })
    };
    let anchors = [anchors(0, args.key_a.as_ref())?, anchors(1, args.key_b.as_ref())?];
    let reconciled = reconcile(|which| files::open(paths[which], &bar), [&anchors[0], &anchors[1]])
        .map_err(|error| Failure::usage(anyhow!(error)))?;
    bar.finish_and_clear();
    output.print(&reconciled, |out| tell(out, &reconciled))?;
    match reconciled.is_agreed() {
        true => Ok(()),
        false => Err(check::not_whole(anyhow!("the logs do not tell the same story"))),
    }
}

pub(crate) fn tell(out: &mut dyn Write, reconciled: &Reconciled) -> io::Result<()> {
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
        writeln!(out, "note: {remark}")?;
    }
    for found in &reconciled.discrepancies {
        let index = |index: Option<u64>| index.map_or("-".to_owned(), |index| index.to_string());
        writeln!(
            out,
            "WRONG: query {} (index {} and {}): {}",
            found.transaction,
            index(found.indexes[0]),
            index(found.indexes[1]),
            found.what
        )?;
        if !found.fields.is_empty() {
            let [one, other] = reconciled.logs.each_ref().map(|report| report.agency.as_str());
            let mut fields = table(["field", one, other]);
            for field in &found.fields {
                let value = |at: usize| field.values[at].clone().unwrap_or_else(|| "(missing)".to_owned());
                fields.add_row([field.field.to_owned(), value(0), value(1)]);
            }
            writeln!(out, "{fields}")?;
        }
    }
    if reconciled.more_discrepancies > 0 {
        writeln!(out, "WRONG: and {} more", grouped(reconciled.more_discrepancies))?;
    }
    match reconciled.is_agreed() {
        true => writeln!(out, "Both logs are whole and tell the same story."),
        false => writeln!(out, "The logs do NOT tell the same story."),
    }
}
