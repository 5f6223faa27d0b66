//! Accepting connections: TCP, then TLS within a deadline, then handed to gRPC with the caller's certificate.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::server::Connected;

use crate::{
    counted::{Counted, Traffic},
    identity::Certificate,
};

/// A caller whose certificate TLS has verified.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Arc<Certificate>);

/// An accepted connection.
pub(crate) struct Connection {
    stream: TlsStream<Counted>,
    caller: Caller,
    _one_of_the_limit: OwnedSemaphorePermit,
}

/// What a port needs to accept.
pub(crate) struct Listening {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Arc<ArcSwap<ServerConfig>>,
    pub(crate) handshake: Duration,
    pub(crate) connections: usize,
    pub(crate) traffic: Arc<Traffic>,
    /// Told of every caller whose certificate was refused, with the reason.
    pub(crate) refused: Arc<dyn Fn(String) + Send + Sync>,
    pub(crate) stop: CancellationToken,
}

impl Listening {
    /// Accepts until stopped. Each handshake is a task of its own: a slow one holds up nobody.
    pub(crate) fn run(self) -> ReceiverStream<io::Result<Connection>> {
        let (accepted, connections) = mpsc::channel(16);
        tokio::spawn(async move {
            let limit = Arc::new(Semaphore::new(self.connections));
            let handshakes = TaskTracker::new();
            loop {
                let permit = Arc::clone(&limit).acquire_owned();
                let (permit, tcp) = tokio::select! {
                    () = self.stop.cancelled() => break,
                    both = async { (permit.await, self.listener.accept().await) } => both,
                };
                let (Ok(permit), Ok((tcp, _))) = (permit, tcp) else {
                    // out of file descriptors, say: the next try comes after a breath
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let (accepted, refused) = (accepted.clone(), Arc::clone(&self.refused));
                let (tls, traffic) = (self.tls.load_full(), Arc::clone(&self.traffic));
                let deadline = self.handshake;
                handshakes.spawn(async move {
                    match timeout(deadline, shake(tcp, tls, traffic)).await {
                        Ok(Ok((stream, caller))) => {
                            let connection = Connection {
                                stream,
                                caller,
                                _one_of_the_limit: permit,
                            };
                            let _ = accepted.send(Ok(connection)).await;
                        }
                        Ok(Err(Handshake::Refused(reason))) => refused(reason),
                        Ok(Err(Handshake::Failed)) | Err(_) => tracing::debug!("a connection ended before TLS was up"),
                    }
                });
            }
        });
        ReceiverStream::new(connections)
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
    tls: Arc<ServerConfig>,
    traffic: Arc<Traffic>,
) -> Result<(TlsStream<Counted>, Caller), Handshake> {
    // small messages end every phase: they must not wait for more
    tcp.set_nodelay(true).map_err(|_| Handshake::Failed)?;
    let stream = TlsAcceptor::from(tls)
        .accept(Counted::new(tcp, traffic))
        .await
        .map_err(
            |error| match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(refused @ (rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)) => {
                    Handshake::Refused(crate::dial::explain(refused))
                }
                _ => Handshake::Failed,
            },
        )?;
    let certificate = Certificate::of(stream.get_ref().1.peer_certificates())
        .map_err(|error| Handshake::Refused(error.to_string()))?;
    Ok((stream, Caller(Arc::new(certificate))))
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
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
