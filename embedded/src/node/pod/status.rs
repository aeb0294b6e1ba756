//! A pod's status as it is written. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Map, Value, json};

use super::state::{Current, Ended, Phase, Role, State, initialized, phase};

/// What the status is made from, besides the containers.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The pod's address.
    pub address: Ipv4Addr,
    /// The node's address.
    pub host: Ipv4Addr,
    /// When the agent took the pod up.
    pub start_time: Timestamp,
    /// Failed for good for this reason, whatever the containers say.
    pub failed: Option<(&'static str, String)>,
    /// Volumes and folders are there.
    pub prepared: bool,
}

/// The conditions this agent writes; others in the status belong to others and stay.
const OURS: [&str; 5] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

/// The phase, with the pod's own failure in front.
pub fn phase_of(states: &[State], facts: &Facts) -> Phase {
    if facts.failed.is_some() { Phase::Failed } else { phase(states) }
}

/// The whole status. `before` is the status last written: condition times stay where the condition did not change.
pub fn status(pod: &Pod, states: &[State], facts: &Facts, before: &Value, now: Timestamp) -> Value {
    let phase = phase_of(states, facts);
    let mut status = json!({
        "phase": phase.name(),
        "conditions": conditions(pod, states, phase, facts, before, now),
        "hostIP": facts.host.to_string(),
        "hostIPs": [{"ip": facts.host.to_string()}],
        "podIP": facts.address.to_string(),
        "podIPs": [{"ip": facts.address.to_string()}],
        "startTime": seconds(facts.start_time),
        "qosClass": qos(pod),
        "containerStatuses": containers(states, |role| role == Role::Main, phase, facts),
    });
    if let Some((reason, message)) = &facts.failed {
        status["reason"] = json!(reason);
        status["message"] = json!(message);
    }
    if states.iter().any(|state| state.role != Role::Main) {
        status["initContainerStatuses"] = containers(states, |role| role != Role::Main, phase, facts);
    }
    if let Some(generation) = pod.metadata.generation {
        status["observedGeneration"] = json!(generation);
    }
    status
}

/// The merge patch that turns one status into the other; `None` when they are equal.
pub fn difference(before: &Value, after: &Value) -> Option<Value> {
    let empty = Map::new();
    let (before, after) = (before.as_object().unwrap_or(&empty), after.as_object().unwrap_or(&empty));
    let mut patch: Map<String, Value> =
        after.iter().filter(|(key, value)| before.get(*key) != Some(value)).map(|(key, value)| (key.clone(), value.clone())).collect();
    // Only what this agent writes is taken back by it.
    for key in ["reason", "message", "initContainerStatuses"] {
        if before.contains_key(key) && !after.contains_key(key) {
            patch.insert(key.to_owned(), Value::Null);
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

fn conditions(pod: &Pod, states: &[State], phase: Phase, facts: &Facts, before: &Value, now: Timestamp) -> Value {
    let unready: Vec<&str> =
        states.iter().filter(|state| state.role != Role::Init && !state.ready).map(|state| state.spec.name.as_str()).collect();
    let incomplete: Vec<&str> = states
        .iter()
        .filter(|state| state.role == Role::Init && !state.has_succeeded() || state.role == Role::Sidecar && !state.started)
        .map(|state| state.spec.name.as_str())
        .collect();
    let done = phase == Phase::Succeeded;
    let initialized = initialized(states) || done;
    let containers_ready = unready.is_empty() && !phase.is_terminal();
    let missing_gate = missing_gate(pod, before);
    let ready = containers_ready && missing_gate.is_none();
    let not_ready = || match () {
        () if done => Some(("PodCompleted", String::new())),
        () if phase == Phase::Failed => Some(("PodFailed", String::new())),
        () => Some(("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" ")))),
    };
    let not_initialized = || Some(("ContainersNotInitialized", format!("containers with incomplete status: [{}]", incomplete.join(" "))));
    let gate = missing_gate.map(|gate| {
        ("ReadinessGatesNotReady", format!("corresponding condition of pod readiness gate {gate:?} does not exist or is not True"))
    });
    let rows = [
        ("PodReadyToStartContainers", facts.prepared && !phase.is_terminal(), None),
        ("Initialized", initialized, if initialized { done.then(|| ("PodCompleted", String::new())) } else { not_initialized() }),
        ("Ready", ready, if containers_ready { gate } else { not_ready() }),
        ("ContainersReady", containers_ready, if containers_ready { None } else { not_ready() }),
        ("PodScheduled", true, None),
    ];
    let old: Vec<&Value> = before["conditions"].as_array().into_iter().flatten().collect();
    let mut all: Vec<Value> = rows.into_iter().map(|(kind, holds, why)| condition(kind, holds, why, &old, pod, now)).collect();
    all.extend(old.into_iter().filter(|other| !OURS.contains(&other["type"].as_str().unwrap_or_default())).cloned());
    Value::Array(all)
}

fn condition(kind: &str, holds: bool, why: Option<(&str, String)>, old: &[&Value], pod: &Pod, now: Timestamp) -> Value {
    let holds = if holds { "True" } else { "False" };
    let same = old.iter().find(|other| other["type"] == kind && other["status"] == holds);
    let since = same.and_then(|other| other["lastTransitionTime"].as_str()).map_or_else(|| seconds(now), str::to_owned);
    let mut condition = json!({"type": kind, "status": holds, "lastTransitionTime": since});
    if let Some((reason, message)) = why {
        condition["reason"] = json!(reason);
        if !message.is_empty() {
            condition["message"] = json!(message);
        }
    }
    if let Some(generation) = pod.metadata.generation {
        condition["observedGeneration"] = json!(generation);
    }
    condition
}

fn missing_gate(pod: &Pod, before: &Value) -> Option<String> {
    let gates = pod.spec.as_ref()?.readiness_gates.as_ref()?;
    let holds =
        |kind: &str| before["conditions"].as_array().into_iter().flatten().any(|one| one["type"] == kind && one["status"] == "True");
    gates.iter().map(|gate| gate.condition_type.clone()).find(|kind| !holds(kind))
}

fn containers(states: &[State], wanted: impl Fn(Role) -> bool, phase: Phase, facts: &Facts) -> Value {
    let initialized = initialized(states);
    states
        .iter()
        .filter(|state| wanted(state.role))
        .map(|state| {
            let current = match &state.current {
                Current::Waiting { reason: "ContainerCreating", .. } if !initialized && state.role == Role::Main && facts.prepared => {
                    json!({"waiting": {"reason": "PodInitializing"}})
                }
                Current::Waiting { reason, message } => {
                    let mut waiting = json!({"reason": reason});
                    if let Some(message) = message {
                        waiting["message"] = json!(message);
                    }
                    json!({ "waiting": waiting })
                }
                Current::Running { started } => json!({"running": {"startedAt": seconds(*started)}}),
                Current::Ended(ended) => json!({"terminated": terminated(ended)}),
            };
            let done = state.role == Role::Init && state.has_succeeded();
            json!({
                "name": state.spec.name,
                "image": state.spec.image.clone().unwrap_or_default(),
                "imageID": "",
                "state": current,
                "lastState": state.last.as_ref().map_or_else(|| json!({}), |ended| json!({"terminated": terminated(ended)})),
                "ready": done || (state.ready && !phase.is_terminal()),
                "started": state.started,
                "restartCount": state.restarts,
            })
        })
        .collect()
}

fn terminated(ended: &Ended) -> Value {
    let mut value = json!({"exitCode": ended.code, "reason": ended.reason});
    let times = [("startedAt", ended.started), ("finishedAt", ended.finished)];
    for (key, time) in times.into_iter().filter_map(|(key, time)| Some((key, time?))) {
        value[key] = json!(seconds(time));
    }
    if let Some(signal) = ended.signal {
        value["signal"] = json!(signal);
    }
    if let Some(message) = &ended.message {
        value["message"] = json!(message);
    }
    value
}

/// RFC 3339 with whole seconds, as `metav1.Time` is written.
pub fn seconds(time: Timestamp) -> String {
    format!("{time:.0}")
}

/// The quality of service class: `Guaranteed` where every container has equal limits and requests for cpu and memory, `BestEffort`
/// where none has any, else `Burstable`.
pub fn qos(pod: &Pod) -> &'static str {
    let spec = pod.spec.iter();
    let containers: Vec<_> = spec.flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten())).collect();
    let empty = BTreeMap::new();
    let mut any = false;
    let mut guaranteed = true;
    for container in containers {
        let resources = container.resources.as_ref();
        let limits = resources.and_then(|all| all.limits.as_ref()).unwrap_or(&empty);
        let requests = resources.and_then(|all| all.requests.as_ref()).unwrap_or(&empty);
        for name in ["cpu", "memory"] {
            let (limit, request) = (limits.get(name), requests.get(name));
            any |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && request.is_none_or(|request| Some(request) == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// Whether this agent writes a condition.
pub fn is_ours(condition: &Value) -> bool {
    condition["type"].as_str().is_some_and(|kind| OURS.contains(&kind))
}
