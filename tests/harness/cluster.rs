//! Objects of a plane without kubectl, for tests that look very often.

use std::path::Path;

use http::{Method, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use tokio::runtime::Runtime;

/// The API of a plane.
pub struct Cluster {
    client: Client,
    runtime: Runtime,
}

/// Path of an object, or of all where `name` is empty.
pub fn path(namespace: &str, plural: &str, name: &str) -> String {
    let root = match plural {
        "secrets" | "pods" | "persistentvolumeclaims" | "events" | "configmaps" => "/api/v1",
        "simulatedsystems" => "/apis/simulation.switchboard.dev/v1alpha1",
        _ => "/apis/switchboard.dev/v1alpha1",
    };
    let end = if name.is_empty() { String::new() } else { format!("/{name}") };
    match (plural, namespace) {
        ("namespaces", _) => format!("/api/v1/namespaces{end}"),
        (_, "") => format!("{root}/{plural}{end}"),
        _ => format!("{root}/namespaces/{namespace}/{plural}{end}"),
    }
}

impl Cluster {
    /// With the rights of this kubeconfig.
    ///
    /// # Panics
    /// It is none.
    pub fn new(kubeconfig: &Path) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
            Client::try_from(config).unwrap()
        });
        Self { client, runtime }
    }

    /// Its client.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Waits for something asynchronous.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// One request; none where the object is not there.
    ///
    /// # Panics
    /// Another refusal.
    pub fn request(&self, method: Method, path: &str, body: &Value) -> Option<Value> {
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder().method(method.clone()).uri(path).header("content-type", kind).body(bytes).unwrap();
        match self.block_on(self.client.request::<Value>(request)) {
            Ok(value) => Some(value),
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(error) => panic!("{method} {path}: {error}"),
        }
    }

    /// An object; none where it is not there.
    pub fn get(&self, namespace: &str, plural: &str, name: &str) -> Option<Value> {
        self.request(Method::GET, &path(namespace, plural, name), &Value::Null)
    }

    /// All objects of a kind in a namespace.
    pub fn list(&self, namespace: &str, plural: &str) -> Vec<Value> {
        let list = self.request(Method::GET, &path(namespace, plural, ""), &Value::Null).unwrap_or_default();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Creates an object; its namespace is in its metadata.
    ///
    /// # Panics
    /// It is refused.
    pub fn create(&self, plural: &str, object: &Value) {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        assert!(self.request(Method::POST, &path(namespace, plural, ""), object).is_some(), "no such kind or namespace: {object}");
    }

    /// Merges this into an object.
    ///
    /// # Panics
    /// It is refused, or is not there.
    pub fn patch(&self, namespace: &str, plural: &str, name: &str, patch: &Value) {
        assert!(self.request(Method::PATCH, &path(namespace, plural, name), patch).is_some(), "there is no {plural} {name}");
    }

    /// Deletes an object, if it is there, and does not wait until it is gone.
    pub fn delete(&self, namespace: &str, plural: &str, name: &str) {
        self.request(Method::DELETE, &path(namespace, plural, name), &Value::Null);
    }
}

/// Status and reason of a condition: `True Stored`; empty where it is not there.
pub fn condition(object: &Value, kind: &str) -> String {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.iter().find(|condition| condition["type"] == kind);
    found.map_or_else(String::new, |found| {
        format!("{} {}", found["status"].as_str().unwrap_or_default(), found["reason"].as_str().unwrap_or_default())
    })
}
