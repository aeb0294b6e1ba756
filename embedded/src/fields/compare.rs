//! What changed between two states of an object.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::element::{PathElement, same};
use super::manage::NOTHING;
use super::set::FieldSet;
use super::shape::{Form, Shape};
use crate::schema::Schema;

/// The changes from one state to another. No field is in two of the sets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Only in the new state.
    pub added: FieldSet,
    /// In both, with different values.
    pub modified: FieldSet,
    /// Only in the old state.
    pub removed: FieldSet,
}

impl Comparison {
    /// Whether nothing changed.
    pub fn is_same(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }
}

/// Compares two objects. `structures`: the kind is a Go structure on a real server, where parts like `spec` and
/// `spec.template.metadata` are always there, so that nobody owns them for having written the first field in them.
pub fn compare(schema: &Schema, old: &Value, new: &Value, structures: bool) -> Comparison {
    Comparer { structures }.place(Shape::Known(schema), Some(old), Some(new)).below
}

/// Parts of built-in kinds that are Go structures by value although their schema does not require them.
const STRUCTURES: [&str; 15] = [
    "acceptedNames",
    "daemonEndpoints",
    "deprecatedSource",
    "involvedObject",
    "kubeletEndpoint",
    "loadBalancer",
    "metadata",
    "nodeInfo",
    "regarding",
    "resources",
    "source",
    "spec",
    "status",
    "strategy",
    "updateStrategy",
];

#[derive(Clone, Copy)]
struct Comparer {
    structures: bool,
}

/// What changed at one place and below it.
#[derive(Default)]
struct Change {
    added: bool,
    modified: bool,
    removed: bool,
    below: Comparison,
}

static NULL: Value = Value::Null;

impl Comparer {
    fn place(self, shape: Shape<'_>, old: Option<&Value>, new: Option<&Value>) -> Change {
        let (Some(left), Some(right)) = (old.map(|old| shape.form(old)), new.map(|new| shape.form(new))) else {
            return self.one_sided(shape, old, new);
        };
        let mut change = Change::default();
        match (left, right) {
            (Form::Map(left), Form::Map(right)) => self.maps(shape, Some(left), Some(right), &mut change.below),
            (Form::List(left), Form::List(right)) if left == right => {}
            (Form::List(left), Form::List(right)) => self.lists(shape, left, right, &mut change.below),
            (Form::Leaf, Form::Leaf) => change.modified = !matches!((old, new), (Some(old), Some(new)) if same(old, new)),
            (left, right) => {
                // Null takes the form of the other side: filling it is adding, emptying it is removing.
                let null = old.is_some_and(Value::is_null) || new.is_some_and(Value::is_null);
                change.modified = !null || (is_empty(&left) && is_empty(&right));
                self.content(shape, &left, &Form::Leaf, &mut change.below);
                self.content(shape, &Form::Leaf, &right, &mut change.below);
            }
        }
        change
    }

    /// Only one side is there: all of it was added or removed.
    fn one_sided(self, shape: Shape<'_>, old: Option<&Value>, new: Option<&Value>) -> Change {
        let mut change = Change { added: old.is_none() && new.is_some(), removed: new.is_none() && old.is_some(), ..Change::default() };
        let left = old.map_or(Form::Leaf, |old| shape.form(old));
        let right = new.map_or(Form::Leaf, |new| shape.form(new));
        self.content(shape, &left, &right, &mut change.below);
        change
    }

    /// What is inside two values of which at most one has an inside.
    fn content(self, shape: Shape<'_>, left: &Form<'_>, right: &Form<'_>, into: &mut Comparison) {
        match (left, right) {
            (Form::Map(map), _) => self.maps(shape, Some(map), None, into),
            (_, Form::Map(map)) => self.maps(shape, None, Some(map), into),
            (Form::List(items), _) => self.lists(shape, items, &[], into),
            (_, Form::List(items)) => self.lists(shape, &[], items, into),
            (Form::Leaf, Form::Leaf) => {}
        }
    }

    fn maps(self, shape: Shape<'_>, left: Option<&Map<String, Value>>, right: Option<&Map<String, Value>>, into: &mut Comparison) {
        let both = left.is_some() && right.is_some();
        for (name, old) in left.into_iter().flatten() {
            let new = right.and_then(|right| right.get(name));
            self.member(shape, name, Some(old), new, both, into);
        }
        for (name, new) in right.into_iter().flatten() {
            if left.is_none_or(|left| !left.contains_key(name)) {
                self.member(shape, name, None, Some(new), both, into);
            }
        }
    }

    /// `both`: the maps around the two values are both there.
    fn member(self, shape: Shape<'_>, name: &str, old: Option<&Value>, new: Option<&Value>, both: bool, into: &mut Comparison) {
        let field = shape.member(name).shape;
        let (mut old, mut new) = (old, new);
        if self.structures
            && both
            && let (Some(only), None) | (None, Some(only)) = (old, new)
            && (only.is_null() || is_always_there(shape, name))
            && matches!(only, Value::Object(_) | Value::Array(_) | Value::Null)
        {
            if is_blank(only) {
                return;
            }
            let nothing = if only.is_object() { &*NOTHING } else { &NULL };
            old = old.or(Some(nothing));
            new = new.or(Some(nothing));
        }
        let change = self.place(field, old, new);
        record(into, change, || PathElement::field(name));
    }

    fn lists(self, shape: Shape<'_>, left: &[Value], right: &[Value], into: &mut Comparison) {
        let mut entries: BTreeMap<PathElement, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        for (position, item) in left.iter().enumerate() {
            entries.entry(shape.stored_key(position, item)).or_default().0.push(item);
        }
        for (position, item) in right.iter().enumerate() {
            entries.entry(shape.stored_key(position, item)).or_default().1.push(item);
        }
        for (key, (old, new)) in entries {
            let change = self.items(shape.item(), &old, &new);
            record(into, change, || key);
        }
    }

    /// Items with one key. Where a key is repeated, the items are owned as one, without their fields.
    fn items(self, shape: Shape<'_>, old: &[&Value], new: &[&Value]) -> Change {
        match (old, new) {
            ([] | [_], [] | [_]) => self.place(shape, old.first().copied(), new.first().copied()),
            ([_, _, ..], [_, _, ..]) => {
                let equal = old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same(old, new));
                Change { modified: !equal, ..Change::default() }
            }
            ([_, _, ..], _) => {
                let mut change = new.first().map_or_else(Change::default, |new| self.place(shape, None, Some(new)));
                change.removed = true;
                change
            }
            (_, _) => {
                let mut change = old.first().map_or_else(Change::default, |old| self.place(shape, Some(old), None));
                change.added = true;
                change
            }
        }
    }
}

fn record(into: &mut Comparison, change: Change, element: impl FnOnce() -> PathElement) {
    let Change { added, modified, removed, below } = change;
    if !added && !modified && !removed && below.is_same() {
        return;
    }
    let element = element();
    into.added.put(element.clone(), added, below.added);
    into.modified.put(element.clone(), modified, below.modified);
    into.removed.put(element, removed, below.removed);
}

fn is_empty(form: &Form<'_>) -> bool {
    match form {
        Form::Leaf => true,
        Form::Map(map) => map.is_empty(),
        Form::List(items) => items.is_empty(),
    }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Whether a Go structure has this field even if the JSON does not show it.
fn is_always_there(shape: Shape<'_>, name: &str) -> bool {
    let Shape::Known(schema) = shape else { return false };
    // A CustomResourceDefinition's status writes its conditions even when there are none.
    let conditions = name == "conditions" && schema.properties.contains_key("acceptedNames");
    schema.properties.contains_key(name)
        && (conditions || STRUCTURES.contains(&name) || schema.required.iter().any(|required| required == name))
}
