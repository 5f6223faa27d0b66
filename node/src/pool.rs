//! The CPU pool: heavy work runs here, off the async runtime.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::oneshot;

use crate::error::NodeError;

type Job = Box<dyn FnOnce() + Send>;

/// A thread per core for work that is shared out among them, one per core for work that is not worth that, and one for what can wait.
#[derive(Clone)]
pub(crate) struct Pool {
    shared: Arc<ThreadPool>,
    short: Sender<Job>,
    later: Sender<Job>,
}

/// How much the thread for what can wait gives way to all others (setpriority(2)): it runs at once where a core is free, and otherwise has a
/// tenth of one.
const NICE: i32 = 10;

impl Pool {
    pub(crate) fn new() -> io::Result<Self> {
        let builder = ThreadPoolBuilder::new().thread_name(|i| format!("pool-{i}"));
        let shared = Arc::new(builder.build().map_err(io::Error::other)?);
        let (short, jobs) = channel();
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..shared.current_num_threads() {
            let jobs = Arc::clone(&jobs);
            thread::Builder::new()
                .name(format!("short-{number}"))
                .spawn(move || alone(&jobs))?;
        }
        let (later, jobs) = channel();
        let jobs = Mutex::new(jobs);
        thread::Builder::new().name("later".to_owned()).spawn(move || {
            // of the calling thread alone; one that may not be nicer works as it is
            let _ = rustix::process::setpriority_process(None, NICE);
            alone(&jobs);
        })?;
        Ok(Self { shared, short, later })
    }

    /// Runs work on the pool and waits for it without holding up the async runtime.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NodeError> {
        let (job, result) = job(work);
        self.shared.spawn(job);
        ended(result).await
    }

    /// The same for work of a few milliseconds at most, as a check of an action: on one core, since waking the others and looking for
    /// more work takes them longer than it does.
    pub(crate) async fn run_short<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NodeError> {
        hand_in(&self.short, work).await
    }

    /// The same for work that nobody waits for, such as receipts: a query goes before it. May block.
    pub(crate) async fn run_later<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NodeError> {
        hand_in(&self.later, work).await
    }

    /// Runs work on the pool from a blocking thread.
    pub(crate) fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.shared.install(work)
    }
}

/// Work, and where its result comes.
fn job<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> (impl FnOnce() + Send + 'static, oneshot::Receiver<T>) {
    let (done, result) = oneshot::channel();
    let job = move || {
        // a panic that reached rayon would end the process
        if let Ok(result) = catch_unwind(AssertUnwindSafe(work)) {
            let _ = done.send(result);
        }
    };
    (job, result)
}

async fn hand_in<T: Send + 'static>(
    queue: &Sender<Job>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NodeError> {
    let (job, result) = job(work);
    // threads that are gone drop it, and its result is missed
    let _ = queue.send(Box::new(job));
    ended(result).await
}

async fn ended<T>(result: oneshot::Receiver<T>) -> Result<T, NodeError> {
    result
        .await
        .map_err(|_| NodeError::Broken("work on the pool ended without a result"))
}

/// Takes jobs until nobody hands any in. To rayon the thread is a pool of one, in which nothing is shared out.
fn alone(jobs: &Mutex<Receiver<Job>>) {
    let Ok(_pool) = ThreadPoolBuilder::new().num_threads(1).use_current_thread().build() else {
        return;
    };
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

/// Runs blocking work (the store, files) on a thread for it.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, NodeError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| NodeError::Broken("a blocking task panicked"))
}
