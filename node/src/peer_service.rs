//! What peers call.

use std::sync::Arc;

use overlap_audit::{Operation, Side};
use overlap_proto::{
    agreement::Introduction,
    fault::Reason,
    follow_up::{self, MOST_PARTLY, PartlyVisible},
    log::{self, Cosign, Receipts},
    operator,
    pb::peer::{self as pb, peer_service_server::PeerService},
    peer::{Request as Message, Response as Reply},
};
use overlap_psi::PeerMisbehaved;
use overlap_store::{FollowUp, FoundRecord};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use crate::{
    decisions,
    error::NodeError,
    hits_service,
    identity::Certificate,
    listen::Caller,
    node::{Node, now},
    policy::{self, Denial, Permit},
    pool::blocking,
    retention,
    sent::Sent,
    session::{Held, Hold},
    settle, spine,
    trace::TraceContext,
    witness,
};

pub(crate) struct Peers(pub(crate) Arc<Node>);

/// Messages that wait for the network; few, since each is work for many milliseconds.
const QUEUE: usize = 4;

#[tonic::async_trait]
impl PeerService for Peers {
    type MatchStream = Sent<pb::MatchResponse>;

    async fn r#match(
        &self,
        request: Request<Streaming<pb::MatchRequest>>,
    ) -> Result<Response<Self::MatchStream>, Status> {
        let node = Arc::clone(&self.0);
        node.check_open().map_err(|error| error.to_peer_status())?;
        let caller = caller(&request)?;
        let (replies, stream) = mpsc::channel(QUEUE);
        let trace = TraceContext::of(request.metadata());
        let requests = request.into_inner();
        let stream = Sent::new(stream, &node.queries);
        node.queries.clone().spawn(async move {
            let held = hold(&node, &caller, trace, requests, replies.clone()).await;
            let (last, noticed) = match held {
                Ok(Held {
                    noticed,
                    partly,
                    shared,
                }) => match show(&node, partly, shared, &replies).await {
                    Ok(()) => (Ok(Reply::Complete.into()), noticed),
                    Err(error) => (Err(error.to_peer_status()), noticed),
                },
                Err(error) => (Err(error.to_peer_status()), None),
            };
            // an asker that hung up, or reads no more, needs no answer
            let _ = tokio::time::timeout(node.config.limits.idle_stream, replies.send(last)).await;
            drop(replies);
            if let Some(noticed) = noticed {
                let kept = blocking(move || noticed.keep(&node.store, retention::today())).await;
                if let Ok(Err(error)) = kept {
                    tracing::error!(%error, "hidden records that were asked about are in the log as a number alone");
                }
            }
        });
        Ok(Response::new(stream))
    }

    async fn follow_up(&self, request: Request<pb::FollowUpRequest>) -> Result<Response<pb::FollowUpResponse>, Status> {
        let trace = TraceContext::of(request.metadata());
        self.answer(request, |node, caller, wish| async move {
            let answer = hits_service::hold(&node, &caller, wish, trace).await?;
            Ok((&answer).into())
        })
        .await
    }

    async fn decisions(
        &self,
        request: Request<pb::DecisionsRequest>,
    ) -> Result<Response<pb::DecisionsResponse>, Status> {
        self.answer(request, |node, caller, wish| async move {
            let decided = decisions::of(&node, &caller, follow_up::ids("follow_ups", &wish.follow_ups)?).await?;
            Ok(pb::DecisionsResponse {
                decided: decided.into_iter().map(operator::id).collect(),
            })
        })
        .await
    }

    async fn exchange_receipts(
        &self,
        request: Request<pb::ExchangeReceiptsRequest>,
    ) -> Result<Response<pb::ExchangeReceiptsResponse>, Status> {
        self.answer(request, |node, caller, wish| async move {
            let answer = witness::receipts(&node, &caller, Receipts::try_from(wish)?).await?;
            Ok(answer.into())
        })
        .await
    }

    async fn cosign(&self, request: Request<pb::CosignRequest>) -> Result<Response<pb::CosignResponse>, Status> {
        self.answer(request, |node, caller, wish| async move {
            let answer = witness::cosign(&node, &caller, Cosign::try_from(wish)?).await?;
            Ok(answer.into())
        })
        .await
    }

    async fn introduce(
        &self,
        request: Request<pb::IntroduceRequest>,
    ) -> Result<Response<pb::IntroduceResponse>, Status> {
        self.answer(request, |node, caller, _| async move {
            if node.config.peers.iter().all(|peer| peer.id != caller.id) {
                let message = format!("{} is no peer of {}", caller.id, node.config.name);
                return Err(NodeError::refused(Reason::UnknownCaller, message));
            }
            let introduction = Introduction {
                name: node.config.name.clone(),
                country: node.config.country.clone(),
                signing_key: node.config.signing_key.public().thumbprint(),
            };
            Ok(introduction.into())
        })
        .await
    }

    async fn settle(&self, request: Request<pb::SettleRequest>) -> Result<Response<pb::SettleResponse>, Status> {
        self.answer(request, |node, caller, wish| async move {
            let answer = settle::take(&node, &caller, wish).await?;
            Ok((&answer).into())
        })
        .await
    }

    async fn prove_consistency(
        &self,
        request: Request<pb::ProveConsistencyRequest>,
    ) -> Result<Response<pb::ProveConsistencyResponse>, Status> {
        self.answer(request, |node, caller, wish| async move {
            let proof = witness::prove(&node, &caller, wish.old_size, wish.new_size).await?;
            let proof = log::joined(&proof);
            Ok(pb::ProveConsistencyResponse { proof })
        })
        .await
    }
}

impl Peers {
    /// Answers what is asked about logs, in a task: a caller that hangs up does not cut an alarm.
    async fn answer<T, R, F>(
        &self,
        request: Request<T>,
        work: impl FnOnce(Arc<Node>, Arc<Certificate>, T) -> F,
    ) -> Result<Response<R>, Status>
    where
        F: Future<Output = Result<R, NodeError>> + Send + 'static,
        R: Send + 'static,
    {
        self.0.check_open().map_err(|error| error.to_peer_status())?;
        let caller = caller(&request)?;
        let answer = self
            .0
            .queries
            .spawn(work(Arc::clone(&self.0), caller, request.into_inner()));
        let answer = answer.await.unwrap_or(Err(NodeError::Broken("a task panicked")));
        answer.map(Response::new).map_err(|error| error.to_peer_status())
    }
}

async fn hold(
    node: &Arc<Node>,
    caller: &Certificate,
    trace: Option<TraceContext>,
    mut requests: Streaming<pb::MatchRequest>,
    replies: mpsc::Sender<Result<pb::MatchResponse, Status>>,
) -> Result<Held, NodeError> {
    // before anything is read: what a caller may hold of this node is bounded from its first call on
    let _session = match node.session_with(&caller.id) {
        Ok(session) => session,
        Err(error) => return Err(spine::deny(node, *unopened(node, caller, error)).await),
    };
    let opening = tokio::time::timeout(node.config.limits.idle_stream, requests.message()).await;
    let decision = match opening {
        Err(_) => Err(unopened(
            node,
            caller,
            NodeError::PeerIdle {
                peer: caller.id.clone(),
                seconds: node.config.limits.idle_stream.as_secs(),
            },
        )),
        Ok(Err(status)) => Err(unopened(node, caller, NodeError::of_stream(&caller.id, &status))),
        Ok(Ok(None)) => Err(unopened(
            node,
            caller,
            NodeError::PeerHungUp {
                peer: caller.id.clone(),
            },
        )),
        Ok(Ok(Some(message))) => match Message::try_from(message) {
            Err(error) => Err(unopened(node, caller, error.into())),
            Ok(Message::Blinded(_) | Message::Mirrored(_) | Message::Found(_)) => Err(unopened(
                node,
                caller,
                NodeError::PeerProtocol {
                    peer: caller.id.clone(),
                    source: PeerMisbehaved::OutOfTurn,
                },
            )),
            Ok(Message::Open(open)) => policy::authorise_hold(node, caller, &open, trace, now()),
        },
    };
    let decision = match decision {
        Ok(permit) => keep_order(node, permit).await?,
        denied => denied,
    };
    spine::run(node, decision, Hold { requests, replies }).await
}

/// Keeps what the asker told, and the hits of which it is shown the kind alone, and shows it that.
async fn show(
    node: &Arc<Node>,
    partly: Vec<FollowUp>,
    shared: Vec<FoundRecord>,
    replies: &mpsc::Sender<Result<pb::MatchResponse, Status>>,
) -> Result<(), NodeError> {
    let shown = partly.iter().map(|row| PartlyVisible {
        id: row.id,
        kind: row.kind,
    });
    let shown: Vec<PartlyVisible> = shown.collect();
    if shown.is_empty() && shared.is_empty() {
        return Ok(());
    }
    let store = Arc::clone(&node.store);
    // what a functionary decided meanwhile stays
    let deciding = node.deciding.lock().await;
    blocking(move || {
        store.keep_hits(&shared, retention::today())?;
        let mut open = Vec::with_capacity(partly.len());
        for row in partly {
            let kept = store.follow_ups().get(true, row.id)?;
            if kept.is_none_or(|kept| kept.decision.is_none()) {
                open.push(row);
            }
        }
        store.follow_ups().put(&open)
    })
    .await??;
    drop(deciding);
    for hits in shown.chunks(MOST_PARTLY) {
        let message = Ok(Reply::Partly(hits.to_vec()).into());
        let _ = tokio::time::timeout(node.config.limits.idle_stream, replies.send(message)).await;
    }
    Ok(())
}

/// Keeps the order that a peer asks under, so that an auditor here can see later why the query was allowed.
pub(crate) async fn keep_order(node: &Arc<Node>, permit: Permit) -> Result<Result<Permit, Box<Denial>>, NodeError> {
    let Some(order) = permit.terms().opening.order.clone() else {
        return Ok(Ok(permit));
    };
    let running = Arc::clone(node);
    let kept = blocking(move || running.orders.add(&order, &running.agreements, now())).await?;
    Ok(match kept {
        Ok(_) => Ok(permit),
        Err(error) => Err(permit.deny(error)),
    })
}

/// A call that never came to say what it wants.
pub(crate) fn unopened(node: &Node, caller: &Certificate, error: NodeError) -> Box<Denial> {
    let mut entry = policy::blank_entry(Operation::Combination, Side::Holder, now(), Uuid::now_v7());
    entry.asker = Some(caller.id.clone());
    entry.holder = Some(node.config.id.clone());
    entry.caller_certificate = Some(caller.thumbprint);
    Box::new(Denial { entry, error })
}

/// The caller of a request. Its certificate is checked anew with each call, since connections outlive revocations and expiry.
pub(crate) fn caller<T>(request: &Request<T>) -> Result<Arc<Certificate>, Status> {
    let caller = request.extensions().get::<Caller>();
    let caller = caller.ok_or_else(|| NodeError::Broken("a connection without a certificate").to_status())?;
    caller.check_now().map_err(|error| error.to_status())?;
    Ok(Arc::clone(&caller.certificate))
}
