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
    apply_to(&api, manager, object, current, wanted).await
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
    apply_to(&Api::all(client.clone()), manager, object, current, wanted).await
}

async fn apply_to<K, S>(api: &Api<K>, manager: &str, object: &K, current: Option<&S>, wanted: &S) -> Result<bool, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    S: Serialize + PartialEq,
{
    if current == Some(wanted) {
        return Ok(false);
    }
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": object.name_any(), "uid": object.uid()},
        "status": wanted,
    });
    let parameters = PatchParams::apply(manager).force();
    match api.patch_status(&object.name_any(), &parameters, &Patch::Apply(&patch)).await {
        Ok(_) => Ok(true),
        // Gone meanwhile: there is nothing to say about it any more.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}
