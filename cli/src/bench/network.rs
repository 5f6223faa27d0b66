//! The same match between two real nodes over loopback TLS.

use std::{ops::Range, time::Instant};

use anyhow::anyhow;
use indicatif::ProgressBar;
use overlap_proto::{
    operator,
    pb::operator::{self as pb, import_dataset_request::Message},
};
use overlap_records::{Identifier, Kind, Profile, Record, Role, Visibility};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Party, Sizes, UnitCosts};
use crate::{
    client::{self, Client, Failure},
    fleet::{DATASET, Fleet, Grant, PURPOSE},
    matching, process,
};

pub(super) struct Network {
    pub(super) wall_seconds: f64,
    pub(super) parties: Vec<Party>,
}

const GRANT: Grant = Grant {
    asker: "alpha",
    holder: "beta",
    modes: &["hits", "count"],
    kinds: &["document"],
    max_set_size: 50_000_000,
};

pub(super) async fn run(mode: &str, sizes: &Sizes, units: &UnitCosts, bar: &ProgressBar) -> Result<Network, Failure> {
    let directory = tempfile::Builder::new()
        .prefix("overlap-bench-")
        .tempdir()
        .map_err(Failure::internal)?;
    bar.set_message("starting two nodes");
    let fleet = Fleet::start(directory.path(), &[GRANT.asker, GRANT.holder], &[GRANT])
        .await
        .map_err(Failure::internal)?;
    let measured = measure(&fleet, mode, sizes, units, bar).await;
    fleet.stop().await.map_err(Failure::internal)?;
    measured
}

async fn measure(
    fleet: &Fleet,
    mode: &str,
    sizes: &Sizes,
    units: &UnitCosts,
    bar: &ProgressBar,
) -> Result<Network, Failure> {
    let mut operators = Vec::new();
    let mut import_seconds = Vec::new();
    for (agency, items) in fleet.agencies().iter().zip(sizes.items()) {
        bar.set_message(format!("loading {} items into {}", items.len(), agency.name));
        let mut operator = client::connect(&agency.settings("operator")).await?;
        let started = Instant::now();
        load(&mut operator, items).await?;
        import_seconds.push(started.elapsed().as_secs_f64());
        operators.push(operator);
    }

    let mut before = Vec::new();
    for (agency, operator) in fleet.agencies().iter().zip(&mut operators) {
        let pid = agency.pid().map_err(Failure::internal)?;
        process::reset_peak_memory(pid).map_err(Failure::internal)?;
        before.push(Reading::take(pid, operator).await?);
    }
    bar.set_message("matching over loopback TLS");
    let mut analyst = client::connect(&fleet.agencies()[0].settings("analyst")).await?;
    let args = matching::Args {
        peer: GRANT.holder.to_owned(),
        dataset: DATASET.to_owned(),
        mode: mode.to_owned(),
        kinds: Vec::new(),
        purpose: PURPOSE.to_owned(),
        case: "benchmark".to_owned(),
        reason: "benchmark with made-up items".to_owned(),
        agreement: None,
        roles: Vec::new(),
        order: None,
        on_behalf_of: None,
        ask_approval: false,
    };
    let started = Instant::now();
    let found = matching::find(&mut analyst, matching::request(&args), ProgressBar::hidden()).await?;
    let wall_seconds = started.elapsed().as_secs_f64();
    if found.count != Some(u64::from(sizes.common)) {
        return Err(Failure::internal(anyhow!(
            "the nodes found {} items in common, not {}",
            found.count.unwrap_or_default(),
            sizes.common
        )));
    }

    let mut parties = Vec::new();
    let names = [("asker", sizes.asker), ("holder", sizes.holder)];
    for (i, (agency, operator)) in fleet.agencies().iter().zip(&mut operators).enumerate() {
        let pid = agency.pid().map_err(Failure::internal)?;
        let after = Reading::take(pid, operator).await?;
        let cpu_seconds = after.cpu_seconds - before[i].cpu_seconds;
        parties.push(Party {
            party: names[i].0,
            items: names[i].1.into(),
            cpu_seconds,
            ratio: cpu_seconds / f64::from(names[i].1) * 1e6 / units.budget(),
            bytes_sent: after.bytes_sent - before[i].bytes_sent,
            peak_memory_bytes: process::peak_memory(pid).map_err(Failure::internal)?,
            memory_before_bytes: before[i].memory,
            import_seconds: import_seconds[i],
        });
    }
    Ok(Network { wall_seconds, parties })
}

pub(super) struct Reading {
    pub(super) cpu_seconds: f64,
    pub(super) memory: u64,
    pub(super) bytes_sent: u64,
}

impl Reading {
    pub(super) async fn take(pid: u32, operator: &mut Client) -> Result<Self, Failure> {
        let bytes_sent = operator
            .status(pb::StatusRequest {})
            .await?
            .into_inner()
            .peer_bytes_sent;
        Ok(Self {
            cpu_seconds: process::cpu_seconds(pid).map_err(Failure::internal)?,
            memory: process::memory_now(pid).map_err(Failure::internal)?,
            bytes_sent,
        })
    }
}

/// Loads made-up documents, one per record, as `overlap dataset import` would.
pub(super) async fn load(client: &mut Client, items: Range<u32>) -> Result<(), Failure> {
    const BATCH: usize = 2048;
    let (messages, stream) = mpsc::channel(8);
    let made = tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
        let send = |message| {
            messages
                .blocking_send(pb::ImportDatasetRequest { message: Some(message) })
                .is_ok()
        };
        let profile = Profile::eu_thb_1();
        let mut going = send(Message::Begin(pb::ImportBegin {
            dataset: DATASET.to_owned(),
            profile: profile.name().to_owned(),
            profile_hash: profile.hash().to_vec().into(),
            append: false,
        }));
        let mut records = items.map(record);
        while going {
            let batch = records.by_ref().take(BATCH).collect::<anyhow::Result<Vec<_>>>()?;
            if batch.is_empty() {
                break;
            }
            going = send(Message::Records(pb::Records { records: batch }));
        }
        let _ = going && send(Message::Commit(pb::ImportCommit {}));
        Ok(())
    });
    let answer = client.import_dataset(ReceiverStream::new(stream)).await;
    made.await.map_err(Failure::internal)?.map_err(Failure::internal)?;
    answer?;
    Ok(())
}

fn record(number: u32) -> anyhow::Result<pb::Record> {
    let document = Identifier::from_canonical(Kind::Document, &format!("NL:BENCH{number:010}"))?;
    let record = Record::new(
        format!("r{number}"),
        Role::Other,
        Visibility::B,
        None,
        None,
        vec![document],
    )?;
    Ok(operator::to_pb(&record))
}
