//! Columns of the core group's other kinds, of events and of endpoint slices.

use serde_json::{Value, json};

use super::{AGE, Heading, NAME, Of, Text, bool_at, count_at, format, heading, int_at, items_at, str_at, text, wide};
use crate::builtin::age;

pub(in crate::builtin) const NAMESPACE: &[Heading] =
    &[NAME, heading("Status", "string", Text("The status of the namespace"), |o| text(o, "/status/phase", "")), AGE];

pub(in crate::builtin) const CONFIG_MAP: &[Heading] =
    &[NAME, heading("Data", "string", Of("core.v1.ConfigMap.data"), |o| json!(count_at(o, "/data") + count_at(o, "/binaryData"))), AGE];

pub(in crate::builtin) const SECRET: &[Heading] = &[
    NAME,
    heading("Type", "string", Of("core.v1.Secret.type"), |o| text(o, "/type", "")),
    heading("Data", "string", Of("core.v1.Secret.data"), |o| json!(count_at(o, "/data"))),
    AGE,
];

pub(in crate::builtin) const SERVICE_ACCOUNT: &[Heading] =
    &[NAME, heading("Secrets", "string", Of("core.v1.ServiceAccount.secrets"), |o| json!(count_at(o, "/secrets"))), AGE];

pub(in crate::builtin) const SERVICE: &[Heading] = &[
    NAME,
    heading("Type", "string", Of("core.v1.ServiceSpec.type"), |o| text(o, "/spec/type", "")),
    heading("Cluster-IP", "string", Of("core.v1.ServiceSpec.clusterIP"), |o| text(o, "/spec/clusterIP", "<none>")),
    heading("External-IP", "string", Of("core.v1.ServiceSpec.externalIPs"), |o| json!(external_ip(o))),
    heading("Port(s)", "string", Of("core.v1.ServiceSpec.ports"), |o| json!(service_ports(o))),
    AGE,
    wide("Selector", "string", Of("core.v1.ServiceSpec.selector"), |o| json!(format::labels(o.pointer("/spec/selector")))),
];

fn external_ip(service: &Value) -> String {
    let addresses = items_at(service, "/spec/externalIPs").iter().filter_map(Value::as_str);
    match str_at(service, "/spec/type").unwrap_or_default() {
        "ExternalName" => str_at(service, "/spec/externalName").unwrap_or_default().to_owned(),
        "LoadBalancer" => {
            let balancer = format::load_balancer(service);
            let all: Vec<&str> = Some(balancer.as_str()).filter(|text| !text.is_empty()).into_iter().chain(addresses).collect();
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        _ => format::joined(addresses),
    }
}

fn service_ports(service: &Value) -> String {
    let ports = items_at(service, "/spec/ports").iter().map(|port| {
        let protocol = str_at(port, "/protocol").unwrap_or("TCP");
        match int_at(port, "/nodePort") {
            0 => format!("{}/{protocol}", int_at(port, "/port")),
            node_port => format!("{}:{node_port}/{protocol}", int_at(port, "/port")),
        }
    });
    format::or_none(ports.collect::<Vec<_>>().join(","))
}

pub(in crate::builtin) const ENDPOINTS: &[Heading] =
    &[NAME, heading("Endpoints", "string", Of("core.v1.Endpoints.subsets"), |o| json!(endpoints(o))), AGE];

fn endpoints(object: &Value) -> String {
    let mut all = Vec::new();
    for subset in items_at(object, "/subsets") {
        let ports = items_at(subset, "/ports");
        for address in items_at(subset, "/addresses").iter().filter_map(|address| str_at(address, "/ip")) {
            let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
            if ports.is_empty() {
                all.push(host.clone());
            }
            all.extend(ports.iter().map(|port| format!("{host}:{}", int_at(port, "/port"))));
        }
    }
    format::or_none(format::first_of(&all, 3))
}

pub(in crate::builtin) const ENDPOINT_SLICE: &[Heading] = &[
    NAME,
    heading("AddressType", "string", Of("discovery.v1.EndpointSlice.addressType"), |o| text(o, "/addressType", "")),
    heading("Ports", "string", Of("discovery.v1.EndpointSlice.ports"), |o| {
        let ports: Vec<String> = items_at(o, "/ports").iter().map(|port| format::int_or_text(port.get("port"), "*")).collect();
        json!(if ports.is_empty() { "<unset>".to_owned() } else { format::first_of(&ports, 3) })
    }),
    heading("Endpoints", "string", Of("discovery.v1.EndpointSlice.endpoints"), |o| {
        let endpoints = items_at(o, "/endpoints").iter().flat_map(|endpoint| items_at(endpoint, "/addresses"));
        let addresses: Vec<String> = endpoints.filter_map(Value::as_str).map(str::to_owned).collect();
        json!(if addresses.is_empty() { "<unset>".to_owned() } else { format::first_of(&addresses, 3) })
    }),
    AGE,
];

pub(in crate::builtin) const NODE: &[Heading] = &[
    NAME,
    heading("Status", "string", Text("The status of the node"), |o| json!(node_status(o))),
    heading("Roles", "string", Text("The roles of the node"), |o| json!(node_roles(o))),
    AGE,
    heading("Version", "string", Of("core.v1.NodeSystemInfo.kubeletVersion"), |o| text(o, "/status/nodeInfo/kubeletVersion", "")),
    wide("Internal-IP", "string", Of("core.v1.NodeStatus.addresses"), |o| json!(node_address(o, "InternalIP"))),
    wide("External-IP", "string", Of("core.v1.NodeStatus.addresses"), |o| json!(node_address(o, "ExternalIP"))),
    wide("OS-Image", "string", Of("core.v1.NodeSystemInfo.osImage"), |o| text(o, "/status/nodeInfo/osImage", "<unknown>")),
    wide("Kernel-Version", "string", Of("core.v1.NodeSystemInfo.kernelVersion"), |o| {
        text(o, "/status/nodeInfo/kernelVersion", "<unknown>")
    }),
    wide("Container-Runtime", "string", Of("core.v1.NodeSystemInfo.containerRuntimeVersion"), |o| {
        text(o, "/status/nodeInfo/containerRuntimeVersion", "<unknown>")
    }),
];

fn node_status(node: &Value) -> String {
    let ready = items_at(node, "/status/conditions").iter().find(|condition| str_at(condition, "/type") == Some("Ready"));
    let status = match ready.map(|condition| str_at(condition, "/status") == Some("True")) {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    };
    if bool_at(node, "/spec/unschedulable") { format!("{status},SchedulingDisabled") } else { status.to_owned() }
}

fn node_roles(node: &Value) -> String {
    let labels = node.pointer("/metadata/labels").and_then(Value::as_object);
    let mut roles: Vec<&str> = Vec::new();
    for (key, value) in labels.into_iter().flatten() {
        match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) if !role.is_empty() => roles.push(role),
            _ if key == "kubernetes.io/role" => roles.extend(value.as_str().filter(|role| !role.is_empty())),
            _ => {}
        }
    }
    roles.sort_unstable();
    roles.dedup();
    format::joined(roles)
}

fn node_address<'a>(node: &'a Value, kind: &str) -> &'a str {
    let addresses = items_at(node, "/status/addresses");
    addresses
        .iter()
        .find(|address| str_at(address, "/type") == Some(kind))
        .and_then(|address| str_at(address, "/address"))
        .unwrap_or("<none>")
}

pub(in crate::builtin) const PERSISTENT_VOLUME_CLAIM: &[Heading] = &[
    NAME,
    heading("Status", "string", Of("core.v1.PersistentVolumeClaimStatus.phase"), |o| {
        let leaving = str_at(o, "/metadata/deletionTimestamp").is_some();
        if leaving { json!("Terminating") } else { text(o, "/status/phase", "") }
    }),
    heading("Volume", "string", Of("core.v1.PersistentVolumeClaimSpec.volumeName"), |o| text(o, "/spec/volumeName", "")),
    heading("Capacity", "string", Of("core.v1.PersistentVolumeClaimStatus.capacity"), |o| {
        json!(format::int_or_text(o.pointer("/status/capacity/storage"), ""))
    }),
    heading("Access Modes", "string", Of("core.v1.PersistentVolumeClaimStatus.accessModes"), |o| {
        json!(format::access_modes(items_at(o, "/status/accessModes")))
    }),
    heading("StorageClass", "string", Text("StorageClass of the pvc"), |o| text(o, "/spec/storageClassName", "")),
    heading("VolumeAttributesClass", "string", Text("VolumeAttributesClass of the pvc"), |o| {
        text(o, "/spec/volumeAttributesClassName", "<unset>")
    }),
    AGE,
    wide("VolumeMode", "string", Of("core.v1.PersistentVolumeClaimSpec.volumeMode"), |o| text(o, "/spec/volumeMode", "<unset>")),
];

pub(in crate::builtin) const PERSISTENT_VOLUME: &[Heading] = &[
    NAME,
    heading("Capacity", "string", Of("core.v1.PersistentVolumeSpec.capacity"), |o| {
        json!(format::int_or_text(o.pointer("/spec/capacity/storage"), ""))
    }),
    heading("Access Modes", "string", Of("core.v1.PersistentVolumeSpec.accessModes"), |o| {
        json!(format::access_modes(items_at(o, "/spec/accessModes")))
    }),
    heading("Reclaim Policy", "string", Of("core.v1.PersistentVolumeSpec.persistentVolumeReclaimPolicy"), |o| {
        text(o, "/spec/persistentVolumeReclaimPolicy", "")
    }),
    heading("Status", "string", Of("core.v1.PersistentVolumeStatus.phase"), |o| {
        let leaving = str_at(o, "/metadata/deletionTimestamp").is_some();
        if leaving { json!("Terminating") } else { text(o, "/status/phase", "") }
    }),
    heading("Claim", "string", Of("core.v1.PersistentVolumeSpec.claimRef"), |o| {
        let part = |pointer| str_at(o, pointer).unwrap_or_default();
        let bound = o.pointer("/spec/claimRef").is_some_and(Value::is_object);
        json!(if bound { format!("{}/{}", part("/spec/claimRef/namespace"), part("/spec/claimRef/name")) } else { String::new() })
    }),
    heading("StorageClass", "string", Text("StorageClass of the pv"), |o| text(o, "/spec/storageClassName", "")),
    heading("VolumeAttributesClass", "string", Text("VolumeAttributesClass of the pv"), |o| {
        text(o, "/spec/volumeAttributesClassName", "<unset>")
    }),
    heading("Reason", "string", Of("core.v1.PersistentVolumeStatus.reason"), |o| text(o, "/status/reason", "")),
    AGE,
    wide("VolumeMode", "string", Of("core.v1.PersistentVolumeSpec.volumeMode"), |o| text(o, "/spec/volumeMode", "<unset>")),
];

pub(in crate::builtin) const RESOURCE_QUOTA: &[Heading] = &[
    NAME,
    heading("Request", "string", Text("Request represents a minimum amount of cpu/memory that a container may consume."), |o| {
        json!(quota(o, |resource| !resource.starts_with("limits.")))
    }),
    heading(
        "Limit",
        "string",
        Text("Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node."),
        |o| json!(quota(o, |resource| resource.starts_with("limits."))),
    ),
    AGE,
];

/// `pods: 1/10, cpu: 0/2` for the resources that `wanted` takes.
fn quota(object: &Value, wanted: fn(&str) -> bool) -> String {
    let hard = object.pointer("/status/hard").and_then(Value::as_object).into_iter().flatten();
    let used = |resource: &str| format::int_or_text(object.pointer("/status/used").and_then(|used| used.get(resource)), "0");
    let parts = hard.filter(|(resource, _)| wanted(resource));
    parts
        .map(|(resource, limit)| format!("{resource}: {}/{}", used(resource), format::int_or_text(Some(limit), "")))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Events as `v1`.
pub(in crate::builtin) const EVENT: &[Heading] = &[
    heading("Last Seen", "string", Of("core.v1.Event.lastTimestamp"), |o| json!(last_seen(o, "/lastTimestamp", "/count"))),
    heading("Type", "string", Of("core.v1.Event.type"), |o| text(o, "/type", "")),
    heading("Reason", "string", Of("core.v1.Event.reason"), |o| text(o, "/reason", "")),
    heading("Object", "string", Of("core.v1.Event.involvedObject"), |o| json!(about(o, "/involvedObject"))),
    wide("Subobject", "string", Of("core.v1.ObjectReference.fieldPath"), |o| text(o, "/involvedObject/fieldPath", "")),
    wide("Source", "string", Of("core.v1.Event.source"), |o| json!(source(o, "/source", "/reportingComponent"))),
    heading("Message", "string", Of("core.v1.Event.message"), |o| json!(str_at(o, "/message").unwrap_or_default().trim())),
    wide("First Seen", "string", Of("core.v1.Event.firstTimestamp"), |o| json!(first_seen(o, "/firstTimestamp"))),
    wide("Count", "string", Of("core.v1.Event.count"), |o| json!(event_count(o, "/count"))),
    Heading { priority: 1, ..NAME },
];

/// Events as `events.k8s.io/v1`: the same columns, from the fields as they are called there.
pub(in crate::builtin) const EVENT_OF_GROUP: &[Heading] = &[
    heading("Last Seen", "string", Of("core.v1.Event.lastTimestamp"), |o| {
        json!(last_seen(o, "/deprecatedLastTimestamp", "/deprecatedCount"))
    }),
    heading("Type", "string", Of("core.v1.Event.type"), |o| text(o, "/type", "")),
    heading("Reason", "string", Of("core.v1.Event.reason"), |o| text(o, "/reason", "")),
    heading("Object", "string", Of("core.v1.Event.involvedObject"), |o| json!(about(o, "/regarding"))),
    wide("Subobject", "string", Of("core.v1.ObjectReference.fieldPath"), |o| text(o, "/regarding/fieldPath", "")),
    wide("Source", "string", Of("core.v1.Event.source"), |o| json!(source(o, "/deprecatedSource", "/reportingController"))),
    heading("Message", "string", Of("core.v1.Event.message"), |o| json!(str_at(o, "/note").unwrap_or_default().trim())),
    wide("First Seen", "string", Of("core.v1.Event.firstTimestamp"), |o| json!(first_seen(o, "/deprecatedFirstTimestamp"))),
    wide("Count", "string", Of("core.v1.Event.count"), |o| json!(event_count(o, "/deprecatedCount"))),
    Heading { priority: 1, ..NAME },
];

fn first_seen(event: &Value, field: &str) -> String {
    age::since(str_at(event, field).or_else(|| str_at(event, "/eventTime")))
}

/// A series was last seen when it says so, with how often over what time; a single event when it was made.
fn last_seen(event: &Value, field: &str, count: &str) -> String {
    let first = first_seen(event, if field == "/lastTimestamp" { "/firstTimestamp" } else { "/deprecatedFirstTimestamp" });
    if let Some(series) = str_at(event, "/series/lastObservedTime") {
        return format!("{} (x{} over {first})", age::since(Some(series)), int_at(event, "/series/count"));
    }
    match str_at(event, field) {
        Some(last) if int_at(event, count) > 1 => format!("{} (x{} over {first})", age::since(Some(last)), int_at(event, count)),
        Some(last) => age::since(Some(last)),
        None => first,
    }
}

fn event_count(event: &Value, field: &str) -> i64 {
    let count = if event.get("series").is_some_and(Value::is_object) { int_at(event, "/series/count") } else { int_at(event, field) };
    count.max(1)
}

fn about(event: &Value, field: &str) -> String {
    let part = |name: &str| event.pointer(field).and_then(|about| about.get(name)).and_then(Value::as_str).unwrap_or_default();
    match (part("kind").to_lowercase(), part("name")) {
        (kind, "") => kind,
        (kind, name) => format!("{kind}/{name}"),
    }
}

fn source(event: &Value, source: &str, reporter: &str) -> String {
    let part =
        |name: &str| event.pointer(source).and_then(|source| source.get(name)).and_then(Value::as_str).filter(|text| !text.is_empty());
    let component = part("component").or_else(|| str_at(event, reporter));
    [component, part("host").or_else(|| str_at(event, "/reportingInstance"))].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
