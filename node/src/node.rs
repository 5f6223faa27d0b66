//! What every part of a running node shares.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use overlap_audit::Digest;
use overlap_store::Store;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    actions::Actions,
    agreements::Agreements,
    config::{Config, ConfigError},
    counted::Traffic,
    error::NodeError,
    guard::Densities,
    orders::Orders,
    pictures,
    pool::Pool,
    rules::Rules,
    server::ServeError,
    session::picture::Parts,
    tls::{Dialler, Listener, TlsError},
    witness::Correspondence,
};

/// A running node.
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) store: Arc<Store>,
    pub(crate) agreements: Agreements,
    pub(crate) orders: Orders,
    /// What is planned, and runs, of actions.
    pub(crate) actions: Actions,
    /// The local policy in force; replaced whole when it is read again.
    pub(crate) rules: ArcSwap<Rules>,
    pub(crate) pool: Pool,
    pub(crate) tls: Tls,
    pub(crate) traffic: Arc<Traffic>,
    /// The queries under way.
    pub(crate) queries: TaskTracker,
    /// Cancelled when the node starts to shut down.
    pub(crate) draining: CancellationToken,
    /// Whether there are alarms that nobody has acknowledged, or the log could not be written.
    pub(crate) alarmed: watch::Sender<bool>,
    /// Alarms are raised one at a time.
    pub(crate) raising: tokio::sync::Mutex<()>,
    /// Hits are decided on, and begun to be followed up, one at a time.
    pub(crate) deciding: tokio::sync::Mutex<()>,
    /// Counts are told one at a time.
    pub(crate) telling: tokio::sync::Mutex<()>,
    pub(crate) densities: Densities,
    /// The pictures that this node takes part in now.
    pub(crate) parts: Parts,
    /// And those that it leads.
    pub(crate) running: pictures::Running,
    /// What each peer has of each document, as this node last saw it.
    pub(crate) told: Mutex<HashMap<(String, Digest), Digest>>,
    correspondence: HashMap<String, Correspondence>,
    sessions: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// The TLS configurations in force; replaced whole when certificates are read again.
pub(crate) struct Tls {
    pub(crate) peer: Arc<ArcSwap<Listener>>,
    pub(crate) operator: Arc<ArcSwap<Listener>>,
    pub(crate) dial: ArcSwap<Dialler>,
}

impl Node {
    pub(crate) fn new(config: Config, store: Store, pool: Pool) -> Result<Self, ServeError> {
        let store = Arc::new(store);
        let unreadable = |source| ServeError::Store {
            path: config.state.join("db"),
            source,
        };
        Ok(Self {
            agreements: Agreements::load(&store).map_err(unreadable)?,
            orders: Orders::load(&store).map_err(unreadable)?,
            actions: Actions::load(&store).map_err(unreadable)?,
            rules: ArcSwap::from_pointee(config.read_rules()?),
            told: Mutex::default(),
            densities: Densities::default(),
            parts: Parts::default(),
            running: pictures::Running::default(),
            tls: Tls::load(&config)?,
            correspondence: config
                .peers
                .iter()
                .map(|peer| (peer.id.clone(), Correspondence::default()))
                .collect(),
            alarmed: watch::Sender::new(false),
            raising: tokio::sync::Mutex::default(),
            deciding: tokio::sync::Mutex::default(),
            telling: tokio::sync::Mutex::default(),
            config,
            store,
            pool,
            traffic: Arc::default(),
            queries: TaskTracker::new(),
            draining: CancellationToken::new(),
            sessions: Mutex::default(),
        })
    }

    /// What there is to tell a peer about logs.
    pub(crate) fn correspondence(&self, peer: &str) -> Result<&Correspondence, NodeError> {
        self.correspondence.get(peer).ok_or(NodeError::Broken("no such peer"))
    }

    /// One of the sessions that a peer may have under way.
    pub(crate) fn session_with(&self, peer: &str) -> Result<OwnedSemaphorePermit, NodeError> {
        let limit = self.config.limits.sessions_per_peer;
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let semaphore = sessions
            .entry(peer.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(limit)));
        Arc::clone(semaphore).try_acquire_owned().map_err(|_| {
            NodeError::limit(
                "sessions_per_peer",
                format!("{limit} sessions with this peer are under way already; try again later"),
            )
        })
    }

    /// Reads certificates, keys, revocation lists and the policy again: all of them or, on any fault, none.
    pub(crate) fn reload(&self) -> Result<(), ConfigError> {
        let rules = self.config.read_rules()?;
        self.tls.reload(&self.config)?;
        self.rules.store(Arc::new(rules));
        // what runs is judged by the new policy
        self.agreements.changed.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Refuses new work once the node is going down.
    pub(crate) fn check_open(&self) -> Result<(), NodeError> {
        if self.draining.is_cancelled() {
            Err(NodeError::Draining)
        } else {
            Ok(())
        }
    }
}

impl Tls {
    fn load(config: &Config) -> Result<Self, TlsError> {
        Ok(Self {
            peer: Arc::new(ArcSwap::from_pointee(config.peer.tls.listener()?)),
            operator: Arc::new(ArcSwap::from_pointee(config.operator.tls.listener()?)),
            dial: ArcSwap::from_pointee(config.peer.tls.dialler()?),
        })
    }

    /// Reads every certificate, key and revocation list again: all of them or, on any fault, none.
    pub(crate) fn reload(&self, config: &Config) -> Result<(), ConfigError> {
        config.check_same_identity()?;
        let fresh = Self::load(config)?;
        self.peer.store(fresh.peer.load_full());
        self.operator.store(fresh.operator.load_full());
        self.dial.store(fresh.dial.load_full());
        Ok(())
    }
}

/// The time, to the millisecond that the log keeps.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    let now = now.checked_add(crate::fault::clock()).unwrap_or(now);
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
