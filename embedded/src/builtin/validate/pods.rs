//! Pods and pod templates.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{faults, not_found};
use crate::builtin::json::{is_set, items_at, text_at};
use crate::builtin::{metadata, names};
use crate::status::FieldError;

const PORTS: &str = "must be between 1 and 65535, inclusive";

pub(super) fn validate_pod(pod: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    validate_spec(pod.get("spec").unwrap_or(&Value::Null), "spec", errors);
    if let Some(old) = old {
        validate_update(pod, old, errors);
    }
}

/// The template at `pointer` of a workload.
pub(super) fn validate_template(object: &Value, pointer: &str, errors: &mut Vec<FieldError>) {
    let field = super::path(pointer);
    let Some(template) = object.pointer(pointer) else { return };
    metadata::validate_labels(template.pointer("/metadata/labels"), &format!("{field}.metadata.labels"), errors);
    validate_spec(template.get("spec").unwrap_or(&Value::Null), &format!("{field}.spec"), errors);
}

fn validate_spec(spec: &Value, field: &str, errors: &mut Vec<FieldError>) {
    let volumes = validate_volumes(spec, field, errors);
    // The schema asks for the list where there is a spec; only this sees that it is empty.
    if spec.is_null() || spec.pointer("/containers") == Some(&json!([])) {
        errors.push(FieldError::required(format!("{field}.containers"), ""));
    }
    let mut seen = BTreeSet::new();
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for (index, container) in items_at(spec, &format!("/{list}")).iter().enumerate() {
            let field = format!("{field}.{list}[{index}]");
            if let Some(name) = text_at(container, "/name") {
                faults(errors, &format!("{field}.name"), name, names::label(name));
                if !seen.insert(name.to_owned()) {
                    errors.push(FieldError::duplicate(format!("{field}.name"), &json!(name)));
                }
            }
            validate_container(container, &field, &volumes, errors);
        }
    }
    super::not_negative_below(errors, spec, field, &["terminationGracePeriodSeconds"]);
    if let Some(value) = spec.get("activeDeadlineSeconds")
        && value.as_i64().is_some_and(|seconds| !(1..=i64::from(i32::MAX)).contains(&seconds))
    {
        errors.push(FieldError::invalid(format!("{field}.activeDeadlineSeconds"), value, "must be between 1 and 2147483647, inclusive"));
    }
}

fn validate_volumes(spec: &Value, field: &str, errors: &mut Vec<FieldError>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for (index, volume) in items_at(spec, "/volumes").iter().enumerate() {
        let field = format!("{field}.volumes[{index}]");
        let name = text_at(volume, "/name").unwrap_or_default();
        faults(errors, &format!("{field}.name"), name, names::label(name));
        if !seen.insert(name.to_owned()) {
            errors.push(FieldError::duplicate(format!("{field}.name"), &json!(name)));
        }
        let mut sources = volume.as_object().into_iter().flatten().filter(|(key, value)| *key != "name" && !value.is_null());
        if let (Some(_), Some((second, _))) = (sources.next(), sources.next()) {
            errors.push(FieldError::forbidden(format!("{field}.{second}"), "may not specify more than 1 volume type"));
        }
    }
    seen
}

fn validate_container(container: &Value, field: &str, volumes: &BTreeSet<String>, errors: &mut Vec<FieldError>) {
    match container.get("image").and_then(Value::as_str).unwrap_or_default() {
        "" => errors.push(FieldError::required(format!("{field}.image"), "")),
        image if image.trim() != image => {
            errors.push(FieldError::invalid(format!("{field}.image"), &json!(image), "must not have leading or trailing whitespace"));
        }
        _ => {}
    }
    validate_ports(container, field, errors);
    validate_environment(container, field, errors);
    validate_mounts(container, field, volumes, errors);
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(value) = container.get(probe).filter(|value| value.is_object()) {
            validate_probe(value, &format!("{field}.{probe}"), errors);
        }
    }
}

fn validate_ports(container: &Value, field: &str, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, port) in items_at(container, "/ports").iter().enumerate() {
        let field = format!("{field}.ports[{index}]");
        if let Some(name) = text_at(port, "/name") {
            faults(errors, &format!("{field}.name"), name, names::port_name(name));
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{field}.name"), &json!(name)));
            }
        }
        if let Some(number) = port.get("containerPort") {
            validate_port_number(number, &format!("{field}.containerPort"), errors);
        }
        if let Some(number) = port.get("hostPort").filter(|number| **number != json!(0)) {
            validate_port_number(number, &format!("{field}.hostPort"), errors);
        }
    }
}

/// A port number is there and in range.
pub(super) fn validate_port_number(number: &Value, field: &str, errors: &mut Vec<FieldError>) {
    if number.as_i64().is_some_and(|number| !(1..=65_535).contains(&number)) {
        errors.push(FieldError::invalid(field, number, PORTS));
    }
}

fn validate_environment(container: &Value, field: &str, errors: &mut Vec<FieldError>) {
    for (index, variable) in items_at(container, "/env").iter().enumerate() {
        let field = format!("{field}.env[{index}]");
        if let Some(name) = text_at(variable, "/name")
            && !name.chars().all(|c| (' '..='~').contains(&c) && c != '=')
        {
            let detail = "a valid environment variable name must consist only of printable ASCII characters other than '='";
            errors.push(FieldError::invalid(format!("{field}.name"), &json!(name), detail));
        }
        let Some(source) = variable.get("valueFrom").and_then(Value::as_object) else { continue };
        let place = format!("{field}.valueFrom");
        if text_at(variable, "/value").is_some() {
            errors.push(FieldError::invalid(place, &json!(""), "may not be specified when `value` is not empty"));
        } else if source.is_empty() {
            let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
            errors.push(FieldError::invalid(place, &json!(""), detail));
        } else if source.len() > 1 {
            errors.push(FieldError::invalid(place, &json!(""), "may not have more than one field specified at a time"));
        }
    }
}

fn validate_mounts(container: &Value, field: &str, volumes: &BTreeSet<String>, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, mount) in items_at(container, "/volumeMounts").iter().enumerate() {
        let field = format!("{field}.volumeMounts[{index}]");
        match mount.get("name").and_then(Value::as_str).unwrap_or_default() {
            "" => errors.push(FieldError::required(format!("{field}.name"), "")),
            name if !volumes.contains(name) => errors.push(not_found(format!("{field}.name"), name)),
            _ => {}
        }
        let path = mount.get("mountPath").and_then(Value::as_str).unwrap_or_default();
        if path.is_empty() {
            errors.push(FieldError::required(format!("{field}.mountPath"), ""));
        } else if !seen.insert(path) {
            errors.push(FieldError::invalid(format!("{field}.mountPath"), &json!(path), "must be unique"));
        }
    }
}

fn validate_probe(probe: &Value, field: &str, errors: &mut Vec<FieldError>) {
    match ["exec", "httpGet", "tcpSocket", "grpc"].iter().filter(|handler| is_set(probe, &format!("/{handler}"))).count() {
        0 => errors.push(FieldError::required(field, "must specify a handler type")),
        1 => {}
        _ => errors.push(FieldError::forbidden(field, "may not specify more than 1 handler type")),
    }
    if let Some(port) = probe.pointer("/httpGet/port").or_else(|| probe.pointer("/tcpSocket/port")) {
        let handler = if is_set(probe, "/httpGet") { "httpGet" } else { "tcpSocket" };
        let place = format!("{field}.{handler}.port");
        match port.as_str() {
            Some(name) => faults(errors, &place, name, names::port_name(name)),
            None => validate_port_number(port, &place, errors),
        }
    }
    let fields = ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"];
    super::not_negative_below(errors, probe, field, &fields);
    if let Some(value) = probe.get("terminationGracePeriodSeconds")
        && value.as_i64().is_some_and(|seconds| seconds <= 0)
    {
        errors.push(FieldError::invalid(format!("{field}.terminationGracePeriodSeconds"), value, "must be greater than 0"));
    }
}

/// Once made, a pod changes in few places.
fn validate_update(pod: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let (mut new, mut was) = (pod.get("spec").cloned().unwrap_or_default(), old.get("spec").cloned().unwrap_or_default());
    for spec in [&mut new, &mut was] {
        for list in ["/containers", "/initContainers"] {
            for container in crate::builtin::json::items_at_mut(spec, list).iter_mut().filter_map(Value::as_object_mut) {
                container.remove("image");
                container.remove("imagePullPolicy");
            }
        }
        if let Some(spec) = spec.as_object_mut() {
            for field in ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "ephemeralContainers", "schedulingGates"]
            {
                spec.remove(field);
            }
        }
    }
    // Being placed on a node is the one change that happens to every pod.
    if text_at(&was, "/nodeName").is_none()
        && let (Some(new), Some(was)) = (new.as_object_mut(), was.as_object_mut())
    {
        new.remove("nodeName");
        was.remove("nodeName");
    }
    if new != was {
        let detail = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
        errors.push(FieldError::forbidden("spec", detail));
    }
}
