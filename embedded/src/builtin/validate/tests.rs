#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::builtin::{default_object, resources};

fn defaulted(kind: &str, mut object: Value) -> (std::sync::Arc<Resource>, Value) {
    let resource = resources().into_iter().find(|resource| resource.kind == kind).unwrap();
    crate::schema::apply_defaults(resource.schema(), &mut object);
    default_object(&resource, &mut object);
    (resource, object)
}

fn on_create(kind: &str, object: Value) -> Vec<String> {
    let (resource, object) = defaulted(kind, object);
    validate_object(&resource, &object, None).iter().map(ToString::to_string).collect()
}

fn on_update(kind: &str, old: Value, new: Value) -> Vec<String> {
    let (resource, old) = defaulted(kind, old);
    let (_, new) = defaulted(kind, new);
    validate_object(&resource, &new, Some(&old)).iter().map(ToString::to_string).collect()
}

fn none() -> Vec<String> {
    Vec::new()
}

fn deployment(selector: &str, label: &str) -> Value {
    json!({"metadata": {"name": "d"}, "spec": {
        "selector": {"matchLabels": {"a": selector}},
        "template": {"metadata": {"labels": {"a": label}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}})
}

#[test]
fn a_deployment_selects_the_pods_it_makes() {
    assert_eq!(on_create("Deployment", deployment("b", "b")), none());
    let text = r#"spec.template.metadata.labels: Invalid value: {"a":"c"}: `selector` does not match template `labels`"#;
    assert_eq!(on_create("Deployment", deployment("b", "c")), [text]);
    let mut empty = deployment("b", "b");
    empty["spec"]["selector"] = json!({});
    assert_eq!(on_create("Deployment", empty), ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"]);
}

#[test]
fn a_selector_with_expressions_is_matched_too() {
    let mut object = deployment("b", "b");
    object["spec"]["selector"] = json!({"matchExpressions": [
        {"key": "a", "operator": "In", "values": ["b", "c"]}, {"key": "z", "operator": "DoesNotExist"}]});
    assert_eq!(on_create("Deployment", object.clone()), none());
    object["spec"]["selector"]["matchExpressions"][0]["operator"] = json!("NotIn");
    assert_eq!(on_create("Deployment", object).len(), 1);
}

#[test]
fn a_deployments_selector_never_changes() {
    let found = on_update("Deployment", deployment("b", "b"), deployment("c", "c"));
    assert_eq!(found, [r#"spec.selector: Invalid value: {"matchLabels":{"a":"c"}}: field is immutable"#]);
}

#[test]
fn a_recreated_deployment_has_no_rolling_update() {
    let mut object = deployment("b", "b");
    object["spec"]["strategy"] = json!({"type": "Recreate", "rollingUpdate": {"maxSurge": 1}});
    let text = "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'";
    assert_eq!(on_create("Deployment", object), [text]);
}

#[test]
fn data_keys_are_file_names() {
    let found = on_create("ConfigMap", json!({"metadata": {"name": "c"}, "data": {"a/b": "", "ok.x": ""}}));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with(r#"data[a/b]: Invalid value: "a/b": a valid config key must consist of"#), "{found:?}");
}

#[test]
fn an_immutable_config_map_or_secret_stays() {
    let text = "field is immutable when `immutable` is set";
    let old = json!({"metadata": {"name": "c"}, "immutable": true, "data": {"a": "YQ=="}});
    let changed = json!({"metadata": {"name": "c"}, "immutable": true, "data": {"a": "Yg=="}});
    let released = json!({"metadata": {"name": "c"}, "data": {"a": "YQ=="}});
    for kind in ["ConfigMap", "Secret"] {
        assert_eq!(on_update(kind, old.clone(), old.clone()), none());
        assert_eq!(on_update(kind, old.clone(), changed.clone()), [format!("data: Forbidden: {text}")]);
        assert_eq!(on_update(kind, old.clone(), released.clone()), [format!("immutable: Forbidden: {text}")]);
        assert_eq!(on_update(kind, released.clone(), changed.clone()), none());
    }
}

#[test]
fn a_secret_keeps_its_type_and_the_keys_it_promises() {
    let tls = json!({"metadata": {"name": "s"}, "type": "kubernetes.io/tls", "stringData": {"tls.crt": "x"}});
    assert_eq!(on_create("Secret", tls), ["data[tls.key]: Required value"]);
    let of = |kind: &str| json!({"metadata": {"name": "s"}, "type": kind});
    assert_eq!(on_update("Secret", of("a"), of("b")), [r#"type: Invalid value: "b": field is immutable"#]);
}

#[test]
fn the_role_of_a_binding_never_changes() {
    let binding = |name: &str| json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": name}, "subjects": [{"kind": "User", "name": "u"}]});
    assert_eq!(on_create("RoleBinding", binding("r")), none());
    let found = on_update("RoleBinding", binding("r"), binding("s"));
    let reference = r#"{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"s"}"#;
    assert_eq!(found, [format!("roleRef: Invalid value: {reference}: cannot change roleRef")]);
}

#[test]
fn a_role_rule_says_what_it_is_about() {
    let role = json!({"metadata": {"name": "r"}, "rules": [{"verbs": []}, {"verbs": ["get"], "nonResourceURLs": ["/x"]}]});
    let expected = [
        "rules[0].verbs: Required value: verbs must contain at least one value",
        "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
        "rules[0].resources: Required value: resource rules must supply at least one resource",
        r#"rules[1].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs"#,
    ];
    assert_eq!(on_create("Role", role), expected);
}

#[test]
fn a_pods_parts_fit_together() {
    let pod = json!({"metadata": {"name": "p"}, "spec": {
        "volumes": [{"name": "v"}],
        "containers": [
            {"name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "w", "mountPath": "/a"}]},
            {"name": "c", "ports": [{"containerPort": 70000}], "livenessProbe": {}}]}});
    let expected = [
        r#"spec.containers[0].volumeMounts[1].name: Not found: "w""#,
        r#"spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique"#,
        r#"spec.containers[1].name: Duplicate value: "c""#,
        "spec.containers[1].image: Required value",
        "spec.containers[1].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        "spec.containers[1].livenessProbe: Required value: must specify a handler type",
    ];
    assert_eq!(on_create("Pod", pod), expected);
}

#[test]
fn a_pod_may_be_placed_and_get_new_images_and_nothing_else() {
    let pod = |image: &str, node: Option<&str>, command: &str| {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": image, "command": [command]}]}});
        if let Some(node) = node {
            pod["spec"]["nodeName"] = json!(node);
        }
        pod
    };
    assert_eq!(on_update("Pod", pod("i:1", None, "a"), pod("i:2", Some("n"), "a")), none());
    for changed in [pod("i:1", Some("m"), "a"), pod("i:1", Some("n"), "b")] {
        let found = on_update("Pod", pod("i:1", Some("n"), "a"), changed);
        assert!(found[0].starts_with("spec: Forbidden: pod updates may not change fields other than"), "{found:?}");
    }
}

#[test]
fn a_jobs_pods_end() {
    let job = |policy: &str| {
        let template = json!({"spec": {"restartPolicy": policy, "containers": [{"name": "c", "image": "i"}]}});
        json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": template}})
    };
    assert_eq!(on_create("Job", job("Never")), none());
    assert_eq!(
        on_create("Job", job("Always")),
        [r#"spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never""#]
    );
    let found = on_update("Job", job("Never"), job("OnFailure"));
    assert!(found[0].starts_with("spec.template: Invalid value: ") && found[0].ends_with(": field is immutable"), "{found:?}");
}

#[test]
fn a_services_ports_are_named_and_its_address_stays() {
    let service = |spec: Value| json!({"metadata": {"name": "s"}, "spec": spec});
    assert_eq!(on_create("Service", service(json!({}))), ["spec.ports: Required value"]);
    assert_eq!(on_create("Service", service(json!({"clusterIP": "None"}))), none());
    let unnamed = service(json!({"ports": [{"port": 1, "name": "a"}, {"port": 2}]}));
    assert_eq!(on_create("Service", unnamed), ["spec.ports[1].name: Required value"]);
    let at = |address: &str| service(json!({"clusterIP": address, "ports": [{"port": 1}]}));
    let found = on_update("Service", at("10.0.0.1"), at("10.0.0.2"));
    assert_eq!(found, [r#"spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set"#]);
}

#[test]
fn a_definition_is_called_by_its_plural_and_group() {
    let definition = |name: &str| {
        json!({"metadata": {"name": name}, "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}})
    };
    assert_eq!(on_create("CustomResourceDefinition", definition("widgets.example.com")), none());
    let text = r#"metadata.name: Invalid value: "wrong.example.com": must be spec.names.plural+"."+spec.group"#;
    assert_eq!(on_create("CustomResourceDefinition", definition("wrong.example.com")), [text]);
}

#[test]
fn a_lease_lasts() {
    let found = on_create("Lease", json!({"metadata": {"name": "l"}, "spec": {"leaseDurationSeconds": 0}}));
    assert_eq!(found, ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"]);
}
