//! What a cluster does by itself: collecting what nobody owns any more, emptying namespaces that go, and giving new ones what every
//! namespace has. Built-in and custom kinds are treated alike; kinds come and go with their definitions.
//!
//! | module | what it does |
//! |---|---|
//! | [`kinds`] | which kinds there are |
//! | [`inventory`] | watches the metadata of every object |
//! | [`graph`] | who belongs to whom (pure) |
//! | [`judgement`] | what to do with an object, given its owners and dependents (pure) |
//! | [`collector`] | the garbage collector: does it |
//! | [`namespaces`] | empties namespaces that are being deleted |
//! | [`events`] | removes old Events |
//! | [`workloads`] | Deployments, ReplicaSets, Jobs and PodDisruptionBudgets |
//! | [`endpoints`] | Endpoints and EndpointSlices of Services |
//! | [`api_server`] | the Service `kubernetes` |
//! | [`delays`] | how long what failed waits |
//! | [`accounts`] | under which names they act |
//! | [`defaults`] | the `default` service account and the `kube-root-ca.crt` config map |

pub mod accounts;
pub mod api_server;
pub mod collector;
pub mod defaults;
pub mod delays;
pub mod endpoints;
pub mod events;
pub mod graph;
pub mod inventory;
pub mod judgement;
pub mod kinds;
pub mod namespaces;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod workloads;

use kube::Client;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// Which controllers run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Garbage collection: background, foreground, orphan.
    pub garbage_collector: bool,
    /// Deletion of namespaces with their content.
    pub namespaces: bool,
    /// A service account `default` in every namespace.
    pub service_accounts: bool,
    /// Pods for Deployments, ReplicaSets and Jobs; the status of PodDisruptionBudgets.
    pub workloads: bool,
    /// Endpoints and EndpointSlices of Services.
    pub endpoints: bool,
    /// The Service `kubernetes`, where the server's address is known.
    pub api_server: Option<api_server::ApiServerAddress>,
    /// Under which names those act that delete for others: the garbage collector, and whoever empties namespaces; all as one where absent.
    pub accounts: Option<accounts::Accounts>,
    /// Removal of Events an hour after they were last seen.
    pub events: bool,
    /// A config map `kube-root-ca.crt` in every namespace, holding these certificates (PEM).
    pub root_certificates: Option<String>,
}

impl Default for Options {
    /// All but the config map and the Service `kubernetes`, for which certificates and an address are needed.
    fn default() -> Self {
        Self {
            garbage_collector: true,
            namespaces: true,
            service_accounts: true,
            workloads: true,
            endpoints: true,
            api_server: None,
            accounts: None,
            events: true,
            root_certificates: None,
        }
    }
}

/// Runs the controllers through a client that may do everything, until shutdown.
///
/// # Errors
/// When one of their tasks died, which is a defect; the others are ended.
pub async fn run(client: Client, options: Options, shutdown: CancellationToken) -> Result<(), JoinError> {
    let mut tasks = JoinSet::new();
    let acting = |name: &str| options.accounts.as_ref().map_or_else(|| client.clone(), |accounts| accounts.client(name));
    if options.garbage_collector || options.namespaces {
        let (known_kinds, kinds) = watch::channel(std::sync::Arc::default());
        let (to_collector, changes) = mpsc::channel(1024);
        let (removals, _) = broadcast::channel(256);
        if options.garbage_collector {
            tasks.spawn(collector::run(acting(accounts::GARBAGE_COLLECTOR), changes, kinds.clone(), shutdown.clone()));
        } else {
            drop(changes);
        }
        if options.namespaces {
            tasks.spawn(namespaces::run(acting(accounts::NAMESPACES), kinds, removals.clone(), shutdown.clone()));
        }
        let inventory = inventory::Inventory { client: client.clone(), changes: to_collector, removals, kinds: known_kinds };
        tasks.spawn(inventory.run(shutdown.clone()));
    }
    if options.workloads {
        tasks.spawn(workloads::run(client.clone(), shutdown.clone()));
    }
    if options.endpoints {
        tasks.spawn(endpoints::run(client.clone(), shutdown.clone()));
    }
    if let Some(address) = options.api_server {
        tasks.spawn(api_server::keep(client.clone(), address, shutdown.clone()));
    }
    if options.events {
        tasks.spawn(events::run(client.clone(), shutdown.clone()));
    }
    if options.service_accounts || options.root_certificates.is_some() {
        tasks.spawn(defaults::run(client, options.service_accounts, options.root_certificates, shutdown.clone()));
    }
    let mut outcome = Ok(());
    tokio::select! {
        () = shutdown.cancelled() => {}
        Some(ended) = tasks.join_next() => outcome = ended,
    }
    shutdown.cancel();
    while let Some(ended) = tasks.join_next().await {
        outcome = outcome.and(ended);
    }
    outcome
}
