//! The log on a real disk: order, tree, checkpoints, what a crash or a hand on the disk does to it.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::{path::Path, sync::Arc};

use jiff::Timestamp;
use overlap_audit::{
    Anchors, Checkpoint, Closing, Digest, Entry, ExportReader, KeptReceipt, Line, Logged, Operation, Outcome, Side,
    SignedCheckpoint, Tree, check_consistency, check_inclusion, verify,
};
use overlap_store::{DataKey, Fault, LogSettings, Quota, Search, Store, StoreError};
use rocksdb::{DB, IteratorMode, Options};
use uuid::Uuid;

const NAME: &str = "overlap.example/agency/test/log";
const AGENCY: &str = "spiffe://overlap.example/agency/test";

fn try_open(directory: &Path) -> Result<Store, StoreError> {
    let key = DataKey::from_hex(&"1".repeat(64)).unwrap();
    let settings = LogSettings {
        name: NAME.to_owned(),
        hands_on: true,
    };
    Store::open(directory, &key, &settings)
}

fn open(directory: &Path) -> Arc<Store> {
    Arc::new(try_open(directory).unwrap())
}

/// The newest checkpoint, verified.
fn checkpoint(store: &Store) -> Checkpoint {
    let signed = SignedCheckpoint::parse(&store.log().checkpoint()).unwrap();
    signed.verify(store.log().verifying_key()).unwrap().clone()
}

fn found(store: &Store, search: &Search) -> Vec<Logged> {
    let found = store.log().search(search, 10_000).unwrap();
    found.into_iter().map(|(_, logged)| logged).collect()
}

/// Entries that end as they begin, from many threads at once.
fn fill(store: &Store, entries: u128) {
    let base = u128::from(store.log().size()) << 32 | 1 << 100;
    std::thread::scope(|scope| {
        for thread in 0..8_u128 {
            scope.spawn(move || {
                for n in (thread..entries).step_by(8) {
                    let entry = entry(Uuid::from_u128(base | n));
                    store.log().record(&entry, &closing(entry.id)).unwrap();
                }
            });
        }
    });
}

fn entry(transaction: Uuid) -> Entry {
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

fn closing(id: Uuid) -> Closing {
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

#[test]
fn a_transaction_is_opened_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.log().open_entry(&entry(Uuid::from_u128(1)), None).unwrap();
    assert!(matches!(
        store.log().open_entry(&entry(Uuid::from_u128(1)), None),
        Err(StoreError::TransactionTaken)
    ));
    let denied = entry(Uuid::from_u128(1));
    store.log().record(&denied, &closing(denied.id)).unwrap();
    let both = Search {
        transaction: Some(Uuid::from_u128(1)),
        ..Search::default()
    };
    assert_eq!(found(&store, &both).len(), 2, "the one that used it again is found too");
    let mut other_side = entry(Uuid::from_u128(1));
    other_side.side = Side::Holder;
    store.log().open_entry(&other_side, None).unwrap();
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
                store.log().close_entry(&closing(second.id), None),
                Err(StoreError::NoSuchEntry)
            ),
            "it is closed already"
        );
        assert!(matches!(
            store.log().close_entry(&closing(Uuid::from_u128(9)), None),
            Err(StoreError::NoSuchEntry)
        ));
    }
    let store = open(directory.path());
    store.log().close_entry(&closing(first.id), None).unwrap();
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
                    store.log().close_entry(&closing(entry.id), None).unwrap();
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
    assert_eq!((tree.size(), tree.root().unwrap()), (head.size, head.root));
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
                    account: Digest([1; 32]),
                    day: 1,
                    items: 3,
                    limit: 10,
                };
                scope.spawn(move || {
                    store
                        .log()
                        .open_entry(&entry(Uuid::from_u128(n + 1)), Some(quota))
                        .is_ok()
                })
            })
            .collect();
        asking.into_iter().map(|one| usize::from(one.join().unwrap())).sum()
    });
    assert_eq!(admitted, 3);
    assert_eq!(checkpoint(&store).size, 3, "what is refused leaves no event");
}

/// Changes the database behind the store's back.
fn meddle(directory: &Path, change: impl FnOnce(&DB)) {
    let options = Options::default();
    let families = DB::list_cf(&options, directory).unwrap();
    let db = DB::open_cf(&options, directory, families).unwrap();
    change(&db);
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

/// An entry that began at that time, with values that are often the same.
fn varied(n: u64) -> Entry {
    let mut varied = entry(Uuid::from_u128(u128::from(n / 3) + 1));
    // the clock goes back now and then
    let millis = i64::try_from(n * 1000 - (n % 7) * 2500 % 9000).unwrap_or_default();
    varied.started = Timestamp::from_millisecond(1_700_000_000_000 + millis).unwrap();
    varied.holder = Some(format!("spiffe://a/{}", n % 3));
    varied.person = Some(format!("spiffe://p/{}", n % 5));
    varied.purpose = (!n.is_multiple_of(4)).then(|| format!("purpose-{}", n % 4));
    varied.case_reference = Some(format!("case {}", n % 11));
    varied
}

#[test]
fn a_search_finds_what_a_look_at_every_entry_finds() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let outcomes = [Outcome::Hit, Outcome::NoHit, Outcome::Denied];
    for n in 10..130_u64 {
        let entry = varied(n);
        if n % 10 == 0 {
            store.log().open_entry(&entry, None).ok();
            continue;
        }
        let mut closing = closing(entry.id);
        closing.outcome = outcomes[n as usize % 3];
        store.log().record(&entry, &closing).unwrap();
    }
    let mut all = found(&store, &Search::default());
    all.sort_by_key(|logged| (logged.entry.started, logged.index));
    all.reverse();
    assert_eq!(all, found(&store, &Search::default()), "the newest first");
    assert!(all.len() > 110);
    let time = |seconds: i64| Some(Timestamp::from_second(1_700_000_000 + seconds).unwrap());
    type Fits = Box<dyn Fn(&Logged) -> bool>;
    let searches: Vec<(Search, Fits)> = vec![
        (
            Search {
                peer: Some("spiffe://a/1".into()),
                ..Search::default()
            },
            Box::new(|logged| logged.entry.holder.as_deref() == Some("spiffe://a/1")),
        ),
        (
            Search {
                person: Some("spiffe://p/2".into()),
                purpose: Some("purpose-3".into()),
                outcome: Some(Outcome::Hit),
                ..Search::default()
            },
            Box::new(|logged| {
                let entry = &logged.entry;
                entry.person.as_deref() == Some("spiffe://p/2")
                    && entry.purpose.as_deref() == Some("purpose-3")
                    && logged.outcome() == Outcome::Hit
            }),
        ),
        (
            Search {
                from: time(40),
                until: time(90),
                case_reference: Some("case 4".into()),
                ..Search::default()
            },
            Box::new(move |logged| {
                let entry = &logged.entry;
                Some(entry.started) >= time(40)
                    && Some(entry.started) < time(90)
                    && entry.case_reference.as_deref() == Some("case 4")
            }),
        ),
        (
            Search {
                outcome: Some(Outcome::Admitted),
                ..Search::default()
            },
            Box::new(|logged| logged.closing.is_none()),
        ),
        (
            Search {
                transaction: Some(Uuid::from_u128(14)),
                ..Search::default()
            },
            Box::new(|logged| logged.entry.transaction == Uuid::from_u128(14)),
        ),
        (
            Search {
                person: Some("spiffe://p/nobody".into()),
                ..Search::default()
            },
            Box::new(|_| false),
        ),
    ];
    for (search, fits) in searches {
        let expected: Vec<Logged> = all.iter().filter(|logged| fits(logged)).cloned().collect();
        assert_eq!(found(&store, &search), expected, "{search:?}");
        // and page by page
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = Search {
                after,
                ..search.clone()
            };
            let page = store.log().search(&page, 3).unwrap();
            let Some((place, _)) = page.last() else { break };
            after = Some(*place);
            paged.extend(page.into_iter().map(|(_, logged)| logged));
        }
        assert_eq!(paged, expected, "{search:?}");
    }
}

#[test]
fn what_is_shredded_is_gone_and_every_proof_stays() {
    let directory = tempfile::tempdir().unwrap();
    let day = |day: i64| Timestamp::from_second(day * 86_400 + 5).unwrap();
    let store = open(directory.path());
    let mut ids = Vec::new();
    for n in 0..40_i64 {
        let mut entry = self::entry(Uuid::from_u128(n as u128 + 1));
        entry.started = day(20_000 + n);
        entry.person = Some("spiffe://p/CANARY".into());
        let mut closing = closing(entry.id);
        closing.ended = entry.started;
        store.log().record(&entry, &closing).unwrap();
        ids.push(entry.id);
    }
    let head = checkpoint(&store);
    let path = store.log().inclusion(2, head.size).unwrap();
    assert!(!store.log().is_due(20_000).unwrap());
    assert!(store.log().is_due(20_025).unwrap());
    assert_eq!(store.log().shred(20_025).unwrap(), 50);
    assert_eq!(store.log().shred(20_025).unwrap(), 50, "once");
    assert!(!store.log().is_due(20_025).unwrap());

    assert!(matches!(store.log().entry(ids[3]), Err(StoreError::Shredded)));
    assert!(store.log().entry(ids[30]).unwrap().is_some());
    let person = Search {
        person: Some("spiffe://p/CANARY".into()),
        ..Search::default()
    };
    assert_eq!(found(&store, &person).len(), 15);
    let shredded_outbox = store.log().outbox(0, 100).unwrap();
    assert_eq!(shredded_outbox.iter().filter(|(_, logged)| logged.is_err()).count(), 25);

    drop(store);
    let store = open(directory.path());
    assert_eq!(checkpoint(&store), head);
    assert_eq!(store.log().inclusion(2, head.size).unwrap(), path);
    assert_eq!(store.log().check(|| true).unwrap(), None);
    let exported = || store.log().export(AGENCY, Timestamp::UNIX_EPOCH, Vec::new()).unwrap();
    let verified = |file: &[u8]| verify(ExportReader::open(file).unwrap(), &Anchors::default(), &mut ()).unwrap();
    // what is gone without a word in the log was left out
    let silent = verified(&exported());
    assert!(
        silent.problems[0].what.contains("50 events are shredded"),
        "{:?}",
        silent.problems
    );
    let mut shredding = entry(Uuid::from_u128(1000));
    (shredding.started, shredding.mode) = (day(20_040), Some(overlap_audit::SHREDDING.to_owned()));
    let mut done = closing(shredding.id);
    (done.ended, done.output_count) = (shredding.started, Some(50));
    store.log().record(&shredding, &done).unwrap();
    let file = exported();
    let report = verified(&file);
    assert!(report.is_whole(), "{:?}", report.problems);
    assert_eq!((report.shredded, report.entries), (50, 16));
    // an event that somebody makes look shredded afterwards
    let text = String::from_utf8(file.clone()).unwrap();
    let hide = |line: &str| match line.contains("\"index\":60,") {
        true => {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            format!(
                "{{\"index\":60,\"leaf\":{},\"commitment\":{}}}\n",
                event["leaf"], event["leaf"]
            )
        }
        false => format!("{line}\n"),
    };
    let report = verified(text.lines().map(hide).collect::<String>().as_bytes());
    let said = |what: &str| report.problems.iter().any(|problem| problem.what.contains(what));
    assert!(said("an earlier one is not"), "{:?}", report.problems);
    assert_eq!(String::from_utf8(file).unwrap().matches("CANARY").count(), 15);
}

#[test]
fn receipts_are_owed_until_they_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let asked = entry(Uuid::from_u128(7));
    store.log().open_entry(&asked, None).unwrap();
    assert_eq!(
        store.log().receipt(Side::Asker, asked.transaction).unwrap(),
        None,
        "it is open"
    );
    let owed_by = Some((asked.transaction, "spiffe://a/kmar"));
    store.log().close_entry(&closing(asked.id), owed_by).unwrap();
    let due = |agency| store.log().receipts_due(agency, None, 10).unwrap();
    assert_eq!(due("spiffe://a/kmar"), [asked.transaction]);
    assert!(due("spiffe://a/iszw").is_empty());
    let receipt = store.log().receipt(Side::Asker, asked.transaction).unwrap().unwrap();
    let said = receipt.verify(store.log().verifying_key()).unwrap();
    assert_eq!((said.opened.0, said.closed.0, said.head.0), (0, 1, 2));
    let kept = KeptReceipt {
        agency: "spiffe://a/kmar".into(),
        key: store.log().verifying_key().clone(),
        receipt,
    };
    let keep = |receipt: &KeptReceipt| {
        let receipts = [(Side::Asker, asked.transaction, receipt.clone())];
        store.log().keep_receipts(&receipts).unwrap()
    };
    assert!(keep(&kept).is_empty() && keep(&kept).is_empty());
    // another that says otherwise is told, and does not take the place of the first
    let mut other = kept.clone();
    other.receipt.note = other.receipt.note.replace("\n0 ", "\n7 ");
    assert_eq!(keep(&other), [asked.transaction]);
    assert!(due("spiffe://a/kmar").is_empty());
    assert_eq!(
        store.log().kept_receipt(Side::Asker, asked.transaction).unwrap(),
        Some(kept)
    );
}

#[test]
fn what_is_handed_on_stays_in_the_outbox_until_it_was_taken() {
    let directory = tempfile::tempdir().unwrap();
    fill(&open(directory.path()), 5);
    let store = open(directory.path());
    let waiting = store.log().outbox(0, 3).unwrap();
    assert_eq!(waiting.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1, 3, 5]);
    store.log().handed_on(&[1, 5]).unwrap();
    let waiting = store.log().outbox(0, 9).unwrap();
    assert_eq!(waiting.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [3, 7, 9]);
    assert_eq!(store.log().outbox_size().unwrap(), 3);
}
