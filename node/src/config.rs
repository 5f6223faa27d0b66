//! The configuration: read as it is written, then checked into what the rest of the node uses.

mod ldv;
mod limits;

pub(crate) use ldv::Ldv;
pub(crate) use limits::Limits;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use overlap_audit::{Digest, VerifyingKey, log_name};
use overlap_records::{Profile, ProfileError};
use overlap_store::{BadKey, DataKey};
use serde::{Deserialize, Serialize};

use crate::{
    agreement::{Agreement, AgreementError},
    files::{self, FileError},
    identity::{self, IdentityError},
    tls::{Material, TlsError},
};

/// A checked configuration.
pub struct Config {
    /// Short name of this agency.
    pub name: String,
    /// SPIFFE URI of this agency, as its certificate carries it.
    pub id: String,
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
    pub(crate) agreements: Vec<Arc<Agreement>>,
    /// The rules under which this node compares.
    pub(crate) profile: Profile,
    pub(crate) limits: Limits,
    /// Where ended entries are handed on to.
    pub(crate) ldv: Option<Ldv>,
    /// SHA-256 of the local policy, which is the users with their roles and the limits: part of every entry.
    pub(crate) policy_hash: Digest,
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
    /// An agreement cannot be used.
    #[error(transparent)]
    Agreement(#[from] AgreementError),
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
    state: PathBuf,
    data_key: PathBuf,
    agreements: PathBuf,
    profile: Option<PathBuf>,
    peer: RawEndpoint,
    operator: RawEndpoint,
    #[serde(default)]
    peers: Vec<RawPeer>,
    #[serde(default)]
    users: Vec<RawUser>,
    #[serde(default)]
    limits: Limits,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPeer {
    name: String,
    id: String,
    address: String,
    log_key: Option<VerifyingKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUser {
    id: String,
    roles: BTreeSet<Role>,
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
        let policy = serde_json::to_vec(&(&users, &limits)).map_err(|error| wrong("users", error.to_string()))?;
        let profile = match raw.profile {
            None => Profile::eu_thb_1(),
            Some(file) => profile(&base.join(file))?,
        };
        let config = Self {
            peers: peers(raw.peers).map_err(|must| wrong("peers", must))?,
            policy_hash: identity::sha256(&policy),
            users,
            agreements: agreements(&base.join(raw.agreements), &raw.id, &profile)?,
            profile,
            name: raw.name,
            id: raw.id,
            state: base.join(raw.state),
            data_key: base.join(raw.data_key),
            peer: raw.peer.check(base),
            operator: raw.operator.check(base),
            limits,
            ldv: raw
                .ldv
                .map(|ldv| ldv.check(base))
                .transpose()
                .map_err(|(field, must)| wrong(field, must.into()))?,
            log: raw.log,
        };
        config.check_identity()?;
        Ok(config)
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
        if self.agreements.is_empty() {
            lines.push("no agreement is there: nobody can ask or be asked anything".to_owned());
        }
        lines.extend(self.agreements.iter().flat_map(|agreement| agreement.explain()));
        lines
    }

    /// The own certificates load, and the one for peers says who this is.
    pub(crate) fn check_identity(&self) -> Result<(), ConfigError> {
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
        for agreement in &self.agreements {
            if agreement.party(&self.id).is_some_and(|party| party.key != own.key) {
                let must = "must pin the key of this node's certificate; see `overlap pki thumbprint`".to_owned();
                return Err(ConfigError::Value {
                    path,
                    field: format!("agreement {}", agreement.id),
                    must,
                });
            }
        }
        Ok(())
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

fn peers(raw: Vec<RawPeer>) -> Result<Vec<Peer>, String> {
    let mut names = BTreeSet::new();
    raw.into_iter()
        .map(
            |RawPeer {
                 name,
                 id,
                 address,
                 log_key,
             }| match () {
                () if !is_spiffe(&id) => Err(format!("must give {name} a SPIFFE URI as id")),
                () if !address.contains(':') => Err(format!("must give {name} an address with a port")),
                () if !names.insert(name.clone()) => Err(format!("must name {name} once")),
                () if log_key.as_ref().is_some_and(|key| key.name() != log_name(&id)) => {
                    Err(format!("must give {name} a log_key that is called {}", log_name(&id)))
                }
                () => Ok(Peer {
                    name,
                    id,
                    address,
                    log_key,
                }),
            },
        )
        .collect()
}

fn users(raw: Vec<RawUser>) -> Result<BTreeMap<String, BTreeSet<Role>>, String> {
    let mut users = BTreeMap::new();
    for RawUser { id, roles } in raw {
        if !is_spiffe(&id) {
            return Err(format!("must give a SPIFFE URI as id, not {id}"));
        }
        if users.insert(id.clone(), roles).is_some() {
            return Err(format!("must name {id} once"));
        }
    }
    Ok(users)
}

fn profile(path: &Path) -> Result<Profile, ConfigError> {
    Profile::parse(&files::read(path)?).map_err(|source| ConfigError::Profile {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

/// Every `.toml` of the directory, in order of name.
fn agreements(directory: &Path, own: &str, profile: &Profile) -> Result<Vec<Arc<Agreement>>, ConfigError> {
    let unreadable = |source| FileError::Unreadable {
        path: directory.to_owned(),
        source,
    };
    let mut paths = fs::read_dir(directory)
        .map_err(unreadable)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let mut agreements: Vec<Arc<Agreement>> = Vec::new();
    for path in paths {
        let agreement = Agreement::parse(&path, &files::read(&path)?, own, profile)?;
        if agreements.iter().any(|other| other.id == agreement.id) {
            return Err(ConfigError::Value {
                path,
                field: "id".into(),
                must: "must differ from other agreements".into(),
            });
        }
        agreements.push(Arc::new(agreement));
    }
    Ok(agreements)
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
