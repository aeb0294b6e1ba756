//! Replicas are killed, stopped, and replaced one after the other.

use std::time::Duration;

use harness::proxy::Proxy;
use harness::wait;
use rustix::process::Signal;
use serde_json::json;

use super::scene::Replicated;
use crate::bad_days::{assert_whole, large, small};

/// Parts that were put into the store.
fn parts(transfers: &Proxy) -> usize {
    transfers.changes().iter().filter(|part| part.status == Some(200)).count()
}

/// A backup without harm: what it leaves in the store, and how many parts were put for it.
fn undisturbed(all: &Replicated) -> (usize, usize) {
    all.stage.transfers.forget();
    all.stage.order_backup("undisturbed", &json!({}));
    all.stage.wait_until("backups", "undisturbed", "Completed", "Stored");
    (all.stage.keys().0.len(), parts(&all.stage.transfers))
}

/// Begins a backup and returns once some of it is in the store.
fn begun(all: &Replicated) {
    all.stage.transfers.forget();
    all.stage.order_backup("disturbed", &json!({}));
    wait::until_true("the first part in the store", wait::SOON, || parts(&all.stage.transfers) > 0);
}

/// The backup is complete, and what it left in the store is what one without harm leaves.
fn assert_done_once(all: &Replicated, (objects, put): (usize, usize)) {
    all.stage.wait_until("backups", "disturbed", "Completed", "Stored");
    let (keys, uploads) = all.stage.keys();
    assert_eq!((keys.len(), uploads.len()), (2 * objects, 0), "objects and unfinished uploads: {keys:?} {uploads:?}");
    let again = parts(&all.stage.transfers);
    assert!(again <= put + 4, "what is in the store is not put again, but for what was on its way: {again} parts, {put} without harm");
    assert_whole(&all.stage, &["undisturbed", "disturbed"]);
}

#[test]
fn a_backup_whose_leader_is_killed_is_finished_by_the_other_and_nothing_is_doubled() {
    let mut all = Replicated::new(2, &large(10_000));
    let leader = all.leader(&[0, 1]);
    let other = 1 - leader;
    let without_harm = undisturbed(&all);
    let transitions = all.transitions();
    begun(&all);
    all.replicas[leader].kill();
    assert_done_once(&all, without_harm);
    assert_eq!(all.leader(&[other]), other);
    all.wait_until_sessions(&[other]);
    all.stage.wait_until_settled();
    assert_eq!(all.transitions(), transitions, "no connection changed");
}

#[test]
fn a_leader_that_stands_still_for_a_minute_is_replaced_and_writes_nothing_when_it_goes_on() {
    let mut all = Replicated::new(2, &large(10_000));
    let leader = all.leader(&[0, 1]);
    let other = 1 - leader;
    let without_harm = undisturbed(&all);
    let transitions = all.transitions();
    begun(&all);
    all.replicas[leader].signal(Signal::STOP);
    let stopped = std::time::Instant::now();
    assert_eq!(all.leader(&[other]), other, "the other one leads");
    // The rest of the minute.
    wait::observe(Duration::from_secs(60).saturating_sub(stopped.elapsed()));
    all.apis[leader].forget();
    all.replicas[leader].signal(Signal::CONT);
    wait::until_true("the old leader to notice", wait::SOON, || all.replicas[leader].log().contains("leads no more"));
    // What it had begun would come now, if it came at all.
    wait::observe(Duration::from_secs(3));
    assert_eq!(all.apis[leader].changes(), [], "who was replaced writes nothing");
    assert!(!all.replicas[leader].leads() && all.replicas[leader].runs());
    assert_done_once(&all, without_harm);
    all.wait_until_sessions(&[0, 1]);
    all.stage.wait_until_settled();
    assert_eq!((all.leader(&[0, 1]), all.transitions()), (other, transitions), "no connection changed");
}

#[test]
fn the_systems_of_a_follower_that_is_killed_come_back_elsewhere_and_nobody_notices() {
    let mut all = Replicated::new(2, &small());
    let leader = all.leader(&[0, 1]);
    let other = 1 - leader;
    assert!(all.replicas[other].sessions() > 0, "the follower holds sessions");
    all.wait_until_at_rest();
    let before = all.standing();
    all.forget();
    all.replicas[other].kill();
    all.wait_until_sessions(&[leader]);
    // The bound after which the leader would take them for offline, and a little more.
    wait::observe(Duration::from_secs(95));
    assert_eq!(all.standing(), before, "no system was written to");
    assert_eq!(all.written(), [], "nothing was written but Leases");
}

#[test]
fn replicas_are_replaced_one_after_the_other_without_a_gap() {
    let mut all = Replicated::new(3, &small());
    all.wait_until_at_rest();
    let (before, transitions) = (all.standing(), all.transitions());
    all.forget();
    for number in 0..3 {
        let began = std::time::Instant::now();
        assert_eq!(all.replicas[number].stop(), Some(0), "{}", all.replicas[number].log());
        assert!(began.elapsed() < Duration::from_secs(30));
        let rest: Vec<usize> = (0..3).filter(|other| *other != number).collect();
        all.leader(&rest);
        all.wait_until_sessions(&rest);
        all.replicas[number].start_again();
        all.replicas[number].wait_until_ready();
        all.wait_until_each_follows(2);
    }
    all.leader(&[0, 1, 2]);
    assert_eq!(all.transitions(), transitions);
    assert_eq!(all.standing(), before, "no system was written to");
    assert_eq!(all.written(), [], "nothing was written but Leases");
    // And what was ordered meanwhile would have been done.
    all.stage.order_backup("after", &json!({}));
    all.stage.wait_until("backups", "after", "Completed", "Stored");
}
