//! Accepting connections: TCP, then TLS within a deadline, then handed to gRPC with the caller's certificate.

use std::{
    collections::HashMap,
    hash::Hash,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use arc_swap::ArcSwap;
use overlap_proto::fault::Reason;
use rustls::pki_types::{CertificateDer, UnixTime};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Sleep, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use crate::{
    config::Limits,
    counted::{Counted, Traffic},
    dial,
    error::NodeError,
    identity::Certificate,
    tls,
};

/// A caller whose certificate TLS has verified.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) certificate: Arc<Certificate>,
    chain: Arc<Vec<CertificateDer<'static>>>,
    tls: Arc<ArcSwap<tls::Listener>>,
}

/// How long the caller of a connection that ends may take to hang up too.
const LINGER: Duration = Duration::from_secs(1);

/// An accepted connection.
pub(crate) struct Connection {
    stream: TlsStream<Counted>,
    caller: Caller,
    /// Set once everything was sent: until when the caller's last bytes are read. A socket that is closed over unread bytes resets the connection,
    /// and takes with it what the caller has not read yet.
    lingers: Option<Pin<Box<Sleep>>>,
    _of_the_caller: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// What a port needs to accept.
pub(crate) struct Listening {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Arc<ArcSwap<tls::Listener>>,
    pub(crate) limits: Limits,
    pub(crate) traffic: Arc<Traffic>,
    /// Told of every caller whose certificate was refused, with the reason.
    pub(crate) refused: Arc<dyn Fn(String) + Send + Sync>,
    pub(crate) stop: CancellationToken,
}

impl Caller {
    /// Checks the certificate as of now: against today's date, and the revocation lists that were read last.
    pub(crate) fn check_now(&self) -> Result<(), NodeError> {
        let refused = |why: String| NodeError::refused(Reason::UnknownCaller, why);
        let (leaf, intermediates) = self
            .chain
            .split_first()
            .ok_or(NodeError::Broken("a connection without a certificate"))?;
        let verified = self
            .tls
            .load()
            .verifier
            .verify_client_cert(leaf, intermediates, UnixTime::now());
        verified.map(drop).map_err(|error| refused(dial::explain(&error)))
    }
}

impl Listening {
    /// Accepts until stopped. A handshake is a task of its own, bounded per address, so that neither a slow nor a greedy stranger
    /// holds up anybody else; what is over a limit is dropped, not queued.
    pub(crate) fn run(self) -> ReceiverStream<io::Result<Connection>> {
        let (accepted, connections) = mpsc::channel(16);
        tokio::spawn(async move {
            let all = Arc::new(Semaphore::new(self.limits.connections));
            let (addresses, callers) = (Bounded::default(), Bounded::default());
            loop {
                let tcp = tokio::select! {
                    () = self.stop.cancelled() => break,
                    accepted = self.listener.accept() => accepted,
                };
                let Ok((tcp, address)) = tcp else {
                    // out of file descriptors, say: the next try comes after a breath
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let Some(shaking) = addresses.take(address.ip(), self.limits.handshakes_per_address) else {
                    tracing::debug!("dropped a connection (limit handshakes_per_address)");
                    continue;
                };
                let (accepted, refused, all) = (accepted.clone(), Arc::clone(&self.refused), Arc::clone(&all));
                let (tls, traffic, callers) = (Arc::clone(&self.tls), Arc::clone(&self.traffic), callers.clone());
                let (deadline, per_caller) = (self.limits.connect, self.limits.connections_per_caller);
                tokio::spawn(async move {
                    let shaken = timeout(deadline, shake(tcp, tls, traffic)).await;
                    drop(shaking);
                    let (stream, caller) = match shaken {
                        Ok(Ok(shaken)) => shaken,
                        Ok(Err(Handshake::Refused(reason))) => return refused(reason),
                        Ok(Err(Handshake::Failed)) | Err(_) => {
                            return tracing::debug!("a connection ended before TLS was up");
                        }
                    };
                    let of_the_caller = callers.take(caller.certificate.id.clone(), per_caller);
                    let (Some(of_the_caller), Ok(of_all)) = (of_the_caller, all.try_acquire_owned()) else {
                        return tracing::warn!("dropped a connection (limit connections or connections_per_caller)");
                    };
                    let connection = Connection {
                        stream,
                        caller,
                        lingers: None,
                        _of_the_caller: of_the_caller,
                        _of_all: of_all,
                    };
                    let _ = accepted.send(Ok(connection)).await;
                });
            }
        });
        ReceiverStream::new(connections)
    }
}

/// Counts per key; a key that nobody uses is forgotten.
struct Bounded<K>(Arc<Mutex<HashMap<K, Arc<Semaphore>>>>);

impl<K: Eq + Hash> Bounded<K> {
    fn take(&self, key: K, limit: usize) -> Option<OwnedSemaphorePermit> {
        const MANY: usize = 1024;
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() > MANY {
            counts.retain(|_, semaphore| semaphore.available_permits() < limit);
        }
        let semaphore = counts.entry(key).or_insert_with(|| Arc::new(Semaphore::new(limit)));
        Arc::clone(semaphore).try_acquire_owned().ok()
    }
}

impl<K> Clone for Bounded<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for Bounded<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

enum Handshake {
    /// The caller's certificate was not accepted.
    Refused(String),
    /// No TLS at all: a port scan, a cut link.
    Failed,
}

async fn shake(
    tcp: TcpStream,
    tls: Arc<ArcSwap<tls::Listener>>,
    traffic: Arc<Traffic>,
) -> Result<(TlsStream<Counted>, Caller), Handshake> {
    // small messages end every phase: they must not wait for more
    tcp.set_nodelay(true).map_err(|_| Handshake::Failed)?;
    let config = Arc::clone(&tls.load().config);
    let stream = TlsAcceptor::from(config)
        .accept(Counted::new(tcp, traffic))
        .await
        .map_err(
            |error| match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(refused @ (rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)) => {
                    Handshake::Refused(dial::explain(refused))
                }
                _ => Handshake::Failed,
            },
        )?;
    let chain: Vec<CertificateDer<'static>> = stream
        .get_ref()
        .1
        .peer_certificates()
        .unwrap_or_default()
        .iter()
        .map(|der| der.clone().into_owned())
        .collect();
    let certificate = Certificate::of(Some(&chain)).map_err(|error| Handshake::Refused(error.to_string()))?;
    Ok((
        stream,
        Caller {
            certificate: Arc::new(certificate),
            chain: Arc::new(chain),
            tls,
        },
    ))
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingers.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        let Self { stream, lingers, .. } = &mut *self;
        let lingers = lingers.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut scratch = [0; 4096];
        while lingers.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                // it hung up, which is all that was waited for
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
