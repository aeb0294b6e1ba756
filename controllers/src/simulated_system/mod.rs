//! Keeps simulated systems: one pod with one disk each. Deletion is the garbage collector's: everything has an owner reference.

mod build;
mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crds::{PAUSED_ANNOTATION, SimulatedSystem};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt as _};
use runtime::cache::Pending;
use runtime::metrics::ReconcileMetrics;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::caches::{Caches, system_id};
use crate::customer::secret_name;
use crate::error::ReconcileError;
use crate::index::age;
use plan::{ConnectsAs, DiskState, Step};

/// Field manager of this controller.
const MANAGER: &str = "switchboard-simulation";

/// What the controller works with.
pub struct Context {
    /// The API.
    pub client: Client,
    /// The caches.
    pub caches: Arc<Caches>,
    /// Image of the pods.
    pub image: String,
}

/// Subscribes to what simulated systems depend on. Before the caches are fed.
pub fn triggers(caches: &Arc<Caches>) -> Arc<Pending<ObjectRef<SimulatedSystem>>> {
    let pending = Arc::new(Pending::default());
    let weak = Arc::downgrade(caches);
    caches.simulated.trigger(&pending, move |system| {
        let state = weak.upgrade().map(|caches| caches.simulated.store().state()).unwrap_or_default();
        let same = state.iter().filter(|other| other.namespace() == system.namespace() && ConnectsAs::of(other) == ConnectsAs::of(system));
        same.map(|other| ObjectRef::from_obj(other.as_ref())).chain([ObjectRef::from_obj(system)]).collect()
    });
    caches.pods.trigger(&pending, owner);
    caches.configurations.trigger(&pending, owner);
    let by = |caches: &Arc<Caches>, namespace: Option<String>, uses: &dyn Fn(&SimulatedSystem) -> bool| -> Vec<_> {
        let state = caches.simulated.store().state();
        state
            .iter()
            .filter(|system| system.namespace() == namespace && uses(system))
            .map(|system| ObjectRef::from_obj(system.as_ref()))
            .collect()
    };
    let weak = Arc::downgrade(caches);
    caches.systems.trigger(&pending, move |ip_office| {
        let Some(caches) = weak.upgrade() else { return Vec::new() };
        by(&caches, ip_office.namespace(), &|system| ConnectsAs::of(system) == ConnectsAs::IPOffice(ip_office.name_any()))
    });
    let weak = Arc::downgrade(caches);
    caches.secrets.trigger(&pending, move |secret| {
        let Some(caches) = weak.upgrade() else { return Vec::new() };
        by(&caches, secret.namespace(), &|system| mounted_secrets(system).contains(&secret.name_any()))
    });
    pending
}

fn owner<K: kube::Resource>(child: &K) -> Vec<ObjectRef<SimulatedSystem>> {
    let namespace = child.namespace().unwrap_or_default();
    let owners = child.owner_references().iter().filter(|owner| owner.kind == "SimulatedSystem");
    // A child of the name without an owner counts too: it may have stood in the way.
    let by_name = child.labels().get("app.kubernetes.io/instance").cloned();
    owners.map(|owner| owner.name.clone()).chain(by_name).map(|name| ObjectRef::new(&name).within(&namespace)).collect()
}

/// Names of the Secrets mounted in the pod.
fn mounted_secrets(system: &SimulatedSystem) -> Vec<String> {
    [Some(secret_name(&system.spec.customer)), system.spec.passwords_secret.clone()].into_iter().flatten().collect()
}

/// Runs until the shutdown.
pub async fn run(
    context: Arc<Context>,
    triggers: Arc<Pending<ObjectRef<SimulatedSystem>>>,
    metrics: ReconcileMetrics,
    shutdown: CancellationToken,
) {
    let store = context.caches.simulated.store().clone();
    runtime::controller::run(store, triggers, context, reconcile, metrics, shutdown).await;
}

async fn reconcile(system: Arc<SimulatedSystem>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let caches = &context.caches;
    let namespace = system.namespace().unwrap_or_default();
    let name = system.name_any();
    let connects_as = ConnectsAs::of(&system);
    let (ip_office, id) = match &connects_as {
        ConnectsAs::IPOffice(name) => {
            let ip_office = caches.systems.get(&namespace, name);
            let id = ip_office.as_deref().map(|ip_office| system_id(ip_office).to_string());
            (ip_office, id)
        }
        ConnectsAs::Undeclared { system_id, .. } => (None, Some(system_id.clone())),
    };
    let wanted_configuration = id.as_ref().map(|id| build::causes(&system, id)).transpose()?;
    let version = |name: &String| caches.secrets.get(&namespace, name).and_then(|secret| secret.resource_version());
    let versions: Vec<Option<String>> = mounted_secrets(&system).iter().map(version).collect();
    let inputs = wanted_configuration.as_ref().map(|configuration| build::inputs(configuration, &versions)).unwrap_or_default();
    let wanted_pod = id.as_ref().map(|_| build::pod(&system, &context.image, &inputs)).transpose()?;
    let pod = caches.pods.get(&namespace, &name);
    let configuration = caches.configurations.get(&namespace, &build::causes_name(&name));
    let children = Children { client: &context.client, namespace: &namespace, name: &name };
    let disk = if pod.as_deref().is_some_and(plan::is_ready) { DiskState::InUse } else { children.disk(&system).await? };
    let plan = plan::plan(&plan::Observed {
        disk,
        system: &system,
        system_id: id,
        ip_office_customer: ip_office.map(|found| found.spec.customer.clone()),
        taken_by: older_of_the_same(caches, &system),
        connects_as,
        subscription: caches.secrets.get(&namespace, &secret_name(&system.spec.customer)).is_some(),
        pod: pod.as_deref(),
        configuration: configuration.as_deref(),
        wanted_pod: wanted_pod.as_ref(),
        wanted_configuration: wanted_configuration.as_ref(),
        paused: system.annotations().contains_key(PAUSED_ANNOTATION),
        now: jiff::Timestamp::now(),
    });
    let mut next = Action::await_change();
    match plan.step {
        Step::None => {}
        Step::WaitForDisk => next = Action::requeue(Duration::from_secs(2)),
        Step::CreateDisk => {
            children.create_disk(&system).await?;
            // Claims are not watched: the next look is ours to ask for.
            next = Action::requeue(Duration::ZERO);
        }
        Step::WriteConfiguration => children.write_configuration(wanted_configuration).await?,
        Step::CreatePod => children.create_pod(wanted_pod).await?,
        Step::TouchPod => children.touch_pod(pod.as_deref(), &inputs).await?,
        Step::DeletePod => children.delete_pod(pod.as_deref()).await?,
    }
    runtime::status::apply(&context.client, MANAGER, system.as_ref(), system.status.as_ref(), &plan.status)
        .await
        .map_err(ReconcileError::api("write", format!("status of SimulatedSystem {name}")))?;
    Ok(next)
}

/// Another, older simulated system that connects as the same.
fn older_of_the_same(caches: &Caches, system: &SimulatedSystem) -> Option<String> {
    let rank = |system: &SimulatedSystem| (age(system), system.name_any());
    let same = |other: &SimulatedSystem| other.namespace() == system.namespace() && ConnectsAs::of(other) == ConnectsAs::of(system);
    let all = caches.simulated.store().state();
    let older = all.iter().filter(|other| same(other) && rank(other) < rank(system)).min_by_key(|other| rank(other))?;
    Some(older.name_any())
}

/// Writes the objects a simulated system consists of.
struct Children<'a> {
    client: &'a Client,
    namespace: &'a str,
    name: &'a str,
}

impl Children<'_> {
    async fn write_configuration(&self, wanted: Option<ConfigMap>) -> Result<(), ReconcileError> {
        let Some(wanted) = wanted else { return Ok(()) };
        let name = wanted.name_any();
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), self.namespace);
        let apply = api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&wanted)).await;
        apply.map(drop).map_err(ReconcileError::api("write", format!("ConfigMap {name}")))
    }

    async fn disk(&self, system: &SimulatedSystem) -> Result<DiskState, ReconcileError> {
        let name = build::disk_name(self.name);
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), self.namespace);
        let claim = claims.get_opt(&name).await.map_err(ReconcileError::api("read", format!("PersistentVolumeClaim {name}")))?;
        Ok(match claim {
            None => DiskState::Missing,
            Some(claim) if claim.metadata.deletion_timestamp.is_some() => DiskState::Ending,
            Some(claim) if plan::owned(&claim, system) => DiskState::Ours,
            Some(_) => DiskState::Foreign,
        })
    }

    async fn create_disk(&self, system: &SimulatedSystem) -> Result<(), ReconcileError> {
        let parameters = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
        let disk = build::disk(system)?;
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), self.namespace);
        ignore_existing(claims.create(&parameters, &disk).await)
            .map_err(ReconcileError::api("create", format!("PersistentVolumeClaim {}", disk.name_any())))
    }

    async fn create_pod(&self, wanted: Option<Pod>) -> Result<(), ReconcileError> {
        let Some(wanted) = wanted else { return Ok(()) };
        let parameters = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace);
        ignore_existing(pods.create(&parameters, &wanted).await).map_err(ReconcileError::api("create", format!("Pod {}", self.name)))
    }

    async fn touch_pod(&self, pod: Option<&Pod>, inputs: &str) -> Result<(), ReconcileError> {
        let Some(pod) = pod else { return Ok(()) };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace);
        let patch = json!({"metadata": {"uid": pod.uid(), "annotations": {build::INPUTS: inputs}}});
        let parameters = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        pods.patch(self.name, &parameters, &Patch::Merge(&patch))
            .await
            .map(drop)
            .map_err(ReconcileError::api("annotate", format!("Pod {}", self.name)))
    }

    async fn delete_pod(&self, pod: Option<&Pod>) -> Result<(), ReconcileError> {
        let Some(pod) = pod else { return Ok(()) };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace);
        let parameters =
            DeleteParams { preconditions: Some(Preconditions { uid: pod.uid(), resource_version: None }), ..DeleteParams::default() };
        match pods.delete(self.name, &parameters).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(ReconcileError::api("delete", format!("Pod {}", self.name))(error)),
        }
    }
}

/// There already: made by the look before, which the cache does not show yet.
fn ignore_existing<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => Ok(()),
        Err(error) => Err(error),
    }
}
