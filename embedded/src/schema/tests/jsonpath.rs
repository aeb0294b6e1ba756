#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use serde_json::{Value, json};

use crate::schema::jsonpath::{Path, first};

fn sample() -> Value {
    json!({
        "metadata": {"annotations": {"a.b/c": "dotted"}},
        "spec": {"replicas": 3, "on": true},
        "status": {
            "conditions": [
                {"type": "Ready", "status": "True", "n": 1},
                {"type": "Synced", "status": "False", "n": 2},
                {"type": "a)]b", "status": "odd"},
            ],
            "addresses": ["x", "y", "z"],
        },
    })
}

fn text(path: &str) -> Option<String> {
    Path::parse(path).unwrap().text(&sample())
}

#[test]
fn plain_paths_find_fields() {
    assert_eq!(first(".spec.replicas", &sample()), Some(json!(3)));
    assert_eq!(first("spec.replicas", &sample()), Some(json!(3)));
    assert_eq!(first("{.spec.replicas}", &sample()), Some(json!(3)));
    assert_eq!(first("$.spec.on", &sample()), Some(json!(true)));
    assert_eq!(first(".spec.none.deeper", &sample()), None);
    assert_eq!(first(".", &sample()), Some(sample()));
}

#[test]
fn names_with_dots_are_quoted_or_escaped() {
    assert_eq!(text(".metadata.annotations['a.b/c']").unwrap(), "dotted");
    assert_eq!(text(r#".metadata.annotations["a.b/c"]"#).unwrap(), "dotted");
    assert_eq!(text(r".metadata.annotations.a\.b/c").unwrap(), "dotted");
}

#[test]
fn lists_are_indexed_sliced_and_joined() {
    assert_eq!(text(".status.addresses[0]").unwrap(), "x");
    assert_eq!(text(".status.addresses[-1]").unwrap(), "z");
    assert_eq!(text(".status.addresses[9]"), None);
    assert_eq!(text(".status.addresses[1:]").unwrap(), "y z");
    assert_eq!(text(".status.addresses[0:2]").unwrap(), "x y");
    assert_eq!(text(".status.addresses[*]").unwrap(), "x y z");
    assert_eq!(text(".status.conditions[*].type").unwrap(), "Ready Synced a)]b");
    assert_eq!(text("..type").unwrap(), "Ready Synced a)]b");
}

#[test]
fn filters_choose_items() {
    assert_eq!(text(r#".status.conditions[?(@.type=="Ready")].status"#).unwrap(), "True");
    assert_eq!(text(".status.conditions[?(@.type == 'Synced')].status").unwrap(), "False");
    assert_eq!(text(".status.conditions[?(@.type=='a)]b')].status").unwrap(), "odd");
    assert_eq!(text(".status.conditions[?(@.n>=2)].type").unwrap(), "Synced");
    assert_eq!(text(".status.conditions[?(@.n)].type").unwrap(), "Ready Synced");
    assert_eq!(text(".status.conditions[?(@.type!='Ready')].status").unwrap(), "False odd");
    assert_eq!(text(".status.conditions[?(@.type=='None')].status"), None);
}

#[test]
fn a_malformed_path_says_where() {
    assert_eq!(Path::parse(".a[b").unwrap_err(), "the path \".a[b\" needs a closing ']' at position 3");
    assert_eq!(Path::parse(".a['b").unwrap_err(), "the path \".a['b\" needs a closing quote at position 3");
    assert!(Path::parse(".a[x]").is_err());
    assert!(Path::parse(".a..").is_err());
    assert!(Path::parse(".a[?(@.b==)]").is_err());
    assert_eq!(first(".a[", &json!({})), None);
}

#[test]
fn plain_paths_give_their_fields_for_writing() {
    assert_eq!(Path::parse(".spec.replicas").unwrap().fields(), Some(vec!["spec", "replicas"]));
    assert_eq!(Path::parse(".spec[0]").unwrap().fields(), None);
}
