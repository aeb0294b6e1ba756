//! Objects go while something is under way, or while what they leave cannot be removed.

use harness::cluster::condition;
use harness::wait;
use serde_json::{Value, json};

use super::{IMPATIENT, assert_whole, backed_up, large, small, store_is_back, store_is_down};
use crate::scene::{NAMESPACE, SYSTEM, Scene};

fn uid(scene: &Scene, name: &str) -> Value {
    scene.cluster.get(NAMESPACE, "backups", name).unwrap_or_default()["metadata"]["uid"].clone()
}

#[test]
fn a_backup_deleted_while_it_runs_ends_first_and_one_of_the_same_name_is_another() {
    let scene = Scene::new(&large(20_000), &[]);
    scene.order_backup("first", &json!({"deletionPolicy": "Delete"}));
    wait::until_true("parts under way", wait::SOON, || !scene.transfers.changes().is_empty());
    let old = uid(&scene, "first");
    scene.cluster.delete(NAMESPACE, "backups", "first");
    wait::until_true("it to say why it does not go", wait::SOON, || {
        scene.cluster.get(NAMESPACE, "backups", "first").is_none_or(|backup| condition(&backup, "Deletable") == "False InProgress")
    });
    scene.wait_until_gone("backups", "first");
    let (keys, uploads) = scene.keys();
    assert!(keys.is_empty() && uploads.is_empty(), "{keys:?} {uploads:?}");
    backed_up(&scene, "first");
    assert_ne!(uid(&scene, "first"), old);
    assert_whole(&scene, &["first"]);
    scene.wait_until_settled();
}

#[test]
fn a_backup_torn_away_while_it_runs_leaves_nothing_and_one_of_the_same_name_is_another() {
    let scene = Scene::new(&large(10_000), &[]);
    scene.order_backup("first", &json!({}));
    wait::until_true("the first part in the store", wait::SOON, || scene.transfers.changes().iter().any(|part| part.status == Some(200)));
    let old = uid(&scene, "first");
    // Somebody takes the finalizer off, which nobody should.
    scene.cluster.delete(NAMESPACE, "backups", "first");
    scene.cluster.patch(NAMESPACE, "backups", "first", &json!({"metadata": {"finalizers": null}}));
    scene.wait_until_gone("backups", "first");
    backed_up(&scene, "first");
    assert_ne!(uid(&scene, "first"), old);
    wait::until_true("what the old one left to be removed", wait::SOON, || {
        let folder = scene.cluster.get(NAMESPACE, "backups", "first").unwrap_or_default()["status"]["folder"].as_str().unwrap().to_owned();
        let (keys, uploads) = scene.keys();
        uploads.is_empty() && keys.iter().all(|key| key.starts_with(&folder))
    });
    assert_whole(&scene, &["first"]);
    scene.wait_until_settled();
}

#[test]
fn a_namespace_deleted_while_a_backup_runs_in_it_goes() {
    let scene = Scene::new(&large(5_000), &[]);
    scene.order_backup("first", &json!({}));
    wait::until_true("parts under way", wait::SOON, || !scene.transfers.changes().is_empty());
    scene.cluster.delete("", "namespaces", NAMESPACE);
    wait::until_true("the namespace to be gone", crate::scene::LONG, || scene.cluster.get("", "namespaces", NAMESPACE).is_none());
}

#[test]
fn a_namespace_deleted_while_a_restore_runs_in_it_goes() {
    let scene = Scene::new(&large(20_000), &[]);
    backed_up(&scene, "first");
    scene.cause(&json!({"faults": {"transfers": {"kilobytesPerSecond": 5000}}}));
    scene.order_restore("back", &json!({"source": {"backup": "first"}}));
    scene.wait_for_phase("restores", "back", "InProgress");
    scene.cluster.delete("", "namespaces", NAMESPACE);
    wait::until_true("the namespace to be gone", crate::scene::LONG, || scene.cluster.get("", "namespaces", NAMESPACE).is_none());
}

#[test]
fn a_system_deleted_while_its_backup_runs_fails_the_backup() {
    let scene = Scene::new(&large(5_000), &[]);
    scene.order_backup("first", &json!({}));
    wait::until_true("parts under way", wait::SOON, || !scene.transfers.changes().is_empty());
    scene.cluster.delete(NAMESPACE, "ipoffices", SYSTEM);
    scene.wait_until_gone("ipoffices", SYSTEM);
    scene.wait_until("backups", "first", "Failed", "SystemDeleted");
    let (keys, uploads) = scene.keys();
    assert!(keys.is_empty() && uploads.is_empty(), "{keys:?} {uploads:?}");
    scene.cluster.delete(NAMESPACE, "backups", "first");
    scene.wait_until_gone("backups", "first");
}

#[test]
fn a_backup_whose_bytes_go_with_it_says_what_it_waits_for_and_goes_when_the_store_is_back() {
    let scene = Scene::new(&small(), &[]);
    scene.order_backup("first", &json!({"deletionPolicy": "Delete"}));
    scene.wait_until("backups", "first", "Completed", "Stored");
    store_is_down(&scene);
    scene.cluster.delete(NAMESPACE, "backups", "first");
    let waiting = wait::until("it to say what it waits for", wait::SOON, || {
        let backup = scene.cluster.get(NAMESPACE, "backups", "first").expect("its bytes are in the store, so it is here");
        condition(&backup, "Deletable").starts_with("False").then_some(backup)
    });
    assert_eq!(condition(&waiting, "Deletable"), "False StoreUnreachable", "{}", waiting["status"]);
    assert_eq!(condition(&waiting, "Complete"), "True Stored", "{}", waiting["status"]);
    store_is_back(&scene);
    scene.wait_until_gone("backups", "first");
    let (keys, uploads) = scene.keys();
    assert!(keys.is_empty() && uploads.is_empty(), "{keys:?} {uploads:?}");
    scene.wait_until_settled();
}

#[test]
fn a_backup_whose_bytes_stay_goes_at_once_with_the_store_down_whatever_became_of_it() {
    let scene = Scene::new(&small(), &IMPATIENT);
    let folder = backed_up(&scene, "complete");
    store_is_down(&scene);
    scene.order_backup("failed", &json!({}));
    scene.wait_until_over("backups", "failed");
    for name in ["complete", "failed"] {
        scene.cluster.delete(NAMESPACE, "backups", name);
        scene.wait_until_gone("backups", name);
    }
    let (keys, _) = scene.keys();
    assert!(keys.contains(&format!("{folder}manifest.json")), "{keys:?}");
    scene.wait_until_settled();
}

#[test]
fn orders_that_can_never_be_carried_out_can_be_deleted() {
    let scene = Scene::new(&small(), &[]);
    let source = json!({"backup": "nowhere"});
    let orders = [
        ("backups", "no-system", json!({"ipOffice": "nowhere", "deletionPolicy": "Delete"})),
        ("backups", "no-store", json!({"objectStore": "nowhere", "deletionPolicy": "Delete"})),
        ("backups", "no-server", json!({"elements": ["Configuration/IPOffice/nowhere"], "deletionPolicy": "Delete"})),
        ("backups", "too-late", json!({"startTime": "2090-01-01T00:00:00Z", "deletionPolicy": "Delete"})),
        ("restores", "no-system", json!({"ipOffice": "nowhere", "source": source})),
        ("restores", "no-store", json!({"objectStore": "nowhere", "source": source})),
        ("restores", "no-backup", json!({"source": source})),
        ("restores", "no-id", json!({"source": {"backupId": "20260101t000000z-abcdefghijkl"}})),
    ];
    for (plural, name, spec) in &orders {
        if *plural == "backups" { scene.order_backup(name, spec) } else { scene.order_restore(name, spec) }
    }
    for (plural, name, _) in &orders {
        wait::until_true(&format!("{plural} {name} to say why it does not begin"), wait::SOON, || {
            let action = scene.cluster.get(NAMESPACE, plural, name).unwrap_or_default();
            !condition(&action, "Complete").is_empty()
        });
    }
    scene.wait_until_over("backups", "no-server");
    scene.wait_until_over("restores", "no-id");
    for (plural, name, _) in &orders {
        scene.cluster.delete(NAMESPACE, plural, name);
        scene.wait_until_gone(plural, name);
    }
    scene.wait_until_settled();
}
