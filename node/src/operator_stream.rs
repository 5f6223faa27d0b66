//! The streams between users and their node: imports in, matches out.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use overlap_audit::{Operation, Outcome};
use overlap_proto::{
    WireError,
    fault::Reason,
    operator::{self, ImportStep},
    pb::operator::{self as pb, match_response::Message},
};
use overlap_records::{Profile, Record};
use overlap_store::{Dataset, DatasetInfo, FollowUp, Import, Prepared, Selection, Store, StoreError};
use rayon::prelude::*;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::{
    approvals,
    dataset_service::{dataset_entry, no_dataset},
    error::NodeError,
    findings::Findings,
    node::{Node, now},
    policy::{self, Denial, Permit, Terms, User},
    pool::{Pool, blocking},
    retention,
    rules::Action,
    session::{self, Ask, Progress, committed},
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
/// Candidates in one message.
const CANDIDATES: usize = 256;

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
            Ok(session) => (committed(node, permit, Permit::<Terms>::commit).await?, Some(session)),
            Err(error) => (Err(permit.deny(error)), None),
        },
        denied => (denied, None),
    };
    let approval = decision.as_ref().ok().and_then(|permit| {
        let approval = permit.terms().approval?;
        Some((approval, permit.entry().transaction))
    });
    // what names the items is needed after the session ended
    let held = decision.as_ref().ok().map(|permit| {
        let terms = permit.terms();
        (terms.dataset.clone(), terms.selection.clone())
    });
    let told = out.clone();
    let opened = Arc::new(AtomicBool::new(false));
    let is_open = Arc::clone(&opened);
    // a user that reads slowly, or no more, misses steps of progress and holds up nothing
    let progress = move |opened: &Opened, progress: Progress| {
        is_open.store(true, Ordering::Relaxed);
        drop(told.try_send(Ok(step(opened, &progress))));
    };
    let answer = spine::run(node, decision, Ask { progress }).await;
    // one that was refused when it was opened has used nothing
    if let Some((approval, transaction)) = approval.filter(|_| opened.load(Ordering::Relaxed)) {
        approvals::used(node, approval, transaction).await;
    }
    let answer = answer?;
    drop(session);
    let mut done = pb::MatchDone {
        count: answer.count,
        peer_set_size: answer.peer_size,
        candidates: 0,
        suppressed_below: answer.suppressed_below.unwrap_or_default(),
        partly: kinds_of(&answer.partly),
    };
    if let (Some((dataset, selection)), Some((findings, about))) = (held, answer.found) {
        done.candidates = findings.candidates.len() as u64;
        let (store, user, partly) = (Arc::clone(&node.store), Telling::to(out, node), answer.partly);
        blocking(move || {
            keep_partly(&store, partly)?;
            findings.keep(&store, &dataset, &selection, &about, retention::today())?;
            tell(&findings, &dataset, &selection, &user)
        })
        .await??;
    }
    let _ = timeout(
        node.config.limits.idle_stream,
        out.send(Ok(message(Message::Done(done)))),
    )
    .await;
    Ok(())
}

/// Keeps hits of which the peer shows the kind alone. One that waits already goes on, from the newest match; an id that is of another
/// follow-up here is not the peer's to give.
fn keep_partly(store: &Store, partly: Vec<FollowUp>) -> Result<(), StoreError> {
    let mut rows = Vec::with_capacity(partly.len());
    for row in partly {
        match store.follow_ups().get(false, row.id)? {
            None => rows.push(row),
            Some(kept) if kept.partly && kept.peer == row.peer && kept.decision.is_none() => rows.push(FollowUp {
                about: row.about,
                ..kept
            }),
            Some(_) => {}
        }
    }
    store.follow_ups().put(&rows)
}

fn kinds_of(rows: &[FollowUp]) -> Vec<pb::KindCount> {
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows {
        *kinds.entry(row.kind.to_string()).or_default() += 1;
    }
    let kinds = kinds.into_iter().map(|(kind, items)| pb::KindCount { kind, items });
    kinds.collect()
}

fn step(opened: &Opened, progress: &Progress) -> pb::MatchResponse {
    let terms = opened.terms();
    message(match progress {
        Progress::Admitted => Message::Admitted(pb::MatchAdmitted {
            transaction: operator::id(opened.entry().transaction),
            entry: operator::id(opened.entry().id),
            agreement: terms.agreement.agreement().id.clone(),
            kinds: opened.entry().kinds.clone(),
            set_size: terms.opening.set_size,
        }),
        Progress::Received { received, total, peer } => Message::Progress(pb::MatchProgress {
            received: *received,
            total: *total,
            peer_set_size: *peer,
        }),
    })
}

/// The way to the user once what is told is logged.
pub(crate) struct Telling<T> {
    out: mpsc::Sender<Result<T, Status>>,
    idle: Duration,
}

impl<T: Send + 'static> Telling<T> {
    pub(crate) fn to(out: &mpsc::Sender<Result<T, Status>>, node: &Node) -> Self {
        Self {
            out: out.clone(),
            idle: node.config.limits.idle_stream,
        }
    }

    /// False with a user that is gone: the telling ends. One that reads no more is told so instead of that it is done.
    pub(crate) fn tell(&self, what: T) -> Result<bool, NodeError> {
        match session::send_blocking(&self.out, Ok(what), Some(self.idle), "the user") {
            Err(NodeError::PeerIdle { .. }) => Err(NodeError::limit(
                "idle_stream",
                "the hits were not taken in time; the query is done and in the log",
            )),
            sent => Ok(sent.is_ok()),
        }
    }
}

/// Tells hits, then candidates, in messages far from the limit.
fn tell(
    findings: &Findings,
    dataset: &Dataset,
    selection: &Selection,
    user: &Telling<pb::MatchResponse>,
) -> Result<(), NodeError> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    for place in &findings.hits {
        let hit = dataset.hit(selection, place)?;
        for records in hit.records.chunks(HIT_RECORDS) {
            let one = pb::Hit {
                kind: hit.identifier.kind().to_string(),
                canonical: hit.identifier.canonical().to_owned(),
                records: records.iter().map(hit_record).collect(),
            };
            bytes += one.canonical.len() + one.records.iter().map(record_bytes).sum::<usize>();
            batch.push(one);
            if bytes >= HITS_BYTES {
                bytes = 0;
                let hits = std::mem::take(&mut batch);
                if !user.tell(message(Message::Hits(pb::Hits { hits })))? {
                    return Ok(());
                }
            }
        }
    }
    if !batch.is_empty() && !user.tell(message(Message::Hits(pb::Hits { hits: batch })))? {
        return Ok(());
    }
    let name = |key: &u16| {
        let key = selection.profile().keys().get(usize::from(*key));
        key.map(|key| key.name().to_owned())
    };
    for candidates in findings.candidates.chunks(CANDIDATES) {
        let candidates = candidates.iter().map(|candidate| {
            Ok(pb::Candidate {
                canonical: candidate.person.canonical().to_owned(),
                record: Some(hit_record(&dataset.record(candidate.record)?)),
                peer_record: candidate.peer_record.0.to_vec().into(),
                score: candidate.score,
                keys: candidate.keys.iter().filter_map(name).collect(),
            })
        });
        let candidates = candidates.collect::<Result<_, StoreError>>()?;
        if !user.tell(message(Message::Candidates(pb::Candidates { candidates })))? {
            return Ok(());
        }
    }
    Ok(())
}

fn record_bytes(record: &pb::HitRecord) -> usize {
    const AROUND: usize = 32;
    record.reference.len() + record.role.len() + record.origin.len() + AROUND
}

fn hit_record(record: &Record) -> pb::HitRecord {
    pb::HitRecord {
        reference: record.reference.clone(),
        role: record.role.to_string(),
        origin: record.origin.clone().unwrap_or_default(),
    }
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
    let (dataset, append, profile) = match next(&mut steps, idle).await? {
        Some(ImportStep::Begin {
            dataset,
            profile,
            profile_hash,
            append,
        }) => (
            dataset,
            append,
            policy::check_profile(&node.config, &profile, &profile_hash),
        ),
        _ => {
            return Err(WireError {
                field: "message",
                must: "must begin with begin",
            }
            .into());
        }
    };
    let mut entry = dataset_entry(node, user, Operation::Collection, &dataset);
    let base = match (append, node.store.dataset(&dataset)) {
        (true, None) => Err(no_dataset(&dataset)),
        (true, base) => Ok(base),
        (false, _) => Ok(None),
    };
    let permitted = node.permit_on(user, Action::ImportDataset, &dataset);
    let base = match permitted.and_then(|role| profile.and(base).map(|base| (role, base))) {
        Ok((role, base)) => {
            entry.role = Some(role.name().to_owned());
            base
        }
        Err(error) => return Err(spine::deny(node, Denial { entry, error }).await),
    };
    let (before, remark) = match &base {
        None => (0, None),
        Some(base) => {
            let info = base.info();
            (info.records, Some(format!("added to version {}", info.version)))
        }
    };
    let (store, profile, name) = (Arc::clone(&node.store), node.config.profile.clone(), dataset.clone());
    let import = blocking(move || store.import(&dataset, &profile)).await??;
    entry.dataset_version = Some(import.version());
    let (pool, profile) = (node.pool.clone(), node.config.profile.clone());
    let imported = spine::logged(node, entry, async {
        // the reader of the stream and the writer of the store work at the same time
        let (batches, queue) = mpsc::channel(QUEUE);
        let writing = tokio::spawn(blocking(move || write(import, base.as_ref(), &pool, &profile, queue)));
        let forwarded = forward(&mut steps, batches, idle).await;
        let written = writing.await.unwrap_or(Err(NodeError::Broken("an import panicked")))?;
        forwarded?;
        let info = written?.info().clone();
        let finding = Finding {
            output_count: Some(info.records.saturating_sub(before)),
            remark,
            ..Finding::default()
        };
        Ok((Outcome::Done, finding, info))
    })
    .await?;
    retention::follow(node, &name).await;
    Ok(imported)
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
    base: Option<&Dataset>,
    pool: &Pool,
    profile: &Profile,
    mut queue: mpsc::Receiver<Step>,
) -> Result<Dataset, NodeError> {
    let today = retention::today();
    if let Some(base) = base {
        pool.install(|| import.append_to(base)).map_err(retention::refusal)?;
    }
    loop {
        match queue.blocking_recv() {
            Some(Step::Records(records)) => pool.install(|| {
                let batches = records
                    .par_chunks(PREPARED_TOGETHER)
                    .flat_map_iter(|batch| Prepared::batch(profile, batch.to_vec(), today));
                import.add(&batches.collect::<Vec<_>>())
            })?,
            Some(Step::Commit) => return import.commit(now()).map_err(retention::refusal),
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
