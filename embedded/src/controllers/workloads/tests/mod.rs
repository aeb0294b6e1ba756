#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod deployments;
mod jobs;
mod large;
mod queueing;
mod replica_sets;
mod world;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

/// A pod as a test needs it: `more` is merged into it.
fn pod(name: &str, more: Value) -> Pod {
    let mut pod = json!({"metadata": {"name": name, "uid": format!("uid-{name}"), "creationTimestamp": at(0).to_string()}, "spec": {"containers": []}});
    json_patch::merge(&mut pod, &more);
    serde_json::from_value(pod).unwrap()
}

/// The status of a pod that is ready since then.
fn ready(since: Timestamp) -> Value {
    json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since.to_string()}]}})
}

/// So many seconds after some moment.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}
