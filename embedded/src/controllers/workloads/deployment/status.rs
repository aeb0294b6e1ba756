//! The status of a Deployment. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet, ReplicaSetStatus};
use kube::ResourceExt;

use super::amounts::{Bounds, available, saturated, sum};
use super::plan::Plan;
use crate::controllers::workloads::context::whole_seconds;
use crate::controllers::workloads::replica_set::replicas as replicas_of;

/// The rollout is through.
const DONE: &str = "NewReplicaSetAvailable";
/// It stands still for too long.
const LATE: &str = "ProgressDeadlineExceeded";

/// What came of the writes of a plan, as far as the status tells it.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// Name of the set that was made.
    pub created: Option<String>,
    /// Why it could not be made.
    pub failed: Option<String>,
    /// Another set has the name that was chosen.
    pub collided: bool,
}

/// The status, and when it changes although nothing happens.
pub fn status(deployment: &Deployment, plan: &Plan<'_>, outcome: &Outcome, now: Timestamp) -> (DeploymentStatus, Option<Duration>) {
    let before = deployment.status.clone().unwrap_or_default();
    let mut status = numbers(deployment, plan, &before);
    if outcome.collided {
        status.collision_count = Some(before.collision_count.unwrap_or(0).saturating_add(1));
    }
    let bounds = Bounds::of(deployment);
    let mut conditions = Conditions { all: before.conditions.clone().unwrap_or_default(), now };
    let enough = status.available_replicas.unwrap_or(0) >= bounds.least();
    conditions.set(match enough {
        true => ("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.".to_owned()),
        false => ("Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.".to_owned()),
    });
    progress(deployment, plan, outcome, (&before, &status), &mut conditions);
    failure(plan, &mut conditions);
    let again = deadline_left(deployment, &conditions, now);
    status.conditions = (!conditions.all.is_empty()).then_some(conditions.all);
    (status, again)
}

fn numbers(deployment: &Deployment, plan: &Plan<'_>, before: &DeploymentStatus) -> DeploymentStatus {
    let all = || plan.new.into_iter().chain(plan.old.iter().copied());
    let seen = |set: &ReplicaSet| set.status.clone().unwrap_or_default();
    let some = |number: i32| Some(number).filter(|number| *number > 0);
    let total = |number: fn(ReplicaSetStatus) -> i32| saturated(sum(all().map(|set| number(seen(set)))));
    let (wanted, available) = (sum(all().map(replicas_of)), sum(all().map(available)));
    DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: some(total(|status| status.replicas)),
        updated_replicas: some(plan.new.map_or(0, |set| seen(set).replicas)),
        ready_replicas: some(total(|status| status.ready_replicas.unwrap_or(0))),
        available_replicas: some(saturated(available)),
        unavailable_replicas: some(saturated(wanted - available)),
        terminating_replicas: Some(total(|status| status.terminating_replicas.unwrap_or(0))),
        collision_count: before.collision_count,
        conditions: None,
    }
}

/// The condition `Progressing`, as long as there is a deadline.
fn progress(
    deployment: &Deployment,
    plan: &Plan<'_>,
    outcome: &Outcome,
    (before, after): (&DeploymentStatus, &DeploymentStatus),
    conditions: &mut Conditions,
) {
    let Some(deadline) = deadline(deployment) else {
        conditions.all.retain(|condition| condition.type_.as_deref() != Some("Progressing"));
        return;
    };
    if let Some(name) = &outcome.created {
        return conditions.renew(("Progressing", "True", "NewReplicaSetCreated", format!("Created new replica set \"{name}\"")));
    }
    if let Some(message) = &outcome.failed {
        return conditions.set(("Progressing", "False", "ReplicaSetCreateError", message.clone()));
    }
    let current = conditions.get("Progressing").cloned();
    let reason = current.as_ref().and_then(|condition| condition.reason.clone()).unwrap_or_default();
    if deployment.metadata.deletion_timestamp.is_some() {
        return;
    }
    if deployment.spec.paused == Some(true) {
        if reason != LATE {
            conditions.set(("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused".to_owned()));
        }
        return;
    }
    if reason == "DeploymentPaused" {
        return conditions.set(("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed".to_owned()));
    }
    let Some(new) = plan.new else { return };
    // A rollout that is through is not under way again because a pod was lost.
    let same = |one: Option<i32>, other: Option<i32>| one.unwrap_or(0) == other.unwrap_or(0);
    if same(after.replicas, after.updated_replicas) && reason == DONE {
        return;
    }
    let name = new.name_any();
    if is_complete(deployment, after) {
        conditions.set(("Progressing", "True", DONE, format!("ReplicaSet \"{name}\" has successfully progressed.")));
    } else if current.is_none() {
        conditions.set(("Progressing", "True", "FoundNewReplicaSet", format!("Found new replica set \"{name}\"")));
    } else if has_progressed(before, after) {
        conditions.renew(("Progressing", "True", "ReplicaSetUpdated", format!("ReplicaSet \"{name}\" is progressing.")));
    } else if reason != DONE && conditions.is_late(deadline) {
        conditions.set(("Progressing", "False", LATE, format!("ReplicaSet \"{name}\" has timed out progressing.")));
    }
}

/// Replicas wanted, updated and available are the same.
pub fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = Bounds::of(deployment).replicas;
    [status.updated_replicas, status.replicas, status.available_replicas].into_iter().all(|number| number.unwrap_or(0) == wanted)
}

fn has_progressed(before: &DeploymentStatus, after: &DeploymentStatus) -> bool {
    let number = |number: Option<i32>| i64::from(number.unwrap_or(0));
    let old = |status: &DeploymentStatus| number(status.replicas) - number(status.updated_replicas);
    number(after.updated_replicas) > number(before.updated_replicas)
        || old(after) < old(before)
        || number(after.ready_replicas) > number(before.ready_replicas)
        || number(after.available_replicas) > number(before.available_replicas)
}

/// Sets that cannot make their pods: the present one first.
fn failure(plan: &Plan<'_>, conditions: &mut Conditions) {
    let mut failures = plan.new.into_iter().chain(plan.old.iter().copied()).filter_map(|set| {
        let all = set.status.as_ref()?.conditions.as_ref()?;
        all.iter().find(|condition| condition.type_.as_deref() == Some("ReplicaFailure"))
    });
    match failures.next() {
        Some(failure) => conditions.set((
            "ReplicaFailure",
            failure.status.as_deref().unwrap_or("True"),
            failure.reason.as_deref().unwrap_or_default(),
            failure.message.clone().unwrap_or_default(),
        )),
        None => conditions.all.retain(|condition| condition.type_.as_deref() != Some("ReplicaFailure")),
    }
}

fn deadline(deployment: &Deployment) -> Option<Duration> {
    let seconds = deployment.spec.progress_deadline_seconds?;
    // The largest number stands for none.
    u64::try_from(seconds).ok().filter(|_| seconds != i32::MAX).map(Duration::from_secs)
}

/// How long a rollout that is under way may still stand still.
fn deadline_left(deployment: &Deployment, conditions: &Conditions, now: Timestamp) -> Option<Duration> {
    let paused = deployment.spec.paused == Some(true);
    let current = conditions.get("Progressing").filter(|_| !paused)?;
    if matches!(current.reason.as_deref(), Some(DONE | LATE)) {
        return None;
    }
    let since = current.last_update_time.as_ref()?.0;
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    Some(deadline(deployment)?.saturating_sub(passed) + Duration::from_secs(1))
}

/// The conditions on their way to the next status.
struct Conditions {
    all: Vec<DeploymentCondition>,
    now: Timestamp,
}

impl Conditions {
    fn get(&self, kind: &str) -> Option<&DeploymentCondition> {
        self.all.iter().find(|condition| condition.type_.as_deref() == Some(kind))
    }

    /// Sets a condition. With the same status and reason it stays as it is.
    fn set(&mut self, (kind, status, reason, message): (&str, &str, &str, String)) {
        let same =
            |condition: &DeploymentCondition| condition.status.as_deref() == Some(status) && condition.reason.as_deref() == Some(reason);
        if !self.get(kind).is_some_and(same) {
            self.renew((kind, status, reason, message));
        }
    }

    /// Sets a condition, updated now whatever it was.
    fn renew(&mut self, (kind, status, reason, message): (&str, &str, &str, String)) {
        let now = Some(whole_seconds(self.now));
        let before = self.get(kind).filter(|condition| condition.status.as_deref() == Some(status));
        let transition = before.map_or_else(|| now.clone(), |condition| condition.last_transition_time.clone());
        let condition = DeploymentCondition {
            type_: Some(kind.to_owned()),
            status: Some(status.to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_update_time: now,
            last_transition_time: transition,
        };
        match self.all.iter_mut().find(|known| known.type_ == condition.type_) {
            Some(known) => *known = condition,
            None => self.all.push(condition),
        }
    }

    fn is_late(&self, deadline: Duration) -> bool {
        let since = self.get("Progressing").and_then(|condition| condition.last_update_time.as_ref());
        since.is_some_and(|since| Duration::try_from(self.now.duration_since(since.0)).unwrap_or_default() >= deadline)
    }
}
