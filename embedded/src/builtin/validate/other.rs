//! Access control, leases, volumes, networks and the rest.

use serde_json::{Value, json};

use super::{faults, immutable, not_negative, policies, selectors, unsupported};
use crate::builtin::json::{is_set, items_at, text_at};
use crate::builtin::names;
use crate::policy;
use crate::status::FieldError;

const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) fn validate(group: &str, kind: &str, object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    match (group, kind) {
        (RBAC, "Role" | "ClusterRole") => validate_rules(kind, object, errors),
        (RBAC, _) => validate_binding(kind, object, old, errors),
        ("coordination.k8s.io", "Lease") => validate_lease(object, errors),
        ("", "PersistentVolumeClaim") => validate_claim(object, old, errors),
        ("", "Event") => validate_event(object, "involvedObject", errors),
        ("events.k8s.io", "Event") => validate_event(object, "regarding", errors),
        ("policy", "PodDisruptionBudget") => validate_budget(object, errors),
        ("networking.k8s.io", "Ingress") => validate_ingress(object, errors),
        ("networking.k8s.io", "NetworkPolicy") => {
            if let Some(selector) = object.pointer("/spec/podSelector") {
                selectors::validate(selector, "spec.podSelector", errors);
            }
        }
        ("scheduling.k8s.io", "PriorityClass") => validate_priority(object, old, errors),
        ("storage.k8s.io", "StorageClass") => validate_storage_class(object, old, errors),
        ("discovery.k8s.io", "EndpointSlice") => {
            if let Some(old) = old {
                immutable(errors, object, old, "/addressType");
            }
        }
        (policy::GROUP, kind) => policies::validate(kind, object, errors),
        _ => {}
    }
}

fn validate_rules(kind: &str, role: &Value, errors: &mut Vec<FieldError>) {
    for (index, rule) in items_at(role, "/rules").iter().enumerate() {
        let field = format!("rules[{index}]");
        let has = |list: &str| !items_at(rule, &format!("/{list}")).is_empty();
        if !has("verbs") {
            errors.push(FieldError::required(format!("{field}.verbs"), "verbs must contain at least one value"));
        }
        if has("nonResourceURLs") {
            let urls = rule.get("nonResourceURLs").unwrap_or(&Value::Null);
            if kind == "Role" {
                let detail = "namespaced rules cannot apply to non-resource URLs";
                errors.push(FieldError::invalid(format!("{field}.nonResourceURLs"), urls, detail));
            } else if has("apiGroups") || has("resources") || has("resourceNames") {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                errors.push(FieldError::invalid(format!("{field}.nonResourceURLs"), urls, detail));
            }
            continue;
        }
        if !has("apiGroups") {
            errors.push(FieldError::required(format!("{field}.apiGroups"), "resource rules must supply at least one api group"));
        }
        if !has("resources") {
            errors.push(FieldError::required(format!("{field}.resources"), "resource rules must supply at least one resource"));
        }
    }
}

fn validate_binding(kind: &str, binding: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let role = |field: &str| text_at(binding, &format!("/roleRef/{field}")).unwrap_or_default();
    if role("apiGroup") != RBAC {
        errors.push(unsupported("roleRef.apiGroup", role("apiGroup"), &[RBAC]));
    }
    let kinds: &[&str] = if kind == "RoleBinding" { &["ClusterRole", "Role"] } else { &["ClusterRole"] };
    if !kinds.contains(&role("kind")) {
        errors.push(unsupported("roleRef.kind", role("kind"), kinds));
    }
    match role("name") {
        "" => errors.push(FieldError::required("roleRef.name", "")),
        name => faults(errors, "roleRef.name", name, names::path_segment(name)),
    }
    for (index, subject) in items_at(binding, "/subjects").iter().enumerate() {
        validate_subject(subject, &format!("subjects[{index}]"), errors);
    }
    if let Some(old) = old
        && let Some(reference) = binding.get("roleRef").filter(|reference| old.get("roleRef") != Some(reference))
    {
        errors.push(FieldError::invalid("roleRef", reference, "cannot change roleRef"));
    }
}

fn validate_subject(subject: &Value, field: &str, errors: &mut Vec<FieldError>) {
    let name = text_at(subject, "/name").unwrap_or_default();
    let group = text_at(subject, "/apiGroup").unwrap_or_default();
    if name.is_empty() {
        errors.push(FieldError::required(format!("{field}.name"), ""));
    }
    match text_at(subject, "/kind").unwrap_or_default() {
        "ServiceAccount" => {
            if !name.is_empty() {
                faults(errors, &format!("{field}.name"), name, names::subdomain(name));
            }
            if !group.is_empty() {
                errors.push(unsupported(format!("{field}.apiGroup"), group, &[""]));
            }
            if text_at(subject, "/namespace").is_none() {
                errors.push(FieldError::required(format!("{field}.namespace"), ""));
            }
        }
        "User" | "Group" => {
            if group != RBAC {
                errors.push(unsupported(format!("{field}.apiGroup"), group, &[RBAC]));
            }
        }
        kind => errors.push(unsupported(format!("{field}.kind"), kind, &["Group", "ServiceAccount", "User"])),
    }
}

fn validate_lease(lease: &Value, errors: &mut Vec<FieldError>) {
    if let Some(seconds) = lease.pointer("/spec/leaseDurationSeconds").filter(|value| value.as_i64().is_some_and(|seconds| seconds <= 0)) {
        errors.push(FieldError::invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
    }
    not_negative(errors, lease, "/spec/leaseTransitions");
}

fn validate_claim(claim: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    if items_at(claim, "/spec/accessModes").is_empty() {
        errors.push(FieldError::required("spec.accessModes", "at least 1 access mode is required"));
    }
    if !is_set(claim, "/spec/resources/requests/storage") {
        errors.push(FieldError::required("spec.resources[storage]", ""));
    }
    let Some(old) = old else { return };
    let fixed = |claim: &Value| {
        let mut spec = claim.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
        // Binding fills in the volume, and a claim may ask for more than it has.
        for field in ["resources", "volumeAttributesClassName"] {
            spec.remove(field);
        }
        if text_at(old, "/spec/volumeName").is_none() {
            spec.remove("volumeName");
        }
        if !is_set(old, "/spec/storageClassName") {
            spec.remove("storageClassName");
        }
        spec
    };
    if fixed(claim) != fixed(old) {
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        errors.push(FieldError::forbidden("spec", detail));
    }
}

/// An event lives in the namespace of what it is about; about things without a namespace, in `default` or `kube-system`.
fn validate_event(event: &Value, about: &str, errors: &mut Vec<FieldError>) {
    let own = text_at(event, "/metadata/namespace").unwrap_or_default();
    let namespace = text_at(event, &format!("/{about}/namespace")).unwrap_or_default();
    let fits = if namespace.is_empty() { matches!(own, "" | "default" | "kube-system") } else { own == namespace };
    if !fits {
        errors.push(FieldError::invalid("involvedObject.namespace", &json!(namespace), "does not match event.namespace"));
    }
    if about == "regarding" && is_set(event, "/eventTime") {
        for field in ["reportingController", "reportingInstance", "action", "reason"] {
            if text_at(event, &format!("/{field}")).is_none() {
                errors.push(FieldError::required(field, ""));
            }
        }
        if !matches!(text_at(event, "/type"), Some("Normal" | "Warning")) {
            let kind = text_at(event, "/type").unwrap_or_default();
            errors.push(FieldError::invalid("type", &json!(""), format!("has invalid value: {kind}")));
        }
    }
}

fn validate_budget(budget: &Value, errors: &mut Vec<FieldError>) {
    if is_set(budget, "/spec/minAvailable") && is_set(budget, "/spec/maxUnavailable") {
        let spec = budget.get("spec").unwrap_or(&Value::Null);
        errors.push(FieldError::invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"));
    }
    not_negative(errors, budget, "/spec/minAvailable");
    not_negative(errors, budget, "/spec/maxUnavailable");
    if let Some(selector) = budget.pointer("/spec/selector") {
        selectors::validate(selector, "spec.selector", errors);
    }
}

fn validate_ingress(ingress: &Value, errors: &mut Vec<FieldError>) {
    let rules = items_at(ingress, "/spec/rules");
    if rules.is_empty() && !is_set(ingress, "/spec/defaultBackend") {
        errors.push(FieldError::invalid("spec", &json!([]), "either `defaultBackend` or `rules` must be specified"));
    }
    for (index, rule) in rules.iter().enumerate() {
        for (position, path) in items_at(rule, "/http/paths").iter().enumerate() {
            let field = format!("spec.rules[{index}].http.paths[{position}].path");
            let text = text_at(path, "/path").unwrap_or_default();
            let exact = matches!(text_at(path, "/pathType"), Some("Exact" | "Prefix"));
            if (exact || !text.is_empty()) && !text.starts_with('/') {
                errors.push(FieldError::invalid(field, &json!(text), "must be an absolute path"));
            }
        }
    }
}

fn validate_priority(class: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let name = text_at(class, "/metadata/name").unwrap_or_default();
    if name.starts_with("system-") && !matches!(name, "system-node-critical" | "system-cluster-critical") {
        let detail = "priority class names with 'system-' prefix are reserved for system use only. error: only system priority classes may start with it";
        errors.push(FieldError::forbidden("metadata.name", detail));
    }
    if let Some(old) = old
        && class.get("value") != old.get("value")
    {
        errors.push(FieldError::forbidden("value", "may not be changed in an update."));
    }
}

fn validate_storage_class(class: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let Some(old) = old else { return };
    for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
        if class.get(field) == old.get(field) {
            continue;
        }
        errors.push(match field {
            "volumeBindingMode" => FieldError::invalid(field, class.get(field).unwrap_or(&Value::Null), super::IMMUTABLE),
            _ => FieldError::forbidden(field, format!("updates to {field} are forbidden.")),
        });
    }
}
