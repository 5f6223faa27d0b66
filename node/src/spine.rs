//! The spine: the one way a query runs.
//!
//! A [`Permit`] opens the log, and only an [`Opened`] runs a session; the result leaves after the log is closed. Both have private fields:
//! code that skips authorisation or the log does not compile.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::FutureExt;
use overlap_audit::{Closing, Digest, Entry, Outcome, Side};
use overlap_proto::fault::Reason;
use overlap_store::StoreError;
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    error::NodeError,
    fault,
    node::{Node, now},
    policy::{Denial, Permit, Terms},
    pool::blocking,
};

/// A query whose entry is on disk.
pub(crate) struct Opened {
    permit: Permit,
}

/// How a session ended, for the log.
#[derive(Debug, Default)]
pub(crate) struct Finding {
    pub(crate) output_count: Option<u64>,
    pub(crate) hits: Option<u64>,
    pub(crate) candidates: Option<u64>,
    pub(crate) peer_count: Option<u64>,
    pub(crate) callee_certificate: Option<Digest>,
    /// For an asker: whether the query left for the peer.
    pub(crate) sent: Option<bool>,
    /// For a holder: what it has handed over so far, counted up to the moment of the end.
    pub(crate) supplied: Option<Arc<AtomicU64>>,
    /// What is worth telling although the session ended as asked.
    pub(crate) remark: Option<String>,
}

/// What runs between the opening and the end of an entry.
pub(crate) trait Session: Send + 'static {
    /// What the session yields; leaves after the log is closed.
    type Output: Send;

    /// Runs; `finding` is logged however it ends.
    fn run(
        self,
        node: &Arc<Node>,
        opened: &Opened,
        finding: &mut Finding,
    ) -> impl Future<Output = Result<(Outcome, Self::Output), NodeError>> + Send;
}

impl Opened {
    pub(crate) fn terms(&self) -> &Terms {
        self.permit.terms()
    }

    pub(crate) fn entry(&self) -> &Entry {
        self.permit.entry()
    }
}

/// Runs one query to its end. Call it from a task of [`Node::queries`], so that a caller that hangs up cannot cut it.
pub(crate) async fn run<S: Session>(
    node: &Arc<Node>,
    decision: Result<Permit, Box<Denial>>,
    session: S,
) -> Result<S::Output, NodeError> {
    let opened = match decision {
        Ok(permit) => {
            fault::point(permit.entry().side, "permitted");
            open(node, permit).await?
        }
        Err(denial) => return Err(deny(node, *denial).await),
    };
    let span = tracing::info_span!("query", transaction = %opened.entry().transaction, side = %opened.entry().side);
    async {
        tracing::info!("query admitted");
        let side = opened.entry().side;
        fault::point(side, "opened");
        let mut finding = Finding::default();
        let limit = node.config.limits.session;
        let running = tokio::time::timeout(limit, session.run(node, &opened, &mut finding));
        let ended = match unpanicked(running).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(_)) => Err(NodeError::Overtime {
                seconds: limit.as_secs(),
            }),
            Err(panic) => Err(panic),
        };
        let (outcome, detail) = match &ended {
            Ok((outcome, _)) => (*outcome, finding.remark.take()),
            Err(error) => (error.outcome(), Some(error.to_string())),
        };
        fault::point(side, "ended");
        let owed_by = owed_by(opened.entry(), finding.sent);
        close(node, opened.entry().id, outcome, finding, detail, owed_by).await?;
        fault::point(side, "closed");
        if let Ok(correspondence) = node.correspondence(&opened.terms().peer.id) {
            correspondence.poke.notify_one();
        }
        match &ended {
            Ok(_) => tracing::info!(%outcome, "query ended"),
            Err(error) => tracing::warn!(%outcome, reason = error.reason().name(), "query ended"),
        }
        ended.map(|(_, output)| output)
    }
    .instrument(span)
    .await
}

/// Closes what a crash left open. Runs before the node listens.
pub(crate) async fn close_interrupted(node: &Arc<Node>) -> Result<usize, NodeError> {
    let store = Arc::clone(&node.store);
    let open = blocking(move || store.log().open_entries()).await?;
    let open = open.map_err(NodeError::Log)?;
    for entry in &open {
        let detail = Some("the node stopped before the end".to_owned());
        // nobody knows any more whether the peer heard of it: the peer does
        let owed_by = owed_by(entry, Some(true));
        close(
            node,
            entry.id,
            Outcome::Interrupted,
            Finding::default(),
            detail,
            owed_by,
        )
        .await?;
    }
    Ok(open.len())
}

/// Logs something that was refused before it began; the error is the refusal, or the log's if that fails.
pub(crate) async fn deny(node: &Arc<Node>, denial: Denial) -> NodeError {
    tracing::warn!(transaction = %denial.entry.transaction, reason = denial.error.reason().name(), "query denied");
    match record(
        node,
        denial.entry,
        denial.error.outcome(),
        Some(denial.error.to_string()),
    )
    .await
    {
        Ok(()) => denial.error,
        Err(log) => log,
    }
}

/// Runs work on own data between the opening and the end of its entry.
pub(crate) async fn logged<T>(
    node: &Arc<Node>,
    entry: Entry,
    work: impl Future<Output = Result<(Outcome, Finding, T), NodeError>>,
) -> Result<T, NodeError> {
    let id = entry.id;
    let opened = node.store.log().open_entry(&entry, None).await;
    opened.map_err(|error| failed(node, error))?;
    let (outcome, mut finding, ended) = match unpanicked(work).await.flatten() {
        Ok((outcome, finding, result)) => (outcome, finding, Ok(result)),
        Err(error) => (error.outcome(), Finding::default(), Err(error)),
    };
    let detail = match &ended {
        Ok(_) => finding.remark.take(),
        Err(error) => Some(error.to_string()),
    };
    close(node, id, outcome, finding, detail, None).await?;
    ended
}

/// Who owes a receipt for an entry: the holder that an own query was sent to.
fn owed_by(entry: &Entry, sent: Option<bool>) -> Option<(Uuid, String)> {
    let holder = entry.holder.clone().filter(|_| entry.side == Side::Asker)?;
    (sent == Some(true)).then_some((entry.transaction, holder))
}

/// Turns a panic, ours or of a library under a peer's message, into an error: an entry that was opened is closed whatever happens.
async fn unpanicked<T>(work: impl Future<Output = T>) -> Result<T, NodeError> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .map_err(|_| NodeError::Broken("a session panicked"))
}

/// Logs what ends as it begins.
pub(crate) async fn record(
    node: &Arc<Node>,
    entry: Entry,
    outcome: Outcome,
    detail: Option<String>,
) -> Result<(), NodeError> {
    let closing = closing(entry.id, outcome, Finding::default(), detail);
    let running = Arc::clone(node);
    // in a task of its own: a caller that hangs up takes no entry with it
    let recording = node
        .queries
        .spawn(async move { running.store.log().record(&entry, &closing).await });
    let recorded = recording
        .await
        .map_err(|_| NodeError::Broken("an entry's task panicked"))?;
    recorded.map_err(|error| failed(node, error))
}

async fn open(node: &Arc<Node>, permit: Permit) -> Result<Opened, NodeError> {
    let opened = node.store.log().open_entry(permit.entry(), Some(permit.quota())).await;
    if opened.is_err() && permit.entry().side == Side::Asker {
        let (store, id) = (Arc::clone(&node.store), permit.entry().id);
        // what would open the commitment of a query that is not asked; if this fails, the next start does it
        let _ = blocking(move || store.log().drop_input(id)).await;
    }
    match opened {
        Ok(()) => Ok(Opened { permit }),
        Err(StoreError::QuotaExceeded { limit, used }) => {
            let message = format!(
                "the agreement's daily amount of {limit} items is used up: {used} asked today, {} more wanted",
                permit.quota().items
            );
            let denial = Denial {
                entry: permit.entry().clone(),
                error: NodeError::limit("items_per_day", message),
            };
            Err(deny(node, denial).await)
        }
        Err(StoreError::TransactionTaken) => {
            let message = "the transaction id was used before: each query needs its own";
            let denial = Denial {
                entry: permit.entry().clone(),
                error: NodeError::refused(Reason::InvalidRequest, message),
            };
            Err(deny(node, denial).await)
        }
        Err(error) => Err(failed(node, error)),
    }
}

/// The log's fault, which health checks tell from then on.
fn failed(node: &Node, error: StoreError) -> NodeError {
    if node.store.log().is_failing() {
        tracing::error!(%error, "the log cannot be written, so nothing is answered");
        node.alarmed.send_replace(true);
    }
    NodeError::Log(error)
}

async fn close(
    node: &Arc<Node>,
    id: Uuid,
    outcome: Outcome,
    finding: Finding,
    detail: Option<String>,
    owed_by: Option<(Uuid, String)>,
) -> Result<(), NodeError> {
    let closing = closing(id, outcome, finding, detail);
    let owed_by = owed_by
        .as_ref()
        .map(|(transaction, agency)| (*transaction, agency.as_str()));
    let closed = node.store.log().close_entry(&closing, owed_by).await;
    closed.map_err(|error| failed(node, error))
}

fn closing(id: Uuid, outcome: Outcome, finding: Finding, detail: Option<String>) -> Closing {
    Closing {
        id,
        ended: now(),
        outcome,
        output_count: finding
            .output_count
            .or(finding.supplied.map(|supplied| supplied.load(Ordering::Relaxed))),
        hits: finding.hits,
        candidates: finding.candidates,
        peer_count: finding.peer_count,
        callee_certificate: finding.callee_certificate,
        sent: finding.sent,
        detail,
    }
}
