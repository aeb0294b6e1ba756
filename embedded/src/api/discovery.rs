//! What is served here: groups, versions and kinds, one by one and all in one document.

use std::collections::BTreeMap;

use http::header;
use serde_json::{Value, json};

use super::registry::Kinds;
use super::request::Call;
use super::respond::{self, Answer};
use super::routing::special_subresources;
use crate::resource::Resource;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// `/api`: the versions of the core group.
pub(super) fn core_versions(kinds: &Kinds) -> Value {
    let versions = kinds.groups().remove("").unwrap_or_default();
    json!({"kind": "APIVersions", "versions": versions, "serverAddressByClientCIDRs": []})
}

/// `/apis`: all named groups.
pub(super) fn groups(kinds: &Kinds) -> Value {
    let groups: Vec<Value> =
        ordered(kinds).into_iter().filter(|(name, _)| !name.is_empty()).map(|(name, versions)| group_entry(&name, &versions)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/<group>`.
pub(super) fn group(kinds: &Kinds, name: &str) -> Value {
    let versions = kinds.groups().remove(name).unwrap_or_default();
    let mut out = group_entry(name, &versions);
    out["kind"] = json!("APIGroup");
    out["apiVersion"] = json!("v1");
    out
}

fn group_entry(name: &str, versions: &[String]) -> Value {
    let entries: Vec<Value> =
        versions.iter().map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version})).collect();
    let preferred = entries.first().cloned().unwrap_or_default();
    json!({"name": name, "versions": entries, "preferredVersion": preferred})
}

/// Groups in the order clients should prefer them: where two groups have a kind of the same name, the first wins.
fn ordered(kinds: &Kinds) -> Vec<(String, Vec<String>)> {
    let groups: BTreeMap<String, Vec<String>> = kinds.groups();
    let mut groups: Vec<(String, Vec<String>)> = groups.into_iter().collect();
    let is_built_in = |name: &str| kinds.all().any(|resource| resource.group == name && !resource.custom);
    groups.sort_by_key(|(name, _)| (!is_built_in(name), name == "events.k8s.io", name.contains('.'), name.clone()));
    groups
}

/// `/api/v1` and `/apis/<group>/<version>`: the kinds of one version.
pub(super) fn resources(kinds: &Kinds, group: &str, version: &str) -> Value {
    let mut resources = Vec::new();
    for resource in kinds.of(group, version) {
        let mut entry = json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced, "kind": resource.kind,
            "verbs": verbs(resource)
        });
        for (key, words) in [("shortNames", &resource.short_names), ("categories", &resource.categories)] {
            if !words.is_empty() {
                entry[key] = json!(words);
            }
        }
        if resource.verbs.contains(&"list") {
            entry["storageVersionHash"] = json!(storage_version_hash(resource));
        }
        resources.push(entry);
        for (name, group, version, kind, verbs) in subresources(resource) {
            let mut entry = json!({"name": format!("{}/{name}", resource.plural), "singularName": "", "namespaced": resource.namespaced, "kind": kind, "verbs": verbs});
            if (group.as_str(), version.as_str()) != (resource.group.as_str(), resource.version.as_str()) {
                entry["group"] = json!(group);
                entry["version"] = json!(version);
            }
            resources.push(entry);
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources})
}

/// Verbs in the order a Kubernetes server lists them, which differs for custom kinds.
fn verbs(resource: &Resource) -> Vec<&'static str> {
    if resource.custom {
        return vec!["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
    }
    let mut verbs = resource.verbs.clone();
    verbs.sort_unstable();
    verbs
}

/// Identifies what is stored, so that clients notice when it changes.
fn storage_version_hash(resource: &Resource) -> String {
    use base64::Engine;
    let text = format!("{}/{}/{}", resource.group, resource.version, resource.kind);
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(&digest.as_ref()[..8])
}

/// Name, group, version and kind, and verbs of each subresource.
type Subresource = (&'static str, String, String, String, Vec<&'static str>);

pub(super) fn subresources(resource: &Resource) -> Vec<Subresource> {
    let own = |kind: &str| (resource.group.clone(), resource.version.clone(), kind.to_owned());
    let mut all = Vec::new();
    for (name, kind, verbs) in special_subresources(resource) {
        let (group, version, kind) = match *name {
            "eviction" => ("policy".to_owned(), "v1".to_owned(), (*kind).to_owned()),
            "token" => ("authentication.k8s.io".to_owned(), "v1".to_owned(), (*kind).to_owned()),
            _ => own(kind),
        };
        all.push((*name, group, version, kind, verbs.to_vec()));
    }
    if resource.status {
        let (group, version, kind) = own(&resource.kind);
        all.push(("status", group, version, kind, vec!["get", "patch", "update"]));
    }
    if resource.scale.is_some() {
        all.push(("scale", "autoscaling".to_owned(), "v1".to_owned(), "Scale".to_owned(), vec!["get", "patch", "update"]));
    }
    all
}

/// All groups in one document: the core group (`/api`) or the named ones (`/apis`). Answered with 304 where the client has it already.
pub(super) fn aggregated(kinds: &Kinds, core: bool, call: &Call) -> Answer {
    let groups = ordered(kinds).into_iter().filter(|(name, _)| name.is_empty() == core);
    let items: Vec<Value> = groups.map(|(name, versions)| aggregated_group(kinds, &name, &versions)).collect();
    let document =
        json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}).to_string();
    cached(call, AGGREGATED, document)
}

fn aggregated_group(kinds: &Kinds, name: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| {
            let resources: Vec<Value> = kinds.of(name, version).map(|resource| aggregated_resource(resource)).collect();
            json!({"version": version, "resources": resources, "freshness": "Current"})
        })
        .collect();
    let metadata = if name.is_empty() { json!({"creationTimestamp": null}) } else { json!({"name": name, "creationTimestamp": null}) };
    json!({"metadata": metadata, "versions": versions})
}

fn aggregated_resource(resource: &Resource) -> Value {
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": verbs(resource)
    });
    for (key, words) in [("shortNames", &resource.short_names), ("categories", &resource.categories)] {
        if !words.is_empty() {
            entry[key] = json!(words);
        }
    }
    let subresources: Vec<Value> = subresources(resource)
        .into_iter()
        .map(|(name, group, version, kind, verbs)| json!({"subresource": name, "responseKind": {"group": group, "version": version, "kind": kind}, "verbs": verbs}))
        .collect();
    if !subresources.is_empty() {
        entry["subresources"] = Value::Array(subresources);
    }
    entry
}

/// A document with an `ETag` of its content.
pub(super) fn cached(call: &Call, content_type: &'static str, document: String) -> Answer {
    let tag = format!("\"{}\"", hash(document.as_bytes()));
    let mut answer = if call.header("if-none-match").split(',').any(|known| known.trim() == tag) {
        respond::bytes(304, content_type, "")
    } else {
        respond::bytes(200, content_type, document)
    };
    let headers = answer.headers_mut();
    if let Ok(tag) = header::HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::VARY, header::HeaderValue::from_static("Accept"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("public"));
    answer
}

/// A digest as hexadecimal text.
pub(super) fn hash(content: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, content);
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
}
