//! What a log is for, on a real disk: finding entries, shredding them, receipts, handing them on.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use common::{AGENCY, checkpoint, closing, entry, fill, found, open, wait};
use jiff::Timestamp;
use overlap_audit::{Anchors, Entry, ExportReader, KeptReceipt, Logged, Outcome, Side, verify};
use overlap_store::{Search, StoreError};
use uuid::Uuid;

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
            wait(store.log().open_entry(&entry, &[])).ok();
            continue;
        }
        let mut closing = closing(entry.id);
        closing.outcome = outcomes[n as usize % 3];
        wait(store.log().record(&entry, &closing)).unwrap();
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
        wait(store.log().record(&entry, &closing)).unwrap();
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
    wait(store.log().record(&shredding, &done)).unwrap();
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
    wait(store.log().open_entry(&asked, &[])).unwrap();
    let give = || store.log().give_receipts(Side::Asker, &[asked.transaction]).unwrap();
    assert_eq!(give(), [], "it is open");
    let owed_by = &[(asked.transaction, "spiffe://a/kmar".to_owned())];
    wait(store.log().close_entry(&closing(asked.id), owed_by)).unwrap();
    let due = |agency| store.log().receipts_due(agency, None, 10).unwrap();
    assert_eq!(due("spiffe://a/kmar"), [asked.transaction]);
    assert!(due("spiffe://a/iszw").is_empty());
    let receipt = give().remove(0);
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
        store
            .log()
            .kept_receipt(Side::Asker, asked.transaction, "spiffe://a/kmar")
            .unwrap(),
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
