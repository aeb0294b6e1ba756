//! What an object of a kind looks like before anyone filled it in.

use serde_json::{Value, json};

use crate::resource::Resource;

/// The empty object of a built-in kind: the parts that a server writes although nobody set them, such as `status: {}`.
///
/// Field management starts from it: a creation owns what differs from the empty object, so nobody owns `spec` or `strategy`
/// itself, only what stands in them. Kinds from CustomResourceDefinitions and kinds without such parts give `{}`.
pub fn zero_object(resource: &Resource) -> Value {
    if resource.custom {
        return json!({});
    }
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", kind) => core(kind),
        ("apps" | "batch" | "autoscaling", kind) => workloads(kind),
        (_, kind) => other(kind),
    }
}

fn template() -> Value {
    json!({"metadata": {}, "spec": {}})
}

fn core(kind: &str) -> Value {
    match kind {
        "Namespace" | "Pod" | "PersistentVolume" | "ResourceQuota" => json!({"spec": {}, "status": {}}),
        "Service" => json!({"spec": {}, "status": {"loadBalancer": {}}}),
        "PersistentVolumeClaim" => json!({"spec": {"resources": {}}, "status": {}}),
        "ReplicationController" => json!({"spec": {}, "status": {"replicas": 0}}),
        "LimitRange" => json!({"spec": {}}),
        "Node" => json!({"spec": {}, "status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}, "nodeInfo": {
            "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "", "osImage": "", "containerRuntimeVersion": "",
            "kubeletVersion": "", "kubeProxyVersion": "", "operatingSystem": "", "architecture": ""}}}),
        "Event" => json!({"involvedObject": {}, "source": {}, "firstTimestamp": null, "lastTimestamp": null, "eventTime": null,
            "reportingComponent": "", "reportingInstance": ""}),
        _ => json!({}),
    }
}

fn workloads(kind: &str) -> Value {
    match kind {
        "Deployment" => json!({"spec": {"template": template(), "strategy": {}}, "status": {}}),
        "ReplicaSet" => json!({"spec": {"template": template()}, "status": {"replicas": 0}}),
        "StatefulSet" => json!({"spec": {"template": template(), "updateStrategy": {}, "serviceName": ""},
            "status": {"replicas": 0, "availableReplicas": 0}}),
        "DaemonSet" => json!({"spec": {"template": template(), "updateStrategy": {}}, "status": {
            "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0}}),
        "Job" => json!({"spec": {"template": template()}, "status": {}}),
        "CronJob" => json!({"spec": {"schedule": "", "jobTemplate": {"metadata": {}, "spec": {"template": template()}}}, "status": {}}),
        "HorizontalPodAutoscaler" => json!({"spec": {"scaleTargetRef": {"kind": "", "name": ""}, "maxReplicas": 0},
            "status": {"desiredReplicas": 0, "currentMetrics": null}}),
        "Scale" => json!({"spec": {}, "status": {"replicas": 0}}),
        _ => json!({}),
    }
}

fn other(kind: &str) -> Value {
    match kind {
        "Event" => json!({"regarding": {}, "deprecatedSource": {}, "deprecatedFirstTimestamp": null, "deprecatedLastTimestamp": null,
            "eventTime": null}),
        "Lease" | "ValidatingAdmissionPolicyBinding" => json!({"spec": {}}),
        "ValidatingAdmissionPolicy" => json!({"spec": {}, "status": {}}),
        "EndpointSlice" => json!({"addressType": "", "endpoints": null, "ports": null}),
        "Role" | "ClusterRole" => json!({"rules": null}),
        "RoleBinding" | "ClusterRoleBinding" => json!({"roleRef": {"apiGroup": "", "kind": "", "name": ""}}),
        "PodDisruptionBudget" => json!({"spec": {}, "status": {
            "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0}}),
        "NetworkPolicy" => json!({"spec": {"podSelector": {}}}),
        "Ingress" => json!({"spec": {}, "status": {"loadBalancer": {}}}),
        "PriorityClass" => json!({"value": 0}),
        "StorageClass" => json!({"provisioner": ""}),
        "CustomResourceDefinition" => json!({
            "spec": {"group": "", "names": {"plural": "", "kind": ""}, "scope": "", "versions": null},
            "status": {"conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": null}}),
        "SelfSubjectAccessReview" | "SubjectAccessReview" | "LocalSubjectAccessReview" => json!({"spec": {}, "status": {"allowed": false}}),
        "SelfSubjectRulesReview" => json!({"spec": {}, "status": {"resourceRules": null, "nonResourceRules": null, "incomplete": false}}),
        "SelfSubjectReview" => json!({"status": {"userInfo": {}}}),
        "TokenReview" => json!({"spec": {}, "status": {"user": {}}}),
        "TokenRequest" => json!({"spec": {"audiences": null, "expirationSeconds": null, "boundObjectRef": null},
            "status": {"token": "", "expirationTimestamp": null}}),
        _ => json!({}),
    }
}
