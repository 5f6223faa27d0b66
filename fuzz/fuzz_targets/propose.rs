//! Proposals of mappings: what is proposed for any file can be read as a mapping, or a question to its owner is left.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlap_records::{Ask, Proposal};

fuzz_target!(|bytes: &[u8]| {
    let _ = Proposal::of_reader(bytes, "fuzz.csv", &Ask::default());
    let _ = Proposal::of_reader(bytes, "fuzz.jsonl", &Ask::default());
});
