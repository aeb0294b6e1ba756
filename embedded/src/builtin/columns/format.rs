//! Parts of cells that several kinds print alike.

use serde_json::Value;

use super::{items_at, str_at};

/// `<none>` for an empty text.
pub(super) fn or_none(text: String) -> String {
    if text.is_empty() { "<none>".to_owned() } else { text }
}

/// Texts with commas between; `<none>` when there are none.
pub(super) fn joined<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    or_none(texts.into_iter().collect::<Vec<_>>().join(","))
}

/// The first `limit` texts, and how many more there are.
pub(super) fn first_of(texts: &[String], limit: usize) -> String {
    let shown = texts.iter().take(limit).cloned().collect::<Vec<_>>().join(",");
    if texts.len() > limit { format!("{shown} + {} more...", texts.len() - limit) } else { shown }
}

/// `a=b,c=d` of a plain map of labels.
pub(super) fn labels(map: Option<&Value>) -> String {
    let map = map.and_then(Value::as_object);
    or_none(
        map.into_iter().flatten().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect::<Vec<_>>().join(","),
    )
}

/// A label selector as `kubectl` takes it: `a=b,c in (d,e),!f`.
pub(super) fn selector(selector: Option<&Value>) -> String {
    let Some(selector) = selector.filter(|s| !s.is_null()) else { return "<none>".to_owned() };
    let mut parts: Vec<String> = Vec::new();
    for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
        parts.push(format!("{key}={}", value.as_str().unwrap_or_default()));
    }
    for requirement in items_at(selector, "/matchExpressions") {
        let key = str_at(requirement, "/key").unwrap_or_default();
        let values = items_at(requirement, "/values").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",");
        parts.push(match str_at(requirement, "/operator").unwrap_or_default() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    or_none(parts.join(","))
}

/// Names of the containers below a pod spec.
pub(super) fn container_names(pod_spec: Option<&Value>) -> String {
    container_fields(pod_spec, "/name")
}

/// Images of the containers below a pod spec.
pub(super) fn container_images(pod_spec: Option<&Value>) -> String {
    container_fields(pod_spec, "/image")
}

fn container_fields(pod_spec: Option<&Value>, field: &str) -> String {
    let containers = pod_spec.map_or(&[][..], |spec| items_at(spec, "/containers"));
    containers.iter().map(|container| str_at(container, field).unwrap_or_default()).collect::<Vec<_>>().join(",")
}

/// An integer or a text, as text; `absent` where there is neither.
pub(super) fn int_or_text(value: Option<&Value>, absent: &str) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => absent.to_owned(),
    }
}

/// The names or addresses of a load balancer; cut to what fits a column.
pub(super) fn load_balancer(object: &Value) -> String {
    const WIDTH: usize = 16;
    let ingress = items_at(object, "/status/loadBalancer/ingress");
    let mut points: Vec<&str> = ingress.iter().filter_map(|point| str_at(point, "/ip").or_else(|| str_at(point, "/hostname"))).collect();
    points.sort_unstable();
    points.dedup();
    let all = points.join(",");
    if all.len() > WIDTH { format!("{}...", all.chars().take(WIDTH - 3).collect::<String>()) } else { all }
}

/// Access modes of a volume in their short form.
pub(super) fn access_modes(modes: &[Value]) -> String {
    let short = modes.iter().filter_map(Value::as_str).map(|mode| match mode {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        other => other,
    });
    short.collect::<Vec<_>>().join(",")
}
