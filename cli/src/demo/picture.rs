//! The picture of four agencies: what they have in common, seen by the expertise centre.

use std::path::Path;

use overlap_proto::pb::operator as pb;
use overlap_report::Picture;
use serde::Serialize;

use super::story::{EXPORTS, load};
use crate::{
    client::{self, Failure},
    files,
    fleet::{CASE, Convened, DATASET, Fleet, ORDER, PURPOSE},
    hits::FollowUpShape,
    output::{Output, table},
    picture,
};

const LEADER: &str = "emm";

/// The demonstration of a picture, in JSON.
#[derive(Serialize)]
struct Shape {
    /// Where charts and exports are.
    written: Vec<String>,
    statistics: Picture,
    operational: Picture,
    /// What became of one subject that most agencies have.
    follow_ups: Vec<FollowUpShape>,
}

pub(super) async fn run(directory: &Path, out: &Path, output: &mut Output) -> Result<(), Failure> {
    files::create_dir(out).map_err(Failure::usage)?;
    let names = EXPORTS.map(|(name, ..)| name);
    output.say(
        "Four agencies, each with its own node, keys, store and messy export. All people and numbers are made up.\n",
    )?;
    let fleet = Fleet::start(directory, &names, &[]).await.map_err(Failure::internal)?;
    let told = tell(&fleet, out, output).await;
    fleet.stop().await.map_err(Failure::internal)?;
    let shape = told?;
    output.print(&shape, |_| Ok(()))
}

async fn tell(fleet: &Fleet, out: &Path, output: &mut Output) -> Result<Shape, Failure> {
    let convened = Convened {
        leader: LEADER,
        kinds: &["person", "phone", "plate", "iban"],
        min_count: 5,
        max_set_size: 100_000,
    };
    fleet.convene(&convened).await.map_err(Failure::internal)?;
    for (name, csv, mapping) in EXPORTS {
        load(fleet.agency(name).map_err(Failure::internal)?, csv, mapping).await?;
    }
    output.say(
        "1. All four signed one agreement; a prosecutor's order lets emm make pictures under it. Each loaded its own export.\n",
    )?;
    output.say(
        "2. emm asks for statistics: how many subjects are known to which agencies. Counts below 5 are withheld.\n",
    )?;
    let statistics = lead(fleet, "statistics", output).await?;
    let written = picture::save(&statistics, out, &[])?;
    if !output.json() {
        picture::print(output.writer(), &statistics).map_err(Failure::internal)?;
    }
    output.say(format!(
        "\nNo node saw another's numbers: each had its items blinded by all others, and emm got pseudonyms that nobody alone can make.\n\
         Charts and exports are in {}: open {}\n",
        out.display(),
        out.join("phone-upset.svg").display()
    ))?;
    output.say("3. An operational picture names what is shared by pseudonyms that mean nothing outside it.\n")?;
    let operational = lead(fleet, "operational", output).await?;
    let follow_ups = follow_up(fleet, &operational, output).await?;
    Ok(Shape {
        written: written.iter().map(|path| path.display().to_string()).collect(),
        statistics,
        operational,
        follow_ups,
    })
}

async fn lead(fleet: &Fleet, form: &str, output: &Output) -> Result<Picture, Failure> {
    let leader = fleet.agency(LEADER).map_err(Failure::internal)?;
    let mut client = client::pictures(&leader.settings("analyst")).await?;
    let others = fleet.agencies().iter().filter(|agency| agency.name != LEADER);
    let request = pb::RunPictureRequest {
        peers: others.map(|agency| agency.name.clone()).collect(),
        dataset: DATASET.to_owned(),
        form: form.to_owned(),
        purpose: PURPOSE.to_owned(),
        case_reference: CASE.to_owned(),
        reason: "demonstration with made-up people".to_owned(),
        order: ORDER.to_owned(),
        ..pb::RunPictureRequest::default()
    };
    Ok(picture::lead(&mut client, request, output).await?.0)
}

/// Follows up a subject that as many agencies as possible have: one of the holders consents, another declines.
async fn follow_up(fleet: &Fleet, made: &Picture, output: &mut Output) -> Result<Vec<FollowUpShape>, Failure> {
    let phones = made
        .shared
        .iter()
        .filter(|one| one.kind == "phone" && one.agencies.iter().any(|name| name != LEADER));
    let Some(most) = phones.max_by_key(|one| one.agencies.len()) else {
        return Ok(Vec::new());
    };
    output.say(format!(
        "   {} subjects are shared. emm follows up {}, a phone that {} know.\n",
        made.shared.len(),
        most.pseudonym.get(..12).unwrap_or_default(),
        most.agencies.join(", ")
    ))?;
    let leader = fleet.agency(LEADER).map_err(Failure::internal)?;
    let mut client = client::pictures(&leader.settings("analyst")).await?;
    let request = || pb::FollowUpPictureRequest {
        picture: made.id.clone(),
        pseudonym: most.pseudonym.clone(),
        reason: "whose phone is it".to_owned(),
    };
    let asked = client.follow_up(request()).await?.into_inner();
    for (number, row) in asked.follow_ups.iter().enumerate() {
        let holder = fleet.agency(&row.peer).map_err(Failure::internal)?;
        let mut functionary = client::connect(&holder.settings("functionary")).await?;
        let decision = pb::DecideHitRequest {
            hit: hex::encode(&row.id),
            declined: if number == 1 {
                "investigation".to_owned()
            } else {
                String::new()
            },
            reason: "weighed by a functionary".to_owned(),
            attachment: String::new(),
        };
        functionary.decide_hit(decision).await?;
    }
    let told = client.follow_up(request()).await?.into_inner();
    let told: Vec<FollowUpShape> = told.follow_ups.into_iter().map(FollowUpShape::from).collect();
    let mut shown = table(["holder", "state", "identifier", "told"]);
    for one in &told {
        let [_, identifier, state, told] = one.cells();
        shown.add_row([one.peer.clone(), state, identifier, told]);
    }
    output.say(format!(
        "{shown}\n   Each holder's functionary decided for itself; all of it is in the logs of both."
    ))?;
    Ok(told)
}
