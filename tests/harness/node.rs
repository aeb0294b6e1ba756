//! A node for simulated systems on any API server: the node agent of the embedded plane, which runs pods as local processes, and a scheduler
//! that knows this one node.

use std::net::Ipv4Addr;
use std::path::Path;
use std::thread::JoinHandle;

use embedded::node::{Agent, Images, Launcher, NodeOptions, PodNetwork, Program};
use futures::StreamExt as _;
use http::Request;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, PodSpec};
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Config, ResourceExt as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::switchboard::program;

/// The word that makes the program a launcher of pods.
const LAUNCHER: &str = "pod-launcher";
/// Image of simulated systems.
const IMAGE: &str = "switchboard";
/// Name of the node.
pub const NAME: &str = "switchboard-tests";
/// Marks the volumes that are made for claims.
pub const VOLUMES: &str = "switchboard.dev/tests-volume";

/// A running node agent. It and all its pods end with this value.
#[derive(Debug)]
pub struct Node {
    shutdown: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    /// Starts it. Pods and disks are in `node` below the folder; their addresses are those that belong to the port.
    /// Where the cluster keeps volumes, each claim gets one that says so, because the agent needs none.
    pub fn start(data: &Path, kubeconfig: &Path, port: u16, volumes: bool) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (shutdown, folder) = (CancellationToken::new(), data.join("node"));
        let (stop, kubeconfig) = (shutdown.clone(), Kubeconfig::read_from(kubeconfig).unwrap());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async {
                let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
                let client = Client::try_from(config).unwrap();
                let images = Images::new().with(IMAGE, Program { path: program(), ..Program::default() });
                let launcher = Launcher { program: program(), arguments: vec![LAUNCHER.to_owned()] };
                let [high, low] = port.to_be_bytes();
                let network = PodNetwork { first: Ipv4Addr::new(127, high, low, 1), count: 254 };
                let options = NodeOptions { name: NAME.to_owned(), network, ..NodeOptions::new(folder, images, launcher) };
                let scheduling = tokio::spawn(schedule(client.clone(), stop.clone()));
                let providing = volumes.then(|| tokio::spawn(provide(client.clone(), stop.clone())));
                if let Err(error) = Agent::new(client, options).run(stop).await {
                    eprintln!("the node agent ended: {error}");
                }
                scheduling.abort();
                providing.inspect(tokio::task::JoinHandle::abort);
            });
        });
        Self { shutdown, thread: Some(thread) }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Binds every pod of the simulator to the node, as a scheduler does.
async fn schedule(client: Client, stop: CancellationToken) {
    let pods: Api<Pod> = Api::all(client.clone());
    let mut events = watcher::watcher(pods, watcher::Config::default()).boxed();
    while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
        let (Ok(Event::Apply(pod)) | Ok(Event::InitApply(pod))) = event else { continue };
        let ours =
            |spec: &PodSpec| spec.node_name.is_none() && spec.containers.iter().all(|container| container.image.as_deref() == Some(IMAGE));
        if pod.spec.as_ref().is_some_and(ours) && pod.metadata.deletion_timestamp.is_none() {
            bind(&client, &pod).await;
        }
    }
}

/// Makes a volume for every claim, so that a cluster's own controller of volumes lets it be.
async fn provide(client: Client, stop: CancellationToken) {
    let claims: Api<PersistentVolumeClaim> = Api::all(client.clone());
    let volumes: Api<PersistentVolume> = Api::all(client);
    let mut events = watcher::watcher(claims, watcher::Config::default()).boxed();
    while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
        let (Ok(Event::Apply(claim)) | Ok(Event::InitApply(claim))) = event else { continue };
        let Some(spec) = claim.spec.as_ref().filter(|spec| spec.volume_name.is_none() && claim.metadata.deletion_timestamp.is_none())
        else {
            continue;
        };
        let name = format!("{NAME}-{}", claim.uid().unwrap_or_default());
        let volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name, "labels": {VOLUMES: "true"}},
            "spec": {
                "accessModes": spec.access_modes, "capacity": spec.resources.as_ref().and_then(|resources| resources.requests.clone()),
                "storageClassName": spec.storage_class_name, "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": "/unused-by-the-node-agent-of-the-tests"},
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.namespace(), "name": claim.name_any(), "uid": claim.uid()},
            },
        });
        match volumes.create(&PostParams::default(), &serde_json::from_value(volume).unwrap()).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => eprintln!("there is no volume for the claim {}: {error}", claim.name_any()),
            Ok(_) => {}
        }
    }
}

async fn bind(client: &Client, pod: &Pod) {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, "namespace": namespace, "uid": pod.uid()},
        "target": {"apiVersion": "v1", "kind": "Node", "name": NAME},
    });
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/binding");
    let request = Request::post(path).header("content-type", "application/json").body(binding.to_string().into_bytes()).unwrap();
    // A pod that is gone, or bound already, needs nothing.
    if let Err(error) = client.request::<Value>(request).await {
        eprintln!("the pod {namespace}/{name} was not bound: {error}");
    }
}
