//! A pod's containers as the agent knows them, and what follows from that: what to start, and which phase the pod is in. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::clock::later;
use crate::node::options::RestartDelays;
use crate::node::process::Exit;

/// What a container is in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Runs to its end before the next one starts.
    Init,
    /// An init container with `restartPolicy: Always`: the next one starts once it has, and it lives as long as the others.
    Sidecar,
    /// One of `spec.containers`.
    Main,
}

/// When a container is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Whatever its exit code.
    Always,
    /// Unless it ended with 0.
    OnFailure,
    /// Not.
    Never,
}

/// How a container's life ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Exit code.
    pub code: i32,
    /// Signal.
    pub signal: Option<i32>,
    /// `Completed`, `Error`, `StartError`, `ContainerStatusUnknown`.
    pub reason: String,
    /// Explanation.
    pub message: Option<String>,
    /// Start.
    pub started: Option<Timestamp>,
    /// End.
    pub finished: Option<Timestamp>,
}

/// Where a container is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Current {
    /// Not running; it starts when it is its turn and `not_before` has passed.
    Waiting {
        /// `ContainerCreating`, `PodInitializing`, `CrashLoopBackOff`, `ErrImagePull`, `CreateContainerConfigError`.
        reason: &'static str,
        /// Explanation.
        message: Option<String>,
    },
    /// Running.
    Running {
        /// Since when.
        started: Timestamp,
    },
    /// Ended; started again or not according to the policy.
    Ended(Ended),
}

/// One container.
#[derive(Debug, Clone)]
pub struct State {
    /// Its manifest.
    pub spec: Container,
    /// What it is in the pod.
    pub role: Role,
    /// When it is started again.
    pub policy: RestartPolicy,
    /// Where it is in its life.
    pub current: Current,
    /// How the life before ended.
    pub last: Option<Ended>,
    /// How many times it was started again.
    pub restarts: i32,
    /// It is not started earlier than this.
    pub not_before: Option<Instant>,
    /// It can never start (an unmapped image).
    pub stuck: bool,
    /// The delays.
    pub backoff: Backoff,
    /// Its startup probe has passed, or it has none; and its hook has run.
    pub started: bool,
    /// It takes requests.
    pub ready: bool,
    /// Failed attempts to prepare it, in a row.
    pub attempts: u32,
    /// It is being ended on purpose.
    pub stopping: bool,
}

impl State {
    /// All containers of a pod, init containers first, with what an earlier agent reported of them.
    pub fn of_pod(pod: &Pod, delays: RestartDelays) -> Vec<Self> {
        let Some(spec) = &pod.spec else { return Vec::new() };
        let policy = match spec.restart_policy.as_deref() {
            Some("Never") => RestartPolicy::Never,
            Some("OnFailure") => RestartPolicy::OnFailure,
            _ => RestartPolicy::Always,
        };
        let status = pod.status.as_ref();
        let init = spec.init_containers.iter().flatten().map(|container| {
            let sidecar = container.restart_policy.as_deref() == Some("Always");
            let known = status.and_then(|status| status.init_container_statuses.as_ref());
            let policy = match (sidecar, policy) {
                (true, _) => RestartPolicy::Always,
                (false, RestartPolicy::Never) => RestartPolicy::Never,
                (false, _) => RestartPolicy::OnFailure,
            };
            Self::new(container, if sidecar { Role::Sidecar } else { Role::Init }, policy, delays, known)
        });
        let main = spec.containers.iter().map(|container| {
            let known = status.and_then(|status| status.container_statuses.as_ref());
            Self::new(container, Role::Main, policy, delays, known)
        });
        init.chain(main).collect()
    }

    fn new(spec: &Container, role: Role, policy: RestartPolicy, delays: RestartDelays, known: Option<&Vec<ContainerStatus>>) -> Self {
        let mut state = Self {
            spec: spec.clone(),
            role,
            policy,
            current: Current::Waiting { reason: "ContainerCreating", message: None },
            last: None,
            restarts: 0,
            not_before: None,
            stuck: false,
            backoff: Backoff::new(delays),
            started: false,
            ready: false,
            attempts: 0,
            stopping: false,
        };
        if let Some(known) = known.and_then(|all| all.iter().find(|status| status.name == spec.name)) {
            state.restore(known);
        }
        state
    }

    /// Takes up what an earlier agent reported. What ran then does not run any more: how it ended is not known.
    fn restore(&mut self, known: &ContainerStatus) {
        self.restarts = known.restart_count;
        let ended = |terminated: &k8s_openapi::api::core::v1::ContainerStateTerminated| Ended {
            code: terminated.exit_code,
            signal: terminated.signal,
            reason: terminated.reason.clone().unwrap_or_default(),
            message: terminated.message.clone(),
            started: terminated.started_at.as_ref().map(|time| time.0),
            finished: terminated.finished_at.as_ref().map(|time| time.0),
        };
        self.last = known.last_state.as_ref().and_then(|state| state.terminated.as_ref()).map(ended);
        let state = known.state.as_ref();
        if let Some(running) = state.and_then(|state| state.running.as_ref()) {
            self.current = Current::Ended(Ended {
                code: 137,
                signal: None,
                reason: "ContainerStatusUnknown".to_owned(),
                message: Some("the node agent was restarted; the container ended with it".to_owned()),
                started: running.started_at.as_ref().map(|time| time.0),
                finished: Some(Timestamp::now()),
            });
        } else if let Some(terminated) = state.and_then(|state| state.terminated.as_ref()) {
            self.current = Current::Ended(ended(terminated));
        }
    }

    /// Whether it is running.
    pub fn is_running(&self) -> bool {
        matches!(self.current, Current::Running { .. })
    }
    /// Whether it has ended with 0.
    pub fn has_succeeded(&self) -> bool {
        matches!(&self.current, Current::Ended(ended) if ended.code == 0)
    }
    /// Whether it has ended and is not started again.
    pub fn is_over(&self) -> bool {
        matches!(&self.current, Current::Ended(ended) if !self.restarts_after(ended.code))
    }
    fn restarts_after(&self, code: i32) -> bool {
        match self.policy {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => code != 0,
            RestartPolicy::Never => false,
        }
    }

    /// It was started.
    pub fn begin(&mut self, started: Timestamp) {
        let before = std::mem::replace(&mut self.current, Current::Running { started });
        if let Current::Ended(ended) = before {
            self.last = Some(ended);
        }
        // A life before this one makes this a restart.
        if self.last.is_some() {
            self.restarts += 1;
        }
        self.attempts = 0;
        self.not_before = None;
        self.stopping = false;
        self.started = self.spec.startup_probe.is_none() && self.post_start().is_none();
        self.ready = self.started && self.spec.readiness_probe.is_none();
    }

    /// It ended, or could not be started. `pod` names it in the message of a back-off. Returns the delay before the next start, if
    /// there is to be one.
    pub fn end(&mut self, ended: Ended, life: Duration, now: Instant, pod: &str) -> Option<Duration> {
        self.started = false;
        self.ready = false;
        let again = self.restarts_after(ended.code);
        self.current = Current::Ended(ended.clone());
        if !again {
            return None;
        }
        let delay = self.backoff.after(life);
        self.not_before = Some(later(now, delay));
        if !delay.is_zero() {
            self.last = Some(ended);
            let message = format!("back-off {} restarting failed container={} pod={pod}", short(delay), self.spec.name);
            self.current = Current::Waiting { reason: "CrashLoopBackOff", message: Some(message) };
        }
        Some(delay)
    }

    /// It ended and nothing follows: the pod is ending.
    pub fn close(&mut self, ended: Ended) {
        self.started = false;
        self.ready = false;
        self.current = Current::Ended(ended);
    }

    /// It could not be prepared and is tried again later.
    pub fn hold(&mut self, reason: &'static str, message: String, now: Instant) {
        let delay = retry_delay(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        self.not_before = Some(later(now, delay));
        if let Current::Ended(ended) = &self.current {
            self.last = Some(ended.clone());
        }
        self.current = Current::Waiting { reason, message: Some(message) };
    }

    /// The hook that runs after its start.
    pub fn post_start(&self) -> Option<&k8s_openapi::api::core::v1::LifecycleHandler> {
        self.spec.lifecycle.as_ref()?.post_start.as_ref()
    }
    /// The hook that runs before its end.
    pub fn pre_stop(&self) -> Option<&k8s_openapi::api::core::v1::LifecycleHandler> {
        self.spec.lifecycle.as_ref()?.pre_stop.as_ref()
    }
    /// The instance's end as an [`Ended`].
    pub fn ended(exit: &Exit) -> Ended {
        Ended {
            code: exit.code,
            signal: exit.signal,
            reason: if exit.code == 0 { "Completed" } else { "Error" }.to_owned(),
            message: None,
            started: Some(exit.started),
            finished: Some(exit.finished),
        }
    }
}

/// Retries of what the cluster may bring in time: 1 s, doubled up to a minute.
pub fn retry_delay(attempts: u32) -> Duration {
    Duration::from_secs(1_u64 << attempts.min(6)).min(Duration::from_secs(60))
}

/// A duration as Kubernetes prints it (`1m20s`).
fn short(delay: Duration) -> String {
    match (delay.as_secs() / 60, delay.as_secs() % 60) {
        (0, 0) => format!("{}ms", delay.as_millis()),
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

/// What is to be done with a pod's containers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// These are to be started now.
    pub start: Vec<usize>,
    /// Nothing else happens before this, unless something ends.
    pub wake: Option<Instant>,
}

/// Decides which containers start.
pub fn plan(states: &[State], now: Instant) -> Plan {
    let mut plan = Plan::default();
    if phase(states).is_terminal() {
        return plan;
    }
    // Once main containers have begun, init containers are not looked at again; sidecars are.
    let begun = states.iter().any(|state| state.role == Role::Main && has_begun(state));
    for (index, state) in states.iter().enumerate() {
        match state.role {
            Role::Init if begun || state.has_succeeded() => {}
            Role::Init => {
                due(&mut plan, index, state, now);
                return plan;
            }
            Role::Sidecar => {
                due(&mut plan, index, state, now);
                let up = state.is_running() && state.started;
                if !begun && !up {
                    return plan;
                }
            }
            Role::Main => due(&mut plan, index, state, now),
        }
    }
    plan
}

fn has_begun(state: &State) -> bool {
    state.last.is_some() || matches!(state.current, Current::Running { .. } | Current::Ended(_))
}

fn due(plan: &mut Plan, index: usize, state: &State, now: Instant) {
    if state.is_running() || state.is_over() || state.stuck {
        return;
    }
    match state.not_before.filter(|time| *time > now) {
        None => plan.start.push(index),
        Some(time) => plan.wake = Some(plan.wake.map_or(time, |wake| wake.min(time))),
    }
}

/// `status.phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Something has not started yet.
    Pending,
    /// All has started, something runs or is started again.
    Running,
    /// All main containers ended with 0.
    Succeeded,
    /// All main containers ended, one not with 0; or an init container failed for good.
    Failed,
}

impl Phase {
    /// Whether nothing follows.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
    /// As Kubernetes writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

/// Derives the phase.
pub fn phase(states: &[State]) -> Phase {
    if states.iter().any(|state| state.role == Role::Init && state.is_over() && !state.has_succeeded()) {
        return Phase::Failed;
    }
    let main = || states.iter().filter(|state| state.role == Role::Main);
    if main().all(State::is_over) && main().next().is_some() {
        return if main().all(State::has_succeeded) { Phase::Succeeded } else { Phase::Failed };
    }
    if initialized(states) && main().all(has_begun) { Phase::Running } else { Phase::Pending }
}

/// Whether all init containers are done.
pub fn initialized(states: &[State]) -> bool {
    let begun = states.iter().any(|state| state.role == Role::Main && has_begun(state));
    begun
        || states.iter().all(|state| match state.role {
            Role::Init => state.has_succeeded(),
            Role::Sidecar => state.is_running() && state.started,
            Role::Main => true,
        })
}
