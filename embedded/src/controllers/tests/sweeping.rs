//! Emptying namespaces and removing old Events, step by step.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace};
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

use crate::api::{Api as Server, ApiOptions};
use crate::controllers::events::expire;
use crate::controllers::kinds::{Kind, discover};
use crate::controllers::namespaces::{Drain, Remaining};
use crate::store::Store;
use crate::user::User;

async fn cluster() -> (Client, Namespace) {
    let client = Server::new(Store::in_memory(), ApiOptions::default()).client(User::admin());
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "n"}})).unwrap();
    let namespace = Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    (client, namespace)
}

#[tokio::test]
async fn what_is_in_a_namespace_made_again_under_the_name_stays() {
    let (client, namespace) = cluster().await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "n");
    let map = serde_json::from_value(json!({"metadata": {"name": "new"}})).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    let kinds: Vec<Arc<Kind>> = discover(&client).await.unwrap().into_iter().map(Arc::new).collect();
    let kind = Arc::clone(kinds.iter().find(|kind| kind.kind == "ConfigMap").unwrap());
    let (_kinds, kinds) = watch::channel(Arc::new(kinds));
    // The one that was being deleted had another uid; and the one that is there is not being deleted.
    for uid in ["before".to_owned(), namespace.uid().unwrap()] {
        let removals = broadcast::channel(1).1;
        let drain = Drain { client: client.clone(), name: "n".to_owned(), uid, kinds: kinds.clone(), removals };
        assert!(drain.round().await.unwrap(), "there is nothing to do");
        // It was made again in the middle of a round.
        drain.empty(&kind, &mut Remaining::default()).await.unwrap();
        assert!(maps.get_opt("new").await.unwrap().is_some());
    }
}

#[tokio::test]
async fn events_go_an_hour_after_they_were_last_seen() {
    let (client, _) = cluster().await;
    let events: Api<Event> = Api::namespaced(client.clone(), "n");
    let now = Timestamp::now() + SignedDuration::from_mins(90);
    let text = |minutes: i64| format!("{:.6}", now - SignedDuration::from_mins(minutes));
    let create = async |name: &str, mut more: Value| {
        more["metadata"] = json!({"name": name, "namespace": "n"});
        more["involvedObject"] = json!({"kind": "Pod", "name": "p", "namespace": "n"});
        events.create(&PostParams::default(), &serde_json::from_value(more).unwrap()).await.unwrap();
    };
    let series = |minutes: i64| json!({"count": 2, "lastObservedTime": text(minutes)});
    create("silent", json!({})).await;
    create("old", json!({"lastTimestamp": text(61)})).await;
    create("recent", json!({"lastTimestamp": text(59)})).await;
    create("again", json!({"eventTime": text(80), "series": series(5), "action": "a", "reason": "r", "type": "Normal", "reportingComponent": "c", "reportingInstance": "i"})).await;
    assert_eq!(expire(&client, now).await.unwrap(), 2);
    let mut left: Vec<String> = events.list(&ListParams::default()).await.unwrap().iter().map(ResourceExt::name_any).collect();
    left.sort();
    assert_eq!(left, ["again", "recent"]);
    assert_eq!(expire(&client, now).await.unwrap(), 0);
}
