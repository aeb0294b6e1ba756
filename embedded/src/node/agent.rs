//! The agent: takes up pods, gives each a task, and ends them all.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::Ipv4Addr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::addresses::Addresses;
use super::api::{LocalNode, Node};
use super::events::{EventWriter, QUEUE};
use super::live::LiveCluster;
use super::options::NodeOptions;
use super::pod::worker::{AGENT_FAILED, Shared};
use super::pod::{Note, Wanted, Worker, Written};
use super::process::{Spawner, identity};
use super::scheduling::Place;
use super::{claims, registration};

/// Why an agent ended although it was not asked to.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The data folder cannot be used.
    #[error("cannot use the node's data folder {path}: {source}; make it writable or choose another")]
    Prepare {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The Node object cannot be written.
    #[error("cannot register the node {name:?}: {source}")]
    Register {
        /// The node's name.
        name: String,
        /// Why.
        source: Box<kube::Error>,
    },
    /// A task died: this is a defect.
    #[error("a task of the node agent died: {0}")]
    Died(#[from] tokio::task::JoinError),
}

/// A node agent that has not begun yet.
pub struct Agent {
    client: Client,
    options: NodeOptions,
    node: LocalNode,
}

pub(super) struct Handle {
    name: (String, String),
    updates: watch::Sender<Wanted>,
}

/// How the task of a pod ended, by the pod's uid: an error is a defect.
pub(super) type Ended = (String, Result<(), String>);

/// The pods of the node.
pub(super) struct Pods {
    pub(super) shared: Arc<Shared>,
    pub(super) client: Client,
    pub(super) addresses: Addresses,
    pub(super) handles: HashMap<String, Handle>,
    /// Pods without an address, in the order in which they came.
    pub(super) waiting: VecDeque<Arc<Pod>>,
    /// Pods that the node could not take, by uid.
    pub(super) refused: HashMap<String, Arc<Pod>>,
    pub(super) place: Place,
    pub(super) workers: JoinSet<Ended>,
    pub(super) shutdown: CancellationToken,
}

impl Agent {
    /// An agent that works through this client, which may read and write pods, nodes, leases, events, claims, config maps and secrets.
    pub fn new(client: Client, options: NodeOptions) -> Self {
        Self { client, options, node: LocalNode::default() }
    }

    /// The node as the API server needs it. May be asked at any time; before `run` there are no pods.
    pub fn node(&self) -> Arc<dyn Node> {
        Arc::new(self.node.clone())
    }

    /// Runs until shutdown; then ends all pods' processes and leaves their objects, so that the next run continues with them.
    ///
    /// # Errors
    /// When the agent cannot begin, or one of its tasks died.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), AgentError> {
        let options = self.options;
        end_leftovers(&options).await?;
        let prepare = |source| AgentError::Prepare { path: options.data.display().to_string(), source };
        let spawner = Arc::new(Spawner::start(options.launcher.clone()).map_err(prepare)?);
        let failed = |source| AgentError::Register { name: options.name.clone(), source: Box::new(source) };
        registration::register(&self.client, &options).await.map_err(failed)?;
        let place = Place::now(&self.client, &options.name).await.map_err(failed)?;

        let (notes, queue) = mpsc::channel(QUEUE);
        let cluster = Arc::new(LiveCluster::new(self.client.clone(), notes));
        let shared = Arc::new(Shared { options: options.clone(), spawner, cluster, node: self.node });
        // Events outlive the pods' tasks, so that their last ones are written.
        let events_end = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(EventWriter::new(self.client.clone(), &options.name).run(queue, events_end.clone()));
        tasks.spawn(registration::keep_lease(self.client.clone(), options.clone(), shutdown.clone()));
        tasks.spawn(claims::keep(self.client.clone(), options.clone(), shutdown.clone()));
        let pods = Pods {
            client: self.client,
            addresses: Addresses::new(options.network),
            handles: HashMap::new(),
            waiting: VecDeque::new(),
            refused: HashMap::new(),
            place,
            workers: JoinSet::new(),
            shutdown: shutdown.clone(),
            shared,
        };
        let outcome = pods.run(&mut tasks).await;
        // After a failure too everything is ended in order: nothing is left running.
        shutdown.cancel();
        events_end.cancel();
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        outcome
    }
}

/// Ends what an earlier agent left running when it was killed, before anything is started anew.
async fn end_leftovers(options: &NodeOptions) -> Result<(), AgentError> {
    let pods = options.data.join("pods");
    let work = move || {
        std::fs::create_dir_all(&pods)?;
        let (uids, records) = identity::read_records(&pods);
        Ok(identity::kill_leftovers(&uids, &records))
    };
    let killed = tokio::task::spawn_blocking(work).await?;
    let killed = killed.map_err(|source| AgentError::Prepare { path: options.data.display().to_string(), source })?;
    if killed > 0 {
        tracing::info!(killed, "ended processes of pods that an earlier agent left behind");
    }
    Ok(())
}

impl Pods {
    async fn run(mut self, tasks: &mut JoinSet<()>) -> Result<(), AgentError> {
        // Decoded here and not by the watch: one pod that cannot be decoded must not hold up the others.
        let kind = kube::api::ApiResource::erase::<Pod>(&());
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind);
        let mut stream = watcher::watcher(api, watcher::Config::default()).default_backoff().boxed();
        let mut places = Place::changes(&self.client, &self.shared.options.name);
        let mut listed: Option<Vec<Arc<Pod>>> = None;
        let mut first = true;
        let outcome = loop {
            tokio::select! {
                () = self.shutdown.cancelled() => break Ok(()),
                event = stream.next() => match event {
                    Some(Ok(Event::Init)) => listed = Some(Vec::new()),
                    Some(Ok(Event::InitApply(object))) => listed.get_or_insert_default().extend(decode(object)),
                    Some(Ok(Event::InitDone)) => {
                        self.relisted(listed.take().unwrap_or_default(), std::mem::take(&mut first)).await;
                    }
                    Some(Ok(Event::Apply(object))) => if let Some(pod) = decode(object) { self.applied(pod).await },
                    Some(Ok(Event::Delete(object))) => self.gone(&object.uid().unwrap_or_default()),
                    Some(Err(error)) => tracing::warn!(%error, "the watch of pods was interrupted; it is taken up again"),
                    None => break Ok(()),
                },
                Some(place) = places.next() => self.moved(place).await,
                Some(ended) = self.workers.join_next() => if let Err(error) = self.ended(ended).await { break Err(error) },
                Some(ended) = tasks.join_next() => break ended.map_err(AgentError::from),
            }
        };
        self.shutdown.cancel();
        let mut outcome = outcome;
        while let Some(ended) = self.workers.join_next().await {
            outcome = outcome.and(self.ended(ended).await);
        }
        outcome
    }

    /// After a (new) list: what is not in it is gone. At the first one, pods of before get their addresses before any new pod.
    async fn relisted(&mut self, pods: Vec<Arc<Pod>>, first: bool) {
        let present: HashSet<String> = pods.iter().filter_map(|pod| pod.uid()).collect();
        let missing: Vec<String> = self.handles.keys().filter(|uid| !present.contains(*uid)).cloned().collect();
        missing.iter().for_each(|uid| self.gone(uid));
        self.waiting.retain(|pod| pod.uid().is_some_and(|uid| present.contains(&uid)));
        if first {
            self.remove_old_folders(present.clone()).await;
        }
        for pod in &pods {
            if let Some(address) = address_of(pod) {
                self.addresses.take_again(address, &pod.uid().unwrap_or_default());
            }
        }
        for pod in pods {
            self.applied(pod).await;
        }
    }

    async fn remove_old_folders(&self, present: HashSet<String>) {
        let folder = self.shared.options.data.join("pods");
        let work = move || {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if !present.contains(&*entry.file_name().to_string_lossy())
                    && let Err(error) = std::fs::remove_dir_all(entry.path())
                {
                    tracing::warn!(%error, folder = %entry.path().display(), "the folder of a pod that is gone could not be removed");
                }
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(work).await {
            tracing::warn!(%error, "folders of pods that are gone were not removed");
        }
    }

    async fn applied(&mut self, pod: Arc<Pod>) {
        let uid = pod.uid().unwrap_or_default();
        if let Some(handle) = self.handles.get(&uid) {
            handle.updates.send_replace(Wanted::Live(pod));
            return;
        }
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
        if node.is_empty() {
            self.schedule(&pod).await;
        } else if node == self.shared.options.name {
            self.take_up(pod, uid).await;
        }
    }

    /// Binds a pod to this node: there is no other. The change comes back by the watch.
    async fn schedule(&mut self, pod: &Arc<Pod>) {
        self.refused.remove(&pod.uid().unwrap_or_default());
        if pod.metadata.deletion_timestamp.is_some() {
            if let Err(error) = self.shared.cluster.remove(pod).await {
                tracing::warn!(%error, pod = %pod.name_any(), "a pod that never ran could not be removed");
            }
            return;
        }
        if let Some(why) = self.place.refusal(pod, &self.shared.options) {
            self.refuse(pod, why).await;
            self.refused.insert(pod.uid().unwrap_or_default(), Arc::clone(pod));
            return;
        }
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
        let patch = json!({"metadata": {"uid": pod.uid()}, "spec": {"nodeName": self.shared.options.name}});
        match api.patch(&pod.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(_) => {
                let message = format!(
                    "Successfully assigned {}/{} to {}",
                    pod.namespace().unwrap_or_default(),
                    pod.name_any(),
                    self.shared.options.name
                );
                self.shared.cluster.note(pod, Note { warning: false, reason: "Scheduled", message, container: None, init: false });
            }
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
            Err(error) => tracing::warn!(%error, pod = %pod.name_any(), "a pod could not be assigned to the node"),
        }
    }

    async fn refuse(&self, pod: &Pod, why: String) {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        if conditions.into_iter().flatten().any(|known| known.type_ == "PodScheduled" && known.message.as_deref() == Some(&why)) {
            return;
        }
        self.shared
            .cluster
            .note(pod, Note { warning: true, reason: "FailedScheduling", message: why.clone(), container: None, init: false });
        let now = super::pod::status::seconds(jiff::Timestamp::now());
        let condition =
            json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why, "lastTransitionTime": now});
        let written = self.shared.cluster.write_status(pod, json!({"phase": "Pending", "conditions": [condition]})).await;
        if let Err(error) = written.map(|_: Written| ()) {
            tracing::warn!(%error, pod = %pod.name_any(), "the status of a pod that cannot be scheduled could not be written");
        }
    }

    pub(super) async fn take_up(&mut self, pod: Arc<Pod>, uid: String) {
        let on_host = pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true);
        let address = match address_of(&pod) {
            _ if on_host => Some(self.shared.options.address),
            Some(before) if self.addresses.take_again(before, &uid) => Some(before),
            _ => self.addresses.take(&uid),
        };
        let Some(address) = address else { return self.wait(pod, &uid).await };
        self.waiting.retain(|other| other.metadata.uid.as_deref() != Some(&uid));
        let (updates, wanted) = watch::channel(Wanted::Live(Arc::clone(&pod)));
        let name = (pod.namespace().unwrap_or_default(), pod.name_any());
        let (shared, shutdown) = (Arc::clone(&self.shared), self.shutdown.clone());
        self.handles.insert(uid.clone(), Handle { name, updates });
        self.workers.spawn(async move {
            // A defect that one pod brings to light is that pod's trouble, not the others'.
            let life = AssertUnwindSafe(async move { Worker::new(shared, pod, address, wanted, shutdown).run().await });
            let outcome = match life.catch_unwind().await {
                Ok(outcome) => outcome.map_err(|error| error.to_string()),
                Err(panic) => Err(panic_text(&*panic)),
            };
            (uid, outcome)
        });
    }

    /// A pod for which there is no address waits until one is given back.
    async fn wait(&mut self, pod: Arc<Pod>, uid: &str) {
        let known = self.waiting.iter().position(|other| other.metadata.uid.as_deref() == Some(uid));
        if pod.metadata.deletion_timestamp.is_some() {
            if let Err(error) = self.shared.cluster.remove(&pod).await {
                tracing::warn!(%error, pod = %pod.name_any(), "a pod that never ran could not be removed");
            }
            self.waiting.retain(|other| other.metadata.uid.as_deref() != Some(uid));
            return;
        }
        if let Some(known) = known.and_then(|index| self.waiting.get_mut(index)) {
            *known = pod;
            return;
        }
        let message = "the node has no free address for the pod; delete pods or enlarge the node's pod network".to_owned();
        self.shared.cluster.note(&pod, Note { warning: true, reason: "FailedCreatePodSandBox", message, container: None, init: false });
        self.waiting.push_back(pod);
    }

    /// The node has become another place: pods that it could not take are looked at again.
    async fn moved(&mut self, place: Place) {
        if std::mem::replace(&mut self.place, place.clone()) != place {
            for pod in std::mem::take(&mut self.refused).into_values() {
                self.applied(pod).await;
            }
        }
    }

    fn gone(&mut self, uid: &str) {
        self.refused.remove(uid);
        self.waiting.retain(|pod| pod.metadata.uid.as_deref() != Some(uid));
        if let Some(handle) = self.handles.get(uid) {
            handle.updates.send_replace(Wanted::Gone);
        }
    }

    pub(super) async fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) -> Result<(), AgentError> {
        let (uid, outcome) = ended?;
        if let Some(handle) = self.handles.remove(&uid) {
            let (namespace, pod) = (&handle.name.0, &handle.name.1);
            match outcome {
                Ok(()) => tracing::debug!(namespace, pod, "a pod has ended"),
                Err(error) => {
                    tracing::error!(error, namespace, pod, "the task of a pod died, which is a defect; the pod fails");
                    let last = handle.updates.borrow().clone();
                    self.fail(&uid, &last).await;
                }
            }
        }
        self.addresses.release(&uid);
        while !self.shutdown.is_cancelled()
            && let Some(pod) = self.waiting.front().cloned()
        {
            let before = self.waiting.len();
            let uid = pod.uid().unwrap_or_default();
            self.take_up(pod, uid).await;
            if self.waiting.len() == before {
                break;
            }
        }
        Ok(())
    }

    /// After its task died: ends what is left of a pod and marks it as failed, so that whoever owns it makes another.
    async fn fail(&self, uid: &str, last: &Wanted) {
        let uids = vec![uid.to_owned()];
        // Its processes carry its uid.
        if let Err(error) = tokio::task::spawn_blocking(move || identity::kill_leftovers(&uids, &[])).await {
            tracing::warn!(%error, uid, "the processes of a pod whose task died could not be ended");
        }
        let Wanted::Live(pod) = last else { return };
        let written = if pod.metadata.deletion_timestamp.is_some() {
            self.shared.cluster.remove(pod).await
        } else {
            let message = "the node agent failed on this pod, see its log; delete the pod";
            self.shared.cluster.write_status(pod, json!({"phase": "Failed", "reason": AGENT_FAILED, "message": message})).await
        };
        if let Err(error) = written.map(|_: Written| ()) {
            tracing::warn!(%error, pod = %pod.name_any(), "a pod whose task died could not be marked as failed");
        }
    }
}

/// What a panic says.
fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it panicked without a word".to_owned())
}

fn decode(object: DynamicObject) -> Option<Arc<Pod>> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    match object.try_parse::<Pod>() {
        Ok(pod) => Some(Arc::new(pod)),
        Err(error) => {
            tracing::warn!(%error, namespace, pod = name, "a pod cannot be decoded and is left alone");
            None
        }
    }
}

fn address_of(pod: &Pod) -> Option<Ipv4Addr> {
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}
