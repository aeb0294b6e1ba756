//! Schemas from the generated files, read on first use and shared between the kinds that have parts in common.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::Value;

use crate::schema::{Kind, ListKind, MapKind, Schema};

/// The generated files by the group and version whose definitions they hold: a JSON object with one definition a line.
const FILES: &[(&str, &str)] = &[
    ("admissionregistration.v1", include_str!("../../schemas/admissionregistration.v1.json")),
    ("apiextensions.v1", include_str!("../../schemas/apiextensions.v1.json")),
    ("apps.v1", include_str!("../../schemas/apps.v1.json")),
    ("authentication.v1", include_str!("../../schemas/authentication.v1.json")),
    ("authorization.v1", include_str!("../../schemas/authorization.v1.json")),
    ("autoscaling.v1", include_str!("../../schemas/autoscaling.v1.json")),
    ("autoscaling.v2", include_str!("../../schemas/autoscaling.v2.json")),
    ("batch.v1", include_str!("../../schemas/batch.v1.json")),
    ("coordination.v1", include_str!("../../schemas/coordination.v1.json")),
    ("core.v1", include_str!("../../schemas/core.v1.json")),
    ("discovery.v1", include_str!("../../schemas/discovery.v1.json")),
    ("events.v1", include_str!("../../schemas/events.v1.json")),
    ("meta.v1", include_str!("../../schemas/meta.v1.json")),
    ("networking.v1", include_str!("../../schemas/networking.v1.json")),
    ("policy.v1", include_str!("../../schemas/policy.v1.json")),
    ("rbac.v1", include_str!("../../schemas/rbac.v1.json")),
    ("scheduling.v1", include_str!("../../schemas/scheduling.v1.json")),
    ("scheduling.v1alpha3", include_str!("../../schemas/scheduling.v1alpha3.json")),
    ("storage.v1", include_str!("../../schemas/storage.v1.json")),
];

/// The schema of a Kubernetes type by its short name, for example `core.v1.PodSpec` or `meta.v1.ObjectMeta`.
///
/// Every caller gets the same tree: a pod template is in memory once, whichever kinds have one. A name that the generated files
/// lack gives an empty schema that keeps whatever it is given; a test walks every kind to show that none is missing.
pub fn definition(name: &str) -> Arc<Schema> {
    static READ: OnceLock<Mutex<HashMap<String, Arc<Schema>>>> = OnceLock::new();
    let read = READ.get_or_init(Mutex::default);
    if let Some(schema) = read.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
        return schema.clone();
    }
    // Not under the lock: building a definition asks for those it refers to.
    let built = text_of(name).and_then(|text| serde_json::from_str(text).ok()).map_or_else(unknown, |value: Value| node(&value));
    read.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_insert(built).clone()
}

/// Changes whenever one of the generated files does: clients cache documents made of them for longer than one server lives.
pub fn fingerprint() -> &'static str {
    static FINGERPRINT: OnceLock<String> = OnceLock::new();
    FINGERPRINT.get_or_init(|| {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        FILES.iter().for_each(|(_, file)| context.update(file.as_bytes()));
        context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    })
}

fn unknown() -> Arc<Schema> {
    Arc::new(Schema { preserve_unknown: true, ..Schema::default() })
}

/// The line of a definition, found without parsing the file.
fn text_of(name: &str) -> Option<&'static str> {
    let (group_version, _) = name.rsplit_once('.')?;
    let (_, file) = FILES.iter().find(|(key, _)| *key == group_version)?;
    file.lines().find_map(|line| {
        let definition = line.strip_prefix('"')?.strip_prefix(name)?.strip_prefix("\":")?;
        Some(definition.strip_suffix(',').unwrap_or(definition))
    })
}

/// One node of the generated form, which has fewer keywords than OpenAPI, and references.
fn node(value: &Value) -> Arc<Schema> {
    let base = value.get("$ref").and_then(Value::as_str).map(definition);
    if let (Some(base), Some(1)) = (&base, value.as_object().map(serde_json::Map::len)) {
        return base.clone();
    }
    let mut schema = base.map_or_else(Schema::default, |base| (*base).clone());
    read_structure(value, &mut schema);
    read_merging(value, &mut schema);
    Arc::new(schema)
}

fn read_structure(value: &Value, schema: &mut Schema) {
    match value.get("type").and_then(Value::as_str) {
        Some("object") => schema.kind = Kind::Object,
        Some("array") => schema.kind = Kind::Array,
        Some("string") => schema.kind = Kind::String,
        Some("integer") => schema.kind = Kind::Integer,
        Some("number") => schema.kind = Kind::Number,
        Some("boolean") => schema.kind = Kind::Boolean,
        _ => {}
    }
    if flag(value, "x-kubernetes-int-or-string") {
        schema.kind = Kind::IntOrString;
    }
    schema.preserve_unknown |= flag(value, "x-kubernetes-preserve-unknown-fields");
    if schema.kind == Kind::Any {
        schema.preserve_unknown = true;
    }
    schema.nullable |= flag(value, "nullable");
    for (name, property) in value.get("properties").and_then(Value::as_object).into_iter().flatten() {
        schema.properties.insert(name.clone(), node(property));
    }
    if let Some(additional) = value.get("additionalProperties") {
        schema.additional = Some(node(additional));
    }
    if let Some(items) = value.get("items") {
        schema.items = Some(node(items));
    }
    if value.get("required").is_some() {
        schema.required = words(value, "required");
    }
    if let Some(default) = value.get("default") {
        schema.default = Some(default.clone());
    }
    if let Some(allowed) = value.get("enum").and_then(Value::as_array) {
        schema.allowed.clone_from(allowed);
    }
    for (key, field) in [("format", &mut schema.format), ("description", &mut schema.description)] {
        if let Some(text) = value.get(key).and_then(Value::as_str) {
            text.clone_into(field);
        }
    }
}

fn read_merging(value: &Value, schema: &mut Schema) {
    match value.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => schema.list = ListKind::Set,
        Some("map") => schema.list = ListKind::Map(words(value, "x-kubernetes-list-map-keys")),
        _ => {}
    }
    match value.get("x-kubernetes-map-type").and_then(Value::as_str) {
        Some("atomic") => schema.map = MapKind::Atomic,
        Some(_) => schema.map = MapKind::Granular,
        None => {}
    }
    if let Some(key) = value.get("x-kubernetes-patch-merge-key").and_then(Value::as_str) {
        schema.patch_merge_key = Some(key.to_owned());
    }
    for strategy in value.get("x-kubernetes-patch-strategy").and_then(Value::as_str).unwrap_or_default().split(',') {
        schema.patch_merge |= strategy == "merge";
        schema.patch_retain_keys |= strategy == "retainKeys";
    }
}

fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn words(value: &Value, key: &str) -> Vec<String> {
    value.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
