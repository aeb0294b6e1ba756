//! Columns of pods: what `kubectl get pods` says of all containers together.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{AGE, Heading, NAME, Of, Text, bool_at, heading, int_at, items_at, str_at, text, wide};
use crate::builtin::age;

pub(in crate::builtin) const POD: &[Heading] = &[
    NAME,
    heading("Ready", "string", Text("The aggregate readiness state of this pod for accepting traffic."), |pod| json!(ready(pod))),
    heading("Status", "string", Text("The aggregate status of the containers in this pod."), |pod| json!(Summary::of(pod).reason)),
    heading(
        "Restarts",
        "string",
        Text("The number of times the containers in this pod have been restarted and when the last container in this pod has restarted."),
        |pod| json!(Summary::of(pod).restarts()),
    ),
    AGE,
    wide("IP", "string", Of("core.v1.PodStatus.podIP"), |pod| {
        let first = items_at(pod, "/status/podIPs").first().and_then(|ip| str_at(ip, "/ip"));
        json!(first.or_else(|| str_at(pod, "/status/podIP")).unwrap_or("<none>"))
    }),
    wide("Node", "string", Of("core.v1.PodSpec.nodeName"), |pod| text(pod, "/spec/nodeName", "<none>")),
    wide("Nominated Node", "string", Of("core.v1.PodStatus.nominatedNodeName"), |pod| text(pod, "/status/nominatedNodeName", "<none>")),
    wide("Readiness Gates", "string", Of("core.v1.PodSpec.readinessGates"), |pod| json!(readiness_gates(pod))),
];

/// Ready containers of all, `1/2`. Init containers that keep running beside the others count with them.
fn ready(pod: &Value) -> String {
    let sidecars = items_at(pod, "/spec/initContainers").iter().filter(|container| is_sidecar(container)).count();
    let summary = Summary::of(pod);
    format!("{}/{}", summary.ready, items_at(pod, "/spec/containers").len() + sidecars)
}

fn is_sidecar(container: &Value) -> bool {
    str_at(container, "/restartPolicy") == Some("Always")
}

fn readiness_gates(pod: &Value) -> String {
    let gates = items_at(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let met = gates.iter().filter(|gate| str_at(gate, "/conditionType").is_some_and(|wanted| condition_is_true(pod, wanted))).count();
    format!("{met}/{}", gates.len())
}

fn condition<'a>(pod: &'a Value, wanted: &str) -> Option<&'a Value> {
    items_at(pod, "/status/conditions").iter().find(|condition| str_at(condition, "/type") == Some(wanted))
}

fn condition_is_true(pod: &Value, wanted: &str) -> bool {
    condition(pod, wanted).is_some_and(|condition| str_at(condition, "/status") == Some("True"))
}

/// All containers of a pod in one line.
#[derive(Default)]
struct Summary {
    reason: String,
    ready: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
    running: bool,
}

impl Summary {
    fn of(pod: &Value) -> Self {
        let mut summary = Self { reason: Self::reason_of_pod(pod), ..Self::default() };
        let mut sidecars = Self::default();
        if !summary.add_init_containers(pod, &mut sidecars) || condition_is_true(pod, "Initialized") {
            // The restarts of init containers that have ended are history; those of sidecars still count.
            summary.restarts = sidecars.restarts;
            summary.last_restart = sidecars.last_restart;
            summary.add_containers(pod);
            if summary.reason == "Completed" && summary.running {
                summary.reason = if condition_is_true(pod, "Ready") { "Running" } else { "NotReady" }.to_owned();
            }
        }
        if pod.pointer("/metadata/deletionTimestamp").is_some_and(Value::is_string) {
            let phase = str_at(pod, "/status/phase").unwrap_or_default();
            if str_at(pod, "/status/reason") == Some("NodeLost") {
                summary.reason = "Unknown".to_owned();
            } else if phase != "Failed" && phase != "Succeeded" {
                summary.reason = "Terminating".to_owned();
            }
        }
        summary
    }

    fn reason_of_pod(pod: &Value) -> String {
        let gated = condition(pod, "PodScheduled").and_then(|condition| str_at(condition, "/reason")) == Some("SchedulingGated");
        let reason = str_at(pod, "/status/reason").or_else(|| str_at(pod, "/status/phase")).unwrap_or_default();
        if gated { "SchedulingGated" } else { reason }.to_owned()
    }

    /// Whether an init container still holds the others up.
    fn add_init_containers(&mut self, pod: &Value, sidecars: &mut Self) -> bool {
        let specs = items_at(pod, "/spec/initContainers");
        for (index, status) in items_at(pod, "/status/initContainerStatuses").iter().enumerate() {
            let name = str_at(status, "/name");
            let sidecar = specs.iter().any(|spec| str_at(spec, "/name") == name && is_sidecar(spec));
            self.count_restarts(status);
            if sidecar {
                sidecars.count_restarts(status);
            }
            let terminated = status.pointer("/state/terminated").filter(|state| !state.is_null());
            let waiting = str_at(status, "/state/waiting/reason").filter(|reason| *reason != "PodInitializing");
            self.reason = match (terminated, waiting) {
                (Some(state), _) if int_at(state, "/exitCode") == 0 => continue,
                _ if sidecar && bool_at(status, "/started") => {
                    self.ready += usize::from(bool_at(status, "/ready"));
                    continue;
                }
                (Some(state), _) => format!("Init:{}", ended(state)),
                (None, Some(reason)) => format!("Init:{reason}"),
                (None, None) => format!("Init:{index}/{}", specs.len()),
            };
            return true;
        }
        false
    }

    fn add_containers(&mut self, pod: &Value) {
        // The first container speaks for the pod, so it comes last.
        for status in items_at(pod, "/status/containerStatuses").iter().rev() {
            self.count_restarts(status);
            let terminated = status.pointer("/state/terminated").filter(|state| !state.is_null());
            if let Some(reason) = str_at(status, "/state/waiting/reason") {
                reason.clone_into(&mut self.reason);
            } else if let Some(state) = terminated {
                self.reason = ended(state);
            } else if bool_at(status, "/ready") && status.pointer("/state/running").is_some() {
                self.running = true;
                self.ready += 1;
            }
        }
    }

    fn count_restarts(&mut self, status: &Value) {
        self.restarts += int_at(status, "/restartCount");
        let ended = str_at(status, "/lastState/terminated/finishedAt").and_then(|text| text.parse().ok());
        self.last_restart = self.last_restart.max(ended);
    }

    /// `0`, or `3 (5m ago)`.
    fn restarts(&self) -> String {
        match self.last_restart {
            Some(then) if self.restarts > 0 => {
                let ago = age::human_duration(Timestamp::now().as_second() - then.as_second());
                format!("{} ({ago} ago)", self.restarts)
            }
            _ => self.restarts.to_string(),
        }
    }
}

/// Why a container ended: its reason, else the signal, else the exit code.
fn ended(state: &Value) -> String {
    match (str_at(state, "/reason"), int_at(state, "/signal")) {
        (Some(reason), _) => reason.to_owned(),
        (None, 0) => format!("ExitCode:{}", int_at(state, "/exitCode")),
        (None, signal) => format!("Signal:{signal}"),
    }
}
