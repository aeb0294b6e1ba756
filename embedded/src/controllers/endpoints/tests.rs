//! Endpoints against the real API, in process; and the plan alone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use k8s_openapi::api::core::v1::{Endpoints, Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::plan;
use super::pods::PodFacts;
use crate::api::{Api as Server, ApiOptions};
use crate::controllers::testing::Obstacle;
use crate::store::Store;
use crate::user::User;

const BOUND: Duration = Duration::from_secs(20);

struct World {
    server: Server,
    client: Client,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl World {
    async fn start() -> Self {
        Self::through(|client| client).await
    }
    /// The controller acts through another client than the test.
    async fn through(controller: impl FnOnce(Client) -> Client) -> Self {
        let server = Server::new(Store::in_memory(), ApiOptions::default());
        let client = server.client(User::admin());
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "n"}})).unwrap();
        Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(super::run(controller(client.clone()), shutdown.clone()));
        Self { server, client, shutdown, task }
    }
    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), "n")
    }
    async fn service(&self, name: &str, spec: Value) -> Service {
        let service = json!({"metadata": {"name": name, "labels": {"team": "blue"}}, "spec": spec});
        self.api().create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap()
    }
    /// A pod as the node agent would show it.
    async fn pod(&self, name: &str, address: &str, ready: bool, port: i32) {
        let ports = json!([{"name": "http", "containerPort": port}]);
        let spec = json!({"nodeName": "one", "containers": [{"name": "c", "image": "i", "ports": ports}]});
        let pod = json!({"metadata": {"name": name, "labels": {"app": "web"}}, "spec": spec});
        self.api::<Pod>().create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        self.status(name, json!({"podIP": address, "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}))
            .await;
    }
    async fn status(&self, name: &str, status: Value) {
        let patch = Patch::Merge(json!({ "status": status }));
        self.api::<Pod>().patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }
    async fn slices(&self, service: &str) -> Vec<EndpointSlice> {
        let of = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        self.api::<EndpointSlice>().list(&of).await.unwrap().items
    }
    /// Waits until the ready addresses of all slices of a service are these, each with its port.
    async fn until_ready(&self, service: &str, expected: &[&str]) {
        let wait = async {
            loop {
                let mut found: Vec<String> = self.slices(service).await.iter().flat_map(ready).collect();
                found.sort();
                if found == expected {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(BOUND, wait).await.is_err() {
            panic!("never {expected:?}: {:#}", serde_json::to_value(self.slices(service).await).unwrap());
        }
    }
    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(BOUND, self.task).await.unwrap().unwrap();
    }
}

fn ready(slice: &EndpointSlice) -> Vec<String> {
    let port = slice.ports.iter().flatten().next().and_then(|port| port.port).unwrap_or_default();
    let ready = slice.endpoints.iter().flatten().filter(|endpoint| endpoint.conditions.as_ref().is_some_and(|all| all.ready == Some(true)));
    ready.flat_map(|endpoint| endpoint.addresses.iter().map(move |address| format!("{address}:{port}"))).collect()
}

#[tokio::test]
async fn slices_and_endpoints_follow_pods_and_nothing_is_written_at_rest() {
    let world = World::start().await;
    world.pod("a", "127.10.0.1", true, 8080).await;
    let service = world.service("web", json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]})).await;
    world.until_ready("web", &["127.10.0.1:8080"]).await;
    world.pod("b", "127.10.0.2", false, 9090).await;
    world.pod("c", "127.10.0.3", true, 8080).await;
    world.until_ready("web", &["127.10.0.1:8080", "127.10.0.3:8080"]).await;
    world.status("b", json!({"conditions": [{"type": "Ready", "status": "True"}]})).await;
    world.until_ready("web", &["127.10.0.1:8080", "127.10.0.2:9090", "127.10.0.3:8080"]).await;

    let slices = world.slices("web").await;
    let slice = slices.iter().find(|slice| slice.endpoints.as_ref().unwrap().len() == 2).unwrap();
    assert_eq!(slice.labels()["endpointslice.kubernetes.io/managed-by"], "endpointslice-controller.k8s.io");
    assert_eq!(slice.labels()["team"], "blue");
    let owner = &slice.owner_references()[0];
    assert_eq!((owner.kind.as_str(), Some(owner.uid.clone()), owner.controller), ("Service", service.uid(), Some(true)));
    assert_eq!(slice.endpoints.as_ref().unwrap()[0].target_ref.as_ref().unwrap().name.as_deref(), Some("a"));

    let both = |endpoints: Option<&Endpoints>| endpoints.is_some_and(|all| all.subsets.as_ref().is_some_and(|subsets| subsets.len() == 2));
    tokio::time::timeout(BOUND, await_condition(world.api::<Endpoints>(), "web", both)).await.unwrap().unwrap();

    // A change that matters to nobody is followed by no write: what comes next is the only one.
    let before = world.server.store().revision();
    world.status("a", json!({"message": "hello"})).await;
    world.pod("d", "127.10.0.4", true, 8080).await;
    world.until_ready("web", &["127.10.0.1:8080", "127.10.0.2:9090", "127.10.0.3:8080", "127.10.0.4:8080"]).await;
    let four = |endpoints: Option<&Endpoints>| {
        let subsets = endpoints.and_then(|all| all.subsets.clone()).unwrap_or_default();
        subsets.iter().flat_map(|subset| subset.addresses.iter().flatten()).count() == 4
    };
    tokio::time::timeout(BOUND, await_condition(world.api::<Endpoints>(), "web", four)).await.unwrap().unwrap();
    // The message, the pod and its status, one slice, the Endpoints.
    assert_eq!(world.server.store().revision() - before, 5);

    // One that is over or being deleted is not ready.
    world.status("d", json!({"phase": "Succeeded"})).await;
    world.api::<Pod>().delete("c", &DeleteParams::default()).await.unwrap();
    world.until_ready("web", &["127.10.0.1:8080", "127.10.0.2:9090"]).await;
    let terminating = world.slices("web").await.iter().flat_map(|slice| slice.endpoints.clone().unwrap()).any(|endpoint| {
        endpoint.conditions.as_ref().is_some_and(|all| (all.ready, all.serving, all.terminating) == (Some(false), Some(true), Some(true)))
    });
    assert!(terminating, "one that is ending still serves");

    // Endpoints go with their service.
    world.api::<Service>().delete("web", &DeleteParams::default()).await.unwrap();
    let gone = |endpoints: Option<&Endpoints>| endpoints.is_none();
    tokio::time::timeout(BOUND, await_condition(world.api::<Endpoints>(), "web", gone)).await.unwrap().unwrap();
    world.stop().await;
}

#[tokio::test]
async fn hand_made_endpoints_are_left_alone_and_copied_and_slices_of_others_stay() {
    let world = World::start().await;
    let endpoints = json!({"metadata": {"name": "db"}, "subsets": [{"addresses": [{"ip": "10.0.0.7"}], "ports": [{"port": 5432}]}]});
    world.api::<Endpoints>().create(&PostParams::default(), &serde_json::from_value(endpoints).unwrap()).await.unwrap();
    let own = json!({"metadata": {"name": "own", "labels": {"kubernetes.io/service-name": "db"}}, "addressType": "IPv4",
        "ports": [{"port": 5433}], "endpoints": [{"addresses": ["10.0.0.8"], "conditions": {"ready": true}}]});
    world.api::<EndpointSlice>().create(&PostParams::default(), &serde_json::from_value(own).unwrap()).await.unwrap();
    world.service("db", json!({"ports": [{"port": 5432}]})).await;
    world.until_ready("db", &["10.0.0.7:5432", "10.0.0.8:5433"]).await;
    let patch = json!({"subsets": [{"addresses": [{"ip": "10.0.0.9"}], "ports": [{"port": 5432}]}]});
    world.api::<Endpoints>().patch("db", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    world.until_ready("db", &["10.0.0.8:5433", "10.0.0.9:5432"]).await;
    let skip = json!({"metadata": {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}});
    world.api::<Endpoints>().patch("db", &PatchParams::default(), &Patch::Merge(skip)).await.unwrap();
    world.until_ready("db", &["10.0.0.8:5433"]).await;
    world.stop().await;
}

#[tokio::test]
async fn a_load_balancer_is_its_own_address() {
    let world = World::start().await;
    let service = world.service("lb", json!({"type": "LoadBalancer", "selector": {"app": "x"}, "ports": [{"port": 80}]})).await;
    let address = service.spec.unwrap().cluster_ip.unwrap();
    let ip = |service: Option<&Service>| {
        let ingress = service?.status.as_ref()?.load_balancer.as_ref()?.ingress.as_ref()?.first()?;
        ingress.ip.clone()
    };
    let told = |service: Option<&Service>| ip(service).as_deref() == Some(&address);
    tokio::time::timeout(BOUND, await_condition(world.api::<Service>(), "lb", told)).await.unwrap().unwrap();
    let patch = Patch::Merge(json!({"spec": {"type": "ClusterIP"}}));
    world.api::<Service>().patch("lb", &PatchParams::default(), &patch).await.unwrap();
    let untold = |service: Option<&Service>| service.is_some() && ip(service).is_none();
    tokio::time::timeout(BOUND, await_condition(world.api::<Service>(), "lb", untold)).await.unwrap().unwrap();
    world.stop().await;
}

#[tokio::test]
async fn a_service_that_cannot_be_written_delays_no_other_and_is_written_once_it_can_be() {
    let obstacle = Obstacle::new(|request| request.uri().path() == "/api/v1/namespaces/n/services/bad/status");
    let world = World::through(|client| obstacle.before(client)).await;
    let begin = tokio::time::Instant::now();
    world.service("bad", json!({"type": "LoadBalancer", "selector": {"app": "x"}, "ports": [{"port": 80}]})).await;
    obstacle.until_refused(1).await;
    world.service("web", json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]})).await;
    let mut expected = Vec::new();
    for number in 1..=8 {
        // Also what changes at the bad one itself does not bring its turn forward.
        let patch = Patch::Merge(json!({"metadata": {"labels": {"round": number.to_string()}}}));
        world.api::<Service>().patch("bad", &PatchParams::default(), &patch).await.unwrap();
        world.pod(&format!("p{number}"), &format!("127.10.0.{number}"), true, 8080).await;
        expected.push(format!("127.10.0.{number}:8080"));
        world.until_ready("web", &expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    // At the beginning, after one second, after three, after seven.
    let (attempts, time) = (obstacle.refused(), begin.elapsed());
    assert!(attempts <= 1 + (time.as_secs() + 1).ilog2() as usize, "{attempts} attempts in {time:?}");
    obstacle.remove();
    let told =
        |service: Option<&Service>| service.and_then(|service| service.status.as_ref()?.load_balancer.as_ref()?.ingress.as_ref()).is_some();
    tokio::time::timeout(BOUND, await_condition(world.api::<Service>(), "bad", told)).await.unwrap().unwrap();
    world.stop().await;
}

fn service(spec: Value) -> Service {
    serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "n", "uid": "u"}, "spec": spec})).unwrap()
}

fn pod(number: u32, ready: bool) -> PodFacts {
    PodFacts {
        name: format!("p{number}"),
        uid: format!("u{number}"),
        address: Some(std::net::Ipv4Addr::from(0x7f0a_0000 + number)),
        ready,
        ..PodFacts::default()
    }
}

#[test]
fn a_slice_holds_a_hundred_endpoints_and_is_named_alike_each_time() {
    let pods: Vec<PodFacts> = (1..=250).map(|number| pod(number, true)).collect();
    let pods: Vec<&PodFacts> = pods.iter().collect();
    let service = service(json!({"selector": {"a": "b"}, "ports": [{"port": 80}]}));
    let slices = plan::slices(&service, &pods);
    assert_eq!(slices.iter().map(|slice| slice.endpoints.as_ref().unwrap().len()).collect::<Vec<_>>(), [100, 100, 50]);
    let names: std::collections::HashSet<String> = slices.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|name| name.starts_with("web-") && name.len() == 9), "{names:?}");
    assert_eq!(slices, plan::slices(&service, &pods));
}

#[test]
fn what_is_not_ready_is_published_where_the_service_says_so() {
    let mut spec = json!({"clusterIP": "None", "selector": {"a": "b"}, "ports": [{"port": 80}], "publishNotReadyAddresses": true});
    let unready = pod(1, false);
    let (labels, subsets) = plan::endpoints(&service(spec.clone()), &[&unready]);
    assert_eq!(labels["service.kubernetes.io/headless"], "");
    assert_eq!(subsets[0].addresses.as_ref().unwrap()[0].ip, "127.10.0.1");
    spec["publishNotReadyAddresses"] = json!(false);
    let (_, subsets) = plan::endpoints(&service(spec), &[&unready]);
    assert!(subsets[0].addresses.is_none());
    assert_eq!(subsets[0].not_ready_addresses.as_ref().unwrap()[0].ip, "127.10.0.1");
}
