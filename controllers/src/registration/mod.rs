//! Keeps registrations (FLEET-3): systems that nobody declared and that know their customer's code. Makes the IPOffice of those that are let in.
//!
//! | module | what |
//! |---|---|
//! | [`register`] | the gateway's side: makes the object when such a system dials in, and says how it stands |
//! | [`plan`] | observed to what to do |
//! | [`act`] | does it |

mod act;
mod plan;
mod register;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crds::{Customer, IPOffice, PAUSED_ANNOTATION, Registration};
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt as _};
use model::ids::SystemKey;
use runtime::cache::Pending;
use runtime::metrics::ReconcileMetrics;
use tokio_util::sync::CancellationToken;

use crate::caches::{Caches, customer_id, system_id};
use crate::error::ReconcileError;
use crate::index::place;
use plan::{CustomerState, Declared, Observed, Step};

pub(crate) use register::Registrar;

/// The name of an IPOffice was taken a moment ago: the cache will show by what.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What the controller works with.
pub struct Context {
    /// The API.
    pub client: Client,
    /// The caches.
    pub caches: Arc<Caches>,
}

/// Subscribes to what registrations depend on. Before the caches are fed.
pub fn triggers(caches: &Arc<Caches>) -> Arc<Pending<ObjectRef<Registration>>> {
    let pending = Arc::new(Pending::default());
    caches.registrations.trigger(&pending, |registration| vec![ObjectRef::from_obj(registration)]);
    let weak = Arc::downgrade(caches);
    caches.customers.trigger(&pending, move |customer| {
        let (namespace, name) = place(customer);
        weak.upgrade().map(|caches| references(&of_customer(&caches, &namespace, &name))).unwrap_or_default()
    });
    let weak = Arc::downgrade(caches);
    caches.systems.trigger(&pending, move |system| {
        let Some(caches) = weak.upgrade() else { return Vec::new() };
        let (namespace, name) = place(system);
        let id = system_id(system);
        let about = |registration: &Arc<Registration>| {
            registration.namespace().as_deref() == Some(namespace.as_str())
                && ((registration.spec.customer == system.spec.customer && registration.spec.system_id == id.as_str())
                    || plan::ip_office_name(&registration.spec) == name)
        };
        references(&caches.registrations.store().state().into_iter().filter(about).collect::<Vec<_>>())
    });
    pending
}

fn references(registrations: &[Arc<Registration>]) -> Vec<ObjectRef<Registration>> {
    registrations.iter().map(|registration| ObjectRef::from_obj(registration.as_ref())).collect()
}

/// The registrations that name a customer.
fn of_customer(caches: &Caches, namespace: &str, customer: &str) -> Vec<Arc<Registration>> {
    let mut all = caches.registrations.store().state();
    all.retain(|registration| registration.spec.customer == customer && registration.namespace().as_deref() == Some(namespace));
    all
}

/// Runs until the shutdown.
pub async fn run(
    context: Arc<Context>,
    triggers: Arc<Pending<ObjectRef<Registration>>>,
    metrics: ReconcileMetrics,
    shutdown: CancellationToken,
) {
    let store = context.caches.registrations.store().clone();
    runtime::controller::run(store, triggers, context, reconcile, metrics, shutdown).await;
}

async fn reconcile(registration: Arc<Registration>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let customer = context.caches.customers.get(&registration.namespace().unwrap_or_default(), &registration.spec.customer);
    let mut observed = observe(&registration, customer.as_deref(), &context.caches);
    let mut plan = plan::plan(&observed);
    match &plan.step {
        Step::None => {}
        Step::Own => {
            if let Some(customer) = &customer {
                act::own(&context.client, &registration, customer).await?;
            }
        }
        Step::Approve => act::approve(&context.client, &registration).await?,
        Step::Create(office) => match act::create(&context.client, office).await? {
            act::Created::There => {
                let (namespace, name) = place(registration.as_ref());
                tracing::info!(namespace, name, ip_office = office.name_any(), "a registered system is let in");
                return Ok(Action::requeue(LOOK_AGAIN));
            }
            act::Created::Refused(message) => {
                observed.refused = Some(message);
                plan = plan::plan(&observed);
            }
        },
    }
    if let Some(status) = &plan.status {
        runtime::status::apply(&context.client, act::MANAGER, registration.as_ref(), registration.status.as_ref(), status)
            .await
            .map_err(ReconcileError::api("write", format!("status of Registration {}", registration.name_any())))?;
    }
    Ok(Action::await_change())
}

fn observe<'a>(registration: &'a Registration, customer: Option<&Customer>, caches: &Caches) -> Observed<'a> {
    let namespace = registration.namespace().unwrap_or_default();
    let spec = &registration.spec;
    let state = match customer {
        None => CustomerState::Missing,
        Some(customer) if customer.metadata.deletion_timestamp.is_some() => CustomerState::Deleting,
        Some(customer) if caches.owner_of_customer_id(&customer_id(customer)) != Some(place(customer)) => CustomerState::WithoutId,
        Some(customer) => CustomerState::Present(customer.spec.registration),
    };
    let uid = customer.and_then(Customer::uid);
    let named = caches.systems.get(&namespace, &plan::ip_office_name(spec));
    let declared = customer.and_then(|customer| declared(caches, customer, &spec.system_id));
    Observed {
        registration,
        customer: state,
        owned: uid.is_some_and(|uid| registration.owner_references().iter().any(|owner| owner.uid == uid)),
        in_the_way: named.filter(|_| declared.is_none()).map(|named| describe(&named)),
        declared: declared.map(|system| Declared { name: system.name_any(), deleting: system.metadata.deletion_timestamp.is_some() }),
        refused: None,
        paused: registration.annotations().contains_key(PAUSED_ANNOTATION),
        now: jiff::Timestamp::now(),
    }
}

/// The IPOffice of the customer that has the system's id.
fn declared(caches: &Caches, customer: &Customer, id: &str) -> Option<Arc<IPOffice>> {
    let key = SystemKey { customer: customer_id(customer), system: id.parse().ok()? };
    let (namespace, name) = caches.owner_of_system(&key)?;
    let system = caches.systems.get(&namespace, &name)?;
    (customer.namespace().as_deref() == Some(namespace.as_str()) && system.spec.customer == customer.name_any()).then_some(system)
}

/// What an IPOffice in the way is.
fn describe(system: &IPOffice) -> String {
    format!("the system {} of the Customer {}", system_id(system), system.spec.customer)
}
