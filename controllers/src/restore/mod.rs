//! Keeps restores (BACKUP-4): waits for their turn, has them carried out stage by stage, and reports them.

pub mod plan;
mod run;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crds::action::Phase;
use crds::{Backup, IPOffice, PAUSED_ANNOTATION, Restore};
use futures::StreamExt as _;
use kube::runtime::controller::Action as Again;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt as _};
use protocol::link::SystemLink;
use protocol::message::Command;
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
use plan::{Next, Observed, Plan, Report, Stage};

/// Field manager of this controller.
const MANAGER: &str = "switchboard-restore";
/// Finalizer of this controller.
const FINALIZER: &str = "switchboard.dev/restore";

/// How long a system that came back from a restore has to sign in before it is told that all is done.
const SIGN_IN: Duration = Duration::from_secs(5);

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
    /// How patient restores are.
    pub patience: Patience,
    /// Counters.
    pub metrics: ActionMetrics,
    /// What is to be looked at.
    pub triggers: Arc<Pending<ObjectRef<Restore>>>,
}

struct Controller {
    context: Context,
    events: Events,
    runs: Runs<Report>,
    orders: mpsc::UnboundedSender<run::Order>,
}

/// Subscribes to what restores depend on. Before the caches are fed.
pub fn triggers(caches: &Arc<Caches>) -> Arc<Pending<ObjectRef<Restore>>> {
    let pending = Arc::new(Pending::default());
    ordered::trigger(caches, &pending, |restore: &Restore| &restore.spec.object_store);
    let weak = Arc::downgrade(caches);
    caches.backups.trigger(&pending, move |backup| {
        let Some(caches) = weak.upgrade() else { return Vec::new() };
        let (namespace, name) = place(backup);
        let waits = |restore: &Restore| {
            !ordered::is_over(restore)
                && restore.namespace().as_ref() == Some(&namespace)
                && restore.spec.source.backup.as_ref() == Some(&name)
        };
        caches
            .restores
            .store()
            .state()
            .iter()
            .filter(|restore| waits(restore))
            .map(|restore| ObjectRef::from_obj(restore.as_ref()))
            .collect()
    });
    pending
}

/// Runs until the shutdown.
pub async fn run(context: Context, metrics: ReconcileMetrics, shutdown: CancellationToken) {
    let store = context.caches.restores.store().clone();
    let triggers = Arc::clone(&context.triggers);
    let events = Events::new(context.client.clone(), "switchboard.dev/restore");
    let (orders, received) = mpsc::unbounded_channel();
    let controller = Arc::new(Controller { context, events, runs: Runs::default(), orders });
    let working = work(Arc::clone(&controller), received, shutdown.clone());
    let reconciling = runtime::controller::run(store, triggers, controller, reconcile, metrics, shutdown);
    tokio::join!(working, reconciling);
}

async fn reconcile(restore: Arc<Restore>, controller: Arc<Controller>) -> Result<Again, ReconcileError> {
    let context = &controller.context;
    let (namespace, _) = place(restore.as_ref());
    let uid = restore.uid().unwrap_or_default();
    let api: Api<Restore> = Api::namespaced(context.client.clone(), &namespace);
    let system = context.caches.systems.get(&namespace, &restore.spec.ip_office);
    let backup = restore.spec.source.backup.as_ref().and_then(|name| context.caches.backups.get(&namespace, name));
    let observed = observe(&restore, system.as_deref(), backup.as_deref(), &controller);
    let plan = plan::plan(&observed);
    if restore.metadata.deletion_timestamp.is_none() && !observed.paused {
        crate::finalizer::set(&api, &restore, FINALIZER, true).await?;
    }
    write(&restore, &plan, &controller).await?;
    if ordered::is_over(restore.as_ref()) {
        // Only what the cache shows as over is forgotten: before, a look would take it for one that broke off.
        controller.runs.forget(&uid);
    }
    match plan.next {
        Next::Wait => {}
        Next::LookAgain(after) => return Ok(Again::requeue(after)),
        Next::Run(stage) => {
            if controller.runs.begin(&uid) {
                let mut restore = restore.as_ref().clone();
                restore.status = Some(plan.status);
                let named = backup.and_then(|backup| backup.status.as_ref().and_then(crate::backup::plan::folder));
                // Nobody takes orders any more: the process is ending.
                let _ = controller.orders.send(run::Order { restore, named, stage });
            }
        }
        Next::Release => {
            crate::finalizer::set(&api, &restore, FINALIZER, false).await?;
            controller.runs.forget(&uid);
        }
        Next::Prune => crate::action::prune(&api, restore.as_ref()).await?,
    }
    Ok(Again::await_change())
}

fn observe<'a>(restore: &'a Restore, system: Option<&'a IPOffice>, backup: Option<&'a Backup>, controller: &Controller) -> Observed<'a> {
    let context = &controller.context;
    Observed {
        restore,
        system,
        key: system.map(|system| context.caches.key(system)),
        backup,
        store: context.clients.get(&restore.spec.object_store).map(drop),
        run: controller.runs.state(&restore.uid().unwrap_or_default()),
        outnumbered: ordered::is_outnumbered(restore, &context.caches),
        paused: restore.annotations().contains_key(PAUSED_ANNOTATION),
        patience: context.patience,
        now: jiff::Timestamp::now(),
    }
}

async fn write(restore: &Restore, plan: &Plan, controller: &Controller) -> Result<(), ReconcileError> {
    let (namespace, name) = place(restore);
    let written = runtime::status::apply_to_seen(&controller.context.client, MANAGER, restore, restore.status.as_ref(), &plan.status)
        .await
        .map_err(ReconcileError::api("write", format!("status of Restore {name}")))?;
    let Some((phase, because)) = plan.ended.as_ref().filter(|_| written) else { return Ok(()) };
    let Because { reason, message } = because;
    controller.context.metrics.ended(ActionKind::Restore, *phase);
    tracing::info!(namespace, name, system = restore.spec.ip_office, phase = phase.as_str(), reason, message, "restore ended");
    match phase {
        Phase::Failed => controller.events.warning(restore, reason, "Restore", message.clone()).await,
        _ => controller.events.normal(restore, reason, "Restore", message.clone()).await,
    }
    Ok(())
}

/// Carries orders out until the shutdown; each end brings the next look at its object.
async fn work(controller: Arc<Controller>, orders: mpsc::UnboundedReceiver<run::Order>, shutdown: CancellationToken) {
    let orders = futures::stream::unfold(orders, |mut orders| async move { orders.recv().await.map(|order| (order, orders)) });
    // As many as there are: of a system one at a time, mostly waiting, and bulk data does not pass here.
    let work = orders.for_each_concurrent(None, |order| {
        let controller = Arc::clone(&controller);
        async move { carry_out(&order, &controller).await }
    });
    tokio::select! {
        () = work => {}
        () = shutdown.cancelled() => {}
    }
}

async fn carry_out(order: &run::Order, controller: &Arc<Controller>) {
    let context = &controller.context;
    let restore = &order.restore;
    let (namespace, _) = place(restore);
    let uid = restore.uid().unwrap_or_default();
    let reference: ObjectRef<Restore> = ObjectRef::from_obj(restore);
    let Some(system) = context.caches.systems.get(&namespace, &restore.spec.ip_office) else {
        // The next look says so.
        controller.runs.end(&uid, Outcome::Again(Because::new("SystemNotFound", "the IPOffice is gone")));
        context.triggers.add([reference]);
        return;
    };
    let unwanted = ordered::unwanted(restore, &context.caches);
    let applying = matches!(order.stage, Stage::Apply(_));
    let (watching, held_uid, held) = (Arc::clone(controller), uid.clone(), reference.clone());
    let reach = Reach::new(Parts {
        link: Arc::clone(&context.link),
        caches: Arc::clone(&context.caches),
        clients: Arc::clone(&context.clients),
        store: restore.spec.object_store.clone(),
        key: context.caches.key(&system),
        system: (namespace, restore.spec.ip_office.clone()),
        operation: format!("restore-{uid}"),
        system_uid: restore.status.as_ref().and_then(|status| status.system_uid.clone()).unwrap_or_default(),
        uid: uid.clone(),
        deadline: context.patience.deadline(restore.status.as_ref().and_then(|status| status.start_time.as_ref())),
        patience: context.patience,
        // A system that was told to put a backup into use does so: whoever deletes the object meanwhile waits for the end.
        unwanted: Box::new(move || !applying && unwanted()),
        called_off: !applying,
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
        Ok(outcome) => outcome,
        Err(Stop::Again(because)) => Outcome::Again(because),
        Err(Stop::Failed(because)) => Outcome::Failed(because),
    };
    // Somebody took the finalizer off: nobody else sees to what it leaves.
    let gone = ordered::is_gone(restore, &context.caches);
    if gone || matches!(outcome, Outcome::Completed(_) | Outcome::Failed(_)) {
        // A system that has just come back is not signed in for a moment. What it fetched costs room there and nothing else: one try.
        let _ = tokio::time::timeout(SIGN_IN, run::facts(&reach)).await;
        let ended = reach.link.request(&reach.key, &reach.operation, Command::EndOperation).await;
        if let Err(error) = ended {
            tracing::info!(system = reach.system.1, %error, "the system was not told that the restore has ended; it drops what it fetched at the next one");
        }
    }
    controller.runs.end(&uid, outcome);
    if gone {
        controller.runs.forget(&uid);
    }
    context.triggers.add([reference]);
}
