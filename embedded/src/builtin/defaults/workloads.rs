//! Defaults of the kinds that make pods.

use serde_json::{Value, json};

use super::pods;
use crate::builtin::json::{fill as set, fill_at, is_set, items_at_mut, text_at};

/// Fills in what depends on other fields, for kinds of apps, batch and autoscaling, and for ReplicationControllers.
pub(super) fn fill(kind: &str, object: &mut Value) {
    match kind {
        "CronJob" => {
            pods::fill_template(object, "/spec/jobTemplate/spec/template");
            fill_job(object, "/spec/jobTemplate/spec");
        }
        "HorizontalPodAutoscaler" => fill_autoscaler(object),
        _ => pods::fill_template(object, "/spec/template"),
    }
    match kind {
        "Deployment" => fill_strategy(object, "/spec/strategy", || json!({"maxUnavailable": "25%", "maxSurge": "25%"})),
        "DaemonSet" => fill_strategy(object, "/spec/updateStrategy", || json!({"maxUnavailable": 1, "maxSurge": 0})),
        "StatefulSet" => {
            fill_strategy(object, "/spec/updateStrategy", || json!({"partition": 0}));
            fill_claim_templates(object);
        }
        "ReplicationController" => fill_from_template_labels(object),
        "Job" => {
            fill_job(object, "/spec");
            name_pods_of_job(object);
        }
        _ => {}
    }
}

/// Only a rolling update has parameters.
fn fill_strategy(object: &mut Value, pointer: &str, parameters: fn() -> Value) {
    if object.pointer(&format!("{pointer}/type")).is_none_or(|kind| kind == "RollingUpdate") {
        fill_at(object, pointer, "rollingUpdate", || json!({}));
        if let Value::Object(parameters) = parameters() {
            for (field, value) in parameters {
                fill_at(object, &format!("{pointer}/rollingUpdate"), &field, || value);
            }
        }
    }
}

fn fill_claim_templates(object: &mut Value) {
    for claim in items_at_mut(object, "/spec/volumeClaimTemplates").iter_mut().filter_map(Value::as_object_mut) {
        set(claim, "apiVersion", || json!("v1"));
        set(claim, "kind", || json!("PersistentVolumeClaim"));
        set(claim, "status", || json!({"phase": "Pending"}));
    }
}

/// A ReplicationController without selector or labels of its own has those of its template.
fn fill_from_template_labels(object: &mut Value) {
    if let Some(labels) = object.pointer("/spec/template/metadata/labels").cloned() {
        fill_at(object, "/spec", "selector", || labels.clone());
        fill_at(object, "/metadata", "labels", || labels);
    }
}

fn fill_job(object: &mut Value, spec: &str) {
    let is_set = |field: &str| is_set(object, &format!("{spec}/{field}"));
    let one_pod = !is_set("completions") && !is_set("parallelism");
    let own_limits = is_set("backoffLimitPerIndex");
    let replacement = if is_set("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    if one_pod {
        fill_at(object, spec, "completions", || json!(1));
    }
    fill_at(object, spec, "parallelism", || json!(1));
    // With a limit per index there is no limit for all together.
    fill_at(object, spec, "backoffLimit", || if own_limits { json!(i32::MAX) } else { json!(6) });
    fill_at(object, spec, "podReplacementPolicy", || json!(replacement));
}

/// A Job finds its pods by its own uid, unless it says that it selects them itself.
fn name_pods_of_job(job: &mut Value) {
    let manual = job.pointer("/spec/manualSelector") == Some(&json!(true));
    let (Some(uid), Some(name)) = (text_at(job, "/metadata/uid").map(str::to_owned), text_at(job, "/metadata/name").map(str::to_owned))
    else {
        return;
    };
    if manual || is_set(job, "/spec/selector") {
        return;
    }
    fill_at(job, "/spec/template", "metadata", || json!({}));
    fill_at(job, "/spec/template/metadata", "labels", || json!({}));
    let labels = [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("job-name", &name),
    ];
    for (label, value) in labels {
        fill_at(job, "/spec/template/metadata/labels", label, || json!(value));
    }
    fill_at(job, "/spec", "selector", || json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}));
}

fn fill_autoscaler(object: &mut Value) {
    fill_at(
        object,
        "/spec",
        "metrics",
        || json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]),
    );
}
