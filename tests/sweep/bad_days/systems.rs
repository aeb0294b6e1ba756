//! The system is cut off, loses its power, or has no room.

use std::sync::atomic::{AtomicUsize, Ordering};

use harness::proxy::Fate;
use harness::{processes, wait};
use rustix::process::Signal;
use serde_json::json;

use super::{Untouched, assert_whole, backed_up, large, small};
use crate::content::Disk;
use crate::scene::{NAMESPACE, SYSTEM, Scene};

/// Parts that were put so far, successful or not.
fn parts(scene: &Scene) -> usize {
    scene.transfers.changes().len()
}

#[test]
fn a_system_whose_network_is_cut_in_the_middle_of_an_upload_goes_on_where_it_was() {
    let scene = Scene::new(&large(8000), &[]);
    scene.order_backup("first", &json!({}));
    wait::until_true("the first part in the store", wait::SOON, || scene.transfers.changes().iter().any(|part| part.status == Some(200)));
    scene.cause_unseen(&json!({"network": {"connected": false}}));
    wait::until_true("the system to be away", wait::SOON, || scene.system()["status"]["connection"]["colour"] == "Red");
    scene.cause(&json!({"network": {"connected": true}}));
    scene.wait_until("backups", "first", "Completed", "Stored");
    let done = scene.transfers.changes().iter().filter(|part| part.status == Some(200)).count();
    let needed = scene.keys().0.len() + 3;
    assert!(done <= needed + 4, "what is in the store is not put again: {done} parts for {needed}");
    assert_whole(&scene, &["first"]);
    scene.wait_until_settled();
}

#[test]
fn connections_that_break_after_some_bytes_cost_those_parts_only() {
    let scene = Scene::new(&large(40_000), &[]);
    for (name, bytes) in [("at-once", 1), ("in-the-middle", 9_000_000), ("near-the-end", 16_000_000)] {
        scene.transfers.forget();
        let number = AtomicUsize::new(0);
        // The first two parts break.
        scene.transfers.decide(move |_| match number.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Fate::Broken(bytes),
            _ => Fate::Pass,
        });
        scene.order_backup(name, &json!({"deletionPolicy": "Delete"}));
        scene.wait_until("backups", name, "Completed", "Stored");
        assert_whole(&scene, &[name]);
        // Fetching breaks too.
        let number = AtomicUsize::new(0);
        scene.transfers.decide(move |_| if number.fetch_add(1, Ordering::Relaxed) == 0 { Fate::Broken(bytes) } else { Fate::Pass });
        let disk = Disk::of(&scene);
        let before = disk.files();
        disk.change();
        scene.order_restore(name, &json!({"source": {"backup": name}}));
        scene.wait_until("restores", name, "Completed", "Restored");
        assert!(disk.files() == before, "restored byte for byte");
        scene.cluster.delete(NAMESPACE, "backups", name);
        scene.wait_until_gone("backups", name);
    }
    scene.wait_until_settled();
}

#[test]
fn a_system_whose_power_fails_in_the_middle_of_a_backup_ends_with_one_that_is_whole() {
    let scene = Scene::new(&large(40_000), &[]);
    for (name, work) in [("packing", "Packing"), ("upload", "Upload")] {
        let starts = Disk::of(&scene).starts();
        scene.cause(&json!({"faults": {"rebootDuring": {"work": work, "afterKilobytes": 20_000, "token": name, "outageSeconds": 1}}}));
        scene.wait_until_settled();
        scene.order_backup(name, &json!({"deletionPolicy": "Delete"}));
        scene.wait_until("backups", name, "Completed", "Stored");
        assert_eq!(Disk::of(&scene).starts(), starts + 1, "the power failed");
        assert_whole(&scene, &[name]);
        scene.cluster.delete(NAMESPACE, "backups", name);
        scene.wait_until_gone("backups", name);
    }
    scene.wait_until_settled();
}

#[test]
fn a_system_whose_power_fails_in_the_middle_of_a_restore_ends_with_all_of_the_old_or_all_of_the_new() {
    let scene = Scene::new(&small(), &[]);
    let disk = Disk::of(&scene);
    let backed = disk.files();
    backed_up(&scene, "first");
    for (name, work) in [("fetch", "Fetch"), ("unpacking", "Unpacking"), ("replacing", "Replacing")] {
        scene.cause(&json!({"faults": {"rebootDuring": {"work": work, "token": name, "outageSeconds": 1}}}));
        scene.wait_until_settled();
        disk.change();
        let changed = disk.files();
        scene.order_restore(name, &json!({"source": {"backup": "first"}}));
        let over = scene.wait_until_over("restores", name);
        let now = disk.files();
        match over["status"]["phase"].as_str() {
            Some("Completed") => assert!(now == backed, "{name}: complete, and not what was backed up"),
            _ => assert!(now == changed, "{name}: failed, and not what was there before"),
        }
        scene.wait_until_settled();
        if now != backed {
            scene.order_restore(&format!("{name}-again"), &json!({"source": {"backup": "first"}}));
            scene.wait_until("restores", &format!("{name}-again"), "Completed", "Restored");
            assert!(disk.files() == backed, "{name}: ordered again");
        }
        scene.wait_until_settled();
    }
}

#[test]
fn a_system_killed_in_the_middle_of_an_upload_and_of_a_restore_ends_as_if_it_had_not_been() {
    let scene = Scene::new(&large(20_000), &[]);
    let pod = scene.cluster.get(NAMESPACE, "pods", SYSTEM).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
    let kill = || {
        let id = wait::until("the process of the system", wait::SOON, || processes::of_pod(&scene.plane.data(), &pod));
        processes::signal(id, Signal::KILL);
    };
    scene.order_backup("first", &json!({}));
    wait::until_true("parts under way", wait::SOON, || parts(&scene) > 0);
    kill();
    scene.wait_until("backups", "first", "Completed", "Stored");
    assert_whole(&scene, &["first"]);
    let disk = Disk::of(&scene);
    let before = disk.files();
    disk.change();
    scene.order_restore("back", &json!({"source": {"backup": "first"}}));
    wait::until_true("something fetched", wait::SOON, || {
        scene.cluster.get(NAMESPACE, "restores", "back").is_some_and(|restore| restore["status"]["folder"].is_string())
    });
    kill();
    scene.wait_until("restores", "back", "Completed", "Restored");
    assert!(disk.files() == before, "restored byte for byte");
    scene.wait_until_settled();
}

#[test]
fn a_system_without_room_refuses_the_restore_and_stays_as_it_is() {
    let scene = Scene::new(&large(100_000), &[]);
    backed_up(&scene, "first");
    let before = Untouched::of(&scene);
    scene.cause(&json!({"faults": {"diskMegabytes": 60}}));
    scene.order_restore("back", &json!({"source": {"backup": "first"}}));
    scene.wait_until("restores", "back", "Failed", "DiskFull");
    before.assert();
    scene.wait_until_settled();
    // A backup has no room to be packed in either.
    scene.order_backup("second", &json!({}));
    scene.wait_until("backups", "second", "Failed", "DiskFull");
    before.assert();
    scene.wait_until_settled();
}
