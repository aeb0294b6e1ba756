//! The controllers of workloads: pods by number, by rollout, until done.
//!
//! | module | what it does |
//! |---|---|
//! | [`index`] | which workloads are to be looked at when an object changes (pure) |
//! | [`queue`] | in which order, and when again |
//! | [`context`] | what they share: clients, Events, writing what differs |
//! | [`telling`] | Events |
//! | [`claim`] | adoption and release |
//! | [`pods`] | pods as their owners see them (pure) |
//! | [`replica_set`] | as many pods as wanted |
//! | [`deployment`] | from one pod template to the next |
//! | [`job`] | pods until enough of them have succeeded |
//! | [`disruption`] | how many pods may be taken away |
//!
//! Watches only say *that* something changed. Whoever decides reads the objects anew, so nothing is decided on an old view, nothing needs to be
//! remembered over a restart, and at rest nothing is written.

pub mod claim;
pub mod context;
pub mod deployment;
pub mod disruption;
pub mod index;
pub mod job;
pub mod pods;
pub mod queue;
pub mod replica_set;
pub mod telling;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered, SelectAll};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ApiResource, DynamicObject, PartialObjectMeta};
use kube::core::GroupVersionKind;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::delays::until;
use context::{Context, Trouble};
use index::{Entry, Index};
use queue::{Key, Kind, Queue};

/// Workloads brought further at the same time.
const AT_ONCE: usize = 8;

/// What a watch tells.
enum Change {
    Applied(String, Box<Entry>),
    Removed(String),
    /// A list begins.
    Init,
    /// A list is through.
    Listed,
}

/// A look at one object: when to look again, or what went wrong.
type Look = BoxFuture<'static, (Key, Result<Option<Duration>, Trouble>)>;
type Changes = BoxStream<'static, (Option<Kind>, Change)>;

/// Looks after workloads until shutdown.
pub async fn run(client: Client, shutdown: CancellationToken) {
    let index = Arc::new(Mutex::new(Index::default()));
    let context = |name: &'static str| Context::new(client.clone(), Arc::clone(&index), name);
    let controllers = Controllers {
        deployments: context("deployment-controller"),
        replica_sets: context("replicaset-controller"),
        jobs: context("job-controller"),
        budgets: context("controllermanager"),
    };
    let mut changes = watches(&client);
    let mut listing = Listing::default();
    let mut queue = Queue::default();
    let mut work: FuturesUnordered<Look> = FuturesUnordered::new();
    loop {
        // Before everything that is there is known, an orphan may look free that has an owner.
        while listing.is_complete()
            && work.len() < AT_ONCE
            && let Some(key) = queue.take()
        {
            work.push(Box::pin(controllers.clone().look_at(key)));
        }
        let due = queue.next_due();
        tokio::select! {
            // First of all: nothing that shutdown brings about may be acted upon.
            biased;
            () = shutdown.cancelled() => return,
            Some((kind, change)) = changes.next() => {
                let mut index = controllers.jobs.index();
                for key in listing.take(&mut index, kind, change) {
                    queue.add(key);
                }
            }
            Some((key, outcome)) = work.next() => finished(&mut queue, key, outcome),
            () = until(due) => queue.wake(Instant::now()),
        }
    }
}

fn finished(queue: &mut Queue, key: Key, outcome: Result<Option<Duration>, Trouble>) {
    let (Key { kind, namespace, name }, error) = (key.clone(), outcome.as_ref().err().map(|error| (error.is_stale(), error.to_string())));
    let delay = queue.done(key, outcome.map_err(drop), Instant::now());
    match error {
        None => {}
        Some((true, error)) => {
            tracing::debug!(error, ?kind, namespace, name, "a workload changed while it was looked at; it is looked at again")
        }
        Some((false, error)) => {
            tracing::warn!(error, ?kind, namespace, name, ?delay, "a workload could not be brought further; it is tried again")
        }
    }
}

/// Which lists are through, and what those under way have named so far.
#[derive(Default)]
struct Listing {
    complete: HashSet<Option<Kind>>,
    named: HashMap<Option<Kind>, HashSet<String>>,
}

impl Listing {
    fn is_complete(&self) -> bool {
        self.complete.len() == KINDS.len() + 1
    }

    /// Takes a change up into the index; returns what to look at.
    fn take(&mut self, index: &mut Index, kind: Option<Kind>, change: Change) -> Vec<Key> {
        match change {
            Change::Init => {
                self.named.insert(kind, HashSet::new());
                Vec::new()
            }
            Change::Applied(uid, entry) => {
                if let Some(named) = self.named.get_mut(&kind) {
                    named.insert(uid.clone());
                }
                index.apply(uid, *entry)
            }
            Change::Removed(uid) => index.remove(&uid),
            Change::Listed => {
                self.complete.insert(kind);
                let named = self.named.remove(&kind).unwrap_or_default();
                let missed: Vec<String> = index.known(kind).into_iter().filter(|uid| !named.contains(uid)).collect();
                missed.iter().flat_map(|uid| index.remove(uid)).collect()
            }
        }
    }
}

const KINDS: [(Kind, &str, &str, &str); 4] = [
    (Kind::Deployment, "apps", "Deployment", "deployments"),
    (Kind::ReplicaSet, "apps", "ReplicaSet", "replicasets"),
    (Kind::Job, "batch", "Job", "jobs"),
    (Kind::PodDisruptionBudget, "policy", "PodDisruptionBudget", "poddisruptionbudgets"),
];

/// Pods by their metadata, which changes with everything else of them; workloads for their selectors.
fn watches(client: &Client) -> SelectAll<Changes> {
    let mut all = SelectAll::new();
    let pods: Api<PartialObjectMeta<Pod>> = Api::all(client.clone());
    all.push(watched(None, pods, |pod| Entry::of_pod(&pod.metadata)));
    for (kind, group, name, plural) in KINDS {
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", name), plural);
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        all.push(watched(Some(kind), objects, move |object| Entry::of_workload(kind, object)));
    }
    all
}

fn watched<K>(kind: Option<Kind>, api: Api<K>, entry: impl Fn(&K) -> Entry + Send + 'static) -> Changes
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let stream = watcher::watcher(api, watcher::Config::default()).default_backoff();
    let changes = stream.filter_map(move |event| {
        let change = match event {
            Ok(Event::Init) => Some(Change::Init),
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                Some(Change::Applied(object.uid().unwrap_or_default(), Box::new(entry(&object))))
            }
            Ok(Event::Delete(object)) => Some(Change::Removed(object.uid().unwrap_or_default())),
            Ok(Event::InitDone) => Some(Change::Listed),
            Err(error) => {
                tracing::debug!(%error, ?kind, "a watch was interrupted; it is taken up again");
                None
            }
        };
        std::future::ready(change.map(|change| (kind, change)))
    });
    changes.boxed()
}

#[derive(Clone)]
struct Controllers {
    deployments: Context,
    replica_sets: Context,
    jobs: Context,
    budgets: Context,
}

impl Controllers {
    async fn look_at(self, key: Key) -> (Key, Result<Option<Duration>, Trouble>) {
        let (namespace, name) = (key.namespace.as_str(), key.name.as_str());
        let outcome = match key.kind {
            Kind::Deployment => deployment::reconcile(&self.deployments, namespace, name).await,
            Kind::ReplicaSet => replica_set::reconcile(&self.replica_sets, namespace, name).await,
            Kind::Job => job::reconcile(&self.jobs, namespace, name).await,
            Kind::PodDisruptionBudget => disruption::reconcile(&self.budgets, namespace, name).await,
        };
        (key, outcome)
    }
}
