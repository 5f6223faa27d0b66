//! Participants and coordinators of pictures that hold valid certificates and break the protocol.

use std::sync::Arc;

use overlap_agreement::{Roster, Signed};
use overlap_proto::{
    pb::peer::{
        self as pb,
        picture_service_client::PictureServiceClient,
        picture_service_server::{PictureService, PictureServiceServer},
    },
    picture::{Asked, Request as Told, Response as Says, evaluated_message},
};
use overlap_psi::joint::{Entry, Evaluator, Share};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Certificate, Channel, Identity, Server, ServerTlsConfig},
};

use crate::{World, hostile::channel};

/// How a participant under the test's control misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vice {
    /// It evaluates with another key than it announced.
    OtherKey,
    /// It says that it is ready, and then nothing.
    Silent,
    /// It hangs up once it has the roster.
    HangsUp,
    /// It sends fewer pseudonyms than it announced, and says that it is done.
    Short,
    /// It sends pseudonyms that are not sorted.
    Unsorted,
    /// It says of pseudonyms what cannot be.
    BadMarks,
    /// It says again and again that it is at work, and gets no further.
    Busy,
    /// It evaluates nothing, and says of itself that it gets on.
    Hinders,
    /// It says of another that it does not do its part, and is larger in the next round.
    Grows,
    /// It says of one after the other that they do not do their part.
    Accuses,
}

/// A participant under the test's control, in the place of an agency's node. It announces three items.
pub struct HostileParticipant;

impl HostileParticipant {
    /// Listens where the node of `agency` would.
    pub async fn start(world: &World, agency: &str, vice: Vice) {
        let own = world.agency(agency);
        let read = |name: &str| std::fs::read(own.file(name)).unwrap();
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(read("node.pem"), read("node.key")))
            .client_ca_root(Certificate::from_pem(read("federation-ca.pem")));
        let listener = TcpListener::bind(own.peer).await.unwrap();
        let share = Share::random(&mut rand::rng());
        let service = PictureServiceServer::new(Vicious {
            share: Arc::new(share),
            vice,
        });
        let server = Server::builder().tls_config(tls).unwrap().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    }
}

struct Vicious {
    share: Arc<Share>,
    vice: Vice,
}

const ITEMS: u64 = 3;

#[tonic::async_trait]
impl PictureService for Vicious {
    type TakeStream = ReceiverStream<Result<pb::TakeResponse, Status>>;
    type EvaluateStream = ReceiverStream<Result<pb::EvaluateResponse, Status>>;

    async fn take(&self, request: Request<Streaming<pb::TakeRequest>>) -> Result<Response<Self::TakeStream>, Status> {
        let mut requests = request.into_inner();
        let (replies, stream) = mpsc::channel(4);
        let (share, vice) = (Arc::clone(&self.share), self.vice);
        tokio::spawn(async move {
            while let Ok(Some(message)) = requests.message().await {
                let ready = |round, size| Says::Ready {
                    round,
                    size,
                    key: *share.public(),
                };
                let says = match Told::try_from(message).unwrap() {
                    Told::Open(_) => ready(1, if vice == Vice::Hinders { 1000 } else { ITEMS }),
                    Told::Again(round) if vice == Vice::Grows => ready(round, ITEMS + 1),
                    Told::Again(round) if vice == Vice::Accuses => ready(round, ITEMS),
                    Told::Roster(roster) => match vice {
                        Vice::HangsUp => return,
                        Vice::Silent | Vice::OtherKey => continue,
                        Vice::Busy | Vice::Hinders => {
                            tokio::spawn(at_work(replies.clone(), vice));
                            continue;
                        }
                        Vice::Grows | Vice::Accuses => {
                            let other = if roster.document().round == 1 { "iszw" } else { "kmar" };
                            Says::Failed {
                                participant: format!("spiffe://overlap.example/agency/{other}"),
                                why: "it says so".to_owned(),
                            }
                        }
                        Vice::Short => Says::Entries(vec![entry(1, 0), entry(2, 0)]),
                        Vice::Unsorted => Says::Entries(vec![entry(2, 0), entry(1, 0), entry(3, 0)]),
                        Vice::BadMarks => Says::Entries(vec![entry(1, 0), entry(2, 200), entry(3, 0)]),
                    },
                    Told::Again(_) | Told::Done => return,
                };
                let is_list = matches!(says, Says::Entries(_));
                let _ = replies.send(Ok(says.into())).await;
                if is_list && vice == Vice::Short {
                    let _ = replies.send(Ok(Says::Complete.into())).await;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn evaluate(
        &self,
        request: Request<Streaming<pb::EvaluateRequest>>,
    ) -> Result<Response<Self::EvaluateStream>, Status> {
        let mut requests = request.into_inner();
        let (replies, stream) = mpsc::channel(4);
        let share = match self.vice {
            Vice::OtherKey => Share::random(&mut rand::rng()),
            _ => Share::clone(&self.share),
        };
        let hinders = self.vice == Vice::Hinders;
        tokio::spawn(async move {
            if hinders {
                replies.closed().await;
            }
            let mut evaluator = Evaluator::start(share, u64::MAX);
            while let Ok(Some(message)) = requests.message().await {
                if let Asked::Blinded(blinded) = Asked::try_from(message).unwrap() {
                    let (next, evaluated) = evaluator.evaluate(&blinded, &mut rand::rng()).unwrap();
                    evaluator = next;
                    let _ = replies.send(Ok(evaluated_message(&evaluated))).await;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

async fn at_work(replies: mpsc::Sender<Result<pb::TakeResponse, Status>>, vice: Vice) {
    for step in 1.. {
        let done = if vice == Vice::Hinders { step } else { 0 };
        let working = Says::Working {
            done,
            waiting_for: None,
        };
        if replies.send(Ok(working.into())).await.is_err() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

fn entry(number: u8, kind: u8) -> Entry {
    Entry {
        pseudonym: [number; 16],
        mark: [kind, 0, 0, 0],
    }
}

/// A coordinator, or another participant, under the test's control.
pub struct HostileCoordinator {
    client: PictureServiceClient<Channel>,
}

impl HostileCoordinator {
    /// Connects as `asker` to the node of `holder`.
    pub async fn connect(world: &World, asker: &str, holder: &str) -> Self {
        Self {
            client: PictureServiceClient::new(channel(world, asker, holder).await),
        }
    }

    /// Opens a picture, and gives the two ends of the stream.
    pub async fn open(
        &mut self,
        open: overlap_proto::picture::Open,
    ) -> Result<(mpsc::Sender<pb::TakeRequest>, Streaming<pb::TakeResponse>), Status> {
        let (requests, outgoing) = mpsc::channel(4);
        requests.send(Told::Open(Box::new(open)).into()).await.unwrap();
        let incoming = self.client.take(ReceiverStream::new(outgoing)).await?;
        Ok((requests, incoming.into_inner()))
    }

    /// Asks for evaluation under a roster, and gives what came back.
    pub async fn evaluate(&mut self, roster: &Signed<Roster>, blinded: Vec<[u8; 32]>) -> Result<usize, Status> {
        let messages = vec![
            Asked::Roster(Box::new(roster.clone())).into(),
            Asked::Blinded(blinded).into(),
        ];
        let mut answers = self.client.evaluate(tokio_stream::iter(messages)).await?.into_inner();
        let mut elements = 0;
        while let Some(answer) = answers.message().await? {
            elements += answer.evaluated.map_or(0, |one| one.elements.len() / 32);
        }
        Ok(elements)
    }
}
