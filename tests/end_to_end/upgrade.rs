//! What earlier versions left is read by this one: data folders, objects, backups, and systems that still run them.

use std::process::Command;

use harness::dialer::Subscription;
use harness::kubectl::{Kubectl, documents};
use harness::recorded::{Fixture, RecordedSystem};
use harness::switchboard::{Ports, Switchboard, program};
use harness::{objects, wait};
use serde_json::{Value, json};

/// Namespace of the fixtures.
const SPACE: &str = "north";

fn order(namespace: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "switchboard.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

/// Where an object is, for kubectl: its namespace, and kind with group and name.
fn place(object: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let group = text(&object["apiVersion"]);
    let group = group.split('/').next().unwrap();
    let kind = text(&object["kind"]).to_lowercase();
    (text(&object["metadata"]["namespace"]), format!("{kind}.{group}/{}", text(&object["metadata"]["name"])))
}

/// Every object is there as it was, and can be written again as it is.
fn objects_are_kept_and_admitted(kubectl: &Kubectl, recorded: &[Value]) {
    for object in recorded {
        let (namespace, name) = place(object);
        let now = kubectl.object(&namespace, &name);
        assert_eq!(now["metadata"]["uid"], object["metadata"]["uid"], "{name}");
        // `up` itself keeps the store named default at its own port.
        if name != "objectstore.switchboard.dev/default" {
            assert_eq!(now["spec"], object["spec"], "{name}");
        }
        for condition in object["status"]["conditions"].as_array().into_iter().flatten() {
            let same = |other: &&Value| other["type"] == condition["type"];
            assert!(now["status"]["conditions"].as_array().unwrap().iter().any(|other| same(&other)), "{name} lost {}", condition["type"]);
        }
        let mut again = now.clone();
        for field in ["managedFields", "uid", "resourceVersion", "generation", "creationTimestamp", "ownerReferences"] {
            again["metadata"].as_object_mut().unwrap().remove(field);
        }
        again.as_object_mut().unwrap().remove("status");
        kubectl.ok_with(&["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-"], &documents(&[again]), &[]);
        kubectl.ok(&["label", "-n", &namespace, &name, "upgraded=yes"]);
    }
}

/// What the catalogue says of the embedded store, below a prefix.
fn catalogue(plane: &Switchboard, prefix: &str) -> Value {
    let secret = std::fs::read_to_string(plane.data().join("object-store.key")).unwrap();
    let mut command = Command::new(program());
    command.args(["catalogue", "--output=json", "--bucket=switchboard"]).arg(format!("--prefix={prefix}"));
    command.arg(format!("--endpoint=https://127.0.0.1:{}", plane.ports.store)).arg("--authority").arg(plane.data().join("ca.crt"));
    let output = command.env("AWS_ACCESS_KEY_ID", "switchboard").env("AWS_SECRET_ACCESS_KEY", secret.trim()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The id of a backup is in the store, whole.
fn assert_catalogued(plane: &Switchboard, prefix: &str, recorded: &[Value], name: &str) {
    let id = &recorded.iter().find(|object| object["metadata"]["name"] == name).unwrap()["status"]["backupId"];
    let listed = catalogue(plane, prefix);
    let found = listed["backups"].as_array().unwrap().iter().find(|backup| backup["backupId"] == *id);
    assert_eq!(found.unwrap_or_else(|| panic!("{id} is not among {listed}"))["state"], "Complete");
}

#[test]
fn the_data_folder_of_an_earlier_version_goes_on_with_its_objects_systems_and_backups() {
    for fixture in Fixture::all() {
        let recorded = fixture.objects();
        let plane = Switchboard::start_in(fixture.unpack(), Ports::free(), &[]);
        let kubectl = plane.kubectl();
        objects_are_kept_and_admitted(&kubectl, &recorded);
        // The fixture's system may have got its certificate so long ago that it has ended.
        kubectl.ok(&["patch", "ipo", "hq", "-n", SPACE, "--type=merge", "-p", r#"{"spec":{"allowReenrolment":true}}"#]);
        assert_catalogued(&plane, "", &recorded, "branch-first");
        assert_catalogued(&plane, "archive/", &recorded, "before");

        // The store is where it was, on another port of this machine.
        let endpoint = json!({"spec": {"endpoint": format!("https://127.0.0.1:{}", plane.ports.store)}}).to_string();
        kubectl.ok(&["patch", "objectstore", "archive", "--type=merge", "-p", &endpoint]);
        let restore = json!({"ipOffice": "hq", "objectStore": "archive", "source": {"backup": "before"}});
        kubectl.apply(&[order(SPACE, "Restore", "again", &restore)]);
        kubectl.wait(SPACE, "restore/again", "condition=Complete");
        kubectl.apply(&[order(SPACE, "Backup", "after", &json!({"ipOffice": "hq"}))]);
        kubectl.wait(SPACE, "backup/after", "condition=Complete");
        assert_eq!(kubectl.field(SPACE, "backup/later", "{.status.phase}"), "Paused");

        // Who waited for approval then gets it now.
        kubectl.ok(&["patch", "registration", "acme-yard", "-n", SPACE, "--type=merge", "-p", r#"{"spec":{"decision":"Approved"}}"#]);
        kubectl.wait(SPACE, "registration/acme-yard", "condition=Ready");
        // Started again it dials in at once, instead of half a minute after it was sent away.
        kubectl.ok(&["delete", "pod", "yard", "-n", SPACE]);
        wait::until_true("the system that was approved to connect", wait::SOON, || {
            let offices = kubectl.ok(&[
                "get",
                "ipo",
                "-n",
                SPACE,
                "-o",
                r#"jsonpath={range .items[*]}{.spec.systemId} {.status.connection.colour};{end}"#,
            ]);
            offices.split(';').any(|office| office.starts_with("yard ") && (office.ends_with("Green") || office.ends_with("Amber")))
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_system_of_an_earlier_version_is_signed_in_to_configured_backed_up_and_restored() {
    for fixture in Fixture::all() {
        let plane = Switchboard::start(&[]);
        let kubectl = plane.kubectl();
        let [namespace, secret, _] = objects::tenancy(SPACE);
        kubectl.apply(&[namespace, secret, objects::customer(SPACE, "acme", &json!({"customerId": "acme"}))]);
        let recorded = fixture.objects();
        let office = recorded.iter().find(|object| object["kind"] == "IPOffice" && object["metadata"]["name"] == "branch").unwrap();
        kubectl.apply(&[order(SPACE, "IPOffice", "branch", &office["spec"])]);
        let subscription = Subscription::read(&kubectl, SPACE, "acme");
        let credential = subscription.enrol("branch").await;
        let system = tokio::spawn(RecordedSystem::new(&fixture, subscription, credential, objects::PASSWORD).run());

        kubectl.wait(SPACE, "ipo/branch", "condition=Ready");
        kubectl.wait_for_field(SPACE, "ipo/branch", "{.status.remoteOperations.remoteUpgradeBackup}", "true");
        let spec = |name: &str| recorded.iter().find(|object| object["metadata"]["name"] == name).unwrap()["spec"].clone();
        for (kind, name) in [("Backup", "branch-first"), ("Restore", "branch-look"), ("Restore", "branch-back")] {
            kubectl.apply(&[order(SPACE, kind, name, &spec(name))]);
            // A system that panics says better what is wrong than the end of the patience with it.
            wait::until_true(&format!("the end of {name}"), wait::SOON, || {
                let phase = kubectl.field(SPACE, &format!("{kind}/{name}"), "{.status.phase}");
                assert!(phase != "Failed", "{}", kubectl.ok(&["get", "-n", SPACE, &format!("{kind}/{name}"), "-o", "yaml"]));
                phase == "Completed" || system.is_finished()
            });
        }
        assert!(!system.is_finished(), "the system left: {:?}", system.await);
        system.abort();
    }
}
