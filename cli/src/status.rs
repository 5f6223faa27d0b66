//! `overlap status`.

use std::io::{self, Write as _};

use overlap_proto::pb::operator as pb;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    client::{self, Client, Failure},
    dataset::DatasetShape,
    output::{Output, grouped, table},
    settings::Settings,
};

#[derive(Serialize)]
struct Shape {
    name: String,
    id: String,
    software: String,
    profile: String,
    profile_hash: String,
    you: String,
    roles: Vec<String>,
    open_entries: u64,
    /// Hits that wait for a decision of your agency, and when the first of them lapses.
    undecided: u64,
    decide_by: Option<String>,
    peer_bytes_sent: u64,
    peer_bytes_received: u64,
    /// What nobody has acknowledged.
    alarms: Vec<AlarmShape>,
    log: LogShape,
    peers: Vec<PeerShape>,
    datasets: Vec<DatasetShape>,
}

/// Something that must not be.
#[derive(Serialize)]
pub(crate) struct AlarmShape {
    id: String,
    raised: String,
    agency: String,
    what: String,
    /// What its owner signed: notes that cannot all be true.
    evidence: Vec<String>,
}

/// How the log stands.
#[derive(Serialize)]
struct LogShape {
    key: String,
    cosigner_key: String,
    events: u64,
    checkpoint: String,
    witnesses: Vec<WitnessShape>,
    /// Entries that are still to be handed on; null where nothing is handed on.
    outbox: Option<u64>,
    /// Whether the last write failed.
    is_failing: bool,
}

#[derive(Serialize)]
struct WitnessShape {
    agency: String,
    log_key: Option<String>,
    cosigner_key: Option<String>,
    /// Events that it countersigned last.
    cosigned_events: Option<u64>,
    receipts_due: u64,
}

impl From<pb::Alarm> for AlarmShape {
    fn from(alarm: pb::Alarm) -> Self {
        Self {
            id: Uuid::from_slice(&alarm.id).unwrap_or_default().to_string(),
            raised: alarm.raised,
            agency: alarm.agency,
            what: alarm.what,
            evidence: alarm.evidence,
        }
    }
}

impl From<pb::LogStatus> for LogShape {
    fn from(log: pb::LogStatus) -> Self {
        let known = |text: String| (!text.is_empty()).then_some(text);
        let witness = |witness: pb::Witness| WitnessShape {
            agency: witness.agency,
            log_key: known(witness.log_key),
            cosigner_key: known(witness.cosigner_key),
            cosigned_events: events(&witness.cosigned),
            receipts_due: witness.receipts_due,
        };
        Self {
            key: log.log_key,
            cosigner_key: log.cosigner_key,
            events: events(&log.checkpoint).unwrap_or_default(),
            checkpoint: log.checkpoint,
            witnesses: log.witnesses.into_iter().map(witness).collect(),
            outbox: log.outbox,
            is_failing: log.is_failing,
        }
    }
}

fn events(checkpoint: &str) -> Option<u64> {
    let signed = overlap_audit::SignedCheckpoint::parse(checkpoint).ok()?;
    Some(signed.unverified().size)
}

/// Says on standard error that there are alarms; for commands whose result they bear on.
pub(crate) async fn warn(client: &mut Client) {
    // the result is there already: a node that is going down, or a closed terminal, does not take it away
    let Ok(status) = client.status(pb::StatusRequest {}).await else {
        return;
    };
    for alarm in status.into_inner().alarms {
        let _ = writeln!(io::stderr(), "ALARM: {} (see `overlap status`)", alarm.what);
    }
}

#[derive(Serialize)]
struct PeerShape {
    name: String,
    id: String,
    address: String,
    agreements: Vec<String>,
}

pub(crate) async fn run(settings: Settings, output: &mut Output) -> Result<(), Failure> {
    let mut client = client::connect(&settings).await?;
    let status = client.status(pb::StatusRequest {}).await?.into_inner();
    let datasets = client
        .list_datasets(pb::ListDatasetsRequest {})
        .await?
        .into_inner()
        .datasets;
    let shape = Shape {
        name: status.name,
        id: status.id,
        software: status.software,
        profile: status.profile,
        profile_hash: hex::encode(&status.profile_hash),
        alarms: status.alarms.into_iter().map(AlarmShape::from).collect(),
        log: status.log.unwrap_or_default().into(),
        you: status.person,
        roles: status.roles,
        open_entries: status.open_entries,
        undecided: status.undecided,
        decide_by: (!status.decide_by.is_empty()).then_some(status.decide_by),
        peer_bytes_sent: status.peer_bytes_sent,
        peer_bytes_received: status.peer_bytes_received,
        peers: status
            .peers
            .into_iter()
            .map(|peer| PeerShape {
                name: peer.name,
                id: peer.id,
                address: peer.address,
                agreements: peer.agreements,
            })
            .collect(),
        datasets: datasets.into_iter().map(DatasetShape::from).collect(),
    };
    output.print(&shape, |out| {
        writeln!(
            out,
            "{} ({}), {}, profile {}",
            shape.name, shape.id, shape.software, shape.profile
        )?;
        writeln!(out, "you are {}: {}", shape.you, shape.roles.join(", "))?;
        for alarm in &shape.alarms {
            writeln!(out, "ALARM {} of {}: {}", alarm.id, alarm.raised, alarm.what)?;
        }
        if !shape.alarms.is_empty() {
            writeln!(out, "look into it, then `overlap log acknowledge ID --reason ...`")?;
        }
        if let Some(decide_by) = &shape.decide_by {
            writeln!(
                out,
                "{} hits that peers ask about wait for a functionary, the first until {decide_by}: `overlap hits list`",
                grouped(shape.undecided)
            )?;
        }
        let log = &shape.log;
        if log.is_failing {
            writeln!(
                out,
                "ALARM: the log cannot be written, and nothing is answered: make room on the node's disk and restart it"
            )?;
        }
        writeln!(out, "log of {} events, signed with {}", grouped(log.events), log.key)?;
        if let Some(outbox) = log.outbox {
            writeln!(out, "{} entries are still to be handed on", grouped(outbox))?;
        }
        let mut witnesses = table(["witness", "countersigned", "receipts owed"]);
        for witness in &log.witnesses {
            witnesses.add_row([
                witness.agency.clone(),
                witness
                    .cosigned_events
                    .map_or("nothing yet".to_owned(), |events| format!("{} events", grouped(events))),
                grouped(witness.receipts_due),
            ]);
        }
        writeln!(out, "{witnesses}")?;
        let mut peers = table(["peer", "id", "address", "agreements"]);
        for peer in &shape.peers {
            peers.add_row([&peer.name, &peer.id, &peer.address, &peer.agreements.join(", ")]);
        }
        writeln!(out, "{peers}")?;
        writeln!(out, "{}", crate::dataset::datasets_table(&shape.datasets))
    })
}
