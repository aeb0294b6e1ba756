//! Keeps customers: their ids, the Secret with their subscription, their counts by colour; and holds a deletion up while systems remain.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crds::{Customer, CustomerStatus, PAUSED_ANNOTATION};
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt as _};
use runtime::cache::Pending;
use runtime::metrics::ReconcileMetrics;
use tokio_util::sync::CancellationToken;

pub use act::Gateway;
use plan::SecretState;
pub(crate) use plan::{PAUSED, secret_name};

use crate::caches::{Caches, customer_id};
use crate::codes::EnrolmentCodes;
use crate::error::ReconcileError;
use crate::index::place;

/// What the controller works with.
pub struct Context {
    /// The API.
    pub client: Client,
    /// The caches.
    pub caches: Arc<Caches>,
    /// Where systems dial.
    pub gateway: Gateway,
    /// Codes for the gateway.
    pub codes: Arc<EnrolmentCodes>,
}

/// Subscribes to what customers depend on. Before the caches are fed.
pub fn triggers(caches: &Caches) -> Arc<Pending<ObjectRef<Customer>>> {
    let pending = Arc::clone(&caches.customers_touched);
    caches.customers.trigger(&pending, |customer| vec![ObjectRef::from_obj(customer)]);
    caches.systems.trigger(&pending, |system| vec![ObjectRef::new(&system.spec.customer).within(&system.namespace().unwrap_or_default())]);
    caches.secrets.trigger(&pending, |secret| {
        let namespace = secret.namespace().unwrap_or_default();
        let owners = secret.owner_references().iter().filter(|owner| owner.kind == "Customer");
        owners.map(|owner| ObjectRef::new(&owner.name).within(&namespace)).collect()
    });
    pending
}

/// Runs until the shutdown.
pub async fn run(
    context: Arc<Context>,
    triggers: Arc<Pending<ObjectRef<Customer>>>,
    metrics: ReconcileMetrics,
    shutdown: CancellationToken,
) {
    let store = context.caches.customers.store().clone();
    let following = follow_trust(Arc::clone(&context), Arc::clone(&triggers), shutdown.clone());
    let running = Arc::new(Running { context, memory: Mutex::default() });
    tokio::join!(runtime::controller::run(store, triggers, running, reconcile, metrics, shutdown), following);
}

/// Where systems are to trust something else, every subscription says so.
async fn follow_trust(context: Arc<Context>, triggers: Arc<Pending<ObjectRef<Customer>>>, shutdown: CancellationToken) {
    let mut trust = context.gateway.trust.clone();
    loop {
        tokio::select! {
            changed = trust.changed() => if changed.is_err() { return },
            () = shutdown.cancelled() => return,
        }
        triggers.add(context.caches.customers.references());
    }
}

/// Counts of systems that change are written this much later, so that many changes are one write.
const COUNTS_SETTLE: Duration = Duration::from_secs(1);

struct Running {
    context: Arc<Context>,
    memory: Mutex<HashMap<String, Memory>>,
}

/// What is remembered of a customer between two looks, by uid. Lost with the process, and then found out again.
#[derive(Debug, Default)]
struct Memory {
    /// The version of the Secret in which the whole subscription was seen, and what systems were to trust then.
    complete: Option<(String, String)>,
    /// When counts that differ are to be written.
    counts_due: Option<Instant>,
}

impl Running {
    fn remember<T>(&self, customer: &Customer, with: impl FnOnce(&mut Memory) -> T) -> T {
        let uid = customer.uid().unwrap_or_default();
        with(self.memory.lock().unwrap_or_else(PoisonError::into_inner).entry(uid).or_default())
    }

    fn forget(&self, customer: &Customer) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(&customer.uid().unwrap_or_default());
    }

    /// Whether the Secret is the one that was seen to be complete: then it needs not be read again.
    fn is_complete(&self, customer: &Customer, authority: &str) -> bool {
        let (namespace, name) = place(customer);
        let now = self.context.caches.secrets.get(&namespace, &secret_name(&name)).and_then(|secret| secret.resource_version());
        let Some(now) = now else { return false };
        self.remember(customer, |memory| memory.complete.as_ref().is_some_and(|(version, trusted)| *version == now && trusted == authority))
    }

    /// How long to wait before the status is written: only where nothing but counts differs.
    fn wait(&self, customer: &Customer, wanted: &CustomerStatus) -> Option<Duration> {
        let only_counts = customer.status.as_ref().is_some_and(|current| {
            current.systems != wanted.systems && CustomerStatus { systems: wanted.systems, ..current.clone() } == *wanted
        });
        let now = Instant::now();
        self.remember(customer, |memory| {
            if !only_counts {
                memory.counts_due = None;
                return None;
            }
            let due = *memory.counts_due.get_or_insert(now + COUNTS_SETTLE);
            let left = due.saturating_duration_since(now);
            if left.is_zero() {
                memory.counts_due = None;
            }
            Some(left).filter(|left| !left.is_zero())
        })
    }
}

async fn reconcile(customer: Arc<Customer>, running: Arc<Running>) -> Result<Action, ReconcileError> {
    let context = &running.context;
    let caches = &context.caches;
    let here = place(customer.as_ref());
    let other =
        |owner: Option<(String, String)>| owner.filter(|owner| *owner != here).map(|(namespace, name)| format!("{namespace}/{name}"));
    let id = customer_id(&customer);
    let paused = customer.annotations().contains_key(PAUSED_ANNOTATION);
    let deleting = customer.metadata.deletion_timestamp.is_some();
    if !paused && !deleting {
        act::set_finalizer(&context.client, &customer, true).await?;
    }
    let authority = context.gateway.authority();
    let complete = running.is_complete(&customer, &authority);
    let (secret, present) = if complete { (SecretState::Ours, None) } else { act::read(&context.client, &customer).await? };
    let systems = caches.systems_of(&here);
    let observed = plan::Observed {
        customer: &customer,
        id_taken_by: other(caches.owner_of_customer_id(&id)),
        name_taken_by: other(caches.owner_of_name(&here.0, &customer.spec.display_name)),
        systems: systems
            .iter()
            .map(|system| (system.name_any(), system.status.as_ref().and_then(|status| status.connection.as_ref()).map(|c| c.colour)))
            .collect(),
        id: id.clone(),
        secret,
        paused,
        now: jiff::Timestamp::now(),
    };
    let plan = plan::plan(&observed);
    if plan.subscription && !complete {
        let version =
            act::subscription(&context.client, &customer, &id, &context.gateway, &authority, present.as_ref(), &context.codes).await?;
        running.remember(&customer, |memory| memory.complete = version.map(|version| (version, authority)));
    } else if !plan.subscription {
        running.remember(&customer, |memory| memory.complete = None);
    }
    if deleting && !plan.subscription && observed.id_taken_by.is_none() {
        context.codes.set(&id, None);
    }
    if plan.release {
        running.forget(&customer);
        return act::set_finalizer(&context.client, &customer, false).await.map(|()| Action::await_change());
    }
    if let Some(wait) = running.wait(&customer, &plan.status) {
        return Ok(Action::requeue(wait));
    }
    runtime::status::apply(&context.client, act::MANAGER, customer.as_ref(), customer.status.as_ref(), &plan.status)
        .await
        .map_err(ReconcileError::api("write", format!("status of Customer {}", here.1)))?;
    Ok(Action::await_change())
}
