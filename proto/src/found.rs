//! What an asker tells its holder of a match whose result is for both, checked.

use overlap_records::Identifier;

use crate::{WireError, check, pb::peer as pb};

/// Most identifiers in one message.
pub const MOST_FOUND: usize = 256;

/// A part of what was found.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Numbered identifiers, and persons that may be the same.
    pub hits: Vec<Identifier>,
    /// In mode `count`, where it is told.
    pub count: Option<u64>,
}

impl TryFrom<pb::MatchFound> for Found {
    type Error = WireError;

    fn try_from(found: pb::MatchFound) -> Result<Self, WireError> {
        if found.hits.len() > MOST_FOUND {
            return Err(WireError::new("found.hits", "must be 256 at most"));
        }
        let hits = found.hits.iter().map(|hit| {
            let kind = check::listed("found.kind", &hit.kind, "must be a kind of identifiers")?;
            let identifier = Identifier::from_canonical(kind, &hit.canonical);
            identifier
                .map_err(|_| WireError::new("found.canonical", "must be an identifier of its kind in canonical form"))
        });
        Ok(Self {
            hits: hits.collect::<Result<_, _>>()?,
            count: found.count,
        })
    }
}

impl From<Found> for pb::MatchRequest {
    fn from(found: Found) -> Self {
        let hits = found.hits.iter().map(|hit| pb::Identifier {
            kind: hit.kind().to_string(),
            canonical: hit.canonical().to_owned(),
        });
        let found = pb::MatchFound {
            hits: hits.collect(),
            count: found.count,
        };
        Self {
            message: Some(pb::match_request::Message::Found(found)),
        }
    }
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found")
            .field("hits", &self.hits.len())
            .finish_non_exhaustive()
    }
}
