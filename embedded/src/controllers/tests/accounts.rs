//! Controllers that act under their own names: with no more rights than these have, and seen by policies.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::api::{Api as Server, ApiOptions};
use crate::controllers::accounts::Accounts;
use crate::controllers::{Options, run};
use crate::server::{Rbac, rbac};
use crate::store::Store;
use crate::user::User;

const BOUND: Duration = Duration::from_secs(20);

async fn create(client: &kube::Client, path: &str, object: serde_json::Value) {
    let request = http::Request::post(path).header("content-type", "application/json").body(object.to_string().into_bytes()).unwrap();
    client.request::<serde_json::Value>(request).await.unwrap();
}

#[tokio::test]
async fn a_policy_can_spare_the_deletion_of_a_namespace_and_what_follows_from_an_owner() {
    let store = Store::in_memory();
    let server = Server::new(store.clone(), ApiOptions::default());
    server.bootstrap(rbac::default_objects()).await.unwrap();
    server.set_authorizer(Arc::new(Rbac::new(store)));
    let admin = server.client(User::admin());
    create(&admin, "/api/v1/namespaces", json!({"metadata": {"name": "n"}})).await;
    let spared = ["namespace-controller", "generic-garbage-collector"].map(|name| format!("system:serviceaccount:kube-system:{name}"));
    let group = "/apis/admissionregistration.k8s.io/v1";
    let policy = json!({"metadata": {"name": "kept"}, "spec": {
        "matchConstraints": {"resourceRules": [{"operations": ["DELETE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]},
        "validations": [{"expression": format!("request.userInfo.username in {spared:?}"), "messageExpression": "'not by ' + request.userInfo.username"}]
    }});
    create(&admin, &format!("{group}/validatingadmissionpolicies"), policy).await;
    let binding = json!({"metadata": {"name": "kept"}, "spec": {"policyName": "kept", "validationActions": ["Deny"]}});
    create(&admin, &format!("{group}/validatingadmissionpolicybindings"), binding).await;
    let shutdown = CancellationToken::new();
    let accounts = Accounts::new(move |name| server.client(User::service_account("kube-system", name, "")));
    let options = Options { accounts: Some(accounts), ..Options::default() };
    let running = tokio::spawn(run(admin.clone(), options, shutdown.clone()));
    let maps: Api<ConfigMap> = Api::namespaced(admin.clone(), "n");
    let map = |value| serde_json::from_value::<ConfigMap>(value).unwrap();
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(admin.clone(), "n");
    let owner =
        secrets.create(&PostParams::default(), &serde_json::from_value(json!({"metadata": {"name": "owner"}})).unwrap()).await.unwrap();
    let reference = json!([{"apiVersion": "v1", "kind": "Secret", "name": "owner", "uid": owner.uid()}]);
    let owned =
        maps.create(&PostParams::default(), &map(json!({"metadata": {"name": "owned", "ownerReferences": reference}}))).await.unwrap();
    let free = maps.create(&PostParams::default(), &map(json!({"metadata": {"name": "free"}}))).await.unwrap();
    let refused = maps.delete("free", &DeleteParams::default()).await.unwrap_err().to_string();
    assert!(refused.contains("denied request: not by kubernetes-admin"), "{refused}");
    secrets.delete("owner", &DeleteParams::background()).await.unwrap();
    let (owned, free) = (owned.uid().unwrap(), free.uid().unwrap());
    let gone = await_condition(maps.clone(), "owned", conditions::is_deleted(&owned));
    tokio::time::timeout(BOUND, gone).await.unwrap().unwrap();
    assert!(maps.get_opt("free").await.unwrap().is_some());
    let namespaces: Api<Namespace> = Api::all(admin);
    let uid = namespaces.get("n").await.unwrap().uid().unwrap();
    namespaces.delete("n", &DeleteParams::default()).await.unwrap();
    let gone = await_condition(maps, "free", conditions::is_deleted(&free));
    tokio::time::timeout(BOUND, gone).await.unwrap().unwrap();
    tokio::time::timeout(BOUND, await_condition(namespaces, "n", conditions::is_deleted(&uid))).await.unwrap().unwrap();
    shutdown.cancel();
    tokio::time::timeout(BOUND, running).await.unwrap().unwrap().unwrap();
}
