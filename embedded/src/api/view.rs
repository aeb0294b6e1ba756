//! A stored object as one of the versions its kind is served in.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::builtin::events;
use crate::resource::Resource;
use crate::store::Object;

/// The object in the version of `resource`.
pub(super) fn value(resource: &Resource, object: &Object) -> Value {
    converted(resource, object.value())
}

/// A stored tree in the version of `resource`.
pub(super) fn converted(resource: &Resource, mut value: Value) -> Value {
    let version = resource.api_version();
    if value["apiVersion"] == version.as_str() {
        return value;
    }
    if resource.storage == events::STORAGE {
        return events::convert(&value, &version);
    }
    // All versions of a kind have one schema in store: only the name of the version differs.
    value["apiVersion"] = json!(version);
    value
}

/// Whether the stored bytes are already in the version of `resource`.
fn is_version(resource: &Resource, json: &[u8]) -> bool {
    let head = format!("{{\"apiVersion\":\"{}\",", resource.api_version());
    json.starts_with(head.as_bytes())
}

/// The object as JSON.
pub(super) fn bytes(resource: &Resource, object: &Object) -> Bytes {
    if is_version(resource, &object.json) { object.json.clone() } else { value(resource, object).to_string().into() }
}

/// The object as an item of a list. Items of built-in kinds do not repeat the kind of the list.
pub(super) fn push_item(resource: &Resource, object: &Object, out: &mut Vec<u8>) {
    if resource.custom {
        out.extend_from_slice(&bytes(resource, object));
        return;
    }
    if is_version(resource, &object.json)
        && let Ok(text) = std::str::from_utf8(&object.json)
        && push_without_kind(resource, text, out)
    {
        return;
    }
    let mut value = value(resource, object);
    if let Some(members) = value.as_object_mut() {
        members.remove("apiVersion");
        members.remove("kind");
    }
    out.extend_from_slice(value.to_string().as_bytes());
}

/// Copies the text without its first member, `apiVersion`, and its `kind`; false where that cannot be done without parsing.
fn push_without_kind(resource: &Resource, text: &str, out: &mut Vec<u8>) -> bool {
    let head = format!("{{\"apiVersion\":\"{}\",", resource.api_version());
    let kind = format!("\"kind\":\"{}\",", resource.kind);
    let Some(rest) = text.strip_prefix(&head) else { return false };
    // One occurrence is the object's own kind; with more, only a parser can tell which is.
    match (rest.find(&kind), rest.rfind(&kind)) {
        (Some(first), Some(last)) if first == last => {
            out.push(b'{');
            out.extend_from_slice(&rest.as_bytes()[..first]);
            out.extend_from_slice(&rest.as_bytes()[first + kind.len()..]);
            true
        }
        _ => false,
    }
}
