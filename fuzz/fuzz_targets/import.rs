//! Exports: any bytes end in rows, rejects or an error, and every identifier is canonical.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlap_records::{Identifier, Import, Mapping};

const MAPPING: &str = r#"
[record]
reference = "r"
[[identifier]]
kind = "phone"
columns = ["p"]
[[identifier]]
kind = "email"
columns = ["e"]
[[identifier]]
kind = "person"
given = "g"
family = "f"
born = "b"
"#;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mapping) = Mapping::parse(MAPPING) else { return };
    let whole = [b"r;p;e;g;f;b\n".as_slice(), bytes].concat();
    for input in [bytes, &whole] {
        let Ok(import) = Import::open(input, "fuzz.csv", &mapping) else {
            continue;
        };
        for row in import {
            let Ok(row) = row else { break };
            for identifier in row.record.iter().flat_map(|record| &record.identifiers) {
                assert!(Identifier::from_canonical(identifier.kind(), identifier.canonical()).is_ok());
            }
        }
    }
});
