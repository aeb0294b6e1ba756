//! Which pods of a Job have ended well or badly. Pure.
//!
//! Each pod is counted once, whatever happens in between: it carries a finalizer until it is written down in the Job's status. A pod that ends is
//! first named in `uncountedTerminatedPods`, then loses the finalizer, and only then becomes part of the numbers. A crash after any of the
//! three writes leaves a state from which the next look goes on.

use k8s_openapi::api::batch::v1::{Job, JobStatus, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::controllers::workloads::pods;

/// The finalizer of pods that are not counted yet.
pub const TRACKING: &str = "batch.kubernetes.io/job-tracking";

/// The state of the count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// Counted for good.
    pub succeeded: i32,
    /// Counted for good.
    pub failed: i32,
    /// Uids of pods that ended well and may still carry the finalizer.
    pub new_succeeded: Vec<String>,
    /// Uids of pods that ended badly and may still carry the finalizer.
    pub new_failed: Vec<String>,
}

/// Whether a pod still carries the finalizer.
pub fn is_tracked(pod: &Pod) -> bool {
    pod.finalizers().iter().any(|finalizer| finalizer == TRACKING)
}

/// Pods that end are replaced only when they have, not when they begin to.
pub fn replaces_ended_only(job: &Job) -> bool {
    job.spec.as_ref().and_then(|spec| spec.pod_replacement_policy.as_deref()) == Some("Failed")
}

/// A pod that failed, or that someone takes away before it succeeded.
fn has_failed(job: &Job, pod: &Pod) -> bool {
    match pods::phase(pod) {
        "Failed" => true,
        "Succeeded" => false,
        // One that was given no more time has ended, though nobody could say how.
        _ => pods::is_deleting(pod) && (!replaces_ended_only(job) || pod.metadata.deletion_grace_period_seconds == Some(0)),
    }
}

impl Count {
    /// Goes on from what is written down. `failing`: the Job has failed, so that every pod that is taken away counts as failed.
    pub fn of(job: &Job, owned: &[Pod], failing: bool) -> Self {
        let status = job.status.clone().unwrap_or_default();
        let written = status.uncounted_terminated_pods.unwrap_or_default();
        let waits = |uid: &String| owned.iter().any(|pod| pod.uid().as_ref() == Some(uid) && is_tracked(pod));
        let (new_succeeded, done): (Vec<_>, Vec<_>) = written.succeeded.unwrap_or_default().into_iter().partition(waits);
        let (new_failed, lost): (Vec<_>, Vec<_>) = written.failed.unwrap_or_default().into_iter().partition(waits);
        let plus = |number: Option<i32>, more: usize| number.unwrap_or(0).saturating_add(i32::try_from(more).unwrap_or(i32::MAX));
        let mut count =
            Self { succeeded: plus(status.succeeded, done.len()), failed: plus(status.failed, lost.len()), new_succeeded, new_failed };
        for pod in owned.iter().filter(|pod| is_tracked(pod)) {
            let Some(uid) = pod.uid().filter(|uid| !count.new_succeeded.contains(uid) && !count.new_failed.contains(uid)) else { continue };
            if pods::phase(pod) == "Succeeded" {
                count.new_succeeded.push(uid);
            } else if has_failed(job, pod) || failing && pods::is_deleting(pod) {
                count.new_failed.push(uid);
            }
        }
        count
    }

    /// All that ended well.
    pub fn succeeded(&self) -> i32 {
        self.succeeded.saturating_add(i32::try_from(self.new_succeeded.len()).unwrap_or(i32::MAX))
    }

    /// All that ended badly.
    pub fn failed(&self) -> i32 {
        self.failed.saturating_add(i32::try_from(self.new_failed.len()).unwrap_or(i32::MAX))
    }

    /// Nothing is on its way into the numbers.
    pub fn is_settled(&self) -> bool {
        self.new_succeeded.is_empty() && self.new_failed.is_empty()
    }

    /// Whether a pod may lose its finalizer as soon as this count is written down.
    pub fn names(&self, pod: &Pod) -> bool {
        pod.uid().is_some_and(|uid| self.new_succeeded.contains(&uid) || self.new_failed.contains(&uid))
    }

    /// Writes it down.
    pub fn write(&self, status: &mut JobStatus) {
        let some = |number: i32| Some(number).filter(|number| *number > 0);
        let list = |uids: &[String]| Some(uids.to_vec()).filter(|uids| !uids.is_empty());
        status.succeeded = some(self.succeeded);
        status.failed = some(self.failed);
        let (succeeded, failed) = (list(&self.new_succeeded), list(&self.new_failed));
        status.uncounted_terminated_pods = Some(UncountedTerminatedPods { failed, succeeded });
    }
}
