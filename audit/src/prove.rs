//! Proofs that fit in a mail: that a log has an entry, or that it only grew.

use std::io::BufRead;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{
    Checkpoint, CheckpointError, Digest, Event, ExportError, ExportReader, HeldTiles, Line, PayloadKey, Sealed,
    SignedCheckpoint, Tree, TreeError, VerifyingKey, View, check_consistency, check_inclusion, leaf_hash,
};

/// Something that a log proves.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Proof {
    /// That the log has an entry.
    Entry {
        /// What checks the checkpoint.
        key: VerifyingKey,
        /// The head that the paths lead to.
        checkpoint: String,
        /// The opening, and the end where there is one.
        events: Vec<ProvedEvent>,
    },
    /// That the log of an earlier checkpoint is the start of that of a later one.
    Growth {
        /// What checks the checkpoints.
        key: VerifyingKey,
        /// The earlier one.
        from: String,
        /// The later one.
        to: String,
        /// RFC 6962 section 2.1.2.
        proof: Vec<Digest>,
    },
}

/// An event with what leads from it to the head.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvedEvent {
    /// Where it stands.
    pub index: u64,
    /// Key of its sealing, 64 hexadecimal digits; with the event it gives the leaf.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The event, byte for byte; none where it was shredded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Box<RawValue>>,
    /// The leaf's hash.
    pub leaf: Digest,
    /// RFC 6962 section 2.1.1.
    pub path: Vec<Digest>,
}

/// What a proof says, once it was checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proved {
    /// The log.
    pub log: String,
    /// Its events when the (later) checkpoint was signed.
    pub events: u64,
    /// For growth: its events at the earlier one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grew_from: Option<u64>,
    /// For an entry: the indexes and what they hold.
    pub has: Vec<(u64, Option<Event>)>,
    /// For an entry: whether both its opening and its end are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub both: Option<bool>,
}

/// Why nothing can be proved, or what was claimed is not.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The export.
    #[error("the export: {0}")]
    Export(#[from] ExportError),
    /// The checkpoint.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The tree.
    #[error("{0}")]
    Tree(#[from] TreeError),
    /// There is no such entry.
    #[error("the log has no such entry")]
    NoSuchEntry,
    /// An event is not the one that the leaf commits to.
    #[error("event {index} is not what the log committed to")]
    Event {
        /// Its index.
        index: u64,
    },
    /// The key of the proof is not the one that is believed.
    #[error("the proof names another key than the one given")]
    Key,
}

/// Which entry.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    /// By its id, or its transaction's.
    Id(Uuid),
    /// By the index of one of its events.
    Index(u64),
}

/// The hashes of a log. Memory: 32 bytes per event.
struct Hashes {
    tree: Tree,
    tiles: HeldTiles,
}

impl Hashes {
    fn push(&mut self, leaf: Digest, full: &mut Vec<crate::FullTile>) {
        self.tree.push(leaf, full);
        full.drain(..).for_each(|tile| self.tiles.hold(tile));
    }

    fn view(&self) -> View<'_, HeldTiles> {
        View::new(&self.tree, &self.tiles)
    }
}

fn read<R: BufRead>(
    export: &mut ExportReader<R>,
    mut each: impl FnMut(u64, &Digest, &Option<Event>),
) -> Result<Hashes, ProofError> {
    let mut hashes = Hashes {
        tree: Tree::default(),
        tiles: HeldTiles::default(),
    };
    let mut full = Vec::new();
    while let Some(line) = export.next_line()? {
        if let Line::Event(event) = line {
            each(event.index, &event.leaf, &event.event);
            hashes.push(event.leaf, &mut full);
        }
    }
    Ok(hashes)
}

/// Proves an entry from an export, which is read twice.
///
/// # Errors
/// [`ProofError`].
pub fn prove_entry<R: BufRead>(
    open: impl Fn() -> Result<ExportReader<R>, ExportError>,
    wanted: Wanted,
) -> Result<Proof, ProofError> {
    let mut export = open()?;
    let header = export.header().clone();
    let (mut id, mut by_index) = (None, None);
    let hashes = read(&mut export, |index, _, event| match (wanted, event) {
        (Wanted::Id(wanted), Some(Event::Opened(entry))) if entry.id == wanted || entry.transaction == wanted => {
            id = id.or(Some(entry.id));
        }
        (Wanted::Index(wanted), event) if wanted == index => match event {
            Some(event) => id = Some(event.entry_id()),
            None => by_index = Some(index),
        },
        _ => {}
    })?;
    let text = header.checkpoints.first().ok_or(CheckpointError::Form)?;
    let signed = SignedCheckpoint::parse(text)?;
    let head = signed.verify(&header.key)?;
    let size = head.size;
    if hashes.view().root(size)? != head.root {
        // what is not whole proves nothing
        return Err(TreeError::Proof.into());
    }
    let mut events = Vec::new();
    let mut export = open()?;
    while let Some((line, raw)) = export.next_raw()? {
        let Line::Event(event) = line else { continue };
        let is_wanted =
            Some(event.index) == by_index || event.event.as_ref().is_some_and(|event| Some(event.entry_id()) == id);
        if is_wanted {
            events.push(ProvedEvent {
                index: event.index,
                key: raw.as_ref().map(|(key, _)| key.clone()),
                event: raw.map(|(_, event)| event),
                leaf: event.leaf,
                path: hashes.view().inclusion(event.index, size)?,
            });
        }
    }
    if events.is_empty() {
        return Err(ProofError::NoSuchEntry);
    }
    Ok(Proof::Entry {
        key: header.key,
        checkpoint: text.clone(),
        events,
    })
}

/// Proves from an export that the log grew from an earlier checkpoint.
///
/// # Errors
/// [`ProofError`].
pub fn prove_growth<R: BufRead>(mut export: ExportReader<R>, from: &str) -> Result<Proof, ProofError> {
    let header = export.header().clone();
    let old = SignedCheckpoint::parse(from)?.verify(&header.key)?.size;
    let to = header.checkpoints.first().ok_or(CheckpointError::Form)?;
    let new = SignedCheckpoint::parse(to)?.verify(&header.key)?.size;
    let hashes = read(&mut export, |_, _, _| {})?;
    Ok(Proof::Growth {
        proof: hashes.view().consistency(old, new)?,
        key: header.key,
        from: from.to_owned(),
        to: to.clone(),
    })
}

impl Proof {
    /// Checks it, by itself alone; with the key that is believed, if there is one.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn check(&self, believed: Option<&VerifyingKey>) -> Result<Proved, ProofError> {
        let key = match self {
            Self::Entry { key, .. } | Self::Growth { key, .. } => key,
        };
        if believed.is_some_and(|believed| believed != key) {
            return Err(ProofError::Key);
        }
        let head =
            |text: &str| -> Result<Checkpoint, ProofError> { Ok(SignedCheckpoint::parse(text)?.verify(key)?.clone()) };
        match self {
            Self::Entry { checkpoint, events, .. } => {
                let head = head(checkpoint)?;
                if events.is_empty() {
                    return Err(ProofError::NoSuchEntry);
                }
                let has: Vec<_> = events
                    .iter()
                    .map(|event| event.check(&head))
                    .collect::<Result<_, _>>()?;
                let shown: Vec<&Event> = has.iter().filter_map(|(_, event)| event.as_ref()).collect();
                let both =
                    matches!(shown[..], [Event::Opened(entry), Event::Closed(closing)] if entry.id == closing.id);
                Ok(Proved {
                    log: head.origin,
                    events: head.size,
                    grew_from: None,
                    has,
                    both: Some(both),
                })
            }
            Self::Growth { from, to, proof, .. } => {
                let (old, new) = (head(from)?, head(to)?);
                check_consistency(proof, (old.size, &old.root), (new.size, &new.root))?;
                Ok(Proved {
                    log: new.origin,
                    events: new.size,
                    grew_from: Some(old.size),
                    has: Vec::new(),
                    both: None,
                })
            }
        }
    }
}

impl ProvedEvent {
    fn check(&self, head: &Checkpoint) -> Result<(u64, Option<Event>), ProofError> {
        let index = self.index;
        let wrong = || ProofError::Event { index };
        let event = match (&self.key, &self.event) {
            (Some(key), Some(event)) => {
                let mut bytes = [0; 32];
                hex::decode_to_slice(key, &mut bytes).map_err(|_| wrong())?;
                // as it was committed to, without the blanks that a formatter of JSON puts in
                let plain = compact(event.get());
                let sealed = Sealed::seal(&PayloadKey::from_bytes(bytes), &plain).map_err(|_| wrong())?;
                if leaf_hash(&sealed.commitment()) != self.leaf {
                    return Err(wrong());
                }
                Some(Event::from_json(&plain).map_err(|_| wrong())?)
            }
            (None, None) => None,
            _ => return Err(wrong()),
        };
        check_inclusion(&self.path, head.size, &head.root, index, &self.leaf)?;
        Ok((index, event))
    }
}

/// JSON without blanks between its tokens.
fn compact(json: &str) -> Vec<u8> {
    let (mut is_text, mut is_escaped) = (false, false);
    let mut kept = Vec::with_capacity(json.len());
    for byte in json.bytes() {
        if !is_text && byte.is_ascii_whitespace() {
            continue;
        }
        is_text ^= byte == b'"' && !is_escaped;
        is_escaped = is_text && byte == b'\\' && !is_escaped;
        kept.push(byte);
    }
    kept
}
