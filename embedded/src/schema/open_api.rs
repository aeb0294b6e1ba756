//! From [`Schema`] back to OpenAPI, for `/openapi/v3` and `kubectl explain`.

use serde_json::{Map, Value, json};

use super::{Kind, ListKind, MapKind, Rule, Schema};

impl Schema {
    /// The schema as an OpenAPI v3 document node, everything in place (no references).
    pub fn to_open_api(&self) -> Value {
        let mut out = Map::new();
        write_type(self, &mut out);
        write_extensions(self, &mut out);
        write_bounds(self, &mut out);
        write_children(self, &mut out);
        Value::Object(out)
    }
}

fn write_type(schema: &Schema, out: &mut Map<String, Value>) {
    let name = match schema.kind {
        Kind::Object => "object",
        Kind::Array => "array",
        Kind::String => "string",
        Kind::Integer => "integer",
        Kind::Number => "number",
        Kind::Boolean => "boolean",
        Kind::IntOrString => {
            out.insert("x-kubernetes-int-or-string".into(), json!(true));
            ""
        }
        Kind::Any => "",
    };
    text(out, "type", name);
    text(out, "description", &schema.description);
    text(out, "title", &schema.title);
    text(out, "format", &schema.format);
    text(out, "pattern", &schema.pattern);
    flag(out, "nullable", schema.nullable);
    if let Some(default) = &schema.default {
        out.insert("default".into(), default.clone());
    }
    if !schema.allowed.is_empty() {
        out.insert("enum".into(), Value::Array(schema.allowed.clone()));
    }
}

fn write_extensions(schema: &Schema, out: &mut Map<String, Value>) {
    flag(out, "x-kubernetes-preserve-unknown-fields", schema.preserve_unknown);
    flag(out, "x-kubernetes-embedded-resource", schema.embedded_resource);
    match &schema.list {
        ListKind::Atomic => {}
        ListKind::Set => text(out, "x-kubernetes-list-type", "set"),
        ListKind::Map(keys) => {
            text(out, "x-kubernetes-list-type", "map");
            out.insert("x-kubernetes-list-map-keys".into(), json!(keys));
        }
    }
    if schema.map == MapKind::Atomic {
        text(out, "x-kubernetes-map-type", "atomic");
    }
    text(out, "x-kubernetes-patch-merge-key", schema.patch_merge_key.as_deref().unwrap_or_default());
    let strategies: Vec<&str> = [(schema.patch_merge, "merge"), (schema.patch_retain_keys, "retainKeys")]
        .into_iter()
        .filter(|(on, _)| *on)
        .map(|(_, name)| name)
        .collect();
    text(out, "x-kubernetes-patch-strategy", &strategies.join(","));
    if !schema.rules.is_empty() {
        out.insert("x-kubernetes-validations".into(), schema.rules.iter().map(rule).collect());
    }
}

fn rule(rule: &Rule) -> Value {
    let mut out = Map::new();
    text(&mut out, "rule", &rule.rule);
    text(&mut out, "message", &rule.message);
    text(&mut out, "messageExpression", &rule.message_expression);
    text(&mut out, "reason", &rule.reason);
    text(&mut out, "fieldPath", &rule.field_path);
    flag(&mut out, "optionalOldSelf", rule.optional_old_self);
    Value::Object(out)
}

fn write_bounds(schema: &Schema, out: &mut Map<String, Value>) {
    for (key, number) in [("minimum", schema.minimum), ("maximum", schema.maximum), ("multipleOf", schema.multiple_of)] {
        if let Some(number) = number {
            out.insert(key.into(), whole_or_fraction(number));
        }
    }
    let counts = [
        ("minLength", schema.min_length),
        ("maxLength", schema.max_length),
        ("minItems", schema.min_items),
        ("maxItems", schema.max_items),
        ("minProperties", schema.min_properties),
        ("maxProperties", schema.max_properties),
    ];
    for (key, count) in counts {
        if let Some(count) = count {
            out.insert(key.into(), json!(count));
        }
    }
    flag(out, "exclusiveMinimum", schema.exclusive_minimum);
    flag(out, "exclusiveMaximum", schema.exclusive_maximum);
    flag(out, "uniqueItems", schema.unique_items);
}

fn write_children(schema: &Schema, out: &mut Map<String, Value>) {
    if !schema.properties.is_empty() {
        let properties: Map<String, Value> = schema.properties.iter().map(|(name, child)| (name.clone(), child.to_open_api())).collect();
        out.insert("properties".into(), Value::Object(properties));
    }
    if let Some(additional) = &schema.additional {
        out.insert("additionalProperties".into(), additional.to_open_api());
    }
    if let Some(items) = &schema.items {
        out.insert("items".into(), items.to_open_api());
    }
    if !schema.required.is_empty() {
        out.insert("required".into(), json!(schema.required));
    }
    for (key, branches) in [("allOf", &schema.all_of), ("anyOf", &schema.any_of), ("oneOf", &schema.one_of)] {
        if !branches.is_empty() {
            out.insert(key.into(), branches.iter().map(branch).collect());
        }
    }
    if let Some(not) = &schema.not {
        out.insert("not".into(), branch(not));
    }
}

/// A branch of a junction only bounds: that it takes unknown fields is not its to say.
fn branch(schema: &Schema) -> Value {
    let mut out = schema.to_open_api();
    if let Some(object) = out.as_object_mut() {
        object.remove("x-kubernetes-preserve-unknown-fields");
    }
    out
}

/// A bound without a fraction is written as an integer, as authors write it.
fn whole_or_fraction(number: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and within the range where f64 is exact")]
    if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 { json!(number as i64) } else { json!(number) }
}

fn text(out: &mut Map<String, Value>, key: &str, value: &str) {
    if !value.is_empty() {
        out.insert(key.into(), Value::String(value.to_owned()));
    }
}

fn flag(out: &mut Map<String, Value>, key: &str, value: bool) {
    if value {
        out.insert(key.into(), Value::Bool(true));
    }
}
