//! Mapping files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlap_records::Mapping;

fuzz_target!(|text: &str| {
    if let Ok(mapping) = Mapping::parse(text) {
        assert!(!mapping.kinds().is_empty());
    }
});
