//! `overlap log verify`, `prove` and `check`: an auditor's work, without any node.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::anyhow;
use overlap_audit::{
    Digest, Entry, InputProof, InputSalt, Logged, Outcome, Proof, ProofError, Proved, Report, Visitor, Vouched, Wanted,
    prove_entry, prove_growth,
};
use overlap_proto::plain;
use overlap_psi::{Item, Stored};
use overlap_records::{Identifier, Kind, Profile};
use serde::Serialize;
use uuid::Uuid;

use super::files::{self, Keys};
use crate::{
    client::{Failure, Kind as FailureKind},
    files::replace_secret,
    output::{Output, grouped, table},
};

#[derive(clap::Args)]
#[command(after_help = "Exit code 6: something is wrong with the log; what, and at which event, is printed.")]
pub(crate) struct VerifyArgs {
    /// What `overlap log export` wrote
    file: PathBuf,
    #[command(flatten)]
    keys: Keys,
}

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  overlap log prove politie.log --entry 01a20967-762f-77c7-85ac-397a3a5dd227 --out proof.json\n  overlap log prove politie.log --since checkpoint-of-january --out growth.json"
)]
pub(crate) struct ProveArgs {
    /// What `overlap log export` wrote
    file: PathBuf,
    #[command(flatten)]
    what: What,
    /// Where to write the proof [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The entry with this id, or of this transaction
    #[arg(long, value_name = "ID")]
    entry: Option<Uuid>,
    /// The event at this index, and the rest of its entry
    #[arg(long, value_name = "N")]
    index: Option<u64>,
    /// That the log only grew since this checkpoint, which is in a file
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
}

#[derive(clap::Args)]
#[command(after_help = "Exit code 6: the proof does not hold.")]
pub(crate) struct CheckArgs {
    /// What `overlap log prove` or `overlap log open` wrote
    proof: PathBuf,
    /// The log's verifier key, or a file with it; without it the proof vouches for itself
    #[arg(long, value_name = "KEY|FILE")]
    log_key: Option<String>,
    /// For a proof of `overlap log open`: a log that has the query, the asker's or the holder's, whose commitment it must fit
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// For the same: the profile, where it is not the one built in
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
}

pub(super) fn verify(args: &VerifyArgs, output: &mut Output) -> Result<(), Failure> {
    let bar = files::bar(output);
    let unreadable = files::unreadable(&args.file);
    let export = files::open(&args.file, &bar).map_err(&unreadable)?;
    let anchors = args.keys.anchors()?;
    let report = overlap_audit::verify(export, &anchors, &mut ()).map_err(&unreadable)?;
    bar.finish_and_clear();
    output.print(&report, |out| tell(out, &report))?;
    match report.is_whole() {
        true => Ok(()),
        false => Err(not_whole(anyhow!("the log of {} is not whole", report.agency))),
    }
}

/// What is wrong with a log or a proof, in one word for machines.
pub(super) fn not_whole(error: anyhow::Error) -> Failure {
    Failure::new(FailureKind::NotWhole, error)
}

pub(super) fn tell(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    writeln!(out, "log of {}", report.agency)?;
    writeln!(
        out,
        "  {} events, {} entries, {} shredded, {} open; root {}",
        grouped(report.events),
        grouped(report.entries),
        grouped(report.shredded),
        grouped(report.open.len() as u64),
        report.root
    )?;
    let vouched = match report.key_vouched {
        Vouched::Given => "the key that you gave",
        Vouched::ByTheOther => "the key that the other log has for it",
        Vouched::ByItself => "the key that the file names itself: give --log-key to be sure whose it is",
    };
    writeln!(out, "  signed with {vouched}\n    {}", report.key)?;
    let mut witnesses = table(["countersigned by", "events", "at"]);
    for witness in &report.witnessed {
        witnesses.add_row([
            witness.by.clone(),
            grouped(witness.events),
            witness.at.strftime("%F %TZ").to_string(),
        ]);
    }
    match report.witnessed.is_empty() {
        true => writeln!(out, "  nobody has countersigned it")?,
        false => writeln!(out, "{witnesses}")?,
    }
    if !report.witnessed.is_empty() && report.witnesses_vouched == Vouched::ByItself {
        writeln!(
            out,
            "  the witnesses' keys are those that the file names itself: give --witness to be sure whose they are"
        )?;
    }
    writeln!(out, "  {} receipts of other agencies hold", grouped(report.receipts))?;
    for id in &report.open {
        writeln!(out, "  entry {id} has no end")?;
    }
    for remark in &report.remarks {
        writeln!(out, "  note: {}", plain(remark))?;
    }
    for problem in &report.problems {
        writeln!(out, "  WRONG: {}", plain(&problem.to_string()))?;
    }
    if report.more_problems > 0 {
        writeln!(out, "  WRONG: and {} more", grouped(report.more_problems))?;
    }
    match report.is_whole() {
        true => writeln!(out, "The log is whole."),
        false => writeln!(out, "The log is NOT whole."),
    }
}

pub(super) fn prove(args: &ProveArgs, output: &mut Output) -> Result<(), Failure> {
    let bar = files::bar(output);
    let open = || files::open(&args.file, &bar);
    let wanted = match &args.what {
        What { entry: Some(id), .. } => Some(Wanted::Id(*id)),
        What { index, .. } => index.map(Wanted::Index),
    };
    let proof = match (wanted, &args.what.since) {
        (Some(wanted), _) => prove_entry(open, wanted),
        (None, Some(since)) => prove_growth(
            open().map_err(files::unreadable(&args.file))?,
            &files::checkpoint(since)?,
        ),
        (None, None) => return Err(Failure::usage(anyhow!("give --entry, --index or --since"))),
    };
    let proof = proof.map_err(|error| {
        let is_not_whole = matches!(error, ProofError::Tree(_) | ProofError::Event { .. });
        let error = anyhow!("{}: {error}", args.file.display());
        match is_not_whole {
            true => not_whole(error.context("see `overlap log verify`")),
            false => Failure::usage(error),
        }
    })?;
    bar.finish_and_clear();
    let json = serde_json::to_string(&proof).map_err(Failure::internal)? + "\n";
    match &args.out {
        None => output.writer().write_all(json.as_bytes()).map_err(Failure::internal),
        Some(path) => {
            replace_secret(path, json.as_bytes()).map_err(Failure::usage)?;
            let written = serde_json::json!({ "written": path, "bytes": json.len() });
            output.print(&written, |out| {
                writeln!(out, "{} bytes in {}", grouped(json.len() as u64), path.display())
            })
        }
    }
}

/// What an opened commitment says.
#[derive(Serialize)]
struct OpenedShape {
    agency: String,
    transaction: Uuid,
    kind: String,
    canonical: String,
    input_count: u64,
    /// Whether a log was given that has the same commitment.
    log_agrees: Option<bool>,
    /// By match key.
    keys: Vec<OpenedKey>,
}

#[derive(Serialize)]
struct OpenedKey {
    key: String,
    was_in: bool,
}

pub(super) fn check(args: &CheckArgs, output: &mut Output) -> Result<(), Failure> {
    let text = files::text(&args.proof)?;
    if let Ok(proof) = serde_json::from_str::<InputProof>(&text) {
        return check_input(args, &proof, output);
    }
    let proof: Proof = serde_json::from_str(&text)
        .map_err(|error| anyhow!("{} is no proof: {error}", args.proof.display()))
        .map_err(Failure::usage)?;
    let believed = args.log_key.as_deref().map(files::key).transpose()?;
    let proved = proof
        .check(believed.as_ref())
        .map_err(|error| not_whole(anyhow!(error)))?;
    output.print(&proved, |out| tell_proved(out, &proved, believed.is_some()))
}

fn tell_proved(out: &mut dyn Write, proved: &Proved, key_was_given: bool) -> io::Result<()> {
    match proved.grew_from {
        Some(from) => writeln!(
            out,
            "The log {} only grew, from {} to {} events.",
            proved.log,
            grouped(from),
            grouped(proved.events)
        )?,
        None => writeln!(
            out,
            "The log {}, of {} events, has these:",
            proved.log,
            grouped(proved.events)
        )?,
    }
    for (index, event) in &proved.has {
        match event {
            None => writeln!(out, "  event {index}, whose content was shredded")?,
            Some(event) => writeln!(
                out,
                "  event {index}: {}",
                serde_json::to_string(event).map_err(io::Error::from)?
            )?,
        }
    }
    if proved.both == Some(false) {
        writeln!(out, "The proof does not show both the opening and the end of an entry.")?;
    }
    match key_was_given {
        true => Ok(()),
        false => writeln!(
            out,
            "The key is the proof's own: give --log-key to be sure whose log it is."
        ),
    }
}

fn check_input(args: &CheckArgs, proof: &InputProof, output: &mut Output) -> Result<(), Failure> {
    let profile = match &args.profile {
        None => Profile::eu_thb_1(),
        Some(path) => Profile::parse(&files::text(path)?)
            .map_err(|error| Failure::usage(anyhow!("{}: {error}", path.display())))?,
    };
    let wrong = |what: &str| not_whole(anyhow!("{}: {what}", args.proof.display()));
    if (profile.name(), Digest(profile.hash())) != (proof.profile.as_str(), proof.profile_hash) {
        return Err(Failure::usage(anyhow!(
            "the items were made under profile {}: give that one with --profile",
            proof.profile
        )));
    }
    let kind: Kind = proof.kind.parse().map_err(|_| wrong("it names an unknown kind"))?;
    let identifier = Identifier::from_canonical(kind, &proof.canonical)
        .map_err(|_| wrong("the identifier is not in canonical form"))?;
    if proof.overlap_input_proof != 1 {
        return Err(wrong("it is of another version than this command reads"));
    }
    let salt = InputSalt::from_bytes(proof.salt.0);
    let keys = identifier.match_keys(&profile);
    let mut shown = Vec::new();
    for one in &proof.keys {
        let rule = profile.keys().iter().position(|rule| rule.name() == one.key);
        let key = keys.iter().find(|key| Some(usize::from(key.key())) == rule);
        let key = key.ok_or_else(|| wrong("it shows a match key that the identifier does not have"))?;
        let item = Item::derive(profile.name(), &one.key, key.as_bytes());
        let element = Stored::of(&[item]).first().copied();
        let element = element.ok_or_else(|| Failure::internal(anyhow!("an item has no element")))?;
        let was_in = one
            .membership
            .check(
                &salt.leaf(&element.to_bytes()),
                proof.input_count,
                &proof.input_commitment,
            )
            .map_err(|error| wrong(&error.to_string()))?;
        shown.push(OpenedKey {
            key: one.key.clone(),
            was_in,
        });
    }
    // every match key of the identifier, or those that counting takes: what is left out could be what was in the set
    let names = |counting: bool| -> BTreeSet<&str> {
        let of = keys.iter().filter_map(|key| profile.keys().get(usize::from(key.key())));
        of.filter(|rule| rule.counts() || !counting)
            .map(|rule| rule.name())
            .collect()
    };
    let shown_names: BTreeSet<&str> = shown.iter().map(|one| one.key.as_str()).collect();
    if shown.is_empty() || (shown_names != names(false) && shown_names != names(true)) {
        return Err(wrong("it does not show every match key of the identifier"));
    }
    let is_counting = shown_names != names(false);
    let log_agrees = match &args.log {
        None => None,
        Some(path) => {
            let bar = files::bar(output);
            let export = files::open(path, &bar).map_err(files::unreadable(path))?;
            let mut committed = Committed {
                transaction: proof.transaction,
                found: None,
            };
            let believed = args.log_key.as_deref().map(files::key).transpose()?;
            let anchors = overlap_audit::Anchors {
                key: believed.map(|key| (key, Vouched::Given)),
                ..overlap_audit::Anchors::default()
            };
            let report = overlap_audit::verify(export, &anchors, &mut committed).map_err(files::unreadable(path))?;
            bar.finish_and_clear();
            if !report.is_whole() {
                return Err(not_whole(anyhow!(
                    "{} is not whole: see `overlap log verify`",
                    path.display()
                )));
            }
            let Some(entry) = committed.found else {
                return Err(wrong("the log has no such query"));
            };
            let is_count = entry.mode.as_deref() == Some("count");
            let same = entry.input_commitment == Some(proof.input_commitment)
                && entry.input_count == Some(proof.input_count)
                && entry.asker.as_ref() == Some(&proof.agency)
                && entry.profile_hash == Some(proof.profile_hash)
                && entry.kinds.contains(&proof.kind);
            if !same || (is_counting && !is_count) {
                return Err(wrong(
                    "the log has another commitment, size, asker, profile, mode or kinds for this query",
                ));
            }
            Some(true)
        }
    };
    let shape = OpenedShape {
        agency: proof.agency.clone(),
        transaction: proof.transaction,
        kind: proof.kind.clone(),
        canonical: proof.canonical.clone(),
        input_count: proof.input_count,
        log_agrees,
        keys: shown,
    };
    output.print(&shape, |out| {
        writeln!(
            out,
            "Of the {} items that {} asked with in query {}:",
            grouped(shape.input_count),
            shape.agency,
            shape.transaction
        )?;
        for key in &shape.keys {
            let was = if key.was_in { "was" } else { "was NOT" };
            writeln!(
                out,
                "  {} {} ({}) {was} among them",
                shape.kind, shape.canonical, key.key
            )?;
        }
        match shape.log_agrees {
            Some(_) => writeln!(out, "The log has the same commitment."),
            None => writeln!(out, "Give --log to hold the commitment against a log."),
        }
    })
}

/// Finds the entry of a query that was not denied.
struct Committed {
    transaction: Uuid,
    found: Option<Entry>,
}

impl Visitor for Committed {
    fn entry(&mut self, logged: Logged) {
        if logged.entry.transaction == self.transaction && logged.outcome() != Outcome::Denied {
            self.found = Some(logged.entry);
        }
    }
}
