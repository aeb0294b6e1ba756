use super::*;

const PODS: &str = "/api/v1/namespaces/default/pods";

async fn pod(server: &Server, name: &str, node: Option<&str>) -> Value {
    let mut pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}});
    if let Some(node) = node {
        pod["spec"]["nodeName"] = json!(node);
    }
    server.post(PODS, pod).await.ok()
}

#[tokio::test]
async fn a_pod_that_runs_somewhere_is_given_time() {
    let server = Server::new().await;
    pod(&server, "p", Some("n")).await;
    let path = format!("{PODS}/p");
    let going = server.delete(&path, json!({})).await.ok();
    assert_eq!(going["kind"], "Pod");
    assert_eq!(going["metadata"]["deletionGracePeriodSeconds"], 30);
    let again = server.delete(&path, json!({})).await.ok();
    assert_eq!(again["metadata"]["resourceVersion"], going["metadata"]["resourceVersion"]);
    let sooner = server.delete(&path, json!({"gracePeriodSeconds": 5})).await.ok();
    assert_eq!(sooner["metadata"]["deletionGracePeriodSeconds"], 5);
    server.delete(&path, json!({"gracePeriodSeconds": 0})).await.ok();
    assert_eq!(server.get(&path).await.code, 404);
}

#[tokio::test]
async fn a_pod_that_runs_nowhere_goes_at_once() {
    let server = Server::new().await;
    assert_eq!(pod(&server, "p", None).await["spec"]["serviceAccountName"], "default");
    assert_eq!(server.delete(&format!("{PODS}/p"), json!({})).await.ok()["kind"], "Pod");
    assert_eq!(server.get(&format!("{PODS}/p")).await.code, 404);
}

#[tokio::test]
async fn a_finished_pod_goes_at_once() {
    let server = Server::new().await;
    pod(&server, "p", Some("n")).await;
    server.merge(&format!("{PODS}/p/status"), json!({"status": {"phase": "Succeeded"}})).await.ok();
    server.delete(&format!("{PODS}/p"), json!({})).await.ok();
    assert_eq!(server.get(&format!("{PODS}/p")).await.code, 404);
}

#[tokio::test]
async fn an_eviction_is_a_deletion_and_a_binding_gives_a_pod_its_node() {
    let server = Server::new().await;
    pod(&server, "p", None).await;
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
    server.post(&format!("{PODS}/p/binding"), binding).await.ok();
    assert_eq!(server.get(&format!("{PODS}/p")).await.ok()["spec"]["nodeName"], "n");
    let eviction =
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}, "deleteOptions": {"gracePeriodSeconds": 0}});
    server.post(&format!("{PODS}/p/eviction"), eviction).await.ok();
    assert_eq!(server.get(&format!("{PODS}/p")).await.code, 404);
}

#[tokio::test]
async fn finalizers_hold_an_object_until_the_last_is_taken_away() {
    let server = Server::new().await;
    server.define_lamps().await;
    let mut held = lamp("a");
    held["metadata"]["finalizers"] = json!(["example.org/one", "example.org/two"]);
    server.post(LAMPS, held).await.ok();
    let path = format!("{LAMPS}/a");
    let going = server.delete(&path, json!({"propagationPolicy": "Background"})).await.ok();
    assert_eq!(going["metadata"]["generation"], 2);
    server.merge(&path, json!({"metadata": {"finalizers": ["example.org/two"]}})).await.ok();
    assert_eq!(server.get(&path).await.code, 200);
    server.merge(&path, json!({"metadata": {"finalizers": null}})).await.ok();
    assert_eq!(server.get(&path).await.code, 404);
}

#[tokio::test]
async fn preconditions_guard_a_deletion() {
    let server = Server::new().await;
    let object = server.config_map("a", json!({})).await;
    let path = "/api/v1/namespaces/default/configmaps/a";
    assert_eq!(server.delete(path, json!({"preconditions": {"resourceVersion": "1"}})).await.error().0, 409);
    server.delete(&format!("{path}?dryRun=All"), json!({})).await.ok();
    server.delete(path, json!({"preconditions": {"uid": object["metadata"]["uid"]}})).await.ok();
    assert_eq!(server.delete(path, json!({})).await.error().0, 404);
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let server = Server::new().await;
    for (name, color) in [("a", "red"), ("b", "blue"), ("c", "red")] {
        server.config_map(name, json!({"color": color})).await;
    }
    let path = "/api/v1/namespaces/default/configmaps";
    let gone = server.delete(&format!("{path}?labelSelector=color%3Dred"), json!({})).await.ok();
    assert_eq!(names(&gone), ["a", "c"]);
    assert_eq!(names(&server.get(path).await.ok()), ["b"]);
}

#[tokio::test]
async fn a_namespace_goes_when_its_finalizer_does_and_takes_nothing_new() {
    let server = Server::new().await;
    server.post("/api/v1/namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})).await.ok();
    let going = server.delete("/api/v1/namespaces/n", json!({})).await.ok();
    assert_eq!(going["status"]["phase"], "Terminating");
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}});
    let (code, message) = server.post("/api/v1/namespaces/n/configmaps", object).await.error();
    assert_eq!(code, 403);
    assert!(message.contains("because it is being terminated"), "{message}");
    let mut finished = going;
    finished["spec"]["finalizers"] = json!([]);
    server.put("/api/v1/namespaces/n/finalize", finished).await.ok();
    assert_eq!(server.get("/api/v1/namespaces/n").await.code, 404);
}
