//! From `openAPIV3Schema` to [`Schema`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::metadata;
use super::structural;
use super::{Kind, ListKind, MapKind, Rule, Schema};
use crate::status::FieldError;

/// Deeper than any real schema; a bound, because the tree is walked recursively.
pub(super) const MAX_DEPTH: usize = 100;

impl Schema {
    /// The schema of a custom resource, after checking that it is structural as Kubernetes demands.
    ///
    /// `apiVersion`, `kind` and `metadata` need not be named: they are there anyway, `metadata` always in full.
    ///
    /// # Errors
    /// One [`FieldError`] a broken rule, with paths below the schema's root such as `properties[spec].type`. Put the place of
    /// the schema in the object before them with [`FieldError::below`].
    pub fn parse(open_api: &Value) -> Result<Schema, Vec<FieldError>> {
        let errors = structural::check(open_api);
        if !errors.is_empty() {
            return Err(errors);
        }
        let schema = Self::parse_trusted(open_api);
        let errors = structural::check_defaults(&schema);
        if errors.is_empty() { Ok(schema) } else { Err(errors) }
    }

    /// The same without the checks, for schemas that are ours: built-in kinds. A node without a type takes anything.
    pub fn parse_trusted(open_api: &Value) -> Schema {
        let mut root = node(open_api, 0);
        metadata::complete(&mut root);
        root
    }
}

/// The schema exactly as written, with nothing added.
pub(super) fn plain(open_api: &Value) -> Schema {
    node(open_api, 0)
}

/// One node with all below it.
fn node(value: &Value, depth: usize) -> Schema {
    let Some(object) = value.as_object().filter(|_| depth < MAX_DEPTH) else {
        return anything();
    };
    let mut schema = Schema {
        kind: kind_of(object),
        nullable: flag(object, "nullable"),
        properties: properties(object, depth),
        additional: additional(object.get("additionalProperties"), depth),
        items: object.get("items").map(|items| Arc::new(node(items, depth + 1))),
        required: strings(object.get("required")),
        preserve_unknown: flag(object, "x-kubernetes-preserve-unknown-fields"),
        embedded_resource: flag(object, "x-kubernetes-embedded-resource"),
        list: list_kind(object),
        map: if text(object, "x-kubernetes-map-type") == "atomic" { MapKind::Atomic } else { MapKind::Granular },
        rules: rules(object.get("x-kubernetes-validations")),
        default: object.get("default").filter(|value| !value.is_null()).cloned(),
        description: text(object, "description").to_owned(),
        title: text(object, "title").to_owned(),
        ..Schema::default()
    };
    read_patch_strategy(&mut schema, object);
    read_bounds(&mut schema, object);
    read_junctions(&mut schema, object, depth);
    if schema.embedded_resource {
        metadata::complete(&mut schema);
    }
    schema
}

/// What a missing schema means.
fn anything() -> Schema {
    Schema { preserve_unknown: true, ..Schema::default() }
}

fn kind_of(object: &Map<String, Value>) -> Kind {
    if flag(object, "x-kubernetes-int-or-string") {
        return Kind::IntOrString;
    }
    match text(object, "type") {
        "object" => Kind::Object,
        "array" => Kind::Array,
        "string" if text(object, "format") == "int-or-string" => Kind::IntOrString,
        "string" => Kind::String,
        "integer" => Kind::Integer,
        "number" => Kind::Number,
        "boolean" => Kind::Boolean,
        _ => Kind::Any,
    }
}

fn properties(object: &Map<String, Value>, depth: usize) -> BTreeMap<String, Arc<Schema>> {
    let Some(properties) = object.get("properties").and_then(Value::as_object) else { return BTreeMap::new() };
    properties.iter().map(|(name, value)| (name.clone(), Arc::new(node(value, depth + 1)))).collect()
}

fn additional(value: Option<&Value>, depth: usize) -> Option<Arc<Schema>> {
    match value? {
        Value::Bool(true) => Some(Arc::new(anything())),
        Value::Object(object) if object.is_empty() => Some(Arc::new(anything())),
        value @ Value::Object(_) => Some(Arc::new(node(value, depth + 1))),
        _ => None,
    }
}

fn list_kind(object: &Map<String, Value>) -> ListKind {
    match text(object, "x-kubernetes-list-type") {
        "set" => ListKind::Set,
        "map" => ListKind::Map(strings(object.get("x-kubernetes-list-map-keys"))),
        _ => ListKind::Atomic,
    }
}

fn rules(value: Option<&Value>) -> Vec<Rule> {
    let Some(rules) = value.and_then(Value::as_array) else { return Vec::new() };
    let read = |rule: &Map<String, Value>| Rule {
        rule: text(rule, "rule").to_owned(),
        message: text(rule, "message").to_owned(),
        message_expression: text(rule, "messageExpression").to_owned(),
        reason: text(rule, "reason").to_owned(),
        field_path: text(rule, "fieldPath").to_owned(),
        optional_old_self: flag(rule, "optionalOldSelf"),
    };
    rules.iter().filter_map(Value::as_object).map(read).collect()
}

fn read_patch_strategy(schema: &mut Schema, object: &Map<String, Value>) {
    let strategy = text(object, "x-kubernetes-patch-strategy");
    schema.patch_merge = strategy.split(',').any(|part| part == "merge");
    schema.patch_retain_keys = strategy.split(',').any(|part| part == "retainKeys");
    schema.patch_merge_key = Some(text(object, "x-kubernetes-patch-merge-key")).filter(|key| !key.is_empty()).map(str::to_owned);
}

fn read_bounds(schema: &mut Schema, object: &Map<String, Value>) {
    let number = |key: &str| object.get(key).and_then(Value::as_f64);
    let count = |key: &str| object.get(key).and_then(Value::as_u64);
    schema.allowed = object.get("enum").and_then(Value::as_array).cloned().unwrap_or_default();
    schema.format = text(object, "format").to_owned();
    schema.pattern = text(object, "pattern").to_owned();
    schema.minimum = number("minimum");
    schema.maximum = number("maximum");
    schema.exclusive_minimum = flag(object, "exclusiveMinimum");
    schema.exclusive_maximum = flag(object, "exclusiveMaximum");
    schema.multiple_of = number("multipleOf");
    schema.min_length = count("minLength");
    schema.max_length = count("maxLength");
    schema.min_items = count("minItems");
    schema.max_items = count("maxItems");
    schema.unique_items = flag(object, "uniqueItems");
    schema.min_properties = count("minProperties");
    schema.max_properties = count("maxProperties");
}

fn read_junctions(schema: &mut Schema, object: &Map<String, Value>, depth: usize) {
    let branches = |key: &str| -> Vec<Schema> {
        let Some(branches) = object.get(key).and_then(Value::as_array) else { return Vec::new() };
        branches.iter().map(|branch| node(branch, depth + 1)).collect()
    };
    schema.all_of = branches("allOf");
    schema.any_of = branches("anyOf");
    schema.one_of = branches("oneOf");
    schema.not = object.get("not").map(|not| Box::new(node(not, depth + 1)));
    // A node that says nothing of its type takes anything; a branch of a junction only bounds what the node already says.
    let silent = schema.kind == Kind::Any && schema.properties.is_empty() && schema.items.is_none() && schema.additional.is_none();
    schema.preserve_unknown |= silent;
}

/// A text member, empty where there is none.
pub(super) fn text<'a>(object: &'a Map<String, Value>, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a member is `true`.
pub(super) fn flag(object: &Map<String, Value>, key: &str) -> bool {
    object.get(key).and_then(Value::as_bool).unwrap_or_default()
}

/// The texts of a list member.
pub(super) fn strings(value: Option<&Value>) -> Vec<String> {
    let Some(values) = value.and_then(Value::as_array) else { return Vec::new() };
    values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
