//! What the controllers of workloads share: clients, events, and the writing of what differs.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, Error, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::index::Index;
use super::telling::{News, Teller};

/// Requests for one workload at the same time.
pub const AT_ONCE: usize = 16;
/// Who writes, in `managedFields`.
pub const MANAGER: &str = "kube-controller-manager";

/// Why a workload could not be brought further.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {source}")]
pub struct Trouble {
    what: String,
    source: Error,
}

impl Trouble {
    /// `what`: "create a pod of web-5d9f".
    pub fn new(what: impl Into<String>, source: Error) -> Self {
        Self { what: what.into(), source }
    }
    /// Someone else was quicker; nothing is wrong.
    pub fn is_stale(&self) -> bool {
        is_gone(&self.source)
    }
}

/// Whether the answer says that the object meant is not there any more, or has changed.
pub fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404 || status.code == 409)
}

/// Whether the answer says that the namespace is being deleted: then nothing needs to be made in it.
pub fn is_ending(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 403 && status.message.contains("because it is being terminated"))
}

/// What the server says, in its own words.
pub fn text(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Times in a status or an Event have whole seconds.
pub fn whole_seconds(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

/// One controller's view of the cluster. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    client: Client,
    index: Arc<Mutex<Index>>,
    teller: Teller,
}

impl Context {
    /// For the controller of this name.
    pub fn new(client: Client, index: Arc<Mutex<Index>>, controller: &'static str) -> Self {
        Self { teller: Teller::new(client.clone(), controller), client, index }
    }

    /// Objects of a namespace.
    pub fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// What is known of pods and workloads.
    pub fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what happened. An Event that cannot be written is not missed by anything.
    pub async fn tell(&self, about: &impl Resource<DynamicType = ()>, news: News) {
        if let Err(error) = self.teller.tell(about.object_ref(&()), news).await {
            tracing::debug!(%error, "an Event of a workload could not be written");
        }
    }

    /// Creates pods: one at first, then twice as many at a time, so that what is wrong with all of them is said once. Returns how many were
    /// made, and why there are not more.
    pub async fn create_pods(&self, owner: &impl Resource<DynamicType = ()>, pod: &Pod, count: usize) -> (usize, Option<Error>) {
        let api: Api<Pod> = self.api(&owner.meta().namespace.clone().unwrap_or_default());
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let (mut made, mut batch) = (0, 1);
        while made < count {
            let now = batch.min(count - made);
            let outcomes: Vec<Result<Pod, Error>> =
                futures::stream::iter((0..now).map(|_| api.create(&parameters, pod))).buffered(AT_ONCE).collect().await;
            let mut failed = None;
            for outcome in outcomes {
                match outcome {
                    Ok(pod) => {
                        made += 1;
                        self.tell(owner, News::normal("SuccessfulCreate", format!("Created pod: {}", pod.name_any()))).await;
                    }
                    Err(error) => failed = Some(error),
                }
            }
            if failed.is_some() {
                return (made, failed);
            }
            batch *= 2;
        }
        (made, None)
    }

    /// Deletes the very pods given.
    ///
    /// # Errors
    /// What the server says; pods that are gone are fine.
    pub async fn delete_pods(&self, owner: &impl Resource<DynamicType = ()>, pods: &[&Pod]) -> Result<(), Trouble> {
        let namespace = owner.meta().namespace.clone().unwrap_or_default();
        for pod in pods {
            self.delete(&self.api::<Pod>(&namespace), *pod, DeleteParams::background()).await?;
            self.tell(owner, News::normal("SuccessfulDelete", format!("Deleted pod: {}", pod.name_any()))).await;
        }
        Ok(())
    }

    /// Deletes the very object given; its uid is a precondition.
    ///
    /// # Errors
    /// What the server says; one that is gone is fine.
    pub async fn delete<K: Resource + Clone + DeserializeOwned + Debug>(
        &self,
        api: &Api<K>,
        object: &K,
        how: DeleteParams,
    ) -> Result<(), Trouble> {
        let preconditions = Preconditions { uid: object.uid(), ..how.preconditions.clone().unwrap_or_default() };
        match api.delete(&object.name_any(), &DeleteParams { preconditions: Some(preconditions), ..how }).await {
            Err(error) if !is_gone(&error) => Err(Trouble::new(format!("delete {}", object.name_any()), error)),
            _ => Ok(()),
        }
    }

    /// Writes a status where it differs.
    ///
    /// # Errors
    /// What the server says.
    pub async fn write_status<K, S>(&self, api: &Api<K>, object: &K, before: &S, after: &S) -> Result<(), Trouble>
    where
        K: Resource + Clone + DeserializeOwned + Debug,
        S: Serialize,
    {
        let value = |status: &S| serde_json::to_value(status).unwrap_or_default();
        let Some(status) = difference(&value(before), &value(after)) else { return Ok(()) };
        let patch = json!({"metadata": {"uid": object.uid()}, "status": status});
        let written = api.patch_status(&object.name_any(), &self.patch_parameters(), &Patch::Merge(patch)).await;
        written.map(drop).map_err(|source| Trouble::new(format!("write the status of {}", object.name_any()), source))
    }

    /// Merges a patch into the very object that was read, unless it has changed since.
    ///
    /// # Errors
    /// What the server says.
    pub async fn amend<K: Resource + Clone + DeserializeOwned + Debug>(
        &self,
        api: &Api<K>,
        object: &K,
        mut patch: Value,
    ) -> Result<K, Trouble> {
        patch["metadata"]["uid"] = json!(object.uid());
        patch["metadata"]["resourceVersion"] = json!(object.resource_version());
        let written = api.patch(&object.name_any(), &self.patch_parameters(), &Patch::Merge(patch)).await;
        written.map_err(|source| Trouble::new(format!("change {}", object.name_any()), source))
    }

    fn patch_parameters(&self) -> PatchParams {
        PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
    }
}

/// The merge patch between two flat states; nothing where they are equal.
pub fn difference(before: &Value, after: &Value) -> Option<Value> {
    let empty = Map::new();
    let (before, after) = (before.as_object().unwrap_or(&empty), after.as_object().unwrap_or(&empty));
    let mut patch: Map<String, Value> = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(value))
        .map(|(key, value)| (key.clone(), merged(before.get(key), value)))
        .collect();
    patch.extend(before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), Value::Null)));
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// What a merge patch needs so that a member becomes this value: members of objects that went must be named.
fn merged(before: Option<&Value>, after: &Value) -> Value {
    match (before, after) {
        (Some(before @ Value::Object(_)), Value::Object(_)) => difference(before, after).unwrap_or_else(|| json!({})),
        _ => after.clone(),
    }
}
