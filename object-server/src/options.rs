//! Everything about the server that can be set, and why it does not start.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

/// How to run an object server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where everything is kept; made if it is absent. One process at a time.
    pub folder: PathBuf,
    /// Buckets that are there once it is open; others can be made by clients.
    pub buckets: Vec<String>,
    /// Who may do everything. Whoever is not among them may do nothing.
    pub credentials: Vec<Credentials>,
    /// The region that is told to clients. Signatures for other regions are taken too.
    pub region: String,
    /// Certificate and key. Without it plain HTTP is spoken.
    pub tls: Option<Tls>,
    /// Bounds on what clients can use up.
    pub limits: Limits,
}

impl Options {
    /// Defaults for a folder: no bucket, nobody may do anything, no TLS.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            buckets: Vec::new(),
            credentials: Vec::new(),
            region: String::from("us-east-1"),
            tls: None,
            limits: Limits::default(),
        }
    }
}

/// An access key.
#[derive(Clone)]
pub struct Credentials {
    /// The part that requests name.
    pub access_key_id: String,
    /// The part that requests are signed with.
    pub secret_access_key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// How TLS is spoken.
#[derive(Clone)]
pub enum Tls {
    /// As this says; for certificates that are replaced while the server runs, through its resolver. Its ALPN should offer `http/1.1` only.
    Config(Arc<ServerConfig>),
    /// With this certificate.
    Pem {
        /// The server's certificate, then those of its authorities.
        certificates: String,
        /// Its key.
        key: String,
    },
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config(_) => "Config(…)",
            Self::Pem { .. } => "Pem { … }",
        })
    }
}

/// Bounds on what clients can use up.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time; further ones wait in the system's queue.
    pub connections: usize,
    /// For the TLS handshake.
    pub handshake: Duration,
    /// Between the end of an answer and the end of the next request's headers.
    pub idle: Duration,
    /// How long a body under way, in either direction, may make no progress.
    pub stall: Duration,
    /// Size of a request line with its headers.
    pub header_bytes: usize,
    /// Size of a body in XML; the largest completes an upload of 10 000 parts.
    pub xml_bytes: usize,
    /// Size of an object put at once, and of a part.
    pub put_bytes: u64,
    /// Writes are refused that would leave less than this free on the file system: others live there too.
    pub reserve_bytes: u64,
    /// For answers under way to end when the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(180),
            stall: Duration::from_secs(60),
            header_bytes: 64 << 10,
            xml_bytes: 8 << 20,
            put_bytes: 5 << 30,
            reserve_bytes: 64 << 20,
            drain: Duration::from_secs(5),
        }
    }
}

/// Why the store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Something in the folder could not be read or written.
    #[error("the object store cannot use {}: {source}; make it readable and writable for this user, on a disk with room", path.display())]
    Folder {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the object store in {} is in use{}; stop that program, or choose another folder", path.display(), of(*pid))]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process, if it could be told.
        pid: Option<u32>,
    },
    /// The folder's own path is so long that keys would not fit behind it.
    #[error("the path of the object store's folder {} is too long; choose one of at most {} characters", path.display(), Self::LONGEST_FOLDER)]
    TooLong {
        /// The folder.
        path: PathBuf,
    },
    /// A bucket name S3 does not allow.
    #[error("{0:?} is no name for a bucket; use 3 to 63 lower case letters, digits, '-' and '.', with a letter or digit at both ends")]
    BucketName(String),
    /// Empty or double access key ids, or an empty secret.
    #[error("the credentials of access key id {0:?} cannot be used; give every id once, and a secret with it")]
    Credentials(String),
    /// The certificate or key given cannot be used.
    #[error("the object store's certificate or key cannot be used: {0}; give a certificate in PEM, with its key")]
    Tls(String),
}

impl OpenError {
    pub(crate) const LONGEST_FOLDER: usize = 400;
}

fn of(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" by process {pid}")).unwrap_or_default()
}

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The port is taken.
    #[error("port {} of {} is in use by another program; stop that program, or choose another port for the object store", .0.port(), .0.ip())]
    PortInUse(SocketAddr),
    /// Something else.
    #[error("the object store cannot listen on {address}: {source}; choose another address")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}
