//! The objects a simulated system consists of: a disk, its causes as a ConfigMap, and a pod. Names derive from the parent's: the name is the
//! lock against doing a thing twice.

use crds::SimulatedSystem;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};
use kube::{Resource as _, ResourceExt as _};
use ring::digest;
use serde_json::{Value, json};

use crate::MANAGED_BY;
use crate::caches::SIMULATION;
use crate::customer::secret_name;
use crate::error::ReconcileError;

/// Annotation with the digest of what a child was made from.
pub const DIGEST: &str = "simulation.switchboard.dev/digest";
/// Annotation of the pod with the digest of what is mounted in it: writing it makes the node look at the pod's volumes at once.
pub const INPUTS: &str = "simulation.switchboard.dev/inputs";
/// Port of the pod's probes.
const HEALTH_PORT: u16 = 8081;

/// Name of the ConfigMap with the causes.
pub fn causes_name(name: &str) -> String {
    format!("{name}-causes")
}

/// Name of the claim for the disk.
pub fn disk_name(name: &str) -> String {
    format!("{name}-disk")
}

/// Digest of what is mounted in the pod: its causes, and the versions of the Secrets.
pub fn inputs(configuration: &ConfigMap, versions: &[Option<String>]) -> String {
    digest_of(&json!([annotation(configuration, DIGEST), versions]))
}

fn digest_of(value: &Value) -> String {
    digest::digest(&digest::SHA256, value.to_string().as_bytes()).as_ref().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

fn metadata(system: &SimulatedSystem, name: &str) -> Value {
    json!({
        "name": name,
        "namespace": system.namespace(),
        "labels": {
            MANAGED_BY: SIMULATION,
            "app.kubernetes.io/name": "simulated-system",
            "app.kubernetes.io/instance": system.name_any(),
        },
        "ownerReferences": [system.controller_owner_ref(&())],
        "annotations": {},
    })
}

fn typed<T: serde::de::DeserializeOwned>(what: &'static str, value: Value) -> Result<T, ReconcileError> {
    serde_json::from_value(value).map_err(|error| ReconcileError::Serialise { what, message: error.to_string() })
}

/// The causes as the simulator reads them, with the id the system connects as.
pub fn causes(system: &SimulatedSystem, system_id: &str) -> Result<ConfigMap, ReconcileError> {
    let mut causes = system.spec.causes.clone();
    causes.system_id = Some(system_id.to_owned());
    causes.system_name.get_or_insert_with(|| system.name_any());
    let text = serde_yaml::to_string(&causes).map_err(|error| ReconcileError::Serialise { what: "causes", message: error.to_string() })?;
    let data = json!({"causes.yaml": text});
    let mut metadata = metadata(system, &causes_name(&system.name_any()));
    metadata["annotations"][DIGEST] = json!(digest_of(&data));
    typed("ConfigMap", json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}))
}

/// The claim for the disk.
pub fn disk(system: &SimulatedSystem) -> Result<PersistentVolumeClaim, ReconcileError> {
    // What is in use, what is packed or fetched of it, and what is unpacked beside it.
    let gigabytes = 1 + 4 * system.spec.causes.content.filler_megabytes / 1000;
    let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": format!("{gigabytes}Gi")}}});
    typed(
        "PersistentVolumeClaim",
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata(system, &disk_name(&system.name_any())), "spec": spec}),
    )
}

/// The pod.
pub fn pod(system: &SimulatedSystem, image: &str, inputs: &str) -> Result<Pod, ReconcileError> {
    let name = system.name_any();
    let read_only = |volume: &str, path: &str| json!({"name": volume, "mountPath": path, "readOnly": true});
    let mut mounts = vec![
        read_only("causes", "/etc/switchboard/causes"),
        read_only("subscription", "/etc/switchboard/subscription"),
        read_only("passwords", "/etc/switchboard/passwords"),
        json!({"name": "disk", "mountPath": "/var/lib/system"}),
    ];
    let passwords = system.spec.passwords_secret.as_ref();
    let mut volumes = vec![
        json!({"name": "causes", "configMap": {"name": causes_name(&name)}}),
        json!({"name": "subscription", "secret": {"secretName": secret_name(&system.spec.customer), "optional": true}}),
        json!({"name": "disk", "persistentVolumeClaim": {"claimName": disk_name(&name)}}),
    ];
    match passwords {
        Some(secret) => volumes.push(json!({"name": "passwords", "secret": {"secretName": secret, "optional": true}})),
        None => mounts.retain(|mount| mount["name"] != "passwords"),
    }
    let mut arguments = vec![
        "simulate".to_owned(),
        "--causes=/etc/switchboard/causes/causes.yaml".to_owned(),
        "--subscription=/etc/switchboard/subscription".to_owned(),
        "--data=/var/lib/system".to_owned(),
        format!("--listen=$(POD_IP):{HEALTH_PORT}"),
    ];
    if passwords.is_some() {
        arguments.push("--passwords=/etc/switchboard/passwords".to_owned());
    }
    let spec = json!({
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 5,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "system",
            "image": image,
            "args": arguments,
            "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            "ports": [{"name": "health", "containerPort": HEALTH_PORT}],
            "volumeMounts": mounts,
            "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "128Mi"}},
            "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
            // Ready from the moment it has booted; not ready, but not restarted, during the outage of a reboot.
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": "health"}, "initialDelaySeconds": 1, "periodSeconds": 2, "failureThreshold": 1},
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": "health"}, "initialDelaySeconds": 5, "periodSeconds": 10, "failureThreshold": 3},
        }],
        "volumes": volumes,
    });
    let mut metadata = metadata(system, &name);
    metadata["annotations"] = json!({DIGEST: digest_of(&spec), INPUTS: inputs});
    typed("Pod", json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))
}

/// What an annotation of an object says.
pub fn annotation<K: kube::Resource>(object: &K, name: &str) -> String {
    object.annotations().get(name).cloned().unwrap_or_default()
}
