//! Errors, by who is at fault.

/// Why a protocol run ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The other party broke the protocol.
    #[error("the peer broke the protocol: {0}")]
    Peer(#[from] PeerMisbehaved),
    /// The calling code broke the contract of this crate.
    #[error("misuse of the protocol: {0}")]
    Misuse(#[from] ApiMisuse),
}

/// What the other party did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// Bytes that are not the canonical encoding of a ristretto255 element (RFC 9496 section 4.3.1).
    #[error("a group element is not in canonical form")]
    NotCanonical,
    /// The identity element, which RFC 9497 section 3.3 tells to refuse.
    #[error("a group element is the identity")]
    Identity,
    /// More elements than the size announced at the start.
    #[error("more elements than the {announced} that were announced")]
    TooMany {
        /// The size announced at the start.
        announced: u64,
    },
    /// The stream ended before all announced elements came.
    #[error("{received} elements came of the {announced} that were announced")]
    TooFew {
        /// The size announced at the start.
        announced: u64,
        /// How many came.
        received: u64,
    },
    /// Elements that have to come sorted and distinct did not.
    #[error("elements are not sorted and distinct")]
    NotSorted,
    /// The same element twice where each must differ.
    #[error("the same element came twice")]
    Duplicate,
    /// A proof that does not hold: the elements were made with another key.
    #[error("elements were made with another key than the one announced")]
    BadProof,
    /// What is said of a pseudonym cannot be.
    #[error("a list says of a pseudonym what cannot be")]
    BadMark,
    /// A snapshot filter whose parts do not fit together.
    #[error("a snapshot filter cannot be one")]
    BadFilter,
    /// Another size of its set than it said before, or a larger one than it may have.
    #[error(
        "its set has another size than it said before, or is larger than the agreement allows (limit max_set_size)"
    )]
    Size,
    /// A message that does not belong in this phase.
    #[error("a message came out of turn")]
    OutOfTurn,
}

/// What the calling code did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiMisuse {
    /// The own set held other than the announced number of items.
    #[error("the own set has {given} items where {announced} were announced")]
    OwnSize {
        /// The size announced at the start.
        announced: u64,
        /// How many items the caller gave.
        given: u64,
    },
    /// A set, or an input in bytes, is larger than the protocol can hold.
    #[error("a size of {size} is larger than the protocol's maximum of {max}")]
    TooLarge {
        /// The size asked for.
        size: u64,
        /// The protocol's maximum.
        max: u64,
    },
    /// An element of the own set is not a valid group element: the store is damaged.
    #[error("an element of the own set is not valid")]
    OwnElement,
}
