//! Finding the log of a container for the API server.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;

use super::api::{LogRequest, LogStream};
use super::logs::{ContainerLog, Selection, read};
use super::options::NodeOptions;
use super::pod::state::{Current, State};
use super::pod::worker::pod_folder;
use crate::status::Status;

/// The logs of all pods of a node.
#[derive(Debug, Default)]
pub struct LogService {
    pods: RwLock<HashMap<(String, String), Arc<PodLogs>>>,
}

/// The logs of one pod.
#[derive(Debug)]
pub struct PodLogs {
    key: (String, String),
    containers: BTreeMap<String, Arc<ContainerLog>>,
    /// Why a container has not started, by its name.
    waiting: Mutex<BTreeMap<String, String>>,
}

impl PodLogs {
    /// The log of a container.
    pub fn container(&self, name: &str) -> Option<&Arc<ContainerLog>> {
        self.containers.get(name)
    }
    /// Takes up why containers wait.
    pub fn update(&self, states: &[State]) {
        let waiting = states.iter().filter_map(|state| match &state.current {
            Current::Waiting { reason, message } => {
                let text = message.as_ref().map_or_else(|| (*reason).to_owned(), |message| format!("{reason}: {message}"));
                Some((state.spec.name.clone(), text))
            }
            _ => None,
        });
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = waiting.collect();
    }
}

impl LogService {
    /// Adds a pod. One of the same name that is still ending makes way.
    pub fn add(&self, pod: &Pod, options: &NodeOptions) -> Arc<PodLogs> {
        let meta = &pod.metadata;
        let key = (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
        let folder = pod_folder(&options.data, meta.uid.as_deref().unwrap_or_default()).join("logs");
        let containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
        let containers = containers.map(|c| (c.name.clone(), ContainerLog::new(folder.join(&c.name), options.log_file_bytes))).collect();
        let logs = Arc::new(PodLogs { key: key.clone(), containers, waiting: Mutex::default() });
        self.pods.write().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&logs));
        logs
    }

    /// Removes a pod, unless another has taken its name.
    pub fn remove(&self, logs: &Arc<PodLogs>) {
        let mut pods = self.pods.write().unwrap_or_else(PoisonError::into_inner);
        if pods.get(&logs.key).is_some_and(|current| Arc::ptr_eq(current, logs)) {
            pods.remove(&logs.key);
        }
    }

    /// Opens a log.
    ///
    /// # Errors
    /// As [`Node::logs`](super::api::Node::logs).
    pub fn logs(&self, request: LogRequest) -> BoxFuture<'_, Result<LogStream, Status>> {
        self.open(request).boxed()
    }

    async fn open(&self, request: LogRequest) -> Result<LogStream, Status> {
        let key = (request.namespace.clone(), request.pod.clone());
        let pod = self.pods.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let pod = pod.ok_or_else(|| Status::not_found("", "pods", &request.pod))?;
        let name = match (request.container.as_str(), pod.containers.keys().next()) {
            ("", Some(only)) if pod.containers.len() == 1 => only.clone(),
            ("", _) => {
                let names: Vec<&str> = pod.containers.keys().map(String::as_str).collect();
                let text = format!("a container name must be specified for pod {}, choose one of: [{}]", request.pod, names.join(" "));
                return Err(Status::bad_request(text));
            }
            (name, _) => name.to_owned(),
        };
        let log =
            pod.container(&name).ok_or_else(|| Status::bad_request(format!("container {name} is not valid for pod {}", request.pod)))?;
        let selection = Selection {
            previous: request.previous,
            follow: request.follow && !request.previous,
            timestamps: request.timestamps,
            tail_lines: request.tail_lines,
            since: request.since,
            limit_bytes: request.limit_bytes,
        };
        let opened =
            read(log, selection).await.map_err(|error| Status::internal(format!("the log of container {name} cannot be read: {error}")))?;
        opened.ok_or_else(|| {
            if request.previous {
                return Status::bad_request(format!("previous terminated container {name:?} in pod {:?} not found", request.pod));
            }
            let waiting = pod.waiting.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
            let why = waiting.unwrap_or_else(|| "ContainerCreating".to_owned());
            Status::bad_request(format!("container {name:?} in pod {:?} is waiting to start: {why}", request.pod))
        })
    }
}
