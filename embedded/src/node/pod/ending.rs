//! Ending containers and pods.

use std::time::Duration;

use rustix::process::Signal;
use tokio::task::JoinError;
use tokio::time::Instant;

use super::clock::later;
use super::cluster::Written;
use super::probes::hook;
use super::state::{Ended, Role, State, retry_delay};
use super::worker::{Done, Wanted, Worker};
use crate::node::process::Exit;

/// What is left to a pod whose object was removed without asking.
const FORCED: Duration = Duration::from_secs(2);

/// Why a pod's task ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The pod is being deleted: end it, then remove the object.
    Deleted,
    /// The object is gone already.
    Gone,
    /// The agent is shut down: the pod continues with the next one, so nothing is written.
    Shutdown,
}

impl Worker {
    /// A container's life ended.
    pub(super) fn exited(&mut self, index: usize, exit: &Exit) {
        if let Some(running) = self.running[index].take() {
            running.watcher.abort();
            if let Some((_, stopper)) = running.stopper {
                stopper.abort();
            }
        }
        let name = self.states[index].spec.name.clone();
        let _ = std::fs::remove_file(self.folder().join("processes").join(format!("{name}.json")));
        let mut ended = State::ended(exit);
        if exit.code != 0 && self.states[index].spec.termination_message_policy.as_deref() == Some("FallbackToLogsOnError") {
            ended.message = self.logs.container(&name).map(|log| log.last_words()).filter(|text| !text.is_empty());
        }
        let life = Duration::try_from(exit.finished.duration_since(exit.started)).unwrap_or_default();
        self.ended(index, ended, life);
    }

    pub(super) fn ended(&mut self, index: usize, ended: Ended, life: Duration) {
        let closing = self.phase().is_terminal() || self.shutdown.is_cancelled() || self.pod.metadata.deletion_timestamp.is_some();
        if closing {
            return self.states[index].close(ended);
        }
        let name = self.name();
        let delay = self.states[index].end(ended, life, Instant::now(), &name);
        if delay.is_some_and(|delay| !delay.is_zero()) {
            let container = self.states[index].spec.name.clone();
            self.note(true, "BackOff", format!("Back-off restarting failed container {container} in pod {name}"), Some(index));
        }
    }

    pub(super) fn life_of(&self, index: usize) -> u64 {
        self.running[index].as_ref().map_or(0, |running| running.life)
    }

    /// Ends one container that is to be started again.
    pub(super) fn kill(&mut self, index: usize, why: &str, grace: Option<i64>) {
        if self.states[index].stopping {
            return;
        }
        let name = self.states[index].spec.name.clone();
        self.note(false, "Killing", format!("Container {name} {why}"), Some(index));
        self.states[index].ready = false;
        let grace = grace.and_then(|seconds| u64::try_from(seconds).ok()).map_or_else(|| self.grace(), Duration::from_secs);
        self.stop(index, later(Instant::now(), grace));
    }

    /// Ends all containers that run, without waiting: the main ones first, side containers when these are through.
    pub(super) fn stop_running(&mut self, grace: Duration) {
        self.stop_by(later(Instant::now(), grace));
    }

    fn stop_by(&mut self, deadline: Instant) {
        let others = self.states.iter().any(|state| state.is_running() && state.role != Role::Sidecar);
        for index in 0..self.states.len() {
            let state = &self.states[index];
            if !state.is_running() || (others && state.role == Role::Sidecar) {
                continue;
            }
            if !state.stopping {
                let name = state.spec.name.clone();
                self.note(false, "Killing", format!("Stopping container {name}"), Some(index));
            }
            self.stop(index, deadline);
        }
    }

    /// The hook, SIGTERM, and SIGKILL at the deadline. Called again, it can only bring the deadline forward.
    fn stop(&mut self, index: usize, deadline: Instant) {
        let pre_stop = self.states[index].pre_stop().cloned();
        let again = std::mem::replace(&mut self.states[index].stopping, true);
        self.states[index].ready = false;
        let Some(running) = &mut self.running[index] else { return };
        if let Some((earlier, stopper)) = &running.stopper {
            if *earlier <= deadline {
                return;
            }
            stopper.abort();
        }
        let (signaller, target) = (running.signaller.clone(), running.target.clone());
        let stopper = self.tasks.spawn(async move {
            if let Some(handler) = pre_stop.filter(|_| !again) {
                let left = deadline.saturating_duration_since(Instant::now());
                if let Err(why) = hook(&handler, &target, left).await {
                    tracing::info!(%why, container = %target.container.name, "the hook before the end of a container failed");
                }
            }
            signaller.send(Signal::TERM);
            tokio::time::sleep_until(deadline).await;
            signaller.send(Signal::KILL);
            Done::Helper
        });
        running.stopper = Some((deadline, stopper));
    }

    /// Ends the pod. The reason may change on the way: returns the last.
    pub(super) async fn end(&mut self, mut ending: Ending) -> Result<Ending, JoinError> {
        let mut deadline = later(Instant::now(), self.grace_for(ending));
        loop {
            self.stop_by(deadline);
            if !self.states.iter().any(State::is_running) {
                break;
            }
            tokio::select! {
                Some(done) = self.tasks.join_next() => self.done(done)?,
                () = self.shutdown.cancelled(), if ending != Ending::Shutdown => ending = Ending::Shutdown,
                Ok(()) = self.updates.changed() => match self.ending_wanted() {
                    // Asked again with a shorter grace period, or forced.
                    Some(Ending::Deleted | Ending::Gone) if ending == Ending::Shutdown => {}
                    Some(newer) => ending = newer,
                    None => {}
                },
            }
            deadline = deadline.min(later(Instant::now(), self.grace_for(ending)));
        }
        if ending == Ending::Deleted { self.remove_object().await } else { Ok(ending) }
    }

    fn grace_for(&self, ending: Ending) -> Duration {
        match ending {
            Ending::Deleted => {
                let seconds = self.pod.metadata.deletion_grace_period_seconds;
                seconds.map_or_else(|| self.grace(), |seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
            }
            Ending::Gone => self.grace().min(FORCED),
            Ending::Shutdown => self.grace().min(self.shared.options.shutdown_bound),
        }
    }

    /// Writes the last status, removes the object, and waits until it is gone: finalizers may hold it.
    async fn remove_object(&mut self) -> Result<Ending, JoinError> {
        self.publish().await;
        let mut attempts = 0;
        let mut again = Some(Instant::now());
        loop {
            if again.is_some_and(|again| again <= Instant::now()) {
                again = match self.shared.cluster.remove(&self.pod).await {
                    Ok(Written::Yes | Written::Gone) => None,
                    Err(error) => {
                        tracing::warn!(%error, pod = %self.name(), "a pod that has ended could not be removed; it is tried again");
                        attempts += 1;
                        Some(later(Instant::now(), retry_delay(attempts)))
                    }
                };
            }
            if matches!(*self.updates.borrow_and_update(), Wanted::Gone) {
                return Ok(Ending::Gone);
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(Ending::Shutdown),
                changed = self.updates.changed() => if changed.is_err() { return Ok(Ending::Shutdown) },
                Some(done) = self.tasks.join_next() => self.done(done)?,
                () = tokio::time::sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {}
            }
        }
    }
}
