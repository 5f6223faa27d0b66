//! The log on a real disk: order, tree, checkpoints, what a crash or a hand on the disk does to it.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};

use common::{AGENCY, checkpoint, closing, entry, fill, found, meddle, open, try_open, wait};
use jiff::Timestamp;
use overlap_audit::{
    Anchors, Digest, ExportReader, Line, Operation, Outcome, Side, Tree, check_consistency, check_inclusion, verify,
};
use overlap_store::{Fault, Quota, Search, StoreError};
use rocksdb::{DB, IteratorMode};
use tempfile::TempDir;
use uuid::Uuid;

#[test]
fn a_transaction_is_opened_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    wait(store.log().open_entry(&entry(Uuid::from_u128(1)), &[])).unwrap();
    assert!(matches!(
        wait(store.log().open_entry(&entry(Uuid::from_u128(1)), &[])),
        Err(StoreError::TransactionTaken)
    ));
    let denied = entry(Uuid::from_u128(1));
    wait(store.log().record(&denied, &closing(denied.id))).unwrap();
    let both = Search {
        transaction: Some(Uuid::from_u128(1)),
        ..Search::default()
    };
    assert_eq!(found(&store, &both).len(), 2, "the one that used it again is found too");
    let mut other_side = entry(Uuid::from_u128(1));
    other_side.side = Side::Holder;
    wait(store.log().open_entry(&other_side, &[])).unwrap();
}

#[test]
fn the_log_only_grows_and_survives_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (entry(Uuid::from_u128(1)), entry(Uuid::from_u128(2)));
    {
        let store = open(directory.path());
        wait(store.log().open_entry(&first, &[])).unwrap();
        wait(store.log().record(&second, &closing(second.id))).unwrap();
        assert_eq!(store.log().open_entries().unwrap(), vec![first.clone()]);
        assert!(
            matches!(
                wait(store.log().close_entry(&closing(second.id), &[])),
                Err(StoreError::NoSuchEntry)
            ),
            "it is closed already"
        );
        assert!(matches!(
            wait(store.log().close_entry(&closing(Uuid::from_u128(9)), &[])),
            Err(StoreError::NoSuchEntry)
        ));
    }
    let store = open(directory.path());
    wait(store.log().close_entry(&closing(first.id), &[])).unwrap();
    assert!(store.log().open_entries().unwrap().is_empty());
    let newest = found(&store, &Search::default());
    assert_eq!(
        newest
            .iter()
            .map(|logged| (logged.index, logged.entry.id))
            .collect::<Vec<_>>(),
        [(1, second.id), (0, first.id)]
    );
    assert!(newest.iter().all(|logged| logged.outcome() == Outcome::Done));
    assert_eq!(store.log().entry(first.id).unwrap().unwrap().entry, first);
    assert_eq!((first.operation, first.side), (Operation::Combination, Side::Asker));
}

#[test]
fn the_daily_amount_is_drawn_with_the_entry_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let quota = |amount, period| {
        let other = Quota {
            name: "queries_per_hour",
            account: Digest([2; 32]),
            period: 0,
            amount: 1,
            limit: 4,
        };
        let items = Quota {
            name: "items_per_day",
            account: Digest([1; 32]),
            period,
            amount,
            limit: 10,
        };
        [other, items]
    };
    {
        let store = open(directory.path());
        wait(store.log().open_entry(&entry(Uuid::from_u128(1)), &quota(6, 1))).unwrap();
        let refused = wait(store.log().open_entry(&entry(Uuid::from_u128(2)), &quota(5, 1)));
        assert!(matches!(
            refused,
            Err(StoreError::QuotaExceeded {
                name: "items_per_day",
                limit: 10,
                used: 6
            })
        ));
        assert_eq!(
            store.log().open_entries().unwrap().len(),
            1,
            "what is refused opens nothing"
        );
    }
    let store = open(directory.path());
    assert!(
        wait(store.log().open_entry(&entry(Uuid::from_u128(3)), &quota(5, 1))).is_err(),
        "known after a restart"
    );
    wait(store.log().open_entry(&entry(Uuid::from_u128(4)), &quota(4, 1))).unwrap();
    wait(store.log().open_entry(&entry(Uuid::from_u128(5)), &quota(10, 2))).unwrap();
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
                    wait(store.log().open_entry(&entry, &[])).unwrap();
                    wait(store.log().close_entry(&closing(entry.id), &[])).unwrap();
                }
            });
        }
    });
    let all = found(&store, &Search::default());
    assert_eq!(all.len(), 100);
    assert!(all.iter().all(|logged| logged.index < 200 && logged.closing.is_some()));
}

#[test]
fn an_export_gives_the_signed_root_and_every_event() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let empty = checkpoint(&store);
    assert_eq!(empty.size, 0);
    fill(&store, 150);
    let middle = checkpoint(&store);
    fill(&store, 150);
    let head = checkpoint(&store);
    assert_eq!((middle.size, head.size), (300, 600));

    let file = store.log().export(AGENCY, Timestamp::UNIX_EPOCH, Vec::new()).unwrap();
    let mut export = ExportReader::open(file.as_slice()).unwrap();
    let mut tree = Tree::default();
    while let Some(line) = export.next_line().unwrap() {
        let Line::Event(event) = line else { continue };
        assert_eq!((event.index, event.leaf), (tree.size(), event.claimed));
        if event.index % 97 == 0 {
            let path = store.log().inclusion(event.index, head.size).unwrap();
            check_inclusion(&path, head.size, &head.root, event.index, &event.leaf).unwrap();
        }
        tree.push(event.leaf, &mut Vec::new());
    }
    let report = verify(
        ExportReader::open(file.as_slice()).unwrap(),
        &Anchors::default(),
        &mut (),
    )
    .unwrap();
    assert!(report.is_whole(), "{:?}", report.problems);
    assert_eq!((report.events, report.entries, report.open.len()), (600, 300, 0));
    assert_eq!((tree.size(), tree.root()), (head.size, head.root));
    for old in [&empty, &middle, &head] {
        let growth = store.log().consistency(old.size, head.size).unwrap();
        check_consistency(&growth, (old.size, &old.root), (head.size, &head.root)).unwrap();
    }
    assert!(matches!(store.log().inclusion(600, 600), Err(StoreError::Tree(_))));

    // the key and the head are the same after a restart
    let key = store.log().verifying_key().clone();
    drop(store);
    let store = open(directory.path());
    assert_eq!((store.log().verifying_key(), checkpoint(&store)), (&key, head));
}

#[test]
fn a_daily_amount_is_not_overdrawn_by_queries_that_are_written_together() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let admitted: usize = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..16_u128)
            .map(|n| {
                let store = &store;
                let quota = Quota {
                    name: "items_per_day",
                    account: Digest([1; 32]),
                    period: 1,
                    amount: 3,
                    limit: 10,
                };
                scope.spawn(move || wait(store.log().open_entry(&entry(Uuid::from_u128(n + 1)), &[quota])).is_ok())
            })
            .collect();
        asking.into_iter().map(|one| usize::from(one.join().unwrap())).sum()
    });
    assert_eq!(admitted, 3);
    assert_eq!(checkpoint(&store).size, 3, "what is refused leaves no event");
}

#[test]
fn a_log_that_was_changed_on_disk_does_not_open() {
    let directory = tempfile::tempdir().unwrap();
    fill(&open(directory.path()), 300);
    let last = 599_u64.to_be_bytes();
    let refused = |expected: &str| {
        let error = try_open(directory.path()).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let row = |db: &DB| db.get_cf(db.cf_handle("log").unwrap(), last).unwrap().unwrap();
    let mut original = Vec::new();

    meddle(directory.path(), |db| {
        original = row(db);
        let mut changed = original.clone();
        *changed.last_mut().unwrap() ^= 1;
        db.put_cf(db.cf_handle("log").unwrap(), last, changed).unwrap();
    });
    refused("not the one that its checkpoint was signed for");
    meddle(directory.path(), |db| {
        db.delete_cf(db.cf_handle("log").unwrap(), last).unwrap()
    });
    refused("not the one that its checkpoint was signed for");
    meddle(directory.path(), |db| {
        let log = db.cf_handle("log").unwrap();
        db.put_cf(log, last, &original).unwrap();
        db.delete_cf(log, 598_u64.to_be_bytes()).unwrap();
    });
    refused("log events are missing");
}

#[test]
fn a_damaged_tile_is_named() {
    let directory = tempfile::tempdir().unwrap();
    fill(&open(directory.path()), 300);
    meddle(directory.path(), |db| {
        let tiles = db.cf_handle("log-tiles").unwrap();
        let (key, _) = db.iterator_cf(tiles, IteratorMode::Start).next().unwrap().unwrap();
        db.delete_cf(tiles, key).unwrap();
    });
    let error = try_open(directory.path()).err().unwrap().to_string();
    assert!(error.contains("tile 0 of level 0 is missing or damaged"), "{error}");
}

#[test]
fn an_event_that_was_changed_is_found_and_named() {
    let directory = tempfile::tempdir().unwrap();
    fill(&open(directory.path()), 300);
    let checked = || open(directory.path()).log().check(|| true).unwrap();
    assert_eq!(checked(), None);
    let at = 77_u64.to_be_bytes();
    let mut original = Vec::new();
    meddle(directory.path(), |db| {
        let log = db.cf_handle("log").unwrap();
        original = db.get_cf(log, at).unwrap().unwrap();
        let mut changed = original.clone();
        *changed.last_mut().unwrap() ^= 1;
        db.put_cf(log, at, changed).unwrap();
    });
    assert_eq!(checked(), Some(Fault::Event { index: 77 }));
    let store = open(directory.path());
    let error = store
        .log()
        .export(AGENCY, Timestamp::UNIX_EPOCH, Vec::new())
        .unwrap_err();
    assert!(error.to_string().contains("event 77"), "{error}");
    drop(store);
    meddle(directory.path(), |db| {
        db.put_cf(db.cf_handle("log").unwrap(), at, &original).unwrap();
        let tiles = db.cf_handle("log-tiles").unwrap();
        let (key, value) = db.iterator_cf(tiles, IteratorMode::Start).next().unwrap().unwrap();
        let mut changed = value.to_vec();
        changed[5 * 32] ^= 1;
        changed[9 * 32] ^= 1;
        db.put_cf(tiles, key, changed).unwrap();
    });
    // the tile is the start of the tree: the end that it leads to is another
    let error = try_open(directory.path()).err().unwrap().to_string();
    assert!(
        error.contains("not the one that its checkpoint was signed for"),
        "{error}"
    );
}

/// The directory as a machine leaves it that stops at once, with its write-ahead log.
fn as_left_by_a_crash(from: &Path) -> (TempDir, PathBuf) {
    let to = tempfile::tempdir().unwrap();
    let mut ahead: Option<(u64, PathBuf)> = None;
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let copy = to.path().join(file.file_name());
        let bytes = std::fs::copy(file.path(), &copy).unwrap();
        let is_longer = ahead.as_ref().is_none_or(|(most, _)| bytes > *most);
        if copy.extension().is_some_and(|extension| extension == "log") && is_longer {
            ahead = Some((bytes, copy));
        }
    }
    (to, ahead.unwrap().1)
}

#[test]
fn a_torn_end_of_what_was_written_ahead_is_a_crash_and_damage_before_it_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    fill(&store, 300);

    let (whole, _) = as_left_by_a_crash(directory.path());
    assert_eq!(checkpoint(&open(whole.path())), checkpoint(&store));

    let (torn, ahead) = as_left_by_a_crash(directory.path());
    let length = std::fs::metadata(&ahead).unwrap().len();
    let file = std::fs::File::options().write(true).open(&ahead).unwrap();
    file.set_len(length - 100).unwrap();
    let shorter = open(torn.path());
    // whole groups, under the checkpoint that was signed for them; that it is too short is for the witnesses to tell
    assert!((1..600).contains(&checkpoint(&shorter).size));
    assert_eq!(shorter.log().check(|| true).unwrap(), None);

    let (damaged, ahead) = as_left_by_a_crash(directory.path());
    let mut bytes = std::fs::read(&ahead).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&ahead, bytes).unwrap();
    let error = try_open(damaged.path()).err().unwrap().to_string();
    assert!(error.contains("Corruption"), "{error}");
}

#[test]
fn bytes_that_the_disk_gives_back_otherwise_are_named_by_event() {
    let directory = tempfile::tempdir().unwrap();
    fill(&open(directory.path()), 300);
    let mut table = PathBuf::new();
    meddle(directory.path(), |db| {
        let log = db.cf_handle("log").unwrap();
        db.flush_cf(log).unwrap();
        let file = db
            .live_files()
            .unwrap()
            .into_iter()
            .find(|file| file.column_family_name == "log")
            .unwrap();
        table = directory.path().join(file.name.trim_start_matches('/'));
    });
    let mut bytes = std::fs::read(&table).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&table, bytes).unwrap();
    let store = open(directory.path());
    let Some(Fault::Unreadable { index }) = store.log().check(|| true).unwrap() else {
        panic!("damage that the database itself finds");
    };
    // a block of 16 KiB holds about 20 of these events
    assert!((200..400).contains(&index), "{index}");
    let error = store
        .log()
        .export(AGENCY, Timestamp::UNIX_EPOCH, Vec::new())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&format!("event {index}: it, or one close behind it, cannot be read")),
        "{error}"
    );
}
