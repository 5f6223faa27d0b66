//! What an agency's own users call.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
};

use overlap_audit::{Operation, Side};
use overlap_proto::{
    agreement::{AddOrder, CommitInput, Decide},
    fault::Reason,
    operator::{self, AcknowledgeAlarm, Erase, ListEntries, ListHits, OpenInput},
    pb::operator::{self as pb, operator_service_server::OperatorService},
};
use overlap_store::StoreError;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use crate::{
    SOFTWARE, agreement_service, alarm, approvals,
    dataset_service::{dataset, erase, purge},
    decisions,
    error::NodeError,
    explain, hits_service, log_service,
    node::{Node, now},
    operator_stream,
    peer_service::caller,
    policy::{self, Approved, Denial, User},
    pool::blocking,
    rules::{Action, Rules},
    spine,
    trace::TraceContext,
};

pub(crate) struct Operators(pub(crate) Arc<Node>);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl OperatorService for Operators {
    type ExportLogStream = Pin<Box<dyn Stream<Item = Result<pb::ExportLogResponse, Status>> + Send>>;
    type ListAgreementsStream = Pin<Box<dyn Stream<Item = Result<pb::ListAgreementsResponse, Status>> + Send>>;
    type ListOrdersStream = Pin<Box<dyn Stream<Item = Result<pb::ListOrdersResponse, Status>> + Send>>;
    type ListHitsStream = Pin<Box<dyn Stream<Item = Result<pb::ListHitsResponse, Status>> + Send>>;
    type MatchStream = Pin<Box<dyn Stream<Item = Result<pb::MatchResponse, Status>> + Send>>;

    async fn status(&self, request: Request<pb::StatusRequest>) -> Answer<pb::StatusResponse> {
        let user = self.user(&request)?;
        status(&self.0, &user)
            .await
            .map(Response::new)
            .map_err(|error| error.to_status())
    }

    async fn import_dataset(
        &self,
        request: Request<Streaming<pb::ImportDatasetRequest>>,
    ) -> Answer<pb::ImportDatasetResponse> {
        let user = self.user(&request)?;
        let node = Arc::clone(&self.0);
        node.check_open().map_err(|error| error.to_status())?;
        let steps = request.into_inner();
        // a caller that hangs up cannot cut the entry
        let import = self
            .0
            .queries
            .spawn(async move { operator_stream::import(&node, &user, steps).await });
        let info = joined(import).await?;
        Ok(Response::new(pb::ImportDatasetResponse {
            dataset: Some(dataset(&info)),
        }))
    }

    async fn list_datasets(&self, request: Request<pb::ListDatasetsRequest>) -> Answer<pb::ListDatasetsResponse> {
        self.user(&request)?;
        let datasets = self
            .0
            .store
            .datasets()
            .iter()
            .map(|held| dataset(held.info()))
            .collect();
        Ok(Response::new(pb::ListDatasetsResponse { datasets }))
    }

    async fn erase_dataset(&self, request: Request<pb::EraseDatasetRequest>) -> Answer<pb::EraseDatasetResponse> {
        let user = self.user(&request)?;
        let node = Arc::clone(&self.0);
        node.check_open().map_err(|error| error.to_status())?;
        let wish = Erase::try_from(request.into_inner()).map_err(|error| NodeError::from(error).to_status())?;
        let erase = self.0.queries.spawn(async move { erase(&node, &user, wish).await });
        let info = joined(erase).await?;
        Ok(Response::new(pb::EraseDatasetResponse {
            dataset: Some(dataset(&info)),
        }))
    }

    async fn purge_datasets(&self, request: Request<pb::PurgeDatasetsRequest>) -> Answer<pb::PurgeDatasetsResponse> {
        let user = self.user(&request)?;
        let node = Arc::clone(&self.0);
        let only = operator::purge(request.into_inner()).map_err(|error| NodeError::from(error).to_status())?;
        let purge = self.0.queries.spawn(async move { purge(&node, &user, only).await });
        Ok(Response::new(joined(purge).await?))
    }

    async fn list_hits(&self, request: Request<pb::ListHitsRequest>) -> Answer<Self::ListHitsStream> {
        let user = self.user(&request)?;
        self.0.check_open().map_err(|error| error.to_status())?;
        let wish = ListHits::try_from(request.into_inner()).map_err(|error| NodeError::from(error).to_status())?;
        Ok(Response::new(Box::pin(hits_service::list_hits(&self.0, user, wish))))
    }

    async fn follow_up_hit(&self, request: Request<pb::FollowUpHitRequest>) -> Answer<pb::FollowUpHitResponse> {
        let trace = TraceContext::of(request.metadata());
        self.answer(request, |node, user, wish| async move {
            hits_service::follow_up(&node, &user, wish.try_into()?, trace).await
        })
        .await
    }

    async fn show_hit(&self, request: Request<pb::ShowHitRequest>) -> Answer<pb::ShowHitResponse> {
        self.answer(request, |node, user, wish| async move {
            hits_service::show(&node, &user, wish.try_into()?).await
        })
        .await
    }

    async fn decide_hit(&self, request: Request<pb::DecideHitRequest>) -> Answer<pb::DecideHitResponse> {
        self.answer(request, |node, user, wish| async move {
            hits_service::decide(&node, &user, wish.try_into()?).await
        })
        .await
    }

    async fn r#match(&self, request: Request<pb::MatchRequest>) -> Answer<Self::MatchStream> {
        self.0.check_open().map_err(|error| error.to_status())?;
        let caller = caller(&request)?;
        let user = match User::of(&caller, &self.0.config) {
            Ok(user) => user,
            Err(error) => {
                let mut entry = policy::blank_entry(Operation::Combination, Side::Asker, now(), Uuid::now_v7());
                entry.asker = Some(self.0.config.id.clone());
                entry.person = Some(caller.id.clone());
                entry.caller_certificate = Some(caller.thumbprint);
                return Err(spine::deny(&self.0, Denial { entry, error }).await.to_status());
            }
        };
        let trace = TraceContext::of(request.metadata());
        let wish = operator::Match::try_from(request.into_inner());
        let wish = wish.map_err(|error| NodeError::from(error).to_status())?;
        let decision = policy::authorise_ask(&self.0, &user, &wish, Approved::AsNamed, trace, now());
        Ok(Response::new(Box::pin(operator_stream::ask(&self.0, decision))))
    }

    async fn ask_approval(&self, request: Request<pb::AskApprovalRequest>) -> Answer<pb::Approval> {
        self.answer(request, |node, user, wish| async move {
            approvals::ask(&node, &user, wish.query.unwrap_or_default()).await
        })
        .await
    }

    async fn list_approvals(&self, request: Request<pb::ListApprovalsRequest>) -> Answer<pb::ListApprovalsResponse> {
        self.answer(
            request,
            |node, user, _| async move { approvals::list(&node, &user).await },
        )
        .await
    }

    async fn decide_approval(&self, request: Request<pb::DecideApprovalRequest>) -> Answer<pb::Approval> {
        self.answer(request, |node, user, wish| async move {
            approvals::decide(&node, &user, wish.try_into()?).await
        })
        .await
    }

    async fn list_entries(&self, request: Request<pb::ListEntriesRequest>) -> Answer<pb::ListEntriesResponse> {
        self.reads_log(&request)?;
        let wish = ListEntries::try_from(request.into_inner()).map_err(|error| NodeError::from(error).to_status())?;
        let found = log_service::list(&self.0, wish).await;
        found.map(Response::new).map_err(|error| error.to_status())
    }

    async fn show_entry(&self, request: Request<pb::ShowEntryRequest>) -> Answer<pb::ShowEntryResponse> {
        self.reads_log(&request)?;
        let id = operator::entry_id(request.get_ref()).map_err(|error| NodeError::from(error).to_status())?;
        let store = Arc::clone(&self.0.store);
        let found = blocking(move || store.log().entry(id))
            .await
            .and_then(|found| match found {
                Ok(Some(entry)) => log_service::json(&entry),
                Ok(None) => Err(NodeError::refused(
                    Reason::NotFound,
                    "the log has no entry with this id",
                )),
                Err(error @ StoreError::Shredded) => Err(NodeError::refused(Reason::NotFound, error.to_string())),
                Err(error) => Err(error.into()),
            });
        let entry = found.map_err(|error| error.to_status())?;
        Ok(Response::new(pb::ShowEntryResponse { entry }))
    }

    async fn export_log(&self, request: Request<pb::ExportLogRequest>) -> Answer<Self::ExportLogStream> {
        let user = self.user(&request)?;
        self.0.check_open().map_err(|error| error.to_status())?;
        let reason =
            operator::export_reason(request.into_inner()).map_err(|error| NodeError::from(error).to_status())?;
        Ok(Response::new(Box::pin(log_service::export(&self.0, user, reason))))
    }

    async fn open_input(&self, request: Request<pb::OpenInputRequest>) -> Answer<pb::OpenInputResponse> {
        let user = self.user(&request)?;
        let node = Arc::clone(&self.0);
        node.check_open().map_err(|error| error.to_status())?;
        let wish = OpenInput::try_from(request.into_inner()).map_err(|error| NodeError::from(error).to_status())?;
        let open = self
            .0
            .queries
            .spawn(async move { log_service::open_input(&node, &user, wish).await });
        let proof = joined(open).await?;
        Ok(Response::new(pb::OpenInputResponse { proof }))
    }

    async fn draft_agreement(&self, request: Request<pb::DraftAgreementRequest>) -> Answer<pb::DraftAgreementResponse> {
        self.answer(request, |node, user, wish| async move {
            agreement_service::draft(&node, &user, wish).await
        })
        .await
    }

    async fn propose_agreement(&self, request: Request<pb::ProposeAgreementRequest>) -> Answer<pb::AgreementResponse> {
        self.answer(request, |node, user, wish| async move {
            agreement_service::propose(&node, &user, wish).await
        })
        .await
    }

    async fn take_agreement(&self, request: Request<pb::TakeAgreementRequest>) -> Answer<pb::AgreementResponse> {
        self.answer(request, |node, user, wish| async move {
            agreement_service::take(&node, &user, wish).await
        })
        .await
    }

    async fn decide_agreement(&self, request: Request<pb::DecideAgreementRequest>) -> Answer<pb::AgreementResponse> {
        self.answer(request, |node, user, wish| async move {
            agreement_service::decide(&node, &user, Decide::try_from(wish)?).await
        })
        .await
    }

    async fn list_agreements(&self, request: Request<pb::ListAgreementsRequest>) -> Answer<Self::ListAgreementsStream> {
        let user = self.user(&request)?;
        let node = Arc::clone(&self.0);
        node.permit(&user, Action::ReadAgreements)
            .map_err(|error| error.to_status())?;
        // one in a message: each is far from the largest that there may be, and all of them may not be
        let all = node.agreements.all().into_iter();
        let each = all.map(move |held| {
            Ok(pb::ListAgreementsResponse {
                agreements: vec![agreement_service::shown(&node, &held)],
            })
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(each))))
    }

    async fn add_order(&self, request: Request<pb::AddOrderRequest>) -> Answer<pb::AddOrderResponse> {
        self.answer(request, |node, user, wish| async move {
            agreement_service::add_order(&node, &user, AddOrder::try_from(wish)?).await
        })
        .await
    }

    async fn list_orders(&self, request: Request<pb::ListOrdersRequest>) -> Answer<Self::ListOrdersStream> {
        let user = self.user(&request)?;
        self.0
            .permit(&user, Action::ReadOrders)
            .map_err(|error| error.to_status())?;
        let all = self.0.orders.all().into_iter();
        let each = all.map(|(hash, held)| {
            Ok(pb::ListOrdersResponse {
                orders: vec![agreement_service::shown_order(hash, &held)],
            })
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(each))))
    }

    async fn commit_input(&self, request: Request<pb::CommitInputRequest>) -> Answer<pb::CommitInputResponse> {
        self.answer(request, |node, user, wish| async move {
            agreement_service::commit_input(&node, &user, CommitInput::try_from(wish)?).await
        })
        .await
    }

    async fn check_policy(&self, request: Request<pb::CheckPolicyRequest>) -> Answer<pb::CheckPolicyResponse> {
        self.answer(request, |node, user, wish| async move {
            node.permit(&user, Action::ExplainPolicy)?;
            Ok(match Rules::parse(&wish.policy, b"") {
                Ok(rules) => pb::CheckPolicyResponse {
                    rules: u32::try_from(rules.len()).unwrap_or(u32::MAX),
                    fault: String::new(),
                },
                Err(error) => pb::CheckPolicyResponse {
                    rules: 0,
                    fault: error.to_string(),
                },
            })
        })
        .await
    }

    async fn explain_policy(&self, request: Request<pb::ExplainPolicyRequest>) -> Answer<pb::ExplainPolicyResponse> {
        self.answer(request, |node, user, wish| async move {
            explain::explain_policy(&node, &user, wish)
        })
        .await
    }

    async fn acknowledge_alarm(
        &self,
        request: Request<pb::AcknowledgeAlarmRequest>,
    ) -> Answer<pb::AcknowledgeAlarmResponse> {
        let user = self.user(&request)?;
        let node = Arc::clone(&self.0);
        node.check_open().map_err(|error| error.to_status())?;
        let wish =
            AcknowledgeAlarm::try_from(request.into_inner()).map_err(|error| NodeError::from(error).to_status())?;
        let acknowledge = self
            .0
            .queries
            .spawn(async move { alarm::acknowledge(&node, &user, wish).await });
        joined(acknowledge).await?;
        Ok(Response::new(pb::AcknowledgeAlarmResponse {}))
    }
}

impl Operators {
    /// Answers in a task: a caller that hangs up does not cut an entry.
    async fn answer<T, R, F>(
        &self,
        request: Request<T>,
        work: impl FnOnce(Arc<Node>, User, T) -> F,
    ) -> Result<Response<R>, Status>
    where
        F: Future<Output = Result<R, NodeError>> + Send + 'static,
        R: Send + 'static,
    {
        let user = self.user(&request)?;
        self.0.check_open().map_err(|error| error.to_status())?;
        let work = work(Arc::clone(&self.0), user, request.into_inner());
        Ok(Response::new(joined(self.0.queries.spawn(work)).await?))
    }

    fn user<T>(&self, request: &Request<T>) -> Result<User, Status> {
        User::of(&*caller(request)?, &self.0.config).map_err(|error| error.to_status())
    }

    fn reads_log<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let user = self.user(request)?;
        self.0
            .permit(&user, Action::ReadLog)
            .map(drop)
            .map_err(|error| error.to_status())
    }
}

async fn status(node: &Arc<Node>, user: &User) -> Result<pb::StatusResponse, NodeError> {
    let store = Arc::clone(&node.store);
    let open_entries = blocking(move || store.log().open_entries()).await??.len() as u64;
    let (log, alarms) = log_service::status(node).await?;
    let undecided = decisions::undecided(node).await?;
    let config = &node.config;
    let agreements = node.agreements.in_force(now());
    let peers = config.peers.iter().map(|peer| {
        let both = agreements
            .iter()
            .map(|held| held.agreement())
            .filter(|agreement| agreement.party(&peer.id).is_some());
        pb::Peer {
            name: peer.name.clone(),
            id: peer.id.clone(),
            address: peer.address.clone(),
            agreements: both.map(|agreement| agreement.id.clone()).collect(),
        }
    });
    Ok(pb::StatusResponse {
        name: config.name.clone(),
        id: config.id.clone(),
        software: SOFTWARE.to_owned(),
        profile: config.profile.name().to_owned(),
        profile_hash: config.profile.hash().to_vec().into(),
        person: user.id.clone(),
        roles: user.roles.iter().map(|role| role.name().to_owned()).collect(),
        peers: peers.collect(),
        open_entries,
        undecided: undecided.len() as u64,
        decide_by: undecided
            .first()
            .map(|row| row.decide_by.to_string())
            .unwrap_or_default(),
        log: Some(log),
        alarms,
        peer_bytes_sent: node.traffic.sent.load(Ordering::Relaxed),
        signing_key: config.signing_key.public().thumbprint().0.to_vec().into(),
        key: config.key.0.to_vec().into(),
        peer_bytes_received: node.traffic.received.load(Ordering::Relaxed),
    })
}

pub(crate) async fn joined<T>(task: tokio::task::JoinHandle<Result<T, NodeError>>) -> Result<T, Status> {
    task.await
        .unwrap_or(Err(NodeError::Broken("a task panicked")))
        .map_err(|error| error.to_status())
}
