//! The controllers against the real API, in process.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::{Api as Server, ApiOptions};
use crate::controllers::{Options, run};
use crate::store::Store;
use crate::user::User;

const BOUND: Duration = Duration::from_secs(20);

struct World {
    client: Client,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl World {
    async fn start() -> Self {
        let world = Self::idle(Server::new(Store::in_memory(), ApiOptions::default()).client(User::admin())).begin();
        world.namespace("n").await;
        world
    }
    /// Without controllers.
    fn idle(client: Client) -> Self {
        Self { client, shutdown: CancellationToken::new(), task: tokio::spawn(async {}) }
    }
    fn begin(mut self) -> Self {
        let options = Options { root_certificates: Some("PEM".into()), ..Options::default() };
        let running = run(self.client.clone(), options, self.shutdown.clone());
        self.task = tokio::spawn(async move { running.await.unwrap() });
        self
    }
    async fn namespace(&self, name: &str) {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        Api::all(self.client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    }
    fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), "n")
    }
    async fn map(&self, name: &str, owners: &[(&ConfigMap, bool)], finalizers: &[&str]) -> ConfigMap {
        let owners: Vec<Value> = owners
            .iter()
            .map(|(owner, blocks)| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(), "uid": owner.uid(), "blockOwnerDeletion": blocks}))
            .collect();
        let map = json!({"metadata": {"name": name, "ownerReferences": owners, "finalizers": finalizers}});
        self.maps().create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap()
    }
    async fn until_gone(&self, map: &ConfigMap) {
        let (name, uid) = (map.name_any(), map.uid().unwrap());
        let gone = await_condition(self.maps(), &name, conditions::is_deleted(&uid));
        tokio::time::timeout(BOUND, gone).await.unwrap_or_else(|_| panic!("{} is still there", map.name_any())).unwrap();
    }
    async fn until(&self, name: &str, what: &str, holds: impl Fn(&ConfigMap) -> bool) {
        let reached = await_condition(self.maps(), name, |map: Option<&ConfigMap>| map.is_some_and(&holds));
        tokio::time::timeout(BOUND, reached).await.unwrap_or_else(|_| panic!("{name} never: {what}")).unwrap();
    }
    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(BOUND, self.task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn dependents_follow_the_last_of_their_owners_and_theirs_follow_them() {
    let world = World::start().await;
    let (one, two) = (world.map("one", &[], &[]).await, world.map("two", &[], &[]).await);
    let child = world.map("child", &[(&one, false), (&two, false)], &[]).await;
    let grandchild = world.map("grandchild", &[(&child, false)], &[]).await;
    let bystander = world.map("bystander", &[], &[]).await;
    world.maps().delete("one", &DeleteParams::background()).await.unwrap();
    world.until("child", "one owner left", |map| map.owner_references().len() == 1).await;
    world.maps().delete("two", &DeleteParams::background()).await.unwrap();
    world.until_gone(&child).await;
    world.until_gone(&grandchild).await;
    assert_eq!(world.maps().get("bystander").await.unwrap().uid(), bystander.uid());
    world.stop().await;
}

#[tokio::test]
async fn an_owner_made_again_under_its_name_is_another_owner() {
    // Nobody has seen the first owner go: only its uid tells.
    let world = World::start().await;
    let client = world.client.clone();
    world.stop().await;
    let world = World::idle(client);
    let first = world.map("owner", &[], &[]).await;
    world.maps().delete("owner", &DeleteParams::background()).await.unwrap();
    let second = world.map("owner", &[], &[]).await;
    let child = world.map("child", &[(&first, false)], &[]).await;
    let own = world.map("own", &[(&second, false)], &[]).await;
    let world = world.begin();
    world.until_gone(&child).await;
    assert_eq!(world.maps().get("own").await.unwrap().uid(), own.uid());
    world.stop().await;
}

#[tokio::test]
async fn foreground_deletion_takes_the_dependents_first() {
    let world = World::start().await;
    let owner = world.map("owner", &[], &[]).await;
    let child = world.map("child", &[(&owner, true)], &["test.example/hold"]).await;
    world.maps().delete("owner", &DeleteParams::foreground()).await.unwrap();
    world.until("child", "is being deleted", |map| map.metadata.deletion_timestamp.is_some()).await;
    assert!(world.maps().get_opt("owner").await.unwrap().is_some(), "the owner waits for its dependent");
    world.maps().patch("child", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}}))).await.unwrap();
    world.until_gone(&child).await;
    world.until_gone(&owner).await;
    world.stop().await;
}

#[tokio::test]
async fn orphaned_dependents_stay_without_their_owner() {
    let world = World::start().await;
    let owner = world.map("owner", &[], &[]).await;
    world.map("child", &[(&owner, true)], &[]).await;
    // The reference has been seen before its owner goes: Kubernetes promises no more.
    world.maps().delete("owner", &DeleteParams::orphan()).await.unwrap();
    world.until_gone(&owner).await;
    world.until("child", "free", |map| map.owner_references().is_empty()).await;
    world.stop().await;
}

#[tokio::test]
async fn a_namespace_takes_its_content_along_and_says_what_holds_it() {
    let world = World::start().await;
    world.map("plain", &[], &[]).await;
    let held = world.map("held", &[], &["test.example/hold"]).await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let namespace = namespaces.delete("n", &DeleteParams::default()).await.unwrap().left().unwrap();
    let says = |namespace: Option<&Namespace>| {
        let conditions = namespace.and_then(|namespace| namespace.status.as_ref()).and_then(|status| status.conditions.as_ref());
        conditions.into_iter().flatten().any(|one| {
            one.type_ == "NamespaceFinalizersRemaining"
                && one.message.as_deref()
                    == Some("Some content in the namespace has finalizers remaining: test.example/hold in 1 resource instances")
        })
    };
    tokio::time::timeout(BOUND, await_condition(namespaces.clone(), "n", says)).await.unwrap().unwrap();
    assert!(world.maps().get_opt("plain").await.unwrap().is_none());
    world.maps().patch("held", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}}))).await.unwrap();
    world.until_gone(&held).await;
    let uid = namespace.uid().unwrap();
    let gone = await_condition(namespaces, "n", conditions::is_deleted(&uid));
    tokio::time::timeout(BOUND, gone).await.unwrap().unwrap();
    world.stop().await;
}

#[tokio::test]
async fn a_new_namespace_gets_its_service_account_and_certificates_and_gets_them_back() {
    let world = World::start().await;
    let accounts: Api<ServiceAccount> = Api::namespaced(world.client.clone(), "n");
    let present = |account: Option<&ServiceAccount>| account.is_some();
    tokio::time::timeout(BOUND, await_condition(accounts.clone(), "default", present)).await.unwrap().unwrap();
    let right = |map: &ConfigMap| map.data.as_ref().is_some_and(|data| data["ca.crt"] == "PEM");
    world.until("kube-root-ca.crt", "right", right).await;
    world.maps().patch("kube-root-ca.crt", &PatchParams::default(), &Patch::Merge(json!({"data": {"ca.crt": "other"}}))).await.unwrap();
    world.until("kube-root-ca.crt", "right again", right).await;
    let first = accounts.get("default").await.unwrap();
    accounts.delete("default", &DeleteParams::default()).await.unwrap();
    let again = |account: Option<&ServiceAccount>| account.is_some_and(|account| account.uid() != first.uid());
    tokio::time::timeout(BOUND, await_condition(accounts, "default", again)).await.unwrap().unwrap();
    world.stop().await;
}

#[tokio::test]
async fn custom_kinds_that_come_later_are_collected_too() {
    let world = World::start().await;
    let definition: CustomResourceDefinition = serde_json::from_value(json!({
        "metadata": {"name": "widgets.test.example"},
        "spec": {"group": "test.example", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget", "singular": "widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]},
    }))
    .unwrap();
    let definitions: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    definitions.create(&PostParams::default(), &definition).await.unwrap();
    let established = await_condition(definitions, "widgets.test.example", conditions::is_crd_established());
    tokio::time::timeout(BOUND, established).await.unwrap().unwrap();
    let kind = kube::api::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk("test.example", "v1", "Widget"));
    let widgets: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), "n", &kind);
    let owner = widgets.create(&PostParams::default(), &DynamicObject::new("owner", &kind)).await.unwrap();
    let reference = json!([{"apiVersion": "test.example/v1", "kind": "Widget", "name": "owner", "uid": owner.uid()}]);
    let child: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "child", "ownerReferences": reference}})).unwrap();
    let child = world.maps().create(&PostParams::default(), &child).await.unwrap();
    widgets.delete("owner", &DeleteParams::background()).await.unwrap();
    world.until_gone(&child).await;
    world.stop().await;
}
