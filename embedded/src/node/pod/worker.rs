//! The task of one pod.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::clock::later;
use super::cluster::{Cluster, Note, Written};
use super::ending::Ending;
use super::probes::{Kind, Target};
use super::state::{Phase, State, plan, retry_delay};
use super::status::{Facts, difference, phase_of, status};
use super::tokens::Tokens;
use super::watching::{Finding, What};
use crate::node::api::LocalNode;
use crate::node::log_service::PodLogs;
use crate::node::options::NodeOptions;
use crate::node::process::instance::Signaller;
use crate::node::process::{Exit, Spawner};
use crate::node::sessions::Entry;

/// The reason of a pod that failed because it was active for too long.
const DEADLINE: &str = "DeadlineExceeded";
/// The reason of a pod that failed because its task died.
pub const AGENT_FAILED: &str = "AgentFailed";

/// What all pods of a node share.
pub struct Shared {
    /// The agent's settings.
    pub options: NodeOptions,
    /// Starts processes.
    pub spawner: Arc<Spawner>,
    /// The cluster.
    pub cluster: Arc<dyn Cluster>,
    /// What the API server asks for: logs, and running containers.
    pub node: LocalNode,
}

/// What the API server says of a pod.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// It exists, like this.
    Live(Arc<Pod>),
    /// It does not exist any more.
    Gone,
}

/// A task of the pod that ended.
pub(super) enum Done {
    /// A container's life.
    Exit(usize, Exit),
    /// A watcher or stopper, which has told all it had to tell.
    Helper,
}

/// What a running container is watched and ended through.
pub(super) struct Running {
    pub signaller: Signaller,
    pub watcher: AbortHandle,
    pub stopper: Option<(Instant, AbortHandle)>,
    pub life: u64,
    pub target: Arc<Target>,
    /// Where the API server finds it; ends with this.
    pub _entry: Entry,
}

/// One pod.
pub struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) pod: Arc<Pod>,
    pub(super) updates: watch::Receiver<Wanted>,
    pub(super) shutdown: CancellationToken,
    pub(super) states: Vec<State>,
    /// The running ones, by index.
    pub(super) running: Vec<Option<Running>>,
    pub(super) facts: Facts,
    pub(super) volumes: Vec<(String, PathBuf)>,
    /// Folder of the service account, where the pod has one.
    pub(super) account: Option<PathBuf>,
    pub(super) tokens: Tokens,
    pub(super) logs: Arc<PodLogs>,
    pub(super) lives: u64,
    pub(super) tasks: JoinSet<Done>,
    pub(super) findings: mpsc::UnboundedSender<Finding>,
    found: mpsc::UnboundedReceiver<Finding>,
    /// The status as last written.
    written: Value,
    failed_writes: u32,
    write_again: Option<Instant>,
    pub(super) prepare_attempts: u32,
    pub(super) prepare_again: Option<Instant>,
    pub(super) last_mount_failure: Option<String>,
    /// Whether the pod's annotations changed since its volumes were made: then they are brought up to date, as kubelet does.
    pub(super) refresh: bool,
    /// When that is done anyway.
    pub(super) refresh_at: Option<Instant>,
}

impl Worker {
    /// A worker for a pod that was just taken up, by this agent or, before a restart, by an earlier one.
    pub fn new(
        shared: Arc<Shared>,
        pod: Arc<Pod>,
        address: Ipv4Addr,
        updates: watch::Receiver<Wanted>,
        shutdown: CancellationToken,
    ) -> Self {
        let states = State::of_pod(&pod, shared.options.restarts);
        let (findings, found) = mpsc::unbounded_channel();
        let known = pod.status.as_ref();
        let failed = known.filter(|status| status.phase.as_deref() == Some("Failed")).and_then(|status| {
            let reason = [DEADLINE, AGENT_FAILED].into_iter().find(|reason| status.reason.as_deref() == Some(reason))?;
            Some((reason, status.message.clone().unwrap_or_default()))
        });
        let facts = Facts {
            address,
            host: shared.options.address,
            start_time: known.and_then(|status| status.start_time.as_ref()).map_or_else(Timestamp::now, |time| time.0),
            failed,
            prepared: false,
        };
        let logs = shared.node.logs.add(&pod, &shared.options);
        Self {
            running: states.iter().map(|_| None).collect(),
            written: serde_json::to_value(&pod.status).unwrap_or_default(),
            shared,
            pod,
            updates,
            shutdown,
            states,
            facts,
            volumes: Vec::new(),
            account: None,
            tokens: Tokens::default(),
            logs,
            lives: 0,
            tasks: JoinSet::new(),
            findings,
            found,
            failed_writes: 0,
            write_again: None,
            prepare_attempts: 0,
            prepare_again: None,
            last_mount_failure: None,
            refresh: false,
            refresh_at: None,
        }
    }

    /// Lives the pod's life. Returns when the pod is gone or the agent is shut down.
    ///
    /// # Errors
    /// When a task of the pod died.
    pub async fn run(mut self) -> Result<(), JoinError> {
        let ending = self.live().await?;
        let ending = self.end(ending).await?;
        self.shared.node.logs.remove(&self.logs);
        if ending == Ending::Gone {
            self.clean_up().await;
        }
        Ok(())
    }

    async fn live(&mut self) -> Result<Ending, JoinError> {
        loop {
            if let Some(ending) = self.ending_wanted() {
                return Ok(ending);
            }
            let wake = self.act().await;
            self.publish().await;
            let wake = [wake, self.write_again, self.prepare_again, self.refresh_at].into_iter().flatten().min();
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                changed = self.updates.changed() => if changed.is_err() { return Ok(Ending::Shutdown) },
                Some(done) = self.tasks.join_next() => self.done(done)?,
                Some(finding) = self.found.recv() => self.found(finding),
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Takes up the newest version of the pod; tells when its life is to end.
    pub(super) fn ending_wanted(&mut self) -> Option<Ending> {
        if self.shutdown.is_cancelled() {
            return Some(Ending::Shutdown);
        }
        let newest = self.updates.borrow_and_update().clone();
        match newest {
            Wanted::Gone => Some(Ending::Gone),
            Wanted::Live(pod) => {
                let deleted = pod.metadata.deletion_timestamp.is_some();
                self.refresh |= pod.metadata.annotations != self.pod.metadata.annotations;
                self.pod = pod;
                deleted.then_some(Ending::Deleted)
            }
        }
    }

    /// Does what is due; returns when the next thing is.
    async fn act(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let deadline = self.deadline(now);
        if self.facts.failed.is_none() && deadline.is_some_and(|deadline| deadline <= now) {
            let message = "Pod was active on the node longer than the specified deadline".to_owned();
            self.note(true, DEADLINE, message.clone(), None);
            self.facts.failed = Some((DEADLINE, message));
        }
        if phase_of(&self.states, &self.facts).is_terminal() {
            // Side containers, and what a deadline cut short.
            self.stop_running(self.grace());
            self.refresh_at = None;
            return None;
        }
        if !self.facts.prepared && !self.prepare().await {
            return deadline;
        }
        let due = self.refresh_at.is_some_and(|time| time <= now);
        if std::mem::take(&mut self.refresh) || due {
            self.refresh_volumes().await;
        }
        loop {
            let plan = plan(&self.states, Instant::now());
            if plan.start.is_empty() {
                return plan.wake.into_iter().chain(deadline).min();
            }
            for index in plan.start {
                self.start(index).await;
            }
        }
    }

    fn deadline(&self, now: Instant) -> Option<Instant> {
        let allowed = self.spec()?.active_deadline_seconds.and_then(|seconds| u64::try_from(seconds).ok())?;
        let passed = Timestamp::now().duration_since(self.facts.start_time);
        let passed = Duration::try_from(passed).unwrap_or_default();
        Some(later(now, Duration::from_secs(allowed).saturating_sub(passed)))
    }

    /// A task ended. The agent ends when one died.
    pub(super) fn done(&mut self, done: Result<Done, JoinError>) -> Result<(), JoinError> {
        match done {
            Ok(Done::Exit(index, exit)) => self.exited(index, &exit),
            Ok(Done::Helper) => {}
            Err(error) if error.is_cancelled() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn found(&mut self, finding: Finding) {
        let Finding { index, life, what } = finding;
        if life != self.life_of(index) || !self.states[index].is_running() {
            return;
        }
        match what {
            What::Hook(Ok(())) => self.settle_start(index),
            What::Hook(Err(why)) => {
                self.note(true, "FailedPostStartHook", format!("PostStartHook failed: {why}"), Some(index));
                self.kill(index, "FailedPostStartHook", None);
            }
            What::Failing(kind, why) => self.note(true, "Unhealthy", format!("{kind} probe failed: {why}"), Some(index)),
            What::Verdict(Kind::Startup, true) => {
                self.states[index].started = true;
                self.settle_ready(index);
            }
            // One that is being ended takes no more requests, whatever its probe says.
            What::Verdict(Kind::Readiness, ready) => self.states[index].ready = ready && !self.states[index].stopping,
            What::Verdict(Kind::Liveness, true) => {}
            What::Verdict(kind @ (Kind::Startup | Kind::Liveness), false) => {
                let probe = match kind {
                    Kind::Startup => &self.states[index].spec.startup_probe,
                    _ => &self.states[index].spec.liveness_probe,
                };
                let grace = probe.as_ref().and_then(|probe| probe.termination_grace_period_seconds);
                self.kill(index, &format!("failed {} probe, will be restarted", kind.to_string().to_lowercase()), grace);
            }
        }
    }

    fn settle_start(&mut self, index: usize) {
        if self.states[index].spec.startup_probe.is_none() {
            self.states[index].started = true;
            self.settle_ready(index);
        }
    }

    fn settle_ready(&mut self, index: usize) {
        self.states[index].ready |= self.states[index].spec.readiness_probe.is_none();
    }

    /// Writes the status if it differs from what was written last; a failure is tried again.
    pub(super) async fn publish(&mut self) {
        if self.write_again.is_some_and(|again| again > Instant::now()) {
            return;
        }
        let status = status(&self.pod, &self.states, &self.facts, &self.known_status(), Timestamp::now());
        self.logs.update(&self.states);
        self.write_again = None;
        let Some(patch) = difference(&self.written, &status) else { return };
        match self.shared.cluster.write_status(&self.pod, patch).await {
            Ok(Written::Yes) => {
                self.written = status;
                self.failed_writes = 0;
            }
            // The watch will say so too.
            Ok(Written::Gone) => self.written = status,
            Err(error) => {
                tracing::warn!(%error, pod = %self.name(), "the status of a pod could not be written; it is tried again");
                self.write_again = Some(later(Instant::now(), retry_delay(self.failed_writes)));
                self.failed_writes = self.failed_writes.saturating_add(1);
            }
        }
    }

    /// What was written last, with the conditions that others have added since.
    fn known_status(&self) -> Value {
        let mut known = self.written.clone();
        let live = self.pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        let mut conditions: Vec<Value> = known["conditions"].as_array().cloned().unwrap_or_default();
        for condition in live.into_iter().flatten() {
            let Ok(condition) = serde_json::to_value(condition) else { continue };
            match conditions.iter_mut().find(|other| other["type"] == condition["type"]) {
                Some(other) if !super::status::is_ours(&condition) => *other = condition,
                Some(_) => {}
                None => conditions.push(condition),
            }
        }
        if known.is_object() {
            known["conditions"] = Value::Array(conditions);
        }
        known
    }

    pub(super) fn spec(&self) -> Option<&PodSpec> {
        self.pod.spec.as_ref()
    }
    pub(super) fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }
    /// `<name>_<namespace>(<uid>)`, as the kubelet names pods in messages.
    pub(super) fn name(&self) -> String {
        let meta = &self.pod.metadata;
        format!("{}_{}({})", meta.name.as_deref().unwrap_or_default(), meta.namespace.as_deref().unwrap_or_default(), self.uid())
    }
    pub(super) fn folder(&self) -> PathBuf {
        pod_folder(&self.shared.options.data, self.uid())
    }
    pub(super) fn grace(&self) -> Duration {
        let seconds = self.spec().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    }
    pub(super) fn note(&self, warning: bool, reason: &'static str, message: String, container: Option<usize>) {
        let state = container.map(|index| &self.states[index]);
        let init = state.is_some_and(|state| state.role != super::state::Role::Main);
        self.shared.cluster.note(&self.pod, Note { warning, reason, message, container: state.map(|state| state.spec.name.clone()), init });
    }
    /// The phase as it would be written now.
    pub fn phase(&self) -> Phase {
        phase_of(&self.states, &self.facts)
    }

    async fn clean_up(&self) {
        let folder = self.folder();
        let removed = tokio::task::spawn_blocking(move || (std::fs::remove_dir_all(&folder), folder)).await;
        if let Ok((Err(error), folder)) = removed
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, folder = %folder.display(), "the folder of a pod that is gone could not be removed; the next start of the agent tries again");
        }
    }
}

/// The folder of a pod.
pub fn pod_folder(data: &Path, uid: &str) -> PathBuf {
    data.join("pods").join(uid)
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}
