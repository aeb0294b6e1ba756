#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::builtin::resources;

/// The cells of one row by heading.
fn row(kind: &str, object: Value) -> HashMap<String, Value> {
    let resource = resources().into_iter().find(|resource| resource.kind == kind).unwrap();
    let cells = resource.columns.iter().map(|column| match &column.source {
        ColumnSource::Computed(cell) => (column.name.clone(), cell(&object)),
        ColumnSource::Path(path) => panic!("built-in column by path {path}"),
    });
    cells.collect()
}

fn headings(kind: &str, wide: bool) -> Vec<String> {
    let resource = resources().into_iter().find(|resource| resource.kind == kind).unwrap();
    resource.columns.iter().filter(|column| wide || column.priority == 0).map(|column| column.name.clone()).collect()
}

#[test]
fn headings_are_those_kubectl_shows() {
    assert_eq!(headings("Pod", false), ["Name", "Ready", "Status", "Restarts", "Age"]);
    assert_eq!(headings("Pod", true)[5..], ["IP", "Node", "Nominated Node", "Readiness Gates"]);
    assert_eq!(headings("Deployment", false), ["Name", "Ready", "Up-to-date", "Available", "Age"]);
    assert_eq!(headings("Job", false), ["Name", "Status", "Completions", "Duration", "Age"]);
    assert_eq!(headings("Service", false), ["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age"]);
    assert_eq!(headings("Event", false), ["Last Seen", "Type", "Reason", "Object", "Message"]);
    assert_eq!(headings("CustomResourceDefinition", false), ["Name", "Created At"]);
}

#[test]
fn every_column_is_explained() {
    for resource in resources() {
        for column in &resource.columns {
            assert!(!column.description.is_empty(), "{} {}", resource.kind, column.name);
        }
    }
}

#[test]
fn every_cell_stands_an_object_without_anything() {
    for resource in resources() {
        for column in &resource.columns {
            if let ColumnSource::Computed(cell) = column.source {
                cell(&json!({}));
            }
        }
    }
}

/// A pod of one container in a state.
fn pod(phase: &str, container: Value) -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}, "status": {"phase": phase, "containerStatuses": [container]}})
}

#[test]
fn a_pods_status_is_that_of_its_containers() {
    let expected = [
        (pod("Running", json!({"ready": true, "state": {"running": {}}})), "Running", "1/1"),
        (pod("Running", json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}})), "CrashLoopBackOff", "0/1"),
        (pod("Pending", json!({"state": {"waiting": {"reason": "ErrImagePull"}}})), "ErrImagePull", "0/1"),
        (pod("Succeeded", json!({"state": {"terminated": {"reason": "Completed", "exitCode": 0}}})), "Completed", "0/1"),
        (pod("Failed", json!({"state": {"terminated": {"exitCode": 3}}})), "ExitCode:3", "0/1"),
        (pod("Failed", json!({"state": {"terminated": {"exitCode": 137, "signal": 9}}})), "Signal:9", "0/1"),
        (json!({"spec": {"containers": [{}, {}]}, "status": {"phase": "Pending"}}), "Pending", "0/2"),
    ];
    for (pod, status, ready) in expected {
        let row = row("Pod", pod);
        assert_eq!(row["Status"], status);
        assert_eq!(row["Ready"], ready);
    }
}

#[test]
fn a_pod_being_deleted_is_terminating_unless_it_has_ended() {
    let mut running = pod("Running", json!({"ready": true, "state": {"running": {}}}));
    running["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(row("Pod", running)["Status"], "Terminating");
    let mut ended = pod("Succeeded", json!({"state": {"terminated": {"reason": "Completed", "exitCode": 0}}}));
    ended["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(row("Pod", ended)["Status"], "Completed");
}

#[test]
fn a_pod_says_which_init_container_it_waits_for() {
    let pod = |statuses: Value| {
        json!({"spec": {"containers": [{"name": "c"}], "initContainers": [{"name": "a"}, {"name": "b"}]},
            "status": {"phase": "Pending", "initContainerStatuses": statuses,
                "containerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}]}})
    };
    let done = json!({"name": "a", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
    let expected = [
        (json!([{"name": "a", "state": {"running": {}}}]), "Init:0/2"),
        (json!([done, {"name": "b", "state": {"running": {}}}]), "Init:1/2"),
        (json!([{"name": "a", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]), "Init:CrashLoopBackOff"),
        (json!([{"name": "a", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]), "Init:Error"),
        (json!([done, {"name": "b", "state": {"terminated": {"exitCode": 0}}}]), "PodInitializing"),
    ];
    for (statuses, status) in expected {
        assert_eq!(row("Pod", pod(statuses))["Status"], status);
    }
}

#[test]
fn restarts_say_when_the_last_was() {
    // From ten minutes on seconds are not shown: half a minute may pass here.
    let never = row("Pod", pod("Running", json!({"restartCount": 0, "state": {"running": {}}})));
    assert_eq!(never["Restarts"], "0");
    let ended = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(1230);
    let status = json!({"restartCount": 3, "state": {"running": {}}, "lastState": {"terminated": {"finishedAt": ended.to_string()}}});
    assert_eq!(row("Pod", pod("Running", status))["Restarts"], "3 (20m ago)");
}

#[test]
fn workloads_count_what_is_ready() {
    let deployment = json!({"spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}},
        "template": {"spec": {"containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "j"}]}}},
        "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 2}});
    let row = row("Deployment", deployment);
    assert_eq!(row["Ready"], "2/3");
    assert_eq!(row["Images"], "i,j");
    assert_eq!(row["Selector"], "a=b");
}

#[test]
fn a_job_says_how_far_it_is() {
    let job = json!({"spec": {"completions": 1}, "status": {"succeeded": 1, "startTime": "2026-01-01T00:00:00Z",
        "completionTime": "2026-01-01T00:00:07Z", "conditions": [{"type": "Complete", "status": "True"}]}});
    let row = row("Job", job);
    assert_eq!((&row["Status"], &row["Completions"], &row["Duration"]), (&json!("Complete"), &json!("1/1"), &json!("7s")));
}

#[test]
fn a_service_shows_addresses_and_ports() {
    let service = json!({"spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "selector": {"a": "b", "c": "d"},
        "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}, {"port": 53, "protocol": "UDP"}]}});
    let row = row("Service", service);
    assert_eq!(row["Port(s)"], "80:30080/TCP,53/UDP");
    assert_eq!(row["External-IP"], "<none>");
    assert_eq!(row["Selector"], "a=b,c=d");
}

#[test]
fn a_node_shows_its_readiness_and_roles() {
    let node = json!({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}, "spec": {"unschedulable": true},
        "status": {"conditions": [{"type": "Ready", "status": "False"}], "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}});
    let row = row("Node", node);
    assert_eq!(row["Status"], "NotReady,SchedulingDisabled");
    assert_eq!(row["Roles"], "control-plane");
    assert_eq!(row["Internal-IP"], "127.0.0.1");
}

#[test]
fn an_event_shows_what_it_is_about() {
    let seen = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(1230);
    let event = json!({"involvedObject": {"kind": "Pod", "name": "p"}, "message": "started\n", "type": "Normal",
        "eventTime": seen.to_string(), "reportingComponent": "c", "firstTimestamp": null, "lastTimestamp": null});
    let row = row("Event", event);
    assert_eq!(row["Object"], "pod/p");
    assert_eq!(row["Message"], "started");
    assert_eq!(row["Last Seen"], "20m");
    assert_eq!(row["Source"], "c");
}

#[test]
fn secrets_and_config_maps_count_their_data() {
    assert_eq!(row("ConfigMap", json!({"data": {"a": ""}, "binaryData": {"b": ""}}))["Data"], 2);
    assert_eq!(row("Secret", json!({"type": "Opaque", "data": {"a": ""}}))["Data"], 1);
}
