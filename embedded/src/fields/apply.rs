//! Server-side apply.

use serde_json::Value;

use super::Writer;
use super::compare::{Comparison, compare};
use super::conflict::{self, Conflict};
use super::element::same;
use super::entries::{Entries, Entry, Identity, Operation};
use super::from_value::set_of;
use super::manage::{NOTHING, managed_of, never_managed, put_managed, record, take_managed};
use super::merge::merge;
use super::prune::{drop_emptied, prune};
use super::reconcile::reconcile;
use super::set::FieldSet;
use super::shape::Shape;
use super::{last_applied, validate};
use crate::schema::Schema;
use crate::status::Status;

/// Merges `config` into `live` (or into nothing, where the object does not exist yet) and books the fields it sets on `writer`.
/// What `writer` applied before and does not any more goes, unless others own it. The result has `metadata.managedFields`;
/// defaults are not set in it, and nothing is validated but the types.
///
/// `config` must not have `metadata.managedFields`, nor fields that the endpoint ignores: see [`super::reset_config`].
/// After defaulting the result, call [`super::keep_times`].
///
/// # Errors
/// 409 with all conflicts, if others own fields that would change and `force` is off. 500, as on a real server, for a
/// configuration that does not fit the schema.
pub fn apply(schema: &Schema, live: Option<&Value>, config: &Value, writer: &Writer<'_>, force: bool) -> Result<Value, Status> {
    let unexpected = |message: String| Status::new(500, "", message);
    validate::check(schema, config)
        .map_err(|error| unexpected(format!("failed to create typed patch object ({}): {error}", subject(config))))?;
    let mut entries =
        Entries::decode(live.and_then(managed_of)).map_err(|error| unexpected(format!("failed to decode managed fields: {error}")))?;
    if let Some(live) = live.filter(|_| entries.is_empty()) {
        adopt(schema, live, &mut entries, writer);
    }
    entries.change(|set| reconcile(Shape::Known(schema), set));

    let identity = Identity::of(writer, Operation::Apply);
    let last = entries.take(&identity);
    let set = set_of(schema, config);
    let base = live.unwrap_or(&NOTHING);
    let mut merged = base.clone();
    merge(Shape::Known(schema), &mut merged, config);
    let pruned = prune_dropped(schema, &mut merged, last.as_ref(), &entries, &set);

    let changes = compare(schema, base, &merged, writer.is_structure());
    if !force {
        refuse_conflicts(schema, base, &entries, &changes, writer)?;
    }
    if pruned {
        drop_emptied(Shape::Known(schema), &mut merged, base);
    }
    let unchanged = live.is_some() && same(base, &merged);
    let Comparison { added, modified, removed } = changes;
    let written = added.union(modified);
    entries.change(|set| set.difference(&written).difference(&removed));

    let set = set.difference(never_managed());
    if !set.is_empty() {
        // Whoever applies what is there already has changed nothing, and a real server books no time for it.
        let time = if unchanged { last.and_then(|last| last.time) } else { Some(writer.time.to_owned()) };
        entries.put(Entry { identity, api_version: writer.api_version.to_owned(), time, set });
    }
    last_applied::keep_up(&mut merged, config, writer.manager);
    take_managed(&mut merged);
    if let Some(list) = entries.encode() {
        put_managed(&mut merged, list);
    }
    Ok(merged)
}

/// An object without managers gets one for all that is in it, so that the first apply cannot take it unseen.
fn adopt(schema: &Schema, live: &Value, entries: &mut Entries, writer: &Writer<'_>) {
    let before = Writer { manager: "before-first-apply", ..*writer };
    let changes = compare(schema, &NOTHING, live, writer.is_structure());
    record(entries, changes, &before);
}

/// Removes what the writer applied last time and nobody sets now. Says whether there was anything to look at.
fn prune_dropped(schema: &Schema, merged: &mut Value, last: Option<&Entry>, others: &Entries, set: &FieldSet) -> bool {
    let Some(last) = last else { return false };
    if last.set.clone().difference(set).is_empty() {
        return false;
    }
    let owned = others.iter().fold(set.clone(), |owned, entry| owned.union(entry.set.clone()));
    prune(Shape::Known(schema), merged, last.set.clone(), owned);
    true
}

fn refuse_conflicts(schema: &Schema, live: &Value, others: &Entries, changes: &Comparison, writer: &Writer<'_>) -> Result<(), Status> {
    let mut conflicts: Vec<Conflict> = Vec::new();
    for entry in others.iter() {
        let fields = entry.set.intersection(&changes.modified).union(entry.set.intersection(&changes.added));
        if !fields.is_empty() {
            conflicts.push(Conflict { identity: entry.identity.clone(), fields });
        }
    }
    if conflicts.is_empty() {
        return Ok(());
    }
    let allowed = last_applied::may_take(schema, live, writer.manager, writer.api_version);
    if !allowed.is_empty() {
        for conflict in &mut conflicts {
            conflict.fields = std::mem::take(&mut conflict.fields).difference(&allowed);
        }
        conflicts.retain(|conflict| !conflict.fields.is_empty());
        if conflicts.is_empty() {
            return Ok(());
        }
    }
    Err(conflict::error(conflicts))
}

/// `namespace/name; group/version, Kind=Kind`.
fn subject(config: &Value) -> String {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let metadata = |name: &str| text(config.get("metadata").and_then(|metadata| metadata.get(name)));
    let api_version = text(config.get("apiVersion"));
    let group_version = if api_version.contains('/') { api_version } else { format!("/{api_version}") };
    format!("{}/{}; {group_version}, Kind={}", metadata("namespace"), metadata("name"), text(config.get("kind")))
}
