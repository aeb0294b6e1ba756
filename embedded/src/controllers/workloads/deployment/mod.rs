//! Takes pods from one template to the next, a few at a time.
//!
//! | module | what it does |
//! |---|---|
//! | [`amounts`] | how many pods there may be, and where (pure) |
//! | [`revision`] | the ReplicaSets as a history (pure) |
//! | [`plan`] | what to do next (pure) |
//! | [`status`] | what the status says (pure) |

pub mod amounts;
pub mod plan;
pub mod revision;
pub mod status;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::core::Selector;
use kube::{Error, Resource, ResourceExt};
use serde_json::json;

use super::claim::{Claimant, controller_of};
use super::context::{Context, MANAGER, Trouble, is_ending, text};
use super::replica_set::replicas as replicas_of;
use super::telling::News;
use amounts::Bounds;
use plan::{Step, plan};
use status::{Outcome, status};

/// Brings a Deployment a step further; returns when to look again although nothing happens.
///
/// # Errors
/// What the server says.
pub async fn reconcile(context: &Context, namespace: &str, name: &str) -> Result<Option<Duration>, Trouble> {
    let deployments: Api<Deployment> = context.api(namespace);
    let found = deployments.get_opt(name).await.map_err(|source| Trouble::new("read the Deployment", source))?;
    let Some(deployment) = found else { return Ok(None) };
    let (Some(reference), Ok(selector)) = (deployment.controller_owner_ref(&()), Selector::try_from(deployment.spec.selector.clone()))
    else {
        return Ok(None);
    };
    let sets: Api<ReplicaSet> = context.api(namespace);
    let all = sets.list(&ListParams::default()).await.map_err(|source| Trouble::new("list ReplicaSets", source))?.items;
    let deleting = deployment.metadata.deletion_timestamp.is_some();
    let claimant = Claimant { reference, selector, deleting, finalizer: None };
    let mut owned = claimant.claim(&sets, all, |_| true).await?;
    // In the order in which they were made, whatever their names: the same is seen and done at every look.
    owned.sort_by_key(revision::created);
    let pods = if Bounds::of(&deployment).recreate { pods_of(context, namespace, &claimant.selector, &owned).await? } else { Vec::new() };
    let plan = plan(&deployment, &owned, &pods);
    let worker = Worker { context, deployment: &deployment, sets: &sets };
    let (outcome, trouble) = worker.carry_out(&plan.steps).await;
    worker.number(&deployments, plan.new).await?;
    let (status, again) = status(&deployment, &plan, &outcome, Timestamp::now());
    context.write_status(&deployments, &deployment, &deployment.status.clone().unwrap_or_default(), &status).await?;
    trouble.map_or(Ok(again), Err)
}

async fn pods_of(context: &Context, namespace: &str, selector: &Selector, sets: &[ReplicaSet]) -> Result<Vec<Pod>, Trouble> {
    let pods: Api<Pod> = context.api(namespace);
    let mut all = pods.list(&ListParams::default().labels_from(selector)).await.map_err(|source| Trouble::new("list pods", source))?.items;
    all.retain(|pod| controller_of(&pod.metadata).is_some_and(|owner| sets.iter().any(|set| set.uid().as_ref() == Some(&owner.uid))));
    Ok(all)
}

struct Worker<'a> {
    context: &'a Context,
    deployment: &'a Deployment,
    sets: &'a Api<ReplicaSet>,
}

impl Worker<'_> {
    /// Carries the steps out up to the first that fails. What was done stays done: the next look begins there.
    async fn carry_out(&self, steps: &[Step<'_>]) -> (Outcome, Option<Trouble>) {
        let mut outcome = Outcome::default();
        for step in steps {
            let done = match step {
                Step::Create(set) => self.create(set, &mut outcome).await,
                Step::Follow(set, annotations) => self.follow(set, annotations).await,
                Step::Scale(set, size) => self.scale(set, *size).await,
                Step::Delete(set) => self.context.delete(self.sets, *set, DeleteParams::background()).await,
            };
            if let Err(trouble) = done {
                return (outcome, Some(trouble));
            }
        }
        (outcome, None)
    }

    async fn create(&self, set: &ReplicaSet, outcome: &mut Outcome) -> Result<(), Trouble> {
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match self.sets.create(&parameters, set).await {
            Ok(made) => {
                if replicas_of(&made) > 0 {
                    self.tell_scaled(&made.name_any(), 0, replicas_of(&made)).await;
                }
                outcome.created = Some(made.name_any());
                Ok(())
            }
            Err(Error::Api(status)) if status.code == 409 => {
                // Ours from before a crash, with this template, would have been found: the name is another's, or means another template.
                outcome.collided = true;
                Ok(())
            }
            Err(error) if is_ending(&error) => Ok(()),
            Err(error) => {
                let message = format!("Failed to create new replica set \"{}\": {}", set.name_any(), text(&error));
                self.context.tell(self.deployment, News::warning("ReplicaSetCreateError", message.clone())).await;
                outcome.failed = Some(message);
                Err(Trouble::new("create a ReplicaSet", error))
            }
        }
    }

    async fn follow(&self, set: &ReplicaSet, annotations: &BTreeMap<String, String>) -> Result<(), Trouble> {
        let minimum = self.deployment.spec.min_ready_seconds;
        let patch = json!({"metadata": {"annotations": annotations}, "spec": {"minReadySeconds": minimum}});
        self.context.amend(self.sets, set, patch).await.map(drop)
    }

    async fn scale(&self, set: &ReplicaSet, size: i32) -> Result<(), Trouble> {
        let annotations: BTreeMap<String, String> = revision::sized(&Bounds::of(self.deployment)).into();
        let before = replicas_of(set);
        let patch = json!({"metadata": {"annotations": annotations}, "spec": {"replicas": size}});
        self.context.amend(self.sets, set, patch).await?;
        if size != before {
            self.tell_scaled(&set.name_any(), before, size).await;
        }
        Ok(())
    }

    async fn tell_scaled(&self, name: &str, from: i32, to: i32) {
        let way = if to > from { "up" } else { "down" };
        let note = format!("Scaled {way} replica set {name} from {from} to {to}");
        self.context.tell(self.deployment, News::normal("ScalingReplicaSet", note)).await;
    }

    /// The Deployment shows the number of its present revision.
    async fn number(&self, deployments: &Api<Deployment>, new: Option<&ReplicaSet>) -> Result<(), Trouble> {
        let number = new.and_then(|set| set.annotations().get(revision::REVISION));
        let Some(number) = number.filter(|number| self.deployment.annotations().get(revision::REVISION) != Some(number)) else {
            return Ok(());
        };
        if self.deployment.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let patch = json!({"metadata": {"annotations": {revision::REVISION: number}}});
        self.context.amend(deployments, self.deployment, patch).await.map(drop)
    }
}
