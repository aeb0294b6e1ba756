//! Defaults of the kinds that are neither pods nor make any.

use base64::Engine as _;
use serde_json::{Map, Value, json};

use crate::builtin::json::{fill as set, fill_at, is_set, items_at, items_at_mut, object_at_mut, text_at};

const RBAC: &str = "rbac.authorization.k8s.io";

/// Fills in what depends on other fields.
pub(super) fn fill(group: &str, kind: &str, object: &mut Value) {
    match (group, kind) {
        ("", "Namespace") => fill_namespace(object),
        ("", "Secret") => encode_string_data(object),
        ("", "Service") => fill_service(object),
        ("", "PersistentVolumeClaim" | "PersistentVolume") => fill_at(object, "/status", "phase", || json!("Pending")),
        ("", "LimitRange") => items_at_mut(object, "/spec/limits").iter_mut().for_each(fill_limits),
        ("networking.k8s.io", "NetworkPolicy") => fill_network_policy(object),
        (RBAC, "RoleBinding" | "ClusterRoleBinding") => fill_binding(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => fill_definition(object),
        ("admissionregistration.k8s.io", _) => fill_admission(object),
        _ => {}
    }
}

/// The label lets selectors name namespaces; the finalizer keeps the namespace until it is empty.
fn fill_namespace(namespace: &mut Value) {
    let name = namespace.pointer("/metadata/name").cloned();
    fill_at(namespace, "/status", "phase", || json!("Active"));
    if namespace.pointer("/metadata/deletionTimestamp").is_none() {
        fill_at(namespace, "/spec", "finalizers", || json!(["kubernetes"]));
    }
    if let Some(name) = name.filter(|name| name.as_str().is_some_and(|name| !name.is_empty())) {
        fill_at(namespace, "/metadata", "labels", || json!({}));
        if let Some(labels) = object_at_mut(namespace, "/metadata/labels") {
            labels.insert("kubernetes.io/metadata.name".to_owned(), name);
        }
    }
}

/// `stringData` is for writing only: its texts win over what `data` has under the same key.
fn encode_string_data(secret: &mut Value) {
    let Value::Object(fields) = secret else { return };
    let Some(Value::Object(texts)) = fields.remove("stringData") else { return };
    if texts.is_empty() {
        return;
    }
    set(fields, "data", || json!({}));
    if let Some(Value::Object(data)) = fields.get_mut("data") {
        for (key, text) in texts {
            let encoded = base64::engine::general_purpose::STANDARD.encode(text.as_str().unwrap_or_default());
            data.insert(key, json!(encoded));
        }
    }
}

fn fill_service(service: &mut Value) {
    let kind = text_at(service, "/spec/type").unwrap_or("ClusterIP").to_owned();
    for port in items_at_mut(service, "/spec/ports").iter_mut().filter_map(Value::as_object_mut) {
        if let Some(number) = port.get("port").cloned() {
            let unset = port.get("targetPort").is_some_and(|target| *target == json!(0) || *target == json!(""));
            if unset {
                port.remove("targetPort");
            }
            set(port, "targetPort", || number);
        }
    }
    if kind != "ExternalName" {
        fill_at(service, "/spec", "internalTrafficPolicy", || json!("Cluster"));
    }
    if kind == "NodePort" || kind == "LoadBalancer" {
        fill_at(service, "/spec", "externalTrafficPolicy", || json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        fill_at(service, "/spec", "allocateLoadBalancerNodePorts", || json!(true));
    }
    if text_at(service, "/spec/sessionAffinity") == Some("ClientIP") {
        fill_at(service, "/spec", "sessionAffinityConfig", || json!({"clientIP": {"timeoutSeconds": 10_800}}));
    }
}

/// Limits of containers that say only a part: the default is the maximum, the default request the default, else the minimum.
fn fill_limits(limit: &mut Value) {
    if text_at(limit, "/type") != Some("Container") {
        return;
    }
    for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
        let amounts = limit.get(from).and_then(Value::as_object).cloned().unwrap_or_default();
        if !amounts.is_empty() {
            fill_at(limit, "", to, || json!({}));
        }
        for (resource, amount) in amounts {
            fill_at(limit, &format!("/{to}"), &resource, || amount);
        }
    }
}

fn fill_network_policy(policy: &mut Value) {
    let types = if items_at(policy, "/spec/egress").is_empty() { json!(["Ingress"]) } else { json!(["Ingress", "Egress"]) };
    if items_at(policy, "/spec/policyTypes").is_empty() {
        fill_at(policy, "/spec", "policyTypes", || types);
    }
}

fn fill_binding(binding: &mut Value) {
    for subject in items_at_mut(binding, "/subjects").iter_mut().filter_map(Value::as_object_mut) {
        if matches!(subject.get("kind").and_then(Value::as_str), Some("User" | "Group")) {
            set(subject, "apiGroup", || json!(RBAC));
        }
    }
    if text_at(binding, "/roleRef/apiGroup").is_none()
        && is_set(binding, "/roleRef/kind")
        && let Some(role) = object_at_mut(binding, "/roleRef")
    {
        role.insert("apiGroup".to_owned(), json!(RBAC));
    }
}

fn fill_definition(definition: &mut Value) {
    if let Some(kind) = text_at(definition, "/spec/names/kind").map(str::to_owned) {
        fill_at(definition, "/spec/names", "singular", || json!(kind.to_lowercase()));
        fill_at(definition, "/spec/names", "listKind", || json!(format!("{kind}List")));
    }
    let stored: Vec<Value> = items_at(definition, "/spec/versions")
        .iter()
        .filter(|version| version.get("storage") == Some(&json!(true)))
        .filter_map(|version| version.get("name").cloned())
        .collect();
    if let Some(status) = object_at_mut(definition, "/status") {
        add_stored_versions(status, stored);
    }
}

/// Versions that objects were ever stored in; only a person who migrated them takes one away.
fn add_stored_versions(status: &mut Map<String, Value>, stored: Vec<Value>) {
    set(status, "storedVersions", || json!([]));
    if let Some(Value::Array(versions)) = status.get_mut("storedVersions") {
        for version in stored {
            if !versions.contains(&version) {
                versions.push(version);
            }
        }
    }
}

/// Rules say for each where it applies.
fn fill_admission(policy: &mut Value) {
    for part in ["/spec/matchConstraints", "/spec/matchResources"] {
        for rules in ["resourceRules", "excludeResourceRules"] {
            for rule in items_at_mut(policy, &format!("{part}/{rules}")).iter_mut().filter_map(Value::as_object_mut) {
                set(rule, "scope", || json!("*"));
            }
        }
    }
}
