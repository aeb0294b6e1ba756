//! The controllers against the real API, in process, with a node that only pretends: images named `good` become ready, `done` succeeds,
//! `broken` fails, and all others never start.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::runtime::watcher::{self, Event};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::{Api as Server, ApiOptions};
use crate::controllers::{Options, run};
use crate::store::Store;
use crate::user::User;

const BOUND: Duration = Duration::from_secs(30);

struct World {
    server: Server,
    client: Client,
    shutdown: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl World {
    async fn start() -> Self {
        let server = Server::new(Store::in_memory(), ApiOptions::default());
        let namespaces: Api<Namespace> = Api::all(server.client(User::admin()));
        namespaces.create(&PostParams::default(), &of(json!({"metadata": {"name": "n"}}))).await.unwrap();
        Self::over(server)
    }

    fn over(server: Server) -> Self {
        let (client, shutdown) = (server.client(User::admin()), CancellationToken::new());
        let running = run(client.clone(), Options::default(), shutdown.clone());
        let (node, stop) = (pretend(Api::all(client.clone()), client.clone()), shutdown.clone());
        let node = async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = node => {}
            }
        };
        let tasks = vec![tokio::spawn(async move { running.await.unwrap() }), tokio::spawn(node)];
        Self { server, client, shutdown, tasks }
    }

    fn api<K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), "n")
    }

    async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug + serde::Serialize,
    {
        self.api::<K>().create(&PostParams::default(), &of(object)).await.unwrap()
    }

    async fn patch<K>(&self, name: &str, patch: Value)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    async fn until<K>(&self, name: &str, what: &str, holds: impl Fn(&K) -> bool) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let reached = await_condition(self.api::<K>(), name, |object: Option<&K>| object.is_some_and(&holds));
        let Ok(reached) = tokio::time::timeout(BOUND, reached).await else {
            panic!("{name} never: {what}; it is {:#?}", self.api::<K>().get_opt(name).await);
        };
        reached.unwrap().unwrap()
    }

    async fn until_gone<K>(&self, name: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let gone = await_condition(self.api::<K>(), name, |object: Option<&K>| object.is_none());
        tokio::time::timeout(BOUND, gone).await.unwrap_or_else(|_| panic!("{name} is still there")).unwrap();
    }

    async fn until_pods(&self, selector: &str, what: &str, holds: impl Fn(&[Pod]) -> bool) -> Vec<Pod> {
        let began = tokio::time::Instant::now();
        loop {
            let pods = self.api::<Pod>().list(&ListParams::default().labels(selector)).await.unwrap().items;
            if holds(&pods) {
                return pods;
            }
            assert!(began.elapsed() < BOUND, "pods {selector} never: {what}; they are {:?}", pods.iter().map(summary).collect::<Vec<_>>());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn stop(self) -> Server {
        self.shutdown.cancel();
        for task in self.tasks {
            tokio::time::timeout(BOUND, task).await.unwrap().unwrap();
        }
        self.server
    }
}

fn of<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn image(pod: &Pod) -> String {
    pod.spec.as_ref().unwrap().containers[0].image.clone().unwrap_or_default()
}

fn summary(pod: &Pod) -> String {
    format!("{} {} {:?}", pod.name_any(), image(pod), pod.status.as_ref().and_then(|status| status.phase.clone()))
}

/// A node without processes.
async fn pretend(all: Api<Pod>, client: Client) {
    let mut pods = watcher::watcher(all, watcher::Config::default()).boxed();
    while let Some(event) = pods.next().await {
        let (Ok(Event::Apply(pod)) | Ok(Event::InitApply(pod))) = event else { continue };
        let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap());
        if pod.metadata.deletion_timestamp.is_some() {
            let _ = api.delete(&pod.name_any(), &DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() }).await;
            continue;
        }
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let status = match image(&pod).as_str() {
            "good" => json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}]}),
            "done" => json!({"phase": "Succeeded"}),
            "broken" => json!({"phase": "Failed"}),
            _ => continue,
        };
        if pod.status.as_ref().and_then(|status| status.phase.as_deref()) == status["phase"].as_str() {
            continue;
        }
        let _ = api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(json!({ "status": status }))).await;
    }
}

fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}})
}

fn web(image: &str, replicas: i32) -> Value {
    json!({"metadata": {"name": "web"}, "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template(image)}})
}

fn is_through(deployment: &Deployment) -> bool {
    let (Some(status), wanted) = (&deployment.status, deployment.spec.replicas) else { return false };
    status.observed_generation == deployment.metadata.generation
        && [status.replicas, status.updated_replicas, status.available_replicas].iter().all(|number| number.or(Some(0)) == wanted)
        && status.conditions.iter().flatten().any(|one| one.reason.as_deref() == Some("NewReplicaSetAvailable"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_rolls_out_is_blocked_by_a_bad_template_and_goes_back() {
    let world = World::start().await;
    world.create::<Deployment>(web("good", 3)).await;
    let first = world.until("web", "rolled out", is_through).await;
    assert_eq!(first.annotations()["deployment.kubernetes.io/revision"], "1");
    let before: Vec<String> =
        world.until_pods("app=web", "three", |pods| pods.len() == 3).await.iter().map(ResourceExt::name_any).collect();
    world.patch::<Deployment>("web", json!({"spec": {"template": template("bad")}})).await;
    let bad = |pods: &[Pod]| pods.iter().filter(|pod| image(pod) == "bad").count() == 1;
    let pods = world.until_pods("app=web", "one bad pod", bad).await;
    assert!(before.iter().all(|name| pods.iter().any(|pod| pod.name_any() == *name)), "the old pods stay");
    world.until::<Deployment>("web", "second revision", |one| one.annotations()["deployment.kubernetes.io/revision"] == "2").await;
    world.patch::<Deployment>("web", json!({"spec": {"template": template("good")}})).await;
    world.until("web", "back", |one: &Deployment| is_through(one) && one.annotations()["deployment.kubernetes.io/revision"] == "3").await;
    world.until_pods("app=web", "the same three", |pods| pods.len() == 3 && pods.iter().all(|pod| before.contains(&pod.name_any()))).await;
    let sets = world.api::<ReplicaSet>().list(&ListParams::default()).await.unwrap().items;
    assert_eq!(sets.len(), 2);
    // At rest nothing is written: whatever still was on its way would have changed the Deployment's version.
    let again = world.until("web", "nothing left to do", is_through).await;
    let server = world.stop().await;
    let revision = server.store().revision();
    let world = World::over(server);
    world
        .create::<Deployment>(json!({"metadata": {"name": "other"}, "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "x"}},
        "template": {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "good"}]}}}}))
        .await;
    world.until("other", "looked at", is_through).await;
    let same = world.api::<Deployment>().get("web").await.unwrap();
    assert_eq!(same.resource_version(), again.resource_version());
    assert!(same.resource_version().unwrap().parse::<u64>().unwrap() <= revision);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica_sets_replace_adopt_release_and_go_with_their_pods_or_leave_them() {
    let world = World::start().await;
    let orphan =
        json!({"metadata": {"name": "orphan", "labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "good"}]}});
    world.create::<Pod>(orphan).await;
    let set = json!({"metadata": {"name": "set"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template("good")}});
    let set: ReplicaSet = world.create(set).await;
    let owned =
        |pod: &Pod| pod.owner_references().iter().any(|owner| Some(&owner.uid) == set.uid().as_ref() && owner.controller == Some(true));
    let pods = world.until_pods("app=web", "two that are owned", |pods| pods.len() == 2 && pods.iter().all(owned)).await;
    assert!(pods.iter().any(|pod| pod.name_any() == "orphan"));
    world.until::<ReplicaSet>("set", "ready", |set| set.status.as_ref().is_some_and(|status| status.available_replicas == Some(2))).await;
    world.patch::<Pod>("orphan", json!({"metadata": {"labels": {"app": "other"}}})).await;
    world.until::<Pod>("orphan", "released", |pod| pod.owner_references().is_empty()).await;
    world.until_pods("app=web", "two again", |pods| pods.len() == 2 && pods.iter().all(owned)).await;
    world
        .api::<ReplicaSet>()
        .delete("set", &DeleteParams { propagation_policy: Some(kube::api::PropagationPolicy::Orphan), ..DeleteParams::default() })
        .await
        .unwrap();
    world.until_gone::<ReplicaSet>("set").await;
    world
        .until_pods("app=web", "two that are free", |pods| pods.len() == 2 && pods.iter().all(|pod| pod.owner_references().is_empty()))
        .await;
    world.create::<Deployment>(json!({"metadata": {"name": "web"}, "spec": {"replicas": 1, "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": {"app": "d"}}, "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": "good"}]}}}})).await;
    world.until("web", "rolled out", is_through).await;
    world.api::<Deployment>().delete("web", &DeleteParams::foreground()).await.unwrap();
    world.until_gone::<Deployment>("web").await;
    assert!(world.api::<Pod>().list(&ListParams::default().labels("app=d")).await.unwrap().items.is_empty(), "its pods went first");
    world.stop().await;
}

fn holds(job: &Job, kind: &str) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == kind && condition.status == "True")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_complete_fail_and_leave_nothing_that_cannot_be_deleted() {
    let world = World::start().await;
    let job = |name: &str, image: &str, more: Value| {
        let mut job = json!({"metadata": {"name": name}, "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": image}]}}}});
        json_patch::merge(&mut job, &more);
        job
    };
    world.create::<Job>(job("good", "done", json!({"spec": {"completions": 5, "parallelism": 2}}))).await;
    let good = world.until::<Job>("good", "complete", |job| holds(job, "Complete")).await.status.unwrap();
    assert_eq!((good.succeeded, good.failed, good.active), (Some(5), None, None));
    let pods = world.until_pods("batch.kubernetes.io/job-name=good", "five", |pods| pods.len() == 5).await;
    assert!(pods.iter().all(|pod| pod.finalizers().is_empty()), "all are counted");
    world.create::<Job>(job("bad", "broken", json!({"spec": {"backoffLimit": 1}}))).await;
    let bad = world.until::<Job>("bad", "failed", |job| holds(job, "Failed")).await.status.unwrap();
    assert_eq!((bad.succeeded, bad.failed), (None, Some(2)));
    // One that runs is taken away with its Job, though it is not counted.
    world.create::<Job>(job("long", "good", json!({}))).await;
    world.until::<Job>("long", "active", |job| job.status.as_ref().is_some_and(|status| status.ready == Some(1))).await;
    for name in ["good", "bad", "long"] {
        world.api::<Job>().delete(name, &DeleteParams::background()).await.unwrap();
        world.until_gone::<Job>(name).await;
        world.until_pods(&format!("batch.kubernetes.io/job-name={name}"), "none", |pods| pods.is_empty()).await;
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_knows_how_many_pods_may_go() {
    let world = World::start().await;
    world
        .create::<PodDisruptionBudget>(
            json!({"metadata": {"name": "b"}, "spec": {"minAvailable": "50%", "selector": {"matchLabels": {"app": "web"}}}}),
        )
        .await;
    world.create::<Deployment>(web("good", 4)).await;
    let two = |budget: &PodDisruptionBudget| budget.status.as_ref().is_some_and(|status| status.disruptions_allowed == Some(2));
    let status = world.until("b", "two may go", two).await.status.unwrap();
    assert_eq!((status.expected_pods, status.current_healthy, status.desired_healthy), (Some(4), Some(4), Some(2)));
    world.stop().await;
}
