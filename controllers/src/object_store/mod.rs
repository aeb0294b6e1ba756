//! Keeps object stores: a client of each for the actions, and the conditions that say whether it can be used.

mod clients;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crds::{ObjectStore, PAUSED_ANNOTATION};
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt as _};
use object_client::ObjectClient;
use runtime::cache::Pending;
use runtime::events::Events;
use runtime::metrics::ReconcileMetrics;
use tokio_util::sync::CancellationToken;

pub use clients::Clients;
use plan::{Found, Observed};

use crate::action::report::Because;
use crate::caches::Caches;
use crate::error::ReconcileError;

/// Field manager of this controller.
const MANAGER: &str = "switchboard-objectstore";
/// A store that answers is probed this often, without a write.
const PROBE_EVERY: Duration = Duration::from_secs(60);
/// A store that does not is probed this often, with a write.
const PROBE_AGAIN: Duration = Duration::from_secs(10);

/// What the controller works with.
pub struct Context {
    client: Client,
    caches: Arc<Caches>,
    clients: Arc<Clients>,
    events: Events,
}

impl Context {
    /// Fills `clients`.
    pub fn new(client: Client, caches: Arc<Caches>, clients: Arc<Clients>) -> Self {
        let events = Events::new(client.clone(), "switchboard.dev/objectstore");
        Self { client, caches, clients, events }
    }
}

/// Subscribes to what stores depend on. Before the caches are fed.
pub fn triggers(caches: &Arc<Caches>, clients: &Arc<Clients>) -> Arc<Pending<ObjectRef<ObjectStore>>> {
    let pending = Arc::new(Pending::default());
    // Its own writes of status bring no further look: a store that does not work is looked at by the clock.
    let seen: Mutex<HashMap<String, String>> = Mutex::default();
    caches.stores.trigger(&pending, move |store| {
        let now = format!("{:?} {:?} {:?}", store.uid(), store.metadata.generation, store.annotations());
        let before = seen.lock().unwrap_or_else(PoisonError::into_inner).insert(store.name_any(), now.clone());
        if before.as_ref() == Some(&now) { Vec::new() } else { vec![ObjectRef::from_obj(store)] }
    });
    let (weak, clients) = (Arc::downgrade(caches), Arc::clone(clients));
    caches.stores.subscribe(move |store| {
        // Gone: nothing uses it any more, and its keys do not stay in memory.
        if weak.upgrade().is_some_and(|caches| caches.stores.get("", &store.name_any()).is_none()) {
            clients.remove(&store.name_any());
        }
    });
    let weak = Arc::downgrade(caches);
    caches.secrets.trigger(&pending, move |secret| {
        let Some(caches) = weak.upgrade() else { return Vec::new() };
        let (namespace, name) = crate::index::place(secret);
        let stores = caches.stores.store().state();
        let users = stores.iter().filter(|store| {
            let reference = &store.spec.credentials_secret;
            reference.namespace == namespace && reference.name == name
        });
        users.map(|store| ObjectRef::from_obj(store.as_ref())).collect()
    });
    pending
}

/// Runs until the shutdown.
pub async fn run(
    context: Arc<Context>,
    triggers: Arc<Pending<ObjectRef<ObjectStore>>>,
    metrics: ReconcileMetrics,
    shutdown: CancellationToken,
) {
    let store = context.caches.stores.store().clone();
    runtime::controller::run(store, triggers, context, reconcile, metrics, shutdown).await;
}

async fn reconcile(store: Arc<ObjectStore>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let name = store.name_any();
    if store.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let paused = store.annotations().contains_key(PAUSED_ANNOTATION);
    let found = if paused { Found::NotLooked } else { look(&store, &context).await? };
    let plan = plan::plan(&Observed { store: &store, found, now: jiff::Timestamp::now() });
    let written = runtime::status::apply_cluster(&context.client, MANAGER, store.as_ref(), store.status.as_ref(), &plan.status)
        .await
        .map_err(ReconcileError::api("write", format!("status of ObjectStore {name}")))?;
    if let Some(because) = plan.transition.filter(|_| written) {
        tracing::info!(store = name, reason = because.reason, message = because.message, "object store changed");
        match plan.ready {
            true => context.events.normal(store.as_ref(), &because.reason, "Probe", because.message).await,
            false => context.events.warning(store.as_ref(), &because.reason, "Probe", because.message).await,
        }
    }
    Ok(match (paused, plan.ready) {
        (true, _) => Action::await_change(),
        (false, true) => Action::requeue(PROBE_EVERY),
        (false, false) => Action::requeue(PROBE_AGAIN),
    })
}

/// Makes the client where spec or Secret changed, and probes: with a write where it is not known to work.
async fn look(store: &ObjectStore, context: &Context) -> Result<Found, ReconcileError> {
    let name = store.name_any();
    let reference = &store.spec.credentials_secret;
    let secret = context.caches.secrets.get(&reference.namespace, &reference.name);
    let version = secret.and_then(|secret| secret.resource_version()).unwrap_or_default();
    let made_from = format!("{:?} {:?} {version}", store.uid(), store.metadata.generation);
    let (client, fresh) = match context.clients.current(&name, &made_from) {
        Some(client) => (client, false),
        None => match make(store, context).await? {
            Ok(client) => (client, true),
            Err(because) => {
                context.clients.fail(&name, because.clone());
                return Ok(Found::Unusable(because));
            }
        },
    };
    if fresh {
        // Actions may use it from now on; whether it works they find out themselves.
        context.clients.set(&name, made_from, client.clone());
    }
    let known_good = !fresh && plan::is_ready(store);
    let probed = match client.probe().await {
        Ok(_) if known_good => Ok(()),
        Ok(_) => client.probe_write().await,
        Err(error) => Err(error),
    };
    Ok(match probed {
        Ok(()) => Found::Works,
        Err(error) => Found::DoesNotWork(Because::new(error.reason(), error.to_string())),
    })
}

async fn make(store: &ObjectStore, context: &Context) -> Result<Result<ObjectClient, Because>, ReconcileError> {
    let reference = &store.spec.credentials_secret;
    let place = format!("{}/{}", reference.namespace, reference.name);
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &reference.namespace);
    let secret = api.get_opt(&reference.name).await.map_err(ReconcileError::api("read", format!("Secret {place}")))?;
    let Some(secret) = secret else {
        let message =
            format!("there is no Secret {place}; create it with accessKeyId and secretAccessKey, or correct spec.credentialsSecret");
        return Ok(Err(Because::new("SecretNotFound", message)));
    };
    let data: BTreeMap<String, Vec<u8>> = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
    let options = match plan::options(&store.spec, &data) {
        Ok(options) => options,
        Err(because) => return Ok(Err(because)),
    };
    Ok(context.clients.make(options).map_err(|error| Because::new(error.reason(), error.to_string())))
}
