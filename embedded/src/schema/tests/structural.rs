#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use serde_json::{Value, json};

use crate::schema::Schema;

/// What a definition with this one field `x` is told.
fn refused(x: Value) -> Vec<String> {
    match Schema::parse(&json!({"type": "object", "properties": {"x": x}})) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(|error| error.clone().below("spec.validation.openAPIV3Schema").to_string()).collect(),
    }
}

const X: &str = "spec.validation.openAPIV3Schema.properties[x]";

#[test]
fn the_root_must_be_an_object() {
    let errors = Schema::parse(&json!({"properties": {}})).unwrap_err();
    assert_eq!(errors[0].to_string(), "type: Required value: must not be empty at the root");
    let errors = Schema::parse(&json!({"type": "string"})).unwrap_err();
    assert_eq!(errors[0].to_string(), "type: Invalid value: \"string\": must be object at the root");
}

#[test]
fn every_field_needs_a_type() {
    assert_eq!(refused(json!({})), [format!("{X}.type: Required value: must not be empty for specified object fields")]);
    assert_eq!(
        refused(json!({"type": "array", "items": {}})),
        [format!("{X}.items.type: Required value: must not be empty for specified array items")]
    );
    assert_eq!(refused(json!({"type": "array"})), [format!("{X}.items: Required value: must be specified")]);
    assert_eq!(refused(json!({"x-kubernetes-preserve-unknown-fields": true})), Vec::<String>::new());
    let supported = "\"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"";
    assert_eq!(refused(json!({"type": "text"})), [format!("{X}.type: Unsupported value: \"text\": supported values: {supported}")]);
}

#[test]
fn branches_of_junctions_only_bound() {
    assert_eq!(
        refused(json!({"type": "string", "anyOf": [{"type": "string"}]})),
        [format!("{X}.anyOf[0].type: Forbidden: must be undefined to be structural")]
    );
    assert_eq!(
        refused(json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]})),
        Vec::<String>::new()
    );
    assert_eq!(
        refused(json!({"type": "object", "oneOf": [{"properties": {"a": {"minLength": 1}}}]})),
        [format!("{X}.properties[a]: Required value: because it is defined in properties[x].oneOf[0].properties[a]")]
    );
}

#[test]
fn unsupported_keys_are_refused() {
    assert_eq!(refused(json!({"type": "string", "$ref": "#/a"})), [format!("{X}.$ref: Forbidden: $ref is not supported")]);
    assert_eq!(
        refused(json!({"type": "array", "uniqueItems": true, "items": {"type": "string"}})),
        [format!("{X}.uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic")]
    );
    assert_eq!(
        refused(json!({"type": "object", "additionalProperties": false})),
        [format!("{X}.additionalProperties: Forbidden: additionalProperties cannot be set to false")]
    );
    assert_eq!(
        refused(json!({"type": "object", "additionalProperties": {"type": "string"}, "properties": {"a": {"type": "string"}}})),
        [format!("{X}.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive")]
    );
    assert_eq!(
        refused(json!({"type": "object", "x-kubernetes-preserve-unknown-fields": false})),
        [format!("{X}.x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined")]
    );
}

#[test]
fn a_pattern_must_compile() {
    let errors = refused(json!({"type": "string", "pattern": "("}));
    assert!(
        errors[0].starts_with(&format!("{X}.pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: ")),
        "{errors:?}"
    );
}

#[test]
fn list_keys_must_identify_items() {
    let list = |keys: Value, items: Value| json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys, "items": items});
    let item = json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "b": {"type": "string"}}});
    assert_eq!(refused(list(json!(["a"]), item.clone())), Vec::<String>::new());
    assert_eq!(
        refused(list(json!([]), item.clone())),
        [format!("{X}.x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map")]
    );
    assert_eq!(
        refused(list(json!(["b"]), item.clone())),
        [format!(
            "{X}.items.properties[b].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
        )]
    );
    assert_eq!(
        refused(list(json!(["c"]), item)),
        [format!("{X}.x-kubernetes-list-map-keys[0]: Invalid value: \"c\": entries must all be names of item properties")]
    );
}

#[test]
fn metadata_may_only_be_bounded_by_name() {
    let errors = Schema::parse(
        &json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
    )
    .unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified"
    );
}

#[test]
fn a_default_must_keep_its_own_schema() {
    let errors = refused(json!({"type": "integer", "default": "x"}));
    assert_eq!(
        errors,
        [format!("{X}.default: Invalid value: \"string\": properties[x].default in body must be of type integer: \"string\"")]
    );
    let errors = refused(json!({"type": "object", "properties": {"a": {"type": "string"}}, "default": {"b": 1}}));
    assert_eq!(errors, [format!("{X}.default: Invalid value: {{\"b\":1}}: must not have unknown fields")]);
    assert_eq!(refused(json!({"type": "string", "nullable": true, "default": null})), Vec::<String>::new());
}
