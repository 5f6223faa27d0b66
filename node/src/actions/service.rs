//! Actions: what own users call.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use overlap_agreement::ActionState;
use overlap_proto::{
    action::{CheckOpen, CheckWish, Create, Handle, StepAction},
    fault::Reason,
    pb::operator::{self as pb, action_service_server::ActionService},
};
use overlap_store::Alert;
use tokio::sync::{Semaphore, broadcast::error::RecvError, mpsc};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use super::{Known, check, handle, live::Live, manage};
use crate::{
    error::NodeError,
    listen::Caller,
    node::{Node, now},
    operator_service::joined,
    peer_service::caller,
    policy::{self, User},
    rules::Action,
};

/// The own users' side of actions.
pub(crate) struct OwnActions(pub(crate) Arc<Node>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
type Answer<T> = Result<Response<T>, Status>;

/// Answers that wait for the network.
const QUEUE: usize = 256;
/// How long a certificate that was checked counts as checked, while checks come; and how often it is looked at while alerts are followed.
const JUDGED_FOR: Duration = Duration::from_secs(1);
const JUDGED_AGAIN: Duration = Duration::from_secs(60);
/// Checks of one stream that are under way at once; the next waits.
const AT_ONCE: usize = 64;

#[tonic::async_trait]
impl ActionService for OwnActions {
    type CheckStream = Answers<pb::CheckResponse>;
    type FeedStream = Answers<pb::Alert>;

    async fn create(&self, request: Request<pb::CreateActionRequest>) -> Answer<pb::Action> {
        self.answer(request, |node, user, wish| async move {
            manage::create(&node, &user, Create::try_from(wish)?).await
        })
        .await
    }

    async fn invite(&self, request: Request<pb::AboutActionRequest>) -> Answer<pb::Action> {
        self.answer(request, |node, user, wish| async move {
            manage::invite(&node, &user, wish).await
        })
        .await
    }

    async fn step(&self, request: Request<pb::StepActionRequest>) -> Answer<pb::Action> {
        self.answer(request, |node, user, wish| async move {
            manage::step(&node, &user, StepAction::try_from(wish)?).await
        })
        .await
    }

    async fn list(&self, request: Request<pb::ListActionsRequest>) -> Answer<pb::ListActionsResponse> {
        self.answer(request, |node, user, wish| async move {
            manage::list(&node, &user, &wish.action).await
        })
        .await
    }

    async fn report(&self, request: Request<pb::AboutActionRequest>) -> Answer<pb::ReportResponse> {
        self.answer(request, |node, user, wish| async move {
            manage::report(&node, &user, &wish.action).await
        })
        .await
    }

    async fn handle(&self, request: Request<pb::HandleAlertRequest>) -> Answer<pb::Alert> {
        self.answer(request, |node, user, wish| async move {
            let wish = Handle::try_from(wish)?;
            let known = node.actions.find(&wish.action, now())?;
            let live = running(&node, &known)?;
            handle::handle(&node, &user, &known, &live, wish).await
        })
        .await
    }

    async fn check(&self, request: Request<Streaming<pb::CheckRequest>>) -> Answer<Self::CheckStream> {
        let user = Arc::new(self.user(&request)?);
        let called = called(&request)?;
        let node = Arc::clone(&self.0);
        let mut wishes = request.into_inner();
        let first = wishes.message().await?;
        let open = first.ok_or_else(|| Reason::InvalidRequest.status("request.open: must come first", None))?;
        let open = CheckOpen::first(open).map_err(|error| NodeError::from(error).to_status())?;
        let known = node
            .actions
            .find(&open.action, now())
            .map_err(|error| error.to_status())?;
        let live = running(&node, &known).map_err(|error| error.to_status())?;
        let open = Arc::new(open);
        let (out, stream) = mpsc::channel(QUEUE);
        node.queries.clone().spawn(async move {
            let places = Arc::new(Semaphore::new(AT_ONCE));
            let mut judged = Instant::now();
            loop {
                let message = tokio::select! {
                    message = wishes.message() => message,
                    () = live.ended.cancelled() => return,
                    () = node.draining.cancelled() => {
                        let _ = out.send(Err(NodeError::Draining.to_status())).await;
                        return;
                    }
                };
                // connections outlive revocations and expiry
                if judged.elapsed() >= JUDGED_FOR {
                    if let Err(error) = called.check_now() {
                        let _ = out.send(Err(error.to_status())).await;
                        return;
                    }
                    judged = Instant::now();
                }
                // who hangs up asks no more; what was asked goes on
                let Ok(Some(message)) = message else { return };
                let wish = match CheckWish::try_from(message) {
                    Ok(wish) => wish,
                    Err(error) => {
                        let _ = out.send(Err(NodeError::from(error).to_status())).await;
                        return;
                    }
                };
                let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                    return;
                };
                let asking = check::ask(
                    Arc::clone(&node),
                    Arc::clone(&live),
                    Arc::clone(&user),
                    Arc::clone(&open),
                    wish,
                    out.clone(),
                );
                node.queries.spawn(async move {
                    asking.await;
                    drop(place);
                });
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn feed(&self, request: Request<pb::FeedRequest>) -> Answer<Self::FeedStream> {
        let user = self.user(&request)?;
        let called = called(&request)?;
        let node = Arc::clone(&self.0);
        let wish = request.into_inner();
        node.permit(&user, Action::ReadAlerts)
            .map_err(|error| error.to_status())?;
        let known = node
            .actions
            .find(&wish.action, now())
            .map_err(|error| error.to_status())?;
        let live = running(&node, &known).map_err(|error| error.to_status())?;
        let (out, stream) = mpsc::channel(QUEUE);
        node.queries.clone().spawn(async move {
            let may = || called.check_now().and_then(|()| node.permit(&user, Action::ReadAlerts));
            feed(&node, &live, wish.once, may, out).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// Every alert as it is, then each as it changes, until the action ends here.
async fn feed<T>(
    node: &Arc<Node>,
    live: &Arc<Live>,
    once: bool,
    may: impl Fn() -> Result<T, NodeError>,
    out: mpsc::Sender<Result<pb::Alert, Status>>,
) {
    // before what there is is read: nothing falls in between
    let mut changes = live.alerts.changes();
    // a reader that is slow gets nothing any more once the action has ended
    let tell = async |alert: &Alert| {
        tokio::select! {
            sent = out.send(Ok(handle::shown(node, live, alert, now()))) => sent.is_ok(),
            () = live.ended.cancelled() => false,
            () = node.draining.cancelled() => false,
        }
    };
    loop {
        for alert in live.alerts.all() {
            if !tell(&alert).await {
                return;
            }
        }
        if once {
            return;
        }
        loop {
            if let Err(error) = may() {
                let _ = out.try_send(Err(error.to_status()));
                return;
            }
            let key = tokio::select! {
                key = changes.recv() => key,
                () = tokio::time::sleep(JUDGED_AGAIN) => continue,
                () = live.ended.cancelled() => return,
                () = node.draining.cancelled() => {
                    // who watches must not take the silence for a quiet day
                    let _ = out.try_send(Err(NodeError::Draining.to_status()));
                    return;
                }
                () = out.closed() => return,
            };
            match key {
                Ok(key) => {
                    let Some(alert) = live.alerts.get(key) else { continue };
                    if !tell(&alert).await {
                        return;
                    }
                }
                // a slow reader is told all anew
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return,
            }
        }
    }
}

/// Who called, to be looked at again while the call goes on.
fn called<T>(request: &Request<T>) -> Result<Caller, Status> {
    let called = request.extensions().get::<Caller>().cloned();
    called.ok_or_else(|| NodeError::Broken("a connection without a certificate").to_status())
}

/// The running side of an action; otherwise why there is none.
fn running(node: &Node, known: &Known) -> Result<Arc<Live>, NodeError> {
    let (plan, state) = (known.plan(), known.state(now()));
    if let Some(live) = node.actions.live(&known.hash()) {
        return Ok(live);
    }
    // an action does not outlive its agreement, which says itself what became of it
    if state != ActionState::Ended {
        policy::action::agreement_of(node, plan, now())?;
    }
    let state = state.name();
    let message = match known.joined().contains(&node.config.id) {
        true if state == "ended" => format!(
            "action {} has ended: checks and alerts are gone, and `overlap action report {}` has the numbers",
            plan.id, plan.id
        ),
        true => format!(
            "action {} is {state}: nothing can be checked or seen before its coordinator starts it (`overlap action start`)",
            plan.id
        ),
        false => format!(
            "{} has not joined action {}, which is {state}: `overlap action join {}` does",
            node.config.name, plan.id, plan.id
        ),
    };
    Err(NodeError::refused(Reason::AgreementDenied, message))
}

impl OwnActions {
    fn user<T>(&self, request: &Request<T>) -> Result<User, Status> {
        self.0.check_open().map_err(|error| error.to_status())?;
        let caller = caller(request)?;
        User::of(&caller, &self.0.config).map_err(|error| error.to_status())
    }

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
        let work = work(Arc::clone(&self.0), user, request.into_inner());
        Ok(Response::new(joined(self.0.queries.spawn(work)).await?))
    }
}
