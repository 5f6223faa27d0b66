//! Calling a peer: one connection per query, with the peer's certificate held against what is expected of it.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use overlap_audit::Digest;
use overlap_proto::{
    fault::Reason,
    pb::peer::{
        action_service_client::ActionServiceClient, peer_service_client::PeerServiceClient,
        picture_service_client::PictureServiceClient,
    },
    plain,
};
use rustls::{
    AlertDescription, CertificateError,
    client::danger::ServerCertVerifier as _,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{io::AsyncBufReadExt as _, net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint, Uri},
};

use crate::{
    config::{Limits, Peer},
    counted::{Counted, Traffic},
    error::NodeError,
    identity::Certificate,
    tls::Dialler,
};

/// How often a quiet standing connection is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// A name for HTTP/2 alone: who answers is settled by the certificate.
const NAME: &str = "http://peer.overlap";

/// A connection with a peer that showed its certificate.
pub(crate) struct Dialled {
    pub(crate) client: PeerServiceClient<Channel>,
    /// The same connection, for pictures.
    pub(crate) pictures: PictureServiceClient<Channel>,
    /// And for actions.
    pub(crate) actions: ActionServiceClient<Channel>,
    pub(crate) certificate: Certificate,
    pub(crate) callee: Callee,
}

/// Who answered, to be looked at again while a connection stands.
pub(crate) struct Callee {
    chain: Vec<CertificateDer<'static>>,
    host: ServerName<'static>,
}

impl Callee {
    /// Checks the certificate as of now: against today's date, and the revocation lists that were read last.
    pub(crate) fn check_now(&self, peer: &Peer, tls: &Dialler) -> Result<(), NodeError> {
        let (leaf, intermediates) = self
            .chain
            .split_first()
            .ok_or(NodeError::Broken("a connection without a certificate"))?;
        let verified = tls
            .verifier
            .verify_server_cert(leaf, intermediates, &self.host, &[], UnixTime::now());
        verified.map(drop).map_err(|error| NodeError::Unreachable {
            peer: peer.name.clone(),
            why: explain(&error),
        })
    }
}

/// Whether a peer's certificate carries the key that an agreement pins.
pub(crate) fn check_key(
    certificate: &Certificate,
    peer: &Peer,
    key: &Digest,
    agreement: &str,
) -> Result<(), NodeError> {
    if certificate.key == *key {
        return Ok(());
    }
    let message = format!(
        "agreement {agreement} pins another key for {} than its certificate carries",
        peer.name
    );
    Err(NodeError::refused(Reason::AgreementDenied, message))
}

/// Connects for one query, within the deadline for connecting.
///
/// Nothing asks whether the peer is still there: the query has its own deadlines, and a peer that computes on busy cores is slow, not
/// gone.
pub(crate) async fn dial(
    peer: &Peer,
    tls: Arc<Dialler>,
    limits: &Limits,
    traffic: Arc<Traffic>,
) -> Result<Dialled, NodeError> {
    connect(peer, tls, limits, traffic, Endpoint::from_static(NAME)).await
}

/// Connects for as long as an action lasts: a link that is cut without a word is found out within seconds, as streams that stand quiet
/// have no other sign.
pub(crate) async fn dial_standing(
    peer: &Peer,
    tls: Arc<Dialler>,
    limits: &Limits,
    traffic: Arc<Traffic>,
) -> Result<Dialled, NodeError> {
    let endpoint = Endpoint::from_static(NAME)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(limits.connect);
    connect(peer, tls, limits, traffic, endpoint).await
}

async fn connect(
    peer: &Peer,
    tls: Arc<Dialler>,
    limits: &Limits,
    traffic: Arc<Traffic>,
    endpoint: Endpoint,
) -> Result<Dialled, NodeError> {
    let unreachable = |why: String| NodeError::Unreachable {
        peer: peer.name.clone(),
        why,
    };
    let host = peer
        .address
        .rsplit_once(':')
        .map_or(peer.address.as_str(), |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host =
        ServerName::try_from(host.to_owned()).map_err(|_| unreachable("its address is no host name or IP".into()))?;
    let server = host.clone();
    let connect = async {
        let tcp = TcpStream::connect(&peer.address)
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        tcp.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
        let stream = TlsConnector::from(Arc::clone(&tls.config))
            .connect(server, Counted::new(tcp, traffic))
            .await;
        let mut stream = stream.map_err(|error| unreachable(cause(&error)))?;
        // In TLS 1.3 the caller is done before the callee has judged the caller's certificate. The first bytes, HTTP/2 settings,
        // come when it was accepted; otherwise the alert comes, which says why, and which a write would drown.
        let first = stream.fill_buf().await.map_err(|error| unreachable(cause(&error)))?;
        if first.is_empty() {
            return Err(unreachable("it hung up before a word".into()));
        }
        Ok(stream)
    };
    let stream = timeout(limits.connect, connect)
        .await
        .map_err(|_| unreachable(format!("no answer within {:?} (limit connect)", limits.connect)))??;
    let chain = stream.get_ref().1.peer_certificates();
    let certificate = Certificate::of(chain).map_err(|error| unreachable(error.to_string()))?;
    let callee = Callee {
        chain: chain.unwrap_or_default().to_vec(),
        host,
    };
    if certificate.id != peer.id {
        return Err(unreachable(format!(
            "its certificate is of {}, not of {}",
            certificate.id, peer.id
        )));
    }
    // the connection is there already: tonic gets it once, and a second try has none
    let ready = Arc::new(Mutex::new(Some(TokioIo::new(stream))));
    let connector = tower::service_fn(move |_: Uri| {
        let ready = ready.lock().unwrap_or_else(PoisonError::into_inner).take();
        std::future::ready(ready.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected)))
    });
    let channel = endpoint
        .connect_with_connector(connector)
        .await
        .map_err(|error| unreachable(cause(&error)))?;
    let pictures = PictureServiceClient::new(channel.clone())
        .max_decoding_message_size(limits.message_bytes)
        .max_encoding_message_size(limits.message_bytes);
    let actions = ActionServiceClient::new(channel.clone())
        .max_decoding_message_size(limits.message_bytes)
        .max_encoding_message_size(limits.message_bytes);
    let client = PeerServiceClient::new(channel)
        .max_decoding_message_size(limits.message_bytes)
        .max_encoding_message_size(limits.message_bytes);
    Ok(Dialled {
        client,
        pictures,
        actions,
        certificate,
        callee,
    })
}

/// What a peer's status says: a refusal where it carries a reason, else a broken link.
pub(crate) fn refusal(peer: &str, status: &Status) -> NodeError {
    let peer = peer.to_owned();
    match Reason::of(status) {
        Some(Reason::Draining | Reason::LogUnavailable | Reason::Internal | Reason::PeerUnreachable) => {
            NodeError::PeerFailed {
                peer,
                why: plain(status.message()),
            }
        }
        Some(_) => NodeError::PeerRefused {
            peer,
            message: plain(status.message()),
            limit: None,
        },
        // a status that the gRPC library made
        None if status.code() == Code::OutOfRange => NodeError::of_stream(&peer, status),
        None => NodeError::Unreachable {
            peer,
            why: plain(&cause(status)),
        },
    }
}

/// The TLS fault at the root of an error, in words; otherwise the innermost cause.
pub(crate) fn cause(error: &(dyn Error + 'static)) -> String {
    let mut current = error;
    loop {
        if let Some(tls) = tls_error(current) {
            return explain(tls);
        }
        match current.source() {
            Some(source) => current = source,
            // some errors end in the address of a page for programmers
            None => {
                let text = current.to_string();
                return text
                    .split_once(": https://")
                    .map_or(text.as_str(), |(words, _)| words)
                    .to_owned();
            }
        }
    }
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let io = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    io.and_then(|inner| inner.downcast_ref())
        .or_else(|| error.downcast_ref())
}

/// What a TLS fault means for the people who can mend it.
pub(crate) fn explain(error: &rustls::Error) -> String {
    use AlertDescription as Alert;
    use CertificateError as Bad;
    let text = match error {
        rustls::Error::NoCertificatesPresented => "no certificate was shown",
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => "the certificate shown has expired",
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => "the certificate shown is not valid yet",
            Bad::Revoked => "the certificate shown is revoked",
            Bad::ExpiredRevocationList | Bad::ExpiredRevocationListContext { .. } => {
                "the checking node's revocation list has expired; its operator refreshes it, see `overlap pki crl`"
            }
            Bad::UnknownRevocationStatus => "this node's revocation list does not cover the certificate shown",
            Bad::UnknownIssuer => "the certificate shown is of an authority that this node does not trust",
            Bad::BadSignature => "the certificate shown is not signed by the authority that it names",
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => "the certificate shown is for another host",
            other => return format!("the certificate shown is refused: {other}"),
        },
        rustls::Error::AlertReceived(alert) => match alert {
            Alert::CertificateExpired => {
                "it refused this node's certificate: expired, not valid yet, or its revocation list is"
            }
            Alert::CertificateRevoked => "it refused this node's certificate: revoked",
            Alert::UnknownCA => "it refused this node's certificate: it does not trust the authority",
            Alert::BadCertificate | Alert::CertificateUnknown | Alert::AccessDenied => {
                "it refused this node's certificate"
            }
            Alert::CertificateRequired => "it saw no certificate of this node",
            other => return format!("it ended TLS with {other:?}"),
        },
        other => return other.to_string(),
    };
    text.to_owned()
}
