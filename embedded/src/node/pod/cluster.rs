//! What a pod's worker needs from the cluster, so that it can be tried without one.

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use serde_json::Value;

/// Whether a pod is still the one that was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It was written.
    Yes,
    /// There is no such pod any more, or another one has its name.
    Gone,
}

/// One Event about a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// `true`: type `Warning`, else `Normal`.
    pub warning: bool,
    /// Reason, as the kubelet has it.
    pub reason: &'static str,
    /// Text for people.
    pub message: String,
    /// The container it is about.
    pub container: Option<String>,
    /// The container is an init container.
    pub init: bool,
}

/// The cluster as a pod's worker sees it. Errors are texts for people; whoever gets one tries again.
pub trait Cluster: Send + Sync {
    /// Reads a config map; `None` when there is none.
    fn config_map<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<ConfigMap>, String>>;
    /// Reads a secret; `None` when there is none.
    fn secret<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, String>>;
    /// Reads a claim; `None` when there is none.
    fn claim<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<PersistentVolumeClaim>, String>>;
    /// Reads a service account; `None` when there is none.
    fn service_account<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<ServiceAccount>, String>>;
    /// All services of a namespace.
    fn services<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<Vec<Service>, String>>;
    /// Gets a token for the pod's service account, which ends with the pod.
    fn token<'a>(&'a self, pod: &'a Pod, audience: Option<&'a str>, seconds: Option<i64>) -> BoxFuture<'a, Result<String, String>>;
    /// Merges into the pod's status; a `null` removes.
    fn write_status<'a>(&'a self, pod: &'a Pod, status: Value) -> BoxFuture<'a, Result<Written, String>>;
    /// Deletes the pod object for good.
    fn remove<'a>(&'a self, pod: &'a Pod) -> BoxFuture<'a, Result<Written, String>>;
    /// Records an Event; never waits.
    fn note(&self, pod: &Pod, note: Note);
}
