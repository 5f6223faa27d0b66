//! What the scenarios share: agencies with real keys, nodes as real processes, users at the command line, and peers that misbehave.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on ends")]

mod action_day;
mod agency;
mod agreement;
mod gathering;
mod hostile;
mod hostile_actions;
mod hostile_pictures;
mod process;
mod proxy;
mod world;

pub use action_day::{ActionDay, alert, answer, by_partner};
pub use agency::Agency;
pub use agreement::Agreement;
pub use gathering::{CASE, Gathering, ORDER, combinations, phones, plain};
pub use hostile::{HostileAsker, HostileHolder, Play};
pub use hostile_actions::{HostileAttendant, HostilePartner, Lie, opening, speak};
pub use hostile_pictures::{HostileCoordinator, HostileParticipant, Vice};
pub use process::{Ran, binary, fill_disk, free_address, wait_for};
pub use proxy::Proxy;
pub use world::{PURPOSE, World};

/// A JSON value that has to be text.
pub fn text_of(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}
