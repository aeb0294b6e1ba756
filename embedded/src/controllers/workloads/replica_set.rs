//! Keeps as many pods as a ReplicaSet wants.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::core::Selector;
use kube::{Resource, ResourceExt};

use super::claim::Claimant;
use super::context::{Context, Trouble, is_ending, text, whole_seconds};
use super::pods::{self, Availability};
use super::telling::News;

/// Pods made or deleted in one go; the next look goes on.
const BURST: usize = 500;
/// Pods that ran to their end and are kept to be looked at; the oldest beyond go.
const KEPT: usize = 5;

/// What is to be done.
#[derive(Debug, Default, PartialEq)]
pub struct Plan<'a> {
    /// So many more pods.
    pub create: usize,
    /// These pods go.
    pub delete: Vec<&'a Pod>,
    /// These ended long ago and are only in the way.
    pub clear: Vec<&'a Pod>,
}

/// Plans for the pods that the set controls.
pub fn plan<'a>(set: &ReplicaSet, owned: &'a [Pod]) -> Plan<'a> {
    if set.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    let wanted = usize::try_from(replicas(set)).unwrap_or(0);
    let mut active: Vec<&Pod> = owned.iter().filter(|pod| pods::is_active(pod)).collect();
    let mut ended: Vec<&Pod> = owned.iter().filter(|pod| pods::is_terminal(pod) && !pods::is_deleting(pod)).collect();
    ended.sort_by_key(|pod| std::cmp::Reverse(pods::finished_at(pod).or(pod.metadata.creation_timestamp.as_ref().map(|time| time.0))));
    active.sort_by(|one, other| pods::removal_order(one, other));
    let surplus = active.len().saturating_sub(wanted).min(BURST);
    active.truncate(surplus);
    let create = wanted.saturating_sub(owned.iter().filter(|pod| pods::is_active(pod)).count()).min(BURST);
    Plan { create, delete: active, clear: ended.split_off(KEPT.min(ended.len())) }
}

/// Replicas wanted.
pub fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.replicas.unwrap_or(1)
}

/// The status for the pods that the set controls, and when it changes although nothing happens. `failure`: why pods could not be made or deleted.
pub fn status(set: &ReplicaSet, owned: &[Pod], failure: Option<(&str, String)>, now: Timestamp) -> (ReplicaSetStatus, Option<Duration>) {
    let minimum = set.spec.min_ready_seconds.unwrap_or(0);
    let template = set.spec.template.as_ref().and_then(|template| template.metadata.as_ref()?.labels.clone()).unwrap_or_default();
    let active: Vec<&Pod> = owned.iter().filter(|pod| pods::is_active(pod)).collect();
    let some = |count: usize| i32::try_from(count).ok().filter(|count| *count != 0);
    let availability: Vec<Availability> = active.iter().map(|pod| pods::availability(pod, minimum, now)).collect();
    let labeled = |pod: &&&Pod| template.iter().all(|(key, value)| pod.labels().get(key) == Some(value));
    let terminating = owned.iter().filter(|pod| pods::is_deleting(pod) && !pods::is_terminal(pod)).count();
    let soonest = availability.iter().filter_map(|one| if let Availability::Within(wait) = one { Some(*wait) } else { None }).min();
    let status = ReplicaSetStatus {
        replicas: some(active.len()).unwrap_or(0),
        fully_labeled_replicas: some(active.iter().filter(labeled).count()),
        ready_replicas: some(active.iter().filter(|pod| pods::is_ready(pod)).count()),
        available_replicas: some(availability.iter().filter(|one| **one == Availability::Available).count()),
        terminating_replicas: Some(some(terminating).unwrap_or(0)),
        observed_generation: set.metadata.generation,
        conditions: conditions(set, failure, now),
    };
    (status, soonest)
}

fn conditions(set: &ReplicaSet, failure: Option<(&str, String)>, now: Timestamp) -> Option<Vec<ReplicaSetCondition>> {
    let before: &[ReplicaSetCondition] = set.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let (mut all, was): (Vec<_>, Vec<_>) =
        before.iter().cloned().partition(|condition| condition.type_.as_deref() != Some("ReplicaFailure"));
    if let Some((reason, message)) = failure {
        let same = was.into_iter().find(|condition| condition.reason.as_deref() == Some(reason));
        all.push(same.unwrap_or_else(|| ReplicaSetCondition {
            type_: Some("ReplicaFailure".to_owned()),
            status: Some("True".to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_transition_time: Some(whole_seconds(now)),
        }));
    }
    (!all.is_empty()).then_some(all)
}

/// Brings a ReplicaSet a step further; returns when to look again although nothing happens.
///
/// # Errors
/// What the server says.
pub async fn reconcile(context: &Context, namespace: &str, name: &str) -> Result<Option<Duration>, Trouble> {
    let sets: Api<ReplicaSet> = context.api(namespace);
    let found = sets.get_opt(name).await.map_err(|source| Trouble::new("read the ReplicaSet", source))?;
    let Some(set) = found else { return Ok(None) };
    let (Some(reference), Some(selector)) = (set.controller_owner_ref(&()), selector_of(&set)) else { return Ok(None) };
    let deleting = set.metadata.deletion_timestamp.is_some();
    let claimant = Claimant { reference: reference.clone(), selector, deleting, finalizer: None };
    let pods: Api<Pod> = context.api(namespace);
    let owned = claimant.claim(&pods, candidates(context, &pods, &claimant).await?, pods::is_active).await?;
    let plan = plan(&set, &owned);
    let mut failure = None;
    let mut trouble = None;
    if plan.create > 0
        && let Some(template) = &set.spec.template
        && let (_, Some(error)) = context.create_pods(&set, &pods::of_template(template, reference), plan.create).await
        && !is_ending(&error)
    {
        context.tell(&set, News::warning("FailedCreate", format!("Error creating: {}", text(&error)))).await;
        failure = Some(("FailedCreate", text(&error)));
        trouble = Some(Trouble::new("create pods", error));
    }
    if let Err(error) = context.delete_pods(&set, &plan.delete).await {
        failure = Some(("FailedDelete", error.to_string()));
        trouble = Some(error);
    }
    context.delete_pods(&set, &plan.clear).await?;
    let (status, again) = status(&set, &owned, failure, Timestamp::now());
    context.write_status(&sets, &set, &set.status.clone().unwrap_or_default(), &status).await?;
    trouble.map_or(Ok(again), Err)
}

fn selector_of(set: &ReplicaSet) -> Option<Selector> {
    Selector::try_from(set.spec.selector.clone()).ok()
}

/// What the claimant selects, and what it controls and does not select any more.
///
/// # Errors
/// What the server says.
pub async fn candidates(context: &Context, pods: &Api<Pod>, claimant: &Claimant) -> Result<Vec<Pod>, Trouble> {
    let listed = pods.list(&ListParams::default().labels_from(&claimant.selector)).await;
    let mut all = listed.map_err(|source| Trouble::new("list pods", source))?.items;
    let strays = context.index().strays(&claimant.reference.uid, &claimant.selector);
    for name in strays {
        let found = pods.get_opt(&name).await.map_err(|source| Trouble::new("read a pod", source))?;
        all.extend(found.filter(|found| !all.iter().any(|known| known.uid() == found.uid())));
    }
    Ok(all)
}
