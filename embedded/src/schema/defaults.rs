//! Defaults, and what `null` means.

use serde_json::Value;

use super::Schema;

/// Puts defaults in place of missing fields. A `null` where the schema allows none counts as missing: it becomes the default, or goes.
pub fn apply_defaults(schema: &Schema, object: &mut Value) {
    match object {
        Value::Object(object) => {
            for (name, child) in &schema.properties {
                let Some(default) = &child.default else { continue };
                match object.get(name) {
                    None => _ = object.insert(name.clone(), default.clone()),
                    Some(Value::Null) if !child.nullable => _ = object.insert(name.clone(), default.clone()),
                    Some(_) => {}
                }
            }
            object.retain(|name, value| !value.is_null() || keep_null(schema, name, value));
            for (name, value) in object.iter_mut() {
                if let Some(child) = schema.field(name) {
                    apply_defaults(child, value);
                }
            }
        }
        Value::Array(items) => {
            let Some(child) = &schema.items else { return };
            for item in items {
                if item.is_null()
                    && !child.nullable
                    && let Some(default) = &child.default
                {
                    *item = default.clone();
                }
                apply_defaults(child, item);
            }
        }
        _ => {}
    }
}

/// Whether a `null` member stays; one of a map whose values have a default becomes that default.
fn keep_null(schema: &Schema, name: &str, value: &mut Value) -> bool {
    let Some(child) = schema.field(name) else { return true };
    if child.nullable {
        return true;
    }
    if let Some(default) = &child.default {
        *value = default.clone();
        return true;
    }
    false
}
