#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use serde_json::{Value, json};

use super::super::rule::parse_list;
use super::missing;

fn lacking(held: &Value, wanted: &Value) -> Vec<String> {
    let held = parse_list(held);
    missing(&held.iter().collect::<Vec<_>>(), &parse_list(wanted))
}

#[test]
fn each_piece_must_be_covered_by_one_rule() {
    let rule = |verbs: &[&str], resources: &[&str], names: &[&str]| json!({"verbs": verbs, "apiGroups": [""], "resources": resources, "resourceNames": names});
    let path = |paths: &[&str]| json!({"verbs": ["get"], "nonResourceURLs": paths});
    let table = [
        (json!([rule(&["get"], &["pods"], &[]), rule(&["list"], &["pods"], &[])]), rule(&["get", "list"], &["pods"], &[]), true),
        (json!([rule(&["get"], &["pods"], &[])]), rule(&["get"], &["pods"], &["a"]), true),
        (json!([rule(&["get"], &["pods"], &["a", "b"])]), rule(&["get"], &["pods"], &["a"]), true),
        (json!([rule(&["get"], &["pods"], &["a"])]), rule(&["get"], &["pods"], &[]), false),
        (json!([rule(&["get"], &["pods"], &[])]), rule(&["*"], &["pods"], &[]), false),
        (json!([rule(&["get"], &["pods", "secrets"], &[])]), rule(&["get"], &["*"], &[]), false),
        (json!([rule(&["*"], &["*"], &[])]), rule(&["get"], &["pods/log"], &[]), true),
        (json!([rule(&["get"], &["*/log"], &[])]), rule(&["get"], &["pods/log"], &[]), true),
        (json!([rule(&["get"], &["pods"], &[])]), rule(&["get"], &["pods/log"], &[]), false),
        (json!([path(&["/a/*"])]), path(&["/a/b", "/a/c/*"]), true),
        (json!([path(&["/a"])]), path(&["/a/*"]), false),
        (json!([rule(&["*"], &["*"], &[])]), path(&["/a"]), false),
        (json!([]), json!({}), true),
    ];
    for (held, wanted, covered) in table {
        assert_eq!(lacking(&held, &json!([wanted])).is_empty(), covered, "{held} and {wanted}");
    }
    let other_group = json!([{"verbs": ["get"], "apiGroups": ["apps"], "resources": ["pods"]}]);
    assert!(!lacking(&other_group, &json!([rule(&["get"], &["pods"], &[])])).is_empty());
}

#[test]
fn what_is_missing_is_said_as_kubernetes_says_it() {
    let wanted = json!([
        {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["secrets", "pods"]},
        {"verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["a"]},
        {"verbs": ["get"], "nonResourceURLs": ["/metrics"]}
    ]);
    assert_eq!(
        lacking(&json!([{"verbs": ["*"], "apiGroups": [""], "resources": ["pods"]}]), &wanted),
        [
            r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}"#,
            r#"{APIGroups:["apps"], Resources:["deployments"], ResourceNames:["a"], Verbs:["get"]}"#,
            r#"{NonResourceURLs:["/metrics"], Verbs:["get"]}"#,
        ]
    );
}
