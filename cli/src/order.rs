//! `overlap order`.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::anyhow;
use clap::builder::NonEmptyStringValueParser;
use jiff::{Timestamp, ToSpan as _};
use overlap_agreement::{Order, Signed, Statement, Subject, Verb};
use overlap_proto::pb::operator as pb;
use serde::Serialize;
use serde_json::Value;

use crate::{
    agreement,
    client::{self, Failure, Kind},
    files::{NewFile, write_new},
    output::{Output, table},
    pki::signing,
    settings::Connection,
};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Write a draft of an order for the authority to complete and sign
    #[command(
        after_help = "Example:\n  overlap order draft --peer kmar --mode hits --kind phone --purpose thb-investigation --case 2026-0042 --id OM-2026-17 \\\n    --exact crawler --reason \"order for the crawler's list\" --out order.toml"
    )]
    Draft(Draft),
    /// Sign a draft as the authority; no node is asked
    Sign {
        /// The draft, TOML
        file: PathBuf,
        /// The authority's signing key, as `overlap pki signing-key` makes it
        #[arg(long)]
        key: PathBuf,
        /// The file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Check a signed order and show what it permits; no node is asked
    ///
    /// The signature holds for whoever has the key that is shown: whether that is the authority's is told by its thumbprint.
    Verify {
        /// The signed order
        file: PathBuf,
        /// Thumbprint that the authority's key has to have
        #[arg(long, value_name = "THUMBPRINT")]
        signer: Option<overlap_audit::Digest>,
    },
    /// State as the authority that an order counts no more; no node is asked
    Revoke {
        /// The signed order
        file: PathBuf,
        /// The authority's signing key
        #[arg(long)]
        key: PathBuf,
        /// Why, in words
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        reason: String,
        /// The file to write, for the nodes to take in
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Give your node a signed order, or the revocation of one
    Add {
        /// The signed file
        file: PathBuf,
        /// Why, in words; goes to the log
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        reason: String,
    },
    /// Show every order that your node has, and how it stands
    List,
}

#[derive(clap::Args)]
pub(crate) struct Draft {
    /// Number of the order at the authority
    #[arg(long)]
    id: String,
    /// Name of the authority, as your agreements call it
    #[arg(long, default_value = "Openbaar Ministerie")]
    authority: String,
    /// Name of a peer that is to be asked; may be repeated
    #[arg(long = "peer", required = true)]
    peers: Vec<String>,
    /// What is to be learnt
    #[arg(long, value_parser = ["hits", "count", "picture", "action"])]
    mode: String,
    /// Kind of identifiers; may be repeated
    #[arg(long = "kind", value_name = "KIND", required = true)]
    kinds: Vec<overlap_records::Kind>,
    /// Purpose, as the agreement names it
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    purpose: String,
    /// Reference of your case
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    case: String,
    /// Of matches: commit to exactly what this dataset of yours holds now: the order then covers no other set
    #[arg(long, value_name = "DATASET")]
    exact: Option<String>,
    /// Why, in words; goes to the log with --exact
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    reason: String,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// An order, in JSON.
#[derive(Serialize)]
struct OrderShape {
    id: String,
    hash: String,
    state: String,
    explanation: String,
    order: Option<Value>,
}

/// An order that was checked, in JSON.
#[derive(Serialize)]
struct Verified {
    hash: String,
    signers: Vec<String>,
    order: Order,
}

/// A file that was written, in JSON.
#[derive(Serialize)]
struct Written {
    file: String,
}

pub(crate) async fn run(connection: Connection, command: Command, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Draft(wish) => draft(connection, wish, output).await,
        Command::Sign { file, key, out } => agreement::sign::<Order>(&file, &key, &out, output),
        Command::Verify { file, signer } => {
            let signed: Signed<Order> = agreement::signed_of(&file)?;
            if signed.signers().next().is_none() {
                return Err(not_whole(anyhow!("{} is signed by nobody", file.display())));
            }
            if let Some(signer) = signer
                && !signed.is_signed_by(&signer)
            {
                return Err(not_whole(anyhow!(
                    "{} is not signed with the key {signer}",
                    file.display()
                )));
            }
            let verified = Verified {
                hash: signed.hash().to_string(),
                signers: signed.signers().map(|key| key.thumbprint().to_string()).collect(),
                order: signed.document().clone(),
            };
            output.print(&verified, |out| {
                let order = &verified.order;
                writeln!(out, "the signature holds; order {} of {}", order.id, order.authority)?;
                for signer in &verified.signers {
                    writeln!(out, "signed with the key {signer}")?;
                }
                writeln!(out, "hash {}", verified.hash)?;
                let text = toml::to_string(order).unwrap_or_default();
                write!(out, "\n{text}")
            })
        }
        Command::Revoke { file, key, reason, out } => {
            let order: Signed<Order> = agreement::signed_of(&file)?;
            let key = signing::read(&key).map_err(Failure::usage)?;
            if !order.is_signed_by(&key.public().thumbprint()) {
                return Err(Failure::usage(anyhow!(
                    "{} is not signed with this key: who gave an order revokes it",
                    file.display()
                )));
            }
            let statement = Statement {
                about: Subject::Order,
                hash: order.hash(),
                verb: Verb::Revoked,
                at: Timestamp::now(),
                reason,
            };
            let mut signed = Signed::new(statement).map_err(Failure::usage)?;
            signed.sign(&key);
            write_new(&[NewFile::public(out.clone(), &signed.to_json())]).map_err(Failure::usage)?;
            let written = Written {
                file: out.display().to_string(),
            };
            output.print(&written, |out| {
                writeln!(
                    out,
                    "{0} revokes it once a node has it: `overlap order add {0}`",
                    written.file
                )
            })
        }
        Command::Add { file, reason } => {
            use pb::add_order_request::Document;
            let document = match agreement::signed_of::<Order>(&file) {
                Ok(order) => Document::Order(order.to_json().into()),
                Err(failure) => match agreement::signed_of::<Statement>(&file) {
                    Ok(statement) => Document::Statement(statement.to_json().into()),
                    Err(_) => return Err(failure),
                },
            };
            let request = pb::AddOrderRequest {
                document: Some(document),
                reason,
            };
            let mut client = client::connect(&connection.check()?).await?;
            let answer = client.add_order(request).await?.into_inner();
            let shape = OrderShape::from(answer.order.unwrap_or_default());
            output.print(&shape, |out| writeln!(out, "{}", shape.explanation))
        }
        Command::List => {
            let mut client = client::connect(&connection.check()?).await?;
            let mut answers = client.list_orders(pb::ListOrdersRequest {}).await?.into_inner();
            let mut orders = Vec::new();
            while let Some(answer) = answers.message().await? {
                orders.extend(answer.orders);
            }
            let orders: Vec<OrderShape> = orders.into_iter().map(OrderShape::from).collect();
            output.print(&orders, |out| {
                if orders.is_empty() {
                    return writeln!(out, "there is no order; see `overlap order add --help`");
                }
                let mut shown = table(["id", "hash", "state", "authority", "purpose", "case", "until"]);
                for one in &orders {
                    let word = |name: &str| {
                        let order = one.order.as_ref();
                        order
                            .and_then(|order| order[name].as_str())
                            .unwrap_or_default()
                            .to_owned()
                    };
                    shown.add_row([
                        one.id.clone(),
                        one.hash.chars().take(16).collect(),
                        one.state.clone(),
                        word("authority"),
                        word("purpose"),
                        word("case_reference"),
                        word("valid_until"),
                    ]);
                }
                writeln!(out, "{shown}")
            })
        }
    }
}

fn not_whole(error: anyhow::Error) -> Failure {
    Failure::new(Kind::NotWhole, error)
}

impl From<pb::SignedOrder> for OrderShape {
    fn from(one: pb::SignedOrder) -> Self {
        let order = Signed::<Order>::parse(&one.document).ok();
        Self {
            id: one.id,
            hash: hex::encode(&one.hash),
            state: one.state,
            explanation: one.explanation,
            order: order.and_then(|order| serde_json::to_value(order.document()).ok()),
        }
    }
}

async fn draft(connection: Connection, wish: Draft, output: &mut Output) -> Result<(), Failure> {
    let mut client = client::connect(&connection.check()?).await?;
    let status = client.status(pb::StatusRequest {}).await?.into_inner();
    let holders = wish.peers.iter().map(|name| {
        let peer = status.peers.iter().find(|peer| peer.name == *name);
        peer.map(|peer| peer.id.clone())
            .ok_or_else(|| Failure::usage(anyhow!("no peer has the name {name}; see `overlap status`")))
    });
    let holders: Vec<String> = holders.collect::<Result<_, _>>()?;
    let kinds: Vec<String> = wish.kinds.iter().map(ToString::to_string).collect();
    let committed = match &wish.exact {
        Some(_) if wish.mode == "picture" => {
            let message = "--exact is for matches: in a picture every agency has a set of its own";
            return Err(Failure::usage(anyhow!(message)));
        }
        None => None,
        Some(dataset) => {
            let request = pb::CommitInputRequest {
                dataset: dataset.clone(),
                mode: wish.mode.clone(),
                kinds: kinds.clone(),
                reason: wish.reason.clone(),
            };
            Some(client.commit_input(request).await?.into_inner())
        }
    };
    let now = Timestamp::now();
    let mut text = format!(
        "# A draft of an order: the authority completes it, signs it with `overlap order sign`, and hands it back.\n\n\
         id = {:?}\nauthority = {:?}\npurpose = {:?}\ncase_reference = {:?}\nasker = {:?}\nholders = {holders:?}\n\
         # datasets = [\"cases\"]            # of the holders; any unless given\n\
         modes = [{:?}]\nkinds = {kinds:?}\nmax_set_size = {}\nuses = 1\n",
        wish.id,
        wish.authority,
        wish.purpose,
        wish.case,
        status.id,
        wish.mode,
        committed.as_ref().map_or(1000, |committed| committed.set_size),
    );
    if let Some(committed) = &committed {
        let _ = writeln!(
            text,
            "# exactly the set that was committed to\ninput_commitment = \"{}\"",
            hex::encode(&committed.input_commitment)
        );
    }
    let _ = write!(
        text,
        "valid_from = \"{}\"\nvalid_until = \"{}\"\n\n# In words, on one line each.\n[weighing]\n\
         necessity = \"\"\nproportionality = \"\"\nsubsidiarity = \"\"\n",
        now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        (now + (14 * 24).hours()).strftime("%Y-%m-%dT%H:%M:%SZ"),
    );
    write_new(&[NewFile::public(wish.out.clone(), text.as_bytes())]).map_err(Failure::usage)?;
    let written = Written {
        file: wish.out.display().to_string(),
    };
    output.print(&written, |out| {
        writeln!(
            out,
            "{} is a draft for {} to complete and sign",
            written.file, wish.authority
        )
    })
}
