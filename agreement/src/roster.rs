//! Rosters: who takes part in one round of a picture, as its coordinator tells all of them.

use overlap_audit::Digest;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    check::{self, Flaw},
    signed::Document,
};

/// Fewest and most that take part.
const PARTICIPANTS: std::ops::RangeInclusive<usize> = 2..=64;
/// Largest set that the protocols take.
const MAX_SIZE: u64 = u32::MAX as u64;

/// Who takes part in one round of a picture. All have the same, or nobody starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roster {
    /// Transaction of the picture.
    pub picture: Uuid,
    /// Number of the round, from 1.
    pub round: u32,
    /// SPIFFE URI of the agency that coordinates.
    pub coordinator: String,
    /// Hash of the agreement.
    pub agreement: Digest,
    /// Who takes part, by id.
    pub participants: Vec<Participant>,
}

/// One that takes part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Participant {
    /// SPIFFE URI of the agency.
    pub id: String,
    /// How many items it takes part with: the others evaluate no more for it.
    pub size: u64,
    /// Public key of its share in this round.
    pub key: Digest,
}

impl Roster {
    /// The place of an agency among the participants.
    pub fn place(&self, id: &str) -> Option<usize> {
        self.participants.iter().position(|one| one.id == id)
    }
}

impl Document for Roster {
    const TYP: &'static str = "overlap-roster+json";
    const NAME: &'static str = "roster";

    fn check(&self) -> Result<(), Flaw> {
        check::spiffe("coordinator", &self.coordinator)?;
        if self.round == 0 {
            return Err(Flaw::new("round must be at least 1"));
        }
        if !PARTICIPANTS.contains(&self.participants.len()) {
            return Err(Flaw::new("participants: there must be 2 to 64"));
        }
        for one in &self.participants {
            check::spiffe("participants: id", &one.id)?;
            if one.size > MAX_SIZE {
                return Err(Flaw::new("participants: size is larger than the protocol can hold"));
            }
        }
        if !self.participants.is_sorted_by(|one, other| one.id < other.id) {
            return Err(Flaw::new("participants: must be in the order of their ids, each once"));
        }
        let mut keys: Vec<Digest> = self.participants.iter().map(|one| one.key).collect();
        keys.sort_unstable();
        keys.dedup();
        match keys.len() == self.participants.len() {
            true => Ok(()),
            false => Err(Flaw::new("participants: keys must differ")),
        }
    }
}
