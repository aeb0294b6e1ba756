//! Label selectors: their form, and whether labels match them.

use serde_json::{Map, Value, json};

use super::faults;
use crate::builtin::json::{items_at, text_at};
use crate::builtin::names;
use crate::status::FieldError;

/// Whether labels match a selector with `matchLabels` and `matchExpressions`. An empty selector matches everything.
pub(crate) fn matches(selector: &Value, labels: &Map<String, Value>) -> bool {
    let all_labels =
        selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    all_labels && items_at(selector, "/matchExpressions").iter().all(|requirement| meets(requirement, labels))
}

fn meets(requirement: &Value, labels: &Map<String, Value>) -> bool {
    let value = text_at(requirement, "/key").and_then(|key| labels.get(key));
    let listed = value.is_some_and(|value| items_at(requirement, "/values").contains(value));
    match text_at(requirement, "/operator").unwrap_or_default() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

/// Whether a selector selects by nothing at all.
pub(crate) fn is_empty(selector: &Value) -> bool {
    let none = |field: &str| {
        selector.get(field).is_none_or(|value| value.as_object().is_none_or(Map::is_empty) && value.as_array().is_none_or(Vec::is_empty))
    };
    none("matchLabels") && none("matchExpressions")
}

/// Keys and values of a selector, and what each operator needs.
pub(super) fn validate(selector: &Value, field: &str, errors: &mut Vec<FieldError>) {
    for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
        faults(errors, &format!("{field}.matchLabels"), key, names::qualified(key));
        let value = value.as_str().unwrap_or_default();
        faults(errors, &format!("{field}.matchLabels"), value, names::label_value(value));
    }
    for (index, requirement) in items_at(selector, "/matchExpressions").iter().enumerate() {
        let field = format!("{field}.matchExpressions[{index}]");
        let some = !items_at(requirement, "/values").is_empty();
        match text_at(requirement, "/operator").unwrap_or_default() {
            "In" | "NotIn" if !some => {
                errors.push(FieldError::required(format!("{field}.values"), "must be specified when `operator` is 'In' or 'NotIn'"));
            }
            "Exists" | "DoesNotExist" if some => {
                errors.push(FieldError::forbidden(
                    format!("{field}.values"),
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                ));
            }
            _ => {}
        }
        let key = text_at(requirement, "/key").unwrap_or_default();
        faults(errors, &format!("{field}.key"), key, names::qualified(key));
    }
}

/// A workload finds the pods it makes: its selector is there, selects something, and matches the labels of its template.
pub(super) fn validate_workload(object: &Value, owner: &str, errors: &mut Vec<FieldError>) {
    let Some(selector) = object.pointer("/spec/selector").filter(|selector| selector.is_object()) else { return };
    validate(selector, "spec.selector", errors);
    if is_empty(selector) {
        errors.push(FieldError::invalid("spec.selector", selector, format!("empty selector is invalid for {owner}")));
        return;
    }
    validate_template_labels(object, selector, errors);
}

pub(super) fn validate_template_labels(object: &Value, selector: &Value, errors: &mut Vec<FieldError>) {
    let labels = object.pointer("/spec/template/metadata/labels").and_then(Value::as_object).cloned().unwrap_or_default();
    if !matches(selector, &labels) {
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid("spec.template.metadata.labels", &json!(labels), detail));
    }
}
