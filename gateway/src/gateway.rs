//! The gateway itself: listens, hands out its parts, goes down in order.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::link::SystemLink;
use rustls::RootCertStore;
use rustls::server::{NoServerSessionStorage, ServerConfig, WebPkiClientVerifier};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::authority::{Authority, AuthorityError};
use crate::connections;
use crate::directory::Directory;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::peers::UnprovedPeers;
use crate::replicas::federation::Federation;
use crate::replicas::{ReplicaError, Replicas};
use crate::server_certificate::{ServerCertificate, ServerCertificateError};
use crate::sessions::link::Link;
use crate::shared::Shared;

/// After a connection could not be taken, for example for lack of file handles.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);
/// So many failures one after the other end the gateway: some two minutes.
const MOST_FAILURES: u32 = 1200;

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The port is taken, or may not be used.
    #[error("the gateway cannot listen on {address}: {source}; end what uses the port, or choose another with --gateway-port")]
    Address {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The certificate authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The server certificate.
    #[error(transparent)]
    ServerCertificate(#[from] ServerCertificateError),
    /// TLS cannot work with what there is.
    #[error("the gateway cannot set up TLS: {0}")]
    Tls(String),
    /// The other replicas cannot be met.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The metrics cannot be made.
    #[error("the gateway cannot set up its metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Why a gateway ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Connections cannot be taken any more.
    #[error("the gateway could not take connections on {address} for a long time: {source}; check the limits of the process")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The last failure.
        source: io::Error,
    },
}

/// A gateway that listens. Connections are taken once it runs.
pub struct Gateway {
    shared: Arc<Shared>,
    listener: TcpListener,
    address: SocketAddr,
    acceptor: TlsAcceptor,
    certificate: Arc<ServerCertificate>,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Takes the port, and loads or makes keys and certificates.
    ///
    /// # Errors
    /// The port is taken, the folder cannot be written, or what it holds is damaged.
    pub async fn bind(options: Options, directory: Arc<dyn Directory>) -> Result<Self, BindError> {
        let Options { address, folder, authority, server_certificate, replica, host_names, limits, times } = options;
        let listener = TcpListener::bind(address).await.map_err(|source| BindError::Address { address, source })?;
        let address = listener.local_addr().map_err(|source| BindError::Address { address, source })?;
        let authority = match authority {
            Some(authority) => authority,
            None => Authority::load_or_create(&folder)?,
        };
        let certificate = Arc::new(match server_certificate {
            Some(given) => ServerCertificate::given(&given)?,
            None => ServerCertificate::load_or_create(&folder, &authority, &host_names)?,
        });
        let config = tls(&authority, certificate.clone()).map_err(BindError::Tls)?;
        let mut shared = Shared::new(limits, times, authority, certificate.trust(), directory)?;
        if let Some(replica) = replica {
            let (table, metrics) = (shared.table.clone(), shared.metrics.replicas.clone());
            shared.replicas = Some(Replicas::bind(replica, table, times, limits.requests_in_flight, metrics).await?);
        }
        let shared = Arc::new(shared);
        Ok(Self { shared, listener, address, acceptor: TlsAcceptor::from(Arc::new(config)), certificate })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What systems are to trust, in PEM: the certificate of the authority, unless a server certificate was given.
    pub fn authority_pem(&self) -> String {
        self.shared.trust.borrow().clone()
    }

    /// The same, now and when it changes.
    pub fn trust(&self) -> watch::Receiver<String> {
        self.shared.trust.clone()
    }

    /// The other replicas, if the gateway was made to meet any. They are met once that runs.
    pub fn replicas(&self) -> Option<Arc<Replicas>> {
        self.shared.replicas.clone()
    }

    /// The way to the systems that are connected here or to another replica. `term` says in which term this replica leads, `None` while it does not:
    /// then nothing is asked of any system.
    pub fn link_of_leader(&self, term: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Arc<dyn SystemLink> {
        match self.replicas() {
            Some(replicas) => Arc::new(Federation { replicas, directory: self.shared.directory.clone(), term: Arc::new(term) }),
            None => self.link(),
        }
    }

    /// The way to the systems that are connected here.
    pub fn link(&self) -> Arc<dyn SystemLink> {
        Arc::new(Link { table: self.shared.table.clone(), requests_in_flight: self.shared.limits.requests_in_flight })
    }

    /// Who tried to enrol and proved nothing.
    pub fn unproved_peers(&self) -> Arc<UnprovedPeers> {
        self.shared.peers.clone()
    }

    /// Its numbers, to be registered.
    pub fn metrics(&self) -> Metrics {
        self.shared.metrics.clone().with_certificates(&self.certificate, &self.shared.authority)
    }

    /// Serves until `shutdown`, then tells every system that it goes and waits for a bounded time until they have heard it.
    ///
    /// # Errors
    /// Connections could not be taken for a long time.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let mut connections = JoinSet::new();
        let served = self.serve(&shutdown, &mut connections).await;
        drop(self.listener);
        self.shared.closing.cancel();
        let drained = async { while connections.join_next().await.is_some() {} };
        if timeout(self.shared.times.drain, drained).await.is_err() {
            tracing::info!(connections = connections.len(), "connections did not end in time and are cut");
            connections.shutdown().await;
        }
        served
    }

    async fn serve(&self, shutdown: &CancellationToken, connections: &mut JoinSet<()>) -> Result<(), RunError> {
        let places = Arc::new(Semaphore::new(self.shared.limits.unproved_connections.max(1)));
        let mut certificate_check = interval(self.certificate.check_every());
        certificate_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures = 0;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                accepted = accept(&self.listener, &places) => match accepted {
                    Ok((permit, stream, peer)) => {
                        failures = 0;
                        connections.spawn(connections::serve(self.shared.clone(), self.acceptor.clone(), stream, peer, permit));
                    }
                    Err(source) => {
                        failures += 1;
                        if failures > MOST_FAILURES {
                            return Err(RunError::Listen { address: self.address, source });
                        }
                        if self.shared.peer_log_lines.take().is_ok() {
                            tracing::error!(reason = %source, "a connection could not be taken");
                        }
                        sleep(PAUSE_AFTER_FAILURE).await;
                    }
                },
                Some(ended) = connections.join_next() => if let Err(error) = ended {
                    tracing::error!(reason = %error, "a connection ended by a fault of the gateway; the others go on");
                },
                _ = certificate_check.tick() => if let Some(reason) = self.certificate.new_fault(&self.shared.authority) {
                    tracing::error!(reason, "the server certificate could not be renewed; the present one is shown");
                },
            }
        }
    }
}

/// Takes the next connection once there is a place for it; until then it waits in the operating system's queue.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<(OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    let permit = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((permit, stream, peer))
}

/// TLS 1.2 and 1.3. A client certificate is asked for but not demanded, because enrolment comes without. Sessions are not resumed: a
/// certificate is checked at every connection, and no tickets are kept.
fn tls(authority: &Authority, certificate: Arc<ServerCertificate>) -> Result<ServerConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone()).map_err(|error| error.to_string())?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|error| error.to_string())?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
