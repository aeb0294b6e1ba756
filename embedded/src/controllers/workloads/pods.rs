//! Pods as those who own them see them. Pure.

use std::cmp::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// How dear a pod is when one has to go; the cheaper go first.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Whether a pod counts as available: ready for long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// It does.
    Available,
    /// It does after this time, if it stays ready.
    Within(Duration),
    /// It is not ready.
    Unready,
}

/// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

/// It ran to its end, well or not.
pub fn is_terminal(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// It is being deleted.
pub fn is_deleting(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// It runs or will run.
pub fn is_active(pod: &Pod) -> bool {
    !is_terminal(pod) && !is_deleting(pod)
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind && condition.status == "True")
}

/// It takes traffic.
pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some()
}

fn ready_since(pod: &Pod) -> Option<Timestamp> {
    condition(pod, "Ready")?.last_transition_time.as_ref().map(|time| time.0)
}

/// Whether it was ready for `minimum` seconds.
pub fn availability(pod: &Pod, minimum: i32, now: Timestamp) -> Availability {
    if !is_ready(pod) {
        return Availability::Unready;
    }
    let Ok(minimum) = u64::try_from(minimum) else { return Availability::Available };
    let (minimum, Some(since)) = (Duration::from_secs(minimum), ready_since(pod)) else {
        return if minimum == 0 { Availability::Available } else { Availability::Unready };
    };
    let ready_for = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    match minimum.checked_sub(ready_for) {
        None | Some(Duration::ZERO) => Availability::Available,
        Some(left) => Availability::Within(left),
    }
}

/// Restarts of its containers.
pub fn restarts(pod: &Pod) -> i64 {
    let Some(status) = &pod.status else { return 0 };
    let all = [&status.container_statuses, &status.init_container_statuses];
    all.into_iter().flatten().flatten().map(|container| i64::from(container.restart_count)).sum()
}

/// When its last container ended.
pub fn finished_at(pod: &Pod) -> Option<Timestamp> {
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
    let ends = containers.iter().filter_map(|container| container.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref());
    ends.map(|time| time.0).max()
}

/// Which of two pods goes first when there are too many: the one not assigned, not running, not ready, cheaper, ready for a shorter time,
/// restarted more often, younger.
pub fn removal_order(one: &Pod, other: &Pod) -> Ordering {
    let assigned = |pod: &Pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let progress = |pod: &Pod| match phase(pod) {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    let created = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    assigned(one)
        .cmp(&assigned(other))
        .then_with(|| progress(one).cmp(&progress(other)))
        .then_with(|| is_ready(one).cmp(&is_ready(other)))
        .then_with(|| cost(one).cmp(&cost(other)))
        // The later ones first.
        .then_with(|| ready_since(other).cmp(&ready_since(one)))
        .then_with(|| restarts(other).cmp(&restarts(one)))
        .then_with(|| created(other).cmp(&created(one)))
        .then_with(|| one.metadata.name.cmp(&other.metadata.name))
}

fn cost(pod: &Pod) -> i32 {
    let cost = pod.metadata.annotations.as_ref().and_then(|all| all.get(DELETION_COST));
    cost.and_then(|cost| cost.parse().ok()).unwrap_or(0)
}

/// A pod made of a template. The server completes its name.
pub fn of_template(template: &PodTemplateSpec, owner: OwnerReference) -> Pod {
    let own = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", owner.name)),
            labels: own.labels,
            annotations: own.annotations,
            finalizers: own.finalizers,
            owner_references: Some(vec![OwnerReference { block_owner_deletion: Some(true), ..owner }]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}
