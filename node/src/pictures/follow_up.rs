//! Following up what a picture shows to be shared: each holder is asked by the pseudonym, and a functionary of it decides.

use std::sync::Arc;

use overlap_audit::{Operation, Standing};
use overlap_proto::{fault::Reason, follow_up::AboutHit, pb::operator as pb, picture::FollowUpPicture};
use overlap_report::Shared;
use overlap_store::{FollowUp, KeptPicture, OwnRecord, Selection, StoreError};
use uuid::Uuid;

use super::{find, is_operational, parse};
use crate::{
    dataset_service::dataset_entry,
    error::{NodeError, one_of},
    hits_service,
    node::{Node, now},
    policy::{self, Denial, User},
    pool::blocking,
    rules::Action,
    spine,
    trace::TraceContext,
};

/// A follow-up that is to be asked, with what the hit is called.
struct Wanted {
    row: FollowUp,
    is_known: bool,
    pseudonym: [u8; 16],
}

/// Asks the holders of a shared pseudonym what they have behind it. One that fails does not hold up the others.
pub(crate) async fn follow_up(
    node: &Arc<Node>,
    user: &User,
    wish: FollowUpPicture,
    trace: Option<TraceContext>,
) -> Result<pb::FollowUpPictureResponse, NodeError> {
    // before anything of a picture is told: also that there is none
    if let Err(error) = node.permit(user, Action::ReadPictures) {
        let mut entry = dataset_entry(node, user, Operation::Disclosure, "");
        entry.dataset = None;
        entry.reason = Some(wish.about.reason);
        return Err(spine::deny(node, Denial { entry, error }).await);
    }
    let looking = Arc::clone(node);
    let wanted = blocking(move || wanted(&looking, &wish)).await??;
    let mut response = pb::FollowUpPictureResponse::default();
    for Wanted {
        row,
        is_known,
        pseudonym,
    } in wanted
    {
        let peer = row.peer.clone();
        // what has been told is not asked again: it is read, which is an entry of its own
        if is_known && row.standing(now()) != Standing::Pending {
            let hit = row.id.simple().to_string();
            let reason = row.reason.clone();
            match hits_service::show(node, user, AboutHit { hit, reason }).await {
                Ok(shown) => response.follow_ups.extend(shown.follow_up),
                Err(error) => response.failed.push(failed(peer, &error)),
            }
            continue;
        }
        let (judging, asker, trace) = (Arc::clone(node), user.clone(), trace.clone());
        let called = (!is_known).then_some(pseudonym);
        let decision =
            blocking(move || policy::ask_follow_up(&judging, &asker, (row, is_known), called, trace, now())).await?;
        match hits_service::ask(node, decision).await {
            Ok(row) => response.follow_ups.push(hits_service::shown(&row, None)),
            Err(error) => response.failed.push(failed(peer, &error)),
        }
    }
    Ok(response)
}

fn failed(participant: String, error: &NodeError) -> pb::PictureDropped {
    let why = error.to_string();
    pb::PictureDropped { participant, why }
}

fn wanted(node: &Node, wish: &FollowUpPicture) -> Result<Vec<Wanted>, NodeError> {
    let row = find(node, &wish.about.picture, now())?;
    let picture = parse(&row)?;
    if !is_operational(&picture) {
        let message = "a picture of statistics has nothing to follow up: run an operational one";
        return Err(NodeError::refused(Reason::InvalidRequest, message));
    }
    let shared = picture.shared.iter();
    let named = shared.filter(|one| one.pseudonym.starts_with(&wish.pseudonym));
    let shared = one_of(named.collect(), "pseudonym", "overlap picture show")?;
    let damaged = || NodeError::Store(StoreError::Damaged("a kept picture cannot be read"));
    let pseudonym = hex::decode(&shared.pseudonym)
        .ok()
        .and_then(|bytes| bytes.try_into().ok());
    let pseudonym: [u8; 16] = pseudonym.ok_or_else(damaged)?;
    let own = own_records(node, &row, &pseudonym)?;
    let others = shared.agencies.iter().filter(|name| **name != node.config.name);
    others
        .map(|name| {
            let id = id_of(&row, &shared.pseudonym, name);
            let known = node.store.follow_ups().get(false, id)?;
            let is_known = known.is_some();
            let fresh = fresh(&row, shared, name, id, own.clone(), &picture)?;
            let row = FollowUp {
                reason: wish.about.reason.clone(),
                ..known.unwrap_or(fresh)
            };
            Ok(Wanted {
                row,
                is_known,
                pseudonym,
            })
        })
        .collect()
}

/// The same each time it is asked: who asks twice asks about one follow-up.
fn id_of(row: &KeptPicture, pseudonym: &str, holder: &str) -> Uuid {
    let hash = crate::identity::sha256(format!("overlap/picture/follow-up {} {pseudonym} {holder}", row.id).as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.0[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn fresh(
    row: &KeptPicture,
    shared: &Shared,
    holder: &str,
    id: Uuid,
    records: Vec<OwnRecord>,
    picture: &overlap_report::Picture,
) -> Result<FollowUp, NodeError> {
    let kind = shared.kind.parse();
    Ok(FollowUp {
        id,
        about: row.id,
        as_holder: false,
        peer: holder.to_owned(),
        agreement: row.agreement,
        dataset: row.dataset.clone(),
        purpose: picture.purpose.clone(),
        case_reference: picture.case_reference.clone(),
        person: String::new(),
        role: String::new(),
        reason: String::new(),
        made: now(),
        decide_by: now(),
        kind: kind.map_err(|_| NodeError::Broken("a picture has an unknown kind"))?,
        partly: true,
        canonical: None,
        records,
        expires: None,
        decision: None,
        attachment: None,
        disclosed: Vec::new(),
    })
}

/// Own records behind a pseudonym, where this agency took part.
fn own_records(node: &Node, row: &KeptPicture, pseudonym: &[u8; 16]) -> Result<Vec<OwnRecord>, NodeError> {
    let Some(link) = node.store.pictures().link(row.id, pseudonym)? else {
        return Ok(Vec::new());
    };
    let Some(dataset) = node.store.dataset(&row.dataset) else {
        return Ok(Vec::new());
    };
    let selection = Selection::of(&node.config.profile, &overlap_records::Kind::ALL, true);
    let Some(place) = dataset.linked(&selection, &link)? else {
        return Ok(Vec::new());
    };
    let hit = dataset.hit(&selection, &place)?;
    let records = hit.records.into_iter().map(|record| OwnRecord {
        reference: record.reference,
        role: record.role,
        visibility: None,
        origin: record.origin,
    });
    Ok(records.collect())
}
