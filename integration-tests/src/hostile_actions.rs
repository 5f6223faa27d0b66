//! Partners of an action that hold valid certificates and break the protocol.

use std::net::SocketAddr;

use overlap_audit::Digest;
use overlap_proto::{
    action::{Asking, Attend, Attended, Claim, Delta, Opening, Snapshot, check, claim},
    pb::peer::{
        self as pb,
        action_service_client::ActionServiceClient,
        action_service_server::{ActionService, ActionServiceServer},
    },
    peer::{self, Open},
};
use overlap_psi::{Encoded, Protocol, filter::Filter, voprf::Evaluator};
use overlap_records::{Kind, Profile};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig},
};
use uuid::Uuid;

use crate::{ActionDay, PURPOSE, World, text_of};

/// A partner under the test's control, with the certificate of an agency whose node does not run.
pub struct HostilePartner;

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// It evaluates with another key than the one that it announced.
    WrongProof,
    /// It sends a delta twice.
    ReplayedDelta,
    /// It says that the asker has its snapshot already.
    StaleSnapshot,
    /// It announces a filter, and sends more than that.
    LongFilter,
    /// It takes checks, and answers none.
    Silence,
    /// It answers checks that nobody made.
    Unasked,
}

/// An asker under the test's control, with the certificate of an agency whose node does not run.
pub struct HostileAttendant {
    requests: mpsc::Sender<pb::AttendRequest>,
    answers: Streaming<pb::AttendResponse>,
}

impl HostilePartner {
    /// Listens where the node of `holder` would.
    pub async fn start(world: &World, holder: &str, lie: Lie) -> SocketAddr {
        let own = world.agency(holder);
        let read = |name: &str| std::fs::read(own.file(name)).unwrap();
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(read("node.pem"), read("node.key")))
            .client_ca_root(Certificate::from_pem(read("federation-ca.pem")));
        let listener = TcpListener::bind(own.peer).await.unwrap();
        let service = ActionServiceServer::new(Liar(lie));
        let server = Server::builder().tls_config(tls).unwrap().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        own.peer
    }
}

struct Liar(Lie);

#[tonic::async_trait]
impl ActionService for Liar {
    type AttendStream = ReceiverStream<Result<pb::AttendResponse, Status>>;

    async fn convey(&self, request: Request<pb::ConveyRequest>) -> Result<Response<pb::ConveyResponse>, Status> {
        let heard = request.into_inner();
        Ok(Response::new(pb::ConveyResponse {
            plan: heard.plan,
            steps: heard.steps,
        }))
    }

    async fn attend(
        &self,
        request: Request<Streaming<pb::AttendRequest>>,
    ) -> Result<Response<Self::AttendStream>, Status> {
        let (replies, stream) = mpsc::channel(16);
        tokio::spawn(lie(self.0, request.into_inner(), replies));
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

async fn lie(
    lie: Lie,
    mut requests: Streaming<pb::AttendRequest>,
    replies: mpsc::Sender<Result<pb::AttendResponse, Status>>,
) {
    let say = async |message: Attended| drop(replies.send(Ok(message.into())).await);
    drop(requests.message().await);
    let (announced, other) = (Evaluator::random(&mut rand::rng()), Evaluator::random(&mut rand::rng()));
    let filter = Filter::build([[7; 16]]).unwrap();
    say(Attended::Accepted(Snapshot {
        epoch: [1; 16],
        public: *announced.public(),
        shape: filter.shape(),
        resumed: lie == Lie::StaleSnapshot,
        mirror: 0,
    }))
    .await;
    let mut fingerprints = filter.fingerprints().to_vec();
    if lie == Lie::LongFilter {
        fingerprints.push(7);
    }
    if lie != Lie::StaleSnapshot {
        say(Attended::Fingerprints(fingerprints)).await;
    }
    if lie == Lie::ReplayedDelta {
        for _ in 0..2 {
            say(Attended::Delta(Delta {
                number: 1,
                images: vec![[9; 16]],
            }))
            .await;
        }
    }
    while let Ok(Some(message)) = requests.message().await {
        let Ok(Attend::Check(check)) = Attend::try_from(message) else {
            continue;
        };
        let evaluator = if lie == Lie::WrongProof { &other } else { &announced };
        let evaluated = evaluator.evaluate(&check.blinded, &mut rand::rng()).unwrap();
        match lie {
            Lie::Silence => {}
            Lie::Unasked => say(Attended::Evaluated(Uuid::now_v7(), Box::new(evaluated))).await,
            _ => say(Attended::Evaluated(check.asking.transaction, Box::new(evaluated))).await,
        }
    }
}

impl HostileAttendant {
    /// Opens a standing stream as `asker` to the node of `holder`.
    ///
    /// # Errors
    /// What the node says.
    pub async fn attend(day: &ActionDay, asker: &str, holder: &str, id: &str) -> Result<Self, Status> {
        let opening = opening(day, holder, id);
        Self::open(&day.world, asker, holder, opening.into()).await
    }

    /// Opens a standing stream with any first message.
    ///
    /// # Errors
    /// What the node says.
    pub async fn open(world: &World, asker: &str, holder: &str, first: pb::AttendRequest) -> Result<Self, Status> {
        let own = world.agency(asker);
        let read = |name: &str| std::fs::read(own.file(name)).unwrap();
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read("federation-ca.pem")))
            .identity(Identity::from_pem(read("node.pem"), read("node.key")));
        let endpoint = Endpoint::from_shared(format!("https://{}", world.agency(holder).peer)).unwrap();
        let channel = endpoint.tls_config(tls).unwrap().connect().await.unwrap();
        let mut client = ActionServiceClient::new(channel).max_encoding_message_size(usize::MAX);
        let (requests, stream) = mpsc::channel(64);
        requests.send(first).await.unwrap();
        let mut answers = client.attend(ReceiverStream::new(stream)).await?.into_inner();
        // accepted, and the snapshot
        let accepted = answers.message().await?;
        assert!(accepted.is_some());
        drop(answers.message().await?);
        Ok(Self { requests, answers })
    }

    /// Sends anything.
    pub async fn send(&self, message: pb::AttendRequest) {
        drop(self.requests.send(message).await);
    }

    /// Sends a check of bytes that may be no elements.
    pub async fn check(&self, transaction: Uuid, blinded: &[Encoded]) {
        self.send(check(&asking(transaction), &[Kind::Phone], blinded, &[], false))
            .await;
    }

    /// Claims outputs of a check.
    pub async fn claim(&self, check: Uuid, outputs: Vec<[u8; 16]>) {
        let claimed = Claim {
            asking: asking(Uuid::now_v7()),
            check,
            alert: Uuid::now_v7(),
            kind: Kind::Phone,
            outputs,
        };
        self.send(claim(&claimed)).await;
    }

    /// The next message.
    ///
    /// # Errors
    /// What the node says.
    pub async fn next(&mut self) -> Result<Option<Attended>, Status> {
        let message = self.answers.message().await?;
        Ok(message.map(|message| Attended::try_from(message).unwrap()))
    }
}

fn asking(transaction: Uuid) -> Asking {
    Asking {
        transaction,
        person: "spiffe://x.example/user/x".to_owned(),
        role: "coordinator".to_owned(),
        case_reference: "JAD-1".to_owned(),
        reason: "a test".to_owned(),
        on_behalf_of: None,
    }
}

/// The opening that the plan of an action wants, as a node of `day` tells of it.
pub fn opening(day: &ActionDay, at: &str, id: &str) -> Opening {
    let status = &day.action(at, &["status", id]).json()[0];
    let agreements = day.world.json(at, "operator", &["agreement", "list"]);
    let digest = |text: &str| Digest(hex::decode(text).unwrap().try_into().unwrap());
    let agreement = &agreements.as_array().unwrap()[0];
    let words = |list: &serde_json::Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|one| text_of(one).to_owned()).collect()
    };
    let mut kinds: Vec<Kind> = words(&status["kinds"])
        .iter()
        .map(|kind| kind.parse().unwrap())
        .collect();
    kinds.sort_unstable();
    let mut roles: Vec<_> = words(&status["roles"])
        .iter()
        .map(|role| role.parse().unwrap())
        .collect();
    roles.sort_unstable();
    let profile = Profile::eu_thb_1();
    Opening {
        query: Open {
            transaction: Uuid::now_v7(),
            agreement: text_of(&agreement["id"]).to_owned(),
            agreement_hash: digest(text_of(&agreement["hash"])),
            dataset: "cases".to_owned(),
            mode: peer::Mode::Hits,
            protocol: Protocol::Voprf,
            profile: profile.name().to_owned(),
            profile_hash: Digest(profile.hash()),
            kinds,
            purpose: PURPOSE.to_owned(),
            case_reference: "JAD-1".to_owned(),
            reason: "a test".to_owned(),
            person: "spiffe://x.example/user/x".to_owned(),
            role: "coordinator".to_owned(),
            set_size: 0,
            input_commitment: Digest([0; 32]),
            roles,
            order: None,
            on_behalf_of: None,
        },
        plan: digest(text_of(&status["hash"])),
        has: None,
    }
}
