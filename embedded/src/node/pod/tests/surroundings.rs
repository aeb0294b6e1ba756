//! What a container finds in its surroundings: the API server, its service account, Services, and what comes from config maps as it changes.

use std::sync::Arc;

use serde_json::{Value, json};

use super::world::{Memory, World, plain_launcher, shell};
use crate::node::LogRequest;
use crate::node::testing::Folder;

/// A cluster with a service account, which makes the node know an API server, and a service.
fn cluster(account: &Value) -> Arc<Memory> {
    let cluster = Memory::default();
    cluster.accounts.lock().unwrap().push(serde_json::from_value(account.clone()).unwrap());
    let service = json!({"metadata": {"name": "web"}, "spec": {"clusterIP": "127.10.128.9", "ports": [{"port": 80}]}});
    cluster.services.lock().unwrap().push(serde_json::from_value(service).unwrap());
    Arc::new(cluster)
}

/// What a pod prints in a cluster of its own.
async fn output(account: &Value, pod: Value) -> String {
    let world = World::start_in(Arc::new(Folder::new()), cluster(account), pod, plain_launcher());
    world.until_phase("Succeeded").await;
    world.log(LogRequest::default()).await
}

/// A pod that mounts something over the folder where the node's own data are.
fn under_tmp(text: &str, more: Value) -> Value {
    let mut pod = shell("Never", text, json!({"volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}]}));
    pod["spec"]["volumes"] = json!([{"name": "scratch", "emptyDir": {}}]);
    json_patch::merge(&mut pod["spec"], &more);
    pod
}

#[tokio::test]
async fn a_pod_is_told_where_the_api_server_is_and_who_it_is() {
    let account = json!({"metadata": {"name": "default"}});
    let text = "grep server: $KUBECONFIG; cat $(sed -n 's/.*tokenFile: //p' $KUBECONFIG); echo
        cat /var/run/secrets/kubernetes.io/serviceaccount/namespace; echo
        echo $KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT_HTTPS $WEB_SERVICE_HOST; touch /tmp/x && ls $TMPDIR";
    let out = output(&account, under_tmp(text, json!({}))).await;
    let lines: Vec<&str> = out.lines().map(str::trim).collect();
    assert_eq!(lines, ["server: https://127.0.0.1:6550", "token", "n", "127.10.128.1:443 127.10.128.9", "x"]);
    // Who does not want the links has the API server all the same.
    let out = output(&account, under_tmp("echo [$WEB_SERVICE_HOST]$KUBERNETES_SERVICE_HOST", json!({"enableServiceLinks": false}))).await;
    assert_eq!(out, "[]127.10.128.1\n");
}

#[tokio::test]
async fn a_pod_has_no_token_where_it_or_its_account_wants_none_and_its_own_kubeconfig_wins() {
    let text = "echo [$KUBECONFIG]";
    let quiet = json!({"metadata": {"name": "default"}, "automountServiceAccountToken": false});
    assert_eq!(output(&quiet, under_tmp(text, json!({}))).await, "[]\n");
    let wanted = output(&quiet, under_tmp(text, json!({"automountServiceAccountToken": true}))).await;
    assert!(wanted.contains("/serviceaccount/kubeconfig]"), "{wanted}");
    let plain = json!({"metadata": {"name": "default"}});
    assert_eq!(output(&plain, under_tmp(text, json!({"automountServiceAccountToken": false}))).await, "[]\n");
    let mut own = under_tmp(text, json!({}));
    own["spec"]["containers"][0]["env"] = json!([{"name": "KUBECONFIG", "value": "/etc/mine"}]);
    assert_eq!(output(&plain, own).await, "[/etc/mine]\n");
}

#[tokio::test]
async fn a_service_account_may_come_a_little_later_than_its_pod() {
    let cluster = cluster(&json!({"metadata": {"name": "other"}}));
    let world = World::start_in(Arc::new(Folder::new()), Arc::clone(&cluster), under_tmp("true", json!({})), plain_launcher());
    cluster.accounts.lock().unwrap().push(serde_json::from_value(json!({"metadata": {"name": "default"}})).unwrap());
    world.until_phase("Succeeded").await;
    assert!(!world.reasons().contains(&"FailedMount"), "{:?}", world.reasons());
}
