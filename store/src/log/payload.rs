//! Events on disk: sealed under keys of their own, which come from the key of the day. Erasing a day's key erases its events.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use overlap_audit::{Digest, EventRef, PayloadKey, Sealed, leaf_hash};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::{
    Inner, StoreError,
    keys::{self, Cf},
    synced,
};

/// An event ready to be appended.
pub(super) struct Ready {
    /// What is stored.
    pub(super) bytes: Vec<u8>,
    /// Hash of the leaf.
    pub(super) leaf: Digest,
    /// The day whose key opens it.
    pub(super) day: u32,
}

/// One event as it is stored.
pub(super) struct Row {
    /// The day whose key opens it, since 1970-01-01.
    pub(super) day: u32,
    seed: [u8; 32],
    pub(super) sealed: Sealed,
}

const DAMAGED: StoreError = StoreError::Damaged("a log event is too short");

impl Row {
    /// `day ‖ seed ‖ salt ‖ ciphertext`.
    fn to_bytes(&self) -> Vec<u8> {
        let day = self.day.to_be_bytes();
        [&day[..], &self.seed, &self.sealed.salt.0, &self.sealed.ciphertext].concat()
    }

    /// Hash of the leaf.
    pub(super) fn leaf(&self) -> Digest {
        leaf_hash(&self.sealed.commitment())
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, StoreError> {
        let (day, rest) = bytes.split_first_chunk().ok_or(DAMAGED)?;
        let (seed, rest) = rest.split_first_chunk().ok_or(DAMAGED)?;
        let (salt, ciphertext) = rest.split_first_chunk().ok_or(DAMAGED)?;
        Ok(Self {
            day: u32::from_be_bytes(*day),
            seed: *seed,
            sealed: Sealed {
                salt: Digest(*salt),
                ciphertext: ciphertext.to_vec(),
            },
        })
    }
}

type PeriodKey = Zeroizing<[u8; 32]>;

/// The keys of days. The last one that was used stays in force when the clock jumps back, so that days never return after their key is
/// gone.
pub(super) struct Periods {
    random: SystemRandom,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    last: u32,
    keys: HashMap<u32, PeriodKey>,
}

/// Days whose keys are held in memory.
const MOST_KNOWN: usize = 400;

impl Periods {
    pub(super) fn load(inner: &Inner) -> Result<Self, StoreError> {
        let last = inner
            .db
            .iterator_cf(inner.cf(Cf::LogKeys)?, rocksdb::IteratorMode::End)
            .next()
            .transpose()?;
        let last = last.and_then(|(key, _)| Some(u32::from_be_bytes(key.as_ref().try_into().ok()?)));
        Ok(Self {
            random: SystemRandom::new(),
            known: Mutex::new(Known {
                last: last.unwrap_or_default(),
                keys: HashMap::new(),
            }),
        })
    }

    /// Seals an event under the key of its day, or of the last one if that is later.
    pub(super) fn seal(&self, inner: &Inner, event: EventRef<'_>) -> Result<Ready, StoreError> {
        let mut seed = [0; 32];
        self.random.fill(&mut seed).map_err(|_| StoreError::Crypto)?;
        let (day, period) = self.day(inner, event.at())?;
        let plain = Zeroizing::new(event.to_json()?);
        let sealed = Sealed::seal(&PayloadKey::derive(&period, &seed), &plain).map_err(|_| StoreError::Crypto)?;
        let row = Row { day, seed, sealed };
        Ok(Ready {
            leaf: row.leaf(),
            day,
            bytes: row.to_bytes(),
        })
    }

    /// Forgets the keys of days before one, which were erased.
    pub(super) fn forget(&self, before: u32) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.keys.retain(|day, _| *day >= before);
    }

    /// The key of an event; none if it was shredded.
    pub(super) fn key(&self, inner: &Inner, row: &Row) -> Result<Option<PayloadKey>, StoreError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(period) = known.keys.get(&row.day) {
            return Ok(Some(PayloadKey::derive(period, &row.seed)));
        }
        let Some(period) = read(inner, row.day)? else {
            return Ok(None);
        };
        let key = PayloadKey::derive(&period, &row.seed);
        known.hold(row.day, period);
        Ok(Some(key))
    }

    fn day(&self, inner: &Inner, at: Timestamp) -> Result<(u32, PeriodKey), StoreError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let day = u32::try_from(at.as_second().div_euclid(86_400))
            .unwrap_or_default()
            .max(known.last);
        if let Some(period) = known.keys.get(&day) {
            return Ok((day, period.clone()));
        }
        let period = match read(inner, day)? {
            Some(period) => period,
            None => {
                let mut period = Zeroizing::new([0; 32]);
                self.random.fill(&mut *period).map_err(|_| StoreError::Crypto)?;
                let at = keys::day(day);
                let sealed = inner.keys.log().seal(Cf::LogKeys, &at, &*period)?;
                // on disk before anything is sealed under it
                inner.db.put_cf_opt(inner.cf(Cf::LogKeys)?, at, sealed, &synced())?;
                period
            }
        };
        known.last = day;
        known.hold(day, period.clone());
        Ok((day, period))
    }
}

impl Known {
    fn hold(&mut self, day: u32, period: PeriodKey) {
        if self.keys.len() >= MOST_KNOWN {
            self.keys.clear();
        }
        self.keys.insert(day, period);
    }
}

fn read(inner: &Inner, day: u32) -> Result<Option<PeriodKey>, StoreError> {
    let at = keys::day(day);
    let Some(sealed) = inner.db.get_cf(inner.cf(Cf::LogKeys)?, at)? else {
        return Ok(None);
    };
    let plain = inner.keys.log().open(Cf::LogKeys, &at, &sealed)?;
    let mut period = Zeroizing::new([0; 32]);
    if plain.len() != period.len() {
        return Err(StoreError::Damaged("the key of a day has another length"));
    }
    period.copy_from_slice(&plain);
    Ok(Some(period))
}
