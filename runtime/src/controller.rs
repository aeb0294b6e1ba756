//! Runs one reconciler: triggers in, with retries by error class, metrics and one log line a failure.

use std::error::Error;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use futures::StreamExt as _;
use kube::core::Resource;
use kube::runtime::applier;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::{ObjectRef, Store};
use tokio_util::sync::CancellationToken;

use crate::cache::{Pending, name_of};
use crate::metrics::ReconcileMetrics;
use crate::retry::{Class, Classify, Failures};
use crate::tasks::chain;

/// Reconciliations of one kind that run at a time.
const CONCURRENCY: u16 = 16;

/// Reconciles objects of `store` as `triggers` ask for it, until the shutdown. Running reconciliations are finished.
pub async fn run<K, C, E, F>(
    store: Store<K>,
    triggers: Arc<Pending<ObjectRef<K>>>,
    context: Arc<C>,
    reconcile: impl Fn(Arc<K>, Arc<C>) -> F + Send + Sync + 'static,
    metrics: ReconcileMetrics,
    shutdown: CancellationToken,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    C: Send + Sync + 'static,
    E: Error + Classify + Send + Sync + 'static,
    F: Future<Output = Result<Action, E>> + Send + 'static,
{
    let kind = K::kind(&()).into_owned();
    let failures = Arc::new(Failures::default());
    let queue = triggers.stream().map(Ok::<_, std::convert::Infallible>).take_until(shutdown.cancelled_owned());
    let on_success = Arc::clone(&failures);
    let observed = metrics.clone();
    metrics.expect(&kind);
    let kind_of_run = kind.clone();
    let reconciler = move |object: Arc<K>, context: Arc<C>| {
        let (kind, metrics, failures) = (kind_of_run.clone(), observed.clone(), Arc::clone(&on_success));
        let name = name_of(object.as_ref());
        let work = reconcile(object, context);
        Box::pin(async move {
            let running = metrics.begin(&kind);
            let result = work.await;
            metrics.end(&kind, &running, result.as_ref().err().map(Classify::class));
            if result.is_ok() {
                failures.succeeded(&name);
            }
            result
        })
    };
    let kind_of_error = kind.clone();
    let on_error = move |object: Arc<K>, error: &E, _: Arc<C>| {
        let name = name_of(object.as_ref());
        let class = error.class();
        match class {
            Class::Overtaken => {
                tracing::debug!(kind = kind_of_error, object = name, error = %chain(error), "reconciliation overtaken by another write")
            }
            Class::Transient | Class::Invalid | Class::Terminal => {
                tracing::error!(kind = kind_of_error, object = name, class = class.as_str(), error = %chain(error), "reconciliation failed");
            }
        }
        failures.failed(&name, class)
    };
    applier(reconciler, on_error, context, store, Box::pin(queue), Config::default().concurrency(CONCURRENCY))
        .for_each(|_| std::future::ready(()))
        .await;
}
