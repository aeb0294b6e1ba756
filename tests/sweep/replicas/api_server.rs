//! The API server stands still, or is killed, under several replicas.

use std::time::Duration;

use harness::{processes, wait};
use rustix::process::Signal;

use super::replica::Replica;
use super::scene::{OTHERS, Replicated};
use crate::bad_days::small;

#[test]
fn under_an_api_server_that_stands_still_nobody_leads_sessions_stay_and_afterwards_one_leads_again() {
    let all = Replicated::new(2, &small());
    all.leader(&[0, 1]);
    all.wait_until_sessions(&[0, 1]);
    all.wait_until_at_rest();
    let before = all.standing();
    all.forget();
    let held: Vec<u64> = all.replicas.iter().map(Replica::sessions).collect();
    processes::signal(all.plane_id(), Signal::STOP);
    let stopped = std::time::Instant::now();
    wait::until_true("nobody to lead", Duration::from_secs(20), || !all.replicas.iter().any(Replica::leads));
    wait::observe(Duration::from_secs(60).saturating_sub(stopped.elapsed()));
    let still: Vec<u64> = all.replicas.iter().map(Replica::sessions).collect();
    processes::signal(all.plane_id(), Signal::CONT);
    assert_eq!(still, held, "the gateways keep their sessions");
    all.leader(&[0, 1]);
    // Long enough for whatever was held back.
    wait::observe(Duration::from_secs(5));
    assert_eq!(all.standing(), before, "no system was written to");
    assert_eq!(all.written(), [], "nothing was written but Leases");
}

#[test]
fn an_api_server_that_is_killed_and_comes_back_finds_one_leader_and_no_connection_changed() {
    let mut all = Replicated::new(2, &small());
    all.leader(&[0, 1]);
    all.wait_until_at_rest();
    let transitions = all.transitions();
    // With the plane its node goes, and with it the systems: they come back with it.
    all.stage.plane.kill();
    wait::until_true("nobody to lead", Duration::from_secs(20), || !all.replicas.iter().any(Replica::leads));
    all.stage.plane.start_again();
    all.leader(&[0, 1]);
    all.wait_until_sessions(&[0, 1]);
    all.wait_until_all_connected();
    assert_eq!((all.systems().len(), all.transitions()), (OTHERS.len() + 1, transitions));
}
