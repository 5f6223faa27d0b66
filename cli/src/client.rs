//! The connection with the own node, and failures by kind.

use std::{
    error::Error,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::anyhow;
use hyper_util::rt::TokioIo;
use overlap_proto::{
    MAX_MESSAGE,
    fault::Reason,
    pb::operator::{
        action_service_client::ActionServiceClient, operator_service_client::OperatorServiceClient,
        picture_service_client::PictureServiceClient,
    },
};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{io::AsyncBufReadExt as _, net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint, Uri},
};

use crate::settings::Settings;

/// A client of the own node.
pub(crate) type Client = OperatorServiceClient<Channel>;

/// The same, for pictures.
pub(crate) type Pictures = PictureServiceClient<Channel>;

/// The same, for actions.
pub(crate) type Actions = ActionServiceClient<Channel>;

/// Why a command did not do what was asked; its kind is the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) error: anyhow::Error,
    /// The node's reason, where a node answered.
    pub(crate) reason: Option<Reason>,
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Internal,
    Usage,
    Refused,
    Unreachable,
    /// A check found that an import would fail.
    NotImportable,
    /// A log or a proof does not hold, or two logs do not agree.
    NotWhole,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::NotImportable => "not-importable",
            Self::NotWhole => "not-whole",
        }
    }
}

impl Failure {
    pub(crate) fn new(kind: Kind, error: impl Into<anyhow::Error>) -> Self {
        Self {
            kind,
            error: error.into(),
            reason: None,
        }
    }

    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Kind::Usage, error)
    }

    pub(crate) fn internal(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Kind::Internal, error)
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Internal => 1,
            Kind::Usage => 2,
            Kind::Refused => 3,
            Kind::Unreachable => 4,
            Kind::NotImportable => 5,
            Kind::NotWhole => 6,
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let reason = Reason::of(&status);
        let kind = match reason {
            Some(Reason::InvalidRequest | Reason::NotFound) => Kind::Usage,
            Some(
                Reason::UnknownCaller
                | Reason::RoleDenied
                | Reason::AgreementDenied
                | Reason::PolicyDenied
                | Reason::OrderDenied
                | Reason::LimitReached
                | Reason::DatasetExpired
                | Reason::PeerRefused,
            ) => Kind::Refused,
            Some(Reason::PeerUnreachable | Reason::Draining) => Kind::Unreachable,
            Some(Reason::PeerMisbehaved | Reason::LogUnavailable | Reason::Internal) => Kind::Internal,
            None if matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled) => Kind::Unreachable,
            None => Kind::Internal,
        };
        let error = match reason {
            Some(_) => anyhow::anyhow!("{}", status.message()),
            None if hung_up(&status) => anyhow::anyhow!(
                "the node hung up before the end, as one that stops does; `overlap log list` shows what became of what was asked"
            ),
            None => anyhow::anyhow!("the node cannot be reached: {}", cause(&status)),
        };
        Self { kind, error, reason }
    }
}

/// Whether the connection was there, and ended early.
fn hung_up(status: &Status) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = status.source();
    while let Some(error) = next {
        let in_h2 = error.downcast_ref::<h2::Error>().and_then(h2::Error::get_io);
        if let Some(io) = error.downcast_ref::<std::io::Error>().or(in_h2) {
            use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
            return matches!(io.kind(), BrokenPipe | ConnectionReset | UnexpectedEof);
        }
        next = error.source();
    }
    false
}

/// Connects with the own node.
pub(crate) async fn connect(settings: &Settings) -> Result<Client, Failure> {
    Ok(OperatorServiceClient::new(channel(settings).await?)
        // the own node's limit may be set higher
        .max_decoding_message_size(16 * MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE))
}

/// Connects with the own node, for pictures.
pub(crate) async fn pictures(settings: &Settings) -> Result<Pictures, Failure> {
    Ok(PictureServiceClient::new(channel(settings).await?)
        .max_decoding_message_size(16 * MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE))
}

/// Connects with the own node, for actions.
pub(crate) async fn actions(settings: &Settings) -> Result<Actions, Failure> {
    Ok(ActionServiceClient::new(channel(settings).await?)
        .max_decoding_message_size(16 * MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE))
}

async fn channel(settings: &Settings) -> Result<Channel, Failure> {
    let Settings { node, .. } = settings;
    let tls = tls(settings)?;
    let host = node
        .rsplit_once(':')
        .map(|(host, _)| host.trim_matches(['[', ']']).to_owned())
        .unwrap_or_default();
    let server = ServerName::try_from(host).map_err(|_| {
        Failure::usage(anyhow!(
            "node {node} is no host name or IP with a port, as in node.example:7444"
        ))
    })?;
    let unreachable = |error: &(dyn Error + 'static)| {
        let kind = if tls_error(error).is_some() {
            Kind::Refused
        } else {
            Kind::Unreachable
        };
        Failure::new(kind, anyhow!("node {node} cannot be reached: {}", cause(error)))
    };
    let connect = async {
        let tcp = TcpStream::connect(node).await.map_err(|error| unreachable(&error))?;
        tcp.set_nodelay(true).map_err(|error| unreachable(&error))?;
        let connector = TlsConnector::from(Arc::new(tls));
        let mut stream = connector
            .connect(server, tcp)
            .await
            .map_err(|error| unreachable(&error))?;
        // the node's first bytes come once it has accepted the certificate; otherwise its alert does
        stream.fill_buf().await.map_err(|error| unreachable(&error))?;
        Ok::<_, Failure>(stream)
    };
    let stream = timeout(Duration::from_secs(5), connect)
        .await
        .map_err(|error| unreachable(&error))??;
    // the connection is there already: tonic gets it once, and a second try has none
    let ready = Mutex::new(Some(TokioIo::new(stream)));
    let connector = tower::service_fn(move |_: Uri| {
        let ready = ready.lock().unwrap_or_else(PoisonError::into_inner).take();
        std::future::ready(ready.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected)))
    });
    Endpoint::from_static("http://node.overlap")
        .connect_with_connector(connector)
        .await
        .map_err(|error| unreachable(&error))
}

/// Mutual TLS 1.3 with rustls and ring.
fn tls(settings: &Settings) -> Result<ClientConfig, Failure> {
    let unusable =
        |path: &Path, error: &dyn std::fmt::Display| Failure::usage(anyhow!("cannot use {}: {error}", path.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&settings.ca).map_err(|error| unusable(&settings.ca, &error))? {
        let certificate = certificate.map_err(|error| unusable(&settings.ca, &error))?;
        roots.add(certificate).map_err(|error| unusable(&settings.ca, &error))?;
    }
    let chain = CertificateDer::pem_file_iter(&settings.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(&settings.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&settings.key).map_err(|error| unusable(&settings.key, &error))?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(Failure::internal)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|error| unusable(&settings.certificate, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The innermost cause; where TLS refused a certificate, whose.
fn cause(error: &(dyn Error + 'static)) -> String {
    match tls_error(error) {
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("it refused your certificate ({alert:?}): of another authority, expired or revoked")
        }
        Some(rustls::Error::InvalidCertificate(error)) => format!("its certificate is refused ({error})"),
        Some(other) => other.to_string(),
        None => std::iter::successors(Some(error), |&error| error.source())
            .last()
            .unwrap_or(error)
            .to_string(),
    }
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| {
        let io = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        io.and_then(|inner| inner.downcast_ref())
            .or_else(|| error.downcast_ref())
    })
}
