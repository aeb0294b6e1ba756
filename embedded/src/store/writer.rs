//! The one thread that writes: it takes whatever has queued up while the disk was busy, and makes it one transaction.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::commit::{Answer, Committer, Job, Request};
use super::object::WriteError;

/// Writes that may wait; more have to wait to be allowed to wait.
const QUEUE: usize = 4096;
/// Writes and bytes of one transaction. Bounds how long the first of them waits for the last.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 16 << 20;

/// How writes reach the committer.
pub(super) enum Writer {
    /// Without a disk there is nothing to wait for.
    Direct(Mutex<Option<Committer>>),
    /// Through a queue to a thread that waits for the disk.
    Queue { jobs: Mutex<Option<mpsc::Sender<Job>>>, thread: Mutex<Option<JoinHandle<()>>> },
}

impl Writer {
    pub(super) fn direct(committer: Committer) -> Self {
        Self::Direct(Mutex::new(Some(committer)))
    }

    pub(super) fn thread(committer: Committer) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || run(committer, queue))?;
        Ok(Self::Queue { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) })
    }

    pub(super) async fn write(&self, request: Request) -> Answer {
        let (answer, answered) = oneshot::channel();
        let job = Job { request, answer };
        match self {
            Self::Direct(committer) => match committer.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                Some(committer) => committer.commit(vec![job]),
                None => return Err(WriteError::Closed),
            },
            Self::Queue { jobs, .. } => {
                let jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(WriteError::Closed)?;
                jobs.send(job).await.map_err(|_| WriteError::Closed)?;
            }
        }
        answered.await.unwrap_or(Err(WriteError::Closed))
    }

    /// Takes no more writes, finishes those that wait, and closes the file. Blocks for as long as that takes.
    pub(super) fn close(&self) {
        match self {
            Self::Direct(committer) => {
                if let Some(committer) = committer.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    committer.close();
                }
            }
            Self::Queue { jobs, thread } => {
                jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
                let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(Err(_)) = thread.map(JoinHandle::join) {
                    tracing::error!("the store's thread ended by a panic; writes that were answered are on disk");
                }
            }
        }
    }
}

/// Ends when the last sender is gone and the queue is empty.
fn run(mut committer: Committer, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.blocking_recv() {
        let mut bytes = first.request.len();
        let mut batch = vec![first];
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let Ok(job) = queue.try_recv() else { break };
            bytes += job.request.len();
            batch.push(job);
        }
        committer.commit(batch);
    }
    committer.close();
}
