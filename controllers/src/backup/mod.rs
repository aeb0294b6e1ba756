//! Keeps backups (BACKUP-1): waits for their time and their turn, has them made, reports them, and lets their objects go.

mod manifest;
pub mod plan;
mod remove;
mod run;
#[cfg(test)]
mod tests;
mod upload;

use std::sync::Arc;

use archive::layout::Folder;
use crds::action::Phase;
use crds::{Backup, IPOffice, PAUSED_ANNOTATION};
use futures::StreamExt as _;
use kube::runtime::controller::Action as Again;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt as _};
use protocol::link::SystemLink;
use runtime::cache::Pending;
use runtime::events::Events;
use runtime::metrics::ReconcileMetrics;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::action::Patience;
use crate::action::ordered;
use crate::action::reach::{Parts, Reach, Stop};
use crate::action::report::Because;
use crate::action::runs::{Outcome, Runs};
use crate::action_metrics::ActionMetrics;
use crate::caches::Caches;
use crate::error::ReconcileError;
use crate::index::{ActionKind, place};
use crate::object_store::Clients;
use plan::{Next, Observed, Plan, Report};

/// Field manager of this controller.
const MANAGER: &str = "switchboard-backup";
/// Finalizer of this controller.
const FINALIZER: &str = "switchboard.dev/backup";

/// What the controller works with.
pub struct Context {
    /// The API.
    pub client: Client,
    /// The caches.
    pub caches: Arc<Caches>,
    /// The way to stores.
    pub clients: Arc<Clients>,
    /// The way to systems.
    pub link: Arc<dyn SystemLink>,
    /// How patient backups are.
    pub patience: Patience,
    /// Counters.
    pub metrics: ActionMetrics,
    /// What is to be looked at.
    pub triggers: Arc<Pending<ObjectRef<Backup>>>,
}

struct Controller {
    context: Context,
    events: Events,
    runs: Runs<Report>,
    clean_ups: Runs<()>,
    orders: mpsc::UnboundedSender<Order>,
}

/// Work that takes time, done beside the reconciliations.
enum Order {
    Run(run::Order),
    CleanUp(Backup, Folder),
}

/// Subscribes to what backups depend on. Before the caches are fed.
pub fn triggers(caches: &Arc<Caches>) -> Arc<Pending<ObjectRef<Backup>>> {
    let pending = Arc::new(Pending::default());
    ordered::trigger(caches, &pending, |backup: &Backup| &backup.spec.object_store);
    pending
}

/// Runs until the shutdown.
pub async fn run(context: Context, metrics: ReconcileMetrics, shutdown: CancellationToken) {
    let store = context.caches.backups.store().clone();
    let triggers = Arc::clone(&context.triggers);
    let events = Events::new(context.client.clone(), "switchboard.dev/backup");
    let (orders, received) = mpsc::unbounded_channel();
    let controller = Arc::new(Controller { context, events, runs: Runs::default(), clean_ups: Runs::default(), orders });
    let working = work(Arc::clone(&controller), received, shutdown.clone());
    let reconciling = runtime::controller::run(store, triggers, controller, reconcile, metrics, shutdown);
    tokio::join!(working, reconciling);
}

async fn reconcile(backup: Arc<Backup>, controller: Arc<Controller>) -> Result<Again, ReconcileError> {
    let context = &controller.context;
    let (namespace, _) = place(backup.as_ref());
    let uid = backup.uid().unwrap_or_default();
    let api: Api<Backup> = Api::namespaced(context.client.clone(), &namespace);
    let system = context.caches.systems.get(&namespace, &backup.spec.ip_office);
    let observed = observe(&backup, system.as_deref(), &controller);
    let plan = plan::plan(&observed);
    if backup.metadata.deletion_timestamp.is_none() && !observed.paused {
        crate::finalizer::set(&api, &backup, FINALIZER, true).await?;
    }
    write(&backup, &plan, &controller).await?;
    if ordered::is_over(backup.as_ref()) {
        // Only what the cache shows as over is forgotten: before, a look would take it for one that broke off.
        controller.runs.forget(&uid);
    }
    match plan.next {
        Next::Wait => {}
        Next::LookAgain(after) => return Ok(Again::requeue(after)),
        Next::Run(folder) => {
            if controller.runs.begin(&uid) {
                let system_uid = system.and_then(|system| system.uid()).unwrap_or_default();
                let mut backup = backup.as_ref().clone();
                backup.status = Some(plan.status);
                // Nobody takes orders any more: the process is ending.
                let _ = controller.orders.send(Order::Run(run::Order { backup, folder: *folder, system_uid }));
            }
        }
        Next::CleanUp(folder) => {
            if controller.clean_ups.begin(&uid) {
                let _ = controller.orders.send(Order::CleanUp(backup.as_ref().clone(), *folder));
            }
        }
        Next::Release => {
            crate::finalizer::set(&api, &backup, FINALIZER, false).await?;
            controller.runs.forget(&uid);
            controller.clean_ups.forget(&uid);
        }
        Next::Prune => crate::action::prune(&api, backup.as_ref()).await?,
    }
    Ok(Again::await_change())
}

fn observe<'a>(backup: &'a Backup, system: Option<&'a IPOffice>, controller: &Controller) -> Observed<'a> {
    let context = &controller.context;
    let uid = backup.uid().unwrap_or_default();
    Observed {
        backup,
        system,
        key: system.map(|system| context.caches.key(system)),
        store: context.clients.get(&backup.spec.object_store).map(drop),
        run: controller.runs.state(&uid),
        clean_up: controller.clean_ups.state(&uid),
        outnumbered: ordered::is_outnumbered(backup, &context.caches),
        paused: backup.annotations().contains_key(PAUSED_ANNOTATION),
        patience: context.patience,
        now: jiff::Timestamp::now(),
    }
}

async fn write(backup: &Backup, plan: &Plan, controller: &Controller) -> Result<(), ReconcileError> {
    let context = &controller.context;
    let (namespace, name) = place(backup);
    let written = runtime::status::apply_to_seen(&context.client, MANAGER, backup, backup.status.as_ref(), &plan.status)
        .await
        .map_err(ReconcileError::api("write", format!("status of Backup {name}")))?;
    let Some((phase, because)) = plan.ended.as_ref().filter(|_| written) else { return Ok(()) };
    let Because { reason, message } = because;
    context.metrics.ended(ActionKind::Backup, *phase);
    tracing::info!(namespace, name, system = backup.spec.ip_office, phase = phase.as_str(), reason, message, "backup ended");
    match phase {
        Phase::Failed => controller.events.warning(backup, reason, "Backup", message.clone()).await,
        _ => controller.events.normal(backup, reason, "Backup", message.clone()).await,
    }
    Ok(())
}

/// Carries orders out until the shutdown; each end brings the next look at its object.
async fn work(controller: Arc<Controller>, orders: mpsc::UnboundedReceiver<Order>, shutdown: CancellationToken) {
    let orders = futures::stream::unfold(orders, |mut orders| async move { orders.recv().await.map(|order| (order, orders)) });
    // As many as there are: of a system one at a time, mostly waiting, and bulk data does not pass here.
    let work = orders.for_each_concurrent(None, |order| {
        let controller = Arc::clone(&controller);
        async move {
            match order {
                Order::Run(order) => carry_out(&order, &controller).await,
                Order::CleanUp(backup, folder) => clean_up(&backup, &folder, &controller).await,
            }
        }
    });
    tokio::select! {
        () = work => {}
        () = shutdown.cancelled() => {}
    }
}

async fn carry_out(order: &run::Order, controller: &Arc<Controller>) {
    let context = &controller.context;
    let backup = &order.backup;
    let (namespace, _) = place(backup);
    let uid = backup.uid().unwrap_or_default();
    let reference: ObjectRef<Backup> = ObjectRef::from_obj(backup);
    let (watching, held_uid, held) = (Arc::clone(controller), uid.clone(), reference.clone());
    let reach = Reach::new(Parts {
        link: Arc::clone(&context.link),
        caches: Arc::clone(&context.caches),
        clients: Arc::clone(&context.clients),
        store: backup.spec.object_store.clone(),
        key: order.folder.system.clone(),
        system: (namespace.clone(), backup.spec.ip_office.clone()),
        operation: format!("backup-{uid}"),
        system_uid: order.system_uid.clone(),
        uid: uid.clone(),
        deadline: context.patience.deadline(order.backup.status.as_ref().and_then(|status| status.start_time.as_ref())),
        patience: context.patience,
        unwanted: Box::new(ordered::unwanted(backup, &context.caches)),
        // A running backup cannot be deleted (JOB-3): the object waits.
        called_off: false,
        held: Box::new(move |because| {
            if watching.runs.hold(&held_uid, because) {
                watching.context.triggers.add([held.clone()]);
            }
        }),
    });
    let progress = |text: String| {
        controller.runs.progress(&uid, text);
        context.triggers.add([reference.clone()]);
    };
    let outcome = match run::carry_out(order, &reach, progress).await {
        Ok(report) => {
            remove::tidy(order, &reach, false).await;
            retain(order, controller).await;
            Outcome::Completed(report)
        }
        Err(Stop::Again(because)) => {
            if ordered::is_gone(backup, &context.caches) {
                remove::tidy(order, &reach, true).await;
            }
            Outcome::Again(because)
        }
        Err(Stop::Failed(because)) => {
            remove::tidy(order, &reach, true).await;
            Outcome::Failed(because)
        }
    };
    controller.runs.end(&uid, outcome);
    if ordered::is_gone(backup, &context.caches) {
        controller.runs.forget(&uid);
    }
    context.triggers.add([reference.clone()]);
}

/// A backup that is complete stays so whatever comes of this; the next one tries again.
async fn retain(order: &run::Order, controller: &Controller) {
    let context = &controller.context;
    let backup = &order.backup;
    let Ok(client) = context.clients.get(&backup.spec.object_store) else { return };
    let (namespace, name) = place(backup);
    let system = context.caches.systems.get(&namespace, &backup.spec.ip_office);
    let zone = system.and_then(|system| system.status.as_ref().and_then(|status| status.time_zone.clone())).unwrap_or_default();
    match remove::retain(&client, &order.folder, &namespace, &zone).await {
        Ok(removed) if removed.is_empty() => {}
        Ok(removed) => {
            tracing::info!(namespace, name, system = backup.spec.ip_office, ?removed, "older backups were removed from the store");
            controller.events.normal(backup, "OlderBackupsRemoved", "Retain", removed.join("; ")).await;
        }
        Err(error) => {
            let note = format!("older backups could not be removed from the store: {error}; the next backup tries again");
            tracing::info!(namespace, name, %error, "older backups could not be removed from the store");
            controller.events.warning(backup, error.reason(), "Retain", note).await;
        }
    }
}

async fn clean_up(backup: &Backup, folder: &Folder, controller: &Controller) {
    let context = &controller.context;
    let uid = backup.uid().unwrap_or_default();
    let unless_complete = backup.spec.deletion_policy == crds::backup::DeletionPolicy::Retain;
    let outcome = match context.clients.get(&backup.spec.object_store) {
        Err(because) => Outcome::Again(because),
        Ok(client) => match remove::remove(&client, folder, unless_complete).await {
            Ok(()) => Outcome::Completed(()),
            Err(error) => Outcome::Again(Because::new(error.reason(), format!("the backup cannot be deleted from the store: {error}"))),
        },
    };
    controller.clean_ups.end(&uid, outcome);
    context.triggers.add([ObjectRef::from_obj(backup)]);
}
