//! Keeps customers: their ids, the Secret with their subscription, their counts by colour; and holds a deletion up while systems remain.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crds::{Customer, PAUSED_ANNOTATION};
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt as _};
use runtime::cache::Pending;
use runtime::metrics::ReconcileMetrics;
use tokio_util::sync::CancellationToken;

pub use act::Gateway;
pub(crate) use plan::{PAUSED, secret_name};

use crate::caches::{Caches, customer_id};
use crate::directory::EnrolmentCodes;
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
    runtime::controller::run(store, triggers, context, reconcile, metrics, shutdown).await;
}

async fn reconcile(customer: Arc<Customer>, context: Arc<Context>) -> Result<Action, ReconcileError> {
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
    let (secret, present) = act::read(&context.client, &customer).await?;
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
    if plan.subscription {
        act::subscription(&context.client, &customer, &id, &context.gateway, present.as_ref(), &context.codes).await?;
    } else if deleting && observed.id_taken_by.is_none() {
        context.codes.set(&id, None);
    }
    if plan.release {
        return act::set_finalizer(&context.client, &customer, false).await.map(|()| Action::await_change());
    }
    runtime::status::apply(&context.client, act::MANAGER, customer.as_ref(), customer.status.as_ref(), &plan.status)
        .await
        .map_err(ReconcileError::api("write", format!("status of Customer {}", here.1)))?;
    Ok(Action::await_change())
}
