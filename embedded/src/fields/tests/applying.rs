//! Server-side apply: ownership, conflicts, removal, errors.

use serde_json::{Value, json};

use super::super::{Writer, apply};
use super::custom::widget;
use super::{assert_managed, config_map, write, writer};

fn config(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s"}, "data": data})
}

fn by(manager: &str, live: Option<&Value>, config: &Value) -> Value {
    apply(&config_map(), live, config, &writer(manager, "v1"), false).unwrap()
}

fn labelled() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s", "labels": {"x": "1"}}, "data": {"a": "1", "b": "1"}})
}

#[test]
fn applying_creates_and_applying_the_same_again_changes_nothing_not_even_a_time() {
    let created = by("A", None, &labelled());
    assert_managed(&created, &[("A Apply", json!({"f:data": {"f:a": {}, "f:b": {}}, "f:metadata": {"f:labels": {"f:x": {}}}}))]);
    let later = Writer { time: "2026-11-22T13:00:00Z", ..writer("A", "v1") };
    assert_eq!(apply(&config_map(), Some(&created), &labelled(), &later, false).unwrap(), created);
}

#[test]
fn two_may_apply_the_same_value_and_a_third_value_is_a_conflict_unless_forced() {
    let live = by("B", Some(&by("A", None, &labelled())), &config(json!({"c": "1", "a": "1"})));
    let of_a = json!({"f:data": {"f:a": {}, "f:b": {}}, "f:metadata": {"f:labels": {"f:x": {}}}});
    assert_managed(&live, &[("A Apply", of_a), ("B Apply", json!({"f:data": {"f:a": {}, "f:c": {}}}))]);

    let wanted = config(json!({"c": "1", "a": "2", "b": "2"}));
    let error = apply(&config_map(), Some(&live), &wanted, &writer("B", "v1"), false).unwrap_err();
    assert_eq!(error.message, "Apply failed with 2 conflicts: conflicts with \"A\":\n- .data.a\n- .data.b");

    let forced = apply(&config_map(), Some(&live), &wanted, &writer("B", "v1"), true).unwrap();
    assert_eq!(forced["data"], json!({"a": "2", "b": "2", "c": "1"}));
    let of_b = ("B Apply", json!({"f:data": {"f:a": {}, "f:b": {}, "f:c": {}}}));
    assert_managed(&forced, &[("A Apply", json!({"f:metadata": {"f:labels": {"f:x": {}}}})), of_b.clone()]);

    let less = by("A", Some(&forced), &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s"}}));
    assert_managed(&less, &[of_b]);
    assert!(less["metadata"].get("labels").is_none());
}

#[test]
fn a_put_takes_from_appliers_what_it_changes() {
    let live = by("B", None, &config(json!({"a": "2", "b": "2", "c": "1"})));
    let put = write(&config_map(), Some(&live), json!({"data": {"b": null, "c": "9"}}), &writer("U", "v1"));
    assert_managed(&put, &[("B Apply", json!({"f:data": {"f:a": {}}})), ("U Update", json!({"f:data": {"f:c": {}}}))]);
}

#[test]
fn an_object_without_managers_belongs_to_before_first_apply() {
    let live = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s", "uid": "u"}, "data": {"a": "2", "c": "9"}});
    let error = apply(&config_map(), Some(&live), &config(json!({"c": "10"})), &writer("A", "v1"), false).unwrap_err();
    assert_eq!(error.message, "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.c");
    let causes =
        json!([{"field": ".data.c", "message": "conflict with \"before-first-apply\" using v1", "reason": "FieldManagerConflict"}]);
    assert_eq!(error.to_value()["details"], json!({"causes": causes}));

    let merged = by("A", Some(&live), &config(json!({"d": "1"})));
    let before = json!({"f:data": {".": {}, "f:a": {}, "f:c": {}}});
    assert_managed(&merged, &[("A Apply", json!({"f:data": {"f:d": {}}})), ("before-first-apply Update", before)]);
}

#[test]
fn what_an_applier_drops_stays_where_an_updater_owns_it_too() {
    let live = by("A", None, &config(json!({"a": "1", "b": "1"})));
    let touched = write(&config_map(), Some(&live), json!({"data": {"a": "2"}}), &writer("U", "v1"));
    let back = apply(&config_map(), Some(&touched), &config(json!({"a": "2", "b": "1"})), &writer("A", "v1"), false).unwrap();
    let dropped = by("A", Some(&back), &config(json!({})));
    assert_eq!(dropped["data"], json!({"a": "2"}));
    assert_managed(&dropped, &[("A Apply", json!({"f:data": {}})), ("U Update", json!({"f:data": {"f:a": {}}}))]);
}

#[test]
fn a_list_item_that_others_own_parts_of_stays_without_what_was_dropped() {
    let port = |fields: Value| json!({"metadata": {"name": "w"}, "spec": {"ports": [fields]}});
    let by = |manager: &str, live: Option<&Value>, config: &Value| {
        apply(&widget(), live, config, &writer(manager, "x.example.com/v1"), false).unwrap()
    };
    let first = by("A", None, &port(json!({"name": "h", "port": 1})));
    let second = by("B", Some(&first), &port(json!({"name": "h", "proto": "UDP"})));
    assert_eq!(second["spec"]["ports"], json!([{"name": "h", "port": 1, "proto": "UDP"}]));
    let third = by("A", Some(&second), &json!({"metadata": {"name": "w"}}));
    assert_eq!(third["spec"]["ports"], json!([{"name": "h", "proto": "UDP"}]));
    let fourth = by("B", Some(&third), &json!({"metadata": {"name": "w"}}));
    assert!(fourth["spec"].get("ports").is_none(), "{fourth}");
}

#[test]
fn dropping_a_list_item_takes_with_it_what_nobody_else_owns() {
    let config = json!({"metadata": {"name": "w"}, "spec": {"ports": [{"name": "h", "port": 1}, {"name": "i"}]}});
    let writer = writer("A", "x.example.com/v1");
    let mut live = apply(&widget(), None, &config, &writer, false).unwrap();
    live["spec"]["ports"][0]["proto"] = json!("TCP");
    let less = json!({"metadata": {"name": "w"}, "spec": {"ports": [{"name": "i"}]}});
    assert_eq!(apply(&widget(), Some(&live), &less, &writer, false).unwrap()["spec"]["ports"], json!([{"name": "i"}]));
}

#[test]
fn what_an_updater_set_inside_an_applied_item_goes_with_the_item() {
    let config = |ports: Value| json!({"metadata": {"name": "w"}, "spec": {"mode": "fast", "ports": ports}});
    let by = writer("A", "x.example.com/v1");
    let live = apply(&widget(), None, &config(json!([{"name": "h"}, {"name": "i"}])), &by, false).unwrap();
    let ports = json!([{"name": "h", "port": 1}, {"name": "i"}, {"name": "j"}]);
    let touched = write(&widget(), Some(&live), json!({"spec": {"ports": ports}}), &writer("U", "x.example.com/v1"));
    let less = apply(&widget(), Some(&touched), &config(json!([{"name": "i"}])), &by, false).unwrap();
    assert_eq!(less["spec"]["ports"], json!([{"name": "i"}, {"name": "j"}]));
    let own = json!({"f:spec": {"f:ports": {"k:{\"name\":\"j\"}": {".": {}, "f:name": {}}}}});
    let applied = json!({"f:spec": {"f:mode": {}, "f:ports": {"k:{\"name\":\"i\"}": {".": {}, "f:name": {}}}}});
    assert_managed(&less, &[("A Apply", applied), ("U Update", own)]);
}

#[test]
fn kubectl_may_take_over_what_it_applied_on_the_clients_side() {
    let note = |data: Value| {
        format!("{}\n", json!({"apiVersion": "v1", "data": data, "kind": "ConfigMap", "metadata": {"annotations": {}, "name": "s"}}))
    };
    let name = "kubectl.kubernetes.io/last-applied-configuration";
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s", "annotations": {name: note(json!({"a": "1", "b": "1"}))}}, "data": {"a": "1", "b": "1"}});
    let live = write(&config_map(), None, object, &writer("kubectl-client-side-apply", "v1"));
    let wanted = config(json!({"a": "2", "b": "1"}));

    let error = apply(&config_map(), Some(&live), &wanted, &writer("other", "v1"), false).unwrap_err();
    assert!(error.message.contains(".data.a"), "{error}");

    let merged = by("kubectl", Some(&live), &wanted);
    assert_eq!(merged["data"], json!({"a": "2", "b": "1"}));
    let kept: Value = serde_json::from_str(merged["metadata"]["annotations"][name].as_str().unwrap()).unwrap();
    assert_eq!(kept["data"], json!({"a": "2", "b": "1"}));

    let touched = write(&config_map(), Some(&live), json!({"data": {"a": "9"}}), &writer("other", "v1"));
    let error = apply(&config_map(), Some(&touched), &wanted, &writer("kubectl", "v1"), false).unwrap_err();
    assert_eq!(error.message, "Apply failed with 1 conflict: conflict with \"other\" using v1: .data.a");
}

#[test]
fn a_manager_that_applied_and_updates_conflicts_with_itself() {
    let live = write(&config_map(), None, config(json!({"a": "1"})), &writer("m", "v1"));
    let error = apply(&config_map(), Some(&live), &config(json!({"a": "2"})), &writer("m", "v1"), false).unwrap_err();
    assert_eq!(error.message, "Apply failed with 1 conflict: conflict with \"m\" using v1: .data.a");
}

#[test]
fn conflicts_with_a_subresource_say_so() {
    let scale = Writer { subresource: "scale", ..writer("hpa", "x.example.com/v1") };
    let live = write(
        &widget(),
        Some(&write(&widget(), None, json!({"spec": {"replicas": 1}}), &writer("m", "x.example.com/v1"))),
        json!({"spec": {"replicas": 4}}),
        &scale,
    );
    let config = json!({"spec": {"replicas": 1}});
    let error = apply(&widget(), Some(&live), &config, &writer("A", "x.example.com/v1"), false).unwrap_err();
    assert_eq!(
        error.message,
        "Apply failed with 1 conflict: conflict with \"hpa\" with subresource \"scale\" using x.example.com/v1: .spec.replicas"
    );
}

#[track_caller]
fn assert_refused(spec: Value, reason: &str) {
    let config = json!({"apiVersion": "difft.example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "n"}, "spec": spec});
    let error = apply(&widget(), None, &config, &writer("A", "difft.example.com/v1"), true).unwrap_err();
    assert_eq!((error.code, error.reason), (500, ""));
    assert_eq!(error.message, format!("failed to create typed patch object (n/w; difft.example.com/v1, Kind=Widget): {reason}"));
}

#[test]
fn a_configuration_that_does_not_fit_the_schema_is_refused_with_the_place() {
    assert_refused(json!({"replicas": "3"}), ".spec.replicas: expected numeric (int or float), got string");
    assert_refused(json!({"mode": 5}), ".spec.mode: expected string, got &value.valueUnstructured{Value:5}");
    assert_refused(json!({"flag": "yes"}), ".spec.flag: expected boolean, got &{yes}");
    assert_refused(json!({"labels": ["x", 1]}), ".spec.labels: expected map, got &{[x 1]}");
    assert_refused(json!({"args": {"a": 1}}), ".spec.args: expected list, got &{map[a:1]}");
    assert_refused(json!({"args": ["a", 1]}), ".spec.args[1]: expected string, got &value.valueUnstructured{Value:1}");
    assert_refused(json!({"bogus": 1}), ".spec.bogus: field not declared in schema");
    assert_refused(json!({"ports": [{"name": "a"}, {"name": "a"}]}), ".spec.ports: duplicate entries for key [name=\"a\"]");
    assert_refused(json!({"tags": ["a", "b", "a"]}), ".spec.tags: duplicate entries for key [=\"a\"]");
    assert_refused(
        json!({"ports": [{"port": 1}]}),
        ".spec.ports: element 0: associative list with keys has an element that omits all key fields [\"name\"] (and doesn't have default values for any key fields)",
    );
    assert_refused(
        json!({"bogus": 1, "replicas": true}),
        "errors:\n  .spec.bogus: field not declared in schema\n  .spec.replicas: expected numeric (int or float), got bool",
    );
}
