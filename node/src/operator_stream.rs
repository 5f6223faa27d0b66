//! The streams between users and their node: imports in, matches out.

use std::{sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use overlap_audit::{Operation, Outcome};
use overlap_proto::{
    WireError,
    fault::Reason,
    operator::{self, ImportStep},
    pb::operator::{self as pb, match_response::Message},
};
use overlap_psi::dh::Matched;
use overlap_records::{Profile, Record};
use overlap_store::{Dataset, DatasetInfo, Hit, Import, Prepared, StoreError};
use rayon::prelude::*;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::{
    config::Role,
    error::NodeError,
    node::{Node, now},
    operator_service::dataset_entry,
    policy::{self, Denial, Permit, User},
    pool::{Pool, blocking},
    session::{self, Ask, Progress},
    spine::{self, Finding, Opened},
};

/// Messages that wait for the user's side.
const QUEUE: usize = 16;
/// Bytes of hits per message, about: far from the message limit whatever one record adds.
const HITS_BYTES: usize = 256 << 10;
/// Records whose items are hashed to the group together.
const PREPARED_TOGETHER: usize = 64;
/// Records per hit in one message; the rest follows under the same identifier.
const HIT_RECORDS: usize = 512;

/// Runs a match and streams what the user sees. The match goes on when the user hangs up.
pub(crate) fn ask(
    node: &Arc<Node>,
    decision: Result<Permit, Box<Denial>>,
) -> impl tokio_stream::Stream<Item = Result<pb::MatchResponse, Status>> + Send + use<> {
    let (out, stream) = mpsc::channel(QUEUE);
    let running = Arc::clone(node);
    node.queries.spawn(async move {
        if let Err(error) = ask_and_tell(&running, decision, &out).await {
            let _ = timeout(running.config.limits.idle_stream, out.send(Err(error.to_status()))).await;
        }
    });
    ReceiverStream::new(stream)
}

async fn ask_and_tell(
    node: &Arc<Node>,
    decision: Result<Permit, Box<Denial>>,
    out: &mpsc::Sender<Result<pb::MatchResponse, Status>>,
) -> Result<(), NodeError> {
    let (decision, session) = match decision {
        Ok(permit) => match node.session_with(&permit.terms().peer.id) {
            Ok(session) => (Ok(permit), Some(session)),
            Err(error) => (Err(permit.deny(error)), None),
        },
        denied => (denied, None),
    };
    // what names the items is needed after the session ended
    let held = decision.as_ref().ok().map(|permit| {
        let terms = permit.terms();
        (terms.dataset.clone(), terms.kinds.clone())
    });
    let told = out.clone();
    // a user that reads slowly, or no more, misses steps of progress and holds up nothing
    let progress = move |opened: &Opened, progress: Progress| drop(told.try_send(Ok(step(opened, &progress))));
    let answer = spine::run(node, decision, Ask { progress }).await?;
    drop(session);
    let (count, hits) = match answer.matched {
        Matched::Count(count) => (count, Vec::new()),
        Matched::Hits(positions) => (positions.len() as u64, positions),
    };
    if let Some((dataset, kinds)) = held
        && !hits.is_empty()
    {
        let out = out.clone();
        let idle = node.config.limits.idle_stream;
        blocking(move || tell_hits(dataset.hits(&kinds, &hits), &out, idle)).await??;
    }
    let done = pb::MatchDone {
        count,
        peer_set_size: answer.peer_size,
    };
    let _ = timeout(
        node.config.limits.idle_stream,
        out.send(Ok(message(Message::Done(done)))),
    )
    .await;
    Ok(())
}

fn step(opened: &Opened, progress: &Progress) -> pb::MatchResponse {
    let terms = opened.terms();
    message(match progress {
        Progress::Admitted => Message::Admitted(pb::MatchAdmitted {
            transaction: operator::id(opened.entry().transaction),
            entry: operator::id(opened.entry().id),
            agreement: terms.agreement.id.clone(),
            kinds: terms.kinds.iter().map(ToString::to_string).collect(),
            set_size: terms.opening.set_size,
        }),
        Progress::Received { received, total, peer } => Message::Progress(pb::MatchProgress {
            received: *received,
            total: *total,
            peer_set_size: *peer,
        }),
    })
}

fn tell_hits(
    hits: impl Iterator<Item = Result<Hit, StoreError>>,
    out: &mpsc::Sender<Result<pb::MatchResponse, Status>>,
    idle: Duration,
) -> Result<(), NodeError> {
    // The query is done and logged: with a user that is gone the telling ends, and one that reads no more is told so instead of that
    // it is done.
    let tell = |hits| match session::send_blocking(
        out,
        Ok(message(Message::Hits(pb::Hits { hits }))),
        Some(idle),
        "the user",
    ) {
        Err(NodeError::PeerIdle { .. }) => Err(NodeError::limit(
            "idle_stream",
            "the hits were not taken in time; the query is done and in the log",
        )),
        sent => Ok(sent.is_ok()),
    };
    let mut batch = Vec::new();
    let mut bytes = 0;
    for hit in hits {
        let hit = hit?;
        for records in hit.records.chunks(HIT_RECORDS) {
            let records: Vec<pb::HitRecord> = records
                .iter()
                .map(|record| pb::HitRecord {
                    reference: record.reference.clone(),
                    role: record.role.to_string(),
                })
                .collect();
            bytes += hit.identifier.canonical().len() + records.iter().map(|r| r.reference.len() + 32).sum::<usize>();
            batch.push(pb::Hit {
                kind: hit.kind.to_string(),
                canonical: hit.identifier.canonical().to_owned(),
                records,
            });
            if bytes >= HITS_BYTES {
                bytes = 0;
                if !tell(std::mem::take(&mut batch))? {
                    return Ok(());
                }
            }
        }
    }
    if !batch.is_empty() {
        tell(batch)?;
    }
    Ok(())
}

fn message(message: Message) -> pb::MatchResponse {
    pb::MatchResponse { message: Some(message) }
}

/// Takes an import to its end: an entry, and a new version or nothing.
pub(crate) async fn import(
    node: &Arc<Node>,
    user: &User,
    mut steps: Streaming<pb::ImportDatasetRequest>,
) -> Result<DatasetInfo, NodeError> {
    let idle = node.config.limits.idle_stream;
    let (dataset, profile) = match next(&mut steps, idle).await? {
        Some(ImportStep::Begin {
            dataset,
            profile,
            profile_hash,
        }) => (dataset, policy::check_profile(&profile, &profile_hash)),
        _ => {
            return Err(WireError {
                field: "message",
                must: "must begin with begin",
            }
            .into());
        }
    };
    let mut entry = dataset_entry(node, user, Operation::Collection, &dataset);
    let profile = match user
        .acts_as(&[Role::Operator])
        .and_then(|role| profile.map(|profile| (role, profile)))
    {
        Ok((role, profile)) => {
            entry.role = Some(role.name().to_owned());
            profile
        }
        Err(error) => return Err(spine::deny(node, Denial { entry, error }).await),
    };
    let store = Arc::clone(&node.store);
    let import = blocking(move || store.import(&dataset)).await??;
    entry.dataset_version = Some(import.version());
    let pool = node.pool.clone();
    spine::logged(node, entry, async {
        // the reader of the stream and the writer of the store work at the same time
        let (batches, queue) = mpsc::channel(QUEUE);
        let writing = tokio::spawn(blocking(move || write(import, &pool, &profile, queue)));
        let forwarded = forward(&mut steps, batches, idle).await;
        let written = writing.await.unwrap_or(Err(NodeError::Broken("an import panicked")))?;
        forwarded?;
        let info = written?.info().clone();
        let finding = Finding {
            output_count: Some(info.records),
            ..Finding::default()
        };
        Ok((Outcome::Done, finding, info))
    })
    .await
}

enum Step {
    Records(Vec<Record>),
    Commit,
}

async fn forward(
    steps: &mut Streaming<pb::ImportDatasetRequest>,
    batches: mpsc::Sender<Step>,
    idle: Duration,
) -> Result<(), NodeError> {
    // a writer that failed takes no more; its error is the one to tell
    loop {
        match next(steps, idle).await? {
            Some(ImportStep::Records(records)) => {
                if batches.send(Step::Records(records)).await.is_err() {
                    return Ok(());
                }
            }
            Some(ImportStep::Commit) => {
                let _ = batches.send(Step::Commit).await;
                return Ok(());
            }
            Some(ImportStep::Begin { .. }) => {
                return Err(WireError {
                    field: "message",
                    must: "must begin once",
                }
                .into());
            }
            None => {
                return Err(WireError {
                    field: "message",
                    must: "must end with commit",
                }
                .into());
            }
        }
    }
}

fn write(
    mut import: Import,
    pool: &Pool,
    profile: &Profile,
    mut queue: mpsc::Receiver<Step>,
) -> Result<Dataset, NodeError> {
    let today = TimeZone::UTC.to_datetime(now()).date();
    loop {
        match queue.blocking_recv() {
            Some(Step::Records(records)) => pool.install(|| {
                let batches = records
                    .par_chunks(PREPARED_TOGETHER)
                    .flat_map_iter(|batch| Prepared::batch(profile, batch.to_vec(), today));
                import.add(&batches.collect::<Vec<_>>())
            })?,
            Some(Step::Commit) => return Ok(import.commit(profile, now())?),
            None => {
                return Err(NodeError::refused(
                    Reason::InvalidRequest,
                    "the import ended without commit",
                ));
            }
        }
    }
}

async fn next(
    steps: &mut Streaming<pb::ImportDatasetRequest>,
    idle: Duration,
) -> Result<Option<ImportStep>, NodeError> {
    let message = timeout(idle, steps.message())
        .await
        .map_err(|_| NodeError::limit("idle_stream", format!("nothing came for {} s", idle.as_secs())))?;
    let hung_up = |_| NodeError::refused(Reason::InvalidRequest, "the import was cut before its end");
    Ok(message.map_err(hung_up)?.map(ImportStep::try_from).transpose()?)
}
