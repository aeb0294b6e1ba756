//! Keeps systems: connectivity in status, settings on the system, credentials at the gateway. Alone grants the lock (`status.operation`).

mod findings;
mod plan;
mod status;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crds::{IPOffice, PAUSED_ANNOTATION};
use futures::StreamExt as _;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt as _};
use model::connectivity::Colour;
use model::ids::SystemKey;
use protocol::link::{LinkError, SessionView, SystemLink};
use protocol::message::{Command, Settings};
use ring::digest;
use runtime::cache::Pending;
use runtime::events::Events;
use runtime::metrics::ReconcileMetrics;
use tokio_util::sync::CancellationToken;

use crate::caches::Caches;
use crate::error::ReconcileError;
use crate::index::place;
use plan::{CredentialsState, CustomerState, Observed, Plan};

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
}

/// What is remembered of an object between two looks, by uid. Lost with the process, and then found out again.
#[derive(Debug, Clone, Default)]
struct Memory {
    /// Where the credentials were, and which version of the Secret.
    credentials: Option<String>,
    configure_failure: Option<(String, String)>,
    configured: Option<Configured>,
}

/// The last time settings were set on a system.
#[derive(Debug, Clone)]
struct Configured {
    /// In which session.
    session: u64,
    /// The number that the system answered with: until it reports that, nothing more is set.
    revision: u64,
    settings: Settings,
    at: Instant,
}

/// A system that takes settings and then reports others is not asked again at once.
const CONFIGURE_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// How long to wait before these settings are set: `Some(None)` is until the system reports.
fn configure_later(last: Option<&Configured>, view: Option<&SessionView>, settings: &Settings) -> Option<Option<Duration>> {
    let (last, view) = (last?, view?);
    if last.session == view.session && view.facts.configuration_revision < last.revision {
        return Some(None);
    }
    let left = CONFIGURE_AGAIN_AFTER.checked_sub(last.at.elapsed()).filter(|left| !left.is_zero())?;
    (last.settings == *settings).then_some(Some(left))
}

impl Context {
    /// For a process that starts now.
    pub fn new(client: Client, caches: Arc<Caches>, link: Arc<dyn SystemLink>, grace: Duration) -> Self {
        let events = Events::new(client.clone(), "switchboard.dev/ipoffice");
        Self { client, caches, link, events, started: Instant::now(), grace, memory: Mutex::default() }
    }

    fn remember<T>(&self, uid: &str, with: impl FnOnce(&mut Memory) -> T) -> T {
        with(self.memory.lock().unwrap_or_else(PoisonError::into_inner).entry(uid.to_owned()).or_default())
    }
}

/// Subscribes to what systems depend on. Before the caches are fed.
pub fn triggers(caches: &Arc<Caches>) -> Arc<Pending<ObjectRef<IPOffice>>> {
    let pending = Arc::clone(&caches.systems_touched);
    caches.systems.trigger(&pending, |system| vec![ObjectRef::from_obj(system)]);
    let weak = Arc::downgrade(caches);
    caches.customers.trigger(&pending, move |customer| {
        let systems = weak.upgrade().map(|caches| caches.systems_of(&place(customer))).unwrap_or_default();
        systems.iter().map(|system| ObjectRef::from_obj(system.as_ref())).collect()
    });
    let weak = Arc::downgrade(caches);
    caches.secrets.trigger(&pending, move |secret| {
        let (namespace, name) = place(secret);
        let Some(caches) = weak.upgrade() else { return Vec::new() };
        let uses = |system: &IPOffice| {
            system.namespace().as_ref() == Some(&namespace)
                && system.spec.service_user.as_ref().is_some_and(|user| user.password_secret.name == name)
        };
        caches.systems.store().state().iter().filter(|system| uses(system)).map(|system| ObjectRef::from_obj(system.as_ref())).collect()
    });
    pending
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
    triggers: Arc<Pending<ObjectRef<IPOffice>>>,
    metrics: ReconcileMetrics,
    shutdown: CancellationToken,
) {
    let store = context.caches.systems.store().clone();
    runtime::controller::run(store, triggers, context, reconcile, metrics, shutdown).await;
}

async fn reconcile(system: Arc<IPOffice>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let api: Api<IPOffice> = Api::namespaced(context.client.clone(), &system.namespace().unwrap_or_default());
    let key = context.caches.key(&system);
    if system.metadata.deletion_timestamp.is_some() {
        return clean_up(&api, &system, &key, &context).await;
    }
    let observed = observe(&system, key, &context);
    if !observed.paused {
        crate::finalizer::set(&api, &system, FINALIZER, true).await?;
        refresh_credentials(&observed, &context);
    }
    let plan = plan::plan(&observed);
    write(&system, &plan, &context).await?;
    let Some(settings) = plan.configure else {
        return Ok(plan.look_again.map_or_else(Action::await_change, Action::requeue));
    };
    let last = context.remember(&system.uid().unwrap_or_default(), |memory| memory.configured.clone());
    if let Some(wait) = configure_later(last.as_ref(), observed.view.as_ref(), &settings) {
        return Ok(wait.map_or_else(Action::await_change, Action::requeue));
    }
    Ok(configure(&observed, settings, &context).await)
}

/// The session is ended and forgotten, unless another object has the id by now.
async fn clean_up(api: &Api<IPOffice>, system: &IPOffice, key: &SystemKey, context: &Context) -> Result<Action, ReconcileError> {
    if context.caches.owner_of_system(key) == Some(place(system)) {
        context.link.forget(key);
    }
    context.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(&system.uid().unwrap_or_default());
    crate::finalizer::set(api, system, FINALIZER, false).await.map(|()| Action::await_change())
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
        configure_failure: context.remember(&uid, |memory| memory.configure_failure.clone()),
        paused: system.annotations().contains_key(PAUSED_ANNOTATION),
        now: jiff::Timestamp::now(),
    }
}

/// Tells the gateway when the credentials are others than at the last look: by place and by version of the Secret.
fn refresh_credentials(observed: &Observed, context: &Context) {
    let spec = &observed.system.spec;
    let namespace = observed.system.namespace().unwrap_or_default();
    let now = spec.service_user.as_ref().map_or_else(String::new, |user| {
        let secret = context.caches.secrets.get(&namespace, &user.password_secret.name);
        let version = secret.map(|secret| format!("{:?}{:?}", secret.uid(), secret.resource_version())).unwrap_or_default();
        format!("{}\n{}\n{}\n{version}", user.name, user.password_secret.name, user.password_secret.key)
    });
    let uid = observed.system.uid().unwrap_or_default();
    let before = context.remember(&uid, |memory| memory.credentials.replace(now.clone()));
    if before.is_some_and(|before| before != now) {
        context.link.sign_in_again(&observed.key);
    }
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

/// Sets what differs. The operation id says what is set on which configuration: asking again after a crash does nothing twice.
async fn configure(observed: &Observed<'_>, settings: Settings, context: &Context) -> Action {
    let (system, key) = (observed.system, &observed.key);
    let (session, revision) = observed.view.as_ref().map_or((0, 0), |view| (view.session, view.facts.configuration_revision));
    let uid = system.uid().unwrap_or_default();
    let wanted = protocol::frame::write(&settings);
    let digest = digest::digest(&digest::SHA256, wanted.as_bytes());
    let short: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let operation = format!("configure-{uid}-{revision}-{short}");
    let result = context.link.request(key, &operation, Command::Configure(settings.clone())).await;
    let (namespace, name) = place(system);
    match result {
        Ok(done) => {
            context.remember(&uid, |memory| {
                memory.configure_failure = None;
                memory.configured = Some(Configured { session, revision: done.configuration_revision, settings, at: Instant::now() });
            });
            tracing::info!(namespace, name, revision = done.configuration_revision, "settings set on the system");
            context
                .events
                .normal(
                    system,
                    "Configured",
                    "Configure",
                    format!("settings set on the system; its configuration is now number {}", done.configuration_revision),
                )
                .await;
            // The system reports its new configuration, and that brings the next look.
            Action::await_change()
        }
        Err(error) => {
            let reason = match &error {
                LinkError::Refused { reason, .. } if is_reason(reason) => reason.clone(),
                LinkError::Refused { .. } => "Refused".to_owned(),
                LinkError::NotConnected | LinkError::Interrupted | LinkError::TimedOut | LinkError::Busy => "NotAnswered".to_owned(),
            };
            tracing::info!(namespace, name, reason, %error, "the system did not take its settings");
            context.remember(&uid, |memory| memory.configure_failure = Some((reason, error.to_string())));
            Action::requeue(Duration::from_secs(30))
        }
    }
}

/// Whether a system's word can stand as the reason of a condition.
fn is_reason(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.starts_with(|c: char| c.is_ascii_uppercase()) && text.chars().all(|c| c.is_ascii_alphanumeric())
}
