//! Backups and restores as the system does them (BACKUP-1, BACKUP-4): the commands of [`protocol::transfer`]. Long work goes on by itself, whatever
//! becomes of the session; a restart ends it, and the same command goes on with what stands on the disk.
//!
//! | module | what |
//! |---|---|
//! | [`elements`] | what there is, and what is meant |
//! | [`journal`] | what an operation has on the disk |
//! | [`pack`], [`upload`] | a backup: archives and their parts, and the way to the store |
//! | [`fetch`], [`stage`], [`apply`] | a restore: the way from the store, what is in the archives, taking it over |
//! | [`store`], [`line`] | HTTP requests that COM signed, and what the causes do to them |
//! | [`job`], [`refusal`] | work that outlives its order, and why none is done |

pub mod apply;
pub mod elements;
pub mod fetch;
pub mod job;
pub mod journal;
pub mod line;
pub mod pack;
pub mod refusal;
pub mod stage;
pub mod store;
pub mod upload;

mod commands;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::ids::SystemId;
use protocol::message::{Answer, AnswerResult, Request};
use protocol::transfer::Output;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::disk::content::{self, folder_name};
use crate::inputs::Inputs;
use crate::log::Kind;
use crate::options::Options;
use crate::shared::Shared;
use job::{Job, Outcome, Progress};
use journal::Journal;
use line::{Line, Restart};
use refusal::Refusal;
use upload::Upload;

/// Backups and restores of one system.
#[derive(Debug, Clone)]
pub struct Transfers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Shared,
    line: Arc<Line>,
    disk: PathBuf,
    transfer: PathBuf,
    slice: Duration,
    patience: Duration,
    tracker: TaskTracker,
    work: Mutex<Work>,
    /// One operation takes the place of another at a time.
    turn: tokio::sync::Mutex<()>,
}

/// What is under way, by operation.
#[derive(Debug, Default)]
struct Work {
    jobs: HashMap<(String, String), Job>,
    uploads: HashMap<(String, String), Arc<Upload>>,
}

impl Transfers {
    /// Those of a system with its folders ([`crate::machine::Machine::folders`]). Nothing is begun by itself.
    pub fn new((disk, transfer): (PathBuf, PathBuf), shared: &Shared, inputs: watch::Receiver<Arc<Inputs>>, options: &Options) -> Self {
        Self(Arc::new(Inner {
            shared: shared.clone(),
            line: Arc::new(Line::new(shared.clone(), inputs)),
            disk,
            transfer,
            slice: options.work_slice,
            patience: options.store_patience,
            tracker: TaskTracker::new(),
            work: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }))
    }

    /// The restart that a restore or a failing power asks for.
    pub fn restart(&self) -> watch::Receiver<Option<Restart>> {
        self.0.line.restart()
    }

    /// Carries out a command and answers within [`Options::work_slice`], finished or not. `user` is the service user COM is signed in as.
    pub async fn execute(&self, request: Request, user: Option<String>, system_id: SystemId) -> Answer {
        let (id, operation) = (request.id, request.operation.clone());
        let asked = request.clone();
        let permit = self.0.shared.with(move |machine| machine.permit_transfer(&asked, user.as_deref(), &system_id)).await;
        let result = match permit {
            Err(refusal) => refusal,
            Ok(permit) => match self.0.carry_out(request, &permit).await {
                Err(refusal) => refusal.answer(),
                Ok(output) => AnswerResult::Done { configuration_revision: self.0.revision(output.is_none()).await, output },
            },
        };
        if let AnswerResult::Failed { reason, message } = &result {
            self.0.shared.line(Kind::Error, format_args!("operation {operation:?} refused, {reason}: {message}"));
        }
        Answer { id, result }
    }

    /// Ends all work, as a restart does, and waits for its end. What stands on the disk stays.
    pub async fn stop(&self) {
        let (jobs, uploads) = {
            let mut work = self.0.lock();
            (std::mem::take(&mut work.jobs), std::mem::take(&mut work.uploads))
        };
        uploads.values().for_each(|upload| upload.end());
        for job in jobs.values() {
            job.end().await;
        }
        self.0.tracker.close();
        self.0.tracker.wait().await;
        self.0.tracker.reopen();
        self.0.line.owe_nothing();
    }
}

impl Inner {
    /// The configuration's number, or with `afterwards` that after a restore that is decided.
    async fn revision(&self, afterwards: bool) -> u64 {
        self.shared.with(move |machine| machine.revision(afterwards)).await
    }

    fn journal(&self, operation: &str) -> Journal {
        Journal::of(&self.transfer, operation)
    }

    /// Asks for a job of an operation, beginning it where it is not under way.
    async fn ask<F>(&self, operation: &str, kind: &str, work: impl FnOnce(Arc<Progress>) -> F) -> Result<Option<Output>, Refusal>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let key = (operation.to_owned(), kind.to_owned());
        let job = self.lock().jobs.entry(key.clone()).or_insert_with(|| Job::start(&self.tracker, work)).clone();
        let (outcome, ended) = job.answer(self.slice).await;
        if ended {
            self.lock().jobs.remove(&key);
        }
        outcome
    }

    /// Ends what an operation has under way.
    async fn end(&self, concerns: impl Fn(&str, &str) -> bool) {
        let (jobs, uploads) = {
            let mut work = self.lock();
            let jobs: Vec<_> = work.jobs.extract_if(|(operation, kind), _| concerns(operation, kind)).map(|(_, job)| job).collect();
            let uploads: Vec<_> =
                work.uploads.extract_if(|(operation, _), _| concerns(operation, "upload")).map(|(_, upload)| upload).collect();
            (jobs, uploads)
        };
        uploads.iter().for_each(|upload| upload.end());
        for job in jobs {
            job.end().await;
        }
    }

    /// Lets an operation take the place of all others: their work ends, what they have on the disk goes.
    async fn take_turn(&self, operation: &str) -> Result<(), Refusal> {
        let _turn = self.turn.lock().await;
        let own = operation.to_owned();
        let (other, decided) = self
            .shared
            .with(move |machine| {
                let restoring = machine.state().restoring.as_ref();
                let other = restoring.map(|restoring| restoring.operation.clone()).filter(|other| *other != own);
                let decided = other.as_ref().is_some_and(|other| machine.restore_is_decided(other));
                (other, decided)
            })
            .await;
        if decided {
            return Err(Refusal::RestoreRunning(other.unwrap_or_default()));
        }
        self.end(|of, _| of != operation).await;
        if other.is_some() {
            let why = "another operation took its place; what was there before is kept";
            self.shared.with(move |machine| machine.take_restore_back(Some(why))).await?;
        }
        let (transfer, keep) = (self.transfer.clone(), folder_name::of(operation));
        fetch::on_thread(move || {
            let others = std::fs::read_dir(&transfer).into_iter().flatten().flatten().filter(|entry| entry.file_name() != keep.as_str());
            for entry in others {
                content::remove(&entry.path()).map_err(|error| Refusal::of_disk("making room", &error))?;
            }
            Ok(())
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
