//! Telling peers about the own log, in the background: receipts for queries that ended, and heads to be countersigned.

use std::{sync::Arc, time::Duration};

use overlap_audit::{KeptReceipt, Operation, Outcome, Side, SignedCheckpoint, check_consistency};
use overlap_proto::{
    WireError,
    fault::Reason,
    log::{self, Cosign, CosignAnswer, Cosigned, MOST_RECEIPTS, Receipts, ReceiptsAnswer},
    pb::peer::{self as pb, peer_service_client::PeerServiceClient},
};
use overlap_store::{AlarmKind, PeerLog};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::{Response, Status, transport::Channel};

use crate::{
    alarm,
    config::Peer,
    dial::{self, Dialled},
    error::NodeError,
    node::Node,
    pool::blocking,
    witness,
};

/// How long queries that end at about the same time are waited for.
const GATHER: Duration = Duration::from_millis(50);
/// A log that grows by more events a second than this, as in an action, is not shown after each query, but as often as one that rests, or
/// when it has calmed down: countersigning would take more than the queries.
const BUSY: f64 = 20.0;
/// The longest wait after a peer could not be reached.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How long queries have the cores for themselves, between two portions of receipts.
const PAUSE: Duration = Duration::from_millis(500);

type Client = PeerServiceClient<Channel>;

/// Corresponds with one peer until the node drains.
pub(crate) async fn run(node: Arc<Node>, peer: Peer) {
    let Ok(correspondence) = node.correspondence(&peer.id) else {
        return;
    };
    // not with all peers at the same moment
    let every = || {
        let longest = node.config.limits.witness_every;
        longest.mul_f64(rand::random_range(0.5..=1.0))
    };
    let mut failures = 0;
    // the first word says whether this log is the one that the peer knows, also if it has not grown
    let mut is_first = true;
    let (mut last, mut size) = (Instant::now(), node.store.log().size());
    loop {
        let wait = match failures {
            0 if is_first => GATHER,
            0 => every(),
            failures => Duration::from_secs(1 << u32::min(failures, 9))
                .min(LONGEST_WAIT)
                .min(node.config.limits.witness_every),
        };
        let poked = async {
            // who cannot be reached is not called at each query
            match failures {
                0 => correspondence.poke.notified().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = node.draining.cancelled() => return,
            () = sleep(wait) => {}
            () = poked => {
                let grown = node.store.log().size().saturating_sub(size);
                sleep(GATHER).await;
                if grown as f64 > BUSY * last.elapsed().as_secs_f64() {
                    calm(&node, last + every()).await;
                }
            }
        }
        (last, size) = (Instant::now(), node.store.log().size());
        match round(&node, &peer, is_first).await {
            Ok(()) => (failures, is_first) = (0, false),
            Err(error) => {
                failures += 1;
                tracing::warn!(peer = peer.name, reason = error.reason().name(), %error, "no word about the logs");
            }
        }
    }
}

/// Waits until the log grows slowly, or until `latest`.
async fn calm(node: &Node, latest: Instant) {
    loop {
        let size = node.store.log().size();
        sleep_until(latest.min(Instant::now() + Duration::from_secs(1))).await;
        if (node.store.log().size() - size) as f64 <= BUSY || Instant::now() >= latest || node.draining.is_cancelled() {
            return;
        }
    }
}

async fn round(node: &Arc<Node>, peer: &Peer, is_first: bool) -> Result<(), NodeError> {
    let (store, id) = (Arc::clone(&node.store), peer.id.clone());
    let (known, owed) = blocking(move || {
        let log = store.log();
        Ok::<_, NodeError>((log.peer(&id)?, !log.receipts_due(&id, None, 1)?.is_empty()))
    })
    .await??;
    let cosigned = known.as_ref().map_or(0, |known| cosigned(node, known));
    let suspects = node.correspondence(&peer.id)?.suspects();
    let has_grown = is_first || node.store.log().size() > cosigned;
    if !has_grown && !owed && suspects.is_empty() {
        return Ok(());
    }
    let told = tell(
        node,
        peer,
        has_grown.then_some(cosigned),
        known.is_none(),
        owed,
        &suspects,
    )
    .await;
    if told.is_err() {
        node.correspondence(&peer.id)?.suspect_again(suspects);
    }
    told
}

async fn tell(
    node: &Arc<Node>,
    peer: &Peer,
    cosigned: Option<u64>,
    is_new: bool,
    owed: bool,
    suspects: &[SignedCheckpoint],
) -> Result<(), NodeError> {
    let tls = node.tls.dial.load_full();
    let Dialled {
        mut client,
        certificate,
        ..
    } = dial::dial(peer, tls, &node.config.limits, Arc::clone(&node.traffic)).await?;
    witness::check_key(node, peer, &certificate)?;
    if cosigned.is_some() || is_new {
        cosign(node, peer, &mut client, cosigned.unwrap_or_default()).await?;
    }
    if owed {
        exchange(node, peer, &mut client).await?;
    }
    for head in suspects {
        ask_about(node, peer, &mut client, head).await?;
    }
    Ok(())
}

/// Size of the own log that the peer countersigned last.
fn cosigned(node: &Node, known: &PeerLog) -> u64 {
    let signed = known
        .cosigned
        .as_deref()
        .and_then(|text| SignedCheckpoint::parse(text).ok());
    let size = signed.and_then(|signed| {
        signed
            .verify(node.store.log().verifying_key())
            .ok()
            .map(|head| head.size)
    });
    // of a log that was rolled back, the end is not there any more
    size.filter(|size| *size <= node.store.log().size()).unwrap_or_default()
}

/// Has the newest head countersigned.
async fn cosign(node: &Arc<Node>, peer: &Peer, client: &mut Client, from: u64) -> Result<(), NodeError> {
    // the peer may know another head than this node thinks, after a lost answer or a restored backup
    const TRIES: usize = 3;
    let mut from = from;
    for _ in 0..TRIES {
        let log = node.store.log();
        let signed = SignedCheckpoint::parse(&log.checkpoint())
            .map_err(|_| NodeError::Broken("the own checkpoint cannot be read"))?;
        let size = signed.unverified().size;
        let (store, start) = (Arc::clone(&node.store), from);
        let proof = blocking(move || store.log().consistency(start, size)).await??;
        let wish = Cosign {
            log_key: log.verifying_key().clone(),
            cosigner_key: log.signing_key().cosigner_key(),
            checkpoint: signed,
            old_size: from,
            proof,
            seen: witness::seen(node).await?,
        };
        let text = wish.checkpoint.to_string();
        let answer = call(node, peer, client.cosign(pb::CosignRequest::from(wish))).await?;
        let answer = Cosigned::try_from(answer).map_err(|source| wrong(peer, source))?;
        let known = witness::learn(node, peer, answer.log_key, answer.cosigner_key).await?;
        witness::compare(node, answer.seen).await?;
        match answer.answer {
            CosignAnswer::Line(line) => {
                let bad = |_| misbehaved(peer, "its countersignature does not hold");
                let signed = SignedCheckpoint::parse(&text).and_then(|signed| signed.with_cosignature(&line));
                let signed = signed.map_err(bad)?;
                signed.cosigned_at(&known.cosigner).map_err(bad)?;
                let text = signed.to_string();
                return witness::keep(node, &peer.id, move |log| log.cosigned = Some(text)).await;
            }
            CosignAnswer::Known(known) if known <= size => from = known,
            CosignAnswer::Known(known) => {
                return Err(misbehaved(
                    peer,
                    &format!("it says that it countersigned {known} events of this log, which has {size}"),
                ));
            }
        }
    }
    Err(misbehaved(peer, "it does not countersign what it asked for"))
}

/// Asks a peer for the proof that a head that others have seen is of the history that this node has seen.
async fn ask_about(
    node: &Arc<Node>,
    peer: &Peer,
    client: &mut Client,
    suspect: &SignedCheckpoint,
) -> Result<(), NodeError> {
    let (store, id) = (Arc::clone(&node.store), peer.id.clone());
    let Some(log) = blocking(move || store.log().peer(&id)).await?? else {
        return Ok(());
    };
    let (Ok(head), Some((last_signed, last))) = (witness::verified(suspect, &log.key), witness::witnessed(&log)?)
    else {
        return Ok(());
    };
    let (old, new) = if head.size < last.size {
        (&head, &last)
    } else {
        (&last, &head)
    };
    let request = pb::ProveConsistencyRequest {
        old_size: old.size,
        new_size: new.size,
    };
    let answer = timeout(node.config.limits.idle_stream, client.prove_consistency(request)).await;
    match answer.map_err(|_| idle(node, peer))? {
        Ok(answer) => {
            let proof = log::proof(&answer.into_inner()).map_err(|source| wrong(peer, source))?;
            match check_consistency(&proof, (old.size, &old.root), (new.size, &new.root)) {
                Ok(()) => {
                    node.correspondence(&peer.id)?.proved(&head);
                    Ok(())
                }
                Err(_) => witness::two_histories(node, peer, [suspect, &last_signed]).await,
            }
        }
        Err(status) if Reason::of(&status) == Some(Reason::NotFound) => {
            let newer = if head.size < last.size { &last_signed } else { suspect };
            went_back(node, peer, newer).await
        }
        Err(status) => match dial::refusal(&peer.name, &status) {
            // it can be reached, and does not prove what it signed
            NodeError::PeerRefused { .. } => witness::two_histories(node, peer, [suspect, &last_signed]).await,
            unreachable => Err(unreachable),
        },
    }
}

/// A log that is shorter than a head that it signed.
async fn went_back(node: &Arc<Node>, peer: &Peer, head: &SignedCheckpoint) -> Result<(), NodeError> {
    let what = format!(
        "{} signed {} events of its log, and now has fewer: was an old backup put back?",
        peer.name,
        head.unverified().size
    );
    alarm::raise(node, &peer.id, AlarmKind::WentBack, what, vec![head.to_string()]).await
}

/// Gives the own receipts for the peer's, until none is owed or nothing more comes.
async fn exchange(node: &Arc<Node>, peer: &Peer, client: &mut Client) -> Result<(), NodeError> {
    let mut after = None;
    loop {
        let (store, id) = (Arc::clone(&node.store), peer.id.clone());
        let read = node.pool.run_later(move || {
            let log = store.log();
            let due = log.receipts_due(&id, after, MOST_RECEIPTS)?;
            let own = log.give_receipts(Side::Asker, &due)?;
            Ok::<_, NodeError>((due, own))
        });
        let (due, own) = read.await??;
        if due.is_empty() {
            return Ok(());
        }
        // what is not settled this time does not hold up what is behind it
        if after.is_some() {
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = node.draining.cancelled() => return Ok(()),
            }
        }
        after = due.last().copied();
        let request = pb::ExchangeReceiptsRequest::from(Receipts(own));
        let answer = call(node, peer, client.exchange_receipts(request)).await?;
        let answer = ReceiptsAnswer::try_from(answer).map_err(|source| wrong(peer, source))?;
        let (running, asked) = (Arc::clone(node), peer.clone());
        let kept = node.pool.run_later(move || {
            let peer = asked;
            let log = running.store.log();
            let unknown = || NodeError::Broken("a peer's log is not known");
            let key = log.peer(&peer.id)?.ok_or_else(unknown)?.key;
            let mut kept = Vec::new();
            for signed in answer.receipts {
                let receipt = witness::check(&signed, &key, Side::Holder)
                    .map_err(|error| misbehaved(&peer, &error.to_string()))?;
                if due.contains(&receipt.transaction) {
                    let kept_receipt = KeptReceipt {
                        agency: peer.id.clone(),
                        key: key.clone(),
                        receipt: signed,
                    };
                    kept.push((Side::Asker, receipt.transaction, kept_receipt));
                }
            }
            let conflicts = witness::conflicting(log, &kept)?;
            // a query that was answered must be in the holder's log; one that was cut or refused may never have come so far
            let (mut waived, mut missing) = (Vec::new(), Vec::new());
            for transaction in answer.unknown.into_iter().filter(|id| due.contains(id)) {
                let entry = log
                    .entry_of(Side::Asker, transaction)?
                    .map(|id| log.entry(id))
                    .transpose();
                let logged = entry.ok().flatten().flatten();
                match logged.map(|logged| (logged.outcome(), logged.entry.operation)) {
                    Some(
                        (Outcome::Hit | Outcome::NoHit | Outcome::Pending, _) | (Outcome::Done, Operation::Disclosure),
                    ) => missing.push(transaction),
                    _ => waived.push(transaction),
                }
            }
            log.waive_receipts(&peer.id, &waived)?;
            Ok::<_, NodeError>((conflicts, missing))
        });
        let (conflicts, missing) = kept.await??;
        witness::two_receipts(node, peer, conflicts).await?;
        if let Some(first) = missing.first() {
            let what = format!(
                "{} says that its log does not have {} queries that it answered, such as {first}",
                peer.name,
                missing.len()
            );
            let evidence = missing.iter().map(ToString::to_string).collect();
            alarm::raise(node, &peer.id, AlarmKind::Missing, what, evidence).await?;
        }
    }
}

async fn call<T>(
    node: &Node,
    peer: &Peer,
    answer: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, NodeError> {
    let answer = timeout(node.config.limits.idle_stream, answer).await;
    let answer = answer.map_err(|_| idle(node, peer))?;
    Ok(answer
        .map_err(|status| dial::refusal(&peer.name, &status))?
        .into_inner())
}

fn idle(node: &Node, peer: &Peer) -> NodeError {
    NodeError::PeerIdle {
        peer: peer.name.clone(),
        seconds: node.config.limits.idle_stream.as_secs(),
    }
}

fn wrong(peer: &Peer, source: WireError) -> NodeError {
    NodeError::PeerWire {
        peer: peer.name.clone(),
        source,
    }
}

fn misbehaved(peer: &Peer, what: &str) -> NodeError {
    NodeError::refused(Reason::PeerMisbehaved, format!("{}: {what}", peer.name))
}
