//! The admission policies are what the API server takes, and decide as they say: each refuses and each lets pass.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use embedded::api::{Api, ApiOptions};
use embedded::server::{Rbac, rbac};
use embedded::store::Store;
use embedded::user::User;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

const OPERATOR: &str = "system:serviceaccount:s:switchboard";
const GROUP: &str = "/apis/switchboard.dev/v1alpha1/namespaces/n";

struct Cluster(Api);

impl Cluster {
    /// With our kinds and policies, and a namespace `n`.
    async fn start() -> Self {
        let store = Store::in_memory();
        let api = Api::new(store.clone(), ApiOptions::default());
        api.bootstrap(rbac::default_objects()).await.unwrap();
        api.set_authorizer(Arc::new(Rbac::new(store)));
        let cluster = Self(api);
        for definition in crds::generate::all() {
            cluster.ok("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", serde_json::to_value(definition).unwrap()).await;
        }
        cluster.ok("POST", "/api/v1/namespaces", json!({"metadata": {"name": "n"}})).await;
        for object in crds::policies::all(OPERATOR).unwrap() {
            let plural = match object["kind"].as_str().unwrap() {
                "ValidatingAdmissionPolicy" => "validatingadmissionpolicies",
                _ => "validatingadmissionpolicybindings",
            };
            let taken = cluster.ok("POST", &format!("/apis/admissionregistration.k8s.io/v1/{plural}?fieldValidation=Strict"), object).await;
            // Rules that name one version of our kinds are checked against their schemas; these name all, so that nothing is found either.
            assert!(taken["status"]["typeChecking"]["expressionWarnings"].is_null(), "{taken}");
        }
        cluster
    }

    async fn send(&self, user: &User, method: &str, path: &str, body: Value) -> (u16, Value) {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = Request::builder().method(method).uri(path).header("content-type", kind).body(body).unwrap();
        let (parts, body) = self.0.handle(request, user).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), serde_json::from_slice(&bytes).unwrap_or_default())
    }

    async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let (code, answer) = self.send(&User::admin(), method, path, body).await;
        assert!((200..300).contains(&code), "{method} {path}: {answer}");
        answer
    }

    async fn refused(&self, method: &str, path: &str, body: Value) -> String {
        let (code, answer) = self.send(&User::admin(), method, path, body).await;
        assert_eq!(code, 403, "{answer}");
        answer["message"].as_str().unwrap().to_owned()
    }

    /// An action in this state, which the operator wrote.
    async fn action(&self, plural: &str, name: &str, status: Value) -> String {
        let spec = match plural {
            "backups" => json!({"ipOffice": "hq"}),
            _ => json!({"ipOffice": "hq", "source": {"backup": "b"}}),
        };
        let kind = if plural == "backups" { "Backup" } else { "Restore" };
        let object = json!({"apiVersion": "switchboard.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        self.ok("POST", &format!("{GROUP}/{plural}"), object).await;
        let path = format!("{GROUP}/{plural}/{name}");
        // The operator's rights are not what is tried here.
        let operator = User::new(OPERATOR, &["system:masters"]);
        let (code, answer) = self.send(&operator, "PATCH", &format!("{path}/status"), json!({"status": status})).await;
        assert_eq!(code, 200, "{answer}");
        path
    }
}

#[tokio::test]
async fn every_file_is_listed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let mut present: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    present.sort();
    assert_eq!(present, crds::policies::FILES.map(|(name, _)| name));
}

#[tokio::test]
async fn what_runs_cannot_be_deleted_and_everything_else_can() {
    let cluster = Cluster::start().await;
    let running = cluster.action("backups", "running", json!({"phase": "InProgress"})).await;
    let refused = cluster.refused("DELETE", &running, Value::Null).await;
    let wanted = "backups.switchboard.dev \"running\" is forbidden: ValidatingAdmissionPolicy 'switchboard-running-actions' with binding 'switchboard-running-actions' denied request: backup running is in progress and cannot be deleted; it ends by itself: kubectl wait backup/running -n n --for=jsonpath='{.status.completionTime}' --timeout=1h";
    assert_eq!(refused, wanted);
    assert!(cluster.refused("DELETE", &format!("{GROUP}/backups"), Value::Null).await.contains("backup running is in progress"));
    for phase in ["Waiting", "Scheduled", "Paused", "Completed", "Failed", "Stopped"] {
        let path = cluster.action("backups", &phase.to_lowercase(), json!({"phase": phase})).await;
        cluster.ok("DELETE", &path, Value::Null).await;
    }
    let new = json!({"apiVersion": "switchboard.dev/v1alpha1", "kind": "Backup", "metadata": {"name": "new"}, "spec": {"ipOffice": "hq"}});
    cluster.ok("POST", &format!("{GROUP}/backups"), new).await;
    cluster.ok("DELETE", &format!("{GROUP}/backups/new"), Value::Null).await;
    let operator = User::new(OPERATOR, &["system:masters"]);
    assert_eq!(cluster.send(&operator, "DELETE", &running, Value::Null).await.0, 200);
}

#[tokio::test]
async fn a_restore_can_be_called_off_until_its_system_was_told_to_use_it() {
    let cluster = Cluster::start().await;
    let fetching = cluster.action("restores", "fetching", json!({"phase": "InProgress"})).await;
    cluster.ok("DELETE", &fetching, Value::Null).await;
    let applying = json!({"phase": "InProgress", "applyingSince": "2026-11-27T01:00:00Z"});
    let applying = cluster.action("restores", "applying", applying).await;
    assert!(cluster.refused("DELETE", &applying, Value::Null).await.contains("restore applying is in progress and cannot be deleted"));
}

#[tokio::test]
async fn what_is_on_its_way_out_or_goes_with_its_namespace_is_let_go() {
    let cluster = Cluster::start().await;
    let path = cluster.action("backups", "going", json!({"phase": "Waiting"})).await;
    cluster.ok("PATCH", &path, json!({"metadata": {"finalizers": ["example.com/held"]}})).await;
    cluster.ok("DELETE", &path, Value::Null).await;
    let operator = User::new(OPERATOR, &["system:masters"]);
    cluster.send(&operator, "PATCH", &format!("{path}/status"), json!({"status": {"phase": "InProgress"}})).await;
    cluster.ok("DELETE", &path, Value::Null).await;
    let running = cluster.action("backups", "running", json!({"phase": "InProgress"})).await;
    let emptying = User::service_account("kube-system", "namespace-controller", "");
    cluster.refused("DELETE", &running, Value::Null).await;
    assert_eq!(cluster.send(&emptying, "DELETE", &format!("{running}?dryRun=All"), Value::Null).await.0, 200);
    // Whoever else deletes in a namespace that goes, such as a person in a hurry.
    cluster.ok("DELETE", "/api/v1/namespaces/n", Value::Null).await;
    cluster.ok("DELETE", &running, Value::Null).await;
}

#[tokio::test]
async fn a_backup_in_progress_can_be_neither_paused_nor_stopped() {
    let cluster = Cluster::start().await;
    let running = cluster.action("backups", "running", json!({"phase": "InProgress"})).await;
    for spec in [json!({"paused": true}), json!({"stopped": true})] {
        let refused = cluster.refused("PATCH", &running, json!({"spec": spec})).await;
        assert!(refused.ends_with("denied request: a backup in progress can be neither paused nor stopped; it ends by itself, and deletes nothing of the system"), "{refused}");
    }
    cluster.ok("PATCH", &running, json!({"spec": {"deletionPolicy": "Delete"}, "metadata": {"labels": {"a": "b"}}})).await;
    let waiting = cluster.action("backups", "waiting", json!({"phase": "Scheduled"})).await;
    cluster.ok("PATCH", &waiting, json!({"spec": {"paused": true}})).await;
    // What was set before it began stays as it is.
    let operator = User::new(OPERATOR, &["system:masters"]);
    cluster.send(&operator, "PATCH", &format!("{waiting}/status"), json!({"status": {"phase": "InProgress"}})).await;
    cluster.ok("PATCH", &waiting, json!({"spec": {"deletionPolicy": "Delete"}})).await;
}

#[tokio::test]
async fn the_status_is_written_by_the_operator_alone() {
    let cluster = Cluster::start().await;
    let path = cluster.action("backups", "b", json!({"phase": "Waiting"})).await;
    let refused = cluster.refused("PATCH", &format!("{path}/status"), json!({"status": {"phase": "Completed"}})).await;
    assert!(
        refused.contains("the status is what the operator system:serviceaccount:s:switchboard reports, and it alone writes it"),
        "{refused}"
    );
    assert!(refused.contains("ValidatingAdmissionPolicyBinding switchboard-status"), "{refused}");
    let customer =
        json!({"apiVersion": "switchboard.dev/v1alpha1", "kind": "Customer", "metadata": {"name": "c"}, "spec": {"displayName": "C"}});
    cluster.ok("POST", &format!("{GROUP}/customers"), customer).await;
    cluster.refused("PATCH", &format!("{GROUP}/customers/c/status"), json!({"status": {"customerId": "x"}})).await;
    // Nobody else's status is meant, and nothing but the status.
    cluster.ok("PATCH", "/api/v1/namespaces/n/status", json!({"status": {"phase": "Active"}})).await;
    cluster.ok("PATCH", &path, json!({"metadata": {"labels": {"a": "b"}}})).await;
}
