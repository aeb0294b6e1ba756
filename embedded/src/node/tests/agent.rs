//! The agent against the real API, in process.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, PersistentVolumeClaim, Pod};
use kube::api::{Api, DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::{Condition, await_condition, conditions};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::{Api as Server, ApiOptions};
use crate::node::options::PodNetwork;
use crate::node::pod::tests::world::plain_launcher;
use crate::node::testing::Folder;
use crate::node::{Agent, Images, NodeOptions, Program};
use crate::store::Store;
use crate::user::User;

const BOUND: Duration = Duration::from_secs(20);

struct World {
    server: Server,
    client: Client,
    folder: Arc<Folder>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl World {
    async fn start() -> Self {
        let server = Server::new(Store::in_memory(), ApiOptions::default());
        let namespaces: Api<Namespace> = Api::all(server.client(User::admin()));
        let namespace = serde_json::from_value(json!({"metadata": {"name": "n"}})).unwrap();
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
        Self::over(server, Arc::new(Folder::new()))
    }
    fn over(server: Server, folder: Arc<Folder>) -> Self {
        Self::over_network(server, folder, PodNetwork::default())
    }
    fn over_network(server: Server, folder: Arc<Folder>, network: PodNetwork) -> Self {
        let client = server.client(User::admin());
        let program = Program { path: "/bin/sh".into(), arguments: vec!["-c".into()], ..Program::default() };
        let options = NodeOptions::new(folder.path(), Images::new().with("shell", program), plain_launcher());
        let agent = Agent::new(client.clone(), NodeOptions { network, ..options });
        server.set_node(agent.node());
        let shutdown = CancellationToken::new();
        let running = agent.run(shutdown.clone());
        Self { server, client, folder, shutdown, task: tokio::spawn(async move { running.await.unwrap() }) }
    }
    async fn stop(self) -> (Server, Arc<Folder>) {
        self.shutdown.cancel();
        tokio::time::timeout(BOUND, self.task).await.unwrap().unwrap();
        (self.server, self.folder)
    }
    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), "n")
    }
    async fn create(&self, name: &str, text: &str, more: Value) -> Pod {
        let mut pod = json!({"metadata": {"name": name}, "spec": {"terminationGracePeriodSeconds": 5, "containers": [{"name": "c", "image": "shell", "args": [text]}]}});
        json_patch::merge(&mut pod, &more);
        self.pods().create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap()
    }
    async fn until(&self, name: &str, what: &str, holds: impl Fn(&Pod) -> bool) -> Pod {
        let reached = await_condition(self.pods(), name, |pod: Option<&Pod>| pod.is_some_and(&holds));
        tokio::time::timeout(BOUND, reached).await.unwrap_or_else(|_| panic!("{name} never: {what}")).unwrap().unwrap()
    }
    async fn until_running(&self, name: &str) -> Pod {
        self.until(name, "running", |pod| conditions::is_pod_running().matches_object(Some(pod))).await
    }
}

const FOREVER: &str = "echo up; while :; do sleep 0.05; done";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_is_bound_runs_is_read_and_goes_with_its_object() {
    let world = World::start().await;
    world.create("p", FOREVER, json!({})).await;
    let pod = world.until_running("p").await;
    assert_eq!(pod.spec.as_ref().unwrap().node_name.as_deref(), Some("switchboard"));
    let address = pod.status.as_ref().unwrap().pod_ip.clone().unwrap();
    assert!(address.starts_with("127.20."), "{address}");
    world.create("q", FOREVER, json!({})).await;
    let other = world.until_running("q").await;
    assert_ne!(other.status.unwrap().pod_ip.unwrap(), address);
    let log = async {
        loop {
            let text = world.pods().logs("p", &LogParams::default()).await.unwrap();
            if !text.is_empty() {
                break text;
            }
        }
    };
    assert_eq!(tokio::time::timeout(BOUND, log).await.unwrap(), "up\n");
    let uid = pod.uid().unwrap();
    world.pods().delete("p", &DeleteParams::default()).await.unwrap();
    tokio::time::timeout(BOUND, await_condition(world.pods(), "p", conditions::is_deleted(&uid))).await.unwrap().unwrap();
    let events: Api<Event> = Api::namespaced(world.client.clone(), "n");
    let killing = async {
        loop {
            let all = events.list(&ListParams::default()).await.unwrap();
            let mut reasons: Vec<String> =
                all.items.iter().filter(|e| e.involved_object.name.as_deref() == Some("p")).filter_map(|e| e.reason.clone()).collect();
            reasons.sort();
            if reasons.iter().any(|reason| reason == "Killing") {
                break reasons;
            }
        }
    };
    assert_eq!(tokio::time::timeout(BOUND, killing).await.unwrap(), ["Created", "Killing", "Pulled", "Scheduled", "Started"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_config_map_reaches_a_running_pod_whose_annotation_says_so() {
    let world = World::start().await;
    let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), "n");
    let map = json!({"metadata": {"name": "m"}, "data": {"key": "old", "gone": "x"}});
    maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
    let text = "until grep -q new /etc/m/key && [ ! -e /etc/m/gone ]; do sleep 0.05; done";
    let mounted = json!({"spec": {"restartPolicy": "Never", "volumes": [{"name": "v", "configMap": {"name": "m"}}], "containers": [{
        "name": "c", "image": "shell", "args": [text], "volumeMounts": [{"name": "v", "mountPath": "/etc/m"}]
    }]}});
    world.create("p", text, mounted).await;
    world.until_running("p").await;
    let parameters = PatchParams::default();
    maps.patch("m", &parameters, &Patch::Merge(json!({"data": {"key": "new", "gone": null}}))).await.unwrap();
    world.pods().patch("p", &parameters, &Patch::Merge(json!({"metadata": {"annotations": {"look": "again"}}}))).await.unwrap();
    world.until("p", "succeeded", |pod| pod.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Succeeded"))).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_agent_continues_with_the_same_pods_and_leaves_the_node_as_it_is() {
    let world = World::start().await;
    world.create("p", FOREVER, json!({})).await;
    let before = world.until_running("p").await;
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), "kube-node-lease");
    let lease = await_condition(leases, "switchboard", |lease: Option<&Lease>| lease.is_some());
    tokio::time::timeout(BOUND, lease).await.unwrap().unwrap();
    let nodes: Api<Node> = Api::all(world.client.clone());
    let version = nodes.get("switchboard").await.unwrap().resource_version();
    let (server, folder) = world.stop().await;
    let world = World::over(server, folder);
    let restarted =
        |pod: &Pod| pod.status.as_ref().and_then(|s| s.container_statuses.as_ref()).is_some_and(|all| all[0].restart_count == 1);
    let after = world.until("p", "restarted", restarted).await;
    assert_eq!((after.uid(), after.status.unwrap().pod_ip), (before.uid(), before.status.unwrap().pod_ip));
    assert_eq!(
        nodes.get("switchboard").await.unwrap().resource_version(),
        version,
        "nothing new to say of the node, so nothing is written"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followed_logs_end_with_the_container() {
    let world = World::start().await;
    world.create("p", "for i in 1 2 3; do echo $i; sleep 0.1; done", json!({"spec": {"restartPolicy": "Never"}})).await;
    world
        .until("p", "begun", |pod| {
            pod.status
                .as_ref()
                .and_then(|s| s.container_statuses.as_ref())
                .is_some_and(|all| all[0].state.as_ref().is_some_and(|s| s.waiting.is_none()))
        })
        .await;
    use futures::AsyncBufReadExt;
    let stream = world.pods().log_stream("p", &LogParams { follow: true, ..LogParams::default() }).await.unwrap();
    let lines: Vec<String> = tokio::time::timeout(BOUND, stream.lines().try_collect()).await.unwrap().unwrap();
    assert_eq!(lines, ["1", "2", "3"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_is_bound_and_a_selector_that_fits_no_node_is_explained() {
    let world = World::start().await;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(world.client.clone(), "n");
    let claim =
        json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    claims.create(&PostParams::default(), &serde_json::from_value(claim).unwrap()).await.unwrap();
    let bound =
        |claim: Option<&PersistentVolumeClaim>| claim.and_then(|c| c.status.as_ref()).is_some_and(|s| s.phase.as_deref() == Some("Bound"));
    tokio::time::timeout(BOUND, await_condition(claims, "c", bound)).await.unwrap().unwrap();
    world.create("p", "true", json!({"spec": {"nodeSelector": {"disk": "ssd"}}})).await;
    let explained = |pod: &Pod| {
        let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
        conditions
            .into_iter()
            .flatten()
            .any(|c| c.reason.as_deref() == Some("Unschedulable") && c.message.as_ref().unwrap().contains("disk=ssd"))
    };
    world.until("p", "explained", explained).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_without_an_address_starts_when_another_gives_its_own_back() {
    let (server, folder) = World::start().await.stop().await;
    let world = World::over_network(server, folder, PodNetwork { first: std::net::Ipv4Addr::new(127, 9, 9, 9), count: 1 });
    world.create("first", FOREVER, json!({})).await;
    world.until_running("first").await;
    world.create("second", FOREVER, json!({})).await;
    let events: Api<Event> = Api::namespaced(world.client.clone(), "n");
    let refused = async {
        while !events
            .list(&ListParams::default())
            .await
            .unwrap()
            .iter()
            .any(|event| event.reason.as_deref() == Some("FailedCreatePodSandBox"))
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, refused).await.unwrap();
    world.pods().delete("first", &DeleteParams::default()).await.unwrap();
    world.until_running("second").await;
    world.stop().await;
}
