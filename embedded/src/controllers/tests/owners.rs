//! What must never make the garbage collector take an owner for gone.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::api::{Api as Server, ApiOptions};
use crate::controllers::collector;
use crate::controllers::inventory::{Change, Inventory, Item};
use crate::controllers::kinds::{Kind, discover};
use crate::store::Store;
use crate::user::User;

const BOUND: Duration = Duration::from_secs(20);

async fn cluster() -> Client {
    let client = Server::new(Store::in_memory(), ApiOptions::default()).client(User::admin());
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "n"}})).unwrap();
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    client
}

fn version(name: &str, storage: bool) -> Value {
    json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": {"type": "object"}}})
}

fn widget(version: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("test.example", version, "Widget"))
}

/// The next changes of widgets up to one that fits.
async fn until(changes: &mut mpsc::Receiver<Change>, fits: impl Fn(&Change) -> bool) -> Vec<Change> {
    let mut seen = Vec::new();
    let all = async {
        while let Some(change) = changes.recv().await {
            let found = fits(&change);
            seen.push(change);
            if found {
                return;
            }
        }
    };
    tokio::time::timeout(BOUND, all).await.unwrap();
    seen
}

#[tokio::test]
async fn a_new_version_of_a_kind_takes_no_object_along_but_the_end_of_the_kind_does_and_shutdown_does_not() {
    let client = cluster().await;
    let (changes, mut received) = mpsc::channel(1024);
    let (known_kinds, kinds) = watch::channel(Arc::default());
    let inventory = Inventory { client: client.clone(), changes, removals: broadcast::channel(16).0, kinds: known_kinds };
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(inventory.run(shutdown.clone()));
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition = json!({
        "metadata": {"name": "widgets.test.example"},
        "spec": {"group": "test.example", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget", "singular": "widget"},
            "versions": [version("v1alpha1", true)]},
    });
    definitions.create(&PostParams::default(), &serde_json::from_value(definition).unwrap()).await.unwrap();
    let established = await_condition(definitions.clone(), "widgets.test.example", conditions::is_crd_established());
    tokio::time::timeout(BOUND, established).await.unwrap().unwrap();
    let kind = widget("v1alpha1");
    let widgets: Api<DynamicObject> = Api::namespaced_with(client.clone(), "n", &kind);
    let uid = widgets.create(&PostParams::default(), &DynamicObject::new("w", &kind)).await.unwrap().uid().unwrap();
    let shown = |version: &'static str| {
        let uid = uid.clone();
        move |change: &Change| matches!(change, Change::Applied(item) if item.uid == uid && item.kind.version == version)
    };
    until(&mut received, shown("v1alpha1")).await;

    let both = json!({"spec": {"versions": [version("v1alpha1", true), version("v1", false)]}});
    definitions.patch("widgets.test.example", &PatchParams::default(), &Patch::Merge(both)).await.unwrap();
    let mut seen = until(&mut received, shown("v1")).await;
    widgets.patch("w", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}))).await.unwrap();
    seen.extend(until(&mut received, shown("v1")).await);
    let removed = |change: &Change| matches!(change, Change::Removed(gone) if *gone == uid);
    assert!(!seen.iter().any(removed), "{seen:?}");
    assert!(kinds.borrow().iter().any(|kind| kind.kind == "Widget" && kind.version == "v1"));

    let mut another = DynamicObject::new("another", &kind);
    another.metadata.finalizers = Some(vec!["test.example/hold".to_owned()]);
    widgets.create(&PostParams::default(), &another).await.unwrap();
    widgets.delete("w", &DeleteParams::default()).await.unwrap();
    until(&mut received, removed).await;
    shutdown.cancel();
    tokio::time::timeout(BOUND, running).await.unwrap().unwrap();
    while let Some(change) = received.recv().await {
        assert!(!matches!(change, Change::Removed(_)), "nothing goes at shutdown: {change:?}");
    }
}

#[tokio::test]
async fn an_owner_that_was_only_said_to_be_gone_keeps_its_dependents() {
    let client = cluster().await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "n");
    let create = async |name: &str, owner: Option<&ConfigMap>| {
        let owners: Vec<Value> = owner
            .into_iter()
            .map(|owner| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(), "uid": owner.uid()}))
            .collect();
        let map = serde_json::from_value(json!({"metadata": {"name": name, "ownerReferences": owners}})).unwrap();
        maps.create(&PostParams::default(), &map).await.unwrap()
    };
    let (there, gone) = (create("there", None).await, create("gone", None).await);
    let (kept, lost) = (create("kept", Some(&there)).await, create("lost", Some(&gone)).await);
    let kinds: Vec<Arc<Kind>> = discover(&client).await.unwrap().into_iter().map(Arc::new).collect();
    let kind = Arc::clone(kinds.iter().find(|kind| kind.kind == "ConfigMap").unwrap());
    maps.delete("gone", &DeleteParams::default()).await.unwrap();

    let (changes, received) = mpsc::channel(16);
    let shutdown = CancellationToken::new();
    let (_sender, kinds) = watch::channel(Arc::new(kinds));
    let running = tokio::spawn(collector::run(client.clone(), received, kinds, shutdown.clone()));
    let metadata = Api::<DynamicObject>::namespaced_with(client.clone(), "n", &kind.resource());
    for map in [&there, &kept, &lost] {
        let partial = match metadata.get_metadata_opt(&map.name_any()).await.unwrap() {
            Some(partial) => partial,
            None => panic!("{} is missing", map.name_any()),
        };
        changes.send(Change::Applied(Item::of(&kind, &partial))).await.unwrap();
    }
    changes.send(Change::Removed(there.uid().unwrap())).await.unwrap();
    changes.send(Change::Removed(gone.uid().unwrap())).await.unwrap();
    let uid = lost.uid().unwrap();
    let deleted = await_condition(maps.clone(), "lost", conditions::is_deleted(&uid));
    tokio::time::timeout(BOUND, deleted).await.unwrap().unwrap();
    shutdown.cancel();
    tokio::time::timeout(BOUND, running).await.unwrap().unwrap();
    let left = maps.get("kept").await.unwrap();
    assert_eq!((left.uid(), left.owner_references().len()), (kept.uid(), 1));
}
