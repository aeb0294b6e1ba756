//! Runs pods until enough of them have succeeded, or too many have failed.
//!
//! | module | what it does |
//! |---|---|
//! | [`count`] | which pods have ended, each once (pure) |
//! | [`plan`] | what to do next (pure) |

pub mod count;
pub mod plan;

use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams};
use kube::core::{Selector, SelectorExt};
use kube::{Resource, ResourceExt};
use serde_json::json;

use super::claim::{Claimant, controller_of};
use super::context::{AT_ONCE, Context, Trouble, is_ending, text};
use super::index::JOB_NAME;
use super::pods;
use super::replica_set::candidates;
use super::telling::News;
use count::{TRACKING, is_tracked};
use plan::{Plan, plan};

/// Other values of `managedBy` mean other controllers.
const CONTROLLER: &str = "kubernetes.io/job-controller";

/// Brings a Job a step further; returns when to look again although nothing happens.
///
/// # Errors
/// What the server says.
pub async fn reconcile(context: &Context, namespace: &str, name: &str) -> Result<Option<Duration>, Trouble> {
    let jobs: Api<Job> = context.api(namespace);
    let job = jobs.get_opt(name).await.map_err(|source| Trouble::new("read the Job", source))?;
    free_orphans(context, namespace, name, job.as_ref()).await?;
    let Some(job) = job else { return Ok(None) };
    let managed_here = job.spec.as_ref().and_then(|spec| spec.managed_by.as_deref()).is_none_or(|manager| manager == CONTROLLER);
    let (Some(reference), Some(selector)) = (job.controller_owner_ref(&()), selector_of(&job)) else { return Ok(None) };
    if !managed_here {
        return Ok(None);
    }
    let deleting = job.metadata.deletion_timestamp.is_some();
    let claimant = Claimant { reference, selector, deleting, finalizer: Some(TRACKING) };
    let pods: Api<Pod> = context.api(namespace);
    let owned = claimant.claim(&pods, candidates(context, &pods, &claimant).await?, |_| true).await?;
    let plan = plan(&job, &owned, Timestamp::now());
    carry_out(context, &jobs, &job, &claimant, &plan).await?;
    Ok(plan.again)
}

fn selector_of(job: &Job) -> Option<Selector> {
    let selector = job.spec.as_ref()?.selector.clone()?;
    Selector::try_from(selector).ok()
}

async fn carry_out(context: &Context, jobs: &Api<Job>, job: &Job, claimant: &Claimant, plan: &Plan<'_>) -> Result<(), Trouble> {
    let namespace = job.namespace().unwrap_or_default();
    let pods: Api<Pod> = context.api(&namespace);
    context.write_status(jobs, job, &job.status.clone().unwrap_or_default(), &plan.status).await?;
    for news in &plan.news {
        context.tell(job, news.clone()).await;
    }
    untrack(context, &pods, &plan.free).await?;
    if plan.expired {
        return context.delete(jobs, job, DeleteParams::foreground()).await;
    }
    context.delete_pods(job, &plan.end).await?;
    // They were not to end: they are not counted.
    untrack(context, &pods, &plan.dismiss).await?;
    context.delete_pods(job, &plan.dismiss).await?;
    let Some(template) = job.spec.as_ref().map(|spec| &spec.template).filter(|_| plan.create > 0) else { return Ok(()) };
    let mut pod = pods::of_template(template, claimant.reference.clone());
    pod.metadata.finalizers.get_or_insert_default().push(TRACKING.to_owned());
    match context.create_pods(job, &pod, usize::try_from(plan.create).unwrap_or(0)).await {
        (_, Some(error)) if !is_ending(&error) => {
            context.tell(job, News::warning("FailedCreate", format!("Error creating: {}", text(&error)))).await;
            Err(Trouble::new("create pods", error))
        }
        _ => Ok(()),
    }
}

/// Takes the finalizer from those pods that carry it.
async fn untrack(context: &Context, api: &Api<Pod>, pods: &[&Pod]) -> Result<(), Trouble> {
    let mut changes: Vec<BoxFuture<'_, Result<Pod, Trouble>>> = Vec::new();
    for pod in pods.iter().filter(|pod| is_tracked(pod)) {
        let left: Vec<&String> = pod.finalizers().iter().filter(|finalizer| *finalizer != TRACKING).collect();
        changes.push(Box::pin(context.amend(api, *pod, json!({"metadata": {"finalizers": left}}))));
    }
    let mut changes = futures::stream::iter(changes).buffer_unordered(AT_ONCE);
    while let Some(outcome) = changes.next().await {
        match outcome {
            // It is gone, or comes again with what changed.
            Err(trouble) if !trouble.is_stale() => return Err(trouble),
            _ => {}
        }
    }
    Ok(())
}

/// Pods whose Job is gone, or that were taken from it, need not be counted any more.
async fn free_orphans(context: &Context, namespace: &str, name: &str, job: Option<&Job>) -> Result<(), Trouble> {
    let pods: Api<Pod> = context.api(namespace);
    let labelled = ListParams::default().labels(&format!("{JOB_NAME}={name}"));
    let all = pods.list(&labelled).await.map_err(|source| Trouble::new("list pods", source))?.items;
    let selector = job.and_then(selector_of);
    let is_orphan = |pod: &Pod| {
        match controller_of(&pod.metadata) {
            Some(owner) => owner.kind == "Job" && owner.name == name && job.and_then(ResourceExt::uid).as_ref() != Some(&owner.uid),
            // One that the Job selects is taken up again.
            None => selector.as_ref().is_none_or(|selector| !selector.matches(pod.labels())),
        }
    };
    untrack(context, &pods, &all.iter().filter(|pod| is_orphan(pod)).collect::<Vec<_>>()).await
}
