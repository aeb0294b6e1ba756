#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use serde_json::json;

use super::*;
use crate::builtin;

fn resource(kind: &str, group: &str) -> std::sync::Arc<Resource> {
    builtin::resources().into_iter().find(|r| r.kind == kind && r.group == group).unwrap()
}

/// Defaults as the request pipeline applies them: the schema's, then the others.
fn defaulted(kind: &str, group: &str, mut object: Value) -> Value {
    let resource = resource(kind, group);
    crate::schema::apply_defaults(resource.schema(), &mut object);
    default_object(&resource, &mut object);
    let once = object.clone();
    crate::schema::apply_defaults(resource.schema(), &mut object);
    default_object(&resource, &mut object);
    assert_eq!(object, once, "defaulting twice must change nothing");
    object
}

fn deployment(strategy: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}}, "strategy": strategy,
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [
                {"name": "c", "image": "i:1", "ports": [{"containerPort": 80}]}]}},
        },
    })
}

#[test]
fn a_deployment_gets_what_a_server_fills_in() {
    let mut minimal = deployment(json!({}));
    minimal["spec"].as_object_mut().unwrap().remove("strategy");
    let expected = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {
            "progressDeadlineSeconds": 600, "replicas": 1, "revisionHistoryLimit": 10,
            "selector": {"matchLabels": {"a": "b"}},
            "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}, "type": "RollingUpdate"},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
                "containers": [{
                    "name": "c", "image": "i:1", "imagePullPolicy": "IfNotPresent", "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    "resources": {}, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}],
                "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler", "securityContext": {},
                "terminationGracePeriodSeconds": 30}},
        },
        "status": {},
    });
    assert_eq!(defaulted("Deployment", "apps", minimal), expected);
}

#[test]
fn only_a_rolling_update_has_parameters() {
    let recreate = defaulted("Deployment", "apps", deployment(json!({"type": "Recreate"})));
    assert_eq!(recreate["spec"]["strategy"], json!({"type": "Recreate"}));
    let rolling = defaulted("Deployment", "apps", deployment(json!({"rollingUpdate": {"maxSurge": 1}})));
    assert_eq!(rolling["spec"]["strategy"], json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": "25%"}}));
}

#[test]
fn a_namespace_gets_label_finalizer_and_phase() {
    let namespace = defaulted("Namespace", "", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}));
    let expected = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": {"kubernetes.io/metadata.name": "n"}},
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
    });
    assert_eq!(namespace, expected);
}

#[test]
fn string_data_of_a_secret_is_encoded_and_wins() {
    let secret = json!({"metadata": {"name": "s"}, "data": {"a": "b2xk", "b": "Yg=="}, "stringData": {"a": "new"}});
    let secret = defaulted("Secret", "", secret);
    assert_eq!(secret, json!({"metadata": {"name": "s"}, "type": "Opaque", "data": {"a": "bmV3", "b": "Yg=="}}));
}

#[test]
fn an_image_without_a_fixed_version_is_always_pulled() {
    for (image, policy) in [
        ("i", "Always"),
        ("i:latest", "Always"),
        ("host:5000/i", "Always"),
        ("host:5000/i:2", "IfNotPresent"),
        ("i@sha256:aa", "IfNotPresent"),
    ] {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": image}]}});
        let pod = defaulted("Pod", "", pod);
        assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], policy, "{image}");
    }
}

#[test]
fn a_pod_asks_for_its_limits_and_has_a_quality_of_service() {
    let pod = |resources: Value| {
        let spec = json!({"containers": [{"name": "c", "image": "i:1", "resources": resources}]});
        defaulted("Pod", "", json!({"metadata": {"name": "p"}, "spec": spec}))
    };
    let limited = pod(json!({"limits": {"cpu": 1, "memory": "1024Mi"}}));
    assert_eq!(limited["spec"]["containers"][0]["resources"]["requests"], json!({"cpu": "1", "memory": "1Gi"}));
    assert_eq!(limited["status"], json!({"phase": "Pending", "qosClass": "Guaranteed"}));
    assert_eq!(pod(json!({"requests": {"cpu": "0.5"}}))["status"]["qosClass"], "Burstable");
    let idle = pod(json!({}));
    assert_eq!(idle["status"]["qosClass"], "BestEffort");
    assert_eq!(idle["spec"]["serviceAccountName"], "default");
    assert_eq!(idle["spec"]["serviceAccount"], "default");
    assert_eq!(idle["spec"]["tolerations"].as_array().unwrap().len(), 2);
}

#[test]
fn a_service_gets_target_ports_and_policies() {
    let service = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}, {"port": 1, "targetPort": "web"}]}});
    let service = defaulted("Service", "", service);
    let spec = json!({
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}, {"port": 1, "protocol": "TCP", "targetPort": "web"}],
        "internalTrafficPolicy": "Cluster", "sessionAffinity": "None", "type": "ClusterIP",
    });
    assert_eq!(service["spec"], spec);
    assert_eq!(service["status"], json!({"loadBalancer": {}}));
}

#[test]
fn a_job_names_its_pods_once_it_has_a_uid() {
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i:1"}]}});
    let mut job = json!({"metadata": {"name": "j"}, "spec": {"template": template}});
    assert!(defaulted("Job", "batch", job.clone())["spec"].get("selector").is_none());
    job["metadata"]["uid"] = json!("u");
    let job = defaulted("Job", "batch", job);
    assert_eq!(job["spec"]["selector"], json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}}));
    assert_eq!(job["spec"]["template"]["metadata"]["labels"]["batch.kubernetes.io/job-name"], "j");
    assert_eq!(job["spec"]["backoffLimit"], 6);
    assert_eq!(job["spec"]["completions"], 1);
}

#[test]
fn a_custom_resource_definition_gets_names_conversion_and_stored_versions() {
    let definition = json!({"metadata": {"name": "widgets.example.com"}, "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
    let definition = defaulted("CustomResourceDefinition", "apiextensions.k8s.io", definition);
    let names = json!({"plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList"});
    assert_eq!(definition["spec"]["names"], names);
    assert_eq!(definition["spec"]["conversion"], json!({"strategy": "None"}));
    let status = json!({"acceptedNames": {"kind": "", "plural": ""}, "conditions": null, "storedVersions": ["v1"]});
    assert_eq!(definition["status"], status);
}

#[test]
fn an_event_says_null_for_times_it_lacks() {
    let event = defaulted("Event", "events.k8s.io", json!({"metadata": {"name": "e"}, "note": "n"}));
    let expected = json!({
        "metadata": {"name": "e"}, "note": "n", "regarding": {}, "deprecatedSource": {}, "eventTime": null,
        "deprecatedFirstTimestamp": null, "deprecatedLastTimestamp": null,
    });
    assert_eq!(event, expected);
}

#[test]
fn a_lease_keeps_microseconds() {
    let lease =
        defaulted("Lease", "coordination.k8s.io", json!({"metadata": {"name": "l"}, "spec": {"renewTime": "2026-01-01T00:00:00Z"}}));
    assert_eq!(lease["spec"]["renewTime"], "2026-01-01T00:00:00.000000Z");
}
