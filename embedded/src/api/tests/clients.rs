use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::finalizer::{Event, finalizer};
use kube::runtime::watcher;
use kube::{Resource, ResourceExt};

use super::*;

fn config_map(name: &str) -> ConfigMap {
    ConfigMap { metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }, ..ConfigMap::default() }
}

#[tokio::test]
async fn a_kube_client_works_without_sockets() {
    let server = Server::new().await;
    let api: kube::Api<ConfigMap> = kube::Api::default_namespaced(server.api.client(User::admin()));
    api.create(&PostParams::default(), &config_map("a")).await.unwrap();
    let patch = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "v"}});
    let applied = api.patch("a", &PatchParams::apply("tests"), &Patch::Apply(patch)).await.unwrap();
    assert_eq!(applied.data.unwrap()["k"], "v");
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 1);
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let gone = api.get("a").await.unwrap_err();
    assert!(matches!(gone, kube::Error::Api(status) if status.code == 404));
    assert!(kube::discovery::Discovery::new(server.api.client(User::admin())).run_aggregated().await.unwrap().has_group("apps"));
}

#[tokio::test]
async fn a_kube_watcher_follows_by_streaming_lists_and_by_lists() {
    let server = Server::new().await;
    let api: kube::Api<ConfigMap> = kube::Api::default_namespaced(server.api.client(User::admin()));
    api.create(&PostParams::default(), &config_map("a")).await.unwrap();
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let mut events = watcher::watcher(api.clone(), config).boxed();
        let mut next = async || tokio::time::timeout(Duration::from_secs(10), events.try_next()).await.unwrap().unwrap().unwrap();
        assert!(matches!(next().await, watcher::Event::Init));
        assert!(matches!(next().await, watcher::Event::InitApply(object) if object.name_any() == "a"));
        assert!(matches!(next().await, watcher::Event::InitDone));
        api.create(&PostParams::default(), &config_map("b")).await.unwrap();
        assert!(matches!(next().await, watcher::Event::Apply(object) if object.name_any() == "b"));
        api.delete("b", &DeleteParams::default()).await.unwrap();
        assert!(matches!(next().await, watcher::Event::Delete(object) if object.name_any() == "b"));
    }
}

#[tokio::test]
async fn the_finalizer_of_kube_rs_is_added_and_taken_away() {
    let server = Server::new().await;
    let api: kube::Api<ConfigMap> = kube::Api::default_namespaced(server.api.client(User::admin()));
    let reconcile = async |object: ConfigMap| {
        let done = async |_: Event<ConfigMap>| Ok::<_, std::convert::Infallible>(kube::runtime::controller::Action::await_change());
        finalizer(&api, "example.org/tests", object.into(), done).await.unwrap();
    };
    reconcile(api.create(&PostParams::default(), &config_map("a")).await.unwrap()).await;
    assert_eq!(api.get("a").await.unwrap().finalizers(), ["example.org/tests"]);
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let going = api.get("a").await.unwrap();
    assert!(going.meta().deletion_timestamp.is_some());
    reconcile(going).await;
    assert!(api.get_opt("a").await.unwrap().is_none());
}
