#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::builtin::resources;

fn errors(kind: &str, metadata: Value, old: Option<Value>) -> Vec<String> {
    let resource = resources().into_iter().find(|resource| resource.kind == kind).unwrap();
    let old = old.map(|metadata| json!({"metadata": metadata}));
    let errors = validate_metadata(&resource, &json!({"metadata": metadata}), old.as_ref());
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn an_object_needs_a_name() {
    assert_eq!(errors("ConfigMap", json!({}), None), ["metadata.name: Required value: name or generateName is required"]);
    assert_eq!(errors("ConfigMap", json!({"name": "gen-abcde", "generateName": "gen-"}), None), Vec::<String>::new());
}

#[test]
fn what_a_name_may_be_depends_on_the_kind() {
    let subdomain = r#"metadata.name: Invalid value: "A_b": a lowercase RFC 1123 subdomain must consist of"#;
    assert!(errors("ConfigMap", json!({"name": "A_b"}), None)[0].starts_with(subdomain));
    assert!(errors("ClusterRole", json!({"name": "system:a_B"}), None).is_empty());
    assert_eq!(errors("ClusterRole", json!({"name": "a/b"}), None), [r#"metadata.name: Invalid value: "a/b": may not contain '/'"#]);
    assert_eq!(errors("Namespace", json!({"name": "a.b"}), None).len(), 1);
    assert_eq!(errors("Service", json!({"name": "1a"}), None).len(), 1);
}

#[test]
fn labels_and_annotations_have_a_syntax() {
    let metadata = json!({"name": "a", "labels": {"a b": "ok"}, "annotations": {"Example.com/ok": "any thing", "/bad": ""}});
    let errors = errors("ConfigMap", metadata, None);
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].starts_with(r#"metadata.labels: Invalid value: "a b": name part must consist of"#));
    assert_eq!(errors[1], r#"metadata.annotations: Invalid value: "/bad": prefix part must be non-empty"#);
}

#[test]
fn annotations_have_a_size() {
    let metadata = json!({"name": "a", "annotations": {"a": "x".repeat(ANNOTATIONS_LIMIT)}});
    assert_eq!(errors("ConfigMap", metadata, None), ["metadata.annotations: Too long: may not be more than 262144 bytes"]);
}

#[test]
fn an_owner_is_named_in_full_and_only_one_controls() {
    let owner = |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": "u", "controller": true});
    let found = errors("ConfigMap", json!({"name": "a", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}]}), None);
    assert_eq!(found, [r#"metadata.ownerReferences[0].uid: Invalid value: "": must not be empty"#]);
    let found = errors("ConfigMap", json!({"name": "a", "ownerReferences": [owner("p"), owner("q")]}), None);
    assert!(
        found[0].ends_with(r#"Only one reference can have Controller set to true. Found "true" in references for p and q"#),
        "{found:?}"
    );
}

#[test]
fn an_object_that_is_being_deleted_takes_no_new_finalizers() {
    let old = json!({"name": "a", "finalizers": ["x.example.com/f"], "deletionTimestamp": "2026-01-01T00:00:00Z"});
    let new = json!({"name": "a", "finalizers": ["x.example.com/f", "y.example.com/g"], "deletionTimestamp": "2026-01-01T00:00:00Z"});
    let text = r#"metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"y.example.com/g"}"#;
    assert_eq!(errors("ConfigMap", new, Some(old)), [text]);
}

#[test]
fn a_name_never_changes() {
    let found = errors("ConfigMap", json!({"name": "b"}), Some(json!({"name": "a"})));
    assert_eq!(found, [r#"metadata.name: Invalid value: "b": field is immutable"#]);
}
