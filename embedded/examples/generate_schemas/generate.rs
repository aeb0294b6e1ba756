//! From k8s-openapi's types to the compact files the library reads. Shared with the test that finds drift.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use k8s_openapi::api;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use schemars::JsonSchema;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// A file to write below `schemas/`.
pub struct File {
    /// File name.
    pub name: String,
    /// Whole content.
    pub text: String,
}

type Failure = Box<dyn std::error::Error>;
type Definitions = BTreeMap<String, Map<String, Value>>;

/// Every generated file: one per group and version, one definition a line, and the descriptions that table columns use.
pub fn generate(folder: &Path) -> Result<Vec<File>, Failure> {
    let mut definitions = definitions()?;
    fill_zero_values_of_status(&mut definitions);
    let mut unused = BTreeSet::new();
    for facts in ["merge-keys.txt", "facts.txt"] {
        add_facts(&mut definitions, &std::fs::read_to_string(folder.join(facts))?, &mut unused)?;
    }
    drop_unused(&mut definitions);
    let mut files = files(&definitions);
    files.push(column_descriptions(&definitions)?);
    Ok(files)
}

/// All types the served kinds reach, by short name (`core.v1.PodSpec`), with references shortened alike.
fn definitions() -> Result<Definitions, Failure> {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    register_kinds(&mut generator);
    let mut definitions = Definitions::new();
    for (name, definition) in generator.take_definitions(false) {
        let Value::Object(mut definition) = definition else { return Err(format!("{name} is no object schema").into()) };
        shorten_references(&mut definition);
        definitions.insert(short_name(&name), definition);
    }
    Ok(definitions)
}

fn register<T: JsonSchema>(generator: &mut SchemaGenerator) {
    generator.subschema_for::<T>();
}

/// The kinds in `builtin::kinds`, and what their subresources exchange.
fn register_kinds(generator: &mut SchemaGenerator) {
    use api::{admissionregistration, apps, authentication, authorization, autoscaling, batch, coordination, core, discovery};
    use api::{events, networking, policy, rbac, scheduling, storage};
    let kinds: &[fn(&mut SchemaGenerator)] = &[
        register::<core::v1::Namespace>,
        register::<core::v1::Pod>,
        register::<core::v1::ConfigMap>,
        register::<core::v1::Secret>,
        register::<core::v1::Service>,
        register::<core::v1::ServiceAccount>,
        register::<core::v1::Event>,
        register::<core::v1::Node>,
        register::<core::v1::Endpoints>,
        register::<core::v1::PersistentVolumeClaim>,
        register::<core::v1::PersistentVolume>,
        register::<core::v1::ReplicationController>,
        register::<core::v1::ResourceQuota>,
        register::<core::v1::LimitRange>,
        register::<apps::v1::Deployment>,
        register::<apps::v1::ReplicaSet>,
        register::<apps::v1::StatefulSet>,
        register::<apps::v1::DaemonSet>,
        register::<batch::v1::Job>,
        register::<batch::v1::CronJob>,
        register::<coordination::v1::Lease>,
        register::<events::v1::Event>,
        register::<discovery::v1::EndpointSlice>,
        register::<rbac::v1::Role>,
        register::<rbac::v1::ClusterRole>,
        register::<rbac::v1::RoleBinding>,
        register::<rbac::v1::ClusterRoleBinding>,
        register::<policy::v1::PodDisruptionBudget>,
        register::<policy::v1::Eviction>,
        register::<networking::v1::NetworkPolicy>,
        register::<networking::v1::Ingress>,
        register::<scheduling::v1::PriorityClass>,
        register::<storage::v1::StorageClass>,
        register::<admissionregistration::v1::ValidatingAdmissionPolicy>,
        register::<admissionregistration::v1::ValidatingAdmissionPolicyBinding>,
        register::<apiextensions::CustomResourceDefinition>,
        register::<autoscaling::v1::Scale>,
        register::<autoscaling::v2::HorizontalPodAutoscaler>,
        register::<authorization::v1::SelfSubjectAccessReview>,
        register::<authorization::v1::SelfSubjectRulesReview>,
        register::<authorization::v1::SubjectAccessReview>,
        register::<authorization::v1::LocalSubjectAccessReview>,
        register::<authentication::v1::SelfSubjectReview>,
        register::<authentication::v1::TokenReview>,
        register::<authentication::v1::TokenRequest>,
    ];
    for kind in kinds {
        kind(generator);
    }
}

/// `io.k8s.api.core.v1.Pod` to `core.v1.Pod`; the few types outside a group go to `meta.v1`.
fn short_name(name: &str) -> String {
    let words: Vec<&str> = name.split('.').collect();
    let (group, version) = match words[..] {
        [.., group, version, _] if version.starts_with('v') && version[1..].starts_with(|c: char| c.is_ascii_digit()) => (group, version),
        _ => ("meta", "v1"),
    };
    format!("{group}.{version}.{}", words[words.len() - 1])
}

fn shorten_references(schema: &mut Map<String, Value>) {
    if let Some(Value::String(reference)) = schema.get_mut("$ref") {
        let name = reference.rsplit('/').next().unwrap_or(reference).to_owned();
        *reference = short_name(&name);
    }
    for value in schema.values_mut() {
        each_object(value, &mut shorten_references);
    }
}

fn each_object(value: &mut Value, visit: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => visit(object),
        Value::Array(items) => items.iter_mut().for_each(|item| each_object(item, visit)),
        _ => {}
    }
}

/// A server writes required scalars of a status as zero when nobody set them, and asks nobody for them: they get that default.
fn fill_zero_values_of_status(definitions: &mut Definitions) {
    let mut wanted: Vec<String> = definitions.iter().filter(|(_, d)| is_kind(d)).filter_map(|(_, d)| reference_of(d, "status")).collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        let spec_side =
            ["meta.", "core.v1.ObjectReference", "core.v1.ResourceRequirements", "apiextensions.v1.CustomResourceDefinitionNames"];
        if spec_side.iter().any(|prefix| name.starts_with(prefix)) || !seen.insert(name.clone()) {
            continue;
        }
        let Some(definition) = definitions.get_mut(&name) else { continue };
        let required: Vec<String> = strings(definition.get("required"));
        let Some(Value::Object(properties)) = definition.get_mut("properties") else { continue };
        for (field, property) in properties.iter_mut() {
            collect_references(property, &mut wanted);
            let zero = match property.get("type").and_then(Value::as_str) {
                Some("string") if property.get("format").is_none() => json!(""),
                Some("integer") => json!(0),
                Some("boolean") => json!(false),
                _ => continue,
            };
            if let (true, Value::Object(property)) = (required.contains(field), property) {
                property.insert("default".into(), zero);
            }
        }
        definition.remove("required");
    }
}

fn is_kind(definition: &Map<String, Value>) -> bool {
    definition.get("properties").is_some_and(|p| p.get("kind").is_some() && p.get("metadata").is_some())
}

fn reference_of(definition: &Map<String, Value>, field: &str) -> Option<String> {
    definition.get("properties")?.get(field)?.get("$ref")?.as_str().map(str::to_owned)
}

fn collect_references(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            into.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
            object.values().for_each(|v| collect_references(v, into));
        }
        Value::Array(items) => items.iter().for_each(|v| collect_references(v, into)),
        _ => {}
    }
}

fn strings(value: Option<&Value>) -> Vec<String> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Adds the lines of a facts file. A line for a type that no served kind reaches is skipped; one for a field the type lacks is an error.
fn add_facts(definitions: &mut Definitions, text: &str, skipped: &mut BTreeSet<String>) -> Result<(), Failure> {
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let (path, facts) = line.split_once(" {").ok_or_else(|| format!("facts: no JSON object after the field in: {line}"))?;
        let facts: Map<String, Value> = serde_json::from_str(&format!("{{{facts}")).map_err(|e| format!("facts: {e} in: {line}"))?;
        let (type_name, field) = match path.strip_suffix(" (self)") {
            Some(type_name) => (type_name, None),
            None => path.rsplit_once('.').map(|(t, f)| (t, Some(f))).ok_or_else(|| format!("facts: no field in: {line}"))?,
        };
        let suffix = format!(".{type_name}");
        let Some(name) = definitions.keys().find(|name| *name == type_name || name.ends_with(&suffix)).cloned() else {
            skipped.insert(type_name.to_owned());
            continue;
        };
        let definition = definitions.get_mut(&name).ok_or("facts: the type went away")?;
        let node = match field {
            None => definition,
            Some(field) => definition
                .get_mut("properties")
                .and_then(|p| p.get_mut(field))
                .and_then(Value::as_object_mut)
                .ok_or_else(|| format!("facts: {name} has no field {field}"))?,
        };
        add_to_node(node, facts);
        if let (Some(field), Some(Value::Array(required))) = (field, definitions.get_mut(&name).and_then(|d| d.get_mut("required"))) {
            // What the server fills in, nobody has to send.
            let keeps = line.contains("\"default\"");
            required.retain(|r| !keeps || r.as_str() != Some(field));
        }
    }
    Ok(())
}

fn add_to_node(node: &mut Map<String, Value>, facts: Map<String, Value>) {
    for (fact, value) in facts {
        match fact.as_str() {
            "default" | "enum" | "nullable" | "format" => {
                node.insert(fact, value);
            }
            "any" => node.retain(|key, _| key == "description"),
            "preserve-unknown-fields" => {
                node.retain(|key, _| key == "description" || key == "type");
                node.insert(format!("x-kubernetes-{fact}"), value);
            }
            _ => {
                node.insert(format!("x-kubernetes-{fact}"), value);
            }
        }
    }
}

/// Types that only the cut recursion reached.
fn drop_unused(definitions: &mut Definitions) {
    let mut wanted: Vec<String> = definitions.iter().filter(|(_, d)| is_kind(d)).map(|(name, _)| name.clone()).collect();
    let mut used = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        if let (true, Some(definition)) = (used.insert(name.clone()), definitions.get(&name)) {
            definition.values().for_each(|v| collect_references(v, &mut wanted));
        }
    }
    definitions.retain(|name, _| used.contains(name));
}

fn files(definitions: &Definitions) -> Vec<File> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, definition) in definitions {
        let group_version = name.rsplit_once('.').map_or("meta.v1", |(group_version, _)| group_version);
        let line = format!("{}:{}", json!(name), json!(definition));
        groups.entry(group_version.to_owned()).or_default().push(line);
    }
    groups
        .into_iter()
        .map(|(name, lines)| File { name: format!("{name}.json"), text: format!("{{\n{}\n}}\n", lines.join(",\n")) })
        .collect()
}

/// The descriptions of fields that table columns show, so that listing columns needs no schema.
fn column_descriptions(definitions: &Definitions) -> Result<File, Failure> {
    let mut lines = BTreeSet::new();
    for path in embedded_columns::described_fields() {
        let (type_name, field) = path.rsplit_once('.').ok_or("columns: a described field needs a type")?;
        let description = definitions
            .get(type_name)
            .and_then(|d| d.get("properties")?.get(field)?.get("description"))
            .ok_or_else(|| format!("columns: {path} is not described"))?;
        lines.insert(format!("{}:{description}", json!(path)));
    }
    let lines: Vec<String> = lines.into_iter().collect();
    Ok(File { name: "columns.json".into(), text: format!("{{\n{}\n}}\n", lines.join(",\n")) })
}

#[cfg(test)]
use crate::builtin::columns as embedded_columns;
#[cfg(not(test))]
use embedded::builtin::columns as embedded_columns;
