//! Short ways through objects kept as [`Value`]s.

use serde_json::{Map, Value};

/// The string at a JSON pointer, if it is one and not empty.
pub(super) fn text_at<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The items of the array at a JSON pointer; none where there is no array.
pub(super) fn items_at<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The items of the array at a JSON pointer, to change them.
pub(super) fn items_at_mut<'a>(object: &'a mut Value, pointer: &str) -> &'a mut [Value] {
    object.pointer_mut(pointer).and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}

/// The object at a JSON pointer, to change it.
pub(super) fn object_at_mut<'a>(object: &'a mut Value, pointer: &str) -> Option<&'a mut Map<String, Value>> {
    object.pointer_mut(pointer).and_then(Value::as_object_mut)
}

/// Whether something other than `null` stands at a JSON pointer.
pub(super) fn is_set(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer).is_some_and(|value| !value.is_null())
}

/// Sets a field that is absent or `null`.
pub(super) fn fill(object: &mut Map<String, Value>, field: &str, value: impl FnOnce() -> Value) {
    if object.get(field).is_none_or(Value::is_null) {
        object.insert(field.to_owned(), value());
    }
}

/// [`fill`] below a JSON pointer; nothing where no object stands there.
pub(super) fn fill_at(object: &mut Value, pointer: &str, field: &str, value: impl FnOnce() -> Value) {
    if let Some(parent) = object_at_mut(object, pointer) {
        fill(parent, field, value);
    }
}
