//! The other replicas of COM: their sessions are known here, and systems that are connected to them are reached through them.
//!
//! | module | what |
//! |---|---|
//! | [`tls`] | certificates that only replicas have |
//! | [`wire`] | one message a line, with bounds |
//! | [`serve`] | tells another replica of the sessions held here, and does what it asks of them |
//! | [`follow`] | is told of the sessions another replica holds |
//! | [`mirrors`] | what was told, and how long it counts |
//! | [`merge`] | several views of one system to one (pure) |
//! | [`metrics`] | numbers for Prometheus |
//! | [`federation`] | the [`protocol::link::SystemLink`] over all replicas |

pub(crate) mod federation;
mod follow;
mod merge;
pub(crate) mod metrics;
mod mirrors;
mod serve;
mod tls;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use model::account::SignInOutcome;
use model::ids::SystemKey;
use protocol::replica::Greeting;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

use crate::authority::Authority;
use crate::options::Times;
use crate::sessions::table::Table;
use metrics::ReplicaMetrics;
use mirrors::Mirrors;

/// Connections of other replicas at a time.
const MOST_CONNECTIONS: usize = 64;
/// How often it is looked whether a replica is gone for too long.
const CHECK: Duration = Duration::from_secs(1);

/// How this replica meets the others.
#[derive(Debug)]
pub struct ReplicaOptions {
    /// Where the others reach it.
    pub address: SocketAddr,
    /// Its name among them.
    pub name: String,
    /// The authority that signs for replicas, and for nobody else.
    pub authority: Authority,
}

/// The address or the certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The port is taken, or may not be used.
    #[error("replicas cannot be met on {address}: {source}; end what uses the port, or choose another with --peer-port")]
    Address {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// TLS cannot work with what there is.
    #[error("replicas cannot be met: {0}; the authority in the Secret may be damaged")]
    Tls(String),
}

/// The other replicas, as this one sees them.
pub struct Replicas {
    greeting: Greeting,
    table: Arc<Table>,
    mirrors: Mirrors,
    times: Times,
    requests_in_flight: usize,
    metrics: ReplicaMetrics,
    /// The highest term of a leader that was heard of.
    term: AtomicU64,
    address: SocketAddr,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    listener: std::sync::Mutex<Option<TcpListener>>,
}

impl fmt::Debug for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replicas").field("greeting", &self.greeting).finish_non_exhaustive()
    }
}

impl Replicas {
    /// Takes the port.
    pub(crate) async fn bind(
        options: ReplicaOptions,
        table: Arc<Table>,
        times: Times,
        requests_in_flight: usize,
        metrics: ReplicaMetrics,
    ) -> Result<Arc<Self>, ReplicaError> {
        let ReplicaOptions { address, name, authority } = options;
        let listener = TcpListener::bind(address).await.map_err(|source| ReplicaError::Address { address, source })?;
        let address = listener.local_addr().map_err(|source| ReplicaError::Address { address, source })?;
        let (acceptor, connector) = tls::both(&authority).map_err(ReplicaError::Tls)?;
        let instance = uuid::Uuid::new_v4().to_string();
        let greeting = Greeting { protocol: protocol::replica::VERSION, replica: name, instance };
        let replicas = Arc::new(Self {
            greeting,
            table,
            mirrors: Mirrors::new(times.offline_after),
            times,
            requests_in_flight,
            metrics,
            term: AtomicU64::new(0),
            address,
            acceptor,
            connector,
            listener: std::sync::Mutex::new(Some(listener)),
        });
        let weak: Weak<Self> = Arc::downgrade(&replicas);
        replicas.metrics.count(move || weak.upgrade().map_or((0, 0), |replicas| replicas.mirrors.count()));
        Ok(replicas)
    }

    /// Where the others reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Meets the others until the shutdown. `known` says who they are and where.
    ///
    /// # Errors
    /// No connection could be taken for a long time.
    pub async fn run(
        self: Arc<Self>,
        known: watch::Receiver<BTreeMap<String, SocketAddr>>,
        shutdown: CancellationToken,
    ) -> std::io::Result<()> {
        let listener = self.listener.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(listener) = listener else { return Err(std::io::Error::other("replicas are met already")) };
        let (serving, following, ageing) = (self.serve(listener, &shutdown), self.follow(known, &shutdown), self.age(&shutdown));
        let (served, (), ()) = tokio::join!(serving, following, ageing);
        served
    }

    async fn serve(self: &Arc<Self>, listener: TcpListener, shutdown: &CancellationToken) -> std::io::Result<()> {
        let mut connections = JoinSet::new();
        let mut failures = 0_u32;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                    Ok((stream, peer)) => {
                        failures = 0;
                        connections.spawn(serve::serve(Arc::clone(self), stream, peer, shutdown.clone()));
                    }
                    Err(error) => {
                        failures += 1;
                        if failures > 1200 {
                            return Err(error);
                        }
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        // Each says that it leaves, and ends by itself within a bound.
        while connections.join_next().await.is_some() {}
        Ok(())
    }

    /// One task a known replica; it ends when the replica is not known any more.
    async fn follow(self: &Arc<Self>, mut known: watch::Receiver<BTreeMap<String, SocketAddr>>, shutdown: &CancellationToken) {
        let mut tasks = JoinSet::new();
        let mut running: BTreeMap<String, (SocketAddr, tokio::task::AbortHandle)> = BTreeMap::new();
        loop {
            let now = known.borrow_and_update().clone();
            running.retain(|replica, (address, task)| {
                let stays = now.get(replica) == Some(address) && !task.is_finished();
                if !stays {
                    task.abort();
                }
                stays
            });
            for (replica, address) in now {
                running
                    .entry(replica)
                    .or_insert_with_key(|replica| (address, tasks.spawn(follow::follow(Arc::clone(self), replica.clone(), address))));
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                changed = known.changed() => if changed.is_err() {
                    shutdown.cancelled().await;
                    break;
                },
                Some(_) = tasks.join_next() => {}
            }
        }
        tasks.shutdown().await;
    }

    async fn age(&self, shutdown: &CancellationToken) {
        let mut check = interval(CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while tokio::select! { _ = check.tick() => true, () = shutdown.cancelled() => false } {
            self.mirrors.age(Instant::now(), |key| self.table.held(key));
        }
    }

    /// The newest session of the system under this enrolment that another replica has seen.
    pub(crate) fn newest(&self, key: &SystemKey, enrolment_id: &str) -> Option<u64> {
        self.mirrors.of(key).into_iter().filter(|told| told.held.enrolment_id == enrolment_id).filter_map(|told| told.held.counter).max()
    }

    /// The last sign-in to the system, if another replica did it and it was refused for a reason that does not pass by itself.
    pub(crate) fn refused(&self, key: &SystemKey) -> Option<(SignInOutcome, Instant)> {
        let told = self.mirrors.of(key).into_iter().filter(|told| !told.held.moved).max_by_key(|told| told.held.counter)?;
        let refused = told.held.refused?;
        Some((refused.outcome, told.at.checked_sub(Duration::from_secs(refused.seconds_ago)).unwrap_or(told.at)))
    }

    /// Whether what a leader of this term wants is done: not once a later one was heard of.
    fn obeys(&self, term: u64) -> bool {
        self.term.fetch_max(term, Ordering::SeqCst) <= term
    }
}
