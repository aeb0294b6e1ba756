//! A defect that one pod brings to light.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use kube::ResourceExt;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::{Api as Server, ApiOptions};
use crate::node::addresses::Addresses;
use crate::node::agent::Pods;
use crate::node::api::LocalNode;
use crate::node::options::PodNetwork;
use crate::node::pod::tests::world::{Memory, plain_launcher, pod};
use crate::node::pod::worker::Shared;
use crate::node::process::Spawner;
use crate::node::scheduling::Place;
use crate::node::testing::Folder;
use crate::node::{Images, NodeOptions};
use crate::store::Store;
use crate::user::User;

#[tokio::test]
async fn a_pod_whose_task_panics_fails_and_the_agent_goes_on() {
    let folder = Folder::new();
    let options = NodeOptions::new(folder.path(), Images::new(), plain_launcher());
    let cluster = Arc::new(Memory::default());
    // Whoever asks for a config map panics.
    let poisoned = Arc::clone(&cluster);
    std::thread::spawn(move || {
        let _held = poisoned.config_maps.lock().unwrap();
        panic!("on purpose");
    })
    .join()
    .unwrap_err();
    let shared = Shared {
        spawner: Arc::new(Spawner::start(options.launcher.clone()).unwrap()),
        cluster: Arc::clone(&cluster) as Arc<dyn crate::node::pod::Cluster>,
        node: LocalNode::default(),
        options,
    };
    let mut pods = Pods {
        shared: Arc::new(shared),
        client: Server::new(Store::in_memory(), ApiOptions::default()).client(User::admin()),
        addresses: Addresses::new(PodNetwork::default()),
        handles: HashMap::new(),
        waiting: VecDeque::new(),
        refused: HashMap::new(),
        place: Place::default(),
        workers: JoinSet::new(),
        shutdown: CancellationToken::new(),
    };
    let container = json!({"name": "c", "image": "i"});
    let volume = json!({"name": "v", "configMap": {"name": "m"}});
    let pod: k8s_openapi::api::core::v1::Pod =
        serde_json::from_value(pod(json!({"containers": [container], "volumes": [volume]}))).unwrap();
    let uid = pod.uid().unwrap();
    pods.take_up(Arc::new(pod), uid).await;
    let ended = pods.workers.join_next().await.unwrap();
    pods.ended(ended).await.unwrap();
    let last = cluster.writes.lock().unwrap().last().cloned().unwrap();
    assert_eq!((&last["phase"], &last["reason"]), (&json!("Failed"), &json!("AgentFailed")));
    assert!(pods.handles.is_empty());
}
