//! Raw text to canonical form, case by case: `cases/<kind>.tsv` holds good and bad ones.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use overlap_records::{Hints, Identifier, Kind, Region};

#[test]
fn cases() {
    let mut wrong = Vec::new();
    for kind in Kind::ALL {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/cases/{kind}.tsv"));
        let cases = std::fs::read_to_string(path).unwrap();
        let (mut good, mut bad) = (0, 0);
        for (number, line) in cases.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
            let mut fields = line.split('\t');
            let raw = fields.next().unwrap().replace("\\n", "\n");
            let expected = fields.next().unwrap();
            let region = fields.next().map_or(Region::NL, |code| code.parse().unwrap());
            let hints = Hints {
                region,
                ..Hints::default()
            };
            let found = match Identifier::normalise(kind, &raw, &hints) {
                Ok(identifier) => {
                    good += 1;
                    let again = Identifier::from_canonical(kind, identifier.canonical());
                    assert_eq!(again.as_ref(), Ok(&identifier), "{kind}.tsv line {}", number + 1);
                    identifier.canonical().to_owned()
                }
                Err(rejection) => {
                    bad += 1;
                    format!("!{}", rejection.code())
                }
            };
            if found != expected {
                wrong.push(format!(
                    "{kind}.tsv line {}: {raw:?} gives {found}, expected {expected}",
                    number + 1
                ));
            }
        }
        assert!(good >= 5 && bad >= 5, "{kind}.tsv has too few cases of either sort");
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn only_canonical_forms_are_taken_as_such() {
    let not_canonical = [
        (Kind::Phone, "0612345678"),
        (Kind::Phone, "+31 612345678"),
        (Kind::Phone, "+84169123456"),
        (Kind::Email, "Jan@example.nl"),
        (Kind::Email, "j.doe@gmail.com"),
        (Kind::Iban, "NL91 ABNA 0417 1643 00"),
        (Kind::Plate, "12AB34"),
        (Kind::Plate, "nl:12AB34"),
        (Kind::Document, "L898902C36"),
        (Kind::Bsn, "12345672"),
        (Kind::Person, "jan berg|1985-02-23"),
        (Kind::Person, "berg jan van|1985-02-23"),
        (Kind::Person, "berg jan|19850223"),
        (Kind::Person, "Berg jan|1985-02-23"),
        (Kind::Person, "berg  jan|1985-02-23"),
        (Kind::Person, ""),
        (Kind::Bsn, " 111222333"),
    ];
    for (kind, text) in not_canonical {
        let error = Identifier::from_canonical(kind, text).unwrap_err();
        assert_eq!(error.code(), "not-canonical", "{kind} {text}");
    }
}

#[test]
fn one_match_key_per_identifier() {
    let identifier = Identifier::normalise(Kind::Bsn, "111222333", &Hints::default()).unwrap();
    let keys = identifier.match_keys();
    assert_eq!(keys.len(), 1);
    assert_eq!(
        (keys[0].kind(), keys[0].as_bytes()),
        (Kind::Bsn, b"111222333".as_slice())
    );
}
