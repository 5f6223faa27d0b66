//! Pictures that peers lead: what they call.

use std::sync::Arc;

use overlap_proto::{
    pb::peer::{self as pb, picture_service_server::PictureService},
    picture::{Request as Message, Response as Reply},
};
use overlap_psi::PeerMisbehaved;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    error::NodeError,
    identity::Certificate,
    node::{Node, now},
    peer_service::{caller, keep_order, unopened},
    policy,
    pool::blocking,
    sent::Sent,
    session::picture::{Replies, Take, evaluate},
    spine,
    trace::TraceContext,
};

/// The peers' side of pictures.
pub(crate) struct PeerPictures(pub(crate) Arc<Node>);

/// Messages that wait for the network; few, since each is work for many milliseconds.
const QUEUE: usize = 4;

#[tonic::async_trait]
impl PictureService for PeerPictures {
    type TakeStream = Sent<pb::TakeResponse>;
    type EvaluateStream = Sent<pb::EvaluateResponse>;

    async fn take(&self, request: Request<Streaming<pb::TakeRequest>>) -> Result<Response<Self::TakeStream>, Status> {
        let node = Arc::clone(&self.0);
        node.check_open().map_err(|error| error.to_peer_status())?;
        let caller = caller(&request)?;
        let (replies, stream) = mpsc::channel(QUEUE);
        let trace = TraceContext::of(request.metadata());
        let requests = request.into_inner();
        let stream = Sent::new(stream, &node.queries);
        node.queries.clone().spawn(async move {
            let last = match take(&node, &caller, trace, requests, replies.clone()).await {
                Ok(()) => Ok(Reply::Complete.into()),
                Err(error) => Err(error.to_peer_status()),
            };
            // a coordinator that hung up, or reads no more, needs no answer
            let _ = tokio::time::timeout(node.config.limits.idle_stream, replies.send(last)).await;
        });
        Ok(Response::new(stream))
    }

    async fn evaluate(
        &self,
        request: Request<Streaming<pb::EvaluateRequest>>,
    ) -> Result<Response<Self::EvaluateStream>, Status> {
        let node = Arc::clone(&self.0);
        node.check_open().map_err(|error| error.to_peer_status())?;
        let caller = caller(&request)?;
        let (replies, stream) = mpsc::channel(QUEUE);
        let requests = request.into_inner();
        let stream = Sent::new(stream, &node.queries);
        // part of the picture's entry, which is open: a round is there only while it is
        node.queries.clone().spawn(async move {
            if let Err(error) = evaluate(&node, &caller, requests, &replies).await {
                tracing::warn!(caller = %caller.id, %error, "an evaluation was refused, or ended early");
                let last = Err(error.to_peer_status());
                let _ = tokio::time::timeout(node.config.limits.idle_stream, replies.send(last)).await;
            }
        });
        Ok(Response::new(stream))
    }
}

async fn take(
    node: &Arc<Node>,
    caller: &Certificate,
    trace: Option<TraceContext>,
    mut requests: Streaming<pb::TakeRequest>,
    replies: Replies,
) -> Result<(), NodeError> {
    let _session = match node.session_with(&caller.id) {
        Ok(session) => session,
        Err(error) => return Err(spine::deny(node, *unopened(node, caller, error)).await),
    };
    let peer = || caller.id.clone();
    let idle = node.config.limits.idle_stream;
    let opening = match tokio::time::timeout(idle, requests.message()).await {
        Err(_) => Err(NodeError::PeerIdle {
            peer: peer(),
            seconds: idle.as_secs(),
        }),
        Ok(Err(status)) => Err(NodeError::of_stream(&caller.id, &status)),
        Ok(Ok(None)) => Err(NodeError::PeerHungUp { peer: peer() }),
        Ok(Ok(Some(message))) => match Message::try_from(message) {
            Err(error) => Err(error.into()),
            Ok(Message::Open(open)) => Ok(open),
            Ok(_) => Err(NodeError::PeerProtocol {
                peer: peer(),
                source: PeerMisbehaved::OutOfTurn,
            }),
        },
    };
    let open = match opening {
        Ok(open) => open,
        Err(error) => return Err(spine::deny(node, *unopened(node, caller, error)).await),
    };
    let decision = match policy::authorise_take(node, caller, &open, trace, now()) {
        Ok(permit) => keep_order(node, permit).await?,
        denied => denied,
    };
    let session = Take {
        open,
        requests,
        replies,
    };
    let kept = spine::run(node, decision, session).await?;
    let store = Arc::clone(&node.store);
    blocking(move || kept.keep(&store)).await??;
    Ok(())
}
