//! Manifests that `up` applies to its own control plane: kinds, rights, and the demo.

use controllers::rules;
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt as _, discovery};
use serde_json::{Value, json};

/// Namespace of the operator.
pub const NAMESPACE: &str = "switchboard-system";
/// ServiceAccount the operator runs as.
pub const SERVICE_ACCOUNT: &str = "switchboard";
/// Field manager of what `up` applies.
const MANAGER: &str = "switchboard-up";

/// Why a manifest could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is no manifest.
    #[error("cannot read {name}: {message}")]
    Malformed {
        /// Which.
        name: String,
        /// Why.
        message: String,
    },
    /// The API server did not take it.
    #[error("cannot apply {name}")]
    Refused {
        /// Kind and name.
        name: String,
        /// Its answer.
        source: kube::Error,
    },
}

/// Kinds, rights of the operator, roles of people, and policies about requests.
///
/// # Errors
/// One of them cannot be read or written, which tests exclude.
pub fn system() -> Result<Vec<Value>, Box<dyn std::error::Error>> {
    let mut all = Vec::new();
    for definition in crds::generate::all() {
        let mut value = serde_json::to_value(definition)?;
        value.as_object_mut().map(|object| object.remove("status"));
        all.push(value);
    }
    all.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}));
    all.push(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": SERVICE_ACCOUNT, "namespace": NAMESPACE}}));
    for (name, rules) in [("switchboard-operator", rules::operator()), ("switchboard-simulation", rules::simulation())] {
        all.extend(role(name, &rules));
    }
    all.extend(rules::people::cluster_roles().iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?);
    all.extend(crds::policies::all(&format!("system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}"))?);
    Ok(all)
}

fn role(name: &str, rules: &[PolicyRule]) -> [Value; 2] {
    let group = "rbac.authorization.k8s.io";
    let version = format!("{group}/v1");
    [
        json!({"apiVersion": version, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}),
        json!({
            "apiVersion": version, "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": NAMESPACE}],
        }),
    ]
}

/// Objects of a YAML text with several documents.
pub fn parse(name: &str, text: &str) -> Result<Vec<Value>, ManifestError> {
    use serde::Deserialize as _;
    serde_yaml::Deserializer::from_str(text)
        .map(|document| {
            Value::deserialize(document).map_err(|error| ManifestError::Malformed { name: name.to_owned(), message: error.to_string() })
        })
        .filter(|document| !matches!(document, Ok(Value::Null)))
        .collect()
}

/// Applies objects in order, by server-side apply.
pub async fn apply(client: &Client, objects: Vec<Value>) -> Result<(), ManifestError> {
    for value in objects {
        let object: DynamicObject = serde_json::from_value(value)
            .map_err(|error| ManifestError::Malformed { name: "a manifest".into(), message: error.to_string() })?;
        apply_one(client, &object).await?;
    }
    Ok(())
}

async fn apply_one(client: &Client, object: &DynamicObject) -> Result<(), ManifestError> {
    let types = object.types.clone().unwrap_or_default();
    let name = format!("{} {}", types.kind, object.name_any());
    let refused = |source| ManifestError::Refused { name: name.clone(), source };
    let kind =
        GroupVersionKind::try_from(&types).map_err(|error| ManifestError::Malformed { name: name.clone(), message: error.to_string() })?;
    let (resource, capabilities) = discovery::pinned_kind(client, &kind).await.map_err(refused)?;
    let api: Api<DynamicObject> = match (capabilities.scope, object.namespace()) {
        (discovery::Scope::Namespaced, namespace) => {
            Api::namespaced_with(client.clone(), namespace.as_deref().unwrap_or("default"), &resource)
        }
        (discovery::Scope::Cluster, _) => Api::all_with(client.clone(), &resource),
    };
    api.patch(&object.name_any(), &PatchParams::apply(MANAGER).force(), &Patch::Apply(object)).await.map(drop).map_err(refused)
}
