//! The order of work, and who is looked at when something changes.

use std::time::Duration;

use kube::api::ObjectMeta;
use serde_json::json;
use tokio::time::Instant;

use crate::controllers::workloads::index::{Entry, Index};
use crate::controllers::workloads::queue::{Key, Kind, Queue};

fn key(kind: Kind, name: &str) -> Key {
    Key { kind, namespace: "n".into(), name: name.into() }
}

#[test]
fn a_key_is_worked_on_once_at_a_time_and_again_if_it_came_up_meanwhile() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let one = key(Kind::Job, "one");
    queue.add(one.clone());
    queue.add(one.clone());
    assert_eq!(queue.take(), Some(one.clone()));
    assert_eq!(queue.take(), None);
    queue.add(one.clone());
    assert_eq!(queue.take(), None, "somebody works on it");
    queue.done(one.clone(), Ok(None), now);
    assert_eq!(queue.take(), Some(one.clone()));
    queue.done(one, Ok(None), now);
    assert_eq!((queue.take(), queue.next_due()), (None, None));
}

#[test]
fn failures_wait_longer_each_time_and_a_success_forgets_them() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let one = key(Kind::Job, "one");
    let mut delays = Vec::new();
    for _ in 0..3 {
        queue.add(one.clone());
        queue.take().unwrap();
        delays.extend(queue.done(one.clone(), Err(()), now));
    }
    assert_eq!(delays, [20, 40, 80].map(Duration::from_millis));
    assert_eq!(queue.next_due(), Some(now + Duration::from_millis(80)), "only the last delay counts");
    queue.wake(now + Duration::from_millis(80));
    queue.take().unwrap();
    assert_eq!(queue.done(one.clone(), Ok(Some(Duration::from_secs(5))), now), None);
    queue.wake(now + Duration::from_secs(5));
    queue.take().unwrap();
    assert_eq!(queue.done(one, Err(()), now), Some(Duration::from_millis(20)));
}

fn metadata(value: serde_json::Value) -> ObjectMeta {
    serde_json::from_value(value).unwrap()
}

fn workload(kind: Kind, name: &str, labels: serde_json::Value, owner: serde_json::Value) -> Entry {
    let object = json!({"apiVersion": "v1", "kind": "X", "metadata": {"namespace": "n", "name": name, "labels": labels, "ownerReferences": owner},
        "spec": {"selector": {"matchLabels": labels}}});
    Entry::of_workload(kind, &serde_json::from_value(object).unwrap())
}

#[test]
fn a_change_of_a_pod_is_the_business_of_its_owner_of_who_selects_it_and_of_budgets() {
    let mut index = Index::default();
    let owner = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "d", "controller": true}]);
    index.apply("d".into(), workload(Kind::Deployment, "d", json!({"app": "a"}), json!([])));
    index.apply("s".into(), workload(Kind::ReplicaSet, "s", json!({"app": "a"}), owner));
    index.apply("b".into(), workload(Kind::PodDisruptionBudget, "b", json!({"app": "a"}), json!([])));
    index.apply("j".into(), workload(Kind::Job, "j", json!({"job": "j"}), json!([])));
    let free = Entry::of_pod(&metadata(json!({"namespace": "n", "name": "p", "labels": {"app": "a"}})));
    assert_eq!(index.apply("p".into(), free), [key(Kind::ReplicaSet, "s"), key(Kind::PodDisruptionBudget, "b")]);
    let owned = json!({"namespace": "n", "name": "p", "labels": {"app": "a"}, "ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "s", "uid": "s", "controller": true}]});
    index.apply("p".into(), Entry::of_pod(&metadata(owned.clone())));
    let mut other = owned;
    other["labels"] = json!({"app": "other"});
    let selector = kube::core::Selector::from_iter([("app", "a")]);
    assert!(index.strays("s", &selector).is_empty());
    let look = index.apply("p".into(), Entry::of_pod(&metadata(other)));
    assert_eq!(look, [key(Kind::ReplicaSet, "s"), key(Kind::PodDisruptionBudget, "b")], "the budget that has lost it");
    assert_eq!(index.strays("s", &selector), ["p"]);
    assert_eq!(index.remove("p"), [key(Kind::Deployment, "d"), key(Kind::ReplicaSet, "s")]);
    let of_job = Entry::of_pod(&metadata(json!({"namespace": "n", "name": "q", "labels": {"batch.kubernetes.io/job-name": "gone"}})));
    assert_eq!(index.apply("q".into(), of_job), [key(Kind::Job, "gone")], "its finalizer has to go although nothing owns it");
    assert!(index.apply("e".into(), Entry { namespace: "elsewhere".into(), ..Entry::default() }).is_empty());
}
