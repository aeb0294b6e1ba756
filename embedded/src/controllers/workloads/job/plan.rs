//! What a Job does next. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;

use super::count::{Count, is_tracked, replaces_ended_only};
use crate::controllers::delays::doubled;
use crate::controllers::workloads::context::whole_seconds;
use crate::controllers::workloads::pods;
use crate::controllers::workloads::telling::News;

/// Before a pod is made in place of the first one that failed; doubled for each one after. Kubernetes begins at ten seconds; on one's own machine
/// nobody else is waiting for the place.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// Never longer than this.
const LONGEST_DELAY: Duration = Duration::from_secs(600);
/// Pods made in one go.
const BURST: i32 = 500;

/// Reason and message of a condition.
pub type Why = (&'static str, String);

/// What is to be done, in this order: the status is written, finalizers go, pods go, pods come.
#[derive(Debug, Default, PartialEq)]
pub struct Plan<'a> {
    /// What the status is to be.
    pub status: JobStatus,
    /// Pods that lose the finalizer once the status is written.
    pub free: Vec<&'a Pod>,
    /// Active pods of a Job that has ended; they are counted.
    pub end: Vec<&'a Pod>,
    /// Pods too many; they are not counted.
    pub dismiss: Vec<&'a Pod>,
    /// So many more pods.
    pub create: i32,
    /// The Job itself goes.
    pub expired: bool,
    /// When to look again although nothing happens.
    pub again: Option<Duration>,
    /// What is to be told.
    pub news: Vec<News>,
}

/// How a Job ends.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Success(Why),
    Failure(Why),
}

/// A condition that holds.
pub fn holding<'a>(job: &'a Job, kind: &str) -> Option<&'a JobCondition> {
    job.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind && condition.status == "True")
}

/// Plans for a Job and the pods it controls.
pub fn plan<'a>(job: &Job, owned: &'a [Pod], now: Timestamp) -> Plan<'a> {
    let (Some(spec), status) = (&job.spec, job.status.clone().unwrap_or_default()) else { return Plan::default() };
    let tracked = || owned.iter().filter(|pod| is_tracked(pod)).collect::<Vec<_>>();
    if job.metadata.deletion_timestamp.is_some() {
        return Plan { free: tracked(), status, ..Plan::default() };
    }
    if let Some(ended) = holding(job, "Complete").or_else(|| holding(job, "Failed")) {
        let left =
            spec.ttl_seconds_after_finished.map(|seconds| left_of(ended.last_transition_time.as_ref().map(|time| time.0), seconds, now));
        let expired = left == Some(Duration::ZERO);
        return Plan { free: tracked(), status, expired, again: left.filter(|_| !expired), ..Plan::default() };
    }
    Look::new(job, spec, owned, now).plan()
}

fn left_of(since: Option<Timestamp>, seconds: impl Into<i64>, now: Timestamp) -> Duration {
    let whole = Duration::from_secs(u64::try_from(seconds.into()).unwrap_or(0));
    let passed = since.map(|since| Duration::try_from(now.duration_since(since)).unwrap_or_default()).unwrap_or_default();
    whole.saturating_sub(passed)
}

struct Look<'j, 'a> {
    job: &'j Job,
    spec: &'j JobSpec,
    owned: &'a [Pod],
    now: Timestamp,
    active: Vec<&'a Pod>,
    terminating: usize,
    count: Count,
    plan: Plan<'a>,
}

impl<'j, 'a> Look<'j, 'a> {
    fn new(job: &'j Job, spec: &'j JobSpec, owned: &'a [Pod], now: Timestamp) -> Self {
        let mut active: Vec<&Pod> = owned.iter().filter(|pod| pods::is_active(pod)).collect();
        active.sort_by(|one, other| pods::removal_order(one, other));
        let terminating = owned.iter().filter(|pod| pods::is_deleting(pod) && !pods::is_terminal(pod)).count();
        let count = Count::of(job, owned, holding(job, "FailureTarget").is_some());
        let plan = Plan { status: job.status.clone().unwrap_or_default(), ..Plan::default() };
        Self { job, spec, owned, now, active, terminating, count, plan }
    }

    fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    fn plan(mut self) -> Plan<'a> {
        if self.plan.status.start_time.is_none() && !self.is_suspended() {
            self.plan.status.start_time = Some(whole_seconds(self.now));
        }
        match self.target() {
            Some(target) => self.end(target),
            None => {
                self.suspend_or_resume();
                self.keep_number();
            }
        }
        let some = |number: usize| i32::try_from(number).ok();
        let status = &mut self.plan.status;
        status.active = some(self.active.len()).filter(|number| *number > 0);
        status.ready = some(self.active.iter().filter(|pod| pods::is_ready(pod)).count());
        status.terminating = some(self.terminating);
        self.count.write(status);
        self.plan.free = self.owned.iter().filter(|pod| is_tracked(pod) && self.count.names(pod)).collect();
        self.plan
    }

    /// How the Job ends, if it does: as it was decided before, or as it turns out now.
    fn target(&mut self) -> Option<Target> {
        let why = |condition: &JobCondition, reasons: &[&'static str]| {
            let reason = reasons.iter().find(|reason| condition.reason.as_deref() == Some(**reason)).copied();
            (reason.unwrap_or("Unknown"), condition.message.clone().unwrap_or_default())
        };
        if let Some(condition) = holding(self.job, "FailureTarget") {
            return Some(Target::Failure(why(condition, &["BackoffLimitExceeded", "DeadlineExceeded", "NotSupported"])));
        }
        if let Some(condition) = holding(self.job, "SuccessCriteriaMet") {
            return Some(Target::Success(why(condition, &["CompletionsReached"])));
        }
        if let Some(what) = unsupported(self.spec) {
            return Some(Target::Failure(("NotSupported", format!("{what} is not served by this control plane; leave it out"))));
        }
        let limit = self.spec.backoff_limit.unwrap_or(6);
        if self.count.failed() > limit || self.restarted_too_often(limit) {
            return Some(Target::Failure(("BackoffLimitExceeded", "Job has reached the specified backoff limit".to_owned())));
        }
        if let Some(seconds) = self.spec.active_deadline_seconds.filter(|_| !self.is_suspended()) {
            let left = left_of(self.plan.status.start_time.as_ref().map(|time| time.0), seconds, self.now);
            if left.is_zero() {
                return Some(Target::Failure(("DeadlineExceeded", "Job was active longer than specified deadline".to_owned())));
            }
            self.look_again(left);
        }
        let enough = match self.spec.completions {
            Some(completions) => self.count.succeeded() >= completions,
            None => self.count.succeeded() > 0,
        };
        (enough && self.active.is_empty())
            .then(|| Target::Success(("CompletionsReached", "Reached expected number of succeeded pods".to_owned())))
    }

    /// Containers that are restarted in their pods count as well.
    fn restarted_too_often(&self, limit: i32) -> bool {
        let policy = self.spec.template.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
        if policy != Some("OnFailure") {
            return false;
        }
        let restarts: i64 = self.active.iter().map(|pod| pods::restarts(pod)).sum();
        if limit == 0 { restarts > 0 } else { restarts >= limit.into() }
    }

    fn look_again(&mut self, wait: Duration) {
        self.plan.again = Some(self.plan.again.map_or(wait, |other| other.min(wait)));
    }

    /// Ends what still runs; when nothing does and everything is counted, the Job has ended.
    fn end(&mut self, target: Target) {
        let (interim, last, why) = match target {
            Target::Success(why) => ("SuccessCriteriaMet", "Complete", why),
            Target::Failure(why) => ("FailureTarget", "Failed", why),
        };
        self.set(interim, "True", &why);
        self.plan.end = self.active.clone();
        let through = self.active.is_empty() && self.terminating == 0 && self.count.is_settled();
        if !through || self.owned.iter().any(is_tracked) {
            return;
        }
        self.set(last, "True", &why);
        if last == "Complete" {
            self.plan.status.completion_time = Some(whole_seconds(self.now));
            self.plan.news.push(News::normal("Completed", "Job completed"));
        } else {
            self.plan.news.push(News::warning(why.0, why.1));
        }
        self.plan.again = self.spec.ttl_seconds_after_finished.map(|seconds| left_of(None, seconds, self.now));
    }

    fn suspend_or_resume(&mut self) {
        let suspended = holding(self.job, "Suspended").is_some();
        if self.is_suspended() && !suspended {
            self.set("Suspended", "True", &("JobSuspended", "Job suspended".to_owned()));
            self.plan.news.push(News::normal("Suspended", "Job suspended"));
        } else if !self.is_suspended() && suspended {
            self.set("Suspended", "False", &("JobResumed", "Job resumed".to_owned()));
            self.plan.news.push(News::normal("Resumed", "Job resumed"));
            self.plan.status.start_time = Some(whole_seconds(self.now));
        }
    }

    /// As many active pods as there are to be.
    fn keep_number(&mut self) {
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let active = number(self.active.len());
        let parallelism = self.spec.parallelism.unwrap_or(1);
        let wanted = match self.spec.completions {
            _ if self.is_suspended() => 0,
            Some(completions) => (completions - self.count.succeeded()).clamp(0, parallelism),
            // One success is enough, and tells the others to come to their end.
            None if self.count.succeeded() > 0 => active.min(parallelism),
            None => parallelism,
        };
        if active > wanted {
            self.plan.dismiss = self.active.iter().take(usize::try_from(active - wanted).unwrap_or(0)).copied().collect();
            return;
        }
        let ending = if replaces_ended_only(self.job) { number(self.terminating) } else { 0 };
        let missing = (wanted - active - ending).clamp(0, BURST);
        match self.delay().filter(|_| missing > 0) {
            Some(delay) if !delay.is_zero() => self.look_again(delay),
            _ => self.plan.create = missing,
        }
    }

    /// How long the next pod waits after those that failed since the last success.
    fn delay(&self) -> Option<Duration> {
        let end = |pod: &Pod| pods::finished_at(pod).or(pod.metadata.creation_timestamp.as_ref().map(|time| time.0));
        let of = |phase: &'static str| self.owned.iter().filter(move |pod| pods::phase(pod) == phase).filter_map(end);
        let success = of("Succeeded").max();
        let failures: Vec<Timestamp> = of("Failed").filter(|end| success.is_none_or(|success| *end > success)).collect();
        let last = failures.iter().max()?;
        let times = u32::try_from(failures.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let delay = doubled(FIRST_DELAY, times, LONGEST_DELAY);
        let passed = Duration::try_from(self.now.duration_since(*last)).unwrap_or_default();
        Some(delay.saturating_sub(passed))
    }

    fn set(&mut self, kind: &str, holds: &str, (reason, message): &Why) {
        let all = self.plan.status.conditions.get_or_insert_default();
        if all.iter().any(|condition| condition.type_ == kind && condition.status == holds) {
            return;
        }
        all.retain(|condition| condition.type_ != kind);
        all.push(JobCondition {
            type_: kind.to_owned(),
            status: holds.to_owned(),
            reason: Some((*reason).to_owned()),
            message: Some(message.clone()),
            last_probe_time: Some(whole_seconds(self.now)),
            last_transition_time: Some(whole_seconds(self.now)),
        });
    }
}

/// What a Job asks for that is not there: it fails at once, instead of doing something else.
fn unsupported(spec: &JobSpec) -> Option<&'static str> {
    let asked = [
        (spec.completion_mode.as_deref() == Some("Indexed"), "completionMode: Indexed"),
        (spec.pod_failure_policy.is_some(), "podFailurePolicy"),
        (spec.success_policy.is_some(), "successPolicy"),
        (spec.backoff_limit_per_index.is_some(), "backoffLimitPerIndex"),
    ];
    asked.into_iter().find(|(asked, _)| *asked).map(|(_, what)| what)
}
