//! What a real server recorded for a custom resource, request by request.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use super::super::{Writer, apply, keep_times, reset_config};
use super::{assert_managed, write, writer};
use crate::schema::{Schema, apply_defaults};

const VERSION: &str = "difft.example.com/v1";

pub(super) fn widget() -> Arc<Schema> {
    static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
        let text = || json!({"type": "string"});
        let item = json!({"type": "object", "required": ["name"], "properties": {
            "name": text(), "port": {"type": "integer"}, "proto": {"type": "string", "default": "TCP"}}});
        let condition = json!({"type": "object", "required": ["type"], "properties": {"type": text(), "status": text()}});
        let schema = json!({"type": "object", "required": ["spec"], "properties": {
            "spec": {"type": "object", "required": ["mode"], "properties": {
                "mode": text(), "opt": {"type": "string", "nullable": true}, "flag": {"type": "boolean"},
                "replicas": {"type": "integer", "default": 2}, "maxReplicas": {"type": "integer", "default": 5},
                "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": item},
                "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": text()},
                "args": {"type": "array", "items": text()},
                "labels": {"type": "object", "additionalProperties": text()},
                "sel": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": text(), "b": text()}},
                "q": {"x-kubernetes-int-or-string": true},
                "extra": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}},
            "status": {"type": "object", "properties": {
                "replicas": {"type": "integer"}, "selector": text(), "phase": text(),
                "conditions": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"], "items": condition}}}}});
        Arc::new(Schema::parse(&schema).unwrap())
    });
    SCHEMA.clone()
}

fn created() -> Value {
    let mut object = json!({"apiVersion": VERSION, "kind": "Widget", "metadata": {"name": "w"}, "spec": {
        "mode": "fast", "ports": [{"name": "h", "port": 1}], "tags": ["a"], "extra": {"any": {"x": 1}}, "q": "50%", "labels": {"l": "1"}}});
    apply_defaults(&widget(), &mut object);
    let mut created = write(&widget(), None, object, &writer("m1", VERSION));
    created["metadata"]["uid"] = json!("b1946ac9-0000-4000-8000-000000000000");
    created
}

fn creator(replicas: bool) -> Value {
    let mut spec = json!({".": {},
        "f:extra": {".": {}, "f:any": {".": {}, "f:x": {}}}, "f:labels": {".": {}, "f:l": {}}, "f:maxReplicas": {}, "f:mode": {},
        "f:ports": {".": {}, "k:{\"name\":\"h\"}": {".": {}, "f:name": {}, "f:port": {}, "f:proto": {}}},
        "f:q": {}, "f:tags": {".": {}, "v:\"a\"": {}}});
    if replicas {
        spec["f:replicas"] = json!({});
    }
    json!({"f:spec": spec})
}

fn config(spec: Value) -> Value {
    json!({"apiVersion": VERSION, "kind": "Widget", "metadata": {"name": "w"}, "spec": spec})
}

fn applied(live: &Value, config: &Value, manager: &str) -> Value {
    let mut merged = apply(&widget(), Some(live), config, &writer(manager, VERSION), false).unwrap();
    apply_defaults(&widget(), &mut merged);
    keep_times(live, &mut merged);
    merged
}

#[test]
fn who_creates_a_custom_resource_owns_the_structures_too_and_the_defaults() {
    assert_managed(&created(), &[("m1 Update", creator(true))]);
}

#[test]
fn a_null_that_the_schema_allows_is_owned() {
    let object = json!({"metadata": {"name": "bad"}, "spec": {"mode": "fast", "opt": null, "replicas": 2}});
    let mut created = object.clone();
    super::super::update(&widget(), None, &mut created, &writer("difftest", VERSION));
    assert_managed(&created, &[("difftest Update", json!({"f:spec": {".": {}, "f:mode": {}, "f:opt": {}, "f:replicas": {}}}))]);
}

#[test]
fn the_first_label_brings_its_map_but_not_the_metadata() {
    let patched = write(&widget(), Some(&created()), json!({"spec": {"replicas": 3}}), &writer("m2", VERSION));
    assert_managed(&patched, &[("m1 Update", creator(false)), ("m2 Update", json!({"f:spec": {"f:replicas": {}}}))]);
    let labelled = write(&widget(), Some(&patched), json!({"metadata": {"labels": {"z": "1"}}}), &writer("m2", VERSION));
    let m2 = json!({"f:metadata": {"f:labels": {".": {}, "f:z": {}}}, "f:spec": {"f:replicas": {}}});
    assert_managed(&labelled, &[("m1 Update", creator(false)), ("m2 Update", m2)]);
}

#[test]
fn finalizers_are_owned_one_by_one() {
    let patched =
        write(&widget(), Some(&created()), json!({"metadata": {"finalizers": ["x.example.com/f"]}}), &writer("difftest", VERSION));
    let own = json!({"f:metadata": {"f:finalizers": {".": {}, "v:\"x.example.com/f\"": {}}}});
    assert_managed(&patched, &[("m1 Update", creator(true)), ("difftest Update", own)]);
    let gone = write(&widget(), Some(&patched), json!({"metadata": {"finalizers": null}}), &writer("difftest", VERSION));
    assert_managed(&gone, &[("m1 Update", creator(true))]);
}

#[test]
fn status_is_written_and_applied_through_its_own_endpoint() {
    let ctl = Writer { subresource: "status", ..writer("ctl", VERSION) };
    let status = json!({"status": {"phase": "Y", "replicas": 3, "selector": "a=b", "conditions": [{"type": "Ready", "status": "True"}]}});
    let reported = write(&widget(), Some(&created()), status, &ctl);
    let condition = json!({".": {}, "f:status": {}, "f:type": {}});
    let by_ctl = json!({"f:status": {".": {}, "f:conditions": {".": {}, "k:{\"type\":\"Ready\"}": condition}, "f:phase": {}, "f:replicas": {}, "f:selector": {}}});
    assert_managed(&reported, &[("m1 Update", creator(true)), ("ctl Update/status", by_ctl.clone())]);

    let mut config = json!({"apiVersion": VERSION, "kind": "Widget", "metadata": {"name": "w", "labels": {"no": "1"}}, "spec": {"replicas": 9},
        "status": {"conditions": [{"type": "Prog", "status": "False"}]}});
    reset_config(&mut config, "status", true);
    let ctl2 = Writer { subresource: "status", ..writer("ctl2", VERSION) };
    let merged = apply(&widget(), Some(&reported), &config, &ctl2, false).unwrap();
    assert_eq!(merged["status"]["conditions"], json!([{"type": "Ready", "status": "True"}, {"type": "Prog", "status": "False"}]));
    assert_eq!(merged["spec"], reported["spec"]);
    let by_ctl2 = json!({"f:status": {"f:conditions": {"k:{\"type\":\"Prog\"}": condition}}});
    assert_managed(&merged, &[("m1 Update", creator(true)), ("ctl Update/status", by_ctl), ("ctl2 Apply/status", by_ctl2)]);
}

#[test]
fn applying_adds_items_and_applying_less_removes_exactly_those() {
    let live = created();
    let full = config(json!({"mode": "fast", "ports": [{"name": "s", "port": 2}], "tags": ["b"], "args": ["1", "2"], "sel": {"a": "1"}}));
    let merged = applied(&live, &full, "A");
    assert_eq!(merged["spec"]["ports"], json!([{"name": "h", "port": 1, "proto": "TCP"}, {"name": "s", "port": 2, "proto": "TCP"}]));
    assert_eq!(merged["spec"]["tags"], json!(["a", "b"]));
    let by_a = json!({"f:spec": {"f:args": {}, "f:mode": {}, "f:ports": {"k:{\"name\":\"s\"}": {".": {}, "f:name": {}, "f:port": {}}}, "f:sel": {}, "f:tags": {"v:\"b\"": {}}}});
    assert_managed(&merged, &[("A Apply", by_a), ("m1 Update", creator(true))]);

    let less = applied(&merged, &config(json!({"mode": "fast"})), "A");
    assert_managed(&less, &[("A Apply", json!({"f:spec": {"f:mode": {}}})), ("m1 Update", creator(true))]);
    let (mut less, mut live) = (less, live);
    super::super::manage::take_managed(&mut less);
    super::super::manage::take_managed(&mut live);
    assert_eq!(less, live);
}

#[test]
fn conflicts_name_every_owner_of_every_field() {
    let full = config(json!({"mode": "fast", "ports": [{"name": "s", "port": 2}], "tags": ["b"], "args": ["1", "2"], "sel": {"a": "1"}}));
    let live = applied(&created(), &full, "A");
    let other = config(json!({"mode": "slow", "ports": [{"name": "s", "port": 3}], "args": ["3"], "sel": {"b": "1"}}));
    let error = apply(&widget(), Some(&live), &other, &writer("B", VERSION), false).unwrap_err();
    assert_eq!((error.code, error.reason), (409, "Conflict"));
    let cause = |manager: &str, field: &str| json!({"reason": "FieldManagerConflict", "message": format!("conflict with {manager}"), "field": field});
    let m1 = "\"m1\" using difft.example.com/v1";
    let causes = json!([
        cause("\"A\"", ".spec.args"),
        cause("\"A\"", ".spec.mode"),
        cause("\"A\"", ".spec.ports[name=\"s\"].port"),
        cause("\"A\"", ".spec.sel"),
        cause(m1, ".spec.mode"),
    ]);
    assert_eq!(error.details, Some(json!({"causes": causes})));
    let message = "Apply failed with 5 conflicts: conflicts with \"A\":\n- .spec.args\n- .spec.mode\n- .spec.ports[name=\"s\"].port\n- .spec.sel\n\
                   conflicts with \"m1\" using difft.example.com/v1:\n- .spec.mode";
    assert_eq!(error.message, message);
}

#[test]
fn a_default_that_nobody_owns_any_more_comes_back_and_the_write_is_none() {
    let first = config(json!({"mode": "fast", "replicas": 2}));
    let mut live = apply(&widget(), None, &first, &writer("A", VERSION), false).unwrap();
    apply_defaults(&widget(), &mut live);
    let later = Writer { time: "2026-11-22T13:00:00Z", ..writer("A", VERSION) };
    let mut again = apply(&widget(), Some(&live), &first, &later, false).unwrap();
    apply_defaults(&widget(), &mut again);
    assert_eq!(again, live);

    let mut less = apply(&widget(), Some(&live), &config(json!({"mode": "fast"})), &later, false).unwrap();
    assert!(less["spec"].get("replicas").is_none());
    apply_defaults(&widget(), &mut less);
    assert_eq!(less["spec"]["replicas"], 2);
    assert_managed(&less, &[("A Apply", json!({"f:spec": {"f:mode": {}}}))]);
}

#[test]
fn an_owned_list_of_defaulted_items_written_anew_keeps_its_times() {
    let schema = Schema::parse(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"versions": {
        "type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}, "served": {"type": "boolean", "default": true}}}}}}}}))
    .unwrap();
    let config = config(json!({"versions": [{"name": "v1"}]}));
    let mut live = apply(&schema, None, &config, &writer("A", VERSION), false).unwrap();
    apply_defaults(&schema, &mut live);
    let later = Writer { time: "2026-11-22T13:00:00Z", ..writer("A", VERSION) };
    let mut again = apply(&schema, Some(&live), &config, &later, false).unwrap();
    apply_defaults(&schema, &mut again);
    assert_ne!(again, live, "the list without its defaults is another value, so the apply books a time");
    keep_times(&live, &mut again);
    assert_eq!(again, live);
}
