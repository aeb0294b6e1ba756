//! Empties namespaces that are being deleted, and says what is still in the way.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, Error, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::kinds::Kind;

/// A namespace is looked at again when something in it goes, and otherwise after a delay that grows up to this.
const LONGEST_DELAY: Duration = Duration::from_secs(15);
/// Objects deleted at the same time.
const AT_ONCE: usize = 16;
/// The finalizer in `spec.finalizers` that is this controller's.
const OURS: &str = "kubernetes";

/// What is left in a namespace.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Remaining {
    /// Objects by kind.
    pub objects: BTreeMap<String, usize>,
    /// Objects by finalizer.
    pub finalizers: BTreeMap<String, usize>,
    /// Kinds whose objects could not be deleted or listed, and why.
    pub failures: Vec<String>,
}

/// Empties namespaces until shutdown.
pub async fn run(
    client: Client,
    kinds: watch::Receiver<Arc<Vec<Arc<Kind>>>>,
    removals: broadcast::Sender<String>,
    shutdown: CancellationToken,
) {
    let api: Api<Namespace> = Api::all(client.clone());
    let mut stream = watcher::watcher(api, watcher::Config::default()).default_backoff().boxed();
    let mut tasks: JoinSet<String> = JoinSet::new();
    let mut draining: HashMap<String, CancellationToken> = HashMap::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            event = stream.next() => match event {
                Some(Ok(Event::Apply(namespace) | Event::InitApply(namespace))) => {
                    let uid = namespace.uid().unwrap_or_default();
                    let ours = namespace.spec.iter().flat_map(|spec| spec.finalizers.iter().flatten()).any(|name| name == OURS);
                    if namespace.metadata.deletion_timestamp.is_some() && ours && !draining.contains_key(&uid) {
                        let stop = shutdown.child_token();
                        draining.insert(uid.clone(), stop.clone());
                        let drain = Drain { client: client.clone(), name: namespace.name_any(), uid: uid.clone(), kinds: kinds.clone(), removals: removals.subscribe() };
                        tasks.spawn(async move {
                            tokio::select! {
                                () = stop.cancelled() => {}
                                () = drain.run() => {}
                            }
                            uid
                        });
                    }
                }
                Some(Ok(Event::Delete(namespace))) => if let Some(stop) = draining.get(&namespace.uid().unwrap_or_default()) { stop.cancel() },
                Some(Ok(Event::Init | Event::InitDone)) => {}
                Some(Err(error)) => tracing::warn!(%error, "the watch of namespaces was interrupted; it is taken up again"),
                None => break,
            },
            Some(ended) = tasks.join_next() => match ended {
                Ok(uid) => drop(draining.remove(&uid)),
                // The panic is passed on: a controller that died must be seen.
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => {}
            },
        }
    }
    while tasks.join_next().await.is_some() {}
}

pub(super) struct Drain {
    pub(super) client: Client,
    pub(super) name: String,
    /// Another namespace may get the name when this one is finalized by force.
    pub(super) uid: String,
    pub(super) kinds: watch::Receiver<Arc<Vec<Arc<Kind>>>>,
    pub(super) removals: broadcast::Receiver<String>,
}

impl Drain {
    async fn run(mut self) {
        // Nothing is known of the content before the kinds are.
        if self.kinds.wait_for(|kinds| !kinds.is_empty()).await.is_err() {
            return;
        }
        let mut delay = Duration::from_millis(50);
        loop {
            match self.round().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, namespace = %self.name, "a namespace could not be emptied; it is tried again"),
            }
            let name = self.name.clone();
            let removals = &mut self.removals;
            let something_went = async {
                loop {
                    match removals.recv().await {
                        Ok(namespace) if namespace != name => {}
                        // Some were missed: ours may have been among them.
                        Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                        Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                    }
                }
            };
            if tokio::time::timeout(delay, something_went).await.is_err() {
                delay = (delay * 2).min(LONGEST_DELAY);
            }
            // What went with it needs no round of its own.
            self.removals = self.removals.resubscribe();
        }
    }

    /// Deletes what there is; `true` when the namespace is through.
    pub(super) async fn round(&self) -> Result<bool, Error> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let Some(namespace) = self.ours(&namespaces).await? else { return Ok(true) };
        let kinds = Arc::clone(&self.kinds.borrow());
        let mut remaining = Remaining::default();
        for kind in kinds.iter().filter(|kind| kind.namespaced && kind.can("list") && kind.can("delete")) {
            if let Err(error) = self.empty(kind, &mut remaining).await {
                remaining.failures.push(format!("{}: {error}", kind.title()));
            }
        }
        self.report(&namespaces, &namespace, &remaining).await?;
        if !remaining.objects.is_empty() || !remaining.failures.is_empty() {
            return Ok(false);
        }
        self.finalize(&namespaces).await?;
        Ok(true)
    }

    /// The namespace, as long as it is the one that is being deleted.
    async fn ours(&self, api: &Api<Namespace>) -> Result<Option<Namespace>, Error> {
        let found = api.get_opt(&self.name).await?;
        Ok(found.filter(|found| found.uid().as_ref() == Some(&self.uid) && found.metadata.deletion_timestamp.is_some()))
    }

    pub(super) async fn empty(&self, kind: &Kind, remaining: &mut Remaining) -> Result<(), Error> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.name, &kind.resource());
        let present = api.list_metadata(&ListParams::default()).await?.items;
        if present.iter().any(|object| object.metadata.deletion_timestamp.is_none()) {
            // Asked for after the list: then what was listed was in this namespace and not in its successor.
            if self.ours(&Api::all(self.client.clone())).await?.is_none() {
                return Ok(());
            }
            let mut deletions: Vec<BoxFuture<'static, Result<(), Error>>> = Vec::new();
            for object in present.iter().filter(|object| object.metadata.deletion_timestamp.is_none()) {
                deletions.push(Box::pin(delete(api.clone(), object.name_any(), object.uid())));
            }
            let mut running = futures::stream::iter(deletions).buffer_unordered(AT_ONCE);
            while let Some(result) = running.next().await {
                result?;
            }
        }
        if present.is_empty() {
            return Ok(());
        }
        let left = api.list_metadata(&ListParams::default()).await?.items;
        if !left.is_empty() {
            remaining.objects.insert(kind.title(), left.len());
        }
        for finalizer in left.iter().flat_map(|object| object.finalizers()) {
            *remaining.finalizers.entry(finalizer.clone()).or_default() += 1;
        }
        Ok(())
    }

    async fn report(&self, api: &Api<Namespace>, namespace: &Namespace, remaining: &Remaining) -> Result<(), Error> {
        let before = serde_json::to_value(namespace.status.as_ref().and_then(|status| status.conditions.as_ref())).unwrap_or_default();
        let after = conditions(remaining, &before, Timestamp::now());
        // An empty namespace is gone in a moment: nothing is said about one that never had content.
        if after == before || before.is_null() && remaining.objects.is_empty() && remaining.failures.is_empty() {
            return Ok(());
        }
        let patch = json!({"metadata": {"uid": namespace.uid()}, "status": {"conditions": after}});
        match api.patch_status(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Err(Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(drop),
        }
    }

    async fn finalize(&self, api: &Api<Namespace>) -> Result<(), Error> {
        let Some(mut namespace) = self.ours(api).await? else { return Ok(()) };
        if let Some(finalizers) = namespace.spec.as_mut().and_then(|spec| spec.finalizers.as_mut()) {
            finalizers.retain(|name| name != OURS);
        }
        let body = serde_json::to_vec(&namespace).map_err(Error::SerdeError)?;
        let request =
            http::Request::put(format!("/api/v1/namespaces/{}/finalize", self.name)).header(http::header::CONTENT_TYPE, "application/json");
        let request = request.body(body).map_err(Error::HttpError)?;
        match self.client.request::<Value>(request).await {
            Err(Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(drop),
        }
    }
}

/// Deletes the very object that was listed. One that is gone, or whose name another one has, is seen by the next round.
async fn delete(api: Api<DynamicObject>, name: String, uid: Option<String>) -> Result<(), Error> {
    let preconditions = Preconditions { uid, resource_version: None };
    let how = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
    match api.delete(&name, &how).await {
        Err(Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        other => other.map(drop),
    }
}

/// The conditions of a namespace that goes, in Kubernetes' words. Times stay where a condition did not change.
pub fn conditions(remaining: &Remaining, before: &Value, now: Timestamp) -> Value {
    let list = |counts: &BTreeMap<String, usize>, each: &dyn Fn(&str, usize) -> String| {
        counts.iter().map(|(name, count)| each(name, *count)).collect::<Vec<_>>().join(", ")
    };
    let objects = list(&remaining.objects, &|name, count| format!("{name}. has {count} resource instances"));
    let finalizers = list(&remaining.finalizers, &|name, count| format!("{name} in {count} resource instances"));
    let failures = remaining.failures.join("; ");
    let rows = [
        ("NamespaceDeletionDiscoveryFailure", "", "", "ResourcesDiscovered", "All resources successfully discovered"),
        ("NamespaceDeletionGroupVersionParsingFailure", "", "", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
        (
            "NamespaceDeletionContentFailure",
            failures.as_str(),
            "ContentDeletionFailed",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        ("NamespaceContentRemaining", objects.as_str(), "SomeResourcesRemain", "ContentRemoved", "All content successfully removed"),
        (
            "NamespaceFinalizersRemaining",
            finalizers.as_str(),
            "SomeFinalizersRemain",
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        ),
    ];
    let mut all: Vec<Value> = Vec::new();
    for (kind, trouble, bad, good, fine) in rows {
        let (status, reason, message) = match (trouble, kind) {
            ("", _) => ("False", good, fine.to_owned()),
            (_, "NamespaceContentRemaining") => ("True", bad, format!("Some resources are remaining: {trouble}")),
            (_, "NamespaceFinalizersRemaining") => {
                ("True", bad, format!("Some content in the namespace has finalizers remaining: {trouble}"))
            }
            _ => ("True", bad, format!("Failed to delete all resource types, {} remaining: {trouble}", remaining.failures.len())),
        };
        let same = before.as_array().into_iter().flatten().find(|other| other["type"] == kind && other["status"] == status);
        let since = same.and_then(|other| other["lastTransitionTime"].as_str()).map_or_else(|| format!("{now:.0}"), str::to_owned);
        all.push(json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since}));
    }
    Value::Array(all)
}
