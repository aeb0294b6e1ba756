use super::*;

const PATH: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn patches_that_meet_are_both_kept() {
    let server = Server::new().await;
    server.config_map("a", json!({})).await;
    let path = format!("{PATH}/a");
    let patches = (0..8).map(|at| server.merge(&path, json!({"data": {format!("k{at}"): "v"}})));
    for reply in futures::future::join_all(patches).await {
        reply.ok();
    }
    assert_eq!(server.get(&path).await.ok()["data"].as_object().unwrap().len(), 8);
}

#[tokio::test]
async fn a_write_that_changes_nothing_keeps_the_version() {
    let server = Server::new().await;
    server.define_lamps().await;
    let made = server.post(LAMPS, lamp("a")).await.ok();
    let path = format!("{LAMPS}/a");
    assert_eq!(made["spec"]["watts"], 40);
    assert_eq!(server.put(&path, made.clone()).await.ok(), made);
    assert_eq!(
        server.merge(&path, json!({"spec": {"watts": 40}})).await.ok()["metadata"]["resourceVersion"],
        made["metadata"]["resourceVersion"]
    );
    let config = "apiVersion: light.example.org/v1\nkind: Lamp\nmetadata: {name: b}\nspec: {watts: 5}\n";
    let applied = server.apply(&format!("{LAMPS}/b?fieldManager=m"), config).await;
    assert_eq!(applied.code, 201);
    let again = server.apply(&format!("{LAMPS}/b?fieldManager=m"), config).await;
    assert_eq!((again.code, again.body), (200, applied.body));
}

#[tokio::test]
async fn the_generation_counts_changes_of_the_specification_only() {
    let server = Server::new().await;
    server.define_lamps().await;
    server.post(LAMPS, lamp("a")).await.ok();
    let path = format!("{LAMPS}/a");
    let status = server.merge(&format!("{path}/status"), json!({"status": {"lit": true}, "spec": {"watts": 1}})).await.ok();
    assert_eq!((&status["metadata"]["generation"], &status["spec"]["watts"]), (&json!(1), &json!(40)));
    let spec = server.merge(&path, json!({"spec": {"watts": 60}, "status": {"lit": false}})).await.ok();
    assert_eq!((&spec["metadata"]["generation"], &spec["status"]["lit"]), (&json!(2), &json!(true)));
}

#[tokio::test]
async fn a_dry_run_is_checked_like_a_write_and_stores_nothing() {
    let server = Server::new().await;
    server.define_lamps().await;
    server.post(LAMPS, lamp("a")).await.ok();
    assert_eq!(server.merge(&format!("{LAMPS}/a?dryRun=All"), json!({"spec": {"watts": 60}})).await.ok()["spec"]["watts"], 60);
    assert_eq!(server.merge(&format!("{LAMPS}/a?dryRun=All"), json!({"spec": {"watts": 600}})).await.error().0, 422);
    assert_eq!(server.post(&format!("{LAMPS}?dryRun=All"), lamp("a")).await.error().0, 409);
    assert_eq!(server.get(&format!("{LAMPS}/a")).await.ok()["spec"]["watts"], 40);
    assert_eq!(server.post(&format!("{LAMPS}?dryRun=Some"), lamp("b")).await.error().0, 422);
}

#[tokio::test]
async fn unknown_and_repeated_fields_are_refused_or_named() {
    let server = Server::new().await;
    let body = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"1","x":"2"},"bogus":1}"#;
    let strict = server.send(&User::admin(), "POST", &format!("{PATH}?fieldValidation=Strict"), &[], body).await.error();
    assert!(strict.1.ends_with("strict decoding error: duplicate field \"data.x\", unknown field \"bogus\""), "{}", strict.1);
    let warned = server.send(&User::admin(), "POST", PATH, &[], body).await;
    let warnings: Vec<&str> = warned.headers.get_all("warning").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(warnings, ["299 - \"duplicate field \\\"data.x\\\"\"", "299 - \"unknown field \\\"bogus\\\"\""]);
    assert_eq!(warned.ok()["data"]["x"], "2");
}

#[tokio::test]
async fn leases_are_created_by_put_and_need_a_version_after() {
    let server = Server::new().await;
    let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l";
    let lease =
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}});
    let made = server.put(path, lease.clone()).await;
    assert_eq!(made.code, 201);
    assert_eq!(server.put(path, lease).await.error().0, 422);
    let mut held = made.ok();
    held["spec"]["holderIdentity"] = json!("b");
    server.put(path, held.clone()).await.ok();
    assert_eq!(server.put(path, held).await.error().0, 409);
}

#[tokio::test]
async fn scaling_writes_the_specification_and_owns_it() {
    let server = Server::new().await;
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}
    });
    let path = "/apis/apps/v1/namespaces/default/deployments/d";
    server.post("/apis/apps/v1/namespaces/default/deployments", deployment).await.ok();
    let mut scale = server.get(&format!("{path}/scale")).await.ok();
    scale["spec"]["replicas"] = json!(4);
    server.put(&format!("{path}/scale"), scale.clone()).await.ok();
    let scaled = server.get(path).await.ok();
    assert_eq!((&scaled["spec"]["replicas"], &scaled["metadata"]["generation"]), (&json!(4), &json!(2)));
    assert!(scaled["metadata"]["managedFields"].as_array().unwrap().iter().any(|entry| entry["subresource"] == "scale"));
    assert_eq!(server.put(&format!("{path}/scale"), scale).await.error().0, 409, "the version in the Scale is old");
    assert_eq!(server.merge(&format!("{path}/scale"), json!({"spec": {"replicas": -1}})).await.error().0, 422);
}

#[tokio::test]
async fn services_have_addresses_of_their_own() {
    let server = Server::new().await;
    let path = "/api/v1/namespaces/default/services";
    let service = |name: &str, ip: Option<&str>| {
        let mut spec = json!({"ports": [{"port": 80}]});
        if let Some(ip) = ip {
            spec["clusterIP"] = json!(ip);
        }
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
    };
    let first = server.post(path, service("a", None)).await.ok();
    let address = first["spec"]["clusterIP"].as_str().unwrap();
    assert!(address.starts_with("127.10."), "{address}");
    assert_eq!(first["spec"]["clusterIPs"], json!([address]));
    assert_eq!(server.post(path, service("b", Some(address))).await.error().0, 422);
    assert_eq!(server.post(path, service("c", Some("None"))).await.ok()["spec"]["clusterIP"], "None");
    let kept = server.put(&format!("{path}/a"), service("a", None)).await.ok();
    assert_eq!(kept["spec"]["clusterIP"], address);
}

#[tokio::test]
async fn apply_creates_and_refuses_what_others_own() {
    let server = Server::new().await;
    let config = |value: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: {value}\n");
    assert_eq!(server.apply(&format!("{PATH}/a?fieldManager=one"), &config("x")).await.code, 201);
    let (code, message) = server.apply(&format!("{PATH}/a?fieldManager=two"), &config("y")).await.error();
    assert_eq!(code, 409);
    assert!(message.contains("conflict with \"one\""), "{message}");
    assert_eq!(server.apply(&format!("{PATH}/a?fieldManager=two&force=true"), &config("y")).await.ok()["data"]["k"], "y");
    assert_eq!(server.apply(&format!("{PATH}/b?fieldManager=one"), &config("x")).await.error().0, 400);
}

#[tokio::test]
async fn generated_names_are_new_each_time() {
    let server = Server::new().await;
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "gen-"}});
    let mut seen = std::collections::HashSet::new();
    for _ in 0..50 {
        let made = server.post(PATH, object.clone()).await.ok();
        let name = made["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(name.starts_with("gen-") && name.len() == 9, "{name}");
        assert!(seen.insert(name));
    }
}

#[tokio::test]
async fn addresses_and_node_ports_are_given_once_each_however_many_ask_at_a_time() {
    let server = Server::new().await;
    let path = "/api/v1/namespaces/default/services";
    let service = |name: String, kind: &str| {
        let spec = json!({"type": kind, "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]});
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
    };
    let made = futures::future::join_all((0..40).map(|number| server.post(path, service(format!("s{number}"), "NodePort")))).await;
    let (mut addresses, mut ports) = (std::collections::HashSet::new(), std::collections::HashSet::new());
    for answer in made {
        let made = answer.ok();
        addresses.insert(made["spec"]["clusterIP"].clone().to_string());
        ports.extend(made["spec"]["ports"].as_array().unwrap().iter().map(|port| port["nodePort"].as_u64().unwrap()));
    }
    assert_eq!((addresses.len(), ports.len()), (40, 80));
    assert!(ports.iter().all(|port| (30_000..=32_767).contains(port)));

    // Another type keeps the address, and node ports come and go with it.
    let before = server.post(path, service("x".to_owned(), "ClusterIP")).await.ok();
    assert!(before["spec"]["ports"][0].get("nodePort").is_none());
    let node = server.merge(&format!("{path}/x"), json!({"spec": {"type": "NodePort"}})).await.ok();
    assert_eq!(node["spec"]["clusterIP"], before["spec"]["clusterIP"]);
    let port = node["spec"]["ports"][0]["nodePort"].clone();
    assert!(port.is_u64());
    let (code, message) = server.merge(&format!("{path}/x"), json!({"spec": {"clusterIP": "127.10.200.200"}})).await.error();
    assert!(code == 422 && message.contains("may not change once set"), "{code} {message}");
    let same = server.put(&format!("{path}/x"), service("x".to_owned(), "NodePort")).await.ok();
    assert_eq!(same["spec"]["ports"][0]["nodePort"], port, "what was given stays");
    let back = server.merge(&format!("{path}/x"), json!({"spec": {"type": "ClusterIP"}})).await.ok();
    assert!(back["spec"]["ports"][0].get("nodePort").is_none());
    let external = json!({"spec": {"type": "ExternalName", "externalName": "example.com", "clusterIP": null, "clusterIPs": null}});
    assert!(server.merge(&format!("{path}/x"), external).await.ok()["spec"].get("clusterIP").is_none());

    // What is asked for is checked.
    let with = |node_port: u64| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "y"}, "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": node_port}]}});
    let taken = *ports.iter().next().unwrap();
    for (number, part) in
        [(80, "not in the valid range. The range of valid ports is 30000-32767"), (taken, "provided port is already allocated")]
    {
        let (code, message) = server.post(path, with(number)).await.error();
        assert!(code == 422 && message.contains(part), "{code} {message}");
    }
    let mut outside = service("z".to_owned(), "ClusterIP");
    outside["spec"]["clusterIP"] = json!("10.96.0.1");
    let (code, message) = server.post(path, outside).await.error();
    assert!(code == 422 && message.contains("The range of valid IPs is 127.10.128.1-127.10.255.254"), "{code} {message}");
}

#[tokio::test]
async fn a_claim_without_a_class_gets_the_default_one() {
    let server = Server::new().await;
    let path = "/api/v1/namespaces/default/persistentvolumeclaims";
    let claim = |name: &str, class: Value| {
        let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": class});
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec})
    };
    assert!(server.post(path, claim("early", Value::Null)).await.ok()["spec"].get("storageClassName").is_none(), "there is no class yet");
    server.post("/apis/storage.k8s.io/v1/storageclasses", crate::node::claims::storage_class()).await.ok();
    assert_eq!(server.post(path, claim("plain", Value::Null)).await.ok()["spec"]["storageClassName"], "standard");
    assert_eq!(server.post(path, claim("none", json!(""))).await.ok()["spec"]["storageClassName"], "");
    assert_eq!(server.post(path, claim("fast", json!("fast"))).await.ok()["spec"]["storageClassName"], "fast");
}
