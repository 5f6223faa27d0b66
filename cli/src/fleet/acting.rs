//! All agencies of a fleet under one agreement by which each may check at others: what actions are made of.

use anyhow::{Context as _, Result};
use jiff::{Timestamp, ToSpan as _};
use overlap_agreement::{Agreement, Signed, from_toml};
use overlap_proto::pb::operator as pb;
use overlap_records::Profile;

use super::{CASE, DATASET, DAYS, Fleet, PURPOSE, quoted};
use crate::{
    client::{self, Actions},
    pki::signing,
};

/// What a fleet may check.
pub(crate) struct Acting<'a> {
    /// Whether an agency, the first, may ask another.
    pub(crate) asks: fn(&str, &str) -> bool,
    pub(crate) kinds: &'a [&'a str],
    /// More lines of each grant.
    pub(crate) grant: &'a str,
    pub(crate) checks_per_minute: u32,
    pub(crate) deadline_ms: u32,
}

/// Name of the action.
pub(crate) const ACTION: &str = "jad";

impl Fleet {
    /// Lets every agency sign one agreement, and plans an action of all, which everybody joins; it is started.
    pub(crate) async fn act(&self, acting: &Acting<'_>) -> Result<()> {
        let mut agreement: Signed<Agreement> = from_toml(&self.action_draft(acting))?;
        for agency in &self.agencies {
            agreement.sign(&signing::read(&agency.directory().join("signing.key"))?);
        }
        for agency in &self.agencies {
            let mut client = client::connect(&agency.settings("operator"))
                .await
                .map_err(|failure| failure.error)?;
            let wish = pb::TakeAgreementRequest {
                document: agreement.to_json().into(),
                reason: "made for this run".to_owned(),
            };
            let took = client.take_agreement(wish).await;
            took.with_context(|| format!("{} takes the agreement in", agency.name))?;
        }
        let first = self.agencies.first().context("a fleet of nobody")?;
        let mut leader = self.coordinator(&first.name).await?;
        let now = Timestamp::now();
        let wish = pb::CreateActionRequest {
            id: ACTION.to_owned(),
            purpose: PURPOSE.to_owned(),
            case_reference: CASE.to_owned(),
            reason: "made for this run".to_owned(),
            participants: self.agencies.iter().map(|agency| agency.name.clone()).collect(),
            kinds: acting.kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            from: (now - 1.minute()).to_string(),
            until: (now + 12.hours()).to_string(),
            deadline_ms: acting.deadline_ms,
            checks_per_minute: acting.checks_per_minute,
            ..pb::CreateActionRequest::default()
        };
        leader.create(wish).await?;
        let wish = pb::AboutActionRequest {
            action: ACTION.to_owned(),
            reason: "made for this run".to_owned(),
        };
        leader.invite(wish).await?;
        for agency in &self.agencies {
            step(&mut self.coordinator(&agency.name).await?, "join").await?;
        }
        step(&mut leader, "start").await
    }

    /// What a coordinator of an agency talks to its node by.
    pub(crate) async fn coordinator(&self, name: &str) -> Result<Actions> {
        let settings = self.agency(name)?.settings("coordinator");
        client::actions(&settings).await.map_err(|failure| failure.error)
    }

    fn action_draft(&self, acting: &Acting<'_>) -> String {
        let now = Timestamp::now();
        let (from, until) = (now - 1.hour(), now + (24 * i64::from(DAYS)).hours());
        let profile = Profile::eu_thb_1();
        let mut text = format!(
            "id = \"jad-2026\"\npurposes = [\"{PURPOSE}\"]\nregime = \"wpg\"\narticle = \"20\"\nprofile = \"{}\"\nprofile_hash = \"{}\"\n\
             valid_from = \"{from}\"\nvalid_until = \"{until}\"\n",
            profile.name(),
            hex::encode(profile.hash())
        );
        for (agency, keys) in self.agencies.iter().zip(&self.keys) {
            text.push_str(&keys.party(agency));
        }
        let kinds = quoted(acting.kinds);
        for asker in &self.agencies {
            let may_ask = |one: &&super::Agency| one.name != asker.name && (acting.asks)(&asker.name, &one.name);
            for holder in self.agencies.iter().filter(may_ask) {
                text.push_str(&format!(
                    "\n[[grant]]\nasker = \"{}\"\nholder = \"{}\"\ndataset = \"{DATASET}\"\nmodes = [\"action\"]\nkinds = [{kinds}]\n\
                     max_set_size = 256\nitems_per_day = 1000000000\ndisclose = [\"reference\", \"role\", \"phone\"]\n{}\n",
                    asker.name, holder.name, acting.grant
                ));
            }
        }
        text
    }
}

/// Makes a step of the fleet's action.
pub(crate) async fn step(client: &mut Actions, verb: &str) -> Result<()> {
    let wish = pb::StepActionRequest {
        action: ACTION.to_owned(),
        verb: verb.to_owned(),
        reason: "made for this run".to_owned(),
        order: String::new(),
    };
    client.step(wish).await?;
    Ok(())
}

/// Waits until a node can check at so many others; gives the bytes of their snapshots.
pub(crate) async fn ready(client: &mut Actions, partners: usize) -> Result<Vec<u64>> {
    const WAIT: std::time::Duration = std::time::Duration::from_millis(50);
    loop {
        let wish = pb::ListActionsRequest {
            action: ACTION.to_owned(),
        };
        let listed = client.list(wish).await?.into_inner();
        let action = listed.actions.first().context("the action is not known")?;
        let ready: Vec<u64> = action
            .partners
            .iter()
            .filter(|partner| partner.link == "ready")
            .map(|partner| partner.filter_bytes)
            .collect();
        if ready.len() >= partners {
            return Ok(ready);
        }
        tokio::time::sleep(WAIT).await;
    }
}
