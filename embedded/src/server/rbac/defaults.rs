//! The cluster roles and bindings every Kubernetes cluster has and charts rely on.

use serde_json::{Value, json};

use crate::controllers::accounts;

const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "delete", "deletecollection", "patch", "update"];

/// `cluster-admin`, `admin`, `edit`, `view` (aggregated as usual), what signed-in users and strangers may, and the bindings of these.
/// To be created where missing when a control plane starts.
pub fn default_objects() -> Vec<Value> {
    let mut objects = vec![
        role("cluster-admin", &json!({}), &[rule(&["*"], &["*"], &["*"]), paths(&["*"], &["*"])]),
        aggregate("admin", &json!({})),
        aggregate("edit", &aggregated_to("admin")),
        aggregate("view", &aggregated_to("edit")),
        role("system:aggregate-to-admin", &aggregated_to("admin"), &admin_rules()),
        role("system:aggregate-to-edit", &aggregated_to("edit"), &edit_rules()),
        role("system:aggregate-to-view", &aggregated_to("view"), &view_rules()),
        role("system:discovery", &json!({}), &[paths(&["get"], &discovery_paths())]),
        role("system:public-info-viewer", &json!({}), &[paths(&["get"], &PUBLIC_PATHS)]),
        role("system:basic-user", &json!({}), &basic_user_rules()),
    ];
    objects.extend(controllers());
    objects.extend([
        binding("cluster-admin", &["system:masters"]),
        binding("system:discovery", &["system:authenticated"]),
        binding("system:public-info-viewer", &["system:authenticated", "system:unauthenticated"]),
        binding("system:basic-user", &["system:authenticated"]),
    ]);
    objects
}

const PUBLIC_PATHS: [&str; 5] = ["/healthz", "/livez", "/readyz", "/version", "/version/"];

fn discovery_paths() -> Vec<&'static str> {
    [&["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"], PUBLIC_PATHS.as_slice()].concat()
}

fn basic_user_rules() -> [Value; 2] {
    [
        rule(&["create"], &["authorization.k8s.io"], &["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
        rule(&["create"], &["authentication.k8s.io"], &["selfsubjectreviews"]),
    ]
}

/// The controllers that delete for others act as service accounts of their own; see [`crate::controllers::accounts`].
fn controllers() -> Vec<Value> {
    let everything = |verbs: &[&str]| rule(verbs, &["*"], &["*"]);
    let all = [
        (
            accounts::NAMESPACES,
            vec![
                everything(&["delete", "deletecollection", "get", "list"]),
                rule(&["delete", "get", "list", "watch"], &[""], &["namespaces"]),
                rule(&["patch", "update"], &[""], &["namespaces/finalize", "namespaces/status"]),
            ],
        ),
        (
            accounts::GARBAGE_COLLECTOR,
            vec![
                everything(&["delete", "get", "list", "patch", "update", "watch"]),
                rule(&["create", "patch", "update"], &["", "events.k8s.io"], &["events"]),
            ],
        ),
    ];
    let both = |(name, rules): (&str, Vec<Value>)| {
        let role_name = format!("system:controller:{name}");
        let mut binding = binding(&role_name, &[]);
        binding["subjects"] = json!([{"kind": "ServiceAccount", "name": name, "namespace": "kube-system"}]);
        [role(&role_name, &json!({}), &rules), binding]
    };
    all.into_iter().flat_map(both).collect()
}

const CORE: [&str; 8] = [
    "configmaps",
    "endpoints",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "replicationcontrollers/scale",
    "serviceaccounts",
    "services",
];
const WORKLOADS: [&str; 9] = [
    "daemonsets",
    "deployments",
    "deployments/rollback",
    "deployments/scale",
    "replicasets",
    "replicasets/scale",
    "statefulsets",
    "statefulsets/scale",
    "controllerrevisions",
];

/// Without Secrets, whose content is more than a viewer should have, and without roles.
fn view_rules() -> Vec<Value> {
    let core = [
        "bindings",
        "events",
        "limitranges",
        "namespaces",
        "namespaces/status",
        "pods/log",
        "pods/status",
        "resourcequotas",
        "services/status",
    ];
    vec![
        rule(&READ, &[""], &[CORE.as_slice(), &core].concat()),
        rule(&READ, &["discovery.k8s.io"], &["endpointslices"]),
        rule(&READ, &["events.k8s.io"], &["events"]),
        rule(&READ, &["apps"], &[WORKLOADS.as_slice(), &["deployments/status", "replicasets/status", "statefulsets/status"]].concat()),
        rule(&READ, &["autoscaling"], &["horizontalpodautoscalers"]),
        rule(&READ, &["batch"], &["cronjobs", "cronjobs/status", "jobs", "jobs/status"]),
        rule(&READ, &["policy"], &["poddisruptionbudgets"]),
        rule(&READ, &["networking.k8s.io"], &["ingresses", "networkpolicies"]),
    ]
}

fn edit_rules() -> Vec<Value> {
    vec![
        rule(&READ, &[""], &["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"]),
        rule(&["impersonate"], &[""], &["serviceaccounts"]),
        rule(
            &WRITE,
            &[""],
            &[CORE.as_slice(), &["secrets", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "services/proxy"]].concat(),
        ),
        rule(&["create"], &[""], &["pods/eviction", "serviceaccounts/token"]),
        rule(&WRITE, &["", "events.k8s.io"], &["events"]),
        rule(&WRITE, &["apps"], &WORKLOADS),
        rule(&WRITE, &["autoscaling"], &["horizontalpodautoscalers"]),
        rule(&WRITE, &["batch"], &["cronjobs", "jobs"]),
        rule(&WRITE, &["policy"], &["poddisruptionbudgets"]),
        rule(&WRITE, &["networking.k8s.io"], &["ingresses", "networkpolicies"]),
        rule(&[READ.as_slice(), &WRITE].concat(), &["coordination.k8s.io"], &["leases"]),
    ]
}

fn admin_rules() -> Vec<Value> {
    vec![
        rule(&["create"], &["authorization.k8s.io"], &["localsubjectaccessreviews"]),
        rule(&[READ.as_slice(), &WRITE].concat(), &["rbac.authorization.k8s.io"], &["rolebindings", "roles"]),
    ]
}

fn rule(verbs: &[&str], groups: &[&str], resources: &[&str]) -> Value {
    json!({"apiGroups": groups, "resources": resources, "verbs": verbs})
}

fn paths(verbs: &[&str], paths: &[&str]) -> Value {
    json!({"nonResourceURLs": paths, "verbs": verbs})
}

fn aggregated_to(role: &str) -> Value {
    json!({aggregation_label(role): "true"})
}

fn aggregation_label(role: &str) -> String {
    format!("rbac.authorization.k8s.io/aggregate-to-{role}")
}

fn metadata(name: &str, labels: &Value) -> Value {
    let mut labels = labels.clone();
    labels["kubernetes.io/bootstrapping"] = json!("rbac-defaults");
    json!({"name": name, "labels": labels, "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}})
}

fn role(name: &str, labels: &Value, rules: &[Value]) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": metadata(name, labels), "rules": rules})
}

fn aggregate(name: &str, labels: &Value) -> Value {
    let mut role = role(name, labels, &[]);
    role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {aggregation_label(name): "true"}}]});
    role
}

fn binding(name: &str, groups: &[&str]) -> Value {
    let subjects: Vec<Value> =
        groups.iter().map(|group| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group})).collect();
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": metadata(name, &json!({})),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": subjects,
    })
}
