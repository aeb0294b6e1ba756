//! What a Deployment does next with its ReplicaSets. Pure: what is seen goes in, what is to be done comes out.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::{Resource, ResourceExt};

use super::amounts::{self, Bounds, DESIRED, MAX, available, size_of_new};
use super::revision::{self, annotation_number, annotations, created, divide, next_number};
use crate::controllers::workloads::claim::controller_of;
use crate::controllers::workloads::pods;
use crate::controllers::workloads::replica_set::replicas as replicas_of;

/// One write to a ReplicaSet.
#[derive(Debug, Clone, PartialEq)]
pub enum Step<'a> {
    /// A set for a template that has none.
    Create(Box<ReplicaSet>),
    /// `minReadySeconds` and annotations, the revision's number among them, follow the Deployment.
    Follow(&'a ReplicaSet, BTreeMap<String, String>),
    /// Another size, with the annotations that tell what it was made for.
    Scale(&'a ReplicaSet, i32),
    /// A revision that is not kept any longer.
    Delete(&'a ReplicaSet),
}

/// What a Deployment looks like, and what is to be done.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The set of the present template.
    pub new: Option<&'a ReplicaSet>,
    /// All others.
    pub old: Vec<&'a ReplicaSet>,
    /// What is to be done.
    pub steps: Vec<Step<'a>>,
}

/// Plans. `pods`: those of all sets.
pub fn plan<'a>(deployment: &Deployment, sets: &'a [ReplicaSet], pods: &[Pod]) -> Plan<'a> {
    let (new, old) = divide(deployment, sets);
    let steps = if deployment.metadata.deletion_timestamp.is_some() { Vec::new() } else { steps(deployment, new, &old, pods) };
    Plan { new, old, steps }
}

fn steps<'a>(deployment: &Deployment, new: Option<&'a ReplicaSet>, old: &[&'a ReplicaSet], pods: &[Pod]) -> Vec<Step<'a>> {
    let bounds = Bounds::of(deployment);
    let paused = deployment.spec.paused == Some(true);
    let all: Vec<&ReplicaSet> = new.into_iter().chain(old.iter().copied()).collect();
    let other_size =
        |set: &&&ReplicaSet| replicas_of(set) > 0 && annotation_number(set, DESIRED).is_some_and(|number| number != bounds.replicas);
    if paused || all.iter().any(|set| other_size(&set)) {
        let mut steps = scale(deployment, &bounds, new, old);
        if paused && steps.is_empty() {
            steps.extend(revision::superfluous(deployment, old).into_iter().map(Step::Delete));
        }
        if paused || !steps.is_empty() {
            return steps;
        }
    }
    if let Some(new) = new.filter(|new| is_behind(deployment, new, old)) {
        return vec![Step::Follow(new, annotations(deployment, new.annotations(), next_number(old)))];
    }
    let steps = if bounds.recreate { recreate(deployment, new, old, pods) } else { roll(deployment, &bounds, new, old) };
    let finished = steps.is_empty() && new.is_some_and(|new| is_complete(&bounds, new, old));
    if finished { revision::superfluous(deployment, old).into_iter().map(Step::Delete).collect() } else { steps }
}

/// Whether the present set lacks something of its Deployment.
fn is_behind(deployment: &Deployment, new: &ReplicaSet, old: &[&ReplicaSet]) -> bool {
    let minimum = |value: Option<i32>| value.unwrap_or(0);
    let wanted = deployment.spec.min_ready_seconds;
    annotations(deployment, new.annotations(), next_number(old)) != *new.annotations()
        || minimum(new.spec.min_ready_seconds) != minimum(wanted)
}

fn create<'a>(deployment: &Deployment, old: &[&'a ReplicaSet]) -> Vec<Step<'a>> {
    let owner = deployment.controller_owner_ref(&());
    owner.map(|owner| Step::Create(Box::new(revision::new_set(deployment, owner, old)))).into_iter().collect()
}

fn roll<'a>(deployment: &Deployment, bounds: &Bounds, new: Option<&'a ReplicaSet>, old: &[&'a ReplicaSet]) -> Vec<Step<'a>> {
    let Some(new) = new else { return create(deployment, old) };
    let all: Vec<&ReplicaSet> = std::iter::once(new).chain(old.iter().copied()).collect();
    let current = replicas_of(new);
    let wanted = if current > bounds.replicas { bounds.replicas } else { size_of_new(bounds, current, &all) };
    if wanted != current {
        return vec![Step::Scale(new, wanted)];
    }
    amounts::shrink_old(bounds, new, old).into_iter().map(|(set, size)| Step::Scale(set, size)).collect()
}

fn recreate<'a>(deployment: &Deployment, new: Option<&'a ReplicaSet>, old: &[&'a ReplicaSet], pods: &[Pod]) -> Vec<Step<'a>> {
    let going: Vec<Step<'_>> = old.iter().filter(|set| replicas_of(set) > 0).map(|set| Step::Scale(set, 0)).collect();
    if !going.is_empty() {
        return going;
    }
    // Those that are still ending count: only then are there never two versions at once.
    let of_old =
        |pod: &&Pod| controller_of(&pod.metadata).is_some_and(|owner| new.is_none_or(|new| new.uid().as_ref() != Some(&owner.uid)));
    if pods.iter().filter(of_old).any(|pod| !pods::is_terminal(pod)) {
        return Vec::new();
    }
    let wanted = Bounds::of(deployment).replicas;
    match new {
        None => create(deployment, old),
        Some(new) if replicas_of(new) != wanted => vec![Step::Scale(new, wanted)],
        Some(_) => Vec::new(),
    }
}

/// The Deployment has another size than its sets were made for, or is paused: sizes change, templates do not.
fn scale<'a>(deployment: &Deployment, bounds: &Bounds, new: Option<&'a ReplicaSet>, old: &[&'a ReplicaSet]) -> Vec<Step<'a>> {
    let active: Vec<&ReplicaSet> = new.into_iter().chain(old.iter().copied()).filter(|set| replicas_of(set) > 0).collect();
    let only = match active[..] {
        [] => new.or_else(|| old.iter().copied().max_by_key(|set| created(set))),
        [only] => Some(only),
        _ => None,
    };
    if let Some(only) = only {
        return sized(bounds, vec![(only, bounds.replicas)]);
    }
    if let Some(new) = new.filter(|new| is_saturated(bounds, new)) {
        return active.into_iter().filter(|set| set.uid() != new.uid()).map(|set| Step::Scale(set, 0)).collect();
    }
    if bounds.recreate {
        return Vec::new();
    }
    let status_replicas = deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0);
    sized(bounds, amounts::proportions(bounds, status_replicas, &active))
}

/// Leaves out those that are as they should be, annotations included.
fn sized<'a>(bounds: &Bounds, sizes: Vec<(&'a ReplicaSet, i32)>) -> Vec<Step<'a>> {
    let told =
        |set: &ReplicaSet| annotation_number(set, DESIRED) == Some(bounds.replicas) && annotation_number(set, MAX) == Some(bounds.most());
    sizes.into_iter().filter(|(set, size)| replicas_of(set) != *size || !told(set)).map(|(set, size)| Step::Scale(set, size)).collect()
}

fn is_saturated(bounds: &Bounds, new: &ReplicaSet) -> bool {
    replicas_of(new) == bounds.replicas && annotation_number(new, DESIRED) == Some(bounds.replicas) && available(new) == bounds.replicas
}

/// Only the present set has pods, all of them available.
fn is_complete(bounds: &Bounds, new: &ReplicaSet, old: &[&ReplicaSet]) -> bool {
    let actual = |set: &ReplicaSet| set.status.as_ref().map_or(0, |status| status.replicas);
    actual(new) == bounds.replicas && available(new) == bounds.replicas && old.iter().all(|set| actual(set) == 0)
}
