//! Whether a configuration fits its schema well enough to be merged. Values are the business of validation proper.

use std::collections::BTreeSet;

use serde_json::Value;

use super::element::PathElement;
use super::set::path_text;
use super::shape::Shape;
use crate::schema::{Kind, Schema};

/// Something wrong, and where.
struct Problem {
    /// The steps to the place, the last one first: they are added on the way back, as most values have no problem.
    steps: Vec<PathElement>,
    message: String,
}

/// Everything wrong with the types in `value`, as one text in the words of a real server.
pub(super) fn check(schema: &Schema, value: &Value) -> Result<(), String> {
    let mut problems = Vec::new();
    check_place(Shape::Known(schema), value, &mut problems);
    let lines: Vec<String> = problems.into_iter().map(Problem::text).collect();
    match lines.as_slice() {
        [] => Ok(()),
        [only] => Err(only.clone()),
        many => Err(format!("errors:\n  {}", many.join("\n  "))),
    }
}

impl Problem {
    fn text(self) -> String {
        let Self { mut steps, message } = self;
        steps.reverse();
        if steps.is_empty() { message } else { format!("{}: {message}", path_text(&steps)) }
    }
}

fn check_place(shape: Shape<'_>, value: &Value, problems: &mut Vec<Problem>) {
    if let Shape::Known(schema) = shape
        && let Some(expected) = mismatch(schema, value)
    {
        return report(expected, problems);
    }
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let member = shape.member(name);
                let before = problems.len();
                if member.allowed {
                    check_place(member.shape, value, problems);
                } else {
                    report("field not declared in schema".to_owned(), problems);
                }
                locate(problems, before, || PathElement::field(name));
            }
        }
        Value::Array(items) => check_items(shape, items, problems),
        _ => {}
    }
}

fn check_items(shape: Shape<'_>, items: &[Value], problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for (position, item) in items.iter().enumerate() {
        let mut element = PathElement::Index(i64::try_from(position).unwrap_or(i64::MAX));
        if shape.is_granular_list() {
            match shape.key(item) {
                Ok(key) => element = key,
                Err(error) => return report(format!("element {position}: {error}"), problems),
            }
            if seen.contains(&element) {
                report(format!("duplicate entries for key {element}"), problems);
            }
        }
        let before = problems.len();
        check_place(shape.item(), item, problems);
        locate(problems, before, || element.clone());
        seen.insert(element);
    }
}

fn report(message: String, problems: &mut Vec<Problem>) {
    problems.push(Problem { steps: Vec::new(), message });
}

/// Adds a step to what was found below it.
fn locate(problems: &mut [Problem], before: usize, step: impl Fn() -> PathElement) {
    for problem in problems.iter_mut().skip(before) {
        problem.steps.push(step());
    }
}

/// What a schema expects where the value has another type. Null fits everywhere.
fn mismatch(schema: &Schema, value: &Value) -> Option<String> {
    let scalar = matches!(value, Value::Number(_) | Value::String(_) | Value::Bool(_));
    match (schema.kind, value) {
        (_, Value::Null)
        | (Kind::Any, _)
        | (Kind::Object, Value::Object(_))
        | (Kind::Array, Value::Array(_))
        | (Kind::String, Value::String(_))
        | (Kind::Integer | Kind::Number, Value::Number(_))
        | (Kind::Boolean, Value::Bool(_)) => None,
        (Kind::IntOrString, _) if scalar => None,
        (Kind::Object, _) => Some(format!("expected map, got &{{{}}}", go_text(value))),
        (Kind::Array, _) => Some(format!("expected list, got &{{{}}}", go_text(value))),
        (Kind::String, _) => Some(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_syntax(value))),
        (Kind::Integer | Kind::Number, _) => Some(format!("expected numeric (int or float), got {}", go_type(value))),
        (Kind::Boolean, _) => Some(format!("expected boolean, got &{{{}}}", go_text(value))),
        (Kind::IntOrString, _) => Some(format!("expected any scalar, got &{{{}}}", go_text(value))),
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// A value as Go's `%v` prints it.
fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_text).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            format!("map[{}]", map.iter().map(|(name, value)| format!("{name}:{}", go_text(value))).collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

/// A value as Go's `%#v` prints it.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[]interface {{}}{{{}}}", items.iter().map(go_syntax).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let fields: Vec<String> = map.iter().map(|(name, value)| format!("\"{name}\":{}", go_syntax(value))).collect();
            format!("map[string]interface {{}}{{{}}}", fields.join(", "))
        }
        Value::Null => "interface {}(nil)".to_owned(),
        other => other.to_string(),
    }
}
