//! Actions: what peers call.

use std::sync::Arc;

use overlap_proto::{
    action::Attend,
    fault::Reason,
    pb::peer::{self as pb, action_service_server::ActionService},
};
use overlap_psi::PeerMisbehaved;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use super::{
    attended::{Replies, Stand},
    spread,
};
use crate::{
    error::NodeError,
    listen::Caller,
    node::{Node, now},
    peer_service::{caller, unopened},
    policy,
    pool::blocking,
    sent::Sent,
    spine,
    trace::TraceContext,
};

/// The peers' side of actions.
pub(crate) struct PeerActions(pub(crate) Arc<Node>);

/// Answers that wait for the network.
const QUEUE: usize = 64;

#[tonic::async_trait]
impl ActionService for PeerActions {
    type AttendStream = Sent<pb::AttendResponse>;

    async fn convey(&self, request: Request<pb::ConveyRequest>) -> Result<Response<pb::ConveyResponse>, Status> {
        let node = Arc::clone(&self.0);
        node.check_open().map_err(|error| error.to_peer_status())?;
        let caller = caller(&request)?;
        let message = request.into_inner();
        // in a task: a caller that hangs up does not cut an entry
        let taking = self
            .0
            .queries
            .spawn(async move { spread::take(&node, &caller, message).await });
        let taken = taking.await.unwrap_or(Err(NodeError::Broken("a task panicked")));
        let taken = taken.map_err(|error| error.to_peer_status())?;
        Ok(Response::new((&taken).into()))
    }

    async fn attend(
        &self,
        request: Request<Streaming<pb::AttendRequest>>,
    ) -> Result<Response<Self::AttendStream>, Status> {
        let node = Arc::clone(&self.0);
        node.check_open().map_err(|error| error.to_peer_status())?;
        caller(&request)?;
        let called = request.extensions().get::<Caller>().cloned();
        let caller = called.ok_or_else(|| NodeError::Broken("a connection without a certificate").to_peer_status())?;
        let (replies, stream) = mpsc::channel(QUEUE);
        let trace = TraceContext::of(request.metadata());
        let requests = request.into_inner();
        let stream = Sent::new(stream, &node.queries);
        node.queries.clone().spawn(async move {
            if let Err(error) = stand(&node, caller, trace, requests, replies.clone()).await {
                let last = Err(error.to_peer_status());
                let _ = tokio::time::timeout(node.config.limits.idle_stream, replies.send(last)).await;
            }
        });
        Ok(Response::new(stream))
    }
}

async fn stand(
    node: &Arc<Node>,
    caller: Caller,
    trace: Option<TraceContext>,
    mut requests: Streaming<pb::AttendRequest>,
    replies: Replies,
) -> Result<(), NodeError> {
    let certificate = Arc::clone(&caller.certificate);
    let peer = || certificate.id.clone();
    let idle = node.config.limits.idle_stream;
    let _session = match node.session_with(&certificate.id) {
        Ok(session) => session,
        Err(error) => return Err(spine::deny(node, *unopened(node, &certificate, error)).await),
    };
    let opening = match tokio::time::timeout(idle, requests.message()).await {
        Err(_) => Err(NodeError::PeerIdle {
            peer: peer(),
            seconds: idle.as_secs(),
        }),
        Ok(Err(status)) => Err(NodeError::of_stream(&certificate.id, &status)),
        Ok(Ok(None)) => Err(NodeError::PeerHungUp { peer: peer() }),
        Ok(Ok(Some(message))) => match Attend::try_from(message) {
            Err(error) => Err(error.into()),
            Ok(Attend::Open(opening)) => Ok(opening),
            Ok(_) => Err(NodeError::PeerProtocol {
                peer: peer(),
                source: PeerMisbehaved::OutOfTurn,
            }),
        },
    };
    let opening = match opening {
        Ok(opening) => opening,
        Err(error) => return Err(spine::deny(node, *unopened(node, &certificate, error)).await),
    };
    let mut decision = policy::action::authorise_attended(node, &certificate, &opening, trace, now());
    if let (Ok(permit), Some(order)) = (&decision, opening.query.order.clone()) {
        let running = Arc::clone(node);
        // so that an auditor here can see later why it was allowed
        let kept = blocking(move || running.orders.add(&order, &running.agreements, now())).await?;
        let _ = permit;
        if let Err(error) = kept {
            decision = decision.and_then(|permit| Err(permit.deny(error)));
        }
    }
    let live = node.actions.live(&opening.plan);
    let (decision, live) = match (decision, live) {
        (Ok(permit), Some(live)) => (Ok(permit), Some(live)),
        // it begins here within a moment: the partner comes back
        (Ok(permit), None) => {
            let message = "the action begins here within a moment, or has just ended";
            (Err(permit.deny(NodeError::refused(Reason::Draining, message))), None)
        }
        (Err(denial), live) => (Err(denial), live),
    };
    let Some(live) = live else {
        return match decision {
            Err(denial) => Err(spine::deny(node, *denial).await),
            Ok(_) => Err(NodeError::Broken("an action that was permitted does not run")),
        };
    };
    let session = Stand {
        live,
        caller,
        has: opening.has,
        requests,
        replies,
    };
    spine::run(node, decision, session).await
}
