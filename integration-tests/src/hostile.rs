//! Peers that hold valid certificates and break the protocol.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use overlap_proto::{
    follow_up::FollowUp,
    log::{Cosign, Receipts},
    pb::peer::{
        self as pb, match_response,
        peer_service_client::PeerServiceClient,
        peer_service_server::{PeerService, PeerServiceServer},
    },
    peer::{self, Open},
};
use overlap_psi::{Encoded, Key};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig},
};
use uuid::Uuid;

use crate::World;

/// An asker under the test's control, with the certificate of an agency whose node does not run.
pub struct HostileAsker {
    client: PeerServiceClient<Channel>,
}

/// A holder under the test's control: answers every match with a fixed play.
pub struct HostileHolder;

/// What a hostile party sends, in order.
#[derive(Clone)]
pub enum Play<T> {
    /// A message.
    Send(T),
    /// Nothing, for so long.
    Wait(Duration),
    /// The end, with a status; for holders.
    Fail(Status),
}

/// A connection to the node of `holder` with the certificate of `asker`.
pub(crate) async fn channel(world: &World, asker: &str, holder: &str) -> Channel {
    let own = world.agency(asker);
    let read = |name: &str| std::fs::read(own.file(name)).unwrap();
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read("federation-ca.pem")))
        .identity(Identity::from_pem(read("node.pem"), read("node.key")));
    let endpoint = Endpoint::from_shared(format!("https://{}", world.agency(holder).peer)).unwrap();
    endpoint.tls_config(tls).unwrap().connect().await.unwrap()
}

impl HostileAsker {
    /// Connects as `asker` to the node of `holder`.
    pub async fn connect(world: &World, asker: &str, holder: &str) -> Self {
        let channel = channel(world, asker, holder).await;
        let client = PeerServiceClient::new(channel).max_encoding_message_size(usize::MAX);
        Self { client }
    }

    /// Asks to be countersigned.
    ///
    /// # Errors
    /// What the node says.
    pub async fn cosign(&mut self, wish: Cosign) -> Result<pb::CosignResponse, Status> {
        let answer = self.client.cosign(pb::CosignRequest::from(wish)).await;
        answer.map(tonic::Response::into_inner)
    }

    /// Hands over what it says it has of an agreement.
    ///
    /// # Errors
    /// What the node says.
    pub async fn settle(&mut self, agreement: Vec<u8>, statements: Vec<Vec<u8>>) -> Result<pb::SettleResponse, Status> {
        let wish = pb::SettleRequest {
            agreement: agreement.into(),
            statements: statements.into_iter().map(Into::into).collect(),
        };
        self.client.settle(wish).await.map(tonic::Response::into_inner)
    }

    /// Follows a hit up that it says it has.
    ///
    /// # Errors
    /// What the node says.
    pub async fn follow_up(&mut self, wish: &FollowUp) -> Result<pb::FollowUpResponse, Status> {
        let answer = self.client.follow_up(pb::FollowUpRequest::from(wish)).await;
        answer.map(tonic::Response::into_inner)
    }

    /// Asks what was decided.
    ///
    /// # Errors
    /// What the node says.
    pub async fn decisions(&mut self, ids: &[Uuid]) -> Result<Vec<Uuid>, Status> {
        let wish = pb::DecisionsRequest {
            follow_ups: ids.iter().map(|id| id.as_bytes().to_vec().into()).collect(),
        };
        let answer = self.client.decisions(wish).await?.into_inner();
        Ok(answer.decided.iter().map(|id| Uuid::from_slice(id).unwrap()).collect())
    }

    /// Gives receipts.
    ///
    /// # Errors
    /// What the node says.
    pub async fn exchange_receipts(&mut self, receipts: Receipts) -> Result<pb::ExchangeReceiptsResponse, Status> {
        let answer = self
            .client
            .exchange_receipts(pb::ExchangeReceiptsRequest::from(receipts))
            .await;
        answer.map(tonic::Response::into_inner)
    }

    /// Asks as the protocol wants it, about elements that are given: evaluates the points of a mirrored pass, and blinds under a key.
    pub async fn ask_truly(&mut self, open: Open, key: &Key, elements: &[Encoded]) -> Vec<match_response::Message> {
        let (requests, stream) = mpsc::channel(8);
        requests.send(open.into()).await.unwrap();
        let answering = self.client.r#match(ReceiverStream::new(stream)).await;
        let mut incoming = answering.unwrap().into_inner();
        let (mut requests, mut answers, mut points) = (Some(requests), Vec::new(), 0);
        while let Some(answer) = incoming.message().await.unwrap() {
            let message = answer.message.unwrap();
            if let match_response::Message::Mirror(mirror) = &message {
                let mirror: Vec<Encoded> = mirror.elements.chunks(32).map(|one| one.try_into().unwrap()).collect();
                points += mirror.len();
                assert_eq!(points, 64, "all of them in one message");
                let requests = requests.take().unwrap();
                let evaluated = key.multiply_all(&mirror).unwrap();
                requests.send(peer::mirrored(&evaluated)).await.unwrap();
                let blinded = key.multiply_all(elements).unwrap();
                requests.send(peer::blinded(&blinded)).await.unwrap();
            }
            answers.push(message);
        }
        answers
    }

    /// Sends messages as they are, hangs up the own direction unless `keep` holds it, and gives the answers up to the end or the error.
    pub async fn play(
        &mut self,
        plays: Vec<Play<pb::MatchRequest>>,
        keep: Option<Duration>,
    ) -> (Vec<match_response::Message>, Option<Status>) {
        let (requests, stream) = mpsc::channel(1);
        tokio::spawn(async move {
            for play in plays {
                match play {
                    Play::Send(message) => drop(requests.send(message).await),
                    Play::Wait(time) => tokio::time::sleep(time).await,
                    Play::Fail(_) => return,
                }
            }
            tokio::time::sleep(keep.unwrap_or_default()).await;
        });
        let mut answers = Vec::new();
        let mut incoming = match self.client.r#match(ReceiverStream::new(stream)).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return (answers, Some(status)),
        };
        loop {
            match incoming.message().await {
                Ok(Some(answer)) => answers.extend(answer.message),
                Ok(None) => return (answers, None),
                Err(status) => return (answers, Some(status)),
            }
        }
    }
}

impl HostileHolder {
    /// Listens where the node of `holder` would. `play` makes the messages from the asker's opening.
    pub async fn start(
        world: &World,
        holder: &str,
        play: impl Fn(Open) -> Vec<Play<pb::MatchResponse>> + Send + Sync + 'static,
    ) -> SocketAddr {
        let own = world.agency(holder);
        let read = |name: &str| std::fs::read(own.file(name)).unwrap();
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(read("node.pem"), read("node.key")))
            .client_ca_root(Certificate::from_pem(read("federation-ca.pem")));
        let listener = TcpListener::bind(own.peer).await.unwrap();
        let service = PeerServiceServer::new(Scripted(Arc::new(play)))
            .max_encoding_message_size(usize::MAX)
            .max_decoding_message_size(usize::MAX);
        let server = Server::builder().tls_config(tls).unwrap().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        own.peer
    }
}

type Script = dyn Fn(Open) -> Vec<Play<pb::MatchResponse>> + Send + Sync;

struct Scripted(Arc<Script>);

#[tonic::async_trait]
impl PeerService for Scripted {
    type MatchStream = ReceiverStream<Result<pb::MatchResponse, Status>>;

    async fn exchange_receipts(
        &self,
        _: Request<pb::ExchangeReceiptsRequest>,
    ) -> Result<Response<pb::ExchangeReceiptsResponse>, Status> {
        Err(Status::unimplemented("a hostile holder gives no receipts"))
    }

    async fn cosign(&self, _: Request<pb::CosignRequest>) -> Result<Response<pb::CosignResponse>, Status> {
        Err(Status::unimplemented("a hostile holder witnesses nothing"))
    }

    async fn introduce(&self, _: Request<pb::IntroduceRequest>) -> Result<Response<pb::IntroduceResponse>, Status> {
        Err(Status::unimplemented("a hostile holder says not who it is"))
    }

    async fn follow_up(&self, _: Request<pb::FollowUpRequest>) -> Result<Response<pb::FollowUpResponse>, Status> {
        Err(Status::unimplemented("a hostile holder tells nothing"))
    }

    async fn decisions(&self, _: Request<pb::DecisionsRequest>) -> Result<Response<pb::DecisionsResponse>, Status> {
        Err(Status::unimplemented("a hostile holder decides nothing"))
    }

    async fn settle(&self, _: Request<pb::SettleRequest>) -> Result<Response<pb::SettleResponse>, Status> {
        Err(Status::unimplemented("a hostile holder settles nothing"))
    }

    async fn prove_consistency(
        &self,
        _: Request<pb::ProveConsistencyRequest>,
    ) -> Result<Response<pb::ProveConsistencyResponse>, Status> {
        Err(Status::unimplemented("a hostile holder proves nothing"))
    }

    async fn r#match(
        &self,
        request: Request<Streaming<pb::MatchRequest>>,
    ) -> Result<Response<Self::MatchStream>, Status> {
        let mut requests = request.into_inner();
        let opening = requests.message().await?.and_then(|message| message.message);
        let Some(pb::match_request::Message::Open(open)) = opening else {
            return Err(Status::internal("no opening"));
        };
        let plays = (self.0)(Open::try_from(open).unwrap());
        // takes what the asker sends, so that the asker is not held up
        tokio::spawn(async move { while let Ok(Some(_)) = requests.message().await {} });
        let (replies, stream) = mpsc::channel(1);
        tokio::spawn(async move {
            for play in plays {
                match play {
                    Play::Send(message) => drop(replies.send(Ok(message)).await),
                    Play::Wait(time) => tokio::time::sleep(time).await,
                    Play::Fail(status) => drop(replies.send(Err(status)).await),
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}
