//! The table of built-in kinds.

use super::columns::{Heading, NAME_AND_AGE, NAME_AND_CREATED_AT, core, pods, policies, workloads};

/// What a server says of a built-in kind before anyone uses it.
pub(super) struct BuiltinKind {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub short_names: &'static [&'static str],
    pub categories: &'static [&'static str],
    pub namespaced: bool,
    pub status: bool,
    pub scale: bool,
    pub selectable: &'static [&'static str],
    /// Where kinds of two groups share their objects; else made of group and plural.
    pub storage: Option<&'static str>,
    pub verbs: &'static [&'static str],
    /// The type in the generated schemas.
    pub definition: &'static str,
    pub columns: &'static [Heading],
}

const ALL: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// Namespaces are deleted one by one.
const NO_COLLECTION: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];
/// Questions to the server: answered, not stored.
const CREATE: &[&str] = &["create"];

/// What most kinds have in common: namespaced, with a status, all verbs.
const KIND: BuiltinKind = BuiltinKind {
    group: "",
    version: "v1",
    kind: "",
    plural: "",
    short_names: &[],
    categories: &[],
    namespaced: true,
    status: true,
    scale: false,
    selectable: &[],
    storage: None,
    verbs: ALL,
    definition: "",
    columns: NAME_AND_AGE,
};

/// Kinds with paths of their own, core group first.
pub(super) static KINDS: &[BuiltinKind] = &[
    BuiltinKind {
        kind: "ConfigMap",
        plural: "configmaps",
        definition: "core.v1.ConfigMap",
        columns: core::CONFIG_MAP,
        short_names: &["cm"],
        status: false,
        ..KIND
    },
    BuiltinKind {
        kind: "Endpoints",
        plural: "endpoints",
        definition: "core.v1.Endpoints",
        columns: core::ENDPOINTS,
        short_names: &["ep"],
        status: false,
        ..KIND
    },
    BuiltinKind {
        kind: "Event",
        plural: "events",
        definition: "core.v1.Event",
        columns: core::EVENT,
        short_names: &["ev"],
        status: false,
        selectable: &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "type",
        ],
        storage: Some("events"),
        ..KIND
    },
    BuiltinKind {
        kind: "LimitRange",
        plural: "limitranges",
        definition: "core.v1.LimitRange",
        columns: NAME_AND_CREATED_AT,
        short_names: &["limits"],
        status: false,
        ..KIND
    },
    BuiltinKind {
        kind: "Namespace",
        plural: "namespaces",
        definition: "core.v1.Namespace",
        columns: core::NAMESPACE,
        short_names: &["ns"],
        namespaced: false,
        selectable: &["status.phase"],
        verbs: NO_COLLECTION,
        ..KIND
    },
    BuiltinKind {
        kind: "Node",
        plural: "nodes",
        definition: "core.v1.Node",
        columns: core::NODE,
        short_names: &["no"],
        namespaced: false,
        selectable: &["spec.unschedulable"],
        ..KIND
    },
    BuiltinKind {
        kind: "PersistentVolumeClaim",
        plural: "persistentvolumeclaims",
        definition: "core.v1.PersistentVolumeClaim",
        columns: core::PERSISTENT_VOLUME_CLAIM,
        short_names: &["pvc"],
        ..KIND
    },
    BuiltinKind {
        kind: "PersistentVolume",
        plural: "persistentvolumes",
        definition: "core.v1.PersistentVolume",
        columns: core::PERSISTENT_VOLUME,
        short_names: &["pv"],
        namespaced: false,
        ..KIND
    },
    BuiltinKind {
        kind: "Pod",
        plural: "pods",
        definition: "core.v1.Pod",
        columns: pods::POD,
        short_names: &["po"],
        categories: &["all"],
        selectable: &[
            "spec.hostNetwork",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.nominatedNodeName",
            "status.phase",
            "status.podIP",
        ],
        ..KIND
    },
    BuiltinKind {
        kind: "ReplicationController",
        plural: "replicationcontrollers",
        definition: "core.v1.ReplicationController",
        columns: workloads::REPLICATION_CONTROLLER,
        short_names: &["rc"],
        categories: &["all"],
        scale: true,
        selectable: &["status.replicas"],
        ..KIND
    },
    BuiltinKind {
        kind: "ResourceQuota",
        plural: "resourcequotas",
        definition: "core.v1.ResourceQuota",
        columns: core::RESOURCE_QUOTA,
        short_names: &["quota"],
        ..KIND
    },
    BuiltinKind {
        kind: "Secret",
        plural: "secrets",
        definition: "core.v1.Secret",
        columns: core::SECRET,
        status: false,
        selectable: &["type"],
        ..KIND
    },
    BuiltinKind {
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        definition: "core.v1.ServiceAccount",
        columns: core::SERVICE_ACCOUNT,
        short_names: &["sa"],
        status: false,
        ..KIND
    },
    BuiltinKind {
        kind: "Service",
        plural: "services",
        definition: "core.v1.Service",
        columns: core::SERVICE,
        short_names: &["svc"],
        categories: &["all"],
        selectable: &["spec.clusterIP", "spec.type"],
        ..KIND
    },
    BuiltinKind {
        group: "admissionregistration.k8s.io",
        kind: "ValidatingAdmissionPolicy",
        plural: "validatingadmissionpolicies",
        definition: "admissionregistration.v1.ValidatingAdmissionPolicy",
        columns: policies::ADMISSION_POLICY,
        categories: &["api-extensions"],
        namespaced: false,
        ..KIND
    },
    BuiltinKind {
        group: "admissionregistration.k8s.io",
        kind: "ValidatingAdmissionPolicyBinding",
        plural: "validatingadmissionpolicybindings",
        definition: "admissionregistration.v1.ValidatingAdmissionPolicyBinding",
        columns: policies::ADMISSION_POLICY_BINDING,
        categories: &["api-extensions"],
        namespaced: false,
        status: false,
        ..KIND
    },
    BuiltinKind {
        group: "apiextensions.k8s.io",
        kind: "CustomResourceDefinition",
        plural: "customresourcedefinitions",
        definition: "apiextensions.v1.CustomResourceDefinition",
        columns: NAME_AND_CREATED_AT,
        short_names: &["crd", "crds"],
        categories: &["api-extensions"],
        namespaced: false,
        ..KIND
    },
    BuiltinKind {
        group: "apps",
        kind: "DaemonSet",
        plural: "daemonsets",
        definition: "apps.v1.DaemonSet",
        columns: workloads::DAEMON_SET,
        short_names: &["ds"],
        categories: &["all"],
        ..KIND
    },
    BuiltinKind {
        group: "apps",
        kind: "Deployment",
        plural: "deployments",
        definition: "apps.v1.Deployment",
        columns: workloads::DEPLOYMENT,
        short_names: &["deploy"],
        categories: &["all"],
        scale: true,
        ..KIND
    },
    BuiltinKind {
        group: "apps",
        kind: "ReplicaSet",
        plural: "replicasets",
        definition: "apps.v1.ReplicaSet",
        columns: workloads::REPLICA_SET,
        short_names: &["rs"],
        categories: &["all"],
        scale: true,
        selectable: &["status.replicas"],
        ..KIND
    },
    BuiltinKind {
        group: "apps",
        kind: "StatefulSet",
        plural: "statefulsets",
        definition: "apps.v1.StatefulSet",
        columns: workloads::STATEFUL_SET,
        short_names: &["sts"],
        categories: &["all"],
        scale: true,
        ..KIND
    },
    BuiltinKind {
        group: "authentication.k8s.io",
        kind: "SelfSubjectReview",
        plural: "selfsubjectreviews",
        definition: "authentication.v1.SelfSubjectReview",
        columns: NAME_AND_AGE,
        namespaced: false,
        status: false,
        verbs: CREATE,
        ..KIND
    },
    BuiltinKind {
        group: "authentication.k8s.io",
        kind: "TokenReview",
        plural: "tokenreviews",
        definition: "authentication.v1.TokenReview",
        columns: NAME_AND_AGE,
        namespaced: false,
        status: false,
        verbs: CREATE,
        ..KIND
    },
    BuiltinKind {
        group: "authorization.k8s.io",
        kind: "LocalSubjectAccessReview",
        plural: "localsubjectaccessreviews",
        definition: "authorization.v1.LocalSubjectAccessReview",
        columns: NAME_AND_AGE,
        status: false,
        verbs: CREATE,
        ..KIND
    },
    BuiltinKind {
        group: "authorization.k8s.io",
        kind: "SelfSubjectAccessReview",
        plural: "selfsubjectaccessreviews",
        definition: "authorization.v1.SelfSubjectAccessReview",
        columns: NAME_AND_AGE,
        namespaced: false,
        status: false,
        verbs: CREATE,
        ..KIND
    },
    BuiltinKind {
        group: "authorization.k8s.io",
        kind: "SelfSubjectRulesReview",
        plural: "selfsubjectrulesreviews",
        definition: "authorization.v1.SelfSubjectRulesReview",
        columns: NAME_AND_AGE,
        namespaced: false,
        status: false,
        verbs: CREATE,
        ..KIND
    },
    BuiltinKind {
        group: "authorization.k8s.io",
        kind: "SubjectAccessReview",
        plural: "subjectaccessreviews",
        definition: "authorization.v1.SubjectAccessReview",
        columns: NAME_AND_AGE,
        namespaced: false,
        status: false,
        verbs: CREATE,
        ..KIND
    },
    BuiltinKind {
        group: "autoscaling",
        kind: "HorizontalPodAutoscaler",
        plural: "horizontalpodautoscalers",
        definition: "autoscaling.v2.HorizontalPodAutoscaler",
        columns: workloads::HORIZONTAL_POD_AUTOSCALER,
        version: "v2",
        short_names: &["hpa"],
        categories: &["all"],
        ..KIND
    },
    BuiltinKind {
        group: "batch",
        kind: "CronJob",
        plural: "cronjobs",
        definition: "batch.v1.CronJob",
        columns: workloads::CRON_JOB,
        short_names: &["cj"],
        categories: &["all"],
        ..KIND
    },
    BuiltinKind {
        group: "batch",
        kind: "Job",
        plural: "jobs",
        definition: "batch.v1.Job",
        columns: workloads::JOB,
        categories: &["all"],
        selectable: &["status.successful"],
        ..KIND
    },
    BuiltinKind {
        group: "coordination.k8s.io",
        kind: "Lease",
        plural: "leases",
        definition: "coordination.v1.Lease",
        columns: policies::LEASE,
        status: false,
        ..KIND
    },
    BuiltinKind {
        group: "discovery.k8s.io",
        kind: "EndpointSlice",
        plural: "endpointslices",
        definition: "discovery.v1.EndpointSlice",
        columns: core::ENDPOINT_SLICE,
        status: false,
        ..KIND
    },
    BuiltinKind {
        group: "events.k8s.io",
        kind: "Event",
        plural: "events",
        definition: "events.v1.Event",
        columns: core::EVENT_OF_GROUP,
        short_names: &["ev"],
        status: false,
        selectable: &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ],
        storage: Some("events"),
        ..KIND
    },
    BuiltinKind {
        group: "networking.k8s.io",
        kind: "Ingress",
        plural: "ingresses",
        definition: "networking.v1.Ingress",
        columns: policies::INGRESS,
        short_names: &["ing"],
        ..KIND
    },
    BuiltinKind {
        group: "networking.k8s.io",
        kind: "NetworkPolicy",
        plural: "networkpolicies",
        definition: "networking.v1.NetworkPolicy",
        columns: policies::NETWORK_POLICY,
        short_names: &["netpol"],
        status: false,
        ..KIND
    },
    BuiltinKind {
        group: "policy",
        kind: "PodDisruptionBudget",
        plural: "poddisruptionbudgets",
        definition: "policy.v1.PodDisruptionBudget",
        columns: policies::POD_DISRUPTION_BUDGET,
        short_names: &["pdb"],
        ..KIND
    },
    BuiltinKind {
        group: "rbac.authorization.k8s.io",
        kind: "ClusterRoleBinding",
        plural: "clusterrolebindings",
        definition: "rbac.v1.ClusterRoleBinding",
        columns: policies::ROLE_BINDING,
        namespaced: false,
        status: false,
        ..KIND
    },
    BuiltinKind {
        group: "rbac.authorization.k8s.io",
        kind: "ClusterRole",
        plural: "clusterroles",
        definition: "rbac.v1.ClusterRole",
        columns: NAME_AND_CREATED_AT,
        namespaced: false,
        status: false,
        ..KIND
    },
    BuiltinKind {
        group: "rbac.authorization.k8s.io",
        kind: "RoleBinding",
        plural: "rolebindings",
        definition: "rbac.v1.RoleBinding",
        columns: policies::ROLE_BINDING,
        status: false,
        ..KIND
    },
    BuiltinKind {
        group: "rbac.authorization.k8s.io",
        kind: "Role",
        plural: "roles",
        definition: "rbac.v1.Role",
        columns: NAME_AND_CREATED_AT,
        status: false,
        ..KIND
    },
    BuiltinKind {
        group: "scheduling.k8s.io",
        kind: "PriorityClass",
        plural: "priorityclasses",
        definition: "scheduling.v1.PriorityClass",
        columns: policies::PRIORITY_CLASS,
        short_names: &["pc"],
        namespaced: false,
        status: false,
        ..KIND
    },
    BuiltinKind {
        group: "storage.k8s.io",
        kind: "StorageClass",
        plural: "storageclasses",
        definition: "storage.v1.StorageClass",
        columns: policies::STORAGE_CLASS,
        short_names: &["sc"],
        namespaced: false,
        status: false,
        ..KIND
    },
];

/// Kinds that only subresources exchange.
pub(super) static SUBRESOURCE_KINDS: &[BuiltinKind] = &[
    BuiltinKind {
        group: "autoscaling",
        kind: "Scale",
        plural: "scales",
        definition: "autoscaling.v1.Scale",
        columns: NAME_AND_AGE,
        status: false,
        verbs: CREATE,
        ..KIND
    },
    BuiltinKind {
        group: "authentication.k8s.io",
        kind: "TokenRequest",
        plural: "tokenrequests",
        definition: "authentication.v1.TokenRequest",
        columns: NAME_AND_AGE,
        status: false,
        verbs: CREATE,
        ..KIND
    },
    BuiltinKind {
        group: "policy",
        kind: "Eviction",
        plural: "evictions",
        definition: "policy.v1.Eviction",
        columns: NAME_AND_AGE,
        status: false,
        verbs: CREATE,
        ..KIND
    },
];
