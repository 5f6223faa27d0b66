//! What the tests of the log share.

#![allow(missing_docs, dead_code, unreachable_pub, clippy::unwrap_used, reason = "tests")]

use std::{path::Path, sync::Arc};

pub use futures::executor::block_on as wait;
use jiff::Timestamp;
use overlap_audit::{Checkpoint, Closing, Entry, Logged, Outcome, SignedCheckpoint};
use overlap_store::{DataKey, LogSettings, Search, Store, StoreError};
use rocksdb::{DB, Options};
use uuid::Uuid;

pub const NAME: &str = "overlap.example/agency/test/log";
pub const AGENCY: &str = "spiffe://overlap.example/agency/test";

pub fn try_open(directory: &Path) -> Result<Store, StoreError> {
    let key = DataKey::from_hex(&"1".repeat(64)).unwrap();
    let settings = LogSettings {
        name: NAME.to_owned(),
        hands_on: true,
    };
    Store::open(directory, &key, &settings)
}

pub fn open(directory: &Path) -> Arc<Store> {
    Arc::new(try_open(directory).unwrap())
}

/// The newest checkpoint, verified.
pub fn checkpoint(store: &Store) -> Checkpoint {
    let signed = SignedCheckpoint::parse(&store.log().checkpoint()).unwrap();
    signed.verify(store.log().verifying_key()).unwrap().clone()
}

pub fn found(store: &Store, search: &Search) -> Vec<Logged> {
    let found = store.log().search(search, 10_000).unwrap();
    found.into_iter().map(|(_, logged)| logged).collect()
}

/// Entries that end as they begin, from many threads at once.
pub fn fill(store: &Store, entries: u128) {
    let base = u128::from(store.log().size()) << 32 | 1 << 100;
    std::thread::scope(|scope| {
        for thread in 0..8_u128 {
            scope.spawn(move || {
                for n in (thread..entries).step_by(8) {
                    let entry = entry(Uuid::from_u128(base | n));
                    wait(store.log().record(&entry, &closing(entry.id))).unwrap();
                }
            });
        }
    });
}

pub fn entry(transaction: Uuid) -> Entry {
    let text = format!(
        r#"{{"id":"{}","transaction":"{transaction}","trace":null,"started":"2026-01-01T00:00:00Z","operation":"combination",
        "side":"asker","purpose":null,"regime":null,"article":null,"case_reference":null,"reason":null,"person":null,"role":null,
        "approver":null,"order":null,"asker":"{AGENCY}","holder":null,"caller_certificate":null,"recipients":[],
        "country":null,"dataset":null,"dataset_version":null,"kinds":[],"mode":null,"protocol":null,"input_count":null,"input_commitment":null,
        "visibility":[],"agreement":null,"agreement_hash":null,"policy_hash":null,"software":"test"}}"#,
        Uuid::now_v7()
    );
    serde_json::from_str(&text).unwrap()
}

pub fn closing(id: Uuid) -> Closing {
    Closing {
        id,
        ended: Timestamp::UNIX_EPOCH,
        outcome: Outcome::Done,
        hits: None,
        candidates: None,
        output_count: None,
        peer_count: None,
        sent: None,
        callee_certificate: None,
        detail: None,
    }
}

/// Changes the database behind the store's back.
pub fn meddle(directory: &Path, change: impl FnOnce(&DB)) {
    let options = Options::default();
    let families = DB::list_cf(&options, directory).unwrap();
    let db = DB::open_cf(&options, directory, families).unwrap();
    change(&db);
}
