//! The store is away, slow, full, or lets nobody in.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use harness::cluster::condition;
use harness::proxy::Fate;
use harness::wait;
use serde_json::json;

use super::{IMPATIENT, assert_whole, backed_up, small, store_is_back, store_is_down};
use crate::scene::{NAMESPACE, STORE_SECRET, Scene, store_secret};

#[test]
fn a_backup_waits_for_a_store_that_is_down_and_completes_once() {
    let scene = Scene::new(&small(), &[]);
    store_is_down(&scene);
    scene.order_backup("first", &json!({}));
    let waiting = scene.wait_for_reason("backups", "first", "StoreUnreachable");
    assert_eq!(waiting["status"]["phase"], "InProgress", "{}", waiting["status"]);
    store_is_back(&scene);
    scene.wait_until("backups", "first", "Completed", "Stored");
    assert_whole(&scene, &["first"]);
    scene.wait_until_settled();
}

#[test]
fn a_store_that_goes_away_between_any_two_steps_delays_a_backup_and_doubles_nothing() {
    let scene = Scene::new(&small(), &[]);
    // Every other request of the operator is lost, or its answer; the first answer to each part that the system puts, and so on.
    let number = AtomicUsize::new(0);
    scene.store.decide(move |_| match number.fetch_add(1, Ordering::Relaxed) % 4 {
        0 => Fate::Lost,
        2 => Fate::Unanswered,
        _ => Fate::Pass,
    });
    let number = AtomicUsize::new(0);
    scene.transfers.decide(move |_| match number.fetch_add(1, Ordering::Relaxed) % 2 {
        0 => Fate::Unanswered,
        _ => Fate::Pass,
    });
    scene.order_backup("first", &json!({}));
    scene.wait_until("backups", "first", "Completed", "Stored");
    store_is_back(&scene);
    assert_whole(&scene, &["first"]);
    scene.wait_until_settled();
}

#[test]
fn a_backup_that_the_store_keeps_waiting_too_long_fails_and_the_next_one_works() {
    let scene = Scene::new(&small(), &IMPATIENT);
    store_is_down(&scene);
    scene.order_backup("first", &json!({}));
    let failed = scene.wait_until("backups", "first", "Failed", "StoreUnreachable");
    assert!(condition(&failed, "Failed").starts_with("True"), "{}", failed["status"]);
    scene.wait_until_settled();
    store_is_back(&scene);
    backed_up(&scene, "second");
    scene.cluster.delete(NAMESPACE, "backups", "first");
    scene.wait_until_gone("backups", "first");
    assert_whole(&scene, &["second"]);
    scene.wait_until_settled();
}

#[test]
fn a_slow_store_is_waited_for() {
    let scene = Scene::new(&small(), &IMPATIENT);
    scene.store.decide(|_| Fate::Late(Duration::from_millis(120)));
    scene.transfers.decide(|_| Fate::Slow(8000));
    backed_up(&scene, "first");
    assert_whole(&scene, &["first"]);
    scene.order_restore("back", &json!({"source": {"backup": "first"}}));
    scene.wait_until("restores", "back", "Completed", "Restored");
    scene.wait_until_settled();
}

#[test]
fn a_full_store_fails_the_backup_leaves_nothing_and_the_next_one_works_when_there_is_room() {
    let scene = Scene::new(&small(), &IMPATIENT);
    scene.transfers.decide(|seen| if seen.method == "PUT" { Fate::Refused(507, "InsufficientStorage") } else { Fate::Pass });
    scene.order_backup("first", &json!({}));
    scene.wait_until("backups", "first", "Failed", "StoreFull");
    scene.wait_until_settled();
    let (keys, uploads) = scene.keys();
    assert!(keys.is_empty() && uploads.is_empty(), "a failed backup takes the room it had: {keys:?} {uploads:?}");
    // It is full for the operator alone: what it writes itself.
    scene.transfers.pass();
    scene.store.decide(|seen| if seen.changes() { Fate::Refused(507, "InsufficientStorage") } else { Fate::Pass });
    scene.order_backup("second", &json!({}));
    scene.wait_until("backups", "second", "Failed", "StoreFull");
    scene.store.pass();
    backed_up(&scene, "third");
    scene.wait_until_settled();
}

#[test]
fn a_full_store_in_which_somebody_makes_room_gets_the_backup_after_all() {
    let scene = Scene::new(&small(), &[]);
    scene.transfers.decide(|seen| if seen.method == "PUT" { Fate::Refused(507, "InsufficientStorage") } else { Fate::Pass });
    scene.order_backup("first", &json!({}));
    let waiting = scene.wait_for_reason("backups", "first", "StoreFull");
    assert_eq!(waiting["status"]["phase"], "InProgress", "{}", waiting["status"]);
    scene.transfers.pass();
    scene.wait_until("backups", "first", "Completed", "Stored");
    assert_whole(&scene, &["first"]);
    scene.wait_until_settled();
}

#[test]
fn a_backup_goes_on_once_the_key_of_the_store_is_mended() {
    let scene = Scene::new(&small(), &[]);
    let good = scene.cluster.get(NAMESPACE, "secrets", STORE_SECRET).unwrap()["data"].clone();
    let wrong = store_secret("not-the-key")["data"].clone();
    scene.cluster.patch(NAMESPACE, "secrets", STORE_SECRET, &json!({"data": wrong}));
    wait::until_true("the store to refuse the key", wait::SOON, || {
        scene.cluster.get("", "objectstores", "default").is_some_and(|store| condition(&store, "Ready") == "False StoreForbidden")
    });
    scene.order_backup("first", &json!({}));
    let waiting = scene.wait_for_reason("backups", "first", "StoreForbidden");
    assert_eq!(waiting["status"]["phase"], "InProgress", "{}", waiting["status"]);
    scene.cluster.patch(NAMESPACE, "secrets", STORE_SECRET, &json!({"data": good}));
    scene.wait_until("backups", "first", "Completed", "Stored");
    assert_whole(&scene, &["first"]);
    scene.wait_until_settled();
}

#[test]
fn a_backup_waits_for_the_secret_of_its_store_and_says_so() {
    let scene = Scene::new(&small(), &[]);
    let good = scene.cluster.get(NAMESPACE, "secrets", STORE_SECRET).unwrap();
    scene.cluster.delete(NAMESPACE, "secrets", STORE_SECRET);
    wait::until_true("the store to say that its Secret is missing", wait::SOON, || {
        scene.cluster.get("", "objectstores", "default").is_some_and(|store| condition(&store, "Ready") == "False SecretNotFound")
    });
    scene.order_backup("first", &json!({}));
    let waiting = scene.wait_for_reason("backups", "first", "SecretNotFound");
    assert_eq!(waiting["status"]["phase"], "Waiting", "{}", waiting["status"]);
    let mut again = store_secret("unused");
    again["data"] = good["data"].clone();
    scene.cluster.create("secrets", &again);
    scene.wait_until("backups", "first", "Completed", "Stored");
    assert_whole(&scene, &["first"]);
    scene.wait_until_settled();
}
