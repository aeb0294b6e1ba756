//! Removing what an applier no longer applies.

use std::collections::BTreeMap;

use serde_json::Value;

use super::element::PathElement;
use super::from_value::below;
use super::set::FieldSet;
use super::shape::{Form, Shape};

/// Removes from `merged` what is in `last`, what the applier set before, and in no set of `owned`, what anyone has now.
/// Items and entries that others own stay, and so does what nobody owned.
pub(super) fn prune(shape: Shape<'_>, merged: &mut Value, last: FieldSet, owned: FieldSet) {
    let last = with_structures(shape, last);
    let owned = with_structures(shape, owned);
    let all = with_structures(shape, below(shape, merged));

    let mut without_last = merged.clone();
    remove(shape, &mut without_last, &last);
    let kept = with_structures(shape, below(shape, &without_last)).union(owned);

    let mut without_unowned = merged.clone();
    remove(shape, &mut without_unowned, &all.clone().difference(&kept));
    let left = with_structures(shape, below(shape, &without_unowned));

    remove(shape, merged, &all.difference(&left).intersection(&last));
}

/// The set with the fields of structures in it that hold members, which are not members by themselves.
fn with_structures(shape: Shape<'_>, set: FieldSet) -> FieldSet {
    let mut out = FieldSet::default();
    for node in set.into_nodes() {
        let (next, named) = match &node.element {
            PathElement::Field(name) => {
                let member = shape.member(name);
                (member.shape, member.declared)
            }
            element => (shape.step(element), false),
        };
        let member = node.member || (named && !node.below.is_empty());
        out.put(node.element, member, with_structures(next, node.below));
    }
    out
}

/// Removes fields and items. A map or list that is emptied this way becomes null, as it still is a value someone may own.
fn remove(shape: Shape<'_>, value: &mut Value, set: &FieldSet) {
    if set.is_empty() {
        return;
    }
    let emptied = match value {
        Value::Object(map) if shape.is_granular_map() && !map.is_empty() => {
            map.retain(|name, value| {
                let Some(node) = set.node(&PathElement::field(name)) else { return true };
                if !node.member {
                    remove(shape.member(name).shape, value, &node.below);
                }
                !node.member
            });
            map.is_empty()
        }
        Value::Array(items) if shape.is_granular_list() && !items.is_empty() => {
            let mut position = 0;
            items.retain_mut(|item| {
                let key = shape.stored_key(position, item);
                position += 1;
                let Some(node) = set.node(&key) else { return true };
                if !node.member {
                    remove(shape.item(), item, &node.below);
                }
                !node.member
            });
            items.is_empty()
        }
        _ => false,
    };
    if emptied {
        *value = Value::Null;
    }
}

/// Drops the nulls that pruning left where `live` has a map or list, as the schema has no null there. Where there is no schema
/// they stay, as on a real server.
pub(super) fn drop_emptied(shape: Shape<'_>, value: &mut Value, live: &Value) {
    match (value, live) {
        (Value::Object(map), Value::Object(live)) if shape.is_granular_map() => {
            for (name, old) in live {
                let field = shape.member(name).shape;
                match map.get_mut(name) {
                    Some(Value::Null) if matches!(field, Shape::Known(_)) && !matches!(field.form(old), Form::Leaf) => {
                        map.remove(name);
                    }
                    Some(value) => drop_emptied(field, value, old),
                    None => {}
                }
            }
        }
        (Value::Array(items), Value::Array(live)) if shape.is_granular_list() => {
            let keyed: BTreeMap<PathElement, &Value> =
                live.iter().enumerate().map(|(position, item)| (shape.stored_key(position, item), item)).collect();
            for (position, item) in items.iter_mut().enumerate() {
                if let Some(old) = keyed.get(&shape.stored_key(position, item)) {
                    drop_emptied(shape.item(), item, old);
                }
            }
        }
        _ => {}
    }
}
