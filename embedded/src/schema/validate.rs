//! Validation of an object: OpenAPI, then list types, then CEL.

use std::borrow::Cow;

use serde_json::Value;

use super::{Kind, ListKind, Schema, cel, formats, lists};
use crate::status::FieldError;

/// What is wrong with `object`, worded as a Kubernetes API server words it; empty for a valid one.
///
/// With `old`, what did not change is not judged again (validation ratcheting): a rule that became stricter does not stand in the
/// way of an unrelated edit. CEL rules run only if no error makes their input unfit (wrong type, missing, unsupported, too long).
pub fn validate(schema: &Schema, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut visitor = Visitor { path: String::new(), errors: Vec::new() };
    visitor.node(schema, object, old);
    let mut errors = visitor.errors;
    if old.is_none_or(|old| lists::check(schema, old).is_empty()) {
        errors.extend(lists::check(schema, object));
    }
    if schema.compiled.has_rules(schema) {
        if errors.iter().any(blocks_rules) {
            errors.push(FieldError::invalid(
                "<nil>",
                &Value::Null,
                "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
            ));
        } else {
            errors.extend(cel::validate(schema, object, old));
        }
    }
    errors
}

/// The errors of one value under one schema, without ratcheting and rules: for defaults of a schema.
pub(super) fn validate_value(schema: &Schema, value: &Value, path: &str) -> Vec<FieldError> {
    let mut visitor = Visitor { path: path.to_owned(), errors: Vec::new() };
    visitor.node(schema, value, None);
    visitor.errors
}

/// Rules expect values of the declared type and size; after these errors they are not asked.
fn blocks_rules(error: &FieldError) -> bool {
    matches!(
        error.reason,
        "FieldValueNotSupported" | "FieldValueRequired" | "FieldValueTooLong" | "FieldValueTooMany" | "FieldValueTypeInvalid"
    )
}

/// Walks schema and value together and collects errors.
struct Visitor {
    path: String,
    errors: Vec<FieldError>,
}

impl Visitor {
    fn node(&mut self, schema: &Schema, value: &Value, old: Option<&Value>) {
        if old == Some(value) {
            return;
        }
        if !self.type_fits(schema, value) {
            let name = type_name(value);
            let detail = format!("{} in body must be of type {}: \"{name}\"", self.path, expected_type(schema.kind));
            self.errors.push(FieldError::type_invalid(&self.path, &Value::from(name), detail));
        }
        if value.is_null() {
            return;
        }
        self.junctions(schema, value);
        match value {
            Value::String(text) => self.text(schema, value, text),
            Value::Number(number) => self.number(schema, value, number.as_f64().unwrap_or_default()),
            Value::Array(items) => self.list(schema, value, items, old),
            Value::Object(object) => self.object(schema, value, object, old),
            Value::Null | Value::Bool(_) => {}
        }
        if !schema.allowed.is_empty() && !schema.allowed.iter().any(|allowed| equal(allowed, value)) {
            self.errors.push(FieldError::not_supported(&self.path, value, &schema.allowed));
        }
    }

    fn type_fits(&self, schema: &Schema, value: &Value) -> bool {
        match (schema.kind, value) {
            (_, Value::Null) => schema.nullable || schema.kind == Kind::Any,
            (Kind::Any, _)
            | (Kind::Object, Value::Object(_))
            | (Kind::Array, Value::Array(_))
            | (Kind::String | Kind::IntOrString, Value::String(_))
            | (Kind::Number, Value::Number(_))
            | (Kind::Boolean, Value::Bool(_)) => true,
            (Kind::Integer | Kind::IntOrString, Value::Number(number)) => {
                number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
            }
            _ => false,
        }
    }

    /// Strings report their first broken bound only.
    fn text(&mut self, schema: &Schema, value: &Value, text: &str) {
        self.format(schema, value, text);
        let length = || text.chars().count() as u64;
        if let Some(limit) = schema.max_length.filter(|limit| length() > *limit) {
            self.errors.push(FieldError::too_long(&self.path, limit));
        } else if let Some(limit) = schema.min_length.filter(|limit| length() < *limit) {
            self.invalid(value, format!("should be at least {limit} chars long"));
        } else if schema.compiled.pattern(schema).is_some_and(|pattern| !pattern.is_match(text)) {
            self.invalid(value, format!("should match '{}'", schema.pattern));
        }
    }

    fn format(&mut self, schema: &Schema, value: &Value, text: &str) {
        if schema.kind != Kind::String || formats::fits(&schema.format, text) {
            return;
        }
        let detail = format!("{} in body must be of type {}: {value}", self.path, schema.format);
        self.errors.push(FieldError::type_invalid(&self.path, value, detail));
    }

    fn number(&mut self, schema: &Schema, value: &Value, number: f64) {
        if let Some(factor) = schema.multiple_of.filter(|factor| !is_multiple(number, *factor)) {
            self.invalid(value, format!("should be a multiple of {factor}"));
        }
        if let Some(limit) = schema.maximum {
            if schema.exclusive_maximum && number >= limit {
                self.invalid(value, format!("should be less than {limit}"));
            } else if number > limit {
                self.invalid(value, format!("should be less than or equal to {limit}"));
            }
        }
        if let Some(limit) = schema.minimum {
            if schema.exclusive_minimum && number <= limit {
                self.invalid(value, format!("should be greater than {limit}"));
            } else if number < limit {
                self.invalid(value, format!("should be greater than or equal to {limit}"));
            }
        }
        if !formats::number_fits(schema, value) {
            let type_name = expected_type(schema.kind);
            let detail = format!("Checked value must be of type {type_name} with format {} in {}", schema.format, self.path);
            self.errors.push(FieldError::invalid("<nil>", &Value::from(""), detail));
        }
    }

    fn list(&mut self, schema: &Schema, value: &Value, items: &[Value], old: Option<&Value>) {
        if let Some(child) = &schema.items {
            let previous = OldItems::of(schema, old);
            for (index, item) in items.iter().enumerate() {
                let length = self.enter_index(index);
                self.node(child, item, previous.find(item));
                self.path.truncate(length);
            }
        }
        if let Some(limit) = schema.min_items.filter(|limit| (items.len() as u64) < *limit) {
            self.invalid(value, format!("should have at least {limit} items"));
        }
        if let Some(limit) = schema.max_items.filter(|limit| items.len() as u64 > *limit) {
            self.errors.push(FieldError::too_many(&self.path, items.len(), limit));
        }
        if schema.unique_items && items.iter().enumerate().any(|(index, item)| items[..index].contains(item)) {
            self.invalid(value, "shouldn't contain duplicates");
        }
    }

    fn object(&mut self, schema: &Schema, value: &Value, object: &serde_json::Map<String, Value>, old: Option<&Value>) {
        if let Some(limit) = schema.max_properties.filter(|limit| object.len() as u64 > *limit) {
            self.errors.push(FieldError::too_many(&self.path, object.len(), limit));
        }
        if let Some(limit) = schema.min_properties.filter(|limit| (object.len() as u64) < *limit) {
            self.invalid(value, format!("should have at least {limit} properties"));
        }
        for name in schema.required.iter().filter(|name| !object.contains_key(*name)) {
            let length = self.enter(name);
            self.errors.push(FieldError::required(&self.path, ""));
            self.path.truncate(length);
        }
        for (name, value) in object {
            if let Some(child) = schema.field(name) {
                let length = self.enter(name);
                self.node(child, value, old.and_then(|old| old.get(name)));
                self.path.truncate(length);
            }
        }
    }

    /// `allOf`, `anyOf`, `oneOf`, `not`: the sentence about the junction, and what is wrong with the branch that comes closest.
    fn junctions(&mut self, schema: &Schema, value: &Value) {
        let broken = |branch: &Schema| validate_value(branch, value, &self.path);
        let mut found = Vec::new();
        if !schema.any_of.is_empty() {
            let results: Vec<_> = schema.any_of.iter().map(broken).collect();
            if results.iter().all(|errors| !errors.is_empty()) {
                found.push(self.junction_error("must validate at least one schema (anyOf)"));
                found.extend(closest(results));
            }
        }
        if !schema.one_of.is_empty() {
            let results: Vec<_> = schema.one_of.iter().map(broken).collect();
            match results.iter().filter(|errors| errors.is_empty()).count() {
                1 => {}
                0 => {
                    found.push(self.junction_error("must validate one and only one schema (oneOf). Found none valid"));
                    found.extend(closest(results));
                }
                count => found
                    .push(self.junction_error(&format!("must validate one and only one schema (oneOf). Found {count} valid alternatives"))),
            }
        }
        if !schema.all_of.is_empty() {
            let results: Vec<_> = schema.all_of.iter().map(broken).collect();
            let passed = results.iter().filter(|errors| errors.is_empty()).count();
            let none = if passed == 0 { ". None validated" } else { "" };
            found.extend(results.into_iter().flatten());
            if passed < schema.all_of.len() {
                found.push(self.junction_error(&format!("must validate all the schemas (allOf){none}")));
            }
        }
        if schema.not.as_deref().is_some_and(|not| broken(not).is_empty()) {
            found.push(self.junction_error("must not validate the schema (not)"));
        }
        self.errors.append(&mut found);
    }

    fn junction_error(&self, text: &str) -> FieldError {
        FieldError::invalid("<nil>", &Value::from(""), format!("\"{}\" {text}", self.path))
    }

    fn invalid(&mut self, value: &Value, text: impl AsRef<str>) {
        let detail = format!("{} in body {}", self.path, text.as_ref());
        self.errors.push(FieldError::invalid(&self.path, value, detail));
    }

    fn enter(&mut self, name: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        length
    }

    fn enter_index(&mut self, index: usize) -> usize {
        let length = self.path.len();
        self.path.push_str(&format!("[{index}]"));
        length
    }
}

/// The items of a list before the change, found by their keys. Only lists of type map say which item is which.
pub(super) struct OldItems<'a> {
    keys: &'a [String],
    items: &'a [Value],
}

impl<'a> OldItems<'a> {
    pub(super) fn of(schema: &'a Schema, old: Option<&'a Value>) -> Self {
        match (&schema.list, old.and_then(Value::as_array)) {
            (ListKind::Map(keys), Some(items)) => Self { keys, items },
            _ => Self { keys: &[], items: &[] },
        }
    }

    pub(super) fn find(&self, item: &Value) -> Option<&'a Value> {
        self.items.iter().find(|old| self.keys.iter().all(|key| old.get(key) == item.get(key)))
    }
}

/// The branch with the fewest errors.
fn closest(results: Vec<Vec<FieldError>>) -> Vec<FieldError> {
    results.into_iter().min_by_key(Vec::len).unwrap_or_default()
}

/// JSON equality in which `1` and `1.0` are one number.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        _ => left == right,
    }
}

fn is_multiple(number: f64, factor: f64) -> bool {
    let quotient = number / factor;
    factor != 0.0 && (quotient - quotient.round()).abs() < 1e-9
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn expected_type(kind: Kind) -> Cow<'static, str> {
    Cow::Borrowed(match kind {
        Kind::Object => "object",
        Kind::Array => "array",
        Kind::String => "string",
        Kind::Integer => "integer",
        Kind::Number => "number",
        Kind::Boolean => "boolean",
        Kind::IntOrString => "integer,string",
        Kind::Any => "",
    })
}
