//! Updates: entries that merge, are capped, edited by users, or meet a changed schema.

use serde_json::{Value, json};

use super::super::entries::Entries;
use super::super::{Writer, apply, compare, update};
use super::custom::widget;
use super::{assert_managed, at, config_map, managed, write, writer};
use crate::schema::Schema;

fn created() -> Value {
    write(&config_map(), None, json!({"metadata": {"name": "a", "uid": "u"}, "data": {"k": "v"}}), &writer("m1", "v1"))
}

fn created_by_m1() -> (&'static str, Value) {
    ("m1 Update", json!({"f:data": {".": {}, "f:k": {}}}))
}

#[test]
fn a_manager_has_one_entry_a_version_and_subresource() {
    let second = write(&config_map(), Some(&created()), json!({"data": {"x": "1"}}), &writer("m1", "v1"));
    assert_managed(&second, &[("m1 Update", json!({"f:data": {".": {}, "f:k": {}, "f:x": {}}}))]);
    let other = Writer { subresource: "status", ..writer("m1", "v1") };
    let third = write(&config_map(), Some(&second), json!({"data": {"x": "2"}}), &other);
    assert_managed(&third, &[created_by_m1(), ("m1 Update/status", json!({"f:data": {"f:x": {}}}))]);
}

#[test]
fn only_a_manager_that_took_something_gets_a_new_time() {
    let later = Writer { time: "2026-11-22T13:00:00Z", ..writer("m2", "v1") };
    let patched = write(&config_map(), Some(&created()), json!({"data": {"x": "1"}}), &later);
    let times: Vec<&str> =
        patched["metadata"]["managedFields"].as_array().unwrap().iter().map(|entry| entry["time"].as_str().unwrap()).collect();
    assert_eq!(times, [super::NOON, "2026-11-22T13:00:00Z"]);
}

#[test]
fn who_gives_no_name_is_unknown() {
    let created = write(&config_map(), None, json!({"data": {"k": "v"}}), &writer("", "v1"));
    assert_managed(&created, &[("unknown Update", json!({"f:data": {".": {}, "f:k": {}}}))]);
}

#[test]
fn entries_stand_appliers_first_then_by_time_then_by_name() {
    let mut object = created();
    for (second, manager) in [(3, "c"), (1, "b"), (1, "a")] {
        let time = at(second);
        object = write(&config_map(), Some(&object), json!({"data": {manager: "1"}}), &Writer { time: &time, ..writer(manager, "v1") });
    }
    object =
        apply(&config_map(), Some(&object), &json!({"data": {"z": "1"}}), &Writer { time: &at(9), ..writer("z", "v1") }, false).unwrap();
    let order: Vec<String> = managed(&object).into_iter().map(|(who, _)| who).collect();
    assert_eq!(order, ["z Apply", "m1 Update", "a Update", "b Update", "c Update"]);
}

#[test]
fn more_than_ten_updaters_become_ancient_changes_and_no_field_is_lost() {
    let mut object = json!({"metadata": {"name": "a"}});
    for number in 0..14 {
        let (manager, time) = (format!("m{number:02}"), at(number));
        let old = (number > 0).then(|| object.clone());
        object = write(
            &config_map(),
            old.as_ref(),
            json!({"data": {manager.as_str(): "1"}}),
            &Writer { manager: &manager, time: &time, ..writer("", "v1") },
        );
    }
    let entries = managed(&object);
    assert_eq!(entries.len(), 10);
    let ancient = json!({"f:data": {".": {}, "f:m00": {}, "f:m01": {}, "f:m02": {}, "f:m03": {}, "f:m04": {}}});
    assert_eq!(entries.first().unwrap(), &("ancient-changes Update".to_owned(), ancient));
    assert_eq!(object["metadata"]["managedFields"][0]["time"], at(4));
}

#[test]
fn an_empty_list_clears_the_managers_and_they_stay_away_until_the_next_apply() {
    for reset in [json!([]), json!([{}])] {
        let mut cleared = created();
        cleared["metadata"]["managedFields"] = reset;
        update(&config_map(), Some(&created()), &mut cleared, &writer("m2", "v1"));
        assert!(cleared["metadata"].get("managedFields").is_none());
        let changed = write(&config_map(), Some(&cleared), json!({"data": {"x": "1"}}), &writer("m2", "v1"));
        assert!(changed["metadata"].get("managedFields").is_none());
        let applied = apply(&config_map(), Some(&changed), &json!({"data": {"y": "1"}}), &writer("A", "v1"), false).unwrap();
        let before = json!({"f:data": {".": {}, "f:k": {}, "f:x": {}}});
        assert_managed(&applied, &[("A Apply", json!({"f:data": {"f:y": {}}})), ("before-first-apply Update", before)]);
    }
}

#[test]
fn creating_may_start_from_what_objects_of_a_kind_always_have() {
    let schema = super::builtin_schema("authorization.k8s.io/v1", "SelfSubjectAccessReview");
    let mut review = json!({"spec": {"nonResourceAttributes": {"verb": "get"}}, "status": {"allowed": false}, "metadata": {}});
    let zero = json!({"spec": {}, "status": {"allowed": false}});
    update(&schema, Some(&zero), &mut review, &writer("m", "authorization.k8s.io/v1"));
    assert_managed(&review, &[("m Update", json!({"f:spec": {"f:nonResourceAttributes": {".": {}, "f:verb": {}}}}))]);
}

#[test]
fn a_list_the_user_sends_is_taken_and_the_write_is_booked_on_top() {
    let sent = json!([{"manager": "kubectl", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {".": {}, "f:k": {}}}}]);
    let mut migrated = created();
    migrated["metadata"]["managedFields"] = sent.clone();
    migrated["data"]["x"] = json!("1");
    update(&config_map(), Some(&created()), &mut migrated, &writer("m2", "v1"));
    assert_managed(&migrated, &[("kubectl Apply", json!({"f:data": {".": {}, "f:k": {}}})), ("m2 Update", json!({"f:data": {"f:x": {}}}))]);

    // Through a subresource nobody edits the managers of the object.
    let mut through_status = created();
    through_status["metadata"]["managedFields"] = sent;
    update(&config_map(), Some(&created()), &mut through_status, &Writer { subresource: "status", ..writer("m2", "v1") });
    assert_managed(&through_status, &[created_by_m1()]);
}

#[test]
fn invalid_lists_are_ignored_and_the_managers_stay() {
    let entry = json!({"manager": "x", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}}});
    for (name, wrong) in [
        ("operation", json!("Steal")),
        ("apiVersion", json!("")),
        ("fieldsType", json!("V9")),
        ("fieldsV1", json!({"data": {}})),
        ("time", json!(5)),
    ] {
        let mut broken = entry.clone();
        broken[name] = wrong;
        assert!(Entries::decode(Some(&json!([broken]))).is_err(), "{broken}");
        let mut new = created();
        new["metadata"]["managedFields"] = json!([broken]);
        update(&config_map(), Some(&created()), &mut new, &writer("m2", "v1"));
        assert_eq!(new, created());
    }
    let mut absent = created();
    absent["metadata"].as_object_mut().unwrap().remove("managedFields");
    update(&config_map(), Some(&created()), &mut absent, &writer("m2", "v1"));
    assert_eq!(absent, created());
}

#[test]
fn a_list_that_becomes_owned_as_a_whole_is_owned_by_those_who_owned_its_items() {
    let schema = |kind: &str| {
        let list = json!({"type": "array", "x-kubernetes-list-type": kind, "items": {"type": "string"}});
        Schema::parse(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"tags": list}}}})).unwrap()
    };
    let config = json!({"spec": {"tags": ["a"]}});
    let by = writer("A", "x.example.com/v1");
    let live = apply(&schema("set"), None, &config, &by, false).unwrap();
    assert_managed(&live, &[("A Apply", json!({"f:spec": {"f:tags": {"v:\"a\"": {}}}}))]);
    let changed = write(&schema("atomic"), Some(&live), json!({"other": "1"}), &writer("U", "x.example.com/v1"));
    assert_managed(&changed, &[("A Apply", json!({"f:spec": {"f:tags": {}}})), ("U Update", json!({"f:other": {}}))]);
    let error =
        apply(&schema("atomic"), Some(&live), &json!({"spec": {"tags": ["b"]}}), &writer("B", "x.example.com/v1"), false).unwrap_err();
    assert_eq!(error.message, "Apply failed with 1 conflict: conflict with \"A\": .spec.tags");
}

#[test]
fn comparing_tells_added_modified_and_removed_apart() {
    let old = json!({"spec": {"mode": "a", "labels": {"l": "1", "m": "1"}, "ports": [{"name": "h", "port": 1}, {"name": "i"}], "args": ["1"], "q": 1}});
    let new = json!({"spec": {"mode": "b", "labels": {"l": "1", "n": "1"}, "ports": [{"name": "h", "port": 2}, {"name": "j"}], "args": ["2"], "q": 1.0}});
    let changes = compare(&widget(), &old, &new, false);
    let port = |name: &str| json!({format!("k:{{\"name\":\"{name}\"}}"): {".": {}, "f:name": {}}});
    assert_eq!(changes.added.to_value(), json!({"f:spec": {"f:labels": {"f:n": {}}, "f:ports": port("j")}}));
    assert_eq!(changes.removed.to_value(), json!({"f:spec": {"f:labels": {"f:m": {}}, "f:ports": port("i")}}));
    assert_eq!(
        changes.modified.to_value(),
        json!({"f:spec": {"f:mode": {}, "f:args": {}, "f:ports": {"k:{\"name\":\"h\"}": {"f:port": {}}}}})
    );
    assert!(compare(&widget(), &old, &old, false).is_same());
}

#[test]
fn comparing_values_of_another_type_replaces_them() {
    let (text, map) = (json!({"spec": {"extra": {"x": "1"}}}), json!({"spec": {"extra": {"x": {"y": 1}}}}));
    let changes = compare(&widget(), &text, &map, false);
    assert_eq!(changes.modified.to_value(), json!({"f:spec": {"f:extra": {"f:x": {}}}}));
    assert_eq!(changes.added.to_value(), json!({"f:spec": {"f:extra": {"f:x": {"f:y": {}}}}}));
    let back = compare(&widget(), &map, &text, false);
    assert_eq!(back.removed.to_value(), json!({"f:spec": {"f:extra": {"f:x": {"f:y": {}}}}}));
}

#[test]
fn comparing_repeated_items_takes_them_as_one() {
    let ports = |ports: Value| json!({"spec": {"ports": ports}});
    let one = ports(json!([{"name": "h", "port": 1}]));
    let two = ports(json!([{"name": "h", "port": 1}, {"name": "h", "port": 2}]));
    let more = compare(&widget(), &one, &two, false);
    assert_eq!(more.added.to_value(), json!({"f:spec": {"f:ports": {"k:{\"name\":\"h\"}": {}}}}));
    let fewer = compare(&widget(), &two, &one, false);
    assert_eq!(fewer.removed.to_value(), json!({"f:spec": {"f:ports": {"k:{\"name\":\"h\"}": {}}}}));
    assert!(compare(&widget(), &two, &two, false).is_same());
}
