//! Jobs, look by look.

use std::time::Duration;

use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::{at, pod};
use crate::controllers::workloads::job::count::{Count, TRACKING};
use crate::controllers::workloads::job::plan::{Plan, plan};

fn job(more: Value) -> Job {
    let mut job = json!({"metadata": {"name": "j", "uid": "j"}, "spec": {"completions": 1, "parallelism": 1, "backoffLimit": 2,
        "template": {"spec": {"restartPolicy": "Never", "containers": []}}}});
    json_patch::merge(&mut job, &more);
    serde_json::from_value(job).unwrap()
}

/// A pod that is still tracked; with an end, it ended then.
fn tracked(name: &str, phase: &str, end: Option<i64>) -> Pod {
    let state = end.map_or_else(|| json!({}), |second| json!({"terminated": {"exitCode": 1, "finishedAt": at(second).to_string()}}));
    let statuses = json!([{"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state}]);
    pod(name, json!({"metadata": {"finalizers": [TRACKING]}, "status": {"phase": phase, "containerStatuses": statuses}}))
}

fn untracked(mut pod: Pod) -> Pod {
    pod.metadata.finalizers = None;
    pod
}

fn with(status: &JobStatus, mut job: Job) -> Job {
    job.status = Some(status.clone());
    job
}

fn conditions(status: &JobStatus) -> Vec<(String, String, String)> {
    let all = status.conditions.clone().unwrap_or_default();
    all.into_iter().map(|one| (one.type_, one.status, one.reason.unwrap_or_default())).collect()
}

fn row(kind: &str, reason: &str) -> (String, String, String) {
    (kind.to_owned(), "True".to_owned(), reason.to_owned())
}

fn names(pods: &[&Pod]) -> Vec<String> {
    pods.iter().map(|pod| pod.name_any()).collect()
}

#[test]
fn a_pod_that_succeeds_is_written_down_set_free_counted_and_completes_the_job() {
    let first = job(json!({}));
    let begun = plan(&first, &[], at(0));
    assert_eq!((begun.create, begun.status.start_time.clone().unwrap().0), (1, at(0)));
    let pods = [tracked("p", "Succeeded", Some(5))];
    let running = with(&begun.status, first.clone());
    let seen = plan(&running, &pods, at(5));
    assert_eq!((names(&seen.free), seen.create), (vec!["p".to_owned()], 0));
    assert_eq!(conditions(&seen.status), [row("SuccessCriteriaMet", "CompletionsReached")]);
    assert_eq!(seen.status.succeeded, None, "it is not counted before it is free");
    let written = with(&seen.status, first.clone());
    assert_eq!(plan(&written, &pods, at(6)).status, seen.status, "a crash before the finalizer went changes nothing");
    let free = [untracked(pods[0].clone())];
    let last = plan(&written, &free, at(6));
    assert_eq!(conditions(&last.status), [row("SuccessCriteriaMet", "CompletionsReached"), row("Complete", "CompletionsReached")]);
    assert_eq!(
        (last.status.succeeded, last.status.active, last.status.completion_time.clone().map(|time| time.0)),
        (Some(1), None, Some(at(6)))
    );
    let ended = with(&last.status, first);
    assert_eq!(plan(&ended, &free, at(900)), Plan { status: last.status, ..Plan::default() }, "at rest nothing is to be done");
}

#[test]
fn a_counted_pod_that_is_gone_stays_counted() {
    let two = job(json!({"spec": {"completions": 2}}));
    let pods = [tracked("p", "Succeeded", Some(1))];
    let seen = plan(&two, &pods, at(2));
    let count = Count::of(&with(&seen.status, two.clone()), &[], false);
    assert_eq!((count.succeeded, count.is_settled()), (1, true));
    let next = plan(&with(&seen.status, two), &[], at(3));
    assert_eq!((next.create, next.status.succeeded), (1, Some(1)));
}

#[test]
fn failures_delay_the_next_pod_longer_each_time_until_there_were_too_many() {
    let once = [tracked("a", "Failed", Some(10))];
    let waits = plan(&job(json!({})), &once, at(10));
    assert_eq!((waits.create, waits.again), (0, Some(Duration::from_secs(1))));
    assert_eq!(plan(&job(json!({})), &once, at(11)).create, 1);
    let twice = [untracked(once[0].clone()), tracked("b", "Failed", Some(20))];
    let status: JobStatus = serde_json::from_value(json!({"failed": 1, "startTime": at(0).to_string()})).unwrap();
    let waits = plan(&with(&status, job(json!({}))), &twice, at(20));
    assert_eq!(waits.again, Some(Duration::from_secs(2)));
    let thrice = [once[0].clone(), tracked("b", "Failed", Some(20)), tracked("c", "Failed", Some(30)), tracked("d", "Running", None)];
    let over = plan(&job(json!({"spec": {"parallelism": 2}})), &thrice, at(30));
    assert_eq!(conditions(&over.status), [row("FailureTarget", "BackoffLimitExceeded")]);
    assert_eq!((names(&over.end), over.create), (vec!["d".to_owned()], 0));
    // What runs on is ended, counts as failed, and then the Job has failed.
    let mut ending = thrice.clone().map(untracked);
    ending[3] = tracked("d", "Running", None);
    ending[3].metadata.deletion_timestamp = serde_json::from_value(json!(at(30).to_string())).unwrap();
    let later = plan(&with(&over.status, job(json!({}))), &ending, at(31));
    assert_eq!((names(&later.free), conditions(&later.status).len()), (vec!["d".to_owned()], 1));
    let gone = ending[..3].to_vec();
    let last = plan(&with(&later.status, job(json!({}))), &gone, at(32));
    assert_eq!(last.status.failed, Some(4));
    assert_eq!(conditions(&last.status)[1], row("Failed", "BackoffLimitExceeded"));
}

#[test]
fn a_job_that_takes_too_long_fails_and_one_with_a_time_to_live_goes() {
    let slow = job(json!({"spec": {"activeDeadlineSeconds": 60, "ttlSecondsAfterFinished": 10}}));
    let begun = plan(&slow, &[], at(0));
    let pods = [tracked("p", "Running", None)];
    let early = plan(&with(&begun.status, slow.clone()), &pods, at(59));
    assert_eq!((early.again, early.end.len()), (Some(Duration::from_secs(1)), 0));
    let late = plan(&with(&early.status, slow.clone()), &pods, at(60));
    assert_eq!((conditions(&late.status), names(&late.end)), (vec![row("FailureTarget", "DeadlineExceeded")], vec!["p".to_owned()]));
    let last = plan(&with(&late.status, slow.clone()), &[], at(61));
    assert_eq!((conditions(&last.status)[1].clone(), last.again), (row("Failed", "DeadlineExceeded"), Some(Duration::from_secs(10))));
    let over = with(&last.status, slow);
    assert!(!plan(&over, &[], at(70)).expired && plan(&over, &[], at(71)).expired);
}

#[test]
fn a_suspended_job_has_no_pods_and_its_time_begins_when_it_is_resumed() {
    let held = job(json!({"spec": {"suspend": true}}));
    let pods = [tracked("p", "Running", None)];
    let still = plan(&held, &pods, at(0));
    assert_eq!((names(&still.dismiss), still.create, still.status.start_time.clone()), (vec!["p".to_owned()], 0, None));
    assert_eq!(conditions(&still.status), [row("Suspended", "JobSuspended")]);
    let on = plan(&with(&still.status, job(json!({}))), &[], at(50));
    assert_eq!((on.create, on.status.start_time.unwrap().0), (1, at(50)));
    assert_eq!(on.status.conditions.unwrap()[0].status, "False");
}

#[test]
fn no_more_pods_than_wanted_run_at_once() {
    let many = job(json!({"spec": {"completions": 5, "parallelism": 3}}));
    assert_eq!(plan(&many, &[], at(0)).create, 3);
    let status: JobStatus = serde_json::from_value(json!({"succeeded": 4})).unwrap();
    assert_eq!(plan(&with(&status, many.clone()), &[], at(0)).create, 1);
    let running = ["a", "b", "c"].map(|name| tracked(name, "Running", None));
    assert_eq!(plan(&with(&status, many), &running, at(0)).dismiss.len(), 2);
    let any = job(json!({"spec": {"completions": null, "parallelism": 2}}));
    let one = [tracked("a", "Succeeded", Some(1)), tracked("b", "Running", None)];
    let waits = plan(&any, &one, at(1));
    assert_eq!((waits.create, waits.dismiss.len(), conditions(&waits.status).len()), (0, 0, 0), "the others come to their end");
}

#[test]
fn pods_that_someone_takes_away_are_replaced_as_the_job_says() {
    let deleting = |mut pod: Pod| {
        pod.metadata.deletion_timestamp = serde_json::from_value(json!(at(0).to_string())).unwrap();
        pod
    };
    let pods = [deleting(tracked("p", "Running", None))];
    let at_once = plan(&job(json!({})), &pods, at(1));
    assert_eq!((at_once.create, names(&at_once.free)), (1, vec!["p".to_owned()]));
    let patient = plan(&job(json!({"spec": {"podReplacementPolicy": "Failed"}})), &pods, at(1));
    assert_eq!((patient.create, patient.free.len(), patient.status.terminating), (0, 0, Some(1)));
    let mut over = pods.clone();
    over[0].metadata.deletion_grace_period_seconds = Some(0);
    assert_eq!(names(&plan(&job(json!({"spec": {"podReplacementPolicy": "Failed"}})), &over, at(1)).free), ["p"]);
}

#[test]
fn what_is_not_served_fails_and_says_so() {
    let indexed = plan(&job(json!({"spec": {"completionMode": "Indexed"}})), &[], at(0));
    let failed = plan(&with(&indexed.status, job(json!({"spec": {"completionMode": "Indexed"}}))), &[], at(1));
    assert_eq!(conditions(&failed.status), [row("FailureTarget", "NotSupported"), row("Failed", "NotSupported")]);
    assert!(failed.status.conditions.unwrap()[1].message.as_ref().unwrap().contains("Indexed"));
}
