//! The parameters that a binding names.

use std::sync::Arc;

use serde_json::{Value, json};

use super::definition::{ParamKind, labels, text};
use super::request::Cluster;
use crate::builtin::selectors;
use crate::resource::Resource;

impl ParamKind {
    /// The kind, if it is served.
    pub fn resource(&self, cluster: &dyn Cluster) -> Option<Arc<Resource>> {
        let (group, version) = self.api_version.split_once('/').unwrap_or(("", &self.api_version));
        cluster.kind(group, version, &self.kind)
    }

    /// `group/version, Kind=kind`, as errors name it.
    pub fn title(&self) -> String {
        format!("{}, Kind={}", self.api_version, self.kind)
    }
}

/// The parameters to evaluate a policy with, one after the other; `None` stands for `null`.
///
/// # Errors
/// Why they cannot be told, in the words of a Kubernetes server.
pub(super) fn collect(
    kind: Option<&(ParamKind, Arc<Resource>)>,
    reference: Option<&Value>,
    namespace: &str,
    cluster: &dyn Cluster,
) -> Result<Vec<Option<Value>>, String> {
    let (Some((kind, resource)), Some(reference)) = (kind, reference) else { return Ok(vec![None]) };
    let (name, own_namespace) = (text(&reference["name"]), text(&reference["namespace"]));
    let place = place(resource, own_namespace, namespace)?;
    let selector = &reference["selector"];
    let selected = |object: &Value| selectors::matches(selector, &labels(object));
    let found: Vec<Option<Value>> = match (name, selector.is_object()) {
        ("", false) => return Err("one of name or selector must be provided".to_owned()),
        ("", true) => cluster.params(resource, place).into_iter().filter(selected).map(Some).collect(),
        (_, true) => return Err("paramRef.name and paramRef.selector are mutually exclusive".to_owned()),
        (name, false) => cluster.param(resource, place, name).into_iter().map(Some).collect(),
    };
    if found.is_empty() && reference["parameterNotFoundAction"] == "Deny" {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
    }
    let whole = |mut object: Value| {
        object["apiVersion"] = json!(kind.api_version);
        object["kind"] = json!(kind.kind);
        object
    };
    Ok(found.into_iter().map(|object| object.map(whole)).collect())
}

/// The namespace to look in; none for kinds without.
fn place<'a>(resource: &Resource, own: &'a str, of_request: &'a str) -> Result<Option<&'a str>, String> {
    if !resource.namespaced {
        if own.is_empty() {
            return Ok(None);
        }
        return Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned());
    }
    match (own, of_request) {
        ("", "") => Err("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources".to_owned()),
        ("", namespace) | (namespace, _) => Ok(Some(namespace)),
    }
}
