//! `overlap agreement`.

mod draft;
mod shape;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use clap::builder::NonEmptyStringValueParser;
use overlap_agreement::{Agreement, Document, Signed, diff, from_toml};
use overlap_proto::pb::operator as pb;
use serde::Serialize;

use crate::{
    client::{self, Client, Failure},
    files::{NewFile, write_new},
    output::{Output, table},
    pki::signing,
    settings::Connection,
};
use shape::{AgreementShape, ChangeShape, DeliveryShape};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Write a draft: who the parties are is asked of their nodes, the rest is for you to fill in
    #[command(after_help = "Example:\n  overlap agreement draft --with kmar --id thb-2027 --out thb-2027.toml")]
    Draft(draft::Args),
    /// Sign a draft with your node's key, and hand it to the other parties
    #[command(
        after_help = "Example:\n  overlap agreement propose thb-2027.toml --reason \"as decided on 12 November\""
    )]
    Propose {
        /// The draft, TOML
        file: PathBuf,
        #[command(flatten)]
        why: Why,
    },
    /// Accept what another party proposed: sign it with your node's key
    ///
    /// Named by its hash, since an id could have been given to another document after you looked: see `overlap agreement show`.
    Accept {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        why: Why,
    },
    /// Reject what another party proposed
    Reject {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        why: Why,
    },
    /// End an agreement at once, for all parties; queries under way are cut
    Revoke {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        why: Why,
    },
    /// Show every agreement, and how it stands
    List,
    /// Show what an agreement says, who signed it, and who ended it
    Show {
        /// Its id, its hash (or the first 8 digits of it), or a file
        agreement: String,
        /// Print the signed document (JWS, JSON) instead
        #[arg(long)]
        jws: bool,
    },
    /// Show in what two agreements differ
    Diff {
        /// Id, hash or file
        one: String,
        /// Id, hash or file
        other: String,
    },
    /// Sign a draft, or what others have signed, with a key in a file; no node is asked
    ///
    /// For parties whose nodes do not reach each other yet: each signs in turn, and each node takes the result in.
    Sign {
        /// The draft (TOML) or the signed document (JSON)
        file: PathBuf,
        /// The signing key of your node
        #[arg(long)]
        key: PathBuf,
        /// The file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Give your node a signed agreement from a file
    Take {
        /// The signed document (JSON)
        file: PathBuf,
        #[command(flatten)]
        why: Why,
    },
}

#[derive(clap::Args)]
pub(crate) struct Which {
    /// Its id, or its hash (or the first 8 digits of it)
    agreement: String,
}

#[derive(clap::Args)]
pub(crate) struct Why {
    /// Why, in words; goes to the log
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    reason: String,
}

/// What became of it, in JSON.
#[derive(Serialize)]
struct Changed {
    agreement: AgreementShape,
    deliveries: Vec<DeliveryShape>,
}

pub(crate) async fn run(connection: Connection, command: Command, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Draft(args) => draft::run(connection, args, output).await,
        Command::Propose { file, why } => {
            let signed: Signed<Agreement> = draft_of(&file)?;
            let document = serde_json::to_vec(signed.document()).map_err(Failure::internal)?;
            let request = pb::ProposeAgreementRequest {
                document: document.into(),
                reason: why.reason,
            };
            let mut client = client::connect(&connection.check()?).await?;
            let answer = client.propose_agreement(request).await?.into_inner();
            changed(answer, output)
        }
        Command::Take { file, why } => {
            let signed: Signed<Agreement> = signed_of(&file)?;
            let request = pb::TakeAgreementRequest {
                document: signed.to_json().into(),
                reason: why.reason,
            };
            let mut client = client::connect(&connection.check()?).await?;
            let answer = client.take_agreement(request).await?.into_inner();
            changed(answer, output)
        }
        Command::Accept { which, why } => decide(connection, "accept", which, why, output).await,
        Command::Reject { which, why } => decide(connection, "reject", which, why, output).await,
        Command::Revoke { which, why } => decide(connection, "revoke", which, why, output).await,
        Command::List => {
            let mut client = client::connect(&connection.check()?).await?;
            list(&mut client, output).await
        }
        Command::Show { agreement, jws } => show(connection, &agreement, jws, output).await,
        Command::Diff { one, other } => {
            let (one, other) = (
                find(&connection, &one).await?.signed()?,
                find(&connection, &other).await?.signed()?,
            );
            let changes: Vec<ChangeShape> = diff(one.document(), other.document())
                .into_iter()
                .map(ChangeShape::from)
                .collect();
            output.print(&changes, |out| {
                if changes.is_empty() {
                    return writeln!(out, "they say the same; their hash is {}", one.hash());
                }
                let mut shown = table(["field", "first", "second"]);
                for change in &changes {
                    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "(not there)".to_owned());
                    shown.add_row([change.field.clone(), text(&change.from), text(&change.to)]);
                }
                writeln!(out, "{shown}")
            })
        }
        Command::Sign { file, key, out } => sign::<Agreement>(&file, &key, &out, output),
    }
}

/// Signs a draft or a document that others have signed.
pub(crate) fn sign<D: Document>(file: &Path, key: &Path, out: &Path, output: &mut Output) -> Result<(), Failure> {
    let key = signing::read(key).map_err(Failure::usage)?;
    let mut signed: Signed<D> = match signed_of(file) {
        Ok(signed) => signed,
        Err(_) if is_toml(file) => draft_of(file)?,
        Err(failure) => return Err(failure),
    };
    signed.sign(&key);
    write_new(&[NewFile::public(out.to_owned(), &signed.to_json())]).map_err(Failure::usage)?;
    let shape = shape::SignedShape::of(&signed, out);
    output.print(&shape, |out| shape.print(out))
}

fn is_toml(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "toml")
}

/// Reads what people write.
pub(crate) fn draft_of<D: Document>(file: &Path) -> Result<Signed<D>, Failure> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("cannot read {}", file.display()))
        .map_err(Failure::usage)?;
    from_toml(&text).map_err(|error| Failure::usage(anyhow!("{}: {error}", file.display())))
}

/// Reads a signed document.
pub(crate) fn signed_of<D: Document>(file: &Path) -> Result<Signed<D>, Failure> {
    let json = fs::read(file)
        .with_context(|| format!("cannot read {}", file.display()))
        .map_err(Failure::usage)?;
    Signed::parse(&json).map_err(|error| Failure::usage(anyhow!("{}: {error}", file.display())))
}

async fn decide(
    connection: Connection,
    verb: &str,
    which: Which,
    why: Why,
    output: &mut Output,
) -> Result<(), Failure> {
    let request = pb::DecideAgreementRequest {
        agreement: which.agreement,
        verb: verb.to_owned(),
        reason: why.reason,
    };
    let mut client = client::connect(&connection.check()?).await?;
    let answer = client.decide_agreement(request).await?.into_inner();
    changed(answer, output)
}

fn changed(answer: pb::AgreementResponse, output: &mut Output) -> Result<(), Failure> {
    let changed = Changed {
        agreement: AgreementShape::try_from(answer.agreement.unwrap_or_default())?,
        deliveries: answer.deliveries.into_iter().map(DeliveryShape::from).collect(),
    };
    output.print(&changed, |out| {
        writeln!(out, "{}", changed.agreement.explanation)?;
        writeln!(out, "hash {}", changed.agreement.hash)?;
        for delivery in &changed.deliveries {
            match &delivery.failed {
                None => writeln!(out, "{} has it", delivery.party)?,
                Some(why) => writeln!(
                    out,
                    "{} has not heard yet, and will as soon as it can be reached: {why}",
                    delivery.party
                )?,
            }
        }
        Ok(())
    })
}

async fn all(client: &mut Client) -> Result<Vec<AgreementShape>, Failure> {
    let mut answers = client.list_agreements(pb::ListAgreementsRequest {}).await?.into_inner();
    let mut agreements = Vec::new();
    while let Some(answer) = answers.message().await? {
        agreements.extend(answer.agreements);
    }
    agreements.into_iter().map(AgreementShape::try_from).collect()
}

async fn list(client: &mut Client, output: &mut Output) -> Result<(), Failure> {
    let agreements = all(client).await?;
    output.print(&agreements, |out| {
        if agreements.is_empty() {
            return writeln!(
                out,
                "there is no agreement: nobody can ask or be asked anything; see `overlap agreement draft --help`"
            );
        }
        let mut shown = table(["id", "hash", "state", "parties", "until", "not signed by"]);
        for one in &agreements {
            shown.add_row([
                one.id.clone(),
                one.hash.chars().take(16).collect(),
                one.state.clone(),
                one.parties.join(", "),
                one.valid_until.clone(),
                one.unsigned.join(", "),
            ]);
        }
        writeln!(out, "{shown}")
    })
}

/// An agreement by its id, hash or file.
async fn find(connection: &Connection, wanted: &str) -> Result<AgreementShape, Failure> {
    let file = Path::new(wanted);
    if file.is_file() {
        let signed = match signed_of(file) {
            Ok(signed) => signed,
            Err(_) if is_toml(file) => draft_of(file)?,
            Err(failure) => return Err(failure),
        };
        return Ok(AgreementShape::of_file(&signed));
    }
    let mut client = client::connect(&connection.clone().check()?).await?;
    let all = all(&mut client).await?;
    let by_hash = |one: &&AgreementShape| wanted.len() >= 8 && one.hash.starts_with(wanted);
    let named: Vec<&AgreementShape> = all.iter().filter(|one| one.id == wanted || by_hash(one)).collect();
    let living: Vec<&&AgreementShape> = named.iter().filter(|one| one.is_living()).collect();
    match (living.as_slice(), named.as_slice()) {
        ([one], _) => Ok(AgreementShape::clone(one)),
        ([], [one]) => Ok(AgreementShape::clone(one)),
        ([], []) => Err(Failure::usage(anyhow!(
            "no agreement and no file is called {wanted}; see `overlap agreement list`"
        ))),
        _ => Err(Failure::usage(anyhow!(
            "several agreements are called {wanted}: name one by its hash; see `overlap agreement list`"
        ))),
    }
}

async fn show(connection: Connection, wanted: &str, jws: bool, output: &mut Output) -> Result<(), Failure> {
    let found = find(&connection, wanted).await?;
    if jws {
        let signed = found.signed()?;
        let printed = output
            .writer()
            .write_all(&signed.to_json())
            .and_then(|()| output.writer().write_all(b"\n"));
        return printed.map_err(Failure::internal);
    }
    output.print(&found, |out| found.print(out))
}
