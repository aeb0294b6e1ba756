use super::*;

const DEFINITION: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/lamps.light.example.org";

#[tokio::test]
async fn a_definition_serves_its_kind_and_a_change_of_it_the_new_schema() {
    let server = Server::new().await;
    assert_eq!(server.get(LAMPS).await.code, 404);
    server.define_lamps().await;
    let index = server.get("/openapi/v3").await.ok()["paths"]["apis/light.example.org/v1"].clone();
    let mut too_bright = lamp("a");
    too_bright["spec"]["watts"] = json!(200);
    assert_eq!(server.post(LAMPS, too_bright.clone()).await.error().0, 422);
    let patch = json!([{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/watts/maximum", "value": 300}]);
    let headers = [("content-type", "application/json-patch+json")];
    server.send(&User::admin(), "PATCH", DEFINITION, &headers, patch.to_string()).await.ok();
    assert_eq!(server.post(LAMPS, too_bright).await.ok()["spec"]["watts"], 200);
    assert_ne!(
        server.get("/openapi/v3").await.ok()["paths"]["apis/light.example.org/v1"],
        index,
        "clients must see that the document changed"
    );
}

#[tokio::test]
async fn a_kind_goes_with_its_definition_once_its_objects_are_gone() {
    let server = Server::new().await;
    server.define_lamps().await;
    let mut held = lamp("held");
    held["metadata"]["finalizers"] = json!(["example.org/hold"]);
    server.post(LAMPS, held).await.ok();
    server.post(LAMPS, lamp("free")).await.ok();
    server.delete(DEFINITION, json!({})).await.ok();
    until("the free lamp is gone", async || server.get(&format!("{LAMPS}/free")).await.code == 404).await;
    assert_eq!(server.get(DEFINITION).await.code, 200);
    assert_eq!(server.post(LAMPS, lamp("new")).await.error().0, 405);
    server.merge(&format!("{LAMPS}/held"), json!({"metadata": {"finalizers": null}})).await.ok();
    until("the definition is gone", async || server.get(DEFINITION).await.code == 404).await;
    assert_eq!(server.get(LAMPS).await.body, json!("404 page not found\n"));
    server.define_lamps().await;
    assert_eq!(server.get(LAMPS).await.ok()["items"], json!([]));
}

#[tokio::test]
async fn definitions_in_the_store_are_served_from_the_start() {
    let server = Server::new().await;
    server.define_lamps().await;
    server.post(LAMPS, lamp("a")).await.ok();
    let again = Server { api: Api::new(server.api.store().clone(), ApiOptions::default()) };
    assert_eq!(names(&again.get(LAMPS).await.ok()), ["a"]);
}

#[tokio::test]
async fn names_belong_to_one_definition() {
    let server = Server::new().await;
    server.define_lamps().await;
    let mut rival = lamps();
    rival["metadata"]["name"] = json!("lights.light.example.org");
    rival["spec"]["names"] = json!({"plural": "lights", "kind": "Lamp"});
    server.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", rival).await.ok();
    let refused = server.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/lights.light.example.org").await.ok();
    assert_eq!(refused["status"]["conditions"][0]["reason"], "ListKindConflict");
    assert_eq!(server.get("/apis/light.example.org/v1/namespaces/default/lights").await.code, 404);
}

#[tokio::test]
async fn a_schema_that_is_not_structural_is_refused_with_its_place() {
    let server = Server::new().await;
    let mut wrong = lamps();
    wrong["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["watts"] =
        json!({"description": "no type"});
    let reply = server.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", wrong).await;
    assert_eq!(reply.code, 422);
    let place = "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[watts].type";
    assert_eq!(reply.body["details"]["causes"][0]["field"], place);
}

#[tokio::test]
async fn all_versions_of_a_kind_show_the_same_objects() {
    let server = Server::new().await;
    let mut two = lamps();
    let mut second = two["spec"]["versions"][0].clone();
    second["name"] = json!("v2");
    second["storage"] = json!(false);
    two["spec"]["versions"].as_array_mut().unwrap().push(second);
    server.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", two).await.ok();
    server.post(LAMPS, lamp("a")).await.ok();
    let newer = server.get("/apis/light.example.org/v2/namespaces/default/lamps/a").await.ok();
    assert_eq!(newer["apiVersion"], "light.example.org/v2");
    assert_eq!(server.get("/apis/light.example.org").await.ok()["preferredVersion"]["version"], "v2");
    assert_eq!(server.get("/apis/light.example.org/v2/lamps").await.ok()["items"][0]["apiVersion"], "light.example.org/v2");
}

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn rival_of_lamps() -> Value {
    let mut rival = lamps();
    rival["metadata"]["name"] = json!("lights.light.example.org");
    rival["spec"]["names"] = json!({"plural": "lights", "kind": "Lamp"});
    rival
}

#[tokio::test]
async fn names_that_become_free_go_to_the_definition_that_waits_for_them() {
    let server = Server::new().await;
    server.define_lamps().await;
    server.post(DEFINITIONS, rival_of_lamps()).await.ok();
    let lights = "/apis/light.example.org/v1/namespaces/default/lights";
    assert_eq!(server.get(lights).await.code, 404);
    server.delete(DEFINITION, json!({})).await.ok();
    until("the rival is served", async || server.get(lights).await.code == 200).await;
    let rival = server.get(&format!("{DEFINITIONS}/lights.light.example.org")).await.ok();
    assert_eq!(rival["status"]["acceptedNames"]["plural"], "lights");
}

#[tokio::test]
async fn a_definition_without_its_names_is_not_served_after_a_restart_either() {
    let server = Server::new().await;
    server.define_lamps().await;
    server.post(DEFINITIONS, rival_of_lamps()).await.ok();
    let again = Server { api: Api::new(server.api.store().clone(), ApiOptions::default()) };
    assert_eq!(again.get(LAMPS).await.code, 200);
    assert_eq!(again.get("/apis/light.example.org/v1/namespaces/default/lights").await.code, 404);
}

#[test]
fn a_definition_whose_deletion_got_stuck_is_deleted_by_asking_again() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(async {
        let server = Server::new().await;
        let mut held = lamp("held");
        held["metadata"]["finalizers"] = json!(["example.org/hold"]);
        server.define_lamps().await;
        server.post(LAMPS, held).await.ok();
        server.delete(DEFINITION, json!({})).await.ok();
        server.api.store().clone()
    });
    // With the runtime its tasks end. Outside of one none begin: that is a clean-up that died.
    drop(runtime);
    let server = Server { api: Api::new(store, ApiOptions::default()) };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        server.merge(&format!("{LAMPS}/held"), json!({"metadata": {"finalizers": null}})).await.ok();
        assert_eq!(server.get(DEFINITION).await.code, 200);
        server.delete(DEFINITION, json!({})).await.ok();
        until("the definition is gone", async || server.get(DEFINITION).await.code == 404).await;
    });
}
