//! Deployments, Jobs and budgets as people use them: rollout, history, undo, scale, wait; and a plane that is killed in the middle.

use std::collections::BTreeSet;

use harness::kubectl::Kubectl;
use harness::switchboard::Switchboard;
use harness::wait;
use serde_json::{Value, json};

/// A plane on which the image `shell` is a program of this machine.
fn plane() -> Switchboard {
    Switchboard::start(&["--bare", "--image=shell=/bin/sh"])
}

fn template(app: &str, image: &str) -> Value {
    json!({"metadata": {"labels": {"app": app}}, "spec": {"terminationGracePeriodSeconds": 2, "containers": [
        {"name": "main", "image": image, "args": ["-c", "exec sleep 1000000"]}]}})
}

fn deployment(image: &str, replicas: u32) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}}, "template": template("web", image)}})
}

/// Names of the pods, as far as they are not going.
fn pods(kubectl: &Kubectl, selector: &str) -> BTreeSet<String> {
    let list: Value = serde_json::from_str(&kubectl.ok(&["get", "pods", "-l", selector, "-o", "json"])).unwrap();
    let stays = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_null();
    list["items"].as_array().unwrap().iter().filter(stays).map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn rolled_out(kubectl: &Kubectl) {
    let text = kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    assert!(text.contains("deployment \"web\" successfully rolled out"), "{text}");
}

#[test]
fn a_deployment_is_rolled_out_undone_scaled_paused_and_restarted() {
    let plane = plane();
    let kubectl = plane.kubectl();
    kubectl.apply(&[deployment("shell:1", 3)]);
    rolled_out(&kubectl);
    kubectl.wait("default", "deployment/web", "condition=Available");
    let first = pods(&kubectl, "app=web");
    assert_eq!(first.len(), 3);
    kubectl.ok(&["set", "image", "deployment/web", "main=shell:2"]);
    rolled_out(&kubectl);
    let second = pods(&kubectl, "app=web");
    assert!(second.len() == 3 && second.is_disjoint(&first), "{first:?} and {second:?}");
    let history = kubectl.ok(&["rollout", "history", "deployment/web"]);
    assert_eq!(
        history.lines().filter_map(|line| line.split_whitespace().next()?.parse::<u32>().ok()).collect::<Vec<_>>(),
        [1, 2],
        "{history}"
    );
    kubectl.ok(&["rollout", "undo", "deployment/web"]);
    rolled_out(&kubectl);
    assert_eq!(kubectl.field("default", "deployment/web", "{.spec.template.spec.containers[0].image}"), "shell:1");
    let table = kubectl.ok(&["get", "rs", "-l", "app=web"]);
    assert_eq!(table.lines().count(), 3, "the first set is used again:\n{table}");

    kubectl.ok(&["scale", "deployment/web", "--replicas=5"]);
    kubectl.wait_for_field("default", "deployment/web", "{.status.availableReplicas}", "5");
    let five = pods(&kubectl, "app=web");
    kubectl.ok(&["scale", "deployment/web", "--replicas=2"]);
    kubectl.wait_for_field("default", "deployment/web", "{.status.replicas}", "2");
    let two = pods(&kubectl, "app=web");
    assert!(two.len() == 2 && two.is_subset(&five), "{two:?} of {five:?}");

    kubectl.ok(&["rollout", "pause", "deployment/web"]);
    kubectl.ok(&["set", "image", "deployment/web", "main=shell:3"]);
    kubectl.wait_for_field("default", "deployment/web", r#"{.status.conditions[?(@.type=="Progressing")].reason}"#, "DeploymentPaused");
    let generation = kubectl.field("default", "deployment/web", "{.metadata.generation}");
    kubectl.wait_for_field("default", "deployment/web", "{.status.observedGeneration}", &generation);
    assert_eq!(pods(&kubectl, "app=web"), two);
    kubectl.ok(&["rollout", "resume", "deployment/web"]);
    rolled_out(&kubectl);
    assert!(pods(&kubectl, "app=web").is_disjoint(&two));
    let before = pods(&kubectl, "app=web");
    kubectl.ok(&["rollout", "restart", "deployment/web"]);
    rolled_out(&kubectl);
    assert!(pods(&kubectl, "app=web").is_disjoint(&before));
    let described = kubectl.ok(&["describe", "deployment/web"]);
    assert!(described.contains("ScalingReplicaSet") && described.contains("NewReplicaSetAvailable"), "{described}");

    // Left alone, its pods stay; taken up again, it is the same pods; taken away for good, they go first.
    let kept = pods(&kubectl, "app=web");
    let restarted = kubectl.object("default", "deployment/web")["spec"]["template"].clone();
    kubectl.ok(&["delete", "deployment/web", "--cascade=orphan"]);
    let mut again = deployment("shell:3", 2);
    again["spec"]["template"] = restarted;
    kubectl.apply(&[again]);
    rolled_out(&kubectl);
    assert_eq!(pods(&kubectl, "app=web"), kept, "what was left is adopted");
    kubectl.ok(&["delete", "deployment/web", "--cascade=foreground", "--timeout=60s"]);
    assert_eq!(kubectl.ok(&["get", "rs,pods", "-l", "app=web", "-o", "name"]), "");
}

#[test]
fn an_image_that_is_not_there_blocks_the_rollout_and_keeps_the_old_pods() {
    let plane = plane();
    let kubectl = plane.kubectl();
    kubectl.apply(&[deployment("shell:1", 3)]);
    rolled_out(&kubectl);
    let before = pods(&kubectl, "app=web");
    // For this rollout alone: the others must not be late on a loaded machine.
    let deadline = |seconds: u32| {
        let patch = json!({"spec": {"progressDeadlineSeconds": seconds}}).to_string();
        kubectl.ok(&["patch", "deployment/web", "--type=merge", "-p", &patch])
    };
    deadline(3);
    kubectl.ok(&["set", "image", "deployment/web", "main=nowhere:1"]);
    let error = kubectl.refused(&["rollout", "status", "deployment/web", "--timeout=60s"], "");
    assert!(error.contains("exceeded its progress deadline"), "{error}");
    let now = pods(&kubectl, "app=web");
    assert!(before.is_subset(&now) && now.len() == 4, "{before:?} and {now:?}");
    kubectl.wait("default", "deployment/web", "condition=Available");
    deadline(600);
    kubectl.ok(&["rollout", "undo", "deployment/web"]);
    rolled_out(&kubectl);
    wait::until_true("the same pods alone", wait::SOON, || pods(&kubectl, "app=web") == before);
}

fn job(name: &str, script: &str, more: Value) -> Value {
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": {"spec": {"restartPolicy": "Never",
        "containers": [{"name": "main", "image": "shell", "args": ["-c", script]}]}}}});
    let spec = job["spec"].as_object_mut().unwrap();
    spec.extend(more.as_object().unwrap().clone());
    job
}

#[test]
fn jobs_complete_or_fail_for_the_reason_they_give() {
    let plane = plane();
    let kubectl = plane.kubectl();
    kubectl.apply(&[
        job("good", "echo done", json!({"completions": 3, "parallelism": 2})),
        job("bad", "exit 3", json!({"backoffLimit": 1})),
        job("long", "exec sleep 1000000", json!({"activeDeadlineSeconds": 2})),
        job("brief", "true", json!({"ttlSecondsAfterFinished": 1})),
    ]);
    kubectl.wait("default", "job/good", "condition=complete");
    assert_eq!(kubectl.field("default", "job/good", "{.status.succeeded}"), "3");
    kubectl.wait("default", "job/bad", "condition=failed");
    let why = r#"{.status.failed} {.status.conditions[?(@.type=="Failed")].reason}"#;
    assert_eq!(kubectl.field("default", "job/bad", why), "2 BackoffLimitExceeded");
    kubectl.wait("default", "job/long", "condition=failed");
    assert_eq!(kubectl.field("default", "job/long", why), "1 DeadlineExceeded");
    kubectl.wait("default", "job/brief", "delete");
    let table = kubectl.ok(&["get", "job/good"]);
    assert!(table.contains("Complete") && table.contains("3/3"), "{table}");
    assert_eq!(kubectl.ok(&["logs", "job/good"]).lines().last(), Some("done"));

    kubectl.ok(&["create", "job", "typed", "--image=shell", "--", "/bin/sh", "-c", "exit 0"]);
    kubectl.wait("default", "job/typed", "condition=complete");
    kubectl.apply(&[job("held", "echo on", json!({"suspend": true}))]);
    kubectl.wait_for_field("default", "job/held", r#"{.status.conditions[?(@.type=="Suspended")].status}"#, "True");
    assert!(pods(&kubectl, "job-name=held").is_empty());
    kubectl.ok(&["patch", "job/held", "-p", r#"{"spec":{"suspend":false}}"#]);
    kubectl.wait("default", "job/held", "condition=complete");
    for name in ["good", "bad", "long", "typed", "held"] {
        kubectl.ok(&["delete", &format!("job/{name}"), "--timeout=60s"]);
    }
    wait::until_true("no pod of any job", wait::SOON, || kubectl.ok(&["get", "pods", "-o", "name"]).is_empty());
}

#[test]
fn evictions_take_no_more_pods_than_the_budget_allows() {
    let plane = plane();
    let kubectl = plane.kubectl();
    kubectl.apply(&[deployment("shell:1", 3)]);
    kubectl.ok(&["create", "pdb", "web", "--selector=app=web", "--min-available=2"]);
    rolled_out(&kubectl);
    kubectl.wait_for_field("default", "pdb/web", "{.status.disruptionsAllowed}", "1");
    let evict = |pod: &str| {
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": "default"}});
        let path = format!("/api/v1/namespaces/default/pods/{pod}/eviction");
        kubectl.run_with(&["create", "--raw", &path, "-f", "-"], &eviction.to_string(), &[])
    };
    // The Deployment must not make up for the first before the second is asked for.
    kubectl.ok(&["patch", "node/switchboard", "-p", r#"{"spec":{"unschedulable":true}}"#]);
    let names = pods(&kubectl, "app=web");
    let [one, two, ..] = names.iter().collect::<Vec<_>>()[..] else { panic!("three pods") };
    let first = evict(one);
    assert_eq!(first.code, 0, "{first:?}");
    let second = evict(two);
    assert!(second.code != 0 && second.error.contains("Cannot evict pod as it would violate the pod's disruption budget."), "{second:?}");
    kubectl.ok(&["patch", "node/switchboard", "-p", r#"{"spec":{"unschedulable":false}}"#]);
    kubectl.wait_for_field("default", "pdb/web", "{.status.disruptionsAllowed}", "1");
    let second = evict(two);
    assert_eq!(second.code, 0, "{second:?}");
}

#[test]
fn a_plane_killed_in_the_middle_of_a_rollout_and_a_job_goes_on_where_it_was() {
    let mut plane = plane();
    let kubectl = plane.kubectl();
    kubectl.apply(&[deployment("shell:1", 4)]);
    rolled_out(&kubectl);
    let first = pods(&kubectl, "app=web");
    // Pods that end with the plane have failed: more of them than a Job may have where nothing else is said.
    kubectl.apply(&[job("count", "sleep 0.3", json!({"completions": 8, "parallelism": 2, "backoffLimit": 100}))]);
    kubectl.ok(&["set", "image", "deployment/web", "main=shell:2"]);
    for round in 0..3 {
        let succeeded = || kubectl.run(&["get", "job/count", "-o", "jsonpath={.status.succeeded}"]).out.parse::<u32>().unwrap_or(0);
        wait::until_true("a step", wait::SOON, || succeeded() > round);
        plane.kill();
        plane.start_again();
    }
    rolled_out(&kubectl);
    let second = pods(&kubectl, "app=web");
    assert!(second.len() == 4 && second.is_disjoint(&first), "{first:?} and {second:?}");
    assert_eq!(kubectl.ok(&["get", "rs", "-l", "app=web", "-o", "name"]).lines().count(), 2, "no set was made twice");
    kubectl.wait("default", "job/count", "condition=complete");
    assert_eq!(kubectl.field("default", "job/count", "{.status.succeeded}"), "8", "each pod is counted once");
}
