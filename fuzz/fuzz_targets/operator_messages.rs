//! What a user may send.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlap_proto::{
    approval::DecideApproval,
    follow_up::{AboutHit, DecideHit},
    operator::{Erase, ImportStep, ListEntries, Match},
    pb::operator as pb,
    picture::{AboutPicture, FollowUpPicture, Run},
};
use prost::Message;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = pb::ImportDatasetRequest::decode(bytes)
        && let Ok(ImportStep::Records(records)) = ImportStep::try_from(message)
    {
        for record in records {
            assert!(!record.identifiers.is_empty());
        }
    }
    let _ = pb::MatchRequest::decode(bytes).map(Match::try_from);
    let _ = pb::EraseDatasetRequest::decode(bytes).map(Erase::try_from);
    let _ = pb::ShowHitRequest::decode(bytes).map(AboutHit::try_from);
    let _ = pb::DecideHitRequest::decode(bytes).map(DecideHit::try_from);
    let _ = pb::DecideApprovalRequest::decode(bytes).map(DecideApproval::try_from);
    let _ = pb::RunPictureRequest::decode(bytes).map(Run::try_from);
    let _ = pb::ShowPictureRequest::decode(bytes).map(AboutPicture::try_from);
    let _ = pb::FollowUpPictureRequest::decode(bytes).map(FollowUpPicture::try_from);
    let _ = pb::ListEntriesRequest::decode(bytes).map(ListEntries::try_from);
});
