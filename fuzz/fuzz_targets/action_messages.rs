//! Messages of actions, between nodes and of users: whatever comes, it is refused or checked, and never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use overlap_proto::{
    action::{Attend, Attended, CheckOpen, CheckWish, Convey, Create, Handle, StepAction},
    pb::{operator as op, peer as pb},
};
use prost::Message as _;

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    match which % 8 {
        0 => drop(pb::AttendRequest::decode(bytes).map(Attend::try_from)),
        1 => {
            if let Ok(Ok(attended)) = pb::AttendResponse::decode(bytes).map(Attended::try_from) {
                // what was taken can be sent on, and is taken again
                let again = pb::AttendResponse::from(attended);
                assert!(Attended::try_from(again).is_ok());
            }
        }
        2 => drop(pb::ConveyRequest::decode(bytes).map(Convey::try_from)),
        3 => drop(pb::ConveyResponse::decode(bytes).map(Convey::try_from)),
        4 => drop(op::CheckRequest::decode(bytes).map(CheckWish::try_from)),
        5 => drop(op::CheckRequest::decode(bytes).map(CheckOpen::first)),
        6 => drop(op::CreateActionRequest::decode(bytes).map(Create::try_from)),
        _ => {
            drop(op::StepActionRequest::decode(bytes).map(StepAction::try_from));
            drop(op::HandleAlertRequest::decode(bytes).map(Handle::try_from));
        }
    }
});
