//! Agreements: which party may ask which what.

use std::{collections::BTreeSet, fmt, str::FromStr};

use jiff::Timestamp;
use overlap_audit::Digest;
use overlap_records::{Kind, Role, Visibility};
use serde::{Deserialize, Serialize};

use crate::{
    check::{self, Flaw},
    field::Field,
    signed::Document,
};

/// What two or more agencies agreed on. Fields in the order of people's reading; sets are in order, so that equal agreements have equal
/// hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Its name; a later edition has the same.
    pub id: String,
    /// Hash of the edition that this one takes the place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Digest>,
    /// What queries may be for.
    pub purposes: BTreeSet<String>,
    /// Legal regime, such as `wpg`.
    pub regime: String,
    /// Article of the regime.
    pub article: String,
    /// Name of the profile that is compared under.
    pub profile: String,
    /// Its hash.
    pub profile_hash: Digest,
    /// First moment at which it holds.
    pub valid_from: Timestamp,
    /// First moment at which it holds no more.
    pub valid_until: Timestamp,
    /// What becomes of what was found and disclosed under it once it has ended.
    #[serde(default)]
    pub at_end: Ending,
    /// Who takes part, two or more.
    #[serde(rename = "party")]
    pub parties: Vec<Party>,
    /// Whose orders count.
    #[serde(rename = "authority", default)]
    pub authorities: Vec<Authority>,
    /// Who may ask whom what.
    #[serde(rename = "grant", default)]
    pub grants: Vec<Grant>,
}

/// An agency that takes part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// How grants call it.
    pub name: String,
    /// SPIFFE URI in its node's certificate.
    pub id: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// SHA-256 of the public key that its node's certificates carry.
    pub key: Digest,
    /// Thumbprint of the key that its node signs documents with.
    pub signing_key: Digest,
}

/// A competent authority: the public prosecutor, say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// How orders call it.
    pub name: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Thumbprint of the key that it signs with.
    pub signing_key: Digest,
}

/// What one party may ask another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Name of the party that asks.
    pub asker: String,
    /// Name of the party that is asked.
    pub holder: String,
    /// Dataset of the holder.
    pub dataset: String,
    /// What may be learnt.
    pub modes: BTreeSet<Mode>,
    /// Kinds of identifiers.
    pub kinds: BTreeSet<Kind>,
    /// Roles of the subjects whose records take part.
    #[serde(default = "all_roles")]
    pub roles: BTreeSet<Role>,
    /// Classes of records that take part.
    #[serde(default = "usual_visibility")]
    pub visibility: BTreeSet<Visibility>,
    /// Whether queries need an order.
    #[serde(default)]
    pub order: OrderRule,
    /// Fewest items of the asker in one query.
    #[serde(default = "one")]
    pub min_set_size: u64,
    /// Most items of the asker in one query.
    pub max_set_size: u64,
    /// Most items of the asker in all queries of a day, UTC.
    pub items_per_day: u64,
    /// And in those of one user; none: no other limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_per_user_and_day: Option<u64>,
    /// Most queries in an hour.
    #[serde(default = "queries")]
    pub queries_per_hour: u64,
    /// Counts below this are not told.
    #[serde(default = "one")]
    pub min_count: u64,
    /// Most queries in mode `count` in a day, UTC: what can be learnt by subtracting counts is bounded by it.
    #[serde(default = "counts")]
    pub counts_per_day: u64,
    /// Points of the mirrored pass, by which the holder learns which of its records of class `c` and `d` are asked about; 0: there is none.
    #[serde(default)]
    pub mirror: u64,
    /// Who learns what was found.
    #[serde(default)]
    pub result: Recipient,
    /// What the holder tells of a record behind a hit: of class `a` when it is asked, of class `b` and `c` once a functionary consents.
    #[serde(default)]
    pub disclose: BTreeSet<Field>,
    /// Days that the holder has to decide; what is not decided by then is declined.
    #[serde(default = "days")]
    pub decide_within_days: u64,
    /// Countries that the asker may ask for.
    #[serde(default)]
    pub on_behalf_of: BTreeSet<String>,
}

/// What may be learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// How many items match.
    Count,
    /// Which of the asker's items match.
    Hits,
    /// Part in a comparison among many.
    Picture,
    /// Live checks.
    Action,
}

/// Whether queries need an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderRule {
    /// They do not.
    #[default]
    None,
    /// They do.
    Required,
}

/// Who learns what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recipient {
    /// The asker alone, until it follows a hit up.
    #[default]
    Asker,
    /// The holder too.
    Both,
}

/// What becomes of what was found under an agreement that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// It is kept for as long as the node keeps such.
    #[default]
    Keep,
    /// It is erased at once.
    Erase,
}

fn all_roles() -> BTreeSet<Role> {
    Role::ALL.into()
}

fn usual_visibility() -> BTreeSet<Visibility> {
    [Visibility::A, Visibility::B, Visibility::C].into()
}

fn one() -> u64 {
    1
}

fn queries() -> u64 {
    60
}

fn counts() -> u64 {
    24
}

fn days() -> u64 {
    14
}

/// Most parties to one agreement: each signs it.
const MAX_PARTIES: usize = 64;
/// Largest set that the protocols take.
const MAX_SET: u64 = u32::MAX as u64;
/// Longest time to decide on a hit, in days.
const MAX_DAYS: u64 = 90;
/// Largest set whose hits are for both: the holder has what it is told in memory.
const MAX_SHARED: u64 = 1 << 18;
/// Most points of a mirrored pass: both sides hold them in memory.
const MAX_MIRROR: u64 = 1 << 16;

impl Agreement {
    /// Whether it may take the place of another: it has the same name, and the same parties.
    pub fn may_replace(&self, other: &Self) -> bool {
        let ids = |agreement: &Self| {
            let parties = agreement.parties.iter();
            parties.map(|party| party.id.clone()).collect::<BTreeSet<_>>()
        };
        self.id == other.id && ids(self) == ids(other)
    }

    /// The party with this id.
    pub fn party(&self, id: &str) -> Option<&Party> {
        self.parties.iter().find(|party| party.id == id)
    }

    /// The party of this name.
    pub fn party_named(&self, name: &str) -> Option<&Party> {
        self.parties.iter().find(|party| party.name == name)
    }

    /// Whether it holds at a moment.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        (self.valid_from..self.valid_until).contains(&now)
    }

    /// What one party, by id, may ask another.
    pub fn grants_between<'a>(&'a self, asker: &str, holder: &str) -> impl Iterator<Item = &'a Grant> + use<'a> {
        let name = |id: &str| self.party(id).map(|party| party.name.clone());
        let (asker, holder) = (name(asker), name(holder));
        self.grants
            .iter()
            .filter(move |grant| Some(&grant.asker) == asker.as_ref() && Some(&grant.holder) == holder.as_ref())
    }

    /// What it says, a line per grant.
    pub fn explain(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "agreement {} under {} article {}, from {} until {}, for {}",
            self.id,
            self.regime,
            self.article,
            self.valid_from,
            self.valid_until,
            join(&self.purposes),
        )];
        if let Some(replaces) = self.replaces {
            lines.push(format!("it takes the place of its edition {replaces}"));
        }
        if self.at_end == Ending::Erase {
            lines.push("once it has ended, what was found under it is erased".to_owned());
        }
        lines.extend(self.grants.iter().map(Grant::explain));
        lines
    }
}

impl Grant {
    /// What it says, in words.
    pub fn explain(&self) -> String {
        let mut text = format!(
            "{} may ask {} about {}: {} over {} of {}, class {}; {} to {} items at once, {} a day, {} queries an hour",
            self.asker,
            self.holder,
            self.dataset,
            join(&self.modes),
            join(&self.kinds),
            join(&self.roles),
            join(&self.visibility),
            self.min_set_size,
            self.max_set_size,
            self.items_per_day,
            self.queries_per_hour,
        );
        if let Some(limit) = self.items_per_user_and_day {
            text.push_str(&format!(", {limit} items a day for one user"));
        }
        if self.min_count > 1 {
            text.push_str(&format!("; counts below {} are not told", self.min_count));
        }
        if self.modes.contains(&Mode::Count) {
            text.push_str(&format!("; {} counts a day", self.counts_per_day));
        }
        if self.order == OrderRule::Required {
            text.push_str("; with an order");
        }
        if self.modes.contains(&Mode::Picture) {
            text.push_str(match self.disclose.is_empty() {
                true => "; in pictures, statistics alone, with an order",
                false => "; in pictures, statistics and what is shared, with an order",
            });
        }
        let lists = self.modes.contains(&Mode::Hits);
        let tells = lists || self.modes.contains(&Mode::Picture);
        if self.mirror > 0 {
            text.push_str(&format!(
                "; {} learns which of up to {} of its records of class c and d are asked about",
                self.holder, self.mirror
            ));
        } else if lists && self.visibility.contains(&Visibility::C) {
            text.push_str("; records of class c are in no hits: there is no mirrored pass (mirror)");
        }
        if tells && !self.disclose.is_empty() {
            text.push_str(&format!(
                "; behind a hit it tells {}: class a when asked, b and c once it consents, within {} days",
                join(&self.disclose),
                self.decide_within_days
            ));
        }
        if self.result == Recipient::Both {
            text.push_str("; both learn what is found");
        }
        if !self.on_behalf_of.is_empty() {
            text.push_str(&format!("; also on behalf of {}", join(&self.on_behalf_of)));
        }
        text
    }

    fn check(&self, of: &Agreement) -> Result<(), Flaw> {
        for name in [&self.asker, &self.holder] {
            if of.party_named(name).is_none() {
                return Err(Flaw::new(format!("grant: {name} must be the name of a party")));
            }
        }
        if self.asker == self.holder {
            return Err(Flaw::new("grant: asker and holder must differ"));
        }
        check::name("grant: dataset", &self.dataset)?;
        check::some("grant: modes", &self.modes)?;
        check::some("grant: kinds", &self.kinds)?;
        check::some("grant: roles", &self.roles)?;
        check::some("grant: visibility", &self.visibility)?;
        if !(1..=MAX_SET).contains(&self.max_set_size) {
            return Err(Flaw::new(format!("grant: max_set_size must be 1 to {MAX_SET}")));
        }
        if !(1..=self.max_set_size).contains(&self.min_set_size) {
            return Err(Flaw::new("grant: min_set_size must be 1 to max_set_size"));
        }
        let shares_hits = self.result == Recipient::Both && self.modes.contains(&Mode::Hits);
        if shares_hits && self.max_set_size > MAX_SHARED {
            return Err(Flaw::new(format!(
                "grant: max_set_size must be at most {MAX_SHARED} where the result is for both"
            )));
        }
        if self.mirror > MAX_MIRROR {
            return Err(Flaw::new(format!("grant: mirror must be at most {MAX_MIRROR}")));
        }
        if self.min_count == 0 {
            return Err(Flaw::new("grant: min_count must be at least 1"));
        }
        if !(1..=MAX_DAYS).contains(&self.decide_within_days) {
            return Err(Flaw::new(format!("grant: decide_within_days must be 1 to {MAX_DAYS}")));
        }
        if self.order == OrderRule::Required && of.authorities.is_empty() {
            return Err(Flaw::new(
                "grant: order is required, so authority must name who may give one",
            ));
        }
        self.on_behalf_of
            .iter()
            .try_for_each(|country| check::country("grant: on_behalf_of", country))
    }
}

impl Document for Agreement {
    const TYP: &'static str = "overlap-agreement+json";
    const NAME: &'static str = "agreement";

    fn check(&self) -> Result<(), Flaw> {
        check::name("id", &self.id)?;
        check::some("purposes", &self.purposes)?;
        self.purposes
            .iter()
            .try_for_each(|purpose| check::name("purposes: each", purpose))?;
        check::name("regime", &self.regime)?;
        check::words("article", &self.article)?;
        check::name("profile", &self.profile)?;
        if self.valid_from >= self.valid_until {
            return Err(Flaw::new("valid_until must be after valid_from"));
        }
        if !(2..=MAX_PARTIES).contains(&self.parties.len()) {
            return Err(Flaw::new(format!("party: there must be 2 to {MAX_PARTIES}")));
        }
        for party in &self.parties {
            check::name("party: name", &party.name)?;
            check::spiffe("party: id", &party.id)?;
            check::country(&format!("party {}: country", party.name), &party.country)?;
        }
        let parties = self.parties.iter();
        let names: BTreeSet<_> = parties.clone().flat_map(|party| [&party.name, &party.id]).collect();
        let keys: BTreeSet<_> = parties.flat_map(|party| [party.key, party.signing_key]).collect();
        let all = 2 * self.parties.len();
        if names.len() != all || keys.len() != all {
            return Err(Flaw::new("party: names, ids and keys must differ"));
        }
        for authority in &self.authorities {
            check::words("authority: name", &authority.name)?;
            check::country(&format!("authority {}: country", authority.name), &authority.country)?;
            if keys.contains(&authority.signing_key) {
                return Err(Flaw::new("authority: signing_key must not be one of a party"));
            }
        }
        let names: BTreeSet<_> = self.authorities.iter().map(|authority| &authority.name).collect();
        if names.len() != self.authorities.len() {
            return Err(Flaw::new("authority: names must differ"));
        }
        self.grants.iter().try_for_each(|grant| grant.check(self))
    }
}

impl Mode {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Hits => "hits",
            Self::Picture => "picture",
            Self::Action => "action",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let all = [Self::Count, Self::Hits, Self::Picture, Self::Action];
        let found = all.into_iter().find(|mode| mode.name() == text);
        found.ok_or_else(|| Flaw::new("mode must be count, hits, picture or action"))
    }
}

pub(crate) fn join<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let words: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    words.join(", ")
}
