//! The connection with the own node, and failures by kind.

use std::{error::Error, time::Duration};

use overlap_proto::{MAX_MESSAGE, fault::Reason, pb::operator::operator_service_client::OperatorServiceClient};
use tonic::{
    Code, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use crate::settings::Settings;

/// A client of the own node.
pub(crate) type Client = OperatorServiceClient<Channel>;

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
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
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
            None => anyhow::anyhow!("the node cannot be reached: {}", cause(&status)),
        };
        Self { kind, error, reason }
    }
}

/// Connects with the own node.
pub(crate) async fn connect(settings: &Settings) -> Result<Client, Failure> {
    let read = |path: &std::path::Path| {
        std::fs::read(path).map_err(|error| Failure::usage(anyhow::anyhow!("cannot read {}: {error}", path.display())))
    };
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read(&settings.ca)?))
        .identity(Identity::from_pem(read(&settings.certificate)?, read(&settings.key)?));
    let channel = Endpoint::from_shared(format!("https://{}", settings.node))
        .and_then(|endpoint| {
            endpoint
                .connect_timeout(Duration::from_secs(5))
                .tcp_nodelay(true)
                .tls_config(tls)
        })
        .map_err(|error| Failure::usage(anyhow::anyhow!("node {}: {}", settings.node, cause(&error))))?
        .connect()
        .await
        .map_err(|error| {
            let why = anyhow::anyhow!("node {} cannot be reached: {}", settings.node, cause(&error));
            Failure::new(Kind::Unreachable, why)
        })?;
    Ok(OperatorServiceClient::new(channel)
        // the own node's limit may be set higher
        .max_decoding_message_size(16 * MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE))
}

/// The innermost cause, with a word of advice where TLS refused a certificate.
pub(crate) fn cause(error: &(dyn Error + 'static)) -> String {
    let mut current = error;
    loop {
        let io = current
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        let tls: Option<&rustls::Error> = io
            .and_then(|inner| inner.downcast_ref())
            .or_else(|| current.downcast_ref());
        if let Some(tls) = tls {
            return match tls {
                rustls::Error::AlertReceived(alert) => format!("it refused your certificate ({alert:?})"),
                rustls::Error::InvalidCertificate(error) => format!("its certificate is refused ({error})"),
                other => other.to_string(),
            };
        }
        match current.source() {
            Some(source) => current = source,
            None => return current.to_string(),
        }
    }
}
