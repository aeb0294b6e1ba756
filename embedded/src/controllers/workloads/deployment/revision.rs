//! The ReplicaSets of a Deployment as its history: which is the present one, which number each has, and how a new one looks. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt;

use super::amounts::{Bounds, DESIRED, MAX, size_of_new};
use crate::controllers::workloads::replica_set::replicas as replicas_of;
use crate::naming;

/// The number of a revision.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// Numbers a set had before it became the present one again.
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// Tells the pods of one template from those of another.
pub const HASH: &str = "pod-template-hash";
/// Annotations of a Deployment that its sets do not get.
const OWN: [&str; 6] =
    ["kubectl.kubernetes.io/last-applied-configuration", REVISION, HISTORY, DESIRED, MAX, "deprecated.daemonset.template.generation"];
/// Length of the history kept at a set.
const LONGEST_HISTORY: usize = 2000;

/// When a set was made; names break ties.
pub fn created(set: &ReplicaSet) -> (Option<Timestamp>, String) {
    (set.metadata.creation_timestamp.as_ref().map(|time| time.0), set.name_any())
}

/// A number in an annotation.
pub fn annotation_number(set: &ReplicaSet, key: &str) -> Option<i32> {
    set.annotations().get(key)?.parse().ok()
}

/// The revision of a set; 0 where it has none.
pub fn revision(set: &ReplicaSet) -> i64 {
    set.annotations().get(REVISION).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The oldest set with the Deployment's template, and all others.
pub fn divide<'a>(deployment: &Deployment, sets: &'a [ReplicaSet]) -> (Option<&'a ReplicaSet>, Vec<&'a ReplicaSet>) {
    let wanted = Some(plain(&deployment.spec.template));
    let same = |set: &&ReplicaSet| set.spec.template.as_ref().map(plain) == wanted;
    let new = sets.iter().filter(same).min_by_key(|set| created(set));
    (new, sets.iter().filter(|set| new.is_none_or(|new| new.uid() != set.uid())).collect())
}

/// A template without the label its set adds.
fn plain(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    if let Some(labels) = template.metadata.as_mut().and_then(|metadata| metadata.labels.as_mut()) {
        labels.remove(HASH);
    }
    let metadata = template.metadata.get_or_insert_default();
    if metadata.labels.as_ref().is_some_and(BTreeMap::is_empty) {
        metadata.labels = None;
    }
    template
}

/// The hash of a template: the same after a restart, another one after each collision.
pub fn hash(template: &PodTemplateSpec, collisions: i32) -> String {
    let text = serde_json::to_string(&plain(template)).unwrap_or_default();
    let bytes = text.bytes().chain(if collisions > 0 { collisions.to_string() } else { String::new() }.into_bytes());
    naming::hash32(bytes).to_string().bytes().map(|digit| naming::letter(digit.into())).collect()
}

/// Annotations a set gets from its Deployment beside those it has, with the revision where it is higher than before.
pub fn annotations(deployment: &Deployment, before: &BTreeMap<String, String>, number: i64) -> BTreeMap<String, String> {
    let mut all = before.clone();
    let from_above = deployment.annotations().iter().filter(|(key, _)| !OWN.contains(&key.as_str()));
    all.extend(from_above.map(|(key, value)| (key.clone(), value.clone())));
    let was = before.get(REVISION).and_then(|number| number.parse::<i64>().ok());
    if was.unwrap_or(0) < number {
        all.insert(REVISION.to_owned(), number.to_string());
        if let Some(was) = was {
            let mut history =
                before.get(HISTORY).filter(|history| !history.is_empty()).map_or_else(String::new, |history| format!("{history},"));
            history += &was.to_string();
            while history.len() > LONGEST_HISTORY
                && let Some(comma) = history.find(',')
            {
                history.drain(..=comma);
            }
            all.insert(HISTORY.to_owned(), history);
        }
    }
    all
}

/// The annotations that say for which size of the Deployment a set was scaled.
pub fn sized(bounds: &Bounds) -> [(String, String); 2] {
    [(DESIRED.to_owned(), bounds.replicas.to_string()), (MAX.to_owned(), bounds.most().to_string())]
}

/// The set of a template that has none yet.
pub fn new_set(deployment: &Deployment, owner: OwnerReference, old: &[&ReplicaSet]) -> ReplicaSet {
    let spec = &deployment.spec;
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
    let hash = hash(&spec.template, collisions);
    let mut template = spec.template.clone();
    template.metadata.get_or_insert_default().labels.get_or_insert_default().insert(HASH.to_owned(), hash.clone());
    let mut selector = spec.selector.clone();
    selector.match_labels.get_or_insert_default().insert(HASH.to_owned(), hash.clone());
    let bounds = Bounds::of(deployment);
    let mut annotations = annotations(deployment, &BTreeMap::new(), next_number(old));
    annotations.extend(sized(&bounds));
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", deployment.name_any())),
            namespace: deployment.namespace(),
            labels: template.metadata.as_ref().and_then(|metadata| metadata.labels.clone()),
            annotations: Some(annotations),
            owner_references: Some(vec![OwnerReference { block_owner_deletion: Some(true), ..owner }]),
            ..ObjectMeta::default()
        },
        spec: ReplicaSetSpec {
            replicas: Some(size_of_new(&bounds, 0, old)),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        },
        status: None,
    }
}

/// One more than the highest of the others.
pub fn next_number(old: &[&ReplicaSet]) -> i64 {
    old.iter().map(|set| revision(set)).max().unwrap_or(0).saturating_add(1)
}

/// Sets beyond the number of revisions to be kept, oldest first, that have no pods and whose status says so of their present state.
pub fn superfluous<'a>(deployment: &Deployment, old: &[&'a ReplicaSet]) -> Vec<&'a ReplicaSet> {
    let limit = deployment.spec.revision_history_limit.unwrap_or(10);
    let mut kept: Vec<&ReplicaSet> = old.iter().copied().filter(|set| set.metadata.deletion_timestamp.is_none()).collect();
    kept.sort_by_key(|set| (revision(set), created(set)));
    let excess = kept.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    kept.truncate(excess);
    let empty = |set: &&ReplicaSet| {
        let status = set.status.as_ref();
        let seen = status.and_then(|status| status.observed_generation) >= set.metadata.generation;
        seen && replicas_of(set) == 0 && status.is_none_or(|status| status.replicas == 0)
    };
    kept.retain(empty);
    kept
}
