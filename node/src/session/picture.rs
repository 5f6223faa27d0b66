//! Pictures: the coordinator's part, each participant's part, and the mesh in which participants evaluate each other's items.

mod blame;
mod gather;
mod lead;
mod mesh;
mod part;
mod rounds;
mod telling;

pub(crate) use lead::{Lead, Made, Step};
pub(crate) use mesh::evaluate;
pub(crate) use part::Take;
pub(crate) use rounds::Parts;
pub(crate) use telling::Replies;

use overlap_report::Roles;

use crate::identity::sha256;

/// Elements in one message of the mesh: work for many milliseconds, and fewer among many, so that whoever waits for all others' answers
/// waits no longer.
fn together(participants: usize) -> usize {
    (16_384 / participants.max(1)).clamp(256, 2048)
}

/// Chunks of the own set that are under way in the mesh at once.
const WINDOW: usize = 3;

/// What binds pseudonyms to one round of one picture.
fn bound(roster: &overlap_agreement::Signed<overlap_agreement::Roster>) -> [u8; 32] {
    sha256(format!("overlap/picture/round/v1 {}", roster.hash()).as_bytes()).0
}

/// Roles of records as the report counts them.
fn roles<'a>(roles: impl IntoIterator<Item = &'a overlap_records::Role>) -> Roles {
    use overlap_records::Role;
    roles.into_iter().fold(Roles::OTHER, |all, role| {
        all.and(match role {
            Role::Suspect => Roles::SUSPECT,
            Role::Convicted => Roles::CONVICTED,
            Role::Victim => Roles::VICTIM,
            _ => Roles::OTHER,
        })
    })
}
