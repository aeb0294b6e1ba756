//! The operator: gateway, controllers, metrics, wired together. The same for `up` and for a cluster, alone and as one of several replicas.
//!
//! Every replica fills its caches, serves systems, and knows the sessions of the others. The controllers run on the one that leads.

mod replication;
mod term;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use controllers::action::Patience;
use controllers::action_metrics::ActionMetrics;
use controllers::caches::{Caches, Feeds, Scope};
use controllers::codes::EnrolmentCodes;
use controllers::directory::KubernetesDirectory;
use controllers::object_store::Clients;
use controllers::{codes, credentials, customer, fleet_metrics};
use gateway::{Gateway, Replicas};
use kube::Client;
use prometheus::Registry;
use runtime::fence::Fence;
use runtime::leader_metrics::LeaderMetrics;
use runtime::leadership::{self, WorkError};
use runtime::logging::LevelHandle;
use runtime::metrics::ReconcileMetrics;
use runtime::probes::Probes;
use runtime::replicas::{self, Known};
use runtime::tasks::{TaskError, Tasks};
use runtime::watchdog::Watchdog;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use replication::Replication;
use term::{Parts, Term};

/// With other replicas there to take them, systems are let go over this time, and the gateway waits for that.
const LEAVE_WITHIN: Duration = Duration::from_secs(4);
const DRAIN: Duration = Duration::from_secs(8);

/// Where and as what the operator runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address that systems dial.
    pub gateway: SocketAddr,
    /// Host name or address in the subscription.
    pub gateway_host: String,
    /// Port in the subscription, where it is another one than that of `gateway`.
    pub gateway_public_port: Option<u16>,
    /// Address of metrics and probes.
    pub metrics: SocketAddr,
    /// Folder of the gateway's authority.
    pub folder: PathBuf,
    /// Folder with a certificate of the gateway that somebody else keeps.
    pub gateway_certificate: Option<PathBuf>,
    /// Image of the pods of simulated systems.
    pub simulator_image: String,
    /// How patient backups and restores are.
    pub patience: Patience,
    /// What is watched.
    pub scope: Scope,
    /// Which replica this is; `None` for an operator that is alone.
    pub replication: Option<Replication>,
}

/// An operator whose ports are taken, and that has not begun yet.
pub struct Operator {
    client: Client,
    settings: Settings,
    feeds: Feeds,
    codes: codes::Follower,
    credentials: credentials::Follower,
    gateway: Gateway,
    fence: Fence,
    leader_metrics: LeaderMetrics,
    term: Arc<Term>,
    caches: Arc<Caches>,
    probes: Probes,
    listener: TcpListener,
    ready: Option<oneshot::Sender<()>>,
}

impl Operator {
    /// Takes the ports and makes everything. `ready` is told once the caches are filled and systems are let in.
    ///
    /// # Errors
    /// A port in use, a folder that cannot be written, a damaged key file or Secret.
    pub async fn prepare(
        client: Client,
        settings: Settings,
        level: LevelHandle,
        registry: Registry,
        ready: Option<oneshot::Sender<()>>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let client = runtime::client_metrics::counted(&registry, &client)?;
        let (caches, feeds) = Caches::new();
        let known_codes = Arc::new(EnrolmentCodes::default());
        let directory = Arc::new(KubernetesDirectory::new(client.clone(), Arc::clone(&caches), Arc::clone(&known_codes)));
        let gateway = Gateway::bind(gateway_options(&client, &settings).await?, directory).await?;
        let listener = Probes::bind(settings.metrics).await?;
        let fence = if settings.replication.is_some() { Fence::closed() } else { Fence::always() };
        gateway.metrics().register(&registry)?;
        fleet_metrics::register(&registry, Arc::clone(&caches), fence.clone())?;
        let leader_metrics = LeaderMetrics::register(&registry, fence.clone())?;
        let (metrics, action_metrics) = (ReconcileMetrics::register(&registry)?, ActionMetrics::register(&registry)?);
        let peers = gateway.unproved_peers();
        let probes = Probes::new(registry, level).with_metrics()?.with_peers(move || serde_json::json!({"peers": peers.list()}));
        // Everyone subscribes before the first object comes.
        let leads = fence.clone();
        let link = gateway.link_of_leader(move || leads.check().ok());
        let codes = codes::Follower::new(client.clone(), &caches, Arc::clone(&known_codes));
        let credentials = credentials::Follower::new(&caches, Arc::clone(&link));
        let term = Term::new(Parts {
            client: fence.guard(&client),
            caches: Arc::clone(&caches),
            codes: known_codes,
            clients: Arc::new(Clients::guarded(fence.clone())),
            link,
            where_to_dial: where_to_dial(&settings, &gateway),
            image: settings.simulator_image.clone(),
            patience: settings.patience,
            metrics,
            action_metrics,
            simulation: !settings.scope.without_simulation,
        });
        Ok(Self { client, settings, feeds, codes, credentials, gateway, fence, leader_metrics, term, caches, probes, listener, ready })
    }

    /// Runs until the shutdown, or until one of its parts dies. Ends in order: first the controllers, then the sessions, then what these need.
    ///
    /// # Errors
    /// The part that died.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), TaskError> {
        let mut tasks = Tasks::new(shutdown.clone());
        let (stop_gateway, stop_rest) = (CancellationToken::new(), CancellationToken::new());
        let Self { client, settings, feeds, codes, credentials, gateway, fence, leader_metrics, term, caches, probes, listener, ready } =
            self;
        let (codes, credentials) = (Arc::new(codes), Arc::new(credentials));
        tasks.spawn("watching the cluster", endless(feeds.run(client.clone(), settings.scope.clone(), stop_rest.clone())));
        tasks.spawn("metrics and probes", probes.clone().serve(listener, stop_rest.clone()));
        if let (Some(replication), Some(others)) = (&settings.replication, gateway.replicas()) {
            meet(&mut tasks, replication, others, &client, &fence, &stop_rest);
        }
        // Of several who wait for a cache only one is woken: so one waits for all.
        let filled = CancellationToken::new();
        tasks.spawn("filling the caches", endless(fill(Arc::clone(&caches), filled.clone(), shutdown.clone())));
        let (all_codes, all_credentials) = (Arc::clone(&codes), Arc::clone(&credentials));
        let following = after(filled.clone(), stop_rest.clone(), move |stop| async move {
            tokio::join!(all_codes.run(stop.clone()), all_credentials.run(stop));
        });
        tasks.spawn("enrolment codes and credentials", endless(following));
        tasks.spawn("readiness", not_ready_at(probes.clone(), shutdown.clone()));
        let (full, stopping, stop_sessions) = (filled.clone(), shutdown.clone(), stop_gateway.clone());
        let end_of_gateway = stop_rest.clone().drop_guard();
        tasks.spawn("the gateway", async move {
            let _then = end_of_gateway;
            // Systems are let in only now: before, the gateway would not know them and send them away for a while.
            if !is_filled(&full, &stop_sessions).await {
                return Ok(());
            }
            credentials.look_at_all();
            tokio::select! {
                () = codes.read_all() => {}
                () = stop_sessions.cancelled() => return Ok(()),
            }
            probes.set_ready(!stopping.is_cancelled());
            if let Some(ready) = ready {
                // Nobody waits any more: that is fine.
                let _ = ready.send(());
            }
            gateway.run(stop_sessions).await
        });
        let end_of_controllers = stop_gateway.drop_guard();
        tasks.spawn("the controllers", async move {
            let _then = end_of_controllers;
            if !is_filled(&filled, &shutdown).await {
                return Ok(());
            }
            let begin = |stop| Arc::clone(&term).run(stop);
            let Some(replication) = &settings.replication else {
                leader_metrics.leads();
                begin(shutdown).await;
                return Ok(());
            };
            let watchdog = Watchdog::start(fence.clone()).map_err(ControllersError::Watchdog)?;
            let elector = replication.elector(&client);
            leadership::run(elector, &fence, &watchdog, &leader_metrics, begin, shutdown).await.map_err(ControllersError::Work)
        });
        tasks.run().await
    }
}

/// Why the controllers ended.
#[derive(Debug, thiserror::Error)]
enum ControllersError {
    #[error("there is no thread for the watchdog")]
    Watchdog(#[source] std::io::Error),
    #[error(transparent)]
    Work(WorkError),
}

async fn gateway_options(client: &Client, settings: &Settings) -> Result<gateway::Options, Box<dyn std::error::Error>> {
    let mut options = gateway::Options::new(settings.gateway, &settings.folder);
    options.host_names = vec![settings.gateway_host.clone()];
    options.server_certificate.clone_from(&settings.gateway_certificate);
    if let Some(replication) = &settings.replication {
        let (authority, replica) = replication.authorities(client, &settings.folder).await?;
        (options.authority, options.replica) = (Some(authority), Some(replica));
        (options.times.leave_within, options.times.drain) = (LEAVE_WITHIN, DRAIN);
    }
    Ok(options)
}

fn where_to_dial(settings: &Settings, gateway: &Gateway) -> customer::Gateway {
    let port = settings.gateway_public_port.unwrap_or_else(|| gateway.address().port());
    customer::Gateway { address: format!("https://{}:{port}", settings.gateway_host), trust: gateway.trust() }
}

/// Keeps this replica's Lease, finds the others, and follows their sessions.
fn meet(tasks: &mut Tasks, replication: &Replication, others: Arc<Replicas>, client: &Client, fence: &Fence, stop: &CancellationToken) {
    let identity = replication.identity(others.address());
    let (known, who) = watch::channel(Known::new());
    tasks.spawn("this replica's Lease", endless(replicas::keep(client.clone(), identity.clone(), stop.clone())));
    tasks.spawn("the Leases of replicas", endless(replicas::follow(client.clone(), identity, known, fence.clone(), stop.clone())));
    tasks.spawn("the other replicas", others.run(who, stop.clone()));
}

/// Waits until the caches are filled, and says so to all.
async fn fill(caches: Arc<Caches>, filled: CancellationToken, shutdown: CancellationToken) {
    tokio::select! {
        // An error: the feeds have ended, and with them everything.
        full = caches.wait_until_ready() => if full.is_ok() { filled.cancel() },
        () = shutdown.cancelled() => {}
    }
    shutdown.cancelled().await;
}

/// Waits until the caches are filled. False: it is to end before.
async fn is_filled(filled: &CancellationToken, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = filled.cancelled() => true,
        () = stop.cancelled() => false,
    }
}

/// A part that begins once the caches are filled.
async fn after<F: Future<Output = ()>>(filled: CancellationToken, stop: CancellationToken, part: impl FnOnce(CancellationToken) -> F) {
    if is_filled(&filled, &stop).await {
        part(stop).await;
    }
}

/// Nothing new is sent here once the end is asked for.
async fn not_ready_at(probes: Probes, shutdown: CancellationToken) -> Result<(), std::convert::Infallible> {
    shutdown.cancelled().await;
    probes.set_ready(false);
    Ok(())
}

/// A part that has no errors of its own.
async fn endless(part: impl Future<Output = ()>) -> Result<(), std::convert::Infallible> {
    part.await;
    Ok(())
}
