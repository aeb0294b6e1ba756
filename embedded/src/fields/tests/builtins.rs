//! What a real server recorded for built-in kinds.

use serde_json::{Value, json};

use super::super::{Writer, apply, update};
use super::{assert_managed, builtin_schema, config_map, write, writer};

fn stored(mut object: Value) -> Value {
    object["metadata"]["uid"] = json!("b1946ac9-0000-4000-8000-000000000000");
    object
}

#[test]
fn who_creates_a_config_map_owns_its_maps_and_their_entries() {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"l": "1"}}, "data": {"k": "v"}});
    let created = write(&config_map(), None, object, &writer("m1", "v1"));
    assert_managed(&created, &[("m1 Update", json!({"f:data": {".": {}, "f:k": {}}, "f:metadata": {"f:labels": {".": {}, "f:l": {}}}}))]);
    let entry = &created["metadata"]["managedFields"][0];
    assert_eq!(entry["time"], super::NOON);
    assert_eq!(entry["fieldsType"], "FieldsV1");
    assert_eq!(entry["apiVersion"], "v1");
}

#[test]
fn a_generated_name_is_managed_and_a_given_one_is_not() {
    let created = write(&config_map(), None, json!({"metadata": {"generateName": "gen-", "name": "gen-abcde"}}), &writer("difftest", "v1"));
    assert_managed(&created, &[("difftest Update", json!({"f:metadata": {"f:generateName": {}}}))]);
}

#[test]
fn updates_take_what_they_change_and_removing_leaves_the_map_with_its_owner() {
    let schema = config_map();
    let object = json!({"metadata": {"name": "a", "labels": {"l": "1"}}, "data": {"k": "v"}});
    let created = stored(write(&schema, None, object, &writer("m1", "v1")));
    let m1 = ("m1 Update", json!({"f:data": {}, "f:metadata": {"f:labels": {".": {}, "f:l": {}}}}));

    let put = write(&schema, Some(&created), json!({"data": {"k": "x"}}), &writer("m2", "v1"));
    assert_managed(&put, &[m1.clone(), ("m2 Update", json!({"f:data": {"f:k": {}}}))]);

    let patched = write(&schema, Some(&put), json!({"data": {"k": null, "j": "1"}}), &writer("m3", "v1"));
    assert_managed(&patched, &[m1.clone(), ("m3 Update", json!({"f:data": {"f:j": {}}}))]);

    let later = Writer { time: "2026-11-22T13:00:00Z", ..writer("m3", "v1") };
    assert_eq!(write(&schema, Some(&patched), json!({"data": {"j": "1"}}), &later), patched);

    let added = write(&schema, Some(&patched), json!({"data": {"q": "2"}}), &writer("difftest", "v1"));
    assert_managed(&added, &[("difftest Update", json!({"f:data": {"f:q": {}}})), m1, ("m3 Update", json!({"f:data": {"f:j": {}}}))]);
}

#[test]
fn a_namespace_is_owned_by_its_label_only() {
    let schema = builtin_schema("v1", "Namespace");
    let object = json!({"metadata": {"name": "n", "labels": {"kubernetes.io/metadata.name": "n"}}, "spec": {}, "status": {}});
    let created = write(&schema, None, object, &writer("difftest", "v1"));
    assert_managed(&created, &[("difftest Update", json!({"f:metadata": {"f:labels": {".": {}, "f:kubernetes.io/metadata.name": {}}}}))]);
}

fn deployment_config() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [
            {"name": "c", "image": "i:1", "ports": [{"containerPort": 80}], "env": [{"name": "X", "value": "1"}]}]}}}})
}

fn defaulted(mut deployment: Value) -> Value {
    let spec = &mut deployment["spec"];
    spec["strategy"] = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}});
    spec["progressDeadlineSeconds"] = json!(600);
    let pod = &mut spec["template"]["spec"];
    pod["restartPolicy"] = json!("Always");
    pod["securityContext"] = json!({});
    for container in pod["containers"].as_array_mut().unwrap() {
        container["imagePullPolicy"] = json!("IfNotPresent");
        container["resources"] = json!({});
        if let Some(ports) = container.get_mut("ports") {
            ports[0]["protocol"] = json!("TCP");
        }
    }
    deployment["status"] = json!({});
    deployment
}

fn applied_fields(env: bool) -> Value {
    let mut container = json!({".": {}, "f:image": {}, "f:name": {}, "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}});
    if env {
        container["f:env"] = json!({"k:{\"name\":\"X\"}": {".": {}, "f:name": {}, "f:value": {}}});
    }
    json!({"f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {
        "f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": container}}}}})
}

#[test]
fn a_deployment_is_applied_and_then_patched_by_others() {
    let schema = builtin_schema("apps/v1", "Deployment");
    let created = apply(&schema, None, &deployment_config(), &writer("A", "apps/v1"), false).unwrap();
    assert_managed(&created, &[("A Apply", applied_fields(true))]);
    let live = stored(defaulted(created));

    // A sidecar, put before the container that is there.
    let mut with_sidecar = live.clone();
    let sidecar = json!({"name": "side", "image": "s:1", "imagePullPolicy": "IfNotPresent", "resources": {}});
    with_sidecar["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().insert(0, sidecar);
    update(&schema, Some(&live), &mut with_sidecar, &writer("S", "apps/v1"));
    let side = json!({".": {}, "f:image": {}, "f:imagePullPolicy": {}, "f:name": {}, "f:resources": {}});
    let containers = |fields: Value| json!({"f:spec": {"f:template": {"f:spec": {"f:containers": fields}}}});
    let sidecar_fields = containers(json!({"k:{\"name\":\"side\"}": side}));
    assert_managed(&with_sidecar, &[("A Apply", applied_fields(true)), ("S Update", sidecar_fields)]);

    // One variable for another.
    let mut with_env = with_sidecar.clone();
    with_env["spec"]["template"]["spec"]["containers"][1]["env"] = json!([{"name": "Y", "value": "2"}]);
    update(&schema, Some(&with_sidecar), &mut with_env, &writer("S", "apps/v1"));
    let variable = json!({"f:env": {"k:{\"name\":\"Y\"}": {".": {}, "f:name": {}, "f:value": {}}}});
    let both = containers(json!({"k:{\"name\":\"c\"}": variable, "k:{\"name\":\"side\"}": side}));
    assert_managed(&with_env, &[("A Apply", applied_fields(false)), ("S Update", both)]);

    // All containers replaced by one.
    let mut replaced = with_env.clone();
    replaced["spec"]["template"]["spec"]["containers"] =
        json!([{"name": "only", "image": "o:1", "imagePullPolicy": "IfNotPresent", "resources": {}}]);
    replaced["spec"]["strategy"] = json!({"type": "Recreate"});
    update(&schema, Some(&with_env), &mut replaced, &writer("S", "apps/v1"));
    let applied = json!({"f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {"f:metadata": {"f:labels": {"f:a": {}}}}}});
    let mut only = containers(json!({"k:{\"name\":\"only\"}": side}));
    only["f:spec"]["f:strategy"] = json!({"f:type": {}});
    assert_managed(&replaced, &[("A Apply", applied), ("S Update", only.clone())]);

    // Scaled, and reported on.
    let scale = Writer { subresource: "scale", time: "", ..writer("difftest", "apps/v1") };
    let scaled = write(&schema, Some(&replaced), json!({"spec": {"replicas": 3}}), &scale);
    let status = Writer { subresource: "status", ..writer("difftest", "apps/v1") };
    let reported = write(&schema, Some(&scaled), json!({"status": {"replicas": 2}}), &status);
    assert_managed(
        &reported,
        &[
            ("A Apply", json!({"f:spec": {"f:selector": {}, "f:template": {"f:metadata": {"f:labels": {"f:a": {}}}}}})),
            ("S Update", only),
            ("difftest Update/scale", json!({"f:spec": {"f:replicas": {}}})),
            ("difftest Update/status", json!({"f:status": {"f:replicas": {}}})),
        ],
    );
    let entries = reported["metadata"]["managedFields"].as_array().unwrap();
    assert!(entries[1].get("time").is_none(), "scaling books no time, and no time sorts first among the updates: {entries:?}");
}

#[test]
fn who_creates_a_deployment_owns_pointers_but_not_the_structures_around_them() {
    let schema = builtin_schema("apps/v1", "Deployment");
    let created = write(&schema, None, defaulted(deployment_config()), &writer("kubectl-create", "apps/v1"));
    let env = json!({".": {}, "k:{\"name\":\"X\"}": {".": {}, "f:name": {}, "f:value": {}}});
    let ports = json!({".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:protocol": {}}});
    let container =
        json!({".": {}, "f:env": env, "f:image": {}, "f:imagePullPolicy": {}, "f:name": {}, "f:ports": ports, "f:resources": {}});
    let pod = json!({"f:containers": {"k:{\"name\":\"c\"}": container}, "f:restartPolicy": {}, "f:securityContext": {}});
    let strategy = json!({"f:rollingUpdate": {".": {}, "f:maxSurge": {}, "f:maxUnavailable": {}}, "f:type": {}});
    let template = json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}, "f:spec": pod});
    let fields = json!({"f:spec": {
        "f:progressDeadlineSeconds": {}, "f:replicas": {}, "f:selector": {}, "f:strategy": strategy, "f:template": template}});
    assert_managed(&created, &[("kubectl-create Update", fields)]);
}

#[test]
fn a_custom_resource_definition_and_its_status() {
    let schema = builtin_schema("apiextensions.k8s.io/v1", "CustomResourceDefinition");
    let names = json!({"categories": ["all"], "kind": "Widget", "listKind": "WidgetList", "plural": "widgets", "shortNames": ["dw"], "singular": "widget"});
    let object = json!({"metadata": {"name": "widgets.example.com"}, "spec": {
        "conversion": {"strategy": "None"}, "group": "example.com", "names": names, "scope": "Namespaced", "versions": [{"name": "v1", "served": true, "storage": true}]}});
    let created = stored(write(&schema, None, object, &writer("difftest", "apiextensions.k8s.io/v1")));
    let name_fields = json!({"f:categories": {}, "f:kind": {}, "f:listKind": {}, "f:plural": {}, "f:shortNames": {}, "f:singular": {}});
    let spec = json!({"f:spec": {"f:conversion": {".": {}, "f:strategy": {}}, "f:group": {}, "f:names": name_fields, "f:scope": {}, "f:versions": {}}});
    assert_managed(&created, &[("difftest Update", spec.clone())]);

    let server = Writer { subresource: "status", ..writer("kube-apiserver", "apiextensions.k8s.io/v1") };
    let condition = |kind: &str| json!({"type": kind, "status": "True"});
    let status = json!({"status": {"acceptedNames": names, "conditions": [condition("Established"), condition("NamesAccepted")]}});
    let established = write(&schema, Some(&created), status, &server);
    let condition = json!({".": {}, "f:status": {}, "f:type": {}});
    let conditions = json!({"k:{\"type\":\"Established\"}": condition, "k:{\"type\":\"NamesAccepted\"}": condition});
    assert_managed(
        &established,
        &[
            ("difftest Update", spec),
            ("kube-apiserver Update/status", json!({"f:status": {"f:acceptedNames": name_fields, "f:conditions": conditions}})),
        ],
    );
}

#[test]
fn leases_events_and_reviews() {
    let lease = json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"}});
    let created = write(&builtin_schema("coordination.k8s.io/v1", "Lease"), None, lease, &writer("difftest", "coordination.k8s.io/v1"));
    assert_managed(
        &created,
        &[("difftest Update", json!({"f:spec": {"f:holderIdentity": {}, "f:leaseDurationSeconds": {}, "f:renewTime": {}}}))],
    );

    let event = json!({"metadata": {"generateName": "gen-"}, "eventTime": "2026-01-01T00:00:00.000000Z", "action": "Act", "note": "n",
        "regarding": {"kind": "Widget", "name": "w"}, "deprecatedFirstTimestamp": null, "deprecatedSource": {}});
    let mut created = event.clone();
    update(&builtin_schema("events.k8s.io/v1", "Event"), None, &mut created, &writer("difftest", "events.k8s.io/v1"));
    let fields = json!({"f:action": {}, "f:eventTime": {}, "f:metadata": {"f:generateName": {}}, "f:note": {}, "f:regarding": {}});
    assert_managed(&created, &[("difftest Update", fields)]);

    let review = json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "difft"}}});
    let schema = builtin_schema("authorization.k8s.io/v1", "SelfSubjectAccessReview");
    let created = write(&schema, None, review, &writer("difftest", "authorization.k8s.io/v1"));
    let attributes = json!({".": {}, "f:namespace": {}, "f:resource": {}, "f:verb": {}});
    assert_managed(&created, &[("difftest Update", json!({"f:spec": {"f:resourceAttributes": attributes}}))]);
}
