//! Fields that the schema does not know: finding them for `fieldValidation`, and dropping them.

use serde_json::Value;

use super::Schema;

/// The paths of fields that the schema does not know, such as `spec.bogus` and `spec.ports[0].zz`, sorted.
///
/// For the message of a strict server write `strict decoding error: ` and then each as `unknown field "<path>"`, joined by `, `.
pub fn unknown_fields(schema: &Schema, object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut path = String::new();
    visit(schema, object, &mut path, &mut found);
    found.sort();
    found
}

fn visit(schema: &Schema, value: &Value, path: &mut String, found: &mut Vec<String>) {
    let length = path.len();
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                if length > 0 {
                    path.push('.');
                }
                path.push_str(name);
                match schema.field(name) {
                    Some(child) => visit(child, value, path, found),
                    None if schema.preserve_unknown => {}
                    None => found.push(path.clone()),
                }
                path.truncate(length);
            }
        }
        Value::Array(items) => {
            let Some(child) = &schema.items else { return };
            for (index, item) in items.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                visit(child, item, path, found);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

/// Drops every field that the schema does not know.
pub fn prune(schema: &Schema, object: &mut Value) {
    match object {
        Value::Object(object) => {
            if !schema.preserve_unknown && schema.additional.is_none() {
                object.retain(|name, _| schema.properties.contains_key(name));
            }
            for (name, value) in object.iter_mut() {
                if let Some(child) = schema.field(name) {
                    prune(child, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(child) = &schema.items {
                items.iter_mut().for_each(|item| prune(child, item));
            }
        }
        _ => {}
    }
}
