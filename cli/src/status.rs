//! `overlap status`.

use overlap_proto::pb::operator as pb;
use serde::Serialize;

use crate::{
    client::{self, Failure},
    dataset::DatasetShape,
    output::{Output, table},
    settings::Settings,
};

#[derive(Serialize)]
struct Shape {
    name: String,
    id: String,
    software: String,
    profile: String,
    you: String,
    roles: Vec<String>,
    open_entries: u64,
    peer_bytes_sent: u64,
    peer_bytes_received: u64,
    peers: Vec<PeerShape>,
    datasets: Vec<DatasetShape>,
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
        you: status.person,
        roles: status.roles,
        open_entries: status.open_entries,
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
        let mut peers = table(["peer", "id", "address", "agreements"]);
        for peer in &shape.peers {
            peers.add_row([&peer.name, &peer.id, &peer.address, &peer.agreements.join(", ")]);
        }
        writeln!(out, "{peers}")?;
        writeln!(out, "{}", crate::dataset::datasets_table(&shape.datasets))
    })
}
