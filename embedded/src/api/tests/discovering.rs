use super::*;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

#[tokio::test]
async fn discovery_in_one_document_is_sent_once() {
    let server = Server::new().await;
    server.define_lamps().await;
    let first = server.get_as("/apis", AGGREGATED).await;
    let tag = first.headers["etag"].to_str().unwrap().to_owned();
    let lamps =
        first.body["items"].as_array().unwrap().iter().find(|group| group["metadata"]["name"] == "light.example.org").unwrap().clone();
    assert_eq!(lamps["versions"][0]["resources"][0]["subresources"][0]["subresource"], "status");
    assert_eq!(lamps["versions"][0]["resources"][0]["shortNames"], json!(["lp"]));
    let again = server.send(&User::admin(), "GET", "/apis", &[("accept", AGGREGATED), ("if-none-match", &tag)], "").await;
    assert_eq!(again.code, 304);
    let core = server.get_as("/api", AGGREGATED).await.ok();
    assert!(core["items"][0]["versions"][0]["resources"].as_array().unwrap().iter().any(|resource| resource["resource"] == "pods"));
}

#[tokio::test]
async fn plain_discovery_names_groups_versions_and_subresources() {
    let server = Server::new().await;
    let groups = server.get("/apis").await.ok();
    assert!(groups["groups"].as_array().unwrap().iter().any(|group| group["name"] == "apps"));
    assert_eq!(server.get("/api").await.ok()["versions"], json!(["v1"]));
    let core = server.get("/api/v1").await.ok();
    let names: Vec<&str> = core["resources"].as_array().unwrap().iter().map(|resource| resource["name"].as_str().unwrap()).collect();
    for name in ["pods", "pods/log", "pods/status", "pods/eviction", "namespaces/finalize", "serviceaccounts/token"] {
        assert!(names.contains(&name), "{name} is missing in {names:?}");
    }
}

#[tokio::test]
async fn openapi_has_a_real_schema_and_a_patch_without_a_body_for_every_kind() {
    let server = Server::new().await;
    server.define_lamps().await;
    let index = server.get("/openapi/v3").await.ok();
    for (place, entry) in index["paths"].as_object().unwrap() {
        let url = entry["serverRelativeURL"].as_str().unwrap();
        let document = server.get(url).await.ok();
        assert!(!document["components"]["schemas"].as_object().unwrap().is_empty(), "{place}");
        for (path, item) in document["paths"].as_object().unwrap() {
            let Some(patch) = item.get("patch") else { continue };
            assert!(patch["x-kubernetes-group-version-kind"]["kind"].is_string(), "{path}");
            assert!(patch["parameters"].as_array().unwrap().iter().any(|parameter| parameter["name"] == "fieldValidation"), "{path}");
            assert_eq!(patch.get("requestBody"), None, "{path}");
        }
    }
    let lamps = server.get("/openapi/v3/apis/light.example.org/v1").await.ok();
    let schema = &lamps["components"]["schemas"]["org.example.light.v1.Lamp"];
    assert_eq!(schema["description"], "A lamp.");
    assert_eq!(schema["properties"]["spec"]["properties"]["watts"]["type"], "integer");
    assert_eq!(schema["x-kubernetes-group-version-kind"][0]["kind"], "Lamp");
}

#[tokio::test]
async fn questions_about_rights_are_answered_by_the_authorizer() {
    let server = Server::new().await;
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}});
    assert_eq!(server.post(path, review).await.ok()["status"]["allowed"], true);
    let other = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {"user": "joe", "resourceAttributes": {"verb": "get", "resource": "pods"}}});
    assert_eq!(server.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", other).await.ok()["status"]["allowed"], false);
    let rules = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": "default"}, "status": {"resourceRules": null, "nonResourceRules": null, "incomplete": false}});
    let rules = server.post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", rules).await.ok();
    assert_eq!(rules["status"]["resourceRules"][0]["verbs"], json!(["*"]));
    let me = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    assert_eq!(
        server.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", me).await.ok()["status"]["userInfo"]["username"],
        "kubernetes-admin"
    );
}
