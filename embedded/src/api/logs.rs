//! `/log` of a pod: asked of the node agent.

use serde_json::Value;

use super::Api;
use super::request::Call;
use super::respond::{self, Answer};
use super::routing::Target;
use crate::body;
use crate::node::LogRequest;
use crate::status::{FieldError, Status};

impl Api {
    pub(super) async fn logs(&self, call: &Call, target: &Target) -> Result<Answer, Status> {
        let pod = self.find(target)?.value();
        let container = container_of(&pod, target.name(), call.query.text("container"))?;
        if pod["spec"]["nodeName"].as_str().unwrap_or_default().is_empty() {
            return Err(Status::bad_request(format!("pod {} does not have a host assigned", target.name())));
        }
        let Some(node) = self.node() else {
            return Err(Status::new(503, "ServiceUnavailable", "no node agent runs here: nothing can tell what the pod wrote"));
        };
        let query = &call.query;
        let request = LogRequest {
            namespace: target.namespace.clone(),
            pod: target.name().to_owned(),
            container,
            follow: query.flag("follow"),
            previous: query.flag("previous"),
            timestamps: query.flag("timestamps"),
            tail_lines: count(call, "tailLines", 0)?,
            since: since(call)?,
            limit_bytes: count(call, "limitBytes", 1)?,
        };
        let lines = node.logs(request).await?;
        Ok(respond::build(200, "text/plain", body::stream(lines)))
    }
}

/// A number that must not be below `least`.
fn count(call: &Call, key: &str, least: i64) -> Result<Option<u64>, Status> {
    match call.query.integer(key)? {
        None => Ok(None),
        Some(number) if number >= least => Ok(u64::try_from(number).ok()),
        Some(number) => {
            let detail =
                if least == 0 { "must be greater than or equal to 0".to_owned() } else { format!("must be greater than {}", least - 1) };
            Err(Status::invalid("", "PodLogOptions", "", &[FieldError::invalid(key, &number.into(), detail)]))
        }
    }
}

fn since(call: &Call) -> Result<Option<jiff::Timestamp>, Status> {
    let seconds = call.query.integer("sinceSeconds")?;
    let time = call.query.get("sinceTime").filter(|text| !text.is_empty());
    match (seconds, time) {
        (Some(_), Some(_)) => Err(Status::invalid(
            "",
            "PodLogOptions",
            "",
            &[FieldError::forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified")],
        )),
        (Some(seconds), None) if seconds < 1 => {
            Err(Status::invalid("", "PodLogOptions", "", &[FieldError::invalid("sinceSeconds", &seconds.into(), "must be greater than 0")]))
        }
        (Some(seconds), None) => Ok(jiff::Timestamp::from_second(jiff::Timestamp::now().as_second().saturating_sub(seconds)).ok()),
        (None, Some(text)) => {
            text.parse().map(Some).map_err(|cause| Status::bad_request(format!("sinceTime {text:?} is not an RFC 3339 time: {cause}")))
        }
        (None, None) => Ok(None),
    }
}

/// The container that is meant: the one named, or the only one.
pub(super) fn container_of(pod: &Value, pod_name: &str, wanted: &str) -> Result<String, Status> {
    let names = |key: &str| -> Vec<String> {
        let containers = pod["spec"][key].as_array().into_iter().flatten();
        containers.filter_map(|container| container["name"].as_str().map(str::to_owned)).collect()
    };
    let (main, init) = (names("containers"), names("initContainers"));
    if !wanted.is_empty() {
        if main.iter().chain(&init).any(|name| name == wanted) {
            return Ok(wanted.to_owned());
        }
        return Err(Status::bad_request(format!("container {wanted} is not valid for pod {pod_name}")));
    }
    match main.as_slice() {
        [only] if init.is_empty() => Ok(only.clone()),
        [] => Err(Status::bad_request(format!("pod {pod_name} has no containers"))),
        _ => {
            let mut text = format!("a container name must be specified for pod {pod_name}, choose one of: [{}]", main.join(" "));
            if !init.is_empty() {
                text.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(Status::bad_request(text))
        }
    }
}
