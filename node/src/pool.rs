//! The CPU pool: heavy work runs here, off the async runtime.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::error::NodeError;

/// A rayon pool with one thread per core.
#[derive(Clone)]
pub(crate) struct Pool(Arc<rayon::ThreadPool>);

impl Pool {
    pub(crate) fn new() -> Result<Self, rayon::ThreadPoolBuildError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .thread_name(|i| format!("pool-{i}"))
            .build()?;
        Ok(Self(Arc::new(pool)))
    }

    /// Runs work on the pool and waits for it without holding up the async runtime.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NodeError> {
        let (done, result) = oneshot::channel();
        self.0.spawn(move || {
            // a panic that reached rayon would end the process
            if let Ok(result) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
                let _ = done.send(result);
            }
        });
        result
            .await
            .map_err(|_| NodeError::Broken("work on the pool ended without a result"))
    }

    /// Runs work on the pool from a blocking thread.
    pub(crate) fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.0.install(work)
    }
}

/// Runs blocking work (the store, files) on a thread for it.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, NodeError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| NodeError::Broken("a blocking task panicked"))
}
