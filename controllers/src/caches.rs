//! One watch a kind, shared by all controllers, the gateway's directory and the metrics.

#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crds::identity::{derive_customer_id, derive_system_id};
use crds::{Backup, Customer, IPOffice, ObjectStore, Registration, Restore, SimulatedSystem};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client};
use model::ids::{CustomerId, SystemId, SystemKey};
use runtime::cache::{Cache, Feed, Pending};
use runtime::watch::{tolerant, tolerant_in};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::index::{Action, ActionKind, Index, Place, age, place};

/// Value of [`crate::MANAGED_BY`] on what belongs to simulated systems.
pub const SIMULATION: &str = "switchboard-simulation";

/// The caches.
#[derive(Debug)]
pub struct Caches {
    /// Customers.
    pub customers: Arc<Cache<Customer>>,
    /// Systems.
    pub systems: Arc<Cache<IPOffice>>,
    /// Systems nobody declared.
    pub registrations: Arc<Cache<Registration>>,
    /// Object stores.
    pub stores: Arc<Cache<ObjectStore>>,
    /// Backups.
    pub backups: Arc<Cache<Backup>>,
    /// Restores.
    pub restores: Arc<Cache<Restore>>,
    /// Simulated systems.
    pub simulated: Arc<Cache<SimulatedSystem>>,
    /// Secrets: metadata only, their data is read where needed.
    pub secrets: Arc<Cache<PartialObjectMeta<Secret>>>,
    /// Pods of simulated systems.
    pub pods: Arc<Cache<Pod>>,
    /// ConfigMaps of simulated systems.
    pub configurations: Arc<Cache<ConfigMap>>,
    /// Customers to look at because another one took or left an id.
    pub customers_touched: Arc<Pending<ObjectRef<Customer>>>,
    /// Systems to look at because another one took or left an id.
    pub systems_touched: Arc<Pending<ObjectRef<IPOffice>>>,
    index: Mutex<Index>,
}

/// What the caches hold.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Only what is in these namespaces; all where there are none.
    pub tenancies: Vec<String>,
    /// Nothing of simulated systems: neither their kind nor rights to their pods need to be there.
    pub without_simulation: bool,
}

/// What fills the caches.
#[derive(Debug)]
pub struct Feeds {
    customers: Feed<Customer>,
    systems: Feed<IPOffice>,
    registrations: Feed<Registration>,
    stores: Feed<ObjectStore>,
    backups: Feed<Backup>,
    restores: Feed<Restore>,
    simulated: Feed<SimulatedSystem>,
    secrets: Feed<PartialObjectMeta<Secret>>,
    pods: Feed<Pod>,
    configurations: Feed<ConfigMap>,
}

/// The id a customer has or would have. A given id that is no id (an old server let it in) counts as absent.
pub fn customer_id(customer: &Customer) -> CustomerId {
    let (namespace, name) = place(customer);
    customer.spec.customer_id.as_deref().and_then(|id| id.parse().ok()).unwrap_or_else(|| derive_customer_id(&namespace, &name))
}

/// The id a system has or would have.
pub fn system_id(system: &IPOffice) -> SystemId {
    let (namespace, name) = place(system);
    system.spec.system_id.as_deref().and_then(|id| id.parse().ok()).unwrap_or_else(|| derive_system_id(&namespace, &name))
}

impl Caches {
    /// Empty caches and what fills them.
    pub fn new() -> (Arc<Self>, Feeds) {
        let (customers, feed_customers) = Cache::new();
        let (systems, feed_systems) = Cache::new();
        let (registrations, feed_registrations) = Cache::new();
        let (stores, feed_stores) = Cache::new();
        let (backups, feed_backups) = Cache::new();
        let (restores, feed_restores) = Cache::new();
        let (simulated, feed_simulated) = Cache::new();
        let (secrets, feed_secrets) = Cache::new();
        let (pods, feed_pods) = Cache::new();
        let (configurations, feed_configurations) = Cache::new();
        let caches = Arc::new(Self {
            customers,
            systems,
            registrations,
            stores,
            backups,
            restores,
            simulated,
            secrets,
            pods,
            configurations,
            customers_touched: Arc::default(),
            systems_touched: Arc::default(),
            index: Mutex::default(),
        });
        caches.follow();
        let feeds = Feeds {
            customers: feed_customers,
            systems: feed_systems,
            registrations: feed_registrations,
            stores: feed_stores,
            backups: feed_backups,
            restores: feed_restores,
            simulated: feed_simulated,
            secrets: feed_secrets,
            pods: feed_pods,
            configurations: feed_configurations,
        };
        (caches, feeds)
    }

    /// Keeps the index in step with the caches.
    fn follow(self: &Arc<Self>) {
        let caches = Arc::downgrade(self);
        self.customers.subscribe(move |customer| {
            if let Some(caches) = caches.upgrade() {
                caches.customer_changed(customer);
            }
        });
        let caches = Arc::downgrade(self);
        self.systems.subscribe(move |system| {
            if let Some(caches) = caches.upgrade() {
                caches.system_changed(system);
            }
        });
        let caches = Arc::downgrade(self);
        self.backups.subscribe(move |backup| {
            if let Some(caches) = caches.upgrade() {
                let (namespace, name) = place(backup);
                let system = caches.backups.get(&namespace, &name).map(|backup| (namespace.clone(), backup.spec.ip_office.clone()));
                caches.index().set_action((ActionKind::Backup, (namespace, name)), system);
            }
        });
        let caches = Arc::downgrade(self);
        self.restores.subscribe(move |restore| {
            if let Some(caches) = caches.upgrade() {
                let (namespace, name) = place(restore);
                let system = caches.restores.get(&namespace, &name).map(|restore| (namespace.clone(), restore.spec.ip_office.clone()));
                caches.index().set_action((ActionKind::Restore, (namespace, name)), system);
            }
        });
    }

    fn customer_changed(&self, customer: &Customer) {
        let here = place(customer);
        let mut index = self.index();
        let mut touched = if self.customers.get(&here.0, &here.1).is_some() {
            let mut touched = index.customers.claim(&here, &customer_id(customer), &age(customer));
            touched.extend(index.names.claim(&here, &(here.0.clone(), customer.spec.display_name.clone()), &age(customer)));
            touched
        } else {
            let mut touched = index.customers.release(&here);
            touched.extend(index.names.release(&here));
            touched
        };
        let systems = index.systems_of(&here);
        drop(index);
        touched.dedup();
        self.customers_touched.add(touched.into_iter().map(reference));
        // The id of a system holds its customer's: where the customer came after its systems, or went, they are claimed anew.
        for system in systems.iter().filter_map(|(namespace, name)| self.systems.get(namespace, name)) {
            self.system_changed(&system);
        }
    }

    fn system_changed(&self, system: &IPOffice) {
        let here = place(system);
        let present = self.systems.get(&here.0, &here.1).is_some();
        let key = self.key(system);
        let mut index = self.index();
        let touched = if present {
            index.belongs(&here, &(here.0.clone(), system.spec.customer.clone()));
            index.systems.claim(&here, &key, &age(system))
        } else {
            index.forget_system(&here);
            index.systems.release(&here)
        };
        drop(index);
        self.systems_touched.add(touched.into_iter().map(reference));
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who has a customer id.
    pub fn owner_of_customer_id(&self, id: &CustomerId) -> Option<Place> {
        self.index().customers.owner(id).cloned()
    }

    /// Who has a display name in a namespace.
    pub fn owner_of_name(&self, namespace: &str, name: &str) -> Option<Place> {
        self.index().names.owner(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Who has a system id of a customer.
    pub fn owner_of_system(&self, key: &SystemKey) -> Option<Place> {
        self.index().systems.owner(key).cloned()
    }

    /// The systems that name a customer.
    pub fn systems_of(&self, customer: &Place) -> Vec<Arc<IPOffice>> {
        let places = self.index().systems_of(customer);
        places.iter().filter_map(|(namespace, name)| self.systems.get(namespace, name)).collect()
    }

    /// The actions that name a system.
    pub fn actions_of(&self, system: &Place) -> Vec<Action> {
        self.index().actions_of(system)
    }

    /// Key of a system outside the cluster. Where its customer is missing the id is the one the customer would have.
    pub fn key(&self, system: &IPOffice) -> SystemKey {
        key_with(&self.customers, system)
    }

    /// Waits until every cache has its first objects.
    ///
    /// # Errors
    /// The feeds ended first.
    pub async fn wait_until_ready(&self) -> Result<(), kube::runtime::reflector::store::WriterDropped> {
        self.customers.store().wait_until_ready().await?;
        self.systems.store().wait_until_ready().await?;
        self.registrations.store().wait_until_ready().await?;
        self.stores.store().wait_until_ready().await?;
        self.backups.store().wait_until_ready().await?;
        self.restores.store().wait_until_ready().await?;
        self.simulated.store().wait_until_ready().await?;
        self.secrets.store().wait_until_ready().await?;
        self.pods.store().wait_until_ready().await?;
        self.configurations.store().wait_until_ready().await
    }
}

/// The customer's id counts, given or derived; a system whose customer is not there yet gets the derived one.
fn key_with(customers: &Cache<Customer>, system: &IPOffice) -> SystemKey {
    let (namespace, _) = place(system);
    let customer = customers
        .get(&namespace, &system.spec.customer)
        .map_or_else(|| derive_customer_id(&namespace, &system.spec.customer), |customer| customer_id(&customer));
    SystemKey { customer, system: system_id(system) }
}

fn reference<K: kube::Resource<DynamicType = ()>>((namespace, name): Place) -> ObjectRef<K> {
    ObjectRef::new(&name).within(&namespace)
}

/// One watch of one namespace, or of all.
type Watch<K> = (Option<String>, BoxStream<'static, watcher::Result<watcher::Event<K>>>);

impl Scope {
    /// The watches of a kind.
    fn watches<K>(&self, client: &Client, config: &watcher::Config) -> Vec<Watch<K>>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Debug + Clone + Send + 'static,
    {
        if self.tenancies.is_empty() {
            return vec![(None, tolerant(client.clone(), config.clone()).boxed())];
        }
        let watch = |namespace: &String| (Some(namespace.clone()), tolerant_in(client.clone(), namespace, config.clone()).boxed());
        self.tenancies.iter().map(watch).collect()
    }

    /// The same for what belongs to simulated systems.
    fn simulation<K>(&self, client: &Client, config: &watcher::Config) -> Vec<Watch<K>>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Debug + Clone + Send + 'static,
    {
        if !self.without_simulation {
            return self.watches(client, config);
        }
        // Nothing is there, and nothing comes.
        let nothing = stream::iter([Ok(watcher::Event::Init), Ok(watcher::Event::InitDone)]).chain(stream::pending());
        vec![(None, nothing.boxed())]
    }

    /// The watches of Secrets, of which metadata alone is wanted.
    fn secrets(&self, client: &Client) -> Vec<Watch<PartialObjectMeta<Secret>>> {
        let watch = |api: Api<PartialObjectMeta<Secret>>| watcher::watcher(api, watcher::Config::default()).map(strip).boxed();
        if self.tenancies.is_empty() {
            return vec![(None, watch(Api::all(client.clone())))];
        }
        let namespaced = |namespace: &String| (Some(namespace.clone()), watch(Api::namespaced(client.clone(), namespace)));
        self.tenancies.iter().map(namespaced).collect()
    }
}

impl Feeds {
    /// Fills the caches until the shutdown.
    pub async fn run(self, client: Client, scope: Scope, shutdown: CancellationToken) {
        let all = watcher::Config::default();
        let ours = watcher::Config::default().labels(&format!("{}={SIMULATION}", crate::MANAGED_BY));
        let feeds = futures::future::join_all([
            boxed(self.customers.run_all(scope.watches(&client, &all))),
            boxed(self.systems.run_all(scope.watches(&client, &all))),
            boxed(self.registrations.run_all(scope.watches(&client, &all))),
            boxed(self.stores.run(tolerant(client.clone(), all.clone()))),
            boxed(self.backups.run_all(scope.watches(&client, &all))),
            boxed(self.restores.run_all(scope.watches(&client, &all))),
            boxed(self.simulated.run_all(scope.simulation(&client, &all))),
            boxed(self.secrets.run_all(scope.secrets(&client))),
            boxed(self.pods.run_all(scope.simulation(&client, &ours))),
            boxed(self.configurations.run_all(scope.simulation(&client, &ours))),
        ]);
        tokio::select! {
            _ = feeds => {}
            () = shutdown.cancelled() => {}
        }
    }
}

fn boxed(feed: impl Future<Output = ()> + Send + 'static) -> futures::future::BoxFuture<'static, ()> {
    Box::pin(feed)
}

/// Managed fields and annotations of Secrets are of no use here: leave them out of memory.
fn strip(event: watcher::Result<watcher::Event<PartialObjectMeta<Secret>>>) -> watcher::Result<watcher::Event<PartialObjectMeta<Secret>>> {
    event.map(|event| {
        event.modify(|secret| {
            secret.metadata.managed_fields = None;
            secret.metadata.annotations = None;
        })
    })
}
