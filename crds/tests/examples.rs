//! Every manifest under `examples/` is what the API server takes: no unknown field, every schema, rule and bound kept.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use embedded::schema::{self, Schema};
use serde::Deserialize as _;
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// Files in the order in which `kubectl apply -R` reads them: within a folder by name, folders and files alike.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let of = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.into_iter().flat_map(of).filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect()
}

fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let all = serde_yaml::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap());
    all.filter(|value| !value.is_null()).collect()
}

fn schema_of(object: &Value) -> Schema {
    let (version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
    let custom = crds::generate::all().into_iter().find(|definition| {
        definition.spec.names.kind == kind && format!("{}/{}", definition.spec.group, definition.spec.versions[0].name) == version
    });
    if let Some(definition) = custom {
        let definition = serde_json::to_value(definition).unwrap();
        return Schema::parse(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]).unwrap();
    }
    let built_in = embedded::builtin::resources().into_iter().find(|resource| resource.kind == kind && resource.api_version() == version);
    built_in.unwrap_or_else(|| panic!("no server knows {version} {kind}")).schema().as_ref().clone()
}

/// What a server says about an object, in the order in which it looks.
fn complaints(object: &Value) -> Vec<String> {
    let schema = schema_of(object);
    let mut all: Vec<String> = schema::unknown_fields(&schema, object).into_iter().map(|field| format!("unknown field {field}")).collect();
    let mut stored = object.clone();
    schema::apply_defaults(&schema, &mut stored);
    all.extend(schema::validate(&schema, &stored, None).into_iter().map(|error| format!("{error:?}")));
    all
}

#[test]
fn every_example_is_taken_by_the_server() {
    let files = files(&folder());
    assert!(files.len() >= 6, "only {files:?}");
    for path in files {
        for object in documents(&path) {
            let found = complaints(&object);
            assert!(found.is_empty(), "{}, {} {}: {found:?}", path.display(), object["kind"], object["metadata"]["name"]);
        }
    }
}

fn is_cluster_scoped(object: &Value) -> bool {
    crds::generate::all()
        .iter()
        .any(|definition| object["kind"] == definition.spec.names.kind.as_str() && definition.spec.scope == "Cluster")
}

#[test]
fn a_namespace_comes_before_what_lives_in_it() {
    let mut made = BTreeSet::from(["default".to_owned()]);
    for object in files(&folder()).iter().flat_map(|path| documents(path)) {
        if object["kind"] == "Namespace" {
            made.insert(object["metadata"]["name"].as_str().unwrap().to_owned());
        } else if !is_cluster_scoped(&object) {
            let namespace = object["metadata"]["namespace"].as_str().expect("an example says its namespace");
            assert!(made.contains(namespace), "{} {} comes before its namespace", object["kind"], object["metadata"]["name"]);
        }
    }
}

#[test]
fn an_example_that_is_applied_twice_is_unchanged_the_second_time() {
    for object in files(&folder()).iter().flat_map(|path| documents(path)) {
        assert!(
            object.get("stringData").is_none(),
            "stringData of {} is never stored: kubectl would see a change for ever",
            object["metadata"]["name"]
        );
        assert!(object.get("status").is_none(), "{} has a status", object["metadata"]["name"]);
    }
}

#[test]
fn every_kind_has_an_example_and_every_field_of_customer_and_system_is_shown() {
    let objects: Vec<Value> = files(&folder()).iter().flat_map(|path| documents(path)).collect();
    for definition in crds::generate::all() {
        let kind = definition.spec.names.kind.as_str();
        let of_kind: Vec<&Value> = objects.iter().filter(|object| object["kind"] == kind).collect();
        assert!(!of_kind.is_empty(), "no example of {kind}");
        let schema = serde_json::to_value(&definition).unwrap()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        for field in schema["properties"]["spec"]["properties"].as_object().unwrap().keys() {
            assert!(of_kind.iter().any(|object| object["spec"].get(field).is_some()), "no example of {kind} shows spec.{field}");
        }
    }
}

#[test]
fn the_check_finds_what_is_wrong() {
    let good = json!({"apiVersion": "switchboard.dev/v1alpha1", "kind": "IPOffice", "metadata": {"name": "a"}, "spec": {"customer": "a"}});
    assert_eq!(complaints(&good), Vec::<String>::new());
    for (field, value, expected) in [
        ("bogus", json!(1), "unknown field spec.bogus"),
        ("customer", json!(""), "spec.customer"),
        ("profile", json!("IP400"), "Unsupported value"),
        ("servers", json!([{"name": "a", "role": "Expansion"}]), "exactly one with the role Primary"),
        ("voicemailBackup", json!({"mailboxes": ["200"]}), "selectiveMailboxes: true"),
    ] {
        let mut bad = good.clone();
        bad["spec"][field] = value;
        let found = complaints(&bad).join("\n");
        assert!(found.contains(expected), "{field}: {found}");
    }
}
