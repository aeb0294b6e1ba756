//! The Service `kubernetes` is there, whatever happens.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use kube::runtime::wait::await_condition;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::{Api as Server, ApiOptions};
use crate::controllers::api_server::{ApiServerAddress, keep};
use crate::controllers::testing::Obstacle;
use crate::store::Store;
use crate::user::User;

const BOUND: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_could_not_be_made_is_tried_again_although_nothing_changes_and_what_is_deleted_comes_back() {
    let server = Server::new(Store::in_memory(), ApiOptions::default());
    server.bootstrap(Vec::new()).await.unwrap();
    let client = server.client(User::admin());
    let watches = Arc::new(watch::Sender::new(0));
    let counted = Arc::clone(&watches);
    let obstacle = Obstacle::new(move |request| {
        if request.uri().query().is_some_and(|query| query.contains("watch=true")) {
            counted.send_modify(|count| *count += 1);
        }
        request.method() != Method::GET
    });
    let address = ApiServerAddress { server: "127.0.0.1:6443".parse().unwrap(), service: ApiOptions::default().service_network.first };
    let shutdown = CancellationToken::new();
    let keeping = tokio::spawn(keep(obstacle.before(client.clone()), address, shutdown.clone()));
    let begin = tokio::time::Instant::now();
    obstacle.until_refused(1).await;
    // All three lists are through: from now on nothing is told that would remind anybody.
    tokio::time::timeout(BOUND, watches.subscribe().wait_for(|count| *count >= 3)).await.unwrap().unwrap();
    obstacle.remove();
    // The slice is the last to be made.
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), "default");
    let there = |slice: Option<&EndpointSlice>| slice.is_some();
    let made = tokio::time::timeout(BOUND, await_condition(slices, "kubernetes", there)).await;
    made.expect("it is tried again by itself").unwrap();
    // At the beginning, after one second, after three, after seven: the lists of three watches are no reason to hurry.
    let (attempts, time) = (obstacle.refused(), begin.elapsed());
    assert!(attempts <= 1 + (time.as_secs() + 1).ilog2() as usize, "{attempts} attempts in {time:?}");
    let services: Api<Service> = Api::namespaced(client, "default");
    let first = services.get("kubernetes").await.unwrap();
    assert_eq!(first.spec.as_ref().unwrap().cluster_ip, Some(address.service.to_string()));
    services.delete("kubernetes", &DeleteParams::default()).await.unwrap();
    let again = |service: Option<&Service>| service.is_some_and(|service| service.uid() != first.uid());
    tokio::time::timeout(BOUND, await_condition(services, "kubernetes", again)).await.unwrap().unwrap();
    shutdown.cancel();
    tokio::time::timeout(BOUND, keeping).await.unwrap().unwrap();
}
