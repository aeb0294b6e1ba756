use super::*;

#[tokio::test]
async fn pages_of_one_list_show_one_state_whatever_happens_meanwhile() {
    let server = Server::new().await;
    for name in ["a", "b", "c", "d"] {
        server.config_map(name, json!({})).await;
    }
    let path = "/api/v1/namespaces/default/configmaps";
    let first = server.get(&format!("{path}?limit=2")).await.ok();
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 2);
    server.delete(&format!("{path}/c"), json!({})).await.ok();
    server.config_map("cc", json!({})).await;
    server.merge(&format!("{path}/d"), json!({"data": {"new": "1"}})).await.ok();
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = server.get(&format!("{path}?limit=2&continue={token}")).await.ok();
    assert_eq!(names(&second), ["c", "d"]);
    assert_eq!(second["items"][1]["data"], Value::Null);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert_eq!(second["metadata"]["continue"], Value::Null);
    assert_eq!(names(&server.get(path).await.ok()), ["a", "b", "cc", "d"]);
}

#[tokio::test]
async fn an_exact_version_is_shown_and_a_future_one_refused() {
    let server = Server::new().await;
    let version = server.config_map("a", json!({})).await["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    server.config_map("b", json!({})).await;
    let path = "/api/v1/namespaces/default/configmaps";
    let exact = server.get(&format!("{path}?resourceVersion={version}&resourceVersionMatch=Exact")).await.ok();
    assert_eq!(names(&exact), ["a"]);
    assert_eq!(exact["metadata"]["resourceVersion"], version.as_str());
    let newer = server.get(&format!("{path}?resourceVersion={version}&resourceVersionMatch=NotOlderThan")).await.ok();
    assert_eq!(names(&newer), ["a", "b"]);
    let (code, message) = server.get(&format!("{path}?resourceVersion=999999")).await.error();
    assert_eq!(code, 504);
    assert!(message.contains("Too large resource version: 999999"), "{message}");
    assert_eq!(server.get(&format!("{path}?resourceVersionMatch=Exact")).await.error().0, 422);
    let (code, message) = server.get(&format!("{path}?limit=abc")).await.error();
    assert_eq!((code, message.as_str()), (400, "strconv.ParseInt: parsing \"abc\": invalid syntax"));
}

#[tokio::test]
async fn selectors_choose_before_the_limit_counts() {
    let server = Server::new().await;
    for (name, color) in [("a", "red"), ("b", "blue"), ("c", "red"), ("d", "red")] {
        server.config_map(name, json!({"color": color})).await;
    }
    let path = "/api/v1/configmaps?labelSelector=color%3Dred";
    let first = server.get(&format!("{path}&limit=2")).await.ok();
    assert_eq!(names(&first), ["a", "c"]);
    let token = first["metadata"]["continue"].as_str().unwrap();
    assert_eq!(names(&server.get(&format!("{path}&limit=2&continue={token}")).await.ok()), ["d"]);
    assert_eq!(
        names(&server.get("/api/v1/configmaps?fieldSelector=metadata.name!=a,metadata.namespace=default").await.ok()),
        ["b", "c", "d"]
    );
}

#[tokio::test]
async fn objects_come_as_tables_and_as_metadata() {
    let server = Server::new().await;
    server.config_map("a", json!({"x": "1"})).await;
    let path = "/api/v1/namespaces/default/configmaps";
    let table =
        server.get_as(&format!("{path}?includeObject=None"), "application/json;as=Table;v=v1;g=meta.k8s.io,application/json").await.ok();
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["columnDefinitions"][0]["name"], "Name");
    assert_eq!(table["rows"][0]["cells"][0], "a");
    assert_eq!(table["rows"][0]["object"], Value::Null);
    let list = server.get_as(path, "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io").await.ok();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["metadata"]["labels"]["x"], "1");
    assert_eq!(list["items"][0]["data"], Value::Null);
}

#[tokio::test]
async fn yaml_is_spoken_and_what_is_not_spoken_is_refused() {
    let server = Server::new().await;
    server.config_map("a", json!({})).await;
    let path = "/api/v1/namespaces/default/configmaps/a";
    let yaml = server.get_as(path, "application/yaml").await;
    assert_eq!(yaml.headers["content-type"], "application/yaml");
    assert!(yaml.body.as_str().unwrap().contains("kind: ConfigMap"), "{}", yaml.body);
    assert_eq!(server.get_as(path, "text/html").await.error().0, 406);
}

#[tokio::test]
async fn a_path_that_leads_nowhere_says_so_in_plain_text() {
    let server = Server::new().await;
    for path in ["/nope", "/apis/none.example.org/v1/x", "/api/v1/namespaces/default/nothing", "/api/v1/configmaps/a", "/apis//v1"] {
        let reply = server.get(path).await;
        assert_eq!((reply.code, reply.body), (404, json!("404 page not found\n")), "{path}");
    }
    assert_eq!(server.post("/api/v1/configmaps", json!({})).await.error().0, 405);
}

#[tokio::test]
async fn strangers_are_told_what_they_may_not_do() {
    let server = Server::new().await;
    let joe = User::new("joe", &[]);
    let reply = server.send(&joe, "GET", "/apis/apps/v1/namespaces/default/deployments/web/scale", &[], "").await;
    let wanted = "deployments.apps \"web\" is forbidden: User \"joe\" cannot get resource \"deployments/scale\" in API group \"apps\" in the namespace \"default\"";
    assert_eq!(reply.error(), (403, wanted.to_owned()));
    assert_eq!(server.send(&joe, "GET", "/api", &[], "").await.code, 200);
    assert_eq!(server.send(&User::anonymous(), "GET", "/readyz", &[], "").await.code, 200);
    assert_eq!(server.send(&User::anonymous(), "GET", "/api", &[], "").await.code, 403);
    let as_joe = server.send(&User::admin(), "GET", "/api/v1/pods", &[("impersonate-user", "joe")], "").await;
    assert_eq!(as_joe.code, 403);
    let as_admin = server.send(&joe, "GET", "/api/v1/pods", &[("impersonate-user", "kubernetes-admin")], "").await;
    assert!(as_admin.error().1.contains("cannot impersonate resource \"users\""));
}

#[tokio::test]
async fn requests_are_counted_by_verb_resource_and_code() {
    let server = Server::new().await;
    server.get("/api/v1/pods").await;
    server.get("/api/v1/namespaces/default/pods/none").await;
    let counters = server.api.counters();
    let count = |verb: &str, code| counters.get(&super::super::RequestKind { verb: verb.into(), resource: "pods".into(), code }).copied();
    assert_eq!((count("list", 200), count("get", 404), count("create", 201)), (Some(1), Some(1), None));
}

#[tokio::test]
async fn counts_are_exposed_as_an_api_server_exposes_them_to_those_who_may() {
    let server = Server::new().await;
    server.get("/api/v1/pods").await;
    server.get("/apis/apps/v1/namespaces/default/deployments/none/scale").await;
    let text = server.get("/metrics").await.body;
    let text = text.as_str().unwrap();
    for line in [
        r#"apiserver_request_total{code="200",group="",resource="pods",subresource="",verb="LIST"} 1"#,
        r#"apiserver_request_total{code="404",group="apps",resource="deployments",subresource="scale",verb="GET"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
    assert_eq!(server.send(&User::new("joe", &[]), "GET", "/metrics", &[], "").await.code, 403);
}
