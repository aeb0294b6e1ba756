#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use serde_json::json;

use super::widget_open_api;
use crate::schema::{Kind, ListKind, MapKind, Schema};

#[test]
fn kubernetes_extensions_are_read() {
    let schema = Schema::parse(&widget_open_api()).unwrap();
    let spec = schema.field("spec").unwrap();
    assert_eq!(spec.properties["ports"].list, ListKind::Map(vec!["name".to_owned()]));
    assert_eq!(spec.properties["tags"].list, ListKind::Set);
    assert_eq!(spec.properties["args"].list, ListKind::Atomic);
    assert_eq!(spec.properties["sel"].map, MapKind::Atomic);
    assert_eq!(spec.properties["q"].kind, Kind::IntOrString);
    assert!(spec.properties["extra"].preserve_unknown);
    assert!(spec.properties["opt"].nullable);
    assert_eq!(spec.rules.len(), 2);
}

#[test]
fn patch_strategies_of_built_in_kinds_are_read() {
    let schema = Schema::parse_trusted(&json!({"type": "object", "properties": {"volumes": {
        "type": "array", "x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge,retainKeys", "items": {"type": "object"}}}}));
    let volumes = schema.field("volumes").unwrap();
    assert_eq!(volumes.patch_merge_key.as_deref(), Some("name"));
    assert!(volumes.patch_merge && volumes.patch_retain_keys);
}

#[test]
fn every_object_has_metadata_whatever_its_schema_says() {
    let schema = Schema::parse(&json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}}}}}))
        .unwrap();
    let metadata = schema.field("metadata").unwrap();
    assert_eq!(metadata.properties["name"].max_length, Some(5));
    assert_eq!(metadata.properties["finalizers"].list, ListKind::Set);
    assert_eq!(metadata.properties["ownerReferences"].list, ListKind::Map(vec!["uid".to_owned()]));
    assert_eq!(schema.field("apiVersion").unwrap().kind, Kind::String);
}

#[test]
fn a_schema_survives_the_way_to_open_api_and_back() {
    let schema = Schema::parse(&widget_open_api()).unwrap();
    let written = schema.to_open_api();
    assert_eq!(written["properties"]["spec"], widget_open_api()["properties"]["spec"]);
    assert_eq!(written["required"], json!(["spec"]));
    let again = Schema::parse_trusted(&written);
    assert_eq!(again.to_open_api(), written);
}

#[test]
fn junctions_survive_the_way_to_open_api() {
    let x = json!({"type": "string", "title": "X", "anyOf": [{"minLength": 1}, {"allOf": [{"pattern": "a"}, {"not": {"enum": ["b"]}}]}], "oneOf": [{"maxLength": 9}]});
    let schema = Schema::parse(&json!({"type": "object", "properties": {"x": x}})).unwrap();
    assert_eq!(schema.to_open_api()["properties"]["x"], x);
}

#[test]
fn nesting_is_bounded() {
    let mut open_api = json!({"type": "string"});
    for _ in 0..120 {
        open_api = json!({"type": "array", "items": open_api});
    }
    let errors = Schema::parse(&json!({"type": "object", "properties": {"x": open_api}})).unwrap_err();
    assert!(errors[0].message.contains("nested deeper than 100 levels"), "{errors:?}");
}
