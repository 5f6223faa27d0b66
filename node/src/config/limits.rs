//! The limits of a node.

use std::time::Duration;

use overlap_proto::MAX_MESSAGE;
use serde::{Deserialize, Serialize};

/// The limits of the node; each names itself when it is reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Bytes of a message.
    pub(crate) message_bytes: usize,
    /// HTTP/2 streams per connection.
    pub(crate) streams_per_peer: u32,
    /// Sessions under way per peer.
    pub(crate) sessions_per_peer: usize,
    /// Connections at once, per port.
    pub(crate) connections: usize,
    /// Connections at once per certified identity.
    pub(crate) connections_per_caller: usize,
    /// TLS handshakes at once per address: what is over it is dropped.
    pub(crate) handshakes_per_address: usize,
    #[serde(with = "humantime_serde")]
    pub(crate) connect: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) idle_stream: Duration,
    /// A whole session, however steadily it goes on.
    #[serde(with = "humantime_serde")]
    pub(crate) session: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) drain: Duration,
    /// What matches found is kept no longer.
    #[serde(with = "humantime_serde")]
    pub(crate) keep_hits: Duration,
    /// The content of the log is kept no longer.
    #[serde(with = "humantime_serde")]
    pub(crate) keep_log: Duration,
    /// How often peers are shown the head of the log, if it has grown and no query did so before.
    #[serde(with = "humantime_serde")]
    pub(crate) witness_every: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: MAX_MESSAGE,
            streams_per_peer: 32,
            sessions_per_peer: 8,
            connections: 256,
            connections_per_caller: 64,
            handshakes_per_address: 32,
            connect: Duration::from_secs(5),
            idle_stream: Duration::from_secs(60),
            session: Duration::from_secs(4 * 3600),
            drain: Duration::from_secs(30),
            keep_hits: Duration::from_secs(90 * 86_400),
            keep_log: Duration::from_secs(5 * 366 * 86_400),
            witness_every: Duration::from_secs(30),
        }
    }
}

impl Limits {
    pub(super) fn check(self) -> Result<Self, (&'static str, &'static str)> {
        const MUST: &str = "must be 1 to 1000000";
        let counts = |count: usize| !(1..=1_000_000).contains(&count);
        /// Room for a chunk of elements or a batch of records, with all that is around them.
        const LEAST_MESSAGE: usize = 512 << 10;
        const LONG: &str = "must be longer than nothing";
        match &self {
            l if l.message_bytes < LEAST_MESSAGE => Err(("limits.message_bytes", "must be at least 524288")),
            l if l.streams_per_peer == 0 => Err(("limits.streams_per_peer", MUST)),
            l if counts(l.sessions_per_peer) => Err(("limits.sessions_per_peer", MUST)),
            l if counts(l.connections_per_caller) => Err(("limits.connections_per_caller", MUST)),
            l if counts(l.handshakes_per_address) => Err(("limits.handshakes_per_address", MUST)),
            l if counts(l.connections) => Err(("limits.connections", MUST)),
            l if l.connect.is_zero() => Err(("limits.connect", LONG)),
            l if l.keep_log < Duration::from_secs(86_400) => Err(("limits.keep_log", "must be at least a day")),
            l if l.witness_every.is_zero() => Err(("limits.witness_every", LONG)),
            l if l.session.is_zero() => Err(("limits.session", LONG)),
            l if l.idle_stream.is_zero() => Err(("limits.idle_stream", LONG)),
            _ => Ok(self),
        }
    }
}
