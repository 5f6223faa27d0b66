//! Reading the log as a whole, for those who check it.

use std::{io::Write, sync::PoisonError};

use jiff::Timestamp;
use overlap_audit::{Digest, EXPORT_VERSION, ExportError, ExportWriter, Header, KnownPeer, SignedCheckpoint, View};
use rocksdb::{Direction, ErrorKind, IteratorMode};

use super::{Log, head::StoredTiles, parse_index, payload::Row};
use crate::{
    StoreError,
    keys::{self, Cf},
};

impl Log {
    /// Writes the log as it is now, with the receipts that are kept, in the form of [`overlap_audit::ExportReader`].
    ///
    /// # Errors
    /// [`StoreError::Export`], [`StoreError::Rocks`], [`StoreError::Damaged`].
    pub fn export<W: Write>(&self, agency: &str, now: Timestamp, out: W) -> Result<W, StoreError> {
        let (size, newest) = {
            let head = self.head.read().unwrap_or_else(PoisonError::into_inner);
            (head.tree.size(), head.checkpoint.clone())
        };
        let (peers, shredded) = (self.peers()?, self.shredded()?);
        // one that came after the head was read is of more events than the file
        let fits = |text: &String| SignedCheckpoint::parse(text).is_ok_and(|head| head.unverified().size <= size);
        let cosigned = peers.iter().filter_map(|peer| peer.cosigned.clone()).filter(fits);
        let header = Header {
            overlap_log: EXPORT_VERSION,
            agency: agency.to_owned(),
            key: self.key.clone(),
            exported: now,
            events: size,
            checkpoints: std::iter::once(newest).chain(cosigned).collect(),
            peers: peers
                .into_iter()
                .map(|peer| KnownPeer {
                    agency: peer.agency,
                    log: peer.key,
                    cosigner: peer.cosigner,
                    head: peer.witnessed,
                })
                .collect(),
        };
        let mut export = ExportWriter::begin(out, &header)?;
        let start = keys::index(0);
        let rows = self
            .inner
            .db
            .iterator_cf(self.inner.cf(Cf::Log)?, IteratorMode::From(&start, Direction::Forward));
        let mut next = 0;
        for (expected, row) in (0..size).zip(rows) {
            let bad = |what| StoreError::Export(ExportError::Event { index: expected, what });
            let (key, bytes) = match row {
                Err(error) if error.kind() == ErrorKind::Corruption => {
                    return Err(bad(
                        "it, or one close behind it, cannot be read: the disk gives other bytes than were written",
                    ));
                }
                row => row?,
            };
            if parse_index(&key)? != expected {
                return Err(bad("is missing"));
            }
            let row = Row::parse(&bytes)?;
            let key = self.periods.key(&self.inner, &row)?;
            if key.is_none() && expected >= shredded {
                return Err(bad("its key is gone, and it was not shredded"));
            }
            export.event(expected, &row.sealed, key.as_ref())?;
            next = expected + 1;
        }
        if next != size {
            return Err(StoreError::Damaged("a log event is missing"));
        }
        for receipt in self.receipts()? {
            export.receipt(&receipt?)?;
        }
        Ok(export.end(size)?)
    }

    /// Hashes of the tree, or the leaves' commitments of 256 events, as C2SP tlog-tiles serves them: the first `width` of a tile; none if the log
    /// does not have them.
    ///
    /// # Errors
    /// [`StoreError::Tree`].
    pub fn tile(&self, level: u8, number: u64, width: usize) -> Result<Option<Vec<u8>>, StoreError> {
        self.viewing(|view, _| Ok(view.tile(level, number, width)?))
    }

    /// What the leaves of a bundle of 256 events are the hashes of, the first `width`; none if the log does not have them.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Damaged`].
    pub fn bundle(&self, number: u64, width: usize) -> Result<Option<Vec<Digest>>, StoreError> {
        const WIDTH: u64 = overlap_audit::TILE_WIDTH as u64;
        let first = number.saturating_mul(WIDTH);
        if width == 0 || width as u64 > WIDTH || first.saturating_add(width as u64) > self.size() {
            return Ok(None);
        }
        (first..first + width as u64)
            .map(|index| {
                let row = self.row(index)?.ok_or(StoreError::Damaged("a log event is missing"))?;
                Ok(row.sealed.commitment())
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// The root of the log when it had that many events.
    ///
    /// # Errors
    /// [`StoreError::Tree`].
    pub fn root(&self, size: u64) -> Result<Digest, StoreError> {
        self.viewing(|view, _| Ok(view.root(size)?))
    }

    /// That the tree of `size` events has this one at `index`: its leaf's path (RFC 6962 section 2.1.1).
    ///
    /// # Errors
    /// [`StoreError::Tree`].
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Digest>, StoreError> {
        self.viewing(|view, _| Ok(view.inclusion(index, size)?))
    }

    /// That the log of `old` events is the start of the one of `new` (RFC 6962 section 2.1.2).
    ///
    /// # Errors
    /// [`StoreError::Tree`].
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Digest>, StoreError> {
        self.viewing(|view, _| Ok(view.consistency(old, new)?))
    }

    /// Reads the tree as it is now; with its size.
    pub(super) fn viewing<T>(
        &self,
        read: impl FnOnce(&View<'_, StoredTiles<'_>>, u64) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let tree = self.head.read().unwrap_or_else(PoisonError::into_inner).tree.clone();
        read(&View::new(&tree, &StoredTiles(&self.inner)), tree.size())
    }
}
