//! Keeps systems: connectivity in status, settings on the system, credentials at the gateway. Alone grants the lock (`status.operation`).

mod configure;
mod findings;
mod plan;
mod status;
#[cfg(test)]
mod tests;
mod wanted;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crds::action::Phase;
use crds::{IPOffice, PAUSED_ANNOTATION};
use futures::StreamExt as _;
use kube::runtime::controller::Action as Next;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt as _};
use model::connectivity::Colour;
use model::ids::SystemKey;
use protocol::link::SystemLink;
use runtime::cache::Pending;
use runtime::events::Events;
use runtime::metrics::ReconcileMetrics;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::action::lock::{Candidate, Standing};
use crate::action::ordered::Ordered;
use crate::action::report::WAITING_FOR_TURN;
use crate::caches::Caches;
use crate::error::ReconcileError;
use crate::index::{Action, ActionKind, Place, age, place};
use plan::{CredentialsState, CustomerState, Observed, Plan};
pub(crate) use status::replace as replace_conditions;

/// Field manager of this controller.
const MANAGER: &str = "switchboard-ipoffice";
/// Finalizer of this controller.
const FINALIZER: &str = "switchboard.dev/ipoffice";

/// What the controller works with.
pub struct Context {
    client: Client,
    caches: Arc<Caches>,
    link: Arc<dyn SystemLink>,
    events: Events,
    started: Instant,
    /// How long systems that were connected have to come back after a start.
    grace: Duration,
    memory: Mutex<HashMap<String, Memory>>,
    orders: mpsc::UnboundedSender<configure::Order>,
}

/// What is remembered of an object between two looks, by uid. Lost with the process, and then found out again.
#[derive(Debug, Clone, Default)]
struct Memory {
    configuring: configure::Memory,
}

impl Context {
    /// For a process that starts now. The orders are carried out by [`run`].
    pub fn new(client: Client, caches: Arc<Caches>, link: Arc<dyn SystemLink>, grace: Duration) -> (Self, Orders) {
        let events = Events::new(client.clone(), "switchboard.dev/ipoffice");
        let (orders, received) = mpsc::unbounded_channel();
        let context = Self { client, caches, link, events, started: Instant::now(), grace, memory: Mutex::default(), orders };
        (context, Orders(received))
    }

    /// As [`Context::remember`], for an object that may be gone by now: then there is nothing to remember.
    fn recall(&self, uid: &str, with: impl FnOnce(&mut Memory)) {
        if let Some(memory) = self.memory.lock().unwrap_or_else(PoisonError::into_inner).get_mut(uid) {
            with(memory);
        }
    }

    fn remember<T>(&self, uid: &str, with: impl FnOnce(&mut Memory) -> T) -> T {
        with(self.memory.lock().unwrap_or_else(PoisonError::into_inner).entry(uid.to_owned()).or_default())
    }
}

/// Settings that wait to be set on systems.
#[derive(Debug)]
pub struct Orders(mpsc::UnboundedReceiver<configure::Order>);

/// Subscribes to what systems depend on. Before the caches are fed.
pub fn triggers(caches: &Arc<Caches>) -> Arc<Pending<ObjectRef<IPOffice>>> {
    let pending = Arc::clone(&caches.systems_touched);
    caches.systems.trigger(&pending, |system| vec![ObjectRef::from_obj(system)]);
    let weak = Arc::downgrade(caches);
    caches.customers.trigger(&pending, move |customer| {
        let systems = weak.upgrade().map(|caches| caches.systems_of(&place(customer))).unwrap_or_default();
        systems.iter().map(|system| ObjectRef::from_obj(system.as_ref())).collect()
    });
    caches.backups.trigger(&pending, |backup| vec![system_of(backup, &backup.spec.ip_office)]);
    caches.restores.trigger(&pending, |restore| vec![system_of(restore, &restore.spec.ip_office)]);
    let weak = Arc::downgrade(caches);
    caches.secrets.trigger(&pending, move |secret| {
        let Some(caches) = weak.upgrade() else { return Vec::new() };
        users_of_secret(&caches, secret)
    });
    pending
}

/// The systems whose service user's password is in a Secret.
pub(crate) fn users_of_secret<K: kube::Resource>(caches: &Caches, secret: &K) -> Vec<ObjectRef<IPOffice>> {
    let (namespace, name) = place(secret);
    let uses = |system: &IPOffice| {
        system.namespace().as_ref() == Some(&namespace)
            && system.spec.service_user.as_ref().is_some_and(|user| user.password_secret.name == name)
    };
    caches.systems.store().state().iter().filter(|system| uses(system)).map(|system| ObjectRef::from_obj(system.as_ref())).collect()
}

fn system_of<K: kube::Resource>(action: &K, name: &str) -> ObjectRef<IPOffice> {
    ObjectRef::new(name).within(&action.namespace().unwrap_or_default())
}

/// Hands on what the gateway saw, until the shutdown.
pub async fn follow_sessions(
    caches: Arc<Caches>,
    link: Arc<dyn SystemLink>,
    triggers: Arc<Pending<ObjectRef<IPOffice>>>,
    shutdown: CancellationToken,
) {
    let mut changes = Box::pin(link.changes().take_until(shutdown.cancelled_owned()));
    while let Some(key) = changes.next().await {
        if let Some((namespace, name)) = caches.owner_of_system(&key) {
            triggers.add([ObjectRef::new(&name).within(&namespace)]);
        }
    }
}

/// Runs until the shutdown.
pub async fn run(
    context: Arc<Context>,
    orders: Orders,
    triggers: Arc<Pending<ObjectRef<IPOffice>>>,
    metrics: ReconcileMetrics,
    shutdown: CancellationToken,
) {
    let store = context.caches.systems.store().clone();
    let configuring = configure::run(Arc::clone(&context), orders.0, Arc::clone(&triggers), shutdown.clone());
    let reconciling = runtime::controller::run(store, triggers, context, reconcile, metrics, shutdown);
    tokio::join!(configuring, reconciling);
}

async fn reconcile(system: Arc<IPOffice>, context: Arc<Context>) -> Result<Next, ReconcileError> {
    let api: Api<IPOffice> = Api::namespaced(context.client.clone(), &system.namespace().unwrap_or_default());
    let key = context.caches.key(&system);
    if system.metadata.deletion_timestamp.is_some() {
        return clean_up(&api, &system, &key, &context).await;
    }
    let observed = observe(&system, key, &context);
    if !observed.paused {
        crate::finalizer::set(&api, &system, FINALIZER, true).await?;
    }
    let plan = plan::plan(&observed);
    write(&system, &plan, &context).await?;
    let Some(settings) = plan.configure else {
        return Ok(plan.look_again.map_or_else(Next::await_change, Next::requeue));
    };
    Ok(configure::order(&observed, settings, &context))
}

/// The session is ended and forgotten, unless another object has the id by now.
async fn clean_up(api: &Api<IPOffice>, system: &IPOffice, key: &SystemKey, context: &Context) -> Result<Next, ReconcileError> {
    if context.caches.owner_of_system(key) == Some(place(system)) {
        context.link.forget(key);
    }
    context.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(&system.uid().unwrap_or_default());
    crate::finalizer::set(api, system, FINALIZER, false).await.map(|()| Next::await_change())
}

fn observe<'a>(system: &'a IPOffice, key: SystemKey, context: &Context) -> Observed<'a> {
    let caches = &context.caches;
    let here = place(system);
    let customer = match caches.customers.get(&here.0, &system.spec.customer) {
        None => CustomerState::Missing,
        Some(customer) if customer.metadata.deletion_timestamp.is_some() => CustomerState::Deleting,
        Some(customer) if caches.owner_of_customer_id(&key.customer) != Some(place(customer.as_ref())) => CustomerState::WithoutId,
        Some(_) => CustomerState::Present,
    };
    let credentials = match &system.spec.service_user {
        None => CredentialsState::NotConfigured,
        Some(user) if caches.secrets.get(&here.0, &user.password_secret.name).is_none() => CredentialsState::SecretMissing,
        Some(_) => CredentialsState::Present,
    };
    let id_taken_by = caches.owner_of_system(&key).filter(|owner| *owner != here).map(|(namespace, name)| format!("{namespace}/{name}"));
    // Who does not have the id does not have the session either.
    let view = if id_taken_by.is_none() { context.link.view(&key) } else { None };
    let unrecognised = id_taken_by.is_none() && context.link.unrecognised_since(&key).is_some();
    let uid = system.uid().unwrap_or_default();
    Observed {
        system,
        key,
        customer,
        id_taken_by,
        credentials,
        view,
        unrecognised,
        grace: context.grace.checked_sub(context.started.elapsed()).filter(|left| !left.is_zero()),
        actions: actions(caches, &here),
        configure_failure: context.remember(&uid, |memory| memory.configuring.failure()),
        paused: system.annotations().contains_key(PAUSED_ANNOTATION),
        now: jiff::Timestamp::now(),
    }
}

/// The actions that name a system, as they stand.
fn actions(caches: &Caches, system: &Place) -> Vec<Candidate> {
    let candidate = |(kind, (namespace, name)): Action| match kind {
        ActionKind::Backup => candidate(caches.backups.get(&namespace, &name)?.as_ref()),
        ActionKind::Restore => candidate(caches.restores.get(&namespace, &name)?.as_ref()),
    };
    caches.actions_of(system).into_iter().filter_map(candidate).collect()
}

fn candidate<K: Ordered>(action: &K) -> Option<Candidate> {
    let waits_for_turn = || {
        let complete = action.conditions().iter().find(|condition| condition.type_ == "Complete");
        complete.is_some_and(|condition| condition.reason == WAITING_FOR_TURN)
    };
    let standing = match action.phase() {
        Some(phase) if phase.is_final() => Standing::Over,
        Some(Phase::InProgress) => Standing::Working,
        Some(Phase::Waiting) if waits_for_turn() && action.meta().deletion_timestamp.is_none() => Standing::Wants,
        Some(_) | None => Standing::Waits,
    };
    Some(Candidate { kind: K::KIND, name: action.name_any(), uid: action.uid()?, age: age(action), standing })
}

async fn write(system: &IPOffice, plan: &Plan, context: &Context) -> Result<(), ReconcileError> {
    let current = system.status.clone().map(plan::without_enrolment);
    let written = runtime::status::apply(&context.client, MANAGER, system, current.as_ref(), &plan.status)
        .await
        .map_err(ReconcileError::api("write", format!("status of IPOffice {}", system.name_any())))?;
    let Some(transition) = plan.transition.as_ref().filter(|_| written) else { return Ok(()) };
    let (namespace, name) = place(system);
    let (message, colour) = (transition.message.text(), transition.colour.as_str());
    tracing::info!(namespace, name, colour, connectivity = message, "connection changed");
    let condition = plan.status.conditions.iter().find(|condition| condition.type_ == "Ready");
    let note = condition.map_or_else(|| message.to_owned(), |condition| condition.message.clone());
    match transition.colour {
        Colour::Green => context.events.normal(system, transition.message.reason(), "Connect", note).await,
        Colour::Amber | Colour::Red => context.events.warning(system, transition.message.reason(), "Connect", note).await,
    }
    Ok(())
}
