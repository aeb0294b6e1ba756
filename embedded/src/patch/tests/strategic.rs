#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use serde_json::{Value, json};

use crate::patch::strategic;
use crate::schema::Schema;

fn pod_spec() -> Schema {
    let by_name = |items: Value| {
        json!({"type": "array", "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name",
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": items})
    };
    let env = by_name(json!({"type": "object", "properties": {"name": {"type": "string"}, "value": {"type": "string"}}}));
    let ports = json!({"type": "array", "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "containerPort",
        "items": {"type": "object", "properties": {"containerPort": {"type": "integer"}, "name": {"type": "string"}}}});
    let container = json!({"type": "object", "properties": {"name": {"type": "string"}, "image": {"type": "string"}, "env": env, "ports": ports,
        "args": {"type": "array", "items": {"type": "string"}}}});
    Schema::parse_trusted(&json!({"type": "object", "properties": {
        "containers": by_name(container),
        "strategy": {"type": "object", "x-kubernetes-patch-strategy": "retainKeys", "properties": {
            "type": {"type": "string"}, "rollingUpdate": {"type": "object", "properties": {"maxSurge": {"x-kubernetes-int-or-string": true}}}}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "finalizers": {"type": "array", "x-kubernetes-patch-strategy": "merge", "items": {"type": "string"}},
        "tolerations": {"type": "array", "items": {"type": "object", "properties": {"key": {"type": "string"}}}},
    }}))
}

fn patched(target: Value, patch: Value) -> Value {
    strategic(&pod_spec(), &target, &patch).unwrap()
}

fn refused(target: Value, patch: Value) -> (u16, String) {
    let status = strategic(&pod_spec(), &target, &patch).unwrap_err();
    (status.code, status.message)
}

fn names(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[test]
fn a_new_item_goes_where_the_order_says() {
    let target = json!({"containers": [{"name": "c", "image": "i:1"}]});
    let patch = json!({"containers": [{"name": "side", "image": "s:1"}], "$setElementOrder/containers": [{"name": "side"}, {"name": "c"}]});
    assert_eq!(patched(target, patch), json!({"containers": [{"name": "side", "image": "s:1"}, {"name": "c", "image": "i:1"}]}));
}

#[test]
fn items_merge_by_key_and_are_deleted_by_directive() {
    let target =
        json!({"containers": [{"name": "side", "image": "s:1"}, {"name": "c", "image": "i:1", "env": [{"name": "X", "value": "1"}]}]});
    let patch = json!({"containers": [{"name": "c", "env": [{"name": "Y", "value": "2"}, {"name": "X", "$patch": "delete"}]}]});
    let expected =
        json!({"containers": [{"name": "side", "image": "s:1"}, {"name": "c", "image": "i:1", "env": [{"name": "Y", "value": "2"}]}]});
    assert_eq!(patched(target, patch), expected);
}

#[test]
fn without_an_order_new_items_come_last() {
    let target = json!({"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]});
    let result = patched(target.clone(), json!({"containers": [{"name": "d"}, {"name": "b", "image": "x"}]}));
    assert_eq!(names(&result["containers"]), ["a", "c", "d", "b"], "items of the patch keep its order");
    let result = patched(target, json!({"containers": [{"name": "b", "image": "x"}, {"name": "d"}]}));
    assert_eq!(names(&result["containers"]), ["a", "b", "c", "d"]);
}

#[test]
fn order_alone_reorders_and_items_only_the_server_knows_stay() {
    let target = json!({"containers": [{"name": "a"}, {"name": "injected"}, {"name": "b"}]});
    let result = patched(target, json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}));
    assert_eq!(names(&result["containers"]), ["injected", "b", "a"]);
}

#[test]
fn an_order_must_fit_the_items() {
    let patch = json!({"containers": [{"name": "a"}, {"name": "b"}], "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]});
    let (code, message) = refused(json!({"containers": []}), patch);
    assert_eq!(code, 400);
    assert!(message.contains("doesn't match $setElementOrder"), "{message}");
}

#[test]
fn retain_keys_clears_what_is_not_listed() {
    let target = json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}});
    let result = patched(target.clone(), json!({"strategy": {"type": "Recreate", "$retainKeys": ["type"]}}));
    assert_eq!(result, json!({"strategy": {"type": "Recreate"}}));
    let (code, message) = refused(target, json!({"strategy": {"type": "Recreate", "rollingUpdate": {}, "$retainKeys": ["type"]}}));
    assert_eq!((code, message.as_str()), (400, "invalid patch format of retainKeys"));
}

#[test]
fn replace_takes_the_place_of_objects_and_lists() {
    let target = json!({"labels": {"a": "1", "b": "2"}, "containers": [{"name": "a"}, {"name": "b"}]});
    assert_eq!(patched(target.clone(), json!({"labels": {"$patch": "replace", "c": "3"}}))["labels"], json!({"c": "3"}));
    assert_eq!(patched(target.clone(), json!({"labels": {"$patch": "delete"}}))["labels"], json!({}));
    assert_eq!(patched(target.clone(), json!({"labels": {"$patch": "merge", "c": "3"}}))["labels"], json!({"a": "1", "b": "2", "c": "3"}));
    let result = patched(target, json!({"containers": [{"name": "only", "image": "o:1"}, {"$patch": "replace"}]}));
    assert_eq!(result["containers"], json!([{"name": "only", "image": "o:1"}]));
}

#[test]
fn primitive_lists_merge_and_lose_values() {
    let target = json!({"finalizers": ["a", "b"]});
    assert_eq!(patched(target.clone(), json!({"finalizers": ["c", "a"]}))["finalizers"], json!(["b", "c", "a"]));
    assert_eq!(patched(target.clone(), json!({"$deleteFromPrimitiveList/finalizers": ["a"]}))["finalizers"], json!(["b"]));
    let patch = json!({"$setElementOrder/finalizers": ["c", "b"], "finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]});
    assert_eq!(patched(target, patch)["finalizers"], json!(["c", "b"]));
}

#[test]
fn lists_without_a_strategy_are_replaced() {
    let target = json!({"tolerations": [{"key": "a"}], "containers": [{"name": "c", "args": ["x", "y"]}]});
    assert_eq!(patched(target.clone(), json!({"tolerations": [{"key": "b"}]}))["tolerations"], json!([{"key": "b"}]));
    assert_eq!(patched(target, json!({"containers": [{"name": "c", "args": ["z"]}]}))["containers"][0]["args"], json!(["z"]));
}

#[test]
fn null_removes_and_directives_in_new_parts_vanish() {
    let target = json!({"labels": {"a": "1"}});
    assert_eq!(patched(target.clone(), json!({"labels": {"a": null, "b": null}})), json!({"labels": {}}));
    assert_eq!(patched(target.clone(), json!({"labels": null})), json!({}));
    let patch = json!({"containers": [{"name": "n", "image": null, "env": [{"name": "X", "$patch": "delete"}, {"name": "Y"}], "$setElementOrder/env": [{"name": "Y"}]}]});
    assert_eq!(patched(target, patch)["containers"], json!([{"name": "n", "env": [{"name": "Y"}]}]));
}

#[test]
fn an_item_without_its_key_is_refused() {
    let (code, message) = refused(json!({"containers": [{"name": "a"}]}), json!({"containers": [{"image": "x"}]}));
    assert_eq!((code, message.as_str()), (422, "map: map[image:x] does not contain declared merge key: name"));
    let (code, message) = refused(json!({"labels": {"a": "1"}}), json!({"labels": {"$patch": "explode"}}));
    assert_eq!((code, message.as_str()), (422, "unknown patch type: explode in map: map[$patch:explode]"));
    assert_eq!(refused(json!({}), json!([])).0, 400);
}

#[test]
fn fields_no_schema_knows_merge_like_plain_objects() {
    assert_eq!(patched(json!({"free": {"a": {"b": 1}}}), json!({"free": {"a": {"c": [1]}}})), json!({"free": {"a": {"b": 1, "c": [1]}}}));
}
