//! Drafts of agreements.

use std::{fmt::Write as _, path::PathBuf};

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use overlap_proto::pb::operator as pb;
use serde::Serialize;

use crate::{
    client::{self, Failure},
    files::{NewFile, write_new},
    output::Output,
    settings::Connection,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Names of peers that are to be parties: separated by commas, or repeated
    #[arg(long = "with", value_name = "PEER", value_delimiter = ',', required = true)]
    with: Vec<String>,
    /// Id of the agreement
    #[arg(long)]
    id: String,
    /// What each may ask another: separated by commas, or repeated
    #[arg(long = "mode", value_name = "MODE", value_delimiter = ',', default_values = ["hits", "count"], value_parser = ["count", "hits", "picture", "action"])]
    modes: Vec<String>,
    /// Let your agency ask the others, and not the other way round
    #[arg(long)]
    one_way: bool,
    /// File to write; standard output otherwise
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A draft, in JSON.
#[derive(Serialize)]
struct DraftShape {
    file: Option<String>,
    draft: String,
}

pub(super) async fn run(connection: Connection, args: Args, output: &mut Output) -> Result<(), Failure> {
    let mut client = client::connect(&connection.check()?).await?;
    let request = pb::DraftAgreementRequest {
        peers: args.with.clone(),
    };
    let parties = client.draft_agreement(request).await?.into_inner();
    let draft = draft(&args, &parties, Timestamp::now());
    if let Some(path) = &args.out {
        write_new(&[NewFile::public(path.clone(), draft.as_bytes())]).map_err(Failure::usage)?;
    }
    let shape = DraftShape {
        file: args.out.map(|path| path.display().to_string()),
        draft,
    };
    output.print(&shape, |out| match &shape.file {
        None => write!(out, "{}", shape.draft),
        Some(file) => {
            writeln!(
                out,
                "{file} is a draft: fill it in, then `overlap agreement propose {file}`"
            )?;
            writeln!(
                out,
                "The keys in it are what the nodes showed. Compare each with its agency over another channel first:"
            )?;
            for party in &parties.parties {
                writeln!(
                    out,
                    "  {}\n    key          {}\n    signing key  {}",
                    party.name,
                    hex::encode(&party.key),
                    hex::encode(&party.signing_key)
                )?;
            }
            Ok(())
        }
    })
}

fn draft(args: &Args, found: &pb::DraftAgreementResponse, now: Timestamp) -> String {
    let (id, modes) = (&args.id, &args.modes);
    let midnight = |days: i64| {
        let day = TimeZone::UTC.to_datetime(now).date().saturating_add(days.days());
        format!("{day}T00:00:00Z")
    };
    let mut text = format!(
        "# A draft. Every key is explained in docs/agreement.md; what begins with # may be left out.\n\n\
         id = {id:?}\n\
         purposes = [\"thb-investigation\"]\n\
         regime = \"wpg\"\n\
         article = \"20\"\n\
         profile = {:?}\n\
         profile_hash = \"{}\"\n\
         valid_from = \"{}\"\n\
         valid_until = \"{}\"\n\
         # at_end = \"erase\"                # or \"keep\": what was found under it, once it has ended\n",
        found.profile,
        hex::encode(&found.profile_hash),
        midnight(0),
        midnight(365),
    );
    for party in &found.parties {
        let _ = write!(
            text,
            "\n[[party]]\nname = {:?}\nid = {:?}\ncountry = {:?}\nkey = \"{}\"\nsigning_key = \"{}\"\n",
            party.name,
            party.id,
            party.country,
            hex::encode(&party.key),
            hex::encode(&party.signing_key),
        );
    }
    text.push_str(
        "\n# Whose orders count, where a grant asks for one: `overlap pki thumbprint` of the authority's key.\n\
         # [[authority]]\n# name = \"Openbaar Ministerie\"\n# country = \"NL\"\n# signing_key = \"...\"\n",
    );
    let names: Vec<&str> = found.parties.iter().map(|party| party.name.as_str()).collect();
    let askers = if args.one_way { 1 } else { names.len() };
    for asker in names.iter().take(askers) {
        for holder in names.iter().filter(|holder| *holder != asker) {
            let _ = write!(
                text,
                "\n[[grant]]\nasker = {asker:?}\nholder = {holder:?}\ndataset = \"cases\"\n\
                 modes = {modes:?}        # of count, hits, picture, action\n\
                 kinds = [\"phone\", \"plate\", \"document\", \"iban\", \"person\"]\n\
                 # roles = [\"suspect\", \"convicted\"]  # of the holder's records; all unless given\n\
                 # visibility = [\"a\", \"b\", \"c\"]\n\
                 # order = \"required\"\n\
                 min_set_size = 1\n\
                 max_set_size = 100000\n\
                 items_per_day = 1000000\n\
                 # items_per_user_and_day = 100000\n\
                 queries_per_hour = 60\n\
                 # min_count = 5                    # counts below it are not told\n\
                 # on_behalf_of = [\"RO\"]\n\
                 # disclose = [\"reference\", \"role\"] # what is told behind a hit\n\
                 # mirror = 1024                    # made-up points among which checks on records of class d are noticed\n"
            );
        }
    }
    text
}
