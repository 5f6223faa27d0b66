//! What a peer may send: any bytes end in a checked message or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlap_proto::{
    follow_up::{self, Answer, FollowUp},
    log::{Cosign, Cosigned, Receipts, ReceiptsAnswer},
    pb::peer as pb,
    peer::{Request, Response},
};
use overlap_psi::{Element, dh::Reply};
use overlap_records::Kind;
use prost::Message;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = pb::MatchRequest::decode(bytes)
        && let Ok(Request::Blinded(elements)) = Request::try_from(message)
    {
        for element in elements {
            if let Ok(decoded) = Element::decode(&element) {
                assert_eq!(decoded.encode(), element, "an element has one encoding");
            }
        }
    }
    if let Ok(message) = pb::MatchResponse::decode(bytes)
        && let Ok(Response::Reply(reply)) = Response::try_from(message)
    {
        match reply {
            Reply::Tokens(tokens) => assert!(!tokens.is_empty()),
            Reply::Labelled(labelled) => assert!(!labelled.is_empty()),
            Reply::Evaluated(elements) => assert!(!elements.is_empty()),
        }
    }
    if let Ok(message) = pb::FollowUpRequest::decode(bytes)
        && let Ok(wish) = FollowUp::try_from(message)
        && let Some(identifier) = wish.identifier
    {
        assert_eq!(identifier.kind(), wish.kind);
    }
    if let Ok(message) = pb::FollowUpResponse::decode(bytes) {
        let _ = Answer::check(message, Kind::Phone);
    }
    if let Ok(message) = pb::DecisionsRequest::decode(bytes) {
        let _ = follow_up::ids("follow_ups", &message.follow_ups);
    }
    if let Ok(message) = pb::CosignRequest::decode(bytes) {
        let _ = Cosign::try_from(message);
    }
    if let Ok(message) = pb::CosignResponse::decode(bytes) {
        let _ = Cosigned::try_from(message);
    }
    if let Ok(message) = pb::ExchangeReceiptsRequest::decode(bytes) {
        let _ = Receipts::try_from(message);
    }
    if let Ok(message) = pb::ExchangeReceiptsResponse::decode(bytes) {
        let _ = ReceiptsAnswer::try_from(message);
    }
});
