//! A user may ask for as many pods as a number can say: what is made of such numbers together is no larger, and nothing breaks.

use std::sync::{Arc, Mutex};

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, PostParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{at, pod};
use crate::api::{Api as Server, ApiOptions};
use crate::controllers::workloads::context::Context;
use crate::controllers::workloads::deployment::amounts::{DESIRED, MAX};
use crate::controllers::workloads::deployment::plan::{Plan, Step, plan};
use crate::controllers::workloads::deployment::status::{Outcome, status};
use crate::controllers::workloads::disruption;
use crate::controllers::workloads::index::Index;
use crate::controllers::workloads::pods::restarts;
use crate::store::Store;
use crate::user::User;

const MOST: i32 = i32::MAX;

fn of<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}})
}

fn deployment(replicas: i32) -> Deployment {
    of(json!({"metadata": {"name": "web", "namespace": "n", "uid": "d"},
        "spec": {"replicas": replicas, "progressDeadlineSeconds": 60, "selector": {"matchLabels": {"app": "web"}}, "template": template("new")}}))
}

/// Two sets, each as large as can be, with so many pods that are available.
fn sets(available: [i32; 2]) -> Vec<ReplicaSet> {
    let set = |image: &str, available: i32| {
        let annotations = json!({DESIRED: MOST.to_string(), MAX: MOST.to_string(), "deployment.kubernetes.io/revision": "1"});
        let status = json!({"replicas": MOST, "readyReplicas": MOST, "availableReplicas": available, "terminatingReplicas": MOST});
        of(json!({"metadata": {"name": image, "uid": image, "annotations": annotations},
            "spec": {"replicas": MOST, "selector": {"matchLabels": {"app": "web"}}, "template": template(image)}, "status": status}))
    };
    vec![set("new", available[0]), set("old", available[1])]
}

fn sizes(plan: &Plan<'_>) -> Vec<(String, i32)> {
    let size = |step: &Step<'_>| match step {
        Step::Scale(set, size) => (set.name_any(), *size),
        other => panic!("{other:?}"),
    };
    plan.steps.iter().map(size).collect()
}

#[test]
fn a_deployment_of_the_largest_size_is_rolled_out_and_scaled() {
    let huge = deployment(MOST);
    let mut follow = sets([MOST, MOST]);
    follow[0].annotations_mut().insert("deployment.kubernetes.io/revision".into(), "2".into());
    assert_eq!(sizes(&plan(&huge, &follow, &[])), [("old".to_owned(), 0)]);
    // A quarter of them may be missing.
    follow[0].status.as_mut().unwrap().available_replicas = Some(0);
    assert_eq!(sizes(&plan(&huge, &follow, &[])), [("old".to_owned(), MOST - MOST / 4)]);
    // Each keeps its share, as far as rounding lets it, of ten and a quarter.
    let shares = sizes(&plan(&deployment(10), &follow, &[]));
    assert_eq!((shares.len(), shares.iter().map(|(_, size)| size).sum::<i32>()), (2, 13), "{shares:?}");
}

#[test]
fn the_status_of_a_deployment_says_as_many_as_it_can() {
    let mut watched = deployment(MOST);
    let (lost, all) = (sets([0, 0]), sets([MOST, MOST]));
    let tell = |watched: &Deployment, sets: &[ReplicaSet]| status(watched, &plan(watched, sets, &[]), &Outcome::default(), at(0)).0;
    let numbers = |status: &DeploymentStatus| {
        [status.replicas, status.ready_replicas, status.terminating_replicas, status.available_replicas, status.unavailable_replicas]
    };
    let first = tell(&watched, &lost);
    assert_eq!(numbers(&first), [Some(MOST), Some(MOST), Some(MOST), None, Some(MOST)]);
    watched.status = Some(DeploymentStatus { replicas: Some(i32::MIN), updated_replicas: Some(MOST), ..first });
    assert_eq!(numbers(&tell(&watched, &all)), [Some(MOST), Some(MOST), Some(MOST), Some(MOST), None]);
}

#[test]
fn restarts_of_many_containers_are_counted() {
    let container = |name: &str| json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": MOST});
    let statuses = json!({"status": {"containerStatuses": [container("a"), container("b")]}});
    assert_eq!(restarts(&pod("p", statuses)), 2 * i64::from(MOST));
}

#[tokio::test]
async fn a_budget_over_controllers_of_the_largest_size_is_told() {
    let client = Server::new(Store::in_memory(), ApiOptions::default()).client(User::admin());
    let new = PostParams::default();
    Api::<Namespace>::all(client.clone()).create(&new, &of(json!({"metadata": {"name": "n"}}))).await.unwrap();
    let (all_sets, all_pods) = (Api::<ReplicaSet>::namespaced(client.clone(), "n"), Api::<Pod>::namespaced(client.clone(), "n"));
    for name in ["one", "two"] {
        let set = json!({"metadata": {"name": name}, "spec": {"replicas": MOST, "selector": {"matchLabels": {"app": "web"}}, "template": template("i")}});
        let owner = all_sets.create(&new, &of(set)).await.unwrap().controller_owner_ref(&()).unwrap();
        let mut pod: Pod =
            of(json!({"metadata": {"name": name, "labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}));
        pod.metadata.owner_references = Some(vec![owner]);
        all_pods.create(&new, &pod).await.unwrap();
    }
    let budgets = Api::<PodDisruptionBudget>::namespaced(client.clone(), "n");
    let budget = json!({"metadata": {"name": "b"}, "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}});
    budgets.create(&new, &of(budget)).await.unwrap();
    let context = Context::new(client, Arc::new(Mutex::new(Index::default())), "controllermanager");
    disruption::reconcile(&context, "n", "b").await.unwrap();
    let status = budgets.get("b").await.unwrap().status.unwrap();
    assert_eq!((status.expected_pods, status.desired_healthy, status.disruptions_allowed), (Some(MOST), Some(MOST - 1), Some(0)));
}
