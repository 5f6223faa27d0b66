//! JSON Lines, and proposals for any text: any bytes end in rows, rejects or an error, and a proposal is a mapping.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlap_records::{Ask, Format, Identifier, Import, Mapping, Proposal};

const MAPPING: &str = r#"
[source]
dates = "dmy"
mixed_dates = "reject"
[record]
reference = "r"
origin = "o"
[[identifier]]
kind = "phone"
columns = ["p"]
[[identifier]]
kind = "person"
name = "n"
born = ["y", "m", "d"]
"#;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mapping) = Mapping::parse(MAPPING) else { return };
    let mapping = mapping.with_format(Format::JsonLines);
    let first = br#"{"r":1,"o":"","p":"0612345678","n":"","y":1985,"m":2,"d":3}"#;
    let whole = [first.as_slice(), b"\n", bytes].concat();
    for input in [bytes, &whole] {
        let Ok(import) = Import::open(input, "fuzz.jsonl", &mapping) else {
            continue;
        };
        for row in import {
            let Ok(row) = row else { break };
            for identifier in row.record.iter().flat_map(|record| &record.identifiers) {
                assert!(Identifier::from_canonical(identifier.kind(), identifier.canonical()).is_ok());
            }
        }
    }
    if let Ok(proposal) = Proposal::of_reader(bytes, "fuzz", &Ask::default()) {
        assert!(Mapping::parse(&proposal.toml).is_ok());
    }
});
