//! What keeps users within their rights, and requests within bounds.

use std::sync::Arc;

use super::*;
use crate::server::rbac::Rbac;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

impl Server {
    /// With role-based access control, and `ann` who has these rules everywhere.
    async fn with_rules(rules: Value) -> Self {
        let server = Self::new().await;
        server.api.set_authorizer(Arc::new(Rbac::new(server.api.store().clone())));
        server.post(&format!("{RBAC}/clusterroles"), json!({"metadata": {"name": "of-ann"}, "rules": rules})).await.ok();
        let binding = json!({
            "metadata": {"name": "of-ann"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "of-ann"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"}]
        });
        server.post(&format!("{RBAC}/clusterrolebindings"), binding).await.ok();
        server
    }

    async fn as_ann(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Reply {
        self.send(&User::new("ann", &[]), method, path, headers, body.to_string()).await
    }
}

fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": [group], "resources": resources})
}

#[tokio::test]
async fn creating_by_apply_or_put_needs_the_right_to_create() {
    let apply = [("content-type", "application/apply-patch+yaml")];
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}});
    let (map_path, lease_path) =
        (format!("{MAPS}/a?fieldManager=m"), "/apis/coordination.k8s.io/v1/namespaces/default/leases/a".to_owned());
    let change = ["get", "patch", "update"];
    let server = Server::with_rules(json!([rule(&change, "", &["configmaps"]), rule(&change, "coordination.k8s.io", &["leases"])])).await;
    let refused = server.as_ann("PATCH", &map_path, &apply, map.clone()).await.error();
    assert_eq!(refused.0, 403);
    assert!(refused.1.starts_with("configmaps \"a\" is forbidden: User \"ann\" cannot create resource"), "{}", refused.1);
    assert_eq!(server.as_ann("PUT", &lease_path, &[], lease.clone()).await.error().0, 403);
    server.apply(&map_path, &map.to_string()).await.ok();
    server.put(&lease_path, lease.clone()).await.ok();
    server.as_ann("PATCH", &map_path, &apply, map).await.ok();
    let present = server.get(&lease_path).await.ok();
    server.as_ann("PUT", &lease_path, &[], present).await.ok();
}

#[tokio::test]
async fn acting_as_another_never_falls_back_to_ones_own_rights() {
    let server = Server::new().await;
    let bad: [&[(&str, &str)]; 7] = [
        &[("impersonate-group", "staff")],
        &[("impersonate-uid", "1")],
        &[("impersonate-extra-scopes", "x")],
        &[("impersonate-user", "joe"), ("impersonate-uid", "1")],
        &[("impersonate-user", "joé")],
        &[("impersonate-user", "")],
        &[("impersonate-user", "joe"), ("impersonate-user", "kubernetes-admin")],
    ];
    for headers in bad {
        assert_eq!(server.send(&User::admin(), "GET", "/api/v1/pods", headers, "").await.code, 400, "{headers:?}");
    }
}

#[tokio::test]
async fn a_service_account_is_impersonated_by_rights_to_service_accounts_of_its_namespace() {
    let server = Server::with_rules(json!([rule(&["impersonate"], "", &["users"])])).await;
    let account = [("impersonate-user", "system:serviceaccount:default:builder")];
    let refused = server.as_ann("GET", "/api/v1/pods", &account, json!({})).await.error().1;
    let wanted = "serviceaccounts \"builder\" is forbidden: User \"ann\" cannot impersonate resource \"serviceaccounts\" in API group \"\" in the namespace \"default\"";
    assert_eq!(refused, wanted);
    server.as_ann("GET", "/api", &[("impersonate-user", "joe")], json!({})).await.ok();
    let me = |reply: Reply| reply.ok()["status"]["userInfo"]["groups"].clone();
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    server.api.set_authorizer(Arc::new(Everybody));
    let groups = me(server.as_ann("POST", path, &account, review).await);
    assert_eq!(groups, json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]));
}

struct Everybody;

impl crate::api::authorize::Authorizer for Everybody {
    fn authorize(&self, _: &User, _: &crate::api::authorize::Attributes) -> crate::api::authorize::Decision {
        crate::api::authorize::Decision::Allow(String::new())
    }
}

#[tokio::test]
async fn rights_to_one_name_cover_lists_and_watches_of_that_name() {
    let mut rules = rule(&["list", "watch"], "", &["configmaps"]);
    rules["resourceNames"] = json!(["a"]);
    let server = Server::with_rules(json!([rules])).await;
    server.config_map("a", json!({})).await;
    server.config_map("b", json!({})).await;
    let list = server.as_ann("GET", &format!("{MAPS}?fieldSelector=metadata.name%3Da"), &[], json!({})).await.ok();
    assert_eq!(names(&list), ["a"]);
    let watch = format!("{MAPS}?watch=true&timeoutSeconds=1&fieldSelector=metadata.name%3Da");
    assert_eq!(server.as_ann("GET", &watch, &[], json!({})).await.code, 200);
    for selector in ["", "?fieldSelector=metadata.name%3Db", "?fieldSelector=metadata.name!%3Da"] {
        assert_eq!(server.as_ann("GET", &format!("{MAPS}{selector}"), &[], json!({})).await.code, 403, "{selector}");
    }
}

#[tokio::test]
async fn a_local_review_tells_nothing_about_another_namespace() {
    let server = Server::new().await;
    let review = |namespace: &str| {
        json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "LocalSubjectAccessReview", "metadata": {"namespace": "default"},
            "spec": {"user": "joe", "resourceAttributes": {"namespace": namespace, "verb": "get", "resource": "pods"}}
        })
    };
    let path = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews";
    server.post(path, review("default")).await.ok();
    for other in ["kube-system", ""] {
        let wanted = format!(
            ".authorization.k8s.io \"\" is invalid: spec.resourceAttributes.namespace: Invalid value: {other:?}: must match metadata.namespace"
        );
        assert_eq!(server.post(path, review(other)).await.error(), (422, wanted));
    }
}

#[tokio::test]
async fn names_with_control_characters_are_refused() {
    let server = Server::new().await;
    let role = |name: &str| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}});
    let refused = server.post(&format!("{RBAC}/clusterroles"), role("a\0b")).await.error();
    assert_eq!(refused.0, 422);
    assert!(refused.1.contains("may not contain control characters"), "{}", refused.1);
    server.post(&format!("{RBAC}/clusterroles"), role("a:b")).await.ok();
}

#[tokio::test]
async fn what_is_nested_too_deep_is_refused_and_all_else_can_be_read_back() {
    let server = Server::new().await;
    server.define_lamps().await;
    server.post(LAMPS, lamp("a")).await.ok();
    let nested = |levels: usize| json!({"status": {"x": (0..levels).fold(json!(1), |inner, _| json!({"x": inner}))}});
    let status = format!("{LAMPS}/a/status");
    for levels in [99, 115, 120] {
        let refused = server.merge(&status, nested(levels)).await.error();
        assert_eq!(refused.0, 400);
        assert!(refused.1.contains("nested deeper than 100 levels"), "{}", refused.1);
    }
    let stored = server.merge(&status, nested(98)).await.ok();
    assert_eq!(server.get(&format!("{LAMPS}/a")).await.ok(), stored);
    assert_eq!(names(&server.get(LAMPS).await.ok()), ["a"]);
}

#[tokio::test]
async fn aliases_in_a_body_cannot_fill_the_memory() {
    let server = Server::new().await;
    let mut bomb = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        bomb += &format!("a{level}: &a{level} [{}]\n", [format!("*a{}", level - 1).as_str(); 10].join(", "));
    }
    let sent = server.send(&User::admin(), "POST", MAPS, &[("content-type", "application/yaml")], bomb.clone()).await.error();
    assert_eq!(sent.0, 400);
    assert!(sent.1.contains("write it without aliases"), "{}", sent.1);
    assert_eq!(server.apply(&format!("{MAPS}/a?fieldManager=m"), &bomb).await.error().0, 400);
}

#[tokio::test]
async fn a_watch_of_any_length_can_be_asked_for() {
    let server = Server::new().await;
    let request = |seconds: u64| Request::get(format!("{MAPS}?watch=true&timeoutSeconds={seconds}")).body(Bytes::new()).unwrap();
    for seconds in [1, 1 << 40, i64::MAX.unsigned_abs()] {
        let answer = server.api.handle(request(seconds), &User::admin()).await;
        assert_eq!(answer.status(), 200, "{seconds}");
    }
}

#[tokio::test]
async fn nobody_gives_rights_away_that_he_does_not_have() {
    let all = ["create", "get", "update", "patch"];
    let server = Server::with_rules(json!([
        rule(&all, "rbac.authorization.k8s.io", &["roles", "clusterroles", "rolebindings", "clusterrolebindings"]),
        rule(&["get"], "", &["pods"]),
    ]))
    .await;
    let (roles, bindings) = (format!("{RBAC}/clusterroles"), format!("{RBAC}/namespaces/default/rolebindings"));
    let role = |name: &str, rules: Value| json!({"metadata": {"name": name}, "rules": rules});
    let binding = |name: &str, role: &str| {
        json!({
            "metadata": {"name": name}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"}]
        })
    };
    let (own, more) = (json!([rule(&["get"], "", &["pods"])]), json!([rule(&["get"], "", &["pods", "secrets"])]));
    server.as_ann("POST", &roles, &[], role("own", own.clone())).await.ok();
    let refused = server.as_ann("POST", &roles, &[], role("more", more.clone())).await.error();
    let wanted = "clusterroles.rbac.authorization.k8s.io \"more\" is forbidden: user \"ann\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}";
    assert_eq!(refused, (403, wanted.to_owned()));
    let merge = [("content-type", "application/merge-patch+json")];
    let own_path = format!("{roles}/own");
    assert_eq!(server.as_ann("PATCH", &own_path, &merge, json!({"rules": more})).await.code, 403);
    assert_eq!(server.as_ann("PUT", &format!("{roles}/put"), &[], role("put", more.clone())).await.code, 403);
    let aggregated = json!({"metadata": {"name": "sum"}, "aggregationRule": {"clusterRoleSelectors": [{}]}, "rules": []});
    assert_eq!(server.as_ann("POST", &roles, &[], aggregated).await.code, 403);
    server.post(&roles, role("more", more.clone())).await.ok();
    server.as_ann("PATCH", &format!("{roles}/more"), &merge, json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
    server.as_ann("POST", &bindings, &[], binding("own", "own")).await.ok();
    assert_eq!(server.as_ann("POST", &bindings, &[], binding("more", "more")).await.code, 403);
    assert_eq!(server.as_ann("POST", &bindings, &[], binding("none", "none")).await.code, 404);
    assert_eq!(server.as_ann("POST", &format!("{RBAC}/clusterrolebindings"), &[], binding("all", "cluster-admin")).await.code, 404);
    let explicit = json!([
        rule(&all, "rbac.authorization.k8s.io", &["clusterroles", "rolebindings"]),
        rule(&["escalate", "bind"], "rbac.authorization.k8s.io", &["clusterroles"]),
    ]);
    server.merge(&format!("{roles}/of-ann"), json!({"rules": explicit})).await.ok();
    server.as_ann("PATCH", &own_path, &merge, json!({"rules": more})).await.ok();
    server.as_ann("POST", &bindings, &[], binding("more", "more")).await.ok();
}
