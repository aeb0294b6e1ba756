//! Field sets, their form in `fieldsV1`, and the sets of objects.

use serde_json::{Value, json};

use super::super::{FieldSet, PathElement, set_of};
use super::custom::widget;

fn set(fields: Value) -> FieldSet {
    FieldSet::from_value(&fields).unwrap()
}

#[test]
fn fields_read_from_json_are_written_the_same() {
    let fields = json!({
        "f:metadata": {"f:labels": {".": {}, "f:a/b": {}}},
        "f:spec": {"f:list": {"i:3": {}}, "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}, "f:set": {"v:\"x\"": {}, "v:1": {}, "v:true": {}}},
    });
    assert_eq!(set(fields.clone()).to_value(), fields);
}

#[test]
fn keys_are_written_in_the_order_of_their_names_and_escaped_as_go_does() {
    let key = PathElement::key(vec![("b".into(), json!("<&>")), ("a".into(), json!(1))]);
    assert_eq!(key.to_text(), "k:{\"a\":1,\"b\":\"\\u003c\\u0026\\u003e\"}");
    assert_eq!(PathElement::parse(&key.to_text()), Ok(Some(key.clone())));
    assert_eq!(key.to_string(), "[a=1,b=\"<&>\"]");
}

#[test]
fn steps_of_unknown_kinds_are_skipped_and_broken_ones_are_errors() {
    assert_eq!(set(json!({"z:new": {}, "f:a": {}})).to_value(), json!({"f:a": {}}));
    for broken in [json!({"fa": {}}), json!({"k:{": {}}), json!({"k:[]": {}}), json!({"i:x": {}}), json!({"f:a": 1}), json!([])] {
        assert!(FieldSet::from_value(&broken).is_err(), "{broken}");
    }
}

#[test]
fn a_number_is_the_same_key_however_it_is_written() {
    assert_eq!(PathElement::Value(json!(1)), PathElement::Value(json!(1.0)));
    assert_ne!(PathElement::Value(json!(1)), PathElement::Value(json!("1")));
}

#[test]
fn union_intersection_and_differences() {
    let a = set(json!({"f:a": {".": {}, "f:b": {"f:c": {}}}, "f:d": {}}));
    let b = set(json!({"f:a": {"f:b": {}, "f:x": {}}, "f:d": {}}));
    assert_eq!(a.clone().union(b.clone()).to_value(), json!({"f:a": {".": {}, "f:b": {".": {}, "f:c": {}}, "f:x": {}}, "f:d": {}}));
    assert_eq!(a.intersection(&b).to_value(), json!({"f:d": {}}));
    assert_eq!(a.clone().difference(&b).to_value(), json!({"f:a": {".": {}, "f:b": {"f:c": {}}}}));
    assert_eq!(a.clone().recursive_difference(&b).to_value(), json!({"f:a": {}}));
    assert_eq!(b.difference(&a).to_value(), json!({"f:a": {"f:b": {}, "f:x": {}}}));
}

#[test]
fn leaves_are_members_without_members_below() {
    let all = set(json!({"f:a": {".": {}, "f:b": {".": {}, "f:c": {}}}, "f:d": {}}));
    assert_eq!(all.leaves().to_value(), json!({"f:a": {"f:b": {"f:c": {}}}, "f:d": {}}));
    let paths: Vec<String> = all.to_string().lines().map(str::to_owned).collect();
    assert_eq!(paths, [".a", ".a.b", ".a.b.c", ".d"]);
    assert!(all.has(&[PathElement::field("a"), PathElement::field("b")]));
    assert!(!all.has(&[PathElement::field("b")]));
}

#[test]
fn an_object_sets_leaves_entries_and_items_but_not_structures() {
    let object = json!({"spec": {"mode": "a", "labels": {"l": "1"}, "sel": {"a": "1"}, "args": [], "tags": ["t"],
        "ports": [{"name": "h", "port": 1}], "extra": {"x": {"y": [1]}}, "q": 5}});
    assert_eq!(
        set_of(&widget(), &object).to_value(),
        json!({"f:spec": {"f:mode": {}, "f:labels": {"f:l": {}}, "f:sel": {}, "f:args": {}, "f:tags": {"v:\"t\"": {}},
            "f:ports": {"k:{\"name\":\"h\"}": {".": {}, "f:name": {}, "f:port": {}}}, "f:extra": {"f:x": {".": {}, "f:y": {}}}, "f:q": {}}})
    );
}

#[test]
fn empty_maps_and_nulls_are_set_and_empty_lists_of_items_are_not() {
    let object = json!({"spec": {"labels": {}, "tags": [], "ports": null, "mode": null}});
    assert_eq!(set_of(&widget(), &object).to_value(), json!({"f:spec": {"f:labels": {}, "f:ports": {}, "f:mode": {}}}));
    assert_eq!(set_of(&widget(), &json!({"spec": {}})).to_value(), json!({"f:spec": {}}));
}

#[test]
fn repeated_items_are_owned_as_one_without_their_fields() {
    let object = json!({"spec": {"ports": [{"name": "h", "port": 1}, {"name": "h", "port": 2}, {"name": "i"}]}});
    let expected = json!({"f:spec": {"f:ports": {"k:{\"name\":\"h\"}": {}, "k:{\"name\":\"i\"}": {".": {}, "f:name": {}}}}});
    assert_eq!(set_of(&widget(), &object).to_value(), expected);
}
