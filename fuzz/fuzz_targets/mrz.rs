//! Machine-readable zones: what is read says the same as the document kind, and gives a date of the past or none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlap_records::{DateOrder, Hints, Identifier, Kind, Mrz, parse_date};

fuzz_target!(|text: &str| {
    let Ok(mrz) = Mrz::parse(text) else { return };
    let today = parse_date("2026-01-01", DateOrder::Ymd).expect("a date");
    assert!(mrz.birth_date(today).is_none_or(|born| born <= today));
    let written = format!("{}:{}", mrz.issuer(), mrz.number());
    let hints = Hints::default();
    assert_eq!(
        Identifier::normalise(Kind::Document, text, &hints),
        Identifier::normalise(Kind::Document, &written, &hints),
    );
});
