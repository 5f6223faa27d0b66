//! Answers under way: a node that goes down waits until they have left.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::sync::mpsc;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};
use tonic::Status;

/// What a peer is sent. Counts as a query under way until all of it was taken by the connection.
pub(crate) struct Sent<T> {
    messages: ReceiverStream<Result<T, Status>>,
    _under_way: TaskTrackerToken,
}

impl<T> Sent<T> {
    pub(crate) fn new(messages: mpsc::Receiver<Result<T, Status>>, queries: &TaskTracker) -> Self {
        Self {
            messages: ReceiverStream::new(messages),
            _under_way: queries.token(),
        }
    }
}

impl<T> Stream for Sent<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.messages).poll_next(context)
    }
}
