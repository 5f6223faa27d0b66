//! The sample mapping in the documentation is one.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use overlap_records::{Kind, Mapping};

#[test]
fn sample_mapping_is_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/mapping.toml");
    let mapping = Mapping::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(mapping.kinds().contains(&Kind::Person));
}
