#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::time::Duration;

use http::{Request, Response};
use kube::client::Body;

use super::*;

/// Fills caches from a server on which there is nothing, and returns what it was asked for.
async fn asked(scope: Scope) -> BTreeSet<String> {
    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    let log = Arc::clone(&asked);
    let server = tower::service_fn(move |request: Request<Body>| {
        log.lock().unwrap().insert(request.uri().path().to_owned());
        let watches = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        async move {
            if watches {
                std::future::pending::<()>().await;
            }
            let list = serde_json::json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []});
            Ok::<_, std::convert::Infallible>(Response::new(Body::from(list.to_string().into_bytes())))
        }
    });
    let (caches, feeds) = Caches::new();
    let shutdown = CancellationToken::new();
    let feeding = tokio::spawn(feeds.run(Client::new(server, "default"), scope, shutdown.clone()));
    tokio::time::timeout(Duration::from_secs(20), caches.wait_until_ready()).await.unwrap().unwrap();
    shutdown.cancel();
    feeding.await.unwrap();
    let asked = asked.lock().unwrap();
    asked.clone()
}

#[tokio::test]
async fn an_operator_with_tenancies_asks_for_nothing_of_other_namespaces() {
    let asked = asked(Scope { tenancies: vec!["north".into(), "south".into()], without_simulation: false }).await;
    let elsewhere: Vec<&String> =
        asked.iter().filter(|path| !path.contains("/namespaces/north/") && !path.contains("/namespaces/south/")).collect();
    assert_eq!(elsewhere, ["/apis/switchboard.dev/v1alpha1/objectstores"], "stores belong to no namespace");
    for path in ["/api/v1/namespaces/north/secrets", "/apis/switchboard.dev/v1alpha1/namespaces/south/customers"] {
        assert!(asked.contains(path), "{path}: {asked:?}");
    }
}

#[tokio::test]
async fn an_operator_without_simulation_needs_neither_kind_nor_pods() {
    let all = asked(Scope::default()).await;
    let of_simulation = |path: &&String| ["simulatedsystems", "/pods", "/configmaps"].iter().any(|part| path.contains(part));
    assert_eq!(all.iter().filter(of_simulation).count(), 3, "{all:?}");
    let without = asked(Scope { tenancies: Vec::new(), without_simulation: true }).await;
    assert_eq!(without.iter().find(of_simulation), None);
    assert_eq!(without.len() + 3, all.len());
}
