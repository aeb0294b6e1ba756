//! Services.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{faults, pods};
use crate::builtin::json::{is_set, items_at, text_at};
use crate::builtin::{metadata, names};
use crate::status::FieldError;

pub(super) fn validate(service: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let kind = text_at(service, "/spec/type").unwrap_or("ClusterIP");
    let ports = items_at(service, "/spec/ports");
    if ports.is_empty() && kind != "ExternalName" && text_at(service, "/spec/clusterIP") != Some("None") {
        errors.push(FieldError::required("spec.ports", ""));
    }
    if kind == "ExternalName" {
        match text_at(service, "/spec/externalName") {
            Some(name) => faults(errors, "spec.externalName", name, names::subdomain(name.trim_end_matches('.'))),
            None => errors.push(FieldError::required("spec.externalName", "")),
        }
    }
    metadata::validate_labels(service.pointer("/spec/selector"), "spec.selector", errors);
    validate_ports(ports, kind, errors);
    if let Some(old) = old {
        validate_update(service, old, errors);
    }
}

fn validate_ports(ports: &[Value], kind: &str, errors: &mut Vec<FieldError>) {
    let (mut named, mut numbered) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in ports.iter().enumerate() {
        let field = format!("spec.ports[{index}]");
        match text_at(port, "/name") {
            Some(name) => {
                faults(errors, &format!("{field}.name"), name, names::label(name));
                if !named.insert(name) {
                    errors.push(FieldError::duplicate(format!("{field}.name"), &json!(name)));
                }
            }
            None if ports.len() > 1 => errors.push(FieldError::required(format!("{field}.name"), "")),
            None => {}
        }
        if let Some(number) = port.get("port") {
            pods::validate_port_number(number, &format!("{field}.port"), errors);
        }
        match port.get("targetPort") {
            Some(Value::String(name)) => faults(errors, &format!("{field}.targetPort"), name, names::port_name(name)),
            Some(number) => pods::validate_port_number(number, &format!("{field}.targetPort"), errors),
            None => {}
        }
        let same = (port.get("port").map(ToString::to_string), text_at(port, "/protocol"));
        if !numbered.insert(same) {
            errors.push(FieldError::duplicate(&field, &json!({"port": port.get("port"), "protocol": port.get("protocol")})));
        }
        if kind == "ClusterIP" && is_set(port, "/nodePort") && port.get("nodePort") != Some(&json!(0)) {
            errors.push(FieldError::forbidden(format!("{field}.nodePort"), "may not be used when `type` is 'ClusterIP'"));
        }
    }
}

/// A Service keeps its address for as long as it has one of its own.
fn validate_update(service: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let external = |service: &Value| text_at(service, "/spec/type") == Some("ExternalName");
    if external(service) || external(old) {
        return;
    }
    if let (Some(was), new) = (text_at(old, "/spec/clusterIP"), text_at(service, "/spec/clusterIP"))
        && new != Some(was)
    {
        let addresses = json!([new.unwrap_or_default()]);
        errors.push(FieldError::invalid("spec.clusterIPs[0]", &addresses, "may not change once set"));
    }
}
