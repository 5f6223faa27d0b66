//! The coordinator's streams to all that take part.

use std::{future::poll_fn, pin::Pin, sync::Arc, task::Poll, time::Duration};

use overlap_agreement::Grant;
use overlap_proto::{
    pb::peer as pb,
    picture::{self, Request, Response},
};
use overlap_psi::PeerMisbehaved;
use tokio::{
    sync::mpsc,
    time::{Instant, Sleep, sleep_until},
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::Status;

use crate::{
    dial,
    error::NodeError,
    node::Node,
    policy::{Invited, LeadTerms},
    session::send,
    spine::Opened,
    trace::TraceContext,
};

/// Messages towards a participant that wait for the network.
const QUEUE: usize = 4;

type Incoming = Pin<Box<dyn Stream<Item = Result<pb::TakeResponse, Status>> + Send>>;

/// One that takes part.
pub(super) struct Link {
    pub(super) id: String,
    pub(super) name: String,
    requests: mpsc::Sender<pb::TakeRequest>,
    incoming: Incoming,
    patience: Duration,
    silence: Pin<Box<Sleep>>,
}

impl Link {
    pub(super) fn new(
        id: String,
        name: String,
        requests: mpsc::Sender<pb::TakeRequest>,
        incoming: Incoming,
        patience: Duration,
    ) -> Self {
        let silence = Box::pin(sleep_until(Instant::now() + patience));
        Self {
            id,
            name,
            requests,
            incoming,
            patience,
            silence,
        }
    }

    /// Calls a peer and asks it to take part. The error says whether it may have heard.
    pub(super) async fn open(
        node: &Arc<Node>,
        opened: &Opened<LeadTerms>,
        invited: &Invited,
    ) -> Result<Self, (bool, NodeError)> {
        let terms = opened.terms();
        let Invited { peer, key, grant } = invited;
        let tls = node.tls.dial.load_full();
        let dialled = dial::dial(peer, tls, &node.config.limits, Arc::clone(&node.traffic)).await;
        let mut dialled = dialled.map_err(|error| (false, error))?;
        let agreement = &terms.agreement.agreement().id;
        dial::check_key(&dialled.certificate, peer, key, agreement).map_err(|error| (false, error))?;
        let (requests, outgoing) = mpsc::channel(QUEUE);
        let first = pb::TakeRequest::from(Request::Open(Box::new(opening(&terms.open, grant))));
        requests
            .try_send(first)
            .map_err(|_| (false, NodeError::Broken("an empty queue is full")))?;
        let mut request = tonic::Request::new(ReceiverStream::new(outgoing));
        TraceContext::send(opened.entry(), request.metadata_mut()).map_err(|error| (false, error))?;
        let answered = tokio::time::timeout(terms.patience, dialled.pictures.take(request)).await;
        let answered = answered.map_err(|_| (true, silent(&peer.name, terms.patience)))?;
        let incoming = answered.map_err(|status| (true, dial::refusal(&peer.name, &status)))?;
        Ok(Self::new(
            peer.id.clone(),
            peer.name.clone(),
            requests,
            Box::pin(incoming.into_inner()),
            terms.patience,
        ))
    }

    /// Tells the participant something.
    pub(super) async fn tell(&mut self, request: Request) -> Result<(), NodeError> {
        send(&self.requests, request.into(), self.patience, &self.name).await
    }

    /// It got further, or has to from now on: how long it gets no further counts from here.
    pub(super) fn listen(&mut self) {
        self.silence.as_mut().reset(Instant::now() + self.patience);
    }

    /// Its next message; after too long without getting further, that.
    pub(super) async fn next(&mut self) -> Result<Response, NodeError> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut std::task::Context<'_>) -> Poll<Result<Response, NodeError>> {
        // before its messages: words alone do not put the end off
        if self.silence.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(silent(&self.name, self.patience)));
        }
        match self.incoming.as_mut().poll_next(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(message) => {
                let peer = || self.name.clone();
                Poll::Ready(match message {
                    None => Err(NodeError::PeerHungUp { peer: peer() }),
                    Some(Err(status)) => Err(dial::refusal(&self.name, &status)),
                    Some(Ok(message)) => {
                        Response::try_from(message).map_err(|source| NodeError::PeerWire { peer: peer(), source })
                    }
                })
            }
        }
    }

    pub(super) fn misbehaved(&self, source: PeerMisbehaved) -> NodeError {
        NodeError::PeerProtocol {
            peer: self.name.clone(),
            source,
        }
    }
}

/// The next message of any of some participants, with its place; those after the one that was served last come first.
pub(super) async fn any(
    links: &mut [Link],
    last: usize,
    mut waits: impl FnMut(usize) -> bool,
) -> (usize, Result<Response, NodeError>) {
    poll_fn(|context| {
        let count = links.len();
        for place in (1..=count).map(|step| (last + step) % count) {
            if waits(place)
                && let Some(link) = links.get_mut(place)
                && let Poll::Ready(message) = link.poll(context)
            {
                return Poll::Ready((place, message));
            }
        }
        Poll::Pending
    })
    .await
}

fn silent(peer: &str, patience: Duration) -> NodeError {
    NodeError::PeerSilent {
        peer: peer.to_owned(),
        seconds: patience.as_secs(),
    }
}

/// What one participant is asked: about the dataset of its grant.
fn opening(open: &picture::Open, grant: &Grant) -> picture::Open {
    let mut open = open.clone();
    open.query.dataset = grant.dataset.clone();
    open
}
