//! A container's environment and arguments: sources resolved, `$(NAME)` expanded.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod};

use super::cluster::Cluster;
use super::quantity;
use super::tokens::Tokens;

/// What a container's environment is made from, besides its own manifest.
pub struct Surroundings<'a> {
    /// Where config maps and secrets are.
    pub cluster: &'a dyn Cluster,
    /// Tokens the pod has.
    pub tokens: &'a Tokens,
    /// The pod.
    pub pod: &'a Pod,
    /// Its address.
    pub address: Ipv4Addr,
    /// The node's address.
    pub host: Ipv4Addr,
}

/// The variables in the order of their definition; a later one of the same name wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: Vec<(String, String)>,
}

impl Environment {
    /// Sets a variable.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        self.variables.retain(|(other, _)| *other != name);
        self.variables.push((name, value.into()));
    }
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.iter().find_map(|(other, value)| (other == name).then_some(value.as_str()))
    }
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
    /// Replaces `$(NAME)` by the variable's value; `$$` is one `$`, and `$(UNKNOWN)` stays as it is.
    pub fn expand(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            out.push_str(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
                match self.get(name) {
                    Some(value) => out.push_str(value),
                    None => out.push_str(&format!("$({name})")),
                }
                rest = after;
            } else {
                out.push('$');
            }
        }
        out.push_str(rest);
        out
    }
}

/// Resolves `envFrom` and `env` of a container on top of what is in `base`.
///
/// # Errors
/// A missing config map, secret or key, as the kubelet words it.
pub async fn resolve(container: &Container, base: Environment, around: &Surroundings<'_>) -> Result<Environment, String> {
    let mut environment = base;
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let data = if let Some(reference) = &source.config_map_ref {
            config_map(around, &reference.name, reference.optional).await?
        } else if let Some(reference) = &source.secret_ref {
            secret(around, &reference.name, reference.optional).await?
        } else {
            None
        };
        for (key, value) in data.into_iter().flatten() {
            environment.set(format!("{prefix}{key}"), value);
        }
    }
    // What `env` takes from config maps and secrets is not expanded, only what it says itself.
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            None => Some(environment.expand(variable.value.as_deref().unwrap_or_default())),
            Some(_) => from_source(variable, container, around).await?,
        };
        if let Some(value) = value {
            environment.set(&variable.name, value);
        }
    }
    Ok(environment)
}

async fn from_source(variable: &EnvVar, container: &Container, around: &Surroundings<'_>) -> Result<Option<String>, String> {
    let Some(source) = &variable.value_from else { return Ok(None) };
    let namespace = around.pod.metadata.namespace.as_deref().unwrap_or_default();
    let (data, key, optional, what) = if let Some(reference) = &source.config_map_key_ref {
        (
            config_map(around, &reference.name, reference.optional).await?,
            &reference.key,
            reference.optional,
            format!("ConfigMap {namespace}/{}", reference.name),
        )
    } else if let Some(reference) = &source.secret_key_ref {
        (
            secret(around, &reference.name, reference.optional).await?,
            &reference.key,
            reference.optional,
            format!("Secret {namespace}/{}", reference.name),
        )
    } else if let Some(reference) = &source.field_ref {
        return field(around, &reference.field_path).map(Some);
    } else if let Some(reference) = &source.resource_field_ref {
        return quantity::resource_field(container, &reference.resource, reference.divisor.as_ref()).map(Some);
    } else {
        return Err(format!(
            "env {}: this source of a value is not supported; use a value, fieldRef, configMapKeyRef or secretKeyRef",
            variable.name
        ));
    };
    match data.and_then(|mut data| data.remove(key)) {
        Some(value) => Ok(Some(value)),
        None if optional == Some(true) => Ok(None),
        None => Err(format!("couldn't find key {key} in {what}")),
    }
}

/// The value of a field of the pod, as `fieldRef` names it.
///
/// # Errors
/// For a path that is not offered.
pub fn field(around: &Surroundings<'_>, path: &str) -> Result<String, String> {
    let meta = &around.pod.metadata;
    let spec = around.pod.spec.as_ref();
    let text = |value: Option<&str>| Ok(value.unwrap_or_default().to_owned());
    let list = |map: Option<&BTreeMap<String, String>>| {
        map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join("\n")
    };
    match path {
        "metadata.name" => text(meta.name.as_deref()),
        "metadata.namespace" => text(meta.namespace.as_deref()),
        "metadata.uid" => text(meta.uid.as_deref()),
        "metadata.labels" => Ok(list(meta.labels.as_ref())),
        "metadata.annotations" => Ok(list(meta.annotations.as_ref())),
        "spec.nodeName" => text(spec.and_then(|spec| spec.node_name.as_deref())),
        "spec.serviceAccountName" => text(spec.and_then(|spec| spec.service_account_name.as_deref())),
        "status.podIP" | "status.podIPs" => Ok(around.address.to_string()),
        "status.hostIP" | "status.hostIPs" => Ok(around.host.to_string()),
        _ => {
            let subscript = |map: &str| path.strip_prefix(map)?.strip_prefix("['")?.strip_suffix("']");
            if let Some(key) = subscript("metadata.labels") {
                text(meta.labels.as_ref().and_then(|map| map.get(key)).map(String::as_str))
            } else if let Some(key) = subscript("metadata.annotations") {
                text(meta.annotations.as_ref().and_then(|map| map.get(key)).map(String::as_str))
            } else {
                Err(format!("field path {path:?} is not supported"))
            }
        }
    }
}

async fn config_map(around: &Surroundings<'_>, name: &str, optional: Option<bool>) -> Result<Option<BTreeMap<String, String>>, String> {
    let namespace = around.pod.metadata.namespace.as_deref().unwrap_or_default();
    match around.cluster.config_map(namespace, name).await? {
        Some(map) => Ok(Some(map.data.unwrap_or_default())),
        None if optional == Some(true) => Ok(None),
        None => Err(format!("configmap {name:?} not found")),
    }
}

async fn secret(around: &Surroundings<'_>, name: &str, optional: Option<bool>) -> Result<Option<BTreeMap<String, String>>, String> {
    let namespace = around.pod.metadata.namespace.as_deref().unwrap_or_default();
    match around.cluster.secret(namespace, name).await? {
        Some(secret) => {
            let data = secret.data.unwrap_or_default();
            Ok(Some(data.into_iter().map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned())).collect()))
        }
        None if optional == Some(true) => Ok(None),
        None => Err(format!("secret {name:?} not found")),
    }
}
