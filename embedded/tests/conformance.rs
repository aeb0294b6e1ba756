//! The conformance script of `tests/conformance`, and a variant of it with other names, against a plane of this process.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use embedded::api::{Api, ApiOptions};
use embedded::server::{Authenticator, FixedTokens, Limits, Listener, Pki, Rbac, rbac};
use embedded::store::Store;
use embedded::user::User;
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::oneshot;

const ADMIN: &str = "admin-token";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance")
}

/// A folder that goes when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("conformance-{name}-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Serves a new plane, runs the script against it and returns its answers.
async fn answers(script: &Path, scratch: &Path) -> Value {
    let store = Store::open(scratch).unwrap();
    let pki = Pki::open(scratch, &[]).unwrap();
    let api = Api::new(store.clone(), ApiOptions::default());
    api.bootstrap(rbac::default_objects()).await.unwrap();
    api.set_authorizer(Arc::new(Rbac::new(store.clone())));
    let tokens = FixedTokens::new().unwrap().with(ADMIN, User::admin()).with("lab-user-token", User::new("lab-user", &[]));
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), "--port").await.unwrap();
    let url = format!("https://{}", listener.address());
    let (authority, out) = (scratch.join("authority.crt"), scratch.join("out.json"));
    std::fs::write(&authority, pki.authority()).unwrap();
    let handler = move |request: http::Request<Bytes>, user: User| {
        let api = api.clone();
        async move { api.handle(request, &user).await }
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(listener.serve(
        pki.server_config().unwrap(),
        Authenticator::new(tokens, None),
        Arc::new(handler),
        Limits::default(),
        async move {
            let _ = stopped.await;
        },
    ));
    let ran = Command::new("python3")
        .arg(folder().join("conformance.py"))
        .arg("run")
        .args([script.as_os_str(), url.as_ref(), ADMIN.as_ref(), authority.as_os_str(), out.as_os_str()])
        .output()
        .await
        .expect("python3 must be installed to run the conformance script");
    assert!(ran.status.success(), "the script did not run: {}", String::from_utf8_lossy(&ran.stderr));
    stop.send(()).unwrap();
    serving.await.unwrap();
    read(&out)
}

fn read(path: &Path) -> Value {
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn by_step(answers: &Value) -> BTreeMap<String, Value> {
    answers.as_array().unwrap().iter().map(|answer| (answer["id"].as_str().unwrap().to_owned(), answer.clone())).collect()
}

/// Fails unless the steps that differ are just those on the allow-list.
fn assert_only_allowed(golden: &Value, ours: &Value) {
    let (golden, ours) = (by_step(golden), by_step(ours));
    assert_eq!(golden.len(), 120, "the script is complete");
    let differing: BTreeSet<&String> =
        golden.iter().filter(|(step, answer)| ours.get(*step) != Some(answer)).map(|(step, _)| step).collect();
    let allowed = read(&folder().join("allowed.json"));
    let allowed: BTreeSet<&String> = allowed.as_object().unwrap().keys().collect();
    let unexpected: Vec<String> =
        differing.difference(&allowed).map(|step| format!("{step}\n  real: {}\n  ours: {}", golden[*step], ours[*step])).collect();
    assert!(unexpected.is_empty(), "{} steps differ:\n{}", unexpected.len(), unexpected.join("\n"));
    let settled: Vec<&&String> = allowed.difference(&differing).collect();
    assert!(settled.is_empty(), "these no longer differ, take them off allowed.json: {settled:?}");
    eprintln!(
        "{} of {} steps are answered as by a real server, {} differ and are allowed to",
        golden.len() - differing.len(),
        golden.len(),
        differing.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_those_of_a_real_server() {
    let scratch = Scratch::new("script");
    let ours = answers(&folder().join("script.jsonl"), &scratch.0).await;
    assert_only_allowed(&read(&folder().join("golden.json")), &ours);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_change_nothing_but_the_names() {
    let scratch = Scratch::new("variant");
    let (script, golden) = (scratch.0.join("script.jsonl"), scratch.0.join("golden.json"));
    let made = Command::new("python3")
        .arg(folder().join("variant.py"))
        .args([folder().join("script.jsonl"), folder().join("golden.json"), script.clone(), golden.clone()])
        .output()
        .await
        .expect("python3 must be installed to make the variant");
    assert!(made.status.success(), "the variant was not made: {}", String::from_utf8_lossy(&made.stderr));
    let ours = answers(&script, &scratch.0).await;
    assert_only_allowed(&read(&golden), &ours);
}
