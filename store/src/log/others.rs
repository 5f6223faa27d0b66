//! What this node keeps of others' logs: receipts, their keys and heads, and alarms.

use jiff::Timestamp;
use overlap_audit::{KeptReceipt, Receipt, Side, SignedReceipt, VerifyingKey};
use rocksdb::{Direction, IteratorMode, WriteBatch};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::Log;
use crate::{
    Inner, StoreError,
    keys::{self, Cf},
    synced,
};

/// What is known of another node's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerLog {
    /// The agency.
    pub agency: String,
    /// What checks its checkpoints and receipts: the first that it showed, or the one in the configuration.
    pub key: VerifyingKey,
    /// What checks its cosignatures.
    pub cosigner: VerifyingKey,
    /// Its newest head that this node countersigned, as it signed it.
    pub witnessed: Option<String>,
    /// This node's newest head that it countersigned, with its line.
    pub cosigned: Option<String>,
}

/// Something that must not be, until somebody has looked into it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// Id, also of the entry that logs it.
    pub id: Uuid,
    /// When it was raised.
    pub raised: Timestamp,
    /// Whose log it is about.
    pub agency: String,
    /// What is wrong.
    pub kind: AlarmKind,
    /// What is wrong, in words.
    pub what: String,
    /// What its owner signed: checkpoints or receipts that cannot both be true.
    pub evidence: Vec<String>,
}

/// What can be wrong with a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmKind {
    /// Its owner has shown two histories.
    TwoHistories,
    /// It is shorter than it was.
    WentBack,
    /// It is signed with another key than it was.
    OtherKey,
    /// It does not have a query that its owner answered.
    Missing,
    /// It was changed on disk.
    Damaged,
}

impl AlarmKind {
    /// The name in the log and on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TwoHistories => "two-histories",
            Self::WentBack => "went-back",
            Self::OtherKey => "other-key",
            Self::Missing => "missing",
            Self::Damaged => "damaged",
        }
    }
}

impl Log {
    /// Receipts for own entries that have ended, under one head; none for an entry that is not there or is open.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Tree`], [`StoreError::Damaged`].
    pub fn give_receipts(&self, side: Side, transactions: &[Uuid]) -> Result<Vec<SignedReceipt>, StoreError> {
        self.viewing(|view, size| {
            let head = (size, view.root(size)?);
            let given = transactions.iter().map(|transaction| {
                let indexes = self.entry_of(side, *transaction)?.map(|id| self.indexes(id));
                let Some((opened, Some(closed))) = indexes.transpose()?.flatten() else {
                    return Ok(None);
                };
                // one that ended after the head was read gets its receipt the next time
                if closed >= size {
                    return Ok(None);
                }
                let leaf = |index| {
                    let row = self.row(index)?;
                    Ok::<_, StoreError>((index, row.ok_or(StoreError::Damaged("a log event is missing"))?.leaf()))
                };
                let receipt = Receipt {
                    origin: self.key.name().to_owned(),
                    transaction: *transaction,
                    side,
                    opened: leaf(opened)?,
                    closed: leaf(closed)?,
                    head,
                };
                let [opened_path, closed_path] = [opened, closed].map(|index| view.inclusion(index, size));
                let signed = receipt.sign(&self.signing, opened_path?, closed_path?);
                signed.map(Some).map_err(|_| StoreError::Crypto)
            });
            given.filter_map(Result::transpose).collect()
        })
    }

    /// Id of the entry of the own part in a query.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Damaged`].
    pub fn entry_of(&self, side: Side, transaction: Uuid) -> Result<Option<Uuid>, StoreError> {
        let transactions = self.inner.cf(Cf::LogTransactions)?;
        let id = self
            .inner
            .db
            .get_cf(transactions, keys::transaction(side, transaction))?;
        id.map(|id| Uuid::from_slice(&id).map_err(|_| StoreError::Damaged("an entry's id cannot be read")))
            .transpose()
    }

    /// Keeps receipts of an agency, each for the own part in a query; they are owed no more. The first that was given stays: returned are those
    /// queries for which another was given before that says otherwise, which is proof of two histories. Synced.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Encode`], [`StoreError::Damaged`].
    pub fn keep_receipts(&self, receipts: &[(Side, Uuid, KeptReceipt)]) -> Result<Vec<Uuid>, StoreError> {
        let (kept, due) = (self.inner.cf(Cf::LogReceipts)?, self.inner.cf(Cf::LogReceiptsDue)?);
        let mut writes = WriteBatch::default();
        let mut conflicts = Vec::new();
        for (side, transaction, receipt) in receipts {
            let said = |receipt: &KeptReceipt| receipt.receipt.unverified().map(|said| (said.opened, said.closed)).ok();
            match self.kept_receipt(*side, *transaction, &receipt.agency)? {
                Some(before) if said(&before) != said(receipt) => conflicts.push(*transaction),
                Some(_) => {}
                None => {
                    let at = keys::receipt(*side, *transaction, tag(&self.inner, &receipt.agency));
                    let sealed = self
                        .inner
                        .keys
                        .log()
                        .seal(Cf::LogReceipts, &at, &serde_json::to_vec(receipt)?)?;
                    writes.put_cf(kept, at, sealed);
                }
            }
            if *side == Side::Asker {
                writes.delete_cf(due, keys::due(tag(&self.inner, &receipt.agency), *transaction));
            }
        }
        self.inner.db.write_opt(writes, &synced())?;
        Ok(conflicts)
    }

    /// The receipt of an agency that is kept for the own part in a query.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn kept_receipt(&self, side: Side, transaction: Uuid, agency: &str) -> Result<Option<KeptReceipt>, StoreError> {
        let at = keys::receipt(side, transaction, tag(&self.inner, agency));
        let row = self.inner.db.get_cf(self.inner.cf(Cf::LogReceipts)?, at)?;
        row.map(|sealed| open(&self.inner, Cf::LogReceipts, &at, &sealed))
            .transpose()
    }

    /// All receipts that are kept.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn receipts(&self) -> Result<impl Iterator<Item = Result<KeptReceipt, StoreError>> + '_, StoreError> {
        let rows = self
            .inner
            .db
            .iterator_cf(self.inner.cf(Cf::LogReceipts)?, IteratorMode::Start);
        Ok(rows.map(|row| {
            let (key, sealed) = row?;
            open(&self.inner, Cf::LogReceipts, &key, &sealed)
        }))
    }

    /// Own queries for which an agency owes a receipt, after one of them; at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Damaged`].
    pub fn receipts_due(&self, agency: &str, after: Option<Uuid>, limit: usize) -> Result<Vec<Uuid>, StoreError> {
        let owed_by = tag(&self.inner, agency);
        let start = keys::due(owed_by, after.unwrap_or(Uuid::nil()));
        let rows = self.inner.db.iterator_cf(
            self.inner.cf(Cf::LogReceiptsDue)?,
            IteratorMode::From(&start, Direction::Forward),
        );
        let mut due = Vec::new();
        for row in rows {
            let (key, _) = row?;
            let Some(transaction) = key.strip_prefix(&owed_by) else {
                break;
            };
            let transaction =
                Uuid::from_slice(transaction).map_err(|_| StoreError::Damaged("a receipt's query cannot be read"))?;
            if Some(transaction) == after {
                continue;
            }
            due.push(transaction);
            if due.len() == limit {
                break;
            }
        }
        Ok(due)
    }

    /// Waits for these receipts of an agency no more: its log has no such query.
    ///
    /// # Errors
    /// [`StoreError::Rocks`].
    pub fn waive_receipts(&self, agency: &str, transactions: &[Uuid]) -> Result<(), StoreError> {
        if transactions.is_empty() {
            return Ok(());
        }
        let (due, owed_by) = (self.inner.cf(Cf::LogReceiptsDue)?, tag(&self.inner, agency));
        let mut writes = WriteBatch::default();
        for transaction in transactions {
            writes.delete_cf(due, keys::due(owed_by, *transaction));
        }
        Ok(self.inner.db.write_opt(writes, &synced())?)
    }

    /// What is known of an agency's log.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn peer(&self, agency: &str) -> Result<Option<PeerLog>, StoreError> {
        let at = tag(&self.inner, agency);
        let row = self.inner.db.get_cf(self.inner.cf(Cf::LogPeers)?, at)?;
        row.map(|sealed| open(&self.inner, Cf::LogPeers, &at, &sealed))
            .transpose()
    }

    /// All other logs that are known.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn peers(&self) -> Result<Vec<PeerLog>, StoreError> {
        let mut peers: Vec<PeerLog> = all(&self.inner, Cf::LogPeers)?;
        peers.sort_by(|one, other| one.agency.cmp(&other.agency));
        Ok(peers)
    }

    /// Keeps what is known of an agency's log. Synced: a witness answers after this.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Encode`].
    pub fn keep_peer(&self, peer: &PeerLog) -> Result<(), StoreError> {
        let at = tag(&self.inner, &peer.agency);
        put(&self.inner, Cf::LogPeers, &at, peer)
    }

    /// The alarms that nobody has acknowledged, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Damaged`].
    pub fn alarms(&self) -> Result<Vec<Alarm>, StoreError> {
        let mut alarms: Vec<Alarm> = all(&self.inner, Cf::LogAlarms)?;
        alarms.sort_by_key(|alarm| alarm.raised);
        Ok(alarms)
    }

    /// Raises an alarm. Synced.
    ///
    /// # Errors
    /// [`StoreError::Rocks`], [`StoreError::Crypto`], [`StoreError::Encode`].
    pub fn raise(&self, alarm: &Alarm) -> Result<(), StoreError> {
        put(&self.inner, Cf::LogAlarms, alarm.id.as_bytes(), alarm)
    }

    /// Takes an alarm back. Synced.
    ///
    /// # Errors
    /// [`StoreError::Rocks`].
    pub fn lower(&self, id: Uuid) -> Result<(), StoreError> {
        let alarms = self.inner.cf(Cf::LogAlarms)?;
        Ok(self.inner.db.delete_cf_opt(alarms, id.as_bytes(), &synced())?)
    }

    /// Forgets what is known of an agency's log: the next that it shows is taken as it is. Synced.
    ///
    /// # Errors
    /// [`StoreError::Rocks`].
    pub fn forget_peer(&self, agency: &str) -> Result<(), StoreError> {
        let at = tag(&self.inner, agency);
        Ok(self
            .inner
            .db
            .delete_cf_opt(self.inner.cf(Cf::LogPeers)?, at, &synced())?)
    }
}

/// The lookup tag of an agency.
pub(super) fn tag(inner: &Inner, agency: &str) -> [u8; keys::TAG] {
    inner.keys.tag(b"log-peer", agency.as_bytes())
}

fn put(inner: &Inner, cf: Cf, at: &[u8], value: &impl Serialize) -> Result<(), StoreError> {
    let sealed = inner.keys.log().seal(cf, at, &serde_json::to_vec(value)?)?;
    Ok(inner.db.put_cf_opt(inner.cf(cf)?, at, sealed, &synced())?)
}

fn open<T: DeserializeOwned>(inner: &Inner, cf: Cf, at: &[u8], sealed: &[u8]) -> Result<T, StoreError> {
    let plain = inner.keys.log().open(cf, at, sealed)?;
    serde_json::from_slice(&plain).map_err(|_| StoreError::Damaged("what is known of another log cannot be read"))
}

fn all<T: DeserializeOwned>(inner: &Inner, cf: Cf) -> Result<Vec<T>, StoreError> {
    let rows = inner.db.iterator_cf(inner.cf(cf)?, IteratorMode::Start);
    rows.map(|row| {
        let (key, sealed) = row?;
        open(inner, cf, &key, &sealed)
    })
    .collect()
}
