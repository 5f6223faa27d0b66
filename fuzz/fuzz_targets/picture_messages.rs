//! What the coordinator of a picture, or another participant, may send.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlap_proto::{
    pb::peer as pb,
    picture::{Asked, Request, Response, evaluated},
};
use overlap_psi::joint::Merge;
use prost::Message;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = pb::TakeRequest::decode(bytes) {
        let _ = Request::try_from(message);
    }
    if let Ok(message) = pb::TakeResponse::decode(bytes)
        && let Ok(Response::Entries(entries)) = Response::try_from(message)
    {
        assert!(!entries.is_empty());
        let sorted = entries.is_sorted_by(|one, other| one.pseudonym < other.pseudonym);
        let mut merge = Merge::new(&[entries.len() as u64]);
        assert_eq!(merge.push(0, entries).is_ok(), sorted, "a list that is not sorted is refused");
    }
    if let Ok(message) = pb::EvaluateRequest::decode(bytes) {
        let _ = Asked::try_from(message);
    }
    if let Ok(message) = pb::EvaluateResponse::decode(bytes)
        && let Ok(evaluated) = evaluated(message)
    {
        assert!(!evaluated.elements.is_empty());
    }
});
