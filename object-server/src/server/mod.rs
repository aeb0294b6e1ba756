//! TLS, HTTP, bounds: the server around the operations.

mod auth;
mod body;
mod connection;
mod stalls;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::options::{BindError, Limits, OpenError, Options};
use crate::service::Service;
use crate::store::Store;
use crate::{failure::Failure, name};

use auth::KnownKeys;
use connection::Context;

/// An object store that is open, not yet served.
pub struct ObjectServer {
    context: Context,
}

impl std::fmt::Debug for ObjectServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectServer").field("limits", &self.context.limits).finish_non_exhaustive()
    }
}

impl ObjectServer {
    /// Opens the folder, or makes it; removes what interrupted writes left; makes the buckets that are missing. Blocks, for about as long as
    /// listing all folders below takes.
    ///
    /// # Errors
    /// [`OpenError`] says what and why. Nothing that was stored is removed or made anew because it could not be read.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let auth = KnownKeys::new(options.credentials)?;
        let acceptor = options.tls.map(tls::config).transpose()?.map(TlsAcceptor::from);
        if let Some(name) = options.buckets.iter().find(|name| !name::is_bucket(name)) {
            return Err(OpenError::BucketName(name.clone()));
        }
        let store = Arc::new(Store::open(&options.folder, options.limits.reserve_bytes)?);
        for bucket in &options.buckets {
            match store.create_bucket(bucket) {
                Ok(()) | Err(Failure::BucketExists(_)) => {}
                Err(failure) => return Err(OpenError::from((options.folder.as_path(), failure))),
            }
        }
        let open = Arc::downgrade(&store);
        let service = Service { store, region: options.region, put_bytes: options.limits.put_bytes };
        Ok(Self { context: Context { acceptor, service: s3_service(service, auth, &options.limits), store: open, limits: options.limits } })
    }

    /// Binds an address; port 0 takes a free one.
    ///
    /// # Errors
    /// [`BindError`] says why not.
    pub async fn bind(self, address: SocketAddr) -> Result<BoundServer, BindError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::PortInUse(address),
            _ => BindError::Listen { address, source },
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(BoundServer { listener, address, context: Arc::new(self.context) })
    }
}

fn s3_service(service: Service, auth: KnownKeys, limits: &Limits) -> S3Service {
    let mut config = S3Config::default();
    config.xml_max_body_size = limits.xml_bytes;
    // Forms are refused before; were one let through, it would be held in memory.
    config.post_object_max_file_size = 0;
    config.form_max_field_size = 0;
    config.form_max_fields_size = 0;
    let mut builder = S3ServiceBuilder::new(service);
    builder.set_auth(auth);
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.build()
}

/// A server that is bound, so that its address is known, and not yet served.
pub struct BoundServer {
    listener: TcpListener,
    address: SocketAddr,
    context: Arc<Context>,
}

impl std::fmt::Debug for BoundServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoundServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl BoundServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is cancelled, then lets answers under way end for [`Limits::drain`] and cuts off the rest. When it returns, the
    /// folder can be opened again.
    pub async fn run(self, shutdown: CancellationToken) {
        let places = Arc::new(Semaphore::new(self.context.limits.connections));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(ended) = connections.join_next() => report(ended),
                (stream, place) = self.accept(&places) => {
                    let serving = connection::serve(Arc::clone(&self.context), stream, shutdown.clone());
                    connections.spawn(async move {
                        serving.await;
                        drop(place);
                    });
                }
            }
        }
        drop(self.listener);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.context.limits.drain, all_ended).await.is_err() {
            tracing::debug!(connections = connections.len(), "cutting off connections that are still busy");
        }
        connections.shutdown().await;
        closed(self.context).await;
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

/// Closes the store. Work on the disk cannot be cut off: what is under way is waited for, as long as for answers.
async fn closed(context: Arc<Context>) {
    let (store, drain) = (context.store.clone(), context.limits.drain);
    let dropped = async {
        // The store waits for its own thread when it goes.
        let _ = tokio::task::spawn_blocking(move || drop(context)).await;
        while store.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(drain, dropped).await.is_err() {
        tracing::warn!("the object store is still writing; it closes when that has ended");
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection ended by a panic");
    }
}
