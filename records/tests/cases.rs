//! Raw text to canonical form, case by case: `cases/<kind>.tsv` holds good and bad ones.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use overlap_records::{Hints, Identifier, Kind, Profile};

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
            let hints = fields.next().map_or(Hints::default(), hints);
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

/// A country, or a platform.
fn hints(word: &str) -> Hints {
    match word.parse() {
        Ok(region) => Hints {
            region,
            ..Hints::default()
        },
        Err(_) => Hints {
            platform: Some(word.parse().unwrap()),
            ..Hints::default()
        },
    }
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
        (Kind::Document, "L898902C3"),
        (Kind::Document, "NL:L898902C36"),
        (Kind::Document, "NLD:L898902C3"),
        (Kind::Vin, "1m8gdm9axkp042788"),
        (Kind::National, "PL:440514-01359"),
        (Kind::National, "44051401359"),
        (Kind::Handle, "janvries"),
        (Kind::Handle, "twitter:janvries"),
        (Kind::Handle, "x:JanVries"),
        (Kind::Url, "http://example.nl"),
        (Kind::Url, "https://example.nl/"),
        (Kind::Ip, "2001:DB8::1"),
        (Kind::Imei, "490154203237518"),
        (Kind::Imsi, "204 081234567890"),
        (Kind::Wallet, "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"),
        (Kind::Wallet, "eth:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
        (Kind::Company, "12345678"),
        (Kind::Address, "1012AB 12"),
        (Kind::Address, "NL:1012AB:12a"),
        (Kind::Bsn, "12345672"),
        (Kind::Person, "jan berg|1985-02-23"),
        (Kind::Person, "jan|van berg|1985-02-23"),
        (Kind::Person, "jan|berg|19850223"),
        (Kind::Person, "Jan|berg|1985-02-23"),
        (Kind::Person, "jan piet  van|berg|1985-02-23"),
        (Kind::Person, "jan|berg|1985-02-23|"),
        (Kind::Person, "jan|berg|1985-02-23|v"),
        (Kind::Person, ""),
        (Kind::Bsn, " 111222333"),
    ];
    for (kind, text) in not_canonical {
        let error = Identifier::from_canonical(kind, text).unwrap_err();
        assert_eq!(error.code(), "not-canonical", "{kind} {text}");
    }
}

#[test]
fn a_numbered_kind_has_one_match_key() {
    let profile = Profile::eu_thb_1();
    let identifier = Identifier::normalise(Kind::Bsn, "111222333", &Hints::default()).unwrap();
    let keys = identifier.match_keys(&profile);
    assert_eq!(keys.len(), 1);
    let key = &profile.keys()[usize::from(keys[0].key())];
    assert_eq!((key.kind(), key.name(), key.counts()), (Kind::Bsn, "bsn", true));
    assert_eq!(keys[0].as_bytes(), b"111222333");
}
