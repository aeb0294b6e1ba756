#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::HashSet;
use std::path::Path;

use super::*;
use crate::schema::{Kind, ListKind, Schema};

fn named(group: &str, kind: &str) -> Arc<Resource> {
    resources().into_iter().find(|resource| resource.group == group && resource.kind == kind).unwrap()
}

#[test]
fn the_generated_files_are_what_the_generator_writes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let generated = generate::generate(&folder).unwrap();
    for file in &generated {
        let committed = std::fs::read_to_string(folder.join(&file.name)).unwrap_or_default();
        assert!(committed == file.text, "schemas/{} is out of date: run `cargo run -p embedded --example generate_schemas`", file.name);
    }
    let names: HashSet<&str> = generated.iter().map(|file| file.name.as_str()).collect();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.ends_with(".json") || names.contains(name.as_str()), "schemas/{name} is generated no more: delete it");
    }
}

/// Every object below a schema, each shared part once.
fn walk(schema: &Arc<Schema>, seen: &mut HashSet<*const Schema>, visit: &mut dyn FnMut(&Schema)) {
    if !seen.insert(Arc::as_ptr(schema)) {
        return;
    }
    visit(schema);
    for child in schema.properties.values().chain(&schema.items).chain(&schema.additional) {
        walk(child, seen, visit);
    }
}

#[test]
fn every_kind_has_a_schema_that_knows_its_fields() {
    let free_form = ["JSONSchemaProps", "JSON represents", "RawExtension", "FieldsV1"];
    for resource in resources().into_iter().chain(subresource_kinds()) {
        let schema = resource.schema();
        for field in ["apiVersion", "kind", "metadata"] {
            assert!(schema.properties.contains_key(field), "{} lacks {field}", resource.kind);
        }
        let mut seen = HashSet::new();
        walk(schema, &mut seen, &mut |node| {
            let known = node.kind != Kind::Any && !node.preserve_unknown;
            let meant = free_form.iter().any(|word| node.description.contains(word)) || !node.description.is_empty();
            assert!(known || meant, "{} has a node without type or description", resource.kind);
        });
    }
}

#[test]
fn shared_parts_are_in_memory_once() {
    let template = |kind: &str| {
        let resource = named("apps", kind);
        resource.schema().properties["spec"].properties["template"].properties["spec"].properties["containers"].items.clone().unwrap()
    };
    assert!(Arc::ptr_eq(&template("Deployment"), &template("StatefulSet")));
}

#[test]
fn lists_merge_by_their_keys() {
    let pod = named("", "Pod");
    let spec = &pod.schema().properties["spec"];
    let ports = &spec.properties["containers"].items.as_ref().unwrap().properties["ports"];
    assert_eq!(ports.list, ListKind::Map(vec!["containerPort".to_owned(), "protocol".to_owned()]));
    assert_eq!(ports.patch_merge_key.as_deref(), Some("containerPort"));
    assert!(spec.properties["volumes"].patch_merge && spec.properties["volumes"].patch_retain_keys);
    assert_eq!(pod.schema().properties["metadata"].properties["finalizers"].list, ListKind::Set);
    let limits = &spec.properties["containers"].items.as_ref().unwrap().properties["resources"].properties["limits"];
    assert_eq!(limits.additional.as_ref().unwrap().kind, Kind::IntOrString);
}

#[test]
fn a_fact_about_a_field_wins_over_one_about_its_type() {
    let volume = named("", "PersistentVolume");
    let claim = &volume.schema().properties["spec"].properties["claimRef"];
    assert_eq!(claim.map, crate::schema::MapKind::Granular);
    let owners = named("", "Event");
    assert_eq!(owners.schema().properties["involvedObject"].map, crate::schema::MapKind::Atomic);
}

#[test]
fn events_of_both_groups_share_their_storage_and_no_other_kinds_do() {
    assert_eq!(named("", "Event").storage, named("events.k8s.io", "Event").storage);
    assert_eq!(named("apps", "Deployment").storage, "apps/deployments");
    let all: Vec<String> = resources().iter().map(|resource| resource.storage.clone()).collect();
    let distinct: HashSet<&String> = all.iter().collect();
    assert_eq!(distinct.len(), all.len() - 1);
}

#[test]
fn questions_to_the_server_can_only_be_created() {
    for resource in resources() {
        let question = resource.group.starts_with("authorization") || resource.group.starts_with("authentication");
        assert_eq!(resource.verbs == ["create"], question, "{}", resource.kind);
    }
}

#[test]
fn listing_the_kinds_builds_no_schema() {
    for resource in resources() {
        assert_eq!(format!("{:?}", resource.schema), "LazySchema(not built)", "{}", resource.kind);
    }
}

/// Objects as clients send them, of kinds that differ in what is optional.
fn manifests() -> Vec<serde_json::Value> {
    let template = serde_json::json!({"metadata": {"labels": {"a": "b"}}, "spec": {
        "containers": [{"name": "c", "image": "i", "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "resources": {"limits": {"cpu": 0.5, "memory": "1Gi"}}, "readinessProbe": {"httpGet": {"port": "http"}},
            "ports": [{"name": "http", "containerPort": 80}], "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        "volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, {"configMap": {"name": "c"}}]}}]}});
    let selector = serde_json::json!({"matchLabels": {"a": "b"}});
    let object = |api_version: &str, kind: &str, rest: serde_json::Value| {
        let mut object = serde_json::json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "n"}});
        for (field, value) in rest.as_object().unwrap() {
            object[field] = value.clone();
        }
        object
    };
    let json = |text: &str| serde_json::from_str(text).unwrap();
    let time = "2026-01-01T00:00:00Z";
    vec![
        object("v1", "Namespace", json("{}")),
        object("v1", "ServiceAccount", json("{}")),
        object("v1", "Service", json(r#"{"spec":{"selector":{"a":"b"},"ports":[{"port":80,"targetPort":"http"}]}}"#)),
        object("v1", "Node", json(r#"{"status":{"conditions":[{"type":"Ready","status":"True"}],"capacity":{"cpu":"2","pods":110}}}"#)),
        object(
            "v1",
            "PersistentVolumeClaim",
            json(r#"{"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}"#),
        ),
        object(
            "v1",
            "Event",
            json(r#"{"metadata":{"name":"e","namespace":"n"},"involvedObject":{"kind":"Pod","name":"p","namespace":"n"},"reason":"R"}"#),
        ),
        object(
            "v1",
            "Pod",
            serde_json::json!({"spec": template["spec"], "status": {"phase": "Running", "startTime": time, "conditions":
            [{"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": time}],
            "containerStatuses": [{"name": "c", "ready": true, "restartCount": 0, "state": {"running": {"startedAt": time}}}]}}),
        ),
        object("apps/v1", "Deployment", serde_json::json!({"spec": {"selector": selector, "template": template}})),
        object(
            "apps/v1",
            "StatefulSet",
            serde_json::json!({"spec": {"selector": selector, "template": template, "serviceName": "s",
            "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {"accessModes": ["ReadWriteOnce"]}}]}}),
        ),
        object("apps/v1", "DaemonSet", serde_json::json!({"spec": {"selector": selector, "template": template}})),
        object("coordination.k8s.io/v1", "Lease", json(r#"{"spec":{"holderIdentity":"h","renewTime":"2026-01-01T00:00:00.000000Z"}}"#)),
        object("rbac.authorization.k8s.io/v1", "Role", json(r#"{"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get"]}]}"#)),
        object("rbac.authorization.k8s.io/v1", "ClusterRole", json("{}")),
        object(
            "rbac.authorization.k8s.io/v1",
            "ClusterRoleBinding",
            json(
                r#"{"roleRef":{"kind":"ClusterRole","name":"r"},
            "subjects":[{"kind":"ServiceAccount","name":"s","namespace":"n"}]}"#,
            ),
        ),
        object("networking.k8s.io/v1", "NetworkPolicy", json(r#"{"spec":{"podSelector":{},"egress":[{}]}}"#)),
        object("policy/v1", "PodDisruptionBudget", json(r#"{"spec":{"maxUnavailable":"50%","selector":{"matchLabels":{"a":"b"}}}}"#)),
        object("scheduling.k8s.io/v1", "PriorityClass", json(r#"{"value":5}"#)),
        object("storage.k8s.io/v1", "StorageClass", json(r#"{"provisioner":"p"}"#)),
        object(
            "admissionregistration.k8s.io/v1",
            "ValidatingAdmissionPolicy",
            json(
                r#"{"spec":{"matchConstraints":{"resourceRules":
            [{"apiGroups":[""],"apiVersions":["v1"],"operations":["DELETE"],"resources":["pods"]}]},"validations":[{"expression":"true"}]}}"#,
            ),
        ),
        object(
            "admissionregistration.k8s.io/v1",
            "ValidatingAdmissionPolicyBinding",
            json(r#"{"spec":{"policyName":"p","validationActions":["Deny"]}}"#),
        ),
        object(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            json(
                r#"{"metadata":{"name":"widgets.example.com"},"spec":{
            "group":"example.com","scope":"Namespaced","names":{"plural":"widgets","kind":"Widget"},"versions":[{"name":"v1","served":true,
            "storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","default":{"a":1},
            "x-kubernetes-preserve-unknown-fields":true}}}}}]}}"#,
            ),
        ),
        object(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            json(r#"{"spec":{"maxReplicas":3,"scaleTargetRef":{"kind":"Deployment","name":"d"}}}"#),
        ),
        object(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            json(r#"{"addressType":"IPv4","endpoints":[{"addresses":["127.0.0.1"]}],"ports":[{"port":80}]}"#),
        ),
    ]
}

#[test]
fn what_clients_send_passes_schema_and_rules() {
    for mut object in manifests() {
        let resource = resources()
            .into_iter()
            .find(|r| object["apiVersion"] == r.api_version().as_str() && object["kind"] == r.kind.as_str())
            .unwrap();
        assert_eq!(crate::schema::unknown_fields(resource.schema(), &object), Vec::<String>::new(), "{}", resource.kind);
        let before = object.clone();
        crate::schema::prune(resource.schema(), &mut object);
        assert_eq!(object, before, "nothing of a {} is pruned", resource.kind);
        crate::schema::apply_defaults(resource.schema(), &mut object);
        default_object(&resource, &mut object);
        let mut errors = crate::schema::validate(resource.schema(), &object, None);
        errors.extend(validate_metadata(&resource, &object, None));
        errors.extend(validate_object(&resource, &object, None));
        assert_eq!(errors, [], "{}: {object}", resource.kind);
    }
}
