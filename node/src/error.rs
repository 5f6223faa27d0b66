//! Why the node could not do what was asked: who is at fault, what is logged, what the caller is told.

use overlap_audit::Outcome;
use overlap_proto::{WireError, fault::Reason};
use overlap_psi::PeerMisbehaved;
use overlap_store::StoreError;
use tonic::{Code, Status};

/// A failure or a refusal. Its text is for the log and the caller: it holds no personal value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeError {
    /// The caller's message is not what it has to be.
    #[error("{0}")]
    Request(WireError),
    /// Refused by certificate, role, agreement or limit.
    #[error("{message}")]
    Refused {
        reason: Reason,
        message: String,
        limit: Option<&'static str>,
    },
    /// The peer said no.
    #[error("{peer} refused: {message}")]
    PeerRefused {
        peer: String,
        message: String,
        /// Which of its limits was met, where it says so.
        limit: Option<String>,
    },
    /// The peer could not be reached, or the link broke.
    #[error("{peer} cannot be reached: {why}")]
    Unreachable { peer: String, why: String },
    /// The peer was reached, and has a fault of its own.
    #[error("{peer} cannot answer now: {why}")]
    PeerFailed { peer: String, why: String },
    /// One participant of a picture says of another that it cannot go on for it.
    #[error("{peer} cannot answer now: {by} says of it: {why}")]
    PeerAccused { peer: String, by: String, why: String },
    /// The peer sent a message that is not what it has to be.
    #[error("{peer} sent a message that is not what it has to be: {source}")]
    PeerWire { peer: String, source: WireError },
    /// The peer broke the protocol.
    #[error("{peer} broke the protocol: {source}")]
    PeerProtocol { peer: String, source: PeerMisbehaved },
    /// The peer sent nothing for too long.
    #[error("{peer} sent nothing for {seconds} s (limit idle_stream)")]
    PeerIdle { peer: String, seconds: u64 },
    /// A participant got no further for longer than its coordinator waits.
    #[error("{peer} got no further for {seconds} s, which is as long as is waited")]
    PeerSilent { peer: String, seconds: u64 },
    /// The session went on for too long.
    #[error("the session took longer than {seconds} s (limit session)")]
    Overtime { seconds: u64 },
    /// The peer ended the call early.
    #[error("{peer} hung up before the end")]
    PeerHungUp { peer: String },
    /// The log could not be written.
    #[error("the log cannot be written, so nothing is answered: {0}")]
    Log(StoreError),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
    /// The node is going down.
    #[error("the node is shutting down")]
    Draining,
    /// A fault of this software.
    #[error("internal fault: {0}")]
    Broken(&'static str),
}

impl NodeError {
    pub(crate) fn refused(reason: Reason, message: impl Into<String>) -> Self {
        Self::Refused {
            reason,
            message: message.into(),
            limit: None,
        }
    }

    /// What a stream's failure says of its sender: too large a message, which the gRPC library refused, or a broken link.
    pub(crate) fn of_stream(peer: &str, status: &Status) -> Self {
        let peer = peer.to_owned();
        match status.code() {
            Code::OutOfRange => {
                let must = "must be no larger than the limit message_bytes";
                Self::PeerWire {
                    peer,
                    source: WireError { field: "message", must },
                }
            }
            _ => Self::PeerHungUp { peer },
        }
    }

    pub(crate) fn limit(limit: &'static str, message: impl Into<String>) -> Self {
        Self::Refused {
            reason: Reason::LimitReached,
            message: message.into(),
            limit: Some(limit),
        }
    }

    /// How the entry of a query that ended so stands.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Request(_) | Self::Refused { .. } | Self::PeerRefused { .. } | Self::Draining => Outcome::Denied,
            Self::Unreachable { .. }
            | Self::PeerFailed { .. }
            | Self::PeerAccused { .. }
            | Self::PeerWire { .. }
            | Self::PeerProtocol { .. }
            | Self::PeerIdle { .. }
            | Self::PeerSilent { .. }
            | Self::PeerHungUp { .. }
            | Self::Overtime { .. }
            | Self::Log(_)
            | Self::Store(_)
            | Self::Broken(_) => Outcome::Error,
        }
    }

    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Request(_) => Reason::InvalidRequest,
            Self::Refused { reason, .. } => *reason,
            Self::Overtime { .. } => Reason::LimitReached,
            Self::PeerRefused { .. } => Reason::PeerRefused,
            Self::Unreachable { .. }
            | Self::PeerFailed { .. }
            | Self::PeerAccused { .. }
            | Self::PeerHungUp { .. }
            | Self::PeerIdle { .. }
            | Self::PeerSilent { .. } => Reason::PeerUnreachable,
            Self::PeerWire { .. } | Self::PeerProtocol { .. } => Reason::PeerMisbehaved,
            Self::Log(_) => Reason::LogUnavailable,
            Self::Draining => Reason::Draining,
            Self::Store(_) | Self::Broken(_) => Reason::Internal,
        }
    }

    /// What a participant did that was left out of a picture: for reports, which pass through more hands than a log.
    pub(crate) fn brief(&self) -> &'static str {
        match self {
            Self::PeerRefused { .. } => "refused",
            Self::Unreachable { .. } => "could not be reached",
            Self::PeerHungUp { .. } => "broke off",
            Self::PeerIdle { .. } | Self::PeerSilent { .. } | Self::Overtime { .. } => "got no further in time",
            Self::PeerWire { .. } | Self::PeerProtocol { .. } => "broke the protocol",
            Self::Request(_)
            | Self::Refused { .. }
            | Self::PeerFailed { .. }
            | Self::PeerAccused { .. }
            | Self::Log(_)
            | Self::Store(_)
            | Self::Draining
            | Self::Broken(_) => "could not do its part",
        }
    }

    pub(crate) fn limit_name(&self) -> Option<&'static str> {
        match self {
            Self::Refused { limit, .. } => *limit,
            Self::PeerIdle { .. } => Some("idle_stream"),
            Self::Overtime { .. } => Some("session"),
            _ => None,
        }
    }

    /// What own users are told: everything.
    pub(crate) fn to_status(&self) -> Status {
        self.reason().status(&self.to_string(), self.limit_name())
    }

    /// What a peer is told: what is its business. Faults of this node's store or log are named, not described.
    pub(crate) fn to_peer_status(&self) -> Status {
        let message = match self {
            Self::Log(_) => "the log cannot be written, so nothing is answered".to_owned(),
            Self::Store(_) | Self::Broken(_) => "internal fault".to_owned(),
            Self::PeerProtocol { source, .. } => format!("the asker broke the protocol: {source}"),
            Self::PeerWire { source, .. } => source.to_string(),
            Self::PeerIdle { seconds, .. } => format!("nothing came for {seconds} s (limit idle_stream)"),
            other => other.to_string(),
        };
        self.reason().status(&message, self.limit_name())
    }
}

/// The one that the first digits of an id mean. `list` is the command that shows all.
pub(crate) fn one_of<T>(mut meant: Vec<T>, what: &str, list: &str) -> Result<T, NodeError> {
    match (meant.len(), meant.pop()) {
        (1, Some(one)) => Ok(one),
        (0, _) => {
            let message = format!("no {what} is kept whose id begins so; see `{list}`");
            Err(NodeError::refused(Reason::NotFound, message))
        }
        _ => {
            let message = format!("the ids of several begin so: give more digits; see `{list}`");
            Err(NodeError::refused(Reason::InvalidRequest, message))
        }
    }
}

impl From<WireError> for NodeError {
    fn from(error: WireError) -> Self {
        Self::Request(error)
    }
}
