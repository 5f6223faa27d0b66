//! Starting, serving and draining.

use std::{
    fs, io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use overlap_audit::{Operation, Side};
use overlap_proto::{
    DESCRIPTORS,
    fault::Reason,
    pb::operator::action_service_server::ActionServiceServer as OwnActionServer,
    pb::operator::operator_service_server::OperatorServiceServer,
    pb::operator::picture_service_server::PictureServiceServer as OwnPictureServer,
    pb::peer::{
        action_service_server::ActionServiceServer as PeerActionServer, peer_service_server::PeerServiceServer,
        picture_service_server::PictureServiceServer as PeerPictureServer,
    },
};
use overlap_store::{LogSettings, Store, StoreError};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tonic::{Request, Status, service::Routes, transport::Server};
use tonic_health::{ServingStatus, server::HealthReporter};
use uuid::Uuid;

use crate::{
    actions::{self, OwnActions, PeerActions},
    alarm,
    config::{Config, ConfigError},
    correspond, decisions,
    error::NodeError,
    ldv,
    listen::Listening,
    node::{Node, now},
    operator_service::Operators,
    peer_service::{Peers, caller},
    picture_service::PeerPictures,
    pictures::OwnPictures,
    policy::{self, Denial, User},
    pool::Pool,
    retention,
    rules::Action,
    settle, spine, tiles,
    tls::TlsError,
};

/// Why a node did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The directory of the store.
    #[error("the directory {path} (state in the configuration) cannot be made: {source}")]
    State {
        /// The directory.
        path: std::path::PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store.
    #[error("the store in {path} cannot be opened (if it is locked, another node runs on it): {source}")]
    Store {
        /// Its directory.
        path: std::path::PathBuf,
        /// Why.
        source: StoreError,
    },
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The log.
    #[error("the log cannot be read or written: {0}")]
    Log(String),
    /// An address is taken, or not of this machine.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system gave no thread, signal or socket.
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
    /// gRPC stopped.
    #[error("serving stopped: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Where a node listens.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// For peers.
    pub peer: SocketAddr,
    /// For own users.
    pub operator: SocketAddr,
}

/// Runs a node until SIGTERM or SIGINT. `ready` is told when it listens.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(config: Config, ready: impl FnOnce(&Config, Ready)) -> Result<(), ServeError> {
    // beyond a limit on the size of files a write fails, as on a full disk; without a handler it would end the node without a word
    let _too_large = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
    let node = start(config).await?;
    let config = &node.config;
    let (peer, operator) = (bind(config.peer.listen).await?, bind(config.operator.listen).await?);
    let addresses = Ready {
        peer: peer.local_addr()?,
        operator: operator.local_addr()?,
    };

    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<PeerServiceServer<Peers>>().await;
    health.set_serving::<OperatorServiceServer<Operators>>().await;
    let peers = PeerServiceServer::new(Peers(Arc::clone(&node)))
        .max_decoding_message_size(config.limits.message_bytes)
        .max_encoding_message_size(config.limits.message_bytes);
    let peer_pictures = PeerPictureServer::new(PeerPictures(Arc::clone(&node)))
        .max_decoding_message_size(config.limits.message_bytes)
        .max_encoding_message_size(config.limits.message_bytes);
    let own_pictures = OwnPictureServer::new(OwnPictures(Arc::clone(&node)))
        .max_decoding_message_size(config.limits.message_bytes)
        .max_encoding_message_size(config.limits.message_bytes);
    let peer_actions = PeerActionServer::new(PeerActions(Arc::clone(&node)))
        .max_decoding_message_size(config.limits.message_bytes)
        .max_encoding_message_size(config.limits.message_bytes);
    let own_actions = OwnActionServer::new(OwnActions(Arc::clone(&node)))
        .max_decoding_message_size(config.limits.message_bytes)
        .max_encoding_message_size(config.limits.message_bytes);
    let operators = OperatorServiceServer::new(Operators(Arc::clone(&node)))
        .max_decoding_message_size(config.limits.message_bytes)
        .max_encoding_message_size(config.limits.message_bytes);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .build_v1()
        .map_err(|error| io::Error::other(error.to_string()))?;
    let authorised = Arc::clone(&node);
    let reflection = tonic::service::interceptor::InterceptedService::new(reflection, move |request: Request<()>| {
        may_reflect(&authorised, &request).map(|()| request)
    });

    let stop = node.draining.clone();
    let mut operator_routes = Routes::from(tiles::routes(Arc::clone(&node)));
    operator_routes = operator_routes
        .add_service(health_service.clone())
        .add_service(reflection)
        .add_service(own_pictures)
        .add_service(own_actions)
        .add_service(operators);
    let serve_peers = builder(config)
        .add_service(health_service)
        .add_service(peers)
        .add_service(peer_pictures)
        .add_service(peer_actions)
        .serve_with_incoming_shutdown(listening(&node, peer, true).run(), stop.clone().cancelled_owned());
    let serve_operators = builder(config)
        .add_routes(operator_routes)
        .serve_with_incoming_shutdown(listening(&node, operator, false).run(), stop.cancelled_owned());
    let (serve_peers, serve_operators) = (tokio::spawn(serve_peers), tokio::spawn(serve_operators));

    let mut background = JoinSet::new();
    background.spawn(retention::every_day(Arc::clone(&node)));
    background.spawn(retention::at_ends(Arc::clone(&node)));
    background.spawn(retention::check_log(Arc::clone(&node)));
    background.spawn(ldv::run(Arc::clone(&node)));
    background.spawn(decisions::remind(Arc::clone(&node)));
    background.spawn(actions::run(Arc::clone(&node)));
    background.spawn(actions::follow_data(Arc::clone(&node)));
    background.spawn(tell_health(Arc::clone(&node), health));
    for peer in &config.peers {
        background.spawn(correspond::run(Arc::clone(&node), peer.clone()));
        background.spawn(settle::run(Arc::clone(&node), peer.clone()));
        background.spawn(actions::spread(Arc::clone(&node), peer.clone()));
        background.spawn(decisions::run(Arc::clone(&node), peer.clone()));
    }
    ready(config, addresses);
    tracing::info!(peer = %addresses.peer, operator = %addresses.operator, "listening");
    wait_for_stop(&node).await?;
    drain(&node).await;
    background.shutdown().await;
    actions::keep_all(&node).await;
    // what was answered last may still be on its way to a slow reader; who reads no more is cut
    for server in [serve_peers, serve_operators] {
        match tokio::time::timeout(LAST_WORDS, server).await {
            Ok(Ok(served)) => served?,
            Ok(Err(_)) | Err(_) => tracing::debug!("connections were cut at shutdown"),
        }
    }
    Ok(())
}

/// How long connections have to end once all queries have.
const LAST_WORDS: Duration = Duration::from_secs(10);

async fn start(config: Config) -> Result<Arc<Node>, ServeError> {
    let data_key = config.read_data_key()?;
    fs::create_dir_all(&config.state).map_err(|source| ServeError::State {
        path: config.state.clone(),
        source,
    })?;
    let path = config.state.join("db");
    let log = LogSettings {
        name: overlap_audit::log_name(&config.id),
        hands_on: config.ldv.is_some(),
    };
    let store = Store::open(&path, &data_key, &log).map_err(|source| ServeError::Store { path, source })?;
    let pool = Pool::new()?;
    let node = Arc::new(Node::new(config, store, pool)?);
    let interrupted = spine::close_interrupted(&node)
        .await
        .map_err(|error| ServeError::Log(error.to_string()))?;
    if interrupted > 0 {
        tracing::warn!(entries = interrupted, "closed entries that the last stop had cut");
    }
    alarm::load(&node)
        .await
        .map_err(|error| ServeError::Log(error.to_string()))?;
    Ok(node)
}

/// Lets health checks of the service `overlap.log` fail while there are alarms, or the log cannot be written; the others stay.
async fn tell_health(node: Arc<Node>, health: HealthReporter) {
    let mut alarmed = node.alarmed.subscribe();
    loop {
        let status = match *alarmed.borrow_and_update() {
            true => ServingStatus::NotServing,
            false => ServingStatus::Serving,
        };
        health.set_service_status("overlap.log", status).await;
        if alarmed.changed().await.is_err() {
            return;
        }
    }
}

fn builder(config: &Config) -> Server {
    Server::builder()
        .max_concurrent_streams(config.limits.streams_per_peer)
        .http2_keepalive_interval(Some(config.limits.idle_stream / 2))
        .http2_keepalive_timeout(Some(config.limits.idle_stream / 2))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
}

fn listening(node: &Arc<Node>, listener: TcpListener, for_peers: bool) -> Listening {
    let refused = Refusals {
        node: Arc::clone(node),
        recent: Mutex::default(),
        for_peers,
    };
    let refused = Arc::new(refused);
    Listening {
        listener,
        tls: Arc::clone(if for_peers { &node.tls.peer } else { &node.tls.operator }),
        limits: node.config.limits.clone(),
        traffic: if for_peers {
            Arc::clone(&node.traffic)
        } else {
            Arc::default()
        },
        refused: Arc::new(move |reason| refused.log(reason)),
        stop: node.draining.clone(),
    }
}

/// Logs callers whose certificate was refused. They are strangers, so at most a few a minute become entries.
struct Refusals {
    node: Arc<Node>,
    recent: Mutex<Recent>,
    for_peers: bool,
}

#[derive(Default)]
struct Recent {
    since: Option<Instant>,
    logged: u32,
    left_out: u32,
}

impl Refusals {
    const PER_MINUTE: u32 = 10;

    fn log(&self, reason: String) {
        let port = if self.for_peers { "peer" } else { "operator" };
        tracing::warn!(port, %reason, "refused a certificate");
        let left_out = {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if recent
                .since
                .is_none_or(|since| since.elapsed() > Duration::from_secs(60))
            {
                (recent.since, recent.logged) = (Some(Instant::now()), 0);
            }
            if recent.logged >= Self::PER_MINUTE {
                recent.left_out += 1;
                return;
            }
            recent.logged += 1;
            std::mem::take(&mut recent.left_out)
        };
        let mut entry = policy::blank_entry(Operation::Consultation, Side::Holder, now(), Uuid::now_v7());
        entry.holder = Some(self.node.config.id.clone());
        let mut message = format!("on the {port} port, {reason}");
        if left_out > 0 {
            message.push_str(&format!("; {left_out} more before this were not logged one by one"));
        }
        let node = Arc::clone(&self.node);
        self.node.queries.spawn(async move {
            let error = NodeError::refused(Reason::UnknownCaller, message);
            if let error @ NodeError::Log(_) = spine::deny(&node, Denial { entry, error }).await {
                tracing::error!(%error, "a refusal is not in the log");
            }
        });
    }
}

fn may_reflect(node: &Node, request: &Request<()>) -> Result<(), Status> {
    let user = User::of(&*caller(request)?, &node.config).map_err(|error| error.to_status())?;
    node.permit(&user, Action::Reflect)
        .map(drop)
        .map_err(|error| error.to_status())
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Listen { address, source })
}

/// Waits for SIGTERM or SIGINT; SIGHUP reads the certificates again.
async fn wait_for_stop(node: &Node) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => match node.reload() {
                Ok(()) => tracing::info!("certificates and revocation lists were read again"),
                Err(error) => tracing::error!(%error, "certificates stay as they were"),
            },
        }
    }
}

/// Lets the queries under way end, within the limit; what is left is closed as interrupted at the next start.
async fn drain(node: &Node) {
    node.draining.cancel();
    node.queries.close();
    let under_way = node.queries.len();
    tracing::info!(queries = under_way, "draining");
    if tokio::time::timeout(node.config.limits.drain, node.queries.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            queries = node.queries.len(),
            "hard stop: queries were cut (limit drain)"
        );
    }
}
