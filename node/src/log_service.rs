//! What users ask about the log: looking entries up, taking all of it away, opening a commitment.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use overlap_audit::{InputProof, KeyProof, Logged, Operation, Outcome, Side};
use overlap_proto::{
    fault::Reason,
    operator::{self, ListEntries, OpenInput},
    pb::operator as pb,
};
use overlap_psi::{Item, Stored};
use overlap_store::{LogPlace, Search, Selection, StoreError};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::{
    config::Peer,
    dataset_service::dataset_entry,
    error::NodeError,
    node::{Node, now},
    policy::{Denial, User},
    pool::blocking,
    rules::Action,
    session::send_blocking,
    spine::{self, Finding},
};

/// Bytes of one message of an export.
const CHUNK: usize = 256 << 10;
/// Messages that wait for the user's side.
const QUEUE: usize = 4;

/// Looks entries up.
pub(crate) async fn list(node: &Arc<Node>, wish: ListEntries) -> Result<pb::ListEntriesResponse, NodeError> {
    let after = wish.after.map(|place| parse_place(&place)).transpose()?;
    let peer_id = |peer: String| match node.config.peers.iter().find(|known| known.name == peer) {
        Some(known) => Ok(known.id.clone()),
        // the log may have entries with agencies that are peers no longer
        None if peer.starts_with("spiffe://") => Ok(peer),
        None => Err(NodeError::refused(
            Reason::NotFound,
            "there is no peer of that name: see `overlap status`, or give the agency's id (spiffe://...)",
        )),
    };
    let search = Search {
        from: wish.from,
        until: wish.until,
        transaction: wish.transaction,
        peer: wish.peer.map(peer_id).transpose()?,
        person: wish.person,
        purpose: wish.purpose,
        case_reference: wish.case_reference,
        outcome: wish.outcome,
        after,
    };
    let (store, limit) = (Arc::clone(&node.store), wish.limit);
    let found = blocking(move || store.log().search(&search, limit)).await??;
    let is_full = found.len() == limit;
    // a page ends early rather than outgrow a message; the caller asks on from where it ended
    let (mut entries, mut bytes, mut last) = (Vec::new(), 0, None);
    let mut is_cut = false;
    for (place, logged) in found {
        let entry = json(&logged)?;
        bytes += entry.len();
        if bytes > node.config.limits.message_bytes / 2 && !entries.is_empty() {
            is_cut = true;
            break;
        }
        last = Some(place);
        entries.push(entry);
    }
    let next = last.filter(|_| is_full || is_cut).map(place_bytes).unwrap_or_default();
    Ok(pb::ListEntriesResponse {
        entries,
        next: next.into(),
    })
}

/// Streams the whole log as a file; the taking away is an entry, and in the file.
pub(crate) fn export(
    node: &Arc<Node>,
    user: User,
    reason: String,
) -> impl tokio_stream::Stream<Item = Result<pb::ExportLogResponse, Status>> + Send + use<> {
    let (out, stream) = mpsc::channel(QUEUE);
    let running = Arc::clone(node);
    node.queries.spawn(async move {
        if let Err(error) = export_to(&running, &user, reason, &out).await {
            let idle = running.config.limits.idle_stream;
            let _ = tokio::time::timeout(idle, out.send(Err(error.to_status()))).await;
        }
    });
    ReceiverStream::new(stream)
}

async fn export_to(
    node: &Arc<Node>,
    user: &User,
    reason: String,
    out: &mpsc::Sender<Result<pb::ExportLogResponse, Status>>,
) -> Result<(), NodeError> {
    let mut entry = dataset_entry(node, user, Operation::Consultation, "");
    entry.dataset = None;
    entry.reason = Some(reason);
    match node.permit(user, Action::ExportLog) {
        Ok(role) => entry.role = Some(role.name().to_owned()),
        Err(error) => return Err(spine::deny(node, Denial { entry, error }).await),
    }
    let remark = "the log was exported".to_owned();
    spine::record(node, entry, Outcome::Done, Some(remark)).await?;
    let (store, agency) = (Arc::clone(&node.store), node.config.id.clone());
    let file = Chunks {
        buffer: Vec::with_capacity(CHUNK),
        out: out.clone(),
        idle: node.config.limits.idle_stream,
    };
    blocking(move || store.log().export(&agency, now(), file).map(drop)).await??;
    Ok(())
}

/// Cuts a file into messages.
struct Chunks {
    buffer: Vec<u8>,
    out: mpsc::Sender<Result<pb::ExportLogResponse, Status>>,
    idle: Duration,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        for part in chunk.chunks(2 * CHUNK) {
            let message = pb::ExportLogResponse {
                chunk: part.to_vec().into(),
            };
            send_blocking(&self.out, Ok(message), Some(self.idle), "the user")
                .map_err(|error| io::Error::other(error.to_string()))?;
        }
        Ok(())
    }
}

/// Shows whether an identifier was in the set of an own query; an entry.
pub(crate) async fn open_input(node: &Arc<Node>, user: &User, wish: OpenInput) -> Result<String, NodeError> {
    let mut entry = dataset_entry(node, user, Operation::Consultation, "");
    entry.dataset = None;
    entry.reason = Some(wish.reason);
    match node.permit(user, Action::OpenInput) {
        Ok(role) => entry.role = Some(role.name().to_owned()),
        Err(error) => return Err(spine::deny(node, Denial { entry, error }).await),
    }
    let running = Arc::clone(node);
    spine::logged(node, entry, async move {
        let (transaction, identifier) = (wish.transaction, wish.identifier);
        let proof = blocking(move || {
            let none = || {
                let message =
                    "this node asked no query with that transaction id and an input commitment, or it was shredded";
                NodeError::refused(Reason::NotFound, message)
            };
            let log = running.store.log();
            let id = log.entry_of(Side::Asker, transaction)?.ok_or_else(none)?;
            let logged = match log.entry(id) {
                Err(StoreError::Shredded) => return Err(none()),
                logged => logged?.ok_or_else(none)?,
            };
            let input_commitment = logged.entry.input_commitment.ok_or_else(none)?;
            let (salt, set) = log.input(id)?.ok_or_else(none)?;
            let profile = &running.config.profile;
            if logged.entry.profile_hash != Some(overlap_audit::Digest(profile.hash())) {
                let message = "the query was asked under another profile than this node has now: its items cannot be made again here";
                return Err(NodeError::refused(Reason::NotFound, message));
            }
            let kind = identifier.kind();
            if !logged.entry.kinds.iter().any(|taken| taken == kind.as_str()) {
                let message = format!("the query compared no identifiers of kind {kind}");
                return Err(NodeError::refused(Reason::NotFound, message));
            }
            let counting = logged.entry.mode.as_deref() == Some("count");
            let selection = Selection::of(profile, &[kind], counting);
            let taken: Vec<u16> = selection.keys().map(|(index, _)| index).collect();
            let keys = identifier.match_keys(profile).into_iter();
            let keys = keys.filter(|key| taken.contains(&key.key())).filter_map(|key| {
                let name = profile.keys().get(usize::from(key.key()))?.name();
                Some((name, Item::derive(profile.name(), name, key.as_bytes())))
            });
            let keys = keys.map(|(name, item)| {
                let element = Stored::of(&[item]).first().copied();
                let element = element.ok_or(NodeError::Broken("an item has no element"))?;
                let membership = set.show(&salt.leaf(&element.to_bytes())).map_err(StoreError::from)?;
                Ok(KeyProof {
                    key: name.to_owned(),
                    membership,
                })
            });
            let proof = InputProof {
                overlap_input_proof: 1,
                agency: running.config.id.clone(),
                transaction,
                profile: profile.name().to_owned(),
                profile_hash: overlap_audit::Digest(profile.hash()),
                kind: kind.to_string(),
                canonical: identifier.canonical().to_owned(),
                input_count: set.size(),
                input_commitment,
                salt: overlap_audit::Digest(*salt.as_bytes()),
                keys: keys.collect::<Result<_, NodeError>>()?,
            };
            serde_json::to_string(&proof).map_err(|_| NodeError::Broken("a proof cannot be written as JSON"))
        })
        .await??;
        let finding = Finding {
            remark: Some(format!(
                "the commitment of query {transaction} was opened for one identifier"
            )),
            ..Finding::default()
        };
        Ok((Outcome::Done, finding, proof))
    })
    .await
}

/// How the log stands, and who has countersigned it.
pub(crate) async fn status(node: &Arc<Node>) -> Result<(pb::LogStatus, Vec<pb::Alarm>), NodeError> {
    const MOST_COUNTED: usize = 10_000;
    let running = Arc::clone(node);
    blocking(move || {
        let log = running.store.log();
        let witness = |peer: &Peer| {
            let known = log.peer(&peer.id)?;
            let due = log.receipts_due(&peer.id, None, MOST_COUNTED)?.len() as u64;
            Ok::<_, StoreError>(pb::Witness {
                agency: peer.id.clone(),
                log_key: known.as_ref().map(|known| known.key.to_string()).unwrap_or_default(),
                cosigner_key: known
                    .as_ref()
                    .map(|known| known.cosigner.to_string())
                    .unwrap_or_default(),
                cosigned: known.and_then(|known| known.cosigned).unwrap_or_default(),
                receipts_due: due,
            })
        };
        let outbox = match running.config.ldv.is_some() {
            true => Some(log.outbox_size()?),
            false => None,
        };
        let status = pb::LogStatus {
            checkpoint: log.checkpoint(),
            log_key: log.verifying_key().to_string(),
            cosigner_key: log.signing_key().cosigner_key().to_string(),
            witnesses: running.config.peers.iter().map(witness).collect::<Result<_, _>>()?,
            outbox,
            is_failing: log.is_failing(),
        };
        let alarms = log.alarms()?.into_iter().map(|alarm| pb::Alarm {
            id: operator::id(alarm.id),
            raised: alarm.raised.to_string(),
            agency: alarm.agency,
            what: alarm.what,
            evidence: alarm.evidence,
        });
        Ok((status, alarms.collect()))
    })
    .await?
}

/// An entry as users see it.
pub(crate) fn json(logged: &Logged) -> Result<String, NodeError> {
    serde_json::to_string(logged).map_err(|_| NodeError::Broken("an entry cannot be written as JSON"))
}

fn place_bytes(place: LogPlace) -> Vec<u8> {
    [place.millis.to_be_bytes(), place.index.to_be_bytes()].concat()
}

fn parse_place(bytes: &[u8]) -> Result<LogPlace, NodeError> {
    match bytes.as_chunks::<8>() {
        ([millis, index], []) => Ok(LogPlace {
            millis: i64::from_be_bytes(*millis),
            index: u64::from_be_bytes(*index),
        }),
        _ => Err(NodeError::refused(
            Reason::InvalidRequest,
            "after: must be what a page gave as next",
        )),
    }
}
