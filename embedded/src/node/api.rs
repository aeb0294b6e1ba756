//! What the API server needs from a node: the logs of its containers.

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

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

/// A node as the API server sees it.
pub trait Node: Send + Sync {
    /// Opens a log.
    ///
    /// # Errors
    /// `NotFound` for a pod or container this node does not run; `BadRequest` for a container that has not started, for a
    /// previous instance that does not exist, and where a container name is needed.
    fn logs(&self, request: LogRequest) -> BoxFuture<'_, Result<LogStream, Status>>;
}
