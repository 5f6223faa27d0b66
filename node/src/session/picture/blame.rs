//! Who is to blame for a round that failed.

use overlap_proto::fault::Reason;
use overlap_psi::joint::Met;
use tokio::time::Instant;

use super::{gather::Link, telling::BETWEEN};
use crate::error::NodeError;

/// Who failed in a round: the place, and how.
pub(super) type Failed = (usize, NodeError);

/// What a participant has said of its work so far.
#[derive(Clone, Default)]
pub(super) struct Heard {
    pub(super) done: u64,
    /// For whom it waits, and when it said so last.
    pub(super) waits: Option<(String, Instant)>,
}

impl Heard {
    /// For whom it waits, if it says so still: who is dead itself is not held up by others.
    pub(super) fn waits(&self) -> Option<&str> {
        let (other, said) = self.waits.as_ref()?;
        (said.elapsed() < BETWEEN * 4).then_some(other.as_str())
    }
}

/// Who is to blame where a participant says that it cannot go on for another one: that, unless it is this node, which knows better. Who cannot
/// reach the coordinator is left out itself.
pub(super) fn accused(links: &[Link], own: &str, (place, other): (usize, &str), why: &str) -> Failed {
    let name = |at: usize| links.get(at).map(|link| link.name.clone()).unwrap_or_default();
    let other = links.iter().position(|one| one.id == other);
    let other = other.filter(|at| *at != place && links.get(*at).is_some_and(|one| one.id != own));
    match other {
        Some(at) => {
            let (peer, by, why) = (name(at), name(place), why.to_owned());
            (at, NodeError::PeerAccused { peer, by, why })
        }
        None => {
            let why = format!("it cannot do its part: {why}");
            (place, NodeError::PeerFailed { peer: name(place), why })
        }
    }
}

/// A participant had one left out, and says of another one that it cannot go on for it.
pub(super) fn second_time(accuser: &str, error: &NodeError) -> NodeError {
    NodeError::PeerFailed {
        peer: accuser.to_owned(),
        why: format!("it cannot do its part for the second one of the others ({error})"),
    }
}

pub(super) fn too_large(peer: &str) -> NodeError {
    NodeError::PeerFailed {
        peer: peer.to_owned(),
        why: "it takes part with more items than the agreement allows (limit max_set_size)".to_owned(),
    }
}

/// A pseudonym is made of an item, and that of its kind: one of these at least does not tell what it has.
pub(super) fn disagree(met: &Met, links: &[Link]) -> NodeError {
    let names = met.parties.iter().filter_map(|(party, _)| links.get(*party));
    let names: Vec<&str> = names.map(|link| link.name.as_str()).collect();
    let message = format!(
        "{} say of the same subject that it is of different kinds",
        names.join(", ")
    );
    NodeError::refused(Reason::PeerMisbehaved, message)
}
