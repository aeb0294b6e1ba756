#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::HashSet;
use std::path::Path;

use super::*;
use crate::schema::{Kind, ListKind, Schema};

fn named(group: &str, kind: &str) -> Arc<Resource> {
    resources().into_iter().find(|resource| resource.group == group && resource.kind == kind).unwrap()
}

#[test]
fn the_generated_files_are_what_the_generator_writes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let generated = generate::generate(&folder).unwrap();
    for file in &generated {
        let committed = std::fs::read_to_string(folder.join(&file.name)).unwrap_or_default();
        assert!(committed == file.text, "schemas/{} is out of date: run `cargo run -p embedded --example generate_schemas`", file.name);
    }
    let names: HashSet<&str> = generated.iter().map(|file| file.name.as_str()).collect();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.ends_with(".json") || names.contains(name.as_str()), "schemas/{name} is generated no more: delete it");
    }
}

/// Every object below a schema, each shared part once.
fn walk(schema: &Arc<Schema>, seen: &mut HashSet<*const Schema>, visit: &mut dyn FnMut(&Schema)) {
    if !seen.insert(Arc::as_ptr(schema)) {
        return;
    }
    visit(schema);
    for child in schema.properties.values().chain(&schema.items).chain(&schema.additional) {
        walk(child, seen, visit);
    }
}

#[test]
fn every_kind_has_a_schema_that_knows_its_fields() {
    let free_form = ["JSONSchemaProps", "JSON represents", "RawExtension", "FieldsV1"];
    for resource in resources().into_iter().chain(subresource_kinds()) {
        let schema = resource.schema();
        for field in ["apiVersion", "kind", "metadata"] {
            assert!(schema.properties.contains_key(field), "{} lacks {field}", resource.kind);
        }
        let mut seen = HashSet::new();
        walk(schema, &mut seen, &mut |node| {
            let known = node.kind != Kind::Any && !node.preserve_unknown;
            let meant = free_form.iter().any(|word| node.description.contains(word)) || !node.description.is_empty();
            assert!(known || meant, "{} has a node without type or description", resource.kind);
        });
    }
}

#[test]
fn shared_parts_are_in_memory_once() {
    let template = |kind: &str| {
        let resource = named("apps", kind);
        resource.schema().properties["spec"].properties["template"].properties["spec"].properties["containers"].items.clone().unwrap()
    };
    assert!(Arc::ptr_eq(&template("Deployment"), &template("StatefulSet")));
}

#[test]
fn lists_merge_by_their_keys() {
    let pod = named("", "Pod");
    let spec = &pod.schema().properties["spec"];
    let ports = &spec.properties["containers"].items.as_ref().unwrap().properties["ports"];
    assert_eq!(ports.list, ListKind::Map(vec!["containerPort".to_owned(), "protocol".to_owned()]));
    assert_eq!(ports.patch_merge_key.as_deref(), Some("containerPort"));
    assert!(spec.properties["volumes"].patch_merge && spec.properties["volumes"].patch_retain_keys);
    assert_eq!(pod.schema().properties["metadata"].properties["finalizers"].list, ListKind::Set);
    let limits = &spec.properties["containers"].items.as_ref().unwrap().properties["resources"].properties["limits"];
    assert_eq!(limits.additional.as_ref().unwrap().kind, Kind::IntOrString);
}

#[test]
fn a_fact_about_a_field_wins_over_one_about_its_type() {
    let volume = named("", "PersistentVolume");
    let claim = &volume.schema().properties["spec"].properties["claimRef"];
    assert_eq!(claim.map, crate::schema::MapKind::Granular);
    let owners = named("", "Event");
    assert_eq!(owners.schema().properties["involvedObject"].map, crate::schema::MapKind::Atomic);
}

#[test]
fn events_of_both_groups_share_their_storage_and_no_other_kinds_do() {
    assert_eq!(named("", "Event").storage, named("events.k8s.io", "Event").storage);
    assert_eq!(named("apps", "Deployment").storage, "apps/deployments");
    let all: Vec<String> = resources().iter().map(|resource| resource.storage.clone()).collect();
    let distinct: HashSet<&String> = all.iter().collect();
    assert_eq!(distinct.len(), all.len() - 1);
}

#[test]
fn questions_to_the_server_can_only_be_created() {
    for resource in resources() {
        let question = resource.group.starts_with("authorization") || resource.group.starts_with("authentication");
        assert_eq!(resource.verbs == ["create"], question, "{}", resource.kind);
    }
}

#[test]
fn listing_the_kinds_builds_no_schema() {
    for resource in resources() {
        assert_eq!(format!("{:?}", resource.schema), "LazySchema(not built)", "{}", resource.kind);
    }
}
