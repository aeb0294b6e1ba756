use super::*;

/// All events of a watch that ends by itself.
async fn events(server: &Server, path: &str, accept: &str) -> Vec<(String, Value)> {
    let reply = server.get_as(path, accept).await;
    assert_eq!(reply.code, 200, "{}", reply.body);
    let text = match reply.body {
        Value::String(text) => text,
        one => one.to_string(),
    };
    text.lines()
        .map(|line| {
            let event: Value = line.parse().unwrap();
            (event["type"].as_str().unwrap().to_owned(), event["object"].clone())
        })
        .collect()
}

fn kinds(events: &[(String, Value)]) -> Vec<(&str, &str)> {
    events.iter().map(|(kind, object)| (kind.as_str(), object["metadata"]["name"].as_str().unwrap_or(""))).collect()
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

const PATH: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn an_object_that_stops_to_be_selected_is_deleted_for_the_client() {
    let server = Server::new().await;
    let from = server.config_map("a", json!({"on": "1"})).await;
    server.merge(&format!("{PATH}/a"), json!({"metadata": {"labels": {"on": null}}})).await.ok();
    server.merge(&format!("{PATH}/a"), json!({"data": {"x": "1"}})).await.ok();
    let back = server.merge(&format!("{PATH}/a"), json!({"metadata": {"labels": {"on": "2"}}})).await.ok();
    server.delete(&format!("{PATH}/a"), json!({})).await.ok();
    let path = format!("{PATH}?watch=true&labelSelector=on&timeoutSeconds=1&resourceVersion={}", version(&from));
    let events = events(&server, &path, "").await;
    assert_eq!(kinds(&events), [("DELETED", "a"), ("ADDED", "a"), ("DELETED", "a")]);
    assert_eq!(events[0].1["metadata"]["labels"]["on"], "1");
    assert!(version(&events[0].1) > version(&from));
    assert_eq!(version(&events[1].1), version(&back));
    assert!(version(&events[2].1) > version(&back));
}

#[tokio::test]
async fn the_present_state_can_come_first_and_its_end_is_marked() {
    let server = Server::new().await;
    server.config_map("a", json!({})).await;
    server.config_map("b", json!({})).await;
    let path =
        format!("{PATH}?watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1");
    let events = events(&server, &path, "").await;
    assert_eq!(kinds(&events), [("ADDED", "a"), ("ADDED", "b"), ("BOOKMARK", ""), ("BOOKMARK", "")]);
    assert_eq!(events[2].1["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(events[3].1["metadata"]["annotations"], Value::Null);
    assert_eq!(events[3].1["kind"], "ConfigMap");
    assert_eq!(server.get(&format!("{PATH}?watch=true&sendInitialEvents=true")).await.error().0, 422);
}

#[tokio::test]
async fn a_bookmark_says_how_far_the_watch_is() {
    let server = Server::new().await;
    let from = server.config_map("a", json!({})).await;
    let elsewhere = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
    let other = server.post("/api/v1/namespaces/default/secrets", elsewhere).await.ok();
    let path = format!("{PATH}?watch=true&allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion={}", version(&from));
    let events = events(&server, &path, "").await;
    assert_eq!(kinds(&events), [("BOOKMARK", "")]);
    assert_eq!(version(&events[0].1), version(&other));
}

#[tokio::test]
async fn events_come_as_tables_with_the_columns_once() {
    let server = Server::new().await;
    server.config_map("a", json!({})).await;
    server.config_map("b", json!({})).await;
    let path = format!("{PATH}?watch=true&timeoutSeconds=1");
    let tables = events(&server, &path, "application/json;as=Table;v=v1;g=meta.k8s.io").await;
    assert!(tables[0].1["columnDefinitions"].is_array());
    assert!(tables[1].1["columnDefinitions"].is_null());
    assert_eq!(tables[1].1["rows"][0]["cells"][0], "b");
    let metadata = events(&server, &path, "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io").await;
    assert_eq!(metadata[0].1["kind"], "PartialObjectMetadata");
}

#[tokio::test]
async fn one_event_is_seen_in_both_groups() {
    let server = Server::new().await;
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "eventTime": "2026-01-01T00:00:00.000000Z", "action": "Act",
        "reason": "Because", "type": "Normal", "note": "so", "reportingController": "c", "reportingInstance": "i",
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"}
    });
    server.post("/apis/events.k8s.io/v1/namespaces/default/events", event).await.ok();
    let seen = events(&server, "/api/v1/events?watch=true&timeoutSeconds=1&fieldSelector=involvedObject.name%3Dp", "").await;
    assert_eq!(seen[0].1["apiVersion"], "v1");
    assert_eq!(seen[0].1["message"], "so");
    assert_eq!(server.get("/apis/events.k8s.io/v1/namespaces/default/events/e").await.ok()["note"], "so");
}

#[tokio::test]
async fn a_watch_ends_with_its_kind() {
    let server = Server::new().await;
    server.define_lamps().await;
    server.post(LAMPS, lamp("a")).await.ok();
    let path = format!("{LAMPS}?watch=true");
    let (seen, _) = futures::join!(events(&server, &path, ""), async {
        server.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/lamps.light.example.org", json!({})).await.ok();
    });
    assert_eq!(kinds(&seen), [("ADDED", "a"), ("DELETED", "a")]);
}
