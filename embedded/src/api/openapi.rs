//! OpenAPI v3: what `kubectl explain`, `apply`, `diff` and `edit` read.
//!
//! The `patch` operations name the query parameter `fieldValidation` (kubectl asks for it before it sends one) and no request body: with
//! one, kubectl would build its patches from this document rather than from what the objects say.

use serde_json::{Map, Value, json};

use super::discovery::hash;
use super::registry::Kinds;
use crate::resource::Resource;

/// `/openapi/v3`: the documents, with a hash of their content in the address, which clients cache on disk.
pub(super) fn index(kinds: &Kinds) -> Value {
    let mut paths = Map::new();
    for (group, versions) in kinds.groups() {
        for version in versions {
            let place = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
            let hash = content_hash(kinds, &group, &version);
            paths.insert(place.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{place}?hash={hash}")}));
        }
    }
    json!({"paths": paths})
}

/// `/openapi/v2`, as content type and document: that there is one, and nothing in it, since version 3 has it all. kubectl reads it for what
/// version 3 does not know, a `kind: List`, and takes what is not in it as valid; the server looks at every item anyway.
pub(super) fn version_two(accept: &str) -> (&'static str, String) {
    if !accept.contains("proto-openapi.spec.v2") {
        let document = json!({"swagger": "2.0", "info": {"title": "Kubernetes", "version": super::VERSION}, "paths": {}});
        return ("application/json", document.to_string());
    }
    // Document { swagger = 1, info = 2 { title = 1, version = 2 }, paths = 8 {} } of openapi_v2.proto. All texts are short: a length is one byte.
    let field = |number: u8, content: &str| {
        let length = u8::try_from(content.len()).unwrap_or_default();
        format!("{}{}{content}", char::from((number << 3) | 2), char::from(length))
    };
    let info = field(1, "Kubernetes") + &field(2, super::VERSION);
    let document = field(1, "2.0") + &field(2, &info) + &field(8, "");
    ("application/com.github.proto-openapi.spec.v2.v1.0+protobuf", document)
}

/// Changes whenever the document of a group and version does, without making the document.
pub(super) fn content_hash(kinds: &Kinds, group: &str, version: &str) -> String {
    let names = kinds.of(group, version).map(|resource| format!("{} {}", resource.plural, resource.kind));
    let origins = kinds.origins(group, version).map(str::to_owned);
    let parts: Vec<String> = names.chain(origins).chain([crate::builtin::fingerprint().to_owned()]).collect();
    hash(parts.join("\n").as_bytes())
}

/// The document of one group and version.
pub(super) fn document(kinds: &Kinds, group: &str, version: &str) -> Value {
    let mut schemas = Map::new();
    let mut paths = Map::new();
    for resource in kinds.of(group, version) {
        schemas.insert(component(resource), schema(resource));
        let place = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{place}{scope}/{}", resource.plural);
        paths.insert(collection.clone(), operations(resource, &[("get", "list"), ("post", "post"), ("delete", "deletecollection")]));
        let one = [("get", "get"), ("put", "put"), ("patch", "patch"), ("delete", "delete")];
        paths.insert(format!("{collection}/{{name}}"), operations(resource, &one));
        if resource.status {
            let status = [("get", "get"), ("put", "put"), ("patch", "patch")];
            paths.insert(format!("{collection}/{{name}}/status"), operations(resource, &status));
        }
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": super::VERSION},
        "paths": paths,
        "components": {"schemas": schemas}
    })
}

fn operations(resource: &Resource, methods: &[(&str, &str)]) -> Value {
    let kind = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
    let mut operations = Map::new();
    for (method, action) in methods {
        let verb = match *action {
            "post" => "create",
            "put" => "update",
            other => other,
        };
        if !resource.verbs.contains(&verb) {
            continue;
        }
        let parameters: Vec<Value> = match *method {
            "post" | "put" | "patch" => ["dryRun", "fieldManager", "fieldValidation"].map(parameter).to_vec(),
            _ => Vec::new(),
        };
        operations.insert(
            (*method).to_owned(),
            json!({
                "operationId": format!("{action}{}{}", resource.version, resource.kind),
                "parameters": parameters,
                "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": {"$ref": format!("#/components/schemas/{}", component(resource))}}}}},
                "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind": kind
            }),
        );
    }
    Value::Object(operations)
}

fn parameter(name: &str) -> Value {
    json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}})
}

/// The name of a schema: the group backwards, version and kind.
fn component(resource: &Resource) -> String {
    let group = match resource.group.as_str() {
        "" => "io.k8s.api.core".to_owned(),
        group if !resource.custom => format!("io.k8s.api.{}", group.split('.').next().unwrap_or_default()),
        group => group.split('.').rev().collect::<Vec<_>>().join("."),
    };
    format!("{group}.{}.{}", resource.version, resource.kind)
}

fn schema(resource: &Resource) -> Value {
    let mut schema = resource.schema().to_open_api();
    schema["x-kubernetes-group-version-kind"] = json!([{"group": resource.group, "version": resource.version, "kind": resource.kind}]);
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        let describe = |text: &str| json!({"type": "string", "description": text});
        properties.insert("apiVersion".into(), describe("APIVersion defines the versioned schema of this representation of an object."));
        properties.insert("kind".into(), describe("Kind is a string value representing the REST resource this object represents."));
        // A definition seldom describes metadata: show the fields that are there all the same.
        let mut metadata = crate::schema::object_meta().to_open_api();
        metadata["description"] = json!("Standard object metadata.");
        properties.insert("metadata".into(), metadata);
    }
    schema
}
