//! Which workloads are to be looked at when an object changes. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use kube::api::{DynamicObject, ObjectMeta};
use kube::core::{Selector, SelectorExt};

use super::claim::controller_of;
use super::queue::{Key, Kind};

/// The label by which a pod names its Job, also after the Job is gone.
pub const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// What is kept of an object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entry {
    /// Nothing for pods.
    pub kind: Option<Kind>,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The controlling owner, if it is one of the kinds here, and its uid.
    pub controller: Option<(Key, String)>,
    /// It has a controlling owner of any kind.
    pub controlled: bool,
    /// What it selects.
    pub selector: Option<Selector>,
}

impl Entry {
    /// A pod, by its metadata.
    pub fn of_pod(metadata: &ObjectMeta) -> Self {
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let owner = controller_of(metadata);
        let kind = owner.and_then(|owner| match (owner.api_version.as_str(), owner.kind.as_str()) {
            ("apps/v1", "Deployment") => Some(Kind::Deployment),
            ("apps/v1", "ReplicaSet") => Some(Kind::ReplicaSet),
            ("batch/v1", "Job") => Some(Kind::Job),
            _ => None,
        });
        let controller = owner.zip(kind).map(|(owner, kind)| {
            let key = Key { kind, namespace: namespace.clone(), name: owner.name.clone() };
            (key, owner.uid.clone())
        });
        Self {
            kind: None,
            name: metadata.name.clone().unwrap_or_default(),
            labels: metadata.labels.clone().unwrap_or_default(),
            controlled: owner.is_some(),
            controller,
            selector: None,
            namespace,
        }
    }

    /// A workload.
    pub fn of_workload(kind: Kind, object: &DynamicObject) -> Self {
        let selector: Option<LabelSelector> =
            object.data.pointer("/spec/selector").and_then(|selector| serde_json::from_value(selector.clone()).ok());
        Self {
            kind: Some(kind),
            selector: selector.and_then(|selector| Selector::try_from(selector).ok()),
            ..Self::of_pod(&object.metadata)
        }
    }

    fn key(&self) -> Option<Key> {
        Some(Key { kind: self.kind?, namespace: self.namespace.clone(), name: self.name.clone() })
    }
}

/// Pods and workloads by uid.
#[derive(Debug, Default)]
pub struct Index {
    entries: HashMap<String, Entry>,
    /// Uids of workloads by namespace.
    workloads: HashMap<String, HashSet<String>>,
}

impl Index {
    /// An object is there like this; returns what to look at.
    pub fn apply(&mut self, uid: String, entry: Entry) -> Vec<Key> {
        let mut look = self.touched_by(&entry);
        if entry.kind.is_some() {
            self.workloads.entry(entry.namespace.clone()).or_default().insert(uid.clone());
        }
        let before = self.entries.insert(uid, entry.clone());
        // What it belonged to, and what selected it, before its labels or its owner changed.
        if let Some(before) = before.filter(|before| *before != entry) {
            look.extend(self.touched_by(&before));
        }
        distinct(look)
    }

    /// An object is gone; returns what to look at.
    pub fn remove(&mut self, uid: &str) -> Vec<Key> {
        let Some(entry) = self.entries.remove(uid) else { return Vec::new() };
        if entry.kind.is_some()
            && let Some(all) = self.workloads.get_mut(&entry.namespace)
        {
            all.remove(uid);
            if all.is_empty() {
                self.workloads.remove(&entry.namespace);
            }
        }
        let mut look = self.touched_by(&entry);
        // A Deployment that replaces all pods at once waits until the old ones are gone.
        if entry.kind.is_none() {
            let owner = entry.controller.as_ref().and_then(|(_, uid)| self.entries.get(uid));
            look.extend(owner.and_then(|owner| owner.controller.as_ref()).map(|(key, _)| key.clone()));
        }
        distinct(look)
    }

    /// Uids that are known, of pods or of one kind of workload.
    pub fn known(&self, kind: Option<Kind>) -> Vec<String> {
        self.entries.iter().filter(|(_, entry)| entry.kind == kind).map(|(uid, _)| uid.clone()).collect()
    }

    /// Pods that a workload owns although it does not select them any more.
    pub fn strays(&self, owner: &str, selector: &Selector) -> Vec<String> {
        let owned = |entry: &&Entry| entry.kind.is_none() && entry.controller.as_ref().is_some_and(|(_, uid)| uid == owner);
        self.entries.values().filter(owned).filter(|entry| !selector.matches(&entry.labels)).map(|entry| entry.name.clone()).collect()
    }

    fn touched_by(&self, entry: &Entry) -> Vec<Key> {
        let mut look: Vec<Key> = entry.key().into_iter().collect();
        look.extend(entry.controller.as_ref().map(|(key, _)| key.clone()));
        let is_pod = entry.kind.is_none();
        if is_pod && let Some(job) = entry.labels.get(JOB_NAME) {
            look.push(Key { kind: Kind::Job, namespace: entry.namespace.clone(), name: job.clone() });
        }
        let others = self.workloads.get(&entry.namespace).into_iter().flatten().filter_map(|uid| self.entries.get(uid));
        for other in others {
            let may_select = match other.kind {
                Some(Kind::PodDisruptionBudget) => is_pod,
                Some(Kind::ReplicaSet | Kind::Job) => is_pod && !entry.controlled,
                Some(Kind::Deployment) => entry.kind == Some(Kind::ReplicaSet) && !entry.controlled,
                None => false,
            };
            if may_select && other.selector.as_ref().is_some_and(|selector| selector.matches(&entry.labels)) {
                look.extend(other.key());
            }
        }
        look
    }
}

fn distinct(mut keys: Vec<Key>) -> Vec<Key> {
    keys.sort();
    keys.dedup();
    keys
}

/// The uid of an object; empty where the server gave none, which does not happen.
pub fn uid_of(object: &impl ResourceExt) -> String {
    object.uid().unwrap_or_default()
}
