//! What matters of a pod to the Services that select it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value;

/// What matters of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodFacts {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Its address; none while it has no place.
    pub address: Option<Ipv4Addr>,
    /// Its node.
    pub node: String,
    /// `spec.hostname`, for the Service named by `spec.subdomain`.
    pub hostname: String,
    /// See `hostname`.
    pub subdomain: String,
    /// Its condition `Ready`.
    pub ready: bool,
    /// It is being deleted.
    pub deleting: bool,
    /// Nothing of it runs any more.
    pub over: bool,
    /// Named ports of its containers: name, protocol, number.
    pub ports: Vec<(String, String, i32)>,
}

impl PodFacts {
    /// Takes it from a pod. What cannot be read counts as not said: one strange pod does not hold up the others.
    pub fn of(pod: &DynamicObject) -> Self {
        let text = |place: &str| pod.data.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned();
        let items = |place: &str| pod.data.pointer(place).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let sidecars = items("/spec/initContainers").iter().filter(|container| container["restartPolicy"] == "Always");
        let ports =
            items("/spec/containers").iter().chain(sidecars).flat_map(|container| container["ports"].as_array().into_iter().flatten());
        let named = ports.filter_map(|port| {
            let number = i32::try_from(port["containerPort"].as_i64()?).ok()?;
            Some((port["name"].as_str()?.to_owned(), port["protocol"].as_str().unwrap_or("TCP").to_owned(), number))
        });
        Self {
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            labels: pod.labels().clone(),
            address: text("/status/podIP").parse().ok(),
            node: text("/spec/nodeName"),
            hostname: text("/spec/hostname"),
            subdomain: text("/spec/subdomain"),
            ready: items("/status/conditions").iter().any(|one| one["type"] == "Ready" && one["status"] == "True"),
            deleting: pod.metadata.deletion_timestamp.is_some(),
            over: matches!(text("/status/phase").as_str(), "Succeeded" | "Failed"),
            ports: named.collect(),
        }
    }

    /// Whether a selector, which is not empty, names it.
    pub fn is_selected_by(&self, selector: &BTreeMap<String, String>) -> bool {
        selector.iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }

    /// The number of one of its ports.
    pub fn port(&self, name: &str, protocol: &str) -> Option<i32> {
        self.ports.iter().find(|(other, other_protocol, _)| other == name && other_protocol == protocol).map(|(.., number)| *number)
    }
}
