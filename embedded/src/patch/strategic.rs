//! Strategic merge patch: merges lists by key where the schema says so, with directives inside the patch.
//!
//! | directive | meaning |
//! |---|---|
//! | `$patch: replace` | this object, or the list it stands in, replaces what was there |
//! | `$patch: delete` | this object, or the item of that key, goes |
//! | `$patch: merge` | the default, said aloud |
//! | `$retainKeys: [a, b]` | all other fields of the object go |
//! | `$setElementOrder/x` | the order of list `x` |
//! | `$deleteFromPrimitiveList/x` | values to take out of list `x` |

use serde_json::{Map, Value};

use super::order::{Identity, arrange};
use crate::schema::Schema;
use crate::status::Status;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder/";
const DELETE_VALUES: &str = "$deleteFromPrimitiveList/";

/// `target` after the patch.
///
/// # Errors
/// 400 for a malformed directive or patch, 422 for an item without its merge key, as Kubernetes words them.
pub fn strategic(schema: &Schema, target: &Value, patch: &Value) -> Result<Value, Status> {
    let Value::Object(patch) = patch else {
        return Err(Status::bad_request("invalid JSON document"));
    };
    let target = target.as_object().cloned().unwrap_or_default();
    merge_object(Some(schema), target, patch).map(Value::Object)
}

type Object = Map<String, Value>;

fn merge_object(schema: Option<&Schema>, mut target: Object, patch: &Object) -> Result<Object, Status> {
    if let Some(directive) = patch.get(PATCH) {
        return whole_object(directive, target, patch, schema);
    }
    if let Some(keys) = patch.get(RETAIN_KEYS) {
        retain_keys(&mut target, patch, keys)?;
    }
    for (name, value) in patch {
        if name == RETAIN_KEYS {
            continue;
        }
        if let Some(list) = name.strip_prefix(SET_ORDER) {
            merge_ordered(schema, &mut target, patch, list, value)?;
        } else if let Some(list) = name.strip_prefix(DELETE_VALUES) {
            delete_values(&mut target, list, value)?;
        } else if !patch.contains_key(&format!("{SET_ORDER}{name}")) {
            merge_member(schema, &mut target, name, value)?;
        }
    }
    Ok(target)
}

/// `$patch` as a member of an object that is no list item.
fn whole_object(directive: &Value, target: Object, patch: &Object, schema: Option<&Schema>) -> Result<Object, Status> {
    let mut rest = patch.clone();
    rest.remove(PATCH);
    match directive.as_str() {
        Some("replace") => Ok(rest),
        Some("delete") => Ok(Object::new()),
        Some("merge") => merge_object(schema, target, &rest),
        _ => Err(unknown_directive(directive, patch)),
    }
}

/// Drops the fields that are not listed; the patch may set only listed ones.
fn retain_keys(target: &mut Object, patch: &Object, keys: &Value) -> Result<(), Status> {
    let malformed = || Status::bad_request("invalid patch format of retainKeys");
    let keys = keys.as_array().ok_or_else(malformed)?;
    let listed = |name: &str| keys.iter().any(|key| key.as_str() == Some(name));
    let sets = |name: &str, value: &Value| !value.is_null() && !name.starts_with('$');
    if patch.iter().any(|(name, value)| sets(name, value) && !listed(name)) {
        return Err(malformed());
    }
    target.retain(|name, _| listed(name));
    Ok(())
}

fn merge_member(schema: Option<&Schema>, target: &mut Object, name: &str, value: &Value) -> Result<(), Status> {
    if value.is_null() {
        target.remove(name);
        return Ok(());
    }
    let child = schema.and_then(|schema| schema.field(name)).map(AsRef::as_ref);
    let merged = match (target.remove(name), value) {
        (Some(Value::Object(before)), Value::Object(patch)) => Value::Object(merge_object(child, before, patch)?),
        (Some(Value::Array(before)), Value::Array(patch)) => Value::Array(merge_list(child, before, patch, None)?),
        _ => without_directives(value.clone()),
    };
    target.insert(name.to_owned(), merged);
    Ok(())
}

/// A list whose order the patch gives, with or without a change to its items.
fn merge_ordered(schema: Option<&Schema>, target: &mut Object, patch: &Object, name: &str, order: &Value) -> Result<(), Status> {
    let malformed = || Status::bad_request("invalid patch format of setElementOrder list");
    let order = order.as_array().ok_or_else(malformed)?;
    let child = schema.and_then(|schema| schema.field(name)).map(AsRef::as_ref);
    let items = match patch.get(name) {
        None => &[],
        Some(Value::Null) => {
            target.remove(name);
            return Ok(());
        }
        Some(items) => items.as_array().ok_or_else(malformed)?.as_slice(),
    };
    let identity = Identity(child.and_then(|child| child.patch_merge_key.as_deref()));
    if !in_order(items, order, identity) {
        let message = format!(
            "The order in patch list:\n{}\n doesn't match {SET_ORDER}{name} list:\n{}\n",
            Value::from(items.to_vec()),
            Value::from(order.clone())
        );
        return Err(Status::bad_request(message));
    }
    let before = match target.remove(name) {
        Some(Value::Array(before)) => before,
        None if !patch.contains_key(name) => return Ok(()),
        None => Vec::new(),
        Some(_) => return Err(malformed()),
    };
    let merged = merge_list(child, before, items, Some(order))?;
    target.insert(name.to_owned(), Value::Array(merged));
    Ok(())
}

/// Whether the items that stay come in the order given, each named by it.
fn in_order(items: &[Value], order: &[Value], identity: Identity) -> bool {
    let mut rest = order.iter();
    items.iter().filter(|item| item.get(PATCH).is_none()).all(|item| rest.any(|place| identity.same(place, item)))
}

fn delete_values(target: &mut Object, name: &str, values: &Value) -> Result<(), Status> {
    let values = values.as_array().ok_or_else(|| Status::bad_request("invalid patch format of primitive list"))?;
    if let Some(Value::Array(items)) = target.get_mut(name) {
        items.retain(|item| !values.contains(item));
    }
    Ok(())
}

fn merge_list(schema: Option<&Schema>, before: Vec<Value>, patch: &[Value], order: Option<&[Value]>) -> Result<Vec<Value>, Status> {
    let Some(schema) = schema.filter(|schema| schema.patch_merge) else {
        return Ok(patch.iter().cloned().map(without_directives).filter(|item| !item.is_null()).collect());
    };
    if before.iter().chain(patch).any(Value::is_array) {
        return Err(unprocessable("lists of lists are not supported"));
    }
    let objects = before.iter().chain(patch).any(Value::is_object);
    if !objects {
        let mut merged = before.clone();
        for item in patch {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        return Ok(arrange(merged, order.unwrap_or(patch), &before, Identity(None)));
    }
    let Some(key) = schema.patch_merge_key.as_deref() else {
        return Err(unprocessable("cannot merge lists without merge key"));
    };
    merge_items(schema, key, before, patch, order)
}

fn merge_items(schema: &Schema, key: &str, before: Vec<Value>, patch: &[Value], order: Option<&[Value]>) -> Result<Vec<Value>, Status> {
    let identity = Identity(Some(key));
    let mut merged = before.clone();
    let mut changes = Vec::with_capacity(patch.len());
    let mut replace = false;
    for item in patch {
        let Value::Object(object) = item else {
            return Err(unprocessable("the list in the patch mixes objects with other values"));
        };
        match object.get(PATCH).map(|directive| (directive, directive.as_str())) {
            None => changes.push((item, object)),
            Some((_, Some("delete"))) => {
                require_key(object, key)?;
                merged.retain(|other| !identity.same(other, item));
            }
            Some((_, Some("replace"))) => replace = true,
            Some((_, Some("merge"))) => return Err(unprocessable("merging lists cannot yet be specified in the patch")),
            Some((directive, _)) => return Err(unknown_directive(directive, object)),
        }
    }
    if replace {
        return Ok(changes.into_iter().map(|(item, _)| without_directives(item.clone())).collect());
    }
    for (item, object) in changes {
        require_key(object, key)?;
        match merged.iter_mut().find(|other| identity.same(other, item)) {
            Some(Value::Object(existing)) => {
                *existing = merge_object(schema.items.as_deref(), std::mem::take(existing), object)?;
            }
            _ => merged.push(without_directives(item.clone())),
        }
    }
    Ok(arrange(merged, order.unwrap_or(patch), &before, identity))
}

fn require_key(object: &Object, key: &str) -> Result<(), Status> {
    if object.contains_key(key) {
        return Ok(());
    }
    Err(unprocessable(&format!("map: {} does not contain declared merge key: {key}", go_map(object))))
}

/// What is new has nothing to be merged with: nulls and directives in it mean nothing.
fn without_directives(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let kept = object.into_iter().filter(|(name, value)| !value.is_null() && !is_directive(name));
            Value::Object(kept.map(|(name, value)| (name, without_directives(value))).collect())
        }
        Value::Array(items) => {
            let kept = items.into_iter().filter(|item| item.get(PATCH).is_none_or(|directive| directive == "merge"));
            Value::Array(kept.map(without_directives).collect())
        }
        other => other,
    }
}

fn is_directive(name: &str) -> bool {
    name == PATCH || name == RETAIN_KEYS || name.starts_with(SET_ORDER) || name.starts_with(DELETE_VALUES)
}

fn unknown_directive(directive: &Value, object: &Object) -> Status {
    let directive = directive.as_str().map_or_else(|| directive.to_string(), str::to_owned);
    unprocessable(&format!("unknown patch type: {directive} in map: {}", go_map(object)))
}

/// `map[a:1 b:x]`, the way Kubernetes prints an object in these messages.
fn go_map(object: &Object) -> String {
    let members: Vec<String> = object
        .iter()
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name}:{text}"),
            Value::Object(inner) => format!("{name}:{}", go_map(inner)),
            other => format!("{name}:{other}"),
        })
        .collect();
    format!("map[{}]", members.join(" "))
}

fn unprocessable(message: &str) -> Status {
    let mut status = Status::new(422, "Invalid", message);
    status.details = Some(Value::Object(Object::new()));
    status
}
