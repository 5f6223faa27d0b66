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
    time::Duration,
};

use futures::FutureExt;
use overlap_audit::{Closing, Digest, Entry, Outcome, Side};
use overlap_proto::fault::Reason;
use overlap_store::StoreError;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    error::NodeError,
    fault,
    node::{Node, now},
    policy::{Denial, Permit, Permitted, Terms},
    pool::blocking,
};

/// A query whose entry is on disk.
pub(crate) struct Opened<T = Terms> {
    permit: Permit<T>,
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
    /// For who leads a picture: ids of those that it did not leave for.
    pub(crate) unheard: Vec<String>,
    /// For a holder: what it has handed over so far, counted up to the moment of the end.
    pub(crate) supplied: Option<Arc<AtomicU64>>,
    /// Whether a standing stream stood, for however long.
    pub(crate) stood: bool,
    /// What is worth telling although the session ended as asked.
    pub(crate) remark: Option<String>,
}

/// What runs between the opening and the end of an entry.
pub(crate) trait Session: Send + 'static {
    /// What was permitted.
    type Terms: Permitted;
    /// What the session yields; leaves after the log is closed.
    type Output: Send;

    /// Runs; `finding` is logged however it ends.
    fn run(
        self,
        node: &Arc<Node>,
        opened: &Opened<Self::Terms>,
        finding: &mut Finding,
    ) -> impl Future<Output = Result<(Outcome, Self::Output), NodeError>> + Send;
}

impl<T> Opened<T> {
    pub(crate) fn terms(&self) -> &T {
        self.permit.terms()
    }

    pub(crate) fn entry(&self) -> &Entry {
        self.permit.entry()
    }
}

/// Runs one query to its end. Call it from a task of [`Node::queries`], so that a caller that hangs up cannot cut it.
pub(crate) async fn run<S: Session>(
    node: &Arc<Node>,
    decision: Result<Permit<S::Terms>, Box<Denial>>,
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
        // one of thousands is in the log alone
        let is_told = !opened.terms().is_routine();
        if is_told {
            tracing::info!("query admitted");
        }
        let side = opened.entry().side;
        fault::point(side, "opened");
        let mut finding = Finding::default();
        let running = unpanicked(session.run(node, &opened, &mut finding));
        // a permission that ends while it is used ends the session
        let ended = tokio::select! {
            biased;
            error = forbidden(node, &opened) => Err(error),
            ended = running => ended.flatten(),
        };
        let supplied = finding
            .supplied
            .as_ref()
            .map_or(0, |supplied| supplied.load(Ordering::Relaxed));
        let (outcome, detail) = match &ended {
            Ok((outcome, _)) => (*outcome, finding.remark.take()),
            // what was cut after something was handed over was not refused, nor what stood until then
            Err(error) if error.outcome() == Outcome::Denied && (supplied > 0 || finding.stood) => {
                (Outcome::Error, Some(error.to_string()))
            }
            Err(error) => (error.outcome(), Some(error.to_string())),
        };
        fault::point(side, "ended");
        let owed_by = owed_by(opened.entry(), &finding);
        close(node, opened.entry().id, outcome, finding, detail, owed_by).await?;
        fault::point(side, "closed");
        for other in opened.entry().others() {
            if let Ok(correspondence) = node.correspondence(other) {
                correspondence.poke.notify_one();
            }
        }
        match &ended {
            Ok(_) if is_told => tracing::info!(%outcome, "query ended"),
            Ok(_) => tracing::debug!(%outcome, "query ended"),
            Err(error) => tracing::warn!(%outcome, reason = error.reason().name(), "query ended"),
        }
        ended.map(|(_, output)| output)
    }
    .instrument(span)
    .await
}

/// Waits until a query may go on no more: its time is over, its agreement or order has ended, or the policy has changed against it.
async fn forbidden<T: Permitted>(node: &Arc<Node>, opened: &Opened<T>) -> NodeError {
    let limit = node.config.limits.session;
    let overtime = Instant::now() + limit;
    let mut changed = node.agreements.changed.subscribe();
    let (terms, until) = (opened.terms(), opened.terms().until());
    loop {
        if let Err(error) = terms.check_again(node, opened.entry(), now()) {
            return error;
        }
        // the clock may be set meanwhile: looked at again every minute
        let left = Duration::try_from(until.duration_since(now())).unwrap_or_default();
        let again = Instant::now() + left.min(Duration::from_secs(60));
        let overtime_or = if terms.goes_on() { again } else { overtime };
        tokio::select! {
            _ = changed.changed() => {}
            () = tokio::time::sleep_until(again.min(overtime_or)) => {}
        }
        if Instant::now() >= overtime && !terms.goes_on() {
            return NodeError::Overtime {
                seconds: limit.as_secs(),
            };
        }
    }
}

/// Closes what a crash left open. Runs before the node listens.
pub(crate) async fn close_interrupted(node: &Arc<Node>) -> Result<usize, NodeError> {
    let store = Arc::clone(&node.store);
    let open = blocking(move || store.log().open_entries()).await?;
    let open = open.map_err(NodeError::Log)?;
    for entry in &open {
        let detail = Some("the node stopped before the end".to_owned());
        // nobody knows any more whether the peer heard of it: the peer does
        let sent = Finding {
            sent: Some(true),
            ..Finding::default()
        };
        let owed_by = owed_by(entry, &sent);
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
    let opened = node.store.log().open_entry(&entry, &[]).await;
    opened.map_err(|error| failed(node, error))?;
    let (outcome, mut finding, ended) = match unpanicked(work).await.flatten() {
        Ok((outcome, finding, result)) => (outcome, finding, Ok(result)),
        Err(error) => (error.outcome(), Finding::default(), Err(error)),
    };
    let detail = match &ended {
        Ok(_) => finding.remark.take(),
        Err(error) => Some(error.to_string()),
    };
    close(node, id, outcome, finding, detail, Vec::new()).await?;
    ended
}

/// Who owes a receipt for an entry: the holders that an own query was sent to.
fn owed_by(entry: &Entry, finding: &Finding) -> Vec<(Uuid, String)> {
    if entry.side != Side::Asker || finding.sent != Some(true) {
        return Vec::new();
    }
    let heard = entry.others().filter(|other| !finding.unheard.contains(other));
    heard.map(|other| (entry.transaction, other.clone())).collect()
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

async fn open<T: Permitted>(node: &Arc<Node>, permit: Permit<T>) -> Result<Opened<T>, NodeError> {
    let opened = node.store.log().open_entry(permit.entry(), permit.quotas()).await;
    if opened.is_err() && permit.entry().side == Side::Asker {
        let (store, id) = (Arc::clone(&node.store), permit.entry().id);
        // what would open the commitment of a query that is not asked; if this fails, the next start does it
        let _ = blocking(move || store.log().drop_input(id)).await;
    }
    match opened {
        Ok(()) => Ok(Opened { permit }),
        Err(StoreError::QuotaExceeded { name, limit, used }) => {
            let wanted = permit.quotas().iter().find(|quota| quota.name == name);
            let wanted = wanted.map_or(0, |quota| quota.amount);
            let message = match name {
                "items_per_day" => format!(
                    "the agreement's daily amount of {limit} items is used up: {used} asked today, {wanted} more wanted"
                ),
                "items_per_user_and_day" => format!(
                    "the agreement's daily amount of {limit} items for one user is used up: {used} asked today, {wanted} more wanted"
                ),
                "counts_per_day" => format!("the agreement allows {limit} counts a day: {used} were asked today"),
                "repeats_per_day" => format!(
                    "the same items were asked of this dataset {used} times today, of {limit} (limit repeats_per_day): change the dataset, or ask tomorrow"
                ),
                "queries_per_hour" => {
                    format!("the agreement allows {limit} queries an hour: {used} were asked in this one")
                }
                "follow_ups" => format!("it asked about {limit} items: {used} hits of it were followed up"),
                "approval_uses" => "the approval was used before: each query needs its own".to_owned(),
                _ => format!("the order may be used {limit} times at one holder: {used} uses are counted"),
            };
            let denial = Denial {
                entry: permit.entry().clone(),
                error: NodeError::limit(name, message),
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
    owed_by: Vec<(Uuid, String)>,
) -> Result<(), NodeError> {
    let closing = closing(id, outcome, finding, detail);
    let closed = node.store.log().close_entry(&closing, &owed_by).await;
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
