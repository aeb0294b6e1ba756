//! Columns of the kinds that make pods.

use serde_json::{Value, json};

use super::{AGE, Heading, NAME, Of, Text, bool_at, count_at, format, heading, int_at, items_at, str_at, text, wide};
use crate::builtin::age;

const CONTAINERS_TEXT: &str = "Names of each container in the template.";
const IMAGES_TEXT: &str = "Images referenced by each container in the template.";

const CONTAINERS: Heading =
    wide("Containers", "string", Text(CONTAINERS_TEXT), |o| json!(format::container_names(o.pointer("/spec/template/spec"))));
const IMAGES: Heading = wide("Images", "string", Text(IMAGES_TEXT), |o| json!(format::container_images(o.pointer("/spec/template/spec"))));

const fn selector(field: &'static str) -> Heading {
    wide("Selector", "string", Of(field), |o| json!(format::selector(o.pointer("/spec/selector"))))
}

pub(in crate::builtin) const DEPLOYMENT: &[Heading] = &[
    NAME,
    heading("Ready", "string", Text("Number of the pod with ready state"), ready_of_wanted),
    heading("Up-to-date", "string", Of("apps.v1.DeploymentStatus.updatedReplicas"), |o| json!(int_at(o, "/status/updatedReplicas"))),
    heading("Available", "string", Of("apps.v1.DeploymentStatus.availableReplicas"), |o| json!(int_at(o, "/status/availableReplicas"))),
    AGE,
    CONTAINERS,
    IMAGES,
    selector("apps.v1.DeploymentSpec.selector"),
];

pub(in crate::builtin) const REPLICA_SET: &[Heading] = &[
    NAME,
    heading("Desired", "integer", Of("apps.v1.ReplicaSetSpec.replicas"), |o| json!(int_at(o, "/spec/replicas"))),
    heading("Current", "integer", Of("apps.v1.ReplicaSetStatus.replicas"), |o| json!(int_at(o, "/status/replicas"))),
    heading("Ready", "integer", Of("apps.v1.ReplicaSetStatus.readyReplicas"), |o| json!(int_at(o, "/status/readyReplicas"))),
    AGE,
    CONTAINERS,
    IMAGES,
    selector("apps.v1.ReplicaSetSpec.selector"),
];

pub(in crate::builtin) const REPLICATION_CONTROLLER: &[Heading] = &[
    NAME,
    heading("Desired", "integer", Of("core.v1.ReplicationControllerSpec.replicas"), |o| json!(int_at(o, "/spec/replicas"))),
    heading("Current", "integer", Of("core.v1.ReplicationControllerStatus.replicas"), |o| json!(int_at(o, "/status/replicas"))),
    heading("Ready", "integer", Of("core.v1.ReplicationControllerStatus.readyReplicas"), |o| json!(int_at(o, "/status/readyReplicas"))),
    AGE,
    CONTAINERS,
    IMAGES,
    wide("Selector", "string", Of("core.v1.ReplicationControllerSpec.selector"), |o| json!(format::labels(o.pointer("/spec/selector")))),
];

pub(in crate::builtin) const STATEFUL_SET: &[Heading] =
    &[NAME, heading("Ready", "string", Text("Number of the pod with ready state"), ready_of_wanted), AGE, CONTAINERS, IMAGES];

pub(in crate::builtin) const DAEMON_SET: &[Heading] = &[
    NAME,
    daemon("Desired", "apps.v1.DaemonSetStatus.desiredNumberScheduled", |o| json!(int_at(o, "/status/desiredNumberScheduled"))),
    daemon("Current", "apps.v1.DaemonSetStatus.currentNumberScheduled", |o| json!(int_at(o, "/status/currentNumberScheduled"))),
    daemon("Ready", "apps.v1.DaemonSetStatus.numberReady", |o| json!(int_at(o, "/status/numberReady"))),
    daemon("Up-to-date", "apps.v1.DaemonSetStatus.updatedNumberScheduled", |o| json!(int_at(o, "/status/updatedNumberScheduled"))),
    daemon("Available", "apps.v1.DaemonSetStatus.numberAvailable", |o| json!(int_at(o, "/status/numberAvailable"))),
    heading("Node Selector", "string", Of("core.v1.PodSpec.nodeSelector"), |o| {
        json!(format::labels(o.pointer("/spec/template/spec/nodeSelector")))
    }),
    AGE,
    CONTAINERS,
    IMAGES,
    selector("apps.v1.DaemonSetSpec.selector"),
];

const fn daemon(name: &'static str, field: &'static str, cell: fn(&Value) -> Value) -> Heading {
    heading(name, "integer", Of(field), cell)
}

pub(in crate::builtin) const JOB: &[Heading] = &[
    NAME,
    heading("Status", "string", Text("Status of the job."), |job| json!(job_status(job))),
    heading("Completions", "string", Of("batch.v1.JobStatus.succeeded"), |job| json!(completions(job))),
    heading("Duration", "string", Text("Time required to complete the job."), |job| json!(job_duration(job))),
    AGE,
    CONTAINERS,
    IMAGES,
    selector("batch.v1.JobSpec.selector"),
];

pub(in crate::builtin) const CRON_JOB: &[Heading] = &[
    NAME,
    heading("Schedule", "string", Of("batch.v1.CronJobSpec.schedule"), |o| text(o, "/spec/schedule", "")),
    heading("Timezone", "string", Of("batch.v1.CronJobSpec.timeZone"), |o| text(o, "/spec/timeZone", "<none>")),
    heading("Suspend", "boolean", Of("batch.v1.CronJobSpec.suspend"), |o| {
        json!(if bool_at(o, "/spec/suspend") { "True" } else { "False" })
    }),
    heading("Active", "integer", Of("batch.v1.CronJobStatus.active"), |o| json!(count_at(o, "/status/active"))),
    heading("Last Schedule", "string", Of("batch.v1.CronJobStatus.lastScheduleTime"), |o| {
        json!(str_at(o, "/status/lastScheduleTime").map_or("<none>".to_owned(), |time| age::since(Some(time))))
    }),
    AGE,
    wide("Containers", "string", Text(CONTAINERS_TEXT), |o| {
        json!(format::container_names(o.pointer("/spec/jobTemplate/spec/template/spec")))
    }),
    wide("Images", "string", Text(IMAGES_TEXT), |o| json!(format::container_images(o.pointer("/spec/jobTemplate/spec/template/spec")))),
    wide("Selector", "string", Of("batch.v1.JobSpec.selector"), |o| json!(format::selector(o.pointer("/spec/jobTemplate/spec/selector")))),
];

pub(in crate::builtin) const HORIZONTAL_POD_AUTOSCALER: &[Heading] = &[
    NAME,
    heading("Reference", "string", Of("autoscaling.v2.HorizontalPodAutoscalerSpec.scaleTargetRef"), |o| {
        let part = |pointer| str_at(o, pointer).unwrap_or_default();
        json!(format!("{}/{}", part("/spec/scaleTargetRef/kind"), part("/spec/scaleTargetRef/name")))
    }),
    heading("Targets", "string", Of("autoscaling.v2.HorizontalPodAutoscalerSpec.metrics"), |o| json!(targets(o))),
    heading("MinPods", "string", Of("autoscaling.v2.HorizontalPodAutoscalerSpec.minReplicas"), |o| {
        json!(format::int_or_text(o.pointer("/spec/minReplicas"), "<unset>"))
    }),
    heading("MaxPods", "string", Of("autoscaling.v2.HorizontalPodAutoscalerSpec.maxReplicas"), |o| json!(int_at(o, "/spec/maxReplicas"))),
    heading("Replicas", "string", Of("autoscaling.v2.HorizontalPodAutoscalerStatus.currentReplicas"), |o| {
        json!(int_at(o, "/status/currentReplicas"))
    }),
    AGE,
];

fn ready_of_wanted(object: &Value) -> Value {
    json!(format!("{}/{}", int_at(object, "/status/readyReplicas"), int_at(object, "/spec/replicas")))
}

fn job_status(job: &Value) -> &'static str {
    let is_true = |wanted| {
        let conditions = items_at(job, "/status/conditions");
        conditions.iter().any(|c| str_at(c, "/type") == Some(wanted) && str_at(c, "/status") == Some("True"))
    };
    if is_true("Complete") {
        "Complete"
    } else if is_true("Failed") {
        "Failed"
    } else if str_at(job, "/metadata/deletionTimestamp").is_some() {
        "Terminating"
    } else if is_true("Suspended") {
        "Suspended"
    } else if is_true("FailureTarget") {
        "FailureTarget"
    } else if is_true("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

fn completions(job: &Value) -> String {
    let succeeded = int_at(job, "/status/succeeded");
    match (job.pointer("/spec/completions").and_then(Value::as_i64), int_at(job, "/spec/parallelism")) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn job_duration(job: &Value) -> String {
    let time = |pointer| str_at(job, pointer).and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let Some(start) = time("/status/startTime") else { return String::new() };
    let end = time("/status/completionTime").unwrap_or_else(jiff::Timestamp::now);
    age::human_duration(end.as_second() - start.as_second())
}

/// Metrics of an autoscaler: measured of wanted. Utilization, of a resource, is a percentage.
fn targets(autoscaler: &Value) -> String {
    let metrics = items_at(autoscaler, "/spec/metrics");
    let texts: Vec<String> = metrics.iter().enumerate().map(|(index, metric)| target(autoscaler, index, metric)).collect();
    format::or_none(format::first_of(&texts, 2))
}

fn target(autoscaler: &Value, index: usize, metric: &Value) -> String {
    let source = match str_at(metric, "/type").unwrap_or_default() {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        "External" => "external",
        _ => return "<unknown type>".to_owned(),
    };
    let name = metric.pointer(&format!("/{source}/name")).and_then(Value::as_str).map_or(String::new(), |name| format!("{name}: "));
    let current = autoscaler.pointer(&format!("/status/currentMetrics/{index}/{source}/current"));
    let wanted = metric.pointer(&format!("/{source}/target"));
    for (field, unit) in [("averageUtilization", "%"), ("averageValue", ""), ("value", "")] {
        if let Some(wanted) = wanted.and_then(|target| target.get(field)) {
            let measured =
                current.and_then(|current| current.get(field)).map(|value| format!("{}{unit}", format::int_or_text(Some(value), "")));
            let measured = measured.unwrap_or_else(|| "<unknown>".to_owned());
            return format!("{name}{measured}/{}{unit}", format::int_or_text(Some(wanted), ""));
        }
    }
    format!("{name}<unknown>/<auto>")
}
