//! `switchboard support-bundle`: what is in it, that no secret is, and that what is forbidden ends nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use harness::folder::Folder;
use harness::switchboard::{Switchboard, program};
use harness::{objects, wait};
use serde_json::{Value, json};

const SPACE: &str = "office";
/// Where `switchboard up` has the operator's Secrets.
const OPERATOR: &str = "switchboard-system";

fn bundle(kubeconfig: &Path, output: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.arg("support-bundle").arg("--kubeconfig").arg(kubeconfig).arg("--output").arg(output).args(more).output().unwrap()
}

/// Unpacks it with tar, and returns its folder and its manifest.
fn unpack(archive: &Path, into: &Path) -> (PathBuf, Value) {
    assert!(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(into).status().unwrap().success());
    let folder = into.join("support-bundle");
    let manifest = serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    (folder, manifest)
}

/// Every file below a folder, with its text.
fn texts(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(texts(&entry));
        } else {
            found.push((entry.clone(), std::fs::read_to_string(&entry).unwrap()));
        }
    }
    found
}

/// What must not be found, each with where it is planted.
const PLANTED: [(&str, &str); 11] = [
    (objects::PASSWORD, "the Secret of the service users, and a note"),
    ("word-of-the-day", "a Secret that no object names, and an annotation"),
    ("d29yZC1vZi10aGUtZGF5", "the same in base64"),
    ("pa55word-in-url", "a URL with user and password in a note"),
    ("hunter22-in-json", "a last applied configuration"),
    ("QWERT-ASDFG-ZXCVB-YUIOP-HJKLM", "an enrolment code in a note"),
    ("MHcCAQEEIPlantedPrivateKey", "a private key in a note"),
    ("planted-bearer-0123456789", "an Authorization header in a log"),
    ("env-of-a-pod-77", "a variable of a pod"),
    ("argument-of-a-pod-88", "an argument of a pod"),
    ("planted-signature-99", "a presigned URL in a log"),
];

/// A pod of the operator that writes what it must not, for lack of the file that its argument names.
fn careless_pod() -> Value {
    let argument =
        "/no Authorization: Bearer planted-bearer-0123456789 https://s/b?X-Amz-Signature=planted-signature-99&x=1 word-of-the-day";
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "careless", "namespace": OPERATOR, "labels": {"app.kubernetes.io/part-of": "switchboard"}},
        "spec": {"restartPolicy": "Never", "containers": [{
            "name": "operator", "image": "switchboard",
            "args": ["catalogue", "--endpoint=https://127.0.0.1:1", "--bucket=b", format!("--authority={argument}"), "--prefix=password=argument-of-a-pod-88/"],
            "env": [{"name": "SOMETHING", "value": "env-of-a-pod-77"}],
        }]},
    })
}

fn plant(plane: &Switchboard) {
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy(SPACE));
    kubectl.apply(&[objects::secret(OPERATOR, "unnamed", "word-of-the-day")]);
    let notes = format!(
        "call ann, she says {} and https://ann:pa55word-in-url@store.example.com/x; code QWERT-ASDFG-ZXCVB-YUIOP-HJKLM\n\
         -----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIPlantedPrivateKey\n-----END EC PRIVATE KEY-----\nend of the notes",
        objects::PASSWORD
    );
    kubectl.apply(&[objects::customer(SPACE, "acme", &json!({"notes": notes}))]);
    kubectl.apply(&objects::system(SPACE, "hq"));
    kubectl.ok(&["annotate", "ipo/hq", "-n", SPACE, "note=word-of-the-day and d29yZC1vZi10aGUtZGF5"]);
    kubectl.ok(&[
        "annotate", "--overwrite", "ipo/hq", "-n", SPACE,
        r#"kubectl.kubernetes.io/last-applied-configuration={"apiVersion":"v1","kind":"x","metadata":{},"spec":{"other":"hunter22-in-json"}}"#,
    ]);
    kubectl.apply(&[careless_pod()]);
    kubectl.wait(SPACE, "ipo/hq", "condition=Ready");
    wait::until_true("the Event of the connection", wait::SOON, || {
        kubectl.ok(&["events", "-n", SPACE, "--for", "ipo/hq"]).contains("ConnectionSuccessful")
    });
    wait::until_true("the careless pod to end", wait::SOON, || kubectl.field(OPERATOR, "pod/careless", "{.status.phase}") == "Failed");
}

#[test]
fn a_support_bundle_holds_what_helps_and_none_of_the_secrets_planted_everywhere() {
    let plane = Switchboard::start(&[]);
    plant(&plane);
    // The plants are where they were put, or the test proves nothing.
    let log = plane.kubectl().ok(&["logs", "careless", "-n", OPERATOR]);
    assert!(log.contains("planted-bearer-0123456789") && log.contains("planted-signature-99"), "{log}");
    let scratch = Folder::new();
    let archive = scratch.path().join("bundle.tar.gz");
    let metrics = format!("http://127.0.0.1:{}", plane.ports.metrics);
    let made = bundle(&plane.kubeconfig(), &archive, &["--metrics", &metrics]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (folder, manifest) = unpack(&archive, scratch.path());

    let texts = texts(&folder);
    for (secret, place) in PLANTED {
        for (file, text) in &texts {
            assert!(!text.contains(secret), "{} holds {secret:?}, which is planted in {place}", file.display());
        }
    }
    let text = |name: &str| texts.iter().find(|(file, _)| file.ends_with(name)).unwrap_or_else(|| panic!("no {name}")).1.clone();
    assert!(text("objects/customers/office/acme.yaml").contains("end of the notes"), "the rest of a text stays");
    assert!(text("objects/ipoffices/office/hq.yaml").contains("name: service-user"), "names of Secrets stay");
    assert!(text("secrets.txt").contains("office/service-user type=Opaque keys=password\n"));
    assert!(text("events.txt").contains("office/hq IPOffice ConnectionSuccessful"), "{}", text("events.txt"));
    assert!(text("kinds.txt").contains("ipoffices.switchboard.dev versions=v1alpha1"));
    assert!(text("versions.json").contains("\"switchboard\""));
    assert!(text("metrics.txt").contains("switchboard_systems") && text("peers.json").contains("peers"));
    assert!(text("operator/logs/careless-operator.log").contains("/no Authorization: Bearer (left-out)"));
    assert!(text("operator/pods/switchboard-system/careless.yaml").contains("SOMETHING"));
    assert!(texts.iter().any(|(file, _)| file.parent().unwrap().ends_with("nodes")));
    // The manifest names every file, and what was taken out.
    let named: Vec<&str> = manifest["files"].as_array().unwrap().iter().map(|file| file["file"].as_str().unwrap()).collect();
    assert_eq!(named.len() + 1, texts.len(), "{named:?}");
    assert!(manifest["takenOut"]["placesInTexts"].as_u64().unwrap() >= 8, "{}", manifest["takenOut"]);
}

#[test]
fn what_the_user_may_not_read_is_named_in_the_manifest_and_the_rest_is_there() {
    let plane = Switchboard::start(&[]);
    let kubectl = plane.kubectl();
    kubectl.apply(&objects::tenancy(SPACE));
    let group = "rbac.authorization.k8s.io";
    kubectl.apply(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "viewer", "namespace": SPACE}}),
        json!({
            "apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": {"name": "viewer", "namespace": SPACE},
            "rules": [{"apiGroups": ["switchboard.dev"], "resources": ["customers"], "verbs": ["list"]}],
        }),
        json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": "viewer", "namespace": SPACE},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "viewer"},
            "subjects": [{"kind": "ServiceAccount", "name": "viewer", "namespace": SPACE}],
        }),
    ]);
    let token = kubectl.ok(&["create", "token", "viewer", "-n", SPACE]);
    let scratch = Folder::new();
    let kubeconfig = scratch.path().join("kubeconfig");
    std::fs::copy(plane.kubeconfig(), &kubeconfig).unwrap();
    kubectl.ok(&["config", "--kubeconfig", kubeconfig.to_str().unwrap(), "set-credentials", "admin", &format!("--token={}", token.trim())]);

    let archive = scratch.path().join("bundle.tar");
    let made = bundle(&kubeconfig, &archive, &["--namespace", SPACE]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (folder, manifest) = unpack(&archive, scratch.path());
    assert!(folder.join("objects/customers/office/acme.yaml").exists());
    let left_out = manifest["leftOut"].as_array().unwrap();
    for what in
        ["kinds", "secrets of the namespace office", "ipoffices of the namespace office", "nodes", "metrics and peers of this machine"]
    {
        assert!(left_out.iter().any(|entry| entry["what"] == what), "{what} is not named in {left_out:?}");
    }
    assert!(left_out.iter().any(|entry| entry["why"].as_str().unwrap().starts_with("not allowed: ")), "{left_out:?}");

    let refused = bundle(&kubeconfig, &scratch.path().join("bundle.zip"), &[]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && error.contains("let it end in .tar.gz, .tgz or .tar"), "{error}");
}
