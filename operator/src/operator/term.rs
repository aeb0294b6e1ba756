//! What the leader does: the controllers, from the beginning of a leadership to its end.

use std::sync::Arc;

use controllers::action::Patience;
use controllers::action_metrics::ActionMetrics;
use controllers::caches::Caches;
use controllers::codes::EnrolmentCodes;
use controllers::object_store::Clients;
use controllers::{backup, customer, ipoffice, object_store, registration, restore, simulated_system};
use crds::{Backup, Customer, IPOffice, ObjectStore, Registration, Restore, SimulatedSystem};
use kube::Client;
use kube::runtime::reflector::ObjectRef;
use protocol::link::SystemLink;
use runtime::cache::Pending;
use runtime::metrics::ReconcileMetrics;
use tokio_util::sync::CancellationToken;

type Triggers<K> = Arc<Pending<ObjectRef<K>>>;

/// What each controller is triggered by. Subscribed to once, before the first object comes; what comes while another replica leads is not collected.
struct AllTriggers {
    customers: Triggers<Customer>,
    systems: Triggers<IPOffice>,
    registrations: Triggers<Registration>,
    stores: Triggers<ObjectStore>,
    backups: Triggers<Backup>,
    restores: Triggers<Restore>,
    simulated: Triggers<SimulatedSystem>,
}

impl AllTriggers {
    fn new(caches: &Arc<Caches>, clients: &Arc<Clients>) -> Self {
        let triggers = Self {
            customers: customer::triggers(caches),
            systems: ipoffice::triggers(caches),
            registrations: registration::triggers(caches),
            stores: object_store::triggers(caches, clients),
            backups: backup::triggers(caches),
            restores: restore::triggers(caches),
            simulated: simulated_system::triggers(caches),
        };
        triggers.close();
        triggers
    }

    fn close(&self) {
        self.customers.close();
        self.systems.close();
        self.registrations.close();
        self.stores.close();
        self.backups.close();
        self.restores.close();
        self.simulated.close();
    }

    /// They collect until what is returned is dropped.
    fn open(&self) -> Collecting<'_> {
        self.customers.open();
        self.systems.open();
        self.registrations.open();
        self.stores.open();
        self.backups.open();
        self.restores.open();
        self.simulated.open();
        Collecting(self)
    }

    /// Who begins to lead looks at everything once: what an earlier leader left half done is nobody else's.
    fn everything(&self, caches: &Caches) {
        self.customers.add(caches.customers.references());
        self.systems.add(caches.systems.references());
        self.registrations.add(caches.registrations.references());
        self.stores.add(caches.stores.references());
        self.backups.add(caches.backups.references());
        self.restores.add(caches.restores.references());
        self.simulated.add(caches.simulated.references());
    }
}

/// Somebody reads what the triggers collect.
struct Collecting<'a>(&'a AllTriggers);

impl Drop for Collecting<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What the controllers work with, the same in every term.
pub(super) struct Parts {
    /// The API; changes pass only while this process leads.
    pub(super) client: Client,
    pub(super) caches: Arc<Caches>,
    pub(super) codes: Arc<EnrolmentCodes>,
    /// The same for stores.
    pub(super) clients: Arc<Clients>,
    /// The same for systems.
    pub(super) link: Arc<dyn SystemLink>,
    pub(super) where_to_dial: customer::Gateway,
    pub(super) image: String,
    pub(super) patience: Patience,
    pub(super) metrics: ReconcileMetrics,
    pub(super) action_metrics: ActionMetrics,
    pub(super) simulation: bool,
}

/// The leader's work.
pub(super) struct Term {
    parts: Parts,
    triggers: AllTriggers,
}

impl Term {
    /// Subscribes to what the controllers depend on. Before the caches are fed.
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        let triggers = AllTriggers::new(&parts.caches, &parts.clients);
        Arc::new(Self { parts, triggers })
    }

    /// Runs all controllers until `stop`. Once the caches are filled.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        // Also where this is dropped in the midst of it, because the leadership is lost.
        let _collecting = self.triggers.open();
        self.triggers.everything(&self.parts.caches);
        tokio::join!(self.customers(&stop), self.systems(&stop), self.actions(&stop), self.registrations(&stop), self.simulation(&stop));
    }

    async fn customers(&self, stop: &CancellationToken) {
        let Parts { client, caches, where_to_dial, codes, metrics, .. } = &self.parts;
        let context = customer::Context {
            client: client.clone(),
            caches: Arc::clone(caches),
            gateway: where_to_dial.clone(),
            codes: Arc::clone(codes),
        };
        customer::run(Arc::new(context), Arc::clone(&self.triggers.customers), metrics.clone(), stop.clone()).await;
    }

    async fn systems(&self, stop: &CancellationToken) {
        let Parts { client, caches, link, metrics, .. } = &self.parts;
        // From the beginning of the leadership, not of the process: what is known of sessions may be incomplete still.
        let grace = protocol::OFFLINE_AFTER;
        let (context, orders) = ipoffice::Context::new(client.clone(), Arc::clone(caches), Arc::clone(link), grace);
        let triggers = &self.triggers.systems;
        tokio::join!(
            ipoffice::run(Arc::new(context), orders, Arc::clone(triggers), metrics.clone(), stop.clone()),
            ipoffice::follow_sessions(Arc::clone(caches), Arc::clone(link), Arc::clone(triggers), stop.clone()),
        );
    }

    async fn actions(&self, stop: &CancellationToken) {
        let Parts { client, caches, clients, link, patience, metrics, action_metrics, .. } = &self.parts;
        let stores = object_store::Context::new(client.clone(), Arc::clone(caches), Arc::clone(clients));
        let backups = backup::Context {
            client: client.clone(),
            caches: Arc::clone(caches),
            clients: Arc::clone(clients),
            link: Arc::clone(link),
            patience: *patience,
            metrics: action_metrics.clone(),
            triggers: Arc::clone(&self.triggers.backups),
        };
        let restores = restore::Context {
            client: client.clone(),
            caches: Arc::clone(caches),
            clients: Arc::clone(clients),
            link: Arc::clone(link),
            patience: *patience,
            metrics: action_metrics.clone(),
            triggers: Arc::clone(&self.triggers.restores),
        };
        tokio::join!(
            object_store::run(Arc::new(stores), Arc::clone(&self.triggers.stores), metrics.clone(), stop.clone()),
            backup::run(backups, metrics.clone(), stop.clone()),
            restore::run(restores, metrics.clone(), stop.clone()),
        );
    }

    async fn registrations(&self, stop: &CancellationToken) {
        let Parts { client, caches, metrics, .. } = &self.parts;
        let context = registration::Context { client: client.clone(), caches: Arc::clone(caches) };
        registration::run(Arc::new(context), Arc::clone(&self.triggers.registrations), metrics.clone(), stop.clone()).await;
    }

    async fn simulation(&self, stop: &CancellationToken) {
        if !self.parts.simulation {
            return;
        }
        let Parts { client, caches, image, metrics, .. } = &self.parts;
        let context = simulated_system::Context { client: client.clone(), caches: Arc::clone(caches), image: image.clone() };
        simulated_system::run(Arc::new(context), Arc::clone(&self.triggers.simulated), metrics.clone(), stop.clone()).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use futures::StreamExt as _;
    use runtime::fence::Fence;

    use super::*;

    #[tokio::test]
    async fn triggers_collect_during_a_term_and_at_no_other_time() {
        let (caches, _feeds) = Caches::new();
        let triggers = AllTriggers::new(&caches, &Arc::new(Clients::guarded(Fence::always())));
        let backup = |name: &str| ObjectRef::<Backup>::new(name).within("n");
        let mut stream = Box::pin(Arc::clone(&triggers.backups).stream());
        triggers.backups.add([backup("while-another-leads")]);
        let collecting = triggers.open();
        triggers.backups.add([backup("in-the-term")]);
        assert_eq!(stream.next().await, Some(backup("in-the-term")));
        triggers.backups.add([backup("left-at-its-end")]);
        drop(collecting);
        triggers.backups.add([backup("after-it")]);
        assert!(futures::poll!(stream.next()).is_pending());
    }
}
