//! The order of merged lists, and what merging does with null and empty values.

use serde_json::{Value, json};

use super::super::merge::merge;
use super::super::shape::Shape;
use super::custom::widget;

fn merged(live: Value, config: Value) -> Value {
    let mut object = json!({"spec": live});
    merge(Shape::Known(&widget()), &mut object, &json!({"spec": config}));
    object["spec"].take()
}

#[track_caller]
fn assert_order(live: &str, config: &str, expected: &str) {
    let letters = |text: &str| json!({"tags": text.chars().map(String::from).collect::<Vec<_>>()});
    assert_eq!(merged(letters(live), letters(config)), letters(expected), "{live} + {config}");
}

#[test]
fn items_new_in_the_configuration_come_after_those_before_them() {
    assert_order("abc", "def", "abcdef");
    assert_order("abc", "", "abc");
    assert_order("", "abc", "abc");
    assert_order("abcxyz", "def", "abcxyzdef");
    assert_order("ab", "ba", "ba");
}

#[test]
fn shared_items_stand_in_the_order_of_the_configuration() {
    assert_order("cagf", "cfag", "cfag");
    assert_order("cdef", "ace", "dface".replace("dface", "acdef").as_str());
    assert_order("abcxyz", "defxyz", "abcdefxyz");
    assert_order("abcd", "defa", "bcdefa");
    assert_order("cdefghij", "2h3e4kl", "cdfg2hij3e4kl");
    assert_order("abcdefghij", "1b2h3e4kl", "a1bcdfg2hij3e4kl");
}

#[test]
fn a_live_item_named_later_waits_for_its_turn() {
    // Before the shared `a`, the unnamed `z` keeps its place in front of the new `n`.
    assert_order("bza", "nab", "znab");
}

#[test]
fn repeated_live_items_stay_unless_the_configuration_names_them() {
    assert_order("abb", "c", "abbc");
    assert_order("abb", "b", "ab");
    assert_order("abb", "a", "abb");
    assert_order("abcdec", "1b2ed", "a1bc2ecd");
    assert_order("abcdec", "1b2ced", "a1b2ced");
    assert_order("aabb", "bcd", "aabcd");
    assert_order("cagfca", "cfag", "cfag");
}

#[test]
fn repeated_items_are_replaced_and_single_ones_merged() {
    let live = json!({"ports": [{"name": "a", "port": 1}, {"name": "a", "port": 2}, {"name": "b", "port": 3}]});
    let config = json!({"ports": [{"name": "a", "proto": "UDP"}, {"name": "b", "proto": "UDP"}]});
    assert_eq!(merged(live, config)["ports"], json!([{"name": "a", "proto": "UDP"}, {"name": "b", "port": 3, "proto": "UDP"}]));
}

#[test]
fn null_and_empty_take_nothing_from_what_is_owned_piece_by_piece() {
    let live = json!({"labels": {"a": "1"}, "tags": ["a"], "args": ["1"], "sel": {"a": "1"}, "mode": "fast"});
    assert_eq!(merged(live.clone(), json!({"labels": null, "tags": null})), live);
    assert_eq!(merged(live.clone(), json!({"labels": {}, "tags": []})), live);
    let replaced = merged(live, json!({"args": [], "sel": {}, "mode": null}));
    assert_eq!(replaced, json!({"labels": {"a": "1"}, "tags": ["a"], "args": [], "sel": {}, "mode": null}));
}

#[test]
fn what_has_no_schema_merges_by_key_and_replaces_lists() {
    let live = json!({"extra": {"a": {"b": 1}, "c": [1, 2]}});
    assert_eq!(merged(live, json!({"extra": {"a": {"d": 2}, "c": [3]}}))["extra"], json!({"a": {"b": 1, "d": 2}, "c": [3]}));
}
