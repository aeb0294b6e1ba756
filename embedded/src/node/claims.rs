//! Persistent volume claims: each is a folder named for its uid, which outlives pods and restarts, and goes with the claim.

use std::collections::HashSet;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::options::NodeOptions;

/// The class of claims that name none: each claim is a folder of this node.
pub fn storage_class() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "node/folder", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate",
    })
}

/// Marks claims as bound and removes the folders of those that are gone, until shutdown.
pub async fn keep(client: Client, options: NodeOptions, shutdown: CancellationToken) {
    let api: Api<PersistentVolumeClaim> = Api::all(client.clone());
    let mut stream = watcher::watcher(api, watcher::Config::default()).default_backoff().boxed();
    let mut listed = HashSet::new();
    loop {
        let event = tokio::select! {
            () = shutdown.cancelled() => return,
            event = stream.next() => event,
        };
        match event {
            Some(Ok(Event::Init)) => listed.clear(),
            Some(Ok(Event::InitApply(claim))) => {
                listed.extend(claim.uid());
                bind(&client, &claim).await;
            }
            Some(Ok(Event::InitDone)) => remove_unlisted(&options, &listed),
            Some(Ok(Event::Apply(claim))) => bind(&client, &claim).await,
            Some(Ok(Event::Delete(claim))) => remove(&client, &options, &claim).await,
            Some(Err(error)) => tracing::warn!(%error, "the watch of persistent volume claims was interrupted; it is taken up again"),
            None => return,
        }
    }
}

async fn bind(client: &Client, claim: &PersistentVolumeClaim) {
    let bound = claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
    if bound || claim.metadata.deletion_timestamp.is_some() {
        return;
    }
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &claim.namespace().unwrap_or_default());
    let spec = claim.spec.as_ref();
    let capacity = spec.and_then(|spec| spec.resources.as_ref()).and_then(|resources| resources.requests.clone());
    let status = json!({"phase": "Bound", "accessModes": spec.and_then(|spec| spec.access_modes.clone()), "capacity": capacity});
    let patch = json!({"metadata": {"uid": claim.uid()}, "status": status});
    if let Err(error) = api.patch_status(&claim.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await {
        tracing::warn!(%error, claim = %claim.name_any(), "a persistent volume claim could not be marked as bound");
    }
}

/// A folder that a pod still writes to stays; it goes at the next start.
async fn remove(client: &Client, options: &NodeOptions, claim: &PersistentVolumeClaim) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &claim.namespace().unwrap_or_default());
    let name = claim.name_any();
    let uses = |pod: &Pod| {
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        volumes.into_iter().any(|volume| volume.persistent_volume_claim.as_ref().is_some_and(|source| source.claim_name == name))
    };
    match pods.list(&ListParams::default()).await {
        Ok(list) if !list.items.iter().any(uses) => remove_folder(options, &claim.uid().unwrap_or_default()),
        Ok(_) => tracing::info!(claim = %name, "the folder of a deleted claim is still in use; it is removed at the next start"),
        Err(error) => tracing::warn!(%error, claim = %name, "the folder of a deleted claim is removed at the next start"),
    }
}

fn remove_unlisted(options: &NodeOptions, present: &HashSet<String>) {
    for entry in std::fs::read_dir(options.data.join("claims")).into_iter().flatten().flatten() {
        let uid = entry.file_name().to_string_lossy().into_owned();
        if !present.contains(&uid) {
            remove_folder(options, &uid);
        }
    }
}

fn remove_folder(options: &NodeOptions, uid: &str) {
    let folder = options.data.join("claims").join(uid);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, folder = %folder.display(), "the folder of a deleted claim could not be removed");
        }
        _ => {}
    }
}
