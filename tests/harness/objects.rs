//! Objects to apply.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::existing::MARK;

/// The password that [`secret`] holds.
pub const PASSWORD: &str = "Correct-Horse-7";
/// Name of the Secret that [`tenancy`] makes.
pub const SECRET: &str = "service-user";

/// A Namespace of the tests.
pub fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {MARK: "true"}}})
}

/// A Secret with one key `password`.
pub fn secret(namespace: &str, name: &str, password: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace},
        "data": {"password": STANDARD.encode(password)}
    })
}

/// A Customer.
pub fn customer(namespace: &str, name: &str, spec: &Value) -> Value {
    let mut all = json!({"displayName": format!("Customer {name}")});
    merge(&mut all, spec);
    json!({"apiVersion": "switchboard.dev/v1alpha1", "kind": "Customer", "metadata": {"name": name, "namespace": namespace}, "spec": all})
}

/// An IPOffice of the customer `acme`, with the service user's password from the Secret of [`tenancy`]. `spec` is merged over that.
pub fn ip_office(namespace: &str, name: &str, spec: &Value) -> Value {
    let mut all = json!({
        "customer": "acme",
        "serviceUser": {"passwordSecret": {"name": SECRET}},
        "remoteOperations": {"centralizedManagement": true},
    });
    merge(&mut all, spec);
    json!({"apiVersion": "switchboard.dev/v1alpha1", "kind": "IPOffice", "metadata": {"name": name, "namespace": namespace}, "spec": all})
}

/// A SimulatedSystem of the customer `acme` with one service user. `causes` are merged over that.
pub fn simulated_system(namespace: &str, name: &str, causes: &Value) -> Value {
    let mut all = json!({"serviceUsers": [{"name": "COMAdmin", "passwordSecretKey": "password"}]});
    merge(&mut all, causes);
    json!({
        "apiVersion": "simulation.switchboard.dev/v1alpha1", "kind": "SimulatedSystem", "metadata": {"name": name, "namespace": namespace},
        "spec": {"customer": "acme", "passwordsSecret": SECRET, "causes": all}
    })
}

/// Both halves of a system that becomes green.
pub fn system(namespace: &str, name: &str) -> [Value; 2] {
    [ip_office(namespace, name, &json!({})), simulated_system(namespace, name, &json!({}))]
}

/// A namespace with the customer `acme` and the Secret of its systems' service users.
pub fn tenancy(name: &str) -> [Value; 3] {
    [namespace(name), secret(name, SECRET, PASSWORD), customer(name, "acme", &json!({}))]
}

/// A JSON merge patch.
fn merge(target: &mut Value, patch: &Value) {
    let (Some(fields), Some(object)) = (patch.as_object(), target.as_object_mut()) else {
        *target = patch.clone();
        return;
    };
    for (name, value) in fields {
        if value.is_null() {
            object.remove(name);
        } else {
            merge(object.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}
