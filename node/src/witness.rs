//! Being a witness: countersigning others' heads, exchanging receipts, and comparing what was seen (C2SP tlog-witness, over gRPC).

use std::sync::{Arc, Mutex, PoisonError};

use overlap_audit::{
    Checkpoint, Digest, KeptReceipt, Receipt, Side, SignedCheckpoint, SignedReceipt, TreeError, VerifyingKey,
    WitnessError, judge, log_name,
};
use overlap_proto::{
    fault::Reason,
    log::{Cosign, CosignAnswer, Cosigned, MOST_SEEN, Receipts, ReceiptsAnswer},
};
use overlap_store::{AlarmKind, Log, PeerLog, StoreError};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    alarm,
    config::Peer,
    error::NodeError,
    identity::Certificate,
    node::{Node, now},
    pool::blocking,
};

/// What this node and one peer have to tell each other about their logs.
#[derive(Default)]
pub(crate) struct Correspondence {
    /// Told when there is something to tell the peer.
    pub(crate) poke: Notify,
    /// The peer's wishes to be countersigned are judged one at a time.
    turn: tokio::sync::Mutex<()>,
    /// Held while what is known of the peer's log is changed.
    row: Mutex<()>,
    /// Heads of the peer's log that others have seen and this node has not, to be asked about.
    suspects: Mutex<Vec<SignedCheckpoint>>,
    /// The heads that were proved last: sizes and roots.
    proved: Mutex<Vec<(u64, Digest)>>,
}

/// Heads of one peer that are asked about, at most; what is more comes up again with the next exchange.
const MOST_SUSPECTS: usize = 16;

impl Correspondence {
    fn suspect(&self, head: SignedCheckpoint) {
        let checkpoint = head.unverified();
        let proved = self.proved.lock().unwrap_or_else(PoisonError::into_inner);
        if proved.contains(&(checkpoint.size, checkpoint.root)) {
            return;
        }
        drop(proved);
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        // asked about with the next word to that peer: where many logs grow at once, each word would bring about one to all others
        if suspects.len() < MOST_SUSPECTS && !suspects.contains(&head) {
            suspects.push(head);
        }
    }

    /// A head of the peer's log was proved to be of the history that this node has seen.
    pub(crate) fn proved(&self, head: &Checkpoint) {
        let mut proved = self.proved.lock().unwrap_or_else(PoisonError::into_inner);
        if proved.len() == MOST_SUSPECTS {
            proved.remove(0);
        }
        proved.push((head.size, head.root));
    }

    /// The heads to ask about; they come back if the peer could not be asked.
    pub(crate) fn suspects(&self) -> Vec<SignedCheckpoint> {
        std::mem::take(&mut *self.suspects.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn suspect_again(&self, heads: Vec<SignedCheckpoint>) {
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.extend(heads);
        suspects.truncate(MOST_SUSPECTS);
    }
}

/// Countersigns the head of a peer's log, if it grew from what was countersigned last.
pub(crate) async fn cosign(node: &Arc<Node>, caller: &Certificate, wish: Cosign) -> Result<Cosigned, NodeError> {
    let peer = known(node, caller)?;
    let correspondence = node.correspondence(&peer.id)?;
    let _turn = correspondence.turn.lock().await;
    let log = learn(node, peer, wish.log_key, wish.cosigner_key).await?;
    let head = verified(&wish.checkpoint, &log.key)?;
    let last = witnessed(&log)?;
    let answer = match judge(last.as_ref().map(|(_, head)| head), &head, wish.old_size, &wish.proof) {
        Ok(()) => {
            let seconds = u64::try_from(now().as_second()).unwrap_or_default();
            let line = node.store.log().signing_key().cosign(&wish.checkpoint, seconds);
            let line = line.map_err(|_| NodeError::Broken("a checkpoint cannot be countersigned"))?;
            if last.is_none_or(|(_, last)| last.size < head.size) {
                let alone = wish.checkpoint.alone(&log.key).map_err(refused)?.to_string();
                // on disk before the signature leaves: two heads of one size are never both countersigned
                keep(node, &peer.id, move |log| log.witnessed = Some(alone)).await?;
            }
            CosignAnswer::Line(line)
        }
        Err(WitnessError::Stale { known }) => {
            // who never proves what it signed is asked for it
            correspondence.suspect(wish.checkpoint.alone(&log.key).map_err(refused)?);
            CosignAnswer::Known(known)
        }
        // an answer that was overtaken looks like that too: the peer is asked for a proof before anything is said
        Err(WitnessError::Back { known, .. }) => {
            correspondence.suspect(wish.checkpoint.alone(&log.key).map_err(refused)?);
            CosignAnswer::Known(known)
        }
        Err(error @ (WitnessError::Fork { .. } | WitnessError::Inconsistent { .. })) => {
            let what = format!("{}: {error}", peer.name);
            let evidence = [log.witnessed.clone(), Some(wish.checkpoint.to_string())];
            let evidence = evidence.into_iter().flatten().collect();
            alarm::raise(node, &peer.id, AlarmKind::TwoHistories, what, evidence).await?;
            return Err(NodeError::refused(Reason::PeerMisbehaved, error.to_string()));
        }
    };
    compare(node, wish.seen).await?;
    let own = node.store.log();
    Ok(Cosigned {
        log_key: own.verifying_key().clone(),
        cosigner_key: own.signing_key().cosigner_key(),
        answer,
        seen: seen(node).await?,
    })
}

/// Takes the asker's receipts and gives the own ones of the same queries.
pub(crate) async fn receipts(
    node: &Arc<Node>,
    caller: &Certificate,
    wish: Receipts,
) -> Result<ReceiptsAnswer, NodeError> {
    let peer = known(node, caller)?;
    let (store, asker) = (Arc::clone(&node.store), peer.id.clone());
    let taken = node.pool.run_later(move || {
        let log = store.log();
        let unread = || {
            NodeError::refused(
                Reason::InvalidRequest,
                "show the log's key first: ask to be countersigned",
            )
        };
        let key = log.peer(&asker)?.ok_or_else(unread)?.key;
        let mut answer = ReceiptsAnswer {
            receipts: Vec::new(),
            unknown: Vec::new(),
        };
        let (mut kept, mut ended) = (Vec::new(), Vec::new());
        for signed in wish.0 {
            let receipt = check(&signed, &key, Side::Asker)?;
            let transaction = receipt.transaction;
            let entry = match log.entry_of(Side::Holder, transaction)? {
                None => None,
                Some(id) => match log.entry(id) {
                    Err(StoreError::Shredded) => None,
                    entry => entry?,
                },
            };
            match entry.filter(|logged| logged.entry.asker.as_ref() == Some(&asker)) {
                None => answer.unknown.push(transaction),
                Some(logged) if logged.closing.is_none() => {}
                Some(_) => {
                    ended.push(transaction);
                    let receipt = KeptReceipt {
                        agency: asker.clone(),
                        key: key.clone(),
                        receipt: signed,
                    };
                    kept.push((Side::Holder, transaction, receipt));
                }
            }
        }
        answer.receipts = log.give_receipts(Side::Holder, &ended)?;
        Ok::<_, NodeError>((answer, conflicting(log, &kept)?))
    });
    let (answer, conflicts) = taken.await??;
    two_receipts(node, peer, conflicts).await?;
    Ok(answer)
}

/// Keeps receipts; returns pairs that cannot both be true, as evidence.
pub(crate) fn conflicting(log: &Log, kept: &[(Side, Uuid, KeptReceipt)]) -> Result<Vec<String>, NodeError> {
    let conflicts = log.keep_receipts(kept)?;
    let mut evidence = Vec::new();
    for (side, transaction, receipt) in kept
        .iter()
        .filter(|(_, transaction, _)| conflicts.contains(transaction))
    {
        let before = log.kept_receipt(*side, *transaction, &receipt.agency)?;
        evidence.extend(before.map(|before| before.receipt.note));
        evidence.push(receipt.receipt.note.clone());
    }
    Ok(evidence)
}

/// A peer has given two receipts for one query that cannot both be true.
pub(crate) async fn two_receipts(node: &Arc<Node>, peer: &Peer, evidence: Vec<String>) -> Result<(), NodeError> {
    if evidence.is_empty() {
        return Ok(());
    }
    let what = format!(
        "{} has given two receipts for one query that cannot both be true",
        peer.name
    );
    alarm::raise(node, &peer.id, AlarmKind::TwoHistories, what, evidence).await
}

/// That the own log of one size is the start of the one of another.
pub(crate) async fn prove(
    node: &Arc<Node>,
    caller: &Certificate,
    old: u64,
    new: u64,
) -> Result<Vec<Digest>, NodeError> {
    known(node, caller)?;
    let store = Arc::clone(&node.store);
    match blocking(move || store.log().consistency(old, new)).await? {
        Ok(proof) => Ok(proof),
        Err(StoreError::Tree(error @ TreeError::Beyond { .. })) => {
            Err(NodeError::refused(Reason::NotFound, error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

/// A receipt that a log's key has signed, of one who was on that side.
pub(crate) fn check(signed: &SignedReceipt, key: &VerifyingKey, side: Side) -> Result<Receipt, NodeError> {
    let receipt = signed.verify(key).map_err(refused)?;
    if receipt.side != side {
        return Err(refused(format!(
            "the receipt is of a {}, not of the {side}",
            receipt.side
        )));
    }
    Ok(receipt)
}

/// Takes in the keys of a peer's log: the first that it shows, or those in the configuration, stay.
pub(crate) async fn learn(
    node: &Arc<Node>,
    peer: &Peer,
    key: VerifyingKey,
    cosigner: VerifyingKey,
) -> Result<PeerLog, NodeError> {
    let name = log_name(&peer.id);
    if key.name() != name || cosigner.name() != name {
        return Err(refused(format!("the log of {} is called {name}", peer.id)));
    }
    let is_pinned = peer.log_key.as_ref().is_none_or(|pinned| *pinned == key);
    let (running, id) = (Arc::clone(node), peer.id.clone());
    let known = blocking(move || {
        let correspondence = running.correspondence(&id)?;
        let _row = correspondence.row.lock().unwrap_or_else(PoisonError::into_inner);
        let log = running.store.log();
        match log.peer(&id)? {
            Some(known) => Ok((known.key == key && known.cosigner == cosigner).then_some(known)),
            None if is_pinned => {
                let fresh = PeerLog {
                    agency: id.clone(),
                    key,
                    cosigner,
                    witnessed: None,
                    cosigned: None,
                };
                log.keep_peer(&fresh)?;
                tracing::info!(agency = id, key = %fresh.key, "learnt the key of a peer's log");
                Ok(Some(fresh))
            }
            None => Ok::<_, NodeError>(None),
        }
    })
    .await??;
    match known.filter(|_| is_pinned) {
        Some(known) => Ok(known),
        None => {
            let what = format!(
                "{} shows another key for its log than it had, or than the configuration names",
                peer.name
            );
            alarm::raise(node, &peer.id, AlarmKind::OtherKey, what.clone(), Vec::new()).await?;
            Err(NodeError::refused(Reason::PeerMisbehaved, what))
        }
    }
}

/// Changes what is known of a peer's log.
pub(crate) async fn keep(
    node: &Arc<Node>,
    agency: &str,
    change: impl FnOnce(&mut PeerLog) + Send + 'static,
) -> Result<(), NodeError> {
    let (running, agency) = (Arc::clone(node), agency.to_owned());
    blocking(move || {
        let correspondence = running.correspondence(&agency)?;
        let _row = correspondence.row.lock().unwrap_or_else(PoisonError::into_inner);
        let forgotten = || {
            NodeError::refused(
                Reason::InvalidRequest,
                "the log's key was forgotten meanwhile; ask again",
            )
        };
        let mut log = running.store.log().peer(&agency)?.ok_or_else(forgotten)?;
        change(&mut log);
        Ok(running.store.log().keep_peer(&log)?)
    })
    .await?
}

/// Forgets a peer's log; blocks.
pub(crate) fn forget(node: &Node, agency: &str) -> Result<(), NodeError> {
    let Ok(correspondence) = node.correspondence(agency) else {
        // the own log, about which nothing is kept
        return Ok(());
    };
    let _row = correspondence.row.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(node.store.log().forget_peer(agency)?)
}

/// The head of a peer's log that was countersigned last: verified before it was kept.
pub(crate) fn witnessed(log: &PeerLog) -> Result<Option<(SignedCheckpoint, Checkpoint)>, NodeError> {
    let Some(text) = &log.witnessed else {
        return Ok(None);
    };
    let signed = SignedCheckpoint::parse(text).map_err(StoreError::from)?;
    let head = signed.unverified().clone();
    Ok(Some((signed, head)))
}

/// The newest heads that this node countersigned, of all logs.
pub(crate) async fn seen(node: &Arc<Node>) -> Result<Vec<SignedCheckpoint>, NodeError> {
    let store = Arc::clone(&node.store);
    let peers = blocking(move || store.log().peers()).await??;
    let heads = peers.iter().filter_map(|peer| peer.witnessed.as_deref());
    Ok(heads
        .filter_map(|text| SignedCheckpoint::parse(text).ok())
        .take(MOST_SEEN)
        .collect())
}

/// Holds what another node has seen against what this one has: of third parties' logs, and of the own.
pub(crate) async fn compare(node: &Arc<Node>, seen: Vec<SignedCheckpoint>) -> Result<(), NodeError> {
    for signed in seen {
        let origin = signed.unverified().origin.clone();
        if origin == node.store.log().verifying_key().name() {
            compare_own(node, &signed).await?;
            continue;
        }
        let Some(peer) = node.config.peers.iter().find(|peer| log_name(&peer.id) == origin) else {
            continue;
        };
        let (store, id) = (Arc::clone(&node.store), peer.id.clone());
        let Some(log) = blocking(move || store.log().peer(&id)).await?? else {
            continue;
        };
        let Some((last_signed, last)) = witnessed(&log)? else {
            continue;
        };
        if *signed.unverified() == last {
            continue;
        }
        // whoever forges a head accuses nobody
        let Ok(head) = verified(&signed, &log.key) else {
            continue;
        };
        if head.size != last.size {
            node.correspondence(&peer.id)?
                .suspect(signed.alone(&log.key).map_err(refused)?);
        } else if head.root != last.root {
            two_histories(node, peer, [&signed, &last_signed]).await?;
        }
    }
    Ok(())
}

/// The own log must have every head that it ever signed: if not, it was rolled back, to an old backup say.
async fn compare_own(node: &Arc<Node>, signed: &SignedCheckpoint) -> Result<(), NodeError> {
    let log = node.store.log();
    let Ok(head) = signed.verify(log.verifying_key()).cloned() else {
        return Ok(());
    };
    let (store, size) = (Arc::clone(&node.store), head.size);
    let (kind, what) = match blocking(move || store.log().root(size)).await? {
        Ok(root) if root == head.root => return Ok(()),
        Ok(_) => (
            AlarmKind::TwoHistories,
            format!(
                "others have countersigned another history of this log, of {size} events: was an old backup put back?"
            ),
        ),
        Err(StoreError::Tree(TreeError::Beyond { .. })) => (
            AlarmKind::WentBack,
            format!(
                "others have countersigned {size} events of this log, which has {}: was an old backup put back?",
                log.size()
            ),
        ),
        Err(error) => return Err(error.into()),
    };
    alarm::raise(node, &node.config.id, kind, what, vec![signed.to_string()]).await
}

/// Two heads of one size, both signed by the peer, are proof.
pub(crate) async fn two_histories(
    node: &Arc<Node>,
    peer: &Peer,
    heads: [&SignedCheckpoint; 2],
) -> Result<(), NodeError> {
    let [one, other] = heads.map(SignedCheckpoint::unverified);
    let what = format!(
        "{} has shown two histories of its log: {} events with root {}, and {} events with root {}",
        peer.name, one.size, one.root, other.size, other.root
    );
    let evidence = heads.map(ToString::to_string).to_vec();
    alarm::raise(node, &peer.id, AlarmKind::TwoHistories, what, evidence).await
}

fn known<'a>(node: &'a Node, caller: &Certificate) -> Result<&'a Peer, NodeError> {
    let peer = node.config.peers.iter().find(|peer| peer.id == caller.id);
    let peer = peer.ok_or_else(|| {
        let message = format!("{} is no peer of {}", caller.id, node.config.name);
        NodeError::refused(Reason::UnknownCaller, message)
    })?;
    check_key(node, peer, caller)?;
    Ok(peer)
}

/// Whether a peer's node has a key that an agreement pins.
pub(crate) fn check_key(node: &Node, peer: &Peer, certificate: &Certificate) -> Result<(), NodeError> {
    // those in force; where none is, the last that all had signed: its keys do not come loose when it ends
    let mut agreements = node.agreements.in_force(now());
    agreements.retain(|held| held.agreement().party(&peer.id).is_some());
    if agreements.is_empty() {
        let whole = node.agreements.whole().into_iter();
        agreements.extend(whole.filter(|held| held.agreement().party(&peer.id).is_some()).take(1));
    }
    let pinned = agreements.iter().filter_map(|held| held.agreement().party(&peer.id));
    let mut pinned = pinned.map(|party| party.key).peekable();
    if pinned.peek().is_none() || pinned.any(|key| key == certificate.key) {
        return Ok(());
    }
    let message = format!("no agreement pins the key of {}'s certificate", peer.name);
    Err(NodeError::refused(Reason::AgreementDenied, message))
}

pub(crate) fn verified(signed: &SignedCheckpoint, key: &VerifyingKey) -> Result<Checkpoint, NodeError> {
    signed.verify(key).cloned().map_err(refused)
}

fn refused(error: impl ToString) -> NodeError {
    NodeError::refused(Reason::InvalidRequest, error.to_string())
}
