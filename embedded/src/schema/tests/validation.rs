//! The sentences are those of a real server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use serde_json::{Value, json};

use super::{field, lines, widget, with_spec};
use crate::schema::{Schema, validate};

const UNCHECKED: &str = "FieldValueInvalid <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

/// What a new object with this spec is told.
fn told(spec: Value) -> Vec<String> {
    lines(&validate(&widget(), &with_spec(spec), None))
}

fn told_of(schema: &Schema, value: Value) -> Vec<String> {
    lines(&validate(schema, &json!({"x": value}), None))
}

#[test]
fn a_valid_object_has_no_errors() {
    let spec = json!({"mode": "fast", "ports": [{"name": "h", "port": 1}], "tags": ["a"], "extra": {"any": {"x": 1}}, "q": "50%", "labels": {"l": "1"},
        "when": "2024-01-02T03:04:05Z", "ratio": 1, "opt": null});
    assert_eq!(told(spec), Vec::<String>::new());
}

#[test]
fn a_value_outside_the_enumeration_is_unsupported_and_stops_rules() {
    let wrong = "FieldValueNotSupported spec.mode: Unsupported value: \"x\": supported values: \"fast\", \"slow\"";
    assert_eq!(told(json!({"mode": "x"})), [wrong, UNCHECKED]);
}

#[test]
fn a_missing_field_is_required_and_stops_rules() {
    assert_eq!(told(json!({})), ["FieldValueRequired spec.mode: Required value", UNCHECKED]);
    assert_eq!(told(json!({"mode": "fast", "ports": [{"port": 1}]})), ["FieldValueRequired spec.ports[0].name: Required value", UNCHECKED]);
    let schema = widget();
    assert_eq!(lines(&validate(&schema, &json!({}), None)), ["FieldValueRequired spec: Required value", UNCHECKED]);
}

#[test]
fn a_wrong_type_is_named_and_stops_rules() {
    let wrong = "FieldValueTypeInvalid spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\"";
    assert_eq!(told(json!({"mode": "fast", "replicas": "x"})), [wrong, UNCHECKED]);
    let wrong = "FieldValueTypeInvalid spec.q: Invalid value: \"number\": spec.q in body must be of type integer,string: \"number\"";
    assert_eq!(told(json!({"mode": "fast", "q": 1.5})), [wrong, UNCHECKED]);
    let wrong = "FieldValueTypeInvalid spec.when: Invalid value: \"nope\": spec.when in body must be of type date-time: \"nope\"";
    assert_eq!(told(json!({"mode": "fast", "when": "nope"})), [wrong, UNCHECKED]);
    let wrong = "FieldValueTypeInvalid spec.args[1]: Invalid value: \"null\": spec.args[1] in body must be of type string: \"null\"";
    assert_eq!(told(json!({"mode": "fast", "args": ["a", null]})), [wrong, UNCHECKED]);
}

#[test]
fn bounds_of_numbers_do_not_stop_rules() {
    assert_eq!(
        told(json!({"mode": "fast", "replicas": 11})),
        [
            "FieldValueInvalid spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10",
            "FieldValueInvalid spec: Invalid value: replicas must be <= maxReplicas",
        ]
    );
    let schema = field(json!({"type": "number", "minimum": 1.5, "exclusiveMinimum": true, "multipleOf": 0.5}));
    assert_eq!(told_of(&schema, json!(1.5)), ["FieldValueInvalid x: Invalid value: 1.5: x in body should be greater than 1.5"]);
    assert_eq!(told_of(&schema, json!(1.7)), ["FieldValueInvalid x: Invalid value: 1.7: x in body should be a multiple of 0.5"]);
    assert_eq!(told_of(&schema, json!(2)), Vec::<String>::new());
}

#[test]
fn a_string_tells_its_first_broken_bound() {
    let pattern = "FieldValueInvalid spec.name: Invalid value: \"AB\": spec.name in body should match '^[a-z]+$'";
    assert_eq!(told(json!({"mode": "fast", "name": "AB"})), [pattern]);
    let short = "FieldValueInvalid spec.name: Invalid value: \"a\": spec.name in body should be at least 2 chars long";
    assert_eq!(told(json!({"mode": "fast", "name": "a"})), [short]);
    let long = "FieldValueTooLong spec.name: Too long: may not be more than 5 bytes";
    assert_eq!(told(json!({"mode": "fast", "name": "abcdefg"})), [long, UNCHECKED]);
    let schema = field(json!({"type": "string", "maxLength": 3}));
    assert_eq!(told_of(&schema, json!("äöü")), Vec::<String>::new(), "length counts characters");
}

#[test]
fn sizes_of_lists_and_maps_are_bounded() {
    let many = "FieldValueTooMany spec.ports: Too many: 4: must have at most 3 items";
    let ports = json!([{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d"}]);
    assert_eq!(told(json!({"mode": "fast", "ports": ports})), [many, UNCHECKED]);
    let schema = field(json!({"type": "array", "minItems": 2, "items": {"type": "integer"}}));
    assert_eq!(told_of(&schema, json!([1])), ["FieldValueInvalid x: Invalid value: [1]: x in body should have at least 2 items"]);
    let schema = field(json!({"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": {"type": "string"}}));
    assert_eq!(told_of(&schema, json!({})), ["FieldValueInvalid x: Invalid value: {}: x in body should have at least 1 properties"]);
    assert_eq!(told_of(&schema, json!({"a": "1", "b": "2"})), ["FieldValueTooMany x: Too many: 2: must have at most 1 items"]);
}

#[test]
fn lists_of_type_set_and_map_refuse_duplicates() {
    let twice = "FieldValueDuplicate spec.tags[1]: Duplicate value: \"a\"";
    assert_eq!(told(json!({"mode": "fast", "tags": ["a", "a"]})), [twice]);
    let twice = "FieldValueDuplicate spec.ports[1]: Duplicate value: {\"name\":\"a\"}";
    assert_eq!(told(json!({"mode": "fast", "ports": [{"name": "a"}, {"name": "a", "port": 2}]})), [twice]);
    assert_eq!(told(json!({"mode": "fast", "args": ["a", "a"]})), Vec::<String>::new());
}

#[test]
fn all_errors_of_an_object_are_told_at_once() {
    let mut found = told(json!({"mode": "x", "replicas": -1, "name": "A"}));
    found.sort();
    assert_eq!(
        found,
        [
            UNCHECKED,
            "FieldValueInvalid spec.name: Invalid value: \"A\": spec.name in body should be at least 2 chars long",
            "FieldValueInvalid spec.replicas: Invalid value: -1: spec.replicas in body should be greater than or equal to 0",
            "FieldValueNotSupported spec.mode: Unsupported value: \"x\": supported values: \"fast\", \"slow\"",
        ]
    );
}

#[test]
fn whole_floats_are_integers_and_integers_are_numbers() {
    assert_eq!(told_of(&field(json!({"type": "integer"})), json!(3.0)), Vec::<String>::new());
    assert_eq!(told_of(&field(json!({"type": "number", "enum": [1]})), json!(1.0)), Vec::<String>::new());
    let small = field(json!({"type": "integer", "format": "int32"}));
    let wrong = "FieldValueInvalid <nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in x";
    assert_eq!(told_of(&small, json!(3_000_000_000_u64)), [wrong]);
}

#[test]
fn junctions_say_which_of_them_failed() {
    let bounds = json!([{"minLength": 3}, {"pattern": "^b"}]);
    let any = field(json!({"type": "string", "anyOf": bounds}));
    assert_eq!(told_of(&any, json!("bc")), Vec::<String>::new());
    assert_eq!(
        told_of(&any, json!("a"))[0],
        "FieldValueInvalid <nil>: Invalid value: \"\": \"x\" must validate at least one schema (anyOf)"
    );
    let one = field(json!({"type": "string", "oneOf": bounds}));
    let none = "FieldValueInvalid <nil>: Invalid value: \"\": \"x\" must validate one and only one schema (oneOf). Found none valid";
    assert_eq!(told_of(&one, json!("a"))[0], none);
    let both =
        "FieldValueInvalid <nil>: Invalid value: \"\": \"x\" must validate one and only one schema (oneOf). Found 2 valid alternatives";
    assert_eq!(told_of(&one, json!("bcd")), [both]);
    let all = field(json!({"type": "string", "allOf": bounds}));
    assert_eq!(told_of(&all, json!("bcd")), Vec::<String>::new());
    assert_eq!(
        told_of(&all, json!("abc")),
        [
            "FieldValueInvalid x: Invalid value: \"abc\": x in body should match '^b'",
            "FieldValueInvalid <nil>: Invalid value: \"\": \"x\" must validate all the schemas (allOf)",
        ]
    );
    let not = field(json!({"type": "string", "not": {"enum": ["a"]}}));
    assert_eq!(told_of(&not, json!("a")), ["FieldValueInvalid <nil>: Invalid value: \"\": \"x\" must not validate the schema (not)"]);
    assert_eq!(told_of(&not, json!("b")), Vec::<String>::new());
}

#[test]
fn one_of_required_fields_works_on_objects() {
    let schema = field(json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}));
    assert_eq!(told_of(&schema, json!({"a": "1"})), Vec::<String>::new());
    assert_eq!(told_of(&schema, json!({}))[1], "FieldValueRequired x.a: Required value");
    assert_eq!(told_of(&schema, json!({"a": "1", "b": "1"})).len(), 1);
}

#[test]
fn formats_accept_and_refuse_what_kubernetes_does() {
    let cases = [
        ("date-time", "2024-05-06T07:08:09.123+02:00", "2024-05-06"),
        ("date", "2024-05-06", "2024-5-6"),
        ("duration", "1h30m", "1 fortnight"),
        ("byte", "aGVsbG8=", "a b"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "fe80::1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
        ("hostname", "a.example.com", "-a"),
        ("email", "a@b.org", "ab.org"),
        ("uri", "https://example.com/x", "example"),
        ("mac", "01:23:45:67:89:ab", "01:23"),
        ("uuid", "8a9b6c1e-4e5d-4a3b-9d2c-1f0e9d8c7b6a", "8a9b"),
        ("uuid4", "8a9b6c1e-4e5d-4a3b-9d2c-1f0e9d8c7b6a", "8a9b6c1e-4e5d-3a3b-9d2c-1f0e9d8c7b6a"),
        ("hexcolor", "#ffaa00", "#ggg"),
        ("rgbcolor", "rgb(1, 2,255)", "rgb(1,2,256)"),
        ("k8s-short-name", "a-b", "A"),
        ("k8s-long-name", "a-b.c", "a..b"),
    ];
    for (format, good, bad) in cases {
        let schema = field(json!({"type": "string", "format": format}));
        assert_eq!(told_of(&schema, json!(good)), Vec::<String>::new(), "{format} {good}");
        let wrong = format!("FieldValueTypeInvalid x: Invalid value: \"{bad}\": x in body must be of type {format}: \"{bad}\"");
        assert_eq!(told_of(&schema, json!(bad)), [wrong]);
    }
    assert_eq!(told_of(&field(json!({"type": "string", "format": "unheard-of"})), json!("x")), Vec::<String>::new());
}

#[test]
fn what_did_not_change_is_not_judged_again() {
    let schema = widget();
    let old = with_spec(json!({"mode": "gone", "name": "TOO-LONG", "ports": [{"name": "a", "port": "x"}, {"name": "b"}]}));
    let mut new = old.clone();
    new["spec"]["replicas"] = json!(3);
    new["spec"]["ports"] = json!([{"name": "b"}, {"name": "a", "port": "x"}]);
    assert_eq!(lines(&validate(&schema, &new, Some(&old))), Vec::<String>::new());
    new["spec"]["ports"][1]["port"] = json!("y");
    let wrong = "FieldValueTypeInvalid spec.ports[1].port: Invalid value: \"string\": spec.ports[1].port in body must be of type integer: \"string\"";
    assert_eq!(lines(&validate(&schema, &new, Some(&old))), [wrong, UNCHECKED]);
}

#[test]
fn duplicates_that_were_there_already_do_not_stand_in_the_way() {
    let schema = widget();
    let old = with_spec(json!({"mode": "fast", "tags": ["a", "a"]}));
    let mut new = old.clone();
    new["spec"]["tags"] = json!(["a", "a", "b"]);
    assert_eq!(lines(&validate(&schema, &new, Some(&old))), Vec::<String>::new());
}
