#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod strategic;

use serde_json::json;

use super::{json_patch, merge_patch};

#[test]
fn merge_patch_keeps_to_the_examples_of_its_standard() {
    // RFC 7386, appendix A.
    let cases = [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"a": "b"}), json!(["c"]), json!(["c"])),
        (json!({"a": "foo"}), json!(null), json!(null)),
        (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
        (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
    ];
    for (mut target, patch, expected) in cases {
        merge_patch(&mut target, &patch);
        assert_eq!(target, expected, "{patch}");
    }
}

#[test]
fn json_patch_applies_operations_in_order() {
    let target = json!({"data": {"j": "1"}, "list": [1, 2]});
    let patch = json!([
        {"op": "add", "path": "/data/q", "value": "2"},
        {"op": "test", "path": "/data/j", "value": "1"},
        {"op": "move", "from": "/data/j", "path": "/data/a~1b"},
        {"op": "add", "path": "/list/-", "value": 3},
        {"op": "remove", "path": "/list/0"},
        {"op": "replace", "path": "/list/0", "value": 9},
    ]);
    assert_eq!(json_patch(&target, &patch).unwrap(), json!({"data": {"q": "2", "a/b": "1"}, "list": [9, 3]}));
}

#[test]
fn a_failed_operation_is_unprocessable() {
    let target = json!({"data": {"j": "1"}});
    for patch in [
        json!([{"op": "test", "path": "/data/j", "value": "9"}]),
        json!([{"op": "remove", "path": "/data/none"}]),
        json!([{"op": "replace", "path": "/none/x", "value": 1}]),
        json!([{"op": "add", "path": "/none/x", "value": 1}]),
    ] {
        let status = json_patch(&target, &patch).unwrap_err();
        let expected = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 422, "reason": "Invalid", "details": {},
            "message": "the server rejected our request due to an error in our request"});
        assert_eq!(status.to_value(), expected, "{patch}");
    }
}

#[test]
fn what_is_no_json_patch_is_a_bad_request() {
    for patch in [json!({}), json!([{"op": "dance"}]), json!([{"op": "add"}])] {
        assert_eq!(json_patch(&json!({}), &patch).unwrap_err().code, 400, "{patch}");
    }
    let many = vec![json!({"op": "test", "path": "/a", "value": 1}); 10_001];
    assert_eq!(json_patch(&json!({"a": 1}), &json!(many)).unwrap_err().code, 413);
}

#[test]
fn a_missing_field_passes_a_test_for_null() {
    let patch = json!([{"op": "test", "path": "/metadata/finalizers", "value": null}, {"op": "add", "path": "/metadata/finalizers", "value": ["x"]}]);
    assert_eq!(json_patch(&json!({"metadata": {}}), &patch).unwrap(), json!({"metadata": {"finalizers": ["x"]}}));
    assert_eq!(json_patch(&json!({"metadata": {"finalizers": ["y"]}}), &patch).unwrap_err().code, 422);
}

#[test]
fn copies_that_double_the_object_end() {
    let mut operations = vec![json!({"op": "add", "path": "/a", "value": {"text": "x".repeat(100)}})];
    operations.extend((0..60).map(|n| json!({"op": "copy", "from": "/a", "path": format!("/a/{n}")})));
    assert_eq!(json_patch(&json!({}), &json!(operations)).unwrap_err().code, 413);
}
