//! Agreements: which party may ask which what. The same file stands at every party; its hash is part of every query.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use overlap_audit::Digest;
use overlap_proto::peer::Mode;
use overlap_psi::dh::Terms;
use overlap_records::{Kind, Profile};
use ring::digest;
use serde::{Deserialize, Serialize};

/// A checked agreement.
#[derive(Debug)]
pub(crate) struct Agreement {
    pub(crate) id: String,
    pub(crate) hash: Digest,
    pub(crate) purposes: BTreeSet<String>,
    pub(crate) regime: String,
    pub(crate) article: String,
    pub(crate) valid_from: Timestamp,
    pub(crate) valid_until: Timestamp,
    pub(crate) parties: Vec<Party>,
    pub(crate) grants: Vec<Grant>,
}

/// An agency that is party to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Party {
    pub(crate) name: String,
    pub(crate) id: String,
    /// ISO 3166-1 alpha-2.
    pub(crate) country: String,
    /// SHA-256 of the public key that its certificates have to carry.
    pub(crate) key: Digest,
}

/// What one party may ask another.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) asker: Party,
    pub(crate) holder: Party,
    /// Dataset of the holder.
    pub(crate) dataset: String,
    pub(crate) modes: BTreeSet<Mode>,
    pub(crate) kinds: BTreeSet<Kind>,
    /// Items of the asker in one query, at least: a count over one item says as much as a hit.
    pub(crate) min_set_size: u64,
    /// Items of the asker in one query, at most.
    pub(crate) max_set_size: u64,
    /// Items of the asker in all queries of a day, UTC.
    pub(crate) items_per_day: u64,
}

/// Why an agreement cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AgreementError {
    /// The file is not TOML of this form.
    #[error("{path}: {source}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: Box<toml::de::Error>,
    },
    /// A value is not what it has to be.
    #[error("{path}: {what}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The field and what it has to be.
        what: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: String,
    purposes: BTreeSet<String>,
    regime: String,
    article: String,
    profile: String,
    profile_hash: String,
    valid_from: Timestamp,
    valid_until: Timestamp,
    party: Vec<Party>,
    #[serde(default)]
    grant: Vec<RawGrant>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGrant {
    asker: String,
    holder: String,
    dataset: String,
    modes: BTreeSet<String>,
    kinds: BTreeSet<Kind>,
    #[serde(default = "one")]
    min_set_size: u64,
    max_set_size: u64,
    items_per_day: u64,
}

fn one() -> u64 {
    1
}

impl Agreement {
    /// Reads an agreement to which `own` has to be a party.
    pub(crate) fn parse(path: &Path, text: &str, own: &str, profile: &Profile) -> Result<Self, AgreementError> {
        let raw: Raw = toml::from_str(text).map_err(|source| AgreementError::Toml {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        Self::check(raw, own, profile).map_err(|what| AgreementError::Value {
            path: path.to_owned(),
            what,
        })
    }

    /// The party with this id.
    pub(crate) fn party(&self, id: &str) -> Option<&Party> {
        self.parties.iter().find(|party| party.id == id)
    }

    pub(crate) fn is_valid_at(&self, now: Timestamp) -> bool {
        (self.valid_from..self.valid_until).contains(&now)
    }

    pub(crate) fn explain(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "agreement {} ({}) under {} article {}, from {} until {}, for {}",
            self.id,
            self.hash,
            self.regime,
            self.article,
            self.valid_from,
            self.valid_until,
            join(&self.purposes),
        )];
        lines.extend(self.grants.iter().map(|grant| {
            format!(
                "  {} may ask {} about {}: {} over {}, {} to {} items at once and {} a day",
                grant.asker.name,
                grant.holder.name,
                grant.dataset,
                join(&grant.modes),
                join(&grant.kinds),
                grant.min_set_size,
                grant.max_set_size,
                grant.items_per_day,
            )
        }));
        lines
    }

    fn check(raw: Raw, own: &str, profile: &Profile) -> Result<Self, String> {
        let hash = hash(&raw)?;
        let named = |what: &str, name: &str| match name {
            name if name.is_empty() || name.len() > 128 || name.contains(char::is_whitespace) => {
                Err(format!("{what} must be 1 to 128 bytes without blanks"))
            }
            name => Ok(name.to_owned()),
        };
        if raw.valid_from >= raw.valid_until {
            return Err("valid_until must be after valid_from".into());
        }
        if raw.purposes.is_empty() {
            return Err("purposes must name at least one".into());
        }
        for purpose in &raw.purposes {
            named("purposes: each", purpose)?;
        }
        if !raw.party.iter().any(|party| party.id == own) {
            return Err(format!("party: one of them must be this agency, {own}"));
        }
        let is_country = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
        if let Some(party) = raw.party.iter().find(|party| !is_country(&party.country)) {
            return Err(format!(
                "party {}: country must be two capital letters, as in NL",
                party.name
            ));
        }
        let distinct: BTreeSet<_> = raw.party.iter().flat_map(|party| [&party.name, &party.id]).collect();
        if distinct.len() != 2 * raw.party.len() {
            return Err("party: names and ids must differ".into());
        }
        let hash_of_profile = Digest(profile.hash()).to_string();
        if raw.profile != profile.name() || raw.profile_hash != hash_of_profile {
            return Err(format!(
                "profile and profile_hash say {} ({}), this node has {} ({hash_of_profile}): all parties need the same profile; see `overlap profile show`",
                raw.profile,
                raw.profile_hash,
                profile.name(),
            ));
        }
        let grants = raw
            .grant
            .into_iter()
            .map(|grant| {
                let party = |name: &str| {
                    let party = raw.party.iter().find(|party| party.name == name);
                    party
                        .cloned()
                        .ok_or_else(|| format!("grant: {name} must be the name of a party"))
                };
                let (asker, holder) = (party(&grant.asker)?, party(&grant.holder)?);
                if asker.id == holder.id {
                    return Err("grant: asker and holder must differ".into());
                }
                let modes = grant
                    .modes
                    .iter()
                    .map(|mode| mode.parse())
                    .collect::<Result<BTreeSet<Mode>, _>>();
                let modes = modes.map_err(|_| "grant: modes must be hits or count".to_owned())?;
                if modes.is_empty() || grant.kinds.is_empty() {
                    return Err("grant: modes and kinds must name at least one each".into());
                }
                if !(1..=grant.max_set_size).contains(&grant.min_set_size) {
                    return Err("grant: min_set_size must be 1 to max_set_size".into());
                }
                if !(1..=Terms::MAX_SET).contains(&grant.max_set_size) {
                    return Err(format!("grant: max_set_size must be 1 to {}", Terms::MAX_SET));
                }
                Ok(Grant {
                    asker,
                    holder,
                    dataset: named("grant: dataset", &grant.dataset)?,
                    modes,
                    kinds: grant.kinds,
                    min_set_size: grant.min_set_size,
                    max_set_size: grant.max_set_size,
                    items_per_day: grant.items_per_day,
                })
            })
            .collect::<Result<Vec<_>, String>>()?;
        Ok(Self {
            id: named("id", &raw.id)?,
            hash,
            purposes: raw.purposes,
            regime: named("regime", &raw.regime)?,
            article: raw.article,
            valid_from: raw.valid_from,
            valid_until: raw.valid_until,
            parties: raw.party,
            grants,
        })
    }
}

/// SHA-256 over the JSON of what the agreement says: its spelling in TOML does not matter.
fn hash(raw: &Raw) -> Result<Digest, String> {
    let json = serde_json::to_vec(raw).map_err(|error| error.to_string())?;
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, &json).as_ref());
    Ok(Digest(hash))
}

pub(crate) fn join<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    values
        .into_iter()
        .map(|value| value.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}
