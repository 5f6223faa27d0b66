//! What own users call of pictures.

use std::sync::Arc;

use overlap_proto::pb::operator::{self as pb, picture_service_server::PictureService};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::{follow_up::follow_up, list, run, show};
use crate::{
    error::NodeError, node::Node, operator_service::joined, peer_service::caller, policy::User, trace::TraceContext,
};

/// The own users' side of pictures.
pub(crate) struct OwnPictures(pub(crate) Arc<Node>);

type Answers<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl PictureService for OwnPictures {
    type RunStream = Answers<pb::RunPictureResponse>;
    type ShowStream = Answers<pb::ShowPictureResponse>;

    async fn run(&self, request: Request<pb::RunPictureRequest>) -> Result<Response<Self::RunStream>, Status> {
        let user = self.user(&request)?;
        let trace = TraceContext::of(request.metadata());
        let wish = request.into_inner().try_into();
        let wish = wish.map_err(|error| NodeError::Request(error).to_status())?;
        Ok(Response::new(Box::pin(run(&self.0, user, wish, trace))))
    }

    async fn list(
        &self,
        request: Request<pb::ListPicturesRequest>,
    ) -> Result<Response<pb::ListPicturesResponse>, Status> {
        let user = self.user(&request)?;
        let listed = list(&self.0, &user).await;
        listed.map(Response::new).map_err(|error| error.to_status())
    }

    async fn show(&self, request: Request<pb::ShowPictureRequest>) -> Result<Response<Self::ShowStream>, Status> {
        let user = self.user(&request)?;
        let wish = request.into_inner().try_into();
        let wish = wish.map_err(|error| NodeError::Request(error).to_status())?;
        let node = Arc::clone(&self.0);
        let showing = self.0.queries.spawn(async move { show(&node, &user, wish).await });
        let told = joined(showing).await?;
        Ok(Response::new(Box::pin(tokio_stream::iter(told))))
    }

    async fn follow_up(
        &self,
        request: Request<pb::FollowUpPictureRequest>,
    ) -> Result<Response<pb::FollowUpPictureResponse>, Status> {
        let user = self.user(&request)?;
        let trace = TraceContext::of(request.metadata());
        let wish = request.into_inner().try_into();
        let wish = wish.map_err(|error| NodeError::Request(error).to_status())?;
        let node = Arc::clone(&self.0);
        let asking = self
            .0
            .queries
            .spawn(async move { follow_up(&node, &user, wish, trace).await });
        Ok(Response::new(joined(asking).await?))
    }
}

impl OwnPictures {
    fn user<T>(&self, request: &Request<T>) -> Result<User, Status> {
        self.0.check_open().map_err(|error| error.to_status())?;
        let caller = caller(request)?;
        User::of(&caller, &self.0.config).map_err(|error| error.to_status())
    }
}
