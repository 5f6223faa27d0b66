//! Snapshot filters as a peer may send them: whatever their parts are, nothing is read out of bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlap_psi::filter::{Filter, Shape};

fuzz_target!(|input: (u64, u32, u32, Vec<u32>, Vec<[u8; 16]>)| {
    let (seed, segment, span, fingerprints, outputs) = input;
    let count = fingerprints.len() as u64;
    let shape = Shape { seed, segment, span };
    match Filter::of(shape, fingerprints) {
        Ok(filter) => {
            assert_eq!(shape.expected(), Ok(count));
            for output in &outputs {
                let _ = filter.may_have(output);
            }
        }
        Err(_) => assert_ne!(shape.expected(), Ok(count)),
    }
    // and what is built has all that was put in
    if let Ok(filter) = Filter::build(outputs.iter().copied()) {
        assert!(outputs.iter().all(|output| filter.may_have(output)));
    }
});
