//! Sets and removes a finalizer by a patch against the version that was read, so that no other writer's finalizer is lost.

use std::fmt::Debug;

use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::error::ReconcileError;

/// Sets or removes `finalizer`; does nothing where that is so already, and nothing where the object is gone.
///
/// # Errors
/// The API server's answer; a conflict where somebody wrote meanwhile, which the next reconciliation resolves.
pub async fn set<K>(api: &Api<K>, object: &K, finalizer: &str, wanted: bool) -> Result<(), ReconcileError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    if object.finalizers().iter().any(|present| present == finalizer) == wanted {
        return Ok(());
    }
    let mut finalizers = object.finalizers().to_vec();
    if wanted {
        finalizers.push(finalizer.to_owned());
    } else {
        finalizers.retain(|present| present != finalizer);
    }
    let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": object.resource_version(), "uid": object.uid()}});
    let what = format!("finalizer of {} {}", K::kind(&()), object.name_any());
    match api.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(ReconcileError::api(if wanted { "set" } else { "remove" }, what)(error)),
    }
}
