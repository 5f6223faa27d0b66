//! Faults on the wire: a gRPC status with a reason that machines can tell apart.
//!
//! The details are `google.rpc.ErrorInfo` with domain `overlap`; a limit is named in its metadata under `limit`.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of every reason.
pub const DOMAIN: &str = "overlap";

/// Why a call failed, by reason; the caller's exit code and advice follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A field of the request is not what it has to be.
    InvalidRequest,
    /// The caller's certificate is of no known peer or user.
    UnknownCaller,
    /// The caller's role does not allow it.
    RoleDenied,
    /// No agreement covers the query.
    AgreementDenied,
    /// The local policy of the node does not allow it.
    PolicyDenied,
    /// An order is missing, or does not cover the query.
    OrderDenied,
    /// A limit was reached.
    LimitReached,
    /// A dataset holds records that have expired.
    DatasetExpired,
    /// The named dataset, peer or entry is not there.
    NotFound,
    /// The peer refused.
    PeerRefused,
    /// The peer could not be reached, or the link broke.
    PeerUnreachable,
    /// The peer broke the protocol.
    PeerMisbehaved,
    /// The node is shutting down.
    Draining,
    /// The log could not be written: nothing is answered.
    LogUnavailable,
    /// The node failed.
    Internal,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 15] = [
        Self::InvalidRequest,
        Self::UnknownCaller,
        Self::RoleDenied,
        Self::AgreementDenied,
        Self::PolicyDenied,
        Self::OrderDenied,
        Self::LimitReached,
        Self::DatasetExpired,
        Self::NotFound,
        Self::PeerRefused,
        Self::PeerUnreachable,
        Self::PeerMisbehaved,
        Self::Draining,
        Self::LogUnavailable,
        Self::Internal,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::UnknownCaller => "UNKNOWN_CALLER",
            Self::RoleDenied => "ROLE_DENIED",
            Self::AgreementDenied => "AGREEMENT_DENIED",
            Self::PolicyDenied => "POLICY_DENIED",
            Self::OrderDenied => "ORDER_DENIED",
            Self::LimitReached => "LIMIT_REACHED",
            Self::DatasetExpired => "DATASET_EXPIRED",
            Self::NotFound => "NOT_FOUND",
            Self::PeerRefused => "PEER_REFUSED",
            Self::PeerUnreachable => "PEER_UNREACHABLE",
            Self::PeerMisbehaved => "PEER_MISBEHAVED",
            Self::Draining => "DRAINING",
            Self::LogUnavailable => "LOG_UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }

    const fn code(self) -> Code {
        match self {
            Self::InvalidRequest => Code::InvalidArgument,
            Self::UnknownCaller => Code::Unauthenticated,
            Self::RoleDenied | Self::AgreementDenied | Self::PolicyDenied | Self::OrderDenied | Self::PeerRefused => {
                Code::PermissionDenied
            }
            Self::LimitReached => Code::ResourceExhausted,
            Self::DatasetExpired => Code::FailedPrecondition,
            Self::NotFound => Code::NotFound,
            Self::PeerUnreachable | Self::Draining | Self::LogUnavailable => Code::Unavailable,
            Self::PeerMisbehaved => Code::Aborted,
            Self::Internal => Code::Internal,
        }
    }

    /// A status with this reason. Messages are cut: long ones break HTTP/2 headers.
    pub fn status(self, message: &str, limit: Option<&str>) -> Status {
        const LONGEST: usize = 512;
        let cut = message
            .char_indices()
            .nth(LONGEST)
            .map_or(message, |(end, _)| &message[..end]);
        let metadata: HashMap<String, String> = limit
            .map(|limit| ("limit".to_owned(), limit.to_owned()))
            .into_iter()
            .collect();
        Status::with_error_details(
            self.code(),
            cut,
            ErrorDetails::with_error_info(self.name(), DOMAIN, metadata),
        )
    }

    /// The reason that a status carries.
    pub fn of(status: &Status) -> Option<Self> {
        let info = status.get_details_error_info()?;
        (info.domain == DOMAIN).then_some(())?;
        Self::ALL.into_iter().find(|reason| reason.name() == info.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_survive_the_wire_and_messages_stay_short() {
        for reason in Reason::ALL {
            let status = reason.status(&"é".repeat(5000), Some("sessions_per_peer"));
            assert_eq!(Reason::of(&status), Some(reason));
            assert!(status.message().chars().count() <= 512);
        }
        assert_eq!(Reason::of(&Status::internal("of another")), None);
    }
}
