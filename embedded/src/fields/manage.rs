//! Who manages what after a write that is not an apply.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::Writer;
use super::compare::{Comparison, compare};
use super::element::PathElement;
use super::entries::{Entries, Entry, Identity, Operation};
use super::reconcile::reconcile;
use super::set::FieldSet;
use super::shape::Shape;
use crate::schema::Schema;

/// As many entries of updates a real server keeps.
const UPDATE_ENTRIES: usize = 10;

/// An object in which nothing is set.
pub(super) static NOTHING: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));

/// Sets `metadata.managedFields` of `new`, the object after a create, update or patch: `writer` gets what it changed or added,
/// all others lose that, and everyone loses what was removed.
///
/// `new` must be complete but for what the server itself fills in: defaults set, fields reset that the endpoint ignores, and
/// nothing yet of what a kind's own logic adds, as nobody owns that.
///
/// Who sends `managedFields` edits them: `[]` or `[{}]` clears them, and then they stay away until the next apply; a list that
/// is not valid is ignored, and so is any on a subresource.
///
/// `old` is the state before; for an object that is created, nothing or what a kind's objects always have.
pub fn update(schema: &Schema, old: Option<&Value>, new: &mut Value, writer: &Writer<'_>) {
    let sent = take_managed(new);
    let stored = old.and_then(managed_of);
    let changes = compare(schema, old.unwrap_or(&NOTHING), new, writer.is_structure());
    let edited = writer.subresource.is_empty() && sent.is_some() && sent.as_ref() != stored;
    if !edited && is_no_change(&changes) {
        if let Some(list) = stored {
            put_managed(new, list.clone());
        }
        return;
    }
    let mut entries = start(stored, sent.as_ref(), writer);
    if entries.is_empty() && old.is_some_and(is_stored) {
        return;
    }
    entries.change(|set| reconcile(Shape::Known(schema), set));
    record(&mut entries, changes, writer);
    entries.cap(UPDATE_ENTRIES);
    if let Some(list) = entries.encode() {
        put_managed(new, list);
    }
}

/// Whether nothing changed. The list of managers is out of `new` while it is compared, which counts as removed.
fn is_no_change(changes: &Comparison) -> bool {
    let removed = || changes.removed.clone().difference(never_managed()).is_empty();
    changes.added.is_empty() && changes.modified.is_empty() && removed()
}

/// Whether an object is in the store, rather than about to be created.
fn is_stored(object: &Value) -> bool {
    object.get("metadata").and_then(|metadata| metadata.get("uid")).and_then(Value::as_str).is_some_and(|uid| !uid.is_empty())
}

/// The entries a write starts from.
fn start(stored: Option<&Value>, sent: Option<&Value>, writer: &Writer<'_>) -> Entries {
    let stored = || Entries::decode(stored).unwrap_or_default();
    if !writer.subresource.is_empty() {
        return stored();
    }
    match sent {
        Some(Value::Array(list)) if is_reset(list) => Entries::default(),
        sent => match Entries::decode(sent) {
            Ok(entries) if !entries.is_empty() => entries,
            _ => stored(),
        },
    }
}

fn is_reset(list: &[Value]) -> bool {
    match list {
        [] => true,
        [Value::Object(entry)] => entry.is_empty(),
        _ => false,
    }
}

/// Books the changes of an update.
pub(super) fn record(entries: &mut Entries, changes: Comparison, writer: &Writer<'_>) {
    let Comparison { added, modified, removed } = changes;
    let written = added.union(modified);
    entries.change(|set| set.difference(&written).difference(&removed));
    let taken = written.difference(never_managed());
    if taken.is_empty() {
        return;
    }
    let identity = Identity::of(writer, Operation::Update);
    let before = entries.take(&identity).map_or_else(FieldSet::default, |entry| entry.set);
    let time = Some(writer.time.to_owned()).filter(|time| !time.is_empty());
    entries.put(Entry { identity, api_version: writer.api_version.to_owned(), time, set: before.union(taken) });
}

/// Fields that identify an object or belong to the server.
pub(super) fn never_managed() -> &'static FieldSet {
    static SET: LazyLock<FieldSet> = LazyLock::new(|| {
        let metadata = [
            "name",
            "namespace",
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
            "managedFields",
        ];
        let top = ["apiVersion", "kind", "metadata"].into_iter().map(|name| vec![PathElement::field(name)]);
        let below = metadata.into_iter().map(|name| vec![PathElement::field("metadata"), PathElement::field(name)]);
        top.chain(below).collect()
    });
    &SET
}

pub(super) fn managed_of(object: &Value) -> Option<&Value> {
    object.get("metadata")?.get("managedFields")
}

pub(super) fn take_managed(object: &mut Value) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")
}

pub(super) fn put_managed(object: &mut Value, list: Value) {
    if let Some(object) = object.as_object_mut() {
        let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("managedFields".to_owned(), list);
        }
    }
}
