#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use serde_json::{Value, json};

use super::index::{CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES};
use super::{Rbac, default_objects};
use crate::api::authorize::{Attributes, Authorizer, Decision};
use crate::store::{Key, Store, Write};
use crate::user::User;

async fn put(store: &Store, storage: &str, namespace: &str, name: &str, mut value: Value) {
    value["metadata"]["name"] = json!(name);
    let key = Key::new(storage, namespace, name);
    let write = match store.get(&key) {
        Some(old) => Write::Update { key, expected: old.revision, value },
        None => Write::Create { key, value },
    };
    store.write(write).await.unwrap();
}

async fn cluster_role(store: &Store, name: &str, rules: Value) {
    put(store, CLUSTER_ROLES, "", name, json!({"rules": rules})).await;
}

async fn bind(store: &Store, namespace: &str, name: &str, role: (&str, &str), subject: Value) {
    let storage = if namespace.is_empty() { CLUSTER_ROLE_BINDINGS } else { ROLE_BINDINGS };
    put(store, storage, namespace, name, json!({"roleRef": {"kind": role.0, "name": role.1}, "subjects": [subject]})).await;
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "name": name})
}

fn group(name: &str) -> Value {
    json!({"kind": "Group", "name": name})
}

/// `get apps/deployments/scale ns/name`: verb, then group (`-` is core) / resource / subresource, then namespace/name.
fn request(text: &str) -> Attributes {
    let mut words = text.split(' ');
    let mut next = || words.next().unwrap_or_default().to_owned();
    let (verb, what, place) = (next(), next(), next());
    if what.starts_with('/') {
        return Attributes { verb, path: what, ..Attributes::default() };
    }
    let mut parts = what.split('/').map(str::to_owned);
    let group = parts.next().filter(|group| group != "-").unwrap_or_default();
    let (resource, subresource) = (parts.next().unwrap(), parts.next().unwrap_or_default());
    let (namespace, name) = place.split_once('/').unwrap_or((&place, ""));
    Attributes {
        verb,
        group,
        version: "v1".into(),
        resource,
        subresource,
        namespace: namespace.into(),
        name: name.into(),
        path: String::new(),
    }
}

fn allows(rbac: &Rbac, user: &User, text: &str) -> bool {
    matches!(rbac.authorize(user, &request(text)), Decision::Allow(_))
}

#[tokio::test]
async fn a_rule_covers_what_it_names_and_nothing_else() {
    let table = [
        // verbs
        (json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}), "get -/pods a/x", true),
        (json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}), "delete -/pods a/x", false),
        (json!({"verbs": ["*"], "apiGroups": [""], "resources": ["pods"]}), "deletecollection -/pods a", true),
        // groups
        (json!({"verbs": ["get"], "apiGroups": [""], "resources": ["deployments"]}), "get apps/deployments a/x", false),
        (json!({"verbs": ["get"], "apiGroups": ["apps", "batch"], "resources": ["deployments"]}), "get apps/deployments a/x", true),
        (json!({"verbs": ["get"], "apiGroups": ["*"], "resources": ["deployments"]}), "get apps/deployments a/x", true),
        (json!({"verbs": ["get"], "resources": ["pods"]}), "get -/pods a/x", false),
        // subresources
        (json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}), "get -/pods/log a/x", false),
        (json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]}), "get -/pods/log a/x", true),
        (json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]}), "get -/pods a/x", false),
        (json!({"verbs": ["get"], "apiGroups": ["*"], "resources": ["*/scale"]}), "get apps/deployments/scale a/x", true),
        (json!({"verbs": ["get"], "apiGroups": ["*"], "resources": ["*/scale"]}), "get apps/deployments/status a/x", false),
        (json!({"verbs": ["get"], "apiGroups": ["*"], "resources": ["*"]}), "get -/pods/log a/x", true),
        (json!({"verbs": ["get"], "apiGroups": ["*"], "resources": ["pods/*"]}), "get -/pods/log a/x", false),
        // names
        (json!({"verbs": ["*"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["x"]}), "get -/pods a/x", true),
        (json!({"verbs": ["*"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["x"]}), "get -/pods a/y", false),
        (json!({"verbs": ["*"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["x"]}), "create -/pods a", false),
        (json!({"verbs": ["*"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["x"]}), "list -/pods a", false),
        // paths
        (json!({"verbs": ["get"], "nonResourceURLs": ["/metrics"]}), "get /metrics", true),
        (json!({"verbs": ["get"], "nonResourceURLs": ["/metrics"]}), "get /metrics/x", false),
        (json!({"verbs": ["get"], "nonResourceURLs": ["/apis/*"]}), "get /apis/apps/v1", true),
        (json!({"verbs": ["get"], "nonResourceURLs": ["*"]}), "get /anything", true),
        (json!({"verbs": ["get"], "nonResourceURLs": ["/metrics"]}), "post /metrics", false),
        (json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}), "get /metrics", false),
        (json!({"verbs": ["*"], "nonResourceURLs": ["*"]}), "get -/pods a/x", false),
    ];
    for (rule, asked, allowed) in table {
        let store = Store::in_memory();
        cluster_role(&store, "role", json!([rule])).await;
        bind(&store, "", "binding", ("ClusterRole", "role"), user("ann")).await;
        assert_eq!(allows(&Rbac::new(store), &User::new("ann", &[]), asked), allowed, "{rule} and {asked}");
    }
}

#[tokio::test]
async fn a_binding_in_a_namespace_gives_nothing_elsewhere() {
    let store = Store::in_memory();
    let all = json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, {"verbs": ["*"], "nonResourceURLs": ["*"]}]);
    cluster_role(&store, "all", all).await;
    bind(&store, "a", "binding", ("ClusterRole", "all"), user("ann")).await;
    let rbac = Rbac::new(store);
    let ann = User::new("ann", &[]);
    assert!(allows(&rbac, &ann, "delete -/pods a/x"));
    for elsewhere in ["delete -/pods b/x", "list -/pods", "get -/nodes /n", "get /metrics"] {
        assert!(!allows(&rbac, &ann, elsewhere), "{elsewhere}");
    }
}

#[tokio::test]
async fn a_role_is_looked_up_in_the_namespace_of_its_binding() {
    let store = Store::in_memory();
    let rules = json!({"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]});
    put(&store, ROLES, "a", "reader", rules).await;
    bind(&store, "a", "binding", ("Role", "reader"), user("ann")).await;
    bind(&store, "b", "binding", ("Role", "reader"), user("ann")).await;
    bind(&store, "", "binding", ("Role", "reader"), user("ann")).await;
    let rbac = Rbac::new(store);
    assert!(allows(&rbac, &User::new("ann", &[]), "get -/pods a/x"));
    assert!(!allows(&rbac, &User::new("ann", &[]), "get -/pods b/x"));
    assert!(!allows(&rbac, &User::new("ann", &[]), "get -/pods c/x"));
}

#[tokio::test]
async fn subjects_are_users_groups_and_service_accounts() {
    let store = Store::in_memory();
    cluster_role(&store, "role", json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}])).await;
    let bindings = [
        ("a", user("ann")),
        ("b", group("staff")),
        ("c", json!({"kind": "ServiceAccount", "name": "builder", "namespace": "tools"})),
        ("d", json!({"kind": "ServiceAccount", "name": "builder"})),
        ("e", group("system:serviceaccounts")),
        ("f", group("system:serviceaccounts:tools")),
        ("g", group("system:authenticated")),
        ("h", group("system:unauthenticated")),
        ("i", json!({"kind": "Robot", "name": "ann"})),
    ];
    for (namespace, subject) in &bindings {
        bind(&store, namespace, "binding", ("ClusterRole", "role"), subject.clone()).await;
    }
    let rbac = Rbac::new(store);
    let where_allowed = |user: &User| -> String {
        bindings
            .iter()
            .filter(|(namespace, _)| allows(&rbac, user, &format!("get -/pods {namespace}/x")))
            .map(|(namespace, _)| *namespace)
            .collect()
    };
    assert_eq!(where_allowed(&User::new("ann", &[])), "ag");
    assert_eq!(where_allowed(&User::new("staff", &[])), "g", "a user of a group's name is not the group");
    assert_eq!(where_allowed(&User::new("bob", &["staff"])), "bg");
    assert_eq!(where_allowed(&User::service_account("tools", "builder", "")), "cefg");
    assert_eq!(where_allowed(&User::service_account("d", "builder", "")), "deg", "without a namespace it is the binding's");
    assert_eq!(where_allowed(&User::anonymous()), "h");
    assert_eq!(where_allowed(&User::admin()), "abcdefghi");
}

#[tokio::test]
async fn an_aggregated_role_has_the_rules_of_those_it_selects_through_several_levels() {
    let store = Store::in_memory();
    let aggregate = |labels: Value, selectors: Value| {
        let own = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["own"]}]);
        json!({"metadata": {"labels": labels}, "aggregationRule": {"clusterRoleSelectors": selectors}, "rules": own})
    };
    let plain = |labels: Value, resource: &str| json!({"metadata": {"labels": labels}, "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": [resource]}]});
    put(&store, CLUSTER_ROLES, "", "top", aggregate(json!({}), json!([{"matchLabels": {"to": "top"}}]))).await;
    let expression =
        json!([{"matchExpressions": [{"key": "kind", "operator": "In", "values": ["x", "y"]}, {"key": "no", "operator": "DoesNotExist"}]}]);
    put(&store, CLUSTER_ROLES, "", "middle", aggregate(json!({"to": "top", "kind": "x"}), expression)).await;
    put(&store, CLUSTER_ROLES, "", "one", plain(json!({"to": "top"}), "one")).await;
    put(&store, CLUSTER_ROLES, "", "two", plain(json!({"kind": "y"}), "two")).await;
    put(&store, CLUSTER_ROLES, "", "not", plain(json!({"kind": "y", "no": ""}), "not")).await;
    bind(&store, "", "binding", ("ClusterRole", "top"), user("ann")).await;
    let rbac = Rbac::new(store.clone());
    let ann = User::new("ann", &[]);
    for (resource, allowed) in [("one", true), ("two", true), ("not", false), ("own", false), ("later", false)] {
        assert_eq!(allows(&rbac, &ann, &format!("get -/{resource} a/x")), allowed, "{resource}");
    }
    put(&store, CLUSTER_ROLES, "", "later", plain(json!({"kind": "x"}), "later")).await;
    assert!(allows(&rbac, &ann, "get -/later a/x"), "a role that comes later is taken in");
}

#[tokio::test]
async fn changes_take_effect_with_the_next_question() {
    let store = Store::in_memory();
    let rbac = Rbac::new(store.clone());
    let ann = User::new("ann", &[]);
    assert!(!allows(&rbac, &ann, "get -/pods a/x"));
    bind(&store, "a", "binding", ("ClusterRole", "role"), user("ann")).await;
    assert!(!allows(&rbac, &ann, "get -/pods a/x"));
    cluster_role(&store, "role", json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}])).await;
    assert!(allows(&rbac, &ann, "get -/pods a/x"));
    let key = Key::new(ROLE_BINDINGS, "a", "binding");
    let expected = store.get(&key).unwrap().revision;
    store.write(Write::Delete { key, expected }).await.unwrap();
    assert!(!allows(&rbac, &ann, "get -/pods a/x"));
}

#[tokio::test]
async fn a_refusal_names_roles_that_do_not_exist_and_a_permission_its_binding() {
    let store = Store::in_memory();
    let rbac = Rbac::new(store.clone());
    let ann = User::new("ann", &[]);
    assert_eq!(rbac.authorize(&ann, &request("get -/pods a/x")), Decision::Deny(String::new()));
    bind(&store, "a", "binding", ("Role", "gone"), user("ann")).await;
    let text = "RBAC: role.rbac.authorization.k8s.io \"gone\" not found";
    assert_eq!(rbac.authorize(&ann, &request("get -/pods a/x")), Decision::Deny(text.into()));
    put(&store, ROLES, "a", "gone", json!({"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]})).await;
    let text = "RBAC: allowed by RoleBinding \"binding/a\" of Role \"gone\" to User \"ann\"";
    assert_eq!(rbac.authorize(&ann, &request("get -/pods a/x")), Decision::Allow(text.into()));
}

#[tokio::test]
async fn a_review_lists_the_rules_that_hold_in_a_namespace() {
    let store = Store::in_memory();
    cluster_role(&store, "paths", json!([{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}])).await;
    cluster_role(&store, "pods", json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["x"]}])).await;
    bind(&store, "", "paths", ("ClusterRole", "paths"), group("system:authenticated")).await;
    bind(&store, "a", "pods", ("ClusterRole", "pods"), user("ann")).await;
    let rbac = Rbac::new(store);
    let rules = rbac.rules(&User::new("ann", &[]), "a");
    assert_eq!(rules["resourceRules"], json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["x"]}]));
    assert_eq!(rules["nonResourceRules"], json!([{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}]));
    assert_eq!(rbac.rules(&User::new("ann", &[]), "b")["resourceRules"], json!([]));
}

async fn with_defaults() -> Store {
    let store = Store::in_memory();
    for object in default_objects() {
        let storage = if object["kind"] == "ClusterRole" { CLUSTER_ROLES } else { CLUSTER_ROLE_BINDINGS };
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        put(&store, storage, "", &name, object).await;
    }
    store
}

#[tokio::test]
async fn the_usual_roles_allow_and_refuse_what_they_do_elsewhere() {
    let store = with_defaults().await;
    for role in ["view", "edit", "admin", "cluster-admin"] {
        bind(&store, "a", role, ("ClusterRole", role), user(role)).await;
    }
    bind(&store, "", "root", ("ClusterRole", "cluster-admin"), user("root")).await;
    let rbac = Rbac::new(store);
    let table = [
        ("get -/pods a/x", "view edit admin cluster-admin root"),
        ("get -/pods/log a/x", "view edit admin cluster-admin root"),
        ("get -/secrets a/x", "edit admin cluster-admin root"),
        ("create apps/deployments a", "edit admin cluster-admin root"),
        ("create -/pods/exec a/x", "edit admin cluster-admin root"),
        ("update rbac.authorization.k8s.io/roles a/x", "admin cluster-admin root"),
        ("delete any.example.com/things a/x", "cluster-admin root"),
        ("delete -/nodes /x", "root"),
        ("get -/pods b/x", "root"),
        ("get /metrics", "root"),
        ("get /apis/apps/v1", "view edit admin cluster-admin root nobody"),
        ("create authorization.k8s.io/selfsubjectaccessreviews", "view edit admin cluster-admin root nobody"),
    ];
    for (asked, who) in table {
        let found: Vec<&str> = ["view", "edit", "admin", "cluster-admin", "root", "nobody"]
            .into_iter()
            .filter(|name| allows(&rbac, &User::new(*name, &[]), asked))
            .collect();
        assert_eq!(found.join(" "), who, "{asked}");
    }
    assert!(allows(&rbac, &User::anonymous(), "get /healthz"));
    assert!(!allows(&rbac, &User::anonymous(), "get /api"));
}
