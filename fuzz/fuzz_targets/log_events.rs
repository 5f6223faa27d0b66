//! Stored log events.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlap_audit::Event;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(event) = Event::from_json(bytes) {
        let again = event.to_json().and_then(|json| Event::from_json(&json));
        assert!(again.is_ok_and(|again| again == event));
    }
});
