//! Events are stored once and served in two groups: `v1`, and `events.k8s.io/v1` with other names for some fields.

use serde_json::{Map, Value, json};

/// Where events of both groups are stored.
pub const STORAGE: &str = "events";

const CORE: &str = "v1";
const GROUP: &str = "events.k8s.io/v1";

/// Fields that have another name in `events.k8s.io/v1`: core name, then group name.
const RENAMED: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// The event as `api_version` (`v1` or `events.k8s.io/v1`) has it. An event that is in that version already stays as it is.
pub fn convert(event: &Value, api_version: &str) -> Value {
    match (event.get("apiVersion").and_then(Value::as_str), api_version) {
        (Some(CORE), GROUP) => core_to_group(event),
        (Some(GROUP), CORE) => group_to_core(event),
        _ => event.clone(),
    }
}

/// A `v1` event as `events.k8s.io/v1`.
pub fn core_to_group(event: &Value) -> Value {
    let mut out = renamed(event, GROUP, |core, group| (core, group));
    // In this group the reporter is left out when nobody said it.
    for field in ["reportingController", "reportingInstance"] {
        if out.get(field).and_then(Value::as_str) == Some("") {
            out.remove(field);
        }
    }
    fill(&mut out, "deprecatedSource", json!({}));
    for field in ["deprecatedFirstTimestamp", "deprecatedLastTimestamp", "eventTime"] {
        fill(&mut out, field, Value::Null);
    }
    Value::Object(out)
}

/// An `events.k8s.io/v1` event as `v1`.
pub fn group_to_core(event: &Value) -> Value {
    let mut out = renamed(event, CORE, |core, group| (group, core));
    for (field, empty) in
        [("involvedObject", json!({})), ("source", json!({})), ("reportingComponent", json!("")), ("reportingInstance", json!(""))]
    {
        fill(&mut out, field, empty);
    }
    for field in ["firstTimestamp", "lastTimestamp", "eventTime"] {
        fill(&mut out, field, Value::Null);
    }
    Value::Object(out)
}

fn renamed(
    event: &Value,
    api_version: &str,
    direction: fn(&'static str, &'static str) -> (&'static str, &'static str),
) -> Map<String, Value> {
    let mut out = Map::new();
    for (field, value) in event.as_object().into_iter().flatten() {
        let pairs = RENAMED.iter().map(|(core, group)| direction(core, group));
        let name = pairs.into_iter().find(|(from, _)| from == field).map_or(field.as_str(), |(_, to)| to);
        out.insert(name.to_owned(), value.clone());
    }
    out.insert("apiVersion".to_owned(), json!(api_version));
    out
}

fn fill(out: &mut Map<String, Value>, field: &str, value: Value) {
    out.entry(field).or_insert(value);
}

#[cfg(test)]
mod tests;
