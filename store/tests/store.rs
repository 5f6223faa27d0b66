//! The store on a real disk: versions, crashes, keys.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeSet, path::Path, sync::Arc};

use jiff::{
    Timestamp,
    civil::{Date, date},
};
use overlap_audit::Digest;
use overlap_records::{Hints, Identifier, Kind, Profile, Record, Role, Visibility};
use overlap_store::{DataKey, Dataset, FoundRecord, Hit, LogSettings, Prepared, Selection, Store, StoreError};

const TODAY: Date = date(2026, 6, 1);

fn profile() -> Profile {
    Profile::eu_thb_1()
}

fn log() -> LogSettings {
    LogSettings {
        name: "overlap.example/agency/test/log".to_owned(),
        hands_on: false,
    }
}

fn all_of(kind: Kind) -> Selection {
    Selection::of(&profile(), &[kind], false)
}

fn key(digit: char) -> DataKey {
    DataKey::from_hex(&digit.to_string().repeat(64)).unwrap()
}

fn open(directory: &Path) -> Arc<Store> {
    Arc::new(Store::open(directory, &key('1'), &log()).unwrap())
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
    let mut import = store.import("cases", &profile()).unwrap();
    import.add(&Prepared::batch(&profile(), records, TODAY)).unwrap();
    import.commit(Timestamp::UNIX_EPOCH).unwrap()
}

fn elements(dataset: &Dataset) -> BTreeSet<[u8; 32]> {
    dataset
        .elements(&all_of(Kind::Phone))
        .map(|element| element.map(|element| element.stored.to_bytes()))
        .collect::<Result<_, _>>()
        .unwrap()
}

fn hits(dataset: &Dataset, positions: &[u32]) -> Vec<Hit> {
    let phones = all_of(Kind::Phone);
    dataset
        .places(&phones, positions)
        .map(|place| dataset.hit(&phones, &place.unwrap()).unwrap())
        .collect()
}

#[test]
fn equal_items_of_several_records_are_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let dataset = import(
        &store,
        vec![record("a", &[1, 2]), record("b", &[2, 3]), record("c", &[2])],
    );
    assert_eq!(dataset.items(&all_of(Kind::Phone)), 3);
    assert_eq!(dataset.items(&all_of(Kind::Email)), 0);
    assert_eq!(elements(&dataset).len(), 3);
    let all: Vec<u32> = (0..3).collect();
    let hits = hits(&dataset, &all);
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
    let one = self::hits(&dataset, &[1]);
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].identifier.canonical(), hits[1].identifier.canonical());
}

#[test]
fn a_version_is_all_or_nothing_and_survives_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let before = {
        let store = open(directory.path());
        let dataset = import(&store, vec![record("a", &[1, 2])]);
        let mut cut = store.import("cases", &profile()).unwrap();
        cut.add(&Prepared::batch(&profile(), vec![record("b", &[3])], TODAY))
            .unwrap();
        drop(cut);
        assert_eq!(store.dataset("cases").unwrap().info(), dataset.info());
        // one that is never dropped, as after kill -9
        let mut lost = store.import("cases", &profile()).unwrap();
        lost.add(&Prepared::batch(&profile(), vec![record("c", &[4])], TODAY))
            .unwrap();
        std::mem::forget(lost);
        elements(&dataset)
    };
    let store = Arc::new(match Store::open(directory.path(), &key('1'), &log()) {
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
            Store::open(&copy, &key('1'), &log()).unwrap()
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
    assert_eq!(dataset.items(&all_of(Kind::Phone)), 2);
    assert_eq!((dataset.info().records, dataset.info().withheld), (4, 2));
    assert!(!dataset.has_expired(TODAY));
    assert!(
        dataset.has_expired(date(2026, 6, 2)),
        "the last day is the record's own"
    );
}

#[test]
fn another_key_is_refused_before_anything_is_read() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    assert!(matches!(
        Store::open(directory.path(), &key('2'), &log()),
        Err(StoreError::WrongKey)
    ));
}

fn expiring(reference: &str, phone: u32, expires: Date) -> Record {
    Record {
        expires: Some(expires),
        ..record(reference, &[phone])
    }
}

fn append(store: &Arc<Store>, records: Vec<Record>) -> Result<Dataset, StoreError> {
    let base = store.dataset("cases").unwrap();
    let mut import = store.import("cases", &profile()).unwrap();
    import.append_to(&base)?;
    import.add(&Prepared::batch(&profile(), records, TODAY)).unwrap();
    import.commit(Timestamp::UNIX_EPOCH)
}

/// References of the records that take part, by the items that they hold.
fn references(dataset: &Dataset) -> BTreeSet<String> {
    let all: Vec<u32> = (0..1000).collect();
    let hits = hits(dataset, &all).into_iter();
    hits.flat_map(|hit| hit.records)
        .map(|record| record.reference)
        .collect()
}

#[test]
fn adding_and_purging_leave_what_the_records_say() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let (soon, later) = (TODAY, TODAY.tomorrow().unwrap());
    let hidden = Record {
        visibility: Visibility::D,
        ..expiring("hidden", 9, soon)
    };
    import(&store, vec![record("a", &[1, 2]), expiring("b", 2, soon), hidden]);
    let added = append(&store, vec![expiring("c", 3, later), record("d", &[1])]).unwrap();
    let first = added;
    let info = first.info();
    assert_eq!((info.records, info.withheld), (5, 1));
    assert_eq!((info.expires, info.due), (Some(soon), Some(soon)));
    assert_eq!(references(&first), ["a", "b", "c", "d"].map(str::to_owned).into());
    // the same records imported at once have the same items in the same order
    let before = elements(&first);
    let digest = info.keys["phone"].digest;
    let at_once = import(
        &store,
        vec![
            record("a", &[1, 2]),
            expiring("b", 2, soon),
            expiring("c", 3, later),
            record("d", &[1]),
        ],
    );
    assert_eq!(
        (elements(&at_once), at_once.info().keys["phone"].digest),
        (before, digest)
    );

    let added = append(
        &store,
        vec![Record {
            visibility: Visibility::D,
            ..expiring("hidden", 9, soon)
        }],
    )
    .unwrap();
    assert!(!added.info().is_due(TODAY) && added.info().is_due(later));
    let (purged, erased) = store.purge(&added, later, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(erased, 2, "one that took part and one that did not");
    assert_eq!((purged.info().records, purged.info().withheld), (3, 0));
    assert_eq!((purged.info().expires, purged.info().due), (Some(later), Some(later)));
    assert_eq!(references(&purged), ["a", "c", "d"].map(str::to_owned).into());
    // and one can be added to that again, under numbers of its own
    let more = append(&store, vec![record("e", &[5])]).unwrap();
    assert_eq!(references(&more), ["a", "c", "d", "e"].map(str::to_owned).into());
    drop((purged, added, first, at_once, more));
    drop(store);
    let store = open(directory.path());
    assert_eq!(
        references(&store.dataset("cases").unwrap()),
        ["a", "c", "d", "e"].map(str::to_owned).into()
    );
}

#[test]
fn two_changes_at_once_do_not_lose_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let base = import(&store, vec![record("a", &[1])]);
    let mut slow = store.import("cases", &profile()).unwrap();
    slow.append_to(&base).unwrap();
    append(&store, vec![record("b", &[2])]).unwrap();
    assert!(matches!(slow.commit(Timestamp::UNIX_EPOCH), Err(StoreError::Changed)));
    assert_eq!(
        references(&store.dataset("cases").unwrap()),
        ["a", "b"].map(str::to_owned).into()
    );
    // records under two profiles cannot stand side by side
    let other = Profile::parse("profile = \"other/1\"\ncommon = 9\n[kinds]\nphone = \"e164/1\"\n").unwrap();
    let mut import = store.import("cases", &other).unwrap();
    let base = store.dataset("cases").unwrap();
    assert!(matches!(import.append_to(&base), Err(StoreError::OtherProfile)));
}

#[test]
fn an_item_that_too_many_persons_share_is_not_compared() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let common = profile().common();
    let person = |n: u32| {
        let line = format!("Jan van den Berg|{}", if n == 0 { "1985-02-23" } else { "1985-02-24" });
        let person = Identifier::normalise(Kind::Person, &line, &Hints::default()).unwrap();
        Record::new(format!("r{n}"), Role::Other, Visibility::B, None, None, vec![person]).unwrap()
    };
    let one = import(&store, vec![person(0)]);
    let keys_of_one = one.items(&all_of(Kind::Person));
    assert!(keys_of_one > 1);
    let many = import(&store, (0..=common + 1).map(person).collect());
    assert!(many.items(&all_of(Kind::Person)) < 2 * keys_of_one);
    let held: Vec<_> = many.elements(&all_of(Kind::Person)).collect::<Result<_, _>>().unwrap();
    assert_eq!(held.len() as u64, many.items(&all_of(Kind::Person)));
    assert!(held.iter().all(|element| element.records.len() <= common as usize));
    // counted, a person is one item
    assert_eq!(one.items(&Selection::of(&profile(), &[Kind::Person], true)), 1);
}

#[test]
fn hits_are_kept_and_erased() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    import(&store, vec![record("a", &[1])]);
    let found = |reference: &str, expires| FoundRecord {
        transaction: uuid::Uuid::now_v7(),
        found: Timestamp::UNIX_EPOCH,
        agreement: Digest([1; 32]),
        as_holder: false,
        by_both: true,
        peer: "kmar".into(),
        dataset: "cases".into(),
        purpose: "p".into(),
        case_reference: "c".into(),
        kind: Kind::Phone,
        canonical: "+31612345678".into(),
        score: None,
        reference: reference.into(),
        role: Role::Suspect,
        origin: Some("Team Noord".into()),
        expires,
    };
    store
        .keep_hits(&[found("a", None), found("b", Some(TODAY))], TODAY)
        .unwrap();
    // found again: kept once, as it was found last
    let again = found("c", None);
    store.keep_hits(&[found("c", None), again.clone()], TODAY).unwrap();
    // neither what has expired nor what is of no dataset is kept
    let elsewhere = FoundRecord {
        dataset: "gone".into(),
        ..found("e", None)
    };
    store
        .keep_hits(&[found("d", TODAY.yesterday().ok()), elsewhere], TODAY)
        .unwrap();
    let listed = |store: &Store| -> BTreeSet<String> {
        let rows = store.hits().iter().unwrap().map(|row| row.unwrap().1);
        rows.inspect(|found| assert!(found.reference != "c" || *found == again))
            .map(|found| found.reference)
            .collect()
    };
    assert_eq!(listed(&store), ["a", "b", "c"].map(str::to_owned).into());
    assert_eq!(store.hits().erase(|found| found.expires.is_some()).unwrap(), 1);
    drop(store);
    let store = open(directory.path());
    assert_eq!(listed(&store), ["a", "c"].map(str::to_owned).into());
}
