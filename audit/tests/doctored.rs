//! Logs that their own agency has doctored, with its own key: what an auditor is told of them.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use jiff::Timestamp;
use overlap_audit::{
    Anchors, Closing, EXPORT_VERSION, Entry, Event, ExportReader, ExportWriter, Header, KeptReceipt, KnownPeer,
    Outcome, PayloadKey, Receipt, Reconciled, Sealed, Side, SigningKey, Tree, View, leaf_hash, log_name, reconcile,
    verify,
};
use uuid::Uuid;

const POLITIE: &str = "spiffe://a/politie";
const KMAR: &str = "spiffe://a/kmar";

struct Agency {
    id: &'static str,
    key: SigningKey,
}

impl Agency {
    fn new(id: &'static str) -> Self {
        let key = SigningKey::from_pkcs8(&log_name(id), &SigningKey::generate().unwrap()).unwrap();
        Self { id, key }
    }

    fn header(&self, events: u64, checkpoint: String, other: &Self) -> Header {
        Header {
            overlap_log: EXPORT_VERSION,
            agency: self.id.to_owned(),
            key: self.key.verifying_key(),
            exported: Timestamp::UNIX_EPOCH,
            events,
            checkpoints: vec![checkpoint],
            peers: vec![KnownPeer {
                agency: other.id.to_owned(),
                log: other.key.verifying_key(),
                cosigner: other.key.cosigner_key(),
                head: None,
            }],
        }
    }

    /// The export of a log of these events, with what it holds of the other.
    fn export(&self, events: &[Event], other: &Self, receipts: &[KeptReceipt]) -> Vec<u8> {
        let sealed = seal(events);
        let tree = tree(&sealed);
        let checkpoint = self.key.sign(tree.size(), &tree.root()).unwrap().to_string();
        let header = self.header(tree.size(), checkpoint, other);
        let mut export = ExportWriter::begin(Vec::new(), &header).unwrap();
        for (index, (key, sealed)) in (0..).zip(&sealed) {
            export.event(index, sealed, Some(key)).unwrap();
        }
        for receipt in receipts {
            export.receipt(receipt).unwrap();
        }
        export.end(tree.size()).unwrap()
    }

    /// A receipt for the events at these indexes of its log.
    fn receipt(&self, events: &[Event], transaction: u128, side: Side, opened: u64, closed: u64) -> KeptReceipt {
        let sealed = seal(events);
        let tree = tree(&sealed);
        let tiles = overlap_audit::HeldTiles::default();
        let view = View::new(&tree, &tiles);
        let leaf = |index: u64| (index, leaf_hash(&sealed[index as usize].1.commitment()));
        let path = |index| view.inclusion(index, tree.size()).unwrap();
        let receipt = Receipt {
            origin: log_name(self.id),
            transaction: Uuid::from_u128(transaction),
            side,
            opened: leaf(opened),
            closed: leaf(closed),
            head: (tree.size(), tree.root()),
        };
        KeptReceipt {
            agency: self.id.to_owned(),
            key: self.key.verifying_key(),
            receipt: receipt.sign(&self.key, path(opened), path(closed)).unwrap(),
        }
    }
}

fn seal(events: &[Event]) -> Vec<(PayloadKey, Sealed)> {
    events
        .iter()
        .map(|event| {
            let json = event.to_json().unwrap();
            let mut seed = [0; 32];
            seed[..16].copy_from_slice(event.entry_id().as_bytes());
            seed[16] = u8::from(matches!(event, Event::Closed(_)));
            let key = PayloadKey::derive(&[7; 32], &seed);
            let sealed = Sealed::seal(&key, &json).unwrap();
            (key, sealed)
        })
        .collect()
}

fn tree(sealed: &[(PayloadKey, Sealed)]) -> Tree {
    let mut tree = Tree::default();
    for (_, sealed) in sealed {
        tree.push(leaf_hash(&sealed.commitment()), &mut Vec::new());
    }
    tree
}

fn opened(transaction: u128, side: Side) -> Entry {
    let text = format!(
        r#"{{"id":"{}","transaction":"{}","started":"2026-01-01T00:00:0{}Z","operation":"combination","side":"{side}",
        "purpose":"thb","person":"p","role":"analyst","asker":"{POLITIE}","holder":"{KMAR}","recipients":["{POLITIE}"],"kinds":["phone"],
        "mode":"hits","input_count":5,"visibility":[],"agreement":"a","software":"overlap/test"}}"#,
        Uuid::now_v7(),
        Uuid::from_u128(transaction),
        transaction % 10,
    );
    serde_json::from_str(&text).unwrap()
}

/// A query as one side logs it when it goes well.
fn query(transaction: u128, side: Side) -> [Event; 2] {
    let entry = opened(transaction, side);
    let (outcome, output, peer) = match side {
        Side::Asker => (Outcome::Hit, 2, 9),
        _ => (Outcome::Done, 9, 5),
    };
    let closing = Closing {
        id: entry.id,
        ended: entry.started,
        outcome,
        output_count: Some(output),
        hits: None,
        candidates: None,
        peer_count: Some(peer),
        callee_certificate: None,
        sent: (side == Side::Asker).then_some(true),
        detail: None,
    };
    [Event::Opened(Box::new(entry)), Event::Closed(closing)]
}

fn closing(events: &mut [Event], at: usize) -> &mut Closing {
    match &mut events[at] {
        Event::Closed(closing) => closing,
        Event::Opened(_) => panic!("an opening"),
    }
}

fn queries(side: Side) -> Vec<Event> {
    (1..=3).flat_map(|n| query(n, side)).collect()
}

struct World {
    politie: Agency,
    kmar: Agency,
}

impl World {
    fn new() -> Self {
        Self {
            politie: Agency::new(POLITIE),
            kmar: Agency::new(KMAR),
        }
    }

    fn reconciled(&self, asked: &[Event], held: &[Event]) -> Reconciled {
        let files = [
            self.politie.export(asked, &self.kmar, &[]),
            self.kmar.export(held, &self.politie, &[]),
        ];
        reconcile(|which| ExportReader::open(files[which].as_slice()), [None, None]).unwrap()
    }
}

#[test]
fn two_honest_logs_agree() {
    let reconciled = World::new().reconciled(&queries(Side::Asker), &queries(Side::Holder));
    assert!(reconciled.is_agreed(), "{reconciled:?}");
    assert_eq!((reconciled.agreed, reconciled.remarks.len()), (3, 0));
}

#[test]
fn what_one_side_tells_otherwise_is_a_discrepancy() {
    let world = World::new();
    type Doctor = fn(&mut Vec<Event>);
    let as_holder: [(&str, Doctor); 4] = [
        ("missing", |events| drop(events.drain(2..4))),
        ("items of the holder", |events| {
            closing(events, 3).output_count = Some(500_000)
        }),
        ("input_count", |events| closing(events, 3).peer_count = Some(6)),
        ("holder", |events| closing(events, 3).outcome = Outcome::Denied),
    ];
    for (told, doctor) in as_holder {
        let mut held = queries(Side::Holder);
        doctor(&mut held);
        let reconciled = world.reconciled(&queries(Side::Asker), &held);
        assert!(!reconciled.is_agreed(), "{told}");
        assert_eq!((reconciled.discrepancies.len(), reconciled.agreed), (1, 2), "{told}");
        assert!(
            format!("{:?}", reconciled.discrepancies).contains(told),
            "{told}: {reconciled:?}"
        );
    }
    let as_asker: [(&str, Doctor); 4] = [
        ("denied", |events| closing(events, 3).outcome = Outcome::Denied),
        ("purpose", |events| {
            if let Event::Opened(entry) = &mut events[2] {
                entry.purpose = Some("idle-curiosity".into());
            }
        }),
        ("same side", |events| {
            if let Event::Opened(entry) = &mut events[2] {
                (entry.side, entry.asker) = (Side::Holder, Some(KMAR.into()));
                entry.holder = Some(POLITIE.into());
            }
        }),
        ("more than once", |events| {
            let mut again = query(2, Side::Asker);
            closing(&mut again, 1).outcome = Outcome::Denied;
            events.extend(again);
        }),
    ];
    for (told, doctor) in as_asker {
        let mut asked = queries(Side::Asker);
        doctor(&mut asked);
        let reconciled = world.reconciled(&asked, &queries(Side::Holder));
        assert_eq!(reconciled.discrepancies.len(), 1, "{told}: {reconciled:?}");
        assert!(
            format!("{:?}", reconciled.discrepancies).contains(told),
            "{told}: {reconciled:?}"
        );
    }
}

#[test]
fn what_cannot_be_told_is_no_agreement() {
    let world = World::new();
    let mut asked = queries(Side::Asker);
    closing(&mut asked, 3).outcome = Outcome::Error;
    // an end that is not there yet
    asked.pop();
    let reconciled = world.reconciled(&asked, &queries(Side::Holder));
    assert!(reconciled.is_agreed());
    assert_eq!((reconciled.agreed, reconciled.remarks.len()), (1, 2), "{reconciled:?}");
}

#[test]
fn receipts_hold_a_log_to_what_it_was() {
    let world = World::new();
    let (asked, held) = (queries(Side::Asker), queries(Side::Holder));
    let receipt = world.kmar.receipt(&held, 2, Side::Holder, 2, 3);
    let reconcile = |held: &[Event], receipts: &[KeptReceipt]| {
        let files = [
            world.politie.export(&asked, &world.kmar, receipts),
            world.kmar.export(held, &world.politie, &[]),
        ];
        reconcile(|which| ExportReader::open(files[which].as_slice()), [None, None]).unwrap()
    };
    let honest = reconcile(&held, std::slice::from_ref(&receipt));
    assert!(honest.is_agreed(), "{honest:?}");
    assert_eq!(honest.receipts_held, 2);
    // the holder drops the query and signs what is left
    let mut without = held.clone();
    without.drain(2..4);
    let found = format!("{:?}", reconcile(&without, std::slice::from_ref(&receipt)));
    assert!(found.contains("gave a receipt for it, and it is missing"), "{found}");
    // or changes another query, which the receipt's head has too
    let mut other = held.clone();
    closing(&mut other, 1).output_count = Some(8);
    let found = reconcile(&other, std::slice::from_ref(&receipt));
    assert!(
        found.logs[1]
            .problems
            .iter()
            .any(|problem| problem.what.contains("a receipt that it gave")),
        "{found:?}"
    );
    // a receipt that the holder never gave is the asker's problem
    let mut forged = receipt;
    forged.key = world.politie.key.verifying_key();
    forged.receipt.note = forged.receipt.note.replace("\nholder\n", "\nasker\n");
    assert!(!reconcile(&held, &[forged]).logs[0].is_whole());
}

#[test]
fn a_file_does_not_get_by_on_its_own_word() {
    let world = World::new();
    let file = String::from_utf8(world.politie.export(&queries(Side::Asker), &world.kmar, &[])).unwrap();
    let problems = |file: &str| match ExportReader::open(file.as_bytes()) {
        Ok(export) => format!("{:?}", verify(export, &Anchors::default(), &mut ()).unwrap().problems),
        Err(error) => error.to_string(),
    };
    assert_eq!(problems(&file), "[]");
    // another spelling of the agency, of whom no query would be
    assert!(problems(&file.replacen(POLITIE, "a/politie", 1)).contains("no SPIFFE URI"));
    assert!(problems(&file.replacen(POLITIE, KMAR, 1)).contains("another agency"));
    // events behind the newest checkpoint
    let lines: Vec<&str> = file.lines().collect();
    let more = world.politie.export(
        &[queries(Side::Asker), query(4, Side::Asker).to_vec()].concat(),
        &world.kmar,
        &[],
    );
    let more = String::from_utf8(more).unwrap();
    let extended = format!(
        "{}\n{}",
        lines[0].replace("\"events\":6", "\"events\":8"),
        more.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>()
    );
    assert!(problems(&extended).contains("not signed for all of the events"));
    // an entry, and a query, that is there twice
    let mut twice = queries(Side::Asker);
    twice.extend(query(2, Side::Asker));
    let twice = String::from_utf8(world.politie.export(&twice, &world.kmar, &[])).unwrap();
    assert!(problems(&twice).contains("transaction of another entry"));
    // an event that calls itself shredded
    let hidden = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        format!(
            "{{\"index\":{},\"leaf\":{},\"commitment\":{}}}",
            event["index"], event["leaf"], event["leaf"]
        )
    };
    let first = format!("{}\n{}\n{}\n", lines[0], hidden(lines[1]), lines[2..].join("\n"));
    assert!(problems(&first).contains("1 events are shredded, and the log itself says 0"));
}
