//! From a path to what it is about.

use std::sync::Arc;

use super::registry::Kinds;
use crate::resource::Resource;

/// What a path is about.
#[derive(Debug)]
pub(super) enum Route {
    /// `/version`.
    Version,
    /// `/healthz`, `/livez`, `/readyz` and their parts.
    Health,
    /// `/metrics`.
    Metrics,
    /// `/api`.
    CoreVersions,
    /// `/apis`.
    Groups,
    /// `/apis/<group>`.
    Group(String),
    /// `/api/v1`, `/apis/<group>/<version>`.
    Resources { group: String, version: String },
    /// `/openapi/v2`.
    OpenApiTwo,
    /// `/openapi/v3`.
    OpenApiIndex,
    /// `/openapi/v3/<group and version>`.
    OpenApiDocument { group: String, version: String },
    /// Objects.
    Objects(Target),
    /// Nothing is served there.
    Nowhere,
}

/// Objects, one or many.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub resource: Arc<Resource>,
    /// Empty for cluster-scoped kinds and for requests across all namespaces.
    pub namespace: String,
    /// `None` for a collection.
    pub name: Option<String>,
    /// `status`, `scale`, … or empty.
    pub subresource: String,
}

impl Target {
    /// The name, empty for a collection.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

/// Finds out what `path` is about.
pub(super) fn route(kinds: &Kinds, path: &str) -> Route {
    let segments: Vec<&str> = path.trim_start_matches('/').trim_end_matches('/').split('/').collect();
    match segments.as_slice() {
        ["version"] => Route::Version,
        ["healthz" | "livez" | "readyz", ..] => Route::Health,
        ["metrics"] => Route::Metrics,
        ["api"] => Route::CoreVersions,
        ["apis"] => Route::Groups,
        ["apis", group] if kinds.all().any(|resource| resource.group == *group) => Route::Group((*group).to_owned()),
        ["openapi", "v2"] => Route::OpenApiTwo,
        ["openapi", "v3"] => Route::OpenApiIndex,
        ["openapi", "v3", "api", version] => open_api(kinds, "", version),
        ["openapi", "v3", "apis", group, version] => open_api(kinds, group, version),
        ["api", version, rest @ ..] => objects(kinds, "", version, rest),
        ["apis", group, version, rest @ ..] if !group.is_empty() => objects(kinds, group, version, rest),
        _ => Route::Nowhere,
    }
}

fn open_api(kinds: &Kinds, group: &str, version: &str) -> Route {
    if kinds.of(group, version).next().is_none() {
        return Route::Nowhere;
    }
    Route::OpenApiDocument { group: group.to_owned(), version: version.to_owned() }
}

fn objects(kinds: &Kinds, group: &str, version: &str, rest: &[&str]) -> Route {
    if rest.is_empty() {
        if kinds.of(group, version).next().is_none() {
            return Route::Nowhere;
        }
        return Route::Resources { group: group.to_owned(), version: version.to_owned() };
    }
    // A namespace is both a folder of other kinds and an object with subresources of its own.
    let (namespace, rest) = match rest {
        ["namespaces", _, "status" | "finalize"] if group.is_empty() => ("", rest),
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() && !namespace.is_empty() => (*namespace, rest),
        _ => ("", rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (*plural, None, String::new()),
        [plural, name] => (*plural, Some((*name).to_owned()), String::new()),
        [plural, name, subresource @ ..] => (*plural, Some((*name).to_owned()), subresource.join("/")),
        [] => return Route::Nowhere,
    };
    let Some(resource) = kinds.get(group, version, plural) else { return Route::Nowhere };
    let placed = if resource.namespaced { !namespace.is_empty() || name.is_none() } else { namespace.is_empty() };
    if !placed || name.as_deref() == Some("") || !has_subresource(resource, &subresource) {
        return Route::Nowhere;
    }
    Route::Objects(Target { resource: resource.clone(), namespace: namespace.to_owned(), name, subresource })
}

/// Subresources with the kind they speak and their verbs, beyond `status` and `scale`.
pub(super) fn special_subresources(resource: &Resource) -> &'static [(&'static str, &'static str, &'static [&'static str])] {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => &[
            ("attach", "PodAttachOptions", &["create", "get"]),
            ("binding", "Binding", &["create"]),
            ("eviction", "Eviction", &["create"]),
            ("exec", "PodExecOptions", &["create", "get"]),
            ("log", "Pod", &["get"]),
            ("portforward", "PodPortForwardOptions", &["create", "get"]),
        ],
        ("", "namespaces") => &[("finalize", "Namespace", &["update"])],
        ("", "serviceaccounts") => &[("token", "TokenRequest", &["create"])],
        _ => &[],
    }
}

fn has_subresource(resource: &Resource, subresource: &str) -> bool {
    match subresource {
        "" => true,
        "status" => resource.status,
        "scale" => resource.scale.is_some(),
        other => special_subresources(resource).iter().any(|(name, ..)| *name == other),
    }
}
