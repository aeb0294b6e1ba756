//! Status by server-side apply: one field manager a writer, and no write where nothing differs.

use std::fmt::Debug;

use kube::api::{Patch, PatchParams};
use kube::core::{ClusterResourceScope, NamespaceResourceScope, Resource};
use kube::{Api, Client, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Writes `wanted` as the status of `object` where it differs from what the cache holds. Returns whether it wrote.
///
/// # Errors
/// The API server's answer. A write to an object that is gone meanwhile, or was made anew under the name, is refused by its uid.
pub async fn apply<K, S>(client: &Client, manager: &str, object: &K, current: Option<&S>, wanted: &S) -> Result<bool, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    S: Serialize + PartialEq,
{
    let api: Api<K> = Api::namespaced(client.clone(), &object.namespace().unwrap_or_default());
    apply_to(&api, manager, object, None, current, wanted).await
}

/// As [`apply`], and only over the very version of the object that was seen: what somebody else wrote meanwhile is never overwritten, for objects
/// whose end is for ever.
///
/// # Errors
/// As [`apply`], and a conflict where the object is another by now.
pub async fn apply_to_seen<K, S>(client: &Client, manager: &str, object: &K, current: Option<&S>, wanted: &S) -> Result<bool, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    S: Serialize + PartialEq,
{
    let api: Api<K> = Api::namespaced(client.clone(), &object.namespace().unwrap_or_default());
    apply_to(&api, manager, object, object.resource_version(), current, wanted).await
}

/// The same for a kind of the whole cluster.
///
/// # Errors
/// As [`apply`].
pub async fn apply_cluster<K, S>(client: &Client, manager: &str, object: &K, current: Option<&S>, wanted: &S) -> Result<bool, kube::Error>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope> + Clone + DeserializeOwned + Debug,
    S: Serialize + PartialEq,
{
    apply_to(&Api::all(client.clone()), manager, object, None, current, wanted).await
}

async fn apply_to<K, S>(
    api: &Api<K>,
    manager: &str,
    object: &K,
    version: Option<String>,
    current: Option<&S>,
    wanted: &S,
) -> Result<bool, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    S: Serialize + PartialEq,
{
    if current == Some(wanted) {
        return Ok(false);
    }
    let mut patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": object.name_any(), "uid": object.uid()},
        "status": wanted,
    });
    if let Some(version) = version {
        patch["metadata"]["resourceVersion"] = json!(version);
    }
    let parameters = PatchParams::apply(manager).force();
    match api.patch_status(&object.name_any(), &parameters, &Patch::Apply(&patch)).await {
        Ok(_) => Ok(true),
        // Gone meanwhile: there is nothing to say about it any more.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}
