//! `overlap log open`.

use std::path::PathBuf;

use anyhow::anyhow;
use overlap_proto::pb::operator as pb;
use overlap_records::{Hints, Identifier, Kind};
use uuid::Uuid;

use crate::{
    client::{self, Failure},
    files::replace_secret,
    output::Output,
    settings::Settings,
};

#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  overlap log open 01a20967-762f-77c7-85ac-397a3a5dd227 --kind phone --out proof.json --reason \"complaint 2026-7\" +31612345678\n  overlap log check proof.json --log kmar.log\n\nA value on the command line can be seen by others on the machine: with - it is read from standard input."
)]
pub(crate) struct Args {
    /// The query, which your node asked
    transaction: Uuid,
    /// The identifier; - reads it from standard input
    #[arg(allow_hyphen_values = true)]
    value: String,
    /// Its kind
    #[arg(long)]
    kind: Kind,
    /// Where to write the proof
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Why, in words; goes to the log
    #[arg(long)]
    reason: String,
}

pub(super) async fn run(settings: Settings, args: Args, output: &mut Output) -> Result<(), Failure> {
    let value = match args.value.as_str() {
        "-" => std::io::read_to_string(std::io::stdin()).map_err(Failure::usage)?,
        value => value.to_owned(),
    };
    let value = value.trim();
    let identifier = Identifier::from_canonical(args.kind, value)
        .or_else(|_| Identifier::normalise(args.kind, value, &Hints::default()))
        .map_err(|error| Failure::usage(anyhow!("the value is no {}: {error}", args.kind)))?;
    let mut client = client::connect(&settings).await?;
    let request = pb::OpenInputRequest {
        transaction: args.transaction.as_bytes().to_vec().into(),
        kind: args.kind.to_string(),
        canonical: identifier.canonical().to_owned(),
        reason: args.reason,
    };
    let proof = client.open_input(request).await?.into_inner().proof + "\n";
    replace_secret(&args.out, proof.as_bytes()).map_err(Failure::usage)?;
    let written = serde_json::json!({ "written": args.out, "bytes": proof.len() });
    output.print(&written, |out| {
        writeln!(
            out,
            "the proof is in {}; `overlap log check` reads it",
            args.out.display()
        )
    })
}
