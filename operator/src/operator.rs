//! The operator: gateway, controllers, metrics, wired together. The same for `up` and for a cluster.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use controllers::action::Patience;
use controllers::action_metrics::ActionMetrics;
use controllers::caches::{Caches, Feeds};
use controllers::directory::{EnrolmentCodes, KubernetesDirectory};
use controllers::object_store::Clients;
use controllers::{backup, customer, fleet_metrics, ipoffice, object_store, registration, restore, simulated_system};
use crds::ObjectStore;
use gateway::Gateway;
use kube::Client;
use kube::runtime::reflector::ObjectRef;
use prometheus::Registry;
use protocol::link::SystemLink;
use runtime::cache::Pending;
use runtime::logging::LevelHandle;
use runtime::metrics::ReconcileMetrics;
use runtime::probes::Probes;
use runtime::tasks::{TaskError, Tasks};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Where and as what the operator runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address that systems dial.
    pub gateway: SocketAddr,
    /// Host name or address in the subscription.
    pub gateway_host: String,
    /// Address of metrics and probes.
    pub metrics: SocketAddr,
    /// Folder of the gateway's authority.
    pub folder: PathBuf,
    /// Image of the pods of simulated systems.
    pub simulator_image: String,
    /// How patient backups and restores are.
    pub patience: Patience,
}

/// An operator whose ports are taken, and that has not begun yet.
pub struct Operator {
    client: Client,
    settings: Settings,
    caches: Arc<Caches>,
    feeds: Feeds,
    codes: Arc<EnrolmentCodes>,
    gateway: Gateway,
    probes: Probes,
    listener: TcpListener,
    metrics: ReconcileMetrics,
    action_metrics: ActionMetrics,
    ready: Option<oneshot::Sender<()>>,
}

impl Operator {
    /// Takes the ports and makes everything. `ready` is told once the caches are filled and the controllers run.
    ///
    /// # Errors
    /// A port in use, a folder that cannot be written, a damaged key file.
    pub async fn prepare(
        client: Client,
        settings: Settings,
        level: LevelHandle,
        registry: Registry,
        ready: Option<oneshot::Sender<()>>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let (caches, feeds) = Caches::new();
        let codes = Arc::new(EnrolmentCodes::default());
        let directory = Arc::new(KubernetesDirectory::new(client.clone(), Arc::clone(&caches), Arc::clone(&codes)));
        let mut options = gateway::Options::new(settings.gateway, &settings.folder);
        options.host_names = vec![settings.gateway_host.clone()];
        let gateway = Gateway::bind(options, directory).await?;
        let listener = Probes::bind(settings.metrics).await?;
        gateway.metrics().register(&registry)?;
        fleet_metrics::register(&registry, Arc::clone(&caches))?;
        let metrics = ReconcileMetrics::register(&registry)?;
        let action_metrics = ActionMetrics::register(&registry)?;
        let peers = gateway.unproved_peers();
        let probes = Probes::new(registry, level).with_metrics()?.with_peers(move || serde_json::json!({"peers": peers.list()}));
        Ok(Self { client, settings, caches, feeds, codes, gateway, probes, listener, metrics, action_metrics, ready })
    }

    /// Runs until the shutdown, or until one of its parts dies.
    ///
    /// # Errors
    /// The part that died.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), TaskError> {
        let mut tasks = Tasks::new(shutdown.clone());
        let link = self.gateway.link();
        let where_to_dial = customer::Gateway {
            address: format!("https://{}:{}", self.settings.gateway_host, self.gateway.address().port()),
            authority: self.gateway.authority_pem(),
        };
        // Everyone subscribes before the first object comes.
        let customers = customer::triggers(&self.caches);
        let systems = ipoffice::triggers(&self.caches);
        let registrations = registration::triggers(&self.caches);
        let clients = Arc::new(Clients::default());
        let stores = object_store::triggers(&self.caches, &clients);
        let backups = backup::triggers(&self.caches);
        let restores = restore::triggers(&self.caches);
        let simulated = simulated_system::triggers(&self.caches);
        let (client, caches, metrics, stop) = (self.client.clone(), Arc::clone(&self.caches), self.metrics.clone(), shutdown.clone());
        let (codes, image, ready, probes) = (self.codes, self.settings.simulator_image, self.ready.take(), self.probes.clone());
        tasks.spawn("watching the cluster", endless(self.feeds.run(self.client.clone(), shutdown.clone())));
        tasks.spawn("metrics and probes", self.probes.clone().serve(self.listener, shutdown.clone()));
        let gateway = self.gateway;
        let (patience, action_metrics) = (self.settings.patience, self.action_metrics);
        tasks.spawn("the controllers", async move {
            tokio::select! {
                filled = caches.wait_until_ready() => if filled.is_err() { return Ok(()) },
                () = stop.cancelled() => return Ok(()),
            }
            let context = customer::Context { client: client.clone(), caches: Arc::clone(&caches), gateway: where_to_dial, codes };
            let one = customer::run(Arc::new(context), customers, metrics.clone(), stop.clone());
            let grace = protocol::OFFLINE_AFTER;
            let session_link = Arc::clone(&link) as Arc<dyn SystemLink>;
            let (context, orders) = ipoffice::Context::new(client.clone(), Arc::clone(&caches), Arc::clone(&session_link), grace);
            let two = ipoffice::run(Arc::new(context), orders, Arc::clone(&systems), metrics.clone(), stop.clone());
            let three = ipoffice::follow_sessions(Arc::clone(&caches), link, systems, stop.clone());
            let actions = run_actions(Actions {
                stores: (object_store::Context::new(client.clone(), Arc::clone(&caches), Arc::clone(&clients)), stores),
                backups: backup::Context {
                    client: client.clone(),
                    caches: Arc::clone(&caches),
                    clients: Arc::clone(&clients),
                    link: Arc::clone(&session_link),
                    patience,
                    metrics: action_metrics.clone(),
                    triggers: backups,
                },
                restores: restore::Context {
                    client: client.clone(),
                    caches: Arc::clone(&caches),
                    clients,
                    link: session_link,
                    patience,
                    metrics: action_metrics,
                    triggers: restores,
                },
                metrics: metrics.clone(),
                stop: stop.clone(),
            });
            let context = registration::Context { client: client.clone(), caches: Arc::clone(&caches) };
            let six = registration::run(Arc::new(context), registrations, metrics.clone(), stop.clone());
            let context = simulated_system::Context { client, caches, image };
            let four = simulated_system::run(Arc::new(context), simulated, metrics, stop.clone());
            // Systems are let in only now: before, the gateway would not know them and send them away for a while.
            let five = async {
                probes.set_ready(true);
                if let Some(ready) = ready {
                    // Nobody waits any more: that is fine.
                    let _ = ready.send(());
                }
                gateway.run(stop.clone()).await
            };
            let (.., result) = tokio::join!(one, two, three, four, six, actions, five);
            result
        });
        let result = tasks.run().await;
        self.probes.set_ready(false);
        result
    }
}

/// What the controllers of stores and actions work with.
struct Actions {
    stores: (object_store::Context, Arc<Pending<ObjectRef<ObjectStore>>>),
    backups: backup::Context,
    restores: restore::Context,
    metrics: ReconcileMetrics,
    stop: CancellationToken,
}

/// Runs them until the shutdown.
async fn run_actions(actions: Actions) {
    let Actions { stores: (context, triggers), backups, restores, metrics, stop } = actions;
    tokio::join!(
        object_store::run(Arc::new(context), triggers, metrics.clone(), stop.clone()),
        backup::run(backups, metrics.clone(), stop.clone()),
        restore::run(restores, metrics, stop),
    );
}

/// A part that has no errors of its own.
async fn endless(part: impl Future<Output = ()>) -> Result<(), std::convert::Infallible> {
    part.await;
    Ok(())
}
