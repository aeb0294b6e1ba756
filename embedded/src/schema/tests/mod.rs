#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod cel;
mod decoding;
mod defaults;
mod jsonpath;
mod parse;
mod policies;
mod structural;
mod validation;

use serde_json::{Value, json};

use super::Schema;
use crate::status::FieldError;

/// A schema with one of everything: the fixture that the recorded answers of a real server were made with.
fn widget() -> Schema {
    Schema::parse(&widget_open_api()).unwrap()
}

fn widget_open_api() -> Value {
    json!({"type": "object", "required": ["spec"], "properties": {
        "spec": {
            "type": "object", "required": ["mode"],
            "properties": {
                "mode": {"type": "string", "enum": ["fast", "slow"]},
                "replicas": {"type": "integer", "minimum": 0, "maximum": 10, "default": 2},
                "maxReplicas": {"type": "integer", "default": 5},
                "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5, "minLength": 2},
                "ratio": {"type": "number"},
                "when": {"type": "string", "format": "date-time"},
                "opt": {"type": "string", "nullable": true},
                "ports": {
                    "type": "array", "maxItems": 3, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "required": ["name"], "properties": {
                        "name": {"type": "string"}, "port": {"type": "integer"}, "proto": {"type": "string", "default": "TCP"},
                    }},
                },
                "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "args": {"type": "array", "items": {"type": "string"}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "sel": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
                "q": {"x-kubernetes-int-or-string": true},
                "extra": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            },
            "x-kubernetes-validations": [
                {"rule": "self.replicas <= self.maxReplicas", "message": "replicas must be <= maxReplicas"},
                {"rule": "self.mode == oldSelf.mode", "message": "mode is immutable"},
            ],
        },
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "phase": {"type": "string"}}},
    }})
}

/// A whole object with this spec, as it is when validation sees it.
fn with_spec(spec: Value) -> Value {
    let mut object = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "bad"}, "spec": spec});
    super::apply_defaults(&widget(), &mut object);
    object
}

/// A schema of one field `x` of this kind.
fn field(schema: Value) -> Schema {
    Schema::parse_trusted(&json!({"type": "object", "properties": {"x": schema}}))
}

fn lines(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(|error| format!("{} {}: {}", error.reason, error.field, error.message)).collect()
}
