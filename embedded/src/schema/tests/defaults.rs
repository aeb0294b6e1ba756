#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use serde_json::json;

use super::widget;
use crate::schema::{Schema, apply_defaults};

#[test]
fn missing_fields_get_their_defaults_in_lists_too() {
    let mut object = json!({"spec": {"mode": "fast", "replicas": 7, "ports": [{"name": "a"}, {"name": "b", "proto": "UDP"}]}});
    apply_defaults(&widget(), &mut object);
    let expected = json!({"spec": {"mode": "fast", "replicas": 7, "maxReplicas": 5,
        "ports": [{"name": "a", "proto": "TCP"}, {"name": "b", "proto": "UDP"}]}});
    assert_eq!(object, expected);
}

#[test]
fn null_is_absent_where_it_is_no_value() {
    let mut object = json!({"spec": {"mode": "fast", "name": null, "opt": null, "replicas": null, "extra": {"free": null}}});
    apply_defaults(&widget(), &mut object);
    assert_eq!(object, json!({"spec": {"mode": "fast", "opt": null, "replicas": 2, "maxReplicas": 5, "extra": {"free": null}}}));
}

#[test]
fn a_default_is_filled_by_the_defaults_below_it() {
    let schema = Schema::parse(&json!({"type": "object", "properties": {"box": {"type": "object", "default": {}, "properties": {
        "size": {"type": "integer", "default": 3}}}}}))
    .unwrap();
    let mut object = json!({});
    apply_defaults(&schema, &mut object);
    assert_eq!(object, json!({"box": {"size": 3}}));
}

#[test]
fn values_of_maps_get_the_defaults_of_their_schema() {
    let schema = Schema::parse(&json!({"type": "object", "properties": {"by": {"type": "object", "additionalProperties": {
        "type": "object", "properties": {"n": {"type": "integer", "default": 1}}}}}}))
    .unwrap();
    let mut object = json!({"by": {"a": {}, "b": {"n": 2}, "c": null}});
    apply_defaults(&schema, &mut object);
    assert_eq!(object, json!({"by": {"a": {"n": 1}, "b": {"n": 2}}}));
}
