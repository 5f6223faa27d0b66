//! Raw identifiers: what is canonical stays as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlap_records::{Hints, Identifier, Kind};

fuzz_target!(|text: &str| {
    for kind in Kind::ALL {
        if let Ok(identifier) = Identifier::normalise(kind, text, &Hints::default()) {
            assert!(Identifier::from_canonical(kind, identifier.canonical()).is_ok());
        }
        let _ = Identifier::from_canonical(kind, text);
    }
});
