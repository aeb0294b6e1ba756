//! The store says that it has what it has not.

use harness::proxy::Fate;
use serde_json::json;

use super::{IMPATIENT, Untouched, assert_whole, backed_up, small, store_is_back};
use crate::scene::Scene;

#[test]
fn a_store_that_takes_parts_and_does_not_keep_them_never_makes_a_backup_complete() {
    let scene = Scene::new(&small(), &IMPATIENT);
    scene.transfers.decide(|seen| if seen.method == "PUT" { Fate::Believed } else { Fate::Pass });
    scene.order_backup("first", &json!({}));
    let failed = scene.wait_until_over("backups", "first");
    assert_eq!(failed["status"]["phase"], "Failed", "{}", failed["status"]);
    scene.wait_until_settled();
    store_is_back(&scene);
    backed_up(&scene, "second");
    assert_whole(&scene, &["second"]);
    scene.wait_until_settled();
}

#[test]
fn a_store_that_takes_the_manifest_and_does_not_keep_it_never_makes_a_backup_complete() {
    let scene = Scene::new(&small(), &IMPATIENT);
    scene.store.decide(|seen| if seen.method == "PUT" { Fate::Believed } else { Fate::Pass });
    scene.order_backup("first", &json!({}));
    scene.wait_until("backups", "first", "Failed", "ObjectNotStored");
    scene.wait_until_settled();
    store_is_back(&scene);
    backed_up(&scene, "second");
    assert_whole(&scene, &["second"]);
    scene.wait_until_settled();
}

#[test]
fn a_store_that_says_an_upload_is_finished_and_forgets_it_never_makes_a_backup_complete() {
    let scene = Scene::new(&small(), &IMPATIENT);
    scene.store.decide(|seen| if seen.method == "POST" && seen.query.contains("uploadId=") { Fate::Believed } else { Fate::Pass });
    scene.order_backup("first", &json!({}));
    let failed = scene.wait_until_over("backups", "first");
    assert_eq!(failed["status"]["phase"], "Failed", "{}", failed["status"]);
    scene.wait_until_settled();
    store_is_back(&scene);
    backed_up(&scene, "second");
    assert_whole(&scene, &["second"]);
    scene.wait_until_settled();
}

#[test]
fn a_backup_of_which_the_store_lost_an_object_is_refused_and_the_system_stays_as_it_is() {
    let scene = Scene::new(&small(), &[]);
    let folder = backed_up(&scene, "first");
    let before = Untouched::of(&scene);
    let (keys, _) = scene.keys();
    let lost = keys.iter().rfind(|key| key.starts_with(&folder) && key.ends_with(".tar")).unwrap().clone();
    scene.cluster.block_on(scene.objects.delete(&[lost])).unwrap();
    scene.order_restore("back", &json!({"source": {"backup": "first"}}));
    scene.wait_until("restores", "back", "Failed", "BackupDamaged");
    before.assert();
    scene.wait_until_settled();
}

#[test]
fn an_object_that_vanishes_while_it_is_fetched_fails_the_restore_and_the_system_stays_as_it_is() {
    let scene = Scene::new(&small(), &IMPATIENT);
    backed_up(&scene, "first");
    let before = Untouched::of(&scene);
    scene.transfers.decide(|seen| if seen.path.ends_with(".tar") { Fate::Refused(404, "NoSuchKey") } else { Fate::Pass });
    scene.order_restore("back", &json!({"source": {"backup": "first"}}));
    scene.wait_until("restores", "back", "Failed", "ObjectMissing");
    before.assert();
    scene.wait_until_settled();
}
