//! The cluster as pods see it, over a `kube::Client`.

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, Error, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::pod::{Cluster, Note, Written};

/// The cluster behind a client. Events go through a queue to [`events`](super::events).
pub struct LiveCluster {
    client: Client,
    notes: mpsc::Sender<(PodReference, Note)>,
}

/// The pod an Event is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PodReference {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Version the Event was made for.
    pub version: String,
}

impl PodReference {
    /// The reference to a pod.
    pub fn to(pod: &Pod) -> Self {
        Self {
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            version: pod.resource_version().unwrap_or_default(),
        }
    }
}

impl LiveCluster {
    /// A cluster behind a client.
    pub fn new(client: Client, notes: mpsc::Sender<(PodReference, Note)>) -> Self {
        Self { client, notes }
    }
    fn pods(&self, pod: &Pod) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default())
    }
}

/// Whether the answer says that the pod meant is not there: no such name, or another uid under it.
fn gone(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404 || status.code == 409)
}

fn text(error: &Error) -> String {
    match error {
        Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

impl Cluster for LiveCluster {
    fn config_map<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<ConfigMap>, String>> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        async move { api.get_opt(name).await.map_err(|error| text(&error)) }.boxed()
    }
    fn secret<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, String>> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        async move { api.get_opt(name).await.map_err(|error| text(&error)) }.boxed()
    }
    fn claim<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<PersistentVolumeClaim>, String>> {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        async move { api.get_opt(name).await.map_err(|error| text(&error)) }.boxed()
    }
    fn service_account<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<ServiceAccount>, String>> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        async move { api.get_opt(name).await.map_err(|error| text(&error)) }.boxed()
    }
    fn services<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<Vec<Service>, String>> {
        let api: Api<Service> = Api::namespaced(self.client.clone(), namespace);
        async move { api.list(&ListParams::default()).await.map(|list| list.items).map_err(|error| text(&error)) }.boxed()
    }
    fn token<'a>(&'a self, pod: &'a Pod, audience: Option<&'a str>, seconds: Option<i64>) -> BoxFuture<'a, Result<String, String>> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
        let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).filter(|name| !name.is_empty());
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: Some(audience.map(str::to_owned).into_iter().collect()),
                expiration_seconds: seconds,
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: pod.metadata.name.clone(),
                    uid: pod.uid(),
                }),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        async move {
            let account = account.unwrap_or("default");
            let answer = api.create_token_request(account, &PostParams::default(), &request).await;
            let answer = answer.map_err(|error| format!("no token for service account {account:?}: {}", text(&error)))?;
            answer
                .status
                .and_then(|status| status.token)
                .ok_or_else(|| format!("the answer for service account {account:?} holds no token"))
        }
        .boxed()
    }
    fn write_status<'a>(&'a self, pod: &'a Pod, status: Value) -> BoxFuture<'a, Result<Written, String>> {
        let api = self.pods(pod);
        // The uid is a precondition: the status of another pod of this name stays untouched.
        let patch = json!({"metadata": {"uid": pod.uid()}, "status": status});
        async move {
            match api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await {
                Ok(_) => Ok(Written::Yes),
                Err(error) if gone(&error) => Ok(Written::Gone),
                Err(error) => Err(text(&error)),
            }
        }
        .boxed()
    }
    fn remove<'a>(&'a self, pod: &'a Pod) -> BoxFuture<'a, Result<Written, String>> {
        let api = self.pods(pod);
        async move {
            let preconditions = Preconditions { uid: pod.uid(), resource_version: None };
            let how = DeleteParams { grace_period_seconds: Some(0), preconditions: Some(preconditions), ..DeleteParams::default() };
            match api.delete(&pod.name_any(), &how).await {
                Ok(_) => Ok(Written::Yes),
                Err(error) if gone(&error) => Ok(Written::Gone),
                Err(error) => Err(text(&error)),
            }
        }
        .boxed()
    }
    fn note(&self, pod: &Pod, note: Note) {
        if let Err(error) = self.notes.try_send((PodReference::to(pod), note)) {
            tracing::debug!(%error, "an Event was dropped: the queue is full");
        }
    }
}
