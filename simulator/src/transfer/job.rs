//! Work that takes longer than an answer may: it goes on by itself, and whoever asks waits for it as long as an answer may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::transfer::Output;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::transfer::refusal::Refusal;

/// What a job ends with.
pub type Outcome = Result<Option<Output>, Refusal>;

/// How far a job is, and whether it is called off.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
    /// Calls the job off.
    pub cancel: CancellationToken,
}

impl Progress {
    /// Sets what there is to do, in bytes.
    pub fn expect(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    /// Counts bytes done; gives all of them.
    pub fn add(&self, bytes: u64) -> u64 {
        self.done.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    /// Begins to count anew at `done`.
    pub fn begin_at(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
    }

    fn so_far(&self) -> Output {
        Output::InProgress { done: self.done.load(Ordering::Relaxed), total: self.total.load(Ordering::Relaxed) }
    }
}

/// A job under way.
#[derive(Debug, Clone)]
pub struct Job {
    progress: Arc<Progress>,
    outcome: watch::Receiver<Option<Outcome>>,
}

impl Job {
    /// Starts a job. It must end soon after it is called off.
    pub fn start<F>(tracker: &TaskTracker, work: impl FnOnce(Arc<Progress>) -> F) -> Self
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let progress = Arc::new(Progress::default());
        let (publish, outcome) = watch::channel(None);
        let work = work(progress.clone());
        tracker.spawn(async move {
            let outcome = work.await;
            publish.send_replace(Some(outcome));
        });
        Self { progress, outcome }
    }

    /// What it ended with, or how far it is when `slice` is over.
    pub async fn answer(&self, slice: Duration) -> (Outcome, bool) {
        let mut outcome = self.outcome.clone();
        let ended = tokio::time::timeout(slice, outcome.wait_for(Option::is_some)).await;
        match ended {
            Err(_) => (Ok(Some(self.progress.so_far())), false),
            Ok(Ok(outcome)) => (outcome.clone().unwrap_or(Err(Refusal::CalledOff)), true),
            // It died.
            Ok(Err(_)) => (Err(Refusal::CalledOff), true),
        }
    }

    /// Calls it off and waits for its end.
    pub async fn end(&self) {
        self.progress.cancel.cancel();
        let mut outcome = self.outcome.clone();
        let _ = outcome.wait_for(Option::is_some).await;
    }
}
