//! Defaults of pods and pod templates.

use serde_json::{Map, Value, json};

use crate::builtin::json::{fill, fill_at, is_set, items_at, items_at_mut, object_at_mut, text_at};

const CONTAINER_LISTS: [&str; 3] = ["/initContainers", "/containers", "/ephemeralContainers"];

/// What holds for the pod spec of a pod and of a template alike.
pub(super) fn fill_spec(spec: &mut Value) {
    let host_network = spec.get("hostNetwork") == Some(&json!(true));
    for list in CONTAINER_LISTS {
        items_at_mut(spec, list).iter_mut().for_each(|container| fill_container(container, host_network));
    }
    for volume in items_at_mut(spec, "/volumes").iter_mut().filter_map(Value::as_object_mut) {
        if volume.keys().all(|key| key == "name") {
            volume.insert("emptyDir".to_owned(), json!({}));
        }
    }
    if let Value::Object(spec) = spec {
        mirror_service_account(spec);
    }
}

/// The account has an old and a new name in the spec; both say the same.
fn mirror_service_account(spec: &mut Map<String, Value>) {
    for (from, to) in [("serviceAccountName", "serviceAccount"), ("serviceAccount", "serviceAccountName")] {
        if let Some(account) = spec.get(from).filter(|account| account.as_str().is_some_and(|name| !name.is_empty())).cloned() {
            if from == "serviceAccountName" {
                spec.insert(to.to_owned(), account);
            } else {
                fill(spec, to, || account);
            }
        }
    }
}

fn fill_container(container: &mut Value, host_network: bool) {
    if let (Some(image), Value::Object(container)) = (text_at(container, "/image").map(str::to_owned), &mut *container) {
        fill(container, "imagePullPolicy", || json!(pull_policy(&image)));
    }
    for port in items_at_mut(container, "/ports").iter_mut().filter_map(Value::as_object_mut) {
        if let (true, Some(number)) = (host_network, port.get("containerPort").cloned()) {
            fill(port, "hostPort", || number);
        }
    }
}

/// An image that can change under its name is asked for every time: one tagged `latest`, or without tag and digest.
fn pull_policy(image: &str) -> &'static str {
    let name = image.rsplit('/').next().unwrap_or(image);
    match (name.contains('@'), name.split_once(':')) {
        (true, _) => "IfNotPresent",
        (false, None | Some((_, "latest"))) => "Always",
        (false, Some(_)) => "IfNotPresent",
    }
}

/// What holds for pods only, and not for the templates they are made from.
pub(super) fn fill_pod(pod: &mut Value) {
    let Some(spec) = pod.get_mut("spec") else { return };
    if let Value::Object(spec) = &mut *spec {
        fill(spec, "enableServiceLinks", || json!(true));
        if spec.get("serviceAccount").is_none_or(Value::is_null) {
            fill(spec, "serviceAccountName", || json!("default"));
        }
        fill(spec, "priority", || json!(0));
        fill(spec, "preemptionPolicy", || json!("PreemptLowerPriority"));
        add_tolerations(spec);
    }
    fill_spec(spec);
    for list in ["/initContainers", "/containers"] {
        items_at_mut(spec, list).iter_mut().for_each(request_limits);
    }
    let quality = quality_of_service(spec);
    if let Some(status) = object_at_mut(pod, "/status") {
        fill(status, "phase", || json!("Pending"));
        fill(status, "qosClass", || json!(quality));
    }
}

/// A pod stays five minutes on a node that is not ready or not reachable.
fn add_tolerations(spec: &mut Map<String, Value>) {
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
        if tolerations.is_null() {
            *tolerations = json!([]);
        }
        let Value::Array(tolerations) = tolerations else { return };
        let tolerated = tolerations.iter().any(|toleration| {
            text_at(toleration, "/key").is_none_or(|tolerated| tolerated == key)
                && text_at(toleration, "/effect").is_none_or(|effect| effect == "NoExecute")
        });
        if !tolerated {
            tolerations.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}));
        }
    }
}

/// A container that is limited and asks for nothing asks for its limit.
fn request_limits(container: &mut Value) {
    let Some(limits) = container.pointer("/resources/limits").and_then(Value::as_object).cloned() else { return };
    fill_at(container, "/resources", "requests", || json!({}));
    for (resource, limit) in limits {
        fill_at(container, "/resources/requests", &resource, || limit);
    }
}

/// `Guaranteed` when every container is limited in cpu and memory to what it asks for, `BestEffort` when none asks for anything.
fn quality_of_service(spec: &Value) -> &'static str {
    let containers = || items_at(spec, "/initContainers").iter().chain(items_at(spec, "/containers"));
    let amount = |container: &Value, list: &str, resource: &str| container.pointer(&format!("/resources/{list}/{resource}")).cloned();
    let asks = |container: &Value| {
        ["limits", "requests"].iter().any(|list| ["cpu", "memory"].iter().any(|resource| amount(container, list, resource).is_some()))
    };
    let guaranteed = |container: &Value| {
        ["cpu", "memory"].iter().all(|resource| {
            let limit = amount(container, "limits", resource);
            limit.is_some() && limit == amount(container, "requests", resource)
        })
    };
    if !containers().any(asks) {
        "BestEffort"
    } else if containers().all(guaranteed) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// The pod template below a JSON pointer.
pub(super) fn fill_template(object: &mut Value, pointer: &str) {
    if is_set(object, &format!("{pointer}/spec"))
        && let Some(spec) = object.pointer_mut(&format!("{pointer}/spec"))
    {
        fill_spec(spec);
    }
}
