//! Kinds that make pods.

use serde_json::{Map, Value, json};

use super::{immutable, not_negative, pods, selectors, unsupported};
use crate::builtin::json::{is_set, text_at};
use crate::status::FieldError;

pub(super) fn validate(kind: &str, object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    for pointer in ["/spec/replicas", "/spec/minReadySeconds", "/spec/revisionHistoryLimit"] {
        not_negative(errors, object, pointer);
    }
    match kind {
        "Job" => validate_job(object, old, errors),
        "CronJob" => validate_cron_job(object, errors),
        "HorizontalPodAutoscaler" => validate_autoscaler(object, errors),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => {
            let owner = match kind {
                "StatefulSet" => "statefulset",
                "DaemonSet" => "daemonset",
                _ => "deployment",
            };
            selectors::validate_workload(object, owner, errors);
            validate_always_restarting(object, errors);
            if kind == "Deployment" {
                validate_strategy(object, errors);
            }
            match old {
                Some(old) if kind == "StatefulSet" => validate_stateful_update(object, old, errors),
                Some(old) => immutable(errors, object, old, "/spec/selector"),
                None => {}
            }
        }
        "ReplicationController" => validate_replication_controller(object, errors),
        _ => {}
    }
}

fn validate_always_restarting(object: &Value, errors: &mut Vec<FieldError>) {
    pods::validate_template(object, "/spec/template", errors);
    match text_at(object, "/spec/template/spec/restartPolicy") {
        Some(policy) if policy != "Always" => errors.push(unsupported("spec.template.spec.restartPolicy", policy, &["Always"])),
        _ => {}
    }
}

fn validate_strategy(object: &Value, errors: &mut Vec<FieldError>) {
    if text_at(object, "/spec/strategy/type") == Some("Recreate") {
        if is_set(object, "/spec/strategy/rollingUpdate") {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            errors.push(FieldError::forbidden("spec.strategy.rollingUpdate", detail));
        }
        return;
    }
    let zero = |pointer: &str| object.pointer(pointer).is_some_and(|value| *value == json!(0) || *value == json!("0%"));
    if zero("/spec/strategy/rollingUpdate/maxSurge")
        && zero("/spec/strategy/rollingUpdate/maxUnavailable")
        && let Some(value) = object.pointer("/spec/strategy/rollingUpdate/maxUnavailable")
    {
        errors.push(FieldError::invalid("spec.strategy.rollingUpdate.maxUnavailable", value, "may not be 0 when `maxSurge` is 0"));
    }
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
    if let (Some(deadline), ready) = (number("/spec/progressDeadlineSeconds"), number("/spec/minReadySeconds").unwrap_or(0))
        && deadline <= ready
    {
        errors.push(FieldError::invalid("spec.progressDeadlineSeconds", &json!(deadline), "must be greater than minReadySeconds"));
    }
}

fn validate_stateful_update(object: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let fixed = |object: &Value| {
        let mut spec = object.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
        let changeable = [
            "replicas",
            "ordinals",
            "template",
            "updateStrategy",
            "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy",
            "minReadySeconds",
        ];
        spec.retain(|field, _| !changeable.contains(&field.as_str()));
        spec
    };
    if fixed(object) != fixed(old) {
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        errors.push(FieldError::forbidden("spec", detail));
    }
}

fn validate_replication_controller(object: &Value, errors: &mut Vec<FieldError>) {
    let selector = object.pointer("/spec/selector").and_then(Value::as_object).filter(|selector| !selector.is_empty());
    match selector {
        None => errors.push(FieldError::required("spec.selector", "")),
        Some(labels) => selectors::validate_template_labels(object, &json!({"matchLabels": labels}), errors),
    }
    if is_set(object, "/spec/template") {
        validate_always_restarting(object, errors);
    } else {
        errors.push(FieldError::required("spec.template", ""));
    }
}

fn validate_job_spec(object: &Value, pointer: &str, errors: &mut Vec<FieldError>) {
    for field in ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"] {
        not_negative(errors, object, &format!("{pointer}/{field}"));
    }
    pods::validate_template(object, &format!("{pointer}/template"), errors);
    if text_at(object, &format!("{pointer}/template/spec/restartPolicy")) == Some("Always") {
        let field = super::path(&format!("{pointer}/template/spec/restartPolicy"));
        errors.push(FieldError::required(field, "valid values: \"OnFailure\", \"Never\""));
    }
    if text_at(object, &format!("{pointer}/completionMode")) == Some("Indexed") && !is_set(object, &format!("{pointer}/completions")) {
        let field = super::path(&format!("{pointer}/completions"));
        errors.push(FieldError::required(field, "when completion mode is Indexed"));
    }
}

fn validate_job(job: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    validate_job_spec(job, "/spec", errors);
    match job.pointer("/spec/selector").filter(|selector| selector.is_object()) {
        None => errors.push(FieldError::required("spec.selector", "")),
        Some(selector) => {
            let manual = job.pointer("/spec/manualSelector") == Some(&json!(true));
            let generated = selector.get("matchLabels").and_then(Value::as_object).is_some_and(is_generated);
            if !manual && !generated {
                errors.push(FieldError::invalid("spec.selector", selector, "`selector` not auto-generated"));
            }
            selectors::validate_template_labels(job, selector, errors);
        }
    }
    let Some(old) = old else { return };
    immutable(errors, job, old, "/spec/selector");
    immutable(errors, job, old, "/spec/completionMode");
    let indexed = text_at(job, "/spec/completionMode") == Some("Indexed");
    if !indexed || job.pointer("/spec/completions") != job.pointer("/spec/parallelism") {
        immutable(errors, job, old, "/spec/completions");
    }
    // A suspended Job that never started may still be told where to run.
    let suspended = old.pointer("/spec/suspend") == Some(&json!(true)) && !is_set(old, "/status/startTime");
    if !suspended {
        immutable(errors, job, old, "/spec/template");
    }
}

fn is_generated(labels: &Map<String, Value>) -> bool {
    labels.keys().all(|label| label == "batch.kubernetes.io/controller-uid" || label == "controller-uid") && !labels.is_empty()
}

fn validate_cron_job(object: &Value, errors: &mut Vec<FieldError>) {
    // The name gets eleven characters more when a Job is made of it.
    if let Some(name) = text_at(object, "/metadata/name").filter(|name| name.len() > 52) {
        errors.push(FieldError::invalid("metadata.name", &json!(name), "must be no more than 52 characters"));
    }
    let schedule = text_at(object, "/spec/schedule").unwrap_or_default();
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if schedule.contains("TZ") {
        let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.push(FieldError::invalid("spec.schedule", &json!(schedule), detail));
    } else if !schedule.is_empty() && !schedule.starts_with('@') && fields.len() != 5 {
        let detail = format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" "));
        errors.push(FieldError::invalid("spec.schedule", &json!(schedule), detail));
    }
    for pointer in ["/spec/successfulJobsHistoryLimit", "/spec/failedJobsHistoryLimit", "/spec/startingDeadlineSeconds"] {
        not_negative(errors, object, pointer);
    }
    validate_job_spec(object, "/spec/jobTemplate/spec", errors);
}

fn validate_autoscaler(object: &Value, errors: &mut Vec<FieldError>) {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
    let (least, most) = (number("/spec/minReplicas").unwrap_or(1), number("/spec/maxReplicas"));
    if least < 1 {
        errors.push(FieldError::invalid("spec.minReplicas", &json!(least), "must be greater than or equal to 1"));
    }
    match most {
        Some(most) if most < 1 => errors.push(FieldError::invalid("spec.maxReplicas", &json!(most), "must be greater than 0")),
        Some(most) if most < least => {
            errors.push(FieldError::invalid("spec.maxReplicas", &json!(most), "must be greater than or equal to `minReplicas`"));
        }
        _ => {}
    }
}
