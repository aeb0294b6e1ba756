//! The part every object has: `apiVersion`, `kind` and `metadata`.

use std::sync::{Arc, LazyLock};

use serde_json::json;

use super::{Kind, Schema};

static OBJECT_META: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    let text = || json!({"type": "string"});
    let map = || json!({"type": "object", "additionalProperties": {"type": "string"}});
    let time = || json!({"type": "string", "format": "date-time"});
    let schema = super::parse::plain(&json!({
        "type": "object",
        "description": "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
        "properties": {
            "name": text(), "generateName": text(), "namespace": text(), "selfLink": text(), "uid": text(), "resourceVersion": text(),
            "generation": {"type": "integer", "format": "int64"},
            "creationTimestamp": time(), "deletionTimestamp": time(),
            "deletionGracePeriodSeconds": {"type": "integer", "format": "int64"},
            "labels": map(), "annotations": map(),
            "finalizers": {
                "type": "array", "items": text(),
                "x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge",
            },
            "ownerReferences": {
                "type": "array",
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["uid"],
                "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "uid",
                "items": {
                    "type": "object", "required": ["apiVersion", "kind", "name", "uid"], "x-kubernetes-map-type": "atomic",
                    "properties": {
                        "apiVersion": text(), "kind": text(), "name": text(), "uid": text(),
                        "controller": {"type": "boolean"}, "blockOwnerDeletion": {"type": "boolean"},
                    },
                },
            },
            "managedFields": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "manager": text(), "operation": text(), "apiVersion": text(), "time": time(), "fieldsType": text(),
                        "subresource": text(), "fieldsV1": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    },
                },
            },
        },
    }));
    Arc::new(schema)
});

/// The schema of `metadata`.
pub fn object_meta() -> Arc<Schema> {
    OBJECT_META.clone()
}

/// Adds what every object has to the schema of a whole object. Bounds that the schema puts on `metadata.name` stay.
pub(super) fn complete(schema: &mut Schema) {
    for name in ["apiVersion", "kind"] {
        schema.properties.entry(name.to_owned()).or_insert_with(|| Arc::new(Schema { kind: Kind::String, ..Schema::default() }));
    }
    let mut metadata = object_meta();
    if let Some(given) = schema.properties.get("metadata") {
        let bounded: Vec<_> = ["name", "generateName"].into_iter().filter_map(|name| Some((name, given.properties.get(name)?))).collect();
        if !bounded.is_empty() || !given.description.is_empty() {
            let own = Arc::make_mut(&mut metadata);
            for (name, bound) in bounded {
                own.properties.insert(name.to_owned(), bound.clone());
            }
            if !given.description.is_empty() {
                own.description.clone_from(&given.description);
            }
        }
    }
    schema.properties.insert("metadata".to_owned(), metadata);
}
