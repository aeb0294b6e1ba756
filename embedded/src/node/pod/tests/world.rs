//! A cluster in memory, for one pod.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::node::api::LocalNode;
use crate::node::options::{ApiServer, Images, Launcher, NodeOptions, Program, RestartDelays};
use crate::node::pod::worker::Shared;
use crate::node::pod::{Cluster, Note, Wanted, Worker, Written};
use crate::node::process::Spawner;
use crate::node::testing::Folder;

const BOUND: Duration = Duration::from_secs(20);

#[derive(Default)]
pub struct Memory {
    pub config_maps: Mutex<Vec<ConfigMap>>,
    pub secrets: Mutex<Vec<Secret>>,
    pub accounts: Mutex<Vec<ServiceAccount>>,
    pub services: Mutex<Vec<Service>>,
    pub notes: Mutex<Vec<Note>>,
    pub writes: Mutex<Vec<Value>>,
    status: watch::Sender<Value>,
    pub removed: watch::Sender<bool>,
}

impl Cluster for Memory {
    fn config_map<'a>(&'a self, _: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<ConfigMap>, String>> {
        let found = self.config_maps.lock().unwrap().iter().find(|map| map.metadata.name.as_deref() == Some(name)).cloned();
        async move { Ok(found) }.boxed()
    }
    fn secret<'a>(&'a self, _: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, String>> {
        let found = self.secrets.lock().unwrap().iter().find(|map| map.metadata.name.as_deref() == Some(name)).cloned();
        async move { Ok(found) }.boxed()
    }
    fn claim<'a>(&'a self, _: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<PersistentVolumeClaim>, String>> {
        let claim = serde_json::from_value(json!({"metadata": {"name": name, "uid": format!("claim-{name}")}})).unwrap();
        async move { Ok(Some(claim)) }.boxed()
    }
    fn service_account<'a>(&'a self, _: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<ServiceAccount>, String>> {
        let found = self.accounts.lock().unwrap().iter().find(|account| account.metadata.name.as_deref() == Some(name)).cloned();
        async move { Ok(found) }.boxed()
    }
    fn services<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<Service>, String>> {
        let all = self.services.lock().unwrap().clone();
        async move { Ok(all) }.boxed()
    }
    fn token<'a>(&'a self, _: &'a Pod, _: Option<&'a str>, _: Option<i64>) -> BoxFuture<'a, Result<String, String>> {
        async { Ok("token".to_owned()) }.boxed()
    }
    fn write_status<'a>(&'a self, _: &'a Pod, status: Value) -> BoxFuture<'a, Result<Written, String>> {
        self.writes.lock().unwrap().push(status.clone());
        self.status.send_modify(|whole| json_patch::merge(whole, &status));
        async { Ok(Written::Yes) }.boxed()
    }
    fn remove<'a>(&'a self, _: &'a Pod) -> BoxFuture<'a, Result<Written, String>> {
        self.removed.send_replace(true);
        async { Ok(Written::Yes) }.boxed()
    }
    fn note(&self, _: &Pod, note: Note) {
        self.notes.lock().unwrap().push(note);
    }
}

/// One pod on a node, with everything it touches.
pub struct World {
    pub cluster: Arc<Memory>,
    pub shared: Arc<Shared>,
    pub folder: Arc<Folder>,
    pub updates: watch::Sender<Wanted>,
    pub shutdown: CancellationToken,
    pub pod: Value,
    pub task: JoinHandle<()>,
}

/// A launcher that needs no binary of ours.
pub fn plain_launcher() -> Launcher {
    Launcher {
        program: "/bin/sh".into(),
        arguments: vec![
            "-c".into(),
            "shift; if [ \"$1\" = --terminal ]; then shift; exec setsid -c -w \"$@\"; fi; exec \"$@\"".into(),
            "sh".into(),
        ],
    }
}

pub fn pod(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n", "uid": uuid::Uuid::new_v4().to_string(), "labels": {"app": "x"}}, "spec": spec})
}

/// A pod with one container that runs this shell text.
pub fn shell(policy: &str, text: &str, more: Value) -> Value {
    let mut container = json!({"name": "c", "image": "shell:1", "args": [text]});
    json_patch::merge(&mut container, &more);
    pod(json!({"restartPolicy": policy, "terminationGracePeriodSeconds": 5, "containers": [container]}))
}

impl World {
    pub fn start(pod: Value) -> Self {
        Self::start_in(Arc::new(Folder::new()), Arc::new(Memory::default()), pod, plain_launcher())
    }

    pub fn start_in(folder: Arc<Folder>, cluster: Arc<Memory>, pod: Value, launcher: Launcher) -> Self {
        let program = Program { path: "/bin/sh".into(), arguments: vec!["-c".into()], ..Program::default() };
        let mut options = NodeOptions::new(folder.path(), Images::new().with("shell", program), launcher);
        options.restarts =
            RestartDelays { second: Duration::from_millis(50), longest: Duration::from_millis(200), ..RestartDelays::default() };
        // The worlds of most tests have no service accounts, and so no API server.
        options.api_server = (!cluster.accounts.lock().unwrap().is_empty()).then(|| ApiServer {
            url: "https://127.0.0.1:6550".to_owned(),
            authority: "PEM".to_owned(),
            service: std::net::SocketAddrV4::new(Ipv4Addr::new(127, 10, 128, 1), 443),
        });
        let shared = Arc::new(Shared {
            spawner: Arc::new(Spawner::start(options.launcher.clone()).unwrap()),
            options,
            cluster: Arc::clone(&cluster) as Arc<dyn Cluster>,
            node: LocalNode::default(),
        });
        let parsed: Arc<Pod> = Arc::new(serde_json::from_value(pod.clone()).unwrap());
        let (updates, wanted) = watch::channel(Wanted::Live(Arc::clone(&parsed)));
        let shutdown = CancellationToken::new();
        let worker = Worker::new(Arc::clone(&shared), parsed, Ipv4Addr::new(127, 7, 7, 7), wanted, shutdown.clone());
        let task = tokio::spawn(async move { worker.run().await.unwrap() });
        Self { cluster, shared, folder, updates, shutdown, pod, task }
    }

    pub async fn until(&self, what: &str, holds: impl FnMut(&Value) -> bool) -> Value {
        let mut status = self.cluster.status.subscribe();
        let found = tokio::time::timeout(BOUND, status.wait_for(holds)).await;
        let found = found.map(|found| found.unwrap().clone());
        found.unwrap_or_else(|_| panic!("not within {BOUND:?}: {what}; status: {:#}", *self.cluster.status.borrow()))
    }

    pub async fn until_phase(&self, phase: &str) -> Value {
        self.until(phase, |status| status["phase"] == phase).await
    }

    pub async fn until_ready(&self) -> Value {
        self.until("Ready", |status| condition(status, "Ready") == "True").await
    }

    /// The API server marks the pod as being deleted.
    pub fn delete(&mut self, grace: i64) {
        self.pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        self.pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        self.updates.send_replace(Wanted::Live(Arc::new(serde_json::from_value(self.pod.clone()).unwrap())));
    }

    pub async fn until_removed(&mut self) {
        tokio::time::timeout(BOUND, self.cluster.removed.subscribe().wait_for(|removed| *removed)).await.unwrap().unwrap();
        self.updates.send_replace(Wanted::Gone);
        tokio::time::timeout(BOUND, &mut self.task).await.unwrap().unwrap();
    }

    pub async fn log(&self, selection: crate::node::LogRequest) -> String {
        use crate::node::Node;
        use futures::TryStreamExt;
        let request = crate::node::LogRequest { namespace: "n".into(), pod: "p".into(), ..selection };
        let pieces: Vec<bytes::Bytes> = self.shared.node.logs(request).await.map_err(|e| e.message).unwrap().try_collect().await.unwrap();
        String::from_utf8(pieces.concat()).unwrap()
    }

    pub fn reasons(&self) -> Vec<&'static str> {
        self.cluster.notes.lock().unwrap().iter().map(|note| note.reason).collect()
    }

    pub fn pod_folder(&self) -> std::path::PathBuf {
        self.folder.path().join("pods").join(self.pod["metadata"]["uid"].as_str().unwrap())
    }
}

pub fn condition<'a>(status: &'a Value, kind: &str) -> &'a str {
    let all = status["conditions"].as_array();
    all.into_iter().flatten().find(|one| one["type"] == kind).and_then(|one| one["status"].as_str()).unwrap_or_default()
}

pub fn alive(pid: i32) -> bool {
    // A process that has ended but was not waited for is dead all the same.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

/// Waits until a process has ended.
pub async fn until_dead(pid: i32) {
    let wait = async {
        while alive(pid) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, wait).await.unwrap_or_else(|_| panic!("process {pid} still lives"));
}
