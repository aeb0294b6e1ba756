//! What the API server needs from a node: the logs of its containers, and programs in them.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use super::log_service::LogService;
use super::process::{Session, Streams};
use super::sessions::Sessions;
use crate::status::Status;

/// Which log is asked for, and how much of it: the query of `GET …/pods/<pod>/log`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Name of the container; may be empty when the pod has one container only.
    pub container: String,
    /// Keep the stream open and deliver new lines until the container ends.
    pub follow: bool,
    /// The log of the instance before the current one.
    pub previous: bool,
    /// Put the time (RFC 3339 with nanoseconds) and a blank before each line.
    pub timestamps: bool,
    /// Only this many lines from the end; what follows later is not limited by it.
    pub tail_lines: Option<u64>,
    /// Only lines written at or after this time.
    pub since: Option<jiff::Timestamp>,
    /// End the stream after this many bytes.
    pub limit_bytes: Option<u64>,
}

/// Log text in pieces. Dropping it ends the reading.
pub type LogStream = BoxStream<'static, Result<Bytes, std::io::Error>>;

/// Which container is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerKey {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Name of the container.
    pub container: String,
}

/// A container that runs.
pub trait RunningContainer: Send + Sync {
    /// Starts a program in the container's surroundings: its environment, its folder, its mount paths. It ends with the container, and
    /// with the session.
    ///
    /// # Errors
    /// There is no such program, or it cannot be started; in words for the user.
    fn exec(&self, command: Vec<String>, streams: Streams) -> BoxFuture<'static, Result<Session, String>>;

    /// Attaches to the container's own program; what it wrote before is in its log only.
    ///
    /// # Errors
    /// It has just ended.
    fn attach(&self, streams: Streams) -> Result<Session, String>;
}

/// A node as the API server sees it.
pub trait Node: Send + Sync {
    /// Opens a log.
    ///
    /// # Errors
    /// `NotFound` for a pod or container this node does not run; `BadRequest` for a container that has not started, for a
    /// previous instance that does not exist, and where a container name is needed.
    fn logs(&self, request: LogRequest) -> BoxFuture<'_, Result<LogStream, Status>>;

    /// A container, if it runs.
    fn running(&self, container: &ContainerKey) -> Option<Arc<dyn RunningContainer>>;
}

/// The node of this process.
#[derive(Debug, Clone, Default)]
pub struct LocalNode {
    /// Logs of its pods.
    pub logs: Arc<LogService>,
    /// Its running containers.
    pub sessions: Arc<Sessions>,
}

impl Node for LocalNode {
    fn logs(&self, request: LogRequest) -> BoxFuture<'_, Result<LogStream, Status>> {
        self.logs.logs(request)
    }

    fn running(&self, container: &ContainerKey) -> Option<Arc<dyn RunningContainer>> {
        self.sessions.find(container)
    }
}
