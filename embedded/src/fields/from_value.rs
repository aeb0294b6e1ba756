//! Which fields an object sets.

use std::collections::BTreeSet;

use serde_json::Value;

use super::element::PathElement;
use super::set::FieldSet;
use super::shape::{Form, Shape};
use crate::schema::Schema;

/// The fields of `value`, as one who applies it would own them: leaves, entries of maps and items of lists, but not the
/// fields of structures that only hold others.
pub fn set_of(schema: &Schema, value: &Value) -> FieldSet {
    below(Shape::Known(schema), value)
}

/// The fields below a value that is itself somewhere in the object.
pub(super) fn below(shape: Shape<'_>, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    match shape.form(value) {
        Form::Leaf => {}
        Form::Map(map) => {
            for (name, value) in map {
                let member = shape.member(name);
                let owned = !member.declared
                    || match member.shape.form(value) {
                        Form::Leaf => true,
                        Form::Map(map) => map.is_empty(),
                        Form::List(_) => false,
                    };
                set.put(PathElement::field(name), owned, below(member.shape, value));
            }
        }
        Form::List(items) => {
            let item_shape = shape.item();
            let keys: Vec<PathElement> = items.iter().enumerate().map(|(position, item)| shape.stored_key(position, item)).collect();
            let repeated = repeated(&keys);
            for (key, item) in keys.iter().zip(items) {
                let content = if repeated.contains(key) { FieldSet::default() } else { below(item_shape, item) };
                set.put(key.clone(), true, content);
            }
        }
    }
    set
}

/// Keys that occur more than once: such items are owned as one, without their fields.
fn repeated(keys: &[PathElement]) -> BTreeSet<&PathElement> {
    let mut seen = BTreeSet::new();
    keys.iter().filter(|key| !seen.insert(*key)).collect()
}
