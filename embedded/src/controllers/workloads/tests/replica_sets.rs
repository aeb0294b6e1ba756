//! Which pods come and which go.

use std::time::Duration;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::{at, pod, ready};
use crate::controllers::workloads::claim::{Claim, Claimant};
use crate::controllers::workloads::replica_set::{plan, status};

fn set(replicas: i32, more: Value) -> ReplicaSet {
    let mut set = json!({"metadata": {"name": "s", "uid": "s", "generation": 3}, "spec": {"replicas": replicas, "selector": {}, "template": {
        "metadata": {"labels": {"app": "a"}}, "spec": {"containers": []}}}});
    json_patch::merge(&mut set, &more);
    serde_json::from_value(set).unwrap()
}

fn names(pods: &[&Pod]) -> Vec<String> {
    pods.iter().map(|pod| pod.name_any()).collect()
}

#[test]
fn missing_pods_are_made_and_those_that_end_are_replaced() {
    let deleting = json!({"metadata": {"deletionTimestamp": at(1).to_string()}});
    let failed = json!({"status": {"phase": "Failed"}});
    let pods = [pod("runs", ready(at(0))), pod("goes", deleting), pod("failed", failed)];
    let made = plan(&set(3, json!({})), &pods);
    assert_eq!((made.create, made.delete.len(), made.clear.len()), (2, 0, 0));
    let going = set(3, json!({"metadata": {"deletionTimestamp": at(1).to_string()}}));
    assert_eq!(plan(&going, &pods).create, 0, "a set that goes makes nothing");
}

#[test]
fn the_least_useful_pods_go_first() {
    let assigned = |mut status: Value| {
        status["spec"] = json!({"nodeName": "here"});
        status
    };
    let mut cheap = assigned(ready(at(0)));
    cheap["metadata"] = json!({"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-5"}});
    let pods = [
        pod("old", assigned(ready(at(0)))),
        pod("young", assigned(ready(at(9)))),
        pod("cheap", cheap),
        pod("unready", assigned(json!({"status": {"phase": "Running"}}))),
        pod("pending", assigned(json!({"status": {"phase": "Pending"}}))),
        pod("unassigned", json!({"status": {"phase": "Pending"}})),
    ];
    assert_eq!(names(&plan(&set(1, json!({})), &pods).delete), ["unassigned", "pending", "unready", "cheap", "young"]);
}

#[test]
fn only_the_newest_of_the_pods_that_failed_are_kept() {
    let failed = |second: i64| json!({"metadata": {"creationTimestamp": at(second).to_string()}, "status": {"phase": "Failed"}});
    let pods: Vec<Pod> = (0..8).map(|number| pod(&format!("p{number}"), failed(number))).collect();
    assert_eq!(names(&plan(&set(0, json!({})), &pods).clear), ["p2", "p1", "p0"]);
}

#[test]
fn a_pod_is_available_once_it_was_ready_for_long_enough() {
    let mut labelled = ready(at(0));
    labelled["metadata"] = json!({"labels": {"app": "a"}});
    let pods = [pod("long", labelled), pod("short", ready(at(7)))];
    let slow = set(2, json!({"spec": {"minReadySeconds": 5}}));
    let (now, again) = status(&slow, &pods, None, at(10));
    assert_eq!((now.replicas, now.ready_replicas, now.available_replicas), (2, Some(2), Some(1)));
    assert_eq!((now.fully_labeled_replicas, now.observed_generation, again), (Some(1), Some(3), Some(Duration::from_secs(2))));
    let (later, again) = status(&slow, &pods, None, at(12));
    assert_eq!((later.available_replicas, again), (Some(2), None));
}

#[test]
fn why_pods_cannot_be_made_is_said_with_the_time_it_began() {
    let failing = || Some(("FailedCreate", "no room".to_owned()));
    let (first, _) = status(&set(1, json!({})), &[], failing(), at(1));
    let mut again = set(1, json!({}));
    again.status = Some(first.clone());
    assert_eq!(status(&again, &[], failing(), at(9)).0, first);
    assert_eq!(status(&again, &[], None, at(9)).0.conditions, None);
}

#[test]
fn free_pods_that_are_selected_are_adopted_and_others_are_released() {
    let reference =
        serde_json::from_value(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "s", "uid": "s", "controller": true}))
            .unwrap();
    let mut claimant = Claimant { reference, selector: [("app", "a")].into_iter().collect(), deleting: false, finalizer: None };
    let owned_by = |uid: &str, app: &str| {
        json!({"metadata": {"labels": {"app": app}, "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": uid, "uid": uid, "controller": true}]}})
    };
    let free = json!({"metadata": {"labels": {"app": "a"}}});
    let cases = [
        (owned_by("s", "a"), Claim::Ours),
        (owned_by("other", "a"), Claim::Foreign),
        (owned_by("s", "b"), Claim::Release),
        (free.clone(), Claim::Adopt),
        (json!({"metadata": {"labels": {"app": "a"}, "deletionTimestamp": at(0).to_string()}}), Claim::Foreign),
        (json!({}), Claim::Foreign),
    ];
    for (more, wanted) in cases {
        assert_eq!(claimant.judge(&pod("p", more.clone())), wanted, "{more}");
    }
    claimant.deleting = true;
    assert_eq!(claimant.judge(&pod("p", free)), Claim::Foreign, "one that goes takes nothing up");
    assert_eq!(claimant.judge(&pod("p", owned_by("s", "b"))), Claim::Foreign);
}
