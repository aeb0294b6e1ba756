#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use serde_json::json;

use super::widget;
use crate::schema::{Schema, duplicate_keys, prune, unknown_fields};

#[test]
fn unknown_fields_are_named_by_their_paths() {
    let object = json!({"apiVersion": "v1", "kind": "Widget", "metadata": {"name": "a", "labels": {"any": "x"}, "nickname": "b"}, "oops": 1,
        "spec": {"mode": "fast", "bogus": 1, "ports": [{"name": "a", "zz": 1}], "extra": {"free": {"x": 1}}, "labels": {"k": "v"}}});
    assert_eq!(unknown_fields(&widget(), &object), ["metadata.nickname", "oops", "spec.bogus", "spec.ports[0].zz"]);
}

#[test]
fn pruning_drops_just_the_unknown_fields() {
    let mut object = json!({"metadata": {"name": "a", "nickname": "b"}, "spec": {"mode": "fast", "bogus": {"deep": 1}, "ports": [{"name": "a", "zz": 1}],
        "extra": {"free": {"x": 1}}, "labels": {"k": "v"}}});
    prune(&widget(), &mut object);
    let kept = json!({"metadata": {"name": "a"}, "spec": {"mode": "fast", "ports": [{"name": "a"}], "extra": {"free": {"x": 1}}, "labels": {"k": "v"}}});
    assert_eq!(object, kept);
    assert!(unknown_fields(&widget(), &object).is_empty());
}

#[test]
fn declared_fields_below_preserved_ones_are_still_pruned() {
    let schema = Schema::parse(&json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
        "known": {"type": "object", "properties": {"a": {"type": "string"}}}}}))
    .unwrap();
    let mut object = json!({"free": {"b": 1}, "known": {"a": "1", "b": 2}});
    assert_eq!(unknown_fields(&schema, &object), ["known.b"]);
    prune(&schema, &mut object);
    assert_eq!(object, json!({"free": {"b": 1}, "known": {"a": "1"}}));
}

#[test]
fn an_embedded_resource_keeps_its_identity() {
    let schema = Schema::parse(&json!({"type": "object", "properties": {"template": {
        "type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string"}}}}}}}))
    .unwrap();
    let template = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "odd": 1}, "spec": {"a": "1", "b": 1}});
    assert_eq!(unknown_fields(&schema, &json!({"template": template})), ["template.metadata.odd", "template.spec.b"]);
}

#[test]
fn duplicate_keys_are_found_where_they_stand() {
    assert_eq!(duplicate_keys(br#"{"a": 1, "b": {"c": [{"d": 1, "d": 2, "d": 3}]}, "a": {"x": 1, "x": 2}}"#), ["b.c[0].d", "a"]);
    assert!(duplicate_keys(br#"{"a": 1, "b": {"a": 1}}"#).is_empty());
    assert!(duplicate_keys(b"not json").is_empty());
}
