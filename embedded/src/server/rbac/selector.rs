//! Label selectors of aggregated roles.

use serde_json::Value;

use crate::store::Object;

/// Whether a selector (`matchLabels`, `matchExpressions`) selects an object. An empty one selects everything, an unknown operator nothing.
pub(super) fn selects(selector: &Value, object: &Object) -> bool {
    let labels = selector["matchLabels"].as_object();
    let expressions = selector["matchExpressions"].as_array();
    labels.into_iter().flatten().all(|(key, value)| object.label(key).is_some_and(|label| value == label))
        && expressions.into_iter().flatten().all(|expression| holds(expression, object))
}

fn holds(expression: &Value, object: &Object) -> bool {
    let label = object.label(expression["key"].as_str().unwrap_or_default());
    let listed = |label: &str| expression["values"].as_array().is_some_and(|values| values.iter().any(|value| value == label));
    match expression["operator"].as_str() {
        Some("In") => label.is_some_and(listed),
        Some("NotIn") => !label.is_some_and(listed),
        Some("Exists") => label.is_some(),
        Some("DoesNotExist") => label.is_none(),
        _ => false,
    }
}
