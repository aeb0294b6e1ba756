//! The Node object and its Lease.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Error};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::options::NodeOptions;
use super::pod::quantity::{memory_bytes, processors};
use super::pod::status::seconds;

/// Where nodes keep their Leases.
const LEASES: &str = "kube-node-lease";
/// How long a Lease holds; it is renewed four times as often, as the kubelet does.
const LEASE_SECONDS: u64 = 40;

/// Creates or updates the Node. Nothing is written when all is as it was.
///
/// # Errors
/// What the API server says.
pub async fn register(client: &Client, options: &NodeOptions) -> Result<(), Error> {
    let nodes: Api<Node> = Api::all(client.clone());
    let labels = json!({
        "kubernetes.io/hostname": options.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": architecture(),
    });
    let existing = match nodes.get_opt(&options.name).await? {
        Some(node) => node,
        None => {
            let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": options.name, "labels": labels}});
            let node: Node = serde_json::from_value(node).map_err(Error::SerdeError)?;
            nodes.create(&PostParams::default(), &node).await?
        }
    };
    let known = serde_json::to_value(&existing.status).unwrap_or_default();
    let status = status(options, &known);
    if !covers(&known, &status) {
        nodes.patch_status(&options.name, &PatchParams::default(), &Patch::Merge(json!({ "status": status }))).await?;
    }
    Ok(())
}

/// Keeps the Lease fresh until shutdown. A renewal that fails is tried again at the next turn.
pub async fn keep_lease(client: Client, options: NodeOptions, shutdown: CancellationToken) {
    let mut turn = tokio::time::interval(Duration::from_secs(LEASE_SECONDS / 4));
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = turn.tick() => {}
        }
        if let Err(error) = renew(&client, &options).await {
            tracing::warn!(%error, "the lease of the node could not be renewed; it is tried again in {} s", LEASE_SECONDS / 4);
        }
    }
}

async fn renew(client: &Client, options: &NodeOptions) -> Result<(), Error> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), LEASES);
    let spec = json!({
        "holderIdentity": options.name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": format!("{:.6}", Timestamp::now()),
    });
    match leases.patch(&options.name, &PatchParams::default(), &Patch::Merge(json!({ "spec": spec }))).await {
        Err(Error::Api(status)) if status.code == 404 => {}
        other => return other.map(drop),
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    if namespaces.get_opt(LEASES).await?.is_none() {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": LEASES}})).map_err(Error::SerdeError)?;
        namespaces.create(&PostParams::default(), &namespace).await?;
    }
    let lease: Lease = serde_json::from_value(json!({"metadata": {"name": options.name}, "spec": spec})).map_err(Error::SerdeError)?;
    leases.create(&PostParams::default(), &lease).await.map(drop)
}

/// The Node's status; heartbeat and transition times stay where nothing changed.
fn status(options: &NodeOptions, known: &Value) -> Value {
    let now = seconds(Timestamp::now());
    let conditions = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "the node agent watches no memory limits"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "the node agent watches no disk limits"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "the node agent watches no process limits"),
        ("Ready", "True", "KubeletReady", "the node agent runs pods as local processes"),
    ];
    let known_conditions: Vec<&Value> = known["conditions"].as_array().into_iter().flatten().collect();
    let conditions: Vec<Value> = conditions
        .into_iter()
        .map(|(kind, holds, reason, message)| {
            let same = known_conditions.iter().find(|other| other["type"] == kind && other["status"] == holds);
            let time = |key: &str| same.and_then(|other| other[key].as_str()).unwrap_or(&now).to_owned();
            json!({"type": kind, "status": holds, "reason": reason, "message": message,
                "lastHeartbeatTime": time("lastHeartbeatTime"), "lastTransitionTime": time("lastTransitionTime")})
        })
        .collect();
    let capacity: BTreeMap<&str, String> = BTreeMap::from([
        ("cpu", processors().to_string()),
        ("memory", format!("{}Ki", memory_bytes() / 1024)),
        ("pods", options.network.count.min(110).to_string()),
    ]);
    let images: Vec<Value> = options.images.names().map(|name| json!({"names": [name], "sizeBytes": 0})).collect();
    json!({
        "addresses": [{"type": "InternalIP", "address": options.address.to_string()}, {"type": "Hostname", "address": options.name}],
        "capacity": capacity, "allocatable": capacity, "conditions": conditions, "images": images, "nodeInfo": information(options),
    })
}

fn information(options: &NodeOptions) -> Value {
    let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let system = read("/etc/os-release");
    let name = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).map_or("Linux", |name| name.trim_matches('"'));
    json!({
        "architecture": architecture(), "operatingSystem": "linux", "osImage": name,
        "bootID": read("/proc/sys/kernel/random/boot_id"), "machineID": read("/etc/machine-id"), "systemUUID": read("/etc/machine-id"),
        "kernelVersion": read("/proc/sys/kernel/osrelease"), "kubeletVersion": options.version, "kubeProxyVersion": "",
        "containerRuntimeVersion": concat!("process://", env!("CARGO_PKG_VERSION")),
    })
}

pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Whether everything wanted stands in what is known.
fn covers(known: &Value, wanted: &Value) -> bool {
    match (known, wanted) {
        (Value::Object(known), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| known.get(key).is_some_and(|known| covers(known, value)))
        }
        (Value::Array(known), Value::Array(wanted)) => known.len() == wanted.len() && known.iter().zip(wanted).all(|(k, w)| covers(k, w)),
        _ => known == wanted,
    }
}
