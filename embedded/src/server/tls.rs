//! The listener: binds, accepts within a limit, and drains at the end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::authenticate::Authenticator;
use super::connection::{self, Context, Handler};

/// Bounds of what clients may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time; further ones wait in the system's queue.
    pub connections: usize,
    /// For the TLS handshake.
    pub handshake: Duration,
    /// Between the end of an answer and the end of the next request's headers.
    pub idle: Duration,
    /// For a request body to arrive.
    pub body: Duration,
    /// Size of a request body: somewhat above what etcd lets Kubernetes store.
    pub body_bytes: usize,
    /// Size of a request line with its headers.
    pub header_bytes: usize,
    /// For answers under way to end when the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(180),
            body: Duration::from_secs(60),
            body_bytes: 3 << 20,
            header_bytes: 64 << 10,
            drain: Duration::from_secs(5),
        }
    }
}

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The port is taken.
    #[error("port {} of {} is in use by another program; stop that program, or choose another port with {flag}", address.port(), address.ip())]
    PortInUse {
        /// The address asked for.
        address: SocketAddr,
        /// How the user sets it, for example `--api-address`.
        flag: String,
    },
    /// Something else.
    #[error("cannot listen on {address}: {cause}; choose another address with {flag}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// How the user sets it.
        flag: String,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

/// A bound port, not yet served.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds an address; port 0 takes a free one. `flag` is what the error tells the user to change.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn bind(address: SocketAddr, flag: &str) -> Result<Self, ServeError> {
        let failed = |cause: io::Error| {
            let flag = flag.to_owned();
            match cause.kind() {
                io::ErrorKind::AddrInUse => ServeError::PortInUse { address, flag },
                _ => ServeError::Listen { address, flag, cause },
            }
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is done, then lets answers under way end for [`Limits::drain`] and cuts off the rest (watches, mostly).
    pub async fn serve(
        self,
        config: ServerConfig,
        authenticator: Authenticator,
        handler: Arc<dyn Handler>,
        limits: Limits,
        stop: impl Future<Output = ()>,
    ) {
        let drain = limits.drain;
        let places = Arc::new(Semaphore::new(limits.connections));
        let context = Arc::new(Context { acceptor: TlsAcceptor::from(Arc::new(config)), authenticator, handler, limits });
        let stopping = CancellationToken::new();
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(ended) = connections.join_next() => report(ended),
                (stream, place) = self.accept(&places) => {
                    let serving = connection::serve(Arc::clone(&context), stream, stopping.clone());
                    connections.spawn(async move {
                        serving.await;
                        drop(place);
                    });
                }
            }
        }
        drop(self.listener);
        stopping.cancel();
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, all_ended).await.is_err() {
            tracing::debug!(connections = connections.len(), "cutting off connections that are still busy");
        }
        connections.shutdown().await;
    }

    /// The next connection, with its place among those allowed at a time.
    async fn accept(&self, places: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
        // The semaphore is never closed.
        let place = Arc::clone(places).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return (stream, place),
                // Out of file descriptors, or a client that left at once: neither is a reason to end.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection ended by a panic");
    }
}

#[cfg(test)]
mod tests;
