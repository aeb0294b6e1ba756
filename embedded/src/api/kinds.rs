//! What single built-in kinds do differently from all others on their way in and out.

use serde_json::{Value, json};

use super::{Api, metadata};
use crate::fields::reset_update;
use crate::resource::Resource;
use crate::status::Status;

use super::routing::Target;

fn is(resource: &Resource, group: &str, kinds: &[&str]) -> bool {
    resource.group == group && kinds.contains(&resource.kind.as_str())
}

/// Whether a kind is the core kind of that name.
pub(super) fn is_core(resource: &Resource, kind: &str) -> bool {
    is(resource, "", &[kind])
}

/// Kinds whose PUT creates what is not there.
pub(super) fn may_create_by_put(resource: &Resource) -> bool {
    is(resource, "", &["Endpoints", "Event", "LimitRange", "Service"])
        || is(resource, "coordination.k8s.io", &["Lease"])
        || is(resource, "events.k8s.io", &["Event"])
        || is(resource, "rbac.authorization.k8s.io", &["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"])
}

/// Kinds whose PUT need not say which version was read.
pub(super) fn may_put_blindly(resource: &Resource) -> bool {
    let careful = is(resource, "coordination.k8s.io", &["Lease"])
        || is(resource, "apiextensions.k8s.io", &["CustomResourceDefinition"])
        || is(resource, "policy", &["PodDisruptionBudget"])
        || resource.group == "admissionregistration.k8s.io";
    !resource.custom && !careful
}

/// Kinds whose deletion is answered with the object rather than with a success.
pub(super) fn shows_what_it_deleted(resource: &Resource) -> bool {
    is(
        resource,
        "",
        &[
            "Pod",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
            "Service",
            "ServiceAccount",
        ],
    )
}

/// Puts back what an endpoint may not change.
pub(super) fn confine(resource: &Resource, subresource: &str, old: &Value, new: &mut Value) {
    if subresource == "finalize" {
        let finalizers = new["spec"]["finalizers"].clone();
        *new = old.clone();
        new["spec"]["finalizers"] = finalizers;
        return;
    }
    reset_update(Some(old), new, subresource, resource.status);
    if is_core(resource, "Namespace") {
        match old["spec"].get("finalizers") {
            Some(finalizers) => new["spec"]["finalizers"] = finalizers.clone(),
            None => drop(new["spec"].as_object_mut().map(|spec| spec.remove("finalizers"))),
        }
    }
}

/// Takes out of a new object what the server puts there itself, so that the writer does not come to own it.
pub(super) fn take_server_parts(resource: &Resource, object: &mut Value) {
    if resource.status
        && let Some(members) = object.as_object_mut()
    {
        members.remove("status");
    }
    if is_core(resource, "Namespace")
        && object["spec"]["finalizers"] == json!(["kubernetes"])
        && let Some(spec) = object["spec"].as_object_mut()
    {
        spec.remove("finalizers");
    }
}

/// What the server adds to a new object and no one owns.
pub(super) fn prepare_new(resource: &Resource, object: &mut Value) {
    if is_core(resource, "Namespace") {
        let mut finalizers = object["spec"]["finalizers"].as_array().cloned().unwrap_or_default();
        if !finalizers.contains(&json!("kubernetes")) {
            finalizers.push(json!("kubernetes"));
        }
        object["spec"]["finalizers"] = json!(finalizers);
        object["status"] = json!({"phase": "Active"});
    }
    if is_core(resource, "Pod") {
        object["status"] = json!({"phase": "Pending", "qosClass": quality_of_service(object)});
    }
    if super::crd::is_definition(resource) {
        let stored = object["spec"]["versions"].as_array().and_then(|versions| versions.iter().find(|version| version["storage"] == true));
        let stored = stored.map_or(Value::Null, |version| version["name"].clone());
        object["status"] = json!({"acceptedNames": {"plural": "", "kind": ""}, "conditions": null, "storedVersions": [stored]});
    }
}

/// How well a pod's needs are known in advance.
fn quality_of_service(pod: &Value) -> &'static str {
    let containers: Vec<&Value> =
        ["containers", "initContainers"].into_iter().filter_map(|key| pod["spec"][key].as_array()).flatten().collect();
    let amount = |container: &Value, part: &str, what: &str| container["resources"][part][what].clone();
    let none = |container: &&Value| {
        ["requests", "limits"].iter().all(|part| container["resources"][*part].as_object().is_none_or(|map| map.is_empty()))
    };
    if containers.iter().all(none) {
        return "BestEffort";
    }
    let guaranteed = containers.iter().all(|container| {
        ["cpu", "memory"].iter().all(|what| {
            let (request, limit) = (amount(container, "requests", what), amount(container, "limits", what));
            !limit.is_null() && (request.is_null() || request == limit)
        })
    });
    if guaranteed { "Guaranteed" } else { "Burstable" }
}

/// Whether an object that was to be deleted has nothing left to wait for.
pub(super) fn is_finished(resource: &Resource, object: &Value) -> bool {
    if !metadata::is_deleting(object) || metadata::has_any(object, "finalizers") {
        return false;
    }
    if is_core(resource, "Namespace") {
        return object["spec"]["finalizers"].as_array().is_none_or(Vec::is_empty);
    }
    object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
}

impl Api {
    /// What a new object gets from the rest of the cluster.
    pub(super) fn admit_new(&self, target: &Target, object: &mut Value) -> Result<(), Status> {
        let resource = &target.resource;
        if is_core(resource, "Pod") {
            give_service_account(object);
        }
        if is_core(resource, "PersistentVolumeClaim") {
            self.give_storage_class(object);
        }
        if is_core(resource, "Service") {
            self.allocate_new(object)?;
        }
        Ok(())
    }

    /// What a changed object keeps that clients need not repeat.
    pub(super) fn admit_change(&self, target: &Target, old: &Value, new: &mut Value) -> Result<(), Status> {
        if is_core(&target.resource, "Service") {
            self.allocate_changed(old, new)?;
        }
        if is_core(&target.resource, "Pod") && new["spec"]["serviceAccountName"].is_null() {
            give_service_account(new);
        }
        Ok(())
    }

    /// Whoever gives something out must have written it before the next one looks what is free.
    pub(super) async fn take_turn(&self, resource: &Resource) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        if is_core(resource, "Service") { Some(self.0.allocating.lock().await) } else { None }
    }
}

/// A pod that names no service account runs as `default`.
fn give_service_account(pod: &mut Value) {
    let spec = &mut pod["spec"];
    if !spec.is_object() {
        return;
    }
    if spec["serviceAccountName"].as_str().unwrap_or_default().is_empty() {
        let older = spec["serviceAccount"].as_str().filter(|name| !name.is_empty()).unwrap_or("default").to_owned();
        spec["serviceAccountName"] = json!(older);
    }
    spec["serviceAccount"] = spec["serviceAccountName"].clone();
}

impl Api {
    /// A claim that names no class gets the default one, where there is one.
    fn give_storage_class(&self, claim: &mut Value) {
        if !claim["spec"].is_object() || !claim["spec"]["storageClassName"].is_null() {
            return;
        }
        let is_default = |class: &Value| class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true";
        let classes = self.store().list("storage.k8s.io/storageclasses", None, None, None).objects;
        // The youngest of several, as Kubernetes has it.
        let age = |class: &Value| class["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned();
        if let Some(class) = classes.iter().map(|class| class.value()).filter(is_default).max_by_key(age) {
            claim["spec"]["storageClassName"] = class["metadata"]["name"].clone();
        }
    }
}
