//! The configuration: read as it is written, then checked into what the rest of the node uses.

mod callers;
mod datasets;
mod guard;
mod ldv;
mod limits;

pub(crate) use datasets::Marks;
pub(crate) use guard::Guard;
pub(crate) use ldv::Ldv;
pub(crate) use limits::Limits;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use overlap_agreement::{BadKey as BadSigningKey, SigningKey};
use overlap_audit::{Digest, VerifyingKey};
use overlap_records::{Profile, ProfileError};
use overlap_store::{BadKey, DataKey};
use serde::{Deserialize, Serialize};

use callers::{RawPeer, RawUser, peers, users};

use crate::{
    files::{self, FileError},
    identity::{self, IdentityError},
    rules::{self, Rules, RulesError},
    tls::{Material, TlsError},
};

/// A checked configuration.
pub struct Config {
    /// Short name of this agency.
    pub name: String,
    /// SPIFFE URI of this agency, as its certificate carries it.
    pub id: String,
    /// Country of this agency, ISO 3166-1 alpha-2.
    pub country: String,
    /// Where the store is.
    pub state: PathBuf,
    /// File of the data key.
    pub data_key: PathBuf,
    /// The port for peers.
    pub peer: Endpoint,
    /// The port for own users.
    pub operator: Endpoint,
    pub(crate) peers: Vec<Peer>,
    pub(crate) users: BTreeMap<String, BTreeSet<Role>>,
    /// What signs documents.
    pub(crate) signing_key: SigningKey,
    /// SHA-256 of the public key in the own certificate for peers.
    pub(crate) key: Digest,
    /// Marks on datasets, by name.
    pub(crate) datasets: BTreeMap<String, Marks>,
    /// File of the local policy; none: the default.
    pub(crate) policy: Option<PathBuf>,
    /// The rules under which this node compares.
    pub(crate) profile: Profile,
    pub(crate) limits: Limits,
    pub(crate) guard: Guard,
    /// Where ended entries are handed on to.
    pub(crate) ldv: Option<Ldv>,
    /// How to log.
    pub log: LogConfig,
}

/// A port, with the certificate shown there and the authority that callers need.
pub struct Endpoint {
    /// Address to listen on.
    pub listen: SocketAddr,
    pub(crate) tls: Material,
}

/// Another agency's node.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) address: String,
    /// Key of its log, where the configuration pins it; otherwise the first that it shows stays.
    pub(crate) log_key: Option<VerifyingKey>,
}

/// What a user may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Analyst,
    Operator,
    Coordinator,
    Functionary,
    Auditor,
}

/// How to log.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `text` or `json`.
    pub format: LogFormat,
    /// A filter as of `tracing_subscriber::EnvFilter`; `info` when empty.
    pub filter: String,
}

/// Form of the log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not TOML of this form.
    #[error("{path}: {source}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: Box<toml::de::Error>,
    },
    /// A value is not what it has to be.
    #[error("{path}: {field} {must}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// What it has to be.
        must: String,
    },
    /// The local policy cannot be used.
    #[error("{path}: {source}")]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: RulesError,
    },
    /// The key that signs documents cannot be used.
    #[error("{path}: {source}")]
    SigningKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: BadSigningKey,
    },
    /// The profile cannot be used.
    #[error("{path}: {source}")]
    Profile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<ProfileError>,
    },
    /// A certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The own certificate does not say who this is.
    #[error("{path}: {source}")]
    Identity {
        /// The certificate.
        path: PathBuf,
        /// What is wrong.
        source: IdentityError,
    },
    /// The data key cannot be used.
    #[error("{path}: {source}")]
    DataKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: BadKey,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    id: String,
    country: String,
    state: PathBuf,
    data_key: PathBuf,
    signing_key: PathBuf,
    policy: Option<PathBuf>,
    profile: Option<PathBuf>,
    peer: RawEndpoint,
    operator: RawEndpoint,
    #[serde(default)]
    peers: Vec<RawPeer>,
    #[serde(default)]
    users: Vec<RawUser>,
    #[serde(default)]
    datasets: Vec<datasets::Raw>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    guard: Guard,
    ldv: Option<ldv::Raw>,
    #[serde(default)]
    log: LogConfig,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEndpoint {
    listen: SocketAddr,
    certificate: PathBuf,
    key: PathBuf,
    ca: PathBuf,
    crl: PathBuf,
}

impl Config {
    /// Reads and checks a file and every file that it names. Paths in it are relative to it.
    ///
    /// # Errors
    /// [`ConfigError`], which names the file and the field.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let raw: Raw = parse(path, &files::read(path)?)?;
        let base = path.parent().unwrap_or(Path::new("."));
        let wrong = |field: &str, must: String| ConfigError::Value {
            path: path.to_owned(),
            field: field.to_owned(),
            must,
        };
        if !is_spiffe(&raw.id) {
            return Err(wrong(
                "id",
                "must be a SPIFFE URI such as spiffe://overlap.example/agency/politie".into(),
            ));
        }
        let users = users(raw.users).map_err(|must| wrong("users", must))?;
        let limits = raw.limits.check().map_err(|(field, must)| wrong(field, must.into()))?;
        let profile = match raw.profile {
            None => Profile::eu_thb_1(),
            Some(file) => profile(&base.join(file))?,
        };
        if raw.country.len() != 2 || !raw.country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(wrong("country", "must be two capital letters, as in NL".into()));
        }
        let mut config = Self {
            peers: peers(raw.peers).map_err(|must| wrong("peers", must))?,
            users,
            country: raw.country,
            signing_key: signing_key(&base.join(raw.signing_key))?,
            key: Digest([0; 32]),
            datasets: datasets::check(raw.datasets).map_err(|must| wrong("datasets", must))?,
            policy: raw.policy.map(|file| base.join(file)),
            profile,
            name: raw.name,
            id: raw.id,
            state: base.join(raw.state),
            data_key: base.join(raw.data_key),
            peer: raw.peer.check(base),
            operator: raw.operator.check(base),
            limits,
            guard: raw.guard.check().map_err(|(field, must)| wrong(field, must.into()))?,
            ldv: raw
                .ldv
                .map(|ldv| ldv.check(base))
                .transpose()
                .map_err(|(field, must)| wrong(field, must.into()))?,
            log: raw.log,
        };
        config.key = config.check_identity()?.key;
        config.read_rules()?;
        Ok(config)
    }

    /// Reads the local policy.
    pub(crate) fn read_rules(&self) -> Result<Rules, ConfigError> {
        let (path, text) = match &self.policy {
            Some(path) => (path.clone(), files::read(path)?),
            None => (PathBuf::from("the default policy"), rules::DEFAULT.to_owned()),
        };
        // maps in order, numbers and words: this cannot fail
        let rest = serde_json::to_vec(&(&self.users, &self.limits, &self.guard, &self.datasets)).unwrap_or_default();
        Rules::parse(&text, &rest).map_err(|source| ConfigError::Policy { path, source })
    }

    /// Whether a dataset may only be compared under an order.
    pub(crate) fn is_orders_only(&self, dataset: &str) -> bool {
        self.datasets.get(dataset).is_some_and(|marks| marks.orders_only)
    }

    /// Reads the data key.
    ///
    /// # Errors
    /// [`ConfigError::File`], [`ConfigError::DataKey`].
    pub fn read_data_key(&self) -> Result<DataKey, ConfigError> {
        let text = files::read_secret(&self.data_key)?;
        DataKey::from_hex(&text).map_err(|source| ConfigError::DataKey {
            path: self.data_key.clone(),
            source,
        })
    }

    /// What `--check` explains: who this is, whom it knows and what is agreed, a line each.
    pub fn explain(&self) -> Vec<String> {
        let mut lines = vec![
            format!("{} is {}", self.name, self.id),
            format!(
                "peers call {}, own users call {}",
                self.peer.listen, self.operator.listen
            ),
            format!("state in {}", self.state.display()),
            format!(
                "compares under profile {} ({})",
                self.profile.name(),
                Digest(self.profile.hash())
            ),
        ];
        lines.extend(
            self.peers
                .iter()
                .map(|peer| format!("peer {} is {} at {}", peer.name, peer.id, peer.address)),
        );
        lines.extend(
            self.users
                .iter()
                .map(|(id, roles)| format!("user {id} is {roles:?}").to_lowercase()),
        );
        if self.users.is_empty() {
            lines.push("no user is named: nobody can use this node".to_owned());
        }
        lines.extend(
            self.datasets
                .iter()
                .filter(|(_, marks)| marks.orders_only)
                .map(|(name, _)| format!("dataset {name} is compared under an order alone")),
        );
        if let Ok(rules) = self.read_rules() {
            let file = match &self.policy {
                Some(path) => path.display().to_string(),
                None => "the default".to_owned(),
            };
            lines.push(format!("policy {file} has {} rules ({})", rules.len(), rules.hash));
        }
        lines.push(format!("agreements pin its key {}", self.key));
        lines.push(format!(
            "and its signing key {}",
            self.signing_key.public().thumbprint()
        ));
        lines
    }

    /// The own certificates load, and the one for peers says who this is.
    pub(crate) fn check_identity(&self) -> Result<identity::Certificate, ConfigError> {
        self.operator.tls.listener()?;
        self.peer.tls.listener()?;
        let path = self.peer.tls.certificate.clone();
        let chain = self.peer.tls.chain()?;
        let leaf = chain.first().ok_or_else(|| TlsError::Empty { path: path.clone() })?;
        let own = identity::Certificate::parse(leaf).map_err(|source| ConfigError::Identity {
            path: path.clone(),
            source,
        })?;
        if own.id != self.id {
            let must = format!(
                "must be the URI in the node's certificate {}, which is {}",
                path.display(),
                own.id
            );
            return Err(ConfigError::Value {
                path,
                field: "id".into(),
                must,
            });
        }
        Ok(own)
    }

    /// The own certificates load, and have the key that they had at the start: agreements pin it.
    pub(crate) fn check_same_identity(&self) -> Result<(), ConfigError> {
        if self.check_identity()?.key == self.key {
            return Ok(());
        }
        Err(ConfigError::Value {
            path: self.peer.tls.certificate.clone(),
            field: "certificate".to_owned(),
            must: "must keep its key while the node runs: agreements pin it; a new key takes a restart, and new agreements".to_owned(),
        })
    }
}

impl RawEndpoint {
    fn check(self, base: &Path) -> Endpoint {
        let tls = Material {
            certificate: base.join(self.certificate),
            key: base.join(self.key),
            ca: base.join(self.ca),
            crl: base.join(self.crl),
        };
        Endpoint {
            listen: self.listen,
            tls,
        }
    }
}

impl Role {
    pub(crate) const ALL: [Self; 5] = [
        Self::Analyst,
        Self::Operator,
        Self::Coordinator,
        Self::Functionary,
        Self::Auditor,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Analyst => "analyst",
            Self::Operator => "operator",
            Self::Coordinator => "coordinator",
            Self::Functionary => "functionary",
            Self::Auditor => "auditor",
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|source| ConfigError::Toml {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

fn profile(path: &Path) -> Result<Profile, ConfigError> {
    Profile::parse(&files::read(path)?).map_err(|source| ConfigError::Profile {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

fn signing_key(path: &Path) -> Result<SigningKey, ConfigError> {
    SigningKey::from_pem(&files::read_secret(path)?).map_err(|source| ConfigError::SigningKey {
        path: path.to_owned(),
        source,
    })
}

pub(crate) fn is_spiffe(id: &str) -> bool {
    let Some((domain, path)) = id.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    let plain = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
    id.len() <= 128 && plain(domain) && plain(path)
}

#[cfg(test)]
mod tests;
