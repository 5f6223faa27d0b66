//! Showing hits: those that own queries found, and those that peers follow up.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use overlap_audit::{Digest, Operation, Outcome, Standing};
use overlap_proto::{
    operator::{self, ListHits},
    pb::operator as pb,
};
use overlap_records::Kind;
use overlap_store::{FollowUp, FoundRecord, HitId, Store, StoreError};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use uuid::Uuid;

use crate::{
    dataset_service::dataset_entry,
    error::NodeError,
    node::Node,
    operator_stream::Telling,
    policy::{Denial, User},
    pool::blocking,
    retention,
    rules::Action,
    spine::{self, Finding},
};

/// Messages that wait for the user's side.
const QUEUE: usize = 16;
/// Hits in one message.
const TOGETHER: usize = 256;

/// Streams what matches found to a user; the reading is an entry.
pub(crate) fn list_hits(
    node: &Arc<Node>,
    user: User,
    wish: ListHits,
) -> impl tokio_stream::Stream<Item = Result<pb::ListHitsResponse, Status>> + Send + use<> {
    let (out, stream) = mpsc::channel(QUEUE);
    let running = Arc::clone(node);
    node.queries.spawn(async move {
        let idle = running.config.limits.idle_stream;
        if let Err(error) = hits_of(&running, &user, wish, &out).await {
            let _ = timeout(idle, out.send(Err(error.to_status()))).await;
        }
    });
    ReceiverStream::new(stream)
}

async fn hits_of(
    node: &Arc<Node>,
    user: &User,
    wish: ListHits,
    out: &mpsc::Sender<Result<pb::ListHitsResponse, Status>>,
) -> Result<(), NodeError> {
    let mut entry = dataset_entry(node, user, Operation::Consultation, "");
    entry.dataset = None;
    entry.reason = Some(wish.reason);
    match node.permit(user, Action::ReadHits) {
        Ok(role) => entry.role = Some(role.name().to_owned()),
        Err(error) => return Err(spine::deny(node, Denial { entry, error }).await),
    }
    // what is kept while this runs is told by the next reading: so no more is told than was counted
    let until = entry.started;
    let shown = Shown {
        gone: retention::Gone::at(node, until),
        transaction: wish.transaction,
        until,
    };
    let (store, shown) = (Arc::clone(&node.store), Arc::new(shown));
    let counted = Arc::clone(&shown);
    let followed = spine::logged(node, entry, async move {
        let (count, followed) = blocking(move || {
            let followed = Followed::read(&store, &counted)?;
            let mut count = followed.apart.iter().map(|row| row.records.len().max(1) as u64).sum();
            for row in store.hits().iter()? {
                count += u64::from(counted.shows(&row?.1));
            }
            Ok::<_, StoreError>((count, followed))
        })
        .await??;
        let finding = Finding {
            output_count: Some(count),
            remark: wish
                .transaction
                .map(|transaction| format!("what query {transaction} found")),
            ..Finding::default()
        };
        Ok((Outcome::Done, finding, followed))
    })
    .await?;
    let (store, user) = (Arc::clone(&node.store), Telling::to(out, node));
    blocking(move || {
        let (mut batch, mut total) = (Vec::new(), 0);
        let apart = followed.apart.iter().flat_map(|row| apart(row, until)).map(Ok);
        let found = store.hits().iter()?.filter_map(|row| match row {
            Ok((id, found)) => shown.shows(&found).then(|| Ok(found_hit(id, found, &followed, until))),
            Err(error) => Some(Err(error)),
        });
        for hit in found.chain(apart) {
            batch.push(hit?);
            total += 1;
            if batch.len() >= TOGETHER {
                let hits = std::mem::take(&mut batch);
                if !user.tell(pb::ListHitsResponse { hits, total: None })? {
                    return Ok(());
                }
            }
        }
        let total = Some(total);
        user.tell(pb::ListHitsResponse { hits: batch, total }).map(drop)
    })
    .await?
}

/// Which of the kept hits a reading shows.
struct Shown {
    gone: retention::Gone,
    transaction: Option<Uuid>,
    until: Timestamp,
}

impl Shown {
    fn shows(&self, found: &FoundRecord) -> bool {
        let wanted = self.transaction.is_none_or(|wanted| wanted == found.transaction);
        wanted && found.found <= self.until && !self.gone.is(found)
    }

    fn shows_row(&self, row: &FollowUp) -> bool {
        let wanted = self.transaction.is_none_or(|wanted| wanted == row.about);
        wanted && row.made <= self.until && !self.gone.is_row(row)
    }
}

/// What a hit that an own query found is followed up by.
type Key = (Digest, String, Kind, String);

/// The follow-ups of a reading.
struct Followed {
    /// Of own hits.
    own: HashMap<Key, FollowUp>,
    /// Those that stand for themselves: peers', and own ones of which the peer shows the kind alone.
    apart: Vec<FollowUp>,
}

impl Followed {
    fn read(store: &Store, shown: &Shown) -> Result<Self, StoreError> {
        let mut followed = Self {
            own: HashMap::new(),
            apart: Vec::new(),
        };
        for row in store.follow_ups().iter()? {
            let row = row?;
            match (&row.canonical, row.as_holder || row.partly) {
                (Some(canonical), false) if !shown.gone.is_row(&row) => {
                    let key = (row.agreement, row.peer.clone(), row.kind, canonical.clone());
                    // of several the last
                    let is_newer = followed.own.get(&key).is_none_or(|known| known.made < row.made);
                    if is_newer {
                        followed.own.insert(key, row);
                    }
                }
                (_, true) if shown.shows_row(&row) => followed.apart.push(row),
                _ => {}
            }
        }
        Ok(followed)
    }
}

fn found_hit(id: HitId, found: FoundRecord, followed: &Followed, now: Timestamp) -> pb::FoundHit {
    let key = (found.agreement, found.peer.clone(), found.kind, found.canonical.clone());
    let row = followed.own.get(&key).filter(|_| !found.as_holder);
    let standing = row.map(|row| row.standing(now));
    let plain = match (found.as_holder, found.by_both) {
        (true, false) => "hidden",
        (true, true) => "shared",
        (false, _) => "found",
    };
    pb::FoundHit {
        transaction: operator::id(found.transaction),
        found: found.found.to_string(),
        peer: found.peer,
        dataset: found.dataset,
        purpose: found.purpose,
        case_reference: found.case_reference,
        kind: found.kind.to_string(),
        canonical: found.canonical,
        record: Some(pb::HitRecord {
            reference: found.reference,
            role: found.role.to_string(),
            origin: found.origin.unwrap_or_default(),
        }),
        score: found.score,
        as_holder: found.as_holder,
        id: row.map_or_else(|| id.0.to_vec().into(), |row| operator::id(row.id)),
        state: standing.map_or(plain, Standing::name).to_owned(),
        declined: declined(standing),
        decide_by: row.map(|row| decide_by(row, now)).unwrap_or_default(),
    }
}

/// A follow-up that stands for itself, once for each own record.
fn apart(row: &FollowUp, now: Timestamp) -> Vec<pb::FoundHit> {
    let standing = Some(row.standing(now));
    let hit = |record: Option<pb::HitRecord>| pb::FoundHit {
        transaction: operator::id(row.about),
        found: row.made.to_string(),
        peer: row.peer.clone(),
        dataset: row.dataset.clone(),
        purpose: row.purpose.clone(),
        case_reference: row.case_reference.clone(),
        kind: row.kind.to_string(),
        canonical: row.canonical.clone().unwrap_or_default(),
        record,
        score: None,
        as_holder: row.as_holder,
        id: operator::id(row.id),
        state: standing.map_or("", Standing::name).to_owned(),
        declined: declined(standing),
        decide_by: decide_by(row, now),
    };
    match row.records.as_slice() {
        [] => vec![hit(None)],
        records => {
            let records = records.iter().map(|record| pb::HitRecord {
                reference: record.reference.clone(),
                role: record.role.to_string(),
                origin: record.origin.clone().unwrap_or_default(),
            });
            records.map(|record| hit(Some(record))).collect()
        }
    }
}

pub(super) fn declined(standing: Option<Standing>) -> String {
    let why = standing.and_then(Standing::declined);
    why.map(|why| why.to_string()).unwrap_or_default()
}

fn decide_by(row: &FollowUp, now: Timestamp) -> String {
    match row.standing(now) {
        Standing::Pending => row.decide_by.to_string(),
        _ => String::new(),
    }
}
