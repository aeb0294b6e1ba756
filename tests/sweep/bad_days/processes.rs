//! The operator is killed, the API server stopped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use harness::proxy::Fate;
use harness::{processes, wait};
use rustix::process::Signal;
use serde_json::json;

use super::{assert_whole, large, small};
use crate::content::Disk;
use crate::scene::Scene;

#[test]
fn an_operator_killed_in_the_middle_of_an_upload_leaves_it_to_the_next_which_puts_no_part_again() {
    let mut scene = Scene::new(&large(10_000), &[]);
    scene.order_backup("first", &json!({}));
    wait::until_true("the first part in the store", wait::SOON, || scene.transfers.changes().iter().any(|part| part.status == Some(200)));
    scene.operator.kill();
    scene.start_operator_again();
    scene.wait_until("backups", "first", "Completed", "Stored");
    let done = scene.transfers.changes().iter().filter(|part| part.status == Some(200)).count();
    let needed = scene.keys().0.len() + 3;
    assert!(done <= needed + 4, "what is in the store is not put again: {done} parts for {needed}");
    assert_whole(&scene, &["first"]);
    scene.wait_until_settled();
}

#[test]
fn an_operator_killed_again_and_again_ends_a_restore_with_one_restart_of_the_system() {
    let mut scene = Scene::new(&small(), &[]);
    let disk = Disk::of(&scene);
    let (files, starts) = (disk.files(), disk.starts());
    super::backed_up(&scene, "first");
    disk.change();
    scene.order_restore("back", &json!({"source": {"backup": "first"}}));
    // Between half a second and a second each: the restore as a whole takes about two.
    for round in 0..6_u32 {
        wait::observe(Duration::from_millis(u64::from(150 * (round % 3))));
        scene.operator.kill();
        scene.start_operator_again();
    }
    scene.wait_until("restores", "back", "Completed", "Restored");
    assert!(disk.files() == files, "restored byte for byte");
    assert_eq!(disk.starts(), starts + 1, "one restart");
    scene.wait_until_settled();
}

#[test]
fn an_api_server_that_stands_still_for_a_while_delays_a_backup_and_a_restore_and_doubles_nothing() {
    // Five seconds each to transfer, so that both are met while they are under way.
    let scene = Scene::new(&large(10_000), &[]);
    let disk = Disk::of(&scene);
    let (files, starts) = (disk.files(), disk.starts());
    // API server and store are one process here: both stand still.
    let stand_still = || {
        processes::signal(scene.plane.id(), Signal::STOP);
        wait::observe(Duration::from_secs(8));
        processes::signal(scene.plane.id(), Signal::CONT);
    };
    scene.order_backup("first", &json!({}));
    scene.wait_for_phase("backups", "first", "InProgress");
    stand_still();
    scene.wait_until("backups", "first", "Completed", "Stored");
    assert_whole(&scene, &["first"]);
    disk.change();
    scene.order_restore("back", &json!({"source": {"backup": "first"}}));
    scene.wait_for_phase("restores", "back", "InProgress");
    stand_still();
    scene.wait_until("restores", "back", "Completed", "Restored");
    assert!(disk.files() == files, "restored byte for byte");
    assert_eq!(disk.starts(), starts + 1, "one restart");
    scene.wait_until_settled();
}

#[test]
fn a_plane_killed_in_the_middle_of_a_backup_finishes_it_when_it_is_back() {
    let mut scene = Scene::new(&large(20_000), &[]);
    scene.order_backup("first", &json!({}));
    wait::until_true("the first part in the store", wait::SOON, || scene.transfers.changes().iter().any(|part| part.status == Some(200)));
    // API server, store, node and with it the system; the operator stays, with nobody to talk to.
    scene.plane.kill();
    scene.plane.start_again();
    scene.wait_until("backups", "first", "Completed", "Stored");
    assert_whole(&scene, &["first"]);
    scene.wait_until_settled();
}

#[test]
fn an_api_server_of_which_two_of_three_writes_are_lost_delays_a_backup_and_a_restore_and_doubles_nothing() {
    let scene = Scene::new(&small(), &[]);
    let disk = Disk::of(&scene);
    let (files, starts) = (disk.files(), disk.starts());
    let number = AtomicUsize::new(0);
    scene.api.decide(move |seen| match number.fetch_add(usize::from(seen.changes()), Ordering::Relaxed) % 3 {
        0 if seen.changes() => Fate::Lost,
        1 if seen.changes() => Fate::Unanswered,
        _ => Fate::Pass,
    });
    scene.order_backup("first", &json!({}));
    scene.wait_until("backups", "first", "Completed", "Stored");
    assert_whole(&scene, &["first"]);
    disk.change();
    scene.order_restore("back", &json!({"source": {"backup": "first"}}));
    scene.wait_until("restores", "back", "Completed", "Restored");
    scene.wait_until_settled();
    assert!(disk.files() == files, "restored byte for byte");
    assert_eq!(disk.starts(), starts + 1, "one restart");
}
