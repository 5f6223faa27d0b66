//! All agencies of a fleet under one agreement, and a prosecutor's order: what pictures are made of.

use std::fs;

use anyhow::{Context as _, Result};
use jiff::{Timestamp, ToSpan as _};
use overlap_agreement::{Agreement, Order, Signed, from_toml};
use overlap_proto::pb::operator::{self as pb, add_order_request::Document};
use overlap_records::Profile;

use super::{DATASET, DAYS, Fleet, PURPOSE, quoted};
use crate::{client, pki::signing};

/// Id of the order that pictures of a fleet are made under.
pub(crate) const ORDER: &str = "OM-2026-7";
/// The case that it is given for.
pub(crate) const CASE: &str = "EMM-2026-7";

/// What a leader may make pictures of.
pub(crate) struct Convened<'a> {
    /// Who leads.
    pub(crate) leader: &'a str,
    pub(crate) kinds: &'a [&'a str],
    pub(crate) min_count: u64,
    pub(crate) max_set_size: u64,
}

impl Fleet {
    /// Lets every agency sign one agreement, and a prosecutor an order for its leader.
    pub(crate) async fn convene(&self, convened: &Convened<'_>) -> Result<()> {
        let leader = self.agency(convened.leader)?;
        let prosecutor = leader.directory().join("prosecutor.key");
        let authority = signing::write(&prosecutor)?;
        let mut agreement: Signed<Agreement> = from_toml(&self.draft(convened, &authority))?;
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
            client
                .take_agreement(wish)
                .await
                .with_context(|| format!("{} takes the agreement in", agency.name))?;
        }
        let mut order: Signed<Order> = from_toml(&self.order(convened))?;
        order.sign(&signing::read(&prosecutor)?);
        fs::remove_file(&prosecutor)?;
        let mut client = client::connect(&leader.settings("operator"))
            .await
            .map_err(|failure| failure.error)?;
        let wish = pb::AddOrderRequest {
            document: Some(Document::Order(order.to_json().into())),
            reason: "made for this run".to_owned(),
        };
        client.add_order(wish).await?;
        Ok(())
    }

    fn draft(&self, convened: &Convened<'_>, authority: &str) -> String {
        let now = Timestamp::now();
        let (from, until) = (now - 1.hour(), now + (24 * i64::from(DAYS)).hours());
        let profile = Profile::eu_thb_1();
        let Convened {
            leader,
            kinds,
            min_count,
            max_set_size,
        } = convened;
        let mut text = format!(
            "id = \"convened-2026\"\npurposes = [\"{PURPOSE}\"]\nregime = \"wpg\"\narticle = \"11\"\nprofile = \"{}\"\nprofile_hash = \"{}\"\n\
             valid_from = \"{from}\"\nvalid_until = \"{until}\"\n",
            profile.name(),
            hex::encode(profile.hash())
        );
        for (agency, keys) in self.agencies.iter().zip(&self.keys) {
            text.push_str(&keys.party(agency));
        }
        text.push_str(&format!(
            "\n[[authority]]\nname = \"Openbaar Ministerie\"\ncountry = \"NL\"\nsigning_key = \"{authority}\"\n"
        ));
        let kinds = quoted(kinds);
        for agency in self.agencies.iter().filter(|agency| agency.name != *leader) {
            text.push_str(&format!(
                "\n[[grant]]\nasker = \"{leader}\"\nholder = \"{}\"\ndataset = \"{DATASET}\"\nmodes = [\"picture\"]\nkinds = [{kinds}]\n\
                 max_set_size = {max_set_size}\nitems_per_day = {}\nmin_count = {min_count}\ndisclose = [\"reference\", \"role\", \"phone\"]\n",
                agency.name,
                100 * max_set_size
            ));
        }
        text
    }

    fn order(&self, convened: &Convened<'_>) -> String {
        let now = Timestamp::now();
        let (from, until) = (now - 1.hour(), now + 24.hours());
        let holders = self.agencies.iter().filter(|agency| agency.name != convened.leader);
        let holders: Vec<&str> = holders.map(|agency| agency.id.as_str()).collect();
        let leader = self.agencies.iter().find(|agency| agency.name == convened.leader);
        format!(
            "id = \"{ORDER}\"\nauthority = \"Openbaar Ministerie\"\npurpose = \"{PURPOSE}\"\ncase_reference = \"{CASE}\"\nasker = \"{}\"\n\
             holders = [{}]\nmodes = [\"picture\"]\nkinds = [{}]\nmax_set_size = {}\nuses = 1000\nvalid_from = \"{from}\"\nvalid_until = \"{until}\"\n\
             [weighing]\nnecessity = \"made up\"\nproportionality = \"made up\"\nsubsidiarity = \"made up\"\n",
            leader.map(|leader| leader.id.as_str()).unwrap_or_default(),
            quoted(&holders),
            quoted(convened.kinds),
            convened.max_set_size
        )
    }
}
