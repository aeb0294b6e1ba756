//! What a server fills in beyond the defaults of the schema, because it depends on other fields.

mod normal_form;
mod other;
mod pods;
mod workloads;

use serde_json::{Map, Value};

use super::zero::zero_object;
use crate::resource::Resource;

/// Fills in what the schema of a built-in kind cannot say. To be called after [`crate::schema::apply_defaults`], on the object as it
/// is about to be validated; calling it again changes nothing.
///
/// - the parts of the empty object, such as `status: {}`;
/// - defaults that depend on other fields: `strategy.rollingUpdate` by `strategy.type`, `imagePullPolicy` by the image's tag, …;
/// - quantities as texts (`cpu: 1` is `"1"`), times to the second, micro times with six digits.
///
/// What needs the rest of the cluster is not done here: cluster addresses and node ports of Services. A Job gets its selector and
/// labels once `metadata.uid` is set.
pub fn default_object(resource: &Resource, object: &mut Value) {
    if resource.custom || !object.is_object() {
        return;
    }
    normal_form::normalise(resource.schema(), object);
    if let (Value::Object(object), Value::Object(zero)) = (&mut *object, zero_object(resource)) {
        fill_zero(object, &zero, false);
    }
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("apps" | "batch" | "autoscaling", kind) => workloads::fill(kind, object),
        ("", "Pod") => pods::fill_pod(object),
        ("", "ReplicationController") => workloads::fill("ReplicationController", object),
        (group, kind) => other::fill(group, kind, object),
    }
}

/// Empty objects everywhere; zero numbers, empty texts and nulls only in the status, where nobody is asked for them.
fn fill_zero(object: &mut Map<String, Value>, zero: &Map<String, Value>, in_status: bool) {
    for (field, zero) in zero {
        let in_status = in_status || field == "status";
        match zero {
            Value::Object(zero) => {
                let child = object.entry(field).or_insert_with(|| Value::Object(Map::new()));
                if child.is_null() {
                    *child = Value::Object(Map::new());
                }
                if let Value::Object(child) = child {
                    fill_zero(child, zero, in_status);
                }
            }
            zero if in_status => {
                object.entry(field).or_insert_with(|| zero.clone());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
