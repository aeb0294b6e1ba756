//! Whether a pod may be evicted: what its PodDisruptionBudget allows.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};
use serde_json::{Value, json};

use super::routing::Target;
use super::{Api, metadata, view};
use crate::status::Status;
use crate::store::{Object, Write, WriteError};

/// Where budgets are kept.
const BUDGETS: &str = "policy/poddisruptionbudgets";
/// How often it is tried again while others evict under the same budget.
const ATTEMPTS: usize = 32;
/// Pods that may be on their way out under one budget.
const MOST_EVICTED: usize = 2000;

impl Api {
    /// Takes one disruption from the budget of a pod that runs.
    ///
    /// # Errors
    /// 429 where the budget allows none now, 500 where there is more than one.
    pub(super) async fn allow_eviction(&self, target: &Target, dry_run: bool) -> Result<(), Status> {
        for _ in 0..ATTEMPTS {
            let present = self.find(target)?;
            let pod = view::value(&target.resource, &present);
            let runs_not = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Pending"));
            if runs_not || metadata::is_deleting(&pod) {
                return Ok(());
            }
            let budget = match &self.budgets_of(&pod)[..] {
                [] => return Ok(()),
                [budget] => Arc::clone(budget),
                _ => {
                    let text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
                    return Err(Status::new(500, "InternalError", text));
                }
            };
            let value = budget.value();
            if !is_ready(&pod) && may_lose_unready(&value) {
                return Ok(());
            }
            let taken = take_one(&value, target.name())?;
            if dry_run {
                return Ok(());
            }
            let written = Write::Update { key: budget.key.clone(), expected: budget.revision, value: taken };
            match self.store().write(written).await {
                Ok(_) => return Ok(()),
                Err(WriteError::Conflict) => {}
                Err(error) => return Err(Status::internal(format!("the disruption budget could not be written: {error}"))),
            }
        }
        Err(too_many(10, "The disruption budget changes all the time.".to_owned()))
    }

    fn budgets_of(&self, pod: &Value) -> Vec<Arc<Object>> {
        let labels = serde_json::from_value(pod["metadata"]["labels"].clone()).unwrap_or_default();
        let selects = |budget: &Arc<Object>| {
            let selector = serde_json::from_value::<LabelSelector>(budget.value()["spec"]["selector"].clone()).ok();
            selector.and_then(|selector| Selector::try_from(selector).ok()).is_some_and(|selector| selector.matches(&labels))
        };
        let all = self.store().list(BUDGETS, Some(metadata::text(pod, "namespace")), None, None).objects;
        all.into_iter().filter(selects).collect()
    }
}

fn is_ready(pod: &Value) -> bool {
    pod["status"]["conditions"].as_array().into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// A pod that does not serve anyway may go where the budget says so, or where it is met without the pod.
fn may_lose_unready(budget: &Value) -> bool {
    let number = |key: &str| budget["status"][key].as_i64().unwrap_or(0);
    budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        || number("desiredHealthy") > 0 && number("currentHealthy") >= number("desiredHealthy")
}

/// The budget with one disruption less, and the pod named in it.
fn take_one(budget: &Value, pod: &str) -> Result<Value, Status> {
    let name = metadata::text(budget, "name");
    let number = |key: &str| budget["status"][key].as_i64().unwrap_or(0);
    if number("observedGeneration") < budget["metadata"]["generation"].as_i64().unwrap_or(0) {
        return Err(too_many(10, format!("The disruption budget {name} is still being processed by the server.")));
    }
    if budget["status"]["disruptedPods"].as_object().is_some_and(|pods| pods.len() > MOST_EVICTED) {
        let text = format!("the disruption budget {name} waits for more than {MOST_EVICTED} evicted pods");
        return Err(Status::new(403, "Forbidden", text));
    }
    let allowed = number("disruptionsAllowed");
    if allowed <= 0 {
        let (needs, has) = (number("desiredHealthy"), number("currentHealthy"));
        return Err(too_many(0, format!("The disruption budget {name} needs {needs} healthy pods and has {has} currently")));
    }
    let mut taken = budget.clone();
    taken["status"]["disruptionsAllowed"] = json!(allowed - 1);
    taken["status"]["disruptedPods"][pod] = json!(metadata::now());
    Ok(taken)
}

/// 429. Whoever drains a node tries again.
fn too_many(seconds: u64, message: String) -> Status {
    let mut status = Status::new(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.");
    let mut details = json!({"causes": [{"reason": "DisruptionBudget", "message": message}]});
    if seconds > 0 {
        details["retryAfterSeconds"] = json!(seconds);
    }
    status.details = Some(details);
    status
}
