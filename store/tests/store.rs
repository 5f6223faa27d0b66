//! The store on a real disk: versions, crashes, keys, the log.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeSet, path::Path, sync::Arc};

use jiff::{
    Timestamp,
    civil::{Date, date},
};
use overlap_audit::{Closing, Digest, Entry, Operation, Outcome, Side};
use overlap_psi::Stored;
use overlap_records::{Hints, Identifier, Kind, Profile, Record, Role, Visibility};
use overlap_store::{DataKey, Dataset, Filter, Prepared, Quota, Store, StoreError};
use uuid::Uuid;

const PROFILE: Profile = Profile::EU_THB_1;
const TODAY: Date = date(2026, 6, 1);

fn key(digit: char) -> DataKey {
    DataKey::from_hex(&digit.to_string().repeat(64)).unwrap()
}

fn open(directory: &Path) -> Arc<Store> {
    Arc::new(Store::open(directory, &key('1')).unwrap())
}

fn record(reference: &str, phones: &[u32]) -> Record {
    let phones = phones
        .iter()
        .map(|n| Identifier::normalise(Kind::Phone, &format!("06-{:08}", 10_000_000 + n), &Hints::default()).unwrap());
    Record::new(
        reference.into(),
        Role::Suspect,
        Visibility::B,
        None,
        None,
        phones.collect(),
    )
    .unwrap()
}

fn import(store: &Arc<Store>, records: Vec<Record>) -> Dataset {
    let mut import = store.import("cases").unwrap();
    import.add(&Prepared::batch(&PROFILE, records, TODAY)).unwrap();
    import.commit(&PROFILE, Timestamp::UNIX_EPOCH).unwrap()
}

fn elements(dataset: &Dataset) -> BTreeSet<[u8; 32]> {
    dataset
        .elements(&[Kind::Phone])
        .map(|element| element.map(Stored::to_bytes))
        .collect::<Result<_, _>>()
        .unwrap()
}

#[test]
fn equal_items_of_several_records_are_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let dataset = import(
        &store,
        vec![record("a", &[1, 2]), record("b", &[2, 3]), record("c", &[2])],
    );
    assert_eq!(dataset.items(&[Kind::Phone]), 3);
    assert_eq!(dataset.items(&[Kind::Email]), 0);
    assert_eq!(elements(&dataset).len(), 3);
    let all: Vec<u32> = (0..3).collect();
    let hits: Vec<_> = dataset.hits(&[Kind::Phone], &all).collect::<Result<_, _>>().unwrap();
    let mut shared: Vec<_> = hits
        .iter()
        .find(|hit| hit.identifier.canonical() == "+31610000002")
        .unwrap()
        .records
        .iter()
        .map(|record| record.reference.clone())
        .collect();
    shared.sort();
    assert_eq!(shared, ["a", "b", "c"]);
    let one: Vec<_> = dataset.hits(&[Kind::Phone], &[1]).collect::<Result<_, _>>().unwrap();
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].identifier.canonical(), hits[1].identifier.canonical());
}

#[test]
fn a_version_is_all_or_nothing_and_survives_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let before = {
        let store = open(directory.path());
        let dataset = import(&store, vec![record("a", &[1, 2])]);
        let mut cut = store.import("cases").unwrap();
        cut.add(&Prepared::batch(&PROFILE, vec![record("b", &[3])], TODAY))
            .unwrap();
        drop(cut);
        assert_eq!(store.dataset("cases").unwrap().info(), dataset.info());
        // one that is never dropped, as after kill -9
        let mut lost = store.import("cases").unwrap();
        lost.add(&Prepared::batch(&PROFILE, vec![record("c", &[4])], TODAY))
            .unwrap();
        std::mem::forget(lost);
        elements(&dataset)
    };
    let store = Arc::new(match Store::open(directory.path(), &key('1')) {
        Ok(store) => store,
        // the forgotten import holds the first store open in this process: a copy of its files stands in for the next start
        Err(_) => {
            let copy = directory.path().join("copy");
            std::fs::create_dir(&copy).unwrap();
            for file in std::fs::read_dir(directory.path()).unwrap().map(Result::unwrap) {
                if file.file_type().unwrap().is_file() && file.file_name() != "LOCK" {
                    std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
                }
            }
            Store::open(&copy, &key('1')).unwrap()
        }
    });
    let dataset = store.dataset("cases").unwrap();
    assert_eq!(elements(&dataset), before);
    assert!(import(&store, vec![record("d", &[5])]).info().version > dataset.info().version);
}

#[test]
fn a_query_keeps_the_version_that_it_began_with() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let old = import(&store, vec![record("a", &[1, 2])]);
    let new = import(&store, vec![record("a", &[3])]);
    assert_eq!(elements(&old).len(), 2, "still readable");
    assert_eq!(elements(&new).len(), 1);
    assert_eq!(
        store.erase("cases", new.info().version).unwrap().unwrap().version,
        new.info().version
    );
    assert!(store.dataset("cases").is_none());
    assert!(store.erase("cases", new.info().version).unwrap().is_none());
    assert_eq!(elements(&new).len(), 1, "readable for whoever holds it");
    drop((old, new));
    drop(store);
    assert!(open(directory.path()).datasets().is_empty());
}

#[test]
fn what_may_not_be_compared_is_withheld() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut informant = record("d", &[1]);
    informant.visibility = Visibility::D;
    let mut expired = record("old", &[2]);
    expired.expires = Some(date(2026, 5, 31));
    let mut lasting = record("new", &[3]);
    lasting.expires = Some(TODAY);
    let dataset = import(&store, vec![informant, expired, lasting, record("open", &[4])]);
    assert_eq!(dataset.items(&[Kind::Phone]), 2);
    assert_eq!((dataset.info().records, dataset.info().withheld), (4, 2));
    assert!(!dataset.has_expired(TODAY));
    assert!(
        dataset.has_expired(date(2026, 6, 2)),
        "the last day is the record's own"
    );
}

#[test]
fn a_transaction_is_opened_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.log().open_entry(&entry(Uuid::from_u128(1)), None).unwrap();
    assert!(matches!(
        store.log().open_entry(&entry(Uuid::from_u128(1)), None),
        Err(StoreError::TransactionTaken)
    ));
    let mut other_side = entry(Uuid::from_u128(1));
    other_side.side = Side::Holder;
    store.log().open_entry(&other_side, None).unwrap();
}

#[test]
fn another_key_is_refused_before_anything_is_read() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    assert!(matches!(
        Store::open(directory.path(), &key('2')),
        Err(StoreError::WrongKey)
    ));
}

fn entry(transaction: Uuid) -> Entry {
    let text = format!(
        r#"{{"id":"{}","transaction":"{transaction}","trace":null,"started":"2026-01-01T00:00:00Z","operation":"combination",
        "side":"asker","purpose":null,"regime":null,"article":null,"case_reference":null,"reason":null,"person":null,"role":null,
        "approver":null,"order":null,"asker":null,"holder":null,"caller_certificate":null,"recipients":[],
        "country":null,"dataset":null,"dataset_version":null,"kinds":[],"mode":null,"protocol":null,"input_count":null,"input":null,
        "visibility":[],"agreement":null,"agreement_hash":null,"policy_hash":null,"software":"test"}}"#,
        Uuid::now_v7()
    );
    serde_json::from_str(&text).unwrap()
}

fn closing(id: Uuid) -> Closing {
    Closing {
        id,
        ended: Timestamp::UNIX_EPOCH,
        outcome: Outcome::Done,
        output_count: None,
        peer_count: None,
        callee_certificate: None,
        detail: None,
    }
}

#[test]
fn the_log_only_grows_and_survives_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (entry(Uuid::from_u128(1)), entry(Uuid::from_u128(2)));
    {
        let store = open(directory.path());
        store.log().open_entry(&first, None).unwrap();
        store.log().record(&second, &closing(second.id)).unwrap();
        assert_eq!(store.log().open_entries().unwrap(), vec![first.clone()]);
        assert!(
            matches!(
                store.log().close_entry(&closing(second.id)),
                Err(StoreError::NoSuchEntry)
            ),
            "it is closed already"
        );
        assert!(matches!(
            store.log().close_entry(&closing(Uuid::from_u128(9))),
            Err(StoreError::NoSuchEntry)
        ));
    }
    let store = open(directory.path());
    store.log().close_entry(&closing(first.id)).unwrap();
    assert!(store.log().open_entries().unwrap().is_empty());
    let newest = store.log().newest(&Filter::default(), 10).unwrap();
    assert_eq!(
        newest
            .iter()
            .map(|logged| (logged.index, logged.entry.id))
            .collect::<Vec<_>>(),
        [(1, second.id), (0, first.id)]
    );
    assert!(newest.iter().all(|logged| logged.outcome() == Outcome::Done));
    let of_first = Filter {
        transaction: Some(Uuid::from_u128(1)),
        before: None,
    };
    assert_eq!(store.log().newest(&of_first, 10).unwrap().len(), 1);
    let before = Filter {
        before: Some(1),
        transaction: None,
    };
    assert_eq!(store.log().newest(&before, 10).unwrap()[0].entry.id, first.id);
    assert_eq!(store.log().entry(first.id).unwrap().unwrap().entry, first);
    assert_eq!((first.operation, first.side), (Operation::Combination, Side::Asker));
}

#[test]
fn the_daily_amount_is_drawn_with_the_entry_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let quota = |items, day| {
        Some(Quota {
            account: Digest([1; 32]),
            day,
            items,
            limit: 10,
        })
    };
    {
        let store = open(directory.path());
        store.log().open_entry(&entry(Uuid::from_u128(1)), quota(6, 1)).unwrap();
        let refused = store.log().open_entry(&entry(Uuid::from_u128(2)), quota(5, 1));
        assert!(matches!(refused, Err(StoreError::QuotaExceeded { limit: 10, used: 6 })));
        assert_eq!(
            store.log().open_entries().unwrap().len(),
            1,
            "what is refused opens nothing"
        );
    }
    let store = open(directory.path());
    assert!(
        store.log().open_entry(&entry(Uuid::from_u128(3)), quota(5, 1)).is_err(),
        "known after a restart"
    );
    store.log().open_entry(&entry(Uuid::from_u128(4)), quota(4, 1)).unwrap();
    store
        .log()
        .open_entry(&entry(Uuid::from_u128(5)), quota(10, 2))
        .unwrap();
}

#[test]
fn parallel_appends_have_no_gaps() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    std::thread::scope(|scope| {
        for thread in 0..4u128 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..25 {
                    let entry = entry(Uuid::from_u128(thread << 64 | n | 1 << 100));
                    store.log().open_entry(&entry, None).unwrap();
                    store.log().close_entry(&closing(entry.id)).unwrap();
                }
            });
        }
    });
    let all = store.log().newest(&Filter::default(), 1000).unwrap();
    assert_eq!(all.len(), 100);
    assert!(all.iter().all(|logged| logged.index < 200 && logged.closing.is_some()));
}
