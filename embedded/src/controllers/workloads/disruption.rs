//! How many pods of a PodDisruptionBudget may be taken away.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use kube::core::Selector;

use super::claim::controller_of;
use super::context::{Context, Trouble, whole_seconds};
use super::deployment::amounts::{amount, saturated, sum};
use super::pods;

/// An evicted pod counts as gone for this long before it is; then whoever was to delete it has failed.
const EVICTION_BOUND: Duration = Duration::from_secs(120);

/// The status of a budget for the pods it selects, and when it changes although nothing happens. `scale`: pods that their controllers want together.
pub fn status(budget: &PodDisruptionBudget, pods: &[Pod], scale: i32, now: Timestamp) -> (PodDisruptionBudgetStatus, Option<Duration>) {
    let before = budget.status.clone().unwrap_or_default();
    let present = i32::try_from(pods.len()).unwrap_or(i32::MAX);
    let (expected, desired) = bounds(budget, present, scale);
    let (evicted, again) = still_evicted(&before, pods, now);
    let healthy = |pod: &&Pod| pods::is_ready(pod) && !pods::is_deleting(pod) && !evicted.contains_key(&pod.name_any());
    let current = i32::try_from(pods.iter().filter(healthy).count()).unwrap_or(i32::MAX);
    let allowed = if expected <= 0 { 0 } else { current.saturating_sub(desired).max(0) };
    let status = PodDisruptionBudgetStatus {
        conditions: Some(conditions(&before, allowed > 0, budget.metadata.generation, now)),
        current_healthy: Some(current),
        desired_healthy: Some(desired),
        disruptions_allowed: Some(allowed),
        expected_pods: Some(expected),
        disrupted_pods: (!evicted.is_empty()).then_some(evicted),
        observed_generation: budget.metadata.generation,
    };
    (status, again)
}

/// Pods that are expected, and how many of them must be healthy. Percentages are rounded up.
fn bounds(budget: &PodDisruptionBudget, present: i32, scale: i32) -> (i32, i32) {
    let spec = budget.spec.clone().unwrap_or_default();
    match (spec.max_unavailable, spec.min_available) {
        (Some(most), _) => (scale, scale.saturating_sub(amount(Some(&most), scale, true)).max(0)),
        (None, Some(IntOrString::Int(least))) => (present, least),
        (None, Some(least)) => (scale, amount(Some(&least), scale, true)),
        // What is not said is one.
        (None, None) => (present, 1),
    }
}

/// Pods that were evicted and are still on their way.
fn still_evicted(before: &PodDisruptionBudgetStatus, pods: &[Pod], now: Timestamp) -> (BTreeMap<String, Time>, Option<Duration>) {
    let mut again = None;
    let mut evicted = before.disrupted_pods.clone().unwrap_or_default();
    evicted.retain(|name, since| {
        let pod = pods.iter().find(|pod| pod.metadata.name.as_ref() == Some(name));
        let passed = Duration::try_from(now.duration_since(since.0)).unwrap_or_default();
        let left = EVICTION_BOUND.saturating_sub(passed);
        let waits = !left.is_zero() && pod.is_some_and(|pod| !pods::is_deleting(pod));
        if waits {
            again = Some(again.map_or(left, |other: Duration| other.min(left)));
        }
        waits
    });
    (evicted, again)
}

fn conditions(before: &PodDisruptionBudgetStatus, allowed: bool, generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
    let mut all = before.conditions.clone().unwrap_or_default();
    let (status, reason) = if allowed { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let known = all.iter().find(|condition| condition.type_ == "DisruptionAllowed" && condition.status == status);
    let since = known.map(|condition| condition.last_transition_time.clone());
    let condition = Condition {
        type_: "DisruptionAllowed".to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: String::new(),
        observed_generation: generation,
        last_transition_time: since.unwrap_or_else(|| whole_seconds(now)),
    };
    match all.iter_mut().find(|known| known.type_ == condition.type_) {
        Some(known) => *known = condition,
        None => all.push(condition),
    }
    all
}

/// Brings the status of a budget up to date; returns when to look again although nothing happens.
///
/// # Errors
/// What the server says.
pub async fn reconcile(context: &Context, namespace: &str, name: &str) -> Result<Option<Duration>, Trouble> {
    let budgets: Api<PodDisruptionBudget> = context.api(namespace);
    let found = budgets.get_opt(name).await.map_err(|source| Trouble::new("read the PodDisruptionBudget", source))?;
    let Some(budget) = found.filter(|budget| budget.metadata.deletion_timestamp.is_none()) else { return Ok(None) };
    // One without a selector selects nothing.
    let selector = budget.spec.as_ref().and_then(|spec| Selector::try_from(spec.selector.clone()?).ok());
    let pods = match selector {
        Some(selector) => {
            let pods: Api<Pod> = context.api(namespace);
            pods.list(&ListParams::default().labels_from(&selector)).await.map_err(|source| Trouble::new("list pods", source))?.items
        }
        None => Vec::new(),
    };
    let scale = scale(context, namespace, &pods).await?;
    let (status, again) = status(&budget, &pods, scale, Timestamp::now());
    context.write_status(&budgets, &budget, &budget.status.clone().unwrap_or_default(), &status).await?;
    Ok(again)
}

/// Pods that the controllers of these pods want together: of a Deployment rather than of its ReplicaSets.
async fn scale(context: &Context, namespace: &str, pods: &[Pod]) -> Result<i32, Trouble> {
    let mut wanted: BTreeMap<String, i32> = BTreeMap::new();
    let mut seen: Vec<&str> = Vec::new();
    for owner in pods.iter().filter_map(|pod| controller_of(&pod.metadata)) {
        if seen.contains(&owner.uid.as_str()) || owner.kind != "ReplicaSet" {
            continue;
        }
        seen.push(&owner.uid);
        let sets: Api<ReplicaSet> = context.api(namespace);
        let set = sets.get_opt(&owner.name).await.map_err(|source| Trouble::new("read a ReplicaSet", source))?;
        let Some(set) = set.filter(|set| set.uid().as_ref() == Some(&owner.uid)) else { continue };
        let above = controller_of(&set.metadata).filter(|owner| owner.kind == "Deployment");
        let deployment = match above {
            Some(above) => {
                let deployments: Api<Deployment> = context.api(namespace);
                let found = deployments.get_opt(&above.name).await.map_err(|source| Trouble::new("read a Deployment", source))?;
                found.filter(|found| found.uid().as_ref() == Some(&above.uid))
            }
            None => None,
        };
        let (uid, replicas) = match &deployment {
            Some(deployment) => (deployment.uid(), deployment.spec.replicas),
            None => (set.uid(), set.spec.replicas),
        };
        wanted.insert(uid.unwrap_or_default(), replicas.unwrap_or(1));
    }
    Ok(saturated(sum(wanted.into_values())))
}
