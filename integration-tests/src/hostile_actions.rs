//! Partners of an action that hold valid certificates and break the protocol.

use std::sync::{Arc, Mutex};

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
use overlap_psi::{
    Element, Encoded, Item, Protocol, Stored,
    filter::Filter,
    voprf::{self, Evaluator, Output},
};
use overlap_records::{Hints, Identifier, Kind, Profile};
use overlap_store::DocumentKind;
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Certificate, Channel, Identity, Server, ServerTlsConfig},
};
use uuid::Uuid;

use crate::{ActionDay, PURPOSE, World, hostile::channel, text_of};

/// A partner under the test's control, with the certificate of an agency whose node does not run.
#[derive(Clone)]
pub struct HostilePartner {
    lie: Lie,
    /// Points that each check came with for the mirrored pass, in order.
    pub mirrored: Arc<Mutex<Vec<usize>>>,
    /// Transactions of the checks, in order.
    pub checks: Arc<Mutex<Vec<Uuid>>>,
}

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
    /// It has points evaluated, and hangs up at each check.
    HangUp,
}

/// Points of the mirrored pass of a partner that hangs up.
const MIRROR: u32 = 8;

/// An asker under the test's control, with the certificate of an agency whose node does not run.
pub struct HostileAttendant {
    requests: mpsc::Sender<pb::AttendRequest>,
    answers: Streaming<pb::AttendResponse>,
    snapshot: Snapshot,
}

impl HostilePartner {
    /// Listens where the node of `holder` would.
    pub async fn start(world: &World, holder: &str, lie: Lie) -> Self {
        let own = world.agency(holder);
        let read = |name: &str| std::fs::read(own.file(name)).unwrap();
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(read("node.pem"), read("node.key")))
            .client_ca_root(Certificate::from_pem(read("federation-ca.pem")));
        let listener = TcpListener::bind(own.peer).await.unwrap();
        let partner = Self {
            lie,
            mirrored: Arc::default(),
            checks: Arc::default(),
        };
        let service = ActionServiceServer::new(partner.clone());
        let server = Server::builder().tls_config(tls).unwrap().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        partner
    }
}

#[tonic::async_trait]
impl ActionService for HostilePartner {
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
        tokio::spawn(lie(self.clone(), request.into_inner(), replies));
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

async fn lie(
    partner: HostilePartner,
    mut requests: Streaming<pb::AttendRequest>,
    replies: mpsc::Sender<Result<pb::AttendResponse, Status>>,
) {
    let lie = partner.lie;
    let say = async |message: Attended| drop(replies.send(Ok(message.into())).await);
    drop(requests.message().await);
    let (announced, other) = (Evaluator::random(&mut rand::rng()), Evaluator::random(&mut rand::rng()));
    let filter = Filter::build([[7; 16]]).unwrap();
    say(Attended::Accepted(Snapshot {
        epoch: [1; 16],
        public: *announced.public(),
        shape: filter.shape(),
        resumed: lie == Lie::StaleSnapshot,
        mirror: if lie == Lie::HangUp { MIRROR } else { 0 },
    }))
    .await;
    if lie == Lie::HangUp {
        let points = (0..MIRROR).map(|n| Item::derive("test", "phone", &n.to_be_bytes()).to_element());
        say(Attended::Mirror(points.map(|point| Element::encode(&point)).collect())).await;
        let mirrored = requests.message().await.unwrap().unwrap();
        assert!(matches!(Attend::try_from(mirrored).unwrap(), Attend::Mirrored(_)));
    }
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
        partner.mirrored.lock().unwrap().push(check.mirrored.len());
        partner.checks.lock().unwrap().push(check.asking.transaction);
        let evaluator = if lie == Lie::WrongProof { &other } else { &announced };
        let evaluated = evaluator.evaluate(&check.blinded, &mut rand::rng()).unwrap();
        match lie {
            Lie::Silence => {}
            Lie::HangUp => return,
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
        let mut client = client(world, asker, holder).await;
        let (requests, stream) = mpsc::channel(64);
        requests.send(first).await.unwrap();
        let mut answers = client.attend(ReceiverStream::new(stream)).await?.into_inner();
        let accepted = Attended::try_from(answers.message().await?.unwrap()).unwrap();
        let Attended::Accepted(snapshot) = accepted else {
            panic!("not accepted: {accepted:?}");
        };
        // its fingerprints
        drop(answers.message().await?);
        Ok(Self {
            requests,
            answers,
            snapshot,
        })
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

    /// Checks one telephone number as a node does; gives the transaction, and the outputs.
    pub async fn look_up(&mut self, day: &ActionDay, holder: &str, id: &str, phone: &str) -> (Uuid, Vec<Output>) {
        let profile = Profile::eu_thb_1();
        let identifier = Identifier::normalise(Kind::Phone, phone, &Hints::default()).unwrap();
        let items: Vec<Item> = identifier
            .match_keys(&profile)
            .iter()
            .map(|key| {
                let rule = &profile.keys()[usize::from(key.key())];
                Item::derive(profile.name(), rule.name(), key.as_bytes())
            })
            .collect();
        let (transaction, blinded) = (
            Uuid::now_v7(),
            voprf::Check::blind(&Stored::of(&items), &mut rand::rng()).unwrap(),
        );
        self.check(transaction, blinded.encoded()).await;
        let Attended::Evaluated(_, evaluated) = self.next().await.unwrap().unwrap() else {
            panic!("a check was not answered");
        };
        let plan = day.action(holder, &["status", id]).json()[0]["hash"].clone();
        let epoch = hex::encode(self.snapshot.epoch);
        let text = format!(
            "overlap/action/v1\n{}\nspiffe://overlap.example/agency/{holder}\n{epoch}",
            text_of(&plan)
        );
        let bound: [u8; 32] = Sha256::digest(text).into();
        let outputs = blinded.finish(&evaluated, &self.snapshot.public, &bound).unwrap();
        (transaction, outputs)
    }

    /// Claims outputs of a check.
    pub async fn claim(&self, check: Uuid, outputs: Vec<Output>) {
        self.claim_as(Uuid::now_v7(), check, outputs).await;
    }

    /// Claims outputs of a check under an id.
    pub async fn claim_as(&self, alert: Uuid, check: Uuid, outputs: Vec<Output>) {
        let claimed = Claim {
            asking: asking(Uuid::now_v7()),
            check,
            alert,
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

async fn client(world: &World, asker: &str, holder: &str) -> ActionServiceClient<Channel> {
    ActionServiceClient::new(channel(world, asker, holder).await).max_encoding_message_size(usize::MAX)
}

/// Says to the node of `hearer`, as `speaker`, whose node does not run, that it has an alert of each of some checks that it was asked.
///
/// # Errors
/// What the node says.
pub async fn speak(day: &ActionDay, speaker: &str, hearer: &str, id: &str, checks: &[Uuid]) -> Result<(), Status> {
    let plan = day.action(hearer, &["status", id]).json()[0]["hash"].clone();
    let row = day.store(speaker).documents().get(DocumentKind::Action, &digest(&plan));
    let row: serde_json::Value = serde_json::from_slice(&row.unwrap().unwrap()).unwrap();
    let steps = row["steps"].as_array().unwrap().iter();
    let alerts = checks.iter().map(|check| pb::AlertWord {
        alert: Uuid::now_v7().as_bytes().to_vec().into(),
        check: check.as_bytes().to_vec().into(),
        kind: Kind::Phone.to_string(),
        as_holder: true,
        steps: Vec::new(),
    });
    let convey = pb::ConveyRequest {
        plan: text_of(&row["plan"]).to_owned().into(),
        steps: steps.map(|step| text_of(step).to_owned().into()).collect(),
        alerts: alerts.collect(),
    };
    client(&day.world, speaker, hearer).await.convey(convey).await?;
    Ok(())
}

fn digest(text: &serde_json::Value) -> Digest {
    Digest(hex::decode(text_of(text)).unwrap().try_into().unwrap())
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
            agreement_hash: digest(&agreement["hash"]),
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
        plan: digest(&status["hash"]),
        has: None,
    }
}
