//! What the demo does and tells.

use std::{collections::BTreeMap, fs, io::BufReader, path::Path, time::Duration};

use anyhow::Context as _;
use indicatif::ProgressBar;
use overlap_audit::{Anchors, ExportReader, Logged, Reconciled, reconcile, verify};
use overlap_proto::pb::operator as pb;
use serde::Serialize;
use uuid::Uuid;

use super::consent;
use crate::{
    client::{self, Failure},
    dataset::{self, ImportShape, Source},
    fleet::{Agency, DATASET, Fleet, Grant, PURPOSE},
    hits::FollowUpShape,
    log,
    matching::{self, MatchShape},
    output::{Output, grouped, table},
    settings::Settings,
};

/// The exports that ship with Overlap, with their mapping files.
pub(super) const EXPORTS: [(&str, &[u8], &str); 4] = [
    (
        "politie",
        include_bytes!("../../demo/politie.csv"),
        include_str!("../../demo/politie.toml"),
    ),
    (
        "kmar",
        include_bytes!("../../demo/kmar.csv"),
        include_str!("../../demo/kmar.toml"),
    ),
    (
        "iszw",
        include_bytes!("../../demo/iszw.csv"),
        include_str!("../../demo/iszw.toml"),
    ),
    (
        "emm",
        include_bytes!("../../demo/emm.csv"),
        include_str!("../../demo/emm.toml"),
    ),
];

const GRANTS: [Grant; 2] = [
    Grant {
        asker: "politie",
        holder: "kmar",
        modes: &["hits", "count"],
        kinds: &["phone", "plate", "person"],
        max_set_size: 100_000,
    },
    Grant {
        asker: "iszw",
        holder: "politie",
        modes: &["count"],
        kinds: &["phone", "email", "iban", "bsn", "person"],
        max_set_size: 100_000,
    },
];

/// Hits shown on screen; all of them are in the JSON.
const SHOWN_HITS: usize = 12;

/// The whole demo in JSON.
#[derive(Serialize)]
struct Shape {
    /// Where keys, stores and exports are, if they were kept.
    directory: Option<String>,
    imports: BTreeMap<String, ImportShape>,
    matches: Vec<MatchEntry>,
    /// What became of two hits of the first match.
    follow_ups: Vec<FollowUpShape>,
    /// The logs of the first asker and its holder, held against each other.
    audit: Reconciled,
}

/// A match with what both sides logged of it.
#[derive(Serialize)]
struct MatchEntry {
    asker: String,
    holder: String,
    result: MatchShape,
    asker_entry: Logged,
    holder_entry: Logged,
    /// All that went over the wire between the two nodes, TLS included.
    bytes_asker_to_holder: u64,
    bytes_holder_to_asker: u64,
}

pub(super) async fn run(directory: &Path, kept: bool, output: &mut Output) -> Result<(), Failure> {
    let names = EXPORTS.map(|(name, ..)| name);
    output
        .say("Four agencies, each with its own node, keys, store and export. All people and numbers are made up.\n")?;
    let fleet = Fleet::start(directory, &names, &GRANTS)
        .await
        .map_err(Failure::internal)?;
    let told = tell(&fleet, output).await;
    let stopped = fleet.stop().await.map_err(Failure::internal);
    let (imports, matches, follow_ups, audit) = told?;
    stopped?;
    let directory = kept.then(|| directory.display().to_string());
    let shape = Shape {
        directory,
        imports,
        matches,
        follow_ups,
        audit,
    };
    output.print(&shape, |out| match &shape.directory {
        Some(directory) => {
            writeln!(out, "Everything is kept in {directory}. Start a node again with")?;
            writeln!(out, "  overlap-node --config {directory}/politie/node.toml")
        }
        None => writeln!(out, "Keys, stores and exports are gone again; --keep keeps them."),
    })
}

/// Imports, matches, follow-ups, and what an auditor makes of the logs.
type Told = (
    BTreeMap<String, ImportShape>,
    Vec<MatchEntry>,
    Vec<FollowUpShape>,
    Reconciled,
);

async fn tell(fleet: &Fleet, output: &mut Output) -> Result<Told, Failure> {
    let mut nodes = table(["agency", "identity", "for peers", "for its own users"]);
    for agency in fleet.agencies() {
        nodes.add_row([
            &agency.name,
            &agency.id,
            &agency.peer.to_string(),
            &agency.operator.to_string(),
        ]);
    }
    output.say(format!(
        "1. The nodes are up, with mutual TLS 1.3 on both ports.\n{nodes}\n"
    ))?;

    let mut imports = BTreeMap::new();
    for (name, csv, mapping) in EXPORTS {
        imports.insert(
            name.to_owned(),
            load(fleet.agency(name).map_err(Failure::internal)?, csv, mapping).await?,
        );
    }
    let mut loaded = table([
        "agency",
        "rows",
        "records",
        "distinct items",
        "cells rejected",
        "for instance",
    ]);
    for (name, import) in &imports {
        let example = import
            .first_rejects
            .first()
            .map(|line| line.rsplit_once(".csv ").map_or(line.as_str(), |(_, rest)| rest));
        loaded.add_row([
            name.clone(),
            grouped(import.summary.rows),
            grouped(import.summary.records),
            grouped(import.dataset.items.values().sum()),
            grouped(import.summary.rejected_total),
            example.unwrap_or_default().to_owned(),
        ]);
    }
    output.say(format!(
        "2. Each agency loaded its own export into its own node; values were normalised, duplicates merged.\n{loaded}\n   Nobody has an agreement with emm here, so nobody can ask it anything.\n"
    ))?;

    let mut matches = Vec::new();
    for (number, (grant, mode, story)) in [
        (
            &GRANTS[0],
            "hits",
            "politie asks kmar WHICH of its identifiers kmar knows too, and which persons may be the same (mode hits).",
        ),
        (
            &GRANTS[1],
            "count",
            "iszw asks politie HOW MANY of its identifiers politie knows too (mode count).",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        output.say(format!("{}. {story}", number + 3))?;
        let entry = ask(fleet, grant, mode, number).await?;
        if !output.json() {
            matching::print(output.writer(), &entry.result, SHOWN_HITS).map_err(Failure::internal)?;
        }
        output.say(format!(
            "{} learned the {} above; {} learned who asked and why, and that {} items were compared. Over the wire went {} and {}\n\
             bytes: curve points under keys that were made for this one session and are gone. No name, no number, no hash of one left\n\
             either agency.\n",
            entry.asker,
            if mode == "hits" { "hits and candidates" } else { "number" },
            entry.holder,
            grouped(entry.result.own_set_size),
            grouped(entry.bytes_asker_to_holder),
            grouped(entry.bytes_holder_to_asker),
        ))?;
        matches.push(entry);
    }

    let follow_ups = match matches.first() {
        Some(first) => consent::follow_up(fleet, &GRANTS[0], &first.result, output).await?,
        None => Vec::new(),
    };
    output.say("6. Both sides logged each query before anything was computed; the transaction id ties the two entries together.")?;
    for entry in &matches {
        let mut shown = table(["field", "", ""]);
        shown.set_header([
            "field".to_owned(),
            format!("log of {}", entry.asker),
            format!("log of {}", entry.holder),
        ]);
        let holder: BTreeMap<_, _> = log::fields(&entry.holder_entry).into_iter().collect();
        for (field, asker) in log::fields(&entry.asker_entry) {
            shown.add_row([field.to_owned(), asker, holder.get(field).cloned().unwrap_or_default()]);
        }
        output.say(format!("{shown}\n"))?;
    }
    let audit = audit(fleet, output).await?;
    Ok((imports, matches, follow_ups, audit))
}

/// An auditor takes two logs away and holds them against each other, without any node.
async fn audit(fleet: &Fleet, output: &mut Output) -> Result<Reconciled, Failure> {
    output
        .say("7. An auditor takes both logs away, checks them, and holds them against each other. No node is asked.")?;
    let mut files = Vec::new();
    for name in [GRANTS[0].asker, GRANTS[0].holder] {
        let agency = fleet.agency(name).map_err(Failure::internal)?;
        let settings = agency.settings("operator");
        wait_for_witnesses(&settings).await?;
        let path = agency.directory().join("exported.log");
        let mut file = fs::File::create(&path).map_err(Failure::internal)?;
        log::export::download(&settings, "the demonstration's audit".to_owned(), &mut file, output).await?;
        files.push(path);
    }
    let open = |path: &Path| ExportReader::open(BufReader::new(fs::File::open(path)?));
    let reconciled = reconcile(|which| open(&files[which]), [None, None]).map_err(Failure::internal)?;
    output.say(log::reconcile::summary(&reconciled))?;
    let text = fs::read_to_string(&files[1]).map_err(Failure::internal)?;
    let changed = text.replacen(PURPOSE, "idle-curiosity", 1);
    let report = ExportReader::open(changed.as_bytes())
        .and_then(|export| verify(export, &Anchors::default(), &mut ()))
        .map_err(Failure::internal)?;
    let found = report.problems.first().map(ToString::to_string).unwrap_or_default();
    output.say(format!(
        "In a copy of the log of {}, one purpose is changed to idle-curiosity. The check says: {found}.\n",
        GRANTS[0].holder
    ))?;
    Ok(reconciled)
}

/// Waits a little until nothing is owed: receipts come after the results.
async fn wait_for_witnesses(settings: &Settings) -> Result<(), Failure> {
    let mut client = client::connect(settings).await?;
    for _ in 0..100 {
        let log = client
            .status(pb::StatusRequest {})
            .await?
            .into_inner()
            .log
            .unwrap_or_default();
        if log.witnesses.iter().all(|witness| witness.receipts_due == 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

pub(super) async fn load(agency: &Agency, csv: &[u8], mapping: &str) -> Result<ImportShape, Failure> {
    load_into(agency, csv, mapping, false).await
}

/// Loads an export in the place of what was there, or adds it.
pub(super) async fn load_into(
    agency: &Agency,
    csv: &[u8],
    mapping: &str,
    append: bool,
) -> Result<ImportShape, Failure> {
    let path = |ending: &str| agency.directory().join(format!("export.{ending}"));
    let write = |ending: &str, bytes: &[u8]| fs::write(path(ending), bytes).context("cannot write the export");
    write("csv", csv)
        .and_then(|()| write("toml", mapping.as_bytes()))
        .map_err(Failure::internal)?;
    let mut client = client::connect(&agency.settings("operator")).await?;
    let source = Source {
        file: &path("csv"),
        mapping: &path("toml"),
        format: None,
        rejects: None,
        append,
        profile: None,
    };
    dataset::import(&mut client, DATASET, &source, ProgressBar::hidden()).await
}

async fn ask(fleet: &Fleet, grant: &Grant, mode: &str, number: usize) -> Result<MatchEntry, Failure> {
    let asker = fleet.agency(grant.asker).map_err(Failure::internal)?;
    let holder = fleet.agency(grant.holder).map_err(Failure::internal)?;
    let mut analyst = client::connect(&asker.settings("analyst")).await?;
    let args = matching::Args {
        peer: grant.holder.to_owned(),
        dataset: DATASET.to_owned(),
        mode: mode.to_owned(),
        kinds: Vec::new(),
        purpose: PURPOSE.to_owned(),
        case: format!("2026-{:04}", number + 1),
        reason: "demonstration with made-up people".to_owned(),
        agreement: None,
        roles: Vec::new(),
        order: None,
        on_behalf_of: None,
        ask_approval: false,
    };
    let mut of_asker = client::connect(&asker.settings("operator")).await?;
    let mut of_holder = client::connect(&holder.settings("operator")).await?;
    let before = of_asker.status(pb::StatusRequest {}).await?.into_inner();
    let result = matching::find(&mut analyst, matching::request(&args), ProgressBar::hidden()).await?;
    let after = of_asker.status(pb::StatusRequest {}).await?.into_inner();
    let transaction: Uuid = result.transaction.parse().map_err(Failure::internal)?;
    let one = |mut entries: Vec<Logged>| {
        let entry = entries.pop().context("a log lacks the query")?;
        if !entries.is_empty() {
            Err(anyhow::anyhow!("a log has the query twice"))
        } else {
            Ok(entry)
        }
    };
    let asker_entry = one(log::of_transaction(&mut of_asker, transaction).await?).map_err(Failure::internal)?;
    let holder_entry = one(log::of_transaction(&mut of_holder, transaction).await?).map_err(Failure::internal)?;
    Ok(MatchEntry {
        asker: asker.name.clone(),
        holder: holder.name.clone(),
        result,
        asker_entry,
        holder_entry,
        bytes_asker_to_holder: after.peer_bytes_sent - before.peer_bytes_sent,
        bytes_holder_to_asker: after.peer_bytes_received - before.peer_bytes_received,
    })
}
