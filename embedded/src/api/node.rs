//! What the API asks of the node agent: the logs of containers.

use std::pin::Pin;

use bytes::Bytes;
use futures::Stream;
use futures::future::BoxFuture;

use crate::body::BoxError;
use crate::status::Status;

/// Which lines of which container are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Identity of the pod, so that a namesake created meanwhile is not mistaken for it.
    pub uid: String,
    /// Name of the container.
    pub container: String,
    /// Keep sending lines as they are written, until the container ends.
    pub follow: bool,
    /// The container's run before the current one.
    pub previous: bool,
    /// Put the time (RFC 3339 with nanoseconds) before each line.
    pub timestamps: bool,
    /// Only the last so many lines.
    pub tail_lines: Option<u64>,
    /// Only lines at or after this time.
    pub since: Option<jiff::Timestamp>,
    /// At most so many bytes.
    pub limit_bytes: Option<u64>,
}

/// Log lines, piece by piece.
pub type LogStream = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>;

/// The node agent, as the API sees it.
pub trait Node: Send + Sync {
    /// Lines a container wrote. A stream that follows ends when the container ends or the caller drops it.
    fn logs(&self, request: LogRequest) -> BoxFuture<'_, Result<LogStream, Status>>;
}
