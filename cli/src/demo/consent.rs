//! The demo's follow-up: what is behind a hit, once the other agency consents.

use anyhow::Context as _;
use overlap_proto::pb::operator as pb;

use crate::{
    client::{self, Failure},
    fleet::{Fleet, Grant},
    hits::FollowUpShape,
    matching::MatchShape,
    output::{Output, table},
};

/// Asks about two of the hits that wait for a functionary; one is told, the other is not. Returns both as the asker has them in the end.
pub(super) async fn follow_up(
    fleet: &Fleet,
    grant: &Grant,
    found: &MatchShape,
    output: &mut Output,
) -> Result<Vec<FollowUpShape>, Failure> {
    const ASKED: usize = 2;
    let asker = fleet.agency(grant.asker).map_err(Failure::internal)?;
    let holder = fleet.agency(grant.holder).map_err(Failure::internal)?;
    let mut analyst = client::connect(&asker.settings("analyst")).await?;
    let mut functionary = client::connect(&holder.settings("functionary")).await?;
    let transaction = found.transaction.parse().map_err(Failure::internal)?;
    let hits = crate::hits::list(&mut analyst, Some(transaction), "demonstration".to_owned()).await?;
    let mut waiting = Vec::new();
    for hit in hits.iter().filter(|hit| hit.is_numbered()) {
        let asked = ask(&mut analyst, hit.id()).await?;
        // what is of class a is told at once, and asks for nobody's consent
        if asked.is_pending() {
            waiting.push(asked);
        }
        if waiting.len() == ASKED {
            break;
        }
    }
    let mut ended = Vec::new();
    for (asked, declined) in waiting.iter().zip(["", "investigation"]) {
        let decision = pb::DecideHitRequest {
            hit: asked.id().to_owned(),
            declined: declined.to_owned(),
            reason: "demonstration".to_owned(),
            attachment: String::new(),
        };
        functionary.decide_hit(decision).await?;
        ended.push(ask(&mut analyst, asked.id()).await?);
    }
    let mut shown = table([
        "identifier",
        "first answer",
        "the functionary's decision",
        "what politie was told",
    ]);
    for (asked, told) in waiting.iter().zip(&ended) {
        let [_, identifier, before, _] = asked.cells();
        let [_, _, after, what] = told.cells();
        shown.add_row([identifier, before, after, what]);
    }
    output.say(format!(
        "5. politie asks what is behind two of the hits. A functionary of kmar sees who asks and why, tells the one, and declines the other.\n{shown}\n"
    ))?;
    Ok(ended)
}

async fn ask(analyst: &mut client::Client, hit: &str) -> Result<FollowUpShape, Failure> {
    let request = pb::FollowUpHitRequest {
        hit: hit.to_owned(),
        reason: "to reach the team that knows it".to_owned(),
    };
    let answer = analyst.follow_up_hit(request).await?.into_inner().follow_up;
    let answer = answer
        .context("the node answered without the hit")
        .map_err(Failure::internal)?;
    Ok(answer.into())
}
